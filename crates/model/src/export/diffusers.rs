//! A folder that diffusers loads as a pipeline: a `UNet2DModel` and its scheduler.
//!
//! `model_index.json` (`DDPMPipeline`, or `ScoreSdeVePipeline` for the NCSN++ of skip blocks), `unet/config.json`,
//! `unet/diffusion_pytorch_model.safetensors` in f32, `scheduler/scheduler_config.json`. Every configuration is written whole, so that it
//! does not depend on what a version of the library takes for granted.

use super::diffusers_network::network;
use super::diffusers_scheduler::scheduler;
use super::error::{ExportError, Reasons};
use super::pieces::{Piece, pieces};
use crate::import::diffusers_names::Naming;
use crate::import::usual::{SYMMETRIC, UNIT};
use crate::{Model, ModelError, file};
use scorefield_data::{Shape, write};
use scorefield_nn::{NetworkConfig, ProgressiveOutput};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const LAYOUT: &str = "diffusers";
/// The version whose files these are.
const VERSION: &str = "0.42.1";

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The layout's name.
    pub layout: &'static str,
    /// Tensors in the file of weights.
    pub tensors: usize,
}

/// Writes the model as a folder of diffusers: beside, flushed to disk, renamed; there is a whole folder or none.
///
/// What a model file says beyond that is lost: names of classes, training, data, solvers other than DDPM's and the predictor-corrector.
/// Their scheduler is told not to clip, as none of ours does by itself.
///
/// # Errors
/// When something of that name exists, when diffusers cannot express the model (every reason is told), when a weight is no finite number,
/// or when the disk refuses.
pub fn diffusers(model: &Model, folder: &Path) -> Result<Exported, ExportError> {
    if folder.symlink_metadata().is_ok() {
        return Err(ExportError::Exists { path: folder.to_owned() });
    }
    let Content { documents, tensors } = describe(model)?;
    let listed: Vec<_> = tensors.iter().map(|p| (p.name.clone(), p.shape.clone(), p.values.as_slice())).collect();
    let filled = write::atomic_folder(folder, |inside| {
        for (name, document) in &documents {
            let text = serde_json::to_string_pretty(document).map_err(std::io::Error::from)? + "\n";
            write::atomic(&inside.join(name), |out| out.write_all(text.as_bytes()))?;
        }
        let weights = inside.join("unet/diffusion_pytorch_model.safetensors");
        Ok::<_, Fault>(file::write_labelled(&weights, &listed, json!({ "format": "pt" }))?)
    });
    match filled {
        Ok(()) => Ok(Exported { layout: LAYOUT, tensors: listed.len() }),
        Err(Fault::Io(source)) => Err(ExportError::Write { path: folder.to_owned(), source }),
        Err(Fault::Weights(error)) => Err(error.into()),
    }
}

enum Fault {
    Io(std::io::Error),
    Weights(ModelError),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        Self::Weights(error)
    }
}

/// What the folder holds.
struct Content {
    /// Configurations by the names of their files.
    documents: [(&'static str, Value); 3],
    tensors: Vec<Piece>,
}

fn describe(model: &Model) -> Result<Content, ExportError> {
    let meta = model.meta();
    let mut reasons = Reasons::default();
    let NetworkConfig::UNet(config) = &meta.network else {
        reasons.add("its network is of another kind; expected network.kind = \"unet\"");
        let _ = scheduler(meta, false, &mut reasons);
        return Err(refused(reasons));
    };
    let skips = config.progressive_output == ProgressiveOutput::Skip;
    let schedule = scheduler(meta, skips, &mut reasons);
    let unet = match meta.codec.shape() {
        Shape::Image { channels, height, width } => {
            pixels(model, skips, channels, &mut reasons);
            network(meta, config, model.network().params(), [channels, height, width], &mut reasons)
        }
        other @ Shape::Vector { .. } => {
            reasons.add(format!("its data are {other}; expected pictures"));
            Value::Null
        }
    };
    // A parameter that has no place follows from what was found; without a reason it would be one.
    reasons.finish(LAYOUT)?;
    let mut reasons = Reasons::default();
    let tensors = tensors(model, Naming::of(config), &mut reasons);
    reasons.finish(LAYOUT)?;

    let headed = |class: &str, mut value: Value| {
        value["_class_name"] = class.into();
        value["_diffusers_version"] = VERSION.into();
        value
    };
    let (pipeline, class) = if skips { ("ScoreSdeVePipeline", "ScoreSdeVeScheduler") } else { ("DDPMPipeline", "DDPMScheduler") };
    let index = json!({ "scheduler": ["diffusers", class], "unet": ["diffusers", "UNet2DModel"] });
    let documents = [
        ("model_index.json", headed(pipeline, index)),
        ("unet/config.json", headed("UNet2DModel", unet)),
        ("scheduler/scheduler_config.json", headed(class, schedule)),
    ];
    Ok(Content { documents, tensors })
}

/// The refusal; reasons are known to be there.
fn refused(reasons: Reasons) -> ExportError {
    reasons.finish(LAYOUT).expect_err("a reason was given")
}

/// Their pipelines make pictures of states in one range only.
fn pixels(model: &Model, skips: bool, channels: usize, reasons: &mut Reasons) {
    let [low, high] = if skips { UNIT } else { SYMMETRIC };
    let near = |(a, b): (f64, f64)| (a - low).abs() < 1e-9 && (b - high).abs() < 1e-9;
    let codec = &model.meta().codec;
    reasons.unless((0..channels).all(|c| codec.range(c).is_some_and(near)), || {
        format!(
            "states of its pictures do not run from {low} to {high}, from which the pipeline makes pictures; expected that range"
        )
    });
}

/// Each parameter under their names.
fn tensors(model: &Model, naming: Naming, reasons: &mut Reasons) -> Vec<Piece> {
    let (mut all, mut names) = (Vec::new(), BTreeSet::new());
    for (spec, values) in model.network().params().iter().zip(model.weights().to_host()) {
        let found = naming.source(&spec.name).and_then(|source| pieces(&source, &spec.shape, &values));
        let Some(found) = found.filter(|f| f.iter().all(|p| names.insert(p.name.clone()))) else {
            reasons.add(format!("it has no place for {}", spec.name));
            continue;
        };
        all.extend(found.into_iter().map(|mut piece| {
            // Their attention maps channels by matrices where ours has convolutions of one pixel.
            if piece.name.contains(".attentions.") {
                piece.shape.truncate(2);
            }
            piece
        }));
    }
    all
}
