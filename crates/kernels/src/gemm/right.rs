//! Right-hand matrices that exist: by rows, by columns, and packed once for several products.

use super::Right;
use crate::micro::{Isa, PANEL, transpose};
use crate::parallel::for_each_chunk;

/// A row-major matrix `[k, n]`.
pub(crate) struct Rows<'a> {
    data: &'a [f32],
    n: usize,
    block: usize,
}

impl<'a> Rows<'a> {
    /// `data` is `[k, n]`; all blocks but the last have the length of the first.
    pub(crate) fn new(data: &'a [f32], n: usize, blocks: &[usize]) -> Self {
        Self { data, n, block: blocks.first().copied().unwrap_or(0) }
    }
}

impl Right for Rows<'_> {
    fn panel<'a>(&'a self, _: Isa, block: usize, panel: usize, room: &'a mut [f32]) -> &'a [f32] {
        let (k0, j0) = (block * self.block, panel * PANEL);
        let width = PANEL.min(self.n - j0);
        for (k, to) in room.chunks_exact_mut(PANEL).enumerate() {
            let from = (k0 + k) * self.n + j0;
            if width == PANEL {
                to.copy_from_slice(&self.data[from..from + PANEL]);
            } else {
                to[..width].copy_from_slice(&self.data[from..from + width]);
                to[width..].fill(0.0);
            }
        }
        room
    }
}

/// The transpose of a row-major matrix `[n, k]`: its rows are the columns.
pub(crate) struct Columns<'a> {
    data: &'a [f32],
    k: usize,
    n: usize,
    block: usize,
}

impl<'a> Columns<'a> {
    /// `data` is `[n, k]`; all blocks but the last have the length of the first.
    pub(crate) fn new(data: &'a [f32], k: usize, n: usize, blocks: &[usize]) -> Self {
        Self { data, k, n, block: blocks.first().copied().unwrap_or(0) }
    }
}

impl Right for Columns<'_> {
    fn panel<'a>(&'a self, isa: Isa, block: usize, panel: usize, room: &'a mut [f32]) -> &'a [f32] {
        let (k0, j0) = (block * self.block, panel * PANEL);
        let width = PANEL.min(self.n - j0);
        if width < PANEL {
            room.fill(0.0);
        }
        let kc = room.len() / PANEL;
        transpose(isa, &self.data[j0 * self.k + k0..], self.k, room, PANEL, width, kc);
        room
    }
}

/// All panels of another right-hand matrix, packed once: for products whose jobs would pack the same panel many times.
pub(crate) struct Packed<'r> {
    data: &'r [f32],
    k: usize,
    starts: Vec<usize>,
    blocks: &'r [usize],
}

impl<'r> Packed<'r> {
    /// Numbers that the packed form of a `[k, n]` matrix takes.
    pub(crate) fn room(k: usize, n: usize) -> usize {
        k * n.next_multiple_of(PANEL)
    }

    /// Packs the `n` columns of `from` into `room`, of the length that [`Packed::room`] says.
    pub(crate) fn new(from: &impl Right, n: usize, blocks: &'r [usize], room: &'r mut [f32]) -> Self {
        let k: usize = blocks.iter().sum();
        assert_eq!(room.len(), Self::room(k, n), "room for a packed [{k}, {n}] matrix");
        // Panel-major: [panel][k][32].
        let isa = Isa::detect();
        for_each_chunk(room, (k * PANEL).max(1), |panel, mut chunk| {
            for (block, &kc) in blocks.iter().enumerate() {
                let (room, rest) = chunk.split_at_mut(kc * PANEL);
                from.panel(isa, block, panel, room);
                chunk = rest;
            }
        });
        Self { data: room, k, starts: (0..blocks.len()).map(|b| blocks[..b].iter().sum()).collect(), blocks }
    }
}

impl Right for Packed<'_> {
    fn panel<'a>(&'a self, _: Isa, block: usize, panel: usize, _: &'a mut [f32]) -> &'a [f32] {
        let start = (panel * self.k + self.starts[block]) * PANEL;
        &self.data[start..start + self.blocks[block] * PANEL]
    }
}
