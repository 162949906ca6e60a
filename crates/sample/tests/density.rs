//! Likelihoods, latents and bounds against closed forms.

use scorefield_process::oracle::{Gaussian, Mixture};
use scorefield_process::{Denoiser, Differentiable, Process, ProcessConfig, ProcessExt, ReverseStep, StepVariance};
use scorefield_sample::Guided;
use scorefield_sample::density::{
    BoundOptions, Chain, Decoder, Entropies, Flow, Likelihood, Probe, Trace, decode, encode, log_likelihood, slerp,
    variational_bound,
};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Device, Purpose, batch_f64, rows_f64};
use scorefield_testkit::largest_difference;

const MEAN: [f64; 2] = [0.3, -0.5];
const VARIANCE: [f64; 2] = [0.2, 1.5];

fn processes() -> impl Iterator<Item = (&'static str, Box<dyn Process>)> {
    ProcessConfig::all().into_iter().map(|c| (c.name(), c.build().expect("usual constants")))
}

fn mixture<P: Process>(process: P) -> Mixture<P> {
    let covariances = [vec![vec![0.3, 0.1], vec![0.1, 0.2]], vec![vec![0.05, -0.02], vec![-0.02, 0.4]]];
    Mixture::new(process, &[0.4, 0.6], &[vec![-1.0, 0.5], vec![0.8, -0.2]], &covariances)
}

fn states(values: &[f64]) -> Batch {
    batch_f64(values.to_vec(), values.len() / 2, &Device::default())
}

const X: [f64; 8] = [0.1, 0.2, -0.6, -1.4, 0.9, 0.3, -1.2, 0.7];

fn likelihood(d: &dyn Differentiable, x: &[f64], trace: &Trace, flow: &Flow) -> Likelihood {
    let samples: Vec<u64> = (0..x.len() as u64 / 2).collect();
    log_likelihood(d, &states(x), &samples, trace, flow).expect("an easy flow")
}

/// `J^T v` against differences of `<D, v>`.
#[test]
fn pullbacks_are_gradients() {
    for ((name, p), (_, q)) in processes().zip(processes()) {
        let guided = Guided::new(mixture(p), Gaussian::new(q, MEAN.to_vec(), VARIANCE.to_vec()), 1.7);
        let laws: [&dyn Differentiable; 3] = [&guided.main, &guided.guide, &guided];
        for (law, u) in laws.into_iter().flat_map(|l| [0.3, 0.7].map(|u| (l, u))) {
            let t = law.process().span().at(u);
            // The cotangent may depend on the output.
            let mut seen = None;
            let (clean, back) = law.pullback(&states(&X), t, &mut |clean| {
                seen = Some(clean.clone());
                clean.clone() * 2.0 + 0.3
            });
            assert_eq!(rows_f64(seen.expect("called")), rows_f64(clean.clone()));
            assert!(largest_difference(&rows_f64(clean.clone()), &rows_f64(law.denoise(&states(&X), t))) < 1e-12);
            let (clean, back, h) = (rows_f64(clean), rows_f64(back), 1e-5);
            for i in 0..X.len() {
                let at = |h: f64| {
                    let mut x = X;
                    x[i] += h;
                    let row = i / 2 * 2;
                    let d = rows_f64(law.denoise(&states(&x), t));
                    (row..row + 2).map(|k| d[k] * (2.0 * clean[k] + 0.3)).sum::<f64>()
                };
                let slope = (at(h) - at(-h)) / (2.0 * h);
                assert!((slope - back[i]).abs() < 1e-6 * (1.0 + slope.abs()), "{name} at {t}, entry {i}: {slope} {}", back[i]);
            }
            let times = [t, 0.9 * t, t, 1.1 * t];
            let (_, each) = law.pullback_each(&states(&X), &times, &mut |clean| clean.clone() * 2.0 + 0.3);
            let (_, alone) = law.pullback(&states(&X[6..]), times[3], &mut |clean| clean.clone() * 2.0 + 0.3);
            assert!(largest_difference(&rows_f64(each)[6..], &rows_f64(alone)) < 1e-12, "{name}");
        }
    }
}

