//! Operators that treat rows and columns apart: down-sampling and blur.
//!
//! Every channel is `Y = R X C^T`, so `A = R (x) C`, a Kronecker product: with `R = U_R S V_R^T` and `C = U_C T V_C^T` the values
//! are all products `s_i t_j`, in the bases `U_R (x) U_C` and `V_R (x) V_C`.

use super::mask::{gather, scatter};
use super::matrix::axpy;
use super::singular::cleaned;
use super::{MAX_SVD, Matrix, Operator, OperatorError, Shape, Singular, Svd, assert_rows, resample};

/// `Y = R X C^T` for every channel; `R [h_out, h]`, `C [w_out, w]`.
#[derive(Clone, Debug)]
pub struct Separable {
    name: &'static str,
    shape: Shape,
    rows: Matrix,
    columns: Matrix,
    kronecker: Option<Kronecker>,
}

#[derive(Clone, Debug)]
struct Kronecker {
    shape: Shape,
    out: Shape,
    rows: Svd,
    columns: Svd,
    values: Vec<f64>,
    /// Places of the coefficients in `[c, h, w]` and `[c, h_out, w_out]`: pairs with a value first.
    right: Vec<usize>,
    left: Vec<usize>,
}

impl Separable {
    /// From the two matrices; they are decomposed when their short sides are at most [`MAX_SVD`].
    ///
    /// # Errors
    /// When the matrices do not fit the picture, or do not decompose.
    pub fn new(shape: Shape, rows: Matrix, columns: Matrix) -> Result<Self, OperatorError> {
        Self::named("separable", shape, rows, columns)
    }

    /// Down-sampling by the mean of every `k` x `k` pixels.
    ///
    /// # Errors
    /// When `k` does not divide both sides.
    pub fn average(shape: Shape, k: usize) -> Result<Self, OperatorError> {
        let (rows, columns) = (resample::average(shape.height(), k, "height")?, resample::average(shape.width(), k, "width")?);
        Self::named("average", shape, rows, columns)
    }

    /// Bicubic down-sampling by `k`: the kernel of Keys (1981), `a = -1/2`, stretched by `k` against aliasing, normalised, edges
    /// mirrored.
    ///
    /// # Errors
    /// When `k` does not divide both sides.
    pub fn bicubic(shape: Shape, k: usize) -> Result<Self, OperatorError> {
        let (rows, columns) = (resample::bicubic(shape.height(), k, "height")?, resample::bicubic(shape.width(), k, "width")?);
        Self::named("bicubic", shape, rows, columns)
    }

    /// Gaussian blur of deviation `sigma` pixels, cut at four deviations, edges mirrored.
    ///
    /// # Errors
    /// When `sigma` is not positive.
    pub fn gaussian(shape: Shape, sigma: f64) -> Result<Self, OperatorError> {
        let (rows, columns) = (resample::gaussian(shape.height(), sigma)?, resample::gaussian(shape.width(), sigma)?);
        Self::named("gaussian blur", shape, rows, columns)
    }

    fn named(name: &'static str, shape: Shape, rows: Matrix, columns: Matrix) -> Result<Self, OperatorError> {
        for (first, found, second, expected) in [
            ("a column of the row matrix", rows.columns(), "the picture's height", shape.height()),
            ("a column of the column matrix", columns.columns(), "the picture's width", shape.width()),
        ] {
            if found != expected {
                return Err(OperatorError::Mismatch { first, found, second, expected });
            }
        }
        let out = Shape::new(shape.channels(), rows.rows(), columns.rows())?;
        let cheap = rows.rows().min(rows.columns()).max(columns.rows().min(columns.columns())) <= MAX_SVD;
        let kronecker = if cheap { Some(Kronecker::new(shape, out, &rows, &columns)?) } else { None };
        Ok(Self { name, shape, rows, columns, kronecker })
    }

    /// The shape of the measurement, `[c, h_out, w_out]`.
    pub fn output_shape(&self) -> Shape {
        Shape::new(self.shape.channels(), self.rows.rows(), self.columns.rows()).expect("the constructor made it")
    }
}

