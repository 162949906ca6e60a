//! From a name to a data set.

use crate::dataset::Storage;
use crate::{
    Categorical, ChannelPolicy, ConditionSource, DataError, Dataset, Fit, LabelSource, Shape, Value, categories, cifar, idx, npy,
    npz, pictures, synthetic, table,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How data are read: what of the numbers are categories, and how folders of pictures are brought to one size; other kinds say
/// everything else themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenOptions {
    /// Rows and columns that pictures are brought to; those of the pictures, if all are of one size.
    pub size: Option<[usize; 2]>,
    /// How they are brought there.
    pub fit: Fit,
    /// Which channels they are given.
    pub channels: ChannelPolicy,
    /// Where their labels are.
    pub labels: LabelSource,
    /// The file that decoded pictures are kept in where they are too large for memory; `NAME.scorefield-cache` beside the folder if
    /// none is named. It is made by this program alone: remove it, but do not change it.
    pub cache: Option<PathBuf>,
    /// Whether decoded pictures are kept in that file even if they would fit into memory: later runs then start at once.
    pub always_cache: bool,
    /// Bytes of decoded pictures that are held in memory.
    pub memory_limit: u64,
    /// Which channels of whole numbers are categories: of a table besides its columns of text, of pictures each grey a category of its
    /// own. A column of a table that is asked for may also mix numbers and text.
    pub categorical: Categorical,
    /// Where pictures and arrays are cut into the bits 0 and 1, as a fraction of their range (0 to 255 of bytes, of other numbers from the
    /// smallest to the largest in the set): what is there or above is 1.
    pub binarise: Option<f64>,
    /// What each example is given with, in training and whenever the model is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionSource>,
}

impl Default for OpenOptions {
    /// Everything found out from the pictures; 4 GiB of memory.
    fn default() -> Self {
        Self {
            size: None,
            fit: Fit::default(),
            channels: ChannelPolicy::default(),
            labels: LabelSource::default(),
            cache: None,
            always_cache: false,
            memory_limit: 4 << 30,
            categorical: Categorical::None,
            binarise: None,
            condition: None,
        }
    }
}

/// Told of progress as (done, total), from several threads at once and not always in order.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Opens a data set: a folder of pictures (sub-folders or a `labels.csv` of `file,label` give classes), an IDX image file or a folder
/// with Fashion-MNIST's four files, a folder with the binary version of CIFAR-10 or CIFAR-100, an array (`.npy`, `.npz`), a table of
/// numbers and text (`.csv`, `.tsv`, also gzipped), `toy:NAME[:n]`, or `digits`. `#test` behind a folder of IDX or CIFAR files asks for its
/// test part.
///
/// # Errors
/// When there is nothing of that name, or it cannot be read, or what should be categories are no whole numbers; the error says what was
/// found and expected.
pub fn open(spec: &str, options: &OpenOptions) -> Result<Dataset, DataError> {
    open_with(spec, options, &|_, _| {})
}

/// [`open`] that says how far it is: pictures looked at and then read, each counted twice. Other kinds are read without a word.
///
/// # Errors
/// As [`open`].
pub fn open_with(spec: &str, options: &OpenOptions, progress: Progress<'_>) -> Result<Dataset, DataError> {
    let data = examples(spec, options, progress)?;
    match &options.condition {
        None => Ok(data),
        Some(source) => source.attach(data),
    }
}

/// The examples by themselves.
fn examples(spec: &str, options: &OpenOptions, progress: Progress<'_>) -> Result<Dataset, DataError> {
    if spec == "digits" {
        return counted(spec, digits()?, options);
    }
    if let Some(name) = spec.strip_prefix("toy:") {
        return counted(spec, synthetic::open(spec, name)?, options);
    }
    let (place, test) = match spec.rsplit_once('#') {
        Some((place, "test")) if !Path::new(spec).exists() => (place, true),
        Some((place, "train")) if !Path::new(spec).exists() => (place, false),
        _ => (spec, false),
    };
    let path = Path::new(place);
    let mut data = if path.is_dir() {
        folder(path, test, options, progress)?
    } else if test {
        let expected = "a folder with t10k-images-idx3-ubyte, test_batch.bin or test.bin: name the file itself instead".into();
        return Err(DataError::Missing { spec: spec.into(), expected });
    } else if path.is_file() {
        file(path, options)?
    } else {
        let expected = "a folder of pictures, an IDX, CIFAR, .npy, .npz or .csv file, toy:NAME or digits".into();
        return Err(DataError::Missing { spec: spec.into(), expected });
    };
    data.name = spec.into();
    match (options.size, data.shape) {
        (Some([h, w]), Shape::Image { height, width, .. }) if [h, w] == [height, width] => counted(place, data, options),
        (None, _) => counted(place, data, options),
        (Some(size), shape) => {
            let expected = "a folder of pictures: others are not resized, leave data.size out";
            Err(DataError::format(path, format!("{shape}, where data.size={size:?} was asked for"), expected))
        }
    }
}

