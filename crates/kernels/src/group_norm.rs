//! Group normalisation (Wu and He 2018), with the scale and shift of a condition and the activation in one pass.
//!
//! For picture `n` and a group `G` of consecutive channels, `mu` and `v` the mean and (biased) variance over the channels of the
//! group and all pixels, `r = 1 / sqrt(v + eps)`:
//!
//! * `h = (x - mu) r`, `g = gamma_c h + beta_c`, `z = g (1 + scale_nc) + shift_nc`, `y = act(z)`.
//!
//! Backward, with `dz = dy act'(z)` and per picture and channel `S1 = sum_p dz`, `S2 = sum_p dz h`:
//!
//! * `dshift = S1`, `dscale = gamma S2 + beta S1`, `dgamma = sum_n (1 + scale) S2`, `dbeta = sum_n (1 + scale) S1`;
//! * `dh = dz a`, `a = gamma (1 + scale)`, and over the group of `m` numbers
//!   `dx = r (dh - (sum dh) / m - h (sum dh h) / m)`, where `sum dh = sum_c a S1` and `sum dh h = sum_c a S2`.
//!
//! Only `x` and the pairs `(mu, r)` are kept; `h` and `z` are computed again.

use crate::extension::KernelOps;
use crate::host::{Host, contiguous, dims, fast, host, values};
use crate::math::{sigmoid, silu_slope, sum, sum_and_dot, sum_squared_from};
use crate::micro::lanes;
use crate::parallel::{for_each_pair, unset};
use crate::record::Pullback;
use burn::backend::Dispatch;
use scorefield_tensor::Tensor;

/// The activation after a normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// None.
    Identity,
    /// `z / (1 + e^-z)`.
    Silu,
}

/// `act(GN(x) (1 + scale) + shift)`: `x` `[n, c, h, w]`, `gamma` and `beta` `[c]`, `modulation` the pair `(scale, shift)`, each
/// `[n, c]`. `GN` normalises over `groups` groups of consecutive channels with the biased variance, then multiplies `gamma` and
/// adds `beta`. Differentiable in everything.
///
/// # Panics
/// When `groups` does not divide the channels or a size disagrees.
#[track_caller]
pub fn group_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    eps: f64,
    modulation: Option<(Tensor<2>, Tensor<2>)>,
    act: Act,
) -> Tensor<4> {
    let [n, c, ..] = x.dims();
    assert!(groups > 0 && c.is_multiple_of(groups), "{groups} groups do not divide {c} channels");
    assert_eq!([gamma.dims(), beta.dims()], [[c]; 2], "gamma and beta for {c} channels");
    if let Some((scale, shift)) = &modulation {
        assert_eq!([scale.dims(), shift.dims()], [[n, c]; 2], "scale and shift for {n} pictures of {c} channels");
    }
    let modulated = modulation.as_ref().is_none_or(|(scale, shift)| fast(scale) && fast(shift));
    if !(fast(&x) && fast(&gamma) && fast(&beta) && modulated) {
        return portable(x, gamma, beta, groups, eps, modulation, act);
    }
    let (x, gamma, beta) = (x.into_dispatch(), gamma.into_dispatch(), beta.into_dispatch());
    let norm = Norm { groups, eps, act };
    Tensor::from_dispatch(match modulation {
        Some((scale, shift)) => {
            <Dispatch as KernelOps>::group_norm_modulated(x, gamma, beta, scale.into_dispatch(), shift.into_dispatch(), norm)
        }
        None => <Dispatch as KernelOps>::group_norm(x, gamma, beta, norm),
    })
}

/// The same from ordinary operations.
pub(crate) fn portable(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    groups: usize,
    eps: f64,
    modulation: Option<(Tensor<2>, Tensor<2>)>,
    act: Act,
) -> Tensor<4> {
    let [n, c, h, w] = x.dims();
    let grouped = x.reshape([n, groups, c / groups * h * w]);
    let centred = grouped.clone() - grouped.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normal = (centred / (variance + eps).sqrt()).reshape([n, c, h, w]);
    let mut y = normal * gamma.reshape([1, c, 1, 1]) + beta.reshape([1, c, 1, 1]);
    if let Some((scale, shift)) = modulation {
        y = y * (scale.reshape([n, c, 1, 1]) + 1.0) + shift.reshape([n, c, 1, 1]);
    }
    match act {
        Act::Identity => y,
        Act::Silu => crate::silu::portable(y),
    }
}

