//! Instructions of pickles, one group at a time, written by hand.

use crate::files::{Pickle, fault, read};
use scorefield_archive::{Dtype, Fault, Kind};

#[test]
fn numbers() {
    for (p, expected) in [
        (Pickle::new().op(b"K\xff"), 255),
        (Pickle::new().op(b"M\x01\x02"), 0x201),
        (Pickle::new().op(b"J\xff\xff\xff\xff"), -1),
        (Pickle::new().op(b"I-12\n"), -12),
        (Pickle::new().op(b"L-12L\n"), -12),
        (Pickle::new().op(b"\x8a\0"), 0),
        (Pickle::new().op(b"\x8a\x01\xff"), -1),
        (Pickle::new().op(b"\x8a\x02\xff\0"), 255),
        (Pickle::new().op(b"\x8a\x08\0\0\0\0\0\0\0\x80"), i64::MIN),
        (Pickle::new().op(b"\x8b\x01\0\0\0\x80"), -128),
    ] {
        assert_eq!(p.clone().read().root().as_i64(), Some(expected), "{p:?}");
    }
    let big = Pickle::new().op(b"\x8a\x09\0\0\0\0\0\0\0\0\x01").read();
    assert_eq!((big.root().kind(), big.root().as_i64()), (Kind::Int, None));
    assert_eq!(Pickle::new().op(b"G\x3f\xf8\0\0\0\0\0\0").read().root().as_f64(), Some(1.5));
    assert_eq!(Pickle::new().op(b"F-1.5e3\n").read().root().as_f64(), Some(-1500.0));
    assert_eq!(Pickle::new().op(b"I01\n").read().root().as_bool(), Some(true));
    assert_eq!(Pickle::new().op(b"\x89").read().root().as_bool(), Some(false));
    assert!(Pickle::new().op(b"N").read().root().is_none());
    for p in [&b"Ix\n"[..], b"Fx\n", b"L\n", b"I1e400\n", b"\x8b\xff\xff\xff\xff"] {
        assert!(matches!(Pickle::new().op(p).fault(), Fault::Pickle { .. }), "{p:?}");
    }
}

#[test]
fn texts_and_bytes() {
    for p in [
        Pickle::new().text("a\u{e4}"),
        Pickle::new().op(b"\x8c\x03a\xc3\xa4"),
        Pickle::new().op(b"\x8d\x03\0\0\0\0\0\0\0a\xc3\xa4"),
        Pickle::new().op(b"Va\\u00e4\n"),
        Pickle::new().op(b"Va\xe4\n"),
        Pickle::new().op(b"U\x03a\xc3\xa4"),
        Pickle::new().op(b"T\x03\0\0\0a\xc3\xa4"),
        Pickle::new().op(b"S'a\\xc3\\xa4'\n"),
    ] {
        assert_eq!(p.clone().read().root().as_str(), Some("a\u{e4}"), "{p:?}");
    }
    for p in [
        Pickle::new().op(b"C\x02\0\xff"),
        Pickle::new().bytes(b"\0\xff"),
        Pickle::new().op(b"\x8e\x02\0\0\0\0\0\0\0\0\xff"),
        Pickle::new().op(b"\x96\x02\0\0\0\0\0\0\0\0\xff"),
        Pickle::new().op(b"U\x02\0\xff"),
        Pickle::new().op(b"S'\\x00\\xff'\n"),
        Pickle::new().global("_codecs", "encode").text("\0\u{ff}").text("latin1").op(b"\x86R"),
        Pickle::new().global("builtins", "bytearray").op(b"C\x02\0\xff\x85R"),
    ] {
        assert_eq!(p.clone().read().root().as_bytes(), Some(&b"\0\xff"[..]), "{p:?}");
    }
    assert!(matches!(Pickle::new().op(b"\x8c\x01\xff").fault(), Fault::Pickle { .. }));
    assert!(matches!(Pickle::new().op(b"\x97").fault(), Fault::Pickle { .. }));
}

