//! NumPy's `.npz`: a zip archive of `.npy` files, one a name. Examples are under `x`, `images`, `samples` or `arr_0` (or are the only
//! array besides labels), labels under `labels`, `label` or `y`.

use crate::array::{self, Array};
use crate::{DataError, Dataset, npy};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

const EXAMPLES: [&str; 6] = ["x", "images", "samples", "data", "x_train", "arr_0"];
const LABELS: [&str; 4] = ["labels", "label", "y", "y_train"];

/// Opens examples, with labels if there are any.
pub(crate) fn open(path: &Path) -> Result<Dataset, DataError> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let expected = "an archive written by numpy.savez";
    let mut zip = ZipArchive::new(BufReader::new(file))
        .map_err(|e| DataError::format(path, format!("a file that is no zip archive ({e})"), expected))?;
    let arrays: Vec<String> = zip.file_names().filter_map(|n| Some(n.ok()?.strip_suffix(".npy")?.to_owned())).collect();
    let named =
        |names: &[&str]| -> Option<String> { names.iter().find_map(|n| arrays.iter().find(|a| a.to_lowercase() == *n).cloned()) };
    let labels = named(&LABELS);
    let others: Vec<&String> = arrays.iter().filter(|a| Some(*a) != labels.as_ref()).collect();
    let alone = if let [only] = others[..] { Some(only.clone()) } else { None };
    let Some(examples) = named(&EXAMPLES).or(alone) else {
        let expected = format!("examples under one of {} (and labels under {})", EXAMPLES.join(", "), LABELS.join(", "));
        return Err(DataError::format(path, format!("arrays named [{}]", arrays.join(", ")), expected));
    };
    let mut read = |name: &str| -> Result<Array, DataError> {
        let inside = path.join(format!("{name}.npy"));
        let mut entry = zip
            .by_name(&format!("{name}.npy"))
            .map_err(|e| DataError::format(&inside, format!("an entry that cannot be read ({e})"), expected))?;
        npy::read(&inside, &mut entry)
    };
    let mut data = array::dataset(path, read(&examples)?)?;
    if let Some(labels) = labels {
        let array = read(&labels)?;
        array::label(&path.join(format!("{labels}.npy")), &mut data, array)?;
    }
    let used = data.labels.as_ref().map_or(1, |_| 2);
    if arrays.len() > used {
        data.report.notes.push(format!("of the arrays [{}], `{examples}` holds the examples", arrays.join(", ")));
    }
    Ok(data)
}

/// The bytes of an archive of arrays by name, compressed.
pub(crate) fn archive(arrays: &[(&str, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in arrays {
        let large = array.len() as u64 > u64::from(u32::MAX) / 2;
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated).large_file(large);
        zip.start_file(format!("{name}.npy"), options)?;
        zip.write_all(array)?;
    }
    Ok(zip.finish()?.into_inner())
}
