//! Models from what the command line names.

use crate::context::Context;
use crate::failure::misuse;
use crate::hub;
use anyhow::Result;
use scorefield::model::{Model, Weights};
use std::path::Path;

/// A model from a file or a run folder, for what gives it nothing but states, times and classes.
pub(crate) fn load(context: &Context, path: &Path, weights: Weights) -> Result<Model> {
    let model = load_any(context, path, weights)?;
    match &model.meta().condition {
        None => Ok(model),
        Some(condition) => Err(misuse(format!(
            "{}: a model that is given {} with every example (data.condition = {}); expected a model without a condition: it can be sampled \
             by sample --condition and asked by solve --condition, and nothing else yet",
            path.display(),
            condition.codec.shape(),
            condition.source
        ))),
    }
}

/// A model from a file or a run folder, with a condition or without.
pub(crate) fn load_any(context: &Context, path: &Path, weights: Weights) -> Result<Model> {
    let path = &hub::local(context, path)?;
    if !path.exists() {
        return Err(misuse(format!(
            "{}: no such file or folder; expected a model file, a run folder or another project's checkpoint",
            path.display()
        )));
    }
    Ok(Model::load(path, weights, &context.device)?.in_precision(context.precision))
}
