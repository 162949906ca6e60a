//! Errors name what was found and what was expected; nothing panics on what a user writes.

use crate::list::*;
use scorefield_control::operator::*;

/// The message holds every part.
fn says<T: std::fmt::Debug>(result: Result<T, OperatorError>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "\"{message}\" lacks \"{part}\"");
    }
}

#[test]
fn shapes_and_masks() {
    let picture = shape(3, 4, 6);
    says(Shape::new(3, 0, 6), &["height", "0", "at least 1"]);
    says(Shape::new(usize::MAX, 2, 2), &["too large"]);
    says(Shape::new(1, 1 << 20, 1 << 20), &["1048576 x 1048576", "too large"]);
    says(Mask::new(&[false; 4]), &["4 entries", "keep at least one"]);
    says(Mask::new(&[]), &["0 entries"]);
    says(Mask::pixels(picture, &[true; 23]), &["the mask has 23", "24"]);
    says(Mask::rectangle(picture, 2, 0, 3, 6), &["5 x 6", "4 x 6"]);
    says(Mask::rectangle(picture, usize::MAX, 0, 3, 6), &["does not fit"]);
    says(Mask::rectangle(picture, 0, 0, 4, 6), &["keeps none"]);
    says(Mask::half(shape(1, 1, 1), Half::Left).map(|_| ()).and(Mask::new(&[])), &["keeps none"]);
    for share in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
        says(Mask::random(picture, share, &mut uniforms(1)), &["share", "above 0 and at most 1"]);
    }
    says(Mask::random(picture, 1e-9, &mut uniforms(1)), &["keeps none"]);
    // A generator that breaks its promise gives a mask all the same.
    assert!(Mask::random(picture, 0.5, &mut || 1.0).is_ok() && Mask::random(picture, 0.5, &mut || f64::NAN).is_ok());
}

#[test]
fn matrices_and_kernels() {
    let picture = shape(3, 4, 6);
    says(Matrix::new(2, 3, vec![0.0; 5]), &["5", "6"]);
    says(Matrix::new(0, 3, vec![]), &["empty"]);
    says(Matrix::new(1, 2, vec![0.0, f64::NAN]), &["entry 1", "NaN"]);
    says(Matrix::new(usize::MAX, 3, vec![]), &["too large"]);
    says(Dense::random(0, 3, &mut uniforms(1)), &["measurements", "at least 1"]);
    says(Dense::random(1 << 20, 1 << 20, &mut uniforms(1)), &["too large"]);
    says(Separable::average(picture, 4), &["4 does not divide", "width of 6"]);
    says(Separable::bicubic(picture, 3), &["height of 4"]);
    says(Separable::bicubic(picture, 0), &["factor", "at least 1"]);
    for sigma in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        says(Separable::gaussian(picture, sigma), &["deviation"]);
        says(Kernel::gaussian(sigma), &["deviation"]);
    }
    let unit = |n: usize| Matrix::new(1, n, vec![1.0; n]).unwrap();
    says(Separable::new(picture, unit(5), unit(6)), &["5 entries", "height has 4"]);
    says(Separable::new(picture, unit(4), unit(4)), &["4 entries", "width has 6"]);
    says(Kernel::new(2, 2, vec![0.0; 4]), &["zero everywhere"]);
    says(Kernel::new(2, 2, vec![1.0; 3]), &["3", "4"]);
    says(Kernel::new(1, 1, vec![f64::INFINITY]), &["inf"]);
    says(Kernel::motion(0.0, 0.0), &["length", "above 0"]);
    says(Kernel::motion(1e9, 0.0), &["1024"]);
    says(Kernel::motion(3.0, f64::NAN), &["angle"]);
    let large = Kernel::new(5, 1, vec![1.0; 5]).unwrap();
    says(Convolution::new(picture, large, Edge::Wrap), &["5 x 1", "4 x 6"]);
    // Tiny and huge blurs are still blurs.
    for sigma in [1e-200, 1e200] {
        let a = Separable::gaussian(picture, sigma).unwrap();
        assert!(apply(&a, &[1.0; 72]).iter().all(|y| (y - 1.0).abs() < 1e-12), "{sigma}");
    }
}

