//! Models that are given something with every example: they learn the law of the rest given it.

mod common;

use common::*;
use scorefield_data::{Dataset, OpenOptions, open};
use scorefield_model::{Model, Weights};
use scorefield_nn::{MlpConfig, NetworkConfig, UNetConfig};
use scorefield_process::{Denoiser, ProcessExt};
use scorefield_tensor::{batch, rows};
use scorefield_train::{Ended, TrainConfig, TrainError, Trainer};
use std::path::Path;

/// A table of two columns, `b = 0.8 a + 0.6 z` of standard normals, of which `a` is given.
fn half_given(folder: &Path, n: usize) -> Dataset {
    let z = normals(2 * n, 11);
    let lines: Vec<String> = z.chunks(2).map(|z| format!("{},{}", z[0], 0.8 * z[0] + 0.6 * z[1])).collect();
    let path = folder.join("t.csv");
    std::fs::write(&path, format!("a,b\n{}\n", lines.join("\n"))).unwrap();
    opened(&path, "columns:a").unwrap()
}

fn opened(path: &Path, condition: &str) -> Result<Dataset, scorefield_data::DataError> {
    let options = OpenOptions { condition: Some(condition.parse().unwrap()), ..OpenOptions::default() };
    open(&path.display().to_string(), &options)
}

fn of_vectors(recipe: TrainConfig, given: usize) -> TrainConfig {
    let network = MlpConfig { hidden: 32, depth: 2, time_width: 8, condition_width: given, ..MlpConfig::default() };
    TrainConfig { network: NetworkConfig::Mlp(network), ..recipe }
}

/// The denoiser given `a` is that of the normal `b | a`, mean `0.8 a` and variance `0.36`, which depends on `a` by a known slope.
#[test]
fn the_conditional_law_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let data = half_given(folder.path(), 4000);
    assert_eq!((data.shape().len(), data.channels()), (1, &["b".to_owned()][..]));
    let mut recipe = of_vectors(recipe(900), 1);
    (recipe.batch, recipe.optim.lr) = (256, 3e-3);
    let run_folder = folder.path().join("r");
    assert_eq!(run(&mut create(&run_folder, &recipe, &data)).0.unwrap().ended, Ended::Finished);
    let model = Model::load(&run_folder, Weights::Ema, &Default::default()).unwrap();
    let meta = model.meta().condition.clone().unwrap();
    assert_eq!((meta.source.to_string().as_str(), meta.codec.shape().len()), ("columns:a", 1));

    let encode = |codec: &scorefield_data::Codec, v: f64| {
        let mut state = [0.0];
        codec.encode_row(&[v as f32], &mut state);
        f64::from(state[0])
    };
    let codec = &model.meta().codec;
    let given = [-1.5, -0.5, 0.5, 1.5];
    for u in [0.2, 0.5, 0.8] {
        let (t, m) = (model.process().span().at(u), model.process().at(model.process().span().at(u)));
        let condition = given.iter().map(|&a| encode(&meta.codec, a) as f32).collect();
        // What is said of states on the conditional law's own mean is that mean.
        let means: Vec<f64> = given.iter().map(|a| encode(codec, 0.8 * a)).collect();
        let x = batch(means.iter().map(|mean| (m.alpha * mean) as f32).collect(), 4, &Default::default());
        let found = rows(model.denoiser_given(None, Some(condition)).denoise(&x, t));
        for (found, mean) in found.iter().zip(&means) {
            assert!((f64::from(*found) - mean).abs() < 0.12, "at {u}: {found} for {mean}");
        }
    }
}

