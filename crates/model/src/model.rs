//! Weights, network, process, prediction and codec in one value.

use crate::denoiser::Told;
use crate::file::{TensorFile, write_tensors};
use crate::import::{Checkpoint, Given};
use crate::{Inspection, ModelDenoiser, ModelError, ModelMeta, StatesAdapter, StatesModel};
use scorefield_nn::{Network, Params, Precision};
use scorefield_process::{Process, ProcessConfig};
use scorefield_tensor::Device;
use std::path::{Path, PathBuf};

/// Which of the weights in a file are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weights {
    /// The exponential moving average: what is sampled.
    #[default]
    Ema,
    /// The weights as the optimiser left them.
    Raw,
}

impl Weights {
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Ema => "ema.",
            Self::Raw => "raw.",
        }
    }
}

/// A trained model.
#[derive(Debug)]
pub struct Model {
    meta: ModelMeta,
    process: Box<dyn Process>,
    /// Between states with categories and the network.
    states: Option<StatesAdapter>,
    network: Box<dyn Network>,
    weights: Params,
}

/// The model file that a name stands for: the file itself, or the `model.safetensors` of a run folder.
///
/// # Errors
/// When a folder holds no model.
pub fn model_path(path: &Path) -> Result<PathBuf, ModelError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let inside = path.join("model.safetensors");
    if inside.is_file() { Ok(inside) } else { Err(ModelError::NoModel { path: path.to_owned() }) }
}

/// What a path leads to.
enum Found {
    /// A model file of ours.
    Ours(PathBuf, TensorFile),
    /// Something that another project wrote.
    Foreign,
}

/// Tells by what is there, not by its name.
fn find(path: &Path) -> Result<Found, ModelError> {
    let foreign_folder = ["model_index.json", "config.json", "unet/config.json"].iter().any(|f| path.join(f).is_file());
    if path.is_dir() && foreign_folder && !path.join("model.safetensors").is_file() {
        return Ok(Found::Foreign);
    }
    let path = model_path(path)?;
    if path.to_str().is_some_and(|p| p.ends_with(".index.json")) {
        return Ok(Found::Foreign);
    }
    match TensorFile::open(&path) {
        Ok(file) if file.text().is_ok() => Ok(Found::Ours(path, file)),
        Ok(_) => Ok(Found::Foreign),
        Err(ModelError::NotSafetensors { .. }) if begins_as_pickle(&path) => Ok(Found::Foreign),
        Err(e) => Err(e),
    }
}

/// Whether a file begins as a zip, a pickle or a tar does: what PyTorch writes.
fn begins_as_pickle(path: &Path) -> bool {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(262).read_to_end(&mut head));
    read.is_ok() && (head.starts_with(b"PK") || head.first() == Some(&0x80) || head.get(257..262) == Some(b"ustar"))
}

impl Model {
    /// A model from its parts.
    ///
    /// # Errors
    /// When the network or the process cannot be built from the description.
    ///
    /// # Panics
    /// When the weights are not the network's.
    pub fn new(meta: ModelMeta, weights: Params) -> Result<Self, ModelError> {
        let network = meta.network.build(&meta.network_shape()?)?;
        let (process, states) = (ProcessConfig::build(&meta.process)?, meta.adapter()?);
        assert_eq!(weights.len(), network.params().len(), "weights of another network");
        Ok(Self { meta, process, states, network, weights: weights.kept(Precision::Single) })
    }

