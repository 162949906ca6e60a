//! DPM-Solver with adaptive steps: an embedded pair of exponential integrators under PID control, a step size for each sample.
//!
//! Lu et al. 2022a, section 3.4 and appendix C, with k-diffusion's controller. In `y = x / alpha`, `q = -ln(sigma / alpha)` (that is lambda), over
//! a step `h` a method of order `k` and one of order `k - 1` share their looks: DPM-Solver-2 (`r = 1/2`) with DPM-Solver-1, or
//! DPM-Solver-3 with DPM-Solver-2 at `r = 1/3`. With `low` and `high` the two results and `low_before` that of the last accepted step
//! `err = sqrt(mean(((low - high) / max(atol, rtol max(|low|, |low_before|)))^2))`,
//! `factor = 1 + atan(e_0^b_1 e_1^b_2 e_2^b_3 - 1)`, `e_i = 1 / (err_i + 1e-8)` for this and the last two accepted steps,
//! `b = ((p + i + d), -(p + 2 d), d) / k`; the step is accepted (and `high` goes on) where `factor >= 0.81`, `h` becomes `factor h` either way
//! (Söderlind 2003's digital filters). With `eta` a step aims at the lower level of the ancestral split and noise brings it back; the
//! exponents' `k` is then 1.5.
//!
//! k-diffusion takes the norm over the whole batch (`norm=batch`), which couples the samples; here it is taken over each row, which
//! keeps its own step, time and memory. `k` evaluations an attempt. k-diffusion's tolerances (`rtol=0.05,atol=0.0078`) are rough: in two
//! dimensions 2,000 samples are told from the law of the data by a Kolmogorov-Smirnov test; the defaults here are 1e-3. Adaptive: no order
//! is claimed. A row whose error is never a number, or that needs more than `max_steps` attempts in a leg, comes out as NaN.

use super::ancestral::Ancestral;
use super::key::choice;
use super::{Key, Method, Order, Past, Solver};
use scorefield_process::{Denoiser, GridKind, Leg, Marginal, Process, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Column, Noise, Tensor, TensorData, rows_f64};

choice! {
    /// Over what the error's mean is taken.
    ErrorNorm {
        Row = "row": "Each sample by itself.",
        Batch = "batch": "The whole batch, as k-diffusion does: samples then depend on each other.",
    }
}

/// DPM-Solver-12 or DPM-Solver-23.
#[derive(Clone, Debug, PartialEq)]
pub struct DpmAdaptive {
    /// The higher order of the pair, 2 or 3.
    pub order: usize,
    /// Error allowed relative to the size of an entry.
    pub rtol: f64,
    /// Error allowed absolutely, in `y = x / alpha`.
    pub atol: f64,
    /// The first step, in lambda.
    pub h_init: f64,
    /// Weights of the controller: proportional, integral, derivative.
    pub pid: [f64; 3],
    /// The factor from which on a step is accepted.
    pub accept: f64,
    /// The noise; none by default.
    pub ancestral: Ancestral,
    /// Over what the error's mean is taken.
    pub norm: ErrorNorm,
    /// Attempts of a row within a leg.
    pub max_steps: usize,
}

impl Default for DpmAdaptive {
    fn default() -> Self {
        let ancestral = Ancestral { eta: 0.0, s_noise: 1.0 };
        let (pid, norm) = ([0.0, 1.0, 0.0], ErrorNorm::Row);
        Self { order: 3, rtol: 1e-3, atol: 1e-3, h_init: 0.05, pid, accept: 0.81, ancestral, norm, max_steps: 4000 }
    }
}

/// A leg's remainder shorter than this, in lambda, is joined to the step before it.
const REMAINDER: f64 = 1e-5;
/// Normals of a row that are drawn in one request of the source, which allows 255 requests a leg.
const BLOCK: usize = 16;