/// With an exact trace the density is the closed form's, but for the prior: what is neglected there is computed and added back.
#[test]
fn an_exact_trace_gives_the_closed_form() {
    let flow = Flow::with_tolerance(1e-10);
    for ((name, p), (_, q)) in processes().zip(processes()) {
        let gaussian = Gaussian::new(p, MEAN.to_vec(), VARIANCE.to_vec());
        let mixture = mixture(q);
        let (start, end) = flow.times(gaussian.process());
        let sigma = gaussian.process().at(end).sigma;
        let prior = |z: &[f64]| -> f64 { z.iter().map(|z| -0.5 * (z * z + (std::f64::consts::TAU * sigma * sigma).ln())).sum() };
        let of_gaussian = likelihood(&gaussian, &X, &Trace::Exact, &flow);
        let of_mixture = likelihood(&mixture, &X, &Trace::Exact, &flow);
        for (i, x) in X.chunks(2).enumerate() {
            let z = &of_gaussian.latents[2 * i..][..2];
            let carried: Vec<f64> = (0..2).map(|k| gaussian.flow(k, x[k], start, end) / sigma).collect();
            assert!(largest_difference(z, &carried) < 1e-6, "{name}: {z:?} {carried:?}");
            let end_state: Vec<f64> = z.iter().map(|z| z * sigma).collect();
            let neglected = gaussian.ln_density(&end_state, end) - prior(z);
            let (ours, exact) = (of_gaussian.nats[i] + neglected, gaussian.ln_density(x, start));
            assert!((ours - exact).abs() < 1e-6, "{name}, Gaussian: {ours} {exact}");
            assert!((of_gaussian.prior[i] - prior(z)).abs() < 1e-9);

            let z = &of_mixture.latents[2 * i..][..2];
            let end_state: Vec<f64> = z.iter().map(|z| z * sigma).collect();
            let neglected = mixture.ln_density(&end_state, end) - prior(z);
            let (ours, exact) = (of_mixture.nats[i] + neglected, mixture.ln_density(x, start));
            assert!((ours - exact).abs() < 1e-6, "{name}, mixture: {ours} {exact}");
        }
    }
}

