//! Outputs against plain arithmetic: types of the time, batches, classes, variances, pictures.

use crate::graphs::*;
use crate::proto::{Attr, D, FLOAT, Graph, INT64, floats, node, value, whole};
use scorefield_onnx::{Classes, OnnxConfig, OnnxDenoiser};
use scorefield_process::{Denoiser, Prediction, ProcessExt, TimeInput};
use scorefield_tensor::{Batch, DType, Device, batch, rows, rows_f64};

fn states(n: usize, d: usize) -> Vec<f32> {
    (0..n * d).map(|i| ((i * i) as f32 * 0.37).sin() * 3.0).collect()
}

fn tensor(values: &[f32], n: usize) -> Batch {
    batch(values.to_vec(), n, &Device::default())
}

/// Entry by entry, to single precision.
#[track_caller]
fn near(found: &[f32], expected: impl IntoIterator<Item = f64>) {
    let expected: Vec<f64> = expected.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(&expected).enumerate() {
        assert!((f64::from(*f) - e).abs() < 2e-5 * (1.0 + e.abs()), "entry {i}: {f}, expected {e}");
    }
}

/// `D` of [`affine`] for rows of times of their own.
#[track_caller]
fn is_affine(denoiser: &OnnxDenoiser, n: usize, whole_times: bool) {
    let x = states(n, 2);
    let times: Vec<f64> = (0..n).map(|i| 0.1 + 0.8 * i as f64 / n as f64 + 1e-4).collect();
    let told = |t: f64| if whole_times { (1000.0 * t).round() } else { 1000.0 * t };
    let found = rows(denoiser.denoise_each(&tensor(&x, n), &times));
    near(&found, (0..n).flat_map(|i| affine_of(&x[2 * i..2 * i + 2], told(times[i]))));
    let found = rows(denoiser.denoise(&tensor(&x, n), 0.25));
    near(&found, (0..n).flat_map(|i| affine_of(&x[2 * i..2 * i + 2], 250.0)));
}

#[test]
fn times_are_told_in_either_type() {
    for n in [1, 2, 7] {
        is_affine(&open(&affine(N, FLOAT).model(), clean(THOUSAND)).unwrap(), n, false);
        is_affine(&open(&affine(N, INT64).model(), clean(THOUSAND)).unwrap(), n, true);
    }
}

/// A fixed batch is served in pieces, the last one filled up; so is one that the caller asks for.
#[test]
fn batches_of_any_size() {
    let fixed = open(&affine(D::N(3), FLOAT).model(), clean(THOUSAND)).unwrap();
    assert_eq!(fixed.evaluated_rows(), Some(3));
    let asked = open(&affine(N, FLOAT).model(), OnnxConfig { rows: Some(4), ..clean(THOUSAND) }).unwrap();
    let single = open(&affine(D::N(1), FLOAT).model(), OnnxConfig { threads: Some(1), ..clean(THOUSAND) }).unwrap();
    for n in [1, 2, 3, 4, 7, 9] {
        for denoiser in [&fixed, &asked, &single] {
            is_affine(denoiser, n, false);
        }
    }
    let none = fixed.denoise(&Batch::zeros([0, 2], &Device::default()), 0.5);
    assert_eq!(none.dims(), [0, 2]);
}

/// A row's numbers do not depend on the others: to rounding in free batches, to the bit in evaluations of a fixed number of rows.
#[test]
fn rows_are_independent() {
    let x = states(9, 2);
    for (rows_said, tolerance) in [(None, 1e-6), (Some(4), 0.0)] {
        let denoiser = open(&affine(N, FLOAT).model(), OnnxConfig { rows: rows_said, ..clean(THOUSAND) }).unwrap();
        let together = rows(denoiser.denoise(&tensor(&x, 9), 0.6));
        for i in 0..9 {
            let alone = rows(denoiser.denoise(&tensor(&x[2 * i..2 * i + 2], 1), 0.6));
            for j in 0..2 {
                let (a, b) = (alone[j], together[2 * i + j]);
                assert!((a - b).abs() <= tolerance * b.abs(), "row {i}: {a} alone, {b} together");
            }
        }
    }
}

