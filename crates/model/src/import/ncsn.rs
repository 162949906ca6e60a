//! ermongroup/ncsn and ermongroup/ncsnv2: lists `[model, optimiser]` and `[model, optimiser, epoch, step, averages]`.
//!
//! The network of 2019 is told the index of the noise level and gives the score; that of 2020 is told nothing, and its output is
//! divided by the level. Both see `2 x - 1` of pictures in [0, 1]. The levels are a falling geometric list: in the file of 2020 as a
//! buffer, of 2019 nowhere.

use super::error::Fault;
use super::given::{Given, Needs};
use super::ncsn_names::source;
use super::plan::{Arrays, Plan, shape_of};
use super::usual::{Pictures, SYMMETRIC, UNIT, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Node};
use scorefield_nn::{NetworkConfig, RefineNetConfig};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use std::path::Path;

/// The prefix of the parallel wrapper.
const PREFIX: &str = "module.";
const SIGMAS: &str = "sigmas";

/// Whether the list is that of 2020: it keeps the levels, the other one a table in every norm.
pub(crate) fn is_second(model: &Node<'_>) -> bool {
    model.get(&format!("{PREFIX}{SIGMAS}")).is_some()
}

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    given.add_beside(path.parent().unwrap_or(Path::new(".")), &["config.json"])?;
    let root = archive.root();
    let raw = without_prefix(root.need("0")?.arrays()?);
    let ema = match root.get("4") {
        Some(averages) => Some(averages.arrays()?),
        None => None,
    };
    let shape = |name: &str| {
        let fault = || Fault::new(format!("`{PREFIX}{name}` is missing or of an odd shape"), "the network of ncsn or ncsnv2");
        shape_of(&raw, name, 2).map(<[usize]>::to_vec).ok_or_else(fault)
    };
    let stem = shape("begin_conv.weight")?;
    let (width, channels) = (stem[0], stem[1]);
    let second = raw.contains_key(SIGMAS);
    let deeper = raw.contains_key("res5.0.conv1.weight");
    let base = if deeper { RefineNetConfig::ncsnv2_deeper() } else { RefineNetConfig::ncsnv2() };
    let mut config = RefineNetConfig { model_channels: width, ..base };

    let mut needs = Needs::default();
    let size = needs.take(given.size("image_size")?, "image_size", "the size of its pictures");
    let (levels, [sigma_max, sigma_min]) = if second {
        needs.finish()?;
        let sigmas = raw[SIGMAS].f64()?;
        let ends = [sigmas.first().copied().unwrap_or(0.0), sigmas.last().copied().unwrap_or(0.0)];
        geometric(&sigmas)?;
        (sigmas.len(), ends)
    } else {
        let begin = needs.take(given.number("sigma_begin")?, "sigma_begin", "its highest noise level");
        let end = needs.take(given.number("sigma_end")?, "sigma_end", "its lowest noise level");
        needs.finish()?;
        config.noise_levels = shape("normalizer.embed.weight")?[0];
        (config.noise_levels, [begin, end])
    };
    if let Some(said) = given.count("num_classes")?.filter(|n| *n != levels) {
        return Err(Fault::new(format!("num_classes = {said}"), format!("{levels}, as the file has it")));
    }
    if given.flag("logit_transform")?.unwrap_or(false) {
        return Err(Fault::new("logit_transform = true", "false: states that are logits of pixels are not read"));
    }
    let rescaled = given.flag("rescaled")?.unwrap_or(false);
    given.allow(&["ngf", "sigma_begin", "sigma_end", "channels"]);
    let pictures = Pictures {
        network: NetworkConfig::RefineNet(config.clone()),
        shape: [channels, size[0], size[1]],
        range: if rescaled { SYMMETRIC } else { UNIT },
        process: ProcessConfig::Ve { sigma_min, sigma_max },
        prediction: if second { Prediction::Score } else { Prediction::RawScore },
        time_input: if second { TimeInput::Untold } else { TimeInput::Descending { levels } },
        input: NetworkInput { unscaled: true, centred: !rescaled },
        sampling: sampling("annealed-langevin", "log-snr", levels),
    };
    Ok(Plan {
        meta: pictures.meta(if second { "ncsnv2" } else { "ncsn" }),
        names: Box::new(move |name, _| source(&config, name)),
        ema,
        raw: Some(raw),
        beside: |name| name == SIGMAS,
        notes: Vec::new(),
    })
}

fn without_prefix(arrays: Arrays) -> Arrays {
    arrays.into_iter().map(|(name, a)| (name.strip_prefix(PREFIX).unwrap_or(&name).to_owned(), a)).collect()
}

/// A falling list of equal quotients, to single precision.
fn geometric(sigmas: &[f64]) -> Result<(), Fault> {
    let fault = |found: String| Err(Fault::new(found, "noise levels that fall geometrically (others are not read)"));
    let &[first, .., last] = sigmas else { return fault(format!("{} noise levels", sigmas.len())) };
    if !(first > last && last > 0.0 && first.is_finite()) {
        return fault(format!("noise levels from {first} to {last}"));
    }
    let n = (sigmas.len() - 1) as f64;
    let level = |i: usize| first * (last / first).powf(i as f64 / n);
    match (0..sigmas.len()).find(|i| (sigmas[*i] / level(*i) - 1.0).abs() > 1e-4) {
        Some(i) => fault(format!("noise level {i} is {}, not {}", sigmas[i], level(i))),
        None => Ok(()),
    }
}