    /// The same model, its products made of other numbers (bfloat16 for speed: about three digits a product, sums in single precision).
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self { weights: self.weights.kept(precision), ..self }
    }

    /// What its products are made of.
    pub fn precision(&self) -> Precision {
        self.weights.precision()
    }

    /// Reads a model file, the model of a run folder, or another project's checkpoint ([`crate::import`]).
    ///
    /// # Errors
    /// When it is not there, not a model of this format, cut short, or its tensors are not those of its network; when it is a classifier,
    /// which [`crate::Classifier::load`] reads; of other projects' files, as [`Checkpoint::open`].
    pub fn load(path: impl AsRef<Path>, which: Weights, device: &Device) -> Result<Self, ModelError> {
        match find(path.as_ref())? {
            Found::Ours(path, reader) => {
                let meta = reader.meta()?;
                if meta.classifier.is_some() {
                    return Err(ModelError::IsClassifier { path, classes: meta.codec.classes().len() });
                }
                Self::read(path, reader, meta, which, device)
            }
            Found::Foreign => Checkpoint::open(path.as_ref(), Given::default())?.model(which, device),
        }
    }

    /// The network of a classifier's file, to be wrapped.
    pub(crate) fn load_classifier(path: &Path, which: Weights, device: &Device) -> Result<Self, ModelError> {
        match find(path)? {
            Found::Ours(path, reader) => {
                let meta = reader.meta()?;
                if meta.classifier.is_none() {
                    return Err(ModelError::NoClassifier { path, shape: meta.codec.shape().to_string() });
                }
                Self::read(path, reader, meta, which, device)
            }
            Found::Foreign => Err(ModelError::NoClassifier { path: path.to_owned(), shape: "another project".into() }),
        }
    }

    fn read(path: PathBuf, mut reader: TensorFile, meta: ModelMeta, which: Weights, device: &Device) -> Result<Self, ModelError> {
        let wrong = |found: String| ModelError::Description { path: path.clone(), found, expected: crate::FORMAT };
        let shape = meta.network_shape().map_err(|e| wrong(e.to_string()))?;
        let network = meta.network.build(&shape).map_err(|e| wrong(e.to_string()))?;
        let process = ProcessConfig::build(&meta.process).map_err(|e| wrong(e.to_string()))?;
        let states = meta.adapter().map_err(|e| wrong(e.to_string()))?;
        if which == Weights::Raw && !reader.has_prefix(which.prefix()) {
            return Err(ModelError::NoRaw { path });
        }
        let mut host = Vec::with_capacity(network.params().len());
        for spec in network.params() {
            host.push(reader.floats(&format!("{}{}", which.prefix(), spec.name), &spec.shape)?);
        }
        reader.refuse_others(&network.params().iter().map(|s| s.name.as_str()).collect())?;
        let weights = Params::from_host(network.params(), host, device).map_err(|e| wrong(e.to_string()))?;
        Ok(Self { meta, process, states, network, weights: weights.kept(Precision::Single) })
    }

    /// What a model file, run folder or checkpoint says of itself, without loading weights.
    ///
    /// # Errors
    /// As [`Model::load`], but for the weights.
    pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, ModelError> {
        match find(path.as_ref())? {
            Found::Ours(_, reader) => reader.inspection(),
            Found::Foreign => {
                let found = Checkpoint::open(path.as_ref(), Given::default())?;
                Ok(Inspection {
                    path: path.as_ref().to_owned(),
                    layout: found.layout().name(),
                    meta: found.meta().clone(),
                    tensors: found.tensors(),
                    has_raw: found.has_both(),
                    notes: found.notes().to_vec(),
                })
            }
        }
    }

    /// Writes the model file: beside, flushed, renamed. `raw` are the optimiser's own weights, kept if given.
    ///
    /// # Errors
    /// When the disk refuses; the file that stood there before is then untouched.
    pub fn save(&self, path: &Path, raw: Option<&Params>) -> Result<(), ModelError> {
        let mut sets = vec![(Weights::Ema, self.weights.to_host())];
        sets.extend(raw.map(|raw| (Weights::Raw, raw.to_host())));
        let mut tensors = Vec::new();
        for (which, host) in &sets {
            for (spec, values) in self.network.params().iter().zip(host) {
                tensors.push((format!("{}{}", which.prefix(), spec.name), spec.shape.clone(), values.as_slice()));
            }
        }
        let text = serde_json::to_string(&self.meta).expect("a description is plain data");
        write_tensors(path, &tensors, &text)
    }

    /// The description.
    pub fn meta(&self) -> &ModelMeta {
        &self.meta
    }

    /// The process it was trained under.
    pub fn process(&self) -> &dyn Process {
        &*self.process
    }

    /// The network.
    pub fn network(&self) -> &dyn Network {
        &*self.network
    }

    /// The weights in use.
    pub fn weights(&self) -> &Params {
        &self.weights
    }

    /// Numbers in a state.
    pub fn dim(&self) -> usize {
        self.meta.codec.shape().len()
    }

    /// The adapter between states with categories and the network; none for a model of numbers alone.
    pub fn states(&self) -> Option<&StatesAdapter> {
        self.states.as_ref()
    }

    /// The model as a denoiser of states, where its data have categories; `classes` as in [`Model::denoiser`].
    pub fn states_denoiser(&self, classes: Option<Vec<Option<u32>>>) -> Option<StatesModel<'_>> {
        self.states.as_ref().map(|adapter| StatesModel::new(self, adapter, classes))
    }

    /// The model as a denoiser; `classes` holds one class (or none) a row of the batches it will see.
    ///
    /// # Panics
    /// For a model of states with categories, whose denoiser is [`Model::states_denoiser`], for a classifier, which has none, and for a model that was
    /// trained with a condition, whose denoiser is [`Model::denoiser_given`].
    #[track_caller]
    pub fn denoiser(&self, classes: Option<Vec<Option<u32>>>) -> ModelDenoiser<'_> {
        self.denoiser_given(classes, None)
    }

    /// [`Model::denoiser`] of a model that was trained with a condition: the encoded condition of each row of the batches it will see, one
    /// after the other.
    ///
    /// # Panics
    /// As [`Model::denoiser`], and when a condition is given to a model without, or not given to one with.
    #[track_caller]
    pub fn denoiser_given(&self, classes: Option<Vec<Option<u32>>>, condition: Option<Vec<f32>>) -> ModelDenoiser<'_> {
        assert!(self.meta.classifier.is_none(), "a classifier is no denoiser: see Classifier");
        assert!(self.states.is_none(), "a model of states with categories is no denoiser of numbers: see states_denoiser");
        let (given, needed) = (condition.is_some(), self.meta.condition.is_some());
        assert_eq!(given, needed, "whether a condition is given, and whether the model was trained with one");
        ModelDenoiser::new(self, Told { classes, condition })
    }
}
