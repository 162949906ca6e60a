//! A `UNetConfig` as the configuration of a `UNet2DModel`: two families of it, plain blocks and the skip blocks of NCSN++.

use super::error::Reasons;
use crate::ModelMeta;
use scorefield_nn::{
    AttentionPlacement, ClassEmbedding, DownPadding, ParamSpec, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling,
    SinCos, TimeFeatures, UNetConfig,
};
use scorefield_process::TimeInput;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The channels of each norm, with the words of its name.
fn norms(specs: &[ParamSpec]) -> impl Iterator<Item = (Vec<&str>, usize)> {
    specs.iter().filter_map(|spec| {
        let words: Vec<&str> = spec.name.split('.').collect();
        let norm = matches!(words[..], [.., layer, "weight"] if layer.starts_with("norm"));
        norm.then(|| (words, spec.shape[0]))
    })
}

/// `unet/config.json` for pictures of `[channels, height, width]`.
pub(super) fn network(
    meta: &ModelMeta,
    config: &UNetConfig,
    specs: &[ParamSpec],
    [channels, height, width]: [usize; 3],
    reasons: &mut Reasons,
) -> Value {
    let (levels, base) = (config.levels(), config.model_channels);
    let skips = config.progressive_output == ProgressiveOutput::Skip;
    common(meta, config, [height, width], reasons);
    let family =
        if skips { skip_blocks(config, specs, [channels, height, width], reasons) } else { plain_blocks(config, specs, reasons) };
    let time = time(meta, config, skips, reasons);

    let block = |way: &str, level: usize| {
        let attention = if config.attention_levels.contains(&level) { "Attn" } else { "" };
        format!("{attention}{}{way}Block2D", if skips { "Skip" } else { "" })
    };
    let size = if height == width { json!(height) } else { json!([height, width]) };
    let mut all = json!({
        "act_fn": "silu",
        "add_attention": config.mid_attention,
        "block_out_channels": (0..levels).map(|l| config.width(l)).collect::<Vec<_>>(),
        "center_input_sample": meta.input.centred,
        "class_embed_type": null,
        "down_block_types": (0..levels).map(|l| block("Down", l)).collect::<Vec<_>>(),
        "dropout": config.dropout,
        "in_channels": channels,
        "layers_per_block": config.blocks,
        "mid_block_type": "UNetMidBlock2D",
        "norm_eps": config.norm_eps,
        "num_class_embeds": (config.classes > 0).then_some(config.classes),
        "num_train_timesteps": null,
        "out_channels": if config.learned_variance { 2 * channels } else { channels },
        "resnet_time_scale_shift": if config.scale_shift { "scale_shift" } else { "default" },
        "sample_size": size,
        "time_embedding_dim": (config.embedding_mult != 4).then_some(config.embedding_mult * base),
        "up_block_types": (0..levels).rev().map(|l| block("Up", l)).collect::<Vec<_>>(),
    });
    for part in [family, time] {
        for (key, value) in part.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
    }
    all
}

/// What both families need.
fn common(meta: &ModelMeta, config: &UNetConfig, [height, width]: [usize; 2], reasons: &mut Reasons) {
    let (base, multiple) = (config.model_channels, 1usize << (config.levels() - 1));
    reasons.unless(config.width(0) == base, || {
        format!(
            "the first level is {} wide, the features of the time {base}; expected channel_mult to begin with 1",
            config.width(0)
        )
    });
    reasons.unless(config.stem_channels.is_none_or(|stem| stem == config.width(0)), || {
        format!("stem_channels = {:?}; expected the width of the first level", config.stem_channels)
    });
    reasons.unless(height % multiple == 0 && width % multiple == 0, || {
        format!("pictures of {height} x {width}; expected sides that are multiples of {multiple}, as its levels pad nothing")
    });
    reasons.unless(!config.augment, || "augment = true: no numbers of an augmentation are told; expected false".into());
    if config.classes > 0 {
        reasons.unless(config.class_embedding == ClassEmbedding::Embedding, || {
            "class_embedding = \"features\"; expected \"embedding\"".into()
        });
        let dropped = meta.training.label_dropout;
        reasons.unless(dropped == 0.0, || {
            format!("label_dropout = {dropped}: it also knows rows without a class; expected 0, as every row has one there")
        });
    }
}

