//! `import`: another project's checkpoint as a model file.

use crate::context::Context;
use crate::failure::{Ended, misuse};
use crate::hub;
use anyhow::Result;
use clap::Args;
use scorefield::model::import::{Checkpoint, Given, Layout};
use scorefield::model::{Model, Weights};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Read another project's checkpoint and write it as a model file
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// A checkpoint: a file, a folder that diffusers wrote, or hf:owner/name with the feature hub
    #[arg(value_name = "CHECKPOINT", required_unless_present = "layouts")]
    checkpoint: Option<PathBuf>,
    /// The model file; without it, only what the checkpoint is, is said
    #[arg(short, long = "output", value_name = "MODEL.safetensors")]
    output: Option<PathBuf>,
    /// What the file does not say itself, by that project's own keys
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// List the layouts that are read
    #[arg(long, conflicts_with_all = ["checkpoint", "output"])]
    layouts: bool,
}

impl Import {
    pub(crate) fn run(self, context: &Context) -> Result<Ended> {
        let Some(path) = &self.checkpoint else { return layouts(context) };
        let path = &hub::local(context, path)?;
        if !path.exists() {
            return Err(misuse(format!("{}: no such file or folder; expected a checkpoint", path.display())));
        }
        let given = Given::parse(&self.set).map_err(|pair| misuse(format!("--set {pair}: expected KEY=VALUE")))?;
        if let Some(output) = &self.output {
            writable(path, output)?;
        }
        let found = Checkpoint::open(path, given)?;
        let meta = found.meta();
        let network = meta.network.build(&meta.codec.shape().dims())?;
        if let Some(output) = &self.output {
            // The averages are what is sampled; where there are none, the only weights stand in their place.
            let raw = if found.has_both() { Some(found.params(Weights::Raw, &context.device)?) } else { None };
            found.model(Weights::Ema, &context.device)?.save(output, raw.as_ref())?;
            // What was written is read once: a model file that does not open is worth nothing.
            Model::inspect(output)?;
        }
        let json = json!({
            "checkpoint": path, "layout": found.layout().name(), "output": self.output, "parameters": network.parameters(),
            "shape": meta.codec.shape().dims(), "process": meta.process, "prediction": meta.prediction,
            "time_input": meta.time_input, "raw": found.has_both(), "notes": found.notes(),
        });
        let mut text = format!(
            "{}: {}, {} parameters, {}",
            path.display(),
            found.layout().about(),
            network.parameters(),
            meta.codec.shape()
        );
        found.notes().iter().for_each(|note| text += &format!("\nnote: {note}"));
        match &self.output {
            Some(output) => text += &format!("\nwritten to {}", output.display()),
            None => text += "\nnothing was written; give -o MODEL.safetensors for a model file",
        }
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}

fn layouts(context: &Context) -> Result<Ended> {
    let rows: Vec<_> = Layout::ALL.iter().map(|l| json!({ "layout": l.name(), "about": l.about() })).collect();
    let lines: Vec<String> = Layout::ALL.iter().map(|l| format!("{:<14}{}", l.name(), l.about())).collect();
    context.result(&json!({ "layouts": rows }), &lines.join("\n"))?;
    Ok(Ended::Done)
}

/// The ending tells what is written, and a checkpoint is not written over.
fn writable(checkpoint: &Path, output: &Path) -> Result<()> {
    if output.extension().is_none_or(|e| e != "safetensors") {
        return Err(misuse(format!("{}: expected a name that ends in .safetensors", output.display())));
    }
    let same = |a: &Path, b: &Path| a.canonicalize().ok().zip(b.canonicalize().ok()).is_some_and(|(a, b)| a == b);
    if same(checkpoint, output) || checkpoint.is_dir() && output.parent().is_some_and(|p| same(p, checkpoint)) {
        return Err(misuse(format!("{}: is the checkpoint or lies in its folder; expected another place", output.display())));
    }
    Ok(())
}
