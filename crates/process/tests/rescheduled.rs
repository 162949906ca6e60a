//! Exact change of schedule: an oracle under one process, asked under another, is the oracle under the other. And the change of what a
//! network predicts.

use proptest::prelude::*;
use scorefield_process::oracle::Mixture;
use scorefield_process::schedule::{Edm, RectifiedFlow, VpLinear};
use scorefield_process::{
    Denoiser, Differentiable, Prediction, Process, ProcessConfig, ProcessExt, Rescheduled, Span, common_span,
};
use scorefield_tensor::{Batch, Device, batch_f64, rows_f64};
use scorefield_testkit::largest_difference;

/// Every process that differs from others in kind, and tables that end without signal.
fn configs() -> Vec<ProcessConfig> {
    let tables = ["discrete-scaled-linear:steps=40,zero_terminal_snr=true", "discrete-jsd:steps=30"];
    ProcessConfig::all().into_iter().chain(tables.iter().map(|t| t.parse().expect("a process"))).collect()
}

fn build(config: &ProcessConfig) -> Box<dyn Process> {
    config.build().expect("usual constants")
}

fn mixture<P: Process>(process: P) -> Mixture<P> {
    let covariances = [vec![vec![0.3, 0.1], vec![0.1, 0.2]], vec![vec![0.05, -0.02], vec![-0.02, 0.4]]];
    Mixture::new(process, &[0.4, 0.6], &[vec![-1.0, 0.5], vec![0.8, -0.2]], &covariances)
}

/// Three states at the scale of a time.
fn states(process: &dyn Process, times: [f64; 3]) -> Batch {
    let scale = |t: f64| process.at(t).alpha + process.at(t).sigma;
    let z = [[0.3, -0.8], [1.5, 0.1], [-0.7, -0.4]];
    batch_f64(times.iter().zip(z).flat_map(|(t, z)| z.map(|v| v * scale(*t))).collect(), 3, &Device::default())
}

/// The largest difference against the size of the numbers.
fn gap(a: Batch, b: Batch) -> f64 {
    let (a, b) = (rows_f64(a), rows_f64(b));
    largest_difference(&a, &b) / b.iter().fold(1e-3, |top: f64, v| top.max(v.abs()))
}

#[test]
fn an_oracle_asked_under_another_process_is_that_processs_oracle() {
    for own in configs() {
        for other in configs() {
            let pair = format!("{own} under {other}");
            let (ours, theirs) = (mixture(build(&own)), mixture(build(&other)));
            let changed = Rescheduled::new(&ours, build(&other));
            let span = common_span(ours.process(), theirs.process()).unwrap_or_else(|| panic!("{pair}: no level in common"));
            assert!(span.start >= theirs.process().span().start && span.end <= theirs.process().span().end, "{pair}");
            let times = [0.02, 0.5, 0.98].map(|u| span.at(u));
            for t in times {
                let x = states(theirs.process(), [t; 3]);
                let difference = gap(changed.denoise(&x, t), theirs.denoise(&x, t));
                assert!(difference < 1e-10, "{pair}, denoise at {t}: {difference}");

                // The cotangent sees the denoised data: half of them and a probe.
                let probe = batch_f64(vec![1.0, -1.0, 0.5, 2.0, -0.3, 0.7], 3, &Device::default());
                let mut cotangent = |clean: &Batch| clean.clone() * 0.5 + probe.clone();
                let (clean, back) = changed.pullback(&x, t, &mut cotangent);
                let (expected, expected_back) = theirs.pullback(&x, t, &mut cotangent);
                assert!(gap(clean, expected) < 1e-10, "{pair}, pullback at {t}");
                let size = rows_f64(expected_back.clone()).iter().fold(1e-12f64, |top, v| top.max(v.abs()));
                let difference = largest_difference(&rows_f64(back), &rows_f64(expected_back)) / size;
                assert!(difference < 1e-9, "{pair}, J^T v at {t}: {difference}");
            }
            let x = states(theirs.process(), times);
            let difference = gap(changed.denoise_each(&x, &times), theirs.denoise_each(&x, &times));
            assert!(difference < 1e-10, "{pair}, denoise_each: {difference}");
            let back = changed.pullback_each(&x, &times, &mut Batch::clone).1;
            let expected = theirs.pullback_each(&x, &times, &mut Batch::clone).1;
            let size = rows_f64(expected.clone()).iter().fold(1e-12f64, |top, v| top.max(v.abs()));
            let difference = largest_difference(&rows_f64(back), &rows_f64(expected)) / size;
            assert!(difference < 1e-9, "{pair}, J^T v with a time a row: {difference}");
        }
    }
}

