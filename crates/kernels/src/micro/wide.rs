//! Sixteen numbers side by side: what the transforms of minimal filtering are written in, once for every instruction set.
#![allow(clippy::needless_range_loop, reason = "constant indices keep the vectors in registers; closures would not be inlined")]

/// The vector of one instruction set.
///
/// # Safety
/// Every function needs a processor with the set; loads and stores need sixteen numbers behind the pointer.
pub(crate) unsafe trait Wide: Copy {
    unsafe fn splat(v: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self * factor + other`, fused where the tiles of the product are.
    unsafe fn fma(self, factor: Self, other: Self) -> Self;

    /// Columns 0 to 5 of sixteen rows of eight numbers; where bit `l` of `masks[j]` is not set, number `j` of row `l` becomes zero. All
    /// eight numbers of every row are touched.
    // SAFETY: the contract of the trait.
    unsafe fn columns(rows: &[*const f32; 16], masks: &[u16; 6]) -> [Self; 6];

    /// Writes row `l` of sixteen rows of four numbers, given by columns, behind `to[l]`, where the bits of `masks[l]` are set.
    // SAFETY: the contract of the trait.
    unsafe fn store_rows(columns: [Self; 4], to: &[*mut f32; 16], masks: &[u8; 16]);

    /// [`Wide::store_rows`] of `gain (number + the one in its place behind onto[l])`, which is read where the bits are set.
    // SAFETY: the contract of the trait.
    unsafe fn store_rows_onto(columns: [Self; 4], onto: &[*const f32; 16], gain: f32, to: &[*mut f32; 16], masks: &[u8; 16]);
}

/// Writes the numbers of four whose bits are set.
///
/// # Safety
/// These numbers are writable.
#[inline(always)]
pub(super) unsafe fn write_some(numbers: [f32; 4], to: *mut f32, mask: u8) {
    for j in (0..4).filter(|j| mask >> j & 1 == 1) {
        // SAFETY: as promised.
        unsafe { to.add(j).write(numbers[j]) };
    }
}

/// The numbers of four whose bits are set; the others are zero.
///
/// # Safety
/// These numbers are readable.
#[inline(always)]
pub(super) unsafe fn read_some(from: *const f32, mask: u8) -> [f32; 4] {
    let mut numbers = [0.0; 4];
    for j in (0..4).filter(|j| mask >> j & 1 == 1) {
        // SAFETY: as promised.
        numbers[j] = unsafe { from.add(j).read() };
    }
    numbers
}

/// A vector of plain Rust, which the compiler cuts into those of the target.
#[derive(Clone, Copy)]
pub(crate) struct Plain(pub(crate) [f32; 16]);

impl Plain {
    #[inline(always)]
    fn with(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|l| f(self.0[l], other.0[l])))
    }
}

// SAFETY: ordinary Rust but for the pointers, which are the caller's.
unsafe impl Wide for Plain {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        Self([v; 16])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: sixteen numbers are readable.
        Self(unsafe { from.cast::<[f32; 16]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: sixteen numbers are writable.
        unsafe { to.cast::<[f32; 16]>().write_unaligned(self.0) };
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.with(other, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.with(other, |a, b| a - b)
    }
    #[inline(always)]
    // SAFETY: nothing is asked for.
    unsafe fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| a * b)
    }
    #[inline(always)]
    // SAFETY: nothing is asked for.
    unsafe fn fma(self, factor: Self, other: Self) -> Self {
        let product = |l: usize| super::portable::multiply_add(self.0[l], factor.0[l], other.0[l]);
        Self(std::array::from_fn(product))
    }
    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn columns(rows: &[*const f32; 16], masks: &[u16; 6]) -> [Self; 6] {
        // SAFETY: eight numbers are readable in every row.
        let at = |l: usize, j: usize| if masks[j] >> l & 1 == 1 { unsafe { rows[l].add(j).read() } } else { 0.0 };
        std::array::from_fn(|j| Self(std::array::from_fn(|l| at(l, j))))
    }
    #[inline(always)]
    unsafe fn store_rows(columns: [Self; 4], to: &[*mut f32; 16], masks: &[u8; 16]) {
        for l in 0..16 {
            // SAFETY: only numbers whose bits are set are written.
            unsafe { write_some(std::array::from_fn(|j| columns[j].0[l]), to[l], masks[l]) };
        }
    }
    #[inline(always)]
    unsafe fn store_rows_onto(columns: [Self; 4], onto: &[*const f32; 16], gain: f32, to: &[*mut f32; 16], masks: &[u8; 16]) {
        for l in 0..16 {
            // SAFETY: only numbers whose bits are set are read and written.
            unsafe {
                let there = read_some(onto[l], masks[l]);
                write_some(std::array::from_fn(|j| (columns[j].0[l] + there[j]) * gain), to[l], masks[l]);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Wide;
    use std::arch::x86_64::*;

    // SAFETY: needs AVX-512 F, DQ and VL, as the caller promises; pointers are the caller's.
    unsafe impl Wide for __m512 {
        #[inline(always)]
        unsafe fn splat(v: f32) -> Self {
            // SAFETY: the caller has AVX-512 (so throughout).
            unsafe { _mm512_set1_ps(v) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: as above, and sixteen numbers are readable.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: as above, and sixteen numbers are writable.
            unsafe { _mm512_storeu_ps(to, self) };
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_mul_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn fma(self, factor: Self, other: Self) -> Self {
            // SAFETY: as above.
            unsafe { _mm512_fmadd_ps(self, factor, other) }
        }

        #[inline(always)]
        unsafe fn columns(rows: &[*const f32; 16], masks: &[u16; 6]) -> [Self; 6] {
            // SAFETY: eight numbers are readable in every row.
            unsafe {
                // Rows 0-3 and 4-7 share a vector each, as 8-11 and 12-15: the last step brings the columns into order.
                let mut r = [_mm512_setzero_ps(); 8];
                for l in 0..8 {
                    let (a, b) = (8 * (l / 4) + l % 4, 8 * (l / 4) + l % 4 + 4);
                    let low = _mm512_castps256_ps512(_mm256_loadu_ps(rows[a]));
                    r[l] = _mm512_insertf32x8::<1>(low, _mm256_loadu_ps(rows[b]));
                }
                let (a, b) = (quarters([r[0], r[1], r[2], r[3]]), quarters([r[4], r[5], r[6], r[7]]));
                [
                    _mm512_maskz_shuffle_f32x4::<0x88>(masks[0], a[0], b[0]),
                    _mm512_maskz_shuffle_f32x4::<0x88>(masks[1], a[1], b[1]),
                    _mm512_maskz_shuffle_f32x4::<0x88>(masks[2], a[2], b[2]),
                    _mm512_maskz_shuffle_f32x4::<0x88>(masks[3], a[3], b[3]),
                    _mm512_maskz_shuffle_f32x4::<0xDD>(masks[4], a[0], b[0]),
                    _mm512_maskz_shuffle_f32x4::<0xDD>(masks[5], a[1], b[1]),
                ]
            }
        }

        #[inline(always)]
        // SAFETY: the contract of the trait.
        unsafe fn store_rows(columns: [Self; 4], to: &[*mut f32; 16], masks: &[u8; 16]) {
            // SAFETY: numbers whose bits are not set are not written.
            unsafe {
                let s = quarters(columns);
                for j in 0..4 {
                    // Quarter q of s[j] holds row 4 q + j.
                    _mm_mask_storeu_ps(to[j], masks[j], _mm512_castps512_ps128(s[j]));
                    _mm_mask_storeu_ps(to[4 + j], masks[4 + j], _mm512_extractf32x4_ps::<1>(s[j]));
                    _mm_mask_storeu_ps(to[8 + j], masks[8 + j], _mm512_extractf32x4_ps::<2>(s[j]));
                    _mm_mask_storeu_ps(to[12 + j], masks[12 + j], _mm512_extractf32x4_ps::<3>(s[j]));
                }
            }
        }

        #[inline(always)]
        // SAFETY: the contract of the trait.
        unsafe fn store_rows_onto(columns: [Self; 4], onto: &[*const f32; 16], gain: f32, to: &[*mut f32; 16], masks: &[u8; 16]) {
            // SAFETY: numbers whose bits are not set are neither read nor written.
            unsafe {
                let (s, gain) = (quarters(columns), _mm_set1_ps(gain));
                for j in 0..4 {
                    let rows = [
                        _mm512_castps512_ps128(s[j]),
                        _mm512_extractf32x4_ps::<1>(s[j]),
                        _mm512_extractf32x4_ps::<2>(s[j]),
                        _mm512_extractf32x4_ps::<3>(s[j]),
                    ];
                    for q in 0..4 {
                        let l = 4 * q + j;
                        let there = _mm_maskz_loadu_ps(masks[l], onto[l]);
                        _mm_mask_storeu_ps(to[l], masks[l], _mm_mul_ps(_mm_add_ps(rows[q], there), gain));
                    }
                }
            }
        }
    }

    /// Transposes the four 4 x 4 blocks that the quarters of four vectors make: quarter `q` of result `j` holds number `4 q + j` of each.
    #[inline(always)]
    // SAFETY: the caller promises AVX-512. No closures: the intrinsics would not be inlined into them.
    unsafe fn quarters(r: [__m512; 4]) -> [__m512; 4] {
        // SAFETY: as promised.
        unsafe {
            let lo01 = _mm512_castps_pd(_mm512_unpacklo_ps(r[0], r[1]));
            let hi01 = _mm512_castps_pd(_mm512_unpackhi_ps(r[0], r[1]));
            let lo23 = _mm512_castps_pd(_mm512_unpacklo_ps(r[2], r[3]));
            let hi23 = _mm512_castps_pd(_mm512_unpackhi_ps(r[2], r[3]));
            [
                _mm512_castpd_ps(_mm512_unpacklo_pd(lo01, lo23)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(lo01, lo23)),
                _mm512_castpd_ps(_mm512_unpacklo_pd(hi01, hi23)),
                _mm512_castpd_ps(_mm512_unpackhi_pd(hi01, hi23)),
            ]
        }
    }
}

/// Defines functions generic over the vector that are compiled for each instruction set and chosen by [`Isa`](super::Isa).
// SAFETY: what is defined has the contract that its documentation tells.
macro_rules! for_isa {
    // SAFETY: as above.
    ($($(#[$meta:meta])* $vis:vis unsafe fn $name:ident / $body:ident ($($arg:ident: $ty:ty),* $(,)?);)*) => {$(
        $(#[$meta])*
        // SAFETY: the contract in the documentation.
        $vis unsafe fn $name(isa: $crate::micro::Isa, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
            // SAFETY: the caller's promises are passed on.
            unsafe fn wide($($arg: $ty),*) {
                // SAFETY: as above.
                unsafe { $body::<std::arch::x86_64::__m512>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            // SAFETY: as above.
            unsafe fn half($($arg: $ty),*) {
                // SAFETY: as above.
                unsafe { $body::<$crate::micro::halves::Halves>($($arg),*) }
            }
            match isa {
                // SAFETY: detection found the features; the rest is the caller's promise.
                #[cfg(target_arch = "x86_64")]
                $crate::micro::Isa::Avx512 => unsafe { wide($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::micro::Isa::Avx2 => unsafe { half($($arg),*) },
                // SAFETY: every processor of this target has the vectors.
                #[cfg(target_arch = "aarch64")]
                $crate::micro::Isa::Neon => unsafe { $body::<$crate::micro::neon::Quads>($($arg),*) },
                // SAFETY: as above.
                $crate::micro::Isa::Portable => unsafe { $body::<$crate::micro::wide::Plain>($($arg),*) },
            }
        }
    )*};
}

pub(crate) use for_isa;
