//! Adaptive integration of `y' = f(y, t)` for many rows, each with steps of its own.
//!
//! An embedded Runge-Kutta pair of orders `p(p-1)` proposes `y_new` and an error; the error's norm over a row is
//! `err = sqrt(mean_i (e_i / (atol + rtol max(|y_i|, |y_new,i|)))^2)`, a step with `err <= 1` is accepted, and the next is
//! `h 0.9 err^-(1/p - 3 beta/4) err_before^beta`, `beta = 1/(5p)`: the PI controller of Hairer, Nørsett, Wanner 1993, section IV.2. The first
//! step is theirs too (section II.4). No row sees another: time, step, acceptance and end are its own, and the arithmetic is
//! done on the host in double precision row by row, so a row comes out the same bit for bit in any company, provided `f` does.
//!
//! Augmented states need nothing special: a log-determinant is one more entry of the row, with its slope from `f`.

use crate::tableau::{BOGACKI_SHAMPINE, DORMAND_PRINCE, TSIT5, Tableau};
use scorefield_tensor::{Batch, DType, Device, Tensor, TensorData, rows_f64};

/// The embedded pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pair {
    /// Tsitouras 2011, 5(4).
    #[default]
    Tsit5,
    /// Dormand and Prince 1980, 5(4).
    DormandPrince,
    /// Bogacki and Shampine 1989, 3(2).
    BogackiShampine,
}

impl Pair {
    /// Its table.
    pub fn tableau(self) -> &'static Tableau {
        match self {
            Self::Tsit5 => &TSIT5,
            Self::DormandPrince => &DORMAND_PRINCE,
            Self::BogackiShampine => &BOGACKI_SHAMPINE,
        }
    }
}

crate::solver::key::choice! {
    /// How the next step follows from the errors.
    Control {
        Pi = "pi": "From the last two errors (Hairer, Nørsett, Wanner 1993, section IV.2), factors from 0.2 to 10; the last step is \
                    stretched by up to 1 %.",
        Elementary = "scipy": "From the last error alone, `0.9 err^(-1/p)`, factors from 0.2 to 10: the rule of scipy's `solve_ivp`.",
    }
}

/// An adaptive integrator.
///
/// ```
/// use scorefield_sample::ode::Ode;
/// use scorefield_tensor::{Device, batch_f64, rows_f64};
/// let ode = Ode { rtol: 1e-10, atol: 1e-10, ..Ode::default() };
/// let y = batch_f64(vec![1.0, 2.0], 2, &Device::default());
/// let report = ode.integrate(&mut |y, _| -y.clone(), y, 0.0, 1.0); // y' = -y
/// assert!((rows_f64(report.y)[1] - 2.0 * (-1.0f64).exp()).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ode {
    /// The pair.
    pub method: Pair,
    /// Error allowed relative to the size of an entry.
    pub rtol: f64,
    /// Error allowed absolutely.
    pub atol: f64,
    /// Length of the first step; chosen for each row when `None`.
    pub first_step: Option<f64>,
    /// Steps a row may try, accepted and rejected together.
    pub max_steps: usize,
    /// The controller.
    pub control: Control,
}

impl Default for Ode {
    fn default() -> Self {
        Self { method: Pair::Tsit5, rtol: 1e-5, atol: 1e-5, first_step: None, max_steps: 10_000, control: Control::Pi }
    }
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the time asked for.
    Reached,
    /// It used up [`Ode::max_steps`].
    TooManySteps,
    /// The slope at the start, or at every step however short, is not finite.
    NotFinite,
    /// The step became too short to change the time: the tolerance is below rounding, or the slope is singular.
    StepVanished,
}

/// One row's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// How it ended.
    pub end: End,
    /// The time of its state: the one asked for if reached, that of the last accepted step if not.
    pub t: f64,
    /// Accepted steps.
    pub accepted: u64,
    /// Rejected steps.
    pub rejected: u64,
    /// Evaluations of the slope in which it took part.
    pub evaluations: u64,
}

