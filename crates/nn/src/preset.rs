//! Configurations with a name: the published ones, to the parameter, and small ones for a CPU.

use crate::{
    AttentionPlacement, BumpsConfig, ClassEmbedding, DownPadding, InitScheme, MlpConfig, MultiScaleConfig, NetworkConfig,
    PerceptronConfig, ProgressiveInput, RbfConfig, ResampleFilter, Resampling, TimeFeatures, UNetConfig,
};

/// A configuration with a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// The configuration.
    pub config: NetworkConfig,
    /// The shape of the rows it was made for; most take others as well.
    pub shape: Vec<usize>,
}

/// The preset of a name.
pub fn preset(name: &str) -> Option<Preset> {
    presets().into_iter().find(|p| p.name == name)
}

/// All presets: small ones first, then the published ones.
pub fn presets() -> Vec<Preset> {
    let unet = |name, about, shape: [usize; 3], config| Preset {
        name,
        about,
        config: NetworkConfig::UNet(config),
        shape: shape.to_vec(),
    };
    let mlp = |name, about, d: usize, config| Preset { name, about, config: NetworkConfig::Mlp(config), shape: vec![d] };
    vec![
        mlp("mlp-2d", "points in the plane", 2, MlpConfig { hidden: 128, depth: 3, ..MlpConfig::default() }),
        mlp("mlp-vector", "vectors: tables, short series", 16, MlpConfig::default()),
        Preset {
            name: "roll-rbf",
            about: "Sohl-Dickstein et al. 2015, swiss roll: radial basis functions, a read-out for each of 40 times",
            config: roll().into(),
            shape: vec![2],
        },
        Preset {
            name: "heartbeat-mlp",
            about: "Sohl-Dickstein et al. 2015, heartbeats of twenty bins: three layers of sigmoids",
            config: PerceptronConfig::default().into(),
            shape: vec![20],
        },
        Preset {
            name: "multi-scale32",
            about: "Sohl-Dickstein et al. 2015, 32x32: convolutions at three scales beside a perceptron",
            config: MultiScaleConfig { dense_layers: 4, ..MultiScaleConfig::default() }.into(),
            shape: vec![3, 32, 32],
        },
        unet("digits8", "8x8 grey, ten classes: the demo", [1, 8, 8], digits8()),
        unet("small28", "28x28 grey, widths 32/64/64: the network other programs are timed on", [1, 28, 28], small28()),
        unet("fashion28", "28x28 grey, for a CPU", [1, 28, 28], fashion28()),
        unet("sprites32", "32x32 with transparency, for a CPU", [4, 32, 32], sprites32()),
        unet("ddpm-cifar10", "Ho et al. 2020, CIFAR-10", [3, 32, 32], ddpm()),
        unet("ddpm-256", "Ho et al. 2020, 256x256", [3, 256, 256], ddpm_256()),
        unet("score-sde-ddpm", "Song et al. 2021, DDPM, CIFAR-10", [3, 32, 32], score_sde_ddpm()),
        unet("ddpmpp-cont", "Song et al. 2021, DDPM++ continuous, CIFAR-10", [3, 32, 32], ddpmpp()),
        unet("ncsnpp-cont", "Song et al. 2021, NCSN++ continuous, CIFAR-10", [3, 32, 32], ncsnpp()),
        unet("iddpm-cifar10", "Nichol and Dhariwal 2021, CIFAR-10, learned variance", [3, 32, 32], iddpm()),
        unet("edm-ddpmpp", "Karras et al. 2022, DDPM++, CIFAR-10", [3, 32, 32], edm(ddpmpp(), &[2.0, 2.0, 2.0], 1)),
        unet("edm-ncsnpp", "Karras et al. 2022, NCSN++, CIFAR-10", [3, 32, 32], edm(ncsnpp(), &[2.0, 2.0, 2.0], 1)),
        unet(
            "edm-ffhq64",
            "Karras et al. 2022, DDPM++, FFHQ and AFHQv2 64x64",
            [3, 64, 64],
            edm(ddpmpp(), &[1.0, 2.0, 2.0, 2.0], 2),
        ),
        unet(
            "edm-adm-imagenet64",
            "Karras et al. 2022 after Dhariwal and Nichol 2021, ImageNet 64x64",
            [3, 64, 64],
            adm_imagenet64(),
        ),
    ]
}

/// Sohl-Dickstein et al. 2015, appendix D.1.1: sixteen units, forty steps.
fn roll() -> RbfConfig {
    RbfConfig { bumps: BumpsConfig { count: 40, ..BumpsConfig::default() }, ..RbfConfig::default() }
}

fn digits8() -> UNetConfig {
    UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        classes: 10,
        ..UNetConfig::default()
    }
}

fn fashion28() -> UNetConfig {
    UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 2.0, 2.0],
        blocks: 1,
        attention_levels: vec![2],
        ..UNetConfig::default()
    }
}

fn sprites32() -> UNetConfig {
    UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 2.0, 2.0, 2.0],
        blocks: 1,
        attention_levels: vec![2],
        ..UNetConfig::default()
    }
}

/// The peers' network has attention in the middle, heads of eight channels, as its library adds by default.
fn small28() -> UNetConfig {
    UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 2.0, 2.0],
        blocks: 1,
        attention_levels: vec![],
        head_channels: Some(8),
        groups: 8,
        dropout: 0.0,
        ..ddpm()
    }
}