/// One row under way.
struct Way {
    y: Vec<f64>,
    q: f64,
    h: f64,
    /// `1 / (err + 1e-8)` of the last two accepted steps.
    errors: Option<[f64; 2]>,
    low: Vec<f64>,
    accepted: usize,
    done: bool,
}

impl Way {
    fn memo(&self) -> Vec<f64> {
        let [a, b] = self.errors.unwrap_or([f64::NAN; 2]);
        [self.h, a, b].into_iter().chain(self.low.iter().copied()).collect()
    }
}

/// One attempt's goal in lambda, where the flow is left for noise (the goal itself without), and that noise's deviation in `y`.
#[derive(Clone, Copy)]
struct Aim {
    to: f64,
    flow_to: f64,
    up: f64,
}

impl DpmAdaptive {
    fn aim(&self, w: &Way, end: f64) -> Aim {
        let to = if w.q + w.h > end - REMAINDER { end } else { w.q + w.h };
        if self.ancestral.eta == 0.0 {
            return Aim { to, flow_to: to, up: 0.0 };
        }
        let goal = (-to).exp();
        let (down, _) = self.ancestral.split((-w.q).exp(), goal);
        let flow_to = end.min(-down.ln());
        let left = (-flow_to).exp();
        Aim { to, flow_to, up: ((goal - left) * (goal + left)).max(0.0).sqrt() }
    }

    /// Both results of the pair, of orders `k - 1` and `k`, for rows `y` at `q` that step by `h` each.
    fn pair(&self, y: &Batch, q: &[f64], h: &[f64], eps: &mut dyn FnMut(&Batch, &[f64]) -> Batch) -> (Batch, Batch) {
        // A coefficient a row from (q, h).
        let each = |f: &dyn Fn(f64, f64) -> f64| Column(q.iter().zip(h).map(|(q, h)| f(*q, *h)).collect());
        let at = |r: f64| -> Vec<f64> { q.iter().zip(h).map(|(q, h)| q + r * h).collect() };
        // l at q + r h times expm1(r h), and times expm1(r h) / (r h) - 1.
        let first = |r: f64| each(&|q, h| (-q - r * h).exp() * (r * h).exp_m1());
        let second = |r: f64| each(&|q, h| (-q - r * h).exp() * ((r * h).exp_m1() / (r * h) - 1.0));

        let e = eps(y, q);
        let euler = |r: f64| y.clone() - first(r).scale(e.clone());
        // DPM-Solver-2 from the change of eps at r.
        let two = |r: f64, change: &Batch| euler(1.0) - first(1.0).scale(change.clone()) * (0.5 / r);
        if self.order == 2 {
            let change = eps(&euler(0.5), &at(0.5)) - e.clone();
            return (euler(1.0), two(0.5, &change));
        }
        let (r_1, r_2) = (1.0 / 3.0, 2.0 / 3.0);
        let change = eps(&euler(r_1), &at(r_1)) - e.clone();
        let u_2 = euler(r_2) - second(r_2).scale(change.clone()) * (r_2 / r_1);
        let change_2 = eps(&u_2, &at(r_2)) - e.clone();
        (two(r_1, &change), euler(1.0) - second(1.0).scale(change_2) * r_2.recip())
    }

    /// `factor`, from this step's `1 / (err + 1e-8)` and those before.
    fn factor(&self, inverse: f64, [one, two]: [f64; 2]) -> f64 {
        let k = if self.ancestral.eta == 0.0 { self.order as f64 } else { 1.5 };
        let [p, i, d] = self.pid;
        let raw = inverse.powf((p + i + d) / k) * one.powf(-(p + 2.0 * d) / k) * two.powf(d / k);
        1.0 + (raw - 1.0).atan()
    }
}

