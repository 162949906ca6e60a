//! Posterior means of a mixture for many rows at one time: thirty-two rows abreast, nothing allocated by row.
//!
//! At one time every component is four arrays: the mean `alpha mu_k`, the precision `M_k^-1`, the gain `alpha C_k M_k^-1` and
//! the logarithm of `w_k / sqrt(det 2 pi M_k)`. With `y = x - alpha mu_k`, the logarithm of the responsibility is
//! `c_k - y M_k^-1 y / 2`, and the posterior mean `sum_k r_k (mu_k + gain_k y)`. Rows are transposed to arrays of thirty-two, which the
//! compiler turns into vectors; rows never meet, so a row's result does not depend on its company. All in double precision.

use rayon::prelude::*;
use scorefield_tensor::{NullaryFnOnce, vectorized};

/// Rows side by side: four vectors of AVX-512 doubles, so that the compiler keeps the loops as loops.
const LANES: usize = 32;
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
    let part = |(x, out): (&[T], &mut [T])| vectorized(Part { pieces, x, out, d });
    if x.len() / d < MANY {
        part((x, &mut out));
    } else {
        x.par_chunks(PART * d).zip(out.par_chunks_mut(PART * d)).for_each(part);
    }
    out
}

/// A part of the rows, for the machine's vectors: a closure would not be inlined into them.
struct Part<'a, T> {
    pieces: &'a [Piece],
    x: &'a [T],
    out: &'a mut [T],
    d: usize,
}

impl<T: Number> NullaryFnOnce for Part<'_, T> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        of_part(self.pieces, self.x, self.out, self.d);
    }
}

#[inline(always)]
fn of_part<T: Number>(pieces: &[Piece], x: &[T], out: &mut [T], d: usize) {
    let heap = || vec![[0.0; LANES]; d];
    match d {
        // In the plane, where solvers are compared and pictures drawn, the entries stay in registers.
        2 => rows(pieces, x, out, [[[0.0; LANES]; 2]; 3]),
        _ => rows(pieces, x, out, [heap(), heap(), heap()]),
    }
}

/// `room` holds the state, the distance from a centre and the sum of a block, `d` entries each.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "an entry is a place in several arrays at once")]
fn rows<T: Number, R: AsMut<[F]> + AsRef<[F]>>(pieces: &[Piece], x: &[T], out: &mut [T], mut room: [R; 3]) {
    let d = room[0].as_ref().len();
    let mut ln = vec![[0.0; LANES]; pieces.len()];
    let [state, y, sum] = &mut room;
    for (x, out) in x.chunks(LANES * d).zip(out.chunks_mut(LANES * d)) {
        let (state, y, sum) = (state.as_mut(), y.as_mut(), sum.as_mut());
        let taken = x.len() / d;
        if taken == LANES {
            for (l, row) in x.chunks_exact(d).enumerate() {
                (0..d).for_each(|i| state[i][l] = row[i].wide());
            }
        } else {
            for l in 0..LANES {
                // Lanes past the end repeat the last row and are dropped.
                let row = &x[l.min(taken - 1) * d..][..d];
                (0..d).for_each(|i| state[i][l] = row[i].wide());
            }
        }

        // Logarithms of the responsibilities, and their largest.
        let mut top = [f64::NEG_INFINITY; LANES];
        for (p, ln) in pieces.iter().zip(ln.iter_mut()) {
            distance(p, state, y);
            let mut form = [0.0; LANES];
            for i in 0..d {
                let mut image = [0.0; LANES];
                for (y, q) in y.iter().zip(&p.precision[i * d..][..d]) {
                    for l in 0..LANES {
                        image[l] += q * y[l];
                    }
                }
                for l in 0..LANES {
                    form[l] += image[l] * y[i][l];
                }
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
            for l in 0..LANES {
                r[l] = ln[l] - top[l];
            }
            exp_of_negative(&mut r);
            for l in 0..LANES {
                total[l] += r[l];
            }
            distance(p, state, y);
            for i in 0..d {
                let mut image = [p.mean[i]; LANES];
                for (y, g) in y.iter().zip(&p.gain[i * d..][..d]) {
                    for l in 0..LANES {
                        image[l] += g * y[l];
                    }
                }
                for l in 0..LANES {
                    sum[i][l] += r[l] * image[l];
                }
            }
        }
        for s in sum.iter_mut() {
            for l in 0..LANES {
                s[l] /= total[l];
            }
        }
        for (l, row) in out.chunks_exact_mut(d).enumerate() {
            (0..d).for_each(|i| row[i] = T::of(sum[i][l]));
        }
    }
}

/// `y = x - alpha mu`.
#[inline(always)]
fn distance(p: &Piece, x: &[F], y: &mut [F]) {
    for ((x, y), c) in x.iter().zip(y).zip(&p.centre) {
        for l in 0..LANES {
            y[l] = x[l] - c;
        }
    }
}

/// `e^x` for `x <= 0`, to 2e-16 relative; 0 below -700, NaN stays. `x = n ln 2 + f`, `|f| <= ln 2 / 2`, Taylor's series of
/// `e^f` to the 13th power.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "a lane is a place in several arrays at once")]
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
        for l in 0..LANES {
            p[l] = p[l] * f[l] + c;
        }
    }
    for l in 0..LANES {
        let value = p[l] * f64::from_bits(n[l].wrapping_add(1023) << 52);
        x[l] = if x[l] < -700.0 { 0.0 } else { value };
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
        let mut odd = [-1.0; LANES];
        odd[..8].copy_from_slice(&[0.0, -0.0, -1e-300, -701.0, -1e9, f64::NEG_INFINITY, f64::NAN, -699.0]);
        exp_of_negative(&mut odd);
        assert!(odd[..3] == [1.0; 3] && odd[3..6] == [0.0; 3] && odd[6].is_nan() && odd[7] > 0.0, "{odd:?}");
    }
}
