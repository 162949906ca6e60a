//! openai/improved-diffusion and openai/guided-diffusion: an ordered dict of the tensors of a `UNetModel`, and nothing else.
//!
//! Widths, blocks, levels with attention, classes, a learned variance and the kind of resampling follow from names and shapes. What
//! leaves no trace there has to be said, by the projects' own flags: the size of the pictures, the number of heads and their order in
//! the joint map, the noise schedule. A flag that contradicts the shapes is refused.

use super::error::Fault;
use super::given::{Given, Needs};
use super::openai_names::source;
use super::plan::{Arrays, Plan, shape_of};
use super::usual::{Pictures, SYMMETRIC, mult, sampling};
use crate::NetworkInput;
use scorefield_archive::Archive;
use scorefield_nn::{NetworkConfig, QkvPacking, Resampling, TimeFeatures, UNetConfig};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use std::path::Path;

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    given.add_beside(path.parent().unwrap_or(Path::new(".")), &["flags.json", "config.json"])?;
    let arrays = archive.arrays()?;
    let shapes = Shapes(&arrays);
    let mut notes = Vec::new();
    let mut needs = Needs::default();

    let size = needs.take(given.size("image_size")?, "image_size", "the size of its pictures");
    let heads = given.count("num_heads")?;
    let head_channels =
        given.text("num_head_channels").ok().flatten().and_then(|t| t.parse().ok()).or(given.number("num_head_channels")?);
    let head_channels = head_channels.filter(|n| *n >= 1.0).map(|n| n as usize);
    if head_channels.is_none() {
        needs.take(heads, "num_heads", "the number of heads of its attention");
    }
    let new_order = match given.flag("use_new_attention_order")? {
        // Only guided-diffusion has the flag; the other's attention is in the old order.
        None if given.text("_project")?.as_deref() == Some("improved-diffusion") => false,
        None if head_channels.is_none() && heads == Some(1) => false,
        order => {
            needs.take(order, "use_new_attention_order", "the order of heads in its attention (false for improved-diffusion)")
        }
    };
    let schedule = needs.take(given.text("noise_schedule")?, "noise_schedule", "its noise schedule (linear or cosine)");
    needs.finish()?;

    let mut config = shapes.network()?;
    config.heads = heads.unwrap_or(1);
    config.head_channels = head_channels;
    if let Some(up) = given.number("num_heads_upsample")?.filter(|n| *n >= 1.0)
        && head_channels.is_none()
        && up as usize != config.heads
    {
        return Err(Fault::new(
            format!("num_heads_upsample = {up} beside num_heads = {}", config.heads),
            "the same number of heads on both ways",
        ));
    }
    let channels = shapes.of("input_blocks.0.0.weight")?[1];
    contradiction(given, &config, channels)?;

    let steps = match given.count("diffusion_steps")? {
        Some(steps) => steps,
        None => {
            notes.push("diffusion_steps was not said: taken to be 1000".into());
            1000
        }
    };
    let scale = 1000.0 / steps.max(1) as f64;
    let process = match schedule.as_str() {
        "linear" => {
            ProcessConfig::DiscreteLinear { steps, beta_min: 1e-4 * scale, beta_max: 0.02 * scale, zero_terminal_snr: false }
        }
        "cosine" => ProcessConfig::DiscreteCosine { steps, offset: 0.008, clip: 0.999, zero_terminal_snr: false },
        other => return Err(Fault::new(format!("noise_schedule = {other}"), "linear or cosine")),
    };
    let prediction = if given.flag("predict_xstart")?.unwrap_or(false) { Prediction::Clean } else { Prediction::Noise };
    let rescaled = given.flag("rescale_timesteps")?.unwrap_or(false);
    let pictures = Pictures {
        network: NetworkConfig::UNet(config.clone()),
        shape: [channels, size[0], size[1]],
        range: SYMMETRIC,
        process,
        prediction,
        time_input: TimeInput::Time { scale: if rescaled { scale } else { 1.0 } },
        input: NetworkInput::default(),
        sampling: sampling("ddpm", "linspace", 250.min(steps)),
    };
    let packing = if new_order { QkvPacking::Parts } else { QkvPacking::HeadsThenParts };
    Ok(Plan {
        meta: pictures.meta("openai"),
        names: Box::new(move |name, shape| source(&config, packing, name, shape)),
        ema: None,
        raw: Some(arrays),
        beside: |_| false,
        notes,
    })
}