/// The time of the leg at which `lambda` is `q`, by Newton's method kept within a shrinking bracket: every row asks at times of its own,
/// and bisection to the last bit would take ten times as long.
fn time_of(process: &dyn Process, q: f64, leg: Leg) -> f64 {
    let (mut low, mut high, mut t) = (leg.s, leg.t, 0.5 * (leg.s + leg.t));
    for _ in 0..100 {
        let m: Marginal = process.at(t);
        let gap = q - 0.5 * m.log_snr();
        if gap > 0.0 {
            high = t;
        } else {
            low = t;
        }
        // d ln(sigma / alpha) / dt
        let newton = t - gap / (m.d_sigma / m.sigma - m.d_alpha / m.alpha);
        if (newton - t).abs() <= 1e-10 * t.abs() {
            return newton.clamp(leg.s, leg.t);
        }
        t = if low < newton && newton < high { newton } else { 0.5 * (low + high) };
    }
    t
}

impl Solver for DpmAdaptive {
    fn name(&self) -> &'static str {
        "dpm-adaptive"
    }

    fn order(&self) -> Order {
        Order::None
    }

    fn evaluations_per_step(&self) -> usize {
        self.order
    }

    fn step(&self, d: &dyn Denoiser, x: &Batch, leg: Leg, past: &mut Past, noise: &mut dyn Noise) -> Batch {
        let process = d.process();
        let (at_t, at_s, start) = (process.at(leg.t), process.at(leg.s), process.span().start);
        if at_s.sigma == 0.0 {
            let above = if leg.t > start { self.step(d, x, Leg { s: start, ..leg }, past, noise) } else { x.clone() };
            let t = leg.t.min(start);
            let x0 = d.denoise(&above, t);
            past.push(t, &above, x0.clone());
            return x0 * at_s.alpha;
        }

        let ([n, dim], options) = (x.dims(), (x.device(), x.dtype()));
        let (from, end) = (-at_t.ratio().ln(), -at_s.ratio().ln());
        let memo = std::mem::take(&mut past.memo);
        let rows = rows_f64(x.clone() * at_t.alpha.recip());
        let mut ways: Vec<Way> = (0..n)
            .map(|i| {
                let y = rows[i * dim..][..dim].to_vec();
                let (h, errors, low) = match memo.get(i).map(Vec::as_slice) {
                    Some([h, a, b, low @ ..]) if low.len() == dim => (*h, a.is_finite().then_some([*a, *b]), low.to_vec()),
                    _ => (self.h_init, None, y.clone()),
                };
                Way { y, q: from, h, errors, low, accepted: 0, done: false }
            })
            .collect();

        let mut seen = None;
        let mut eps = |y: &Batch, q: &[f64]| {
            let time = |q: &f64| if *q == from { leg.t } else { time_of(process, *q, leg) };
            let times: Vec<f64> = q.iter().map(time).collect();
            let m = process.at_each(&times);
            let x = m.alpha.scale(y.clone());
            let x0 = d.denoise_each(&x, &times);
            seen.get_or_insert_with(|| x0.clone());
            m.noise(&x, &x0)
        };
        // Blocks of normals, row by row; a row's k-th accepted step takes its k-th.
        let mut normals: Vec<Vec<f64>> = Vec::new();
        for _ in 0..self.max_steps {
            let active: Vec<usize> = (0..n).filter(|i| !ways[*i].done).collect();
            if active.is_empty() {
                break;
            }
            let aims: Vec<Aim> = active.iter().map(|i| self.aim(&ways[*i], end)).collect();
            let q: Vec<f64> = active.iter().map(|i| ways[*i].q).collect();
            let h: Vec<f64> = aims.iter().zip(&q).map(|(aim, q)| aim.flow_to - q).collect();
            let y = active.iter().flat_map(|i| ways[*i].y.iter().copied()).collect::<Vec<f64>>();
            let y = Tensor::from_data(TensorData::new(y, [active.len(), dim]), (&options.0, options.1));
            let (low, high) = self.pair(&y, &q, &h, &mut eps);
            let (low, high) = (rows_f64(low), rows_f64(high));

            let square = |(k, i): (usize, &usize)| -> f64 {
                let entry = |j: usize| {
                    let (a, b) = (low[k * dim + j], ways[*i].low[j]);
                    ((a - high[k * dim + j]) / self.atol.max(self.rtol * a.abs().max(b.abs()))).powi(2)
                };
                (0..dim).map(entry).sum::<f64>() / dim as f64
            };
            let mut squares: Vec<f64> = active.iter().enumerate().map(square).collect();
            if self.norm == ErrorNorm::Batch {
                let mean = squares.iter().sum::<f64>() / squares.len() as f64;
                squares.fill(mean);
            }
            for (k, &i) in active.iter().enumerate() {
                let w = &mut ways[i];
                // No number counts as an infinite error.
                let inverse = if squares[k].is_finite() { (squares[k].sqrt() + 1e-8).recip() } else { 0.0 };
                let before = w.errors.unwrap_or([inverse; 2]);
                let factor = self.factor(inverse, before);
                if factor >= self.accept {
                    let mut y = high[k * dim..][..dim].to_vec();
                    if aims[k].up > 0.0 {
                        while normals.len() <= w.accepted / BLOCK {
                            let like = Tensor::<2>::zeros([n, dim * BLOCK], (&options.0, options.1));
                            normals.push(rows_f64(noise.normal(&like)));
                        }
                        let z = &normals[w.accepted / BLOCK][(i * BLOCK + w.accepted % BLOCK) * dim..][..dim];
                        y.iter_mut().zip(z).for_each(|(y, z)| *y += aims[k].up * self.ancestral.s_noise * z);
                    }
                    (w.y, w.low, w.q) = (y, low[k * dim..][..dim].to_vec(), aims[k].to);
                    (w.errors, w.accepted, w.done) = (Some([inverse, before[0]]), w.accepted + 1, aims[k].to == end);
                } else if w.errors.is_none() && inverse > 0.0 {
                    // The filter begins with the first error it sees.
                    w.errors = Some(before);
                }
                w.h *= if factor.is_finite() { factor } else { 0.2 };
            }
        }
        past.memo = ways.iter().map(Way::memo).collect();
        past.push(leg.t, x, seen.unwrap_or_else(|| x.clone()));
        let arrived = Column(ways.iter().map(|w| if w.done { at_s.alpha } else { f64::NAN }).collect());
        let y = ways.into_iter().flat_map(|w| w.y).collect::<Vec<f64>>();
        arrived.scale(Tensor::from_data(TensorData::new(y, [n, dim]), (&options.0, options.1)))
    }
}

