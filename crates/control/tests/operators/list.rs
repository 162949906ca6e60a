//! The one list of operators, and random rows.

use scorefield_control::operator::*;

/// A stream of uniform numbers in (0, 1): SplitMix64 (Steele et al. 2014) of a seed.
pub(crate) fn uniforms(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + 0.5f64.powi(54)
    }
}

/// `n` standard normals.
pub(crate) fn normals(n: usize, seed: u64) -> Vec<f64> {
    let mut uniform = uniforms(seed);
    (0..n).map(|_| normal(&mut uniform)).collect()
}

pub(crate) fn shape(c: usize, h: usize, w: usize) -> Shape {
    Shape::new(c, h, w).unwrap()
}

fn random_matrix(m: usize, d: usize, seed: u64) -> Matrix {
    Matrix::new(m, d, normals(m * d, seed)).unwrap()
}

/// A matrix of rank two, with a row of zeros.
fn deficient(m: usize, d: usize) -> Matrix {
    let (a, b) = (normals(m, 31), normals(d, 32));
    let (e, f) = (normals(m, 33), normals(d, 34));
    let entry = |i: usize, j: usize| if i == 1 { 0.0 } else { a[i] * b[j] + e[i] * f[j] };
    Matrix::new(m, d, (0..m * d).map(|k| entry(k / d, k % d)).collect()).unwrap()
}

fn kernel(h: usize, w: usize, seed: u64) -> Kernel {
    Kernel::new(h, w, normals(h * w, seed)).unwrap()
}

