//! The register block `C[32, 32] = A B` in bfloat16, on what the processor has for it.

use crate::micro::disjoint::Disjoint;
use crate::micro::{Isa, transpose};
use std::marker::PhantomData;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod dot;
mod plain;

/// Rows of a square, its columns, and the pairs of a row of A.
pub(crate) const EDGE: usize = 16;
/// Terms of the sum in a step.
pub(crate) const TERMS: usize = 2 * EDGE;
/// Rows and columns of a block.
pub(crate) const BLOCK: usize = 2 * EDGE;

/// Sixteen rows of A and 32 terms of the sum, `[row][pair]`, or as many terms and sixteen columns of B, `[pair][column]`: one kilobyte
/// without gaps, so that no row crosses a line of the cache (which would cost six times as much) and few pages are touched.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Square(pub(crate) [[u32; EDGE]; EDGE]);

impl Square {
    pub(crate) const ZERO: Self = Self([[0; EDGE]; EDGE]);

    /// Rows and columns exchanged.
    pub(crate) fn turn_into(&self, to: &mut Self) {
        // SAFETY: words and numbers are four bytes, every pattern is valid for both, and nothing is computed with them.
        let (from, to) =
            unsafe { (&*(&raw const self.0).cast::<[f32; EDGE * EDGE]>(), &mut *(&raw mut to.0).cast::<[f32; EDGE * EDGE]>()) };
        transpose(Isa::detect(), from, EDGE, to, EDGE, EDGE, EDGE);
    }
}

/// A block of C.
#[repr(C)]
pub(crate) struct Block(pub(crate) [[f32; BLOCK]; BLOCK]);

impl Block {
    pub(crate) const ZERO: Self = Self([[0.0; BLOCK]; BLOCK]);

    /// A block in a slice of as many numbers.
    ///
    /// # Panics
    /// When there are more or fewer.
    pub(crate) fn of(numbers: &mut [f32]) -> &mut Self {
        assert_eq!(numbers.len(), BLOCK * BLOCK, "numbers of a block");
        // SAFETY: a block is these numbers in order.
        unsafe { &mut *numbers.as_mut_ptr().cast::<Self>() }
    }
}

/// Where the sums of a block go: 32 rows of 32 numbers, within a matrix or alone.
pub(crate) struct Place<'a> {
    start: *mut f32,
    apart: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

impl<'a> From<&'a mut Block> for Place<'a> {
    fn from(block: &'a mut Block) -> Self {
        Self { start: block.0.as_mut_ptr().cast(), apart: BLOCK, borrow: PhantomData }
    }
}

impl<'a> Place<'a> {
    /// The block whose first number is `matrix[start]`, in rows `apart` from each other.
    ///
    /// # Safety
    /// As [`Disjoint::slice`] for the numbers of the block.
    ///
    /// # Panics
    /// When the block leaves the matrix.
    pub(crate) unsafe fn within(matrix: &Disjoint<'a>, start: usize, apart: usize) -> Self {
        assert!(apart >= BLOCK && start + (BLOCK - 1) * apart + BLOCK <= matrix.len(), "a block inside the matrix");
        Self { start: matrix.start().wrapping_add(start), apart, borrow: PhantomData }
    }
}

/// What the sums of a block begin with.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing.
    Zero,
    /// What stands in their place.
    Place,
    /// A number a column, the same in each row.
    Row(&'a [f32; BLOCK]),
}

/// What computes a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// The matrix unit of x86 processors (AMX-BF16).
    #[cfg(target_arch = "x86_64")]
    Matrix,
    /// The dot products of AVX-512 (AVX512-BF16).
    #[cfg(target_arch = "x86_64")]
    Dot,
    /// Plain Rust.
    Plain,
}

impl Unit {
    /// The fastest there is. The matrix unit takes the operating system's leave, which is asked for here, once: a guest's processor is slow to
    /// tell what it has.
    pub(crate) fn detect() -> Self {
        static UNIT: OnceLock<Unit> = OnceLock::new();
        *UNIT.get_or_init(|| {
            #[cfg(target_arch = "x86_64")]
            {
                // Operands are written by vectors for both: a machine that hides these from a guest gets the plain body.
                if dot::usable() {
                    return if amx::usable() { Self::Matrix } else { Self::Dot };
                }
            }
            Self::Plain
        })
    }

    /// All there are, for tests that compare them.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        #[cfg_attr(not(target_arch = "x86_64"), allow(unused_mut))]
        let mut all = vec![Self::Plain];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(dot::usable().then_some(Self::Dot));
            all.extend((dot::usable() && amx::usable()).then_some(Self::Matrix));
        }
        all
    }

    /// Runs `work`, which may call [`Blocks::product`] on this thread.
    pub(crate) fn blocks<R>(self, work: impl FnOnce(Blocks) -> R) -> R {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Matrix {
            // SAFETY: only `detect` and `all` make this case, after they found the unit and the leave to use it.
            let _tiles = unsafe { amx::Tiles::new() };
            return work(Blocks(self));
        }
        work(Blocks(self))
    }
}

/// The rows of a block's sums, for the bodies: where they come from (null for zeros) and go to.
#[derive(Clone, Copy)]
struct Rows {
    from: *const f32,
    step: usize,
    to: *mut f32,
    apart: usize,
}

/// The leave to compute blocks on this thread.
pub(crate) struct Blocks(Unit);