/// Hutchinson's estimate is within three of its own standard errors of the exact trace, as often as a normal is; and a row's
/// number does not depend on its company.
#[test]
fn random_probes_are_right_within_their_error() {
    let flow = Flow::with_tolerance(1e-6);
    let d = mixture(ProcessConfig::all()[0].build().unwrap());
    let x: Vec<f64> = (0..100).map(|i| (f64::from(i) * 0.37).sin()).collect();
    let exact = likelihood(&d, &x, &Trace::Exact, &flow);
    // Squares of normals have a heavy tail: their own error is known from more of them only.
    for (law, k) in [(Probe::Rademacher, 24), (Probe::Gaussian, 128)] {
        let trace = Trace::Random { law, probes: k, seed: 5, pass: 1 };
        let ours = likelihood(&d, &x, &trace, &flow);
        let error = |draws: &[f64]| {
            let (n, mean) = (draws.len() as f64, draws.iter().sum::<f64>() / draws.len() as f64);
            (draws.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt()
        };
        let score: Vec<f64> =
            (0..50).map(|i| (ours.nats[i] - exact.nats[i]) / (error(&ours.draws[k * i..][..k]) + 1e-4)).collect();
        assert!(score.iter().filter(|s| s.abs() > 3.0).count() <= 3, "{law:?}: {score:?}");
        let spread = score.iter().map(|s| s * s).sum::<f64>() / 50.0;
        assert!((0.4..2.0).contains(&spread), "{law:?}: {spread}");
        let alone = log_likelihood(&d, &states(&x[14..16]), &[7], &trace, &flow).unwrap();
        assert_eq!(alone.draws[..], ours.draws[k * 7..][..k]);
    }
}

#[test]
fn a_round_trip_comes_back() {
    let flow = Flow::with_tolerance(1e-9);
    for (name, p) in processes() {
        let d = mixture(p);
        let (z, evaluations) = encode(&d, &states(&X), &flow).unwrap();
        let (x, _) = decode(&d, &z, &flow).unwrap();
        assert!(largest_difference(&rows_f64(x), &X) < 1e-6, "{name}");
        assert!(evaluations.iter().all(|e| *e > 10));
        let ours = likelihood(&d, &X, &Trace::Exact, &flow);
        assert!(largest_difference(&ours.latents, &rows_f64(z)) < 1e-6, "{name}");
    }
    let (a, b) = ([3.0, 0.0], [0.0, 3.0]);
    let middle = slerp(&a, &b, 0.5);
    assert!(largest_difference(&middle, &[4.5f64.sqrt(), 4.5f64.sqrt()]) < 1e-12);
    assert!(largest_difference(&slerp(&a, &b, 0.0), &a) + largest_difference(&slerp(&a, &a, 0.3), &a) < 1e-12);
}

/// On Gaussian data every step has the closed form `(SNR_s - SNR_t) / 2 sum_i v_i l^2 / (v_i + l^2)`; the bound lies below the
/// truth and comes closer as steps are added.
#[test]
fn the_bound_is_a_bound_and_tightens() {
    for (name, p) in processes().take(2) {
        let d = Gaussian::new(p, MEAN.to_vec(), VARIANCE.to_vec());
        let n = 1500usize;
        let mut x = vec![0.0; 2 * n];
        Stream::new(3, 0, Purpose::User, 0, 0).fill_normal(&mut x);
        x.iter_mut().enumerate().for_each(|(i, x)| *x = MEAN[i % 2] + VARIANCE[i % 2].sqrt() * *x);
        let exact = |x: &[f64]| -> f64 {
            (0..2).map(|k| -0.5 * ((x[k] - MEAN[k]).powi(2) / VARIANCE[k] + (std::f64::consts::TAU * VARIANCE[k]).ln())).sum()
        };
        let flow = Flow { start: Some(d.process().time_of_ratio(0.02)), ..Flow::default() };
        let samples: Vec<u64> = (0..n as u64).collect();
        let gap = |steps: usize, continuous: bool| {
            let chain = if continuous { Chain::Continuous(steps) } else { Chain::Uniform(steps) };
            let options = BoundOptions { chain, draws: 1, seed: 1, decoder: Decoder::Gaussian };
            let bound = variational_bound(&d, &states(&x), &samples, &options, &flow);
            let below: Vec<f64> = bound.nats().iter().zip(x.chunks(2)).map(|(b, x)| exact(x) - b).collect();
            let mean = below.iter().sum::<f64>() / n as f64;
            let error = (below.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n * n) as f64).sqrt();
            (bound, mean, error)
        };
        let ((coarse, wide, e0), (_, narrow, e1)) = (gap(10, false), gap(80, false));
        assert!(wide > 3.0 * e0 && narrow > -3.0 * e1 && narrow < wide - 3.0 * (e0 + e1), "{name}: {wide} {e0}, {narrow} {e1}");
        let (_, limit, e2) = gap(80, true);
        assert!(limit.abs() < 3.0 * e2 + 0.02, "{name}: {limit} {e2}");
        let mut below = 0.02f64;
        for (level, term) in coarse.steps {
            let expected: f64 =
                VARIANCE.iter().map(|v| 0.5 * (below.powi(-2) - level.powi(-2)) * v * level * level / (v + level * level)).sum();
            assert!((term - expected).abs() < 0.15 * expected + 1e-6, "{name} at {level}: {term} {expected}");
            below = level;
        }
    }
}

