//! Guidance: weight 1 is the model, weight 0 the guide, and the interval says where; conditions joined and negated.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, DenoiserExt, Differentiable, Process, ProcessConfig, ProcessExt, StepVariance};
use scorefield_sample::{Classified, Composed, Counted, Guided, NoisyClassifier};
use scorefield_tensor::{Batch, Device, Tensor, TensorData, batch_f64, rows_f64};
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

/// Standard deviation of the entries of a row about their mean.
fn deviation(row: &[f64]) -> f64 {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    (row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / row.len() as f64).sqrt()
}

/// `phi = 1` gives the main model's deviation, `phi = 0` the guided prediction, and between them the deviation moves in proportion; the
/// direction is the guided one's throughout. Rows and times do not mix.
#[test]
fn rescaling_moves_the_deviation_and_nothing_else() {
    for config in ProcessConfig::all() {
        let process = || config.build().expect("usual constants");
        let main = Gaussian::new(process(), vec![1.0, -0.5, 0.2, 0.0], vec![0.3; 4]);
        let guide = Gaussian::new(process(), vec![-0.4, 0.1, 0.0, 0.3], vec![1.0; 4]);
        let x = batch_f64(vec![0.3, -1.0, 2.0, 0.5, 0.0, -0.2, 0.7, 1.1], 2, &Device::default());
        let t = main.process().span().at(0.5);
        let plain = rows_f64(Guided::new(&main, &guide, 3.0).denoise(&x, t));
        let own = rows_f64(main.denoise(&x, t));
        for phi in [0.0, 0.3, 0.7, 1.0] {
            let guided = Guided::new(&main, &guide, 3.0).rescaled(phi);
            let scaled = rows_f64(guided.denoise(&x, t));
            for (row, (plain, own)) in scaled.chunks(4).zip(plain.chunks(4).zip(own.chunks(4))) {
                let expected = (1.0 - phi) * deviation(plain) + phi * deviation(own);
                assert!((deviation(row) - expected).abs() < 1e-12 * expected, "{config:?}, {phi}");
                assert!(row.iter().zip(plain).all(|(a, b)| (a * plain[0] - b * row[0]).abs() < 1e-10), "{row:?} {plain:?}");
            }
            assert!(largest_difference(&rows_f64(guided.denoise_each(&x, &[t, t])), &scaled) < 1e-12);
            assert_eq!(rows_f64(guided.denoise_with_variance(&x, t).0), scaled);
        }
        // Weight 1 is the main model however it is rescaled, and so is the outside of an interval.
        assert_eq!(rows_f64(Guided::new(&main, &guide, 1.0).rescaled(0.7).denoise(&x, t)), own);
        let level = main.process().at(t).ratio();
        let outside = Guided::new(&main, &guide, 3.0).rescaled(0.7).within(2.0 * level..=3.0 * level);
        assert_eq!(rows_f64(outside.denoise(&x, t)), own);
        let other = main.process().time_of_ratio(2.5 * level);
        if (2.0 * level..=3.0 * level).contains(&main.process().at(other).ratio()) {
            let mixed = rows_f64(outside.denoise_each(&x, &[t, other]));
            assert!(largest_difference(&mixed[..4], &own[..4]) < 1e-12 && largest_difference(&mixed[4..], &own[4..]) > 1e-3);
        }
    }
}

/// A prediction without spread has none to be scaled.
#[test]
fn rescaling_leaves_a_single_entry_alone() {
    let law = |mean: f64| Gaussian::new(ProcessConfig::all()[0].build().expect("usual constants"), vec![mean], vec![0.5]);
    let (main, guide) = (law(1.0), law(-1.0));
    let x = batch_f64(vec![0.4], 1, &Device::default());
    let plain = Guided::new(&main, &guide, 2.0);
    assert_eq!(rows_f64(plain.clone().rescaled(1.0).denoise(&x, 0.5)), rows_f64(plain.denoise(&x, 0.5)));
}

/// `<u, J^T v>` is the slope of `<v, D(x + h u)>` at `h = 0`.
#[track_caller]
fn slopes_are_differences(d: &dyn Differentiable, x: &[f64], t: f64) {
    let device = Device::default();
    let row = |x: &[f64]| batch_f64(x.to_vec(), 1, &device);
    let v: Vec<f64> = (0..x.len()).map(|i| 0.4 - 0.7 * i as f64).collect();
    let (clean, back) = d.pullback(&row(x), t, &mut |_| row(&v));
    assert!(largest_difference(&rows_f64(clean), &rows_f64(d.denoise(&row(x), t))) < 1e-12);
    let back = rows_f64(back);
    for i in 0..x.len() {
        let h = 1e-5;
        let at = |h: f64| -> f64 {
            let mut x = x.to_vec();
            x[i] += h;
            rows_f64(d.denoise(&row(&x), t)).iter().zip(&v).map(|(d, v)| d * v).sum()
        };
        let slope = (at(h) - at(-h)) / (2.0 * h);
        assert!((slope - back[i]).abs() < 1e-6 * slope.abs().max(1.0), "entry {i}: {slope} by differences, {}", back[i]);
    }
}

