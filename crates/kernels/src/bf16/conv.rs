//! Convolution with operands in bfloat16.

use super::rows;
use super::strip::{Plan, Target};
use super::unit::{BLOCK, Block, Blocks, Square, Start};
use super::weights::Weights;
use crate::conv::Padding;
use crate::conv::geometry::Shape;
use crate::conv::tail::Finish;
use crate::micro::disjoint::Disjoint;
use crate::parallel::{for_each_job, scratch_squares, threads, unset};
use std::ops::Range;

/// Blocks of columns whose sums wait in the second cache while the steps go on.
const GROUP: usize = 8;
/// Steps between which they wait: 18 KiB of weights.
const STEPS: usize = 9;

/// `y = w * x` and its tail as [`crate::conv::conv2d_tail`], products in bfloat16 and sums in single precision.
pub(crate) fn forward(s: &Shape, x: &[f32], w: &Weights, tail: Finish<'_>) -> Vec<f32> {
    assert_eq!((w.rows, w.channels, w.taps), (s.k, s.c, s.kernel[0] * s.kernel[1]), "weights of another convolution");
    let plan = Plan::new(s);
    let size = s.output();
    let (points, picture) = (size[0] * size[1], s.c * s.size[0] * s.size[1]);
    tail.check([s.n, s.k, points]);
    let mut y = unset(s.n * s.k * points);
    let out = Disjoint::new(&mut y);
    // Strips of pictures, or several pictures; where these are few, ranges of blocks of channels. Each output is one sum in one order
    // either way.
    let (pieces, blocks) = (s.n.div_ceil(plan.pictures) * plan.strips, s.k.div_ceil(BLOCK));
    let serial = threads() == 1 || small(s, points);
    let splits = if serial { 1 } else { (2 * threads()).div_ceil(pieces).min(blocks) };
    for_each_job(pieces * splits, serial, |job| {
        let (piece, split) = (job / splits, job % splits);
        let (first, strip) = (piece / plan.strips * plan.pictures, piece % plan.strips);
        let pictures = first..s.n.min(first + plan.pictures);
        let blocks = split * blocks / splits..(split + 1) * blocks / splits;
        scratch_squares(plan.room(), |operand| {
            for (place, n) in pictures.clone().enumerate() {
                plan.read(w.unit, &x[n * picture..][..picture], strip, place, operand);
            }
            let targets = plan.targets(strip, pictures, s.k * points);
            w.unit.blocks(|unit| multiply(&unit, w, blocks, &plan.steps, operand, &targets, &out, points, tail));
        });
    });
    y
}

/// The gradient with respect to the input of a convolution of stride 1, padded by less than its kernel: a correlation of `dy` with the
/// weights turned.
pub(crate) fn input_gradient(s: &Shape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let ([height, width], [kh, kw]) = (s.output(), s.kernel);
    let pad = Padding {
        top: kh - 1 - s.pad.top,
        left: kw - 1 - s.pad.left,
        bottom: kh - 1 - s.pad.bottom,
        right: kw - 1 - s.pad.right,
    };
    let back = Shape { n: s.n, c: s.k, size: [height, width], k: s.c, kernel: s.kernel, stride: 1, pad };
    forward(&back, dy, &Weights::turned(w, s.c, s.k, kh * kw), Finish::NONE)
}

/// The products of some blocks of channels with an operand.
fn multiply(
    unit: &Blocks,
    w: &Weights,
    blocks: Range<usize>,
    steps: &[usize],
    operand: &[Square],
    targets: &[Target],
    out: &Disjoint<'_>,
    points: usize,
    tail: Finish<'_>,
) {
    let mut sums = [const { Block::ZERO }; GROUP];
    for block in blocks {
        let squares = w.block(block);
        let tall = squares.len() / steps.len();
        for targets in targets.chunks(GROUP) {
            // The weights of some steps stay in the first cache for all columns.
            for first in (0..steps.len()).step_by(STEPS) {
                let range = first..steps.len().min(first + STEPS);
                for (target, c) in targets.iter().zip(&mut sums) {
                    let a = &squares[range.start * tall..range.end * tall];
                    let start = if first > 0 { Start::Place } else { Start::Zero };
                    unit.product(&steps[range.clone()], a, operand, (target.square, target.wide), start, c);
                }
            }
            for (target, c) in targets.iter().zip(&sums) {
                for (channel, sums) in (block * BLOCK..w.rows).zip(&c.0) {
                    let bias = tail.bias_of(channel);
                    for &(from, to, len) in &target.runs {
                        let shift = tail.shift.map_or(0.0, |s| s[to / (w.rows * points) * w.rows + channel]);
                        let start = to + channel * points;
                        // SAFETY: a job has its own outputs of its own channels.
                        let to = unsafe { out.slice(start, len) };
                        let residual = tail.residual_at(start, len);
                        rows::finish(w.unit, &sums[from..][..len], [bias, shift, tail.gain], residual, to);
                    }
                }
            }
        }
    }
}

