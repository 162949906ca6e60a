//! Other projects' checkpoints as models.
//!
//! [`Checkpoint::open`] recognises a file or folder by what is in it, never by its name; a [`Layout`] then says what network, process
//! and prediction it is and where each parameter's numbers are. Nothing in a file is executed; opening reads headers and small tables,
//! and weights are read when a model is made of it.
//!
//! | layout | written by |
//! |---|---|
//! | diffusers | huggingface diffusers, `UNet2DModel` |
//! | score-sde | yang-song/score_sde_pytorch |
//! | edm | NVlabs/edm |
//! | openai | openai/improved-diffusion, openai/guided-diffusion |
//! | lucidrains | lucidrains/denoising-diffusion-pytorch |
//! | k-diffusion | crowsonkb/k-diffusion |
//! | ncsn, ncsnv2 | ermongroup/ncsn, ermongroup/ncsnv2 |
//! | hot-vs-cold | Yichizz/hot_vs_cold_diffusion |
//! | papers-reimplementations | BrianPulfer/PapersReimplementations |

mod diffusers;
pub(crate) mod diffusers_names;
pub(crate) mod diffusers_scheduler;
mod edm;
mod edm_names;
mod error;
mod given;
mod hot_vs_cold;
mod k_diffusion;
mod k_diffusion_names;
mod layout;
mod lucidrains;
mod lucidrains_names;
mod ncsn;
mod ncsn_names;
mod openai;
mod openai_names;
mod papers;
pub(crate) mod plan;
mod score_sde;
mod score_sde_names;
pub(crate) mod usual;

pub use error::ImportError;
pub use given::Given;
pub use layout::Layout;

use crate::{Model, ModelMeta, TensorEntry, Weights};
use error::Fault;
use plan::{Plan, Source};
use scorefield_nn::Params;
use scorefield_tensor::Device;
use std::path::{Path, PathBuf};

/// A checkpoint of another project, understood: its description, and where its weights are.
pub struct Checkpoint {
    path: PathBuf,
    layout: Layout,
    plan: Plan,
    sources: Vec<Source>,
}

impl Checkpoint {
    /// Opens a file or folder; `given` says what it does not say itself.
    ///
    /// # Errors
    /// When it cannot be read or understood; the message names the file, what was found and what would do.
    pub fn open(path: &Path, given: Given) -> Result<Self, ImportError> {
        let (layout, plan, given) = layout::understand(path, given)?;
        if let Some(key) = given.unknown() {
            let known = match given.known() {
                known if known.is_empty() => "the file says everything itself".to_owned(),
                known => format!("there are {}", known.join(", ")),
            };
            return Err(ImportError::NoKey { key, layout, known });
        }
        let content = |found: String| Fault::new(found, "a description that a network can be built from").at(path, layout);
        let arrays = plan.set(path, Weights::Ema)?;
        plan.meta.check(arrays.len()).map_err(content)?;
        let network = plan.meta.network.build(&plan.meta.codec.shape().dims()).map_err(|e| content(e.to_string()))?;
        let sources = plan.resolve(path, layout, network.params(), arrays)?;
        if let (Some(_), Some(raw)) = (&plan.ema, &plan.raw) {
            plan.resolve(path, layout, network.params(), raw)?;
        }
        Ok(Self { path: path.to_owned(), layout, plan, sources })
    }

    /// The project's layout.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// What it is.
    pub fn meta(&self) -> &ModelMeta {
        &self.plan.meta
    }

    /// What a person should know of how it was understood.
    pub fn notes(&self) -> &[String] {
        &self.plan.notes
    }

    /// Whether it holds both averaged weights and the optimiser's own.
    pub fn has_both(&self) -> bool {
        self.plan.ema.is_some() && self.plan.raw.is_some()
    }

    /// Its tensors, by their own names: of the averaged weights where there are both.
    pub fn tensors(&self) -> Vec<TensorEntry> {
        let arrays = self.plan.ema.iter().chain(&self.plan.raw).next();
        let entry = |(name, a): (&String, &scorefield_archive::Array)| TensorEntry {
            name: name.clone(),
            shape: a.shape().to_vec(),
            dtype: a.dtype().to_string(),
        };
        arrays.into_iter().flatten().map(entry).collect()
    }

    /// The weights as parameters of the network.
    ///
    /// # Errors
    /// When the file has no such set, or a tensor cannot be read or holds what is no number.
    pub fn params(&self, which: Weights, device: &Device) -> Result<Params, ImportError> {
        let arrays = self.plan.set(&self.path, which)?;
        let host = Plan::numbers(&self.sources, arrays).map_err(|f| f.at(&self.path, self.layout))?;
        let content = |found: String| Fault::new(found, "the weights of the network").at(&self.path, self.layout);
        let network = self.meta().network.build(&self.meta().codec.shape().dims()).map_err(|e| content(e.to_string()))?;
        Params::from_host(network.params(), host, device).map_err(|e| content(e.to_string()))
    }

    /// The model.
    ///
    /// # Errors
    /// As [`Checkpoint::params`].
    pub fn model(&self, which: Weights, device: &Device) -> Result<Model, crate::ModelError> {
        Model::new(self.meta().clone(), self.params(which, device)?)
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("path", &self.path).field("layout", &self.layout).finish_non_exhaustive()
    }
}
