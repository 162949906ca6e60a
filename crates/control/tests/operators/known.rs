//! Pictures whose measurements are known in closed form.

use crate::list::*;
use scorefield_control::operator::*;

#[test]
fn resampling_keeps_constants_and_ramps() {
    let picture = shape(1, 24, 40);
    let ramp: Vec<f64> = (0..960).map(|e| 0.5 * (e / 40) as f64 - 0.25 * (e % 40) as f64 + 3.0).collect();
    for k in [2, 4] {
        for (name, a) in [("average", Separable::average(picture, k)), ("bicubic", Separable::bicubic(picture, k))] {
            let a = a.unwrap();
            let (h, w) = (a.output_shape().height(), a.output_shape().width());
            assert_eq!((h, w), (24 / k, 40 / k));
            assert!(apply(&a, &[2.5; 960]).iter().all(|y| (y - 2.5).abs() < 1e-14), "{name} {k}");
            // Where the kernel does not touch the edge: its reach is two coarse pixels.
            let y = apply(&a, &ramp);
            let centre = |i: usize| (i as f64 + 0.5) * k as f64 - 0.5;
            for (i, j) in (2..h - 2).flat_map(|i| (2..w - 2).map(move |j| (i, j))) {
                let exact = 0.5 * centre(i) - 0.25 * centre(j) + 3.0;
                assert!((y[i * w + j] - exact).abs() < 1e-12, "{name} {k}: ({i}, {j})");
            }
        }
    }
    let blur = Separable::gaussian(picture, 1.5).unwrap();
    assert!(apply(&blur, &[2.5; 960]).iter().all(|y| (y - 2.5).abs() < 1e-14));
}

/// The weights of bicubic halving by hand: Keys' kernel at 1/4, 3/4, 5/4, 7/4, halved.
#[test]
fn bicubic_weights() {
    let a = Separable::bicubic(shape(1, 2, 16), 2).unwrap();
    let weight = |j: usize| {
        let mut x = vec![0.0; 32];
        (x[j], x[16 + j]) = (1.0, 1.0);
        apply(&a, &x)[3]
    };
    // Coarse pixel 3 is centred at 6.5.
    let found: Vec<f64> = (3..11).map(weight).collect();
    let half = [0.433_593_75, 0.113_281_25, -0.035_156_25, -0.011_718_75];
    let exact: Vec<f64> = half.iter().rev().chain(&half).copied().collect();
    assert!(apart(&found, &exact, 1.0) < 1e-14, "{found:?}");
}

/// `y_i = sum_a k_a x_(i - a)` written out.
#[test]
fn convolutions_are_the_sum_written_out() {
    for (kh, kw) in [(3, 5), (4, 2), (1, 1), (7, 6)] {
        let (h, w) = (7, 6);
        let (k, x) = (normals(kh * kw, 1), normals(2 * h * w, 2));
        for edge in [Edge::Wrap, Edge::Zero, Edge::Mirror] {
            let place = |i: isize, n: usize| match edge {
                Edge::Wrap => Some(i.rem_euclid(n as isize) as usize),
                Edge::Zero => (i >= 0 && i < n as isize).then_some(i as usize),
                Edge::Mirror if i < 0 => Some((-1 - i) as usize),
                Edge::Mirror if i >= n as isize => Some(2 * n - 1 - i as usize),
                Edge::Mirror => Some(i as usize),
            };
            let mut exact = vec![0.0; x.len()];
            for (e, y) in exact.iter_mut().enumerate() {
                let (c, i, j) = (e / (h * w), e / w % h, e % w);
                for (a, b) in (0..kh).flat_map(|a| (0..kw).map(move |b| (a, b))) {
                    let row = place(i as isize - (a as isize - kh as isize / 2), h);
                    let column = place(j as isize - (b as isize - kw as isize / 2), w);
                    if let (Some(row), Some(column)) = (row, column) {
                        *y += k[a * kw + b] * x[(c * h + row) * w + column];
                    }
                }
            }
            let a = Convolution::new(shape(2, h, w), Kernel::new(kh, kw, k.clone()).unwrap(), edge).unwrap();
            let fault = apart(&apply(&a, &x), &exact, 1e-300);
            assert!(fault < 1e-13, "{kh} x {kw}, {edge:?}: {fault}");
        }
    }
}

/// With an odd symmetric kernel of a product form, the mirrored convolution is the separable blur.
#[test]
fn two_ways_to_blur_agree() {
    let picture = shape(2, 16, 20);
    let x = normals(640, 3);
    let direct = Convolution::new(picture, Kernel::gaussian(1.2).unwrap(), Edge::Mirror).unwrap();
    let separable = Separable::gaussian(picture, 1.2).unwrap();
    // The kernel reaches five pixels, the rows four deviations, 4.8: the two differ by the tail.
    assert!(apart(&apply(&direct, &x), &apply(&separable, &x), 1.0) < 1e-3);
}

#[test]
fn motion_kernels() {
    let across = Kernel::motion(5.0, 0.0).unwrap();
    assert_eq!((across.height(), across.width()), (1, 5));
    assert!(across.values().iter().all(|v| (v - 0.2).abs() < 1e-15));
    let up = Kernel::motion(4.0, std::f64::consts::FRAC_PI_2).unwrap();
    assert_eq!((up.height(), up.width()), (5, 1));
    assert!(apart(up.values(), &[0.125, 0.25, 0.25, 0.25, 0.125], 1.0) < 1e-15);
    for angle in [0.3, 1.0, 2.2, -0.7] {
        let k = Kernel::motion(9.0, angle).unwrap();
        assert!((k.values().iter().sum::<f64>() - 1.0).abs() < 1e-12, "{angle}");
        // Rising to the right: the columns' mean falls with the row where the angle is in the first quadrant.
        let (h, w) = (k.height() as f64 / 2.0, k.width() as f64 / 2.0);
        let at = |e: usize| ((e / k.width()) as f64 + 0.5 - h, (e % k.width()) as f64 + 0.5 - w);
        let cross: f64 = k.values().iter().enumerate().map(|(e, v)| v * at(e).0 * at(e).1).sum();
        assert_eq!(cross < 0.0, angle.sin() * angle.cos() > 0.0, "{angle}: {cross}");
    }
    assert_eq!(Kernel::motion(1.0, 0.0).unwrap().values(), [1.0]);
}

