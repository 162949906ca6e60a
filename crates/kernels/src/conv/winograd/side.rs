//! The two sizes of tiles, and their transforms.

use super::places::{Patches, Places};
use super::transform::{self, Ending};
use super::two;
use crate::micro::Isa;

/// How many outputs a tile has along a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// F(2 x 2, 3 x 3): 16 products for 4 outputs. Filters grow to 16 / 9 of their numbers.
    Two,
    /// F(4 x 4, 3 x 3): 36 products for 16 outputs. Filters grow fourfold.
    Four,
}

impl Side {
    /// Outputs along a side.
    pub(crate) const fn outputs(self) -> usize {
        match self {
            Self::Two => two::OUT,
            Self::Four => transform::OUT,
        }
    }

    /// Inputs along a side.
    pub(crate) const fn inputs(self) -> usize {
        match self {
            Self::Two => two::IN,
            Self::Four => transform::IN,
        }
    }

    /// Products of a tile.
    pub(crate) const fn points(self) -> usize {
        self.inputs() * self.inputs()
    }

    /// See [`transform::read_patches`] and [`two::read_patches`].
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(crate) unsafe fn read_patches(self, isa: Isa, src: *const f32, from: &Patches, v: *mut f32, step: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Two => two::read_patches(isa, src, from, v, step),
                Self::Four => transform::read_patches(isa, src, from, v, step),
            }
        }
    }

    /// See [`transform::write_tiles`] and [`two::write_tiles`].
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(crate) unsafe fn write_tiles(
        self,
        isa: Isa,
        m: *const f32,
        step: usize,
        end: &Ending,
        to: *mut f32,
        width: usize,
        places: &Places,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Two => two::write_tiles(isa, m, step, end, to, width, places),
                Self::Four => transform::write_tiles(isa, m, step, end, to, width, places),
            }
        }
    }

    /// See [`transform::read_filters`] and [`two::read_filters`].
    ///
    /// # Safety
    /// As there.
    #[inline]
    pub(crate) unsafe fn read_filters(self, isa: Isa, g: *const f32, u: *mut f32, step: usize) {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Two => two::read_filters(isa, g, u, step),
                Self::Four => transform::read_filters(isa, g, u, step),
            }
        }
    }
}