/// Numbers at the ends of the range are decomposed or refused, never a panic and never a basis that is none.
#[test]
fn extreme_matrices() {
    for scale in [1e-310, 1e-200, 1e150, 1e307] {
        for (m, d) in [(1, 1), (3, 5), (5, 3)] {
            let matrix = Matrix::new(m, d, normals(m * d, 3).iter().map(|v| v * scale).collect()).unwrap();
            match Dense::new(matrix) {
                Ok(a) => {
                    let (x, mut c) = (normals(d, 4), vec![0.0; d]);
                    a.singular().unwrap().to_right(&x, &mut c);
                    assert!((norm(&c) / norm(&x) - 1.0).abs() < 1e-12, "{scale} {m} x {d}");
                }
                Err(e) => assert!(e.to_string().contains("did not converge"), "{e}"),
            }
        }
    }
    assert!(Grey::new(shape(2, 1, 1), &[1e300, -1e300]).is_ok());
}

#[test]
fn the_others() {
    let picture = shape(3, 4, 6);
    says(Grey::new(picture, &[1.0, 2.0]), &["2", "3"]);
    says(Grey::new(picture, &[0.0; 3]), &["zero everywhere"]);
    says(Grey::new(picture, &[0.0, f64::NAN, 0.0]), &["entry 1"]);
    says(PartialFourier::new(picture, &[true; 5]), &["5", "24"]);
    says(PartialFourier::new(picture, &[false; 24]), &["keeps none"]);
    says(PartialFourier::random_lines(picture, 0.0, 0.0, &mut uniforms(1)), &["share of lines"]);
    says(PartialFourier::random_lines(picture, 0.3, 0.5, &mut uniforms(1)), &["central"]);
    says(Radon::parallel(picture, 0), &["angles", "empty"]);
    says(Radon::parallel(picture, usize::MAX), &["too large"]);
    says(Radon::new(picture, &[0.0], 0), &["detectors"]);
    says(Radon::new(picture, &[0.0, f64::NAN], 4), &["entry 1"]);
    says(Radon::new(picture, &[0.0], usize::MAX), &["too large"]);
    says(Sparse::new(2, &[]), &["empty"]);
    says(Sparse::new(2, &[vec![(2, 1.0)]]), &["column", "2"]);
    says(Sparse::new(2, &[vec![(0, f64::NAN)]]), &["NaN"]);
    says(Clip::new(3, 0.0, -1.0, 1.0), &["gain"]);
    says(Clip::new(3, 1.0, 1.0, 1.0), &["upper"]);
    says(Clip::new(3, 1.0, f64::NAN, 1.0), &["lower"]);
    says(Gamma::new(3, 0.0, 0.0, 1.0), &["power"]);
    says(Gamma::new(3, 1.0, 1.0, 0.0), &["upper"]);
    says(PhaseRetrieval::new(picture, 0), &["oversampling"]);
    says(PhaseRetrieval::new(picture, usize::MAX), &["too large"]);
    let identity = |n| -> Box<dyn Operator> { Box::new(Identity::new(n)) };
    says(Scaled::new(f64::NAN, identity(3)), &["gain"]);
    says(Composed::new(identity(3), identity(4)), &["4", "3"]);
    says(Stacked::new(vec![]), &["empty"]);
    says(Stacked::new(vec![identity(3), identity(4)]), &["4", "3"]);
    says(MeasurementNoise::Gaussian { sigma: -1.0 }.checked(), &["sigma"]);
    says(MeasurementNoise::Poisson { peak: 0.0, dark: 0.0 }.checked(), &["peak"]);
    says(MeasurementNoise::Quantise { levels: 1, low: 0.0, high: 1.0 }.checked(), &["levels"]);
    says(MeasurementNoise::Quantise { levels: 2, low: 0.0, high: 0.0 }.checked(), &["highest"]);
}

#[test]
fn solves_need_linear_operators_and_sane_numbers() {
    let clip = Clip::new(3, 1.0, -1.0, 1.0).unwrap();
    says(solve_normal(&clip, 1.0, &[0.0; 3], Stop::default()), &["clip is not linear"]);
    says(pseudo_inverse(&clip, &[0.0; 3], Stop::default()), &["clip is not linear"]);
    says(proximal(&clip, &[0.0; 3], &[0.0; 3], 1.0, 1.0, Stop::default()), &["clip is not linear"]);
    let a = Identity::new(3);
    says(solve_normal(&a, -1.0, &[0.0; 3], Stop::default()), &["shift c", "-1"]);
    says(proximal(&a, &[0.0; 3], &[0.0; 3], 1.0, 0.0, Stop::default()), &["variance b"]);
    says(proximal(&a, &[0.0; 3], &[0.0; 3], f64::NAN, 1.0, Stop::default()), &["variance a", "NaN"]);
}

#[test]
#[should_panic(expected = "mask: a state of 3 entries, 2 are expected")]
fn a_programmers_mistake_panics() {
    apply(&Mask::new(&[true, false]).unwrap(), &[0.0; 3]);
}
