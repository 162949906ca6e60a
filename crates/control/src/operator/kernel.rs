//! Kernels of a blur.

use super::error::{finite, length, within};
use super::ray::chords;
use super::{Matrix, OperatorError};

/// A kernel `[h, w]` whose origin is at `(h / 2, w / 2)`, rounded down.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Kernel {
    /// The largest reach of the kernels that are drawn by a formula, in pixels.
    pub const REACH: f64 = 1024.0;

    /// From its numbers, row by row; they are not normalised.
    ///
    /// # Errors
    /// When there are not `height * width` numbers, or they are not finite or all zero.
    pub fn new(height: usize, width: usize, values: Vec<f64>) -> Result<Self, OperatorError> {
        if height == 0 || width == 0 {
            return Err(OperatorError::Empty { what: "a kernel" });
        }
        length("the kernel", values.len(), Matrix::entries(height, width)?)?;
        finite("the kernel", &values)?;
        if values.iter().all(|v| *v == 0.0) {
            return Err(OperatorError::Zero { what: "the kernel" });
        }
        Ok(Self { height, width, values })
    }

    /// A camera that moves evenly by `pixels` while the shutter is open, at `angle` radians from the rows, counter-clockwise: the
    /// weight of a pixel is the share of the way inside it.
    ///
    /// # Errors
    /// When the length is not positive, above [`Kernel::REACH`], or the angle not finite.
    pub fn motion(pixels: f64, angle: f64) -> Result<Self, OperatorError> {
        within("the length of the motion", pixels, "above 0 and at most 1024 pixels", pixels > 0.0 && pixels <= Self::REACH)?;
        within("the angle of the motion", angle, "finite", angle.is_finite())?;
        let reach = (pixels / 2.0 + 0.5).ceil();
        let (side, middle) = (2 * reach as usize + 1, reach + 0.5);
        // Rows count downwards. A sine of rounding would move an end across an edge.
        let tidy = |v: f64| if v.abs() < 1e-12 { 0.0 } else { v };
        let (dx, dy) = (0.5 * pixels * tidy(angle.cos()), -0.5 * pixels * tidy(angle.sin()));
        let mut values = vec![0.0; side * side];
        for (p, length) in chords((middle - dx, middle - dy), (middle + dx, middle + dy), side, side) {
            values[p] += length / pixels;
        }
        Self::new(side, side, values)?.cropped()
    }

    /// A Gaussian of deviation `sigma` pixels, cut at four deviations and normalised.
    ///
    /// # Errors
    /// When `sigma` is not positive, or above a quarter of [`Kernel::REACH`].
    pub fn gaussian(sigma: f64) -> Result<Self, OperatorError> {
        within("the deviation of the blur", sigma, "above 0 and at most 256 pixels", sigma > 0.0 && 4.0 * sigma <= Self::REACH)?;
        let reach = (4.0 * sigma).ceil() as isize;
        let side = 2 * reach as usize + 1;
        let line: Vec<f64> = (-reach..=reach).map(|i| (-0.5 * (i as f64 / sigma).powi(2)).exp()).collect();
        let total: f64 = line.iter().sum();
        let values = line.iter().flat_map(|a| line.iter().map(move |b| a * b / (total * total))).collect();
        Self::new(side, side, values)
    }

    /// Rows and columns of zeros around it taken away, equally on both sides.
    fn cropped(self) -> Result<Self, OperatorError> {
        let (h, w) = (self.height, self.width);
        let used = |i: usize, j: usize| self.values[i * w + j] != 0.0;
        let top = (0..h / 2).take_while(|&k| (0..w).all(|j| !used(k, j) && !used(h - 1 - k, j))).count();
        let left = (0..w / 2).take_while(|&k| (0..h).all(|i| !used(i, k) && !used(i, w - 1 - k))).count();
        let rows = self.values.chunks_exact(w).skip(top).take(h - 2 * top);
        let values = rows.flat_map(|row| row[left..w - left].to_vec()).collect();
        Self::new(h - 2 * top, w - 2 * left, values)
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The numbers, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
}
