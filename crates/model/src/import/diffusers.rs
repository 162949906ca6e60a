//! huggingface diffusers: folders of a `UNet2DModel` and its scheduler.
//!
//! `model_index.json`, `unet/config.json`, `unet/diffusion_pytorch_model.safetensors` (or shards with an index, or `.bin`) and
//! `scheduler/scheduler_config.json`; older ones have all of it in one folder. Keys that a configuration leaves out have the
//! defaults of the library.

use super::diffusers_names::Naming;
use super::diffusers_scheduler::{Schedule, schedule};
use super::error::Fault;
use super::given::{Given, json};
use super::plan::{Arrays, Plan};
use super::usual::{Pictures, SYMMETRIC, UNIT, mult};
use crate::NetworkInput;
use scorefield_archive::Archive;
use scorefield_nn::{
    AttentionPlacement, DownPadding, NetworkConfig, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling, SinCos,
    TimeFeatures, UNetConfig,
};
use scorefield_process::{ProcessConfig, TimeInput};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder: of a pipeline, of a network alone, or flat.
pub(crate) fn of_folder(path: &Path, given: &mut Given) -> Result<Plan, Fault> {
    let inner = path.join("unet");
    let network = if inner.join("config.json").is_file() { inner } else { path.to_owned() };
    let archive = weights(&network)?;
    plan(&network, &archive, given)
}

/// A file of weights whose configuration lies beside it.
pub(crate) fn of_file(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    plan(path.parent().unwrap_or(Path::new(".")), archive, given)
}

/// The weights of a folder, in the order of the library's preference.
fn weights(folder: &Path) -> Result<Archive, Fault> {
    const FILES: [&str; 4] = [
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
        "diffusion_pytorch_model.bin",
        "diffusion_pytorch_model.bin.index.json",
    ];
    let Some(file) = FILES.iter().map(|f| folder.join(f)).find(|p| p.is_file()) else {
        let found = format!("{} has none of {}", folder.display(), FILES.join(", "));
        return Err(Fault::new(found, "a model file, a run folder, or a folder that diffusers wrote"));
    };
    let sharded = file.extension().is_some_and(|e| e == "json");
    Ok(if sharded { scorefield_archive::open_sharded(&file)? } else { scorefield_archive::open(&file)? })
}

/// `scheduler/scheduler_config.json` beside or above the network's folder.
fn scheduler_file(network: &Path) -> Option<PathBuf> {
    let above = network.parent().unwrap_or(network);
    [
        network.join("scheduler_config.json"),
        network.join("scheduler/scheduler_config.json"),
        above.join("scheduler/scheduler_config.json"),
    ]
    .into_iter()
    .find(|p| p.is_file())
}

fn plan(folder: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    let file = folder.join("config.json");
    if !file.is_file() {
        let found = format!("{} has no config.json beside the weights", folder.display());
        return Err(Fault::new(found, "the whole folder: diffusers keeps the network's configuration there"));
    }
    let config = json(&file)?;
    let Schedule { process, prediction, time_input, sampling, learned_range, mut notes } = match scheduler_file(folder) {
        Some(path) => schedule(&json(&path)?)?,
        None => {
            let mut plain = schedule(&Value::Object(Default::default()))?;
            plain.notes.push("no scheduler_config.json: taken to be DDPM's linear table of 1000 times, predicting noise".into());
            plain
        }
    };
    let said = Said(&config);
    let network = network(&said)?;
    if network.learned_variance && !learned_range {
        let found = "config.json: twice as many channels out as in, but the scheduler's variance is fixed";
        return Err(Fault::new(found, "variance_type = \"learned_range\" in scheduler_config.json"));
    }
    let channels = said.count("in_channels", 3)?;
    let size = match given.size("image_size")? {
        Some(size) => size,
        None => said.size()?,
    };
    if config.get("_diffusers_version").is_none() {
        notes.push("config.json does not say which version of diffusers wrote it".into());
    }
    let arrays: Arrays = archive.arrays()?;
    let old_attention = arrays.contains_key("mid_block.attentions.0.query.weight");
    let naming = Naming { old_attention, ..Naming::of(&network) };
    let centred = said.flag("center_input_sample", false)?;
    // The pipeline of exploding models keeps pictures in [0, 1], all others in [-1, 1]. Fourier features are of the logarithm.
    let exploding = matches!(process, ProcessConfig::Ve { .. });
    let fourier = matches!(network.time, TimeFeatures::Fourier { .. });
    if exploding != naming.skips || exploding != fourier {
        let found = "an exploding scheduler, skip blocks or Fourier features without the two others";
        return Err(Fault::new(found, "all three, as in NCSN++, or none"));
    }
    let time_input = if exploding { TimeInput::LogRatio { factor: 1.0 } } else { time_input };
    let pictures = Pictures {
        network: NetworkConfig::UNet(network),
        shape: [channels, size[0], size[1]],
        range: if exploding { UNIT } else { SYMMETRIC },
        process,
        prediction,
        time_input,
        input: NetworkInput { unscaled: exploding, centred },
        sampling,
    };
    Ok(Plan {
        meta: pictures.meta("diffusers"),
        names: Box::new(move |name, _| naming.source(name)),
        ema: None,
        raw: Some(arrays),
        beside: |_| false,
        notes,
    })
}

