//! The left-hand matrix, read where it lies.

/// A matrix `[m, k]` whose sum index is cut into blocks, each block with its own start.
pub(crate) struct Left<'a> {
    data: &'a [f32],
    starts: Vec<usize>,
    rs: usize,
    cs: usize,
}

impl<'a> Left<'a> {
    /// A row-major matrix whose rows are `distance` numbers apart.
    pub(crate) fn rows(data: &'a [f32], distance: usize, blocks: &[usize]) -> Self {
        Self { data, starts: starts(blocks, 1), rs: distance, cs: 1 }
    }

    /// The transpose of a row-major matrix `[k, m]` whose rows are `distance` numbers apart.
    pub(crate) fn transposed(data: &'a [f32], distance: usize, blocks: &[usize]) -> Self {
        Self { data, starts: starts(blocks, distance), rs: 1, cs: distance }
    }

    /// Rows `distance` numbers apart, the blocks of each starting anywhere.
    pub(crate) fn scattered(data: &'a [f32], distance: usize, starts: Vec<usize>) -> Self {
        Self { data, starts, rs: distance, cs: 1 }
    }

    /// The part from row `i` and the first column of a block on, with the distances of rows and columns.
    #[inline]
    pub(super) fn at(&self, block: usize, i: usize) -> (&[f32], usize, usize) {
        (&self.data[self.starts[block] + i * self.rs..], self.rs, self.cs)
    }
}

fn starts(blocks: &[usize], step: usize) -> Vec<usize> {
    let ends = blocks.iter().scan(0, |end, len| {
        *end += len * step;
        Some(*end)
    });
    ends.zip(blocks).map(|(end, len)| end - len * step).collect()
}
