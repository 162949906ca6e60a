//! Non-leaky augmentation: geometric changes of training pictures that the network is told of, so that its samples have none.
//!
//! Karras et al. 2022, appendix F.2 (after Karras et al. 2020, "Training generative adversarial networks with limited data"): each
//! change happens with a probability of its own, the network sees nine numbers that say which and how much, and nine zeros when a
//! picture is as it was, which is what sampling asks for.

use scorefield_tensor::noise::Stream;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How much pictures are changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentOptions {
    /// Probability of each change.
    pub probability: f64,
    /// Whether pictures may be mirrored left to right.
    pub x_flip: bool,
    /// Whether pictures may be mirrored top to bottom.
    pub y_flip: bool,
    /// Standard deviation of the logarithm (base 2) of the isotropic scale.
    pub scale: f64,
    /// The same of the ratio of the axes.
    pub aspect: f64,
    /// Largest rotation as a share of a half turn.
    pub rotation: f64,
    /// Standard deviation of the shift as a share of the size.
    pub translation: f64,
}

impl Default for AugmentOptions {
    /// The strengths of Karras et al. 2022, table 2, at 12 % probability; top to bottom is off, it suits few pictures.
    fn default() -> Self {
        Self { probability: 0.12, x_flip: true, y_flip: false, scale: 0.2, aspect: 0.2, rotation: 1.0, translation: 0.125 }
    }
}

/// An affine map of the plane: `[[a, b, c], [d, e, f]]`.
type Affine = [[f64; 3]; 2];

fn compose(m: Affine, k: Affine) -> Affine {
    let mut out = [[0.0; 3]; 2];
    for (o, r) in out.iter_mut().zip(m) {
        for (j, v) in o.iter_mut().enumerate() {
            *v = r[0] * k[0][j] + r[1] * k[1][j] + if j == 2 { r[2] } else { 0.0 };
        }
    }
    out
}

