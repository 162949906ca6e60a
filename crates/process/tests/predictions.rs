//! Every prediction on every process: the target that training aims at is the one that sampling assembles.

use proptest::prelude::*;
use scorefield_process::schedule::{Betas, Discrete, Edm, Ve};
use scorefield_process::{Prediction, ProcessConfig, ProcessExt, TimeInput};
use scorefield_tensor::{Device, batch_f64, rows_f64};
use scorefield_testkit::largest_difference;

proptest! {
    /// `assemble(x, target(x, x_0)) = x_0`, with one time for the batch and with one a row.
    #[test]
    fn assembling_the_target_gives_the_data(
        u in 0.0f64..=1.0,
        v in 0.0f64..=1.0,
        x0 in prop::collection::vec(-2.0f64..2.0, 6),
        eps in prop::collection::vec(-2.0f64..2.0, 6),
    ) {
        let on_device = |v: &[f64]| batch_f64(v.to_vec(), 2, &Device::default());
        for config in ProcessConfig::all() {
            let process = config.build().expect("usual constants");
            for prediction in Prediction::all() {
                let times = [u, v].map(|u| process.span().at(u));
                let (one, each) = (process.at(times[0]), process.at_each(&times));

                let x = one.perturb(&on_device(&x0), &on_device(&eps));
                let coeffs = prediction.coeffs(&one);
                let back = rows_f64(coeffs.assemble(&x, &coeffs.target(&x, &on_device(&x0))));
                // The data are recovered from x through a division by alpha at worst.
                let tolerance = 1e-12 * (1.0 + one.ratio());
                prop_assert!(largest_difference(&back, &x0) < tolerance, "{} {prediction:?} at {}", config.name(), times[0]);

                let x = each.perturb(&on_device(&x0), &on_device(&eps));
                let coeffs = prediction.coeffs(&each);
                let back = rows_f64(coeffs.assemble(&x, &coeffs.target(&x, &on_device(&x0))));
                let tolerance = 1e-12 * (1.0 + one.ratio().max(process.at(times[1]).ratio()));
                prop_assert!(largest_difference(&back, &x0) < tolerance, "{} {prediction:?} at {times:?}", config.name());
            }
        }
    }

    /// The target is what the prediction is named for.
    #[test]
    fn targets_are_what_they_are_named_for(u in 0.0f64..=1.0, x0 in -2.0f64..2.0, eps in -2.0f64..2.0) {
        let on_device = |v: f64| batch_f64(vec![v], 1, &Device::default());
        for config in ProcessConfig::all() {
            let process = config.build().expect("usual constants");
            let m = process.at(process.span().at(u));
            let x = m.perturb(&on_device(x0), &on_device(eps));
            for prediction in Prediction::all() {
                let norm = m.alpha.powi(2) + m.sigma.powi(2);
                let total = m.alpha.powi(2) * 0.25 + m.sigma.powi(2);
                let expected = match prediction {
                    Prediction::Clean => x0,
                    Prediction::Noise => eps,
                    Prediction::Score => -eps,
                    Prediction::RawScore => -eps / m.sigma,
                    Prediction::Velocity => m.alpha * eps - m.sigma * x0,
                    Prediction::Flow => m.d_alpha * x0 + m.d_sigma * eps,
                    // Karras et al. 2022, eq. 8, with alpha x_0 for their y.
                    Prediction::Edm { .. } => {
                        let c_skip = m.alpha * 0.25 / total;
                        (x0 - c_skip * (m.alpha * x0 + m.sigma * eps)) / (m.sigma * 0.5 / total.sqrt())
                    }
                    Prediction::Consistency { .. } => unreachable!("not among the predictions of the posterior mean"),
                };
                let target = rows_f64(prediction.coeffs(&m).target(&x, &on_device(x0)))[0];
                // Targets divide x_0 - c_skip x, rounded at the size of c_skip x, by c_out.
                let c = prediction.coeffs(&m);
                let size = (x0.abs() + (c.c_skip * rows_f64(x.clone())[0]).abs()) / c.c_out.abs() + expected.abs() + norm;
                prop_assert!((target - expected).abs() < 1e-13 * size, "{} {prediction:?}: {target}, {expected}", config.name());
            }
        }
    }
}

/// Table 1 of Karras et al. 2022.
#[test]
fn edm_coefficients_are_the_papers() {
    let process = Edm::new(0.002, 80.0).expect("levels");
    for sigma in [0.002, 0.1, 0.5, 3.0, 80.0] {
        let s: f64 = 0.5;
        let c = Prediction::Edm { sigma_data: s }.coeffs(&process.at(sigma));
        let close = |a: f64, b: f64| (a - b).abs() < 1e-14 * b.abs();
        assert!(close(c.c_skip, s * s / (sigma * sigma + s * s)));
        assert!(close(c.c_out, sigma * s / (sigma * sigma + s * s).sqrt()));
        assert!(close(c.c_in, 1.0 / (sigma * sigma + s * s).sqrt()));
        assert!(close(TimeInput::QuarterLogRatio.at(&process, sigma), sigma.ln() / 4.0));
    }
}

