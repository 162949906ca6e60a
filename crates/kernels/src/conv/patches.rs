//! The implicit im2col: which source pixels a vector of 16 grid points reads at each tap, worked out once a call.
//!
//! The points of all pictures are numbered through, so that a vector may span rows and pictures; the table repeats after as
//! many pictures as make whole panels (one of 16 x 16, two of 28 x 28). With strides 1 and 2 a vector falls into few evenly spaced runs (masked
//! loads, where the processor has them); with other strides each point has its own position.

use super::geometry::Correlation;
use crate::gemm::Right;
use crate::micro::{Gather, HALF, Isa, PANEL, Run, gather_points, gather_runs, transpose};

enum Reads {
    /// Runs of (vector, tap), delimited by `starts`, of numbers `apart` from each other.
    Runs { runs: Vec<Run>, starts: Vec<u32>, apart: usize },
    /// One position a lane for each (vector, tap); negative outside.
    Points(Vec<[i32; HALF]>),
}

/// The patches of a correlation's source.
pub(crate) struct Patches<'a> {
    src: &'a [f32],
    channels: usize,
    plane: usize,
    taps: usize,
    reads: Reads,
    /// Vectors after which the table repeats.
    period: usize,
    /// Distance in the source between repetitions.
    distance: usize,
    /// Points of all pictures.
    points: usize,
}

impl<'a> Patches<'a> {
    /// The table for `src` `[n, channels, h, w]`.
    pub(crate) fn new(src: &'a [f32], of: &Correlation) -> Self {
        let (points, plane, taps) = (of.points(), of.plane(), of.taps.len());
        // Two to the number of factors two that the points lack: points * whole is a multiple of a panel.
        let whole = (PANEL >> points.trailing_zeros().min(PANEL.trailing_zeros())).max(1);
        let pictures = whole.min(of.n);
        let period = (points * pictures).div_ceil(HALF);
        assert!(i32::try_from(of.channels * plane * pictures).is_ok(), "a convolution source of over 2^31 numbers");
        // Position of a point's tap in the source, None outside.
        let position = |point: usize, (dy, dx): (isize, isize)| {
            let (picture, within) = (point / points, point % points);
            let y = ((within / of.grid[1]) * of.stride) as isize + dy;
            let x = ((within % of.grid[1]) * of.stride) as isize + dx;
            let inside = y >= 0 && x >= 0 && y < of.size[0] as isize && x < of.size[1] as isize;
            inside.then(|| (picture * of.channels * plane) as i32 + (y * of.size[1] as isize + x) as i32)
        };
        let lanes = |vector: usize, tap| {
            let mut at = [-1i32; HALF];
            for (l, at) in at.iter_mut().enumerate().take((points * pictures - vector * HALF).min(HALF)) {
                *at = position(vector * HALF + l, tap).unwrap_or(-1);
            }
            at
        };
        let reads = if of.stride <= 2 {
            let (mut runs, mut starts) = (Vec::with_capacity(period * taps), Vec::with_capacity(period * taps + 1));
            for vector in 0..period {
                for &tap in &of.taps {
                    starts.push(runs.len() as u32);
                    split(&lanes(vector, tap), of.stride, &mut runs);
                }
            }
            starts.push(runs.len() as u32);
            Reads::Runs { runs, starts, apart: of.stride }
        } else {
            Reads::Points(
                (0..period).flat_map(|vector| of.taps.iter().map(move |&tap| (vector, tap))).map(|(v, t)| lanes(v, t)).collect(),
            )
        };
        let distance = of.channels * plane * pictures;
        Self { src, channels: of.channels, plane, taps, reads, period, distance, points: points * of.n }
    }

    /// Taps.
    pub(crate) fn taps(&self) -> usize {
        self.taps
    }

    /// Channels of the source.
    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Reads tap `t` of vector `v` for channels `c..c + count` into rows of `dst` that lie `step` apart.
    #[inline]
    fn read(&self, isa: Isa, v: usize, t: usize, c: usize, count: usize, dst: &mut [f32], step: usize) {
        let base = v / self.period * self.distance + c * self.plane;
        let entry = v % self.period * self.taps + t;
        // Of the last vector of all only so many points may exist: the table may know more.
        let left = self.points - v * HALF;
        match &self.reads {
            Reads::Runs { runs, starts, apart } => {
                let runs = &runs[starts[entry] as usize..starts[entry + 1] as usize];
                let gather = |runs: &[Run], dst: &mut [f32]| {
                    let g = Gather { src: self.src, base, plane: self.plane, runs, apart: *apart, count, step };
                    gather_runs(isa, &g, dst);
                };
                if left >= HALF {
                    return gather(runs, dst);
                }
                let exist = (1u16 << left) - 1;
                let there = runs.iter().map(|r| Run { mask: r.mask & exist, ..*r }).filter(|r| r.mask != 0);
                gather(&there.collect::<Vec<_>>(), dst);
            }
            Reads::Points(points) => {
                let mut points = points[entry];
                points[left.min(HALF)..].fill(-1);
                gather_points(self.src, base, self.plane, &points, count, dst, step);
            }
        }
    }
}

