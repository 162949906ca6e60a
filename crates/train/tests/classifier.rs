//! A classifier of noised data learns Bayes' rule at every noise level, and its runs are runs like others.

mod common;

use common::*;
use scorefield_data::{Dataset, Shape};
use scorefield_model::{Classifier, Model, ModelError, Weights};
use scorefield_nn::{MlpConfig, NetworkConfig, PooledConfig, TrunkConfig};
use scorefield_process::ProcessExt;
use scorefield_tensor::{batch, rows};
use scorefield_train::{ClassifierSummary, Coupling, Ended, Loss, TrainConfig, TrainError, Trainer};

/// Two normals of deviation a half about -1 and 1 on a line, three of the first for one of the second.
fn two_normals(n: usize) -> Dataset {
    let z = normals(n, 4);
    let labels: Vec<u32> = (0..n as u32).map(|i| u32::from(i % 4 == 3)).collect();
    let values = z.iter().zip(&labels).map(|(z, &label)| 0.5 * z + if label == 1 { 1.0 } else { -1.0 }).collect();
    Dataset::from_rows("normals", Shape::Vector { dim: 1 }, values, Some((labels, ["left", "right"].map(String::from).to_vec())))
}

fn of_vectors(recipe: TrainConfig, outputs: usize) -> TrainConfig {
    let trunk = TrunkConfig::Mlp(MlpConfig { hidden: 32, depth: 2, time_width: 8, ..MlpConfig::default() });
    TrainConfig { network: NetworkConfig::Pooled(PooledConfig { outputs, trunk }), ..recipe }
}

#[test]
fn it_learns_bayes_rule() {
    let folder = tempfile::tempdir().unwrap();
    let data = two_normals(4000);
    let mut recipe = of_vectors(recipe(700), 2);
    (recipe.batch, recipe.optim.lr) = (256, 3e-3);
    let mut trainer = create(folder.path(), &recipe, &data);
    let (outcome, events) = run(&mut trainer);
    assert_eq!(outcome.unwrap().ended, Ended::Finished);
    let entropy = -(0.75f64.ln() * 0.75 + 0.25f64.ln() * 0.25);
    let trivial = events.iter().find_map(|e| if let scorefield_train::Event::Step(r) = e { Some(r.trivial) } else { None });
    assert!((trivial.unwrap() - entropy).abs() < 1e-12);

    let classifier = Classifier::load(folder.path(), Weights::Ema, &Default::default()).unwrap();
    let (codec, process) = (&classifier.meta().codec, classifier.process());
    let encoded = |v: f32| {
        let mut state = [0.0];
        codec.encode_row(&[v], &mut state);
        f64::from(state[0])
    };
    let (left, right, deviation) = (encoded(-1.0), encoded(1.0), 0.5 * (encoded(1.0) - encoded(0.0)));
    for u in [0.1, 0.3, 0.5, 0.7] {
        let t = process.span().at(u);
        let m = process.at(t);
        let variance = (m.alpha * deviation).powi(2) + m.sigma.powi(2);
        // The log-odds of two normals of equal variance are linear: ln 1/3 + (x - mean) slope.
        let odds = |x: f64| {
            let far = |centre: f64| -(x - m.alpha * centre).powi(2) / (2.0 * variance);
            (1f64 / 3.0).ln() + far(right) - far(left)
        };
        let xs: Vec<f64> = (-8..=8).map(|k| f64::from(k) * 0.25).collect();
        let x = batch(xs.iter().map(|&x| x as f32).collect(), xs.len(), &Default::default());
        let found = rows(classifier.log_probabilities(&x, &vec![t; xs.len()]));
        for (row, &x) in found.chunks(2).zip(&xs) {
            let expected = 1.0 / (1.0 + (-odds(x)).exp());
            let p = f64::from(row[1]).exp();
            assert!((p - expected).abs() < 0.07, "at {u}, {x}: {p} for {expected}");
            assert!((f64::from(row[0]).exp() + p - 1.0).abs() < 1e-5);
        }
    }

    // Measured from the lowest level, where the rule errs on few, to the highest, where the larger class is all that is known.
    let ClassifierSummary { accuracy } = classifier.meta().classifier.clone().unwrap();
    assert_eq!(accuracy.len(), 8);
    assert!(accuracy.windows(2).all(|w| w[0].level < w[1].level));
    assert!(accuracy[0].accuracy > 0.95 && (accuracy[7].accuracy - 0.75).abs() < 0.04, "{accuracy:?}");
    assert!(said(&events).0.iter().any(|note| note.contains("noise levels")));
}

