//! Noise as a function of (seed, sample, purpose, step).
//!
//! Counter-based generation (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): a bijection of 128-bit
//! counters under a 64-bit key, Philox4x32 with ten rounds. There is no state to carry: sample 17 of seed 3 gets the same
//! numbers whatever the batch size, the number of threads, or where a run was cut and resumed.
//!
//! Counter layout, four words of 32 bits: `[block, step, sample, purpose << 24 | draw << 16 | sample >> 32]`. A block gives four
//! words; element `e` of a row comes from block `e / 4`. Normals are Box-Muller pairs whose logarithm and sine are evaluated by
//! polynomials of this module in IEEE double arithmetic without fused operations, so that every machine draws the same bits.

use crate::Batch;
use burn::tensor::{DType, Tensor, TensorData};

/// What a draw is for. Streams of different purposes never share a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// The state a sampler starts from.
    Prior = 0,
    /// Noise injected by a solver's step.
    Solver = 1,
    /// The noise a training example is perturbed with.
    Perturb = 2,
    /// Times drawn in training.
    Time = 3,
    /// Dropout masks.
    Dropout = 4,
    /// Labels dropped for classifier-free guidance.
    LabelDrop = 5,
    /// Augmentation and flips.
    Augment = 6,
    /// The order of the data.
    Order = 7,
    /// Initial parameters.
    Init = 8,
    /// Probe vectors of trace estimators.
    Probe = 9,
    /// Dequantisation.
    Dequantise = 10,
    /// Synthetic data sets.
    Synthetic = 11,
    /// Measurements of inverse problems.
    Measurement = 12,
    /// Couplings between noise and data.
    Coupling = 13,
    /// The class of a sample.
    ClassDraw = 14,
    /// The Brownian path behind a run.
    Path = 20,
    /// Anything a caller does outside the library.
    User = 63,
}

/// Philox4x32-10 (Salmon et al. 2011, section 5.3): four random words from a counter and a key.
///
/// ```
/// // The all-zero vector published with Random123.
/// assert_eq!(scorefield_tensor::noise::philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
#[inline]
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    const M0: u64 = 0xD251_1F53;
    const M1: u64 = 0xCD9E_8D57;
    const W0: u32 = 0x9E37_79B9;
    const W1: u32 = 0xBB67_AE85;
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..10 {
        let (p0, p1) = (M0 * u64::from(c0), M1 * u64::from(c2));
        (c0, c1, c2, c3) = ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
        (k0, k1) = (k0.wrapping_add(W0), k1.wrapping_add(W1));
    }
    [c0, c1, c2, c3]
}

/// The stream of one (seed, sample, purpose, step, draw): any number of words, normals or uniforms from element 0 on.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: [u32; 2],
    tail: [u32; 3],
}

impl Stream {
    /// The stream for a sample's step. `draw` tells several requests within one step apart.
    pub fn new(seed: u64, sample: u64, purpose: Purpose, step: u32, draw: u8) -> Self {
        let high = (u32::from(purpose as u8) << 24) | (u32::from(draw) << 16) | ((sample >> 32) as u32 & 0xFFFF);
        Self { key: [seed as u32, (seed >> 32) as u32], tail: [step, sample as u32, high] }
    }

    /// The four words of a block.
    #[inline]
    pub fn block(&self, block: u32) -> [u32; 4] {
        let (counter, key) = self.counter(block);
        philox(counter, key)
    }

    /// Counter and key of a block.
    #[inline(always)]
    pub(crate) fn counter(&self, block: u32) -> ([u32; 4], [u32; 2]) {
        ([block, self.tail[0], self.tail[1], self.tail[2]], self.key)
    }

    /// Word `i` of the stream, uniform over all 32-bit numbers.
    pub fn word(&self, i: usize) -> u32 {
        self.block((i / 4) as u32)[i % 4]
    }

    /// Uniform number `i` in the open interval (0, 1), with 32 random bits.
    pub fn uniform(&self, i: usize) -> f64 {
        unit(self.word(i))
    }

    /// Uniform integer below `n` (multiply-shift; its bias is below `n / 2^32`).
    ///
    /// # Panics
    /// When `n` is zero.
    pub fn below(&self, i: usize, n: u32) -> u32 {
        assert!(n > 0, "an integer below zero was asked for");
        ((u64::from(self.word(i)) * u64::from(n)) >> 32) as u32
    }

    /// Fills a slice with independent standard normals.
    pub fn fill_normal(&self, out: &mut [f64]) {
        for (b, chunk) in out.chunks_mut(4).enumerate() {
            chunk.copy_from_slice(&self.normals(b as u32)[..chunk.len()]);
        }
    }

    /// Fills a slice with independent standard normals in single precision (the same numbers, rounded).
    pub fn fill_normal_f32(&self, out: &mut [f32]) {
        for (b, chunk) in out.chunks_mut(4).enumerate() {
            let z = self.normals(b as u32);
            chunk.iter_mut().zip(z).for_each(|(o, z)| *o = z as f32);
        }
    }

