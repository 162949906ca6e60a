//! ermongroup/ncsn, `CondRefineNetDilated`, and ermongroup/ncsnv2, `NCSNv2`.

use crate::files::{folder, safetensors, torch};
use crate::{compare, get, network};
use scorefield_nn::{Input, RefineNetConfig};

/// Our name in theirs, without the prefix of their parallel wrapper. They count stages from 1, and refinements from the deepest; a
/// convolution that also halves is an object with the convolution inside.
fn theirs(config: &RefineNetConfig, name: &str) -> String {
    let number = |s: &str| s.parse::<usize>().unwrap_or_else(|_| panic!("{name}"));
    let refinement = |stage: &str| format!("refine{}", config.stages() - number(stage));
    // A unit's steps, and the end of a step: `norm.table` or `conv.weight`.
    let step = |unit: &str, step: &str, layer: &str| format!("{}_{}_{layer}", number(unit) + 1, number(step) + 1);
    let end = |end: &str| if end == "table" { "embed.weight".to_owned() } else { end.to_owned() };
    match name.split('.').collect::<Vec<_>>()[..] {
        ["stem", e] => format!("begin_conv.{e}"),
        ["out", "norm", e] => format!("normalizer.{}", end(e)),
        ["out", "conv", e] => format!("end_conv.{e}"),
        ["res", stage, block, layer, e] => {
            let halves = block == "0" && config.halves(number(stage));
            let layer = match layer {
                "norm0" => "normalize1",
                "norm1" => "normalize2",
                "conv0" => "conv1",
                "conv1" if halves => "conv2.conv",
                "conv1" => "conv2",
                "skip" if halves => "shortcut.conv",
                "skip" => "shortcut",
                _ => panic!("{name}"),
            };
            format!("res{}.{block}.{layer}.{}", number(stage) + 1, end(e))
        }
        ["refine", stage, "adapt", input, unit, s, layer, e] => {
            format!("{}.adapt_convs.{input}.{}.{}", refinement(stage), step(unit, s, layer), end(e))
        }
        ["refine", stage, "out", unit, s, layer, e] => {
            format!("{}.output_convs.{}.{}", refinement(stage), step(unit, s, layer), end(e))
        }
        ["refine", stage, part @ ("fuse" | "pool"), i, layer, e] => {
            let part = if part == "fuse" { "msf" } else { "crp" };
            format!("{}.{part}.{layer}s.{i}.{}", refinement(stage), end(e))
        }
        _ => panic!("{name}"),
    }
}

/// Their programs centre the picture, and those of 2020 divide by the noise level; both are undone here.
fn check(fixture: &str, prefix: &str, config: RefineNetConfig, channels: usize, outputs: &[&str]) {
    let folder = folder(fixture);
    let (w, io) = (torch(folder.join("checkpoint_10.pth"), prefix), safetensors(folder.join("io.safetensors")));
    let x = get(&io, "x");
    let shape = [channels, x.shape[2], x.shape[3]];
    let mut used = 0;
    let net = network(config.clone(), &shape, |name, shape| {
        let file = format!("{prefix}{}", theirs(&config, name));
        let values = w.get(&file).unwrap_or_else(|| panic!("{file} for {name}: {:?}", w.keys().collect::<Vec<_>>()));
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        used += 1;
        values.iter().map(|&v| v as f32).collect()
    });
    let given = w.keys().filter(|name| !prefix.is_empty() || !name.starts_with("module.")).count();
    assert_eq!(used, given, "every tensor of the file has its place");

    let centred: Vec<f32> = x.values.iter().map(|&v| (2.0 * v - 1.0) as f32).collect();
    let (labels, sigmas) = (&get(&io, "labels").values, &get(&io, "sigmas").values);
    for output in outputs {
        let mut stored = get(&io, output).clone();
        let width = stored.values.len() / labels.len();
        if config.noise_levels == 0 {
            stored.values.iter_mut().enumerate().for_each(|(i, v)| *v *= sigmas[labels[i / width] as usize]);
        }
        compare(&format!("{fixture} {output}"), &net, &centred, &Input::at(labels.clone()), &stored, 1e-5);
    }
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsn() {
    let config = RefineNetConfig { model_channels: 8, ..RefineNetConfig::ncsn() };
    check("ncsn/ncsn_cifar", "module.", config.clone(), 3, &["output_raw", "output_f64_raw"]);
    check("ncsn/ncsn_mnist28", "module.", config, 1, &["output_raw", "output_f64_raw"]);
}

#[test]
#[ignore = "needs ../shared/fixtures"]
fn ncsnv2() {
    let config = RefineNetConfig { model_channels: 8, ..RefineNetConfig::ncsnv2() };
    check("ncsnv2/ncsnv2", "module.", config.clone(), 3, &["output_raw", "output_f64_raw"]);
    check("ncsnv2/ncsnv2", "", config, 3, &["output_ema"]);
}
