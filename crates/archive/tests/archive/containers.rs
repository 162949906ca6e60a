//! The small files of every container hold one value; `fixtures/make.py` says which.

use crate::files::{read, small, zip, zipped_tensor};
use scorefield_archive::{Archive, Container, Dtype, Fault, Kind, open, open_sharded};
use zip::CompressionMethod::{Deflated, Stored};

fn check_value(archive: &Archive) {
    let root = archive.root();
    let name = archive.path().display();
    let model = root.need("model").unwrap();
    let numbers = |key: &str| model.need(key).unwrap().array().unwrap().f64().unwrap();
    let (f, i) = ([-1.0, -0.75, -0.5, -0.25, 0.0, 0.25], [0.0, 1.0, 2.0]);
    assert_eq!(numbers("matrix"), f, "{name}");
    assert_eq!(numbers("transposed"), [f[0], f[3], f[1], f[4], f[2], f[5]], "{name}");
    assert_eq!(numbers("tail"), f[4..], "{name}");
    assert_eq!(numbers("repeated"), [f[1], f[2], f[1], f[2]], "{name}");
    assert_eq!(numbers("empty"), [0.0; 0], "{name}");
    for (key, expected, dtype) in [
        ("double", &f[..3], Dtype::F64),
        ("half", &f[..3], Dtype::F16),
        ("bfloat16", &f[..3], Dtype::BF16),
        ("long", &i, Dtype::I64),
        ("byte", &i, Dtype::U8),
        ("bool", &[0.0, 1.0, 0.0], Dtype::Bool),
    ] {
        let array = model.need(key).unwrap().array().unwrap();
        assert_eq!((array.dtype(), array.shape(), array.name()), (dtype, &[3][..], &*format!("model.{key}")), "{name}");
        assert_eq!(array.f64().unwrap(), expected, "{name} {key}");
        assert_eq!(array.f32().unwrap(), expected.iter().map(|&x| x as f32).collect::<Vec<_>>(), "{name} {key}");
        assert_eq!(array.i64().is_ok(), dtype.is_integer(), "{name} {key}");
    }
    assert_eq!(model.need("number").unwrap().as_i64(), Some(0), "{name}");

    assert_eq!(root.need("ema").unwrap().need("decay").unwrap().as_f64(), Some(0.5), "{name}");
    let shadow = root.get("ema").unwrap().arrays().unwrap();
    assert_eq!(shadow.keys().collect::<Vec<_>>(), ["shadow_params.0", "shadow_params.1"], "{name}");
    assert_eq!(shadow["shadow_params.0"].f64().unwrap(), f, "{name}");
    assert_eq!(shadow["shadow_params.0"].name(), "ema.shadow_params.0", "{name}");

    let int = |key: &str| root.need(key).unwrap().as_i64();
    assert_eq!((int("step"), int("negative"), int("long")), (Some(7), Some(-70000), Some(-(1 << 40))), "{name}");
    assert_eq!((int("large"), root.get("large").unwrap().kind()), (None, Kind::Int), "{name}");
    assert!(root.need("none").unwrap().is_none(), "{name}");
    let flags: Vec<_> = root.need("flags").unwrap().list().unwrap().iter().map(|b| b.as_bool()).collect();
    assert_eq!(flags, [Some(true), Some(false)], "{name}");
    assert_eq!(root.need("text").unwrap().as_str(), Some("\u{e4}\u{1F600}"), "{name}");
    assert_eq!(root.need("bytes").unwrap().as_bytes(), Some(&b"\0\xff"[..]), "{name}");
    assert_eq!((root.need("set").unwrap().count(), root.need("frozen").unwrap().kind()), (Some(3), Kind::Set), "{name}");
    assert_eq!(root.need("options").unwrap().need("b").unwrap().need("0").unwrap().as_i64(), Some(2), "{name}");
    assert_eq!(root.need("counted").unwrap().need("a").unwrap().as_i64(), Some(2), "{name}");
    assert_eq!(root.need("path").unwrap().as_str(), Some("/a/b"), "{name}");
    assert_eq!(root.need("lr").unwrap().as_f64(), Some(0.125), "{name}");
    let table = root.need("table").unwrap().array().unwrap();
    assert_eq!((table.shape(), table.i64().unwrap()), (&[2, 3][..], vec![0, 1, 2, 3, 4, 5]), "{name}");
    assert_eq!(root.need("5").unwrap().as_str(), Some("five"), "{name}");
    assert_eq!(archive.arrays().unwrap().len(), 12 + 2 + 2, "{name}");
}

#[test]
fn every_container_holds_the_same() {
    for (name, container) in [
        ("zip.pt", Container::TorchZip),
        ("zip_deflated.pt", Container::TorchZip),
        ("zip_big_endian.pt", Container::TorchZip),
        ("legacy.pt", Container::TorchLegacy),
        ("tar.pt", Container::TorchTar),
    ] {
        let archive = open(&small(name)).unwrap();
        assert_eq!(archive.container(), container);
        assert!(archive.metadata().is_empty());
        check_value(&archive);
    }
}

#[test]
fn every_protocol_holds_the_same() {
    for protocol in 0..6 {
        let archive = open(&small(&format!("pickle_{protocol}.pkl"))).unwrap();
        assert_eq!(archive.container(), Container::Pickle);
        check_value(&archive);
    }
}