/// Changes a CHW picture in place, where channel `c` holds categories (`categories[c]`) without mixing its pixels, and says how: `[x flip, y flip, scale, cos rotation - 1, sin rotation, aspect cos, aspect sin,
/// shift x, shift y]`, each zero where nothing was done.
pub(crate) fn augment(
    state: &mut [f32],
    (height, width): (usize, usize),
    categories: &[bool],
    o: &AugmentOptions,
    stream: &Stream,
) -> [f32; 9] {
    let mut normals = [0.0; 12];
    // Uniforms come from words 1 to 15 (word 0 decides the plain flip), normals from a block range of their own.
    let uniform = |i: usize| stream.uniform(1 + i);
    let happens = |i: usize| uniform(i) < o.probability;
    let far = Stream::clone(stream);
    let mut spread = [0.0; 76];
    far.fill_normal(&mut spread);
    normals.copy_from_slice(&spread[64..76]);

    let mut told = [0.0f32; 9];
    // The map from places in the new picture to places in the old one, in units of pixels about the centre.
    let mut map: Affine = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];
    if o.x_flip && happens(0) && uniform(8) < 0.5 {
        map = compose(map, [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
        told[0] = 1.0;
    }
    if o.y_flip && happens(1) && uniform(9) < 0.5 {
        map = compose(map, [[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]);
        told[1] = 1.0;
    }
    if o.scale > 0.0 && happens(2) {
        let s = (normals[0] * o.scale).exp2();
        map = compose(map, [[1.0 / s, 0.0, 0.0], [0.0, 1.0 / s, 0.0]]);
        told[2] = normals[0] as f32;
    }
    if o.rotation > 0.0 && happens(3) {
        let angle = (2.0 * uniform(10) - 1.0) * PI * o.rotation;
        let (sin, cos) = angle.sin_cos();
        map = compose(map, [[cos, sin, 0.0], [-sin, cos, 0.0]]);
        (told[3], told[4]) = ((cos - 1.0) as f32, sin as f32);
    }
    if o.aspect > 0.0 && happens(4) {
        let direction = (2.0 * uniform(11) - 1.0) * PI;
        let s = (normals[1] * o.aspect).exp2();
        let (sin, cos) = direction.sin_cos();
        let turn = [[cos, sin, 0.0], [-sin, cos, 0.0]];
        let back = [[cos, -sin, 0.0], [sin, cos, 0.0]];
        map = compose(map, compose(back, compose([[1.0 / s, 0.0, 0.0], [0.0, s, 0.0]], turn)));
        (told[5], told[6]) = ((normals[1] * cos) as f32, (normals[1] * sin) as f32);
    }
    if o.translation > 0.0 && happens(5) {
        let (dx, dy) = (normals[2] * o.translation, normals[3] * o.translation);
        map = compose(map, [[1.0, 0.0, -dx * width as f64], [0.0, 1.0, -dy * height as f64]]);
        (told[7], told[8]) = (normals[2] as f32, normals[3] as f32);
    }
    if told != [0.0; 9] {
        for (plane, &category) in state.chunks_mut(height * width).zip(categories) {
            let old = plane.to_vec();
            for (i, v) in plane.iter_mut().enumerate() {
                let (y, x) = ((i / width) as f64 + 0.5 - height as f64 / 2.0, (i % width) as f64 + 0.5 - width as f64 / 2.0);
                let [sx, sy] = map.map(|r| r[0] * x + r[1] * y + r[2]);
                let (y, x) = (sy + height as f64 / 2.0 - 0.5, sx + width as f64 / 2.0 - 0.5);
                // Between two categories there is no third: the nearest pixel is taken.
                *v = if category {
                    old[mirror(y.round() as i64, height) * width + mirror(x.round() as i64, width)]
                } else {
                    sample(&old, height, width, y, x)
                };
            }
        }
    }
    told
}

/// The picture at a place between pixels: windowed-sinc (Lanczos, two lobes), mirrored beyond the border.
fn sample(plane: &[f32], height: usize, width: usize, y: f64, x: f64) -> f32 {
    let (y0, x0) = (y.floor(), x.floor());
    let weights = |t: f64| -> [f64; 4] {
        let w = [-1.0, 0.0, 1.0, 2.0].map(|k| lanczos(t - k));
        let sum: f64 = w.iter().sum();
        w.map(|v| v / sum)
    };
    let (wy, wx) = (weights(y - y0), weights(x - x0));
    let mut out = 0.0;
    for (j, wy) in wy.iter().enumerate() {
        let row = mirror(y0 as i64 + j as i64 - 1, height);
        for (i, wx) in wx.iter().enumerate() {
            out += wy * wx * f64::from(plane[row * width + mirror(x0 as i64 + i as i64 - 1, width)]);
        }
    }
    out as f32
}

fn lanczos(t: f64) -> f64 {
    if t == 0.0 {
        1.0
    } else if t.abs() >= 2.0 {
        0.0
    } else {
        let a = PI * t;
        2.0 * a.sin() * (a / 2.0).sin() / (a * a)
    }
}

/// Reflects a place into `0..n`.
fn mirror(i: i64, n: usize) -> usize {
    let n = n as i64;
    let m = i.rem_euclid(2 * n);
    (if m < n { m } else { 2 * n - 1 - m }) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::Purpose;

    fn picture() -> Vec<f32> {
        (0..64).map(|i| (i as f32 * 0.37).sin()).collect()
    }

    /// With probability zero nothing happens and nothing is told; a picture that is not told changed is not changed.
    #[test]
    fn what_is_not_told_is_not_done() {
        let mut changed = 0;
        for sample in 0..400 {
            let stream = Stream::new(0, sample, Purpose::Augment, 0, 0);
            let mut p = picture();
            assert_eq!(
                augment(&mut p, (8, 8), &[false], &AugmentOptions { probability: 0.0, ..Default::default() }, &stream),
                [0.0; 9]
            );
            assert_eq!(p, picture());
            let told = augment(&mut p, (8, 8), &[false], &AugmentOptions::default(), &stream);
            assert_eq!(told == [0.0; 9], p == picture(), "{told:?}");
            changed += usize::from(told != [0.0; 9]);
            assert!(p.iter().all(|v| v.is_finite()));
        }
        assert!(changed > 100 && changed < 300, "{changed}");
    }

    /// A flip alone is the exact mirror.
    #[test]
    fn flips_are_exact() {
        let only_flips =
            AugmentOptions { probability: 1.0, scale: 0.0, aspect: 0.0, rotation: 0.0, translation: 0.0, ..Default::default() };
        let mut seen = 0;
        for sample in 0..20 {
            let mut p = picture();
            let told = augment(&mut p, (8, 8), &[false], &only_flips, &Stream::new(2, sample, Purpose::Augment, 0, 0));
            let mut mirrored = picture();
            if told[0] == 1.0 {
                mirrored.chunks_mut(8).for_each(<[f32]>::reverse);
                seen += 1;
            }
            p.iter().zip(&mirrored).for_each(|(a, b)| assert!((a - b).abs() < 1e-5));
        }
        assert!(seen > 3);
    }

    /// A changed picture of categories has categories alone, and no other than before.
    #[test]
    fn categories_are_not_mixed() {
        let always = AugmentOptions { probability: 1.0, ..Default::default() };
        let mut changed = 0;
        for sample in 0..50 {
            let before: Vec<f32> = (0..64).map(|i| ((i * i) % 3) as f32 * 2.0).collect();
            let mut p = before.clone();
            augment(&mut p, (8, 8), &[true], &always, &Stream::new(3, sample, Purpose::Augment, 0, 0));
            assert!(p.iter().all(|v| [0.0, 2.0, 4.0].contains(v)), "{p:?}");
            changed += usize::from(p != before);
        }
        assert!(changed > 40, "{changed}");
    }
}