impl Operator for Separable {
    fn name(&self) -> &'static str {
        self.name
    }

    fn inputs(&self) -> usize {
        self.shape.entries()
    }

    fn outputs(&self) -> usize {
        self.shape.channels() * self.rows.rows() * self.columns.rows()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        let (w, w_out) = (self.columns.columns(), self.columns.rows());
        let mut line = vec![0.0; w];
        let planes = x.chunks_exact(self.shape.pixels()).zip(y.chunks_exact_mut(self.rows.rows() * w_out));
        for (x, y) in planes {
            for (i, y) in y.chunks_exact_mut(w_out).enumerate() {
                // One line of R X [w], then of R X C^T [w_out].
                let (at, band) = self.rows.band(i);
                line.fill(0.0);
                band.iter().zip(x[at * w..].chunks_exact(w)).for_each(|(r, x)| axpy(*r, x, &mut line));
                y.fill(0.0);
                self.columns.add_product(&line, y);
            }
        }
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        let (w, w_out) = (self.columns.columns(), self.columns.rows());
        let mut line = vec![0.0; w];
        out.fill(0.0);
        let planes = out.chunks_exact_mut(self.shape.pixels()).zip(v.chunks_exact(self.rows.rows() * w_out));
        for (out, v) in planes {
            for (i, v) in v.chunks_exact(w_out).enumerate() {
                // One line of V C [w], spread by R^T.
                line.fill(0.0);
                self.columns.add_transposed_product(v, &mut line);
                let (at, band) = self.rows.band(i);
                band.iter().zip(out[at * w..].chunks_exact_mut(w)).for_each(|(r, out)| axpy(*r, &line, out));
            }
        }
    }

    fn singular(&self) -> Option<&dyn Singular> {
        self.kronecker.as_ref().map(|kronecker| kronecker as &dyn Singular)
    }
}

impl Kronecker {
    fn new(shape: Shape, out: Shape, rows: &Matrix, columns: &Matrix) -> Result<Self, OperatorError> {
        let (rows, columns) = (Svd::new(rows)?, Svd::new(columns)?);
        let (s, t) = (rows.values(), columns.values());
        let plane: Vec<f64> = s.iter().flat_map(|s| t.iter().map(move |t| s * t)).collect();
        let values = cleaned(plane.repeat(shape.channels()), out.entries(), shape.entries());
        let (right, left) = (order(shape, s.len(), t.len()), order(out, s.len(), t.len()));
        Ok(Self { shape, out, rows, columns, values, right, left })
    }
}

/// Places of a picture's coefficients: those within `[c, k, l]` first, then the others.
fn order(shape: Shape, k: usize, l: usize) -> Vec<usize> {
    let inside = |p: usize| p % shape.pixels() / shape.width() < k && p % shape.width() < l;
    let (mut first, others): (Vec<usize>, Vec<usize>) = (0..shape.entries()).partition(|p| inside(*p));
    first.extend(others);
    first
}

type Map<'a> = &'a dyn Fn(&[f64], &mut [f64]);

/// `L X M^T` for every channel, by maps of lines: `columns` on every row, `rows` on every column.
fn along_axes(shape: Shape, x: &[f64], rows: Map<'_>, columns: Map<'_>) -> Vec<f64> {
    let (h, w) = (shape.height(), shape.width());
    let mut out = vec![0.0; x.len()];
    out.chunks_exact_mut(w).zip(x.chunks_exact(w)).for_each(|(out, x)| columns(x, out));
    let (mut line, mut turned) = (vec![0.0; h], vec![0.0; h]);
    for plane in out.chunks_exact_mut(h * w) {
        for j in 0..w {
            line.iter_mut().enumerate().for_each(|(i, l)| *l = plane[i * w + j]);
            rows(&line, &mut turned);
            turned.iter().enumerate().for_each(|(i, t)| plane[i * w + j] = *t);
        }
    }
    out
}

impl Singular for Kronecker {
    fn values(&self) -> &[f64] {
        &self.values
    }

    fn to_right(&self, x: &[f64], out: &mut [f64]) {
        let (rows, columns) = (&self.rows, &self.columns);
        gather(&self.right, &along_axes(self.shape, x, &|a, b| rows.to_right(a, b), &|a, b| columns.to_right(a, b)), out);
    }

    fn from_right(&self, c: &[f64], out: &mut [f64]) {
        let (rows, columns, mut x) = (&self.rows, &self.columns, vec![0.0; c.len()]);
        scatter(&self.right, c, &mut x);
        out.copy_from_slice(&along_axes(self.shape, &x, &|a, b| rows.from_right(a, b), &|a, b| columns.from_right(a, b)));
    }

    fn to_left(&self, y: &[f64], out: &mut [f64]) {
        let (rows, columns) = (&self.rows, &self.columns);
        gather(&self.left, &along_axes(self.out, y, &|a, b| rows.to_left(a, b), &|a, b| columns.to_left(a, b)), out);
    }

    fn from_left(&self, c: &[f64], out: &mut [f64]) {
        let (rows, columns, mut y) = (&self.rows, &self.columns, vec![0.0; c.len()]);
        scatter(&self.left, c, &mut y);
        out.copy_from_slice(&along_axes(self.out, &y, &|a, b| rows.from_left(a, b), &|a, b| columns.from_left(a, b)));
    }
}
