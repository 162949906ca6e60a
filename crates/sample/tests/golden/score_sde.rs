//! yang-song/score_sde_pytorch: predictor-corrector and ODE samplers.

use crate::{Project, Tally, batch, number, replay, text};
use scorefield_process::oracle::Mixture;
use scorefield_process::schedule::{SubVp, Ve, VpLinear};
use scorefield_process::{Denoiser, Leg, Process, ProcessExt, Span};
use scorefield_sample::ode::{Control, Ode, Pair};
use scorefield_sample::solver::{Corrector, EulerMaruyama, Norm, Predictor, PredictorCorrector, Variance};
use scorefield_sample::{Order, Past, Solver};
use scorefield_tensor::{Batch, Dual, Noise, rows_f64};
use scorefield_testkit::{Bank, Table, Target};
use serde_json::Value;

/// A process whose coefficients and slopes are another's at a time that is read off linearly: Song et al. step by `1/N` between
/// times that lie `(1 - eps)/(N - 1)` apart.
#[derive(Debug)]
struct Relabelled {
    process: Box<dyn Process>,
    n: f64,
    eps: f64,
}

impl Relabelled {
    /// The process's time at the label `u = 1 - i/N`.
    fn time(&self, u: f64) -> f64 {
        1.0 - (1.0 - u) * self.n * (1.0 - self.eps) / (self.n - 1.0)
    }
}

impl Process for Relabelled {
    fn alpha(&self, u: Dual) -> Dual {
        self.process.alpha(Dual { value: self.time(u.value), slope: u.slope })
    }
    fn sigma(&self, u: Dual) -> Dual {
        self.process.sigma(Dual { value: self.time(u.value), slope: u.slope })
    }
    fn span(&self) -> Span {
        Span { start: 0.0, end: 1.0 }
    }
}

/// The score of the continuous process with the coefficients of a discrete chain, as Song et al. combine them: at time `-i`, that
/// of step `i`, the denoiser is the one whose Tweedie formula in the chain gives that score.
struct Chained {
    target: Mixture<Box<dyn Process>>,
    times: Vec<f64>,
    chain: Table,
}

impl Denoiser for Chained {
    fn process(&self) -> &dyn Process {
        &self.chain
    }
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let continuous = self.times[(-t) as usize];
        let score = self.target.process().at(continuous).score(x, &self.target.denoise(x, continuous));
        self.chain.at(t).clean_of_score(x, &score)
    }
}

/// A corrector under one denoiser, whose steps are at times `-i`, then a predictor under another: Song et al. combine the discrete
/// table's `beta` with the continuous sigma and score.
struct Spliced {
    corrector: PredictorCorrector,
    under: Chained,
    predictor: Box<dyn Solver>,
}

impl std::fmt::Debug for Spliced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("spliced")
    }
}

impl Solver for Spliced {
    fn name(&self) -> &'static str {
        "spliced"
    }
    fn order(&self) -> Order {
        Order::None
    }
    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let i = leg.index as f64;
        let x = self.corrector.step(&self.under, x, Leg { t: -i, s: -(i + 1.0), ..leg }, &mut Past::new(), noise);
        self.predictor.step(d, &x, leg, past, noise)
    }
}

