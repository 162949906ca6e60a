//! A strip of rows of a picture's outputs as the right operand of a product: which squares each tap and 32 channels read.
//!
//! Outputs are numbered row by row, sixteen to a square; rows may get numbers at their end that belong to nobody, so that they fill
//! squares or halves of them. Where rows are whole squares, pictures are stored once for each horizontal place of the kernel, shifted by it,
//! and vertical places are whole squares further on. Elsewhere each tap has its own copy.

use super::unit::{EDGE, Square, TERMS, Unit};
use super::{pack, pairs, singles};
use crate::conv::Padding;
use crate::conv::geometry::Shape;
use std::ops::Range;

/// Outputs of a strip, about.
const POINTS: usize = 256;

/// Most squares of an operand that several pictures share, half a megabyte: it should stay in the second cache.
const ROOM: usize = 512;

/// How the pictures of a convolution become operands.
pub(crate) struct Plan {
    shape: Shape,
    /// Height and width of the outputs.
    pub(crate) grid: [usize; 2],
    /// Numbers a row of outputs takes.
    pub(crate) pitch: usize,
    /// Rows of outputs in a strip.
    rows: usize,
    /// Strips of a picture.
    pub(crate) strips: usize,
    /// Whether pictures are stored by horizontal place.
    shifted: bool,
    /// Pictures that share an operand: small ones together, so that weights are read once for all.
    pub(crate) pictures: usize,
    /// Squares of a picture in a copy, and of all pictures.
    pub(crate) squares: usize,
    apart: usize,
    /// Where the steps stand.
    pub(crate) steps: Vec<usize>,
}

/// One or two squares of columns, and where their numbers go.
pub(crate) struct Target {
    /// The first square.
    pub(crate) square: usize,
    /// Whether the next belongs to it.
    pub(crate) wide: bool,
    /// First column, place in the outputs of the first channel, length.
    pub(crate) runs: Vec<(usize, usize, usize)>,
}

/// Numbers of a row of outputs: whole squares, or half of one, where that adds at most a seventh.
fn pitch(width: usize) -> usize {
    let near = |whole: usize| whole - width <= whole / 7;
    match width.next_multiple_of(EDGE) {
        whole if near(whole) => whole,
        EDGE if width <= 8 && near(8) => 8,
        _ => width,
    }
}

