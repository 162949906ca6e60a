//! `A` is linear and `A^T` its transpose; solves without singular values.

use crate::list::*;
use scorefield_control::operator::*;

/// `|<A x, y> - <x, A^T y>| / (|A x| |y| + |x| |A^T y|)`, the largest over a few rows.
fn transpose_fault(a: &dyn Operator) -> f64 {
    let fault = |seed: u64| {
        let (x, y) = (normals(a.inputs(), seed), normals(a.outputs(), seed + 100));
        let (ax, aty) = (apply(a, &x), adjoint(a, &y));
        (dot(&ax, &y) - dot(&x, &aty)).abs() / (norm(&ax) * norm(&y) + norm(&x) * norm(&aty)).max(1e-300)
    };
    (1..4).map(fault).fold(0.0, f64::max)
}

#[test]
fn transposes() {
    for (name, a) in all() {
        assert!(a.is_linear(), "{name}");
        let fault = transpose_fault(a.as_ref());
        assert!(fault < 1e-12, "{name}: {fault}");
    }
}

#[test]
fn a_planted_factor_of_two_is_found() {
    for (name, a) in all().into_iter().filter(|(name, _)| *name != "zero matrix") {
        let fault = transpose_fault(&Doubled(a));
        assert!(fault > 1e-4, "{name}: {fault}");
    }
}

#[test]
fn linearity() {
    for (name, a) in all() {
        let (x, z) = (normals(a.inputs(), 21), normals(a.inputs(), 22));
        let mixed: Vec<f64> = x.iter().zip(&z).map(|(x, z)| 2.5 * x - 0.5 * z).collect();
        let sum: Vec<f64> = apply(a.as_ref(), &x).iter().zip(apply(a.as_ref(), &z)).map(|(x, z)| 2.5 * x - 0.5 * z).collect();
        let fault = apart(&apply(a.as_ref(), &mixed), &sum, 1e-300);
        assert!(fault < 1e-12, "{name}: {fault}");
    }
}

/// `(A A^T + c I) x = y` for every operator, by the method of its choice and by conjugate gradients.
#[test]
fn normal_solves() {
    for (name, a) in all() {
        let y = normals(a.outputs(), 41);
        let by_choice = solve_normal(a.as_ref(), 0.3, &y, Stop::default()).unwrap();
        let by_gradients = cg(a.as_ref(), 0.3, &y, Stop { tolerance: 1e-12, limit: 5000 }).unwrap();
        assert!(by_choice.residual < 1e-9, "{name}: {}", by_choice.residual);
        assert!(by_gradients.residual < 1e-9, "{name}: {}", by_gradients.residual);
        let fault = apart(&by_choice.x, &by_gradients.x, 1e-300);
        assert!(fault < 1e-8, "{name}: {fault}");
        let aty = adjoint(a.as_ref(), &by_choice.x);
        let back: Vec<f64> = apply(a.as_ref(), &aty).iter().zip(&by_choice.x).map(|(a, x)| a + 0.3 * x).collect();
        assert!(apart(&back, &y, 1e-300) < 1e-9, "{name}");
    }
}

/// At the minimum, `A^T (A x - y) / a + (x - z) / b = 0`.
#[test]
fn proximal_steps_are_minima() {
    for (name, a) in all() {
        let (y, z) = (normals(a.outputs(), 51), normals(a.inputs(), 52));
        for (s, t) in [(0.5, 2.0), (3.0, 0.1)] {
            let x = proximal(a.as_ref(), &y, &z, s, t, Stop::default()).unwrap().x;
            let e: Vec<f64> = apply(a.as_ref(), &x).iter().zip(&y).map(|(ax, y)| (ax - y) / s).collect();
            let pull: Vec<f64> = x.iter().zip(&z).map(|(x, z)| (z - x) / t).collect();
            let fault = apart(&adjoint(a.as_ref(), &e), &pull, 1.0);
            assert!(fault < 1e-7, "{name}: {fault}");
        }
    }
}

/// The four identities of Penrose, tested on vectors: `A A+ A x = A x`, `A+ A A+ y = A+ y`, and both products symmetric.
#[test]
fn pseudo_inverses() {
    for (name, a) in all() {
        let a = a.as_ref();
        let plus = |y: &[f64]| pseudo_inverse(a, y, Stop { tolerance: 1e-12, limit: 2000 }).unwrap().x;
        let (x, y) = (normals(a.inputs(), 61), normals(a.outputs(), 62));
        let (u, v) = (normals(a.inputs(), 63), normals(a.outputs(), 64));
        let ax = apply(a, &x);
        assert!(apart(&apply(a, &plus(&ax)), &ax, 1e-3) < 1e-9, "{name}: A A+ A");
        let py = plus(&y);
        assert!(apart(&plus(&apply(a, &py)), &py, 1e-3) < 1e-6, "{name}: A+ A A+");
        let left = |y: &[f64]| apply(a, &plus(y));
        let right = |x: &[f64]| plus(&apply(a, x));
        let scale = (norm(&x) * norm(&u)).max(norm(&y) * norm(&v));
        assert!((dot(&left(&y), &v) - dot(&y, &left(&v))).abs() < 1e-6 * scale, "{name}: A A+");
        assert!((dot(&right(&x), &u) - dot(&x, &right(&u))).abs() < 1e-6 * scale, "{name}: A+ A");
    }
}

/// By singular values and by conjugate gradients, the proximal step and the pseudo-inverse are the same; without noise the step
/// fits what is measured.
#[test]
fn both_methods_agree() {
    for (name, a) in all() {
        let Some(singular) = a.singular() else { continue };
        let hidden = Hidden(a.as_ref());
        let (truth, z) = (normals(a.inputs(), 71), normals(a.inputs(), 72));
        let y = apply(a.as_ref(), &truth);
        let mut x = vec![f64::NAN; z.len()];
        for (s, t) in [(0.7, 1.3), (1e-3, 2.0)] {
            singular.proximal(&y, &z, s, t, &mut x);
            let by_gradients = proximal(&hidden, &y, &z, s, t, Stop::default()).unwrap();
            let fault = apart(&x, &by_gradients.x, 1e-300);
            assert!(fault < 1e-8, "{name}: {fault}");
            assert!(apart(&x, &proximal(a.as_ref(), &y, &z, s, t, Stop::default()).unwrap().x, 1e-300) < 1e-10, "{name}");
        }
        singular.proximal(&y, &z, 0.0, 1.0, &mut x);
        let fault = apart(&apply(a.as_ref(), &x), &y, 1e-3);
        assert!(fault < 1e-9, "{name}: {fault}");

        let exact = pseudo_inverse(a.as_ref(), &y, Stop::default()).unwrap();
        assert!(exact.iterations == 0 && exact.residual < 1e-9, "{name}: {exact:?}");
        let fault = apart(&cgls(&hidden, &y, Stop { tolerance: 1e-13, limit: 5000 }).unwrap().x, &exact.x, 1e-3);
        assert!(fault < 1e-8, "{name}: {fault}");
    }
}

#[test]
fn solves_tell_where_they_stopped() {
    let a = Radon::parallel(shape(1, 12, 12), 9).unwrap();
    let y = normals(a.outputs(), 81);
    let short = cg(&a, 1e-3, &y, Stop { tolerance: 1e-12, limit: 3 }).unwrap();
    assert!(short.iterations == 3 && short.residual > 1e-3, "{short:?}");
    let zero = cg(&a, 0.0, &vec![0.0; y.len()], Stop::default()).unwrap();
    assert!(zero.iterations == 0 && zero.residual == 0.0 && zero.x.iter().all(|x| *x == 0.0));
}
