//! The law of a finite set of points: what plain denoising score matching on these points has as its optimum.
//!
//! Each point is a Gaussian of one small width `h`; with `h = 0` it is the empirical law itself. Its score under noise is a closed
//! form, a softmax over the points (Karras et al. 2022, appendix B.3), at a cost of `n d` a state: one pass for the distances, one
//! for the weights, in which those below `e^-40` of the largest are left out.

use crate::{Denoiser, Process, ProcessExt};
use scorefield_tensor::{Batch, Tensor, TensorData, rows_f64};

/// `x_0 ~ (1/n) sum_k N(p_k, h^2 I)` under a process.
///
/// With `v = alpha^2 h^2 + sigma^2` and `r_k ~ exp(-|x - alpha p_k|^2 / 2v)`,
/// `E[x_0 | x] = p + alpha h^2 / v (x - alpha p)` where `p = sum_k r_k p_k`.
#[derive(Debug)]
pub struct Empirical<P> {
    process: P,
    dim: usize,
    points: Vec<f64>,
    width: f64,
}

/// Terms whose exponent lies further below the largest are left out: their sum is below `n e^-40` of it, under the last bit.
const FAR: f64 = 40.0;

impl<P: Process> Empirical<P> {
    /// The law of `points`, `[n, dim]` row by row, each of deviation `width`.
    ///
    /// # Panics
    /// When there is no point, the last one is not whole, or the width is negative.
    #[track_caller]
    pub fn new(process: P, dim: usize, points: Vec<f64>, width: f64) -> Self {
        assert!(
            dim > 0 && !points.is_empty() && points.len().is_multiple_of(dim),
            "{} numbers for points of {dim}",
            points.len()
        );
        assert!(width >= 0.0 && width.is_finite(), "a width of {width}");
        Self { process, dim, points, width }
    }

    /// The points, `[n, dim]` row by row.
    pub fn points(&self) -> &[f64] {
        &self.points
    }

    /// Squared distances of `x` to all `alpha p_k`, and the least of them.
    fn distances(&self, x: &[f64], alpha: f64) -> (Vec<f64>, f64) {
        let square = |p: &[f64]| p.iter().zip(x).map(|(p, x)| (x - alpha * p).powi(2)).sum::<f64>();
        let all: Vec<f64> = self.points.chunks_exact(self.dim).map(square).collect();
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        (all, least)
    }

    /// `ln p_t(x)` of one state, in nats.
    pub fn ln_density(&self, x: &[f64], t: f64) -> f64 {
        let m = self.process.at(t);
        let v = (m.alpha * self.width).powi(2) + m.sigma * m.sigma;
        let (squares, least) = self.distances(x, m.alpha);
        let sum: f64 = squares.iter().map(|s| 0.5 * (s - least) / v).filter(|e| *e < FAR).map(|e| (-e).exp()).sum();
        let normal = 0.5 * self.dim as f64 * (std::f64::consts::TAU * v).ln();
        sum.ln() - 0.5 * least / v - normal - (squares.len() as f64).ln()
    }

    /// `E[x_0 | x_t = x]` of one state.
    pub fn posterior_mean(&self, x: &[f64], t: f64) -> Vec<f64> {
        let m = self.process.at(t);
        let v = (m.alpha * self.width).powi(2) + m.sigma * m.sigma;
        let (squares, least) = self.distances(x, m.alpha);
        let (mut total, mut out) = (0.0, vec![0.0; self.dim]);
        for (point, s) in self.points.chunks_exact(self.dim).zip(squares) {
            let e = 0.5 * (s - least) / v;
            if e < FAR {
                let r = (-e).exp();
                total += r;
                out.iter_mut().zip(point).for_each(|(o, p)| *o += r * p);
            }
        }
        let gain = m.alpha * self.width * self.width / v;
        out.iter().zip(x).map(|(o, x)| o / total + gain * (x - m.alpha * o / total)).collect()
    }
}

impl<P: Process> Denoiser for Empirical<P> {
    fn process(&self) -> &dyn Process {
        &self.process
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let [n, d] = x.dims();
        assert_eq!(d, self.dim, "a state of {d} entries meets points of {}", self.dim);
        let out: Vec<f64> = rows_f64(x.clone()).chunks(d).flat_map(|row| self.posterior_mean(row, t)).collect();
        Tensor::from_data(TensorData::new(out, [n, d]), (&x.device(), x.dtype()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProcessConfig;
    use crate::oracle::Mixture;

    /// It is the mixture of as many equal components, which knows nothing of the short cuts taken here.
    #[test]
    fn it_is_a_mixture_of_equal_components() {
        let points: Vec<Vec<f64>> = (0..40).map(|i| vec![(f64::from(i) * 0.7).sin(), (f64::from(i) * 1.3).cos()]).collect();
        for config in ProcessConfig::all() {
            let (a, b) = (config.build().unwrap(), config.build().unwrap());
            let law = Empirical::new(a, 2, points.concat(), 0.07);
            let same = Mixture::isotropic(b, &[1.0; 40], &points, &[0.07; 40]);
            for ratio in [0.01, 0.3, 5.0] {
                let t = law.process().time_of_ratio(ratio);
                let x = [0.4 * (1.0 + ratio), -0.9];
                let (p, q) = (law.ln_density(&x, t), same.ln_density(&x, t));
                assert!((p - q).abs() < 1e-10 * (1.0 + q.abs()), "{config:?} {ratio}: {p} {q}");
                let pairs = law.posterior_mean(&x, t).into_iter().zip(same.posterior_mean(&x, t));
                pairs.for_each(|(p, q)| assert!((p - q).abs() < 1e-10, "{config:?} {ratio}: {p} {q}"));
            }
        }
    }
}
