//! Processes shifted in their noise levels, and clean data kept in bounds.

use scorefield_process::oracle::Gaussian;
use scorefield_process::schedule::{RectifiedFlow, Shifted, VpCosine};
use scorefield_process::{Clip, Denoiser, Process, ProcessConfig, ProcessExt, Thresholded};
use scorefield_tensor::{Device, batch, batch_f64, rows, rows_f64};
use scorefield_testkit::largest_difference;

fn processes() -> impl Iterator<Item = (String, Box<dyn Process>)> {
    ProcessConfig::named().into_iter().map(|c| (c.to_string(), c.build().expect("usual constants")))
}

/// `sigma' / alpha' = c sigma / alpha` at the same time, and the family is kept: `alpha = 1`, `alpha + sigma = 1` or the variance.
#[test]
fn ratios_are_multiplied_and_families_kept() {
    for factor in [0.25, 1.0, 3.0] {
        for (name, process) in processes() {
            let span = process.span();
            let plain: Vec<_> = [0.0, 0.2, 0.5, 0.9, 1.0].iter().map(|u| (span.at(*u), process.at(span.at(*u)))).collect();
            let shifted = Shifted::new(process, factor).expect("a factor");
            assert_eq!(shifted.span(), span, "{name}");
            for (t, m) in plain {
                let s = shifted.at(t);
                assert!((s.ratio() / (factor * m.ratio()) - 1.0).abs() < 1e-13, "{name} by {factor} at {t}: {s:?}");
                let (sum, variance) = (m.alpha + m.sigma, m.alpha.powi(2) + m.sigma.powi(2));
                if ["ve", "edm"].contains(&name.as_str()) {
                    assert_eq!(s.alpha, 1.0, "{name}");
                } else if name == "rectified-flow" {
                    assert!((s.alpha + s.sigma - sum).abs() < 1e-14, "{name} at {t}");
                } else {
                    assert!((s.alpha.powi(2) + s.sigma.powi(2) - variance).abs() < 1e-14, "{name} at {t}");
                }
            }
        }
    }
}

/// Esser et al. 2024, eq. 23: `t' = s t / (1 + (s - 1) t)`; given as `mu = ln s`, `e^mu / (e^mu + 1 / t - 1)`. Hoogeboom et al. 2023,
/// eq. 3: `log SNR + 2 ln(base / resolution)`.
#[test]
fn shifts_are_the_papers() {
    for t in [0.001, 0.25, 0.5, 0.75, 0.999] {
        let sd3 = Shifted::new(RectifiedFlow, 3.0).expect("a factor").at(t);
        assert!((sd3.sigma - 3.0 * t / (1.0 + 2.0 * t)).abs() < 1e-15);
        let flux = Shifted::of_mu(RectifiedFlow, 1.15).expect("a shift").at(t);
        assert!((flux.sigma - 1.15f64.exp() / (1.15f64.exp() + 1.0 / t - 1.0)).abs() < 1e-14);
        let cosine = || VpCosine::new(0.008).expect("an offset");
        let large = Shifted::of_resolution(cosine(), 64.0, 256.0).expect("resolutions").at(t);
        assert!((large.log_snr() - (cosine().at(t).log_snr() + 2.0 * (64.0f64 / 256.0).ln())).abs() < 1e-11);
    }
    let error = Shifted::new(RectifiedFlow, 0.0).expect_err("no factor").to_string();
    assert!(error.contains("shifted") && error.contains("factor"), "{error}");
    assert!(Shifted::of_resolution(RectifiedFlow, 0.0, 64.0).is_err() && Shifted::of_mu(RectifiedFlow, f64::NAN).is_err());
}

/// By hand: of |0.5, -3, 2, 1| the median is 1.5, the 0.75-quantile 2 + 1/4 of the way to 3, that is 2.25.
#[test]
fn thresholds_are_the_quantiles_by_hand() {
    let x = [0.5, -3.0, 2.0, 1.0, 0.1, -0.2, 0.9, 0.0];
    let apply = |clip: Clip| rows_f64(clip.apply(batch_f64(x.to_vec(), 2, &Device::default())));
    for (quantile, max, first) in [
        (0.5, f64::INFINITY, [1.0 / 3.0, -1.0, 1.0, 2.0 / 3.0]),
        (0.75, f64::INFINITY, [0.5 / 2.25, -1.0, 2.0 / 2.25, 1.0 / 2.25]),
        (1.0, f64::INFINITY, [0.5 / 3.0, -1.0, 2.0 / 3.0, 1.0 / 3.0]),
        (1.0, 1.2, [0.5 / 1.2, -1.0, 1.0, 1.0 / 1.2]),
        // At most 1: a static clip.
        (0.995, 1.0, [0.5, -1.0, 1.0, 1.0]),
    ] {
        let ours = apply(Clip::dynamic(quantile, max).expect("a threshold"));
        assert!(largest_difference(&ours[..4], &first) < 1e-15, "{quantile}, {max}: {ours:?}");
        // The second row is inside, whatever its neighbour does.
        assert_eq!(ours[4..], x[4..], "{quantile}, {max}");
    }
    assert_eq!(apply(Clip::at(0.8).expect("a bound")), [0.5, -0.8, 0.8, 0.8, 0.1, -0.2, 0.8, 0.0]);
    let single = Clip::dynamic(0.5, 9.0).expect("a threshold").apply(batch(vec![0.5, -3.0, 2.0, 1.0], 1, &Device::default()));
    assert_eq!(rows(single), [0.5 / 1.5, -1.0, 1.0, 1.0 / 1.5].map(|v: f64| v as f32));
}

/// A bounded denoiser is the denoiser, bounded; with a time a row too.
#[test]
fn bounded_denoisers_are_bounded() {
    for (name, process) in processes() {
        let plain = Gaussian::new(process, vec![1.5, -0.1], vec![0.8, 0.01]);
        let clip = Clip::dynamic(1.0, 10.0).expect("a threshold");
        let bounded = Thresholded::new(&plain, clip);
        let x = batch_f64(vec![3.0, 0.2, -0.5, -0.1], 2, &Device::default());
        let times = [0.3, 0.8].map(|u| plain.process().span().at(u));
        assert_eq!(rows_f64(bounded.denoise(&x, times[0])), rows_f64(clip.apply(plain.denoise(&x, times[0]))), "{name}");
        let each = rows_f64(bounded.denoise_each(&x, &times));
        assert_eq!(each, rows_f64(clip.apply(plain.denoise_each(&x, &times))), "{name}");
        assert!(each.iter().all(|v| v.abs() <= 1.0), "{name}: {each:?}");
    }
}

#[test]
fn bounds_that_bound_nothing_are_refused() {
    for (error, pieces) in [
        (Clip::at(0.0).expect_err("no bound"), ["bound", "0", "above 0"]),
        (Clip::at(f64::NAN).expect_err("no number"), ["bound", "NaN", "finite"]),
        (Clip::dynamic(1.5, 2.0).expect_err("no quantile"), ["quantile", "1.5", "at most 1"]),
        (Clip::dynamic(0.5, 0.5).expect_err("no maximum"), ["largest", "0.5", "from 1"]),
    ] {
        let message = error.to_string();
        assert!(pieces.iter().all(|p| message.contains(p)), "{message}");
    }
}
