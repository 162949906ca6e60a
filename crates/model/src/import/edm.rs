//! NVlabs/edm: `network-snapshot-*.pkl`, a pickle of whole objects.
//!
//! `{ema, loss_fn, augment_pipe, dataset_kwargs}`; the network is a preconditioner (Karras et al. 2022, table 1) around a `SongUNet` or a
//! `DhariwalUNet`, each kept with the source text of its class, which is neither read nor run, and with the arguments it was made with,
//! which say everything.

use super::edm_names::Naming;
use super::error::Fault;
use super::given::Given;
use super::plan::Plan;
use super::usual::{Pictures, SYMMETRIC, sampling};
use crate::NetworkInput;
use scorefield_archive::{Archive, Node};
use scorefield_nn::{
    AttentionPlacement, ClassEmbedding, NetworkConfig, ProgressiveInput, ProgressiveOutput, ResampleFilter, TimeFeatures,
    UNetConfig,
};
use scorefield_process::{Prediction, ProcessConfig, TimeInput};

pub(crate) fn plan(archive: &Archive, _given: &mut Given) -> Result<Plan, Fault> {
    let ema = archive.root().need("ema")?;
    let class = ema.class().unwrap_or_default();
    let made = Made { object: &ema, arguments: ema.get("_init_kwargs") };
    let (size, channels) = (made.count("img_resolution", None)?, made.count("img_channels", None)?);
    let preconditioning = Preconditioning::of(&class, &made)?;

    let model = ema.need("_modules")?.need("model")?;
    let kind = model.class().unwrap_or_default();
    let adm = match kind.as_str() {
        "SongUNet" => false,
        "DhariwalUNet" => true,
        other => return Err(Fault::new(format!("a network of class {other}"), "SongUNet or DhariwalUNet")),
    };
    let config = if adm { dhariwal(&made)? } else { song(&made)? };
    let at = |resolution: f64| (0..config.levels().min(16)).find(|l| (size >> l) as f64 == resolution);
    let attended: Vec<usize> =
        made.numbers("attn_resolutions", if adm { &[32.0, 16.0, 8.0] } else { &[16.0] })?.into_iter().filter_map(at).collect();
    // Their heads have 64 channels in a DhariwalUNet; where there are fewer, there is no head and no attention.
    let wide = |level: usize| !adm || config.width(level) >= 64;
    let mut levels: Vec<usize> = attended.into_iter().filter(|l| wide(*l)).collect();
    levels.sort_unstable();
    let config = UNetConfig {
        attention_levels: levels,
        mid_attention: wide(config.levels() - 1),
        classes: made.count("label_dim", Some(0))?,
        learned_variance: preconditioning.learned_variance,
        ..config
    };
    let naming = Naming { residual: config.progressive_input == ProgressiveInput::Residual, config: config.clone(), size, adm };
    let pictures = Pictures {
        network: NetworkConfig::UNet(config),
        shape: [channels, size, size],
        range: SYMMETRIC,
        process: preconditioning.process,
        prediction: preconditioning.prediction,
        time_input: preconditioning.time_input,
        input: NetworkInput { unscaled: preconditioning.unscaled, centred: false },
        sampling: sampling("heun", "karras", 18),
    };
    Ok(Plan {
        meta: pictures.meta("edm"),
        names: Box::new(move |name, shape| naming.source(name, shape)),
        ema: Some(ema.arrays()?),
        raw: None,
        beside: |name| name.ends_with("resample_filter") || name == "u",
        notes: Vec::new(),
    })
}

/// An object's attributes and the arguments it was made with.
struct Made<'a> {
    object: &'a Node<'a>,
    arguments: Option<Node<'a>>,
}

impl Made<'_> {
    /// An argument, else an attribute.
    fn get(&self, key: &str) -> Option<Node<'_>> {
        self.arguments.as_ref().and_then(|a| a.get(key)).or_else(|| self.object.get(key)).filter(|n| !n.is_none())
    }

    fn read<T>(&self, key: &str, expected: &str, usual: Option<T>, read: impl Fn(&Node<'_>) -> Option<T>) -> Result<T, Fault> {
        let fault = |found: String| Fault::new(found, format!("{expected} for {key}"));
        match self.get(key) {
            Some(node) => read(&node).ok_or_else(|| fault(format!("ema.{key} is {}", node.kind()))),
            None => usual.ok_or_else(|| fault(format!("ema has no {key}"))),
        }
    }

    fn count(&self, key: &str, usual: Option<usize>) -> Result<usize, Fault> {
        self.read(key, "a whole number", usual, |n| n.as_i64().filter(|v| (0..1 << 20).contains(v)).map(|v| v as usize))
    }

    fn number(&self, key: &str, usual: f64) -> Result<f64, Fault> {
        self.read(key, "a number", Some(usual), |n| n.as_f64())
    }

    fn text(&self, key: &str, usual: &str) -> Result<String, Fault> {
        self.read(key, "a text", Some(usual.to_owned()), |n| n.as_str().map(str::to_owned))
    }

    fn numbers(&self, key: &str, usual: &[f64]) -> Result<Vec<f64>, Fault> {
        let read = |n: &Node<'_>| n.list()?.iter().map(|x| x.as_f64()).collect();
        self.read(key, "a list of numbers", Some(usual.to_vec()), read)
    }
}