#[test]
fn pullbacks_are_slopes() {
    let process = || ProcessConfig::all()[0].build().expect("usual constants");
    let main = Mixture::isotropic(process(), &[1.0, 2.0], &[vec![1.0, 0.0, -1.0], vec![-1.0, 0.5, 0.3]], &[0.4, 0.7]);
    let guide = Gaussian::new(process(), vec![0.1, 0.3, -0.2], vec![0.8, 1.2, 1.0]);
    let x = [0.3, -0.8, 0.6];
    for (weight, phi) in [(1.0, 0.7), (2.5, 0.0), (2.5, 0.6), (0.0, 0.6), (-1.0, 1.0)] {
        slopes_are_differences(&Guided::new(&main, &guide, weight).rescaled(phi), &x, 0.4);
    }
    let conditions: Vec<(f64, &dyn Differentiable)> = vec![(2.0, &main), (-0.5, &guide)];
    slopes_are_differences(&Composed { base: &guide, conditions }, &x, 0.4);
}

/// Normals of equal covariance under any weights, joined and negated, make the normal whose mean is `m_u + sum w_i (m_i - m_u)`, at every
/// noise level; of unequal ones the score is the gradient of the logarithm of the product.
#[test]
fn composed_normals_are_a_normal() {
    for config in ProcessConfig::all() {
        let law = |mean: &[f64], v: f64| Gaussian::new(config.build().expect("usual constants"), mean.to_vec(), vec![v; 2]);
        let base = law(&[0.1, -0.2], 0.6);
        let (first, second) = (law(&[1.0, 0.0], 0.6), law(&[0.0, 2.0], 0.6));
        let (w, n) = (1.5, -0.75);
        let composed = Composed { base: &base, conditions: vec![(w, &first), (n, &second)] };
        let mean = |i: usize| [0.1, -0.2][i] + w * ([1.0, 0.0][i] - [0.1, -0.2][i]) + n * ([0.0, 2.0][i] - [0.1, -0.2][i]);
        let exact = law(&[mean(0), mean(1)], 0.6);
        let x = batch_f64(vec![0.3, -1.0, 2.0, 0.5], 2, &Device::default());
        for u in [0.1, 0.5, 0.9] {
            let t = base.process().span().at(u);
            let expected = rows_f64(exact.denoise(&x, t));
            let size = expected.iter().fold(1.0f64, |top, v| top.max(v.abs()));
            assert!(largest_difference(&rows_f64(composed.denoise(&x, t)), &expected) < 1e-10 * size, "{config:?} at {u}");
            assert!(largest_difference(&rows_f64(composed.denoise_each(&x, &[t, t])), &expected) < 1e-10 * size);
        }

        // No conditions, and weights that cancel, are the unconditional model; one condition is guidance of its weight.
        let t = base.process().span().at(0.5);
        let mut alone = Composed { base: &base, conditions: vec![(w, &first)] };
        alone.conditions.clear();
        assert_eq!(rows_f64(alone.denoise(&x, t)), rows_f64(base.denoise(&x, t)));
        let cancelled = Composed { base: &base, conditions: vec![(w, &first), (-w, &first)] };
        assert!(largest_difference(&rows_f64(cancelled.denoise(&x, t)), &rows_f64(base.denoise(&x, t))) < 1e-10);
        let one = Composed { base: &base, conditions: vec![(w, &first)] };
        let guided = Guided::new(&first, &base, w);
        assert!(largest_difference(&rows_f64(one.denoise(&x, t)), &rows_f64(guided.denoise(&x, t))) < 1e-10);

        // Unequal covariances: ln p_u + sum w_i (ln p_i - ln p_u), by differences.
        let (wide, narrow) = (law(&[1.0, 0.0], 0.9), law(&[0.0, 2.0], 0.2));
        let composed = Composed { base: &base, conditions: vec![(w, &wide), (n, &narrow)] };
        let at = [0.3, -1.0];
        let ln = |x: &[f64]| {
            let own = base.ln_density(x, t);
            own + w * (wide.ln_density(x, t) - own) + n * (narrow.ln_density(x, t) - own)
        };
        let sigma = base.process().at(t).sigma;
        let score = rows_f64(composed.score(&batch_f64(at.to_vec(), 1, &Device::default()), t));
        for i in 0..2 {
            let h = 1e-4 * sigma;
            let moved = |h: f64| {
                let mut x = at;
                x[i] += h;
                ln(&x)
            };
            let slope = (moved(h) - moved(-h)) / (2.0 * h);
            assert!((slope - score[i]).abs() < 1e-5 * slope.abs().max(1.0), "{config:?}: {slope} {}", score[i]);
        }
    }
}

