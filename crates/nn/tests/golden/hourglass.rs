//! crowsonkb/k-diffusion, `image_transformer_v2`.

use crate::files::{Arrays, folder, safetensors};
use crate::{compare, get, network};
use scorefield_nn::{HourglassConfig, HourglassLevel, Input};

/// The numbers of our parameter `name` in a file of theirs.
fn weight(w: &Arrays, name: &str) -> Vec<f32> {
    match theirs(name) {
        Some(theirs) => get(w, &theirs).f32(),
        // Their table has a class a row.
        None => get(w, "class_emb.weight").transposed(),
    }
}

/// Our name in theirs; none for the classes.
fn theirs(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let layer = |place: String, rest: &[&str]| match rest {
        ["attention", "norm", end] => format!("{place}.self_attn.norm.linear.{end}"),
        ["attention", "scale"] => format!("{place}.self_attn.scale"),
        ["attention", "frequencies"] => format!("{place}.self_attn.pos_emb.freqs"),
        ["attention", map, end] => format!("{place}.self_attn.{map}_proj.{end}"),
        ["feed", "norm", end] => format!("{place}.ff.norm.linear.{end}"),
        ["feed", map, end] => format!("{place}.ff.{map}_proj.{end}"),
        _ => panic!("{name}"),
    };
    Some(match parts[..] {
        ["mapping", "time_frequencies"] => "time_emb.weight".into(),
        ["mapping", "augment_frequencies"] => "aug_emb.weight".into(),
        ["mapping", "time", end] => format!("time_in_proj.{end}"),
        ["mapping", "augment", end] => format!("aug_in_proj.{end}"),
        ["mapping", "class", _] => return None,
        ["mapping", "enter", end] => format!("mapping.in_norm.{end}"),
        ["mapping", "leave", end] => format!("mapping.out_norm.{end}"),
        ["mapping", i, "norm", end] => format!("mapping.blocks.{i}.norm.{end}"),
        ["mapping", i, map, end] => format!("mapping.blocks.{i}.{map}_proj.{end}"),
        ["enter", end] => format!("patch_in.proj.{end}"),
        ["leave", "norm", end] => format!("out_norm.{end}"),
        ["leave", "linear", end] => format!("patch_out.proj.{end}"),
        ["down", level, "merge", end] => format!("merges.{level}.proj.{end}"),
        ["up", level, "split", "share"] => format!("splits.{level}.fac"),
        ["up", level, "split", end] => format!("splits.{level}.proj.{end}"),
        ["mid", i, ref rest @ ..] => layer(format!("mid_level.{i}"), rest),
        ["down", level, i, ref rest @ ..] => layer(format!("down_levels.{level}.{i}"), rest),
        ["up", level, i, ref rest @ ..] => layer(format!("up_levels.{level}.{i}"), rest),
        _ => panic!("{name}"),
    })
}

/// One level that sees all its tokens, classes, and the file of half precision for inference.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn global() {
    let folder = folder("k_diffusion").join("image_transformer_v2_global_mnist");
    let (w, io) = (safetensors(folder.join("model_00000010.safetensors")), safetensors(folder.join("io.safetensors")));
    let level = HourglassLevel { width: 64, depth: 2, head_channels: 32, ..HourglassLevel::default() };
    let config =
        HourglassConfig { patch: [4, 4], levels: vec![level], mapping_width: 32, classes: 10, ..HourglassConfig::default() };
    let net = network(config, &[1, 28, 28], |name, _| weight(&w, name));

    // Their denoiser is D = c_skip x + c_out F(c_in x, ln(sigma) / 4).
    let (x, sigma, mut f) = (get(&io, "x"), get(&io, "sigma"), get(&io, "D_inference_fp16file").clone());
    let (width, data) = (x.values.len() / sigma.values.len(), 0.6162f64);
    let mut scaled = x.f32();
    for (i, (x, f)) in x.values.iter().zip(&mut f.values).enumerate() {
        let s = sigma.values[i / width];
        let total = s.hypot(data);
        scaled[i] = (x / total) as f32;
        *f = (*f - (data / total).powi(2) * x) / (s * data / total);
    }
    let input = Input {
        time: sigma.values.iter().map(|s| s.ln() / 4.0).collect(),
        classes: Some(get(&io, "class_cond").values.iter().map(|&c| (c < 10.0).then_some(c as u32)).collect()),
        augment: None,
    };
    compare("D_inference_fp16file", &net, &scaled, &input, &f, 1e-5);
}