/// The end of an integration.
#[derive(Clone, Debug)]
pub struct Report {
    /// The states; that of a row that did not reach the end is its last accepted one.
    pub y: Batch,
    /// Calls of `f`, each for all rows still under way.
    pub evaluations: u64,
    /// Accepted steps of all rows.
    pub accepted: u64,
    /// Rejected steps of all rows.
    pub rejected: u64,
    /// Every row's way.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether every row reached the end.
    pub fn reached(&self) -> bool {
        self.rows.iter().all(|r| r.end == End::Reached)
    }
}

/// What a row carries into a later integration that goes on in the same direction: the length of the next step and the error of
/// the last one.
pub type Memory = Vec<Vec<f64>>;

/// `y' = f`, with the numbers of the rows it is asked for.
pub type Slope<'a> = dyn FnMut(&Batch, &[f64], &[usize]) -> Batch + 'a;

impl Ode {
    /// Carries the rows `y`, `[n, d]`, from time `from` to time `to`, either way. `f(y, times)` gets the rows still under way,
    /// each with its time, and returns their slopes in the same shape.
    ///
    /// It always ends, after at most `max_steps` steps of each row: see [`End`].
    pub fn integrate(&self, f: &mut dyn FnMut(&Batch, &[f64]) -> Batch, y: Batch, from: f64, to: f64) -> Report {
        self.integrate_rows(&mut |y, times, _| f(y, times), y, from, to, &mut Memory::new())
    }

    /// [`Ode::integrate`] where `f` is also told which rows it gets (ascending numbers into `y`: for probes or conditions of their
    /// own), starting with the steps of `memory` (an empty one: none) and leaving there those to go on with.
    pub fn integrate_rows(&self, f: &mut Slope<'_>, y: Batch, from: f64, to: f64, memory: &mut Memory) -> Report {
        let [n, d] = y.dims();
        let (like, mut evaluations) = ((y.device(), y.dtype()), 0);
        let values = rows_f64(y);
        let start = |i: usize| Way::new(values[i * d..][..d].to_vec(), from, to, memory.get(i));
        let mut ways: Vec<Way> = (0..n).map(start).collect();
        if from != to {
            let mut call = |ways: &mut [Way], at: &dyn Fn(&Way) -> (Vec<f64>, f64)| {
                evaluations += 1;
                slopes(f, ways, at, &like)
            };
            self.begin(&mut ways, to, &mut call);
            while ways.iter().any(|w| w.end.is_none()) {
                self.attempt(&mut ways, to, &mut call);
            }
        }
        *memory = ways.iter().map(|w| vec![w.h, w.before]).collect();
        let rows: Vec<Row> = ways.iter().map(Way::row).collect();
        let y = to_batch(ways.into_iter().flat_map(|w| w.y).collect(), n, d, &like);
        let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum();
        Report { y, evaluations, accepted: sum(|r| r.accepted), rejected: sum(|r| r.rejected), rows }
    }

    /// The slopes at the start and, for rows without one, the length of the first step (Hairer, Nørsett, Wanner 1993, II.4).
    fn begin(&self, ways: &mut [Way], to: f64, call: &mut Call<'_>) {
        let first = call(ways, &|w| (w.y.clone(), w.t));
        for (w, k) in ways.iter_mut().filter(|w| w.end.is_none()).zip(first) {
            w.end = (!finite(&k) || !finite(&w.y)).then_some(End::NotFinite);
            w.k = k;
        }
        if let Some(h) = self.first_step {
            ways.iter_mut().filter(|w| w.h == 0.0).for_each(|w| w.h = h.abs());
        }
        if ways.iter().all(|w| w.end.is_some() || w.h > 0.0) {
            return;
        }

        // A step that an Euler step of 1 % of the state would take, then one that keeps the second derivative small.
        let scaled = |w: &Way, v: &[f64]| norm(v.iter().zip(&w.y).map(|(v, y)| v / (self.atol + self.rtol * y.abs())));
        let span = |w: &Way| (to - w.t).abs();
        let guess = |w: &Way| {
            let (d0, d1) = (scaled(w, &w.y), scaled(w, &w.k));
            let h = if d0 < 1e-5 || d1 < 1e-5 { 1e-6 } else { 0.01 * d0 / d1 };
            h.min(span(w))
        };
        let ahead = call(ways, &|w| {
            let h = guess(w) * (to - w.t).signum();
            (w.y.iter().zip(&w.k).map(|(y, k)| y + h * k).collect(), w.t + h)
        });
        for (w, ahead) in ways.iter_mut().filter(|w| w.end.is_none()).zip(ahead) {
            if w.h > 0.0 {
                continue;
            }
            let (h0, d1) = (guess(w), scaled(w, &w.k));
            let change: Vec<f64> = ahead.iter().zip(&w.k).map(|(a, b)| a - b).collect();
            let steepest = d1.max(scaled(w, &change) / h0);
            let h1 = if steepest <= 1e-15 { (h0 * 1e-3).max(1e-6) } else { (0.01 / steepest).powf(self.exponent()) };
            w.h = (100.0 * h0).min(h1).min(span(w));
        }
    }

