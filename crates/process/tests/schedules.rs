//! Every process: slopes, monotone signal-to-noise ratio, the papers' drift and diffusion, inverse times, configurations.

use proptest::prelude::*;
use scorefield_process::schedule::{Edm, Ve, VpCosine, VpLinear};
use scorefield_process::{Process, ProcessConfig, ProcessExt};
use scorefield_tensor::{Dual, Known};
use scorefield_testkit::{Golden, derivative};
use std::f64::consts::PI;

fn processes() -> Vec<(&'static str, Box<dyn Process>)> {
    ProcessConfig::all().iter().map(|c| (c.name(), c.build().expect("usual constants"))).collect()
}

fn close(a: f64, b: f64, relative: f64) -> bool {
    (a - b).abs() <= relative * a.abs().max(b.abs()).max(1e-300)
}

proptest! {
    /// Both slopes equal finite differences anywhere inside the span.
    #[test]
    fn slopes_equal_finite_differences(u in 0.001f64..0.999) {
        // The slopes of a table jump at its times; its own test is in discrete.rs.
        for (name, process) in processes().into_iter().filter(|(_, p)| p.smooth()) {
            let (span, t) = (process.span(), process.span().at(u));
            // A step that stays inside the span and well under the distance to the singular ends.
            let h = 0.05 * (t - span.start).min(span.end - t);
            let m = process.at(t);
            let alpha = derivative(|t| process.alpha(Dual::constant(t)).value, t, h);
            let sigma = derivative(|t| process.sigma(Dual::constant(t)).value, t, h);
            prop_assert!((m.d_alpha - alpha).abs() < 1e-5 * (m.d_alpha.abs() + 1e-3), "{name} at {t}: {} {alpha}", m.d_alpha);
            prop_assert!(close(m.d_sigma, sigma, 1e-5), "{name} at {t}: {} {sigma}", m.d_sigma);
        }
    }

    /// The drift and the diffusion of each paper's SDE.
    #[test]
    fn drift_and_diffusion_are_the_papers(u in 0.0f64..=1.0) {
        for (name, process) in processes() {
            let t = process.span().at(u);
            let m = process.at(t);
            let beta = 0.1 + t * 19.9;
            let integral = 0.1 * t + 0.5 * 19.9 * t * t;
            // Nichol and Dhariwal 2021: alpha_bar = cos^2; beta = -d ln alpha_bar / dt.
            let cosine = PI / 1.008 * ((t + 0.008) / 1.008 * 0.5 * PI).tan();
            let (f, g2) = match name {
                // Song et al. 2021, eq. 11 and 12, and table in appendix B
                "vp-linear" => (-0.5 * beta, beta),
                "vp-cosine" => (-0.5 * cosine, cosine),
                "sub-vp" => (-0.5 * beta, beta * -(-2.0 * integral).exp_m1()),
                "ve" => (0.0, 2.0 * m.sigma.powi(2) * 5000f64.ln()),
                // Karras et al. 2022, eq. 1 with sigma = t
                "edm" => (0.0, 2.0 * t),
                // x_t = (1 - t) x_0 + t eps
                "rectified-flow" => (-1.0 / (1.0 - t), 2.0 * t / (1.0 - t)),
                // -d ln cos^2 / dt
                "trigonometric" => (-0.5 * PI * (0.5 * PI * t).tan(), PI * (0.5 * PI * t).tan()),
                // alpha^2 = 1 / (1 + r^2) with ln r linear over each step: g^2 = 2 sigma^2 (ln r)'
                "discrete-linear" => {
                    let i = t.floor().min(998.0);
                    let slope = (process.at(i + 1.0).ratio() / process.at(i).ratio()).ln();
                    (-m.sigma.powi(2) * slope, 2.0 * m.sigma.powi(2) * slope)
                }
                // The cosine's r times 2: r^2 = 4 (1 / alpha_bar - 1), and (ln r)' is the cosine's own.
                "shifted" => {
                    let alpha_bar = (0.5 * PI * (t + 0.008) / 1.008).cos().powi(2) / (0.5 * PI * 0.008 / 1.008).cos().powi(2);
                    let sigma_squared = 4.0 * (1.0 - alpha_bar) / (alpha_bar + 4.0 * (1.0 - alpha_bar));
                    let g2 = sigma_squared * cosine / (1.0 - alpha_bar);
                    (-0.5 * g2, g2)
                }
                other => panic!("no closed form for {other}: add it"),
            };
            // Formulas with 1 - alpha_bar lose what the process keeps next to the data.
            let tolerance = if name == "shifted" { 1e-9 + 1e-15 / m.sigma.powi(2) } else { 1e-9 };
            prop_assert!(close(m.drift(), f, tolerance), "{name} at {t}: f = {}, expected {f}", m.drift());
            prop_assert!(close(m.diffusion_squared(), g2, tolerance), "{name} at {t}: g^2 = {}, expected {g2}", m.diffusion_squared());
            prop_assert!(m.diffusion_squared() > 0.0, "{name} at {t}");
        }
    }

    /// `time_of` inverts the log-SNR, and `time_of_ratio` the ratio.
    #[test]
    fn times_are_found_again(u in 0.0f64..=1.0) {
        for (name, process) in processes() {
            let t = process.span().at(u);
            let m = process.at(t);
            let found = process.time_of(m.log_snr());
            // To the precision that the log-SNR itself determines the time.
            prop_assert!((process.at(found).log_snr() - m.log_snr()).abs() < 1e-9, "{name}: {t} became {found}");
            prop_assert!((found - t).abs() < 1e-9 * process.span().end, "{name}: {t} became {found}");
            prop_assert!((process.time_of_ratio(m.ratio()) - t).abs() < 1e-9 * process.span().end, "{name}: {t}");
        }
    }
}

