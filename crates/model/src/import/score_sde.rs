//! yang-song/score_sde_pytorch: `{optimizer, model, ema: {decay, num_updates, shadow_params}, step}`.
//!
//! `shadow_params` is a list without names: entry `i` belongs to the `i`-th trained parameter in the order of the model's state dict,
//! the noise levels and the frozen frequencies left out. The configuration is a program of that project and not in the file; its entries
//! have to be said.

use super::error::Fault;
use super::given::{Given, Needs};
use super::plan::{Arrays, Plan, shape_of};
use super::score_sde_names::Modules;
use super::usual::{Pictures, SYMMETRIC, UNIT, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Node};
use scorefield_nn::{
    AttentionPlacement, DownPadding, NetworkConfig, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling,
    TimeFeatures, UNetConfig,
};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};
use std::path::Path;

const SIGMAS: &str = "module.sigmas";
const FREQUENCIES: &str = "module.all_modules.0.W";

pub(crate) fn plan(path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
    given.add_beside(path.parent().unwrap_or(Path::new(".")), &["config.json"])?;
    let root = archive.root();
    let model = root.need("model")?;
    let raw = model.arrays()?;
    let ema = averaged(&model, &root.need("ema")?.need("shadow_params")?)?;

    let mut needs = Needs::default();
    let size = needs.take(given.size("image_size")?, "image_size", "the size of its pictures");
    let sde = needs.take(given.text("sde")?, "sde", "its process (vpsde, subvpsde or vesde)");
    let continuous = needs.take(given.flag("continuous")?, "continuous", "whether it was trained at all times or at a table's");
    let centered = needs.take(given.flag("centered")?, "centered", "whether its data lie in [-1, 1] (true) or [0, 1]");
    let kind = needs.take(given.text("name")?, "name", "its network (ddpm or ncsnpp)");
    let mult = needs.take(given.numbers("ch_mult")?, "ch_mult", "the widths of its levels");
    let blocks = needs.take(given.count("num_res_blocks")?, "num_res_blocks", "the residual blocks of a level");
    let attention = needs.take(given.numbers("attn_resolutions")?, "attn_resolutions", "the sizes with attention");
    let scale_by_sigma = match (sde.as_str(), kind.as_str()) {
        ("vesde", _) => needs.take(given.flag("scale_by_sigma")?, "scale_by_sigma", "whether its output is divided by the level"),
        _ => given.flag("scale_by_sigma")?.unwrap_or(false),
    };
    let (mut fir, mut rescale) = (false, false);
    if kind == "ncsnpp" {
        fir = needs.take(given.flag("fir")?, "fir", "whether it resamples by a filter");
        rescale = needs.take(given.flag("skip_rescale")?, "skip_rescale", "whether sums are divided by the root of two");
    }
    needs.finish()?;
    let scales = given.count("num_scales")?.unwrap_or(1000);

    let fourier = raw.contains_key(FREQUENCIES);
    let (time_input, process, prediction, unscaled) = match (sde.as_str(), continuous) {
        ("vpsde" | "subvpsde", _) => {
            if scale_by_sigma {
                return Err(Fault::new(format!("scale_by_sigma with {sde}"), "false: its output is the noise"));
            }
            let (beta_min, beta_max) = (given.number("beta_min")?.unwrap_or(0.1), given.number("beta_max")?.unwrap_or(20.0));
            let n = scales.max(1) as f64;
            let (input, process) = match (sde.as_str(), continuous) {
                ("subvpsde", _) => (TimeInput::Time { scale: 999.0 }, ProcessConfig::SubVp { beta_min, beta_max }),
                (_, true) => (TimeInput::Time { scale: 999.0 }, ProcessConfig::VpLinear { beta_min, beta_max }),
                (_, false) => {
                    let [beta_min, beta_max] = [beta_min, beta_max].map(|b| b / n);
                    let table = ProcessConfig::DiscreteLinear { steps: scales, beta_min, beta_max, zero_terminal_snr: false };
                    (TimeInput::Time { scale: 1.0 }, table)
                }
            };
            // Under sub-VP the state has not unit variance, and their network sees it as it is.
            (input, process, Prediction::Noise, sde == "subvpsde")
        }
        ("vesde", _) => {
            let (sigma_min, sigma_max) = (given.number("sigma_min")?.unwrap_or(0.01), given.number("sigma_max")?.unwrap_or(50.0));
            let input = match (continuous, fourier) {
                (true, true) => TimeInput::LogRatio { factor: 1.0 },
                (true, false) => TimeInput::Ratio,
                (false, _) => TimeInput::Descending { levels: scales },
            };
            let prediction = if scale_by_sigma { Prediction::Score } else { Prediction::RawScore };
            (input, ProcessConfig::Ve { sigma_min, sigma_max }, prediction, true)
        }
        (other, _) => return Err(Fault::new(format!("sde = {other}"), "vpsde, subvpsde or vesde")),
    };

    let stem = format!("module.all_modules.{}.weight", if fourier { 3 } else { 2 });
    let Some(&[nf, channels, ..]) = shape_of(&raw, &stem, 2) else {
        return Err(Fault::new(format!("`{stem}` is missing or of an odd shape"), "the first convolution, [nf, channels, 3, 3]"));
    };
    let frequency_first = false;
    let mut config = UNetConfig {
        model_channels: nf,
        blocks,
        attention_placement: AttentionPlacement::LastBlock,
        scale_shift: false,
        norm_eps: 1e-6,
        dropout: given.number("dropout")?.unwrap_or(0.0),
        time: if fourier { TimeFeatures::Fourier { scale: 16.0, frequency_first } } else { TimeFeatures::ddpm() },
        attention_levels: (0..mult.len().min(16)).filter(|l| attention.contains(&((size[0] >> l) as f64))).collect(),
        channel_mult: mult,
        ..UNetConfig::default()
    };
    match kind.as_str() {
        "ddpm" => {
            config.resampling = Resampling::Conv;
            config.down_padding = DownPadding::BottomRight;
            config.group_width = 1;
        }
        "ncsnpp" => ncsnpp(given, &mut config, fir, rescale)?,
        other => return Err(Fault::new(format!("name = {other}"), "ddpm or ncsnpp")),
    }
    given.allow(&["nf", "embedding_type", "fourier_scale", "ema_rate", "conditional", "num_channels"]);

    let defaults = match sde.as_str() {
        "vesde" => sampling("pc", "uniform", 1000),
        _ if continuous => sampling("heun", "karras", 18),
        _ => sampling("ddpm", "leading", scales),
    };
    let pictures = Pictures {
        network: NetworkConfig::UNet(config.clone()),
        shape: [channels, size[0], size[1]],
        range: if centered { SYMMETRIC } else { UNIT },
        process,
        prediction,
        time_input,
        input: NetworkInput { unscaled, centred: !centered },
        sampling: defaults,
    };
    // Nothing is laid out that is larger than the file.
    let meta = pictures.meta("score_sde_pytorch");
    let content = |found: String| Fault::new(found, "a network as that project builds it");
    meta.check(raw.len()).map_err(content)?;
    let built = meta.network.build(&meta.codec.shape().dims()).map_err(|e| content(e.to_string()))?;
    let modules = Modules::new(built.params(), kind == "ddpm", config.progressive_input == ProgressiveInput::Residual);
    Ok(Plan {
        meta,
        names: Box::new(move |name, _| modules.source(name)),
        ema: Some(ema),
        raw: Some(raw),
        beside: |name| name == SIGMAS,
        notes: Vec::new(),
    })
}