    /// One step tried by every row under way.
    fn attempt(&self, ways: &mut [Way], to: f64, call: &mut Call<'_>) {
        let table = self.method.tableau();
        let error = table.error.map_or(table.b, |(e, _)| e);
        for w in ways.iter_mut().filter(|w| w.end.is_none()) {
            w.aim(to, if self.control == Control::Pi { 1.01 } else { 1.0 });
            w.stages = vec![std::mem::take(&mut w.k)];
        }

        // The stages; the state of the last one is the new state, its slope the next step's first.
        for (a, &c) in table.a.iter().zip(table.c).skip(1) {
            let at = |w: &Way| (w.plus(a), if c == 1.0 { w.next } else { w.t + c * (w.next - w.t) });
            let k = call(ways, &at);
            ways.iter_mut().filter(|w| w.end.is_none()).zip(k).for_each(|(w, k)| w.stages.push(k));
        }

        for w in ways.iter_mut().filter(|w| w.end.is_none()) {
            let y_new = w.plus(&table.b[..table.b.len() - 1]);
            let h = w.next - w.t;
            let entry = |i: usize| {
                let e: f64 = error.iter().zip(&w.stages).map(|(e, k)| e * k[i]).sum();
                h * e / (self.atol + self.rtol * w.y[i].abs().max(y_new[i].abs()))
            };
            let err = norm((0..w.y.len()).map(entry));
            self.judge(w, err, y_new, to);
        }
    }

    /// Accepts or rejects, and chooses the next step.
    fn judge(&self, w: &mut Way, err: f64, y_new: Vec<f64>, to: f64) {
        let (tried, k) = ((w.next - w.t).abs(), self.exponent());
        let accepted = err <= 1.0 && finite(&y_new) && w.stages.last().is_some_and(|k| finite(k));
        let factor = match self.control {
            _ if !err.is_finite() => 0.2,
            Control::Elementary => 0.9 * err.powf(-k),
            Control::Pi if accepted => 0.9 * err.powf(-0.85 * k) * w.before.powf(0.2 * k),
            Control::Pi => 0.9 * err.powf(-0.85 * k),
        };
        if accepted {
            // No growth right after a rejection.
            let factor = factor.clamp(0.2, if w.refused { 1.0 } else { 10.0 });
            // A step cut short by the end says nothing against the longer one that was planned.
            w.h = if w.next == to && self.control == Control::Pi { w.h.max(tried * factor) } else { tried * factor };
            (w.before, w.refused, w.accepted) = (err.max(1e-4), false, w.accepted + 1);
            (w.t, w.y, w.k) = (w.next, y_new, w.stages.pop().unwrap_or_default());
            w.end = (w.t == to).then_some(End::Reached);
        } else {
            w.h = tried * factor.clamp(0.2, 0.9);
            (w.k, w.refused, w.rejected) = (w.stages.swap_remove(0), true, w.rejected + 1);
            if w.h <= 10.0 * f64::EPSILON * w.t.abs().max(to.abs()) {
                w.end = Some(if err.is_finite() { End::StepVanished } else { End::NotFinite });
            }
        }
        if w.end.is_none() && w.accepted + w.rejected >= self.max_steps as u64 {
            w.end = Some(End::TooManySteps);
        }
    }