#[test]
fn signal_to_noise_strictly_decreases() {
    for (name, process) in processes() {
        let times: Vec<f64> = (0..=2000).map(|i| process.span().at(f64::from(i) / 2000.0)).collect();
        for w in times.windows(2) {
            let (before, after) = (process.at(w[0]), process.at(w[1]));
            assert!(after.log_snr() < before.log_snr(), "{name}: log-SNR does not fall between {} and {}", w[0], w[1]);
            assert!(after.alpha <= before.alpha && after.alpha > 0.0 && after.sigma > before.sigma, "{name} at {}", w[1]);
        }
    }
}

#[test]
fn variance_is_preserved_where_it_says_so() {
    for (name, process) in processes() {
        for u in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let m = process.at(process.span().at(u));
            let total = m.alpha.powi(2) + m.sigma.powi(2);
            match name {
                "vp-linear" | "vp-cosine" | "trigonometric" | "discrete-linear" | "shifted" => {
                    assert!((total - 1.0).abs() < 1e-12, "{name}: {total}")
                }
                "sub-vp" => assert!(total < 1.0 && (m.sigma - (1.0 - m.alpha.powi(2))).abs() < 1e-12, "{name}: {total}"),
                "ve" | "edm" => assert_eq!(m.alpha, 1.0),
                _ => assert!((m.alpha + m.sigma - 1.0).abs() < 1e-15),
            }
        }
    }
}

/// Next to the data nothing cancels: sigma agrees with the first terms of its series to nine digits at the smallest times.
#[test]
fn sigma_is_accurate_next_to_the_data() {
    let t = 1e-9;
    let vp = VpLinear::new(0.1, 20.0).expect("rates").at(t);
    assert!(close(vp.sigma, (0.1 * t).sqrt(), 1e-6), "{}", vp.sigma);
    assert!(close(vp.d_sigma, 0.5 * (0.1 / t).sqrt(), 1e-6), "{}", vp.d_sigma);
    let cosine = VpCosine::new(0.008).expect("offset").at(t);
    let slope = PI / 1.008 * (0.008 / 1.008 * 0.5 * PI).tan();
    assert!(close(cosine.sigma, (slope * t).sqrt(), 1e-6), "{} {}", cosine.sigma, (slope * t).sqrt());
}

