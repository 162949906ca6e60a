//! lucidrains/denoising-diffusion-pytorch: `model-N.pt` of its Trainer, `{step, model, opt, ema, scaler, version}`, or the state dict of a
//! `Unet` alone.
//!
//! Widths, heads and levels follow from shapes, and the schedule from the table of rates in the file. What the network predicts and the
//! size of its pictures stand nowhere and have to be said.

use super::error::Fault;
use super::given::{Given, Needs};
use super::lucidrains_names::source;
use super::plan::{Arrays, Plan, shape_of};
use super::usual::{Pictures, SYMMETRIC, UNIT, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Array};
use scorefield_nn::{NetworkConfig, RmsTimeFeatures, RmsUNetConfig};
use scorefield_process::schedule::Betas;
use scorefield_process::{Prediction, Process as _, ProcessConfig, TimeInput};
use std::path::Path;

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    given.add_beside(path.parent().unwrap_or(Path::new(".")), &["config.json"])?;
    let root = archive.root();
    let mut betas = None;
    let (ema, raw) = match root.get("model") {
        None => (None, archive.arrays()?),
        Some(model) => {
            let all = model.arrays()?;
            betas = all.get("betas").map(Array::f64).transpose()?;
            let ema = root.get("ema").map(|ema| ema.arrays()).transpose()?;
            (ema.map(|ema| under("ema_model.model.", &ema)).filter(|ema| !ema.is_empty()), under("model.", &all))
        }
    };
    let mut notes = Vec::new();
    let mut needs = Needs::default();
    let size = needs.take(given.size("image_size")?, "image_size", "the size of its pictures");
    let objective = needs.take(given.text("objective")?, "objective", "what it predicts (pred_v, pred_noise or pred_x0)");
    let asked = "its noise schedule (sigmoid, cosine or linear)";
    let schedule = match &betas {
        Some(_) => String::new(),
        None => needs.take(given.text("beta_schedule")?, "beta_schedule", asked),
    };
    needs.finish()?;
    let process = match &betas {
        Some(betas) => table(betas, given)?,
        None => {
            let mut known = candidates(given.count("timesteps")?.unwrap_or(1000)).into_iter();
            let found = known.find(|(name, _, _)| *name == schedule).map(|(_, process, _)| process);
            found.ok_or_else(|| Fault::new(format!("beta_schedule = {schedule}"), "sigmoid, cosine or linear"))?
        }
    };
    let prediction = match objective.as_str() {
        "pred_v" => Prediction::Velocity,
        "pred_noise" => Prediction::Noise,
        "pred_x0" => Prediction::Clean,
        other => return Err(Fault::new(format!("objective = {other}"), "pred_v, pred_noise or pred_x0")),
    };
    let (config, channels) = network(&raw, given)?;
    if config.self_conditioning {
        notes.push(
            "it was trained to see its own last estimate; here it sees zeros in its place, as in half of its training".into(),
        );
    }
    given.allow(&["dim", "dim_mults", "timesteps", "beta_schedule", "attn_heads", "attn_dim_head", "package_version"]);
    let normalised = given.flag("auto_normalize")?.unwrap_or(true);
    let times = process.build().ok().and_then(|p| p.steps()).unwrap_or(1000);
    let pictures = Pictures {
        network: NetworkConfig::RmsUNet(config.clone()),
        shape: [channels, size[0], size[1]],
        range: if normalised { SYMMETRIC } else { UNIT },
        process,
        prediction,
        time_input: TimeInput::Time { scale: 1.0 },
        input: NetworkInput::default(),
        sampling: sampling("ddim", "trailing", times.min(250)),
    };
    Ok(Plan {
        meta: pictures.meta("denoising-diffusion-pytorch"),
        names: Box::new(move |name, _| source(&config, name)),
        ema,
        raw: Some(raw),
        beside: |_| false,
        notes,
    })
}

/// The tensors whose names begin with a prefix, by the rest.
fn under(prefix: &str, arrays: &Arrays) -> Arrays {
    arrays.iter().filter_map(|(name, a)| Some((name.strip_prefix(prefix)?.to_owned(), a.clone()))).collect()
}