/// A disc of radius `r` has the chord `2 sqrt(r^2 - s^2)` at distance `s`, from every side.
#[test]
fn radon_of_a_disc() {
    let (side, r) = (128, 40.0);
    let middle = side as f64 / 2.0;
    // Partly covered pixels by 8 x 8 points each.
    let inside = |row: f64, column: f64| f64::from(u8::from((row - middle).hypot(column - middle) <= r));
    let cover = |e: usize| {
        let at = |i: usize, k: usize| i as f64 + (k as f64 + 0.5) / 8.0;
        (0..64).map(|k| inside(at(e / side, k / 8), at(e % side, k % 8))).sum::<f64>() / 64.0
    };
    let disc: Vec<f64> = (0..side * side).map(cover).collect();
    let a = Radon::parallel(shape(1, side, side), 12).unwrap();
    let y = apply(&a, &disc);
    for (i, y) in y.iter().enumerate() {
        let s = (i % side) as f64 - (side as f64 - 1.0) / 2.0;
        let chord = 2.0 * (r * r - s * s).max(0.0).sqrt();
        if s.abs() < 0.9 * r {
            assert!((y / chord - 1.0).abs() < 0.02, "angle {}, s = {s}: {y} {chord}", i / side);
        } else if s.abs() > r + 1.5 {
            assert_eq!(*y, 0.0, "angle {}, s = {s}", i / side);
        }
    }
}

/// At the angle zero rays run down the columns, at a right angle along the rows.
#[test]
fn radon_at_right_angles() {
    let x = normals(30, 4);
    let a = Radon::new(shape(1, 5, 6), &[0.0], 6).unwrap();
    let columns: Vec<f64> = (0..6).map(|j| (0..5).map(|i| x[i * 6 + j]).sum()).collect();
    assert!(apart(&apply(&a, &x), &columns, 1.0) < 1e-12);
    let a = Radon::new(shape(1, 5, 6), &[std::f64::consts::FRAC_PI_2], 5).unwrap();
    let rows: Vec<f64> = (0..5).map(|i| x[i * 6..i * 6 + 6].iter().sum()).collect();
    assert!(apart(&apply(&a, &x), &rows, 1.0) < 1e-12);
}

#[test]
fn masks_hide_what_they_say() {
    let picture = shape(2, 4, 5);
    let hidden = |mask: Mask| (0..20).filter(|p| !mask.known().contains(p)).collect::<Vec<_>>();
    assert_eq!(hidden(Mask::rectangle(picture, 1, 2, 2, 3).unwrap()), [7, 8, 9, 12, 13, 14]);
    assert_eq!(hidden(Mask::half(picture, Half::Left).unwrap()), [0, 1, 5, 6, 10, 11, 15, 16]);
    assert_eq!(hidden(Mask::half(picture, Half::Bottom).unwrap()), (10..20).collect::<Vec<_>>());
    let random = Mask::random(picture, 0.35, &mut uniforms(1)).unwrap();
    assert_eq!(random.known().len(), 14);
    assert!(random.known()[..7].iter().zip(&random.known()[7..]).all(|(a, b)| a + 20 == *b));
    assert_eq!(random.known(), Mask::random(picture, 0.35, &mut uniforms(1)).unwrap().known());
    assert_ne!(random.known(), Mask::random(picture, 0.35, &mut uniforms(2)).unwrap().known());
}

/// Lines of frequencies: the mean is always among the central ones; all of them are an isometry.
#[test]
fn fourier_lines() {
    let picture = shape(1, 16, 8);
    let a = PartialFourier::random_lines(picture, 0.25, 0.125, &mut uniforms(5)).unwrap();
    let y = apply(&a, &[1.0; 128]);
    assert!((y[0] - 128f64.sqrt()).abs() < 1e-12 && norm(&y[1..]) < 1e-12);
    // Two central lines (0 and one of +-1), two others, each with its mirror: 4 to 7 lines of 8.
    assert!(a.outputs() >= 32 && a.outputs() <= 56 && a.outputs().is_multiple_of(8), "{}", a.outputs());
    // The three lowest are 0 and the pair +-1, which brings nothing more.
    let central = PartialFourier::random_lines(picture, 0.1875, 0.1875, &mut uniforms(5)).unwrap();
    assert_eq!(central.outputs(), 24);
    let all = PartialFourier::lines(picture, &[true; 16]).unwrap();
    let x = normals(128, 6);
    assert!((norm(&apply(&all, &x)) / norm(&x) - 1.0).abs() < 1e-14);
}

/// `E |A x|^2 = |x|^2` for random projections, to five standard errors of the mean of `m` squares.
#[test]
fn projections_keep_lengths_on_average() {
    let a = Dense::random(400, 30, &mut uniforms(7)).unwrap();
    let x = normals(30, 8);
    let ratio = (norm(&apply(&a, &x)) / norm(&x)).powi(2);
    assert!((ratio - 1.0).abs() < 5.0 * (2.0 / 400f64).sqrt(), "{ratio}");
}
