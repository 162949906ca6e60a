//! Affine maps of rows with operands in bfloat16.

use super::unit::{BLOCK, Block, EDGE, Square, TERMS, Unit};
use super::{left, pack};
use crate::micro::disjoint::Disjoint;
use crate::parallel::{for_each_job, scratch_squares, threads, unset};

/// Weights `[o, i]` as a right operand: for each 32 inputs, `o / 16` squares `[pair of inputs][output]`.
pub(crate) struct Columns {
    squares: Vec<Square>,
    inputs: usize,
    outputs: usize,
    steps: Vec<usize>,
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
            let mut rows = vec![Square::ZERO; 2 * steps];
            left(unit, &w[block * BLOCK * inputs..], BLOCK.min(outputs - block * BLOCK), inputs, &mut rows);
            for (i, from) in rows.iter().enumerate() {
                // SAFETY: a block has its own squares.
                unsafe { room.slice(i / 2 * across + 2 * block + i % 2, 1) }.copy_from_slice(&[from.turned()]);
            }
        });
        let steps = (0..steps).map(|step| step * across).collect();
        Self { squares, inputs, outputs, steps, unit }
    }
}

/// `y = x W^T + b` as [`crate::linear()`]: `x` `[n, inputs]`, the result `[n, outputs]`.
pub(crate) fn linear(x: &[f32], w: &Columns, bias: Option<&[f32]>) -> Vec<f32> {
    let (i, o) = (w.inputs, w.outputs);
    let n = x.len() / i;
    let mut y = unset(n * o);
    let out = Disjoint::new(&mut y);
    let (rows, blocks) = (n.div_ceil(BLOCK), o.div_ceil(BLOCK));
    let serial = threads() == 1 || n * i * o < 1 << 18;
    // Each number is one sum in one order, however rows and outputs are shared out.
    let splits = if serial { 1 } else { (2 * threads()).div_ceil(rows).min(blocks) };
    for_each_job(rows * splits, serial, |job| {
        let (row, split) = (job / splits * BLOCK, job % splits);
        let count = BLOCK.min(n - row);
        scratch_squares(2 * w.steps.len(), |operand| {
            left(w.unit, &x[row * i..], count, i, operand);
            w.unit.blocks(|unit| {
                let mut c = Block::ZERO;
                for block in split * blocks / splits..(split + 1) * blocks / splits {
                    unit.product(&w.steps, operand, &w.squares, (2 * block, true), false, &mut c);
                    let first = block * BLOCK;
                    let width = BLOCK.min(o - first);
                    let shift = bias.map_or(&[][..], |bias| &bias[first..first + width]);
                    for (r, sums) in c.0[..count].iter().enumerate() {
                        // SAFETY: a job has its own rows and blocks.
                        put(sums, shift, unsafe { out.slice((row + r) * o + first, width) });
                    }
                }
            });
        });
    });
    y
}

/// A row of a block and what is added to it, if anything.
fn put(sums: &[f32; BLOCK], shift: &[f32], to: &mut [f32]) {
    // Whole rows, of a length that the compiler knows, are nearly all.
    match (<&mut [f32; BLOCK]>::try_from(&mut *to), <&[f32; BLOCK]>::try_from(shift)) {
        (Ok(to), Ok(shift)) => *to = std::array::from_fn(|j| sums[j] + shift[j]),
        (Ok(to), Err(_)) => *to = *sums,
        _ if shift.is_empty() => to.copy_from_slice(&sums[..to.len()]),
        _ => to.iter_mut().zip(sums).zip(shift).for_each(|((to, sum), b)| *to = sum + b),
    }
}

/// `dx = dy W`: the weights with inputs and outputs exchanged.
pub(crate) fn input_gradient(dy: &[f32], w: &[f32], outputs: usize, inputs: usize) -> Vec<f32> {
    let across = inputs.next_multiple_of(BLOCK) / EDGE;
    let mut squares = vec![Square::ZERO; outputs.div_ceil(TERMS) * across];
    let unit = Unit::detect();
    let room = Disjoint::new(&mut squares);
    for_each_job(outputs.div_ceil(TERMS), outputs * inputs < 1 << 14, |step| {
        let rows = TERMS.min(outputs - step * TERMS);
        // SAFETY: a step has its own squares.
        let to = unsafe { room.slice(step * across, across) };
        pack::columns(unit, &w[step * TERMS * inputs..], rows, inputs, 0, inputs, across, to);
    });
    let steps = (0..outputs.div_ceil(TERMS)).map(|step| step * across).collect();
    linear(dy, &Columns { squares, inputs: outputs, outputs: inputs, steps, unit }, None)
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
            let rows = TERMS.min(n - step * TERMS);
            // SAFETY: a step has its own squares.
            let to = unsafe { rights.slice(step * across, across) };
            // The square of a block that has no columns at all.
            to[inputs.div_ceil(EDGE)..].fill(Square::ZERO);
            pack::columns(unit, &x[step * TERMS * inputs..], rows, inputs, 0, inputs, across, to);
            scratch_squares(down, |turned| {
                turned[outputs.div_ceil(EDGE)..].fill(Square::ZERO);
                pack::columns(unit, &dy[step * TERMS * outputs..], rows, outputs, 0, outputs, down, turned);
                for (i, square) in turned.iter().enumerate() {
                    // SAFETY: as above.
                    let to = unsafe { lefts.slice((i / 2 * steps + step) * 2 + i % 2, 1) };
                    to[0] = square.turned();
                }
            });
        });
        let (left, right) = (&*left, &*right);
        let offsets: Vec<usize> = (0..steps).map(|step| step * across).collect();
        let blocks = (down / 2) * (across / 2);
        for_each_job(blocks, threads() == 1 || n * outputs * inputs < 1 << 18, |job| {
            let (row, column) = (job / (across / 2), job % (across / 2));
            let mut c = Block::ZERO;
            unit.blocks(|unit| {
                unit.product(&offsets, &left[2 * row * steps..][..2 * steps], right, (2 * column, true), false, &mut c)
            });
            let (o, i) = (row * BLOCK, column * BLOCK);
            for (r, sums) in c.0.iter().enumerate().take(outputs - o) {
                let width = BLOCK.min(inputs - i);
                // SAFETY: a block has its own place in the matrix.
                put(sums, &[], unsafe { out.slice((o + r) * inputs + i, width) });
            }
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
                let y = with_threads(3, || linear(&x, &columns, Some(&b)));
                for (e, y) in y.iter().enumerate() {
                    let sum: f64 = (0..i).map(|t| value(x[e / o * i + t]) * value(w[e % o * i + t])).sum();
                    assert!((f64::from(*y) - sum - f64::from(b[e % o])).abs() < 1e-5, "{unit:?} {n} x {i} -> {o} [{e}]");
                }
                assert_eq!(with_threads(1, || linear(&x[(n - 1) * i..], &columns, Some(&b))), y[(n - 1) * o..]);
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
