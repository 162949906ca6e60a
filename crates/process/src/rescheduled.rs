//! Exact change of schedule: a model trained under one process, used under another.
//!
//! `x_t / alpha_t = x_0 + r eps` depends on the process only through `r = sigma_t / alpha_t` (Karras et al. 2022, section 2; Lu et
//! al. 2022). So a denoiser of process A is one of process B after a change of time and of scale:
//! `D_B(x, t) = D_A(x alpha_A(t') / alpha_B(t), t')` with `r_A(t') = r_B(t)`. Nothing is approximated.

use crate::{Denoiser, Differentiable, Process, ProcessExt, Span, StepVariance};
use scorefield_tensor::{Batch, Coefficient, Column};

/// A denoiser under a process that is not its own.
///
/// The levels of the new process should be among those of the old one ([`common_span`] says where they are). Beyond them the
/// nearest end of the old span is asked: where there is less noise than the model knows, with the signal at the scale it knows
/// (`x alpha_A / alpha_B`); where there is more, with the noise at the scale it knows (`x sigma_A / sigma_B`). Both are
/// approximations, and the smaller of the two scales is the right one in either case.
#[derive(Clone, Debug)]
pub struct Rescheduled<D, P> {
    denoiser: D,
    process: P,
}

impl<D: Denoiser, P: Process> Rescheduled<D, P> {
    /// `denoiser` under `process`.
    pub fn new(denoiser: D, process: P) -> Self {
        Self { denoiser, process }
    }

    /// The denoiser's own time with the ratio that the process has at `t`, and what a state is multiplied by to be one of its.
    pub fn own(&self, t: f64) -> (f64, f64) {
        let b = self.process.at(t);
        let own = self.denoiser.process();
        let time = own.time_of_ratio(b.ratio());
        let a = own.at(time);
        let scale = match b.sigma {
            0.0 => a.alpha / b.alpha,
            sigma => (a.alpha / b.alpha).min(a.sigma / sigma),
        };
        (time, scale)
    }
}

impl<D: Denoiser, P: Process> Denoiser for Rescheduled<D, P> {
    fn process(&self) -> &dyn Process {
        &self.process
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let (time, scale) = self.own(t);
        self.denoiser.denoise(&scale.scale(x.clone()), time)
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let (times, scales): (Vec<f64>, Vec<f64>) = times.iter().map(|&t| self.own(t)).unzip();
        self.denoiser.denoise_each(&Column(scales).scale(x.clone()), &times)
    }

    #[track_caller]
    fn denoise_with_variance(&self, x: &Batch, t: f64) -> (Batch, Option<StepVariance>) {
        let (time, scale) = self.own(t);
        self.denoiser.denoise_with_variance(&scale.scale(x.clone()), time)
    }
}

impl<D: Differentiable, P: Process> Differentiable for Rescheduled<D, P> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let (time, scale) = self.own(t);
        let (clean, back) = self.denoiser.pullback(&scale.scale(x.clone()), time, cotangent);
        // D_B(x) = D_A(k x), so J_B = k J_A.
        (clean, scale.scale(back))
    }

    #[track_caller]
    fn pullback_each(&self, x: &Batch, times: &[f64], cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let (times, scales): (Vec<f64>, Vec<f64>) = times.iter().map(|&t| self.own(t)).unzip();
        let scales = Column(scales);
        let (clean, back) = self.denoiser.pullback_each(&scales.scale(x.clone()), &times, cotangent);
        (clean, scales.scale(back))
    }
}

/// The part of `process`'s span whose levels `own` has too: where a change of schedule is exact. None where they share no level.
pub fn common_span(own: &(impl Process + ?Sized), process: &(impl Process + ?Sized)) -> Option<Span> {
    let ratio = |p: &dyn Fn(f64) -> f64, span: Span| (p(span.start), p(span.end));
    let (own_low, own_high) = ratio(&|t| own.at(t).ratio(), own.span());
    let (low, high) = ratio(&|t| process.at(t).ratio(), process.span());
    if own_low >= high || low >= own_high {
        return None;
    }
    let span = process.span();
    let start = if own_low > low { process.time_of_ratio(own_low) } else { span.start };
    let end = if own_high < high { process.time_of_ratio(own_high) } else { span.end };
    (start < end).then_some(Span { start, end })
}
