//! The operands of 3 x 3 convolutions, written a vector at a time.

use super::unit::{EDGE, Square, TERMS, Unit};
use super::{pairs, singles};

/// Lines of a picture `[channels, height, width]`, padded by one pixel.
pub(crate) struct Lines {
    /// Height and width.
    pub(crate) size: [usize; 2],
    /// The first line, -1 being the padding above.
    pub(crate) first: isize,
    /// How many lines.
    pub(crate) lines: usize,
    /// Squares of the picture in a copy of 32 channels, and the distance of copies.
    pub(crate) squares: usize,
    pub(crate) apart: usize,
    pub(crate) channels: usize,
}

/// Columns `first..first + width` of `[rows, len]` as an operand whose sum goes over the rows: `apart` squares for each 32 rows, of which
/// the first hold the columns. Rows and columns that are not there are zero.
pub(crate) fn columns(
    unit: Unit,
    x: &[f32],
    rows: usize,
    len: usize,
    first: usize,
    width: usize,
    apart: usize,
    to: &mut [Square],
) {
    assert!(first + width <= len && x.len() >= rows * len && width.div_ceil(EDGE) <= apart);
    assert!(to.len() >= (rows.div_ceil(TERMS) - 1) * apart + width.div_ceil(EDGE));
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        // SAFETY: units other than the plain one have AVX512-BF16; columns and squares were checked.
        return unsafe { x86::columns(x, rows, len, first, width, apart, to) };
    }
    let _ = unit;
    for (step, to) in to.chunks_mut(apart).take(rows.div_ceil(TERMS)).enumerate() {
        for (at, square) in to.iter_mut().enumerate().take(width.div_ceil(EDGE)) {
            let real = (width - at * EDGE).min(EDGE);
            for (p, to) in square.0.iter_mut().enumerate() {
                let row = step * TERMS + 2 * p;
                let line = |row: usize| &x[row * len + first + at * EDGE..][..real];
                to.fill(0);
                match rows.saturating_sub(row) {
                    0 => {}
                    1 => singles(line(row), to),
                    _ => pairs(line(row), line(row + 1), to),
                }
            }
        }
    }
}

/// Each line thrice, shifted to the right by one, not at all, and to the left by one, in whole squares. False, and nothing written, where
/// the processor has no instructions for it.
pub(crate) fn three_shifts(unit: Unit, lines: &Lines, picture: &[f32], to: &mut [Square]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        let chunks = lines.channels.div_ceil(TERMS);
        assert!(lines.squares >= lines.lines * lines.size[1].div_ceil(EDGE));
        assert!(to.len() >= (3 * chunks - 1) * lines.apart + lines.squares);
        assert!(picture.len() >= lines.channels * lines.size[0] * lines.size[1]);
        // SAFETY: units other than the plain one have AVX512-BF16; pictures and squares were checked.
        unsafe { x86::three_shifts(lines, picture, to) };
        return true;
    }
    let _ = (unit, lines, picture, to);
    false
}

/// Each tap's copy, two lines of at most eight pixels to a square. False, and nothing written, as before.
pub(crate) fn two_lines(unit: Unit, lines: &Lines, picture: &[f32], to: &mut [Square]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        let chunks = lines.channels.div_ceil(TERMS);
        assert!(lines.size[1] <= 8 && lines.squares == (lines.lines - 2).div_ceil(2));
        assert!(to.len() >= (9 * chunks - 1) * lines.apart + lines.squares);
        assert!(picture.len() >= lines.channels * lines.size[0] * lines.size[1]);
        // SAFETY: as above.
        unsafe { x86::two_lines(lines, picture, to) };
        return true;
    }
    let _ = (unit, lines, picture, to);
    false
}

