//! Safetensors files read tensor by tensor: a header is enough to say what a file is, and a large model is never in memory
//! twice.

use crate::{FORMAT, ModelError, ModelMeta};
use safetensors::tensor::{Dtype, Metadata};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The metadata key of the description.
const KEY: &str = "scorefield";
/// No header of ours comes near this; a larger length field means another kind of file.
const LARGEST_HEADER: u64 = 64 << 20;

/// One tensor as the header lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorEntry {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type.
    pub dtype: String,
}

/// What a model file says of itself, without its weights.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Whose way of writing it is: `scorefield`, or the name of an [`crate::import::Layout`].
    pub layout: &'static str,
    /// Its description.
    pub meta: ModelMeta,
    /// Its tensors, by their names in the file.
    pub tensors: Vec<TensorEntry>,
    /// Whether the optimiser's own weights are there beside the averaged ones.
    pub has_raw: bool,
    /// What a person should know of how it was understood.
    pub notes: Vec<String>,
}

/// An open safetensors file whose header has been read and checked: named f32 tensors and a text of ours.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    start: u64,
}

impl TensorFile {
    /// Opens a file and checks its header against its length.
    ///
    /// # Errors
    /// When it cannot be read, is no safetensors file, or is cut short.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let broken = |found: String| ModelError::NotSafetensors { path: path.to_owned(), found };
        let mut file = File::open(path).map_err(ModelError::io(path))?;
        let size = file.metadata().map_err(ModelError::io(path))?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).map_err(|e| match e.kind() {
            ErrorKind::UnexpectedEof => broken(format!("{size} bytes long")),
            _ => ModelError::Io { path: path.to_owned(), source: e },
        })?;
        let length = u64::from_le_bytes(length);
        if length > LARGEST_HEADER || length + 8 > size {
            return Err(broken(format!("its first eight bytes announce a header of {length} bytes in a file of {size}")));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact(&mut bytes).map_err(ModelError::io(path))?;
        // Parsing checks that tensors follow each other without gaps and that each is as long as its shape and type say.
        let header: Metadata = serde_json::from_slice(&bytes).map_err(|e| broken(format!("its header: {e}")))?;
        let start = 8 + length;
        let announced = start.checked_add(header.data_len() as u64);
        if announced != Some(size) {
            let more = header.data_len();
            return Err(broken(format!("{size} bytes long where its header announces {start} and {more} more of tensors")));
        }
        Ok(Self { path: path.to_owned(), file, header, start })
    }

    /// The text under the metadata key `scorefield`.
    ///
    /// # Errors
    /// When there is none: a file of another project.
    pub fn text(&self) -> Result<&str, ModelError> {
        self.header.metadata().as_ref().and_then(|m| m.get(KEY)).map(String::as_str).ok_or_else(|| {
            let names: Vec<_> = self.header.offset_keys().into_iter().take(3).collect();
            let found = format!("{} tensors, first {names:?}", self.header.tensors().len());
            ModelError::Foreign { path: self.path.clone(), found }
        })
    }

    pub(crate) fn meta(&self) -> Result<ModelMeta, ModelError> {
        let wrong = |found: String| ModelError::Description { path: self.path.clone(), found, expected: FORMAT };
        let value: Value = serde_json::from_str(self.text()?).map_err(|e| wrong(e.to_string()))?;
        match value.get("format") {
            Some(format) if format.as_u64() == Some(u64::from(FORMAT)) => {}
            Some(format) => return Err(wrong(format!("its format number is {format}"))),
            None => return Err(wrong("it has no format number".into())),
        }
        let meta: ModelMeta = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
        meta.check(self.header.tensors().len()).map_err(wrong)?;
        Ok(meta)
    }

    /// The tensors in file order.
    pub fn entries(&self) -> Vec<TensorEntry> {
        let tensors = self.header.tensors();
        let names = self.header.offset_keys();
        names
            .into_iter()
            .filter_map(|name| {
                let info = tensors.get(&name)?;
                Some(TensorEntry { shape: info.shape.clone(), dtype: format!("{:?}", info.dtype).to_lowercase(), name })
            })
            .collect()
    }

    pub(crate) fn has_prefix(&self, prefix: &str) -> bool {
        self.header.tensors().keys().any(|name| name.starts_with(prefix))
    }

    /// Refuses tensors that neither set of weights has a place for: they would be lost without a word.
    pub(crate) fn refuse_others(&self, known: &HashSet<&str>) -> Result<(), ModelError> {
        let place = |name: &str| ["ema.", "raw."].iter().find_map(|p| name.strip_prefix(p)).is_some_and(|n| known.contains(n));
        match self.entries().into_iter().find(|t| !place(&t.name)) {
            None => Ok(()),
            Some(TensorEntry { name, shape, dtype }) => Err(ModelError::Tensor {
                path: self.path.clone(),
                name,
                found: format!("{dtype} of shape {shape:?}"),
                expected: "not to be there: the network has no such parameter".into(),
            }),
        }
    }

    /// The numbers of an f32 tensor of the given shape; all must be finite.
    ///
    /// # Errors
    /// When it is missing, has another shape or type, or holds an infinity or NaN.
    pub fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let wrong = |found: String| ModelError::Tensor {
            path: self.path.clone(),
            name: name.to_owned(),
            found,
            expected: format!("f32 of shape {shape:?}"),
        };
        let tensors = self.header.tensors();
        let info = tensors.get(name).ok_or_else(|| wrong("missing".into()))?;
        if info.dtype != Dtype::F32 || info.shape != shape {
            return Err(wrong(format!("{:?} of shape {:?}", info.dtype, info.shape)));
        }
        let (begin, end) = info.data_offsets;
        let mut bytes = vec![0; end - begin];
        self.file.seek(SeekFrom::Start(self.start + begin as u64)).map_err(ModelError::io(&self.path))?;
        self.file.read_exact(&mut bytes).map_err(ModelError::io(&self.path))?;
        let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        match values.iter().position(|v| !v.is_finite()) {
            Some(at) => Err(wrong(format!("{} at entry {at}", values[at]))),
            None => Ok(values),
        }
    }

    pub(crate) fn inspection(&self) -> Result<Inspection, ModelError> {
        Ok(Inspection {
            path: self.path.clone(),
            layout: "scorefield",
            meta: self.meta()?,
            tensors: self.entries(),
            has_raw: self.has_prefix("raw."),
            notes: Vec::new(),
        })
    }
}