#[test]
fn containers() {
    let three = |p: Pickle| {
        let archive = p.clone().read();
        let list = archive.root().list().unwrap_or_else(|| panic!("{p:?}"));
        assert_eq!(list.iter().map(|n| n.as_i64().unwrap()).collect::<Vec<_>>(), [1, 2, 3], "{p:?}");
    };
    let ints = b"K\x01K\x02K\x03";
    three(Pickle::new().op(ints).op(b"\x87"));
    three(Pickle::new().op(b"(").op(ints).op(b"t"));
    three(Pickle::new().op(b"(").op(ints).op(b"l"));
    three(Pickle::new().op(b"](").op(ints).op(b"e"));
    three(Pickle::new().op(b"]K\x01aK\x02aK\x03a"));
    three(Pickle::new().op(b"\x8f(").op(ints).op(b"\x90"));
    three(Pickle::new().op(b"(").op(ints).op(b"\x91"));
    three(Pickle::new().global("collections", "deque").op(b")R(").op(ints).op(b"e"));
    three(Pickle::new().global("torch", "Size").op(ints).op(b"\x87\x85R"));
    three(Pickle::new().global("builtins", "set").op(b"](").op(ints).op(b"e\x85R"));
    let dict = |p: Pickle| {
        let archive = p.clone().read();
        let entries: Vec<_> = archive.root().entries().map(|(k, v)| (k, v.as_i64().unwrap())).collect();
        assert_eq!(entries, [("a".to_owned(), 1), ("b".to_owned(), 2)], "{p:?}");
    };
    let items = |p: Pickle| p.text("a").op(b"K\x01").text("b").op(b"K\x02");
    dict(items(Pickle::new().op(b"}(")).op(b"u"));
    dict(items(Pickle::new().op(b"(")).op(b"d"));
    dict(Pickle::new().op(b"}").text("a").op(b"K\x01s").text("b").op(b"K\x02s"));
    dict(items(Pickle::new().global("collections", "OrderedDict").op(b")R(")).op(b"u"));
    dict(
        Pickle::new().global("collections", "OrderedDict").op(b"](").text("a").op(b"K\x01\x86").text("b").op(b"K\x02\x86e\x85R"),
    );
    dict(items(Pickle::new().global("collections", "defaultdict").global("builtins", "list").op(b"\x85R(")).op(b"u"));
    dict(items(Pickle::new().global("argparse", "Namespace").op(b")\x81}(")).op(b"ub"));
    dict(items(Pickle::new().op(b"(cargparse\nNamespace\no}(")).op(b"ub"));
    dict(items(Pickle::new().op(b"(iargparse\nNamespace\n}(")).op(b"ub"));
    dict(items(Pickle::new().global("dnnlib.util", "EasyDict").op(b")}\x92(")).op(b"u"));
}

#[test]
fn the_stack_and_the_memo() {
    let is = |p: Pickle, n: i64| assert_eq!(p.clone().read().root().as_i64(), Some(n), "{p:?}");
    is(Pickle::new().op(b"K\x01K\x020"), 1);
    is(Pickle::new().op(b"K\x01(0"), 1);
    is(Pickle::new().op(b"K\x01(K\x02K\x031"), 1);
    is(Pickle::new().op(b"K\x0120"), 1);
    is(Pickle::new().op(b"K\x01q\x070h\x07"), 1);
    is(Pickle::new().op(b"K\x01r\xff\xff\xff\xff0j\xff\xff\xff\xff"), 1);
    is(Pickle::new().op(b"K\x01p123\n0g123\n"), 1);
    is(Pickle::new().op(b"K\x01\x94K\x02\x9400h\0"), 1);
    for p in [
        &b""[..],
        b"0",
        b"a",
        b"s",
        b"K\x01a",
        b"(",
        b"e",
        b"t",
        b"h\0",
        b"g9\n",
        b"q\0",
        b"\x94",
        b"(K\x01u",
        b"}(K\x01u",
        b"Nb",
        b"\x85",
    ] {
        assert!(matches!(Pickle::new().op(p).fault(), Fault::Pickle { .. }), "{p:?}");
    }
}

