//! Normals for many rows at once: the same bits as [`Stream`](crate::noise::Stream), eight blocks abreast.
//!
//! One row's block of four normals is a chain of integer products, a logarithm, a sine and a square root, all of them without
//! branches. Eight blocks side by side, whichever rows they belong to, are loops over arrays of eight that the compiler turns into
//! vector instructions; `pulp` runs them with those that the machine has. Every operation is one IEEE operation, nothing is fused, so
//! the numbers are those of one block at a time, bit for bit (a test says so). Large requests are shared among threads.

use crate::noise::{LN_SERIES, Stream};
pub use pulp::NullaryFnOnce;
use rayon::prelude::*;

/// Blocks side by side: a vector of AVX-512 doubles.
const LANES: usize = 8;
/// Numbers from which a request is worth the threads.
const MANY: usize = 1 << 14;

type F = [f64; LANES];
type W = [u32; LANES];

/// A number that normals are written as.
pub trait Real: Copy + Send + Sync {
    /// Rounded from double precision.
    fn of(v: f64) -> Self;
}

impl Real for f64 {
    #[inline(always)]
    fn of(v: f64) -> Self {
        v
    }
}

impl Real for f32 {
    #[inline(always)]
    fn of(v: f64) -> Self {
        v as f32
    }
}

/// Standard normals for every row of `out`, `[n, d]`: row `i` holds the first `d` normals of `stream(i)`.
///
/// # Panics
/// When `d` is zero or does not divide the length of `out`.
pub fn fill_normals<T: Real>(out: &mut [T], d: usize, stream: impl Fn(usize) -> Stream + Sync) {
    assert!(d > 0 && out.len().is_multiple_of(d), "{} numbers in rows of {d}", out.len());
    // Whole rows, about 4096 numbers each.
    let rows = (4096 / d).max(1);
    let fill = |(k, part): (usize, &mut [T])| vectorized(Rows { out: part, d, first: k * rows, stream: &stream });
    if out.len() < MANY {
        out.chunks_mut(rows * d).enumerate().for_each(fill);
    } else {
        out.par_chunks_mut(rows * d).enumerate().for_each(fill);
    }
}

/// Factors of inverted dropout for every row of `out`, `[n, d]`: 0 with probability `rate`, `1 / (1 - rate)` otherwise, by the words of
/// row `i`'s stream, `stream(i)`.
///
/// # Panics
/// When `d` is zero or does not divide the length of `out`.
pub fn fill_survivors(out: &mut [f32], d: usize, rate: f64, stream: impl Fn(usize) -> Stream + Sync) {
    assert!(d > 0 && out.len().is_multiple_of(d), "{} numbers in rows of {d}", out.len());
    let (limit, kept) = ((rate * 4_294_967_296.0) as u64, (1.0 / (1.0 - rate)) as f32);
    let keep = |word: u32| if u64::from(word) >= limit { kept } else { 0.0 };
    out.par_chunks_mut(d).with_min_len((MANY / d).max(1)).enumerate().for_each(|(i, row)| {
        let stream = stream(i);
        for (b, chunk) in row.chunks_mut(4).enumerate() {
            chunk.iter_mut().zip(stream.block(b as u32)).for_each(|(m, word)| *m = keep(word));
        }
    });
}

/// Runs `work` compiled for the widest vectors that the machine has.
///
/// The levels of x86 are asked for one by one: `pulp`'s own choice skips AVX2 unless a feature is on with which all matrix products of Burn
/// would be built for it once more.
#[inline]
pub fn vectorized<F: NullaryFnOnce>(work: F) -> F::Output {
    #[cfg(target_arch = "x86_64")]
    {
        use pulp::x86::{V3, V4};
        if let Some(simd) = V4::try_new() {
            return simd.vectorize(work);
        }
        if let Some(simd) = V3::try_new() {
            return simd.vectorize(work);
        }
    }
    pulp::Arch::new().dispatch(work)
}

/// A part of the rows, to be filled with the machine's vectors: a closure would not be inlined into them.
struct Rows<'a, T, S> {
    out: &'a mut [T],
    d: usize,
    first: usize,
    stream: &'a S,
}

