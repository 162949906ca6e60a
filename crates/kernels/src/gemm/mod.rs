//! One matrix product for everything: `C[m, n] = A[m, k] B[k, n]`, where B and C need not exist as matrices.
//!
//! The columns of B are packed in panels of 32 by a [`Right`] (rows of a matrix, its transpose, or the patches of a picture:
//! an implicit im2col that never exists as a whole); A is read where it lies; a [`Sink`] puts the finished rows where they
//! belong. The sum over `k` is cut into fixed blocks: within a block it is one chain of fused multiply-adds, the blocks are
//! added in order. Every element of C is therefore the same sequence of roundings whatever the number of rows, columns,
//! jobs or threads. The cut into jobs may follow the number of threads, because it decides only who computes what.
//!
//! Blocking (Goto and van de Geijn 2008): a panel of `kc x 32` stays in the first-level cache while all rows of A pass; the
//! rows of A of a block (`m x kc`) and the tile of C stay in the second.

mod left;
mod right;
mod sink;

pub(crate) use left::Left;
pub(crate) use right::{Columns, Packed, Rows};
pub(crate) use sink::{Matrix, Sink, Transposed};

use crate::micro::disjoint::Disjoint;
use crate::micro::{Isa, PANEL, ROWS, Tile, tile};
use crate::parallel::{for_each_chunk, for_each_job, scratch, threads};

/// Length of a block of the sum: a panel of 256 x 32 numbers fills two thirds of a 48 KiB first-level cache.
pub(crate) const BLOCK: usize = 256;
/// Numbers of C that a job keeps at hand: 256 KiB.
const TILE: usize = 1 << 16;
/// Most rows of A that a job walks through for one panel.
const MAX_ROWS: usize = 384;
/// Below this many multiplications a product is not worth waking another thread.
const SMALL: usize = 1 << 17;

/// The right-hand matrix, by panels.
pub(crate) trait Right: Sync {
    /// Panel `panel` (columns `32 panel..`) of block `block` of the sum as `[kc][32]`: either packed into `room` (zero beyond
    /// the last column) or already lying packed somewhere.
    fn panel<'a>(&'a self, isa: Isa, block: usize, panel: usize, room: &'a mut [f32]) -> &'a [f32];
}

/// The lengths of the blocks of a sum of `k` terms: `at_most` each but the last.
pub(crate) fn blocks(k: usize, at_most: usize) -> Vec<usize> {
    (0..k.div_ceil(at_most)).map(|b| at_most.min(k - b * at_most)).collect()
}

/// How a product is cut into jobs.
struct Cut {
    rows: usize,
    cols: usize,
    down: usize,
    across: usize,
}

impl Cut {
    fn new(m: usize, n: usize, k: usize, threads: usize) -> Self {
        let mut rows = m.div_ceil(m.div_ceil(MAX_ROWS));
        let mut cols = (TILE / rows / PANEL * PANEL).clamp(PANEL, 512).min(n.next_multiple_of(PANEL));
        let wanted = if threads == 1 || m * n * k < SMALL { 1 } else { 4 * threads };
        // More and smaller jobs until the threads are evenly loaded: first fewer columns, then, where these run out, rows.
        while m.div_ceil(rows) * n.div_ceil(cols) < wanted && cols > PANEL {
            cols = (cols / 2).next_multiple_of(PANEL);
        }
        let wanted = wanted.min(2 * threads);
        while m.div_ceil(rows) * n.div_ceil(cols) < wanted && rows > 2 * ROWS {
            rows = rows.div_ceil(2);
        }
        Self { rows, cols, down: m.div_ceil(rows), across: n.div_ceil(cols) }
    }
}

/// Computes `C = A B` for `m` rows and `n` columns with the sum cut into `blocks`, and stores it through `sink` into `out`.
pub(crate) fn product(m: usize, n: usize, blocks: &[usize], a: &Left<'_>, b: &impl Right, sink: &impl Sink, out: &mut [f32]) {
    if m == 0 || n == 0 {
        return;
    }
    let isa = Isa::detect();
    let out = Disjoint::new(out);
    let k: usize = blocks.iter().sum();
    let cut = Cut::new(m, n, k, threads());
    let longest = blocks.iter().copied().max().unwrap_or(0);
    let serial = m * n * k < SMALL;
    for_each_job(cut.down * cut.across, serial, |job| {
        // Neighbouring jobs share columns of C and rows of A.
        let (i0, j0) = (job % cut.down * cut.rows, job / cut.down * cut.cols);
        let (rows, cols) = (cut.rows.min(m - i0), cut.cols.min(n - j0));
        let wide = cols.next_multiple_of(PANEL);
        scratch(longest * PANEL + rows * wide, |room| {
            let (room, c) = room.split_at_mut(longest * PANEL);
            compute(isa, i0..i0 + rows, j0..j0 + cols, blocks, a, b, room, c);
            for (i, row) in c.chunks_exact_mut(wide).take(rows).enumerate() {
                sink.finish(i0 + i, j0, &mut row[..cols]);
            }
            // SAFETY: a sink's parts for different tiles do not overlap, and jobs have different tiles.
            sink.store(i0, j0, rows, cols, wide, c, |start, len| unsafe { out.slice(start, len) });
        });
    });
}

