//! crowsonkb/k-diffusion, `ImageDenoiserModelV1`.

use crate::files::{Array, Arrays, folder, safetensors, torch_after};
use crate::{Loaded, compare, get, network};
use scorefield_nn::{AdaGnUNet, AdaGnUNetConfig, Input, Mode};
use scorefield_tensor::{DType, batch, rows_f64};
use std::collections::BTreeMap;

/// Our name of a parameter in theirs, without the prefix that the wrapper for augmentation adds. The numbers are the same: theirs may have
/// axes of length one where ours has none, and one axis where ours has the patch's two.
fn theirs(config: &AdaGnUNetConfig, name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let unit = |rest: &[&str]| {
        Some(match *rest {
            ["norm0", end] => format!("main.0.mapper.{end}"),
            ["conv0", end] => format!("main.2.{end}"),
            ["norm1", end] => format!("main.4.mapper.{end}"),
            ["conv1", end] => format!("main.6.{end}"),
            ["skip", end] => format!("skip.{end}"),
            ["attention", "norm", end] => format!("norm_in.mapper.{end}"),
            ["attention", layer @ ("qkv" | "out"), end] => format!("{layer}_proj.{end}"),
            _ => return None,
        })
    };
    Some(match parts[..] {
        ["embed", "frequencies"] => "timestep_embed.weight".into(),
        ["embed", "augment", end] => format!("mapping_cond.{end}"),
        ["embed", "linear0", end] => format!("mapping.0.{end}"),
        ["embed", "linear1", end] => format!("mapping.2.{end}"),
        ["stem", end] => format!("proj_in.{end}"),
        ["out", end] => format!("proj_out.{end}"),
        [way @ ("down" | "up"), level, i, ref rest @ ..] => {
            let level = level.parse::<usize>().ok().filter(|&l| l < config.levels())?;
            // Blocks and attentions are numbered together; on the way down the number 0 is the filter's.
            let each = 1 + usize::from(config.attention_levels.contains(&level));
            let number = i.parse::<usize>().ok()? * each + usize::from(rest.first() == Some(&"attention"));
            match way {
                "down" => format!("u_net.d_blocks.{level}.{}.{}", 1 + number, unit(rest)?),
                _ => format!("u_net.u_blocks.{}.{number}.{}", config.levels() - 1 - level, unit(rest)?),
            }
        }
        _ => return None,
    })
}

/// The network with the numbers of a file; all of them belong somewhere, and the filters in it are ours.
fn load(config: &AdaGnUNetConfig, shape: &[usize], w: &BTreeMap<String, Vec<f64>>, prefix: &str) -> Loaded {
    let mut used = std::collections::BTreeSet::new();
    let net = network(config.clone(), shape, |name, _| {
        let file = theirs(config, name).unwrap_or_else(|| panic!("no name for {name}"));
        let file = format!("{prefix}{file}");
        let values = w.get(&file).unwrap_or_else(|| panic!("{file} for {name}: {:?}", w.keys().collect::<Vec<_>>()));
        used.insert(file);
        values.iter().map(|&v| v as f32).collect()
    });
    for (name, values) in w.iter().filter(|(name, _)| !used.contains(*name)) {
        let factor = if name.contains("d_blocks") { 1.0 } else { 4.0 };
        let k = [1.0, 3.0, 3.0, 1.0];
        let kernel: Vec<f64> = k.iter().flat_map(|a| k.map(|b| factor * a * b / 64.0)).collect();
        assert!(name.ends_with(".kernel") && *values == kernel, "{name} of the file belongs nowhere");
    }
    net
}

/// `c_in`, and `F` from `D = c_out F + c_skip x`, for each row.
struct Preconditioner<'a> {
    x: &'a Array,
    sigma: &'a [f64],
    sigma_data: f64,
}

impl Preconditioner<'_> {
    fn rows(&self, of: impl Fn(f64, f64, f64) -> f64, numbers: &[f64]) -> Vec<f64> {
        let width = numbers.len() / self.sigma.len();
        let row = |i: usize| (self.sigma[i / width], self.sigma[i / width].hypot(self.sigma_data));
        numbers.iter().enumerate().map(|(i, &v)| of(v, row(i).0, row(i).1)).collect()
    }

    fn scaled_input(&self) -> Vec<f32> {
        self.rows(|x, _, total| x / total, &self.x.values).into_iter().map(|v| v as f32).collect()
    }

    fn network_output(&self, d: &Array) -> Array {
        let sd = self.sigma_data;
        let kept = self.rows(|x, _, total| (sd / total).powi(2) * x, &self.x.values);
        let left: Vec<f64> = d.values.iter().zip(kept).map(|(d, kept)| d - kept).collect();
        Array { shape: d.shape.clone(), values: self.rows(|v, s, total| v / (s * sd / total), &left) }
    }
}