/// The project's own schedules for a number of times.
fn candidates(steps: usize) -> [(&'static str, ProcessConfig, Betas); 3] {
    let scale = 1000.0 / steps.max(1) as f64;
    let (beta_min, beta_max) = (1e-4 * scale, 0.02 * scale);
    let (start, end, tau, clip, offset) = (-3.0, 3.0, 1.0, 0.999, 0.008);
    let zero_terminal_snr = false;
    [
        (
            "sigmoid",
            ProcessConfig::DiscreteSigmoidCumulative { steps, start, end, tau, clip, zero_terminal_snr },
            Betas::SigmoidCumulative { start, end, tau, clip },
        ),
        ("cosine", ProcessConfig::DiscreteCosine { steps, offset, clip, zero_terminal_snr }, Betas::Cosine { offset, clip }),
        (
            "linear",
            ProcessConfig::DiscreteLinear { steps, beta_min, beta_max, zero_terminal_snr },
            Betas::Linear { start: beta_min, end: beta_max },
        ),
    ]
}

/// The schedule whose rates the file has, to single precision; else the rates themselves.
fn table(betas: &[f64], given: &Given) -> Result<ProcessConfig, Fault> {
    let near = |a: &[f64]| a.iter().zip(betas).all(|(a, b)| (a - b).abs() <= 2e-7 * b.abs().max(1e-3));
    let found = candidates(betas.len()).into_iter().find(|(_, _, rates)| near(&rates.table(betas.len())));
    match (found, given.text("beta_schedule")?) {
        (Some((name, _, _)), Some(said)) if said != name => {
            Err(Fault::new(format!("beta_schedule = {said}"), format!("{name}, as the rates in the file have it")))
        }
        (Some((_, process, _)), _) => Ok(process),
        (None, _) => Ok(ProcessConfig::DiscreteBetas { betas: betas.to_vec(), zero_terminal_snr: false }),
    }
}

/// What names and shapes tell of the network, and the channels of its pictures.
fn network(arrays: &Arrays, given: &Given) -> Result<(RmsUNetConfig, usize), Fault> {
    let odd = |found: String| Fault::new(found, "the Unet of denoising-diffusion-pytorch");
    let of = |name: &str, axes: usize| {
        shape_of(arrays, name, axes).ok_or_else(|| odd(format!("`{name}` is missing or has too few axes")))
    };
    let has = |name: &str| arrays.contains_key(name);
    let (dim, features) = (of("time_mlp.1.weight", 2)?[0] / 4, of("time_mlp.1.weight", 2)?[1]);
    let levels = (0..).take_while(|l| has(&format!("downs.{l}.0.block1.proj.weight"))).count();
    if dim == 0 || levels == 0 || levels > 16 {
        return Err(odd(format!("a width of {dim} and {levels} levels")));
    }
    let mut mults = Vec::new();
    let mut full = Vec::new();
    for level in 0..levels {
        let end = if level + 1 < levels { "3.1" } else { "3" };
        let handed = of(&format!("downs.{level}.{end}.weight"), 1)?[0];
        if !handed.is_multiple_of(dim) {
            return Err(odd(format!("level {level} hands on {handed} channels, no multiple of {dim}")));
        }
        mults.push(handed / dim);
        if has(&format!("downs.{level}.2.to_out.weight")) {
            full.push(level);
        }
    }
    // `[2, heads, memory, d]` in the middle, whose attention is always among all pixels.
    let memory = of("mid_attn.mem_kv", 4)?;
    let (stem, out) = (of("init_conv.weight", 2)?, of("final_conv.weight", 1)?[0]);
    let learned = given.flag("learned_variance")?;
    let told = given.flag("self_condition")?;
    let (channels, learned_variance, self_conditioning) = match (stem[1], out, told, learned) {
        (i, o, told, learned) if i == o => match (told, learned) {
            (Some(true), Some(true)) => (i / 2, true, true),
            _ => (i, false, false),
        },
        (i, o, _, _) if o == 2 * i => (i, true, false),
        (i, o, _, _) if i == 2 * o => (o, false, true),
        (i, o, _, _) => return Err(odd(format!("{i} channels in and {o} out"))),
    };
    let time = if has("time_mlp.0.weights") {
        RmsTimeFeatures::Learned { width: features.saturating_sub(1) }
    } else {
        RmsTimeFeatures::Sinusoidal { theta: given.number("sinusoidal_pos_emb_theta")?.unwrap_or(10_000.0) }
    };
    let config = RmsUNetConfig {
        model_channels: dim,
        channel_mult: mults,
        stem_channels: (stem[0] != dim).then_some(stem[0]),
        full_attention_levels: full,
        heads: memory[1],
        head_channels: memory[3],
        time,
        dropout: given.number("dropout")?.unwrap_or(0.0),
        learned_variance,
        self_conditioning,
        ..RmsUNetConfig::default()
    };
    Ok((config, channels))
}
