//! How the outputs of all pictures are cut into tiles, sixteen at a time.

use super::Side;
use super::places::{Patches, Places};
use super::transform::{IN, OUT};
use crate::conv::geometry::Shape;

/// Tiles side by side in a vector.
pub(crate) const GROUP: usize = 16;

/// One side of a convolution of 3 x 3: pictures of `channels` planes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planes {
    pub channels: usize,
    pub size: [usize; 2],
}

impl Planes {
    pub(crate) fn area(&self) -> usize {
        self.size[0] * self.size[1]
    }
}

/// A correlation of 3 x 3 with stride 1: what it reads, where it writes, and the tiles of what it writes, numbered through all pictures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiling {
    pub pictures: usize,
    pub source: Planes,
    pub target: Planes,
    /// The size of a tile.
    pub side: Side,
    /// Zeros above and to the left of the source.
    before: [usize; 2],
    /// Tiles of a picture down and across.
    grid: [usize; 2],
}

impl Tiling {
    /// The forward pass.
    pub(crate) fn forward(s: &Shape, side: Side) -> Self {
        let (source, target) = (Planes { channels: s.c, size: s.size }, Planes { channels: s.k, size: s.output() });
        Self::new(s.n, source, target, [s.pad.top, s.pad.left], side)
    }

    /// The gradient with respect to the input: a correlation of that of the output with turned weights. Needs a padding of at most 2.
    pub(crate) fn backward(s: &Shape) -> Self {
        let (source, target) = (Planes { channels: s.k, size: s.output() }, Planes { channels: s.c, size: s.size });
        Self::new(s.n, source, target, [2 - s.pad.top, 2 - s.pad.left], Side::Four)
    }

    fn new(pictures: usize, source: Planes, target: Planes, before: [usize; 2], side: Side) -> Self {
        Self { pictures, source, target, side, before, grid: target.size.map(|length| length.div_ceil(side.outputs())) }
    }

    /// Tiles of all pictures.
    pub(crate) fn tiles(&self) -> usize {
        self.pictures * self.grid[0] * self.grid[1]
    }

    /// Groups of sixteen tiles.
    pub(crate) fn groups(&self) -> usize {
        self.tiles().div_ceil(GROUP)
    }

    /// Picture and first row and column of a tile, if there is such a tile.
    fn place(&self, tile: usize) -> Option<(usize, [usize; 2])> {
        let area = self.grid[0] * self.grid[1];
        let (picture, within) = (tile / area, tile % area);
        let first = [within / self.grid[1], within % self.grid[1]].map(|place| place * self.side.outputs());
        (picture < self.pictures).then_some((picture, first))
    }

    /// Where the patches of a group are read in channel 0 of the source.
    pub(crate) fn patches(&self, group: usize) -> Patches {
        self.read(group, &self.source, self.before, self.side.inputs())
    }

    /// Where the tiles of a group are read in channel 0 of the target.
    pub(crate) fn targets(&self, group: usize) -> Patches {
        self.read(group, &self.target, [0, 0], self.side.outputs())
    }

    fn read(&self, group: usize, planes: &Planes, before: [usize; 2], side: usize) -> Patches {
        let [height, width] = planes.size.map(|size| size as isize);
        let mut out = Patches { at: [[0; GROUP]; IN], masks: [[0; 6]; IN], reach: [isize::MAX, isize::MIN], lines: Vec::new() };
        for l in 0..GROUP {
            // Lanes without a tile read the first tile of all and drop it.
            let tile = self.place(group * GROUP + l);
            let (picture, first) = tile.unwrap_or((0, [0, 0]));
            let [y, x] = [0, 1].map(|d| first[d] as isize - before[d] as isize);
            let start = (picture * planes.channels * planes.area()) as isize + x;
            // The columns that exist, and those of the rows that do.
            let columns = (0..side).fold(0u16, |bits, j| bits | u16::from((0..width).contains(&(x + j as isize))) << j);
            for r in 0..IN {
                let row = y + r as isize;
                let inside = (0..height).contains(&row) && r < side && tile.is_some();
                out.at[r][l] = start + row.clamp(0, height - 1) * width;
                let columns = if inside { columns } else { 0 };
                for (j, mask) in out.masks[r].iter_mut().enumerate() {
                    *mask |= (columns >> j & 1) << l;
                }
            }
        }
        let places = || out.at.iter().flatten().copied();
        out.reach = [places().min().unwrap_or(0), places().max().unwrap_or(0) + 8];
        out.with_lines()
    }

    /// Where the tiles of a group are written in channel 0 of the target.
    pub(crate) fn places(&self, group: usize) -> Places {
        let mut out = Places { at: [0; GROUP], pictures: [0; GROUP], masks: [[0; GROUP]; OUT] };
        for l in 0..GROUP {
            let Some((picture, [y, x])) = self.place(group * GROUP + l) else { continue };
            let [height, width] = self.target.size;
            out.pictures[l] = picture;
            out.at[l] = picture * self.target.channels * self.target.area() + y * width + x;
            let most = self.side.outputs();
            let columns = ((1u16 << (width - x).min(most)) - 1) as u8;
            out.masks[..(height - y).min(most)].iter_mut().for_each(|row| row[l] = columns);
        }
        out
    }
}
