//! yang-song/score_sde_pytorch, `ddpm` and `ncsnpp`.

use crate::files::{Array, folder, safetensors, torch};
use crate::{compare, get, network};
use scorefield_nn::{
    AttentionPlacement, DownPadding, Input, NetworkConfig, ProgressiveInput, ResampleFilter, Resampling, TimeFeatures, UNetConfig,
};

/// The part of our name that is one entry of their flat list of modules.
fn module(name: &str) -> &str {
    let parts: Vec<&str> = name.split('.').collect();
    let length = |n: usize| parts[..n].join(".").len();
    let n = match parts[..] {
        ["embed" | "out", ..] => 2,
        ["stem", ..] => 1,
        ["mid", ..] => 2,
        [_, _, "output", ..] => 4,
        [_, _, _, "attention", ..] => 4,
        _ => 3,
    };
    &name[..length(n)]
}

/// Their list is in the order of use, and so is ours.
fn check(fixture: &str, config: UNetConfig, ddpm: bool, sigma: bool) {
    let folder = folder("score_sde_pytorch").join(fixture);
    let (w, io) = (torch(folder.join("checkpoint_1.pth"), "module."), safetensors(folder.join("io.safetensors")));
    let shape = [3, 16, 16];
    let specs = NetworkConfig::UNet(config.clone()).build(&shape).unwrap().params().to_vec();
    let mut modules: Vec<&str> = Vec::new();
    for spec in &specs {
        if modules.last() != Some(&module(&spec.name)) {
            modules.push(module(&spec.name));
        }
    }
    let net = network(config, &shape, |name, shape| {
        let place = module(name);
        let k = modules.iter().position(|m| *m == place).unwrap();
        let rest = name[place.len()..].trim_start_matches('.');
        let values = |end: &str| {
            let file = format!("module.all_modules.{k}.{end}");
            w.get(&file).unwrap_or_else(|| panic!("{file} for {name}: {:?}", w.keys().collect::<Vec<_>>())).clone()
        };
        let plain = |end: &str| Array { shape: shape.to_vec(), values: values(end) }.f32();
        let per_pixel = |nin: &str, end: &str, outputs: usize| match end {
            "weight" => Array { shape: vec![shape[1], outputs], values: values(&format!("{nin}.W")) }.transposed(),
            _ => Array { shape: vec![outputs], values: values(&format!("{nin}.b")) }.f32(),
        };
        match rest.split('.').collect::<Vec<_>>()[..] {
            [""] => plain("W"),
            ["norm0" | "norm", end] => plain(&format!("GroupNorm_0.{end}")),
            ["norm1", end] => plain(&format!("GroupNorm_1.{end}")),
            ["conv0", end] => plain(&format!("Conv_0.{end}")),
            ["conv1", end] => plain(&format!("Conv_1.{end}")),
            ["embed", end] => plain(&format!("Dense_0.{end}")),
            ["skip", end] if ddpm => per_pixel("NIN_0", end, shape[0]),
            ["skip", end] => plain(&format!("Conv_2.{end}")),
            ["qkv", end] => (0..3).flat_map(|i| per_pixel(&format!("NIN_{i}"), end, shape[0] / 3)).collect(),
            ["out", end] => per_pixel("NIN_3", end, shape[0]),
            [end] if place.ends_with("resample") => plain(&format!("Conv_0.{end}")),
            [end] if place.ends_with("input") => plain(&format!("Conv2d_0.{end}")),
            [end] => plain(end),
            _ => panic!("{name}"),
        }
    });

    // Variance-exploding networks take ln sigma, centre the picture, and divide by sigma.
    let mut stored = get(&io, "output_f64_raw").clone();
    let labels = &get(&io, "labels").values;
    let (mut x, mut time) = (get(&io, "x").f32(), labels.clone());
    if sigma {
        let width = x.len() / time.len();
        stored.values.iter_mut().enumerate().for_each(|(i, v)| *v *= labels[i / width]);
        x.iter_mut().for_each(|v| *v = 2.0 * *v - 1.0);
        time.iter_mut().for_each(|t| *t = t.ln());
    }
    compare(fixture, &net, &x, &Input::at(time), &stored, 1e-5);
}

fn base(model_channels: usize) -> UNetConfig {
    UNetConfig {
        model_channels,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![1],
        attention_placement: AttentionPlacement::LastBlock,
        resample_skip_conv: true,
        skip_rescale: true,
        scale_shift: false,
        norm_eps: 1e-6,
        time: TimeFeatures::ddpm(),
        ..UNetConfig::default()
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ddpm() {
    let config = UNetConfig {
        channel_mult: vec![1.0, 1.0],
        resampling: Resampling::Conv,
        down_padding: DownPadding::BottomRight,
        skip_rescale: false,
        group_width: 1,
        ..base(32)
    };
    check("ddpm_vp", config, true, false);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ddpmpp() {
    check("ddpmpp_vp_continuous", base(16), false, false);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsnpp() {
    let config = UNetConfig {
        filter: ResampleFilter::Fir,
        progressive_input: ProgressiveInput::Residual,
        time: TimeFeatures::Fourier { scale: 16.0, frequency_first: false },
        ..base(16)
    };
    check("ncsnpp_ve_continuous", config, false, true);
}