#[test]
fn times_out_of_reach_are_the_ends() {
    for (name, process) in processes() {
        let span = process.span();
        assert_eq!(process.time_of(f64::INFINITY), span.start, "{name}");
        assert_eq!(process.time_of(f64::NEG_INFINITY), span.end, "{name}");
        assert_eq!(process.time_of_ratio(0.0), span.start, "{name}");
        assert!(span.contains(span.at(0.5)) && !span.contains(span.end + 1.0) && !span.contains(span.start - 1.0));
    }
}

#[test]
fn columns_are_the_numbers_row_by_row() {
    for (name, process) in processes() {
        let times: Vec<f64> = [0.9, 0.1, 0.5].iter().map(|u| process.span().at(*u)).collect();
        let column = process.at_each(&times);
        for (i, t) in times.iter().enumerate() {
            let m = process.at(*t);
            let expected = [m.alpha, m.sigma, m.d_alpha, m.d_sigma, m.log_snr(), m.drift(), m.diffusion_squared(), m.ratio()];
            let columns = [&column.alpha, &column.sigma, &column.d_alpha, &column.d_sigma];
            let derived = [column.log_snr(), column.drift(), column.diffusion_squared(), column.ratio()];
            let got: Vec<f64> = columns.into_iter().chain(&derived).map(|c| c.rows(3)[i]).collect();
            assert_eq!(got, expected, "{name}, row {i}");
        }
    }
}

#[test]
fn configurations_are_read_back_and_wrong_ones_refused() {
    for config in ProcessConfig::named() {
        let json = serde_json::to_string(&config).expect("plain data");
        assert_eq!(serde_json::from_str::<ProcessConfig>(&json).expect("read back"), config, "{json}");
        assert_eq!(config.to_string().parse::<ProcessConfig>().expect("a text"), config, "{config}");
        // The name alone means the usual constants, where there are such.
        if ["discrete-betas", "shifted"].contains(&config.name()) {
            continue;
        }
        assert_eq!(config.to_string(), config.name());
        let bare = format!("{{\"name\":\"{}\"}}", config.name());
        assert_eq!(serde_json::from_str::<ProcessConfig>(&bare).expect("defaults"), config, "{bare}");
    }
    let unknown = serde_json::from_str::<ProcessConfig>(r#"{"name":"edm","sigma_mid":1}"#).expect_err("unknown field");
    assert!(unknown.to_string().contains("sigma_mid"), "{unknown}");
    assert!(serde_json::from_str::<ProcessConfig>(r#"{"name":"vp"}"#).is_err());

    for (error, pieces) in [
        (VpLinear::new(-1.0, 20.0).expect_err("negative"), ["vp-linear", "beta_min", "-1"]),
        (VpLinear::new(0.1, 0.1).expect_err("empty range"), ["vp-linear", "beta_max", "0.1"]),
        (VpCosine::new(1.0).expect_err("offset"), ["vp-cosine", "offset", "1"]),
        (Ve::new(0.01, f64::INFINITY).expect_err("infinite"), ["ve", "sigma_max", "inf"]),
        (Edm::new(f64::NAN, 80.0).expect_err("not a number"), ["edm", "sigma_min", "NaN"]),
    ] {
        let message = error.to_string();
        assert!(pieces.iter().all(|p| message.contains(p)) && message.contains("expected"), "{message}");
    }
}

/// The cosine schedule is the continuous curve through the published table (all but its last entry, where beta is capped).
#[test]
#[ignore = "needs ../shared: fixtures/schedules"]
fn the_cosine_goes_through_its_table() {
    let tables = Golden::json("schedules/small_tables.json");
    let table: Vec<f64> = serde_json::from_value(tables["diffusers.cos_50.alphas_cumprod"].clone()).expect("a list of numbers");
    let process = VpCosine::new(0.008).expect("offset");
    for (i, alpha_bar) in table.iter().enumerate().take(49) {
        let alpha = process.at((i + 1) as f64 / 50.0).alpha;
        assert!(close(alpha * alpha, *alpha_bar, 1e-12), "entry {i}: {} {alpha_bar}", alpha * alpha);
    }
}
