//! What an exact consistency model of Gaussian data would say.

use super::Gaussian;
use crate::{Denoiser, Process, ProcessExt};
use scorefield_tensor::{Batch, Tensor, TensorData, rows_f64};

/// The end, at the lowest level of the span, of the probability flow's path through `x_t` of a Gaussian law, divided by alpha there:
/// the consistency function (Song et al. 2023, definition 1) in closed form. Not a posterior mean.
#[derive(Debug)]
pub struct PathEnds<'a, P>(pub &'a Gaussian<P>);

impl<P: Process> Denoiser for PathEnds<'_, P> {
    fn process(&self) -> &dyn Process {
        self.0.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let [n, d] = x.dims();
        let last = self.process().span().start;
        let alpha = self.process().at(last).alpha;
        let end = |(i, v): (usize, f64)| self.0.flow(i % d, v, t, last) / alpha;
        let ends: Vec<f64> = rows_f64(x.clone()).into_iter().enumerate().map(end).collect();
        Tensor::from_data(TensorData::new(ends, [n, d]), (&x.device(), x.dtype()))
    }
}
