//! Blur by any kernel.
//!
//! `y_i = sum_a k_a x_(i - a)`, the offsets `a` counted from the kernel's origin. With wrapped edges the Fourier transform makes it a
//! product, `Y = K X`: the values are `|K|`, each twice in the real basis, and the phase of `K` goes to the left basis. At other edges
//! it is summed directly and solves run by conjugate gradients.

use super::fourier::{Fourier, Spectrum};
use super::resample::mirrored;
use super::singular::cleaned;
use super::{Kernel, Operator, OperatorError, Shape, Singular, assert_rows};
use rustfft::num_complex::Complex;

/// How a picture goes on beyond its edges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Edge {
    /// It begins anew at the other side.
    Wrap,
    /// It is zero.
    Zero,
    /// It is mirrored between pixels: `... x_1 x_0 | x_0 x_1 ...`.
    Mirror,
}

/// The convolution of every channel with one kernel; the result has the picture's size.
#[derive(Clone, Debug)]
pub struct Convolution {
    shape: Shape,
    kernel: Kernel,
    edge: Edge,
    wrapped: Option<Wrapped>,
}

#[derive(Clone, Debug)]
struct Wrapped {
    fourier: Fourier,
    /// `K`, and `K / |K|`, one where `K` is zero.
    spectrum: Spectrum,
    phase: Spectrum,
    values: Vec<f64>,
}

impl Convolution {
    /// With a kernel.
    ///
    /// # Errors
    /// When the kernel is larger than the picture.
    pub fn new(shape: Shape, kernel: Kernel, edge: Edge) -> Result<Self, OperatorError> {
        let ((height, width), (rows, columns)) = ((kernel.height(), kernel.width()), (shape.height(), shape.width()));
        if height > rows || width > columns {
            return Err(OperatorError::DoesNotFit { what: "a kernel", height, width, rows, columns });
        }
        let wrapped = (edge == Edge::Wrap).then(|| Wrapped::new(shape, &kernel));
        Ok(Self { shape, kernel, edge, wrapped })
    }

    /// The place at `offset` before `i` on an axis of `n`, if there is one.
    fn source(&self, i: usize, offset: isize, n: usize) -> Option<usize> {
        let at = i as isize - offset;
        match self.edge {
            Edge::Wrap => Some(at.rem_euclid(n as isize) as usize),
            Edge::Zero => usize::try_from(at).ok().filter(|at| *at < n),
            Edge::Mirror => Some(mirrored(at, n)),
        }
    }

    /// Every term `(to, from, weight)` of one plane's sum.
    fn terms(&self, mut term: impl FnMut(usize, usize, f64)) {
        let (h, w, kernel) = (self.shape.height(), self.shape.width(), &self.kernel);
        for (e, weight) in kernel.values().iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            let (a, b) = offsets(kernel, e);
            let columns: Vec<Option<usize>> = (0..w).map(|j| self.source(j, b, w)).collect();
            for i in 0..h {
                let Some(row) = self.source(i, a, h) else { continue };
                for (j, column) in columns.iter().enumerate() {
                    if let Some(column) = column {
                        term(i * w + j, row * w + column, *weight);
                    }
                }
            }
        }
    }
}

/// How far entry `e` of a kernel is from its origin.
fn offsets(kernel: &Kernel, e: usize) -> (isize, isize) {
    let (h, w) = (kernel.height(), kernel.width());
    ((e / w) as isize - (h / 2) as isize, (e % w) as isize - (w / 2) as isize)
}

impl Operator for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn inputs(&self) -> usize {
        self.shape.entries()
    }

    fn outputs(&self) -> usize {
        self.shape.entries()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let n = self.shape.pixels();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            if let Some(wrapped) = &self.wrapped {
                wrapped.product(x, y, &|k| k);
            } else {
                y.fill(0.0);
                self.terms(|to, from, weight| y[to] += weight * x[from]);
            }
        }
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        let n = self.shape.pixels();
        for (v, out) in v.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            if let Some(wrapped) = &self.wrapped {
                wrapped.product(v, out, &|k| k.conj());
            } else {
                out.fill(0.0);
                self.terms(|to, from, weight| out[from] += weight * v[to]);
            }
        }
    }

    fn singular(&self) -> Option<&dyn Singular> {
        self.wrapped.as_ref().map(|wrapped| wrapped as &dyn Singular)
    }
}

impl Wrapped {
    fn new(shape: Shape, kernel: &Kernel) -> Self {
        let (h, w, n) = (shape.height(), shape.width(), shape.pixels());
        let mut plane = vec![0.0; n];
        for (e, value) in kernel.values().iter().enumerate() {
            let (a, b) = offsets(kernel, e);
            plane[a.rem_euclid(h as isize) as usize * w + b.rem_euclid(w as isize) as usize] += value;
        }
        let fourier = Fourier::new(h, w);
        let mut spectrum = fourier.forward(&plane);
        // The orthonormal transform of a convolution is sqrt(n) times the product of transforms.
        spectrum.iter_mut().for_each(|k| *k *= (n as f64).sqrt());
        fourier.symmetrise(&mut spectrum);
        let values = cleaned(spectrum.iter().map(|k| k.norm()).collect(), n, n);
        let phase = spectrum.iter().map(|k| if k.norm() > 0.0 { k / k.norm() } else { Complex::ONE }).collect();
        Self { fourier, spectrum, phase, values: values.repeat(shape.channels()) }
    }

    /// The plane of `f(K) X`.
    fn product(&self, x: &[f64], out: &mut [f64], f: &dyn Fn(Complex<f64>) -> Complex<f64>) {
        let mut z = self.fourier.forward(x);
        z.iter_mut().zip(&self.spectrum).for_each(|(z, k)| *z *= f(*k));
        self.fourier.backward(z, out);
    }

    #[track_caller]
    fn check(&self, x: &[f64], out: &[f64]) {
        let d = self.values.len();
        assert!(x.len() == d && out.len() == d, "{} and {} entries, {d} are expected", x.len(), out.len());
    }
}

impl Singular for Wrapped {
    fn values(&self) -> &[f64] {
        &self.values
    }

    #[track_caller]
    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        self.check(x, out);
        self.fourier.analyse(x, out);
    }

    #[track_caller]
    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        self.check(c, out);
        self.fourier.synthesise(c, out);
    }

    #[track_caller]
    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        self.check(y, out);
        let n = self.phase.len();
        for (y, out) in y.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let mut z = self.fourier.forward(y);
            z.iter_mut().zip(&self.phase).for_each(|(z, phase)| *z *= phase.conj());
            self.fourier.pack(&z, out);
        }
    }

    #[track_caller]
    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        self.check(c, out);
        let n = self.phase.len();
        for (c, out) in c.chunks_exact(n).zip(out.chunks_exact_mut(n)) {
            let mut z = self.fourier.unpack(c);
            z.iter_mut().zip(&self.phase).for_each(|(z, phase)| *z *= phase);
            self.fourier.backward(z, out);
        }
    }
}
