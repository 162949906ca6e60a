//! `import`, and other projects' checkpoints where models are taken.

use crate::common::{done, run};
use serde_json::Value;
use std::path::PathBuf;

fn fixture(name: &str) -> String {
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures"));
    fixtures.join(name).to_str().expect("UTF-8").to_owned()
}

/// A checkpoint says what it is, samples as it stands, and samples the same as a model file.
#[test]
fn a_checkpoint_is_a_model() {
    let folder = tempfile::tempdir().unwrap();
    let edm = fixture("edm/edm_ncsnpp_skip/network-snapshot-000010.pkl");
    let info: Value = serde_json::from_str(&done(folder.path(), &["info", &edm, "--json"])).unwrap();
    assert_eq!((info["layout"].as_str(), info["shape"].as_array().map(Vec::len)), (Some("edm"), Some(3)));
    let import: Value = serde_json::from_str(&done(folder.path(), &["import", &edm, "-o", "m.safetensors", "--json"])).unwrap();
    assert_eq!(import["layout"], "edm");
    assert_eq!(import["parameters"], info["parameters"]);
    done(folder.path(), &["sample", &edm, "-n", "2", "--steps", "3", "-o", "a.npy"]);
    done(folder.path(), &["sample", "m.safetensors", "-n", "2", "--steps", "3", "-o", "b.npy"]);
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("a.npy"), read("b.npy"));
}

/// Without -o nothing is written; layouts are listed.
#[test]
fn looking_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let said = done(folder.path(), &["import", &fixture("diffusers/class_cond")]);
    assert!(said.contains("diffusers") && said.contains("nothing was written"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let layouts = done(folder.path(), &["import", "--layouts"]);
    for name in ["diffusers", "score-sde", "edm", "openai", "lucidrains", "k-diffusion", "ncsn", "ncsnv2"] {
        assert!(layouts.contains(name), "{name} is not in {layouts}");
    }
}

/// Wrong use ends with 2, what a file lacks or breaks with 1; nothing is left behind.
#[test]
fn refusals() {
    let folder = tempfile::tempdir().unwrap();
    let bare = fixture("denoising_diffusion_pytorch/unet_learned_sinusoidal/unet.pt");
    let edm = fixture("edm/iddpm_adm/network-snapshot-000010.pkl");
    std::fs::write(folder.path().join("cut.pkl"), &std::fs::read(&edm).unwrap()[..10_000]).unwrap();
    for (arguments, status, words) in [
        (vec!["import"], 2, vec!["CHECKPOINT"]),
        (vec!["import", "nowhere.pt"], 2, vec!["nowhere.pt", "no such file"]),
        (vec!["import", &edm, "-o", "model.pt"], 2, vec!["model.pt", ".safetensors"]),
        (vec!["import", &edm, "--set", "loud"], 2, vec!["loud", "KEY=VALUE"]),
        (vec!["import", &edm, "--set", "volume=11"], 1, vec!["volume", "no such key"]),
        (vec!["import", "cut.pkl", "-o", "m.safetensors"], 1, vec!["cut.pkl", "cut short"]),
        (vec!["sample", &bare, "-n", "1", "-o", "x.png"], 1, vec!["image_size", "objective", "--set"]),
    ] {
        let (found, stdout, stderr) = run(folder.path(), &arguments);
        assert_eq!(found, status, "{arguments:?}: {stderr}");
        assert!(stdout.is_empty(), "{stdout}");
        words.iter().for_each(|word| assert!(stderr.contains(word), "`{word}` is not in: {stderr}"));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the cut file is there");
    done(
        folder.path(),
        &[
            "import",
            &bare,
            "--set",
            "image_size=16",
            "--set",
            "objective=pred_v",
            "--set",
            "beta_schedule=cosine",
            "-o",
            "m.safetensors",
        ],
    );
}
