//! The gradient of a convolution of stride 1 with respect to its weights, operands in bfloat16.
//!
//! `dw[k, c, t] = sum_p dy[k, p] x[c, p + t]` sums over outputs: a step is 32 of them, in pairs of neighbours. For 32 channels and a tap the
//! left operand is `x` shifted by the tap, whose pairs lie as they do in the picture; the right one is `dy` turned, made once for all.
//! Rows of outputs get zeros at their end that fill up eights. The sums over the steps stay in the second cache; the sum is cut into a
//! number of shares that depends on the sizes alone.

use super::rows::halves;
use super::unit::{BLOCK, Block, EDGE, Square, Start, TERMS, Unit};
use crate::conv::geometry::Shape;
use crate::micro::disjoint::Disjoint;
use crate::parallel::{for_each_chunk, for_each_job, scratch, scratch_squares, unset};

/// Most steps whose left operand exists at once, unless a few rows take more.
const STEPS: usize = 32;

/// How outputs are numbered: rows of `pitch`, `rows` of them a span, `spans` of these a picture.
struct Numbering {
    pitch: usize,
    rows: usize,
    spans: usize,
    /// Steps of a span.
    steps: usize,
}

impl Numbering {
    fn new(grid: [usize; 2]) -> Self {
        let pitch = grid[1].next_multiple_of(8);
        // Rows that make whole steps, as many as fit.
        let whole = (TERMS / (pitch & pitch.wrapping_neg()).min(TERMS)).max(1);
        let most = (STEPS * TERMS / pitch / whole).max(1) * whole;
        let rows = grid[0].next_multiple_of(whole).min(most);
        Self { pitch, rows, spans: grid[0].div_ceil(rows), steps: rows * pitch / TERMS }
    }
}

/// `dw` `[k, c, kh, kw]` from `x` `[n, c, h, w]` and `dy` `[n, k, oh, ow]`.
pub(crate) fn weight_gradient(s: &Shape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    assert_eq!(s.stride, 1, "a convolution of stride 1");
    let grid = s.output();
    let of = Numbering::new(grid);
    let across = s.k.next_multiple_of(BLOCK) / EDGE;
    let (spans, taps) = (s.n * of.spans, s.kernel[0] * s.kernel[1]);
    let blocks = s.c.div_ceil(BLOCK);
    let shares = (8 / blocks).clamp(1, spans);
    let mut parts = unset(shares * s.k * s.c * taps);
    let unit = Unit::detect();
    scratch_squares(spans * of.steps * across, |right| {
        turn(unit, s, &of, dy, across, right);
        let right = &*right;
        let out = Disjoint::new(&mut parts);
        for_each_job(blocks * shares, false, |job| {
            let (share, block) = (job / blocks, job % blocks);
            let range = share * spans / shares..(share + 1) * spans / shares;
            let channels = block * BLOCK..s.c.min((block + 1) * BLOCK);
            let rights = across / 2;
            // A whole number of blocks of sums, and the left operand of a tap.
            scratch_squares(2 * of.steps, |left| {
                scratch(taps * rights * BLOCK * BLOCK, |sums| {
                    sums.fill(0.0);
                    let mut lines = Lines::new(s, &of, channels.len());
                    unit.blocks(|products| {
                        for span in range {
                            lines.read(unit, s, &of, x, span, channels.start);
                            let b = &right[span * of.steps * across..][..of.steps * across];
                            let offsets: Vec<usize> = (0..of.steps).map(|step| step * across).collect();
                            for t in 0..taps {
                                lines.shift(&of, [t / s.kernel[1], t % s.kernel[1]], left);
                                for k in 0..rights {
                                    let sums = &mut sums[(t * rights + k) * BLOCK * BLOCK..][..BLOCK * BLOCK];
                                    products.product(&offsets, left, b, (2 * k, true), Start::Place, Block::of(sums));
                                }
                            }
                        }
                    });
                    for k in 0..s.k {
                        // SAFETY: a job has its own channels of its own share.
                        let to = unsafe { out.slice(((share * s.k + k) * s.c + channels.start) * taps, channels.len() * taps) };
                        for (c, to) in to.chunks_exact_mut(taps).enumerate() {
                            for (t, to) in to.iter_mut().enumerate() {
                                *to = sums[((t * rights + k / BLOCK) * BLOCK + c) * BLOCK + k % BLOCK];
                            }
                        }
                    }
                });
            });
        });
    });
    if shares > 1 {
        let (first, others) = parts.split_at_mut(s.k * s.c * taps);
        for_each_chunk(first, s.c * taps, |k, row| {
            for other in others.chunks_exact(s.k * s.c * taps) {
                row.iter_mut().zip(&other[k * s.c * taps..]).for_each(|(to, from)| *to += from);
            }
        });
        parts.truncate(s.k * s.c * taps);
    }
    parts
}