/// The features of the time and what they are told.
fn time(meta: &ModelMeta, config: &UNetConfig, skips: bool, reasons: &mut Reasons) -> Value {
    let (mut cos_first, mut endpoint) = (true, false);
    match (config.time, skips) {
        (TimeFeatures::Sinusoidal { order, endpoint: last, scale }, false) => {
            (cos_first, endpoint) = (order == SinCos::CosFirst, last);
            let told = matches!(meta.time_input, TimeInput::Time { scale: s } if s * scale == 1.0);
            reasons.unless(told, || {
                format!("time_input {:?} with features of scale {scale}; expected the time of the table itself", meta.time_input)
            });
            reasons.unless(!endpoint || config.model_channels > 2, || {
                "a single frequency with time.endpoint = true; expected false, or more model_channels".into()
            });
        }
        (TimeFeatures::Fourier { frequency_first, .. }, true) => {
            let told = meta.time_input == TimeInput::LogRatio { factor: 1.0 };
            reasons.unless(told, || format!("time_input {:?}; expected the logarithm of sigma", meta.time_input));
            reasons.unless(!frequency_first, || {
                "time.frequency_first = true: its products round in another order, which large arguments show; expected false"
                    .into()
            });
        }
        (found, _) => reasons.add(format!(
            "features of the time {found:?} {} skip blocks; expected sinusoidal ones without, Fourier ones with skip blocks",
            if skips { "with" } else { "without" }
        )),
    }
    json!({
        "flip_sin_to_cos": cos_first,
        "freq_shift": u8::from(endpoint),
        "time_embedding_type": if skips { "fourier" } else { "positional" },
    })
}

/// The channels a head has, the same wherever attention stands; none for one head of all channels.
fn head_width(config: &UNetConfig) -> Result<Option<usize>, String> {
    let mut widths: BTreeSet<usize> = config.attention_levels.iter().map(|&l| config.width(l)).collect();
    if config.mid_attention {
        widths.insert(config.width(config.levels() - 1));
    }
    if let Some(head) = config.head_channels.filter(|head| widths.iter().all(|c| c % head == 0)) {
        return Ok(Some(head));
    }
    if widths.iter().all(|&c| config.heads_for(c) == 1) {
        return Ok(None);
    }
    let heads: BTreeSet<usize> = widths.iter().map(|&c| c / config.heads_for(c)).collect();
    match Vec::from_iter(heads)[..] {
        [one] => Ok(Some(one)),
        _ => Err(format!(
            "heads of other widths where the width is another (heads = {}); expected head_channels, a divisor",
            config.heads
        )),
    }
}

fn plain_blocks(config: &UNetConfig, specs: &[ParamSpec], reasons: &mut Reasons) -> Value {
    let (levels, attends) = (config.levels(), !config.attention_levels.is_empty());
    let groups: BTreeSet<usize> = norms(specs).map(|(_, c)| config.groups.min(c / config.group_width)).collect();
    reasons.unless(groups.len() == 1, || {
        let (most, least) = (config.groups, config.group_width);
        format!(
            "norms have {groups:?} groups by their widths (groups = {most}, group_width = {least}); expected one number for all"
        )
    });
    let groups = groups.first().copied();
    reasons.unless(config.attention_groups.is_none() || !attends, || {
        format!("attention_groups = {:?} without skip blocks; expected none", config.attention_groups)
    });
    reasons.unless(config.attention_placement == AttentionPlacement::EveryBlock || !attends, || {
        "attention_placement = \"last-block\" without skip blocks; expected \"every-block\"".into()
    });
    reasons.unless(!config.skip_rescale && config.mid_rescale != Some(true), || {
        "skip_rescale or mid_rescale without skip blocks; expected false".into()
    });
    reasons.unless(config.progressive_input == ProgressiveInput::None, || {
        "progressive_input without progressive_output = \"skip\"; expected \"none\" or \"skip\" for both".into()
    });
    let block = config.resampling == Resampling::Block && levels > 1;
    if block {
        reasons.unless((0..levels).all(|l| config.attention_levels.contains(&l)), || {
            "resampling = \"block\" with levels without attention; expected \"conv\", or attention at all levels, as other blocks do not \
             heed it"
                .into()
        });
        reasons.unless(config.filter == ResampleFilter::Box, || "filter = \"fir\" without skip blocks; expected \"box\"".into());
        reasons.unless(!config.resample_skip_conv, || "resample_skip_conv = true without skip blocks; expected false".into());
    }
    let heads = head_width(config).unwrap_or_else(|why| {
        reasons.add(why);
        None
    });
    let kind = if block { "resnet" } else { "conv" };
    json!({
        "attention_head_dim": heads,
        // With scale_shift the attention of the middle has no norm unless its groups are given.
        "attn_norm_num_groups": groups.filter(|_| config.scale_shift),
        "downsample_padding": u8::from(config.down_padding == DownPadding::Symmetric),
        "downsample_type": kind,
        "mid_block_scale_factor": 1,
        "norm_num_groups": groups,
        "upsample_type": kind,
    })
}