/// `unet/config.json` with the library's defaults.
struct Said<'a>(&'a Value);

impl Said<'_> {
    fn get<T>(&self, key: &str, expected: &str, usual: T, read: impl Fn(&Value) -> Option<T>) -> Result<T, Fault> {
        match self.0.get(key).filter(|v| !v.is_null()) {
            None => Ok(usual),
            Some(v) => read(v).ok_or_else(|| Fault::new(format!("config.json: {key} = {v}"), format!("{expected} for {key}"))),
        }
    }

    fn count(&self, key: &str, usual: usize) -> Result<usize, Fault> {
        self.get(key, "a whole number", usual, |v| v.as_u64().filter(|n| *n < 1 << 20).map(|n| n as usize))
    }

    fn flag(&self, key: &str, usual: bool) -> Result<bool, Fault> {
        self.get(key, "true or false", usual, Value::as_bool)
    }

    fn text(&self, key: &str, usual: &str) -> Result<String, Fault> {
        self.get(key, "a text", usual.to_owned(), |v| v.as_str().map(str::to_owned))
    }

    fn words(&self, key: &str, usual: &[&str]) -> Result<Vec<String>, Fault> {
        let read = |v: &Value| v.as_array()?.iter().map(|w| w.as_str().map(str::to_owned)).collect();
        self.get(key, "a list of names", usual.iter().map(|w| (*w).to_owned()).collect(), read)
    }

    fn size(&self) -> Result<[usize; 2], Fault> {
        let read = |v: &Value| {
            let side = |v: &Value| v.as_u64().filter(|n| (1..65_536).contains(n)).map(|n| n as usize);
            match v.as_array().map(Vec::as_slice) {
                None => side(v).map(|s| [s; 2]),
                Some([h, w]) => Some([side(h)?, side(w)?]),
                Some(_) => None,
            }
        };
        match self.get("sample_size", "a side or two", None, |v| read(v).map(Some))? {
            Some(size) => Ok(size),
            None => Err(Fault::Needs { about: vec!["the size of its pictures".into()], keys: vec!["image_size".into()] }),
        }
    }

    /// Refuses a key whose value asks for what is not read.
    fn only(&self, key: &str, allowed: &[Value]) -> Result<(), Fault> {
        match self.0.get(key) {
            Some(v) if !v.is_null() && !allowed.contains(v) => {
                let words: Vec<String> = allowed.iter().map(Value::to_string).collect();
                Err(Fault::new(format!("config.json: {key} = {v}"), format!("{} (others are not read)", words.join(" or "))))
            }
            _ => Ok(()),
        }
    }
}

