//! NVlabs/edm, `SongUNet` and `DhariwalUNet`.

use crate::files::{Arrays, folder, npz, safetensors};
use crate::{classes_of, compare, get, network, permuted};
use scorefield_nn::{
    AttentionPlacement, ClassEmbedding, Input, ProgressiveInput, ProgressiveOutput, QkvPacking, ResampleFilter, TimeFeatures,
    UNetConfig,
};

/// Our name in theirs, for pictures of `size` and a net of `levels` levels; `adm` tells their two classes apart.
fn weight(w: &Arrays, size: usize, levels: usize, adm: bool, name: &str) -> Vec<f32> {
    let parts: Vec<&str> = name.split('.').collect();
    let at = |level: &str, up: isize| {
        let side = size >> (level.parse::<isize>().unwrap() - up);
        format!("{side}x{side}")
    };
    let (last, top) = ((levels - 1).to_string(), at("0", 0));
    let attention = |place: String, rest: &[&str]| match rest[0] {
        "norm" => get(w, &format!("{place}.norm2.{}", rest[1])).f32(),
        "out" => get(w, &format!("{place}.proj.{}", rest[1])).f32(),
        _ => {
            let a = get(w, &format!("{place}.qkv.{}", rest[1]));
            permuted(a, &QkvPacking::Interleaved.rows(a.shape[0] / 3, 1))
        }
    };
    let inner = |rest: &[&str]| match rest {
        ["embed", end] => format!("affine.{end}"),
        rest => rest.join("."),
    };
    let theirs = match parts[..] {
        ["embed", "frequencies"] => "map_noise.freqs".into(),
        ["embed", "class", end] => format!("map_label.{end}"),
        ["embed", "augment", end] => format!("map_augment.{end}"),
        ["embed", "linear0", end] => format!("map_layer0.{end}"),
        ["embed", "linear1", end] => format!("map_layer1.{end}"),
        ["stem", end] => format!("enc.{top}_conv.{end}"),
        ["out", layer, end] if adm => format!("out_{layer}.{end}"),
        ["out", layer, end] => format!("dec.{top}_aux_{layer}.{end}"),
        ["mid", "attention", ref rest @ ..] => return attention(format!("model.dec.{}_in0", at(&last, 0)), rest),
        ["mid", i, ref rest @ ..] => format!("dec.{}_in{i}.{}", at(&last, 0), inner(rest)),
        ["down", level, "resample", ref rest @ ..] => format!("enc.{}_down.{}", at(level, -1), inner(rest)),
        ["down", level, "input", end] => {
            let place = format!("enc.{}_aux", at(level, -1));
            let residual = w.contains_key(&format!("model.{place}_residual.{end}"));
            format!("{place}_{}.{end}", if residual { "residual" } else { "skip" })
        }
        ["down", level, i, "attention", ref rest @ ..] => {
            return attention(format!("model.enc.{}_block{i}", at(level, 0)), rest);
        }
        ["down", level, i, ref rest @ ..] => format!("enc.{}_block{i}.{}", at(level, 0), inner(rest)),
        ["up", level, "resample", ref rest @ ..] => format!("dec.{}_up.{}", at(level, 1), inner(rest)),
        ["up", level, "output", layer, end] => format!("dec.{}_aux_{layer}.{end}", at(level, 0)),
        ["up", level, i, "attention", ref rest @ ..] => return attention(format!("model.dec.{}_block{i}", at(level, 0)), rest),
        ["up", level, i, ref rest @ ..] => format!("dec.{}_block{i}.{}", at(level, 0), inner(rest)),
        _ => panic!("{name}"),
    };
    get(w, &format!("model.{theirs}")).f32()
}

fn song(model_channels: usize) -> UNetConfig {
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
        class_embedding: ClassEmbedding::Features,
        ..UNetConfig::default()
    }
}

fn ncsnpp(model_channels: usize) -> UNetConfig {
    UNetConfig {
        filter: ResampleFilter::Fir,
        progressive_input: ProgressiveInput::Residual,
        time: TimeFeatures::Fourier { scale: 16.0, frequency_first: true },
        ..song(model_channels)
    }
}

fn check(fixture: &str, config: UNetConfig, adm: bool) {
    let folder = folder("edm").join(fixture);
    let (w, io) = (npz(folder.join("state_dict.npz")), safetensors(folder.join("io.safetensors")));
    let x = get(&io, "model_in_x");
    let (shape, levels) = (x.shape[1..].to_vec(), config.levels());
    let augment = config.augment;
    let net = network(config, &shape, |name, _| weight(&w, shape[1], levels, adm, name));
    let mut input = Input::at(get(&io, "model_in_noise_label").values.clone());
    input.classes = io.get("class_labels").map(classes_of);
    compare(fixture, &net, &x.f32(), &input, get(&io, "F"), 1e-5);
    compare(fixture, &net, &x.f32(), &input, get(&io, "F_f64"), 1e-5);

    // The denoiser of the same file gives the network's output with other conditions: F = (D - c_skip x) / c_out.
    let network_output = |d: &str| {
        let (x, sigma, mut d) = (get(&io, "x"), get(&io, "sigma"), get(&io, d).clone());
        let width = d.values.len() / sigma.values.len();
        for (i, v) in d.values.iter_mut().enumerate() {
            let s = sigma.values[i / width];
            let total = s * s + 0.25;
            *v = (*v - 0.25 / total * x.values[i]) / (s * 0.5 / total.sqrt());
        }
        d
    };
    if augment {
        let numbers = get(&io, "augment_labels").f32();
        let unlabelled = Input { classes: None, ..input.clone() };
        let augmented = Input { augment: Some(numbers.chunks(9).map(|row| row.try_into().unwrap()).collect()), ..input.clone() };
        compare("no labels", &net, &x.f32(), &unlabelled, &network_output("D_no_labels"), 2e-5);
        compare("augmented", &net, &x.f32(), &augmented, &network_output("D_augment"), 2e-5);
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ddpmpp() {
    check("vp_ddpmpp", song(16), false);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ddpmpp_with_classes_and_augmentation() {
    check("edm_ddpmpp_cond_aug", UNetConfig { classes: 10, augment: true, ..song(16) }, false);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsnpp_residual_input() {
    check("ve_ncsnpp", ncsnpp(16), false);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsnpp_skip_input_and_output() {
    let (progressive_input, progressive_output) = (ProgressiveInput::Skip, ProgressiveOutput::Skip);
    check("edm_ncsnpp_skip", UNetConfig { progressive_input, progressive_output, ..ncsnpp(8) }, false);
}

/// Their heads of 64 channels leave a net of 8 and 16 without attention.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn adm() {
    let config = UNetConfig {
        model_channels: 8,
        channel_mult: vec![1.0, 2.0],
        blocks: 1,
        attention_levels: vec![],
        mid_attention: false,
        time: TimeFeatures::adm(),
        learned_variance: true,
        ..UNetConfig::default()
    };
    check("iddpm_adm", config, true);
}