/// Table 1 of the paper as process, prediction and time.
struct Preconditioning {
    process: ProcessConfig,
    prediction: Prediction,
    time_input: TimeInput,
    unscaled: bool,
    learned_variance: bool,
}

impl Preconditioning {
    fn of(class: &str, made: &Made<'_>) -> Result<Self, Fault> {
        Ok(match class {
            "VPPrecond" => {
                let (beta_min, beta_d) = (made.number("beta_min", 0.1)?, made.number("beta_d", 19.9)?);
                Self {
                    process: ProcessConfig::VpLinear { beta_min, beta_max: beta_min + beta_d },
                    prediction: Prediction::Noise,
                    time_input: TimeInput::Time { scale: made.number("M", 1000.0)? - 1.0 },
                    unscaled: false,
                    learned_variance: false,
                }
            }
            "VEPrecond" => Self {
                process: ProcessConfig::Ve {
                    sigma_min: made.number("sigma_min", 0.02)?,
                    sigma_max: made.number("sigma_max", 100.0)?,
                },
                prediction: Prediction::Score,
                time_input: TimeInput::LogRatio { factor: 0.5 },
                unscaled: true,
                learned_variance: false,
            },
            "iDDPMPrecond" => {
                let (clip, offset) = (1.0 - made.number("C_1", 0.001)?, made.number("C_2", 0.008)?);
                let steps = made.count("M", Some(1000))?;
                Self {
                    process: ProcessConfig::DiscreteCosine { steps, offset, clip, zero_terminal_snr: false },
                    prediction: Prediction::Noise,
                    time_input: TimeInput::Nearest,
                    unscaled: false,
                    learned_variance: true,
                }
            }
            "EDMPrecond" => Self {
                process: ProcessConfig::Edm { sigma_min: 0.002, sigma_max: 80.0 },
                prediction: Prediction::Edm { sigma_data: made.number("sigma_data", 0.5)? },
                time_input: TimeInput::QuarterLogRatio,
                unscaled: false,
                learned_variance: false,
            },
            other => {
                let expected = "VPPrecond, VEPrecond, iDDPMPrecond or EDMPrecond";
                return Err(Fault::new(format!("a preconditioner of class {other}"), expected));
            }
        })
    }
}

/// What both networks say.
fn common(made: &Made<'_>, [channels, blocks]: [usize; 2], mult: &[f64]) -> Result<UNetConfig, Fault> {
    Ok(UNetConfig {
        model_channels: made.count("model_channels", Some(channels))?,
        channel_mult: made.numbers("channel_mult", mult)?,
        embedding_mult: made.count("channel_mult_emb", Some(4))?,
        blocks: made.count("num_blocks", Some(blocks))?,
        dropout: made.number("dropout", 0.1)?,
        augment: match made.count("augment_dim", Some(0))? {
            0 => false,
            9 => true,
            other => return Err(Fault::new(format!("augment_dim is {other}"), "0 or the 9 numbers of the paper's augmentation")),
        },
        ..UNetConfig::default()
    })
}

fn dhariwal(made: &Made<'_>) -> Result<UNetConfig, Fault> {
    Ok(UNetConfig { head_channels: Some(64), time: TimeFeatures::adm(), ..common(made, [192, 3], &[1.0, 2.0, 3.0, 4.0])? })
}

fn song(made: &Made<'_>) -> Result<UNetConfig, Fault> {
    let wrong = |key: &str, found: String, expected: &str| Fault::new(format!("{key} is {found}"), expected.to_owned());
    let noise = made.number("channel_mult_noise", 1.0)?;
    let time = match (made.text("embedding_type", "positional")?.as_str(), noise) {
        ("positional", 1.0) => TimeFeatures::ddpm(),
        ("fourier", 2.0) => TimeFeatures::Fourier { scale: 16.0, frequency_first: true },
        (kind, _) => {
            let expected = "positional with channel_mult_noise 1, or fourier with 2";
            return Err(wrong("embedding_type", format!("{kind} with channel_mult_noise {noise}"), expected));
        }
    };
    let filter = match made.numbers("resample_filter", &[1.0, 1.0])?.as_slice() {
        [1.0, 1.0] => ResampleFilter::Box,
        [1.0, 3.0, 3.0, 1.0] => ResampleFilter::Fir,
        other => return Err(wrong("resample_filter", format!("{other:?}"), "[1, 1] or [1, 3, 3, 1]")),
    };
    let progressive_input = match made.text("encoder_type", "standard")?.as_str() {
        "standard" => ProgressiveInput::None,
        "residual" => ProgressiveInput::Residual,
        "skip" => ProgressiveInput::Skip,
        other => return Err(wrong("encoder_type", other.to_owned(), "standard, residual or skip")),
    };
    let progressive_output = match made.text("decoder_type", "standard")?.as_str() {
        "standard" => ProgressiveOutput::None,
        "skip" => ProgressiveOutput::Skip,
        other => return Err(wrong("decoder_type", other.to_owned(), "standard or skip")),
    };
    Ok(UNetConfig {
        attention_placement: AttentionPlacement::LastBlock,
        resample_skip_conv: true,
        skip_rescale: true,
        scale_shift: false,
        norm_eps: 1e-6,
        class_embedding: ClassEmbedding::Features,
        time,
        filter,
        progressive_input,
        progressive_output,
        ..common(made, [128, 4], &[1.0, 2.0, 2.0, 2.0])?
    })
}
