//! Two vectors of AVX2 as one of sixteen numbers.

use super::wide::{Wide, read_some, write_some};
use std::arch::x86_64::*;

/// Two vectors of AVX.
#[derive(Clone, Copy)]
pub(crate) struct Halves(__m256, __m256);

// SAFETY: needs AVX2 and FMA, as the caller promises; pointers are the caller's.
unsafe impl Wide for Halves {
    #[inline(always)]
    unsafe fn splat(v: f32) -> Self {
        // SAFETY: the caller has AVX2 and FMA (so throughout).
        unsafe { Self(_mm256_set1_ps(v), _mm256_set1_ps(v)) }
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: as above, and sixteen numbers are readable.
        unsafe { Self(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above, and sixteen numbers are writable.
        unsafe {
            _mm256_storeu_ps(to, self.0);
            _mm256_storeu_ps(to.add(8), self.1);
        }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_add_ps(self.0, other.0), _mm256_add_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_sub_ps(self.0, other.0), _mm256_sub_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_mul_ps(self.0, other.0), _mm256_mul_ps(self.1, other.1)) }
    }
    #[inline(always)]
    unsafe fn fma(self, factor: Self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(_mm256_fmadd_ps(self.0, factor.0, other.0), _mm256_fmadd_ps(self.1, factor.1, other.1)) }
    }

    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn columns(rows: &[*const f32; 16], masks: &[u16; 6]) -> [Self; 6] {
        // SAFETY: eight numbers are readable in every row; the caller has AVX2.
        unsafe {
            let (low, high) = (eight(&rows[..8]), eight(&rows[8..]));
            let mut columns = [
                Self(low[0], high[0]),
                Self(low[1], high[1]),
                Self(low[2], high[2]),
                Self(low[3], high[3]),
                Self(low[4], high[4]),
                Self(low[5], high[5]),
            ];
            for j in 0..6 {
                if masks[j] != u16::MAX {
                    columns[j].0 = _mm256_and_ps(columns[j].0, lanes_of(masks[j]));
                    columns[j].1 = _mm256_and_ps(columns[j].1, lanes_of(masks[j] >> 8));
                }
            }
            columns
        }
    }

    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn store_rows(columns: [Self; 4], to: &[*mut f32; 16], masks: &[u8; 16]) {
        // SAFETY: numbers whose bits are not set are not written; the caller has AVX2.
        unsafe {
            let rows = rows_of(columns);
            for l in 0..16 {
                put(rows[l], to[l], masks[l]);
            }
        }
    }

    #[inline(always)]
    // SAFETY: the contract of the trait.
    unsafe fn store_rows_onto(columns: [Self; 4], onto: &[*const f32; 16], gain: f32, to: &[*mut f32; 16], masks: &[u8; 16]) {
        // SAFETY: numbers whose bits are not set are neither read nor written; the caller has AVX2.
        unsafe {
            let (rows, gain) = (rows_of(columns), _mm_set1_ps(gain));
            for l in 0..16 {
                let there =
                    if masks[l] == 15 { _mm_loadu_ps(onto[l]) } else { _mm_loadu_ps(read_some(onto[l], masks[l]).as_ptr()) };
                put(_mm_mul_ps(_mm_add_ps(rows[l], there), gain), to[l], masks[l]);
            }
        }
    }
}

/// All bits of the lanes whose bits are set in the low eight of a mask.
#[inline(always)]
// SAFETY: the caller promises AVX2, here and below.
pub(super) unsafe fn lanes_of(mask: u16) -> __m256 {
    // SAFETY: as promised.
    unsafe {
        let bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
        _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(i32::from(mask)), bits), bits))
    }
}

/// Four numbers of a row, and four of the fourth row after it.
#[inline(always)]
// SAFETY: as above, and the numbers are readable.
pub(super) unsafe fn pair(rows: &[*const f32], l: usize, first: usize) -> __m256 {
    // SAFETY: as promised.
    unsafe {
        let low = _mm256_castps128_ps256(_mm_loadu_ps(rows[l].add(first)));
        _mm256_insertf128_ps::<1>(low, _mm_loadu_ps(rows[l + 4].add(first)))
    }
}

/// Columns 0 to 5 of eight rows.
#[inline(always)]
// SAFETY: as above, and each row has eight readable numbers.
unsafe fn eight(rows: &[*const f32]) -> [__m256; 6] {
    // SAFETY: as promised.
    unsafe {
        let first = quarters([pair(rows, 0, 0), pair(rows, 1, 0), pair(rows, 2, 0), pair(rows, 3, 0)]);
        // Two of the last four columns are not needed.
        let ab = _mm256_unpacklo_ps(pair(rows, 0, 4), pair(rows, 1, 4));
        let cd = _mm256_unpacklo_ps(pair(rows, 2, 4), pair(rows, 3, 4));
        let last = [_mm256_shuffle_ps::<0x44>(ab, cd), _mm256_shuffle_ps::<0xEE>(ab, cd)];
        [first[0], first[1], first[2], first[3], last[0], last[1]]
    }
}

/// Transposes the two 4 x 4 blocks that the halves of four vectors make.
#[inline(always)]
// SAFETY: as above.
pub(super) unsafe fn quarters(r: [__m256; 4]) -> [__m256; 4] {
    // SAFETY: as promised.
    unsafe {
        let (lo01, hi01) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
        let (lo23, hi23) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
        [
            _mm256_shuffle_ps::<0x44>(lo01, lo23),
            _mm256_shuffle_ps::<0xEE>(lo01, lo23),
            _mm256_shuffle_ps::<0x44>(hi01, hi23),
            _mm256_shuffle_ps::<0xEE>(hi01, hi23),
        ]
    }
}

/// Sixteen rows of four numbers from four columns.
#[inline(always)]
// SAFETY: as above.
unsafe fn rows_of(c: [Halves; 4]) -> [__m128; 16] {
    // SAFETY: as promised.
    unsafe {
        let mut rows = [_mm_setzero_ps(); 16];
        let blocks = [quarters([c[0].0, c[1].0, c[2].0, c[3].0]), quarters([c[0].1, c[1].1, c[2].1, c[3].1])];
        for (b, block) in blocks.iter().enumerate() {
            for j in 0..4 {
                // Half `q` of vector `j` of a block is its row `4 q + j`.
                rows[8 * b + j] = _mm256_castps256_ps128(block[j]);
                rows[8 * b + 4 + j] = _mm256_extractf128_ps::<1>(block[j]);
            }
        }
        rows
    }
}

/// Writes the numbers of a row whose bits are set.
#[inline(always)]
// SAFETY: as above, and these numbers are writable.
unsafe fn put(row: __m128, to: *mut f32, mask: u8) {
    // SAFETY: as promised; four numbers.
    unsafe {
        if mask == 15 {
            return _mm_storeu_ps(to, row);
        }
        let mut numbers = [0.0; 4];
        _mm_storeu_ps(numbers.as_mut_ptr(), row);
        write_some(numbers, to, mask);
    }
}
