//! Some entries are seen, the others are not: inpainting.

use super::error::{length, within};
use super::random::some_of;
use super::{Operator, OperatorError, Shape, Singular, Uniforms, assert_rows};

/// `y` holds the known entries of `x` in their order: `A` is some rows of the unit matrix, so every singular value is 1, `U = I`
/// and `V` is a permutation. A mask that keeps everything is allowed: it is the identity.
#[derive(Clone, Debug)]
pub struct Mask {
    /// The known entries, then the others: the order of the right basis.
    order: Vec<usize>,
    /// One a known entry.
    values: Vec<f64>,
}

/// The half of a picture that is hidden; of an odd side, the hidden half is the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Half {
    /// Columns below `w / 2`.
    Left,
    /// Columns from `w - w / 2` on.
    Right,
    /// Rows below `h / 2`.
    Top,
    /// Rows from `h - h / 2` on.
    Bottom,
}

impl Mask {
    /// Keeps the entries that are `true`.
    ///
    /// # Errors
    /// When no entry is.
    pub fn new(known: &[bool]) -> Result<Self, OperatorError> {
        let (mut order, hidden): (Vec<usize>, Vec<usize>) = (0..known.len()).partition(|&i| known[i]);
        if order.is_empty() {
            return Err(OperatorError::NothingKnown { entries: known.len() });
        }
        let values = vec![1.0; order.len()];
        order.extend(hidden);
        Ok(Self { order, values })
    }

    /// Keeps the pixels `[h, w]` that are `true`, in every channel.
    ///
    /// # Errors
    /// When the mask is of another size or keeps nothing.
    pub fn pixels(shape: Shape, known: &[bool]) -> Result<Self, OperatorError> {
        length("the mask", known.len(), shape.pixels())?;
        Self::new(&known.repeat(shape.channels()))
    }

    /// Hides the box of `height` x `width` pixels whose first is at (`top`, `left`).
    ///
    /// # Errors
    /// When the box leaves the picture, or covers it.
    pub fn rectangle(shape: Shape, top: usize, left: usize, height: usize, width: usize) -> Result<Self, OperatorError> {
        let (bottom, right) = (top.saturating_add(height), left.saturating_add(width));
        let (rows, columns) = (shape.height(), shape.width());
        if bottom > rows || right > columns {
            return Err(OperatorError::DoesNotFit { what: "the hidden box", height: bottom, width: right, rows, columns });
        }
        Self::where_pixel(shape, |i, j| !((top..bottom).contains(&i) && (left..right).contains(&j)))
    }

    /// Hides one half.
    ///
    /// # Errors
    /// Never for pictures; the signature is that of its fellows.
    pub fn half(shape: Shape, hidden: Half) -> Result<Self, OperatorError> {
        let (h, w) = (shape.height(), shape.width());
        Self::where_pixel(shape, |i, j| match hidden {
            Half::Left => j >= w / 2,
            Half::Right => j < w - w / 2,
            Half::Top => i >= h / 2,
            Half::Bottom => i < h - h / 2,
        })
    }

    /// Keeps a share of the pixels, `round(share h w)` of them, drawn without replacement.
    ///
    /// # Errors
    /// When the share is not in (0, 1], or so small that nothing is kept.
    pub fn random(shape: Shape, share: f64, uniform: &mut Uniforms<'_>) -> Result<Self, OperatorError> {
        within("the share of known pixels", share, "above 0 and at most 1", share > 0.0 && share <= 1.0)?;
        let n = shape.pixels();
        let mut known = vec![false; n];
        some_of(n, (share * n as f64).round() as usize, uniform).into_iter().for_each(|i| known[i] = true);
        Self::pixels(shape, &known)
    }

    fn where_pixel(shape: Shape, known: impl Fn(usize, usize) -> bool) -> Result<Self, OperatorError> {
        let w = shape.width();
        let known: Vec<bool> = (0..shape.pixels()).map(|p| known(p / w, p % w)).collect();
        Self::pixels(shape, &known)
    }

    /// The known entries in the order of the measurement.
    pub fn known(&self) -> &[usize] {
        &self.order[..self.values.len()]
    }
}

impl Operator for Mask {
    fn name(&self) -> &'static str {
        "mask"
    }

    fn inputs(&self) -> usize {
        self.order.len()
    }

    fn outputs(&self) -> usize {
        self.values.len()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        y.iter_mut().zip(&self.order).for_each(|(y, i)| *y = x[*i]);
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        out.fill(0.0);
        v.iter().zip(&self.order).for_each(|(v, i)| out[*i] = *v);
    }

    fn singular(&self) -> Option<&dyn Singular> {
        Some(self)
    }
}

impl Singular for Mask {
    fn values(&self) -> &[f64] {
        &self.values
    }

    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        gather(&self.order, x, out);
    }

    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        scatter(&self.order, c, out);
    }

    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        out.copy_from_slice(y);
    }

    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        out.copy_from_slice(c);
    }
}

/// `out_k = x_order(k)`.
#[track_caller]
pub(super) fn gather(order: &[usize], x: &[f64], out: &mut [f64]) {
    assert!(x.len() == order.len() && out.len() == order.len(), "{} and {} of {}", x.len(), out.len(), order.len());
    out.iter_mut().zip(order).for_each(|(o, i)| *o = x[*i]);
}

/// The inverse of [`gather`]: `out_order(k) = c_k`.
#[track_caller]
pub(super) fn scatter(order: &[usize], c: &[f64], out: &mut [f64]) {
    assert!(c.len() == order.len() && out.len() == order.len(), "{} and {} of {}", c.len(), out.len(), order.len());
    c.iter().zip(order).for_each(|(c, i)| out[*i] = *c);
}