#[test]
fn runs_with_conditions_resume_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let table = half_given(folder.path(), 60);
    let mut mirrored = recipe_of_pictures(8);
    mirrored.examples.augment = None;
    mirrored.network = NetworkConfig::UNet(UNetConfig { classes: 10, condition_channels: 1, ..small_unet() });
    let digits = open("digits", &OpenOptions { condition: Some("low:4".parse().unwrap()), ..OpenOptions::default() }).unwrap();
    for (name, recipe, data) in [("table", of_vectors(recipe(12), 1), table), ("digits", mirrored, digits.subset(&[5, 9, 2, 7]))]
    {
        let (whole, parts) = (folder.path().join(format!("{name}-whole")), folder.path().join(format!("{name}-parts")));
        run(&mut create(&whole, &recipe, &data)).0.unwrap();
        run_until(&mut create(&parts, &recipe, &data), 5).0.unwrap();
        run(&mut resume(&parts, &recipe, &data)).0.unwrap();
        assert_same_run(&whole, &parts);
        let meta = Model::load(&whole, Weights::Ema, &Default::default()).unwrap().meta().clone();
        assert_eq!(Some(&meta.condition.unwrap().source), data.condition_source());
    }
}

/// Conditions that are all hidden change nothing of the weights, those that are hidden now and then do, and the model says which share was.
#[test]
fn conditions_are_hidden_by_share() {
    let folder = tempfile::tempdir().unwrap();
    let table = half_given(folder.path(), 60);
    let text = std::fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let turned: Vec<&str> = text.lines().skip(1).collect();
    // The same `b` with the `a` of another row.
    let lines: Vec<String> = (0..60)
        .map(|i| format!("{},{}", turned[59 - i].split_once(',').unwrap().0, turned[i].split_once(',').unwrap().1))
        .collect();
    std::fs::write(folder.path().join("u.csv"), format!("a,b\n{}\n", lines.join("\n"))).unwrap();
    let other = opened(&folder.path().join("u.csv"), "columns:a").unwrap();
    let answer = |share: f64, data: &Dataset, name: &str| {
        let run_folder = folder.path().join(name);
        run(&mut create(&run_folder, &TrainConfig { condition_dropout: share, ..of_vectors(recipe(12), 1) }, data)).0.unwrap();
        let model = Model::load(&run_folder, Weights::Raw, &Default::default()).unwrap();
        assert_eq!(model.meta().training.condition_dropout, share);
        let x = batch(vec![0.3, -0.7], 2, &Default::default());
        rows(model.denoiser_given(None, Some(vec![0.0, 0.0])).denoise(&x, 0.4))
    };
    assert_eq!(answer(1.0, &table, "a"), answer(1.0, &other, "b"));
    let (half, none) = (answer(0.5, &table, "c"), answer(0.0, &table, "d"));
    assert!(half != none && half != answer(1.0, &table, "e") && half != answer(0.5, &other, "f"));
}

/// The network and the data agree on the condition, and it stands beside nothing that would leave it out.
#[test]
fn conditions_that_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let data = half_given(folder.path(), 30);
    let refused = |recipe: &TrainConfig, data: &Dataset| {
        Trainer::create(&folder.path().join("r"), recipe.clone(), "", data, &Default::default()).unwrap_err()
    };
    let none = refused(&of_vectors(recipe(2), 0), &data);
    assert!(matches!(&none, TrainError::Condition { network, data } if network.is_empty() && data == &[1]), "{none}");
    assert!(none.to_string().contains("data.condition"));
    let without = open(&folder.path().join("t.csv").display().to_string(), &OpenOptions::default()).unwrap();
    assert!(matches!(refused(&of_vectors(recipe(2), 1), &without), TrainError::Condition { .. }));

    let file = folder.path().join("c.csv");
    std::fs::write(&file, "x,y\n1,2\n3,4\n").unwrap();
    let short = opened(&folder.path().join("t.csv"), &format!("file:{}", file.display())).unwrap_err().to_string();
    assert!(short.contains("c.csv") && short.contains("2 rows") && short.contains("30, one for each example"), "{short}");
    let missing = opened(&folder.path().join("t.csv"), "columns:q").unwrap_err().to_string();
    assert!(missing.contains("\"q\"") && missing.contains("a, b"), "{missing}");
}
