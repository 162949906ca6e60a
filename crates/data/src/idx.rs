//! IDX files (LeCun's MNIST format), plain or gzipped: `0 0 type dimensions`, the sizes as big-endian u32, the numbers.

use crate::array::{LARGEST, channels_first};
use crate::dataset::Storage;
use crate::{DataError, Dataset, Shape, Value};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The image file of a folder: in the arrangement of MNIST its training or test part, else the only one there is.
pub(crate) fn in_folder(folder: &Path, test: bool) -> Option<PathBuf> {
    let part = if test { "t10k" } else { "train" };
    let usual = [format!("{part}-images-idx3-ubyte.gz"), format!("{part}-images-idx3-ubyte")];
    if let Some(found) = usual.iter().map(|n| folder.join(n)).find(|p| p.is_file()) {
        return Some(found);
    }
    let is_images = |p: &PathBuf| {
        let name = p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        p.is_file() && (name.contains("-idx3-ubyte") || name.contains("-idx4-ubyte"))
    };
    let mut found: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.filter_map(|e| Some(e.ok()?.path())).filter(is_images).collect();
    (!test && found.len() == 1).then(|| found.pop())?
}

/// The labels that belong to images: `PART-images-idx3-ubyte.gz` and `PART-labels-idx1-ubyte` with or without `.gz`.
fn labels_beside(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let (stem, _) = name.split_once("-idx3").or_else(|| name.split_once("-idx4"))?;
    let part = stem.rsplit_once('-').map_or(stem, |(part, _)| part);
    let names = ["", ".gz"].map(|end| images.with_file_name(format!("{part}-labels-idx1-ubyte{end}")));
    names.into_iter().find(|p| p.is_file())
}

/// Reads images and, if they lie beside under the usual name (`images` becoming `labels`), their labels.
pub(crate) fn open(path: &Path) -> Result<Dataset, DataError> {
    let (dims, bytes) = read(path)?;
    let (n, shape) = match dims[..] {
        [n, height, width] => (n, Shape::Image { channels: 1, height, width }),
        [n, height, width, channels] => (n, Shape::Image { channels, height, width }),
        _ => {
            return Err(DataError::format(
                path,
                format!("an array of shape {dims:?}"),
                "[n, height, width] or [n, height, width, channels]",
            ));
        }
    };
    if n == 0 || shape.len() == 0 {
        return Err(DataError::format(path, format!("an array of shape {dims:?}"), "at least one picture"));
    }
    let (c, d) = (shape.channels(), shape.len());
    // Stored with the channel last; states have it first.
    let bytes = if c == 1 { bytes } else { channels_first(&bytes, c, d) };
    let mut data = Dataset::new(&path.display().to_string(), shape, Value::Byte, Storage::Bytes(Arc::new(bytes)), n);
    if let Some(beside) = labels_beside(path) {
        let (dims, labels) = read(&beside)?;
        if dims != [n] {
            return Err(DataError::format(&beside, format!("labels of shape {dims:?}"), format!("[{n}], one a picture")));
        }
        let classes = usize::from(labels.iter().copied().max().unwrap_or(0)) + 1;
        data.labels = Some(Arc::new(labels.into_iter().map(u32::from).collect()));
        data.classes = (0..classes).map(|c| c.to_string()).collect();
    }
    Ok(data)
}

