//! openai/guided-diffusion and openai/improved-diffusion, `UNetModel`.

use crate::files::{Array, folder, safetensors, torch};
use crate::{compare, get, network, permuted};
use scorefield_nn::{Input, QkvPacking, Resampling, TimeFeatures, UNetConfig};

/// Our name in theirs. Both count blocks through: a level takes `blocks + 1` numbers either way.
fn theirs(config: &UNetConfig, name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |s: &str| s.parse::<usize>().unwrap();
    let (levels, blocks) = (config.levels(), config.blocks);
    let inner = |rest: &[&str]| match rest {
        ["norm0", end] => format!("in_layers.0.{end}"),
        ["conv0", end] => format!("in_layers.2.{end}"),
        ["embed", end] => format!("emb_layers.1.{end}"),
        ["norm1", end] => format!("out_layers.0.{end}"),
        ["conv1", end] => format!("out_layers.3.{end}"),
        ["skip", end] => format!("skip_connection.{end}"),
        ["attention", "out", end] => format!("proj_out.{end}"),
        ["attention", layer, end] => format!("{layer}.{end}"),
        _ => panic!("{name}"),
    };
    let unit = |rest: &[&str]| format!("{}.{}", usize::from(rest[0] == "attention"), inner(rest));
    match parts[..] {
        ["embed", "class", _] => "label_emb.weight".into(),
        ["embed", "linear0", end] => format!("time_embed.0.{end}"),
        ["embed", "linear1", end] => format!("time_embed.2.{end}"),
        ["stem", end] => format!("input_blocks.0.0.{end}"),
        ["out", "norm", end] => format!("out.0.{end}"),
        ["out", "conv", end] => format!("out.2.{end}"),
        ["mid", "attention", layer, end] => format!("middle_block.1.{}", inner(&["attention", layer, end])),
        ["mid", i, ref rest @ ..] => format!("middle_block.{}.{}", 2 * number(i), inner(rest)),
        ["down", level, "resample", ref rest @ ..] => {
            let k = (number(level) + 1) * (blocks + 1);
            if rest.len() == 1 {
                format!("input_blocks.{k}.0.op.{}", rest[0])
            } else {
                format!("input_blocks.{k}.0.{}", inner(rest))
            }
        }
        ["down", level, i, ref rest @ ..] => {
            format!("input_blocks.{}.{}", 1 + number(level) * (blocks + 1) + number(i), unit(rest))
        }
        ["up", level, "resample", ref rest @ ..] => {
            let k = (levels - 1 - number(level)) * (blocks + 1) + blocks;
            let place = format!("output_blocks.{k}.{}", 1 + usize::from(config.attention_levels.contains(&number(level))));
            if rest.len() == 1 { format!("{place}.conv.{}", rest[0]) } else { format!("{place}.{}", inner(rest)) }
        }
        ["up", level, i, ref rest @ ..] => {
            format!("output_blocks.{}.{}", (levels - 1 - number(level)) * (blocks + 1) + number(i), unit(rest))
        }
        _ => panic!("{name}"),
    }
}

fn check(fixture: &str, config: UNetConfig, packing: QkvPacking) {
    let folder = folder("openai").join(fixture);
    let (w, io) = (torch(folder.join("ema_0.9999_000010.pt"), ""), safetensors(folder.join("io.safetensors")));
    let net = network(config.clone(), &[3, 16, 16], |name, shape| {
        let file = theirs(&config, name);
        let values = w.get(&file).unwrap_or_else(|| panic!("{file} for {name}: {:?}", w.keys().collect::<Vec<_>>())).clone();
        match name {
            "embed.class.weight" => Array { shape: vec![shape[1], shape[0]], values }.transposed(),
            _ if name.contains(".qkv.") => {
                let channels = shape[0] / 3;
                permuted(&Array { shape: shape.to_vec(), values }, &packing.rows(channels, config.heads_for(channels)))
            }
            _ => Array { shape: shape.to_vec(), values }.f32(),
        }
    });
    let classes: Option<Vec<_>> = io.get("y").map(|c| c.values.iter().map(|&c| Some(c as u32)).collect());
    for (time, output) in
        [("timesteps", "output"), ("timesteps", "output_f64"), ("timesteps_fractional", "output_timesteps_fractional")]
    {
        let input = Input { time: get(&io, time).values.clone(), classes: classes.clone(), augment: None };
        compare(&format!("{fixture} {output}"), &net, &get(&io, "x").f32(), &input, get(&io, output), 1e-5);
    }
}

fn base() -> UNetConfig {
    UNetConfig {
        model_channels: 32,
        channel_mult: vec![1.0, 1.0],
        blocks: 1,
        attention_levels: vec![1],
        group_width: 1,
        time: TimeFeatures::adm(),
        ..UNetConfig::default()
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn guided_plain() {
    let config = UNetConfig {
        head_channels: Some(16),
        resampling: Resampling::Conv,
        scale_shift: false,
        learned_variance: true,
        ..base()
    };
    check("guided_plain_newattn", config, QkvPacking::Parts);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn guided_resampling_in_blocks() {
    let config = UNetConfig { attention_levels: vec![0, 1], heads: 4, classes: 10, ..base() };
    check("guided_updown_heads4_newattn_cond", config, QkvPacking::Parts);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn improved() {
    let config = UNetConfig { heads: 4, classes: 10, resampling: Resampling::Conv, learned_variance: true, ..base() };
    check("improved_heads4_cosine", config, QkvPacking::HeadsThenParts);
}
