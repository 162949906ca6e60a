//! The binary version of CIFAR-10 and CIFAR-100 (Krizhevsky 2009): records of one label byte (CIFAR-100: coarse, then fine) and
//! 3,072 bytes of a 32x32 picture, channel by channel.

use crate::dataset::Storage;
use crate::{DataError, Dataset, Shape, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SIDE: usize = 32;
const PICTURE: usize = 3 * SIDE * SIDE;

/// What a folder or file of this format is.
pub(crate) struct Files {
    folder: PathBuf,
    files: Vec<PathBuf>,
    /// Label bytes before each picture; the last is the class.
    labels: usize,
    /// Where the names of the classes may be.
    names: &'static str,
}

fn ten(folder: &Path, files: Vec<PathBuf>) -> Files {
    Files { folder: folder.into(), files, labels: 1, names: "batches.meta.txt" }
}

fn hundred(folder: &Path, files: Vec<PathBuf>) -> Files {
    Files { folder: folder.into(), files, labels: 2, names: "fine_label_names.txt" }
}

/// The files of a folder in either arrangement, of its training or its test part.
pub(crate) fn in_folder(folder: &Path, test: bool) -> Option<Files> {
    let there = |names: Vec<String>| -> Vec<PathBuf> { names.iter().map(|n| folder.join(n)).filter(|p| p.is_file()).collect() };
    let of_ten = if test { vec!["test_batch.bin".into()] } else { (1..=5).map(|i| format!("data_batch_{i}.bin")).collect() };
    let files = there(of_ten);
    if !files.is_empty() {
        return Some(ten(folder, files));
    }
    let files = there(vec![if test { "test.bin" } else { "train.bin" }.into()]);
    (!files.is_empty()).then(|| hundred(folder, files))
}

/// One file by its name; `None` if it is not one of the format's.
pub(crate) fn one(path: &Path) -> Option<Files> {
    let name = path.file_name()?.to_str()?.to_owned();
    let folder = path.parent().unwrap_or(Path::new("."));
    match name.as_str() {
        "train.bin" | "test.bin" => Some(hundred(folder, vec![path.into()])),
        name if name.ends_with(".bin") && name.contains("_batch") => Some(ten(folder, vec![path.into()])),
        _ => None,
    }
}

/// Reads all records.
pub(crate) fn open(source: &Files) -> Result<Dataset, DataError> {
    let record = source.labels + PICTURE;
    let limit = if source.labels == 1 { 10 } else { 100 };
    let (mut pictures, mut labels) = (Vec::new(), Vec::new());
    for path in &source.files {
        let bytes = fs::read(path).map_err(DataError::io(path))?;
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let found = format!("{} bytes", bytes.len());
            let expected = format!("records of {record} bytes (CIFAR-{limit}, binary version): the file is cut short or another");
            return Err(DataError::format(path, found, expected));
        }
        for (i, r) in bytes.chunks(record).enumerate() {
            let label = r[source.labels - 1];
            if usize::from(label) >= limit {
                let expected = format!("0 to {}: this is no CIFAR-{limit} file", limit - 1);
                return Err(DataError::format(path, format!("class {label} in record {i}"), expected));
            }
            labels.push(u32::from(label));
            pictures.extend_from_slice(&r[source.labels..]);
        }
    }
    let shape = Shape::Image { channels: 3, height: SIDE, width: SIDE };
    let rows = labels.len();
    let mut data =
        Dataset::new(&source.folder.display().to_string(), shape, Value::Byte, Storage::Bytes(Arc::new(pictures)), rows);
    data.labels = Some(Arc::new(labels));
    data.classes = names(&source.folder.join(source.names), limit).unwrap_or_else(|| (0..limit).map(|c| c.to_string()).collect());
    if source.labels == 1 && source.files.len() > 1 && source.files.len() < 5 {
        let listed: Vec<_> = source.files.iter().filter_map(|p| p.file_name()).map(|n| n.to_string_lossy()).collect();
        data.report.notes.push(format!("of data_batch_1.bin to data_batch_5.bin there are only {}", listed.join(", ")));
    }
    Ok(data)
}

/// The names of the classes, if the file has one a class.
fn names(path: &Path, classes: usize) -> Option<Vec<String>> {
    let text = fs::read_to_string(path).ok()?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect();
    (names.len() == classes).then_some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OpenOptions, open};
    use proptest::prelude::*;

    fn record(labels: &[u8], first: u8) -> Vec<u8> {
        labels.iter().copied().chain((0..PICTURE).map(|i| first.wrapping_add(i as u8))).collect()
    }

    #[test]
    fn both_versions_and_both_parts() {
        let folder = tempfile::tempdir().unwrap();
        let spec = folder.path().display().to_string();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        write("train.bin", &[record(&[3, 42], 1), record(&[0, 7], 9)].concat());
        write("test.bin", &record(&[0, 99], 5));
        let data = open(&spec, &OpenOptions::default()).unwrap();
        assert_eq!((data.len(), data.label(0), data.label(1), data.classes().len()), (2, Some(42), Some(7), 100));
        assert_eq!(open(&format!("{spec}#test"), &OpenOptions::default()).unwrap().label(0), Some(99));
        write("data_batch_1.bin", &record(&[9], 1));
        write("data_batch_2.bin", &record(&[1], 4));
        write("batches.meta.txt", b"a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
        let data = open(&spec, &OpenOptions::default()).unwrap();
        assert_eq!((data.len(), data.label(0), data.classes()[9].as_str()), (2, Some(9), "j"));
        assert!(data.report().notes[0].contains("only data_batch_1.bin, data_batch_2.bin"), "{:?}", data.report());
        let mut row = vec![0.0; PICTURE];
        data.row(1, &mut row);
        assert_eq!(row[..3], [4.0, 5.0, 6.0]);
        write("data_batch_2.bin", &record(&[10], 4));
        let error = open(&spec, &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains("data_batch_2.bin: class 10 in record 0"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// A damaged file is refused or read, never a panic.
        #[test]
        fn damaged_files_do_not_panic(at in 0usize..6146, byte: u8, cut in 0usize..6300) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("data_batch_1.bin");
            let mut bytes = [record(&[3], 1), record(&[4], 2)].concat();
            bytes[at] = byte;
            bytes.resize(cut.min(6146), 0);
            std::fs::write(&path, &bytes).unwrap();
            let whole = cut > 0 && (cut >= 6146 || cut == 3073);
            let opened = open(&path.display().to_string(), &OpenOptions::default());
            prop_assert!(whole || opened.is_err());
        }
    }
}