/// [`product`] with columns that lie packed already and fill their panels: `C` `[m, n]` is written in its place, a few whole rows a job, and
/// `finish` is called on them, with the number of the first, while they are in the cache.
pub(crate) fn product_in_place(
    n: usize,
    blocks: &[usize],
    a: &Left<'_>,
    b: &Packed<'_>,
    finish: impl Fn(usize, &mut [f32]) + Sync + Send,
    out: &mut [f32],
) {
    assert!(n.is_multiple_of(PANEL), "columns that fill their panels");
    if out.is_empty() {
        return;
    }
    let (isa, m) = (Isa::detect(), out.len() / n);
    // Small jobs, so that the last one does not keep the others waiting for long.
    let rows = m.div_ceil(8 * threads()).clamp(2 * ROWS, MAX_ROWS);
    for_each_chunk(out, rows * n, |job, c| {
        let i = job * rows..job * rows + c.len() / n;
        compute(isa, i, 0..n, blocks, a, b, &mut [], c);
        finish(job * rows, c);
    });
}

/// Whether [`product_in_place`] is for a product of so many rows and columns.
pub(crate) fn in_place(m: usize, n: usize) -> bool {
    n.is_multiple_of(PANEL) && m >= 8 * ROWS
}

/// The tile of C of one job: rows `i`, columns `j`, in rows of the panel-rounded width.
fn compute(
    isa: Isa,
    i: std::ops::Range<usize>,
    j: std::ops::Range<usize>,
    blocks: &[usize],
    a: &Left<'_>,
    b: &impl Right,
    room: &mut [f32],
    c: &mut [f32],
) {
    let (rows, wide) = (i.len(), j.len().next_multiple_of(PANEL));
    let groups = rows.div_ceil(ROWS);
    if blocks.is_empty() {
        c.fill(0.0);
    }
    for (block, &kc) in blocks.iter().enumerate() {
        for panel in 0..wide / PANEL {
            let n = (j.len() - panel * PANEL).min(PANEL);
            let room = if room.is_empty() { &mut [] } else { &mut room[..kc * PANEL] };
            let packed = b.panel(isa, block, j.start / PANEL + panel, room);
            for group in 0..groups {
                // Groups of nearly equal height: 64 rows are 4 x 11 + 2 x 10, not 5 x 12 + 4.
                let (top, bottom) = (group * rows / groups, (group + 1) * rows / groups);
                let (values, rs, cs) = a.at(block, i.start + top);
                let c = &mut c[top * wide + panel * PANEL..];
                tile(isa, Tile { m: bottom - top, n, kc, a: values, rs, cs, b: packed, c, ldc: wide, add: block > 0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        crate::testing::numbers(n, seed)
    }

    fn run(m: usize, n: usize, k: usize, threads: usize) -> Vec<f32> {
        let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
        let mut c = vec![0.0; m * n];
        let blocks = blocks(k, BLOCK);
        crate::testing::with_threads(threads, || {
            product(m, n, &blocks, &Left::rows(&a, k, &blocks), &Columns::new(&b, k, n, &blocks), &Matrix::new(n, None), &mut c);
        });
        c
    }

    #[test]
    fn product_equals_the_sums_and_does_not_depend_on_threads() {
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (25, 70, 300), (400, 33, 513), (13, 700, 64), (130, 16, 520)] {
            let c = run(m, n, k, 1);
            let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
            for i in (0..m).step_by(m.div_ceil(7)) {
                for j in 0..n {
                    let want: f64 = (0..k).map(|t| f64::from(a[i * k + t]) * f64::from(b[j * k + t])).sum();
                    assert!((f64::from(c[i * n + j]) - want).abs() < 1e-6 * k as f64, "{m}x{n}x{k} [{i},{j}]");
                }
            }
            for threads in [2, 3, 5] {
                assert_eq!(run(m, n, k, threads), c, "{threads} threads");
            }
        }
    }

    /// In its place or by way of tiles, packed or not: the same bits.
    #[test]
    fn in_place_is_the_same_product() {
        for (m, n, k) in [(100, 32, 70), (401, 96, 513), (1000, 64, 256)] {
            assert!(in_place(m, n) && !in_place(m, n + 1) && !in_place(1, n));
            let (a, b) = (numbers(m * k, 1), numbers(n * k, 2));
            let blocks = blocks(k, BLOCK);
            let expected = run(m, n, k, 1);
            for threads in [1, 3] {
                let mut c = vec![0.0; m * n];
                let mut room = vec![0.0; Packed::room(k, n)];
                crate::testing::with_threads(threads, || {
                    let packed = Packed::new(&Columns::new(&b, k, n, &blocks), n, &blocks, &mut room);
                    let double = |_: usize, rows: &mut [f32]| rows.iter_mut().for_each(|v| *v *= 2.0);
                    product_in_place(n, &blocks, &Left::rows(&a, k, &blocks), &packed, double, &mut c);
                });
                assert!(c.iter().zip(&expected).all(|(c, e)| *c == 2.0 * e), "{m} x {n} x {k}, {threads} threads");
            }
        }
    }

    #[test]
    fn every_cut_covers_the_product() {
        for (m, n, k) in [(1, 1, 1), (256, 16, 2304), (1024, 64, 9216), (3, 100_000, 1152), (5000, 3, 10)] {
            for threads in [1, 2, 7, 64] {
                let cut = Cut::new(m, n, k, threads);
                assert!(cut.cols.is_multiple_of(PANEL) && cut.rows * cut.down >= m && cut.cols * cut.across >= n);
                assert!(cut.rows * (cut.down - 1) < m && cut.cols * (cut.across - 1) < n);
            }
        }
    }
}
