//! Categories: from every kind of file into the codec, out again by name, number and picture, and what does not fit is told in full.

use proptest::prelude::*;
use scorefield_data::{Categorical, Codec, DataError, Dataset, OpenOptions, Shape, Value, open, stats, write};
use std::fs;
use std::path::Path;

fn options(categorical: Categorical, binarise: Option<f64>) -> OpenOptions {
    OpenOptions { categorical, binarise, ..OpenOptions::default() }
}

/// Opens a file of this name and text.
fn text(name: &str, bytes: &[u8], options: &OpenOptions) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    open(&path.display().to_string(), options).map_err(|e| e.to_string())
}

fn csv(bytes: &str) -> Dataset {
    text("a.csv", bytes.as_bytes(), &OpenOptions::default()).unwrap()
}

fn rows(data: &Dataset) -> Vec<f32> {
    let d = data.shape().len();
    let mut out = vec![0.0; data.len() * d];
    out.chunks_mut(d).enumerate().for_each(|(i, row)| data.row(i, row));
    out
}

fn fitted(data: &Dataset) -> Codec {
    let codec = Codec::fit(data, &Default::default()).unwrap();
    codec.validate().unwrap();
    codec
}

fn encoded(data: &Dataset, codec: &Codec) -> Vec<f32> {
    let d = data.shape().len();
    let mut states = vec![0.0; data.len() * d];
    rows(data).chunks(d).zip(states.chunks_mut(d)).for_each(|(row, state)| codec.encode_row(row, state));
    states
}

fn names(data: &Dataset, c: usize) -> Vec<&str> {
    data.categories(c).unwrap().iter().map(String::as_str).collect()
}

const MIXED: &str = "colour,size,kind,label\nred,1.5,x,a\nblue,2.5,10,b\nred,-3,9,a\n";

#[test]
fn a_table_of_numbers_and_text() {
    let data = csv(MIXED);
    assert_eq!((data.shape(), data.value(), data.classes().len()), (Shape::Vector { dim: 3 }, Value::Real, 2));
    assert_eq!(names(&data, 0), ["blue", "red"]);
    assert_eq!(data.categories(1), None);
    assert_eq!(names(&data, 2), ["10", "9", "x"]);
    assert_eq!(rows(&data), [1.0, 1.5, 2.0, 0.0, 2.5, 0.0, 1.0, -3.0, 1.0]);
    assert_eq!(fitted(&data).levels(), [Some(2), None, Some(3)]);
    // The number is standardised, the categories are counted.
    let states = encoded(&data, &fitted(&data));
    let sizes: Vec<f32> = states.iter().skip(1).step_by(3).copied().collect();
    assert!(sizes.iter().sum::<f32>().abs() < 1e-6 && (sizes.iter().map(|v| v * v).sum::<f32>() - 3.0).abs() < 1e-5);
    assert_eq!([states[0], states[2], states[3]], [1.0, 2.0, 0.0]);
}

/// A column named so holds the labels; else the only one of text does, unless it is asked for or has no other beside it.
#[test]
fn labels_and_categories() {
    let only = "colour,size\nred,1\nblue,2\n";
    assert_eq!((csv(only).shape().len(), csv(only).classes().len()), (1, 2));
    let asked = text("a.csv", only.as_bytes(), &options(Categorical::Names(vec!["colour".into()]), None)).unwrap();
    assert_eq!((names(&asked, 0), asked.categories(1), asked.classes().len()), (vec!["blue", "red"], None, 0));
    let alone = csv("colour\nred\nblue\nred\n");
    assert_eq!((rows(&alone), alone.value()), (vec![1.0, 0.0, 1.0], Value::Category));
    let label = text("a.csv", b"label,size\n3,1\n1,2\n", &options(Categorical::Names(vec!["label".into()]), None)).unwrap();
    assert_eq!((names(&label, 0), rows(&label)), (vec!["1", "3"], vec![1.0, 1.0, 0.0, 2.0]));
    let all = text("a.csv", MIXED.replace("2.5", "10").replace("1.5", "9").as_bytes(), &options(Categorical::All, None)).unwrap();
    assert_eq!((all.value(), names(&all, 1), all.classes().len()), (Value::Category, vec!["-3", "9", "10"], 2));
    // Codes that begin with numbers, and one category in two spellings.
    let codes = text("a.csv", b"a,b\n1,1.0\nx,1\n7,2e0\n", &options(Categorical::All, None)).unwrap();
    assert_eq!((names(&codes, 0), names(&codes, 1)), (vec!["1", "7", "x"], vec!["1", "2"]));
}