impl Method for DpmAdaptive {
    fn about(&self) -> &'static str {
        "DPM-Solver-12 or -23 with adaptive steps, each sample by its own (Lu et al. 2022a; k-diffusion's PID controller)"
    }

    fn default_grid(&self) -> GridKind {
        GridKind::LogSnr
    }

    fn adaptive(&self) -> bool {
        true
    }

    fn keys(&mut self) -> Vec<Key<'_>> {
        let [p, i, d] = &mut self.pid;
        let mut keys = vec![
            Key::count("order", "the higher order of the pair", &mut self.order, 2..=3),
            Key::number("rtol", "error allowed relative to an entry", &mut self.rtol, 0.0..=1.0),
            Key::number("atol", "error allowed absolutely", &mut self.atol, 1e-300..=1e300),
            Key::number("h_init", "first step, in lambda", &mut self.h_init, 1e-6..=10.0),
            Key::number("p", "proportional weight of the controller", p, 0.0..=10.0),
            Key::number("i", "integral weight", i, 0.0..=10.0),
            Key::number("d", "derivative weight", d, 0.0..=10.0),
            Key::number("accept", "factor from which on a step is accepted", &mut self.accept, 0.1..=1.0),
            Key::choice("norm", "over what the error's mean is taken", &mut self.norm),
            Key::count("max_steps", "attempts of a sample within a leg", &mut self.max_steps, 1..=4000),
        ];
        keys.extend(self.ancestral.keys());
        keys
    }
}
