//! Mistakes that others have made, planted one by one: the functions that `check` measures with pass the sound version and find
//! the other.

use scorefield_process::oracle::Gaussian;
use scorefield_process::schedule::{SubVp, VpLinear};
use scorefield_process::{Denoiser, DenoiserExt, Leg, Process, ProcessConfig, ProcessExt, Span};
use scorefield_sample::check::order::{Paths, of_law};
use scorefield_sample::check::process::{end_of, falling, finish_gap, slope_error};
use scorefield_sample::check::{processes, spread_of};
use scorefield_sample::{Finish, Order, Past, Solver, SolverKind};
use scorefield_tensor::{Batch, Dual, Noise};
use scorefield_testkit::Table;

/// A process whose sigma' is a multiple of the true one.
#[derive(Debug)]
struct Steep(Box<dyn Process>, f64);

impl Process for Steep {
    fn alpha(&self, t: Dual) -> Dual {
        self.0.alpha(t)
    }
    fn sigma(&self, t: Dual) -> Dual {
        let sigma = self.0.sigma(t);
        Dual { slope: self.1 * sigma.slope, ..sigma }
    }
    fn span(&self) -> Span {
        self.0.span()
    }
}

/// A solver made by a closure.
struct Planted<F>(Order, F);

impl<F> std::fmt::Debug for Planted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("planted")
    }
}

impl<F: Fn(&dyn Denoiser, &Batch, Leg, &mut Past, &mut dyn Noise) -> Batch + Send + Sync> Solver for Planted<F> {
    fn name(&self) -> &'static str {
        "planted"
    }
    fn order(&self) -> Order {
        self.0
    }
    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        (self.1)(d, x, leg, past, noise)
    }
}

/// A sigma' twice too large: by its difference quotient, and by solvers in the process's time that no longer converge.
#[test]
fn a_slope_twice_too_large_is_found() {
    let heun: SolverKind = "heun".parse().expect("a solver");
    for config in ProcessConfig::all() {
        let of = |factor: f64| Steep(config.build().expect("usual constants"), factor);
        assert!(slope_error(&of(1.0)) < 1e-5, "{}: {}", config.name(), slope_error(&of(1.0)));
        assert!(slope_error(&of(2.0)) > 0.3, "{}: {}", config.name(), slope_error(&of(2.0)));
    }
    for config in ProcessConfig::all().into_iter().step_by(4) {
        let order =
            |factor: f64| Paths::new(Steep(config.build().expect("usual constants"), factor)).order(heun.build().as_ref());
        assert!(order(1.0).confirms(2.0), "{}: {:?}", config.name(), order(1.0));
        assert!(!order(2.0).confirms(2.0), "{}: {:?}", config.name(), order(2.0));
    }
}

/// DPM-Solver++(2M) that looks one step too far back: shapes, finiteness and consistency stay, an order is lost.
#[test]
fn a_wrong_subscript_is_found() {
    let two_m = |back: usize| {
        Planted(Order::Deterministic(2), move |d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise| {
            let (m_t, m_s) = (d.process().at(leg.t), d.process().at(leg.s));
            let half = |t: f64| 0.5 * d.process().at(t).log_snr();
            let h = half(leg.s) - half(leg.t);
            let x0 = d.denoise(x, leg.t);
            // The step behind is measured from the last look, the value is taken `back` looks ago.
            let ahead = match (past.back(0), past.back(back)) {
                (Some(last), Some(p)) => x0.clone() + (x0.clone() - p.clean.clone()) * (0.5 * h / (half(leg.t) - half(last.t))),
                _ => x0.clone(),
            };
            past.push(leg.t, x, x0);
            x.clone() * (m_s.sigma / m_t.sigma) - ahead * (m_s.alpha * (-h).exp_m1())
        })
    };
    for config in ProcessConfig::all().into_iter().take(6) {
        let paths = Paths::new(config.build().expect("usual constants"));
        assert!(paths.order(&two_m(0)).confirms(2.0), "{}", config.name());
        let dropped = paths.order(&two_m(1));
        assert!(!dropped.confirms(2.0) && dropped.confirms(1.0), "{}: {dropped:?}", config.name());
    }
}