/// Whole numbers of arrays in every type, vectors and pictures; order is that of numbers.
#[test]
fn whole_numbers_of_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    write::array(&path, &[10.0, -2.0, 9.0, -2.0, -0.0, 5.0, 0.0, 5.0], &[4, 2]).unwrap();
    let spec = path.display().to_string();
    let data = open(&spec, &options(Categorical::All, None)).unwrap();
    assert_eq!((names(&data, 0), names(&data, 1)), (vec!["0", "9", "10"], vec!["-2", "5"]));
    assert_eq!(rows(&data), [2.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0]);
    let one = open(&spec, &options(Categorical::Names(vec!["c1".into()]), None)).unwrap();
    assert_eq!((one.categories(0), names(&one, 1), one.value()), (None, vec!["-2", "5"], Value::Real));
    assert_eq!(rows(&one), [10.0, 0.0, 9.0, 0.0, -0.0, 1.0, 0.0, 1.0]);
    // A set without categories has the fingerprint it always had; with them another, which depends on the names.
    let plain = open(&spec, &OpenOptions::default()).unwrap();
    assert!(plain.fingerprint() != one.fingerprint() && one.fingerprint() != data.fingerprint());
    let greys = open("digits", &options(Categorical::All, None)).unwrap();
    let codec = fitted(&greys);
    assert_eq!((codec.levels(), names(&greys, 0).len(), greys.value()), (vec![Some(17)], 17, Value::Category));
    assert_eq!(rows(&greys), rows(&open("digits", &OpenOptions::default()).unwrap()));
}

