//! A strip of rows of a picture's outputs as the right operand of a product: which words each tap and channel pair reads.
//!
//! A tile is read sixteen words a row, and a row that crosses a line of the cache costs six times one that does not. Where the outputs
//! fill whole vectors, pictures are stored once for each horizontal place of the kernel, shifted so that every read is aligned; vertical
//! places are whole rows further on. Elsewhere each tap has its own copy.

use super::unit::{EDGE, Steps, TERMS};
use super::{pairs, singles};
use crate::conv::Padding;
use crate::conv::geometry::Shape;

/// Outputs of a strip, about.
const POINTS: usize = 256;

/// How the pictures of a convolution become operands.
pub(crate) struct Plan {
    shape: Shape,
    /// Height and width of the outputs.
    grid: [usize; 2],
    /// Rows of outputs in a strip.
    rows: usize,
    /// Strips of a picture.
    pub(crate) strips: usize,
    /// Whether pictures are stored by horizontal place.
    shifted: bool,
    /// Words between the pairs of channels.
    stride: usize,
    /// Where the steps stand.
    pub(crate) steps: Steps,
}

impl Plan {
    pub(crate) fn new(s: &Shape) -> Self {
        let mut s = *s;
        let area = s.size[0] * s.size[1];
        if s.kernel == [1, 1] && s.stride == 1 && s.output() == s.size && area.is_multiple_of(EDGE) {
            // Each pixel for itself: rows may be cut anew.
            s.size = [area / EDGE, EDGE];
        }
        let grid = s.output();
        let rows = (POINTS / grid[1]).clamp(1, grid[0].max(1));
        // Strips of nearly the same height.
        let strips = grid[0].div_ceil(rows);
        let rows = grid[0].div_ceil(strips.max(1));
        let shifted = s.stride == 1 && grid[1].is_multiple_of(EDGE);
        let pairs = s.c.div_ceil(TERMS) * EDGE;
        let (kh, kw) = (s.kernel[0], s.kernel[1]);
        // An even number of lines between pairs would put the rows of a tile into few sets of the cache.
        let odd = |words: usize| (words.div_ceil(EDGE) | 1) * EDGE;
        let stride = if shifted { odd((rows + kh - 1) * grid[1]) } else { odd(rows * grid[1]) };
        let mut offsets = Vec::with_capacity(s.c.div_ceil(TERMS) * kh * kw);
        for chunk in 0..s.c.div_ceil(TERMS) {
            for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
                offsets.push(match shifted {
                    true => (j * pairs + chunk * EDGE) * stride + i * grid[1],
                    false => ((chunk * kh + i) * kw + j) * EDGE * stride,
                });
            }
        }
        Self { shape: s, grid, rows, strips, shifted, stride, steps: Steps::new(offsets, stride) }
    }

    /// Words of an operand.
    pub(crate) fn words(&self) -> usize {
        let copies = if self.shifted { self.shape.kernel[1] } else { self.shape.kernel[0] * self.shape.kernel[1] };
        // A last block may read columns that do not exist.
        copies * self.shape.c.div_ceil(TERMS) * EDGE * self.stride + EDGE
    }

    /// The outputs of a strip: first, and how many.
    pub(crate) fn outputs(&self, strip: usize) -> (usize, usize) {
        let first = strip * self.rows;
        (first * self.grid[1], (self.grid[0] - first).min(self.rows) * self.grid[1])
    }

    /// Writes the operand of a strip of the picture `[c, h, w]`.
    pub(crate) fn read(&self, picture: &[f32], strip: usize, to: &mut [u32]) {
        let (s, [_, width]) = (&self.shape, self.shape.size);
        let outputs = self.outputs(strip).1 / self.grid[1];
        let first = (strip * self.rows * s.stride) as isize - s.pad.top as isize;
        let lines = (outputs - 1) * s.stride + s.kernel[0];
        let padded = s.pad.left + width + s.pad.right;
        if self.shifted && s.kernel == [1, 1] && s.pad == Padding::NONE {
            let (from, count) = (first as usize * width, lines * width);
            for (p, to) in to.chunks_exact_mut(self.stride).take(s.c.div_ceil(TERMS) * EDGE).enumerate() {
                let line = |c: usize| &picture[c * s.size[0] * width + from..][..count];
                match s.c.saturating_sub(2 * p) {
                    0 => to[..count].fill(0),
                    1 => singles(line(2 * p), &mut to[..count]),
                    _ => pairs(line(2 * p), line(2 * p + 1), &mut to[..count]),
                }
            }
            return;
        }
        // Lines of a pair of channels with their zeros left and right, and room to read whole vectors.
        let mut pair = vec![0u32; lines * padded];
        let plane = s.size[0] * width;
        let whole = s.c.div_ceil(TERMS) * EDGE;
        for p in 0..whole {
            for (line, to) in pair.chunks_exact_mut(padded).enumerate() {
                let y = first + line as isize;
                let to = &mut to[s.pad.left..][..width];
                if 2 * p >= s.c || y < 0 || y >= s.size[0] as isize {
                    to.fill(0);
                    continue;
                }
                let from = &picture[2 * p * plane + y as usize * width..];
                match 2 * p + 1 < s.c {
                    true => pairs(&from[..width], &from[plane..][..width], to),
                    false => singles(&from[..width], to),
                }
            }
            match self.shifted {
                true => {
                    for j in 0..s.kernel[1] {
                        let to = &mut to[(j * whole + p) * self.stride..];
                        copy_rows(&pair[j..], padded, self.grid[1], lines, to);
                    }
                }
                false => {
                    let (chunk, within) = (p / EDGE, p % EDGE);
                    for (i, j) in (0..s.kernel[0]).flat_map(|i| (0..s.kernel[1]).map(move |j| (i, j))) {
                        let to = &mut to[(((chunk * s.kernel[0] + i) * s.kernel[1] + j) * EDGE + within) * self.stride..];
                        match s.stride {
                            1 => copy_rows(&pair[i * padded + j..], padded, self.grid[1], outputs, to),
                            step => {
                                for (row, to) in to.chunks_exact_mut(self.grid[1]).take(outputs).enumerate() {
                                    let from = &pair[(row * step + i) * padded + j..];
                                    to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, from)| *to = *from);
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Rows of `width` words, `apart` in the source and without gaps in `to`.
#[inline(always)]
fn copy_rows(from: &[u32], apart: usize, width: usize, rows: usize, to: &mut [u32]) {
    // Widths that are common as constants, so that a row is a few moves and not a call.
    macro_rules! of {
        ($($w:literal)*) => {
            match width {
                $($w => (0..rows).for_each(|r| to[r * $w..][..$w].copy_from_slice(&from[r * apart..][..$w])),)*
                _ => (0..rows).for_each(|r| to[r * width..][..width].copy_from_slice(&from[r * apart..][..width])),
            }
        };
    }
    of!(4 7 8 14 16 28 32 64)
}