/// The exact classifier of a mixture: `ln p(c | x) = ln w_c + ln p_t(x | c) - ln p_t(x)`, with the gradient that the two scores make.
struct Exact<'a, P> {
    weights: Vec<f64>,
    components: Vec<Mixture<P>>,
    whole: &'a Mixture<P>,
    classes: Vec<usize>,
}

impl<P: Process> NoisyClassifier for Exact<'_, P> {
    fn log_probability(&self, x: &Batch, times: &[f64]) -> (Vec<f64>, Batch) {
        let [n, d] = x.dims();
        let (mut values, mut gradients) = (Vec::new(), Vec::new());
        for (i, row) in rows_f64(x.clone()).chunks(d).enumerate() {
            let (c, t) = (self.classes[i], times[i]);
            let ln = |x: &[f64]| self.weights[c].ln() + self.components[c].ln_density(x, t) - self.whole.ln_density(x, t);
            values.push(ln(row));
            // By differences: the test's gradient shares nothing with the formula that it tests.
            gradients.extend((0..d).map(|j| {
                let h = 1e-4 * self.whole.process().at(t).sigma;
                let moved = |k: f64| {
                    let mut x = row.to_vec();
                    x[j] += k * h;
                    ln(&x)
                };
                (8.0 * (moved(1.0) - moved(-1.0)) - (moved(2.0) - moved(-2.0))) / (12.0 * h)
            }));
        }
        (values, Tensor::from_data(TensorData::new(gradients, [n, d]), (&x.device(), x.dtype())))
    }
}

/// The exact classifier at scale 1 makes of a mixture each of its components, at every time, of every process.
#[test]
fn the_exact_classifier_is_bayes_rule() {
    for config in ProcessConfig::all() {
        let process = || config.build().expect("usual constants");
        let (weights, means, deviations) = (vec![0.3, 0.7], [vec![-1.0, 0.5], vec![1.0, 0.0]], [0.5, 0.8]);
        let whole = Mixture::isotropic(process(), &weights, &means, &deviations);
        let component = |k: usize| Mixture::isotropic(process(), &[1.0], &means[k..=k], &deviations[k..=k]);
        let x = batch_f64(vec![0.3, -0.4, 0.8, 0.2, -0.9, 0.6], 3, &Device::default());
        let classes = vec![0, 1, 0];
        let classifier = Exact { weights, components: vec![component(0), component(1)], whole: &whole, classes: classes.clone() };
        for u in [0.2, 0.5, 0.8] {
            let t = whole.process().span().at(u);
            let guided = Classified { inner: &whole, classifier: &classifier, scale: 1.0 };
            let found = rows_f64(guided.denoise(&x, t));
            let expected: Vec<f64> = classes
                .iter()
                .enumerate()
                .flat_map(|(i, &k)| rows_f64(component(k).denoise(&x.clone().narrow(0, i, 1), t)))
                .collect();
            assert!(largest_difference(&found, &expected) < 1e-6, "{config:?} at {u}: {found:?} {expected:?}");
            assert!(largest_difference(&rows_f64(guided.denoise_each(&x, &[t; 3])), &expected) < 1e-6);

            // The component's Jacobian, the classifier's Hessian in it.
            let v = batch_f64(vec![0.5, -1.0, 2.0, 0.3, 0.1, 0.7], 3, &Device::default());
            let (clean, pulled) = guided.pullback(&x, t, &mut |_| v.clone());
            assert!(largest_difference(&rows_f64(clean), &found) < 1e-12);
            let back = |(i, &k): (usize, &usize)| {
                let row = |of: &Batch| of.clone().narrow(0, i, 1);
                rows_f64(component(k).pullback(&row(&x), t, &mut |_| row(&v)).1)
            };
            let exact: Vec<f64> = classes.iter().enumerate().flat_map(back).collect();
            let size = exact.iter().fold(1.0f64, |top, v| top.max(v.abs()));
            let off = largest_difference(&rows_f64(pulled), &exact);
            assert!(off < 1e-3 * size, "{config:?} at {u}: {off} of {size}");

            // Affine in the scale, which at zero leaves the model.
            let at = |scale: f64| rows_f64(Classified { inner: &whole, classifier: &classifier, scale }.denoise(&x, t));
            assert_eq!(at(0.0), rows_f64(whole.denoise(&x, t)));
            let middle: Vec<f64> = at(0.0).iter().zip(at(3.0)).map(|(a, b)| a + (b - a) / 3.0).collect();
            assert!(largest_difference(&middle, &found) < 1e-6);
        }
    }
}