fn network(said: &Said<'_>) -> Result<UNetConfig, Fault> {
    said.only("_class_name", &["UNet2DModel".into()])?;
    said.only("act_fn", &["silu".into(), "swish".into()])?;
    said.only("class_embed_type", &[])?;
    said.only("mid_block_type", &["UNetMidBlock2D".into()])?;
    said.only("time_embedding_type", &["positional".into(), "fourier".into()])?;
    let width = |w: &Value| w.as_u64().filter(|n| *n < 1 << 20).map(|n| n as usize);
    let read = |v: &Value| v.as_array()?.iter().map(width).collect();
    let widths: Vec<usize> = said.get("block_out_channels", "a list of widths", vec![224, 448, 672, 896], read)?;
    let Some(&base) = widths.first().filter(|w| **w > 0) else {
        return Err(Fault::new("config.json: no block_out_channels", "a width for each level"));
    };
    let down = said.words("down_block_types", &["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"])?;
    let up = said.words("up_block_types", &["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"])?;
    let levels = widths.len();
    if down.len() != levels || up.len() != levels {
        let found = format!("config.json: {levels} widths, {} blocks down, {} up", down.len(), up.len());
        return Err(Fault::new(found, "as many of each"));
    }
    let skips = down.iter().all(|d| d.contains("Skip"));
    let attends = |way: &str, found: &str| {
        let kind = if skips { "Skip" } else { "" };
        let names = [format!("{kind}{way}Block2D"), format!("Attn{kind}{way}Block2D")];
        match names.iter().position(|n| n == found) {
            Some(i) => Ok(i == 1),
            None => {
                let expected = format!("{} (others are not read)", names.join(" or "));
                Err(Fault::new(format!("config.json: a block of type {found}"), expected))
            }
        }
    };
    let attention_down = down.iter().map(|d| attends("Down", d)).collect::<Result<Vec<_>, _>>()?;
    let attention_up = up.iter().rev().map(|u| attends("Up", u)).collect::<Result<Vec<_>, _>>()?;
    if attention_down != attention_up {
        return Err(Fault::new("config.json: attention at other levels on the way up than on the way down", "the same levels"));
    }

    // Only the blocks with attention heed the type of resampling; the deepest level has no way down, the highest none up.
    let resnet = |key: &str, with: &[bool]| -> Result<Vec<bool>, Fault> {
        let block = said.text(key, "conv")? == "resnet";
        Ok(with.iter().map(|attends| block && *attends).collect())
    };
    let ways =
        [&resnet("downsample_type", &attention_down[..levels - 1])?[..], &resnet("upsample_type", &attention_up[1..])?[..]]
            .concat();
    let block = ways.first().copied().unwrap_or(false);
    if ways.iter().any(|w| *w != block) {
        return Err(Fault::new("config.json: resampling in residual blocks at some levels only", "the same at all levels"));
    }

    let factor = said.get("mid_block_scale_factor", "a number", 1.0, Value::as_f64)?;
    if skips {
        return skip_blocks(said, &widths, &attention_down, factor);
    }
    if factor != 1.0 {
        return Err(Fault::new(format!("config.json: mid_block_scale_factor = {factor}"), "1 beside blocks without skips"));
    }
    said.only("time_embedding_type", &["positional".into()])?;
    let groups = said.count("norm_num_groups", 32)?;
    let scale_shift = match said.text("resnet_time_scale_shift", "default")?.as_str() {
        "default" => false,
        "scale_shift" => true,
        other => return Err(Fault::new(format!("config.json: resnet_time_scale_shift = \"{other}\""), "default or scale_shift")),
    };
    let mid_groups = said.get("attn_norm_num_groups", "a whole number", None, |v| v.as_u64().map(|n| Some(n as usize)))?;
    let mid_attention = said.flag("add_attention", true)?;
    if mid_attention && (mid_groups.is_some_and(|g| g != groups) || (mid_groups.is_none() && scale_shift)) {
        let found = format!("config.json: attn_norm_num_groups = {mid_groups:?} beside norm_num_groups = {groups}");
        return Err(Fault::new(found, "the same number of groups in the attention of the middle"));
    }
    let (inputs, outputs) = (said.count("in_channels", 3)?, said.count("out_channels", 3)?);
    if outputs != inputs && outputs != 2 * inputs {
        return Err(Fault::new(format!("config.json: {inputs} channels in and {outputs} out"), "as many, or twice as many out"));
    }
    let endpoint = match said.get("freq_shift", "a number", 0.0, Value::as_f64)? {
        0.0 => false,
        1.0 => true,
        other => return Err(Fault::new(format!("config.json: freq_shift = {other}"), "0 or 1")),
    };
    let cos_first = said.flag("flip_sin_to_cos", true)?;
    let order = if cos_first { SinCos::CosFirst } else { SinCos::SinFirst };
    let embedding = said.count("time_embedding_dim", 4 * base)?;
    if !embedding.is_multiple_of(base) {
        return Err(Fault::new(format!("config.json: time_embedding_dim = {embedding}"), format!("a multiple of {base}")));
    }
    let heads = match said.0.get("attention_head_dim") {
        Some(Value::Null) => None,
        _ => Some(said.count("attention_head_dim", 8)?),
    };
    Ok(UNetConfig {
        model_channels: base,
        channel_mult: widths.iter().map(|w| mult(*w, base)).collect(),
        blocks: said.count("layers_per_block", 2)?,
        attention_levels: (0..levels).filter(|l| attention_down[*l]).collect(),
        mid_attention,
        head_channels: heads,
        resampling: if block { Resampling::Block } else { Resampling::Conv },
        down_padding: if said.count("downsample_padding", 1)? == 0 { DownPadding::BottomRight } else { DownPadding::Symmetric },
        scale_shift,
        groups,
        group_width: 1,
        norm_eps: said.get("norm_eps", "a number", 1e-5, Value::as_f64)?,
        dropout: said.get("dropout", "a number", 0.0, Value::as_f64)?,
        time: TimeFeatures::Sinusoidal { order, endpoint, scale: 1.0 },
        embedding_mult: embedding / base,
        classes: said.count("num_class_embeds", 0)?,
        learned_variance: outputs != inputs,
        ..UNetConfig::default()
    })
}

