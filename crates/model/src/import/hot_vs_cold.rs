//! Yichizz/hot_vs_cold_diffusion: the state dict of its DDPM, the network under `gt.`, the tables `beta_t` and `alpha_t` beside it.
//!
//! Times run from 0 to `n_T`, so the table has one rate more than there are steps, and `alpha_t` is the product of `1 - beta_j` over
//! all `j` up to and with `t`. The network is told `t / n_T` and predicts the noise of pictures in [-0.5, 0.5]. Widths and the size of
//! the pictures follow from shapes.

use super::error::Fault;
use super::given::Given;
use super::plan::{Arrays, Plan, Source};
use super::usual::{Pictures, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Array, Node};
use scorefield_nn::{ConvStackConfig, NetworkConfig};
use scorefield_process::schedule::Betas;
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use std::path::Path;

/// The network's place in the whole model.
const PREFIX: &str = "gt.";
const TABLES: [&str; 2] = ["beta_t", "alpha_t"];
const CENTRED: [f64; 2] = [-0.5, 0.5];

/// Whether these are its names, with the prefix or without.
pub(crate) fn is_model(root: &Node<'_>) -> bool {
    let has = |name: &str| root.get(&format!("{PREFIX}{name}")).or_else(|| root.get(name)).is_some();
    has("blocks.0.net.0.weight") && has("time_embed.0.weight")
}

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    given.add_beside(path.parent().unwrap_or(Path::new(".")), &["config.json"])?;
    let arrays: Arrays =
        archive.arrays()?.into_iter().map(|(name, a)| (name.strip_prefix(PREFIX).unwrap_or(&name).to_owned(), a)).collect();
    let process = process(&arrays)?;
    let steps = match &process {
        ProcessConfig::DiscreteBetas { betas, .. } => betas.len(),
        ProcessConfig::DiscreteLinear { steps, .. } => *steps,
        _ => unreachable!("a table of rates"),
    };
    let (config, shape) = network(&arrays)?;
    let pictures = Pictures {
        network: NetworkConfig::ConvStack(config.clone()),
        shape,
        range: CENTRED,
        process,
        prediction: Prediction::Noise,
        time_input: TimeInput::Time { scale: 1.0 / (steps - 1) as f64 },
        input: NetworkInput::default(),
        // More steps look no better; without noise strokes come out thicker and less like digits.
        sampling: sampling("ddim:eta=1", "trailing", 60),
    };
    Ok(Plan {
        meta: pictures.meta("hot_vs_cold_diffusion"),
        names: Box::new(move |name, _| source(&config, name)),
        ema: None,
        raw: Some(arrays),
        beside: |name| TABLES.contains(&name),
        notes: Vec::new(),
    })
}

/// Linear rates where the table has them to single precision, else the table; their products must be those of the file.
fn process(arrays: &Arrays) -> Result<ProcessConfig, Fault> {
    let table = |name: &str| {
        let found =
            arrays.get(name).ok_or_else(|| Fault::new(format!("no `{name}`"), "the tables `beta_t` and `alpha_t` of a DDPM"))?;
        Ok::<_, Fault>(found.f64()?)
    };
    let (betas, products) = (table(TABLES[0])?, table(TABLES[1])?);
    let &[start, .., end] = &betas[..] else {
        return Err(Fault::new(format!("`beta_t` of {} rates", betas.len()), "at least two"));
    };
    let mut product = 1.0;
    let kept = betas.iter().map(|b| {
        product *= 1.0 - b;
        product
    });
    let near = |(kept, said): (f64, &f64)| (kept - said).abs() <= 1e-4 * kept.abs();
    if products.len() != betas.len() || !kept.zip(&products).all(near) {
        let expected = "the products of 1 - beta_j up to and with each time, as a DDPM has them (other processes are not read)";
        return Err(Fault::new("`alpha_t` that does not follow from `beta_t`", expected));
    }
    // The ends of the file are rounded; the numbers they were rounded from are short.
    let short = |v: f64| (v * 1e6).round() / 1e6;
    let (beta_min, beta_max, steps, zero_terminal_snr) = (short(start), short(end), betas.len(), false);
    let linear = Betas::Linear { start: beta_min, end: beta_max }.table(steps);
    if linear.iter().zip(&betas).all(|(a, b)| (a - b).abs() <= 2e-7 * b.abs().max(1e-3)) {
        return Ok(ProcessConfig::DiscreteLinear { steps, beta_min, beta_max, zero_terminal_snr });
    }
    Ok(ProcessConfig::DiscreteBetas { betas, zero_terminal_snr })
}

/// What names and shapes tell of the network, and the shape of its pictures.
fn network(arrays: &Arrays) -> Result<(ConvStackConfig, [usize; 3]), Fault> {
    let of = |name: &str, axes: usize| {
        let shape = arrays.get(name).map(Array::shape).filter(|s| s.len() == axes && !s.contains(&0));
        shape.ok_or_else(|| {
            Fault::new(format!("`{name}` is missing or has not {axes} axes"), "the network of hot_vs_cold_diffusion")
        })
    };
    let first = of("blocks.0.net.0.weight", 4)?;
    let blocks = (0..).take_while(|i| arrays.contains_key(&format!("blocks.{i}.net.0.weight"))).count();
    let layers = (0..).take_while(|i| arrays.contains_key(&format!("time_embed.{}.weight", 2 * i))).count();
    let channels = (0..blocks).map(|i| Ok(of(&format!("blocks.{i}.net.0.weight"), 4)?[0])).collect::<Result<_, Fault>>()?;
    let (norm, last) = (of("blocks.0.net.1.weight", 3)?, of(&format!("blocks.{blocks}.weight"), 4)?);
    let config = ConvStackConfig {
        channels,
        kernel: first[2],
        last_kernel: last[2],
        frequencies: of("frequencies", 1)?[0],
        time_width: of("time_embed.0.weight", 2)?[0],
        time_depth: layers.saturating_sub(1),
    };
    Ok((config, [first[1], norm[1], norm[2]]))
}

/// Where the numbers of one of our parameters are.
fn source(config: &ConvStackConfig, name: &str) -> Option<Source> {
    let theirs = match name.split('.').collect::<Vec<_>>()[..] {
        ["embed", "frequencies"] => "frequencies".to_owned(),
        ["embed", layer, e] => {
            let layer: usize = layer.strip_prefix("linear")?.parse().ok()?;
            format!("time_embed.{}.{e}", 2 * layer)
        }
        ["block", i, "conv", e] => format!("blocks.{i}.net.0.{e}"),
        ["block", i, "norm", e] => format!("blocks.{i}.net.1.{e}"),
        ["last", e] => format!("blocks.{}.{e}", config.channels.len()),
        _ => return None,
    };
    Source::same(theirs)
}