/// Whether a convolution is too small to be shared out.
fn small(s: &Shape, points: usize) -> bool {
    s.n * s.k * points * s.c * s.kernel[0] * s.kernel[1] < 1 << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, with_threads};

    /// Pictures, channels in, out, size, kernel, stride, padding.
    type Case = (usize, usize, usize, [usize; 2], usize, usize, Padding);

    const SHAPES: [Case; 16] = [
        (19, 20, 40, [4, 4], 3, 1, Padding::all(1)),
        (2, 34, 20, [28, 28], 3, 1, Padding::all(1)),
        (2, 31, 20, [14, 15], 3, 1, Padding::all(1)),
        (11, 66, 20, [7, 7], 3, 1, Padding::all(1)),
        (1, 10, 20, [9, 30], 3, 1, Padding::all(1)),
        (1, 1, 1, [4, 4], 3, 1, Padding::all(1)),
        (9, 3, 5, [8, 8], 3, 1, Padding::all(1)),
        (3, 33, 50, [7, 9], 3, 1, Padding::all(1)),
        (2, 70, 33, [32, 32], 3, 1, Padding::all(1)),
        (1, 40, 130, [33, 16], 3, 1, Padding { top: 0, left: 1, bottom: 2, right: 1 }),
        (2, 64, 24, [8, 8], 1, 1, Padding::NONE),
        (2, 31, 24, [7, 7], 1, 1, Padding::NONE),
        (2, 20, 18, [16, 16], 3, 2, Padding { top: 0, left: 0, bottom: 1, right: 1 }),
        (1, 4, 40, [64, 48], 5, 1, Padding::all(2)),
        (2, 3, 20, [12, 9], 7, 1, Padding::all(3)),
        (2, 20, 18, [16, 12], 2, 2, Padding::NONE),
    ];

    fn rounded(x: &[f32]) -> Vec<f32> {
        x.iter().map(|&x| f32::from_bits(super::super::round(x) << 16)).collect()
    }

    /// Equals the direct algorithm in single precision on operands that were rounded first.
    #[test]
    fn the_same_as_direct_on_rounded_operands() {
        for (n, c, k, size, kernel, stride, pad) in SHAPES {
            let s = Shape { n, c, size, k, kernel: [kernel; 2], stride, pad };
            let (x, w, b) = (numbers(n * c * size[0] * size[1], 1), numbers(k * c * kernel * kernel, 2), numbers(k, 3));
            let want = crate::conv::direct_forward(&s, &rounded(&x), &rounded(&w), Finish::bias(Some(&b)));
            let mut weights = Weights::new(&w, k, c, kernel * kernel);
            for unit in super::super::unit::Unit::all() {
                weights.unit = unit;
                let ours = forward(&s, &x, &weights, Finish::bias(Some(&b)));
                assert_eq!(ours.len(), want.len());
                for (i, (a, b)) in ours.iter().zip(&want).enumerate() {
                    assert!((a - b).abs() < 2e-5 * (c as f32), "{unit:?} {s:?} [{i}]: {a} {b}");
                }
            }
        }
    }

    /// So does the gradient with respect to the input.
    #[test]
    fn input_gradients_on_rounded_operands() {
        for (n, c, k, size, kernel, stride, pad) in SHAPES {
            let s = Shape { n, c, size, k, kernel: [kernel; 2], stride, pad };
            if s.stride > 1 || [pad.top, pad.left, pad.bottom, pad.right].iter().any(|&p| p >= kernel) {
                continue;
            }
            let grid = s.output();
            let (dy, w) = (numbers(n * k * grid[0] * grid[1], 1), numbers(k * c * kernel * kernel, 2));
            let want = crate::conv::direct_input_gradient(&s, &rounded(&dy), &rounded(&w));
            let ours = input_gradient(&s, &dy, &w);
            assert_eq!(ours.len(), want.len());
            for (i, (a, b)) in ours.iter().zip(&want).enumerate() {
                assert!((a - b).abs() < 2e-5 * (k as f32), "{s:?} [{i}]: {a} {b}");
            }
        }
    }

    /// The bits of a picture's outputs depend neither on the other pictures nor on the number of threads.
    #[test]
    fn pictures_do_not_know_each_other() {
        for (n, c, k, size, kernel, stride, pad) in SHAPES {
            let s = Shape { n, c, size, k, kernel: [kernel; 2], stride, pad };
            let plane = c * size[0] * size[1];
            let x = numbers(n * plane, 1);
            let w = Weights::new(&numbers(k * c * kernel * kernel, 2), k, c, kernel * kernel);
            let all = with_threads(1, || forward(&s, &x, &w, Finish::NONE));
            assert_eq!(with_threads(3, || forward(&s, &x, &w, Finish::NONE)), all);
            let one = forward(&Shape { n: 1, ..s }, &x[(n - 1) * plane..], &w, Finish::NONE);
            assert_eq!(one, all[all.len() - one.len()..]);
        }
    }
}