/// Flags that shapes answer already must agree with them.
fn contradiction(given: &Given, config: &UNetConfig, channels: usize) -> Result<(), Fault> {
    let differs = |key: &str, said: String, found: String| {
        if said == found {
            Ok(())
        } else {
            Err(Fault::new(format!("{key} = {said}"), format!("{found}, as the shapes of the tensors have it")))
        }
    };
    for (key, found) in [("num_channels", config.model_channels), ("num_res_blocks", config.blocks)] {
        if let Some(said) = given.count(key)? {
            differs(key, said.to_string(), found.to_string())?;
        }
    }
    let flags = [
        ("use_scale_shift_norm", config.scale_shift),
        ("resblock_updown", config.resampling == Resampling::Block),
        ("learn_sigma", config.learned_variance),
        ("class_cond", config.classes > 0),
    ];
    for (key, found) in flags {
        // A net of one level has no resampling to tell.
        let told = key != "resblock_updown" || config.levels() > 1;
        if let Some(said) = given.flag(key)?.filter(|_| told) {
            differs(key, said.to_string(), found.to_string())?;
        }
    }
    if let Some(said) = given.numbers("channel_mult")?.filter(|m| !m.is_empty()) {
        differs("channel_mult", format!("{said:?}"), format!("{:?}", config.channel_mult))?;
    }
    if let Some(said) = given.count("in_channels")? {
        differs("in_channels", said.to_string(), channels.to_string())?;
    }
    // Which levels have attention is certain from the names; the rest is for training.
    given.allow(&["attention_resolutions", "dropout", "use_kl", "rescale_learned_sigmas", "use_checkpoint", "use_fp16"]);
    given.allow(&["timestep_respacing", "sigma_small"]);
    Ok(())
}

/// What names and shapes tell.
struct Shapes<'a>(&'a Arrays);

impl Shapes<'_> {
    fn of(&self, name: &str) -> Result<&[usize], Fault> {
        shape_of(self.0, name, 1)
            .ok_or_else(|| Fault::new(format!("`{name}` is missing or of an odd shape"), "a tensor of a UNetModel"))
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn network(&self) -> Result<UNetConfig, Fault> {
        let base = *self.of("time_embed.0.weight")?.get(1).unwrap_or(&0);
        let width = self.of("time_embed.0.weight")?[0];
        let odd = |what: &str| Fault::new(what, "a UNetModel of improved-diffusion or guided-diffusion");
        if base == 0 || !width.is_multiple_of(base) {
            return Err(odd("time_embed.0.weight of an odd shape"));
        }
        let count = (0..).take_while(|k| self.has(&format!("output_blocks.{k}.0.in_layers.0.weight"))).count();
        // The last block of each level but the highest ends with a resampling, behind the attention if there is one.
        let ends: Vec<usize> = (0..count).filter(|k| self.upsamples(*k).is_some()).collect();
        let levels = ends.len() + 1;
        if count == 0 || !count.is_multiple_of(levels) || count / levels < 2 {
            return Err(odd(&format!("{count} output blocks, {} of which double the size", ends.len())));
        }
        let per_level = count / levels;
        let mut widths = Vec::new();
        let mut attention_levels = Vec::new();
        for level in 0..levels {
            let last = (levels - level) * per_level - 1;
            widths.push(self.of(&format!("output_blocks.{last}.0.out_layers.3.weight"))?[0]);
            if self.has(&format!("output_blocks.{last}.1.qkv.weight")) {
                attention_levels.push(level);
            }
        }
        let first = self.of("input_blocks.0.0.weight")?;
        let out = self.of("out.2.weight")?[0];
        let &[stem, inputs, ..] = first else { return Err(odd("input_blocks.0.0.weight of an odd shape")) };
        if out != inputs && out != 2 * inputs {
            return Err(odd(&format!("{inputs} channels in and {out} out")));
        }
        let told = self.of("input_blocks.1.0.emb_layers.1.weight")?[0];
        let inner = self.of("input_blocks.1.0.out_layers.3.weight")?[0];
        let block = ends.first().is_some_and(|k| self.upsamples(*k) == Some(true));
        Ok(UNetConfig {
            model_channels: base,
            channel_mult: widths.iter().map(|w| mult(*w, base)).collect(),
            stem_channels: (stem != base).then_some(stem),
            blocks: per_level - 1,
            attention_levels,
            resampling: if block { Resampling::Block } else { Resampling::Conv },
            scale_shift: told == 2 * inner,
            group_width: 1,
            time: TimeFeatures::adm(),
            embedding_mult: width / base,
            classes: if self.has("label_emb.weight") { self.of("label_emb.weight")?[0] } else { 0 },
            learned_variance: out == 2 * inputs,
            ..UNetConfig::default()
        })
    }

    /// Whether output block `k` ends with a doubling of the size, and if so whether by a residual block.
    fn upsamples(&self, k: usize) -> Option<bool> {
        (1..3).find_map(|module| {
            let place = format!("output_blocks.{k}.{module}");
            if self.has(&format!("{place}.conv.weight")) {
                Some(false)
            } else {
                self.has(&format!("{place}.in_layers.0.weight")).then_some(true)
            }
        })
    }
}
