//! What cannot be is refused, with what would do.

use super::foreign::{adagn, rms, small_adagn, small_rms};
use super::*;
use scorefield_nn::{NetworkError, ResampleFilter, Resampling, TimeFeatures};

fn says(error: NetworkError, words: &[&str]) {
    let text = error.to_string();
    words.iter().for_each(|w| assert!(text.contains(w), "{w:?} is not in {text:?}"));
}

#[test]
fn own_networks() {
    let base = UNetConfig { model_channels: 8, ..UNetConfig::default() };
    let refuse = |config: &UNetConfig, shape: &[usize]| NetworkConfig::UNet(config.clone()).build(shape).unwrap_err();
    says(refuse(&base, &[1, 3, 20]), &["3 x 20", "at least 4", "4 x 20", "at most 2 entries"]);
    says(refuse(&base, &[64]), &["[64]", "[channels, height, width]", "mlp"]);
    says(refuse(&base, &[0, 8, 8]), &["[0, 8, 8]"]);
    says(refuse(&UNetConfig { attention_levels: vec![3], ..base.clone() }, &[1, 8, 8]), &["attention_levels = 3", "0", "to 2"]);
    says(refuse(&UNetConfig { self_conditioning: true, ..base.clone() }, &[1, 8, 8]), &["self_conditioning", "not there yet"]);
    says(refuse(&UNetConfig { heads: 3, ..base.clone() }, &[1, 8, 8]), &["heads = 3", "16 channels"]);
    says(refuse(&UNetConfig { groups: 3, group_width: 1, ..base.clone() }, &[1, 8, 8]), &["groups = 3", "8 channels"]);
    let few = UNetConfig { attention_groups: Some(5), ..base.clone() };
    says(refuse(&few, &[1, 8, 8]), &["attention_groups = 5", "16 channels"]);
    says(refuse(&UNetConfig { dropout: 1.0, ..base.clone() }, &[1, 8, 8]), &["dropout = 1"]);
    says(refuse(&UNetConfig { channel_mult: vec![], ..base.clone() }, &[1, 8, 8]), &["channel_mult"]);
    says(refuse(&UNetConfig { blocks: 0, ..base.clone() }, &[1, 8, 8]), &["blocks = 0"]);
    let fir = UNetConfig { filter: ResampleFilter::Fir, resampling: Resampling::Conv, ..base.clone() };
    says(refuse(&fir, &[1, 8, 8]), &["filter = fir", "resampling"]);
    says(
        refuse(&UNetConfig { model_channels: 9, time: TimeFeatures::ddpm(), ..base }, &[1, 8, 8]),
        &["model_channels = 9", "even"],
    );
    let mlp = NetworkConfig::Mlp(MlpConfig::default());
    says(mlp.build(&[1, 8, 8]).unwrap_err(), &["[1, 8, 8]", "unet"]);

    let unknown = toml::from_str::<NetworkConfig>("kind = \"unet\"\nmodel_chanels = 8").unwrap_err().to_string();
    assert!(unknown.contains("model_chanels") && unknown.contains("model_channels"), "{unknown}");
    let read: NetworkConfig = toml::from_str("kind = \"unet\"\nchannel_mult = [1, 2]\nblocks = 3").unwrap();
    assert_eq!(read, NetworkConfig::UNet(UNetConfig { channel_mult: vec![1.0, 2.0], blocks: 3, ..UNetConfig::default() }));
}

#[test]
fn foreign_networks() {
    let (r, a) = (small_rms(), small_adagn());
    let refuse = |config: NetworkConfig, shape: &[usize], words: &[&str]| says(config.build(shape).unwrap_err(), words);
    let picture = [1, 8, 8];

    refuse(rms(RmsUNetConfig { channel_mult: vec![1, 1, 1], ..r.clone() }), &[1, 8, 10], &["8 x 10", "multiple of 4", "8 x 12"]);
    refuse(rms(r.clone()), &[64], &["rms-unet", "[64]", "[channels, height, width]", "mlp"]);
    refuse(rms(RmsUNetConfig { full_attention_levels: vec![2], ..r.clone() }), &picture, &["full_attention_levels = 2", "to 1"]);
    refuse(rms(RmsUNetConfig { model_channels: 7, ..r.clone() }), &picture, &["model_channels = 7", "even"]);
    refuse(rms(RmsUNetConfig { channel_mult: vec![1, 0], ..r.clone() }), &picture, &["channel_mult = 0"]);
    refuse(rms(RmsUNetConfig { channel_mult: vec![], full_attention_levels: vec![], ..r.clone() }), &picture, &["channel_mult"]);
    refuse(rms(RmsUNetConfig { heads: 0, ..r.clone() }), &picture, &["heads = 0"]);
    refuse(rms(RmsUNetConfig { dropout: 1.0, ..r.clone() }), &picture, &["dropout = 1"]);
    refuse(
        rms(RmsUNetConfig { time: RmsTimeFeatures::Learned { width: 3 }, ..r.clone() }),
        &picture,
        &["time.width = 3", "even"],
    );
    refuse(rms(RmsUNetConfig { time: RmsTimeFeatures::Sinusoidal { theta: 0.0 }, ..r }), &picture, &["time.theta = 0"]);

    let patched = AdaGnUNetConfig { patch_size: 2, ..a.clone() };
    refuse(adagn(patched.clone()), &[1, 8, 10], &["8 x 10", "multiple of 4", "at least 8", "8 x 12"]);
    refuse(adagn(patched), &[1, 4, 8], &["4 x 8", "at least 8", "8 x 8"]);
    refuse(adagn(AdaGnUNetConfig { depths: vec![1], ..a.clone() }), &picture, &["depths = [1]", "2 levels"]);
    refuse(adagn(AdaGnUNetConfig { attention_levels: vec![2], ..a.clone() }), &picture, &["attention_levels = 2", "to 1"]);
    refuse(adagn(AdaGnUNetConfig { mapping_width: 5, ..a.clone() }), &picture, &["mapping_width = 5", "even"]);
    let uneven = AdaGnUNetConfig { channels: vec![4, 11], group_width: 3, attention_levels: vec![], ..a.clone() };
    refuse(adagn(uneven), &picture, &["group_width = 3", "3 groups", "11 channels"]);
    refuse(
        adagn(AdaGnUNetConfig { channels: vec![4, 7], group_width: 7, head_channels: 2, ..a.clone() }),
        &picture,
        &["head_channels = 2", "3 equal heads"],
    );
    refuse(adagn(AdaGnUNetConfig { patch_size: 0, ..a.clone() }), &picture, &["patch_size = 0"]);
    refuse(adagn(AdaGnUNetConfig { norm_eps: 0.0, ..a }), &picture, &["norm_eps = 0"]);

    for (kind, key) in [("rms-unet", "model_chanels"), ("adagn-unet", "patch")] {
        let unknown = toml::from_str::<NetworkConfig>(&format!("kind = \"{kind}\"\n{key} = 8")).unwrap_err().to_string();
        assert!(unknown.contains(key), "{unknown}");
    }
}