impl Blocks {
    /// `c = start + A B`. `a` holds one or two squares a step (rows 0 to 15 and 16 to 31); the squares
    /// `[pair][column]` of a step's columns follow each other in `b` from `steps[step]` on, and number `at` is read and, if `wide`, the next.
    /// Other rows and columns of `c` hold anything afterwards.
    #[inline]
    pub(crate) fn product<'c>(
        &self,
        steps: &[usize],
        a: &[Square],
        b: &[Square],
        (at, wide): (usize, bool),
        start: Start<'_>,
        c: impl Into<Place<'c>>,
    ) {
        let c = c.into();
        // Rows of sums to begin with, and how far apart they lie: the same one again where that is nothing.
        let (from, step) = match start {
            Start::Zero => (std::ptr::null(), 0),
            Start::Place => (c.start.cast_const(), c.apart),
            Start::Row(row) => (row.as_ptr(), 0),
        };
        let sums = Rows { from, step, to: c.start, apart: c.apart };
        let squares = if a.len() == 2 * steps.len() { 2 } else { 1 };
        assert!(!steps.is_empty() && a.len() == squares * steps.len(), "{} squares for {} steps", a.len(), steps.len());
        let last = steps.iter().copied().max().unwrap_or(0);
        assert!(last + at + usize::from(wide) < b.len(), "columns outside the operand");
        let b = &b[at..];
        macro_rules! body {
            ($unit:ident) => {
                match (squares, wide) {
                    (2, true) => $unit::product::<2, 2>(steps, a, b, sums),
                    (2, false) => $unit::product::<2, 1>(steps, a, b, sums),
                    (_, true) => $unit::product::<1, 2>(steps, a, b, sums),
                    (_, false) => $unit::product::<1, 1>(steps, a, b, sums),
                }
            };
        }
        match self.0 {
            // SAFETY: the tiles are configured as long as `self` lives; the bounds of A and B were checked, a place is 32 rows of 32 numbers.
            #[cfg(target_arch = "x86_64")]
            Unit::Matrix => unsafe { body!(amx) },
            // SAFETY: the processor has the instructions; bounds as above.
            #[cfg(target_arch = "x86_64")]
            Unit::Dot => unsafe { body!(dot) },
            // SAFETY: bounds as above.
            Unit::Plain => unsafe { body!(plain) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::round;
    use super::*;
    use crate::testing::numbers;

    fn squares(count: usize, seed: u64) -> Vec<Square> {
        let words: Vec<u32> = numbers(count * 512, seed).chunks_exact(2).map(|v| round(v[0]) | round(v[1]) << 16).collect();
        words.chunks_exact(256).map(|s| Square(std::array::from_fn(|r| std::array::from_fn(|p| s[r * 16 + p])))).collect()
    }

    /// Every form of a block equals the sum in double precision on every unit.
    #[test]
    fn blocks_equal_the_sum() {
        let (count, columns) = (5, 3);
        let steps: Vec<usize> = (0..count).map(|s| s * columns).collect();
        let half = |word: u32, i: usize| f64::from(f32::from_bits(if i == 0 { word << 16 } else { word & 0xffff_0000 }));
        for (tall, wide) in [(1, false), (1, true), (2, false), (2, true)] {
            let (a, b) = (squares(count * tall, 1), squares(count * columns, 2));
            for unit in Unit::all() {
                let mut c = Block::ZERO;
                // Within a matrix of rows of 70 as well, with sums that begin with a number a column.
                let (apart, first) = (70, 2 * 70 + 5);
                let (mut matrix, row) = (vec![9.0f32; 40 * apart], std::array::from_fn(|column| column as f32 / 8.0));
                unit.blocks(|blocks| {
                    blocks.product(&steps[..3], &a[..3 * tall], &b, (1, wide), Start::Zero, &mut c);
                    blocks.product(&steps[3..], &a[3 * tall..], &b, (1, wide), Start::Place, &mut c);
                    let out = Disjoint::new(&mut matrix);
                    for (steps, a, start) in
                        [(&steps[..3], &a[..3 * tall], Start::Row(&row)), (&steps[3..], &a[3 * tall..], Start::Place)]
                    {
                        // SAFETY: one place at a time.
                        blocks.product(steps, a, &b, (1, wide), start, unsafe { Place::within(&out, first, apart) });
                    }
                });
                for (i, number) in matrix.iter().enumerate() {
                    let inside = i >= first && (i - first) / apart < BLOCK && (i - first) % apart < BLOCK;
                    assert!(inside || *number == 9.0, "{unit:?} {tall} {wide}: number {i} is not of the place");
                }
                for row in 0..16 * tall {
                    for column in 0..if wide { 32 } else { 16 } {
                        let mut sum = 0.0;
                        for step in 0..count {
                            for pair in 0..16 {
                                let left = a[step * tall + row / EDGE].0[row % EDGE][pair];
                                let right = b[step * columns + 1 + column / EDGE].0[pair][column % EDGE];
                                sum += half(left, 0) * half(right, 0) + half(left, 1) * half(right, 1);
                            }
                        }
                        let ours = f64::from(c.0[row][column]);
                        assert!((ours - sum).abs() < 1e-5, "{unit:?} {tall} {wide} [{row}, {column}]: {ours} {sum}");
                        let within = f64::from(matrix[first + row * apart + column]) - column as f64 / 8.0;
                        assert!((within - sum).abs() < 1e-5, "{unit:?} {tall} {wide} [{row}, {column}]: {within} {sum}");
                    }
                }
            }
        }
    }
}