/// Writes named f32 tensors and a text under the metadata key `scorefield`: beside `path`, flushed to disk, renamed. Tensors are
/// streamed, never copied whole.
///
/// # Errors
/// When a number is not finite or the disk refuses; a file that stood there before is then untouched.
///
/// # Panics
/// When a tensor does not hold as many numbers as its shape says.
pub fn write_tensors(path: &Path, tensors: &[(String, Vec<usize>, &[f32])], text: &str) -> Result<(), ModelError> {
    write_labelled(path, tensors, json!({ KEY: text, "format": "pt" }))
}

/// [`write_tensors`] with metadata of another project's.
pub(crate) fn write_labelled(path: &Path, tensors: &[(String, Vec<usize>, &[f32])], metadata: Value) -> Result<(), ModelError> {
    for (name, _, values) in tensors {
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            return Err(ModelError::NotFinite { path: path.to_owned(), name: name.clone(), at, found: values[at] });
        }
    }
    let mut header = Map::new();
    header.insert("__metadata__".into(), metadata);
    let mut at = 0usize;
    for (name, shape, values) in tensors {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: numbers and shape disagree");
        let end = at + 4 * values.len();
        header.insert(name.clone(), json!({ "dtype": "F32", "shape": shape, "data_offsets": [at, end] }));
        at = end;
    }
    let mut header = Value::Object(header).to_string();
    // The format wants the data aligned to eight bytes; spaces at the end of the header do that.
    header.extend(std::iter::repeat_n(' ', (8 - header.len() % 8) % 8));
    scorefield_data::write::atomic(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(header.as_bytes())?;
        let mut bytes = Vec::with_capacity(1 << 16);
        for (_, _, values) in tensors {
            for part in values.chunks(1 << 14) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
                out.write_all(&bytes)?;
            }
        }
        Ok(())
    })
    .map_err(|source| ModelError::Write { path: path.to_owned(), source })
}
