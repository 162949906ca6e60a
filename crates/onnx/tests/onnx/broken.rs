//! Files that are cut, changed, or lie: an error that names the file, never a panic, an abort or a hang.

use crate::graphs::*;
use crate::proto::{Attr, FLOAT, Graph, bytes, node, value};
use scorefield_onnx::{OnnxDenoiser, OnnxError};
use scorefield_process::Denoiser;
use scorefield_tensor::{Device, batch, rows};
use scorefield_testkit::Random;
use std::path::Path;
use std::time::{Duration, Instant};

/// Opens the bytes; what opens is evaluated. An error names the file and what was expected.
fn tried(path: &Path, bytes: &[u8]) -> Option<String> {
    std::fs::write(path, bytes).unwrap();
    let begun = Instant::now();
    let opened = OnnxDenoiser::open(path, clean(THOUSAND));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    match opened {
        Ok(denoiser) => {
            let rows = rows(denoiser.denoise(&batch(vec![0.5; 8], 4, &Device::default()), 0.5));
            assert_eq!(rows.len(), 8);
            None
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("net.onnx: ") && text.contains("expected "), "{text}");
            Some(text)
        }
    }
}

#[test]
fn every_cut_is_an_error() {
    let (folder, whole) = (tempfile::tempdir().unwrap(), affine(N, FLOAT).model());
    let path = folder.path().join("net.onnx");
    assert_eq!(tried(&path, &whole), None);
    for cut in 0..whole.len() {
        let error = tried(&path, &whole[..cut]).unwrap_or_else(|| panic!("cut at {cut} of {} it opens", whole.len()));
        assert!(error.contains("no ONNX model that can be run"), "{error}");
    }
}

#[test]
fn every_flipped_bit_is_survived() {
    let (folder, whole) = (tempfile::tempdir().unwrap(), affine(N, FLOAT).model());
    let path = folder.path().join("net.onnx");
    let refused = (0..8 * whole.len()).filter(|bit| {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        tried(&path, &changed).is_some()
    });
    // Bits of names, weights and padding change numbers only.
    assert!(refused.count() > whole.len());
}

#[test]
fn random_changes_are_survived() {
    const EDGES: [u64; 8] = [0, 1, 0x7F, 0xFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 62, u64::MAX];
    let (folder, whole) = (tempfile::tempdir().unwrap(), with_classes(FLOAT).model());
    let (path, mut random) = (folder.path().join("net.onnx"), Random(1));
    for _ in 0..1500 {
        let mut changed = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(changed.len());
            let end = (at + 1 + random.below(12)).min(changed.len());
            match random.below(4) {
                0 => changed[at] = random.next() as u8,
                1 => drop(changed.drain(at..end)),
                2 => {
                    let part = changed[at..end].to_vec();
                    let to = random.below(changed.len());
                    changed.splice(to..to, part);
                }
                _ => {
                    let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                    let width = [1, 2, 4, 8][random.below(4)].min(changed.len() - at);
                    changed[at..at + width].copy_from_slice(&edge[..width]);
                }
            }
        }
        tried(&path, &changed);
    }
}

#[test]
fn other_things_than_networks_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    for bytes in [b"".as_slice(), b"PK\x03\x04", b"not a network at all", &[0; 64], &[0xFF; 64]] {
        assert!(tried(&path, bytes).is_some());
    }
    let missing = OnnxDenoiser::open(folder.path().join("none.onnx"), clean(THOUSAND)).unwrap_err();
    assert!(matches!(missing, OnnxError::Io { .. }) && missing.to_string().contains("none.onnx"), "{missing}");
    let not_a_file = OnnxDenoiser::open(folder.path(), clean(THOUSAND)).unwrap_err();
    assert!(not_a_file.to_string().contains("it is no file"), "{not_a_file}");

    let mut unknown = affine(N, FLOAT);
    unknown.nodes[5] = node("Frobnicate", &["sum", "c"], "y", &[]);
    let error = tried(&path, &unknown.model()).unwrap();
    assert!(error.contains("Frobnicate") && error.contains("opset"), "{error}");

    // Weights in other files are read from beside the model only.
    let mut outside = affine(N, FLOAT);
    let entry = |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    let place = [entry("location", "../../etc/weights.data"), entry("offset", "0"), entry("length", "16")].concat();
    outside.weights[0] = [vec![8, 2, 8, 2, 16, 1], bytes(8, b"a"), place, vec![14 << 3, 1]].concat();
    let error = tried(&path, &outside.model()).unwrap();
    assert!(error.contains("disallowed path"), "{error}");
}

/// The extension is no matter, and weights beside the model are found.
#[test]
fn files_of_any_name_and_weights_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, split) = (folder.path().join("network"), folder.path().join("split.onnx"));
    std::fs::write(&plain, affine(N, FLOAT).model()).unwrap();
    let mut graph = affine(N, FLOAT);
    let entry = |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    let place = [entry("location", "split.onnx.data"), entry("offset", "4"), entry("length", "16")].concat();
    graph.weights[0] = [vec![8, 2, 8, 2, 16, 1], bytes(8, b"a"), place, vec![14 << 3, 1]].concat();
    std::fs::write(&split, graph.model()).unwrap();
    let weights: Vec<u8> = [0.0].iter().chain(&A).flat_map(|v: &f32| v.to_le_bytes()).collect();
    std::fs::write(folder.path().join("split.onnx.data"), &weights).unwrap();
    let x = batch(vec![1.0, -2.0], 1, &Device::default());
    for path in [&plain, &split] {
        let found = rows(OnnxDenoiser::open(path, clean(THOUSAND)).unwrap().denoise(&x, 0.5));
        assert!(found.iter().zip(affine_of(&[1.0, -2.0], 500.0)).all(|(f, e)| (f64::from(*f) - e).abs() < 1e-4), "{found:?}");
    }
    std::fs::write(folder.path().join("split.onnx.data"), &weights[..12]).unwrap();
    let error = OnnxDenoiser::open(&split, clean(THOUSAND)).unwrap_err().to_string();
    assert!(error.contains("split.onnx: ") && error.contains("too short"), "{error}");
}

/// Chains of operators as long as may be are planned; graphs within graphs are bounded.
#[test]
fn depth_is_bounded() {
    let (folder, n) = (tempfile::tempdir().unwrap(), 100_000);
    let path = folder.path().join("net.onnx");
    let mut long = affine(N, FLOAT);
    let name = |i: usize| if i == 0 { "y".to_owned() } else { format!("y{i}") };
    long.nodes.extend((0..n).map(|i| node("Sigmoid", &[&name(i)], &name(i + 1), &[])));
    long.outputs = vec![value(&name(n), FLOAT, &[N, crate::proto::D::N(2)])];
    std::fs::write(&path, long.model()).unwrap();
    let opened = OnnxDenoiser::open(&path, clean(THOUSAND));
    assert!(opened.is_ok(), "{opened:?}");

    let mut inner = Graph::default();
    for _ in 0..100 {
        let branch = inner.bytes();
        let choose = node("If", &["x"], "y", &[Attr::Graph("then_branch", branch.clone()), Attr::Graph("else_branch", vec![])]);
        inner = Graph { nodes: vec![choose], ..Graph::default() };
    }
    let error = tried(&path, &inner.model()).unwrap();
    assert!(error.contains("messages in each other"), "{error}");
}