#[test]
fn arrays_of_numpy() {
    let archive = Pickle::new().numpy("i2", &[2, 2], &[1, 0, 2, 0, 3, 0, 4, 0]).read();
    let array = archive.root().array().unwrap();
    assert_eq!((array.dtype(), array.shape(), array.i64().unwrap()), (Dtype::I16, &[2, 2][..], vec![1, 2, 3, 4]));
    // In-band buffers of protocol 5, columns first.
    let p = Pickle::new().global("numpy._core.numeric", "_frombuffer").op(b"(").bytes(&[1, 2, 3, 4]).global("numpy", "dtype");
    let p = p.text("|u1").op(b"\x89\x88\x87R(K\x02K\x02t").text("F").op(b"tR");
    assert_eq!(p.read().root().array().unwrap().i64().unwrap(), [1, 3, 2, 4]);
    // What is no number stays an object.
    let text = Pickle::new().numpy("U1", &[1], b"a\0\0\0").read();
    assert_eq!(text.root().kind(), Kind::Object);
    let short = Pickle::new().numpy("f8", &[3], &[0; 16]).read();
    let error = short.root().array().unwrap_err();
    assert!(matches!(*error.fault, Fault::Tensor { .. }), "{error}");
    let huge = u64::from(u32::MAX >> 1) as i32;
    assert!(matches!(Pickle::new().numpy("f8", &[huge, huge, huge], &[0; 16]).fault(), Fault::Pickle { .. }));
}

/// Integers that single precision, double precision and `i64` cannot hold alike.
#[test]
fn integers_at_their_ends() {
    let of = |code: &str, bytes: &[u8]| {
        let archive = Pickle::new().numpy(code, &[1], bytes).read();
        let array = archive.root().array().unwrap();
        (array.f64().unwrap()[0], array.i64().ok().map(|n| n[0]))
    };
    assert_eq!(of("u8", &[0xFF; 8]), (18446744073709551615.0, None));
    assert_eq!(of("i8", &[0xFF; 8]), (-1.0, Some(-1)));
    assert_eq!(of("u4", &[0xFF; 4]), (4294967295.0, Some(4294967295)));
    assert_eq!(of("u2", &[0xFF; 2]), (65535.0, Some(65535)));
    assert_eq!(of("i4", &[0, 0, 0, 0x80]), (-2147483648.0, Some(-2147483648)));
    assert_eq!(of("i1", &[0x80]), (-128.0, Some(-128)));
    assert_eq!(of("f2", &[0, 0x3C]), (1.0, None));
    assert_eq!(of("b1", &[1]), (1.0, Some(1)));
}

#[test]
fn other_bytes_are_no_instructions() {
    let known = b"().012FIJKLMNPQRSTUVXabcdeghijlopqrstu}]CBG";
    for byte in 0..=255_u8 {
        if known.contains(&byte) || (0x80..=0x98).contains(&byte) {
            continue;
        }
        assert!(matches!(Pickle::new().op(&[byte]).fault(), Fault::Pickle { .. }), "{byte:#x}");
    }
    assert!(matches!(fault(b"\x80\x06N."), Fault::Container { .. }));
    assert!(matches!(fault(b"\x80\x04\x80\x06N."), Fault::Pickle { .. }));
    for byte in [0x82, 0x83, 0x84] {
        assert!(matches!(Pickle::new().op(&[byte, 0, 0, 0, 0]).fault(), Fault::Pickle { .. }));
    }
    assert!(read(b"(lp0\n.").unwrap().root().list().unwrap().is_empty());
}