/// A cosine table whose `i / T` is a division of integers: all but the last of its rates vanish.
#[test]
fn a_cosine_table_by_integer_division_is_found() {
    const T: usize = 1000;
    let table = |place: fn(usize) -> f64| {
        let f = |i: usize| ((place(i) + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let mut product = 1.0;
        let bars: Vec<f64> = (0..T)
            .map(|i| {
                product *= 1.0 - (1.0 - f(i + 1) / f(i)).min(0.999);
                product
            })
            .collect();
        Table::of_alpha_bar(&bars, 1.0)
    };
    let (right, wrong) = (table(|i| i as f64 / T as f64), table(|i| (i / T) as f64));
    assert_eq!(falling(&right), 1.0);
    assert!(falling(&wrong) < 0.01, "{}", falling(&wrong));
}

/// A corrector that takes sub-VP's noise, `1 - alpha^2`, for VP's, `sqrt(1 - alpha^2)`, in its step and where it makes a score of the
/// model's noise.
#[test]
fn a_corrector_that_ignores_sub_vp_is_found() {
    let d = Gaussian::new(SubVp::new(0.1, 20.0).expect("rates"), vec![0.7, -1.2], vec![0.25, 2.0]);
    let vp = VpLinear::new(0.1, 20.0).expect("rates");
    let corrector = |ignores: bool| {
        Planted(Order::None, move |d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise| {
            let (at_t, at_s) = (d.process().at(leg.t), d.process().at(leg.s));
            let sigma = if ignores { vp.at(leg.t).sigma } else { at_t.sigma };
            let step = 2.0 * (at_t.alpha / at_s.alpha * 0.3 * sigma).powi(2);
            let score = d.noise(x, leg.t) * -sigma.recip();
            let x = x.clone() + score * step + noise.normal(x) * (2.0 * step).sqrt();
            let x0 = d.denoise(&x, leg.t);
            let eps = at_t.noise(&x, &x0);
            past.push(leg.t, &x, x0.clone());
            at_s.perturb(&x0, &eps)
        })
    };
    let (right, wrong) = (spread_of(&d, &d, &corrector(false)), spread_of(&d, &d, &corrector(true)));
    assert!((right - 1.0).abs() <= 0.1, "{right}");
    assert!((wrong - 1.0).abs() > 0.1, "{wrong}");
}

/// A flag for a last denoising step that is read and forgotten.
#[test]
fn a_denoising_flag_without_effect_is_found() {
    for config in ProcessConfig::all() {
        let process = config.build().expect("usual constants");
        let d = Gaussian::new(process, vec![0.7, -1.2], vec![0.25, 2.0]);
        assert!(finish_gap(&d, &|finish| end_of(&d, finish)) < 1e-12, "{}", config.name());
        assert!(finish_gap(&d, &|_| end_of(&d, Finish::Leave)) > 1e-3, "{}", config.name());
    }
}

/// A factor of two: with the factor as it should be each of these passes, with two planted none does.
#[test]
fn a_planted_factor_of_two_is_rejected() {
    for config in processes() {
        let (name, process) = (config.name(), || config.build().expect("usual constants"));
        let (d, paths) = (Gaussian::new(process(), vec![0.4, -0.9, 0.1], vec![0.3, 1.7, 0.05]), Paths::new(process()));
        // Euler with twice the noise term of the velocity.
        let euler = |factor: f64| {
            Planted(Order::Deterministic(1), move |d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, _: &mut dyn Noise| {
                let m = d.process().at(leg.t);
                let x0 = d.denoise(x, leg.t);
                let v = x0.clone() * m.d_alpha + m.noise(x, &x0) * (factor * m.d_sigma);
                x.clone() + v * (leg.s - leg.t)
            })
        };
        // Heun with the second slope weighted by 1 instead of 1/2 of a sum that stays 1: still consistent, of order 1.
        let heun = |factor: f64| {
            Planted(Order::Deterministic(2), move |d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, _: &mut dyn Noise| {
                let h = leg.s - leg.t;
                let a = d.velocity(x, leg.t);
                let b = d.velocity(&(x.clone() + a.clone() * h), leg.s);
                x.clone() + (a * (1.0 - 0.5 * factor) + b * (0.5 * factor)) * h
            })
        };
        // DPM-Solver++(2M) that extrapolates by 1/r instead of 1/(2r): still consistent, of order 1.
        let two_m = |factor: f64| {
            Planted(Order::Deterministic(2), move |d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, _: &mut dyn Noise| {
                let (m_t, m_s) = (d.process().at(leg.t), d.process().at(leg.s));
                let half = |t: f64| 0.5 * d.process().at(t).log_snr();
                let h = half(leg.s) - half(leg.t);
                let x0 = d.denoise(x, leg.t);
                let ahead = match past.back(0) {
                    Some(p) => x0.clone() + (x0.clone() - p.clean.clone()) * (0.5 * factor * h / (half(leg.t) - half(p.t))),
                    None => x0.clone(),
                };
                past.push(leg.t, x, x0);
                x.clone() * (m_s.sigma / m_t.sigma) - ahead * (m_s.alpha * (-h).exp_m1())
            })
        };
        // Euler-Maruyama with twice the score's share of the drift.
        let maruyama = |factor: f64| {
            Planted(Order::Weak(1), move |d: &dyn Denoiser, x: &Batch, leg: Leg, _: &mut Past, noise: &mut dyn Noise| {
                let m = d.process().at(leg.t);
                let (h, g2) = (leg.t - leg.s, m.diffusion_squared());
                let drift = d.score(x, leg.t) * (factor * g2) - x.clone() * m.drift();
                x.clone() + drift * h + noise.normal(x) * (g2 * h).sqrt()
            })
        };
        for factor in [1.0, 2.0] {
            let right = factor == 1.0;
            assert_eq!(paths.order(&euler(factor)).confirms(1.0), right, "{name}, Euler, factor {factor}");
            assert_eq!(paths.order(&heun(factor)).confirms(2.0), right, "{name}, Heun, factor {factor}");
            assert_eq!(paths.order(&two_m(factor)).confirms(2.0), right, "{name}, 2M, factor {factor}");
            assert_eq!(of_law(&d, 3, &maruyama(factor)).confirms(1.0), right, "{name}, Euler-Maruyama, factor {factor}");
        }
    }
}