/// score_sde_pytorch: Euler-Maruyama, reverse diffusion and ancestral predictors, with and without Langevin correctors.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn score_sde() {
    let (project, mut tally) = (Project::open("score_sde_pytorch"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target) {
            let Some((predictor, corrector)) = name.split('/').nth(2).and_then(|s| s.split_once('+')) else {
                continue; // the ODE sampler and the likelihood
            };
            let sde = text(run, "sde");
            let process = || -> Box<dyn Process> {
                match sde {
                    "vp" => Box::new(VpLinear::new(0.1, 20.0).expect("rates")),
                    "subvp" => Box::new(SubVp::new(0.1, 20.0).expect("rates")),
                    _ => Box::new(Ve::new(0.01, 50.0).expect("levels")),
                }
            };
            let n = run["N"].as_u64().expect("N") as usize;
            let eps = number(run, "eps", 1e-3);
            // The solver.
            let n_steps = if corrector == "none" { 0 } else { run["n_steps"].as_u64().expect("a count") as usize };
            let norm = if corrector == "ald" { Norm::Expected } else { Norm::Batch };
            let flow = run["probability_flow"] == Value::Bool(true);
            let mut solver: Box<dyn Solver> = match (predictor, n_steps) {
                ("euler_maruyama", 0) => Box::new(EulerMaruyama::default()),
                _ => Box::new(PredictorCorrector {
                    predictor: match predictor {
                        "euler_maruyama" => Predictor::EulerMaruyama,
                        "none" => Predictor::None,
                        "reverse_diffusion" if flow => Predictor::DiffusionFlow,
                        "reverse_diffusion" => Predictor::ReverseDiffusion,
                        _ => Predictor::Ancestral,
                    },
                    variance: if sde == "vp" { Variance::Large } else { Variance::Small },
                    corrector: Corrector { snr: number(run, "snr", 0.16), n_steps, norm },
                }),
            };

            // The corrector apart: the factors of the discrete table with the continuous sigma.
            let at = |i: usize| 1.0 + i as f64 / (n - 1) as f64 * (eps - 1.0);
            let beta = |i: usize| (0.1 + (n - 1 - i) as f64 / (n - 1) as f64 * 19.9) / n as f64;
            if predictor == "none" || n_steps > 0 && (corrector == "ald" || predictor == "euler_maruyama") && sde != "subvp" {
                let mut knots = vec![[0.0, 1.0, process().at(1.0).sigma]];
                for i in 0..n {
                    let [_, alpha, sigma] = knots[i];
                    let alpha = if sde == "vp" { alpha / (1.0 - beta(i)).sqrt() } else { alpha };
                    // The last level is never looked at.
                    let sigma = if i + 1 < n { process().at(at(i + 1)).sigma } else { 0.5 * sigma };
                    knots.push([-(i as f64 + 1.0), alpha, sigma]);
                }
                let under =
                    Chained { target: target.under(process()), times: (0..n).map(at).collect(), chain: Table::new(knots) };
                let snr = number(run, "snr", 0.16);
                let corrector = PredictorCorrector {
                    predictor: Predictor::None,
                    variance: Variance::Small,
                    corrector: Corrector { snr, n_steps, norm },
                };
                let alone = Corrector { n_steps: 0, ..Corrector::default() };
                let predictor: Box<dyn Solver> = match predictor {
                    "euler_maruyama" => Box::new(EulerMaruyama::default()),
                    name => Box::new(PredictorCorrector {
                        predictor: match name {
                            "none" => Predictor::None,
                            "reverse_diffusion" => Predictor::ReverseDiffusion,
                            _ => Predictor::Ancestral,
                        },
                        variance: if sde == "vp" { Variance::Large } else { Variance::Small },
                        corrector: alone,
                    }),
                };
                solver = Box::new(Spliced { corrector, under, predictor });
            }

            // The denoiser and its times.
            let (times, d): (Vec<f64>, Box<dyn Denoiser>) = if predictor == "euler_maruyama" {
                let process = Relabelled { process: process(), n: n as f64, eps };
                ((0..=n).map(|i| 1.0 - i as f64 / n as f64).collect(), Box::new(target.under(process)))
            } else {
                let table = |j: usize, a: f64, b: f64| a + j as f64 / (n - 1) as f64 * (b - a);
                let ve = |j: usize| table(j, 0.01f64.ln(), 50f64.ln()).exp();
                // Forward from step n (next to the data) to step 0: the factor and the added variance of each.
                let mut knots = match (predictor, sde) {
                    ("ancestral_sampling", "ve") => vec![[-(n as f64), 1.0, 0.0]],
                    // Any start will do where only the kernels are used; this one keeps the last step off sigma = 0.
                    _ => vec![[-(n as f64), 1.0, 1.0]],
                };
                for i in (0..n).rev() {
                    let j = n - 1 - i;
                    let [_, alpha, sigma] = knots[j];
                    let (factor, added) = match sde {
                        "ve" => (1.0, ve(j).powi(2) - if j > 0 { ve(j - 1).powi(2) } else { 0.0 }),
                        "vp" => {
                            let beta = table(j, 0.1, 20.0) / n as f64;
                            ((1.0 - beta).sqrt(), beta)
                        }
                        _ => {
                            let m = process().at(at(i));
                            (1.0 + m.drift() / n as f64, m.diffusion_squared() / n as f64)
                        }
                    };
                    knots.push([-(i as f64), factor * alpha, (factor * factor * sigma * sigma + added).sqrt()]);
                }
                let target = target.under(process());
                let chained = Chained { target, times: (0..n).map(at).collect(), chain: Table::new(knots) };
                ((0..=n).map(|i| -(i as f64)).collect(), Box::new(chained))
            };

            let get = |what: &str| project.trajectories.slices(&format!("{name}/{what}"));
            let start = project.trajectories.values(&format!("{name}/x_init"));
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &times, start, &mut project.noise(&target));
            tally.compare_all(
                name,
                &ours[1..],
                &get(if predictor == "none" { "x_after_corrector" } else { "x_after_predictor" }),
            );

            // Their result: the last state, or its mean, which silence at the last draw shows.
            let draws = run["noise_draws"].as_u64().expect("a count") as usize;
            // The flow and the corrector alone draw nothing in the predictor; theirs do.
            let silent = flow || predictor == "none";
            let quiet = if run["denoise"] == Value::Bool(true) { draws - usize::from(!silent) } else { draws };
            let mut bank = project.noise(&target).silent_from(quiet);
            let (ours, _) = replay(d.as_ref(), solver.as_ref(), &times, start, &mut bank);
            assert_eq!(bank.drawn(), if flow { 0 } else { draws }, "{name}: draws");
            tally.compare(name, "final", &ours[n], project.trajectories.values(&format!("{name}/final")));
        }
    }
    tally.expect(38, 0);
}

