//! Affine maps of rows with operands in bfloat16.

use super::unit::{BLOCK, Block, EDGE, Place, Square, Start, TERMS, Unit};
use super::{left, pack};
use crate::linear::add_rows;
use crate::micro::disjoint::Disjoint;
use crate::parallel::{for_each_job, scratch_squares, threads, unset};

/// Weights `[o, i]` as a right operand: for each 32 inputs, `o / 16` squares `[pair of inputs][output]`.
pub(crate) struct Columns {
    squares: Vec<Square>,
    inputs: usize,
    outputs: usize,
    unit: Unit,
}

impl Columns {
    /// From weights `[outputs, inputs]`; inputs and outputs that are not there are zero.
    pub(crate) fn new(w: &[f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(w.len(), outputs * inputs, "weights of another size");
        let (steps, across) = (inputs.div_ceil(TERMS), outputs.next_multiple_of(BLOCK) / EDGE);
        // From `[32 outputs][step][2]`, a row for each output, to `[step][16 outputs]`, a column for each.
        let unit = Unit::detect();
        let mut squares = vec![Square::ZERO; steps * across];
        let room = Disjoint::new(&mut squares);
        for_each_job(across / 2, outputs * inputs < 1 << 14, |block| {
            scratch_squares(2 * steps, |rows| {
                left(unit, &w[block * BLOCK * inputs..], BLOCK.min(outputs - block * BLOCK), inputs, rows);
                for (i, from) in rows.iter().enumerate() {
                    // SAFETY: a block has its own squares.
                    from.turn_into(&mut unsafe { room.slice(i / 2 * across + 2 * block + i % 2, 1) }[0]);
                }
            });
        });
        Self { squares, inputs, outputs, unit }
    }
}

/// `y = x W^T + b`, and what is added if anything, as [`crate::linear_onto`]: `x` `[n, inputs]`, the result `[n, outputs]`.
pub(crate) fn linear(x: &[f32], w: &Columns, bias: Option<&[f32]>, onto: Option<&[f32]>) -> Vec<f32> {
    by_columns(w.unit, x, &w.squares, [w.inputs, w.outputs], [bias, onto])
}

/// `x` `[n, i]` by a right operand of `i` rows and `o` columns, with a bias that the sums begin with, and a matrix that is added.
fn by_columns(unit: Unit, x: &[f32], columns: &[Square], [i, o]: [usize; 2], added: [Option<&[f32]>; 2]) -> Vec<f32> {
    let [bias, onto] = added;
    let n = x.len() / i;
    let mut y = unset(n * o);
    let out = Disjoint::new(&mut y);
    let (rows, blocks) = (n.div_ceil(BLOCK), o.div_ceil(BLOCK));
    let steps: Vec<usize> = (0..i.div_ceil(TERMS)).map(|step| step * 2 * blocks).collect();
    let serial = threads() == 1 || n * i * o < 1 << 18;
    // Each number is one sum in one order, however rows and outputs are shared out.
    let splits = if serial { 1 } else { (2 * threads()).div_ceil(rows).min(blocks) };
    for_each_job(rows * splits, serial, |job| {
        let (row, split) = (job / splits * BLOCK, job % splits);
        let count = BLOCK.min(n - row);
        scratch_squares(2 * steps.len(), |operand| {
            left(unit, &x[row * i..], count, i, operand);
            unit.blocks(|unit| {
                for block in split * blocks / splits..(split + 1) * blocks / splits {
                    let first = block * BLOCK;
                    let width = BLOCK.min(o - first);
                    let mut shift = [0.0; BLOCK];
                    let start = bias.map_or(Start::Zero, |bias| {
                        shift[..width].copy_from_slice(&bias[first..first + width]);
                        Start::Row(&shift)
                    });
                    // SAFETY: a job has its own rows and blocks.
                    unsafe {
                        place(&out, [row, first], [count, width], o, |to| {
                            unit.product(&steps, operand, columns, (2 * block, true), start, to);
                        });
                    }
                    let Some(onto) = onto else { continue };
                    for r in row..row + count {
                        let at = r * o + first;
                        // SAFETY: as above.
                        add_rows(unsafe { out.slice(at, width) }, &onto[at..at + width]);
                    }
                }
            });
        });
    });
    y
}

/// A product of 32 rows and columns into a matrix of rows of `apart` at a row and a column, of which so many rows and columns are there.
///
/// # Safety
/// As [`Disjoint::slice`] for these numbers.
unsafe fn place(
    matrix: &Disjoint<'_>,
    [row, column]: [usize; 2],
    [rows, columns]: [usize; 2],
    apart: usize,
    product: impl FnOnce(Place<'_>),
) {
    let start = row * apart + column;
    if rows >= BLOCK && columns >= BLOCK {
        // SAFETY: as the caller promises.
        return product(unsafe { Place::within(matrix, start, apart) });
    }
    let mut c = Block::ZERO;
    product((&mut c).into());
    for (r, sums) in c.0.iter().enumerate().take(rows) {
        // SAFETY: as the caller promises.
        unsafe { matrix.slice(start + r * apart, columns) }.copy_from_slice(&sums[..columns]);
    }
}

/// `dx = dy W`: the weights with inputs and outputs exchanged.
pub(crate) fn input_gradient(dy: &[f32], w: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    let (steps, across) = (outputs.div_ceil(TERMS), inputs.next_multiple_of(BLOCK) / EDGE);
    let unit = Unit::detect();
    scratch_squares(steps * across, |squares| {
        let room = Disjoint::new(squares);
        for_each_job(steps, outputs * inputs < 1 << 14, |step| {
            // SAFETY: a step has its own squares.
            let to = unsafe { room.slice(step * across, across) };
            step_of(unit, w, [outputs, inputs], step, to);
        });
        by_columns(unit, dy, squares, [outputs, inputs], [None; 2])
    })
}

/// 32 rows of a matrix of so many rows and columns as `[pair of rows][column]`, whole blocks of columns.
fn step_of(unit: Unit, x: &[f32], [rows, columns]: [usize; 2], step: usize, to: &mut [Square]) {
    // The square of a block that has no columns at all.
    to[columns.div_ceil(EDGE)..].fill(Square::ZERO);
    let count = TERMS.min(rows - step * TERMS);
    pack::columns(unit, &x[step * TERMS * columns..], count, columns, 0, columns, to.len(), to);
}

/// `dW = dy^T x`, `[outputs, inputs]`: the sum goes over the rows.
pub(crate) fn weight_gradient(dy: &[f32], x: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    let n = dy.len() / outputs;
    let steps = n.div_ceil(TERMS);
    let [down, across] = [outputs, inputs].map(|width| width.next_multiple_of(BLOCK) / EDGE);
    let unit = Unit::detect();
    let mut dw = unset(outputs * inputs);
    let out = Disjoint::new(&mut dw);
    scratch_squares(steps * (down + across), |room| {
        let (left, right) = room.split_at_mut(steps * down);
        // Both as `[pair of rows][column]`, 32 rows a job; the left one's squares are then turned, and stand by block.
        let (lefts, rights) = (Disjoint::new(left), Disjoint::new(right));
        let serial = threads() == 1 || n * (outputs + inputs) < 1 << 14;
        for_each_job(steps, serial, |step| {
            // SAFETY: a step has its own squares.
            step_of(unit, x, [n, inputs], step, unsafe { rights.slice(step * across, across) });
            scratch_squares(down, |straight| {
                step_of(unit, dy, [n, outputs], step, straight);
                for (i, square) in straight.iter().enumerate() {
                    // SAFETY: as above.
                    square.turn_into(&mut unsafe { lefts.slice((i / 2 * steps + step) * 2 + i % 2, 1) }[0]);
                }
            });
        });
        let (left, right) = (&*left, &*right);
        let offsets: Vec<usize> = (0..steps).map(|step| step * across).collect();
        let blocks = (down / 2) * (across / 2);
        for_each_job(blocks, threads() == 1 || n * outputs * inputs < 1 << 18, |job| {
            let (row, column) = (job / (across / 2), job % (across / 2));
            let (o, i) = (row * BLOCK, column * BLOCK);
            let rows = &left[2 * row * steps..][..2 * steps];
            unit.blocks(|unit| {
                // SAFETY: a block has its own place in the matrix.
                unsafe {
                    place(&out, [o, i], [BLOCK.min(outputs - o), BLOCK.min(inputs - i)], inputs, |to| {
                        unit.product(&offsets, rows, right, (2 * column, true), Start::Zero, to);
                    });
                }
            });
        });
    });
    dw
}

#[cfg(test)]
mod tests {
    use super::super::round;
    use super::*;
    use crate::testing::{numbers, with_threads};

    /// Equals the sum in double precision on operands that were rounded first, whatever the number of threads and of rows.
    #[test]
    fn the_sum_of_rounded_operands() {
        let value = |x: f32| f64::from(f32::from_bits(round(x) << 16));
        for (n, i, o) in [(1, 1, 1), (3, 40, 5), (33, 64, 65), (100, 17, 256), (70, 520, 31)] {
            let (x, w, b) = (numbers(n * i, 1), numbers(o * i, 2), numbers(o, 3));
            let mut columns = Columns::new(&w, o, i);
            for unit in Unit::all() {
                columns.unit = unit;
                let y = with_threads(3, || linear(&x, &columns, Some(&b), None));
                for (e, y) in y.iter().enumerate() {
                    let sum: f64 = (0..i).map(|t| value(x[e / o * i + t]) * value(w[e % o * i + t])).sum();
                    assert!((f64::from(*y) - sum - f64::from(b[e % o])).abs() < 1e-5, "{unit:?} {n} x {i} -> {o} [{e}]");
                }
                assert_eq!(with_threads(1, || linear(&x[(n - 1) * i..], &columns, Some(&b), None)), y[(n - 1) * o..]);
                let onto = numbers(n * o, 4);
                let added = with_threads(3, || linear(&x, &columns, Some(&b), Some(&onto)));
                assert!(added.iter().zip(&y).zip(&onto).all(|((added, y), onto)| *added == y + onto));
            }
        }
    }

    /// Both gradients equal the sums in double precision on operands that were rounded first.
    #[test]
    fn gradients_of_rounded_operands() {
        let value = |x: f32| f64::from(f32::from_bits(round(x) << 16));
        for (n, i, o) in [(1, 1, 1), (3, 40, 5), (33, 64, 65), (100, 17, 256), (70, 300, 31)] {
            let (x, w, dy) = (numbers(n * i, 1), numbers(o * i, 2), numbers(n * o, 3));
            let dx = with_threads(3, || input_gradient(&dy, &w, o, i));
            assert_eq!(dx, with_threads(1, || input_gradient(&dy, &w, o, i)));
            for (e, dx) in dx.iter().enumerate() {
                let sum: f64 = (0..o).map(|t| value(dy[e / i * o + t]) * value(w[t * i + e % i])).sum();
                assert!((f64::from(*dx) - sum).abs() < 1e-5, "input {n} x {i} -> {o} [{e}]");
            }
            let dw = with_threads(3, || weight_gradient(&dy, &x, o, i));
            assert_eq!(dw, with_threads(1, || weight_gradient(&dy, &x, o, i)));
            for (e, dw) in dw.iter().enumerate() {
                let sum: f64 = (0..n).map(|t| value(dy[t * o + e / i]) * value(x[t * i + e % i])).sum();
                assert!((f64::from(*dw) - sum).abs() < 1e-5, "weight {n} x {i} -> {o} [{e}]");
            }
        }
    }
}
