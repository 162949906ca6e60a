//! crowsonkb/k-diffusion: `.pth` of training with the whole configuration, and slim `.safetensors` with it as a metadata text.
//!
//! Preconditioning of Karras et al. 2022 with the `sigma_data` of the configuration; the network takes `ln(sigma) / 4`. With the wrapper
//! for augmentation the names begin with `inner_model.`.

use super::error::Fault;
use super::given::{Given, Needs};
use super::k_diffusion_names::{image_v1, transformer};
use super::plan::{Arrays, Names, Plan};
use super::usual::{Pictures, SYMMETRIC, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Kind, Node};
use scorefield_nn::{AdaGnUNetConfig, HourglassAttention, HourglassConfig, HourglassLevel, NetworkConfig};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use serde_json::{Map, Value};
use std::path::Path;

/// The prefix of the wrapper for augmentation.
const WRAPPER: &str = "inner_model.";

/// Whether a flat dict holds one of the two networks.
pub(crate) fn is_network(root: &Node<'_>) -> bool {
    ["time_emb.weight", "timestep_embed.weight", "inner_model.time_emb.weight", "inner_model.timestep_embed.weight"]
        .iter()
        .any(|name| root.get(name).is_some())
}

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    let root = archive.root();
    let (ema, raw) = match root.get("model_ema") {
        Some(ema) => (Some(unwrapped(ema.arrays()?)), Some(unwrapped(root.need("model")?.arrays()?))),
        None => (Some(unwrapped(archive.arrays()?)), None),
    };
    match (root.get("config").filter(|c| c.kind() == Kind::Dict), archive.metadata().get("config")) {
        (Some(config), _) => given.add(&document(&config, 0)),
        (None, Some(text)) => {
            let value = serde_json::from_str(text)
                .map_err(|e| Fault::new(format!("the text under the metadata key `config`: {e}"), "JSON"))?;
            given.add(&value);
        }
        (None, None) => given.add_beside(path.parent().unwrap_or(Path::new(".")), &["config.json"])?,
    }

    let mut needs = Needs::default();
    // Two sections of the configuration have a type; that of the data set is not the network's.
    let kind = match (given.has("depths"), given.has("widths")) {
        (_, true) => "image_transformer_v2",
        (true, false) => "image_v1",
        _ => needs.take(None, "depths", "its network (the section `model` of its configuration)"),
    };
    let size = needs.take(given.size("input_size")?, "input_size", "the size of its pictures");
    let channels = needs.take(given.count("input_channels")?, "input_channels", "its channels");
    let depths = needs.take(given.numbers("depths")?, "depths", "the layers of each level");
    needs.finish()?;
    let sigma_data = given.number("sigma_data")?.unwrap_or(1.0);
    let (sigma_min, sigma_max) = (given.number("sigma_min")?.unwrap_or(0.01), given.number("sigma_max")?.unwrap_or(80.0));
    for key in ["mapping_cond_dim", "unet_cond_dim", "cross_cond_dim", "skip_stages"] {
        if let Some(found) = given.count(key)?.filter(|n| *n > 0) {
            return Err(Fault::new(format!("{key} = {found}"), "0 (others are not read)"));
        }
    }
    let depths: Vec<usize> = depths.iter().map(|d| *d as usize).collect();
    let (network, names): (NetworkConfig, Names) = if kind == "image_v1" {
        let config = v1(given, depths)?;
        (config.clone().into(), Box::new(move |name, _| image_v1(&config, name)))
    } else {
        (v2(given, &depths)?.into(), Box::new(|name, _| transformer(name)))
    };
    let pictures = Pictures {
        network,
        shape: [channels, size[0], size[1]],
        range: SYMMETRIC,
        process: ProcessConfig::Edm { sigma_min, sigma_max },
        prediction: Prediction::Edm { sigma_data },
        time_input: TimeInput::QuarterLogRatio,
        input: NetworkInput::default(),
        sampling: sampling("dpmpp-2m", "karras", 25),
    };
    Ok(Plan { meta: pictures.meta("k-diffusion"), names, ema, raw, beside: |name| name.ends_with(".kernel"), notes: Vec::new() })
}

fn unwrapped(arrays: Arrays) -> Arrays {
    arrays.into_iter().map(|(name, a)| (name.strip_prefix(WRAPPER).unwrap_or(&name).to_owned(), a)).collect()
}

