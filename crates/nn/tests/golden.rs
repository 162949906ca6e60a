//! Parts of other projects' networks that no checkpoint of a whole network pins down. Whole networks are compared where their files are
//! read, in the tests of `model`.

use scorefield_nn::{AdaGnUNetConfig, Input, Mode, NetworkConfig, Params};
use scorefield_tensor::{DType, Tensor, TensorData, rows_f64};
use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let number = |b: &[u8]| f64::from(f32::from_le_bytes(b.try_into().unwrap()));
    let single =
        |(name, view): (String, safetensors::tensor::TensorView<'_>)| (name, view.data().chunks(4).map(number).collect());
    file.tensors().into_iter().map(single).collect()
}

/// crowsonkb/k-diffusion's block of attention alone, 128 channels with two heads and four groups: in a network of one level whose other
/// parts pass on what they are given. A condition of any sign cannot come out of the network of conditions; it is put into the bias of
/// the norm that is told of it.
#[test]
#[ignore = "needs ../shared/fixtures"]
fn attention_with_two_heads() {
    let folder = scorefield_testkit::shared().join("checkpoints/k_diffusion/image_v1_attn_block_2heads");
    let (w, io) = (read(&folder.join("state_dict.safetensors")), read(&folder.join("io.safetensors")));
    let config = AdaGnUNetConfig {
        mapping_width: 16,
        depths: vec![1],
        channels: vec![128],
        attention_levels: vec![0],
        ..AdaGnUNetConfig::default()
    };
    let network = NetworkConfig::AdaGnUNet(config).build(&[128, 6, 6]).unwrap();
    for row in 0..2 {
        let cond = &io["cond"][row * 16..][..16];
        let told = |line: &[f64]| line.iter().zip(cond).map(|(w, c)| w * c).sum::<f64>();
        let weight = |name: &str, shape: &[usize]| -> Vec<f32> {
            match name {
                "stem.weight" | "out.weight" => (0..128 * 128).map(|i| if i % 129 == 0 { 1.0 } else { 0.0 }).collect(),
                "down.0.0.attention.norm.bias" => {
                    let lines = w["norm_in.mapper.weight"].chunks(16);
                    lines.zip(&w["norm_in.mapper.bias"]).map(|(line, b)| (told(line) + b) as f32).collect()
                }
                _ => match name.strip_prefix("down.0.0.attention.").and_then(|rest| rest.split_once('.')) {
                    Some((layer @ ("qkv" | "out"), end)) => w[&format!("{layer}_proj.{end}")].iter().map(|v| *v as f32).collect(),
                    _ => vec![0.0; shape.iter().product()],
                },
            }
        };
        let values = network.params().iter().map(|s| weight(&s.name, &s.shape)).collect();
        let params = Params::from_host(network.params(), values, &Default::default()).unwrap();
        let of = |name: &str| io[name][row * 4608..][..4608].to_vec();
        let stored = of("output");
        let largest = stored.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::from_data(TensorData::new(of("x"), [1, 4608]), (&Default::default(), dtype));
            let y = rows_f64(network.forward(&params.cast(dtype), x, &Input::at(vec![0.0]), &Mode::Eval));
            let error = y.iter().zip(&stored).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest;
            assert!(error < 1e-5, "row {row} {dtype:?}: {error:.1e}");
        }
    }
}
