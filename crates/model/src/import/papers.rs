//! BrianPulfer/PapersReimplementations: the state dict of its DDPM, the network under `network.`.
//!
//! Three levels under names of their own. The rates are nowhere in the file; they are Ho et al. 2020's for as many times as the table of
//! times has rows, unless they are given. The network is told the whole time and predicts the noise of pictures in [-1, 1].

use super::error::Fault;
use super::given::Given;
use super::plan::{Arrays, Plan, Source};
use super::usual::{Pictures, SYMMETRIC, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Array, Node};
use scorefield_nn::{LayerNormUNetConfig, NetworkConfig};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use std::path::Path;

/// The network's place in the whole model.
const PREFIX: &str = "network.";
const LEVELS: usize = 3;
/// The norm that the last block has and does not use.
const UNUSED: &str = "b_out.2.ln.";

/// Whether these are its names, with the prefix or without.
pub(crate) fn is_model(root: &Node<'_>) -> bool {
    let has = |name: &str| root.get(&format!("{PREFIX}{name}")).or_else(|| root.get(name)).is_some();
    has("te_mid.0.weight") && has("b_mid.0.ln.weight")
}

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    given.add_beside(path.parent().unwrap_or(Path::new(".")), &["config.json"])?;
    let arrays: Arrays =
        archive.arrays()?.into_iter().map(|(name, a)| (name.strip_prefix(PREFIX).unwrap_or(&name).to_owned(), a)).collect();
    let (config, shape) = network(&arrays)?;
    let steps = config.times;
    if let Some(said) = given.count("n_steps")?.filter(|n| *n != steps) {
        return Err(Fault::new(format!("n_steps = {said}"), format!("{steps}, the rows of `time_embed.weight`")));
    }
    let (beta_min, beta_max) = (given.number("min_beta")?.unwrap_or(1e-4), given.number("max_beta")?.unwrap_or(0.02));
    let pictures = Pictures {
        network: NetworkConfig::LayerNormUNet(config),
        shape,
        range: SYMMETRIC,
        process: ProcessConfig::DiscreteLinear { steps, beta_min, beta_max, zero_terminal_snr: false },
        prediction: Prediction::Noise,
        time_input: TimeInput::Time { scale: 1.0 },
        input: NetworkInput::default(),
        // Without the bound nearly every sample drifts to all black or all white.
        sampling: sampling("ddim:eta=1,clip=1", "trailing", 100),
    };
    let note = "its first operation is a layer norm of the whole picture, so it sees neither the mean nor the contrast of what it \
                denoises: the grey of a sample as a whole is left to \
                chance. `sample --clip 1` keeps most backgrounds black";
    Ok(Plan {
        meta: pictures.meta("PapersReimplementations"),
        names: Box::new(|name, _| source(name)),
        ema: None,
        raw: Some(arrays),
        beside: |name| name.starts_with(UNUSED),
        notes: vec![note.to_owned()],
    })
}

/// What shapes tell of the network, and the shape of its pictures.
fn network(arrays: &Arrays) -> Result<(LayerNormUNetConfig, [usize; 3]), Fault> {
    let of = |name: &str, axes: usize| {
        let shape = arrays.get(name).map(Array::shape).filter(|s| s.len() == axes && !s.contains(&0));
        shape.ok_or_else(|| {
            Fault::new(format!("`{name}` is missing or has not {axes} axes"), "the U-Net of PapersReimplementations")
        })
    };
    let (norm, table) = (of("b1.0.ln.weight", 3)?, of("time_embed.weight", 2)?);
    let width = |block: &str| Ok::<_, Fault>(of(&format!("{block}.0.conv1.weight"), 4)?[0]);
    let config = LayerNormUNetConfig {
        channels: vec![width("b1")?, width("b2")?, width("b3")?],
        mid_channels: width("b_mid")?,
        times: table[0],
        time_width: table[1],
    };
    Ok((config, [norm[0], norm[1], norm[2]]))
}

/// Where the numbers of one of our parameters are.
fn source(name: &str) -> Option<Source> {
    let parts: Vec<&str> = name.split('.').collect();
    // The end of the names of a place, and the rest of ours.
    let (end, rest) = match parts[..] {
        ["embed", "table"] => return Source::same("time_embed.weight"),
        ["last", e] => return Source::same(format!("conv_out.{e}")),
        ["mid", ref rest @ ..] => ("_mid".to_owned(), rest),
        ["down", level, ref rest @ ..] => (number(level)?.to_string(), rest),
        // Counted on from the deepest.
        ["up", "0", "double", e] => return turned("up3".to_owned(), e),
        ["up", "0", ref rest @ ..] => ("_out".to_owned(), rest),
        ["up", level, ref rest @ ..] => ((2 * LEVELS + 1 - number(level)?).to_string(), rest),
        _ => return None,
    };
    let layer = |name: &str| name.chars().last()?.to_digit(10);
    let deepest = parts.get(1) == Some(&"2");
    match *rest {
        ["time", linear, e] => Source::same(format!("te{end}.{}.{e}", 2 * layer(linear)?)),
        [i, "norm", e] => Source::same(format!("b{end}.{i}.ln.{e}")),
        [i, conv, e] if conv.starts_with("conv") => Source::same(format!("b{end}.{i}.conv{}.{e}", layer(conv)? + 1)),
        ["shrink", e] => Source::same(format!("down{end}.0.{e}")),
        ["halve", e] if deepest => Source::same(format!("down{end}.2.{e}")),
        ["halve", e] => Source::same(format!("down{end}.{e}")),
        ["double", e] if deepest => turned("up1.0".to_owned(), e),
        ["grow", e] => turned("up1.2".to_owned(), e),
        ["double", e] => turned("up2".to_owned(), e),
        _ => None,
    }
}

/// Counted from one.
fn number(level: &str) -> Option<usize> {
    level.parse::<usize>().ok().filter(|l| *l < LEVELS).map(|l| l + 1)
}

/// A layer of a transposed convolution.
fn turned(layer: String, end: &str) -> Option<Source> {
    let name = format!("{layer}.{end}");
    Some(if end == "weight" { Source::Turned(name) } else { Source::Same(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Up levels are counted on from the deepest: 4, 5 and `out`.
    #[test]
    fn names() {
        for (ours, theirs) in [
            ("down.0.time.linear1.bias", "te1.2.bias"),
            ("down.2.1.conv0.weight", "b3.1.conv1.weight"),
            ("down.1.halve.weight", "down2.weight"),
            ("mid.2.norm.bias", "b_mid.2.ln.bias"),
            ("up.2.time.linear0.weight", "te4.0.weight"),
            ("up.2.grow.bias", "up1.2.bias"),
            ("up.1.0.conv1.bias", "b5.0.conv2.bias"),
            ("up.0.double.bias", "up3.bias"),
            ("up.0.2.conv1.weight", "b_out.2.conv2.weight"),
        ] {
            assert_eq!(source(ours), Source::same(theirs), "{ours}");
        }
        assert_eq!(source("up.1.double.weight"), Some(Source::Turned("up2.weight".into())));
        assert_eq!(source("down.3.halve.weight"), None);
    }
}
