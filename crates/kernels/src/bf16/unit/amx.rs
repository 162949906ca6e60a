//! The matrix unit: tiles of 16 rows of 64 bytes, `C += A B` of two of them in sixteen cycles.
//!
//! Its instructions have no stable intrinsics yet; they are written in assembly.

use super::{EDGE, Rows, Square};
use std::arch::asm;

/// Whether the processor has the unit and the operating system lends it to this process.
pub(crate) fn usable() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    if __cpuid(0).eax < 7 {
        return false;
    }
    // Structured extended features: bit 22 is AMX-BF16, bit 24 AMX-TILE.
    let edx = __cpuid_count(7, 0).edx;
    edx >> 22 & 1 == 1 && edx >> 24 & 1 == 1 && allowed()
}

/// Asks Linux for the eight kilobytes of state that a thread with tiles has.
#[cfg(target_os = "linux")]
fn allowed() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const TILE_DATA: libc::c_long = 18;
    // SAFETY: a request with two numbers, which reads and writes no memory of ours.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
}

/// Other systems lend it on their own terms, which were not tried.
#[cfg(not(target_os = "linux"))]
fn allowed() -> bool {
    false
}

/// The shape of the tiles of this thread, until it is dropped.
pub(crate) struct Tiles;

impl Tiles {
    /// # Safety
    /// [`usable`] was true.
    pub(crate) unsafe fn new() -> Self {
        #[repr(C, align(64))]
        struct Shape([u8; 64]);
        let mut shape = Shape([0; 64]);
        shape.0[0] = 1; // palette
        for tile in 0..8 {
            shape.0[16 + 2 * tile] = 64; // bytes a row
            shape.0[48 + tile] = 16; // rows
        }
        // SAFETY: 64 readable bytes of a valid palette; no tile is in use on this thread.
        unsafe { asm!("ldtilecfg [{}]", in(reg) shape.0.as_ptr(), options(nostack, readonly)) };
        Self
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the unit is usable, or there would be no `Tiles`.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// See [`super::Blocks::product`]: `M` squares of rows, `N` of columns. C is in tiles 0 to 3, A in 4 and 5, B in 6 and 7.
///
/// # Safety
/// The tiles are shaped; A and B hold what the steps ask for, and the rows 32 numbers each.
pub(crate) unsafe fn product<const M: usize, const N: usize>(steps: &[usize], a: &[Square], b: &[Square], c: Rows) {
    let (mut a, b) = (a.as_ptr(), b.as_ptr());
    if !c.from.is_null() {
        // SAFETY: the quarters of what the sums begin with; rows that are no bytes apart are one row again and again.
        unsafe {
            asm!(
                "tileloadd tmm0, [{c} + {row} * 1]",
                "tileloadd tmm1, [{c} + {row} * 1 + 64]",
                "tileloadd tmm2, [{low} + {row} * 1]",
                "tileloadd tmm3, [{low} + {row} * 1 + 64]",
                c = in(reg) c.from, low = in(reg) c.from.add(EDGE * c.step), row = in(reg) 4 * c.step,
                options(nostack, readonly)
            );
        }
    } else {
        // SAFETY: writes tile registers only.
        unsafe { asm!("tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3", options(nostack, nomem)) };
    }
    for &offset in steps {
        // SAFETY: M squares of A from `a` on, N of B from `b + offset` on.
        unsafe {
            let b = b.add(offset);
            match (M, N) {
                (2, 2) => asm!(
                    "tileloadd tmm4, [{a} + {row} * 1]",
                    "tileloadd tmm6, [{b} + {row} * 1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{a} + {row} * 1 + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tileloadd tmm7, [{b} + {row} * 1 + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    a = in(reg) a, b = in(reg) b, row = in(reg) 64usize, options(nostack, readonly)
                ),
                (2, _) => asm!(
                    "tileloadd tmm4, [{a} + {row} * 1]",
                    "tileloadd tmm6, [{b} + {row} * 1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm5, [{a} + {row} * 1 + 1024]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    a = in(reg) a, b = in(reg) b, row = in(reg) 64usize, options(nostack, readonly)
                ),
                (_, 2) => asm!(
                    "tileloadd tmm4, [{a} + {row} * 1]",
                    "tileloadd tmm6, [{b} + {row} * 1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloadd tmm7, [{b} + {row} * 1 + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    a = in(reg) a, b = in(reg) b, row = in(reg) 64usize, options(nostack, readonly)
                ),
                _ => asm!(
                    "tileloadd tmm4, [{a} + {row} * 1]",
                    "tileloadd tmm6, [{b} + {row} * 1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    a = in(reg) a, b = in(reg) b, row = in(reg) 64usize, options(nostack, readonly)
                ),
            }
            a = a.add(M);
        }
    }
    // SAFETY: C is 32 rows of 32 numbers; the four tiles are its quarters.
    unsafe {
        asm!(
            "tilestored [{c} + {row} * 1], tmm0",
            "tilestored [{c} + {row} * 1 + 64], tmm1",
            "tilestored [{low} + {row} * 1], tmm2",
            "tilestored [{low} + {row} * 1 + 64], tmm3",
            c = in(reg) c.to, low = in(reg) c.to.add(EDGE * c.apart), row = in(reg) 4 * c.apart, options(nostack)
        );
    }
}