/// NCSN++: their groups are `g(c) = min(c / 4, 32)`, 32 in attention outside the middle, and `min(c + skip / 4, 32)` in the first norms on
/// the way up at levels with attention.
fn skip_blocks(config: &UNetConfig, specs: &[ParamSpec], [channels, height, width]: [usize; 3], reasons: &mut Reasons) -> Value {
    let attends = !config.attention_levels.is_empty();
    for (fine, what) in [
        (config.progressive_input == ProgressiveInput::Skip, "progressive_input = \"skip\""),
        (config.resampling == Resampling::Block, "resampling = \"block\""),
        (config.filter == ResampleFilter::Fir, "filter = \"fir\""),
        (config.resample_skip_conv, "resample_skip_conv = true"),
        (config.skip_rescale, "skip_rescale = true"),
        (!config.scale_shift, "scale_shift = false"),
        (!config.learned_variance, "learned_variance = false"),
        (config.classes == 0, "no classes"),
        (config.embedding_mult == 4, "embedding_mult = 4"),
        (config.attention_placement == AttentionPlacement::LastBlock || !attends, "attention_placement = \"last-block\""),
        (channels == 3, "pictures of three channels"),
        (height == width, "square pictures, as the pipeline of exploding processes draws no others"),
        (one_head(config), "a single head of attention"),
        (groups_fit(config, specs), "groups = 32, group_width = 4, attention_groups = 32"),
    ] {
        reasons.unless(fine, || format!("with skip blocks expected {what}"));
    }
    let rescaled = config.mid_rescale.unwrap_or(config.skip_rescale);
    json!({
        "attention_head_dim": null,
        "attn_norm_num_groups": null,
        "downsample_padding": 1,
        "downsample_type": "conv",
        "mid_block_scale_factor": if rescaled { json!(std::f64::consts::SQRT_2) } else { json!(1) },
        "norm_num_groups": null,
        "upsample_type": "conv",
    })
}

fn one_head(config: &UNetConfig) -> bool {
    let middle = config.mid_attention.then(|| config.levels() - 1);
    config.attention_levels.iter().copied().chain(middle).all(|l| config.heads_for(config.width(l)) == 1)
}

/// Whether each norm has the groups that theirs has.
fn groups_fit(config: &UNetConfig, specs: &[ParamSpec]) -> bool {
    let usual = |c: usize| config.groups.min(c / config.group_width);
    norms(specs).all(|(words, c)| {
        let level = words.get(1).and_then(|l| l.parse().ok());
        let attends = level.is_some_and(|l: usize| config.attention_levels.contains(&l));
        match words[..] {
            ["down" | "up", _, _, "attention", ..] => config.attention_groups.map_or(usual(c), |g| g.min(c)) == 32,
            // From 128 channels on all of it is 32; below, the two parts count apart, which `attention_groups` says.
            ["up", _, _, "norm0", _] if attends => match config.attention_groups {
                Some(groups) => groups == 32 && config.group_width == 4,
                None => c >= 128 && usual(c) == 32,
            },
            _ => usual(c) == 32.min(c / 4),
        }
    })
}