#[test]
fn pictures_are_cut_into_bits() {
    let digits = open("digits", &OpenOptions::default()).unwrap();
    for (fraction, at) in [(0.5, 8.0), (0.25, 4.0), (1.0, 16.0)] {
        let bits = open("digits", &options(Categorical::None, Some(fraction))).unwrap();
        let expected: Vec<f32> = rows(&digits).iter().map(|&v| if v >= at { 1.0 } else { 0.0 }).collect();
        assert_eq!((rows(&bits), bits.value(), bits.bounds()), (expected, Value::Category, None));
        assert_eq!((names(&bits, 0), bits.classes().len()), (vec!["0", "1"], 10));
        assert_eq!(bits.subset(&[7, 3]).categories(0), bits.categories(0));
    }
    // Real numbers are cut between the smallest and the largest of the set.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    write::array(&path, &[-1.0, 0.9, 1.0, 3.0], &[2, 2]).unwrap();
    let bits = open(&path.display().to_string(), &options(Categorical::None, Some(0.5))).unwrap();
    assert_eq!(rows(&bits), [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn what_is_asked_of_the_wrong_data_is_told() {
    let none = Categorical::None;
    let named = |n: &str| Categorical::Names(vec![n.into()]);
    let cases = [
        ("a.csv", "a,b\n1,2\n3,2.5\n", options(named("b"), None), "line 3, column `b`: 2.5", "whole numbers"),
        ("a.csv", "a,b\n1,2\n3,4\n", options(named("x"), None), "no column `x`", "`a`, `b`"),
        ("a.csv", "a,b\n1,2\n3,x\n", OpenOptions::default(), "line 3, column `b`: \"x\"", "data.categorical=[\"b\"]"),
        ("a.csv", "a,b\n1,2\n3,4\n", options(none.clone(), Some(0.5)), "a table", "data.categorical"),
        ("a.csv", "a,b\n1,2\n3,16777216\n", options(named("b"), None), "line 3, column `b`: 16777216", "whole numbers"),
        ("a.csv", "label\nx\ny\n", OpenOptions::default(), "no column besides its labels", "rows of"),
    ];
    for (name, bytes, options, found, expected) in cases {
        let error = text(name, bytes.as_bytes(), &options).unwrap_err();
        assert!(error.contains(found) && error.contains(expected) && error.contains(name), "{error}");
    }
    let refused = |spec: &str, o: OpenOptions, parts: &[&str]| {
        let error = open(spec, &o).unwrap_err().to_string();
        assert!(parts.iter().all(|p| error.contains(p)) && error.contains(spec), "{error}");
    };
    refused("toy:moons", options(Categorical::All, None), &["row 0, column `c0`: ", "whole numbers"]);
    refused("digits", options(none.clone(), Some(0.0)), &["data.binarise=0", "above 0"]);
    refused("digits", options(none.clone(), Some(f64::NAN)), &["data.binarise=NaN"]);
    refused("digits", options(Categorical::All, Some(0.5)), &["at once", "one of them"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bits.npz");
    write::dataset(&path, &open("digits", &options(none.clone(), Some(0.5))).unwrap()).unwrap();
    // Zeros and ones in bytes are not half of 255: nothing is silently black.
    let spec = path.display().to_string();
    refused(&spec, options(none, Some(0.5)), &["from 0 to 1, all on one side of 127.5", "data.categorical=\"all\""]);
    let back = open(&spec, &options(Categorical::All, None)).unwrap();
    assert_eq!((back.value(), names(&back, 0)), (Value::Category, vec!["0", "1"]));
}

#[test]
fn the_option_is_a_word_or_a_list() {
    let read = |text: &str| serde_json::from_str::<OpenOptions>(&format!("{{\"categorical\": {text}}}"));
    assert_eq!(read("\"all\"").unwrap().categorical, Categorical::All);
    assert_eq!(read("\"none\"").unwrap().categorical, Categorical::None);
    assert_eq!(read("[\"a\", \"b\"]").unwrap().categorical, Categorical::Names(vec!["a".into(), "b".into()]));
    assert!(read("\"some\"").unwrap_err().to_string().contains("none, all or a list"));
    for o in [options(Categorical::All, Some(0.5)), options(Categorical::Names(vec!["a".into()]), None), OpenOptions::default()] {
        assert_eq!(serde_json::from_str::<OpenOptions>(&serde_json::to_string(&o).unwrap()).unwrap(), o);
    }
}

/// The names are in the file of a codec; a codec of numbers is stored as before there were any.
#[test]
fn codecs_keep_the_names() {
    let codec = fitted(&csv(MIXED));
    let text = serde_json::to_string(&codec).unwrap();
    assert_eq!(serde_json::from_str::<Codec>(&text).unwrap(), codec);
    assert_eq!(codec.categorical(), Categorical::Names(vec!["colour".into(), "kind".into()]));
    assert_eq!((codec.range(0), codec.range(2), codec.range(1)), (Some((0.0, 1.0)), Some((0.0, 2.0)), None));
    let numbers = fitted(&csv("a,b\n1,2\n3,4\n"));
    let keys: serde_json::Value = serde_json::to_value(&numbers).unwrap();
    let keys: Vec<&String> = keys.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["bounds", "channels", "classes", "scale", "shape", "shift", "value"]);
    assert_eq!((numbers.levels(), numbers.categorical()), (vec![None, None], Categorical::None));
    let mut wrong: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (key, value) in [
        ("categories", serde_json::json!([["a", "b"]])),
        ("categories", serde_json::json!([["a", "a"], [], ["x", "y", "z"]])),
        ("categories", serde_json::json!([["a"], [], ["x", "y", "z"]])),
        ("scale", serde_json::json!([2.0, 1.0, 1.0])),
        ("value", serde_json::json!("category")),
    ] {
        let kept = wrong[key].clone();
        wrong[key] = value;
        let codec: Codec = serde_json::from_value(wrong.clone()).unwrap();
        assert!(matches!(codec.validate(), Err(DataError::Codec { .. })), "{key}: {}", wrong[key]);
        wrong[key] = kept;
    }
    let error = Codec::fit(&csv("a,b\nx,y\nx,z\n"), &Default::default()).unwrap_err().to_string();
    assert!(error.contains("`a`") && error.contains("one category `x`") && error.contains("data.binarise"), "{error}");
}

/// A table whose categories are counted otherwise is encoded as the one that the codec is of.
#[test]
fn other_numberings_are_aligned() {
    let codec = fitted(&csv("colour,kind\nred,x\ngreen,y\nblue,x\n"));
    let other = csv("colour,kind\nred,y\nblue,x\n");
    assert_eq!(rows(&other), [1.0, 1.0, 0.0, 0.0]);
    assert_eq!(encoded(&codec.align(&other).unwrap(), &codec), [2.0, 1.0, 0.0, 0.0]);
    assert_eq!(codec.align(&other).unwrap().categories(0), codec.categories(0));
    codec.check(&other).unwrap();
    // Numbers stand for categories that are named by them, bits above all.
    let codec = fitted(&text("a.csv", b"a,b\n7,0\n3,1\n", &options(Categorical::All, None)).unwrap());
    assert_eq!(encoded(&codec.align(&csv("a,b\n7,1\n3,0\n")).unwrap(), &codec), [1.0, 1.0, 0.0, 0.0]);
}

#[test]
fn what_a_codec_does_not_know_is_told() {
    let codec = fitted(&csv("colour,kind,size\nred,x,1\ngreen,y,2\n"));
    let refused = |codec: &Codec, data: &Dataset, parts: &[&str]| {
        let error = codec.check(data).unwrap_err().to_string();
        assert!(parts.iter().all(|p| error.contains(p)) && error.contains(data.name()), "{error}");
        assert!(codec.align(data).is_err());
    };
    let unseen = csv("colour,kind,size\nred,x,1\ngreen,y,2\nmauve,x,3\n");
    refused(&codec, &unseen, &["row 2, column `colour` is `mauve`", "`green`, `red`"]);
    // A category that no row of the part has is no obstacle.
    codec.check(&unseen.subset(&[1, 0])).unwrap();
    refused(&codec, &unseen.subset(&[0, 2]), &["row 1, column `colour` is `mauve`"]);
    refused(&codec, &csv("colour,kind,size\n1,x,1\n2,y,2\n").clone(), &["vectors of 2"]);
    refused(&codec, &csv("colour,kind,size,u\n1,x,1,z\n2,y,2,z\n"), &["vectors of 4", "vectors of 3"]);
    refused(&codec, &csv("a,b,c\n1,2,3\n4,5,6\n"), &["column `a` holds numbers", "`green`, `red`", "data.categorical"]);
    refused(&fitted(&csv("a,b\n1,2\n3,4\n")), &csv("a,b\nx,y\nz,u\n"), &["column `a` holds categories (`x`, `z`)", "numbers"]);

    let bits = fitted(&open("digits", &options(Categorical::None, Some(0.5))).unwrap());
    let digits = open("digits", &OpenOptions::default()).unwrap();
    refused(&bits, &digits, &["row 0, grey of the pixel in line 0, column 2 is `5`", "`0`, `1`"]);
}

/// Samples of bits are black and white, in grids, folders and arrays; a category of a table has its name.
#[test]
fn samples_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let bits = open("digits", &options(Categorical::None, Some(0.5))).unwrap().subset(&[0, 1, 2]);
    let codec = fitted(&bits);
    let states = encoded(&bits, &codec);
    write::samples(&folder.path().join("pictures"), &states, 3, &codec).unwrap();
    let shown = open(&folder.path().join("pictures").display().to_string(), &OpenOptions::default()).unwrap();
    assert_eq!(rows(&shown), states.iter().map(|v| v * 255.0).collect::<Vec<_>>());
    write::samples(&folder.path().join("a.npy"), &states, 3, &codec).unwrap();
    let array = open(&folder.path().join("a.npy").display().to_string(), &OpenOptions::default()).unwrap();
    assert_eq!((rows(&array), array.value(), array.shape()), (states.clone(), Value::Byte, bits.shape()));
    assert_eq!(rows(&codec.align(&array).unwrap()), states);

    let table = csv("what,colour,size\n\"a, b\",x,1\nc,\"say \"\"y\"\"\",2\nc,x;z,4\n");
    let codec = fitted(&table);
    let path = folder.path().join("a.csv");
    write::samples(&path, &encoded(&table, &codec), 3, &codec).unwrap();
    let back =
        open(&path.display().to_string(), &OpenOptions { categorical: codec.categorical(), ..Default::default() }).unwrap();
    assert_eq!((names(&back, 0), names(&back, 1)), (names(&table, 0), names(&table, 1)));
    rows(&back).iter().zip(rows(&table)).for_each(|(a, b)| assert!((a - b).abs() < 1e-6));
    assert!(fs::read_to_string(&path).unwrap().starts_with("what,colour,size\n\"a, b\",x,1"));

    // More categories than a byte counts.
    let many = Dataset::from_rows("many", Shape::Vector { dim: 1 }, (0..300).map(|v| v as f32).collect(), None)
        .with_categories(vec![(0..300).map(|v| format!("n{v}")).collect()]);
    let codec = fitted(&many);
    write::samples(&folder.path().join("many.npy"), &encoded(&many, &codec), 300, &codec).unwrap();
    let back = open(&folder.path().join("many.npy").display().to_string(), &OpenOptions::default()).unwrap();
    assert_eq!((rows(&back), back.value()), (rows(&many), Value::Real));
}

/// Channels of numbers alone are measured where there are any; the figures of categories alone are those of their numbers.
#[test]
fn figures_leave_categories_out() {
    let mixed = csv("a,b,c\nx,1,u\ny,3,v\n");
    let codec = fitted(&mixed);
    assert!((stats::sigma_data(&mixed, &codec) - 1.0).abs() < 1e-6);
    assert!((stats::max_pairwise_distance(&mixed, &codec) - 2.0).abs() < 1e-6);
    let outside = stats::outside_range(&mixed, &codec);
    assert_eq!((outside.outside, outside.values), (0, 6));
    let bits = csv("a,b\nx,u\ny,v\n");
    assert!((stats::sigma_data(&bits, &fitted(&bits)) - 0.5).abs() < 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever state a sampler ends in, a category comes out, the nearest one; what is encoded comes back.
    #[test]
    fn states_decode_to_the_nearest_category(state in -1e9f32..1e9, near in -2.0f32..6.0, levels in 2usize..6, k in 0usize..6) {
        let table: String = (0..levels).map(|l| format!("n{l},m{}\n", l % 2)).collect();
        let codec = fitted(&csv(&format!("a,b\n{table}")));
        for v in [state, near] {
            let mut natural = [0.0; 2];
            codec.decode_row(&[v, 0.0], &mut natural);
            let nearest = (0..levels).min_by(|a, b| (*a as f32 - v).abs().total_cmp(&(*b as f32 - v).abs())).unwrap();
            prop_assert!(natural[0] == nearest as f32 || (natural[0] - v).abs() == (nearest as f32 - v).abs(), "{v} {natural:?}");
        }
        let natural = [(k % levels) as f32, 1.0];
        let (mut state, mut back) = ([0.0; 2], [0.0; 2]);
        codec.encode_row(&natural, &mut state);
        codec.decode_row(&state, &mut back);
        prop_assert_eq!((state, back), (natural, natural));
        prop_assert_eq!(codec.log_det(), 0.0);
    }

    /// Any table of texts and any other of the same texts: aligned rows name the same categories.
    #[test]
    fn aligned_rows_name_the_same(known in proptest::collection::vec("[a-e]", 6..12), other in proptest::collection::vec("[a-g]", 2..9)) {
        let table = |cells: &[String]| csv(&format!("t,u\n{}", cells.iter().enumerate().map(|(i, c)| format!("{c},w{}\n", i % 2)).collect::<String>()));
        let (first, second) = (table(&known), table(&other));
        prop_assume!(first.categories(0).unwrap().len() > 1);
        let codec = fitted(&first);
        let missing = other.iter().position(|c| !known.contains(c));
        match (codec.align(&second), missing) {
            (Ok(aligned), None) => rows(&aligned).chunks(2).zip(&other).for_each(|(row, cell)| {
                assert_eq!(&codec.categories(0).unwrap()[row[0] as usize], cell);
            }),
            (Err(DataError::Unseen { row, found, path, .. }), Some(at)) => {
                prop_assert_eq!((row, &found, path.as_path()), (at, &other[at], Path::new(second.name())));
            }
            (got, missing) => prop_assert!(false, "{missing:?} {got:?}"),
        }
    }
}
