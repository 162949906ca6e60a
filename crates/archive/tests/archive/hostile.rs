//! Files made to break a reader: each is refused with an error that says why, or read within the limits, soon and without a panic.

use crate::files::{Pickle, all_small, fault, read, read_with, zip, zipped_tensor};
use scorefield_archive::{Fault, Kind, Limit, Limits, Policy};
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};
use zip::CompressionMethod::{Deflated, Stored};

/// What `f` gives, which has to come soon.
#[track_caller]
fn soon<T>(f: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let value = f();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    value
}

#[track_caller]
fn limit(fault: Fault) -> Limit {
    match fault {
        Fault::Limit { what, .. } => what,
        other => panic!("{other}"),
    }
}

/// Every instruction that could run something: each names what the pickle asks for.
#[test]
fn system_calls_are_refused() {
    let call = |p: Pickle| p.text("true").op(b"\x85");
    let named = |p: Pickle| p.text("os").text("system").op(b"\x93");
    for p in [
        call(Pickle::new().global("os", "system")).op(b"R"),
        call(named(Pickle::new())).op(b"R"),
        call(Pickle::new().global("os", "system")).op(b"\x81"),
        call(Pickle::new().global("os", "system")).op(b"}\x92"),
        Pickle::new().op(b"(").text("true").op(b"ios\nsystem\n"),
        Pickle::new().op(b"(").global("os", "system").text("true").op(b"o"),
        Pickle::new().global("os", "system").op(b"}b"),
        Pickle::new().op(b"}").global("os", "system").op(b"b"),
        call(Pickle::new().global("collections", "OrderedDict").op(b")R}").text("x").global("os", "system").op(b"sb")),
    ] {
        for bytes in [p.clone().stop(), zip(&[("a/data.pkl", &p.stop())], Stored)] {
            let fault = fault(&bytes);
            assert!(matches!(&fault, Fault::Refused { module, name } if module == "os" && name == "system"), "{fault}");
        }
    }
    for (module, name) in
        [("builtins", "eval"), ("torch.hub", "load"), ("numpy", "load"), ("torch.nn", "Linear"), ("__main__", "A")]
    {
        let fault = Pickle::new().global(module, name).fault();
        let text = fault.to_string();
        assert!(text.contains(&format!("{module}.{name}")) && text.contains("nothing was executed"), "{text}");
    }
}

/// Under the other policy a foreign object is data: its name, arguments and state.
#[test]
fn foreign_objects_can_be_kept() {
    let p = Pickle::new().global("os", "system").text("true").op(b"\x85R}").text("a").op(b"K\x01sb");
    let archive = read_with(&p.stop(), &Policy::keeping_unknown()).unwrap();
    let root = archive.root();
    assert_eq!((root.kind(), root.class().as_deref()), (Kind::Object, Some("os.system")));
    assert_eq!(root.args().unwrap().need("0").unwrap().as_str(), Some("true"));
    assert_eq!(root.need("a").unwrap().as_i64(), Some(1));
}

#[test]
fn types_may_only_be_mentioned() {
    for (module, name) in [("builtins", "int"), ("torch", "FloatStorage"), ("torch", "float32"), ("numpy", "ndarray")] {
        assert!(matches!(Pickle::new().global(module, name).op(b")R").fault(), Fault::Pickle { .. }), "{module}.{name}");
    }
    assert!(matches!(Pickle::new().op(b"N)R").fault(), Fault::Pickle { .. }));
    assert!(matches!(Pickle::new().global("collections", "OrderedDict").op(b"NR").fault(), Fault::Pickle { .. }));
}

