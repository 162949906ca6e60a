//! NumPy's `.npy`: a magic, a version, the text of a Python dictionary (`descr`, `fortran_order`, `shape`), the numbers.
//!
//! Format: NumPy Enhancement Proposal 1. The dictionary is read by a scanner for these three keys, nothing is evaluated; arrays of
//! objects (pickles), which could hold code, are refused.

use crate::DataError;
use crate::array::{self, Array, LARGEST, Numbers};
use std::io::Read;
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Headers of plain arrays are far shorter.
const LONGEST_HEADER: u64 = 1 << 16;
const EXPECTED: &str = "an array of plain numbers written by numpy.save";

/// What a header says.
struct Header {
    descr: String,
    fortran: bool,
    dims: Vec<usize>,
}

/// Opens a file of examples.
pub(crate) fn open(path: &Path) -> Result<crate::Dataset, DataError> {
    let file = std::fs::File::open(path).map_err(DataError::io(path))?;
    array::dataset(path, read(path, &mut std::io::BufReader::new(file))?)
}

/// Reads an array; `path` is for errors.
pub(crate) fn read(path: &Path, source: &mut dyn Read) -> Result<Array, DataError> {
    let wrong = |found: String| DataError::format(path, found, EXPECTED);
    let Header { descr, fortran, dims } = read_header(path, source)?;
    let (big, kind) = match descr.split_at_checked(1) {
        Some((order @ ("<" | ">" | "|" | "="), kind)) => (order == ">", kind),
        _ => return Err(wrong(format!("numbers of type {descr:?}"))),
    };
    let width = match kind {
        "u1" | "i1" | "b1" => 1,
        "u2" | "i2" | "f2" => 2,
        "u4" | "i4" | "f4" => 4,
        "u8" | "i8" | "f8" => 8,
        _ => {
            let hint = "u1 to u8, i1 to i8, b1, f2, f4 or f8: save it with .astype('float32')";
            return Err(DataError::format(path, format!("numbers of type {descr:?}"), hint));
        }
    };
    let total = dims.iter().try_fold(1u64, |a, &d| a.checked_mul(d as u64)).filter(|&t| t <= LARGEST);
    let Some(total) = total else { return Err(wrong(format!("a header of shape {dims:?}"))) };
    // Grown as it is read, one byte beyond what was announced at most: a false header costs no memory.
    let mut bytes = Vec::new();
    let length = total * width as u64;
    source.take(length + 1).read_to_end(&mut bytes).map_err(|e| wrong(format!("damaged data ({e})")))?;
    if bytes.len() as u64 != length {
        let expected = format!("{length}: the file is cut short or has more");
        return Err(DataError::format(path, format!("{} bytes for shape {dims:?} of {descr}", bytes.len()), expected));
    }
    if big {
        bytes.chunks_mut(width).for_each(<[u8]>::reverse);
    }
    let numbers = numbers(kind, bytes);
    let numbers = if fortran && dims.len() > 1 {
        match numbers {
            Numbers::Bytes(v) => Numbers::Bytes(row_major(&v, &dims)),
            Numbers::Floats(v) => Numbers::Floats(row_major(&v, &dims)),
            Numbers::Whole(v) => Numbers::Whole(row_major(&v, &dims)),
        }
    } else {
        numbers
    };
    Ok(Array { dims, numbers })
}