    /// Fills a slice with independent signs, +1 or -1 (Rademacher).
    pub fn fill_sign(&self, out: &mut [f64]) {
        for (b, chunk) in out.chunks_mut(128).enumerate() {
            let words = self.block(b as u32);
            for (i, o) in chunk.iter_mut().enumerate() {
                *o = if words[i / 32] >> (i % 32) & 1 == 1 { 1.0 } else { -1.0 };
            }
        }
    }

    /// Four normals from a block: two Box-Muller pairs.
    #[inline]
    fn normals(&self, block: u32) -> [f64; 4] {
        let [a, b, c, d] = self.block(block);
        let (r0, r1) = ((-2.0 * ln_unit(a)).sqrt(), (-2.0 * ln_unit(c)).sqrt());
        let ((s0, c0), (s1, c1)) = (sin_cos_turn(b), sin_cos_turn(d));
        [r0 * c0, r0 * s0, r1 * c1, r1 * s1]
    }
}

/// A word as a number in (0, 1): the middle of its cell.
#[inline]
fn unit(word: u32) -> f64 {
    (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0)
}

/// The coefficients `1 / k`, `k` odd, of the series of the inverse hyperbolic tangent below that of `k = 19`.
pub(crate) const LN_SERIES: [f64; 9] =
    [1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];

/// `ln((word + 1/2) / 2^32)` to 1e-15 relative, by exponent and the series of `2 artanh((m - 1) / (m + 1))`.
#[inline]
fn ln_unit(word: u32) -> f64 {
    let bits = (f64::from(word) + 0.5).to_bits();
    // Mantissa in [sqrt(1/2), sqrt(2)) keeps the argument of the series below 0.1716.
    let up = u64::from(bits & 0x000F_FFFF_FFFF_FFFF > 0x0006_A09E_667F_3BCC);
    let exponent = (bits >> 52) as i64 - 1023 + up as i64;
    let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) | ((1023 - up) << 52));
    let z = (m - 1.0) / (m + 1.0);
    let w = z * z;
    let mut p = 1.0 / 19.0;
    for c in LN_SERIES {
        p = p * w + c;
    }
    2.0 * z * p + (exponent - 32) as f64 * std::f64::consts::LN_2
}

/// Sine and cosine of `2 pi word / 2^32`: the top bits choose the quadrant, Taylor series do the rest.
#[inline]
fn sin_cos_turn(word: u32) -> (f64, f64) {
    // Distance to the nearest quarter turn, in (-1/8, 1/8] of a turn.
    let quadrant = word.wrapping_add(1 << 29) >> 30;
    let rest = word.wrapping_sub(quadrant << 30) as i32;
    let x = f64::from(rest) * (std::f64::consts::TAU / 4_294_967_296.0);
    let w = x * x;
    let mut s = 0.0;
    for k in [1_307_674_368_000.0, -6_227_020_800.0, 39_916_800.0, -362_880.0, 5_040.0, -120.0, 6.0] {
        s = (s - 1.0 / k) * w;
    }
    let s = x + x * s;
    let mut c = 0.0;
    for k in [20_922_789_888_000.0, -87_178_291_200.0, 479_001_600.0, -3_628_800.0, 40_320.0, -720.0, 24.0, -2.0] {
        c = (c + 1.0 / k) * w;
    }
    let c = 1.0 + c;
    match quadrant {
        0 => (s, c),
        1 => (c, -s),
        2 => (-s, -c),
        _ => (-c, s),
    }
}

/// Where solvers take their noise from: standard normals in the shape of a batch.
pub trait Noise {
    /// Independent standard normals in the shape, element type and device of `like`.
    fn normal(&mut self, like: &Batch) -> Batch;

    /// The standardised increment between times `t` and `s` of the path that drives the reverse SDE: standard normals, independent
    /// over disjoint intervals. A source that knows its path ties the increments of different grids together; others draw afresh.
    fn between(&mut self, like: &Batch, _t: f64, _s: f64) -> Batch {
        self.normal(like)
    }

    /// The increment of [`Noise::between`] and, independent of it, a second normal for the time integral of the path: over a step
    /// `h` of a path in its own clock, `Delta W = sqrt(h) u` and `int (W - W_0) = h^(3/2) (u + v / sqrt 3) / 2`.
    fn with_integral(&mut self, like: &Batch, t: f64, s: f64) -> (Batch, Batch) {
        let u = self.between(like, t, s);
        (u, self.normal(like))
    }

    /// Tells the source which step of the loop over time begins.
    fn begin(&mut self, step: u32);
}

/// The streams of a batch: row `i` draws from sample `samples[i]` of one seed.
#[derive(Clone, Debug)]
pub struct Streams {
    seed: u64,
    samples: Vec<u64>,
    purpose: Purpose,
    step: u32,
    draw: u8,
}

impl Streams {
    /// Streams of the given samples, at step 0.
    pub fn new(seed: u64, samples: Vec<u64>, purpose: Purpose) -> Self {
        Self { seed, samples, purpose, step: 0, draw: 0 }
    }