fn read(path: &Path) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let expected = "an IDX file of unsigned bytes (plain or .gz)";
    let file = File::open(path).map_err(DataError::io(path))?;
    let mut file: Box<dyn Read> = if path.extension().is_some_and(|e| e == "gz") {
        Box::new(flate2::read::GzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    let mut head = [0; 4];
    file.read_exact(&mut head).map_err(|e| DataError::format(path, format!("no header ({e})"), expected))?;
    if head[0] != 0 || head[1] != 0 || head[2] != 8 || !(1..=4).contains(&head[3]) {
        return Err(DataError::format(
            path,
            format!("a file that begins with {head:?}"),
            format!("{expected}, which begins with [0, 0, 8, dimensions]"),
        ));
    }
    let mut dims = Vec::new();
    for _ in 0..head[3] {
        let mut size = [0; 4];
        file.read_exact(&mut size).map_err(|e| DataError::format(path, format!("a header cut short ({e})"), expected))?;
        dims.push(u32::from_be_bytes(size) as usize);
    }
    let total = dims.iter().try_fold(1u64, |a, &d| a.checked_mul(d as u64)).filter(|&t| t <= LARGEST);
    let Some(total) = total else {
        return Err(DataError::format(path, format!("a header of shape {dims:?}"), "fewer numbers"));
    };
    // Grown as it is read, one byte beyond what was announced at most: a false header costs no memory.
    let mut bytes = Vec::new();
    file.take(total + 1).read_to_end(&mut bytes).map_err(|e| DataError::format(path, format!("damaged data ({e})"), expected))?;
    if bytes.len() as u64 != total {
        return Err(DataError::format(
            path,
            format!("{} bytes for shape {dims:?}", bytes.len()),
            format!("{total}: the file is cut short or has more"),
        ));
    }
    Ok((dims, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(n: u32) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, 3];
        [n, 2, 3].iter().for_each(|d| bytes.extend(d.to_be_bytes()));
        bytes.extend((0..n * 6).map(|v| v as u8));
        bytes
    }

    proptest! {
        /// A damaged file is refused or read, never a panic.
        #[test]
        fn damaged_files_do_not_panic(at in 0usize..40, byte: u8, cut in 0usize..41) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x-images-idx3-ubyte");
            let mut bytes = file(4);
            bytes[at] = byte;
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(data) = open(&path) {
                prop_assert!(data.len() * data.shape().len() <= bytes.len());
            }
        }
    }

    #[test]
    fn numbers_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x-images-idx3-ubyte");
        std::fs::write(&path, file(2)).unwrap();
        let data = open(&path).unwrap();
        let mut row = vec![0.0; 6];
        data.row(1, &mut row);
        assert_eq!(row, [6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    }

    /// Labels are found under the usual name, gzipped or not, and the test part is asked for by `#test`.
    #[test]
    fn labels_and_parts_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
        let gzip = |bytes: &[u8]| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut out, bytes).unwrap();
            out.finish().unwrap()
        };
        write("train-images-idx3-ubyte.gz", &gzip(&file(3)));
        write("train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 2]);
        write("t10k-images-idx3-ubyte", &file(2));
        write("t10k-labels-idx1-ubyte.gz", &gzip(&[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]));
        let spec = folder.path().display().to_string();
        let opened = |spec: &str| crate::open(spec, &Default::default());
        let train = opened(&spec).unwrap();
        assert_eq!((train.len(), train.label(2), train.classes().len()), (3, Some(2), 3));
        let test = opened(&format!("{spec}#test")).unwrap();
        assert_eq!((test.len(), test.label(1)), (2, Some(1)));
        write("t10k-labels-idx1-ubyte.gz", &gzip(&[0, 0, 8, 1, 0, 0, 0, 1, 0]));
        let error = opened(&format!("{spec}#test")).unwrap_err().to_string();
        assert!(error.contains("labels of shape [1]") && error.contains("[2]"), "{error}");
    }

    /// Channels that come last in the file come first in a state.
    #[test]
    fn channels_come_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-rgba-idx4-ubyte");
        let header = [[0, 0, 8, 4], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 2], [0, 0, 0, 3]].concat();
        std::fs::write(&path, [header, vec![1, 2, 3, 4, 5, 6]].concat()).unwrap();
        let mut row = vec![0.0; 6];
        open(&path).unwrap().row(0, &mut row);
        assert_eq!(row, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }

    proptest! {
        /// Gzipped files, damaged anywhere, are refused or read.
        #[test]
        fn damaged_archives_do_not_panic(at in 0usize..60, byte: u8, cut in 0usize..80) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x-images-idx3-ubyte.gz");
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut out, &file(4)).unwrap();
            let mut bytes = out.finish().unwrap();
            let n = bytes.len();
            bytes[at % n] = byte;
            bytes.truncate(cut);
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(data) = open(&path) {
                prop_assert_eq!((data.len(), data.shape().len()), (4, 6));
            }
        }
    }
}