/// The `model` section for `image_v1`.
fn v1(given: &Given, depths: Vec<usize>) -> Result<AdaGnUNetConfig, Fault> {
    let mut needs = Needs::default();
    let channels = needs.take(given.numbers("channels")?, "channels", "the widths of its levels");
    let mapping_width = needs.take(given.count("mapping_out")?, "mapping_out", "the width of its mapping network");
    let attention = needs.take(given.flags("self_attn_depths")?, "self_attn_depths", "which levels have attention");
    needs.finish()?;
    if given.has("cross_attn_depths") {
        return Err(Fault::new("cross_attn_depths is given", "none: attention to other inputs is not read"));
    }
    Ok(AdaGnUNetConfig {
        mapping_width,
        depths,
        channels: channels.iter().map(|c| *c as usize).collect(),
        attention_levels: (0..attention.len()).filter(|l| attention[*l]).collect(),
        patch_size: given.count("patch_size")?.unwrap_or(1),
        dropout: given.number("dropout_rate")?.unwrap_or(0.0),
        augment: given.flag("augment_wrapper")?.unwrap_or(true),
        variance_channel: given.flag("has_variance")?.unwrap_or(false),
        ..AdaGnUNetConfig::default()
    })
}

/// The `model` section for `image_transformer_v2`.
fn v2(given: &Given, depths: &[usize]) -> Result<HourglassConfig, Fault> {
    let list = |key: &str| given.numbers(key).map(|v| v.unwrap_or_default().iter().map(|x| *x as usize).collect::<Vec<_>>());
    let (widths, hidden) = (list("widths")?, list("d_ffs")?);
    let attention = given.objects("self_attns")?.unwrap_or_default();
    if widths.len() != depths.len() || !hidden.is_empty() && hidden.len() != depths.len() {
        let found = format!("{} depths, {} widths, {} d_ffs", depths.len(), widths.len(), hidden.len());
        return Err(Fault::new(found, "one of each a level"));
    }
    let mut levels = Vec::new();
    for (l, (&width, &depth)) in widths.iter().zip(depths).enumerate() {
        // What the project fills in where the configuration is silent.
        let usual = if l + 1 < depths.len() { "neighborhood" } else { "global" };
        let said = |key: &str| attention.get(l).and_then(|a| a.get(key));
        let count = |key: &str, usual: usize| match said(key) {
            None => Ok(usual),
            Some(v) => v
                .as_u64()
                .filter(|n| *n < 1 << 20)
                .map(|n| n as usize)
                .ok_or_else(|| Fault::new(format!("{key} = {v}"), "a whole number")),
        };
        let attention = match said("type").and_then(Value::as_str).unwrap_or(usual) {
            "global" => HourglassAttention::Global,
            "shifted-window" => HourglassAttention::ShiftedWindow { size: count("window_size", 8)? },
            "neighborhood" => HourglassAttention::Neighbourhood { size: count("kernel_size", 7)? },
            other => {
                let expected = "global, shifted-window or neighborhood (others are not read)";
                return Err(Fault::new(format!("self_attns.type = {other}"), expected));
            }
        };
        let hidden = hidden.get(l).copied();
        levels.push(HourglassLevel { width, depth, hidden, head_channels: count("d_head", 64)?, attention, dropout: 0.0 });
    }
    let patch = given.size("patch_size")?.unwrap_or([1, 1]);
    Ok(HourglassConfig {
        patch,
        levels,
        mapping_width: given.count("mapping_width")?.unwrap_or(256),
        mapping_depth: given.count("mapping_depth")?.unwrap_or(2),
        mapping_hidden: given.count("mapping_d_ff")?,
        classes: given.count("num_classes")?.unwrap_or(0),
        ..HourglassConfig::default()
    })
}

/// A dict of a pickle as JSON.
fn document(node: &Node<'_>, depth: usize) -> Value {
    const DEEPEST: usize = 8;
    if depth > DEEPEST {
        return Value::Null;
    }
    match node.kind() {
        Kind::Dict => Value::Object(node.entries().map(|(k, v)| (k, document(&v, depth + 1))).collect::<Map<_, _>>()),
        Kind::List | Kind::Tuple => node.list().unwrap_or_default().iter().map(|v| document(v, depth + 1)).collect(),
        Kind::Bool => node.as_bool().map_or(Value::Null, Value::Bool),
        Kind::Int => node.as_i64().map_or(Value::Null, Value::from),
        Kind::Float => node.as_f64().map_or(Value::Null, Value::from),
        Kind::Text => node.as_str().map_or(Value::Null, Value::from),
        _ => Value::Null,
    }
}
