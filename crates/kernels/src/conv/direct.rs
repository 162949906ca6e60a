//! Direct convolution as implicit matrix products: forward, and the gradients with respect to input and weights.

use super::geometry::{Correlation, Shape};
use super::patches::{ByPoint, ByWeight, Patches};
use super::tail::{Finish, finish};
use crate::gemm::{BLOCK, Left, Matrix, Sink, blocks, product};
use crate::micro::HALF;
use crate::parallel::{for_each_chunk, map_jobs, scratch, unset};

/// `y = w * x` and its tail: `x` `[n, c, h, w]`, `w` `[k, c, kh, kw]`, the result `[n, k, oh, ow]`.
pub(crate) fn forward(s: &Shape, x: &[f32], w: &[f32], tail: Finish<'_>) -> Vec<f32> {
    let correlation = s.forward();
    let size = correlation.grid;
    tail.check([s.n, s.k, size[0] * size[1]]);
    let mut y = unset(s.n * s.k * size[0] * size[1]);
    correlate(&correlation, x, w, &Grid { m: s.k, grid: size, size, origin: [0, 0], stride: 1, tail }, &mut y);
    y
}

/// `dx[c, s o + i - p] += w[k, c, i] dy[k, o]`, gathered: one correlation with turned weights for each phase of the stride.
pub(crate) fn input_gradient(s: &Shape, dy: &[f32], w: &[f32]) -> Vec<f32> {
    let mut dx = unset(s.n * s.c * s.size[0] * s.size[1]);
    for phase in s.input_gradient() {
        let grid = phase.correlation.grid;
        let sink = Grid { m: s.c, grid, size: s.size, origin: phase.origin, stride: s.stride, tail: Finish::NONE };
        scratch(s.c * s.k * phase.weights.len(), |turned| {
            turn(s, w, &phase.weights, turned);
            correlate(&phase.correlation, dy, turned, &sink, &mut dx);
        });
    }
    dx
}

/// `dw[k, c, i] = sum over pictures and outputs of dy[k, o] x[c, s o + i - p]`.
///
/// The sum is cut into a number of parts that depends on the sizes only, each of blocks of points in order.
pub(crate) fn weight_gradient(s: &Shape, x: &[f32], dy: &[f32]) -> Vec<f32> {
    let correlation = s.forward();
    let points = correlation.points();
    // Rows of A are channels of dy. Where a picture has few points, gather all pictures of a channel first.
    if points >= BLOCK && points.is_multiple_of(HALF) {
        let mut parts = Vec::new();
        for picture in 0..s.n {
            let (mut a, mut vector) = (picture * s.k * points, picture * points / HALF);
            for len in even_blocks(points) {
                parts.push(Part { a, vector, len });
                a += len;
                vector += len / HALF;
            }
        }
        return weight_products(s, &correlation, x, dy, points, &parts);
    }
    scratch(dy.len(), |gathered| {
        by_channel(dy, s.n, s.k, points, gathered);
        let lengths = blocks(s.n * points, BLOCK).into_iter().enumerate();
        let parts: Vec<_> = lengths.map(|(b, len)| Part { a: b * BLOCK, vector: b * BLOCK / HALF, len }).collect();
        weight_products(s, &correlation, x, gathered, s.n * points, &parts)
    })
}

/// A block of the sum over points: its start in the rows of A, its first vector of patches, its length.
#[derive(Clone, Copy)]
struct Part {
    a: usize,
    vector: usize,
    len: usize,
}

/// `dw = A patches^T` with the channels of dy `distance` apart in `a`.
fn weight_products(s: &Shape, of: &Correlation, x: &[f32], a: &[f32], distance: usize, parts: &[Part]) -> Vec<f32> {
    let (taps, n) = (of.taps.len(), s.c * of.taps.len());
    let product_of = |parts: &[Part], out: &mut [f32]| {
        let lengths: Vec<_> = parts.iter().map(|p| p.len).collect();
        let left = Left::scattered(a, distance, parts.iter().map(|p| p.a).collect());
        let right = ByWeight::new(Patches::new(x, of), parts.iter().map(|p| p.vector).collect());
        product(s.k, n, &lengths, &left, &right, &Matrix::new(n, None), out);
    };
    // Few elements: share out the sum, in a fixed number of shares added in order.
    let shares = if n * s.k >= 1 << 14 { 1 } else { parts.len().div_ceil(4).clamp(1, 8) };
    let per_share = parts.len().div_ceil(shares).max(1);
    let mut dw = unset(s.k * n);
    scratch(s.k * n, |sum| {
        product_of(&parts[..per_share.min(parts.len())], sum);
        let rest: Vec<_> = parts.chunks(per_share).skip(1).collect();
        let others = map_jobs(rest.len(), false, |i| {
            let mut out = unset(s.k * n);
            product_of(rest[i], &mut out);
            out
        });
        for other in others {
            sum.iter_mut().zip(&other).for_each(|(a, b)| *a += b);
        }
        // From tap-major columns to the layout of the weights.
        let sum = &*sum;
        for_each_chunk(&mut dw, n, |k, row| {
            for (c, to) in row.chunks_exact_mut(taps).enumerate() {
                for (t, to) in to.iter_mut().enumerate() {
                    *to = sum[k * n + t * s.c + c];
                }
            }
        });
    });
    dw
}