/// Ho et al. 2020, appendix B.
fn ddpm() -> UNetConfig {
    UNetConfig {
        model_channels: 128,
        channel_mult: vec![1.0, 2.0, 2.0, 2.0],
        blocks: 2,
        attention_levels: vec![1],
        attention_placement: AttentionPlacement::EveryBlock,
        resampling: Resampling::Conv,
        down_padding: DownPadding::BottomRight,
        scale_shift: false,
        groups: 32,
        group_width: 1,
        norm_eps: 1e-6,
        dropout: 0.1,
        time: TimeFeatures::ddpm(),
        init: InitScheme::Ddpm,
        ..UNetConfig::default()
    }
}

fn ddpm_256() -> UNetConfig {
    UNetConfig { channel_mult: vec![1.0, 1.0, 2.0, 2.0, 4.0, 4.0], attention_levels: vec![4], dropout: 0.0, ..ddpm() }
}

fn score_sde_ddpm() -> UNetConfig {
    UNetConfig { attention_placement: AttentionPlacement::LastBlock, ..ddpm() }
}

/// Song et al. 2021, appendix H: four blocks, resampling in blocks, branches divided by the root of two.
fn ddpmpp() -> UNetConfig {
    UNetConfig {
        blocks: 4,
        resampling: Resampling::Block,
        resample_skip_conv: true,
        skip_rescale: true,
        group_width: 4,
        ..score_sde_ddpm()
    }
}

fn ncsnpp() -> UNetConfig {
    UNetConfig {
        filter: ResampleFilter::Fir,
        progressive_input: ProgressiveInput::Residual,
        time: TimeFeatures::Fourier { scale: 16.0, frequency_first: false },
        ..ddpmpp()
    }
}

/// Karras et al. 2022, table 7: other widths, augmentation told, dropout 0.13.
fn edm(base: UNetConfig, channel_mult: &[f64], attention_level: usize) -> UNetConfig {
    let time = match base.time {
        TimeFeatures::Fourier { scale, .. } => TimeFeatures::Fourier { scale, frequency_first: true },
        sinusoidal => sinusoidal,
    };
    UNetConfig {
        channel_mult: channel_mult.to_vec(),
        attention_levels: vec![attention_level],
        dropout: 0.13,
        class_embedding: ClassEmbedding::Features,
        augment: true,
        time,
        init: InitScheme::Song,
        ..base
    }
}

/// Nichol and Dhariwal 2021, appendix A.
fn iddpm() -> UNetConfig {
    UNetConfig {
        model_channels: 128,
        channel_mult: vec![1.0, 2.0, 2.0, 2.0],
        blocks: 3,
        attention_levels: vec![1, 2],
        heads: 4,
        resampling: Resampling::Conv,
        down_padding: DownPadding::Symmetric,
        scale_shift: true,
        group_width: 1,
        dropout: 0.3,
        time: TimeFeatures::adm(),
        learned_variance: true,
        ..UNetConfig::default()
    }
}

fn adm_imagenet64() -> UNetConfig {
    UNetConfig {
        model_channels: 192,
        channel_mult: vec![1.0, 2.0, 3.0, 4.0],
        blocks: 3,
        attention_levels: vec![1, 2, 3],
        head_channels: Some(64),
        resampling: Resampling::Block,
        resample_skip_conv: false,
        scale_shift: true,
        group_width: 4,
        dropout: 0.1,
        time: TimeFeatures::adm(),
        classes: 1000,
        class_embedding: ClassEmbedding::Embedding,
        init: InitScheme::Adm,
        ..UNetConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts published by the authors or computed from their code.
    #[test]
    fn published_parameter_counts() {
        let counts = [
            ("ddpm-cifar10", 35_746_307),
            ("ddpm-256", 113_673_219),
            ("score-sde-ddpm", 35_218_947),
            ("ddpmpp-cont", 61_804_419),
            ("ncsnpp-cont", 62_758_787),
            ("iddpm-cifar10", 52_546_438),
            ("edm-ddpmpp", 55_733_891),
            ("edm-ncsnpp", 56_397_827),
            ("edm-ffhq64", 61_805_571),
            ("edm-adm-imagenet64", 295_899_267),
        ];
        for (name, count) in counts {
            let preset = preset(name).expect("listed");
            assert_eq!(preset.config.parameters(&preset.shape), Ok(count), "{name}");
        }
    }

    /// Every preset builds, its stages own all its parameters, names are unique, and its TOML reads back as itself.
    #[test]
    fn presets_are_whole() {
        for Preset { name, config, shape, .. } in presets() {
            let network = config.build(&shape).unwrap_or_else(|e| panic!("{name}: {e}"));
            let staged: usize = network.outline().iter().map(|s| s.parameters).sum();
            assert_eq!(staged, network.parameters(), "{name}");
            let names: std::collections::BTreeSet<_> = network.params().iter().map(|s| &s.name).collect();
            assert_eq!(names.len(), network.params().len(), "{name}");
            let text = toml::to_string(&config).expect("a configuration is TOML");
            assert_eq!(toml::from_str::<NetworkConfig>(&text).expect("its own text"), config, "{name}");
        }
    }
}