/// The exact denoiser with a variance of its steps: the forward kernel's, moved by an offset of its logit.
struct Around {
    law: Gaussian<Box<dyn Process>>,
    offset: f64,
}

impl Denoiser for Around {
    fn process(&self) -> &dyn Process {
        self.law.process()
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.law.denoise(x, t)
    }
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        (self.denoise(x, t), Some(StepVariance::Around(x.zeros_like() + self.offset)))
    }
}

/// On its own table the chain of standard normal data is exact when each step has the forward kernel's variance: `K` is minus the
/// entropy, the edges of Sohl-Dickstein et al. 2015 are zero, and the entropies are what the table says. Twice or half the variance,
/// or the posterior's, is worse.
#[test]
fn an_exact_chain_has_the_entropy_for_its_bound() {
    let betas = vec![0.001, 0.004, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6];
    let left: f64 = betas.iter().map(|b| 1.0 - b).product();
    let table = ProcessConfig::DiscreteBetas { betas, zero_terminal_snr: false };
    let law = || Gaussian::new(table.build().unwrap(), vec![0.0, 0.0], vec![1.0, 1.0]);
    let n = 4000usize;
    // Of length sqrt 2 all: what is left of chance is the noise of the steps.
    let x: Vec<f64> = (0..n).flat_map(|i| [(i as f64).sin(), (i as f64).cos()]).map(|v| v * 2f64.sqrt()).collect();
    let samples: Vec<u64> = (0..n as u64).collect();
    let k = |d: &dyn Denoiser| {
        let options = BoundOptions { chain: Chain::Own, draws: 1, seed: 3, decoder: Decoder::Gaussian };
        let bound = variational_bound(d, &states(&x), &samples, &options, &Flow::default());
        let nats = bound.nats();
        let mean = nats.iter().sum::<f64>() / n as f64;
        let error = (nats.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n * n) as f64).sqrt();
        (bound, mean, error)
    };
    let entropy = |variance: f64| (std::f64::consts::TAU * std::f64::consts::E * variance).ln();
    let (bound, found, error) = k(&Around { law: law(), offset: 0.0 });
    assert!((found + entropy(1.0)).abs() < 4.0 * error && error < 0.05, "{found} +/- {error}, {}", -entropy(1.0));
    assert_eq!(bound.steps.len(), 7);
    let Entropies { last, first, prior } = bound.entropies;
    for (found, expected) in [(last, entropy(1.0 - left)), (first, entropy(0.001)), (prior, entropy(1.0))] {
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
    }
    assert!(bound.edges().abs() < 4.0 * error, "{} +/- {error}", bound.edges());
    for offset in [2f64.ln(), -2f64.ln()] {
        let (_, worse, _) = k(&Around { law: law(), offset });
        assert!(worse < found - 0.3, "{offset}: {worse} {found}");
    }
    let (_, posterior, _) = k(&law());
    assert!(posterior < found - 0.3, "{posterior} {found}");
}

/// Normal data with the variance that their reverse steps really have: `w = v + c_0^2 Var(x_0 | x_t)`.
struct Reverse {
    law: Gaussian<Box<dyn Process>>,
    variance: f64,
}

impl Denoiser for Reverse {
    fn process(&self) -> &dyn Process {
        self.law.process()
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.law.denoise(x, t)
    }
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let at = |t: f64| self.process().at(t);
        let left = self.variance * at(t).sigma.powi(2) / (self.variance * at(t).alpha.powi(2) + at(t).sigma.powi(2));
        let (step, w) = if t > 0.5 {
            let step = ReverseStep::between(&at(t), &at(t - 1.0));
            let w = step.ln_small.exp() + step.of_clean.powi(2) * left;
            (step, w)
        } else {
            (ReverseStep::to_data(&at(0.0), &ReverseStep::between(&at(1.0), &at(0.0))), left)
        };
        let nu = (w.ln() - step.ln_small) / (step.ln_large - step.ln_small);
        (self.denoise(x, t), Some(StepVariance::Between(x.zeros_like() + nu)))
    }
}

