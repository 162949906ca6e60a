//! diffusers, `UNet2DModel`.

use crate::files::{Arrays, folder, safetensors};
use crate::{compare, get, network};
use scorefield_nn::{
    AttentionPlacement, DownPadding, Input, ProgressiveInput, ProgressiveOutput, ResampleFilter, Resampling, SinCos,
    TimeFeatures, UNetConfig,
};

/// Our name in theirs.
fn weight(w: &Arrays, config: &UNetConfig, name: &str) -> Vec<f32> {
    let parts: Vec<&str> = name.split('.').collect();
    let inner = |rest: &[&str]| {
        let layer = match rest[0] {
            "norm0" => "norm1",
            "conv0" => "conv1",
            "embed" => "time_emb_proj",
            "norm1" => "norm2",
            "conv1" => "conv2",
            "skip" => "conv_shortcut",
            other => panic!("{other}"),
        };
        format!("{layer}.{}", rest[1])
    };
    let attention = |place: String, rest: &[&str]| match rest[0] {
        "norm" => get(w, &format!("{place}.group_norm.{}", rest[1])).f32(),
        "out" => get(w, &format!("{place}.to_out.0.{}", rest[1])).f32(),
        _ => ["q", "k", "v"].iter().flat_map(|p| get(w, &format!("{place}.to_{p}.{}", rest[1])).f32()).collect(),
    };
    let (levels, skips) = (config.levels(), config.progressive_output == ProgressiveOutput::Skip);
    let leave = |place: String, rest: &[&str], way: &str| match config.resampling {
        _ if skips => format!("{place}.resnet_{way}.{}", inner(rest)),
        Resampling::Block => format!("{place}.{way}samplers.0.{}", inner(rest)),
        Resampling::Conv => format!("{place}.{way}samplers.0.conv.{}", rest[0]),
    };
    let theirs = match parts[..] {
        ["embed", "class", _] => return get(w, "class_embedding.weight").transposed(),
        ["embed", "frequencies"] => "time_proj.weight".into(),
        ["embed", "linear0", end] => format!("time_embedding.linear_1.{end}"),
        ["embed", "linear1", end] => format!("time_embedding.linear_2.{end}"),
        ["stem", end] => format!("conv_in.{end}"),
        ["out", "norm", end] => format!("conv_norm_out.{end}"),
        ["out", "conv", end] => format!("conv_out.{end}"),
        ["mid", "attention", ref rest @ ..] => return attention("mid_block.attentions.0".into(), rest),
        ["mid", i, ref rest @ ..] => format!("mid_block.resnets.{i}.{}", inner(rest)),
        ["down", level, "resample", ref rest @ ..] => leave(format!("down_blocks.{level}"), rest, "down"),
        ["down", level, "input", end] => format!("down_blocks.{level}.skip_conv.{end}"),
        ["up", "0", "output", "norm", end] => format!("conv_norm_out.{end}"),
        ["up", "0", "output", "conv", end] => format!("conv_out.{end}"),
        ["down", level, i, "attention", ref rest @ ..] => return attention(format!("down_blocks.{level}.attentions.{i}"), rest),
        ["down", level, i, ref rest @ ..] => format!("down_blocks.{level}.resnets.{i}.{}", inner(rest)),
        ["up", level, ref rest @ ..] => {
            let place = format!("up_blocks.{}", levels - 1 - level.parse::<usize>().unwrap());
            match rest {
                ["resample", rest @ ..] => leave(place, rest, "up"),
                ["output", layer, end] => format!("{place}.skip_{layer}.{end}"),
                [_, "attention", rest @ ..] if skips => return attention(format!("{place}.attentions.0"), rest),
                [i, "attention", rest @ ..] => return attention(format!("{place}.attentions.{i}"), rest),
                [i, rest @ ..] => format!("{place}.resnets.{i}.{}", inner(rest)),
                [] => panic!("{name}"),
            }
        }
        _ => panic!("{name}"),
    };
    get(w, &theirs).f32()
}

