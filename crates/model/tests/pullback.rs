//! A model's Jacobian, multiplied from the left through the network's own backward passes, against differences.

mod common;

use common::{every_kind, model};
use scorefield_process::{Denoiser, Differentiable};
use scorefield_tensor::{Device, batch, rows};

#[test]
fn pullbacks_are_gradients() {
    for (seed, meta) in every_kind().into_iter().enumerate() {
        let model = model(&meta, 3 + seed as u64);
        let classes = (model.network().classes() > 0).then(|| vec![Some(0), None, Some(2)]);
        let (d, n) = (model.dim(), 3);
        let denoiser = model.denoiser(classes);
        let x: Vec<f32> = (0..n * d).map(|i| (i as f32 * 0.7).sin()).collect();
        let states = |x: &[f32]| batch(x.to_vec(), n, &Device::default());
        let times = [0.3, 0.6, 0.3];
        let cotangent = |i: usize| 1.0 + (i as f32 * 1.3).cos();
        let v: Vec<f32> = (0..n * d).map(cotangent).collect();
        let (clean, back) = denoiser.pullback_each(&states(&x), &times, &mut |_| states(&v));
        assert_eq!(rows(clean), rows(denoiser.denoise_each(&states(&x), &times)));
        let back = rows(back);
        let top = back.iter().fold(0.0f32, |top, b| top.max(b.abs()));
        for i in (0..n * d).step_by(5) {
            let at = |h: f32| -> f64 {
                let mut x = x.clone();
                x[i] += h;
                let clean = rows(denoiser.denoise_each(&states(&x), &times));
                clean.iter().zip(&v).map(|(c, v)| f64::from(*c) * f64::from(*v)).sum()
            };
            let h = 2e-2;
            // Fourth order, since single precision allows no short step.
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * f64::from(h));
            assert!((slope - f64::from(back[i])).abs() < 2e-3 * f64::from(top), "entry {i}: {slope} {} of {top}", back[i]);
        }
        // One time for all, and a cotangent that depends on the output.
        let (clean, of_self) = denoiser.pullback(&states(&x), 0.3, &mut |clean| clean.clone());
        let (_, again) = denoiser.pullback_each(&states(&x), &[0.3; 3], &mut |_| clean.clone());
        assert_eq!(rows(of_self), rows(again));
    }
}
