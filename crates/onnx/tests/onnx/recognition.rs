//! Inputs and outputs told apart by type and shape, by name where that leaves a doubt, and refused with all that is there.

use crate::graphs::*;
use crate::proto::{D, FLOAT, Graph, INT64, floats, node, value};
use scorefield_onnx::{Classes, Names, OnnxConfig};
use scorefield_process::{Denoiser, TimeInput};
use scorefield_tensor::{Device, batch, rows};

fn names(sample: &str, time: &str, class: &str, output: &str) -> Names {
    let some = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    Names { sample: some(sample), time: some(time), class: some(class), output: some(output) }
}

#[track_caller]
fn refused(graph: &Graph, config: OnnxConfig, says: &[&str]) {
    let error = open(&graph.model(), config).expect_err("it opens").to_string();
    for part in ["net.onnx: ", "expected "].iter().chain(says) {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let graph = affine(N, FLOAT);
    refused(&graph, OnnxConfig { shape: vec![3], ..clean(THOUSAND) }, &["`x` (floating point [any, 2])", "[rows, 3]"]);
    refused(&graph, OnnxConfig { shape: vec![2, 1, 1], ..clean(THOUSAND) }, &["[rows, 2, 1, 1]"]);
    let named = |names: Names| OnnxConfig { names, ..clean(THOUSAND) };
    refused(&graph, named(names("noise", "", "", "")), &["no input `noise`", "`t` (floating point [any])"]);
    refused(&graph, named(names("", "s", "", "")), &["no input `s`"]);
    refused(&graph, named(names("", "", "", "z")), &["no output `z`", "`y` (floating point [any, 2])"]);
    refused(&graph, named(names("t", "", "", "")), &["the input `t`", "for the sample"]);
    refused(&graph, named(names("", "x", "", "")), &["x"]);
    refused(&graph, named(names("", "", "t", "")), &["of no classes"]);
    refused(
        &graph,
        OnnxConfig { classes: Some(Classes { count: 2, none: None }), ..clean(THOUSAND) },
        &["the class is none", "names.class"],
    );

    let mut timeless = affine(N, FLOAT);
    timeless.inputs.pop();
    timeless.nodes = vec![node("MatMul", &["x", "a"], "xa", &[]), node("Add", &["xa", "c"], "y", &[])];
    refused(&timeless, clean(THOUSAND), &["the inputs are `x`", "for the time", "untold"]);
    let untold = open(&timeless.model(), clean(TimeInput::Untold)).unwrap();
    let found = rows(untold.denoise(&batch(vec![1.0, -2.0], 1, &Device::default()), 0.5));
    assert!(found.iter().zip(affine_of(&[1.0, -2.0], 0.0)).all(|(f, e)| (f64::from(*f) - e).abs() < 1e-6));
}

#[test]
fn doubt_is_settled_by_names() {
    // Time and class are both whole.
    let graph = with_classes(INT64);
    let classes = Some(Classes { count: 3, none: Some(3) });
    refused(&graph, OnnxConfig { classes, ..clean(THOUSAND) }, &["`t`", "`label` (whole numbers [any])", "names.class"]);
    refused(&graph, clean(THOUSAND), &["`label`", "could be the time", "classes"]);
    let x = batch(vec![1.0, -2.0], 1, &Device::default());
    let expected = affine_of(&[1.0, -2.0], 500.0);
    for names in [names("", "t", "", ""), names("", "", "label", ""), names("x", "t", "label", "y")] {
        let denoiser = open(&graph.model(), OnnxConfig { classes, names, ..clean(THOUSAND) }).unwrap();
        let found = rows(denoiser.with_class(Some(1)).unwrap().denoise(&x, 0.5));
        for j in 0..2 {
            assert!((f64::from(found[j]) - expected[j] - f64::from(TABLE[2 + j])).abs() < 1e-4, "{found:?}");
        }
    }

    // Two inputs of the same shape; one of them has no part.
    let mut two = affine(N, FLOAT);
    two.inputs.push(value("other", FLOAT, &[N, D::N(2)]));
    two.nodes[5] = node("Add", &["sum", "other"], "y", &[]);
    refused(
        &two,
        clean(THOUSAND),
        &["`x` (floating point [any, 2]), `other` (floating point [any, 2]) could be the sample", "names.sample"],
    );
    refused(&two, OnnxConfig { names: names("x", "", "", ""), ..clean(THOUSAND) }, &["`other`", "is none of them"]);

    // Several outputs: the one that fits, unless another is named.
    let mut outputs = affine(N, FLOAT);
    outputs.nodes.push(node("ReduceSum", &["y"], "total", &[]));
    outputs.nodes.push(node("Neg", &["y"], "negative", &[]));
    outputs.outputs.insert(0, value("total", FLOAT, &[]));
    let first = open(&outputs.model(), clean(THOUSAND)).unwrap();
    assert!((f64::from(rows(first.denoise(&x, 0.5))[0]) - expected[0]).abs() < 1e-4);
    outputs.outputs.push(value("negative", FLOAT, &[N, D::N(2)]));
    refused(&outputs, clean(THOUSAND), &["the outputs are `total`", "names.output"]);
    let other = open(&outputs.model(), OnnxConfig { names: names("", "", "", "negative"), ..clean(THOUSAND) }).unwrap();
    assert!((f64::from(rows(other.denoise(&x, 0.5))[0]) + expected[0]).abs() < 1e-4);
    refused(&outputs, OnnxConfig { names: names("", "", "", "total"), ..clean(THOUSAND) }, &["its output has the shape [1, 1]"]);
}

#[test]
fn what_cannot_be_is_refused_on_opening() {
    let graph = affine(D::N(3), FLOAT);
    refused(&graph, OnnxConfig { rows: Some(2), ..clean(THOUSAND) }, &["of 3 rows", "leave out rows"]);
    refused(&graph, OnnxConfig { rows: Some(0), ..clean(THOUSAND) }, &["rows = 0"]);
    refused(&graph, OnnxConfig { shape: vec![], ..clean(THOUSAND) }, &["states of shape []"]);
    refused(&graph, OnnxConfig { shape: vec![usize::MAX, 2, 2], ..clean(THOUSAND) }, &["states of shape"]);
    refused(&graph, clean(TimeInput::Time { scale: f64::NAN }), &["NaN", "the whole span"]);
    let config = scorefield_process::ProcessConfig::VpLinear { beta_min: -1.0, beta_max: 20.0 };
    refused(&graph, OnnxConfig { process: config, ..clean(THOUSAND) }, &["beta"]);

    // A batch that the file calls free and the graph does not.
    let mut baked = affine(N, FLOAT);
    baked.nodes.push(node("Add", &["y", "many"], "z", &[]));
    baked.weights.push(floats("many", &[5, 2], &[0.0; 10]));
    baked.outputs = vec![value("z", FLOAT, &[N, D::N(2)])];
    refused(&baked, clean(THOUSAND), &["evaluated on 3 rows", "rows"]);
    assert!(open(&baked.model(), OnnxConfig { rows: Some(5), ..clean(THOUSAND) }).is_ok());

    let mut narrow = affine(N, FLOAT);
    narrow.nodes.push(node("Gather", &["y", "one"], "z", &[crate::proto::Attr::Int("axis", 1)]));
    narrow.outputs = vec![value("z", FLOAT, &[N, D::N(1)])];
    refused(&narrow, clean(THOUSAND), &["shape [3, 1]", "[3, 2]"]);

    let mut damaged = affine(N, FLOAT);
    damaged.weights[2] = floats("c", &[2], &[f32::INFINITY, 0.0]);
    refused(&damaged, clean(THOUSAND), &["number 0 of its output is inf", "finite"]);
}

#[test]
#[should_panic(expected = "3 numbers a row for states of shape [2]")]
fn rows_of_another_length_are_a_programmers_error() {
    open(&affine(N, FLOAT).model(), clean(THOUSAND)).unwrap().denoise(&batch(vec![0.0; 3], 1, &Device::default()), 0.5);
}

#[test]
#[should_panic(expected = "no number stands for none")]
fn a_class_that_is_needed_has_to_be_given() {
    let classes = Some(Classes { count: 4, none: None });
    let denoiser = open(&with_classes(FLOAT).model(), OnnxConfig { classes, ..clean(THOUSAND) }).unwrap();
    denoiser.denoise(&batch(vec![0.0; 2], 1, &Device::default()), 0.5);
}
