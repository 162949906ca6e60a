//! `export`: a model as another project's files.

use super::sample::{can_be_written, load};
use crate::context::Context;
use crate::failure::Ended;
use anyhow::Result;
use clap::{Args, ValueEnum};
use scorefield::model::Weights;
use scorefield::model::export::{self, ExportError};
use serde_json::json;
use std::path::PathBuf;

/// Write a model as another project's files, where that project can express it
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// A model file, a run folder or a checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Whose files: diffusers is a folder that its pipelines load
    #[arg(long = "as", value_enum, value_name = "LAYOUT")]
    layout: Layout,
    /// The weights as the optimiser left them, not their average
    #[arg(long)]
    raw: bool,
    /// The folder that is written; nothing of that name may exist
    #[arg(short, long = "output", value_name = "FOLDER")]
    output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Layout {
    Diffusers,
}

impl Export {
    pub(crate) fn run(&self, context: &Context) -> Result<Ended> {
        // Before a large model is read.
        if self.output.symlink_metadata().is_ok() {
            return Err(ExportError::Exists { path: self.output.clone() }.into());
        }
        can_be_written(&self.output)?;
        let model = load(context, &self.model, if self.raw { Weights::Raw } else { Weights::Ema })?;
        let written = match self.layout {
            Layout::Diffusers => export::diffusers(&model, &self.output)?,
        };
        let json = json!({ "folder": self.output, "layout": written.layout, "tensors": written.tensors });
        let text = format!("{}: {} tensors as {} has them", self.output.display(), written.tensors, written.layout);
        context.result(&json, &text)?;
        Ok(Ended::Done)
    }
}