/// Little-endian bytes as numbers of a kind that was checked.
fn numbers(kind: &str, bytes: Vec<u8>) -> Numbers {
    fn each<const W: usize, T>(bytes: &[u8], of: impl Fn([u8; W]) -> T) -> Vec<T> {
        bytes.as_chunks::<W>().0.iter().map(|b| of(*b)).collect()
    }
    match kind {
        "u1" => Numbers::Bytes(bytes),
        "i1" => Numbers::Whole(each(&bytes, |b| i64::from(i8::from_le_bytes(b)))),
        "b1" => Numbers::Whole(each(&bytes, |[b]| i64::from(b != 0))),
        "u2" => Numbers::Whole(each(&bytes, |b| i64::from(u16::from_le_bytes(b)))),
        "i2" => Numbers::Whole(each(&bytes, |b| i64::from(i16::from_le_bytes(b)))),
        "u4" => Numbers::Whole(each(&bytes, |b| i64::from(u32::from_le_bytes(b)))),
        "i4" => Numbers::Whole(each(&bytes, |b| i64::from(i32::from_le_bytes(b)))),
        // Beyond the largest i64 there is no label and no f32 that would be exact: such numbers are held at that limit.
        "u8" => Numbers::Whole(each(&bytes, |b| i64::try_from(u64::from_le_bytes(b)).unwrap_or(i64::MAX))),
        "i8" => Numbers::Whole(each(&bytes, i64::from_le_bytes)),
        "f2" => Numbers::Floats(each(&bytes, |b| half(u16::from_le_bytes(b)))),
        "f4" => Numbers::Floats(each(&bytes, f32::from_le_bytes)),
        _ => Numbers::Floats(each(&bytes, |b| f64::from_le_bytes(b) as f32)),
    }
}

/// IEEE 754 binary16 as f32, exact.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    match exponent {
        0 => sign * fraction * (-24f32).exp2(),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        e => sign * (1.0 + fraction / 1024.0) * ((e - 15) as f32).exp2(),
    }
}

/// Numbers whose first axis runs fastest, reordered so that the last does.
fn row_major<T: Copy>(numbers: &[T], dims: &[usize]) -> Vec<T> {
    let place = |mut i: usize| {
        let (mut at, mut stride) = (0, numbers.len());
        for &d in dims.iter().rev() {
            stride /= d;
            at += i % d * stride;
            i /= d;
        }
        at
    };
    (0..numbers.len()).map(|i| numbers[place(i)]).collect()
}

fn read_header(path: &Path, source: &mut dyn Read) -> Result<Header, DataError> {
    let wrong = |found: String| DataError::format(path, found, EXPECTED);
    let mut head = [0; 8];
    source.read_exact(&mut head).map_err(|e| wrong(format!("no header ({e})")))?;
    if &head[..6] != MAGIC || !(1..=3).contains(&head[6]) {
        return Err(wrong(format!("a file that begins with {:?}", String::from_utf8_lossy(&head))));
    }
    let mut length = [0; 4];
    let width = if head[6] == 1 { 2 } else { 4 };
    source.read_exact(&mut length[..width]).map_err(|e| wrong(format!("a header cut short ({e})")))?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > LONGEST_HEADER {
        return Err(wrong(format!("a header of {length} bytes")));
    }
    let mut text = vec![0; length as usize];
    source.read_exact(&mut text).map_err(|e| wrong(format!("a header cut short ({e})")))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    parse(&text).ok_or_else(|| wrong(format!("the header {:?}", text.trim_end())))
}

/// The three entries of `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str) -> Option<Header> {
    let after = |key: &str| {
        let at = text.find(&format!("'{key}'")).or_else(|| text.find(&format!("\"{key}\"")))?;
        Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = after("descr")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let descr = descr[1..].split_once(quote)?.0.to_owned();
    let order = after("fortran_order")?;
    let fortran = order.starts_with("True");
    if !fortran && !order.starts_with("False") {
        return None;
    }
    let inside = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
    let sizes: Vec<&str> = inside.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
    let dims: Vec<usize> = sizes.iter().map(|s| s.trim_end_matches('L').parse().ok()).collect::<Option<_>>()?;
    (dims.len() <= 32).then_some(Header { descr, fortran, dims })
}

/// The header of a version 1.0 file in row-major order, padded so that the numbers are aligned.
pub(crate) fn header(descr: &str, dims: &[usize]) -> Vec<u8> {
    let dims: Vec<String> = dims.iter().map(|d| format!("{d},")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}", dims.join(" "));
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut out = MAGIC.to_vec();
    out.extend([1, 0]);
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    out
}
