//! What a convolution reads and writes, as a list of taps.
//!
//! Everything here is a correlation over an output grid: `out[i, (u, v)] = sum_{c, t} A[i, (c, t)] src[c, s u + dy_t, s v + dx_t]`,
//! with zeros outside the source. The forward pass has one; the gradient with respect to the input has one for each phase of
//! the stride (Shi et al. 2016, "Is the deconvolution layer the same as a convolutional layer?"): no column matrix is ever
//! scattered back.

use super::Padding;

/// Sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Pictures.
    pub n: usize,
    /// Channels in.
    pub c: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Channels out.
    pub k: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: usize,
    /// Zeros around the input.
    pub pad: Padding,
}

impl Shape {
    /// Height and width of the output: `(size + pad - kernel) / stride + 1`.
    pub(crate) fn output(&self) -> [usize; 2] {
        let total = [self.pad.top + self.pad.bottom, self.pad.left + self.pad.right];
        std::array::from_fn(|d| (self.size[d] + total[d] - self.kernel[d]) / self.stride + 1)
    }

    /// The forward pass.
    pub(crate) fn forward(&self) -> Correlation {
        let (top, left) = (self.pad.top as isize, self.pad.left as isize);
        let taps =
            (0..self.kernel[0]).flat_map(|i| (0..self.kernel[1]).map(move |j| (i as isize - top, j as isize - left))).collect();
        Correlation { n: self.n, channels: self.c, size: self.size, taps, stride: self.stride, grid: self.output() }
    }

    /// The phases of the gradient with respect to the input.
    ///
    /// `dx[y] = sum_i w[i] dy[(y + p - i) / s]` over the `i` that divide: for `y = s u + a` these are `i = (a + p) mod s + s m`,
    /// and they read `dy[u + (a + p - i) / s]`.
    pub(crate) fn input_gradient(&self) -> Vec<Phase> {
        let s = self.stride;
        let axis = |a: usize, pad: usize, kernel: usize| -> Vec<(usize, isize)> {
            ((a + pad) % s..kernel).step_by(s).map(|i| (i, ((a + pad) as isize - i as isize) / s as isize)).collect()
        };
        let mut phases = Vec::new();
        for a in 0..s.min(self.size[0]) {
            for b in 0..s.min(self.size[1]) {
                let rows = axis(a, self.pad.top, self.kernel[0]);
                let cols = axis(b, self.pad.left, self.kernel[1]);
                let pairs = || rows.iter().flat_map(|y| cols.iter().map(move |x| (y, x)));
                phases.push(Phase {
                    origin: [a, b],
                    weights: pairs().map(|(y, x)| y.0 * self.kernel[1] + x.0).collect(),
                    correlation: Correlation {
                        n: self.n,
                        channels: self.k,
                        size: self.output(),
                        taps: pairs().map(|(y, x)| (y.1, x.1)).collect(),
                        stride: 1,
                        grid: [(self.size[0] - a).div_ceil(s), (self.size[1] - b).div_ceil(s)],
                    },
                });
            }
        }
        phases
    }
}

/// One phase of the gradient with respect to the input: the pixels `origin + stride (u, v)`.
pub(crate) struct Phase {
    /// First pixel.
    pub origin: [usize; 2],
    /// For each tap, its place in the kernel.
    pub weights: Vec<usize>,
    /// How the output gradient is read.
    pub correlation: Correlation,
}

/// A correlation of `n` pictures of `channels x size` over a grid.
pub(crate) struct Correlation {
    /// Pictures.
    pub n: usize,
    /// Channels of the source.
    pub channels: usize,
    /// Height and width of the source.
    pub size: [usize; 2],
    /// Offsets `(dy, dx)`.
    pub taps: Vec<(isize, isize)>,
    /// Step in the source for a step in the grid.
    pub stride: usize,
    /// Height and width of the grid.
    pub grid: [usize; 2],
}

impl Correlation {
    /// Points of the grid in one picture.
    pub(crate) fn points(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Numbers of one channel of the source.
    pub(crate) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }
}