/// Each tap's copy of a picture of sixteen pixels, one square. False, and nothing written, as before.
pub(crate) fn square(unit: Unit, lines: &Lines, picture: &[f32], to: &mut [Square]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if unit != Unit::Plain {
        let chunks = lines.channels.div_ceil(TERMS);
        assert!(lines.size[0] * lines.size[1] == EDGE && to.len() > (9 * chunks - 1) * lines.apart);
        assert!(picture.len() >= lines.channels * EDGE);
        // SAFETY: as above.
        unsafe { x86::square(lines, picture, to) };
        return true;
    }
    let _ = (unit, lines, picture, to);
    false
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use std::arch::x86_64::*;

    /// Words 0 to 15 of a register are low numbers, 16 to 31 high ones: their order in pairs.
    const ORDER: [u16; 32] = {
        let mut order = [0; 32];
        let mut i = 0;
        while i < 32 {
            order[i] = (i / 2 + 16 * (i % 2)) as u16;
            i += 1;
        }
        order
    };

    /// `(low[i], high[i])` in bfloat16.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn pair(low: __m512, high: __m512, order: __m512i) -> __m512i {
        // SAFETY: both are 64 bytes without invalid patterns.
        let both = unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) };
        _mm512_permutexvar_epi16(order, both)
    }

    /// Sixteen pairs: where the masks' bits are set, of `low` and of `high`.
    ///
    /// # Safety
    /// Numbers at set bits are readable.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn load(low: *const f32, high: *const f32, masks: [u16; 2], order: __m512i) -> __m512i {
        // SAFETY: the caller's.
        unsafe { pair(_mm512_maskz_loadu_ps(masks[0], low), _mm512_maskz_loadu_ps(masks[1], high), order) }
    }

    /// # Safety
    /// See [`super::columns`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn columns(
        x: &[f32],
        rows: usize,
        len: usize,
        first: usize,
        width: usize,
        apart: usize,
        to: &mut [Square],
    ) {
        // SAFETY: 32 words of two bytes.
        let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
        let squares = width.div_ceil(EDGE);
        let last = ((1u32 << (width - (squares - 1) * EDGE)) - 1) as u16;
        for p in 0..rows.div_ceil(TERMS) * EDGE {
            let (step, within) = (p / EDGE, p % EDGE);
            let exist = [2 * p, 2 * p + 1].map(|row| if row < rows { u16::MAX } else { 0 });
            let second = if 2 * p + 1 < rows { len } else { 0 };
            let from = x.as_ptr().wrapping_add(2 * p * len + first);
            for at in 0..squares {
                let masks = if at + 1 == squares { [exist[0] & last, exist[1] & last] } else { exist };
                let from = from.wrapping_add(at * EDGE);
                // SAFETY: the masks keep the loads in their rows; a row of a square, of those that the caller counted.
                unsafe {
                    let words = load(from, from.wrapping_add(second), masks, order);
                    let to = to.get_unchecked_mut(step * apart + at).0.get_unchecked_mut(within);
                    _mm512_store_si512(to.as_mut_ptr().cast(), words);
                }
            }
        }
    }

    /// # Safety
    /// See [`super::three_shifts`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn three_shifts(l: &Lines, picture: &[f32], to: &mut [Square]) {
        let [height, width] = l.size;
        let (chunks, row, zero) = (l.channels.div_ceil(TERMS), width.div_ceil(EDGE), _mm512_setzero_si512());
        let last = ((1u32 << (width - (row - 1) * EDGE)) - 1) as u16;
        // SAFETY: 32 words of two bytes.
        let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
        for p in 0..chunks * EDGE {
            let (chunk, within) = (p / EDGE, p % EDGE);
            let exists = [2 * p < l.channels, 2 * p + 1 < l.channels];
            let second = if exists[1] { height * width } else { 0 };
            for line in 0..l.lines {
                let y = l.first + line as isize;
                let inside = y >= 0 && y < height as isize;
                let masks = exists.map(|exists| if exists && inside { u16::MAX } else { 0 });
                let from = picture.as_ptr().wrapping_offset((2 * p * height * width) as isize + y * width as isize);
                let (mut before, mut v) = (zero, 0);
                let end = masks.map(|mask| if row == 1 { mask & last } else { mask });
                // SAFETY: the masks keep the loads in their line of their plane.
                let mut here = unsafe { load(from, from.wrapping_add(second), end, order) };
                while v < row {
                    let mut after = zero;
                    if v + 1 < row {
                        let from = from.wrapping_add((v + 1) * EDGE);
                        let end = if v + 2 == row { [masks[0] & last, masks[1] & last] } else { masks };
                        // SAFETY: as above.
                        after = unsafe { load(from, from.wrapping_add(second), end, order) };
                    }
                    let shifts = [_mm512_alignr_epi32::<15>(here, before), here, _mm512_alignr_epi32::<1>(after, here)];
                    let mut j = 0;
                    while j < 3 {
                        let at = (j * chunks + chunk) * l.apart + line * row + v;
                        // SAFETY: a row of a square, of those that the caller counted.
                        unsafe {
                            _mm512_store_si512(
                                to.get_unchecked_mut(at).0.get_unchecked_mut(within).as_mut_ptr().cast(),
                                shifts[j],
                            )
                        };
                        j += 1;
                    }
                    (before, here) = (here, after);
                    v += 1;
                }
            }
        }
    }

    /// # Safety
    /// See [`super::two_lines`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn two_lines(l: &Lines, picture: &[f32], to: &mut [Square]) {
        // Moves within each half; what comes from outside the line is zero.
        const LEFT: [i32; 16] = [15, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14];
        const RIGHT: [i32; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0];
        let [height, width] = l.size;
        let chunks = l.channels.div_ceil(TERMS);
        let one = (1u16 << width) - 1;
        // SAFETY: 64 bytes each.
        let [left, right, order] = unsafe {
            [
                _mm512_loadu_si512(LEFT.as_ptr().cast()),
                _mm512_loadu_si512(RIGHT.as_ptr().cast()),
                _mm512_loadu_si512(ORDER.as_ptr().cast()),
            ]
        };
        for p in 0..chunks * EDGE {
            let (chunk, within) = (p / EDGE, p % EDGE);
            let exists = [2 * p < l.channels, 2 * p + 1 < l.channels];
            let second = if exists[1] { height * width } else { 0 };
            let start = picture.as_ptr().wrapping_add(2 * p * height * width);
            // Lines `first + r` and the next side by side: the lines of square q at vertical place i for r = 2 q + i.
            let mut above = _mm512_setzero_si512();
            for r in 0..2 * l.squares + 2 {
                let y = l.first + r as isize;
                let inside = y >= 0 && y < height as isize;
                let masks = exists.map(|exists| if exists && inside { one } else { 0 });
                let from = start.wrapping_offset(y * width as isize);
                // SAFETY: the masks keep the loads in their line of their plane.
                let below = unsafe { load(from, from.wrapping_add(second), masks, order) };
                let here = _mm512_shuffle_i64x2::<0b01_00_01_00>(above, below);
                above = below;
                if r == 0 {
                    continue;
                }
                let r = r - 1;
                let shifts = [
                    _mm512_maskz_permutexvar_epi32(0xfefe, left, here),
                    here,
                    _mm512_maskz_permutexvar_epi32(0x7f7f, right, here),
                ];
                let mut i = r % 2;
                while i < 3 {
                    if r >= i && (r - i) / 2 < l.squares {
                        let mut j = 0;
                        while j < 3 {
                            let at = ((chunk * 3 + i) * 3 + j) * l.apart + (r - i) / 2;
                            // SAFETY: a row of a square, of those that the caller counted.
                            unsafe {
                                _mm512_store_si512(
                                    to.get_unchecked_mut(at).0.get_unchecked_mut(within).as_mut_ptr().cast(),
                                    shifts[j],
                                );
                            }
                            j += 1;
                        }
                    }
                    i += 2;
                }
            }
        }
    }

    /// # Safety
    /// See [`super::square`].
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub(super) unsafe fn square(l: &Lines, picture: &[f32], to: &mut [Square]) {
        let [height, width] = l.size.map(|size| size as i32);
        // For each tap, where each pixel comes from, and whether from inside.
        let (mut from, mut inside) = ([[0i32; 16]; 9], [0u16; 9]);
        for (t, (from, inside)) in from.iter_mut().zip(&mut inside).enumerate() {
            for (pixel, from) in from.iter_mut().enumerate() {
                let (y, x) = (pixel as i32 / width + t as i32 / 3 - 1, pixel as i32 % width + t as i32 % 3 - 1);
                if (0..height).contains(&y) && (0..width).contains(&x) {
                    (*from, *inside) = (y * width + x, *inside | 1 << pixel);
                }
            }
        }
        // SAFETY: 32 words of two bytes.
        let order = unsafe { _mm512_loadu_si512(ORDER.as_ptr().cast()) };
        let chunks = l.channels.div_ceil(TERMS);
        for p in 0..chunks * EDGE {
            let (chunk, within) = (p / EDGE, p % EDGE);
            let masks = [2 * p, 2 * p + 1].map(|c| if c < l.channels { u16::MAX } else { 0 });
            let start = picture.as_ptr().wrapping_add(2 * p * EDGE);
            // SAFETY: the masks keep the loads in channels that exist.
            let here = unsafe { load(start, start.wrapping_add(EDGE), masks, order) };
            let mut t = 0;
            while t < 9 {
                // SAFETY: sixteen indices; a row of a square, of those that the caller counted.
                unsafe {
                    let words = _mm512_maskz_permutexvar_epi32(inside[t], _mm512_loadu_si512(from[t].as_ptr().cast()), here);
                    let to = to.get_unchecked_mut((chunk * 9 + t) * l.apart).0.get_unchecked_mut(within);
                    _mm512_store_si512(to.as_mut_ptr().cast(), words);
                }
                t += 1;
            }
        }
    }
}