/// One time for all rows of an evaluation: rows of different times are not evaluated together.
#[test]
fn scalar_times() {
    for dims in [vec![], vec![D::N(1)], vec![D::N(1), D::N(1)]] {
        let mut graph = affine(N, FLOAT);
        graph.inputs[1] = value("t", FLOAT, &dims);
        graph.nodes[2] = node("Reshape", &["tf", "shape"], "column", &[]);
        graph.weights[3] = whole("shape", &[2], &[1, 1]);
        is_affine(&open(&graph.model(), clean(THOUSAND)).unwrap(), 5, false);
    }
    let mut graph = affine(N, FLOAT);
    graph.inputs[1] = value("t", FLOAT, &[N, D::N(1)]);
    graph.nodes[2] = node("Identity", &["tf"], "column", &[]);
    is_affine(&open(&graph.model(), clean(THOUSAND)).unwrap(), 5, false);
}

#[test]
fn classes_are_numbers() {
    let classes = Some(Classes { count: 3, none: Some(3) });
    let opened = open(&with_classes(FLOAT).model(), OnnxConfig { classes, ..clean(THOUSAND) }).unwrap();
    let x = states(4, 2);
    let expected = |class: &dyn Fn(usize) -> usize| {
        let row = |i: usize| affine_of(&x[2 * i..2 * i + 2], 500.0);
        let add = move |i: usize| [0, 1].map(|j| row(i)[j] + f64::from(TABLE[2 * class(i) + j]));
        (0..4).flat_map(add).collect::<Vec<_>>()
    };
    near(&rows(opened.denoise(&tensor(&x, 4), 0.5)), expected(&|_| 3));
    near(&rows(opened.with_class(Some(1)).unwrap().denoise(&tensor(&x, 4), 0.5)), expected(&|_| 1));
    let each = opened.with_classes(vec![Some(2), None, Some(0), Some(1)]).unwrap();
    near(&rows(each.denoise(&tensor(&x, 4), 0.5)), expected(&|i| [2, 3, 0, 1][i]));

    let error = opened.with_class(Some(3)).unwrap_err().to_string();
    assert!(error.contains("net.onnx: class 3; expected a number below 3"), "{error}");
    let none = open(&affine(N, FLOAT).model(), clean(THOUSAND)).unwrap().with_class(Some(0)).unwrap_err().to_string();
    assert!(none.contains("class 0; expected none"), "{none}");
    let guided = Some(Classes { count: 4, none: None });
    let unguided = open(&with_classes(FLOAT).model(), OnnxConfig { classes: guided, ..clean(THOUSAND) }).unwrap();
    assert!(unguided.with_class(None).unwrap_err().to_string().contains("no number stands for none"));
    near(&rows(unguided.with_class(Some(3)).unwrap().denoise(&tensor(&x, 4), 0.5)), expected(&|_| 3));
}

/// Twice the channels: what comes after a row's state is cut off.
#[test]
fn a_learned_variance_is_cut_off() {
    let mut graph = affine(N, FLOAT);
    graph.nodes.push(node("Mul", &["y", "b"], "variance", &[]));
    graph.nodes.push(node("Concat", &["y", "variance"], "both", &[Attr::Int("axis", 1)]));
    graph.outputs = vec![value("both", FLOAT, &[N, D::N(4)])];
    let denoiser = open(&graph.model(), clean(THOUSAND)).unwrap();
    assert!(denoiser.learned_variance());
    is_affine(&denoiser, 5, false);
    assert!(!open(&affine(N, FLOAT).model(), clean(THOUSAND)).unwrap().learned_variance());
}