#[test]
fn absurd_lengths_are_not_believed() {
    let most = u64::MAX.to_le_bytes();
    for op in [0x95, 0x8D, 0x8E, 0x96_u8] {
        for n in [most, (1_u64 << 62).to_le_bytes(), 1_000_000_000_000_u64.to_le_bytes()] {
            assert!(matches!(Pickle::new().op(&[op]).op(&n).fault(), Fault::Truncated { .. }), "{op:#x}");
        }
    }
    for op in [b'X', b'B', b'T', 0x8B] {
        assert!(matches!(Pickle::new().op(&[op, 0xFF, 0xFF, 0xFF, 0x7F]).fault(), Fault::Truncated { .. }), "{op:#x}");
    }
    assert!(matches!(Pickle::new().op(b"T\xff\xff\xff\xff").fault(), Fault::Pickle { .. }));
    // Headers of safetensors.
    for n in [u64::MAX, 1 << 40, 1 << 26, 100] {
        let bytes = [&n.to_le_bytes()[..], b"{}      "].concat();
        assert!(matches!(fault(&bytes), Fault::Malformed(_) | Fault::Truncated { .. }), "{n}");
    }
    let header = |json: &str| [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat();
    for json in [
        r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
        r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#,
        r#"{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
        r#"{"a":{"dtype":"F31","shape":[0],"data_offsets":[0,0]}}"#,
        r#"{"a":{"dtype":"F8_E5M2","shape":[0],"data_offsets":[0,0]}}"#,
        r#"{"a":{"dtype":"F32","shape":[0]}}"#,
        r#"{"a":7}"#,
        "{",
    ] {
        let fault = soon(|| fault(&header(json)));
        assert!(matches!(fault, Fault::Malformed(_) | Fault::Dtype { .. }), "{json}: {fault}");
    }
    let nested = header(&format!("{{\"a\":{}", "[".repeat(1 << 20)));
    soon(|| fault(&nested));
    for n in [90_000, 300_000] {
        let many: Vec<String> = (0..n).map(|i| format!(r#""{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)).collect();
        let bytes = header(&format!("{{{}}}", many.join(",")));
        assert_eq!(soon(|| read(&bytes)).is_ok(), n < 100_000);
    }
}

/// Containers within themselves and within each other, a hundred thousand deep.
#[test]
fn depth_and_cycles_are_walked_within_limits() {
    let itself = Pickle::new().op(b"]\x94h\0a").read();
    assert_eq!(limit(*soon(|| itself.arrays()).unwrap_err().fault), Limit::Depth);
    assert_eq!(itself.root().need("0").unwrap().need("0").unwrap().kind(), Kind::List);
    let dict = Pickle::new().op(b"}\x94").text("a").op(b"h\0s").read();
    assert_eq!(limit(*soon(|| dict.arrays()).unwrap_err().fault), Limit::Depth);
    let tuple = Pickle::new().op(b"]\x94h\0\x85a").read();
    assert_eq!(limit(*soon(|| tuple.arrays()).unwrap_err().fault), Limit::Depth);
    let state = Pickle::new().global("argparse", "Namespace").op(b")\x81\x94}").text("a").op(b"h\0sb").read();
    assert_eq!(limit(*soon(|| state.arrays()).unwrap_err().fault), Limit::Depth);

    for (open, close) in [(&b"]"[..], &b"a"[..]), (b"(", b"t"), (b"", b"\x85")] {
        let p = Pickle::new().op(&open.repeat(100_000)).op(b"N").op(&close.repeat(100_000));
        let archive = soon(|| p.read());
        assert_eq!(limit(*soon(|| archive.arrays()).unwrap_err().fault), Limit::Depth);
        soon(|| drop(archive));
    }
    let marks = Pickle::new().op(&b"(".repeat(1 << 20)).fault();
    assert!(matches!(marks, Fault::Pickle { .. }), "{marks}");
}

/// Fifty doublings are a tree of 2^50 leaves.
#[test]
fn sharing_is_counted_when_walked() {
    let mut p = Pickle::new().op(b"]");
    for _ in 0..50 {
        p = p.op(b"2\x86");
    }
    let archive = soon(|| p.read());
    assert!(matches!(limit(*soon(|| archive.arrays()).unwrap_err().fault), Limit::Nodes | Limit::Bytes));
    // A name of a megabyte at every level.
    let mut p = Pickle::new().text(&"k".repeat(1 << 20)).op(b"\x940}");
    for _ in 0..200 {
        p = p.op(b"\x940}h\0h\x01s");
        p = p.op(b"q\x01");
    }
    let archive = soon(|| p.read());
    assert_eq!(limit(*soon(|| archive.arrays()).unwrap_err().fault), Limit::Bytes);
}

#[test]
fn every_limit_has_its_error() {
    let with = |change: fn(&mut Limits)| {
        let mut policy = Policy::default();
        change(&mut policy.limits);
        policy
    };
    let found = |p: Pickle, policy: &Policy| limit(*read_with(&p.stop(), policy).unwrap_err().fault);
    assert_eq!(found(Pickle::new().op(&b"N".repeat(11)), &with(|l| l.nodes = 10)), Limit::Nodes);
    assert_eq!(found(Pickle::new().op(&b"N\x94".repeat(11)), &with(|l| l.memo = 10)), Limit::Memo);
    assert_eq!(found(Pickle::new().op(&b"N0".repeat(11)), &with(|l| l.steps = 10)), Limit::Steps);
    assert_eq!(found(Pickle::new().text("eleven char"), &with(|l| l.bytes = 10)), Limit::Bytes);
    assert_eq!(limit(soon(|| Pickle::new().op(&b"N".repeat(1 << 22)).fault())), Limit::Nodes);
    assert_eq!(limit(soon(|| Pickle::new().op(b"N").op(&b"2".repeat(1 << 25)).fault())), Limit::Steps);
    assert_eq!(limit(soon(|| Pickle::new().op(&b"\x80\x04".repeat(1 << 25)).fault())), Limit::Steps);
    // Copies of a list of many, made over and over.
    let list = Pickle::new().global("builtins", "list").op(b"\x940](").op(&b"N".repeat(100_000)).op(b"e\x85\x940");
    assert_eq!(limit(soon(|| list.op(&b"h\0h\x01R0".repeat(10_000)).fault())), Limit::Steps);
    let text = Pickle::new().global("_codecs", "encode").op(b"\x940").text(&"a".repeat(1 << 20)).text("latin1").op(b"\x86\x940");
    assert_eq!(limit(soon(|| text.op(&b"h\0h\x01R0".repeat(10_000)).fault())), Limit::Bytes);
    // Files within files.
    let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let mut inner = vec![];
    for _ in 0..40 {
        let p = Pickle::new().global("torch.storage", "_load_from_bytes").bytes(&inner).op(b"\x85R").stop();
        inner = [&magic[..], &p, &Pickle::new().op(b"]").stop()].concat();
    }
    assert!(matches!(soon(|| fault(&inner)), Fault::Truncated { .. }));
    assert_eq!(limit(*read_with(&inner, &with(|l| l.depth = 5)).unwrap_err().fault), Limit::Depth);
}

#[test]
fn tensors_beyond_their_storage() {
    let file = |numbers: i32, shape: &[i32], strides: &[i32], offset: i32, bytes: usize| {
        let p = zipped_tensor(numbers, shape, strides, offset).stop();
        zip(&[("a/data.pkl", &p), ("a/data/0", &vec![0; bytes])], Stored)
    };
    let array = |bytes: &[u8]| read(bytes).unwrap().root().need("w").unwrap().array();
    assert_eq!(array(&file(6, &[2, 3], &[3, 1], 0, 24)).unwrap().f32().unwrap(), [0.0; 6]);
    let huge = i32::MAX;
    for (shape, strides, offset) in [
        (&[2, 3][..], &[3, 1][..], 1),
        (&[2, 3], &[4, 1], 0),
        (&[7], &[1], 0),
        (&[1], &[1], 6),
        (&[huge, huge, huge], &[1, 1, 1], 0),
        (&[huge, huge], &[huge, huge], huge),
        (&[2], &[1, 1], 0),
    ] {
        let error = array(&file(6, shape, strides, offset, 24)).unwrap_err();
        assert!(matches!(*error.fault, Fault::Tensor { ref name, .. } if name == "w"), "{error}");
        assert!(error.to_string().contains("24 bytes") || shape.len() != strides.len(), "{error}");
    }
    // One number repeated beyond measure; a shape with a zero needs nothing.
    let error = array(&file(1, &[huge, huge], &[0, 0], 0, 4)).unwrap_err();
    assert_eq!(limit(*error.fault), Limit::Repeated);
    assert_eq!(array(&file(1, &[huge, 0, huge], &[huge, huge, huge], huge, 4)).unwrap().f32().unwrap(), [0.0; 0]);
    for (shape, strides, offset) in [(&[-1][..], &[1][..], 0), (&[1], &[-1], 0), (&[1], &[1], -1), (&[1; 65], &[1; 65], 0)] {
        assert!(matches!(fault(&file(6, shape, strides, offset, 24)), Fault::Pickle { .. }));
    }
    // A storage that is shorter or longer than the pickle says, or not there.
    for bytes in [20, 28] {
        let text = fault(&file(6, &[1], &[1], 0, bytes)).to_string();
        assert!(text.contains(&bytes.to_string()) && text.contains("24") && text.contains("a/data/0"), "{text}");
    }
    let alone = zip(&[("a/data.pkl", &zipped_tensor(6, &[1], &[1], 0).stop())], Stored);
    assert!(matches!(fault(&alone), Fault::Missing { .. }));
}

#[test]
fn zip_bombs() {
    // A gigabyte in a megabyte: as a storage, never inflated further than asked for; as a pickle, not at all.
    let zeros = vec![0; 1 << 28];
    let one = zipped_tensor(1 << 26, &[2], &[1], 0).stop();
    let packed = zip(&[("a/data.pkl", &one), ("a/data/0", &zeros)], Deflated);
    assert!(packed.len() < 1 << 20);
    let archive = soon(|| read(&packed)).unwrap();
    assert_eq!(soon(|| archive.root().need("w").unwrap().array().unwrap().f32()).unwrap(), [0.0; 2]);
    let policy = Policy { limits: Limits { inflated: 1 << 20, ..Limits::default() }, ..Policy::default() };
    assert_eq!(limit(*read_with(&packed, &policy).unwrap_err().fault), Limit::Inflated);
    let packed = zip(&[("a/data.pkl", &zeros)], Deflated);
    assert_eq!(limit(soon(|| fault(&packed))), Limit::Bytes);
}

/// Directories that are nowhere, everywhere, or as long as the file.
#[test]
fn directories_are_searched_within_limits() {
    let begin = b"PK\x03\x04";
    let sparse = |head: &[u8], length: u64, tail: &[u8]| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(head).unwrap();
        file.as_file().set_len(length).unwrap();
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(tail).unwrap();
        let error = soon(|| scorefield_archive::open(file.path())).unwrap_err();
        assert!(matches!(*error.fault, Fault::Malformed(_) | Fault::Duplicate { .. }), "{error}");
    };
    sparse(begin, 1 << 30, b"");
    // Ends of directories, each with another number of members and another place.
    let end = |n: u16, at: u32| {
        [b"PK\x05\x06\0\0\0\0".as_slice(), &n.to_le_bytes(), &n.to_le_bytes(), &[9; 4], &at.to_le_bytes(), &[0; 2]].concat()
    };
    let ends: Vec<u8> = (0..400_000_u32).flat_map(|i| end(i as u16, i * 20)).collect();
    sparse(begin, 1 << 24, &ends);
    let directory: Vec<u8> = (0..300_000).flat_map(|_| [b"PK\x01\x02".as_slice(), &[0; 42]].concat()).collect();
    let locator = |n: u64, at: u64| {
        let record = [b"PK\x06\x06".as_slice(), &44_u64.to_le_bytes(), &[0; 12], &n.to_le_bytes(), &n.to_le_bytes()].concat();
        let whole = [record, (46 * n).to_le_bytes().to_vec(), at.to_le_bytes().to_vec()].concat();
        let place = at + 46 * n;
        [&whole[..], b"PK\x06\x07\0\0\0\0", &place.to_le_bytes(), &[1, 0, 0, 0], &end(u16::MAX, u32::MAX)].concat()
    };
    for n in [300_000, 1 << 40] {
        sparse(begin, 1 << 20, &[&directory[..], &locator(n, 1 << 20)].concat());
    }
    // As many members as no model has are no harm.
    let names: Vec<String> = (0..20_000).map(|i| format!("a/data/{i}")).collect();
    let pickle = Pickle::new().op(b"}").stop();
    let members: Vec<(&str, &[u8])> =
        names.iter().map(|name| (name.as_str(), &b"abcd"[..])).chain([("a/data.pkl", &pickle[..])]).collect();
    assert!(soon(|| read(&zip(&members, Stored))).is_ok());
    // A tar of nothing but names.
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(1 << 30);
    header.set_cksum();
    sparse(header.as_bytes(), (1 << 30) + 1024, b"");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(0);
    header.set_cksum();
    let many = soon(|| fault(&header.as_bytes().repeat(100_000)));
    assert!(matches!(many, Fault::Malformed(_) | Fault::Duplicate { .. }), "{many}");
}

#[test]
fn other_zips_and_tars() {
    let text = fault(&zip(&[("a.npy", b"")], Stored)).to_string();
    assert!(text.contains("data.pkl") && text.contains("a.npy"), "{text}");
    let program = zip(&[("a/data.pkl", &Pickle::new().op(b"}").stop()), ("a/constants.pkl", b"")], Stored);
    assert!(fault(&program).to_string().contains("TorchScript"));
    let two = zip(&[("a/data.pkl", &Pickle::new().op(b"}").stop()), ("b/data.pkl", b"")], Stored);
    assert!(matches!(fault(&two), Fault::Malformed(_)));
    let order = zip(&[("a/data.pkl", &Pickle::new().op(b"}").stop()), ("a/byteorder", b"middle")], Stored);
    assert!(fault(&order).to_string().contains("middle"));
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    tar.append_data(&mut header, "storages", &b""[..]).unwrap();
    let fault = fault(&tar.into_inner().unwrap());
    assert!(matches!(fault, Fault::Truncated { .. } | Fault::Missing { .. }), "{fault}");
}

#[test]
fn keys_occur_once() {
    let p = Pickle::new().op(b"}").text("a").op(b"Ns").text("a").op(b"Ns");
    assert!(matches!(p.fault(), Fault::Duplicate { key, .. } if key == "a"));
    let number = |p: Pickle| p.numpy("u1", &[1], &[7]);
    let p = number(Pickle::new().op(b"}").text("a.b")).op(b"s").text("a").op(b"}").text("b");
    let archive = number(p).op(b"ss").read();
    assert!(matches!(*archive.arrays().unwrap_err().fault, Fault::Duplicate { ref key, .. } if key == "a.b"));
}

#[test]
fn what_is_no_file_of_ours() {
    for bytes in [&b""[..], b"\x89PNG\r\n\x1a\n", b"{\"a\": 1}", b"version https://git-lfs.github.com/spec/v1\n", b"\x1f\x8b\x08"]
    {
        assert!(matches!(fault(bytes), Fault::Container { .. }), "{bytes:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), &folder.path().join("absent.pt"), "/dev/zero".as_ref()] {
        let error = scorefield_archive::open(path).unwrap_err();
        assert!(matches!(*error.fault, Fault::Io(_)) && error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

/// A file that ends early, anywhere, is refused: every container needs its end.
#[test]
fn prefixes_are_refused() {
    for path in all_small() {
        let bytes = std::fs::read(&path).unwrap();
        // The end of a tar is padding.
        let last = bytes.iter().rposition(|&b| b != 0).unwrap() + 1;
        let needed = if path.ends_with("tar.pt") { last } else { bytes.len() };
        let step = 1 + bytes.len() / 500;
        for n in (0..bytes.len()).step_by(step) {
            if let (Ok(_), true) = (soon(|| read(&bytes[..n])), n < needed) {
                panic!("{} was read from its first {n} bytes", path.display());
            }
        }
    }
}