    /// `1 / p`, `p - 1` being the order of the embedded method.
    fn exponent(&self) -> f64 {
        self.method.tableau().error.map_or(1.0, |(_, order)| f64::from(order + 1).recip())
    }
}

/// A call of the slope for all rows under way.
type Call<'a> = dyn FnMut(&mut [Way], &dyn Fn(&Way) -> (Vec<f64>, f64)) -> Vec<Vec<f64>> + 'a;

/// A row under way.
struct Way {
    y: Vec<f64>,
    t: f64,
    /// The slope at `(y, t)`.
    k: Vec<f64>,
    /// The length of the next step; 0 until it is chosen.
    h: f64,
    /// Where the step being tried ends.
    next: f64,
    stages: Vec<Vec<f64>>,
    /// The error of the last accepted step, at least 1e-4.
    before: f64,
    refused: bool,
    accepted: u64,
    rejected: u64,
    evaluations: u64,
    end: Option<End>,
}

impl Way {
    fn new(y: Vec<f64>, t: f64, to: f64, memory: Option<&Vec<f64>>) -> Self {
        let (h, before) = match memory.map(Vec::as_slice) {
            Some(&[h, before]) => (h, before),
            _ => (0.0, 1e-4),
        };
        let end = (t == to).then_some(End::Reached);
        let (accepted, rejected, evaluations) = (0, 0, 0);
        let (k, stages, refused) = (Vec::new(), Vec::new(), false);
        Self { y, t, k, h, next: t, stages, before, refused, accepted, rejected, evaluations, end }
    }

    /// Sets the end of the next step: `h` ahead, or the end of the way if that is within `stretch` steps.
    fn aim(&mut self, to: f64, stretch: f64) {
        let left = to - self.t;
        self.next = if stretch * self.h >= left.abs() { to } else { self.t + self.h * left.signum() };
    }

    /// `y + h sum_j a_j k_j`.
    fn plus(&self, a: &[f64]) -> Vec<f64> {
        let (h, mut out) = (self.next - self.t, self.y.clone());
        for (a, k) in a.iter().zip(&self.stages).filter(|(a, _)| **a != 0.0) {
            out.iter_mut().zip(k).for_each(|(o, k)| *o += h * a * k);
        }
        out
    }

    fn row(&self) -> Row {
        let (end, t) = (self.end.unwrap_or(End::TooManySteps), self.t);
        Row { end, t, accepted: self.accepted, rejected: self.rejected, evaluations: self.evaluations }
    }
}

/// The slopes of the rows under way at the places and times that `at` names.
fn slopes(f: &mut Slope<'_>, ways: &mut [Way], at: &dyn Fn(&Way) -> (Vec<f64>, f64), like: &(Device, DType)) -> Vec<Vec<f64>> {
    let (mut y, mut times, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for (i, w) in ways.iter_mut().enumerate().filter(|(_, w)| w.end.is_none()) {
        let (state, time) = at(w);
        y.extend(state);
        times.push(time);
        numbers.push(i);
        w.evaluations += 1;
    }
    let (m, d) = (times.len(), ways[0].y.len());
    let k = f(&to_batch(y, m, d, like), &times, &numbers);
    assert_eq!(k.dims(), [m, d], "the slope of a state [{m}, {d}] has another shape");
    rows_f64(k).chunks(d).map(<[f64]>::to_vec).collect()
}

fn to_batch(values: Vec<f64>, n: usize, d: usize, (device, dtype): &(Device, DType)) -> Batch {
    Tensor::from_data(TensorData::new(values, [n, d]), (device, *dtype))
}

fn finite(v: &[f64]) -> bool {
    v.iter().all(|v| v.is_finite())
}

/// Root of the mean square.
fn norm(v: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = v.len() as f64;
    (v.map(|v| v * v).sum::<f64>() / n).sqrt()
}