/// `dy` as right operands, `[span][step][k / 16]` squares `[pair of outputs][channel]`.
fn turn(unit: Unit, s: &Shape, of: &Numbering, dy: &[f32], across: usize, to: &mut [Square]) {
    let [height, width] = s.output();
    let squares = Disjoint::new(to);
    for_each_job(s.n * of.spans * across, false, |job| {
        let (span, block) = (job / across, job % across);
        let (picture, first) = (span / of.spans, span % of.spans * of.rows);
        let mut steps = vec![Square::ZERO; of.steps];
        let mut line = vec![0u16; of.steps * TERMS];
        for r in 0..EDGE {
            let k = block * EDGE + r;
            if k >= s.k {
                continue;
            }
            for (row, to) in line.chunks_exact_mut(of.pitch).enumerate() {
                let y = first + row;
                if y < height {
                    halves(unit, &dy[((picture * s.k + k) * height + y) * width..][..width], &mut to[..width]);
                } else {
                    to.fill(0);
                }
            }
            for (square, numbers) in steps.iter_mut().zip(line.as_chunks::<TERMS>().0) {
                words(numbers, &mut square.0[r]);
            }
        }
        for (step, square) in steps.iter().enumerate() {
            // SAFETY: a job has its own sixteen channels of its own span.
            let to = unsafe { squares.slice((span * of.steps + step) * across + block, 1) };
            square.turn_into(&mut to[0]);
        }
    });
}

/// Pairs of neighbours as words.
fn words(numbers: &[u16; TERMS], to: &mut [u32; EDGE]) {
    for (to, pair) in to.iter_mut().zip(numbers.as_chunks::<2>().0) {
        *to = u32::from(pair[0]) | u32::from(pair[1]) << 16;
    }
}

/// The lines of some channels that a span reads, with their zeros.
struct Lines {
    numbers: Vec<u16>,
    /// Numbers of a line, and of a channel.
    line: usize,
    plane: usize,
    channels: usize,
}

impl Lines {
    fn new(s: &Shape, of: &Numbering, channels: usize) -> Self {
        // Taps beyond the last row of a filled up span read lines that stay zero.
        let (line, lines) = (s.pad.left.max(s.pad.right) + of.pitch.max(s.size[1]) + s.kernel[1], of.rows + s.kernel[0] - 1);
        Self { numbers: vec![0; channels * lines * line], line, plane: lines * line, channels }
    }

    fn read(&mut self, unit: Unit, s: &Shape, of: &Numbering, x: &[f32], span: usize, first: usize) {
        let [height, width] = s.size;
        let (picture, top) = (span / of.spans, (span % of.spans * of.rows) as isize - s.pad.top as isize);
        for (c, plane) in self.numbers.chunks_exact_mut(self.plane).enumerate() {
            let from = &x[(picture * s.c + first + c) * height * width..][..height * width];
            for (i, to) in plane.chunks_exact_mut(self.line).enumerate() {
                let (y, to) = (top + i as isize, &mut to[s.pad.left..][..width]);
                if (0..height as isize).contains(&y) {
                    halves(unit, &from[y as usize * width..][..width], to);
                } else {
                    to.fill(0);
                }
            }
        }
    }

    /// The left operand of a tap: `[step][2]` squares `[channel][pair of outputs]`.
    fn shift(&self, of: &Numbering, [i, j]: [usize; 2], to: &mut [Square]) {
        macro_rules! pieces {
            ($n:literal) => {
                for (step, squares) in to.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                    for (c, row) in squares.iter_mut().flat_map(|s| &mut s.0).enumerate() {
                        if c >= self.channels {
                            row.fill(0);
                            continue;
                        }
                        let mut numbers = [0u16; TERMS];
                        for (p, to) in numbers.as_chunks_mut::<$n>().0.iter_mut().enumerate() {
                            let at = step * TERMS + p * $n;
                            let from = c * self.plane + (at / of.pitch + i) * self.line + at % of.pitch + j;
                            to.copy_from_slice(&self.numbers[from..from + $n]);
                        }
                        words(&numbers, row);
                    }
                }
            };
        }
        match of.pitch {
            pitch if pitch % 32 == 0 => pieces!(32),
            pitch if pitch % 16 == 0 => pieces!(16),
            _ => pieces!(8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::round;
    use super::*;
    use crate::conv::Padding;
    use crate::testing::{numbers, with_threads};

    /// Equals the direct algorithm on operands that were rounded first, and the bits do not depend on the number of threads.
    #[test]
    fn the_same_as_direct_on_rounded_operands() {
        let rounded = |x: &[f32]| -> Vec<f32> { x.iter().map(|&x| f32::from_bits(round(x) << 16)).collect() };
        for (n, c, k, size, kernel, pad) in [
            (1, 1, 1, [4, 4], 3, Padding::all(1)),
            (5, 3, 5, [8, 8], 3, Padding::all(1)),
            (3, 33, 50, [7, 9], 3, Padding::all(1)),
            (2, 70, 33, [32, 32], 3, Padding::all(1)),
            (1, 40, 130, [33, 16], 3, Padding { top: 0, left: 1, bottom: 2, right: 0 }),
            (2, 64, 24, [8, 8], 1, Padding::NONE),
            (2, 20, 31, [28, 28], 3, Padding::all(1)),
            (1, 4, 40, [64, 48], 5, Padding::all(2)),
            (1, 3, 4, [5, 100], 3, Padding::all(1)),
        ] {
            let s = Shape { n, c, size, k, kernel: [kernel; 2], stride: 1, pad };
            let grid = s.output();
            let (x, dy) = (numbers(n * c * size[0] * size[1], 1), numbers(n * k * grid[0] * grid[1], 2));
            let want = crate::conv::direct_weight_gradient(&s, &rounded(&x), &rounded(&dy));
            let ours = with_threads(1, || weight_gradient(&s, &x, &dy));
            assert_eq!(with_threads(3, || weight_gradient(&s, &x, &dy)), ours);
            assert_eq!(ours.len(), want.len());
            for (i, (a, b)) in ours.iter().zip(&want).enumerate() {
                assert!((a - b).abs() < 2e-4, "{s:?} [{i}]: {a} {b}");
            }
        }
    }
}