impl<T: Real, S: Fn(usize) -> Stream> NullaryFnOnce for Rows<'_, T, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        fill_rows(self.out, self.d, |i| (self.stream)(self.first + i));
    }
}

#[inline(always)]
fn fill_rows<T: Real>(out: &mut [T], d: usize, stream: impl Fn(usize) -> Stream) {
    let n = out.len() / d;
    // Where the second pair of every block falls off the row, it is not computed.
    let pairs = if d <= 2 { 1 } else { 2 };
    // The next block: its row and the place of its first normal there.
    let (mut row, mut start) = (0, 0);
    while row < n {
        let (mut c, mut k0, mut k1) = ([[0u32; LANES]; 4], [0u32; LANES], [0u32; LANES]);
        let (mut places, mut taken) = ([(0, 0); LANES], 0);
        for l in 0..LANES {
            if row < n {
                (places[l], taken) = ((row, start), l + 1);
                start += 4;
                if start >= d {
                    (row, start) = (row + 1, 0);
                }
            } else {
                // Lanes past the end repeat the last block and are dropped.
                places[l] = places[taken - 1];
            }
            let (counter, key) = stream(places[l].0).counter((places[l].1 / 4) as u32);
            (c[0][l], c[1][l], c[2][l], c[3][l]) = (counter[0], counter[1], counter[2], counter[3]);
            (k0[l], k1[l]) = (key[0], key[1]);
        }
        philox(&mut c, &mut k0, &mut k1);
        for pair in 0..pairs {
            let (radius, (sine, cosine)) = (radius(&c[2 * pair]), sin_cos(&c[2 * pair + 1]));
            let mut z = [[0.0; LANES]; 2];
            for l in 0..LANES {
                z[0][l] = radius[l] * cosine[l];
                z[1][l] = radius[l] * sine[l];
            }
            for (l, &(row, start)) in places[..taken].iter().enumerate() {
                let at = start + 2 * pair;
                let left = &mut out[row * d + at.min(d)..(row + 1) * d];
                left.iter_mut().zip([z[0][l], z[1][l]]).for_each(|(o, z)| *o = T::of(z));
            }
        }
    }
}

/// Ten rounds of Philox4x32 on eight counters.
#[inline(always)]
fn philox(c: &mut [W; 4], k0: &mut W, k1: &mut W) {
    for _ in 0..10 {
        for l in 0..LANES {
            let (p0, p1) = (0xD251_1F53 * u64::from(c[0][l]), 0xCD9E_8D57 * u64::from(c[2][l]));
            let (a, b) = ((p1 >> 32) as u32 ^ c[1][l] ^ k0[l], (p0 >> 32) as u32 ^ c[3][l] ^ k1[l]);
            (c[0][l], c[1][l], c[2][l], c[3][l]) = (a, p1 as u32, b, p0 as u32);
            k0[l] = k0[l].wrapping_add(0x9E37_79B9);
            k1[l] = k1[l].wrapping_add(0xBB67_AE85);
        }
    }
}

/// `sqrt(-2 ln((word + 1/2) / 2^32))`, as `noise::ln_unit` has the logarithm.
#[inline(always)]
fn radius(words: &W) -> F {
    let (mut z, mut w, mut p, mut e) = ([0.0; LANES], [0.0; LANES], [1.0 / 19.0; LANES], [0.0; LANES]);
    for l in 0..LANES {
        let bits = (f64::from(words[l]) + 0.5).to_bits();
        let up = u64::from(bits & 0x000F_FFFF_FFFF_FFFF > 0x0006_A09E_667F_3BCC);
        // A small integer as a double, by its place in the mantissa of 2^52: exact, and a vector instruction everywhere.
        let exponent = f64::from_bits(((bits >> 52) + up) | 0x4330_0000_0000_0000) - 4_503_599_627_370_496.0;
        e[l] = exponent - (1023.0 + 32.0);
        let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | ((1023 - up) << 52));
        z[l] = (m - 1.0) / (m + 1.0);
        w[l] = z[l] * z[l];
    }
    for c in LN_SERIES {
        for l in 0..LANES {
            p[l] = p[l] * w[l] + c;
        }
    }
    let mut r = [0.0; LANES];
    for l in 0..LANES {
        let ln = 2.0 * z[l] * p[l] + e[l] * std::f64::consts::LN_2;
        r[l] = (-2.0 * ln).sqrt();
    }
    r
}

