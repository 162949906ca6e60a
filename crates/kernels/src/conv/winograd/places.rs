//! Where sixteen tiles are read and written.

use super::transform::{IN, OUT};

/// Where sixteen patches of 6 x 6 are read: row `r` of lane `l` is eight numbers from `at[r][l]` on, of which number `j` counts if bit `l`
/// of `masks[r][j]` is set.
#[derive(Clone, Debug)]
pub(crate) struct Patches {
    pub at: [[isize; 16]; IN],
    pub masks: [[u16; 6]; IN],
    /// The first place of all, and the one behind the last of the eight numbers of the last.
    pub reach: [isize; 2],
    /// Places in the lines of the cache that hold rows: to be asked for early in the plane that is read next.
    pub lines: Vec<isize>,
}

impl Patches {
    /// With [`Patches::lines`] of the rows. Those of neighbouring patches overlap, which is used; those of rows below each other may, and are
    /// asked for twice.
    pub(crate) fn with_lines(mut self) -> Self {
        self.lines.reserve(9 * IN);
        for (row, _) in self.at.iter().zip(&self.masks).filter(|(_, masks)| masks.iter().any(|mask| *mask != 0)) {
            let mut covered = isize::MIN..isize::MIN;
            for &start in row {
                // Eight numbers may begin in one line of sixteen and end in the next.
                for at in [start, start + 7] {
                    if !covered.contains(&at) {
                        // Places that adjoin are those of lines, one behind the other.
                        let at = if (covered.end..covered.end + 16).contains(&at) { covered.end } else { at };
                        self.lines.push(at);
                        covered = at..at + 16;
                    }
                }
            }
        }
        self
    }

    /// Asks for the rows of a plane before they are read.
    #[inline]
    pub(crate) fn ask(&self, plane: *const f32) {
        #[cfg(target_arch = "x86_64")]
        for &at in &self.lines {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, wherever it points.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(plane.wrapping_offset(at).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = plane;
    }

    /// Whether all rows of eight lie within a source of `len` numbers, in the plane that begins at `plane`.
    pub(crate) fn within(&self, len: usize, plane: usize) -> bool {
        self.reach[0] + plane as isize >= 0 && self.reach[1] + plane as isize <= len as isize
    }

    /// The rows copied out of the plane that begins at `plane` of the source, and how to read the copy: where they are not within it.
    pub(crate) fn sheltered(&self, src: &[f32], plane: usize) -> ([f32; IN * 16 * 8], Self) {
        let (mut room, mut local) = ([0.0; IN * 16 * 8], self.clone());
        for r in 0..IN {
            for l in 0..16 {
                let first = (r * 16 + l) * 8;
                local.at[r][l] = first as isize;
                for j in (0..6).filter(|&j| self.masks[r][j] >> l & 1 == 1) {
                    room[first + j] = src[(plane as isize + self.at[r][l]) as usize + j];
                }
            }
        }
        (room, local)
    }
}

/// Where sixteen tiles of 4 x 4 lie, and which of their numbers exist.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub at: [usize; 16],
    /// Of which pictures they are.
    pub pictures: [usize; 16],
    pub masks: [[u8; 16]; OUT],
}