/// A module's arrays have the names of its state dict; other attributes are reached as keys.
#[test]
fn persistent_objects_are_data() {
    let archive = open(&small("persistent.pkl")).unwrap();
    let net = archive.root().need("ema").unwrap();
    assert_eq!((net.kind(), net.class().as_deref()), (Kind::Object, Some("Net")));
    assert_eq!(net.need("sigma_data").unwrap().as_f64(), Some(0.5));
    let arrays = net.arrays().unwrap();
    assert_eq!(arrays.keys().collect::<Vec<_>>(), ["enc.8x8_conv.count", "enc.8x8_conv.weight"]);
    assert_eq!(arrays["enc.8x8_conv.weight"].f32().unwrap(), [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25]);
    let linear = net.need("_modules").unwrap().need("enc").unwrap().need("_modules").unwrap().need("8x8_conv").unwrap();
    assert_eq!((linear.class().as_deref(), linear.need("gain").unwrap().as_f64()), (Some("Linear"), Some(0.5)));
    let message = net.need("sigma").unwrap_err().to_string();
    assert!(message.contains("persistent.pkl") && message.contains("ema.sigma") && message.contains("sigma_data"), "{message}");
}

#[test]
fn safetensors_and_shards() {
    let one = open(&small("one.safetensors")).unwrap();
    assert_eq!((one.container(), one.metadata()["format"].as_str()), (Container::Safetensors, "pt"));
    let sharded = open_sharded(&small("model.safetensors.index.json")).unwrap();
    let (one, sharded) = (one.arrays().unwrap(), sharded.arrays().unwrap());
    assert_eq!(one.len(), 8);
    assert!(one.keys().eq(sharded.keys()));
    for (name, array) in &one {
        assert_eq!((array.shape(), array.dtype()), (sharded[name].shape(), sharded[name].dtype()));
        assert_eq!(array.f64().unwrap(), sharded[name].f64().unwrap());
    }
    assert_eq!(one["matrix"].f32().unwrap(), [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25]);
    assert!(sharded["number"].file().ends_with("model-00002-of-00002.safetensors"));
}

/// Shards may be zips, compressed or not, with views; an index that disagrees with them, or leads elsewhere, is refused.
#[test]
fn indices_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let data: Vec<u8> = [1_f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let index = folder.path().join("pytorch_model.bin.index.json");
    for method in [Stored, Deflated] {
        write("a.bin", &zip(&[("x/data.pkl", &zipped_tensor(4, &[2], &[2], 1).stop()), ("x/data/0", &data)], method));
        write("pytorch_model.bin.index.json", br#"{"weight_map":{"w":"a.bin"}}"#);
        let arrays = open_sharded(&index).unwrap().arrays().unwrap();
        assert_eq!(arrays["w"].f32().unwrap(), [2.0, 4.0]);
    }
    for (text, expected) in [
        (r#"{"weight_map":{"w":"a.bin","v":"a.bin"}}"#, "tensor \"v\", which the index places here, is missing"),
        (r#"{"weight_map":{"w":"a.bin","w":"a.bin"}}"#, "\"w\" occurs twice"),
        (r#"{"weight_map":{"w":"../a.bin"}}"#, "expected one beside it"),
        (r#"{"weight_map":{"w":"/a.bin"}}"#, "expected one beside it"),
        (r#"{"weight_map":{"w":"b.bin"}}"#, "b.bin: cannot be read"),
        (r#"{"weight_map":{}}"#, "names no files"),
        (r#"{"weight_map":[]}"#, "no index"),
        (r#"{}"#, "weight_map"),
        ("[", "no index"),
    ] {
        write("pytorch_model.bin.index.json", text.as_bytes());
        let message = open_sharded(&index).unwrap_err().to_string();
        assert!(message.contains(expected), "{text}: {message}");
    }
}

/// A storage of a legacy file may be a part of another.
#[test]
fn legacy_views() {
    use crate::files::Pickle;
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let tensor = |from: i32, numbers: i32| {
        let p = Pickle::new().op(b"}").text("w").global("torch._utils", "_rebuild_tensor").op(b"((").text("storage");
        let p = p.global("torch", "FloatStorage").text("9").text("cpu").int(4).op(b"(").text("view").int(from).int(numbers);
        p.op(b"ttQK\x01K\x02\x85K\x01\x85tRs").stop()
    };
    let file = |from, numbers| {
        let mut bytes = magic.to_vec();
        bytes.extend(tensor(from, numbers));
        bytes.extend(Pickle::new().op(b"]").text("9").op(b"a").stop());
        bytes.extend(4_u64.to_le_bytes());
        bytes.extend([1_f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()));
        bytes
    };
    let array = |from, numbers| read(&file(from, numbers)).unwrap().arrays().map(|a| a["w"].f32().unwrap());
    assert_eq!(array(1, 3).unwrap(), [3.0, 4.0]);
    assert_eq!(array(0, 3).unwrap(), [2.0, 3.0]);
    for (from, numbers) in [(0, 2), (2, 3), (4, 1)] {
        let error = array(from, numbers).unwrap_err();
        assert!(matches!(*error.fault, Fault::Tensor { ref name, .. } if name == "w"), "{error}");
    }
}