/// What the configuration of an NCSN++ decides.
fn ncsnpp(given: &Given, config: &mut UNetConfig, fir: bool, rescale: bool) -> Result<(), Fault> {
    let text = |key: &str, usual: &str| given.text(key).map(|t| t.unwrap_or_else(|| usual.to_owned()));
    for (key, only) in [("resblock_type", "biggan"), ("progressive_combine", "sum"), ("nonlinearity", "swish")] {
        let found = text(key, only)?;
        if found != only {
            return Err(Fault::new(format!("{key} = {found}"), format!("{only} (others are not read)")));
        }
    }
    if let Some(kernel) = given.numbers("fir_kernel")?.filter(|k| fir && *k != [1.0, 3.0, 3.0, 1.0]) {
        return Err(Fault::new(format!("fir_kernel = {kernel:?}"), "[1, 3, 3, 1] (others are not read)"));
    }
    config.resampling = Resampling::Block;
    config.resample_skip_conv = true;
    config.skip_rescale = rescale;
    config.filter = if fir { ResampleFilter::Fir } else { ResampleFilter::Box };
    config.progressive_input = match text("progressive_input", "none")?.as_str() {
        "none" => ProgressiveInput::None,
        "residual" => ProgressiveInput::Residual,
        "input_skip" => ProgressiveInput::Skip,
        other => return Err(Fault::new(format!("progressive_input = {other}"), "none, residual or input_skip")),
    };
    config.progressive_output = match text("progressive", "none")?.as_str() {
        "none" => ProgressiveOutput::None,
        "output_skip" => ProgressiveOutput::Skip,
        other => return Err(Fault::new(format!("progressive = {other}"), "none or output_skip (residual never ran there)")),
    };
    Ok(())
}

/// The list of averages under the names of the state dict; what is not trained is the model's own.
fn averaged(model: &Node<'_>, list: &Node<'_>) -> Result<Arrays, Fault> {
    let names: Vec<String> = model.entries().map(|(name, _)| name).collect();
    let fixed = |name: &str| name == SIGMAS || name == FREQUENCIES;
    let (kept, trained): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| fixed(name));
    let items = list.list().unwrap_or_default();
    if items.len() != trained.len() {
        let found = format!("{} averages for {} trained tensors", items.len(), trained.len());
        return Err(Fault::new(found, "one average for each, in the order of the model's state dict"));
    }
    let mut arrays = Arrays::new();
    for (name, item) in trained.into_iter().zip(items) {
        arrays.insert(name, item.array()?);
    }
    for name in kept {
        let array = model.need(&name)?.array()?;
        arrays.insert(name, array);
    }
    Ok(arrays)
}