/// score_sde_pytorch: the ODE sampler, scipy's RK45 on the whole batch as one state; every accepted time and state, and the denoising
/// step at the end.
#[test]
#[ignore = "needs ../shared: fixtures/samplers"]
fn score_sde_ode() {
    let (project, mut tally) = (Project::open("score_sde_pytorch"), Tally::default());
    for target in Target::all() {
        for (name, run) in project.on(&target).filter(|(name, _)| name.contains("/ode/")) {
            let process: Box<dyn Process> = match text(run, "sde") {
                "vp" => Box::new(VpLinear::new(0.1, 20.0).expect("rates")),
                "subvp" => Box::new(SubVp::new(0.1, 20.0).expect("rates")),
                _ => Box::new(Ve::new(0.01, 50.0).expect("levels")),
            };
            let get = |what: &str| project.trajectories.values(&format!("{name}/{what}"));
            let (eps, n, dim) = (number(run, "eps", 1e-3), number(run, "N", 40.0), target.dim());
            let d = target.under(process);
            let ode = Ode {
                method: Pair::DormandPrince,
                control: Control::Elementary,
                rtol: number(run, "rtol", 1e-5),
                atol: number(run, "atol", 1e-5),
                ..Ode::default()
            };

            // What it was asked, in order: the last time that a listed time is asked for is at the accepted state.
            let mut asked: Vec<(f64, Vec<f64>)> = Vec::new();
            let mut slope = |y: &Batch, times: &[f64]| {
                asked.push((times[0], rows_f64(y.clone())));
                let (x, m) = (y.clone().reshape([8, dim]), d.process().at(times[0]));
                let x0 = d.denoise(&x, times[0]);
                m.velocity(&x0, &m.noise(&x, &x0)).reshape([1, 8 * dim])
            };
            let start = batch(get("x_init")).reshape([1, 8 * dim]);
            let report = ode.integrate(&mut slope, start, 1.0, eps);
            assert_eq!(Some(report.evaluations), run["nfe"].as_u64(), "{name}: evaluations");
            assert_eq!(Some(report.accepted), run["accepted_steps"].as_u64(), "{name}: accepted steps");
            let times = get("solver_t");
            let thinning = ((times.len() as f64 / 30.0).floor() as usize).max(1);
            for (i, t) in times.iter().enumerate() {
                let (ours, y) = asked.iter().rfind(|(ours, _)| (ours - t).abs() < 1e-6).unwrap_or_else(|| panic!("{name}: {t}"));
                // At a tolerance of 1e-8 the error of a step is known to 1e-7 of itself, because of rounding, and the times accordingly.
                if ode.rtol < 1e-6 {
                    continue;
                }
                tally.compare(name, "a time", &[*ours], &[*t]);
                if i % thinning == 0 {
                    let theirs = &project.trajectories.slices(&format!("{name}/solver_x"))[i / thinning];
                    tally.compare(name, &format!("state {i}"), y, theirs);
                }
            }

            // The mean of a step of the discrete chain, with the continuous score.
            let mut ours = rows_f64(report.y);
            if run["denoise"] == Value::Bool(true) {
                let at = d.process().at(eps);
                let (factor, added) = match text(run, "sde") {
                    "vp" => ((1.0 - 0.1 / n).sqrt(), 0.1 / n),
                    "subvp" => (1.0 + at.drift() / n, at.diffusion_squared() / n),
                    _ => (1.0, 0.01f64.powi(2)),
                };
                let chain = Table::new(vec![[-1.0, 1.0, 1.0], [0.0, factor, (factor * factor + added).sqrt()]]);
                let chained = Chained { target: d, times: vec![eps], chain };
                let corrector = Corrector { n_steps: 0, ..Corrector::default() };
                let solver =
                    PredictorCorrector { predictor: Predictor::ReverseDiffusion, corrector, ..PredictorCorrector::default() };
                ours = replay(&chained, &solver, &[0.0, -1.0], &ours, &mut Bank::empty().silent_from(0)).0.remove(1);
            }
            tally.compare_all(name, &[ours], &[get("x").to_vec()]);
        }
    }
    tally.expect(18, 0);
}
