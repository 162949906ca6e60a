//! Some Fourier coefficients of a picture: magnetic resonance, one coil, Cartesian.
//!
//! Of a real picture, frequencies `k` and `-k` tell the same; each pair is measured once, its real and imaginary part scaled by
//! `sqrt 2`. The measured numbers are then coefficients in an orthonormal basis, and every singular value is 1.

use super::error::{length, within};
use super::fourier::Fourier;
use super::mask::{gather, scatter};
use super::random::some_of;
use super::{Operator, OperatorError, Shape, Singular, Uniforms, assert_rows};

/// The kept coefficients of every channel in the orthonormal real Fourier basis.
#[derive(Clone, Debug)]
pub struct PartialFourier {
    shape: Shape,
    fourier: Fourier,
    /// Places in `[c, h, w]`: the kept ones, then the others.
    order: Vec<usize>,
    values: Vec<f64>,
}

impl PartialFourier {
    /// Keeps the frequencies `[h, w]` that are `true`, and with each its mirror `-k`. Index `i` is frequency `i`, or `i - h` beyond
    /// half the side.
    ///
    /// # Errors
    /// When the mask is of another size or keeps nothing. One that keeps everything is an orthogonal change of basis.
    pub fn new(shape: Shape, kept: &[bool]) -> Result<Self, OperatorError> {
        let n = shape.pixels();
        length("the mask of frequencies", kept.len(), n)?;
        let fourier = Fourier::new(shape.height(), shape.width());
        let (mut order, others): (Vec<usize>, Vec<usize>) =
            (0..shape.entries()).partition(|e| kept[e % n] || kept[fourier.partner(e % n)]);
        if order.is_empty() {
            return Err(OperatorError::NothingKnown { entries: n });
        }
        let values = vec![1.0; order.len()];
        order.extend(others);
        Ok(Self { shape, fourier, order, values })
    }

    /// Keeps whole lines: the vertical frequencies `[h]` that are `true`.
    ///
    /// # Errors
    /// As [`PartialFourier::new`].
    pub fn lines(shape: Shape, kept: &[bool]) -> Result<Self, OperatorError> {
        length("the list of lines", kept.len(), shape.height())?;
        Self::new(shape, &kept.iter().flat_map(|kept| vec![*kept; shape.width()]).collect::<Vec<_>>())
    }

    /// Keeps `round(share h)` lines: the `round(centre h)` of the lowest frequencies, and others at random. Because a line brings its
    /// mirror, somewhat more than the share of coefficients is known.
    ///
    /// # Errors
    /// When the share is not in (0, 1], the centre not in [0, share], or nothing is kept.
    pub fn random_lines(shape: Shape, share: f64, centre: f64, uniform: &mut Uniforms<'_>) -> Result<Self, OperatorError> {
        within("the share of lines", share, "above 0 and at most 1", share > 0.0 && share <= 1.0)?;
        within("the share of central lines", centre, "between 0 and the share of lines", centre >= 0.0 && centre <= share)?;
        let h = shape.height();
        let count = |share: f64| (share * h as f64).round() as usize;
        let mut lines: Vec<usize> = (0..h).collect();
        lines.sort_by_key(|i| (*i).min(h - i));
        let (central, outer) = lines.split_at(count(centre));
        let mut kept = vec![false; h];
        central.iter().for_each(|i| kept[*i] = true);
        let drawn = some_of(outer.len(), count(share) - central.len(), uniform);
        drawn.into_iter().for_each(|i| kept[outer[i]] = true);
        Self::lines(shape, &kept)
    }
}

impl Operator for PartialFourier {
    fn name(&self) -> &'static str {
        "partial Fourier"
    }

    fn inputs(&self) -> usize {
        self.shape.entries()
    }

    fn outputs(&self) -> usize {
        self.values.len()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let mut all = vec![0.0; x.len()];
        self.fourier.analyse(x, &mut all);
        y.iter_mut().zip(&self.order).for_each(|(y, i)| *y = all[*i]);
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        let mut all = vec![0.0; out.len()];
        v.iter().zip(&self.order).for_each(|(v, i)| all[*i] = *v);
        self.fourier.synthesise(&all, out);
    }

    fn singular(&self) -> Option<&dyn Singular> {
        Some(self)
    }
}

impl Singular for PartialFourier {
    fn values(&self) -> &[f64] {
        &self.values
    }

    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        let mut all = vec![0.0; x.len()];
        self.fourier.analyse(x, &mut all);
        gather(&self.order, &all, out);
    }

    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        let mut all = vec![0.0; c.len()];
        scatter(&self.order, c, &mut all);
        self.fourier.synthesise(&all, out);
    }

    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        out.copy_from_slice(y);
    }

    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        out.copy_from_slice(c);
    }
}