fn check(fixture: &str, config: &AdaGnUNetConfig, sigma_data: f64, prefix: &str) {
    let folder = folder("k_diffusion").join(fixture);
    let io: Arrays = safetensors(folder.join("io.safetensors"));
    let (x, sigma) = (get(&io, "x"), &get(&io, "sigma").values);
    let preconditioner = Preconditioner { x, sigma, sigma_data };
    let scaled = preconditioner.scaled_input();
    let input = Input::at(sigma.iter().map(|s| s.ln() / 4.0).collect());

    // Both sets of weights of the file of training, and the rounded ones of the file for inference.
    let ends = [".weight", ".bias", ".kernel"];
    let saved = |after: &str| {
        let w = torch_after(folder.join("model_00000010.pth"), after, prefix, &ends);
        load(config, &x.shape[1..], &w, prefix)
    };
    let (raw, ema) = (saved(""), saved("model_ema"));
    let slim = safetensors(folder.join("model_00000010.safetensors")).into_iter().map(|(name, a)| (name, a.values)).collect();
    let slim = load(config, &x.shape[1..], &slim, prefix);

    compare(&format!("{fixture} F"), &raw, &scaled, &input, get(&io, "F_raw"), 1e-5);
    compare(&format!("{fixture} F_f64"), &raw, &scaled, &input, get(&io, "F_f64_raw"), 1e-5);
    for (d, net) in [("D_raw", &raw), ("D_ema", &ema), ("D_inference_fp16file", &slim)] {
        let f = preconditioner.network_output(get(&io, d));
        compare(&format!("{fixture} {d}"), net, &scaled, &input, &f, 1e-5);
    }
    if let Some(numbers) = io.get("aug_cond") {
        let augment = numbers.f32().chunks(9).map(|row| row.try_into().unwrap()).collect();
        let told = Input { augment: Some(augment), ..input.clone() };
        compare("augmented", &ema, &scaled, &told, &preconditioner.network_output(get(&io, "D_ema_aug")), 1e-5);
    }
    if let Some(stored) = io.get("logvar_raw") {
        let network = AdaGnUNet::new(config, &x.shape[1..]).unwrap();
        for params in [raw.1.clone(), raw.1.cast(DType::F64)] {
            let x = batch(scaled.clone(), sigma.len(), &Default::default()).cast(params.dtype());
            let found = network.forward_with_log_variance(&params, x, &input, &Mode::Eval).1.expect("a variance channel");
            rows_f64(found).iter().zip(&stored.values).for_each(|(a, b)| assert!((a - b).abs() < 1e-5, "log-variance {a} {b}"));
        }
    }
}

/// Two levels, attention in the second, augmentation told.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn image_v1() {
    let config = AdaGnUNetConfig {
        mapping_width: 64,
        depths: vec![1, 1],
        channels: vec![32, 64],
        attention_levels: vec![1],
        augment: true,
        ..AdaGnUNetConfig::default()
    };
    check("image_v1", &config, 0.5, "inner_model.");
}

/// Patches of two by two pixels, a variance, one level.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn image_v1_with_patches_and_variance() {
    let config = AdaGnUNetConfig {
        mapping_width: 32,
        depths: vec![1],
        channels: vec![32],
        attention_levels: vec![0],
        patch_size: 2,
        variance_channel: true,
        ..AdaGnUNetConfig::default()
    };
    check("image_v1_patch2_variance", &config, 0.6162, "");
}

/// The block of attention alone, 128 channels with two heads and four groups: in a network of one level whose other parts pass on what they
/// are given. A condition of any sign cannot come out of the network of conditions; it is put into the bias of the norm that is told of it.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn attention_with_two_heads() {
    let folder = folder("k_diffusion").join("image_v1_attn_block_2heads");
    let (w, io) = (safetensors(folder.join("state_dict.safetensors")), safetensors(folder.join("io.safetensors")));
    let config = AdaGnUNetConfig {
        mapping_width: 16,
        depths: vec![1],
        channels: vec![128],
        attention_levels: vec![0],
        ..AdaGnUNetConfig::default()
    };
    let (x, stored, cond) = (get(&io, "x"), get(&io, "output"), get(&io, "cond"));
    for row in 0..2 {
        let cond = &cond.values[row * 16..][..16];
        let told = |line: &[f64]| line.iter().zip(cond).map(|(w, c)| w * c).sum::<f64>();
        let net = network_of(NetworkConfig::AdaGnUNet(config.clone()), &x.shape[1..], |name, shape| match name {
            "stem.weight" | "out.weight" => (0..128 * 128).map(|i| if i % 129 == 0 { 1.0 } else { 0.0 }).collect(),
            "down.0.0.attention.norm.bias" => {
                let lines = get(&w, "norm_in.mapper.weight").values.chunks(16);
                lines.zip(&get(&w, "norm_in.mapper.bias").values).map(|(line, b)| (told(line) + b) as f32).collect()
            }
            _ => match name.strip_prefix("down.0.0.attention.").and_then(|rest| rest.split_once('.')) {
                Some((layer @ ("qkv" | "out"), end)) => get(&w, &format!("{layer}_proj.{end}")).f32(),
                _ => vec![0.0; shape.iter().product()],
            },
        });
        let of = |a: &Array| Array { shape: vec![1, 128, 6, 6], values: a.values[row * 4608..][..4608].to_vec() };
        compare("two heads", &net, &of(x).f32(), &Input::at(vec![0.0]), &of(stored), 1e-5);
    }
}
