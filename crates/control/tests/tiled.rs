//! A model of small pictures on a large one.

use scorefield_control::Tiled;
use scorefield_process::oracle::Gaussian;
use scorefield_process::{Denoiser, Differentiable, Process, ProcessConfig};
use scorefield_tensor::{Batch, Device, batch_f64, rows_f64};

/// Windows of 3 x 4 of two channels, every entry with a law of its own.
fn small() -> Gaussian<Box<dyn Process>> {
    let process = ProcessConfig::VpCosine { offset: 0.008 }.build().unwrap();
    let of = |f: fn(f64) -> f64| (0..24).map(|i| f(i as f64)).collect::<Vec<f64>>();
    Gaussian::new(process, of(|i| (0.7 * i).sin()), of(|i| 0.2 + 0.05 * i))
}

fn waves(n: usize, d: usize, k: f64) -> Batch {
    batch_f64((0..n * d).map(|i| (k * i as f64).sin()).collect(), n, &Device::default())
}

/// `<J u, v> = <u, J^T v>` by differences, which are exact: the denoiser of a normal law is affine.
#[test]
fn the_pullback_is_the_transpose() {
    for (whole, overlap) in [([3, 4], 0), ([5, 9], 1), ([7, 11], 2), ([6, 8], 0)] {
        let tiled = Tiled::new(small(), 2, [3, 4], whole, overlap).unwrap();
        let (d, t) = (2 * whole[0] * whole[1], 0.4);
        let (x, u, v) = (waves(2, d, 0.3), waves(2, d, 0.9), waves(2, d, 1.7));
        let (clean, back) = tiled.pullback(&x, t, &mut |_| v.clone());
        assert_eq!(rows_f64(clean.clone()), rows_f64(tiled.denoise(&x, t)));
        let moved = rows_f64(tiled.denoise(&(x.clone() + u.clone()), t) - clean);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let (there, here) = (dot(&moved, &rows_f64(v)), dot(&rows_f64(u), &rows_f64(back)));
        assert!((there - here).abs() < 1e-10 * there.abs().max(1.0), "{whole:?}: {there} {here}");
    }
}

/// Where windows agree the whole is what they say: of one window the model itself, of a law that is the same everywhere a flat picture.
#[test]
fn windows_that_agree_are_believed() {
    let tiled = Tiled::new(small(), 2, [3, 4], [3, 4], 2).unwrap();
    let x = waves(3, 24, 0.2);
    assert_eq!((tiled.windows(), rows_f64(tiled.denoise(&x, 0.3))), (1, rows_f64(small().denoise(&x, 0.3))));
    let process = ProcessConfig::VpCosine { offset: 0.008 }.build().unwrap();
    let flat = Gaussian::new(process, vec![0.25; 24], vec![0.5; 24]);
    let tiled = Tiled::new(flat, 2, [3, 4], [8, 9], 1).unwrap();
    assert_eq!(tiled.windows(), 4 * 3);
    let out = rows_f64(tiled.denoise(&Batch::zeros([1, 2 * 72], &Device::default()).cast(scorefield_tensor::DType::F64), 0.3));
    assert!(out.iter().all(|v| (v - out[0]).abs() < 1e-12));
}

#[test]
fn what_cannot_be_covered_is_refused() {
    let said = |whole, overlap| Tiled::new((), 1, [3, 4], whole, overlap).err().unwrap().to_string();
    assert!(said([2, 9], 0).contains("9 x 2") && said([2, 9], 0).contains("4 x 3"));
    assert!(said([9, 9], 3).contains("0 to 2"));
}