/// `A = w` as `[m, (c, t)]` against the patches of `src`.
fn correlate(of: &Correlation, src: &[f32], w: &[f32], sink: &Grid<'_>, out: &mut [f32]) {
    let taps = of.taps.len();
    // Blocks are whole channels, and their length a function of the kernel alone.
    let channels = (BLOCK / taps.max(1)).max(1);
    let blocks: Vec<_> =
        if taps == 0 { Vec::new() } else { blocks(of.channels, channels).into_iter().map(|c| c * taps).collect() };
    let points = of.n * of.points();
    let left = Left::rows(w, of.channels * taps, &blocks);
    product(sink.m, points, &blocks, &left, &ByPoint::new(Patches::new(src, of), points, channels), sink, out);
}

/// Weights with input and output channels exchanged, for some places of the kernel: `[c, (k, t)]`.
fn turn(s: &Shape, w: &[f32], places: &[usize], turned: &mut [f32]) {
    const CHANNELS: usize = 8;
    let area = s.kernel[0] * s.kernel[1];
    let row = s.k * places.len();
    if row == 0 {
        return;
    }
    for_each_chunk(turned, CHANNELS * row, |chunk, rows| {
        for k in 0..s.k {
            for (i, to) in rows.chunks_exact_mut(row).enumerate() {
                let from = &w[(k * s.c + chunk * CHANNELS + i) * area..][..area];
                for (to, &place) in to[k * places.len()..].iter_mut().zip(places) {
                    *to = from[place];
                }
            }
        }
    });
}

/// Blocks of whole vectors, at most [`BLOCK`] long and nearly equal: 784 points are 192 + 192 + 192 + 208.
fn even_blocks(points: usize) -> Vec<usize> {
    let (count, vectors) = (points.div_ceil(BLOCK), points / HALF);
    (0..count).map(|b| ((b + 1) * vectors / count - b * vectors / count) * HALF).collect()
}

/// From `[n, k, points]` to `[k, n, points]`.
fn by_channel(dy: &[f32], n: usize, k: usize, points: usize, out: &mut [f32]) {
    for_each_chunk(out, n * points, |channel, row| {
        for (picture, to) in row.chunks_exact_mut(points).enumerate() {
            to.copy_from_slice(&dy[(picture * k + channel) * points..][..points]);
        }
    });
}

/// The sink of a correlation: grid points `(u, v)` of pictures `[m, h, w]` at `origin + stride (u, v)`.
struct Grid<'b> {
    m: usize,
    grid: [usize; 2],
    size: [usize; 2],
    origin: [usize; 2],
    stride: usize,
    /// Of a grid that covers the pictures.
    tail: Finish<'b>,
}

// SAFETY: different grid points of different channels and pictures are different pixels; parts are rows, or pieces of rows
// in order, which do not overlap.
unsafe impl Sink for Grid<'_> {
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
        let points = self.grid[0] * self.grid[1];
        let dense = self.stride == 1 && self.grid == self.size;
        // A stretch of columns that is contiguous (or evenly spaced) in the output: a picture, or a row of one.
        let stretch = if dense { points } else { self.grid[1] };
        for i in 0..rows {
            let mut j = 0;
            while j < cols {
                let at = j0 + j;
                let len = (stretch - at % stretch).min(cols - j);
                let (picture, channel) = (at / points, i0 + i);
                let plane = (picture * self.m + channel) * self.size[0] * self.size[1];
                let from = &c[i * wide + j..i * wide + j + len];
                if dense {
                    let (start, numbers) = (plane + at % points, self.tail.numbers(picture, channel, self.m));
                    finish(from, numbers, self.tail.residual_at(start, len), place(start, len));
                } else {
                    let (u, v) = (at % points / self.grid[1], at % self.grid[1]);
                    let start = plane + (self.origin[0] + self.stride * u) * self.size[1] + self.origin[1] + self.stride * v;
                    let to = place(start, (len - 1) * self.stride + 1);
                    to.iter_mut().step_by(self.stride).zip(from).for_each(|(to, from)| *to = *from);
                }
                j += len;
            }
        }
    }
}