impl Plan {
    pub(crate) fn new(s: &Shape) -> Self {
        let mut s = *s;
        let area = s.size[0] * s.size[1];
        if s.kernel == [1, 1] && s.stride == 1 && s.pad == Padding::NONE && area.is_multiple_of(EDGE) {
            // Each pixel for itself: rows may be cut anew.
            s.size = [area / EDGE, EDGE];
        }
        let grid = s.output();
        let pitch = pitch(grid[1]);
        let rows = (POINTS / pitch).clamp(1, grid[0]);
        // Strips of nearly the same height.
        let strips = grid[0].div_ceil(rows);
        let rows = grid[0].div_ceil(strips);
        let shifted = s.stride == 1 && pitch.is_multiple_of(EDGE);
        let (kh, kw) = (s.kernel[0], s.kernel[1]);
        let (chunks, row) = (s.c.div_ceil(TERMS), pitch / EDGE);
        let squares = if shifted { (rows + kh - 1) * row } else { (rows * pitch).div_ceil(EDGE) };
        let most = (POINTS / EDGE).min(ROOM / (kh * kw * chunks).max(1)) / squares;
        let pictures = if shifted || strips > 1 { 1 } else { most.clamp(1, s.n) };
        let apart = squares * pictures;
        let taps = || (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j)));
        let offset = |chunk: usize, (i, j): (usize, usize)| match shifted {
            true => (j * chunks + chunk) * apart + i * row,
            false => ((chunk * kh + i) * kw + j) * apart,
        };
        let steps = (0..chunks).flat_map(|chunk| taps().map(move |tap| offset(chunk, tap))).collect();
        Self { shape: s, grid, pitch, rows, strips, shifted, pictures, squares, apart, steps }
    }

    /// Squares of an operand.
    pub(crate) fn room(&self) -> usize {
        let copies = if self.shifted { self.shape.kernel[1] } else { self.shape.kernel[0] * self.shape.kernel[1] };
        copies * self.shape.c.div_ceil(TERMS) * self.apart
    }

    /// The rows of outputs of a strip: first, and how many.
    pub(crate) fn outputs(&self, strip: usize) -> (usize, usize) {
        let first = strip * self.rows;
        (first, (self.grid[0] - first).min(self.rows))
    }

    /// The blocks of 32 columns of a strip of some pictures, each `distance` numbers of outputs.
    pub(crate) fn targets(&self, strip: usize, pictures: Range<usize>, distance: usize) -> Vec<Target> {
        let (first, rows) = self.outputs(strip);
        let width = self.grid[1];
        let mut targets: Vec<Target> = Vec::new();
        for (place, n) in pictures.enumerate() {
            for row in 0..rows {
                // Outputs of a row, square by square.
                let (mut x, from) = (0, place * self.squares * EDGE + row * self.pitch);
                while x < width {
                    let (square, at) = ((from + x) / EDGE, (from + x) % EDGE);
                    let len = (EDGE - at).min(width - x);
                    let to = n * distance + (first + row) * width + x;
                    match targets.last_mut() {
                        Some(last) if square <= last.square + 1 => {
                            last.wide |= square > last.square;
                            let at = at + (square - last.square) * EDGE;
                            match last.runs.last_mut() {
                                Some(run) if (run.0 + run.2, run.1 + run.2) == (at, to) => run.2 += len,
                                _ => last.runs.push((at, to, len)),
                            }
                        }
                        _ => targets.push(Target { square, wide: false, runs: vec![(at, to, len)] }),
                    }
                    x += len;
                }
            }
        }
        targets
    }

    /// Writes a strip of the picture `[c, h, w]` into an operand, as the one of number `place` in it.
    pub(crate) fn read(&self, unit: Unit, picture: &[f32], strip: usize, place: usize, to: &mut [Square]) {
        let to = &mut to[place * self.squares..];
        let s = &self.shape;
        let outputs = self.outputs(strip).1;
        let first = (strip * self.rows * s.stride) as isize - s.pad.top as isize;
        let whole = s.kernel == [3, 3] && s.stride == 1 && s.pad == Padding::all(1);
        let lines = pack::Lines {
            size: s.size,
            first,
            lines: outputs + s.kernel[0] - 1,
            squares: self.squares,
            apart: self.apart,
            channels: s.c,
        };
        if whole && self.shifted && pack::three_shifts(unit, &lines, picture, to) {
            return;
        }
        if whole && self.pitch == 8 && pack::two_lines(unit, &lines, picture, to) {
            return;
        }
        if whole && s.size[0] * s.size[1] == EDGE && outputs == s.size[0] && pack::square(unit, &lines, picture, to) {
            return;
        }
        if s.kernel == [1, 1] && s.stride == 1 && s.pad == Padding::NONE && s.size[1] == self.pitch {
            let (plane, first, count) = (s.size[0] * s.size[1], first as usize * s.size[1], outputs * s.size[1]);
            return pack::columns(unit, picture, s.c, plane, first, count, self.apart, to);
        }
        self.read_any(picture, first, outputs, to);
    }

    /// Any kernel, stride and padding.
    fn read_any(&self, picture: &[f32], first: isize, outputs: usize, to: &mut [Square]) {
        let (s, [_, width]) = (&self.shape, self.shape.size);
        let plane = s.size[0] * width;
        let lines = (outputs - 1) * s.stride + s.kernel[0];
        // Lines of a pair of channels with their zeros left and right, and the outputs of a tap.
        let padded = (s.pad.left + width + s.pad.right).max((self.pitch - 1) * s.stride + s.kernel[1]);
        let mut pair = vec![0u32; lines * padded];
        let mut flat = vec![0u32; self.squares * EDGE];
        let chunks = s.c.div_ceil(TERMS);
        for p in 0..chunks * EDGE {
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
            let (chunk, within) = (p / EDGE, p % EDGE);
            if self.shifted {
                for j in 0..s.kernel[1] {
                    let mut to = to[(j * chunks + chunk) * self.apart..].iter_mut();
                    for line in pair.chunks_exact(padded) {
                        let pieces = line[j..].as_chunks::<EDGE>().0;
                        to.by_ref().zip(&pieces[..self.pitch / EDGE]).for_each(|(to, from)| to.0[within] = *from);
                    }
                }
                continue;
            }
            for (i, j) in (0..s.kernel[0]).flat_map(|i| (0..s.kernel[1]).map(move |j| (i, j))) {
                let from = &pair[i * padded + j..];
                for (row, to) in flat.chunks_exact_mut(self.pitch).take(outputs).enumerate() {
                    let from = &from[row * s.stride * padded..];
                    match s.stride {
                        1 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
                        step => to.iter_mut().zip(from.iter().step_by(step)).for_each(|(to, from)| *to = *from),
                    }
                }
                let to = &mut to[((chunk * s.kernel[0] + i) * s.kernel[1] + j) * self.apart..];
                to.iter_mut().zip(flat.as_chunks::<EDGE>().0).for_each(|(to, from)| to.0[within] = *from);
            }
        }
    }
}