/// The set with its numbers made categories or bits, where that was asked for.
fn counted(place: &str, data: Dataset, options: &OpenOptions) -> Result<Dataset, DataError> {
    let path = Path::new(place);
    match (options.binarise, &options.categorical) {
        (None, asked) => categories::whole_numbers(path, data, asked),
        (Some(_), _) if table::is_table(path) => {
            let expected = "pictures or an array: the columns of a table are named by data.categorical";
            Err(DataError::format(path, "a table, where data.binarise was asked for", expected))
        }
        (Some(fraction), Categorical::None) => categories::binarise(path, data, fraction),
        (Some(_), _) => Err(DataError::format(path, "data.binarise and data.categorical at once", "one of them")),
    }
}

fn folder(path: &Path, test: bool, options: &OpenOptions, progress: Progress<'_>) -> Result<Dataset, DataError> {
    if let Some(images) = idx::in_folder(path, test) {
        idx::open(&images)
    } else if let Some(files) = cifar::in_folder(path, test) {
        cifar::open(&files)
    } else if test {
        let expected = "t10k-images-idx3-ubyte, test_batch.bin or test.bin in it";
        Err(DataError::format(path, "a folder with no test part", expected))
    } else {
        pictures::open(path, options, progress)
    }
}

/// By its ending, else by how it begins.
fn file(path: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
    if table::is_table(path) {
        return table::open(path, &options.categorical);
    }
    if let Some(files) = cifar::one(path) {
        return cifar::open(&files);
    }
    let mut start = Vec::new();
    File::open(path).and_then(|f| f.take(8).read_to_end(&mut start)).map_err(DataError::io(path))?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    if ending == "npy" || start.starts_with(b"\x93NUMPY") {
        npy::open(path)
    } else if ending == "npz" || start.starts_with(b"PK\x03\x04") {
        npz::open(path)
    } else if start.starts_with(&[0, 0]) || ending == "gz" || path.to_string_lossy().contains("-idx") {
        idx::open(path)
    } else {
        let found = format!("a file that begins with {:?}", String::from_utf8_lossy(&start));
        Err(DataError::format(path, found, "an IDX, CIFAR (.bin), .npy, .npz or .csv file, or a folder of pictures"))
    }
}

/// The 1,797 embedded digits of 8x8 with values 0 to 16 (UCI, CC BY 4.0).
fn digits() -> Result<Dataset, DataError> {
    let path = Path::new("digits");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&include_bytes!("../assets/digits.csv.gz")[..])
        .read_to_string(&mut text)
        .map_err(DataError::io(path))?;
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let row: Vec<u8> = line.split(',').filter_map(|v| v.parse::<f64>().ok()).map(|v| v as u8).collect();
        let Some((label, pixels)) = row.split_last().filter(|r| r.1.len() == 64) else {
            return Err(DataError::format(path, format!("a row of {} numbers", row.len()), "64 values and a label"));
        };
        values.extend_from_slice(pixels);
        labels.push(u32::from(*label));
    }
    let (shape, rows) = (Shape::Image { channels: 1, height: 8, width: 8 }, labels.len());
    let mut data = Dataset::new("digits", shape, Value::Byte, Storage::Bytes(Arc::new(values)), rows);
    data.bounds = Some((0.0, 16.0));
    data.labels = Some(Arc::new(labels));
    data.classes = (0..10).map(|d| d.to_string()).collect();
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, CodecOptions};

    #[test]
    fn digits_are_all_there_and_the_codec_inverts() {
        let data = open("digits", &OpenOptions::default()).unwrap();
        assert_eq!((data.len(), data.classes().len()), (1797, 10));
        let codec = Codec::fit(&data, &CodecOptions::default()).unwrap();
        let (mut row, mut state, mut back) = (vec![0.0; 64], vec![0.0; 64], vec![0.0; 64]);
        for i in 0..data.len() {
            data.row(i, &mut row);
            codec.encode_row(&row, &mut state);
            assert!(state.iter().all(|v| (-1.0..=1.0).contains(v)));
            codec.decode_row(&state, &mut back);
            assert_eq!(row, back);
        }
        assert!((codec.log_det() + 64.0 * 8f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = open("no/such/place", &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains("no/such/place") && error.contains("expected"), "{error}");
        let error = open("toy:nothing", &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains("moons"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let error = open(&folder.path().display().to_string(), &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains("no picture"), "{error}");
    }
}
