//! lucidrains/denoising-diffusion-pytorch, `Unet`.

use crate::files::{Arrays, folder, safetensors, torch_after};
use crate::{compare, get, network};
use scorefield_nn::{Input, RmsTimeFeatures, RmsUNetConfig};

/// What is done with the numbers of a parameter of theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    /// Nothing: theirs may have other axes of length one, or one axis where ours has two.
    Same,
    /// `[.., rows, columns]` becomes `[.., columns, rows]`.
    Transposed { rows: usize, columns: usize },
}

/// How many keys and values a memory has.
const MEMORY: usize = 4;

/// Our name of a parameter in theirs, and how the numbers become ours.
fn theirs(config: &RmsUNetConfig, name: &str) -> Option<(String, How)> {
    let parts: Vec<&str> = name.split('.').collect();
    let levels = config.levels();
    let block = |rest: &[&str]| {
        Some(match *rest {
            ["conv0", end] => format!("block1.proj.{end}"),
            ["norm0", "gain"] => "block1.norm.g".into(),
            ["embed", end] => format!("mlp.1.{end}"),
            ["conv1", end] => format!("block2.proj.{end}"),
            ["norm1", "gain"] => "block2.norm.g".into(),
            ["skip", end] => format!("res_conv.{end}"),
            _ => return None,
        })
    };
    // Linear attention has its memory as ours, `[2, heads, d, memory]`; in the full one it is a list of vectors, `[2, heads, memory, d]`.
    let attention = |rest: &[&str], full: bool| {
        Some(match *rest {
            ["norm", "gain"] => ("norm.g".into(), How::Same),
            ["qkv", end] => (format!("to_qkv.{end}"), How::Same),
            ["memory"] if full => ("mem_kv".into(), How::Transposed { rows: MEMORY, columns: config.head_channels }),
            ["memory"] => ("mem_kv".into(), How::Same),
            ["out", end] if full => (format!("to_out.{end}"), How::Same),
            ["out", end] => (format!("to_out.0.{end}"), How::Same),
            ["out_norm", "gain"] => ("to_out.1.g".into(), How::Same),
            _ => return None,
        })
    };
    let same = |name: String| Some((name, How::Same));
    match parts[..] {
        ["embed", "frequencies"] => same("time_mlp.0.weights".into()),
        ["embed", "linear0", end] => same(format!("time_mlp.1.{end}")),
        ["embed", "linear1", end] => same(format!("time_mlp.3.{end}")),
        ["stem", end] => same(format!("init_conv.{end}")),
        ["mid", "attention", ref rest @ ..] => attention(rest, true).map(|(end, how)| (format!("mid_attn.{end}"), how)),
        ["mid", "0", ref rest @ ..] => same(format!("mid_block1.{}", block(rest)?)),
        ["mid", "1", ref rest @ ..] => same(format!("mid_block2.{}", block(rest)?)),
        ["last", ref rest @ ..] => same(format!("final_res_block.{}", block(rest)?)),
        ["out", end] => same(format!("final_conv.{end}")),
        [way @ ("down" | "up"), level, ref rest @ ..] => {
            let level = level.parse::<usize>().ok().filter(|&l| l < levels)?;
            // Their way up is numbered from the deepest level; what changes the size is the first of two layers.
            let (place, resamples) = match way {
                "down" => (format!("downs.{level}"), level + 1 < levels),
                _ => (format!("ups.{}", levels - 1 - level), level > 0),
            };
            match *rest {
                ["attention", ref rest @ ..] => {
                    let full = config.full_attention_levels.contains(&level);
                    attention(rest, full).map(|(end, how)| (format!("{place}.2.{end}"), how))
                }
                ["leave", end] if resamples => same(format!("{place}.3.1.{end}")),
                ["leave", end] => same(format!("{place}.3.{end}")),
                [i @ ("0" | "1"), ref rest @ ..] => same(format!("{place}.{i}.{}", block(rest)?)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn ours(values: &[f64], how: How) -> Vec<f32> {
    let single = |v: &f64| *v as f32;
    match how {
        How::Same => values.iter().map(single).collect(),
        How::Transposed { rows, columns } => {
            let matrix =
                |m: &[f64]| (0..columns).flat_map(|c| (0..rows).map(|r| m[r * columns + c] as f32).collect::<Vec<_>>()).collect();
            values.chunks(rows * columns).flat_map::<Vec<f32>, _>(matrix).collect()
        }
    }
}

fn check(fixture: &str, file: &str, prefix: &str, config: &RmsUNetConfig, outputs: &[&str]) {
    let folder = folder("denoising_diffusion_pytorch").join(fixture);
    let w = torch_after(folder.join(file), "", prefix, &[".weight", ".bias", ".g", ".mem_kv", ".weights"]);
    let io: Arrays = safetensors(folder.join("io.safetensors"));
    let x = get(&io, "x");
    let mut used = std::collections::BTreeSet::new();
    let net = network(config.clone(), &x.shape[1..], |name, _| {
        let (file, how) = theirs(config, name).unwrap_or_else(|| panic!("no name for {name}"));
        let file = format!("{prefix}{file}");
        let values = w.get(&file).unwrap_or_else(|| panic!("{file} for {name}: {:?}", w.keys().collect::<Vec<_>>()));
        used.insert(file);
        ours(values, how)
    });
    let left: Vec<_> = w.keys().filter(|k| !used.contains(*k)).collect();
    assert!(left.is_empty(), "{left:?} of the file belong nowhere");
    for output in outputs {
        let input = Input::at(get(&io, "t").values.clone());
        compare(&format!("{fixture} {output}"), &net, &x.f32(), &input, get(&io, output), 1e-5);
    }
}

/// The defaults at two levels of one width: linear attention above, full below; the trained and the averaged weights.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn pred_v() {
    let config = RmsUNetConfig {
        model_channels: 32,
        channel_mult: vec![1, 1],
        full_attention_levels: vec![1],
        ..RmsUNetConfig::default()
    };
    check("unet_pred_v", "model-1.pt", "model.", &config, &["output_raw", "output_f64_raw"]);
    check("unet_pred_v", "model-1.pt", "ema_model.model.", &config, &["output_ema"]);
}

/// Trained frequencies, a learned variance, two heads of sixteen channels.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn learned_sinusoidal() {
    let config = RmsUNetConfig {
        model_channels: 16,
        channel_mult: vec![1, 2],
        full_attention_levels: vec![1],
        heads: 2,
        head_channels: 16,
        time: RmsTimeFeatures::Learned { width: 16 },
        learned_variance: true,
        ..RmsUNetConfig::default()
    };
    check("unet_learned_sinusoidal", "unet.pt", "", &config, &["output_raw", "output_f64_raw"]);
}