/// The settings of a normalisation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Norm {
    groups: usize,
    eps: f64,
    act: Act,
}

/// Mean and reciprocal standard deviation of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moments {
    mean: f32,
    rstd: f32,
}

lanes! {
    /// `y = act(x a + b)`.
    fn affine(x: &[f32], a: f32, b: f32, act: Act, y: &mut [f32]) {
        match act {
            Act::Identity => y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * a + b),
            Act::Silu => {
                for (y, &x) in y.iter_mut().zip(x) {
                    let z = x * a + b;
                    *y = z * sigmoid(z);
                }
            }
        }
    }

    /// `dz = dy act'(x a + b)`.
    fn affine_slope(x: &[f32], a: f32, b: f32, act: Act, dy: &[f32], dz: &mut [f32]) {
        match act {
            Act::Identity => dz.copy_from_slice(dy),
            Act::Silu => {
                for ((dz, &x), &dy) in dz.iter_mut().zip(x).zip(dy) {
                    *dz = dy * silu_slope(x * a + b);
                }
            }
        }
    }

    /// `dx <- dx a + (x p + q)`.
    fn combine(x: &[f32], a: f32, p: f32, q: f32, dx: &mut [f32]) {
        for (dx, &x) in dx.iter_mut().zip(x) {
            *dx = *dx * a + (x * p + q);
        }
    }
}

/// Per channel: what multiplies the normalised number (`gamma (1 + scale)`) and what is added (`beta (1 + scale) + shift`).
fn channel(gamma: f32, beta: f32, modulation: Option<(f32, f32)>) -> (f32, f32) {
    match modulation {
        Some((scale, shift)) => (gamma * (1.0 + scale), beta * (1.0 + scale) + shift),
        None => (gamma, beta),
    }
}

/// The forward pass on Flex.
pub(crate) fn host_forward(
    x: &Host,
    gamma: &Host,
    beta: &Host,
    modulation: Option<[&Host; 2]>,
    norm: Norm,
) -> (Host, Vec<Moments>) {
    let [n, c, h, w] = dims(x);
    let (x, gamma, beta) = (contiguous(x), contiguous(gamma), contiguous(beta));
    let modulation = modulation.map(|pair| pair.map(contiguous));
    let (x, gamma, beta) = (values(&x), values(&gamma), values(&beta));
    let modulation = modulation.as_ref().map(|pair| [values(&pair[0]), values(&pair[1])]);
    let (plane, per_group) = (h * w, c / norm.groups);
    let slab = plane * per_group;

    let mut moments = vec![Moments { mean: 0.0, rstd: 0.0 }; n * norm.groups];
    let mut y = unset(x.len());
    for_each_pair(&mut y, slab, &mut moments, 1, |job, to, kept| {
        let from = &x[job * slab..][..slab];
        let mean = (sum(from) / slab as f64) as f32;
        let rstd = (sum_squared_from(from, mean) / slab as f64 + norm.eps).sqrt().recip() as f32;
        kept[0] = Moments { mean, rstd };
        let (picture, first) = (job / norm.groups, job % norm.groups * per_group);
        for (i, (from, to)) in from.chunks_exact(plane).zip(to.chunks_exact_mut(plane)).enumerate() {
            let at = first + i;
            let (a, b) = channel(gamma[at], beta[at], modulation.map(|m| (m[0][picture * c + at], m[1][picture * c + at])));
            affine(from, a * rstd, b - mean * (a * rstd), norm.act, to);
        }
    });
    (host(y, [n, c, h, w]), moments)
}

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct GroupNormPullback {
    x: Host,
    gamma: Host,
    beta: Host,
    modulation: Option<[Host; 2]>,
    moments: Vec<Moments>,
    norm: Norm,
}

impl GroupNormPullback {
    pub(crate) fn new(
        x: Host,
        gamma: Host,
        beta: Host,
        modulation: Option<[Host; 2]>,
        moments: Vec<Moments>,
        norm: Norm,
    ) -> Self {
        let modulation = modulation.map(|pair| pair.map(|m| contiguous(&m)));
        Self { x: contiguous(&x), gamma: contiguous(&gamma), beta: contiguous(&beta), modulation, moments, norm }
    }