/// A chain of a thousand steps whose law is known, a normal of variance 0.3 on DDPM's table: the bound lies below the truth and within a
/// hundredth of a bit a datum. With the posterior's variance it lies further below, and below all the same.
#[test]
fn a_thousand_steps_are_within_a_hundredth_of_a_bit() {
    let table = ProcessConfig::DiscreteLinear { steps: 1000, beta_min: 1e-4, beta_max: 0.02, zero_terminal_snr: false };
    let variance = 0.3;
    let law = || Gaussian::new(table.build().unwrap(), vec![0.0, 0.0], vec![variance; 2]);
    let n = 3000usize;
    // Of the length of the mean square all.
    let x: Vec<f64> = (0..n).flat_map(|i| [(i as f64).sin(), (i as f64).cos()]).map(|v| v * (2.0 * variance).sqrt()).collect();
    let samples: Vec<u64> = (0..n as u64).collect();
    let options = BoundOptions { chain: Chain::Own, draws: 1, seed: 7, decoder: Decoder::Gaussian };
    // Chance is largest in the decoder, whose mean is known: the entropy of x_0 given the lowest level.
    let lowest = law().process().at(0.0);
    let left = variance * lowest.sigma.powi(2) / (variance * lowest.alpha.powi(2) + lowest.sigma.powi(2));
    let mean_error = |v: &[f64]| {
        let mean = v.iter().sum::<f64>() / n as f64;
        (mean, (v.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n * n) as f64).sqrt())
    };
    let bits = |d: &dyn Denoiser| {
        let bound = variational_bound(d, &states(&x), &samples, &options, &Flow::default());
        let (decoder, of_decoder) = mean_error(&bound.decoder);
        let (steps, error) = mean_error(&bound.diffusion);
        let prior = bound.prior.iter().sum::<f64>() / n as f64;
        ([decoder, of_decoder], [-(prior + steps), error].map(|v| v / std::f64::consts::LN_2))
    };
    let entropy = |v: f64| (std::f64::consts::TAU * std::f64::consts::E * v).log2();
    let truth = -entropy(variance);
    let (decoder, [rest, error]) = bits(&Reverse { law: law(), variance });
    assert!((decoder[0] / std::f64::consts::LN_2 - entropy(left)).abs() < 6.0 * decoder[1], "{decoder:?} {}", entropy(left));
    let found = rest - entropy(left);
    // In the mean over data and noise a step costs ln(w / v) / 2 an entry, with which nothing is left to chance.
    let model = Reverse { law: law(), variance };
    let step = |t: usize| {
        let reverse = ReverseStep::between(&model.process().at(t as f64), &model.process().at(t as f64 - 1.0));
        let (_, w) = model.denoise_with_variance(&states(&[0.0, 0.0]), t as f64);
        rows_f64(w.unwrap().over_small(&reverse)).iter().sum::<f64>() / 2.0
    };
    let top = model.process().at(999.0);
    let prior = {
        let (signal, spread) = (top.alpha.powi(2) * variance + top.sigma.powi(2), top.alpha.powi(2) + top.sigma.powi(2));
        signal / spread - 1.0 - (top.sigma.powi(2) / spread).ln()
    };
    let exact = -(prior + (1..1000).map(step).sum::<f64>()) / std::f64::consts::LN_2 - entropy(left);
    assert!(exact < truth + 1e-9 && exact > truth - 0.01, "{exact} {truth}");
    assert!(error < 0.03 && (found - exact).abs() < 4.0 * error, "{found} +/- {error}, {exact}");
    let (_, [posterior, _]) = bits(&law());
    assert!(posterior < rest - 3.0 * error, "{posterior} {rest} {error}");
}
