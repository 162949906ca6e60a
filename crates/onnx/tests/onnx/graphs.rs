//! The networks of the tests, with their outputs in plain arithmetic.

use crate::proto::{Attr, D, FLOAT, Graph, INT64, floats, node, value, whole};
use scorefield_onnx::{OnnxConfig, OnnxDenoiser, OnnxError};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

pub(crate) const N: D = D::Any("batch");

/// `a` as it multiplies a row from the right, `b` of the time, `c` alone.
pub(crate) const A: [f32; 4] = [0.5, -1.25, 2.0, 0.75];
pub(crate) const B: [f32; 2] = [0.03, -0.01];
pub(crate) const C: [f32; 2] = [0.25, -4.0];

/// `F = x a + t b + c` on `[n, 2]`, the time `[n]` of a type.
pub(crate) fn affine(batch: D, time: u64) -> Graph {
    Graph {
        nodes: vec![
            node("MatMul", &["x", "a"], "xa", &[]),
            node("Cast", &["t"], "tf", &[Attr::Int("to", FLOAT as i64)]),
            node("Unsqueeze", &["tf", "one"], "column", &[]),
            node("Mul", &["column", "b"], "tb", &[]),
            node("Add", &["xa", "tb"], "sum", &[]),
            node("Add", &["sum", "c"], "y", &[]),
        ],
        weights: vec![floats("a", &[2, 2], &A), floats("b", &[1, 2], &B), floats("c", &[2], &C), whole("one", &[1], &[1])],
        inputs: vec![value("x", FLOAT, &[batch, D::N(2)]), value("t", time, &[batch])],
        outputs: vec![value("y", FLOAT, &[batch, D::N(2)])],
    }
}

/// What [`affine`] gives for a row.
pub(crate) fn affine_of(x: &[f32], t: f64) -> [f64; 2] {
    let x = [f64::from(x[0]), f64::from(x[1])];
    [0, 1].map(|j| x[0] * f64::from(A[j]) + x[1] * f64::from(A[2 + j]) + t * f64::from(B[j]) + f64::from(C[j]))
}

/// [`affine`] with a row of a table added for a class; the fourth stands for none.
pub(crate) const TABLE: [f32; 8] = [1.0, 2.0, -3.0, 4.0, 5.0, 60.0, 0.5, 0.0];

pub(crate) fn with_classes(time: u64) -> Graph {
    let mut graph = affine(N, time);
    graph.nodes.pop();
    graph.nodes.push(node("Add", &["sum", "c"], "without", &[]));
    graph.nodes.push(node("Gather", &["table", "label"], "row", &[]));
    graph.nodes.push(node("Add", &["without", "row"], "y", &[]));
    graph.weights.push(floats("table", &[4, 2], &TABLE));
    graph.inputs.push(value("label", INT64, &[N]));
    graph
}

/// Nothing is scaled: the network sees `x` and its output is `D`.
pub(crate) fn clean(time: TimeInput) -> OnnxConfig {
    let config = ProcessConfig::VpLinear { beta_min: 0.1, beta_max: 20.0 };
    OnnxConfig { unscaled: true, ..OnnxConfig::new(config, Prediction::Clean, time, &[2]) }
}

/// A thousand times the time.
pub(crate) const THOUSAND: TimeInput = TimeInput::Time { scale: 1000.0 };

/// Opens a file of these bytes.
pub(crate) fn open(bytes: &[u8], config: OnnxConfig) -> Result<OnnxDenoiser, OnnxError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, bytes).unwrap();
    OnnxDenoiser::open(&path, config)
}