    /// The gradients of x, gamma, beta, scale and shift.
    fn gradients(self, dy: Host) -> [Host; 5] {
        let [n, c, h, w] = dims(&self.x);
        let (norm, moments) = (self.norm, &self.moments);
        let dy = contiguous(&dy);
        let (dy, x, gamma, beta) = (values(&dy), values(&self.x), values(&self.gamma), values(&self.beta));
        let modulation = self.modulation.as_ref().map(|pair| [values(&pair[0]), values(&pair[1])]);
        let at = |picture: usize, i: usize| modulation.map(|m| (m[0][picture * c + i], m[1][picture * c + i]));
        let (plane, per_group) = (h * w, c / norm.groups);
        let slab = plane * per_group;

        // (S1, S2) of each picture and channel.
        let mut sums = vec![(0.0f64, 0.0f64); n * c];
        let mut dx = unset(x.len());
        for_each_pair(&mut dx, slab, &mut sums, per_group, |job, dx, sums| {
            let (x, dy) = (&x[job * slab..][..slab], &dy[job * slab..][..slab]);
            let Moments { mean, rstd } = moments[job];
            let (picture, first) = (job / norm.groups, job % norm.groups * per_group);
            let (m, r) = (f64::from(mean), f64::from(rstd));
            let mut of_group = (0.0, 0.0);
            // dz takes the place of dx until the sums over the group are known.
            for (i, sums) in sums.iter_mut().enumerate() {
                let range = i * plane..(i + 1) * plane;
                let (a, b) = channel(gamma[first + i], beta[first + i], at(picture, first + i));
                let dz = &mut dx[range.clone()];
                affine_slope(&x[range.clone()], a * rstd, b - mean * (a * rstd), norm.act, &dy[range.clone()], dz);
                let [s1, s2] = sum_and_dot(&x[range], mean, dz);
                *sums = (s1, r * s2);
                of_group.0 += f64::from(a) * sums.0;
                of_group.1 += f64::from(a) * sums.1;
            }
            // dx = r (a dz - M0 - h M1), h = (x - mu) r: linear in dz and x.
            let (m0, m1) = (of_group.0 / slab as f64, of_group.1 / slab as f64);
            let (p, q) = (-r * r * m1, -r * m0 + r * r * m1 * m);
            for i in 0..per_group {
                let range = i * plane..(i + 1) * plane;
                let (a, _) = channel(gamma[first + i], beta[first + i], at(picture, first + i));
                combine(&x[range.clone()], a * rstd, p as f32, q as f32, &mut dx[range]);
            }
        });

        let (mut dgamma, mut dbeta) = (vec![0.0f64; c], vec![0.0f64; c]);
        let (mut dscale, mut dshift) = (vec![0.0; n * c], vec![0.0; n * c]);
        for picture in 0..n {
            for i in 0..c {
                let (s1, s2) = sums[picture * c + i];
                let factor = 1.0 + at(picture, i).map_or(0.0, |m| f64::from(m.0));
                dgamma[i] += factor * s2;
                dbeta[i] += factor * s1;
                dscale[picture * c + i] = (f64::from(gamma[i]) * s2 + f64::from(beta[i]) * s1) as f32;
                dshift[picture * c + i] = s1 as f32;
            }
        }
        let single = |sums: Vec<f64>| host(sums.into_iter().map(|v| v as f32).collect(), [c]);
        [host(dx, [n, c, h, w]), single(dgamma), single(dbeta), host(dscale, [n, c]), host(dshift, [n, c])]
    }
}

impl Pullback<5> for GroupNormPullback {
    fn pull(self, dy: Host, _: [bool; 5]) -> [Option<Host>; 5] {
        self.gradients(dy).map(Some)
    }
}

impl Pullback<3> for GroupNormPullback {
    fn pull(self, dy: Host, _: [bool; 3]) -> [Option<Host>; 3] {
        let [dx, dgamma, dbeta, ..] = self.gradients(dy);
        [Some(dx), Some(dgamma), Some(dbeta)]
    }
}
