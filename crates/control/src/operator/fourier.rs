//! The orthonormal Fourier transform of a plane, and the basis it gives to real pictures.
//!
//! `X_k = (h w)^(-1/2) sum_x x e^(-2 pi i k x)`. A real picture has `X_-k = conj X_k`, so the numbers `Re X_k` where `k = -k`, and
//! `sqrt 2 Re X_k`, `sqrt 2 Im X_k` of one of every other pair, are its coefficients in an orthonormal real basis.

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::{FRAC_1_SQRT_2, SQRT_2};
use std::fmt;
use std::sync::Arc;

pub(super) type Spectrum = Vec<Complex<f64>>;

/// Transforms of planes `[h, w]`.
#[derive(Clone)]
pub(super) struct Fourier {
    height: usize,
    width: usize,
    /// Along rows and along columns: forwards, backwards.
    across: [Arc<dyn Fft<f64>>; 2],
    down: [Arc<dyn Fft<f64>>; 2],
}

impl fmt::Debug for Fourier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fourier").field("height", &self.height).field("width", &self.width).finish_non_exhaustive()
    }
}

impl Fourier {
    /// Of planes `[h, w]`.
    pub(super) fn new(height: usize, width: usize) -> Self {
        let mut planner = FftPlanner::new();
        let mut both = |n| [planner.plan_fft_forward(n), planner.plan_fft_inverse(n)];
        Self { height, width, across: both(width), down: both(height) }
    }

    /// The spectrum of a real plane.
    pub(super) fn forward(&self, plane: &[f64]) -> Spectrum {
        self.transform(plane.iter().map(|v| Complex::new(*v, 0.0)).collect(), 0)
    }

    /// The real part of the plane of a spectrum.
    pub(super) fn backward(&self, spectrum: Spectrum, out: &mut [f64]) {
        self.transform(spectrum, 1).iter().zip(out).for_each(|(z, o)| *o = z.re);
    }

    fn transform(&self, mut z: Spectrum, direction: usize) -> Spectrum {
        let (h, w) = (self.height, self.width);
        self.across[direction].process(&mut z);
        let mut turned: Spectrum = (0..h * w).map(|e| z[e % h * w + e / h]).collect();
        self.down[direction].process(&mut turned);
        let scale = ((h * w) as f64).sqrt().recip();
        z.iter_mut().enumerate().for_each(|(e, z)| *z = turned[e % w * h + e / w] * scale);
        z
    }

    /// Where frequency `-k` is.
    pub(super) fn partner(&self, k: usize) -> usize {
        let (h, w) = (self.height, self.width);
        (h - k / w) % h * w + (w - k % w) % w
    }

    /// Coefficients in the real basis. Of a pair, the place of the first holds the real part, that of the second the imaginary.
    pub(super) fn pack(&self, spectrum: &[Complex<f64>], out: &mut [f64]) {
        for (k, z) in spectrum.iter().enumerate() {
            let p = self.partner(k);
            if p == k {
                out[k] = z.re;
            } else if k < p {
                (out[k], out[p]) = (SQRT_2 * z.re, SQRT_2 * z.im);
            }
        }
    }

    /// The inverse of [`Fourier::pack`].
    pub(super) fn unpack(&self, c: &[f64]) -> Spectrum {
        let term = |k: usize| {
            let p = self.partner(k);
            if p == k {
                Complex::new(c[k], 0.0)
            } else if k < p {
                Complex::new(c[k], c[p]) * FRAC_1_SQRT_2
            } else {
                Complex::new(c[p], -c[k]) * FRAC_1_SQRT_2
            }
        };
        (0..c.len()).map(term).collect()
    }

    /// Makes the spectrum exactly that of a real plane: rounding in a transform leaves it a hair away.
    pub(super) fn symmetrise(&self, spectrum: &mut [Complex<f64>]) {
        for k in 0..spectrum.len() {
            let p = self.partner(k);
            if p == k {
                spectrum[k].im = 0.0;
            } else if k < p {
                spectrum[p] = spectrum[k].conj();
            }
        }
    }

    /// `out = V^T x` in the real basis, plane by plane.
    pub(super) fn analyse(&self, x: &[f64], out: &mut [f64]) {
        let n = self.height * self.width;
        x.chunks_exact(n).zip(out.chunks_exact_mut(n)).for_each(|(x, out)| self.pack(&self.forward(x), out));
    }

    /// `out = V c`.
    pub(super) fn synthesise(&self, c: &[f64], out: &mut [f64]) {
        let n = self.height * self.width;
        c.chunks_exact(n).zip(out.chunks_exact_mut(n)).for_each(|(c, out)| self.backward(self.unpack(c), out));
    }
}
