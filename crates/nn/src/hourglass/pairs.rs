//! Attention within windows and neighbourhoods against a loop over all pairs of tokens, in both precisions and with derivatives.

use super::{neighbourhood, window};
use crate::layer::Pass;
use crate::{Init, Mode, ParamSpec, Params, Precision};
use scorefield_tensor::{DType, Tensor, TensorData, rows_f64};

/// A token: row and column.
type Token = (usize, usize);

/// Softmax attention of `qkv` `[n, 3 c, h, w]` where `sees` says which pairs there are.
fn over_pairs(qkv: &[f64], [n, c, h, w]: [usize; 4], heads: usize, sees: &dyn Fn(Token, Token) -> bool) -> Vec<f64> {
    let (t, d) = (h * w, c / heads);
    let at = |b: usize, part: usize, head: usize, k: usize, token: usize| qkv[((b * 3 + part) * c + head * d + k) * t + token];
    let mut y = vec![0.0; n * c * t];
    for (b, head, query) in (0..n * heads * t).map(|i| (i / (heads * t), i / t % heads, i % t)) {
        let seen: Vec<usize> = (0..t).filter(|&key| sees((query / w, query % w), (key / w, key % w))).collect();
        let product = |key: usize| (0..d).map(|k| at(b, 0, head, k, query) * at(b, 1, head, k, key)).sum::<f64>();
        let weights: Vec<f64> = seen.iter().map(|&key| (product(key) / (d as f64).sqrt()).exp()).collect();
        let total: f64 = weights.iter().sum();
        for k in 0..d {
            let mean = seen.iter().zip(&weights).map(|(&key, p)| p / total * at(b, 2, head, k, key)).sum();
            y[(b * c + head * d + k) * t + query] = mean;
        }
    }
    y
}

/// Compares `attention` with the loop in both precisions, and its gradient with differences of the loop in a few places.
fn check(
    what: &str,
    dims: [usize; 4],
    attention: &dyn Fn(&Pass<'_>, &Tensor<4>) -> Tensor<4>,
    sees: &dyn Fn(Token, Token) -> bool,
) {
    let [n, c, h, w] = dims;
    let heads = 2;
    let numbers =
        |len: usize, step: usize| -> Vec<f64> { (0..len).map(|i| ((i * step + 7) % 997) as f64 / 250.0 - 2.0).collect() };
    let (qkv, weights) = (numbers(3 * n * c * h * w, 61), numbers(n * c * h * w, 89));
    let expected = over_pairs(&qkv, dims, heads, sees);
    let spec = [ParamSpec { name: "unused".into(), shape: vec![1], init: Init::Zeros, trainable: true }];
    let device = Default::default();
    for (dtype, tolerance) in [(DType::F32, 2e-6), (DType::F64, 1e-13)] {
        let params = Params::init(&spec, 0, &device).cast(dtype);
        let params = params.tracked(&spec, &device);
        let pass = Pass::new(&params, &spec, &Mode::Eval);
        let tensor = |v: &[f64], shape: [usize; 4]| {
            let device = params.values()[0].device();
            Tensor::<4>::from_data(TensorData::new(v.to_vec(), shape), (&device, dtype))
        };
        let x = tensor(&qkv, [n, 3 * c, h, w]).require_grad();
        let y = attention(&pass, &x);
        assert_eq!(y.dims(), dims, "{what}");
        let error = rows_f64(y.clone().inner()).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(error < tolerance, "{what}, {dtype:?}: {error:.1e}");

        let mut gradients = (y * tensor(&weights, dims)).sum().backward();
        let gradient = rows_f64(x.grad_remove(&mut gradients).expect("a gradient"));
        let loss = |q: &[f64]| over_pairs(q, dims, heads, sees).iter().zip(&weights).map(|(a, b)| a * b).sum::<f64>();
        for place in (0..qkv.len()).step_by(qkv.len() / 7) {
            let moved = |step: f64| {
                let mut q = qkv.clone();
                q[place] += step;
                loss(&q)
            };
            let quotient = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let error = (gradient[place] - quotient).abs();
            assert!(error < 1e3 * tolerance.max(1e-11), "{what}, {dtype:?}: {} against {quotient}", gradient[place]);
        }
    }
}

/// The published rule: rolled by the shift, tokens share a window and, in windows at the border, a side of it.
#[test]
fn windows() {
    for (h, w, size, shift) in
        [(8, 4, 4, 0), (8, 4, 4, 2), (6, 12, 2, 1), (6, 9, 3, 1), (4, 4, 4, 2), (3, 2, 1, 0), (10, 5, 5, 2)]
    {
        let along = |side: usize, a: usize, b: usize| {
            let (a, b) = ((a + shift) % side, (b + shift) % side);
            a / size == b / size && (a / size > 0 || (a < shift) == (b < shift))
        };
        let sees = |a: Token, b: Token| along(h, a.0, b.0) && along(w, a.1, b.1);
        let attention = |_: &Pass<'_>, x: &Tensor<4>| window::attention(x, 2, size, shift, Precision::Single);
        check(&format!("{h} x {w}, windows of {size} moved by {shift}"), [2, 4, h, w], &attention, &sees);
    }
}

/// A token sees `size` tokens a side, those around it where the picture goes on, and always itself.
#[test]
fn neighbourhoods() {
    for (h, w, size) in [(6, 10, 3), (11, 16, 5), (7, 7, 7), (3, 8, 3), (1, 4, 1), (24, 9, 7)] {
        let along = |side: usize, query: usize, key: usize| {
            let reach = size / 2;
            let first = if query < reach { 0 } else { (query - reach).min(side - size) };
            key >= first && key < first + size
        };
        let sees = |a: Token, b: Token| along(h, a.0, b.0) && along(w, a.1, b.1);
        for token in (0..h * w).map(|i| (i / w, i % w)) {
            let seen = (0..h * w).filter(|&i| sees(token, (i / w, i % w))).count();
            assert!(seen == size * size && sees(token, token));
        }
        let attention = |pass: &Pass<'_>, x: &Tensor<4>| neighbourhood::attention(pass, x, 2, size);
        check(&format!("{h} x {w}, neighbourhoods of {size}"), [2, 4, h, w], &attention, &sees);
    }
}
