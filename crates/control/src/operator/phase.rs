//! Diffraction without phases: only the amplitude of the Fourier transform is seen.

use super::error::within;
use super::fourier::{Fourier, Spectrum};
use super::{Operator, OperatorError, Shape, assert_rows};
use rustfft::num_complex::Complex;

/// `y = |F P x|` for every channel: `P` pads a plane with zeros to `f h` x `f w`, `F` is the orthonormal Fourier transform. With
/// `f = 2` the amplitudes determine the picture up to shifts, mirroring and sign (Hayes 1982).
#[derive(Clone, Debug)]
pub struct PhaseRetrieval {
    shape: Shape,
    padded: Shape,
    fourier: Fourier,
}

impl PhaseRetrieval {
    /// Oversampled by `factor` along both sides.
    ///
    /// # Errors
    /// When the factor is zero or the padded picture too large.
    pub fn new(shape: Shape, factor: usize) -> Result<Self, OperatorError> {
        within("the oversampling", factor as f64, "at least 1", factor > 0)?;
        let sides = (shape.height().saturating_mul(factor), shape.width().saturating_mul(factor));
        let padded = Shape::new(shape.channels(), sides.0, sides.1)?;
        Ok(Self { shape, padded, fourier: Fourier::new(sides.0, sides.1) })
    }

    /// The spectrum of one padded plane.
    fn spectrum(&self, plane: &[f64]) -> Spectrum {
        let (w, wide) = (self.shape.width(), self.padded.width());
        let mut padded = vec![0.0; self.padded.pixels()];
        padded.chunks_exact_mut(wide).zip(plane.chunks_exact(w)).for_each(|(to, from)| to[..w].copy_from_slice(from));
        self.fourier.forward(&padded)
    }
}

impl Operator for PhaseRetrieval {
    fn name(&self) -> &'static str {
        "phase retrieval"
    }

    fn inputs(&self) -> usize {
        self.shape.entries()
    }

    fn outputs(&self) -> usize {
        self.padded.entries()
    }

    fn is_linear(&self) -> bool {
        false
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        for (x, y) in x.chunks_exact(self.shape.pixels()).zip(y.chunks_exact_mut(self.padded.pixels())) {
            self.spectrum(x).iter().zip(y).for_each(|(z, y)| *y = z.norm());
        }
    }

    /// `d|z| = Re(conj(z) dz) / |z|`, so `J^T v = P^T Re F^H (v z / |z|)`; where `z = 0`, which has no slope, zero is taken.
    #[track_caller]
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, x, v);
        assert_rows(self, out, v);
        let (n, w, wide) = (self.shape.pixels(), self.shape.width(), self.padded.width());
        let mut padded = vec![0.0; self.padded.pixels()];
        for ((x, v), out) in x.chunks_exact(n).zip(v.chunks_exact(padded.len())).zip(out.chunks_exact_mut(n)) {
            let mut z = self.spectrum(x);
            z.iter_mut().zip(v).for_each(|(z, v)| *z = if z.norm() > 0.0 { *z * (v / z.norm()) } else { Complex::ZERO });
            self.fourier.backward(z, &mut padded);
            out.chunks_exact_mut(w).zip(padded.chunks_exact(wide)).for_each(|(to, from)| to.copy_from_slice(&from[..w]));
        }
    }
}
