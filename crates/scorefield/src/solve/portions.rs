//! Many rows by several calls, so that memory does not grow with them.

use scorefield_process::{Denoiser, Differentiable, Process};
use scorefield_tensor::Batch;

/// A denoiser for each portion of `rows` rows, the last of fewer.
pub(super) struct Portions<D> {
    parts: Vec<D>,
    rows: usize,
}

impl<D: Denoiser> Portions<D> {
    /// # Panics
    /// When there is no part, or portions have no rows.
    #[track_caller]
    pub(super) fn new(parts: Vec<D>, rows: usize) -> Self {
        assert!(!parts.is_empty() && rows > 0, "{} portions of {rows} rows", parts.len());
        Self { parts, rows }
    }

    /// What a function of each part's number and rows gives, one after the other.
    #[track_caller]
    fn each(&self, x: &Batch, of: impl Fn(&D, usize, usize) -> Batch) -> Batch {
        let n = x.dims()[0];
        assert_eq!(n.div_ceil(self.rows), self.parts.len(), "{n} rows in portions of {}", self.rows);
        let all = self.parts.iter().enumerate().map(|(k, part)| of(part, k * self.rows, self.rows.min(n - k * self.rows)));
        Batch::cat(all.collect(), 0)
    }
}

impl<D: Denoiser> Denoiser for Portions<D> {
    fn process(&self) -> &dyn Process {
        self.parts[0].process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.each(x, |part, first, count| part.denoise(&x.clone().narrow(0, first, count), t))
    }
}

/// A cotangent may depend on all rows of `D`, so that there is one more evaluation than a pullback's own where there are several portions.
impl<D: Differentiable> Differentiable for Portions<D> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        if let [part] = &self.parts[..] {
            return part.pullback(x, t, cotangent);
        }
        let clean = self.denoise(x, t);
        let v = cotangent(&clean);
        let pulled = self.each(x, |part, first, count| {
            let of = |rows: &Batch| rows.clone().narrow(0, first, count);
            part.pullback(&of(x), t, &mut |_| of(&v)).1
        });
        (clean, pulled)
    }
}
