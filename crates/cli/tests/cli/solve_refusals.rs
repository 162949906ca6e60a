//! What `solve` refuses.

use crate::common::{done, run, small_model};
use crate::solve::digit;
use scorefield::data::{PictureFile, PictureKind};
use std::fs;
use tempfile::tempdir;

/// What cannot be asked is refused with both sides named, and nothing is written.
#[test]
fn what_cannot_be_asked_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path();
    small_model(path);
    digit(&path.join("d.png"), PictureKind::Png { deep: false });
    let mask = PictureFile { channels: 1, height: 7, width: 9, values: vec![255.0; 63], kind: PictureKind::Png { deep: false } };
    mask.save(&path.join("wide.png")).unwrap();
    PictureFile { height: 8, width: 8, values: vec![0.0; 64], ..mask.clone() }.save(&path.join("none.png")).unwrap();
    PictureFile { height: 8, width: 8, values: vec![128.0; 64], ..mask.clone() }.save(&path.join("half.png")).unwrap();
    let npy =
        |name: &str, values: &[f32], dims: &[usize]| scorefield::data::write::array(&path.join(name), values, dims).unwrap();
    npy("short.npy", &[1.0; 5], &[1, 5]);
    npy("nan.npy", &[f32::NAN; 64], &[1, 64]);
    npy("bright.npy", &[4000.0; 64], &[1, 64]);
    npy("matrix.npy", &[1.0; 20], &[2, 10]);
    let refused = |arguments: &str, words: &[&str]| {
        let all: Vec<&str> =
            ["solve", "run"].into_iter().chain(arguments.split(' ')).chain(["-n", "1", "--steps", "3", "-o", "out"]).collect();
        let (status, stdout, said) = run(path, &all);
        assert_eq!((status, stdout.as_str()), (2, ""), "{arguments}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments}: {word:?} is not in {said}");
        }
        assert!(!path.join("out").exists(), "{arguments}");
    };
    refused("d.png --task inpaint", &["--mask"]);
    refused("d.png --task inpaint --mask wide.png", &["9 x 7", "8 x 8"]);
    refused("d.png --task inpaint --mask none.png", &["nothing"]);
    refused("d.png --task inpaint --mask half.png", &["128"]);
    refused("d.png --task inpaint --mask box:0,0,9,2", &["8 rows"]);
    refused("d.png --task inpaint --mask columns:a", &["for tables", "8x8"]);
    refused("d.png --task super-resolution:factor=2+inpaint --mask box:0,0,8,2", &["4 rows"]);
    refused("d.png --task ct+inpaint --mask left", &["no picture"]);
    refused("d.png --task inpaint --mask random:1.5", &["share"]);
    refused("d.png --task denoise --noise -1", &["-1", "not negative"]);
    refused("d.png --task denoise --noise nan", &["NaN"]);
    refused("d.png --task denoise --noise loud", &["poisson"]);
    refused("d.png --task denoise --mask left", &["mask", "denoise"]);
    refused("d.png --task super-resolution:factor=3 --simulate", &["3", "8"]);
    refused("d.png --task super-resolution:factor=2", &["8 x 8", "4 x 4"]);
    refused("d.png --task colourise", &["3 channels"]);
    refused("d.png --task ct", &["a picture", "96 numbers", "--simulate"]);
    refused("short.npy --task ct", &["5", "96"]);
    refused("bright.npy --task denoise", &["4000", "16"]);
    refused("d.png --task matrix --matrix matrix.npy --simulate", &["10", "64"]);
    refused("d.png --task deblurr", &["deblur"]);
    refused("d.png --task edit --task denoise", &["edit", "stands alone"]);
    refused("d.png d.png --task denoise", &["2 are given, 1 --task", "DATA@I..J"]);
    refused("d.png d.png --task denoise --task deblur --simulate", &["2 are given, 2 --task", "one is measured"]);
    refused("d.png --task denoise --task deblur", &["a picture", "128 numbers", "a file for each --task"]);
    refused("d.png --task deblur --rule mpps", &["mmps"]);
    refused("d.png --task gamma --rule mmps --simulate", &["linear", "dps"]);
    refused("d.png --task deblur:motion=3 --rule ddrm", &["singular"]);
    refused("d.png --task denoise --noise 0 --rule tds", &["0"]);
    refused("d.png --task denoise --rule repaint:repeats=60 --solver heun", &["repeats"]);
    refused("d.png --task edit:strength=2", &["strength"]);
    refused("d.png --task edit --rule mmps", &["edit"]);
    refused("d.png --task denoise --solver dpm-adaptive", &["given steps"]);
    refused("d.png --task denoise --rule ddrm --solver heun", &["its own steps"]);
    refused("d.png --task denoise --solver ddpm:variance=learned", &["variance"]);
    refused("d.png --task ct --simulate --noise round", &["pictures"]);
    refused("d.png --task edit --truth digits", &["--truth"]);
    refused("d.png --task denoise --quantiles 0.5,2", &["0.05"]);
    refused("d.png --task denoise --class 77", &["77"]);
    refused("digits@9999 --task denoise --simulate", &["1797"]);
    refused("d.png --task denoise --truth digits", &["1797", "1"]);
    let (status, _, said) = run(path, &["solve", "run", "nan.npy", "--task", "denoise", "-o", "out"]);
    assert!(status != 0 && said.contains("nan.npy") && said.contains("NaN") && !path.join("out").exists(), "{said}");
    let (status, _, said) = run(path, &["solve", "run", "nowhere.png", "--task", "denoise", "-o", "out"]);
    assert!(status != 0 && said.contains("nowhere.png") && !path.join("out").exists(), "{said}");
    fs::create_dir(path.join("full")).unwrap();
    fs::write(path.join("full/x"), "x").unwrap();
    let (status, _, said) = run(path, &["solve", "run", "d.png", "--task", "denoise", "-o", "full"]);
    assert!(status == 2 && said.contains("other things"), "{said}");
    let _ = done(path, &["info", "--tasks"]);
    let _ = done(path, &["info", "--rules"]);
}
