//! Bases are orthonormal and `A = U diag(s) V^T`.

use crate::list::*;
use scorefield_control::operator::*;

type Map<'a> = &'a dyn Fn(&[f64], &mut [f64]);

fn map(f: Map<'_>, x: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; x.len()];
    f(x, &mut out);
    out
}

/// `from(to(x)) = x`, `to(from(x)) = x`, and lengths are kept.
fn orthonormal(to: Map<'_>, from: Map<'_>, n: usize) -> f64 {
    let x = normals(n, 91);
    let c = map(to, &x);
    let lengths = (norm(&c) / norm(&x) - 1.0).abs();
    apart(&map(from, &c), &x, 1e-300).max(apart(&map(to, &map(from, &x)), &x, 1e-300)).max(lengths)
}

/// `|A x - U diag(s) V^T x| / |A x|`.
fn product_fault(a: &dyn Operator, s: &dyn Singular) -> f64 {
    let x = normals(a.inputs(), 92);
    let right = map(&|x, out| s.to_right(x, out), &x);
    let mut left = vec![0.0; a.outputs()];
    left.iter_mut().zip(&right).zip(s.values()).for_each(|((l, r), s)| *l = r * s);
    apart(&map(&|c, out| s.from_left(c, out), &left), &apply(a, &x), 1e-300)
}

/// The same of the transpose: `A^T y = V diag(s) U^T y`, which a fault of the pullback alone would break.
fn transpose_fault(a: &dyn Operator, s: &dyn Singular) -> f64 {
    let y = normals(a.outputs(), 93);
    let left = map(&|y, out| s.to_left(y, out), &y);
    let mut right = vec![0.0; a.inputs()];
    right.iter_mut().zip(&left).zip(s.values()).for_each(|((r, l), s)| *r = l * s);
    apart(&map(&|c, out| s.from_right(c, out), &right), &adjoint(a, &y), 1e-300)
}

#[test]
fn decompositions() {
    let mut decomposed = 0;
    for (name, a) in all() {
        let Some(s) = a.singular() else { continue };
        decomposed += 1;
        let (d, m) = (a.inputs(), a.outputs());
        assert!(s.values().len() <= d.min(m) && s.values().iter().all(|s| *s >= 0.0), "{name}");
        let right = orthonormal(&|x, out| s.to_right(x, out), &|c, out| s.from_right(c, out), d);
        let left = orthonormal(&|y, out| s.to_left(y, out), &|c, out| s.from_left(c, out), m);
        assert!(right < 2e-11 && left < 2e-11, "{name}: {right} {left}");
        let (product, transpose) = (product_fault(a.as_ref(), s), transpose_fault(a.as_ref(), s));
        assert!(product < 2e-11 && transpose < 2e-11, "{name}: {product} {transpose}");
    }
    assert!(decomposed >= 28, "{decomposed}");
}

#[test]
fn a_planted_factor_of_two_is_found() {
    for (name, a) in all().into_iter().filter(|(name, _)| *name != "zero matrix") {
        let Some(s) = a.singular() else { continue };
        assert!(transpose_fault(&Doubled(all_named(name)), s) > 0.1, "{name}");
        // Values of one operator, measurements of twice as much.
        let twice = Scaled::new(2.0, all_named(name)).unwrap();
        assert!(product_fault(&twice, s) > 0.1, "{name}");
    }
}

fn all_named(name: &str) -> Box<dyn Operator> {
    all().into_iter().find(|(other, a)| *other == name && a.singular().is_some()).expect("the list has it").1
}

/// The rank is told by zeros: two of six, none of a matrix of zeros.
#[test]
fn ranks() {
    let rank = |wanted: &str| all_named(wanted).singular().unwrap().values().iter().filter(|s| **s > 0.0).count();
    assert_eq!((rank("deficient"), rank("deficient and tall"), rank("zero matrix")), (2, 2, 0));
}

/// Closed forms: an average of `k^2` pixels has `1 / k`, Rec. 601 has the length of its weights, a mask and Fourier lines have ones.
#[test]
fn values_of_closed_form() {
    let values = |a: &dyn Operator, exact: f64| {
        let s = a.singular().unwrap().values();
        assert_eq!(s.len(), a.outputs());
        assert!(s.iter().all(|s| (s - exact).abs() < 1e-14), "{}: {s:?}", a.name());
    };
    values(&Separable::average(shape(1, 8, 12), 4).unwrap(), 0.25);
    values(&Grey::new(shape(3, 4, 4), &Grey::REC_601).unwrap(), (0.299f64.powi(2) + 0.587f64.powi(2) + 0.114f64.powi(2)).sqrt());
    values(&Mask::half(shape(2, 4, 4), Half::Top).unwrap(), 1.0);
    values(&PartialFourier::random_lines(shape(1, 9, 6), 0.5, 0.1, &mut uniforms(3)).unwrap(), 1.0);
}