/// The gradient that guidance takes is that of the logarithm that the classifier says, row by row; of vectors and of pictures.
#[test]
fn gradients_are_differences() {
    let folder = tempfile::tempdir().unwrap();
    let of_pictures = NetworkConfig::Pooled(PooledConfig { outputs: 3, trunk: TrunkConfig::UNet(small_unet()) });
    let cases = [(points(40), of_vectors(recipe(30), 3)), (pictures(20), TrainConfig { network: of_pictures, ..recipe(20) })];
    for (i, (data, mut recipe)) in cases.into_iter().enumerate() {
        let folder = folder.path().join(i.to_string());
        recipe.optim.lr = 2e-2;
        run(&mut create(&folder, &recipe, &data)).0.unwrap();
        let classifier = Classifier::load(&folder, Weights::Raw, &Default::default()).unwrap();
        let (n, d) = (3, data.shape().len());
        let (x, times, classes) = (normals(n * d, 9), [0.3, 0.6, 0.8], [0, 2, 1]);
        let rows_of = |x: &[f32]| batch(x.to_vec(), n, &Default::default());
        let (values, gradient) = classifier.gradient(&rows_of(&x), &times, &classes);
        let ln = |x: &[f32]| -> Vec<f64> {
            let all = rows(classifier.log_probabilities(&rows_of(x), &times));
            (0..n).map(|i| f64::from(all[3 * i + classes[i] as usize])).collect()
        };
        assert!(ln(&x).iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-5));
        let gradient = rows(gradient);
        let size = gradient.iter().fold(0f32, |top, v| top.max(v.abs()));
        assert!(size > 1e-3, "{size}");
        for j in 0..d {
            let h = 1e-2f32;
            let moved = |h: f32| ln(&x.iter().enumerate().map(|(k, v)| if k % d == j { v + h } else { *v }).collect::<Vec<_>>());
            for (i, (up, down)) in moved(h).into_iter().zip(moved(-h)).enumerate() {
                let slope = (up - down) / f64::from(2.0 * h);
                let found = f64::from(gradient[i * d + j]);
                assert!((slope - found).abs() < 0.02 * f64::from(size), "{i}, {j}: {slope} by differences, {found}");
            }
        }
    }
}

#[test]
fn its_run_resumes_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let data = points(50);
    let mut recipe = of_vectors(recipe_of_points(30), 3);
    recipe.label_dropout = 0.0;
    run(&mut create(&whole, &recipe, &data)).0.unwrap();
    let outcome = run_until(&mut create(&parts, &recipe, &data), 11).0.unwrap();
    assert_eq!((outcome.ended, outcome.position.step), (Ended::Interrupted, 11));
    // What was cut has measured nothing yet.
    let cut = Classifier::load(&parts, Weights::Ema, &Default::default()).unwrap();
    assert!(cut.meta().classifier.as_ref().is_some_and(|c| c.accuracy.is_empty()));
    run(&mut resume(&parts, &recipe, &data)).0.unwrap();
    assert_same_run(&whole, &parts);
    let summary = |path| Classifier::load(path, Weights::Ema, &Default::default()).unwrap().meta().classifier.clone();
    assert_eq!(summary(&whole), summary(&parts));

    // A classifier is no model, and a model no classifier; both are named.
    let as_model = Model::load(&whole, Weights::Ema, &Default::default()).unwrap_err();
    assert!(matches!(&as_model, ModelError::IsClassifier { classes: 3, .. }), "{as_model}");
    assert!(as_model.to_string().contains("model.safetensors") && as_model.to_string().contains("--classifier"));
    run(&mut create(&folder.path().join("model"), &recipe_of_points(2), &data)).0.unwrap();
    let as_classifier = Classifier::load(folder.path().join("model"), Weights::Ema, &Default::default()).unwrap_err();
    assert!(as_classifier.to_string().contains("train DATA --classifier"), "{as_classifier}");
}

#[test]
fn what_makes_no_classifier() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |recipe: &TrainConfig, data: &Dataset| {
        let error = Trainer::create(&folder.path().join("r"), recipe.clone(), "", data, &Default::default()).unwrap_err();
        assert!(!folder.path().join("r").exists());
        error
    };
    let sound = of_vectors(recipe(2), 3);
    let data = points(20);
    let changed = |change: &dyn Fn(&mut TrainConfig)| {
        let mut recipe = sound.clone();
        change(&mut recipe);
        refused(&recipe, &data).to_string()
    };
    assert!(changed(&|r| r.label_dropout = 0.1).contains("label_dropout is 0.1"));
    assert!(changed(&|r| r.preview.every_seconds = 5.0).contains("preview.every_seconds is 5"));
    assert!(changed(&|r| r.objective.loss = Loss::ExactTrace).contains("objective.loss"));
    assert!(changed(&|r| r.objective.coupling = Coupling::Sinkhorn { epsilon: 0.1, rounds: 2 }).contains("coupling"));
    assert!(changed(&|r| r.network = r.network.clone().with_classes(3)).contains("network.trunk.classes is 3"));
    let outputs = refused(&of_vectors(recipe(2), 4), &data);
    assert!(matches!(outputs, TrainError::Outputs { network: 4, data: 3 }), "{outputs}");
    let unlabelled = Dataset::from_rows("bare", Shape::Vector { dim: 2 }, normals(40, 1), None);
    let error = refused(&sound, &unlabelled);
    assert!(matches!(error, TrainError::Unlabelled { found: 0, .. }) && error.to_string().contains("bare"), "{error}");
}