/// Song et al. 2023, eq. 5 and appendix C: at the lowest level a consistency model is the identity (on x / alpha), whatever its network
/// says, and far above it is the network alone.
#[test]
fn consistency_coefficients_keep_the_boundary() {
    for config in ProcessConfig::all() {
        let process = config.build().expect("usual constants");
        let first = process.at(process.span().start);
        let prediction = Prediction::Consistency { sigma_data: 0.5, level_min: first.ratio() };
        let c = prediction.coeffs(&first);
        assert!(c.c_out == 0.0 && (c.c_skip * first.alpha - 1.0).abs() < 1e-15, "{}: {c:?}", config.name());
        let far = process.at(process.time_of_ratio(5.0));
        let (c, above) = (prediction.coeffs(&far), far.ratio() - first.ratio());
        assert!((c.c_skip * far.alpha - 0.25 / (above * above + 0.25)).abs() < 1e-12, "{}", config.name());
        assert!((c.c_out - 0.5 * above / (far.ratio().powi(2) + 0.25).sqrt()).abs() < 1e-12, "{}", config.name());
        assert!(!prediction.is_posterior_mean() && Prediction::all().iter().all(Prediction::is_posterior_mean));
    }
}

/// The network sees inputs of unit variance, and EDM's targets have unit variance too, at every noise level.
#[test]
fn inputs_and_edm_targets_have_unit_variance() {
    for config in ProcessConfig::all() {
        let process = config.build().expect("usual constants");
        for u in [0.0, 0.2, 0.5, 0.8, 1.0] {
            let m = process.at(process.span().at(u));
            for (prediction, s) in Prediction::all().into_iter().map(|p| (p, if p.name() == "edm" { 0.5 } else { 1.0 })) {
                let c = prediction.coeffs(&m);
                let input = c.c_in.powi(2) * ((m.alpha * s).powi(2) + m.sigma.powi(2));
                assert!((input - 1.0).abs() < 1e-12, "{} {}", config.name(), prediction.name());
                if prediction.name() == "edm" {
                    // target = ((1 - c_skip alpha) x_0 - c_skip sigma eps) / c_out
                    let target = ((1.0 - c.c_skip * m.alpha) * s).powi(2) + (c.c_skip * m.sigma).powi(2);
                    assert!((target / c.c_out.powi(2) - 1.0).abs() < 1e-9, "{}: {target}", config.name());
                }
            }
        }
    }
}

#[test]
fn time_inputs_are_functions_of_the_level_or_the_time() {
    for config in ProcessConfig::all() {
        let process = config.build().expect("usual constants");
        let t = process.span().at(0.6);
        assert_eq!(TimeInput::Time { scale: 999.0 }.at(process.as_ref(), t), 999.0 * t);
        assert_eq!(TimeInput::Ratio.at(process.as_ref(), t), process.at(t).ratio());
        let quarter = TimeInput::QuarterLogRatio.at(process.as_ref(), t);
        assert!((quarter + process.at(t).log_snr() / 8.0).abs() < 1e-12);
        assert!((TimeInput::LogRatio { factor: 0.5 }.at(process.as_ref(), t) - 4.0 * quarter + 2f64.ln()).abs() < 1e-12);
    }
}

/// The nearest level is found between two whole times by the levels, not by the times: the middle of two times lies below the middle of
/// their levels. A list of ten levels is walked from its highest, 0, to its lowest, 9.
#[test]
fn whole_times_and_places_in_a_list() {
    let process = Discrete::new(Betas::Cosine { offset: 0.008, clip: 0.999 }, 1000, false).expect("a table");
    for i in [0.0, 17.0, 500.0, 998.0, 999.0] {
        assert_eq!(TimeInput::Nearest.at(&process, i), i);
    }
    for i in [0.0, 17.0, 500.0, 998.0] {
        let middle = process.time_of_ratio(0.5 * (process.at(i).ratio() + process.at(i + 1.0).ratio()));
        assert!(middle > i + 0.5);
        assert_eq!(TimeInput::Nearest.at(&process, middle - 1e-6), i);
        assert_eq!(TimeInput::Nearest.at(&process, middle + 1e-6), i + 1.0);
    }
    let ve = Ve::new(0.01, 1.0).expect("levels");
    let place = |sigma: f64| TimeInput::Descending { levels: 10 }.at(&ve, ve.time_of_ratio(sigma));
    // The levels are exp(-k ln(100) / 9), k = 0 to 9.
    assert_eq!([1.0, 0.6, 0.59, 0.1 * 1.01, 0.1 * 0.99, 0.01].map(place), [0.0, 1.0, 1.0, 4.0, 5.0, 9.0]);
}
