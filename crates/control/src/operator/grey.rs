//! Colour is lost: a weighted mean over channels.

use super::error::{finite, length};
use super::{Operator, OperatorError, Shape, Singular, assert_rows};

/// `y_p = sum_c w_c x_cp`, one plane out of `c`.
///
/// Every pixel is measured alike: `s = |w|`, and `V` is for each the reflection `H` that takes `w / |w|` to `e_1` or `-e_1`, of the
/// sign that cancels nothing.
#[derive(Clone, Debug)]
pub struct Grey {
    shape: Shape,
    weights: Vec<f64>,
    values: Vec<f64>,
    /// `H = I - v v^T`.
    v: Vec<f64>,
    /// `H w = sign |w| e_1`.
    sign: f64,
}

impl Grey {
    /// The luma of Rec. ITU-R BT.601, section 2.5.1.
    pub const REC_601: [f64; 3] = [0.299, 0.587, 0.114];

    /// With one weight a channel.
    ///
    /// # Errors
    /// When the weights are of another number, not finite, or all zero.
    pub fn new(shape: Shape, weights: &[f64]) -> Result<Self, OperatorError> {
        length("the list of weights", weights.len(), shape.channels())?;
        finite("the list of weights", weights)?;
        let norm = weights.iter().fold(0.0, |n: f64, w| n.hypot(*w));
        if norm == 0.0 {
            return Err(OperatorError::Zero { what: "the list of weights" });
        }
        let sign = if weights[0] > 0.0 { -1.0 } else { 1.0 };
        let mut v: Vec<f64> = weights.iter().map(|w| w / norm).collect();
        v[0] -= sign;
        let scale = (2.0 / v.iter().map(|v| v * v).sum::<f64>()).sqrt();
        v.iter_mut().for_each(|v| *v *= scale);
        Ok(Self { shape, weights: weights.to_vec(), values: vec![norm; shape.pixels()], v, sign })
    }

    /// Every pixel's colour, reflected.
    #[track_caller]
    fn reflect(&self, x: &[f64], out: &mut [f64]) {
        let (n, c) = (self.shape.pixels(), self.weights.len());
        assert_eq!(x.len(), n * c, "a colour picture of {} entries", x.len());
        out.copy_from_slice(x);
        for p in 0..n {
            let along: f64 = (0..c).map(|k| self.v[k] * x[k * n + p]).sum();
            (0..c).for_each(|k| out[k * n + p] -= self.v[k] * along);
        }
    }

    fn turn(&self, y: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(y).for_each(|(o, y)| *o = self.sign * y);
    }
}

impl Operator for Grey {
    fn name(&self) -> &'static str {
        "grey"
    }

    fn inputs(&self) -> usize {
        self.shape.entries()
    }

    fn outputs(&self) -> usize {
        self.shape.pixels()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        y.fill(0.0);
        for (w, plane) in self.weights.iter().zip(x.chunks_exact(y.len())) {
            y.iter_mut().zip(plane).for_each(|(y, x)| *y += w * x);
        }
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        for (w, plane) in self.weights.iter().zip(out.chunks_exact_mut(v.len())) {
            plane.iter_mut().zip(v).for_each(|(o, v)| *o = w * v);
        }
    }

    fn singular(&self) -> Option<&dyn Singular> {
        Some(self)
    }
}

impl Singular for Grey {
    fn values(&self) -> &[f64] {
        &self.values
    }

    #[track_caller]
    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        self.reflect(x, out);
    }

    #[track_caller]
    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        self.reflect(c, out);
    }

    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        self.turn(y, out);
    }

    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        self.turn(c, out);
    }
}
