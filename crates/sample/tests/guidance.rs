//! Guidance: weight 1 is the model, weight 0 the guide, and the interval says where.

use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, DenoiserExt, Process, ProcessConfig, ProcessExt, StepVariance};
use scorefield_sample::{Counted, Guided};
use scorefield_tensor::{Batch, Device, batch_f64, rows_f64};
use scorefield_testkit::largest_difference;

#[test]
fn guidance_interpolates_and_extrapolates() {
    for config in ProcessConfig::all() {
        let law =
            |mean: f64, variance: f64| Gaussian::new(config.build().expect("usual constants"), vec![mean; 3], vec![variance; 3]);
        let (main, guide) = (Counted::new(law(1.0, 0.1)), Counted::new(law(0.0, 1.0)));
        let t = main.process().span().at(0.4);
        let x = batch_f64(vec![0.3, -1.0, 2.0, 0.5, 0.0, -0.2], 2, &Device::default());
        let at = |weight: f64| rows_f64(Guided::new(&main, &guide, weight).denoise(&x, t));

        // The ends are the models bit for bit, and cost one evaluation.
        assert_eq!(at(1.0), rows_f64(main.denoise(&x, t)));
        assert_eq!((main.calls(), guide.calls()), (2, 0));
        assert_eq!(at(0.0), rows_f64(guide.denoise(&x, t)));
        assert_eq!((main.calls(), guide.calls()), (2, 2));

        // D(w) is affine in w, and so is its score.
        for (weight, half) in [(2.0, 1.5), (3.0, 2.0), (-1.0, 0.0)] {
            let middle: Vec<f64> = at(weight).iter().zip(at(1.0)).map(|(a, b)| 0.5 * (a + b)).collect();
            assert!(largest_difference(&middle, &at(half)) < 1e-12);
        }
        let scores = |weight| rows_f64(Guided::new(&main, &guide, weight).score(&x, t));
        let expected: Vec<f64> = scores(0.0).iter().zip(scores(1.0)).map(|(g, m)| g + 2.5 * (m - g)).collect();
        let size = expected.iter().fold(1.0f64, |top, v| top.max(v.abs()));
        assert!(largest_difference(&scores(2.5), &expected) < 1e-10 * size);
    }
}

#[test]
fn outside_its_interval_the_model_stands_alone() {
    let law = |mean: f64| Gaussian::new(ProcessConfig::all()[4].build().expect("usual constants"), vec![mean], vec![0.5]);
    let (main, guide) = (law(1.0), law(-1.0));
    let guided = Guided::new(&main, &guide, 2.0).within(0.3..=5.0);
    let x = batch_f64(vec![0.4], 1, &Device::default());
    for level in [0.1, 0.29, 0.3, 1.0, 5.0, 5.1, 40.0] {
        let t = main.process().time_of_ratio(level);
        let same = rows_f64(guided.denoise(&x, t)) == rows_f64(main.denoise(&x, t));
        // The bounds themselves are left out: a time's level rounds to either side.
        if level != 0.3 && level != 5.0 {
            assert_eq!(same, !(0.3..=5.0).contains(&level), "level {level}");
        }
    }
}

/// A law that says it has learned a variance: three tenths of the way, everywhere.
struct Learned<D>(D);

impl<D: Denoiser> Denoiser for Learned<D> {
    fn process(&self) -> &dyn Process {
        self.0.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.0.denoise(x, t)
    }

    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        (self.denoise(x, t), Some(StepVariance::Between(x.clone() * 0.0 + 0.3)))
    }
}

/// The mean beside a learned variance is the guided one; the variance is the main model's, and the guide needs none.
#[test]
fn a_learned_variance_is_not_guided() {
    let law = |mean: f64| Gaussian::new(ProcessConfig::all()[0].build().expect("usual constants"), vec![mean], vec![0.5]);
    let (main, guide) = (Learned(law(1.0)), law(-1.0));
    let x = batch_f64(vec![0.4], 1, &Device::default());
    for weight in [1.0, 2.5] {
        let guided = Guided::new(&main, &guide, weight);
        let (clean, variance) = guided.denoise_with_variance(&x, 0.5);
        assert_eq!(rows_f64(clean), rows_f64(guided.denoise(&x, 0.5)));
        let Some(StepVariance::Between(nu)) = variance else { panic!("{variance:?}") };
        assert_eq!(rows_f64(nu), [0.3], "weight {weight}");
    }
    assert!(Guided::new(&guide, &main, 2.5).denoise_with_variance(&x, 0.5).1.is_none());
}
