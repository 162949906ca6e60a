//! Pullbacks of operators that are not linear against central differences.

use crate::list::*;
use scorefield_control::operator::*;

fn all_nonlinear() -> Vec<(&'static str, Box<dyn Operator>)> {
    let picture = shape(2, 4, 6);
    let clip = |n| Box::new(Clip::new(n, 2.0, -1.0, 1.0).unwrap());
    let average = || Box::new(Separable::average(picture, 2).unwrap());
    vec![
        ("clip", clip(30)),
        ("clip, mirrored", Box::new(Clip::new(30, -0.5, -0.2, 0.3).unwrap())),
        ("gamma", Box::new(Gamma::new(30, 1.0 / 2.2, -1.0, 1.0).unwrap())),
        ("square", Box::new(Gamma::new(30, 2.0, 0.0, 2.0).unwrap())),
        ("phase retrieval", Box::new(PhaseRetrieval::new(picture, 2).unwrap())),
        ("phase retrieval, not padded", Box::new(PhaseRetrieval::new(shape(1, 5, 3), 1).unwrap())),
        ("scaled", Box::new(Scaled::new(-3.0, clip(12)).unwrap())),
        ("clip after average", Box::new(Composed::new(clip(12), average()).unwrap())),
        ("average after clip", Box::new(Composed::new(average(), clip(48)).unwrap())),
        (
            "phase retrieval after gamma",
            Box::new(
                Composed::new(
                    Box::new(PhaseRetrieval::new(picture, 1).unwrap()),
                    Box::new(Gamma::new(48, 1.5, -1.0, 1.0).unwrap()),
                )
                .unwrap(),
            ),
        ),
        ("stacked", Box::new(Stacked::new(vec![clip(48), average()]).unwrap())),
    ]
}

/// `<v, (A(x + h u) - A(x - h u)) / 2h> = <J^T v, u>`; the largest error relative to `|J^T v| |u|`.
fn slope_fault(a: &dyn Operator) -> f64 {
    let h = 1e-6;
    let fault = |seed: u64| {
        let x: Vec<f64> = normals(a.inputs(), seed).iter().map(|x| 0.8 * x).collect();
        let (u, v) = (normals(a.inputs(), seed + 10), normals(a.outputs(), seed + 20));
        let moved = |h: f64| apply(a, &x.iter().zip(&u).map(|(x, u)| x + h * u).collect::<Vec<_>>());
        let slope: Vec<f64> = moved(h).iter().zip(moved(-h)).map(|(p, m)| (p - m) / (2.0 * h)).collect();
        let pulled = pullback(a, &x, &v);
        (dot(&v, &slope) - dot(&pulled, &u)).abs() / (norm(&pulled) * norm(&u))
    };
    (1..6).map(fault).fold(0.0, f64::max)
}

#[test]
fn pullbacks() {
    for (name, a) in all_nonlinear() {
        assert!(!a.is_linear() && a.singular().is_none(), "{name}");
        let fault = slope_fault(a.as_ref());
        assert!(fault < 1e-7, "{name}: {fault}");
        assert!(slope_fault(&Doubled(a)) > 1e-3, "{name}");
    }
}

#[test]
fn definitions() {
    let clip = Clip::new(4, 2.0, -1.0, 1.0).unwrap();
    assert_eq!(apply(&clip, &[-3.0, -0.25, 0.25, 0.75]), [-1.0, -0.5, 0.5, 1.0]);
    assert_eq!(pullback(&clip, &[-3.0, -0.25, 0.25, 0.75], &[1.0; 4]), [0.0, 2.0, 2.0, 0.0]);
    // The ends stay, the middle rises, below the range it is mirrored.
    let gamma = Gamma::new(4, 0.5, -1.0, 1.0).unwrap();
    let y = apply(&gamma, &[-1.0, 1.0, -0.5, -1.5]);
    assert!(apart(&y, &[-1.0, 1.0, 0.0, -2.0], 1.0) < 1e-15, "{y:?}");
    assert!(pullback(&gamma, &[-1.0; 4], &[1.0; 4]).iter().all(|v| v.is_finite()));
    // Energy is kept (Parseval), a shift and a sign are not seen.
    let picture = shape(1, 6, 8);
    let phase = PhaseRetrieval::new(picture, 2).unwrap();
    let x = normals(48, 5);
    assert!((norm(&apply(&phase, &x)) / norm(&x) - 1.0).abs() < 1e-13);
    let mut shifted = vec![0.0; 48];
    (0..40).for_each(|i| shifted[i + 8] = -x[i]);
    let mut cut = x.clone();
    cut[40..].fill(0.0);
    assert!(apart(&apply(&phase, &shifted), &apply(&phase, &cut), 1.0) < 1e-13);
    assert!(pullback(&phase, &vec![0.0; 48], &normals(192, 6)).iter().all(|v| *v == 0.0));
    assert_eq!(phase.inputs(), 48);
    assert_eq!(phase.outputs(), 192);
}