/// `D = c_skip x + c_out F(c_in x)` with every prediction's coefficients, and `2 x - 1` for networks that see it.
#[test]
fn coefficients_are_those_of_the_prediction() {
    let x = states(3, 2);
    for prediction in Prediction::all() {
        for (unscaled, centred) in [(false, false), (true, false), (false, true)] {
            let config = OnnxConfig { prediction, unscaled, centred, ..clean(TimeInput::Untold) };
            let denoiser = open(&affine(N, FLOAT).model(), config).unwrap();
            let c = prediction.coeffs(&denoiser.process().at(0.4));
            let seen = |v: f32| {
                let v = if unscaled { v } else { (c.c_in * f64::from(v)) as f32 };
                if centred { 2.0 * v - 1.0 } else { v }
            };
            let expected = (0..3).flat_map(|i| {
                let f = affine_of(&[seen(x[2 * i]), seen(x[2 * i + 1])], 0.0);
                [0, 1].map(|j| c.c_skip * f64::from(x[2 * i + j]) + c.c_out * f[j])
            });
            near(&rows(denoiser.denoise(&tensor(&x, 3), 0.4)), expected);
        }
    }
}

/// States in double precision stay so outside the network.
#[test]
fn double_precision_is_kept_outside() {
    let config = OnnxConfig { prediction: Prediction::Edm { sigma_data: 0.5 }, ..clean(THOUSAND) };
    let denoiser = open(&affine(N, FLOAT).model(), config).unwrap();
    let x = tensor(&states(3, 2), 3);
    let (single, double) = (denoiser.denoise(&x, 0.3), denoiser.denoise(&x.clone().cast(DType::F64), 0.3));
    assert_eq!(double.dtype(), DType::F64);
    let (single, double) = (rows(single), rows_f64(double));
    assert!(single.iter().zip(&double).all(|(s, d)| (f64::from(*s) - d).abs() < 1e-5 * (1.0 + d.abs())));
}

/// Pictures `[n, 2, 3, 4]`, their sides free: a convolution of three by three and a number of the time for each channel.
#[test]
fn pictures_are_convolved() {
    let kernel: Vec<f32> = (0..36).map(|i| ((i * 7 % 11) as f32 - 5.0) * 0.1).collect();
    // The runtime wants the kernel's sides said, as exporters do; by the standard they may be left out.
    let (pads, sides) = (Attr::Ints("pads", &[1, 1, 1, 1]), Attr::Ints("kernel_shape", &[3, 3]));
    let graph = Graph {
        nodes: vec![
            node("Conv", &["x", "k"], "conv", &[pads, sides]),
            node("Reshape", &["t", "shape"], "scalar", &[]),
            node("Mul", &["scalar", "b"], "tb", &[]),
            node("Add", &["conv", "tb"], "y", &[]),
        ],
        weights: vec![floats("k", &[2, 2, 3, 3], &kernel), floats("b", &[1, 2, 1, 1], &B), whole("shape", &[4], &[-1, 1, 1, 1])],
        inputs: vec![value("x", FLOAT, &[N, D::N(2), D::Any("height"), D::Any("width")]), value("t", FLOAT, &[N])],
        outputs: vec![value("y", FLOAT, &[N, D::N(2), D::Any("height"), D::Any("width")])],
    };
    let denoiser = open(&graph.model(), OnnxConfig { shape: vec![2, 3, 4], ..clean(THOUSAND) }).unwrap();
    let (n, x) = (3, states(3, 24));
    let at = |i: usize, c: usize, y: i32, z: i32| {
        let inside = (0..3).contains(&y) && (0..4).contains(&z);
        if inside { f64::from(x[i * 24 + c * 12 + (y * 4 + z) as usize]) } else { 0.0 }
    };
    let mut expected = Vec::new();
    for (i, o, y, z) in (0..n * 24).map(|e| (e / 24, e / 12 % 2, (e / 4 % 3) as i32, (e % 4) as i32)) {
        let taps = (0..18).map(|k| (k / 9, (k / 3 % 3) as i32, (k % 3) as i32, f64::from(kernel[o * 18 + k])));
        let sum: f64 = taps.map(|(c, dy, dz, w)| w * at(i, c, y + dy - 1, z + dz - 1)).sum();
        expected.push(sum + 700.0 * f64::from(B[o]));
    }
    near(&rows(denoiser.denoise(&tensor(&x, n), 0.7)), expected);
}