/// Sine and cosine of `2 pi word / 2^32`, as `noise::sin_cos_turn`.
#[inline(always)]
fn sin_cos(words: &W) -> (F, F) {
    let (mut x, mut w, mut quadrant) = ([0.0; LANES], [0.0; LANES], [0u32; LANES]);
    for l in 0..LANES {
        quadrant[l] = words[l].wrapping_add(1 << 29) >> 30;
        let rest = words[l].wrapping_sub(quadrant[l] << 30) as i32;
        x[l] = f64::from(rest) * (std::f64::consts::TAU / 4_294_967_296.0);
        w[l] = x[l] * x[l];
    }
    let (mut s, mut c) = ([0.0; LANES], [0.0; LANES]);
    for k in [1_307_674_368_000.0, -6_227_020_800.0, 39_916_800.0, -362_880.0, 5_040.0, -120.0, 6.0] {
        for l in 0..LANES {
            s[l] = (s[l] - 1.0 / k) * w[l];
        }
    }
    for k in [20_922_789_888_000.0, -87_178_291_200.0, 479_001_600.0, -3_628_800.0, 40_320.0, -720.0, 24.0, -2.0] {
        for l in 0..LANES {
            c[l] = (c[l] + 1.0 / k) * w[l];
        }
    }
    let (mut sine, mut cosine) = ([0.0; LANES], [0.0; LANES]);
    for l in 0..LANES {
        let (s, c) = (x[l] + x[l] * s[l], 1.0 + c[l]);
        // The quarter turns as choices of a vector: odd ones swap, and the signs are bits.
        let odd = quadrant[l] & 1 == 1;
        let (a, b) = if odd { (c, s) } else { (s, c) };
        let sign = |on: u32, v: f64| f64::from_bits(v.to_bits() ^ (u64::from(on) << 63));
        sine[l] = sign(quadrant[l] >> 1, a);
        cosine[l] = sign((quadrant[l] >> 1) ^ (quadrant[l] & 1), b);
    }
    (sine, cosine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Purpose;

    /// Bit for bit the numbers of one stream at a time, for rows of every length and any number of them.
    #[test]
    fn the_same_bits_as_one_at_a_time() {
        for d in [1, 2, 3, 4, 5, 7, 8, 33] {
            for n in [1, 2, 7, 8, 9, 100] {
                let stream = |i: usize| Stream::new(11, 5 + 3 * i as u64, Purpose::Solver, 4, 1);
                let (mut all, mut one) = (vec![0.0f64; n * d], vec![0.0f64; n * d]);
                fill_normals(&mut all, d, stream);
                one.chunks_mut(d).enumerate().for_each(|(i, row)| stream(i).fill_normal(row));
                assert!(all.iter().zip(&one).all(|(a, b)| a.to_bits() == b.to_bits()), "{n} rows of {d}");
            }
        }
        let stream = |i: usize| Stream::new(2, i as u64, Purpose::Prior, 0, 0);
        let (mut all, mut one) = (vec![0.0f32; 60_000], vec![0.0f32; 60_000]);
        fill_normals(&mut all, 6, stream);
        one.chunks_mut(6).enumerate().for_each(|(i, row)| stream(i).fill_normal_f32(row));
        assert_eq!(all, one);
    }

    /// The widths of vectors make no difference to a bit.
    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_machine_draws_the_same() {
        use pulp::x86::{V3, V4};
        let stream = |i: usize| Stream::new(7, i as u64, Purpose::Prior, 3, 0);
        let [mut plain, mut avx2, mut avx512] = [(); 3].map(|()| vec![0.0f64; 70 * 5]);
        fill_rows(&mut plain, 5, stream);
        if let Some(simd) = V3::try_new() {
            simd.vectorize(Rows { out: &mut avx2, d: 5, first: 0, stream: &stream });
            assert_eq!(avx2, plain, "AVX2");
        }
        if let Some(simd) = V4::try_new() {
            simd.vectorize(Rows { out: &mut avx512, d: 5, first: 0, stream: &stream });
            assert_eq!(avx512, plain, "AVX-512");
        }
    }
}