    /// The same samples and seed for another purpose, at step 0.
    pub fn of(&self, purpose: Purpose) -> Self {
        Self { purpose, step: 0, draw: 0, ..self.clone() }
    }

    /// The global indices of the samples, one a row.
    pub fn samples(&self) -> &[u64] {
        &self.samples
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The stream of row `i` for the draw at hand, without advancing.
    pub fn stream(&self, i: usize) -> Stream {
        Stream::new(self.seed, self.samples[i], self.purpose, self.step, self.draw)
    }

    /// The normals of every row for the draw at hand, without advancing.
    fn fill<T: crate::lanes::Real>(&self, out: &mut [T], d: usize) {
        if !out.is_empty() {
            crate::lanes::fill_normals(out, d, |i| self.stream(i));
        }
    }

    /// Moves on to the next draw within the step.
    pub fn advance(&mut self) {
        self.draw = self.draw.checked_add(1).expect("fewer than 256 draws a step");
    }
}

impl Noise for Streams {
    #[track_caller]
    fn normal(&mut self, like: &Batch) -> Batch {
        let [n, d] = like.dims();
        assert_eq!(self.samples.len(), n, "noise of {} samples asked for {n} rows", self.samples.len());
        let options = (&like.device(), like.dtype());
        let out = if like.dtype() == DType::F64 {
            let mut z = vec![0.0f64; n * d];
            self.fill(&mut z, d);
            Tensor::from_data(TensorData::new(z, [n, d]), options)
        } else {
            let mut z = vec![0.0f32; n * d];
            self.fill(&mut z, d);
            Tensor::from_data(TensorData::new(z, [n, d]), options)
        };
        self.advance();
        out
    }

    fn begin(&mut self, step: u32) {
        (self.step, self.draw) = (step, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three known-answer vectors published with Random123 (kat_vectors, philox4x32 10).
    #[test]
    fn philox_gives_the_published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([!0; 4], [!0; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let (counter, key) = ([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(philox(counter, key), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn logarithm_and_sine_agree_with_the_standard_library() {
        for i in 0..200_000u32 {
            let word = i.wrapping_mul(0x9E37_79B9);
            let exact = unit(word).ln();
            assert!((ln_unit(word) - exact).abs() <= 4e-15 * exact.abs().max(1e-3), "{word}: {} {exact}", ln_unit(word));
            let angle = f64::from(word) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (s, c) = sin_cos_turn(word);
            assert!((s - angle.sin()).abs() < 2e-15 && (c - angle.cos()).abs() < 2e-15, "{word}");
        }
        for word in [0, 1, u32::MAX, 1 << 29, (1 << 29) - 1, 1 << 30, 1 << 31, 3 << 30] {
            assert!(ln_unit(word).is_finite() && ln_unit(word) < 0.0);
        }
    }

    /// Mean 0, variance 1, fourth moment 3, each within five standard errors over a million draws.
    #[test]
    fn normals_have_the_moments_of_the_normal() {
        let n = 1_000_000;
        let mut z = vec![0.0; n];
        Stream::new(7, 3, Purpose::User, 1, 0).fill_normal(&mut z);
        let moment = |p: i32| z.iter().map(|v| v.powi(p)).sum::<f64>() / n as f64;
        let error = |variance: f64| 5.0 * (variance / n as f64).sqrt();
        assert!(moment(1).abs() < error(1.0));
        assert!((moment(2) - 1.0).abs() < error(2.0));
        assert!(moment(3).abs() < error(15.0));
        assert!((moment(4) - 3.0).abs() < error(96.0));
        let lag: f64 = z.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!(lag.abs() < error(1.0));
    }

    /// Frozen: a change here changes every sample ever drawn and is called **value:** in the changelog.
    #[test]
    fn seed_to_value_table() {
        let mut z = [0.0; 4];
        Stream::new(3, 17, Purpose::Prior, 0, 0).fill_normal(&mut z);
        frozen(&z, &FROZEN_PRIOR);
        Stream::new(3, 17, Purpose::Solver, 5, 1).fill_normal(&mut z);
        frozen(&z, &FROZEN_SOLVER);
    }
    fn frozen(z: &[f64], frozen: &[f64]) {
        assert_eq!(z, frozen, "{z:?}");
    }
    const FROZEN_PRIOR: [f64; 4] = [1.0646810187239042, 0.9559395061338065, -0.07076776262905869, 1.1522948352643236];
    const FROZEN_SOLVER: [f64; 4] = [0.21506324596645368, -0.5138514032845773, 1.1855893585823731, -1.1531010955000878];

    #[test]
    fn rows_do_not_depend_on_the_batch() {
        let device = Default::default();
        let like = |n: usize| crate::batch(vec![0.0; n * 10], n, &device);
        let whole = crate::rows(Streams::new(1, (0..5).collect(), Purpose::Solver).normal(&like(5)));
        let part = crate::rows(Streams::new(1, vec![3], Purpose::Solver).normal(&like(1)));
        assert_eq!(whole[30..40], part[..]);
    }
}
