//! Just enough of four containers to read the fixtures.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Numbers and their shape.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f64>,
}

impl Array {
    pub(crate) fn f32(&self) -> Vec<f32> {
        self.values.iter().map(|&v| v as f32).collect()
    }

    /// A matrix, transposed.
    pub(crate) fn transposed(&self) -> Vec<f32> {
        let (r, c) = (self.shape[0], self.shape[1]);
        (0..c).flat_map(|j| (0..r).map(move |i| self.values[i * c + j] as f32)).collect()
    }
}

pub(crate) type Arrays = BTreeMap<String, Array>;

pub(crate) fn folder(name: &str) -> PathBuf {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared"));
    std::env::var_os("SCOREFIELD_SHARED").map_or_else(beside, PathBuf::from).join("fixtures/checkpoints").join(name)
}

fn read(path: &PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

pub(crate) fn safetensors(path: PathBuf) -> Arrays {
    let bytes = read(&path);
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let decode = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        use safetensors::Dtype;
        let values = match view.dtype() {
            Dtype::F16 => view.data().chunks(2).map(|b| half(u16::from_le_bytes([b[0], b[1]]))).collect(),
            Dtype::F32 => floats(view.data()),
            Dtype::F64 => view.data().chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
            Dtype::I64 => view.data().chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
            other => panic!("{name} is {other:?}"),
        };
        (name, Array { shape: view.shape().to_vec(), values })
    };
    file.tensors().into_iter().map(decode).collect()
}

pub(crate) fn npz(path: PathBuf) -> Arrays {
    let mut file = npyz::npz::NpzArchive::open(path).unwrap();
    let names: Vec<String> = file.array_names().map(str::to_owned).collect();
    let decode = |name: String| {
        let array = file.by_name(&name).unwrap().unwrap();
        let shape = array.shape().iter().map(|&n| n as usize).collect();
        (name, Array { shape, values: array.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect() })
    };
    names.into_iter().map(decode).collect()
}

/// The single-precision tensors of a zipped pickle whose names begin with `prefix`, flat.
pub(crate) fn torch(path: PathBuf, prefix: &str) -> BTreeMap<String, Vec<f64>> {
    torch_after(path, "", prefix, &[".weight", ".bias", ".W", ".b", ".alpha", ".gamma", ".beta"])
}

/// Those with a name behind the string `after` (the key of one of several dictionaries; empty for the beginning) that begins with `prefix`
/// and ends with one of `ends`, the first of each name. A name is followed by the number of the file that holds its numbers. Strings
/// are found by scanning; nothing is executed.
pub(crate) fn torch_after(path: PathBuf, after: &str, prefix: &str, ends: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let files = stored_zip(&read(&path));
    let file = |end: &str| files.iter().find(|(name, _)| name.ends_with(end)).map(|(_, bytes)| bytes);
    let texts = strings(file("/data.pkl").expect("a pickle"));
    let first = if after.is_empty() { 0 } else { texts.iter().position(|t| t == after).expect("the key") };
    let mut tensors = BTreeMap::new();
    let mut name: Option<&String> = None;
    for text in &texts[first..] {
        if text.starts_with(prefix) && ends.iter().any(|end| text.ends_with(end)) {
            name = Some(text);
        } else if text.parse::<usize>().is_ok()
            && let Some(name) = name.take()
        {
            let numbers = || floats(file(&format!("/data/{text}")).expect("a storage"));
            tensors.entry(name.clone()).or_insert_with(numbers);
        }
    }
    tensors
}

/// A number of half precision: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let size = match exponent {
        0 => fraction * 2f64.powi(-14),
        31 => panic!("not a number, or infinite"),
        _ => (1.0 + fraction) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
}

/// BINUNICODE strings (opcode `X`, four bytes of length).
fn strings(pickle: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut i = 0;
    while i + 5 <= pickle.len() {
        let n = u32::from_le_bytes(pickle[i + 1..i + 5].try_into().unwrap()) as usize;
        let body = pickle.get(i + 5..i + 5 + n);
        match body.and_then(|b| std::str::from_utf8(b).ok()) {
            Some(text) if pickle[i] == b'X' && n < 200 && text.chars().all(|c| c.is_ascii_graphic()) => {
                found.push(text.to_owned());
                i += 5 + n;
            }
            _ => i += 1,
        }
    }
    found
}

/// The files of an archive without compression.
fn stored_zip(zip: &[u8]) -> Vec<(String, Vec<u8>)> {
    let u16_at = |i: usize| usize::from(u16::from_le_bytes(zip[i..i + 2].try_into().unwrap()));
    let u32_at = |i: usize| u32::from_le_bytes(zip[i..i + 4].try_into().unwrap()) as usize;
    let end = (0..zip.len() - 21).rev().find(|&i| &zip[i..i + 4] == b"PK\x05\x06").expect("an archive");
    let mut entry = u32_at(end + 16);
    let mut files = Vec::new();
    for _ in 0..u16_at(end + 10) {
        let (size, n, extra, comment) = (u32_at(entry + 24), u16_at(entry + 28), u16_at(entry + 30), u16_at(entry + 32));
        let local = u32_at(entry + 42);
        let start = local + 30 + u16_at(local + 26) + u16_at(local + 28);
        let name = String::from_utf8(zip[entry + 46..entry + 46 + n].to_vec()).unwrap();
        files.push((name, zip[start..start + size].to_vec()));
        entry += 46 + n + extra + comment;
    }
    files
}