/// Cuts the positions of a vector into runs of numbers `apart` from each other.
fn split(at: &[i32; HALF], apart: usize, runs: &mut Vec<Run>) {
    let mut open: Option<Run> = None;
    for (l, &at) in at.iter().enumerate() {
        let (offset, bit) = (at - (apart * l) as i32, 1u16 << l);
        match &mut open {
            Some(run) if at >= 0 && run.offset == offset && run.mask & (bit >> 1) != 0 => run.mask |= bit,
            _ => {
                runs.extend(open.take());
                open = (at >= 0).then_some(Run { offset, mask: bit });
            }
        }
    }
    runs.extend(open);
}

/// The matrix `[(c, t), points]`: for the forward pass. Blocks of the sum are whole channels.
pub(crate) struct ByPoint<'a> {
    patches: Patches<'a>,
    vectors: usize,
    channels_of_block: usize,
}

impl<'a> ByPoint<'a> {
    /// `points` in all pictures; every block but the last sums over `channels_of_block` channels.
    pub(crate) fn new(patches: Patches<'a>, points: usize, channels_of_block: usize) -> Self {
        Self { patches, vectors: points.div_ceil(HALF), channels_of_block }
    }
}

impl Right for ByPoint<'_> {
    fn panel<'a>(&'a self, isa: Isa, block: usize, panel: usize, room: &'a mut [f32]) -> &'a [f32] {
        let taps = self.patches.taps;
        let (c0, count) = (block * self.channels_of_block, room.len() / PANEL / taps);
        for half in 0..2 {
            let v = panel * 2 + half;
            for t in 0..taps {
                let dst = &mut room[t * PANEL + half * HALF..];
                if v < self.vectors {
                    self.patches.read(isa, v, t, c0, count, dst, taps * PANEL);
                } else {
                    let nothing = Gather { src: &[], base: 0, plane: 0, runs: &[], apart: 1, count, step: taps * PANEL };
                    gather_runs(isa, &nothing, dst);
                }
            }
        }
        room
    }
}

/// The matrix `[points, (t, c)]`: for the gradient with respect to the weights. Blocks of the sum are ranges of points.
///
/// Columns are numbered tap-major, so that the 32 columns of a panel are mostly one tap of consecutive channels.
pub(crate) struct ByWeight<'a> {
    patches: Patches<'a>,
    /// First vector of each block.
    starts: Vec<usize>,
}

impl<'a> ByWeight<'a> {
    /// Block `b` begins with vector `starts[b]`.
    pub(crate) fn new(patches: Patches<'a>, starts: Vec<usize>) -> Self {
        Self { patches, starts }
    }
}

impl Right for ByWeight<'_> {
    fn panel<'a>(&'a self, isa: Isa, block: usize, panel: usize, room: &'a mut [f32]) -> &'a [f32] {
        let p = &self.patches;
        let (j0, total) = (panel * PANEL, p.taps() * p.channels());
        let width = PANEL.min(total - j0);
        let points = room.len() / PANEL;
        let mut rows = [0.0; PANEL * HALF];
        for (i, to) in room.chunks_mut(HALF * PANEL).enumerate() {
            let mut j = 0;
            while j < width {
                let (t, c) = ((j0 + j) / p.channels(), (j0 + j) % p.channels());
                let count = (p.channels() - c).min(width - j);
                p.read(isa, self.starts[block] + i, t, c, count, &mut rows[j * HALF..], HALF);
                j += count;
            }
            transpose(isa, &rows, HALF, to, PANEL, PANEL, HALF.min(points - i * HALF));
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_positions() {
        for apart in [1, 2] {
            let mut at = [-1; HALF];
            for (lanes, first) in [(2..5, 10), (5..8, 20), (9..10, 24)] {
                let start = lanes.start;
                lanes.for_each(|l| at[l] = first + (apart * (l - start)) as i32);
            }
            let mut runs = Vec::new();
            split(&at, apart, &mut runs);
            let mut back = [-1; HALF];
            for run in &runs {
                for (l, back) in back.iter_mut().enumerate().filter(|(l, _)| run.mask >> l & 1 == 1) {
                    *back = run.offset + (apart * l) as i32;
                }
            }
            assert_eq!((at, runs.len()), (back, 3));
        }
    }
}
