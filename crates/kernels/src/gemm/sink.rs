//! Where a product goes.

use crate::micro::{Isa, transpose};

/// Puts finished tiles of C in their places.
///
/// # Safety
/// Different elements of C go to different places of the output, and the parts that `store` asks for different tiles do not
/// overlap: the driver lets several threads store at once.
pub(crate) unsafe trait Sink: Sync {
    /// Adds what belongs to row `i`, columns from `j0` on (a bias).
    fn finish(&self, _i: usize, _j0: usize, _row: &mut [f32]) {}

    /// Stores the tile `c` (rows `wide` apart) of rows `i0..i0 + rows` and columns `j0..j0 + cols`; `place` gives parts of the
    /// output by start and length.
    fn store<'a>(
        &self,
        i0: usize,
        j0: usize,
        rows: usize,
        cols: usize,
        wide: usize,
        c: &[f32],
        place: impl Fn(usize, usize) -> &'a mut [f32],
    );
}

/// A row-major matrix `[m, n]`, with a bias for each column.
pub(crate) struct Matrix<'b> {
    n: usize,
    bias: Option<&'b [f32]>,
}

impl<'b> Matrix<'b> {
    pub(crate) fn new(n: usize, bias: Option<&'b [f32]>) -> Self {
        Self { n, bias }
    }
}

// SAFETY: an element has its own place in the matrix; parts are pieces of rows.
unsafe impl Sink for Matrix<'_> {
    fn finish(&self, _: usize, j0: usize, row: &mut [f32]) {
        if let Some(bias) = self.bias {
            row.iter_mut().zip(&bias[j0..]).for_each(|(y, b)| *y += b);
        }
    }

    fn store<'a>(
        &self,
        i0: usize,
        j0: usize,
        rows: usize,
        cols: usize,
        wide: usize,
        c: &[f32],
        place: impl Fn(usize, usize) -> &'a mut [f32],
    ) {
        for i in 0..rows {
            place((i0 + i) * self.n + j0, cols).copy_from_slice(&c[i * wide..i * wide + cols]);
        }
    }
}

/// The transpose `[n, m]` of the product, row-major, with a bias for each row of the product.
pub(crate) struct Transposed<'b> {
    m: usize,
    bias: Option<&'b [f32]>,
}

impl<'b> Transposed<'b> {
    pub(crate) fn new(m: usize, bias: Option<&'b [f32]>) -> Self {
        Self { m, bias }
    }
}

// SAFETY: an element has its own place in the matrix; parts are pieces of its rows, the columns of the product.
unsafe impl Sink for Transposed<'_> {
    fn finish(&self, i: usize, _: usize, row: &mut [f32]) {
        if let Some(bias) = self.bias {
            row.iter_mut().for_each(|y| *y += bias[i]);
        }
    }

    fn store<'a>(
        &self,
        i0: usize,
        j0: usize,
        rows: usize,
        cols: usize,
        wide: usize,
        c: &[f32],
        place: impl Fn(usize, usize) -> &'a mut [f32],
    ) {
        let isa = Isa::detect();
        let mut column = vec![0.0; rows];
        for j in 0..cols {
            transpose(isa, &c[j..], wide, &mut column, rows, rows, 1);
            place((j0 + j) * self.m + i0, rows).copy_from_slice(&column);
        }
    }
}