/// Every linear operator, in every form that runs other code.
pub(crate) fn all() -> Vec<(&'static str, Box<dyn Operator>)> {
    let mut list: Vec<(&'static str, Box<dyn Operator>)> = Vec::new();
    let mut add = |name, operator| list.push((name, operator));
    let (odd, even) = (shape(3, 7, 5), shape(2, 8, 12));

    add("identity", Box::new(Identity::new(11)));
    add("other units", Box::new(Affine::new(vec![0.0; 4], vec![0.5, -2.0, 3.0, 1.0]).unwrap()));
    add("mask", Box::new(Mask::new(&[true, false, false, true, true]).unwrap()));
    add("mask that keeps all", Box::new(Mask::new(&[true; 4]).unwrap()));
    add("box", Box::new(Mask::rectangle(odd, 1, 2, 3, 3).unwrap()));
    add("random mask", Box::new(Mask::random(even, 0.3, &mut uniforms(1)).unwrap()));
    for (name, half) in [("left", Half::Left), ("right", Half::Right), ("top", Half::Top), ("bottom", Half::Bottom)] {
        add(name, Box::new(Mask::half(odd, half).unwrap()));
    }

    add("average", Box::new(Separable::average(even, 4).unwrap()));
    add("bicubic 2", Box::new(Separable::bicubic(even, 2).unwrap()));
    add("bicubic 4", Box::new(Separable::bicubic(even, 4).unwrap()));
    add("gaussian blur", Box::new(Separable::gaussian(odd, 0.6).unwrap()));
    let (wide, tall) = (random_matrix(4, 7, 2), random_matrix(9, 5, 3));
    add("separable", Box::new(Separable::new(odd, wide, tall).unwrap()));

    for (name, even_name, edge) in [
        ("wrapped", "wrapped, even", Edge::Wrap),
        ("zero edge", "zero edge, even", Edge::Zero),
        ("mirrored", "mirrored, even", Edge::Mirror),
    ] {
        add(name, Box::new(Convolution::new(odd, kernel(3, 5, 4), edge).unwrap()));
        add(even_name, Box::new(Convolution::new(even, kernel(4, 2, 5), edge).unwrap()));
    }
    add("motion", Box::new(Convolution::new(even, Kernel::motion(5.0, 0.7).unwrap(), Edge::Wrap).unwrap()));

    add("grey", Box::new(Grey::new(odd, &Grey::REC_601).unwrap()));
    add("grey, negative first", Box::new(Grey::new(even, &[-2.0, 1.0]).unwrap()));
    add("one channel", Box::new(Grey::new(shape(1, 3, 3), &[0.5]).unwrap()));

    add("wide", Box::new(Dense::random(6, 40, &mut uniforms(6)).unwrap()));
    add("tall", Box::new(Dense::random(40, 9, &mut uniforms(7)).unwrap()));
    // Large enough for reflections in several blocks.
    add("wide and large", Box::new(Dense::random(150, 230, &mut uniforms(15)).unwrap()));
    add("tall and large", Box::new(Dense::random(310, 140, &mut uniforms(16)).unwrap()));
    add("square", Box::new(Dense::new(random_matrix(12, 12, 8)).unwrap()));
    add("deficient", Box::new(Dense::new(deficient(6, 9)).unwrap()));
    add("deficient and tall", Box::new(Dense::new(deficient(9, 6)).unwrap()));
    add("one row", Box::new(Dense::new(random_matrix(1, 7, 9)).unwrap()));
    add("zero matrix", Box::new(Dense::new(Matrix::new(2, 3, vec![0.0; 6]).unwrap()).unwrap()));
    add("plain", Box::new(Dense::plain(random_matrix(5, 8, 10))));

    add("lines", Box::new(PartialFourier::random_lines(even, 0.4, 0.2, &mut uniforms(11)).unwrap()));
    add("lines, odd", Box::new(PartialFourier::random_lines(odd, 0.5, 0.2, &mut uniforms(12)).unwrap()));
    add("all frequencies", Box::new(PartialFourier::new(odd, &[true; 35]).unwrap()));

    add("Radon", Box::new(Radon::parallel(shape(1, 9, 9), 7).unwrap()));
    add("Radon of two channels", Box::new(Radon::new(even, &[0.0, 0.4, 1.6], 15).unwrap()));
    add("sparse", Box::new(Sparse::new(4, &[vec![(0, 1.5), (3, -2.0)], vec![], vec![(1, 0.5), (1, 0.25)]]).unwrap()));

    add("scaled", Box::new(Scaled::new(-1.7, Box::new(Separable::average(even, 2).unwrap())).unwrap()));
    add("scaled Radon", Box::new(Scaled::new(0.1, Box::new(Radon::parallel(shape(1, 6, 6), 4).unwrap())).unwrap()));
    let blurred = Convolution::new(even, kernel(3, 3, 13), Edge::Mirror).unwrap();
    add("composed", Box::new(Composed::new(Box::new(Separable::average(even, 2).unwrap()), Box::new(blurred)).unwrap()));
    add(
        "stacked",
        Box::new(
            Stacked::new(vec![
                Box::new(Mask::half(odd, Half::Left).unwrap()),
                Box::new(Grey::new(odd, &Grey::REC_601).unwrap()),
                Box::new(Convolution::new(odd, kernel(3, 3, 14), Edge::Zero).unwrap()),
            ])
            .unwrap(),
        ),
    );
    list
}

/// `A x`.
pub(crate) fn apply(a: &dyn Operator, x: &[f64]) -> Vec<f64> {
    // What the row held must not matter.
    let mut y = vec![f64::NAN; a.outputs()];
    a.apply(x, &mut y);
    y
}

/// `A^T y`.
pub(crate) fn adjoint(a: &dyn Operator, y: &[f64]) -> Vec<f64> {
    let mut x = vec![f64::NAN; a.inputs()];
    a.adjoint(y, &mut x);
    x
}

/// `J(x)^T v`.
pub(crate) fn pullback(a: &dyn Operator, x: &[f64], v: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; a.inputs()];
    a.pullback(x, v, &mut out);
    out
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// `|a - b| / max(|b|, floor)`.
pub(crate) fn apart(a: &[f64], b: &[f64], floor: f64) -> f64 {
    assert_eq!(a.len(), b.len());
    let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(b).max(floor)
}

/// An operator with a fault: its pullback is twice what it should be.
#[derive(Debug)]
pub(crate) struct Doubled(pub(crate) Box<dyn Operator>);

impl Operator for Doubled {
    fn name(&self) -> &'static str {
        "doubled"
    }
    fn inputs(&self) -> usize {
        self.0.inputs()
    }
    fn outputs(&self) -> usize {
        self.0.outputs()
    }
    fn is_linear(&self) -> bool {
        self.0.is_linear()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        self.0.apply(x, y);
    }
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        self.0.pullback(x, v, out);
        out.iter_mut().for_each(|o| *o *= 2.0);
    }
    fn singular(&self) -> Option<&dyn Singular> {
        self.0.singular()
    }
}

/// The same operator, its singular values hidden.
#[derive(Debug)]
pub(crate) struct Hidden<'a>(pub(crate) &'a dyn Operator);

impl Operator for Hidden<'_> {
    fn name(&self) -> &'static str {
        "hidden"
    }
    fn inputs(&self) -> usize {
        self.0.inputs()
    }
    fn outputs(&self) -> usize {
        self.0.outputs()
    }
    fn apply(&self, x: &[f64], y: &mut [f64]) {
        self.0.apply(x, y);
    }
    fn pullback(&self, x: &[f64], v: &[f64], out: &mut [f64]) {
        self.0.pullback(x, v, out);
    }
}