/// The NCSN++ of Song et al. 2021 in the library's blocks. Their attention has 32 groups whatever the width.
fn skip_blocks(said: &Said<'_>, widths: &[usize], attention: &[bool], factor: f64) -> Result<UNetConfig, Fault> {
    said.only("time_embedding_type", &["fourier".into()])?;
    said.only("resnet_time_scale_shift", &["default".into()])?;
    said.only("norm_num_groups", &[])?;
    said.only("num_class_embeds", &[])?;
    said.only("attention_head_dim", &[])?;
    let same = |a: f64| (factor - a).abs() < 1e-6;
    if !same(std::f64::consts::SQRT_2) && !same(1.0) {
        return Err(Fault::new(format!("config.json: mid_block_scale_factor = {factor}"), "1 or the root of two"));
    }
    Ok(UNetConfig {
        model_channels: widths[0],
        channel_mult: widths.iter().map(|w| mult(*w, widths[0])).collect(),
        blocks: said.count("layers_per_block", 2)?,
        attention_levels: (0..widths.len()).filter(|l| attention[*l]).collect(),
        attention_placement: AttentionPlacement::LastBlock,
        attention_groups: Some(32),
        mid_attention: said.flag("add_attention", true)?,
        mid_rescale: same(1.0).then_some(false),
        filter: ResampleFilter::Fir,
        resample_skip_conv: true,
        skip_rescale: true,
        progressive_input: ProgressiveInput::Skip,
        progressive_output: ProgressiveOutput::Skip,
        scale_shift: false,
        norm_eps: said.get("norm_eps", "a number", 1e-5, Value::as_f64)?,
        dropout: said.get("dropout", "a number", 0.0, Value::as_f64)?,
        time: TimeFeatures::Fourier { scale: 16.0, frequency_first: false },
        ..UNetConfig::default()
    })
}
