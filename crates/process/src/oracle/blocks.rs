//! Posterior means of a mixture for many rows at one time: eight rows abreast, nothing allocated by row.
//!
//! At one time every component is four arrays: the mean `alpha mu_k`, the precision `M_k^-1`, the gain `alpha C_k M_k^-1` and
//! the logarithm of `w_k / sqrt(det 2 pi M_k)`. With `y = x - alpha mu_k`, the logarithm of the responsibility is
//! `c_k - y M_k^-1 y / 2`, and the posterior mean `sum_k r_k (mu_k + gain_k y)`. Rows are transposed to arrays of eight, which the
//! compiler turns into vectors; rows never meet, so a row's result does not depend on its company. All in double precision.

use rayon::prelude::*;

/// Rows side by side: a vector of AVX-512 doubles.
const LANES: usize = 8;
/// Rows from which threads are worth it, and rows a part.
const MANY: usize = 4096;
const PART: usize = 1024;

type F = [f64; LANES];

/// A component at one time.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// `ln w_k - ln det(2 pi M_k) / 2`.
    pub(super) ln_scale: f64,
    /// `mu_k`, `[d]`.
    pub(super) mean: Vec<f64>,
    /// `alpha mu_k`, `[d]`.
    pub(super) centre: Vec<f64>,
    /// `M_k^-1`, `[d, d]`.
    pub(super) precision: Vec<f64>,
    /// `alpha C_k M_k^-1`, `[d, d]`.
    pub(super) gain: Vec<f64>,
}

/// Numbers of a batch on the host.
pub(super) trait Number: Copy + Send + Sync + Default {
    fn wide(self) -> f64;
    fn of(v: f64) -> Self;
}

impl Number for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn of(v: f64) -> Self {
        v
    }
}

impl Number for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn of(v: f64) -> Self {
        v as f32
    }
}

/// The posterior means of the rows of `x`, `[n, d]`.
pub(super) fn means<T: Number>(pieces: &[Piece], x: &[T], d: usize) -> Vec<T> {
    let mut out = vec![T::default(); x.len()];
    let arch = pulp::Arch::new();
    let part = |(x, out): (&[T], &mut [T])| arch.dispatch(|| of_part(pieces, x, out, d));
    if x.len() / d < MANY {
        part((x, &mut out));
    } else {
        x.par_chunks(PART * d).zip(out.par_chunks_mut(PART * d)).for_each(part);
    }
    out
}

#[inline(always)]
fn of_part<T: Number>(pieces: &[Piece], x: &[T], out: &mut [T], d: usize) {
    // In the plane, where pictures are drawn and solvers compared, the loops over entries unroll.
    if d == 2 { rows::<T, 2>(pieces, x, out, 2, &mut Room::new(2)) } else { rows::<T, 0>(pieces, x, out, d, &mut Room::new(d)) }
}

/// What a block needs: state, distance, its image and the sum.
struct Room {
    x: Vec<F>,
    y: Vec<F>,
    sum: Vec<F>,
    ln: Vec<F>,
}

impl Room {
    fn new(d: usize) -> Self {
        let rows = || vec![[0.0; LANES]; d];
        Self { x: rows(), y: rows(), sum: rows(), ln: Vec::new() }
    }
}