/// Beyond the model's levels its nearest end is asked, with the signal kept where there is less noise than it knows and the noise
/// kept where there is more.
#[test]
fn beyond_its_levels_a_model_is_asked_at_its_nearest_end() {
    let own = Edm::new(0.1, 10.0).expect("levels");
    let changed = Rescheduled::new(mixture(own), RectifiedFlow);
    // r = t / (1 - t): 0.01 is below 0.1, 99 above 10.
    let (low, high) = (0.01 / 1.01, 0.99);
    let (time, scale) = changed.own(low);
    assert!(time == 0.1 && (scale - 1.01).abs() < 1e-14, "{time} {scale}");
    let (time, scale) = changed.own(high);
    assert!(time == 10.0 && (scale - 10.0 / 0.99).abs() < 1e-13, "{time} {scale}");
    // In between both scales are one.
    let (time, scale) = changed.own(0.5);
    assert!((time - 1.0).abs() < 1e-13 && (scale - 2.0).abs() < 1e-13, "{time} {scale}");

    let span = common_span(&own, &RectifiedFlow).expect("levels in common");
    assert!((span.start - 0.1 / 1.1).abs() < 1e-12 && (span.end - 10.0 / 11.0).abs() < 1e-12, "{span:?}");
    let apart = Edm::new(1e4, 1e5).expect("levels");
    assert_eq!(common_span(&apart, &RectifiedFlow), None);
    let vp = VpLinear::new(0.1, 20.0).expect("rates");
    assert_eq!(common_span(&vp, &vp), Some(Span { start: 1e-5, end: 1.0 }));
}

proptest! {
    /// Converting the target of one prediction gives the target of the other, for every ordered pair, with one time for the batch
    /// and with one a row.
    #[test]
    fn targets_convert_into_each_other(
        u in 0.0f64..=1.0,
        v in 0.0f64..=1.0,
        x0 in prop::collection::vec(-2.0f64..2.0, 6),
        eps in prop::collection::vec(-2.0f64..2.0, 6),
    ) {
        let on_device = |v: &[f64]| batch_f64(v.to_vec(), 2, &Device::default());
        for config in ProcessConfig::all() {
            let process = build(&config);
            let times = [u, v].map(|u| process.span().at(u));
            let (one, each) = (process.at(times[0]), process.at_each(&times));
            for from in Prediction::all() {
                for to in Prediction::all() {
                    // A target divides x_0 - c_skip x by c_out: its own rounding, and that of the other in its units.
                    let size = times.iter().map(|t| {
                        let (a, b, m) = (from.coeffs(&process.at(*t)), to.coeffs(&process.at(*t)), process.at(*t));
                        let reach = 2.0 * (m.alpha + m.sigma);
                        (2.0 + (a.c_skip.abs() + b.c_skip.abs()) * reach) / b.c_out.abs()
                    }).fold(0.0, f64::max);

                    let x = one.perturb(&on_device(&x0), &on_device(&eps));
                    let [a, b] = [from, to].map(|p| p.coeffs(&one).target(&x, &on_device(&x0)));
                    let found = rows_f64(from.convert(&to, &x, &a, &one));
                    prop_assert!(
                        largest_difference(&found, &rows_f64(b)) < 1e-13 * size,
                        "{config}: {} to {} at {}", from.name(), to.name(), times[0]
                    );

                    let x = each.perturb(&on_device(&x0), &on_device(&eps));
                    let [a, b] = [from, to].map(|p| p.coeffs(&each).target(&x, &on_device(&x0)));
                    let found = rows_f64(from.convert(&to, &x, &a, &each));
                    prop_assert!(
                        largest_difference(&found, &rows_f64(b)) < 1e-13 * size,
                        "{config}: {} to {} at {times:?}", from.name(), to.name()
                    );
                }
            }
        }
    }
}
