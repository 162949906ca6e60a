//! Line integrals in many directions: computed tomography with parallel beams.

use super::error::{finite, within};
use super::ray::chords;
use super::shape::MAX_ENTRIES;
use super::{Operator, OperatorError, Shape, Sparse, assert_rows};

/// `y_(a, k)`, the integral of a picture along ray `k` at angle `a`, in units of the pixel's side; the result is `[c, angles,
/// detectors]`.
///
/// The ray is `centre + s (cos a, sin a) + t (-sin a, cos a)` in columns and rows, at `s = k - (detectors - 1) / 2` pixels; a pixel
/// is constant on its square, so the weights are the exact lengths of the ray inside (Siddon 1985), and the adjoint,
/// back-projection, is the transpose of the same table.
#[derive(Clone, Debug)]
pub struct Radon {
    channels: usize,
    plane: Sparse,
}

impl Radon {
    /// At the given angles in radians, with so many detectors one pixel apart. Rays that miss the picture measure zero.
    ///
    /// # Errors
    /// When there is no angle or no detector, an angle is not finite, or there are too many rays.
    pub fn new(shape: Shape, angles: &[f64], detectors: usize) -> Result<Self, OperatorError> {
        if angles.is_empty() {
            return Err(OperatorError::Empty { what: "the list of angles" });
        }
        finite("the list of angles", angles)?;
        within("the number of detectors", detectors as f64, "at least 1", detectors > 0)?;
        let (h, w) = (shape.height(), shape.width());
        // A ray meets at most h + w pixels.
        let entries = angles.len().checked_mul(detectors).and_then(|rays| rays.checked_mul(h + w));
        if entries.is_none_or(|entries| entries > MAX_ENTRIES) {
            return Err(OperatorError::TooLarge {
                what: "a table of rays",
                first: angles.len(),
                second: detectors,
                limit: MAX_ENTRIES,
            });
        }
        let (x, y) = (w as f64 / 2.0, h as f64 / 2.0);
        let reach = x.hypot(y) + 1.0;
        let ray = |angle: f64, k: usize| {
            let s = k as f64 - (detectors as f64 - 1.0) / 2.0;
            // Rounding of a right angle would tilt a ray along the grid.
            let tidy = |v: f64| if v.abs() < 1e-12 { 0.0 } else { v };
            let (c, d) = (tidy(angle.cos()), tidy(angle.sin()));
            let at = |t: f64| (x + s * c - t * d, y + s * d + t * c);
            chords(at(-reach), at(reach), h, w)
        };
        let rows: Vec<_> = angles.iter().flat_map(|a| (0..detectors).map(move |k| ray(*a, k))).collect();
        Ok(Self { channels: shape.channels(), plane: Sparse::new(shape.pixels(), &rows)? })
    }

    /// At `n` angles `i pi / n`, with as many detectors as the longer side has pixels.
    ///
    /// # Errors
    /// When `n` is zero, or there are too many rays.
    pub fn parallel(shape: Shape, n: usize) -> Result<Self, OperatorError> {
        let detectors = shape.height().max(shape.width());
        if n > MAX_ENTRIES {
            return Err(OperatorError::TooLarge { what: "a table of rays", first: n, second: detectors, limit: MAX_ENTRIES });
        }
        let angles: Vec<f64> = (0..n).map(|i| i as f64 * std::f64::consts::PI / n as f64).collect();
        Self::new(shape, &angles, detectors)
    }
}

impl Operator for Radon {
    fn name(&self) -> &'static str {
        "Radon"
    }

    fn inputs(&self) -> usize {
        self.channels * self.plane.inputs()
    }

    fn outputs(&self) -> usize {
        self.channels * self.plane.outputs()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let planes = x.chunks_exact(self.plane.inputs()).zip(y.chunks_exact_mut(self.plane.outputs()));
        planes.for_each(|(x, y)| self.plane.apply(x, y));
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        let planes = v.chunks_exact(self.plane.outputs()).zip(out.chunks_exact_mut(self.plane.inputs()));
        planes.for_each(|(v, out)| self.plane.pullback(&[], v, out));
    }
}
