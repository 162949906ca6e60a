//! Arrays and tables: what was written opens again, every kind of number, damaged bytes, and errors that say what to do.

use proptest::prelude::*;
use scorefield_data::{Codec, Dataset, OpenOptions, Shape, Value, open, write};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn opened(path: &Path) -> Result<Dataset, String> {
    open(&path.display().to_string(), &OpenOptions::default()).map_err(|e| e.to_string())
}

fn rows(data: &Dataset) -> Vec<f32> {
    let d = data.shape().len();
    let mut out = vec![0.0; data.len() * d];
    out.chunks_mut(d).enumerate().for_each(|(i, row)| data.row(i, row));
    out
}

/// A file of these bytes in a folder of its own.
fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// An npy file of version 1.0.
fn npy(descr: &str, fortran: bool, shape: &str, body: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let text = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(text.len() as u16).to_le_bytes(), text.as_bytes(), body].concat()
}

fn npz(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (i, (name, bytes)) in entries.iter().enumerate() {
        let method = if i % 2 == 0 { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
        zip.start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Every type of number, in both byte orders, is read as what it says.
#[test]
fn every_type_of_number() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("|u1", vec![1, 2, 3, 200]),
        ("|i1", vec![1, 2, 3, (-56i8) as u8]),
        ("<u2", [1u16, 2, 3, 200].iter().flat_map(|v| v.to_le_bytes()).collect()),
        (">i2", [1i16, 2, 3, -56].iter().flat_map(|v| v.to_be_bytes()).collect()),
        ("<u4", [1u32, 2, 3, 200].iter().flat_map(|v| v.to_le_bytes()).collect()),
        (">i4", [1i32, 2, 3, -56].iter().flat_map(|v| v.to_be_bytes()).collect()),
        ("<u8", [1u64, 2, 3, 200].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ("<i8", [1i64, 2, 3, -56].iter().flat_map(|v| v.to_le_bytes()).collect()),
        // 1, 2, 3 and -56 as binary16.
        ("<f2", [0x3C00u16, 0x4000, 0x4200, 0xD300].iter().flat_map(|v| v.to_le_bytes()).collect()),
        (">f4", [1f32, 2.0, 3.0, -56.0].iter().flat_map(|v| v.to_be_bytes()).collect()),
        ("<f8", [1f64, 2.0, 3.0, 200.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
    ];
    for (descr, body) in cases {
        let (_folder, path) = file("a.npy", &npy(descr, false, "(2, 2)", &body));
        let data = opened(&path).unwrap();
        let last = rows(&data)[3];
        assert_eq!(rows(&data)[..3], [1.0, 2.0, 3.0], "{descr}");
        assert!(last == 200.0 || last == -56.0, "{descr}: {last}");
        assert_eq!(data.value(), if descr == "|u1" { Value::Byte } else { Value::Real }, "{descr}");
    }
}

/// Shapes, the place of the channels, and column-major order.
#[test]
fn every_shape() {
    let body: Vec<u8> = (0..=255).collect();
    let cases = [
        ("(2, 5)", Shape::Vector { dim: 5 }, vec![5.0, 6.0]),
        ("(2, 5, 3)", Shape::Image { channels: 1, height: 5, width: 3 }, vec![15.0, 16.0]),
        ("(2, 3, 5, 7)", Shape::Image { channels: 3, height: 5, width: 7 }, vec![105.0, 106.0]),
        ("(2, 9, 2, 3)", Shape::Image { channels: 3, height: 9, width: 2 }, vec![54.0, 57.0]),
        ("(2, 6, 2, 5)", Shape::Image { channels: 6, height: 2, width: 5 }, vec![60.0, 61.0]),
        ("(2, 3, 4, 4)", Shape::Image { channels: 3, height: 4, width: 4 }, vec![48.0, 49.0]),
    ];
    for (shape, expected, start) in cases {
        let total: usize = 2 * expected.len();
        let (_folder, path) = file("a.npy", &npy("|u1", false, shape, &body[..total]));
        let data = opened(&path).unwrap();
        assert_eq!((data.shape(), data.len()), (expected, 2), "{shape}");
        assert_eq!(rows(&data)[expected.len()..expected.len() + 2], start[..], "{shape}");
    }
    let (_folder, path) = file("a.npy", &npy("|u1", true, "(2, 3)", &[1, 4, 2, 5, 3, 6]));
    assert_eq!(rows(&opened(&path).unwrap()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
}

#[test]
fn errors_say_what_to_do() {
    let floats = |v: &[f32]| v.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let cases = [
        ("a.npy", npy("<f4", false, "(4,)", &floats(&[0.0; 4])), "shape [4]", "[n, d] (vectors)"),
        ("a.npy", npy("<f4", false, "(2, 2)", &floats(&[0.0, 1.0, 2.0, f32::NAN])), "row 1, column 1 is NaN", "remove or fill"),
        (
            "a.npy",
            npy("<f8", false, "(1, 2)", &[1e300f64, 0.0].map(f64::to_le_bytes).concat()),
            "row 0, column 0 is inf",
            "finite",
        ),
        ("a.npy", npy("|O", false, "(2, 2)", b"pickle"), "\"|O\"", ".astype('float32')"),
        ("a.npy", npy("<f4", false, "(2, 2)", &[0; 15]), "15 bytes", "16"),
        ("a.npy", npy("<f4", false, "(2, 2)", &[0; 17]), "17 bytes", "16"),
        ("a.npy", npy("<f4", false, "(99999999999, 99999999999)", &[0; 16]), "99999999999", "numpy.save"),
        ("a.npy", b"text".to_vec(), "no header", "numpy.save"),
        ("a.npz", b"text".to_vec(), "no zip archive", "numpy.savez"),
        ("a.npz", npz(&[("p.npy", vec![]), ("q.npy", vec![])]), "[p, q]", "x, images"),
        ("a.csv", b"a,b\n1,2\n3,\n".to_vec(), "line 3, column `b`: an empty cell", "fill or remove"),
        ("a.csv", b"a,b\n1,2\n3,x\n".to_vec(), "line 3, column `b`: \"x\"", "a number"),
        ("a.csv", b"a,b\n1,2\n3\n".to_vec(), "line 3 with 1 cells", "2 as in"),
        ("a.csv", b"a,b\n1,2\n3,nan\n".to_vec(), "row 1, column 1 is NaN", "finite"),
        ("a.csv", b"a,b,c\nx,1,z\n,2,y\n".to_vec(), "line 3, column `a`: an empty cell", "a category"),
        ("a.csv", b"a,b\n".to_vec(), "no row below its header", "rows of numbers"),
        ("a.csv", b"".to_vec(), "no row", "rows of numbers"),
        ("a.unknown", b"what".to_vec(), "begins with \"what\"", ".npy"),
    ];
    for (name, bytes, found, expected) in cases {
        let (_folder, path) = file(name, &bytes);
        let error = opened(&path).unwrap_err();
        assert!(error.contains(found) && error.contains(expected) && error.contains(name), "{found}: {error}");
    }
}

#[test]
fn archives_have_labels() {
    let x = npy("|u1", false, "(3, 2, 2)", &(0..12).collect::<Vec<u8>>());
    let y = npy("<i8", false, "(3,)", &[7i64, -1, 7].map(i64::to_le_bytes).concat());
    let (_folder, path) = file("a.npz", &npz(&[("other.npy", x.clone()), ("images.npy", x.clone()), ("y.npy", y)]));
    let data = opened(&path).unwrap();
    assert_eq!(data.classes(), ["-1", "7"]);
    assert_eq!([0, 1, 2].map(|i| data.label(i)), [Some(1), Some(0), Some(1)]);
    assert!(data.report().notes.iter().any(|n| n.contains("`images`")), "{:?}", data.report());
    let short = npy("|u1", false, "(2,)", &[1, 2]);
    let (_folder, path) = file("a.npz", &npz(&[("x.npy", x), ("labels.npy", short)]));
    let error = opened(&path).unwrap_err();
    assert!(error.contains("shape [2]") && error.contains("[3]"), "{error}");
}

#[test]
fn tables_have_headers_labels_and_separators() {
    let cases: [(&str, &[u8]); 6] = [
        ("a.csv", b"u,v,label\n1,2,b\n3,4,a\n"),
        ("a.csv", b"\xEF\xBB\xBFu;kind;v\r\n1;b;2\r\n\r\n3;a;4\r\n"),
        ("a.tsv", b"1\t2\tb\n3\t4\ta\n"),
        ("a.csv", b"0,1,class\n1,2,b\n3,4,a"),
        ("a.csv", b"\"u\", \"v\", name\n1.0, 2e0, b\n3, 4, a\n"),
        ("a.csv", b"b,1,2\na,3,4\n"),
    ];
    for (name, text) in cases {
        let (_folder, path) = file(name, text);
        let data = opened(&path).unwrap();
        assert_eq!(rows(&data), [1.0, 2.0, 3.0, 4.0], "{}", String::from_utf8_lossy(text));
        assert_eq!((data.classes(), data.label(0), data.label(1)), (&["a".into(), "b".into()][..], Some(1), Some(0)));
    }
    let (_folder, path) = file("a.csv", b"height,weight\n1,2\n3,4\n");
    let data = opened(&path).unwrap();
    assert_eq!((data.channels(), data.classes().len()), (&["height".to_owned(), "weight".into()][..], 0));
}

/// Whatever `write` makes opens again, with the same numbers.
#[test]
fn what_is_written_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let picture = Dataset::from_rows(
        "pictures",
        Shape::Image { channels: 3, height: 6, width: 5 },
        (0..7 * 90).map(|i| (i * 31 % 256) as f32).collect(),
        None,
    );
    let vector = Dataset::from_rows("vectors", Shape::Vector { dim: 3 }, (0..30).map(|i| (i as f32).sin()).collect(), None);
    for data in [picture, vector] {
        let codec = Codec::fit(&data, &Default::default()).unwrap();
        let (natural, d) = (rows(&data), data.shape().len());
        let mut states = vec![0.0; natural.len()];
        for (n, s) in natural.chunks(d).zip(states.chunks_mut(d)) {
            codec.encode_row(n, s);
        }
        for ending in ["npy", "npz", "csv"] {
            let path = folder.path().join(format!("a.{ending}"));
            write::samples(&path, &states, data.len(), &codec).unwrap();
            let back = opened(&path).unwrap();
            assert_eq!(back.len(), data.len());
            if ending != "csv" {
                assert_eq!((back.shape(), back.value()), (data.shape(), data.value()));
            }
            let limit = if data.value() == Value::Byte { 0.0 } else { 1e-6 };
            rows(&back).iter().zip(&natural).for_each(|(a, b)| assert!((a - b).abs() <= limit, "{ending}: {a} {b}"));
        }
    }
    let path = folder.path().join("plain.npy");
    write::array(&path, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2]).unwrap();
    assert_eq!(rows(&opened(&path).unwrap()), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().ends_with(".tmp")), "{left:?}");
}

/// Bytes changed, put in and cut off at places of a valid file.
fn damaged(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let n = valid.len();
    let change = (0..n, any::<u8>(), 0u8..3);
    (proptest::collection::vec(change, 1..4), 0..=n, any::<bool>()).prop_map(move |(changes, cut, whole)| {
        let mut bytes = valid.clone();
        for (at, byte, kind) in changes {
            match kind {
                0 => bytes[at.min(n - 1)] = byte,
                1 => bytes.insert(at, byte),
                _ => bytes[at.min(n - 1)] ^= 1 << (byte % 8),
            }
        }
        if !whole {
            bytes.truncate(cut);
        }
        bytes
    })
}

fn never_panics(name: &str, bytes: &[u8]) {
    let (_folder, path) = file(name, bytes);
    if let Ok(data) = opened(&path) {
        assert!(data.len() > 0 && rows(&data).iter().all(|v| v.is_finite()));
    }
}

fn valid_npy() -> Vec<u8> {
    npy("<f4", false, "(3, 2, 2)", &(0..12).flat_map(|v| (v as f32).to_le_bytes()).collect::<Vec<u8>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_npy(bytes in damaged(valid_npy())) {
        never_panics("a.npy", &bytes);
    }

    #[test]
    fn damaged_npz(bytes in damaged(npz(&[("x.npy", valid_npy()), ("y.npy", npy("|u1", false, "(3,)", &[1, 2, 3]))]))) {
        never_panics("a.npz", &bytes);
    }

    #[test]
    fn damaged_csv(bytes in damaged(b"a,b,label\n1,2.5,x\n-3e4,\"4\",y\n5,6,\"z z\"\n".to_vec())) {
        never_panics("a.csv", &bytes);
    }

    #[test]
    fn damaged_csv_gz(bytes in damaged(gzip(b"a,b,label\n1,2.5,x\n-3e4,\"4\",y\n5,6,\"z z\"\n"))) {
        never_panics("a.csv.gz", &bytes);
    }

    #[test]
    fn noise_under_every_ending(bytes in proptest::collection::vec(any::<u8>(), 0..200), ending in 0usize..6) {
        never_panics(["a.npy", "a.npz", "a.csv", "data_batch_1.bin", "a-idx3-ubyte.gz", "a"][ending], &bytes);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// A data set that is written opens as itself: kind of numbers, shape, every number and the classes.
#[test]
fn a_data_set_written_is_the_one_read() {
    let digits = open("digits", &OpenOptions::default()).unwrap();
    let some = digits.subset(&[5, 1700, 3, 9, 0, 1, 2, 4, 6, 7, 8]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.npz");
    write::dataset(&path, &some).unwrap();
    let back = opened(&path).unwrap();
    assert_eq!((back.value(), back.shape(), back.len()), (Value::Byte, some.shape(), 11));
    assert_eq!(rows(&back), rows(&some));
    let classes =
        |d: &Dataset| -> Vec<String> { (0..d.len()).map(|i| d.classes()[d.label(i).unwrap() as usize].clone()).collect() };
    assert_eq!(classes(&back), classes(&some));

    let points = open("toy:moons", &OpenOptions::default()).unwrap();
    let path = folder.path().join("points.npz");
    write::dataset(&path, &points).unwrap();
    let back = opened(&path).unwrap();
    assert_eq!((back.value(), back.shape(), rows(&back)), (points.value(), points.shape(), rows(&points)));
}