fn check(fixture: &str, config: UNetConfig, centre: bool) {
    let folder = folder("diffusers").join(fixture);
    let w = safetensors(folder.join("unet/diffusion_pytorch_model.safetensors"));
    let io = safetensors(folder.join("io.safetensors"));
    let x = get(&io, "x");
    let net = network(config.clone(), &x.shape[1..], |name, _| weight(&w, &config, name));
    let x: Vec<f32> = x.f32().into_iter().map(|v| if centre { 2.0 * v - 1.0 } else { v }).collect();
    let classes = io.get("class_labels").map(|c| c.values.iter().map(|&c| Some(c as u32)).collect());
    for (time, output) in [("t", "output"), ("t", "output_f64"), ("t_fractional", "output_t_fractional")] {
        if let Some(stored) = io.get(output) {
            let input = Input { time: get(&io, time).values.clone(), classes: classes.clone(), augment: None };
            compare(&format!("{fixture} {output}"), &net, &x, &input, stored, 1e-5);
        }
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ddpm_cifar10() {
    let config = UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 2.0, 2.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        resampling: Resampling::Conv,
        down_padding: DownPadding::BottomRight,
        scale_shift: false,
        group_width: 1,
        norm_eps: 1e-6,
        time: TimeFeatures::ddpm(),
        ..UNetConfig::default()
    };
    check("ddpm_cifar10", config, false);
}

/// Classes, cosines first, heads of eight channels, a learned variance, and pictures of 16 x 24.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn class_cond_plain() {
    let config = UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 1.0],
        blocks: 1,
        attention_levels: vec![1],
        head_channels: Some(8),
        resampling: Resampling::Conv,
        scale_shift: false,
        group_width: 1,
        time: TimeFeatures::Sinusoidal { order: SinCos::CosFirst, endpoint: false, scale: 1.0 },
        classes: 10,
        learned_variance: true,
        ..UNetConfig::default()
    };
    check("class_cond_plain", config, false);
}

/// Scale and shift, resampling in blocks, attention at both levels, 16 groups.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn class_cond() {
    let config = UNetConfig {
        model_channels: 16,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![0, 1],
        head_channels: Some(8),
        groups: 16,
        group_width: 1,
        time: TimeFeatures::adm(),
        classes: 10,
        ..UNetConfig::default()
    };
    check("class_cond", config, true);
}

/// Their `SkipDownBlock2D` and its like: told sigma, and divided by it at the end. Widths of 32 have fewer groups than attention has.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsnpp_ve() {
    let config = UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 1.0, 1.0],
        blocks: 2,
        attention_levels: vec![1],
        attention_placement: AttentionPlacement::LastBlock,
        filter: ResampleFilter::Fir,
        resample_skip_conv: true,
        skip_rescale: true,
        progressive_input: ProgressiveInput::Skip,
        progressive_output: ProgressiveOutput::Skip,
        scale_shift: false,
        attention_groups: Some(32),
        norm_eps: 1e-6,
        time: TimeFeatures::Fourier { scale: 16.0, frequency_first: false },
        ..UNetConfig::default()
    };
    let folder = folder("diffusers").join("ncsnpp_ve");
    let w = safetensors(folder.join("unet/diffusion_pytorch_model.safetensors"));
    let io = safetensors(folder.join("io.safetensors"));
    let net = network(config.clone(), &[3, 16, 16], |name, _| weight(&w, &config, name));
    // Both our precisions take sines of arguments rounded as theirs in single precision, so `output_extreme_f64` is another function.
    for (x, sigma, output) in [("x", "t", "output"), ("x", "t", "output_f64"), ("x_extreme", "t_extreme", "output_extreme")] {
        let (sigma, mut stored) = (&get(&io, sigma).values, get(&io, output).clone());
        stored.values.chunks_mut(768).zip(sigma).for_each(|(row, s)| row.iter_mut().for_each(|v| *v *= s));
        let input = Input::at(sigma.iter().map(|s| s.ln()).collect());
        compare(&format!("ncsnpp_ve {output}"), &net, &get(&io, x).f32(), &input, &stored, 1e-5);
    }
}
