//! The exact laws: scores are gradients of log-densities, posterior means those of reference programs, views of a denoiser
//! agree with each other.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::schedule::RectifiedFlow;
use scorefield_process::{Denoiser, DenoiserExt, Process, ProcessConfig, ProcessExt};
use scorefield_tensor::{Device, batch, batch_f64, rows, rows_f64};
use scorefield_testkit::{Golden, Table, Target, derivative, gradient, largest_difference};

fn processes() -> impl Iterator<Item = (&'static str, Box<dyn Process>)> {
    ProcessConfig::all().into_iter().map(|c| (c.name(), c.build().expect("usual constants")))
}

fn mixture<P: Process>(process: P) -> Mixture<P> {
    let covariances = [vec![vec![0.3, 0.1], vec![0.1, 0.2]], vec![vec![0.05, -0.02], vec![-0.02, 0.4]]];
    Mixture::new(process, &[0.4, 0.6], &[vec![-1.0, 0.5], vec![0.8, -0.2]], &covariances)
}

const U: [f64; 4] = [0.3, 0.5, 0.8, 1.0];

/// Points spread over the law of `x_t`, and a step for differences on its scale.
fn points<P: Process>(d: &Gaussian<P>, t: f64) -> (Vec<[f64; 2]>, f64) {
    let at = |i: usize, z: f64| d.marginal(i, t).0 + z * d.marginal(i, t).1.sqrt();
    let points = [(-1.5, 0.2), (0.0, 0.0), (0.7, -2.0)].map(|(a, b)| [at(0, a), at(1, b)]);
    (points.to_vec(), 0.05 * d.marginal(0, t).1.min(d.marginal(1, t).1).sqrt())
}

#[test]
fn scores_are_gradients_of_log_densities() {
    for ((name, p), (_, q)) in processes().zip(processes()) {
        let gaussian = Gaussian::new(p, vec![0.5, -1.0], vec![0.2, 1.5]);
        let mixture = mixture(q);
        for t in U.map(|u| gaussian.process().span().at(u)) {
            let (points, h) = points(&gaussian, t);
            for x in points {
                let on_device = batch_f64(x.to_vec(), 1, &Device::default());
                let expected = gradient(|x| gaussian.ln_density(x, t), &x, h);
                let size = 1.0 + expected.iter().fold(0.0f64, |top, v| top.max(v.abs()));
                let gap = largest_difference(&rows_f64(gaussian.score(&on_device, t)), &expected);
                assert!(gap < 1e-7 * size, "{name}, Gaussian at t = {t}: {gap}");

                // A shorter step: the mixture bends on the scale of its narrowest component.
                let h = 0.1 * h;
                let expected = gradient(|x| mixture.ln_density(x, t), &x, h);
                let size = 1.0 + expected.iter().fold(0.0f64, |top, v| top.max(v.abs()));
                let gap = largest_difference(&rows_f64(mixture.score(&on_device, t)), &expected);
                assert!(gap < 1e-6 * size, "{name}, mixture at t = {t}: {gap}");
            }
        }
    }
}

/// The density of the mixture integrates to one: the score could not show a wrong normaliser.
#[test]
fn densities_are_normalised() {
    for (name, process) in processes() {
        let d = Mixture::isotropic(process, &[0.25, 0.75], &[vec![-1.0], vec![0.5]], &[0.3, 0.6]);
        let t = d.process().span().at(0.5);
        let m = d.process().at(t);
        let (low, high) = (-2.0 * m.alpha - 10.0 * (m.sigma + m.alpha), 2.0 * m.alpha + 10.0 * (m.sigma + m.alpha));
        let n = 20_000;
        let step = (high - low) / f64::from(n);
        let total: f64 = (0..n).map(|i| d.ln_density(&[low + (f64::from(i) + 0.5) * step], t).exp() * step).sum();
        assert!((total - 1.0).abs() < 1e-8, "{name}: {total}");
    }
}

/// A mixture of one component is the Gaussian; a correlated one is it turned.
#[test]
fn a_mixture_of_one_is_the_gaussian() {
    for ((name, p), (_, q)) in processes().zip(processes()) {
        let gaussian = Gaussian::new(p, vec![0.5, -1.0], vec![0.2, 1.5]);
        // The axes turned by 30 degrees.
        let (c, s) = (0.75f64.sqrt(), 0.5);
        let turn = |x: [f64; 2]| [c * x[0] - s * x[1], s * x[0] + c * x[1]];
        let covariance =
            vec![vec![c * c * 0.2 + s * s * 1.5, c * s * (0.2 - 1.5)], vec![c * s * (0.2 - 1.5), s * s * 0.2 + c * c * 1.5]];
        let turned = Mixture::new(q, &[3.0], &[turn([0.5, -1.0]).to_vec()], &[covariance]);
        for t in U.map(|u| gaussian.process().span().at(u)) {
            for x in points(&gaussian, t).0 {
                let plain = rows_f64(gaussian.denoise(&batch_f64(x.to_vec(), 1, &Device::default()), t));
                let other = turned.posterior_mean(&turn(x), t);
                let gap = largest_difference(&turn([plain[0], plain[1]]), &other);
                assert!(gap < 1e-12, "{name} at {t}: {gap}");
                let densities = gaussian.ln_density(&x, t) - turned.ln_density(&turn(x), t);
                assert!(densities.abs() < 1e-11, "{name} at {t}: {densities}");
            }
        }
    }
}

