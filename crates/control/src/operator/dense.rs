//! Any matrix: random projections, compressed sensing, measurements given as a table.

use super::error::within;
use super::{MAX_SVD, Matrix, Operator, OperatorError, Singular, Svd, Uniforms, assert_rows, normal};

/// `y = M x`, `M [m, d]`.
#[derive(Clone, Debug)]
pub struct Dense {
    matrix: Matrix,
    svd: Option<Svd>,
}

impl Dense {
    /// Of a matrix, decomposed here and now when its short side is at most [`MAX_SVD`] (see [`Svd::new`] for what it costs).
    ///
    /// # Errors
    /// When the decomposition does not converge.
    pub fn new(matrix: Matrix) -> Result<Self, OperatorError> {
        let svd = if matrix.rows().min(matrix.columns()) <= MAX_SVD { Some(Svd::new(&matrix)?) } else { None };
        Ok(Self { matrix, svd })
    }

    /// Of a matrix that is not decomposed: solves run by conjugate gradients.
    pub fn plain(matrix: Matrix) -> Self {
        Self { matrix, svd: None }
    }

    /// A random projection `[m, d]`: independent normals of variance `1 / m`, so that `E |A x|^2 = |x|^2`.
    ///
    /// # Errors
    /// When a side is zero or the matrix too large, and as [`Dense::new`].
    pub fn random(m: usize, d: usize, uniform: &mut Uniforms<'_>) -> Result<Self, OperatorError> {
        within("the number of measurements", m as f64, "at least 1", m > 0)?;
        within("the number of entries", d as f64, "at least 1", d > 0)?;
        let scale = (m as f64).sqrt().recip();
        let values = (0..Matrix::entries(m, d)?).map(|_| scale * normal(uniform)).collect();
        Self::new(Matrix::new(m, d, values)?)
    }

    /// The matrix.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }
}

impl Operator for Dense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn inputs(&self) -> usize {
        self.matrix.columns()
    }

    fn outputs(&self) -> usize {
        self.matrix.rows()
    }

    #[track_caller]
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        assert_rows(self, x, y);
        y.fill(0.0);
        self.matrix.add_product(x, y);
    }

    #[track_caller]
    fn pullback(&self, _x: &[f64], v: &[f64], out: &mut [f64]) {
        assert_rows(self, out, v);
        out.fill(0.0);
        self.matrix.add_transposed_product(v, out);
    }

    fn singular(&self) -> Option<&dyn Singular> {
        self.svd.as_ref().map(|svd| svd as &dyn Singular)
    }
}