#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "an entry is a place in several arrays at once")]
fn rows<T: Number, const D: usize>(pieces: &[Piece], x: &[T], out: &mut [T], d: usize, room: &mut Room) {
    let d = if D == 0 { d } else { D };
    room.ln.resize(pieces.len(), [0.0; LANES]);
    let Room { x: state, y, sum, ln } = room;
    for (x, out) in x.chunks(LANES * d).zip(out.chunks_mut(LANES * d)) {
        let taken = x.len() / d;
        for l in 0..LANES {
            // Lanes past the end repeat the last row and are dropped.
            let row = &x[l.min(taken - 1) * d..][..d];
            (0..d).for_each(|i| state[i][l] = row[i].wide());
        }

        // Logarithms of the responsibilities, and their largest.
        let mut top = [f64::NEG_INFINITY; LANES];
        for (p, ln) in pieces.iter().zip(ln.iter_mut()) {
            distance(p, state, y, d);
            let mut form = [0.0; LANES];
            for i in 0..d {
                let mut image = [0.0; LANES];
                for j in 0..d {
                    let q = p.precision[i * d + j];
                    (0..LANES).for_each(|l| image[l] += q * y[j][l]);
                }
                (0..LANES).for_each(|l| form[l] += image[l] * y[i][l]);
            }
            for l in 0..LANES {
                ln[l] = p.ln_scale - 0.5 * form[l];
                top[l] = if ln[l] > top[l] { ln[l] } else { top[l] };
            }
        }

        let mut total = [0.0; LANES];
        sum.iter_mut().for_each(|s| *s = [0.0; LANES]);
        for (p, ln) in pieces.iter().zip(ln.iter()) {
            let mut r = [0.0; LANES];
            (0..LANES).for_each(|l| r[l] = ln[l] - top[l]);
            exp_of_negative(&mut r);
            (0..LANES).for_each(|l| total[l] += r[l]);
            distance(p, state, y, d);
            for i in 0..d {
                let mut image = [p.mean[i]; LANES];
                for j in 0..d {
                    let g = p.gain[i * d + j];
                    (0..LANES).for_each(|l| image[l] += g * y[j][l]);
                }
                (0..LANES).for_each(|l| sum[i][l] += r[l] * image[l]);
            }
        }
        for l in 0..taken {
            (0..d).for_each(|i| out[l * d + i] = T::of(sum[i][l] / total[l]));
        }
    }
}

/// `y = x - alpha mu`.
#[inline(always)]
fn distance(p: &Piece, x: &[F], y: &mut [F], d: usize) {
    for i in 0..d {
        let c = p.centre[i];
        (0..LANES).for_each(|l| y[i][l] = x[i][l] - c);
    }
}

/// `e^x` for `x <= 0`, to 2e-16 relative; 0 below -700, NaN stays. `x = n ln 2 + f`, `|f| <= ln 2 / 2`, Taylor's series of
/// `e^f` to the 13th power.
#[inline(always)]
fn exp_of_negative(x: &mut F) {
    const SHIFT: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52: adding it rounds to an integer, kept in the low bits
    const HIGH: f64 = 0.693_147_180_369_123_816_490;
    const LOW: f64 = 1.908_214_929_270_587_700_02e-10;
    let (mut f, mut n, mut p) = ([0.0; LANES], [0u64; LANES], [1.0 / 6_227_020_800.0; LANES]);
    for l in 0..LANES {
        let shifted = x[l] * std::f64::consts::LOG2_E + SHIFT;
        let whole = shifted - SHIFT;
        n[l] = shifted.to_bits();
        f[l] = (x[l] - whole * HIGH) - whole * LOW;
    }
    for c in [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        (0..LANES).for_each(|l| p[l] = p[l] * f[l] + c);
    }
    for l in 0..LANES {
        let scale = f64::from_bits(n[l].wrapping_add(1023) << 52);
        let small = x[l] < -700.0;
        x[l] = if small { 0.0 } else { p[l] * scale };
    }
}

#[cfg(test)]
mod tests {
    use super::{LANES, exp_of_negative};

    #[test]
    fn exponentials_agree_with_the_standard_library() {
        for k in 0..70_000 {
            let x = -f64::from(k) * 0.01;
            let mut lanes = [x; LANES];
            exp_of_negative(&mut lanes);
            assert!((lanes[3] - x.exp()).abs() <= 4e-16 * x.exp(), "{x}: {} {}", lanes[3], x.exp());
        }
        let mut odd = [0.0, -0.0, -1e-300, -701.0, -1e9, f64::NEG_INFINITY, f64::NAN, -699.0];
        exp_of_negative(&mut odd);
        assert!(odd[..3] == [1.0; 3] && odd[3..6] == [0.0; 3] && odd[6].is_nan() && odd[7] > 0.0, "{odd:?}");
    }
}