/// Velocity, score and noise are one thing seen three ways: `v = f x - g^2 score / 2` (Song et al. 2021, eq. 13), `eps = -sigma score`.
#[test]
fn views_of_a_denoiser_agree() {
    for (name, process) in processes() {
        let d = mixture(process);
        for t in U.map(|u| d.process().span().at(u)) {
            let m = d.process().at(t);
            let x = batch_f64([0.3, -0.8, 1.5, 0.1].map(|v| v * (m.alpha + m.sigma)).to_vec(), 2, &Device::default());
            let score = d.score(&x, t);
            let velocity = rows_f64(x.clone() * m.drift() - score.clone() * (0.5 * m.diffusion_squared()));
            let size = velocity.iter().fold(1.0f64, |top, v| top.max(v.abs())) * (1.0 + (m.drift() / m.d_alpha.min(-1.0)).abs());
            let gap = largest_difference(&rows_f64(d.velocity(&x, t)), &velocity);
            assert!(gap < 1e-10 * size, "{name} at {t}: {gap}");
            assert!(largest_difference(&rows_f64(d.noise(&x, t)), &rows_f64(score.clone() * -m.sigma)) < 1e-11, "{name} at {t}");
            let clean = rows_f64(m.clean_of_score(&x, &score));
            assert!(largest_difference(&clean, &rows_f64(d.denoise(&x, t))) < 1e-11 * (1.0 + m.ratio()), "{name} at {t}");
        }
    }
}

/// The closed-form flow of a Gaussian solves the probability flow's equation.
#[test]
fn the_flow_of_a_gaussian_follows_its_velocity() {
    // Differences do not see the jump of a table's slope.
    for (name, process) in processes().filter(|(_, p)| p.smooth()) {
        let d = Gaussian::new(process, vec![0.5], vec![0.2]);
        let span = d.process().span();
        for u in [0.2, 0.5, 0.8] {
            let (from, s) = (span.at(1.0), span.at(u));
            let start = d.marginal(0, from).0 + 0.8 * d.marginal(0, from).1.sqrt();
            let slope = derivative(|s| d.flow(0, start, from, s), s, 0.01 * (s - span.start).min(span.end - s));
            let here = batch_f64(vec![d.flow(0, start, from, s)], 1, &Device::default());
            let velocity = rows_f64(d.velocity(&here, s))[0];
            assert!((velocity - slope).abs() < 1e-7 * (1.0 + slope.abs()), "{name} at {s}: {velocity} {slope}");
        }
    }
}

/// In single precision the oracles are what they are in double, rounded.
#[test]
fn single_precision_is_double_rounded() {
    for (name, process) in processes() {
        let d = mixture(process);
        let t = d.process().span().at(0.5);
        let x = [0.25f32, -0.5, 1.0, 2.0];
        let single = rows(d.denoise(&batch(x.to_vec(), 2, &Device::default()), t));
        let double = rows_f64(d.denoise(&batch_f64(x.map(f64::from).to_vec(), 2, &Device::default()), t));
        assert!(single.iter().zip(&double).all(|(a, b)| *a == *b as f32), "{name}");
    }
}

#[test]
fn laws_that_are_none_are_refused() {
    let refused = |f: fn()| std::panic::catch_unwind(f).is_err();
    assert!(refused(|| drop(Gaussian::new(RectifiedFlow, vec![0.0], vec![0.0]))));
    assert!(refused(|| drop(Gaussian::new(RectifiedFlow, vec![0.0], vec![1.0, 1.0]))));
    assert!(refused(|| drop(Mixture::isotropic(RectifiedFlow, &[], &[], &[]))));
    assert!(refused(|| drop(Mixture::isotropic(RectifiedFlow, &[-1.0], &[vec![0.0]], &[1.0]))));
    let indefinite = [vec![vec![1.0, 2.0], vec![2.0, 1.0]]];
    let indefinite = std::panic::catch_unwind(|| drop(Mixture::new(RectifiedFlow, &[1.0], &[vec![0.0; 2]], &indefinite)));
    assert!(indefinite.is_err());
}

/// Posterior means, noise, scores and log-densities of an independent implementation, `a = 0` included.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn posterior_means_are_the_references() {
    let check = Golden::open("samplers/analytic_check.safetensors");
    for target in Target::all() {
        let get = |what: &str| check.values(&format!("{}.{what}", target.name));
        let (a, s, n) = (get("a"), get("s"), get("a").len());
        assert!(n == 16 && a.contains(&0.0));
        // One time for each of the reference's pairs of coefficients.
        let d = target.under(Table::new((0..n).map(|i| [i as f64, a[i], s[i]]).collect()));
        let dim = target.dim();
        for i in 0..n {
            let t = i as f64;
            let row = |what: &str| get(what)[i * dim..(i + 1) * dim].to_vec();
            let x = batch_f64(row("x"), 1, &Device::default());
            let size = |v: &[f64]| v.iter().fold(1.0f64, |top, v| top.max(v.abs()));
            for (what, ours) in [("x0", d.denoise(&x, t)), ("eps", d.noise(&x, t)), ("score", d.score(&x, t))] {
                let gap = largest_difference(&rows_f64(ours), &row(what)) / size(&row(what));
                assert!(gap < 1e-11, "{} {what} at pair {i}: {gap}", target.name);
            }
            let ln = d.ln_density(&row("x"), t) - get("logp")[i];
            assert!(ln.abs() < 1e-10 * (1.0 + get("logp")[i].abs()), "{} pair {i}: {ln}", target.name);
        }
    }
}
