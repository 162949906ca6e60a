//! One step by its definition: accumulated batches are one batch, clipping is of the global norm, rates and averages are their
//! formulas.

mod common;

use common::*;
use scorefield_train::{Decay, EmaConfig, Event, OptimConfig, Step, TrainConfig, Trainer};

fn values(trainer: &Trainer<'_>) -> Vec<f32> {
    trainer.model().unwrap().weights().to_host().concat()
}

/// The average after one step: with `n = 1` it keeps 2/11 of the first weights.
const FIRST_KEPT: f64 = 2.0 / 11.0;

/// `batch` examples in `accumulate` parts; an `eps` so large that the optimiser is linear in the gradient, where Adam would turn
/// the rounding of a gradient near zero into a step of full length.
/// Three steps, since only the last layer has a gradient in the first: networks start at zero.
fn three_steps(mut recipe: TrainConfig, batch: usize, accumulate: usize) -> (f64, f64, Vec<f32>, Vec<f32>) {
    (recipe.batch, recipe.accumulate, recipe.optim.warmup, recipe.optim.eps, recipe.optim.lr) = (batch, accumulate, 0, 1e3, 1e3);
    recipe.optim.clip = f64::INFINITY;
    let folder = tempfile::tempdir().unwrap();
    let pictures_set = pictures(20);
    let points_set = points(50);
    let data = if matches!(recipe.network, scorefield_nn::NetworkConfig::UNet(_)) { &pictures_set } else { &points_set };
    let mut trainer = create(folder.path(), &recipe, data);
    let before = values(&trainer);
    trainer.advance();
    trainer.advance();
    let Step::Taken { loss, grad_norm, .. } = trainer.advance() else { panic!("a finite loss") };
    (loss, grad_norm, before, values(&trainer))
}

/// Examples are numbered through the run, so that times, noise, flips, labels and dropout of 2 x 4 are those of 1 x 8; the mean of
/// the means is the mean. With stratified times the strata are those of a part, and the two differ by design.
#[test]
fn accumulated_batches_are_one_batch() {
    let mut points = recipe_of_points(10);
    points.objective.stratified = false;
    for recipe in [points, recipe_of_pictures(10)] {
        let (loss, norm, before, whole) = three_steps(recipe.clone(), 8, 1);
        for (batch, accumulate) in [(4, 2), (2, 4), (1, 8)] {
            let (l, g, _, parts) = three_steps(recipe.clone(), batch, accumulate);
            assert!((l / loss - 1.0).abs() < 1e-6 && (g / norm - 1.0).abs() < 1e-5, "{l} {loss}, {g} {norm}");
            let moved = whole.iter().zip(&before).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let apart = whole.iter().zip(&parts).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(moved > 1e-3 && apart < 1e-4 * moved, "{batch} x {accumulate}: apart {apart}, moved {moved}");
        }
        // Half the examples are another step.
        let (_, _, _, half) = three_steps(recipe, 4, 1);
        assert!(whole != half);
    }
    let stratified = recipe_of_points(10);
    assert!((three_steps(stratified.clone(), 8, 1).1 / three_steps(stratified, 4, 2).1 - 1.0).abs() > 1e-4);
}

/// AdamW's first step moves each weight by `lr g / (|g| + eps)` with `g` clipped: with a large eps by `lr g / eps`, so that the
/// length of the whole step is the clipped norm.
#[test]
fn clipping_is_of_the_global_norm() {
    let moved = |clip: f64| {
        let mut recipe = recipe(10);
        (recipe.optim.warmup, recipe.optim.eps, recipe.optim.lr, recipe.optim.clip) = (0, 1e4, 1e4, clip);
        let folder = tempfile::tempdir().unwrap();
        let data = points(50);
        let mut trainer = create(folder.path(), &recipe, &data);
        let before = values(&trainer);
        let Step::Taken { grad_norm, .. } = trainer.advance() else { panic!("a finite loss") };
        let length: f64 = values(&trainer).iter().zip(&before).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
        (grad_norm, length / (1.0 - FIRST_KEPT))
    };
    let (norm, free) = moved(f64::INFINITY);
    assert!((free / norm - 1.0).abs() < 1e-3, "{free} {norm}");
    let (again, clipped) = moved(0.25 * norm);
    assert_eq!(again, norm);
    assert!((clipped / (0.25 * norm) - 1.0).abs() < 1e-3, "{clipped} {norm}");
}

#[test]
fn rates_are_their_formula() {
    let o = OptimConfig { lr: 2.0, warmup: 10, decay: Decay::Cosine, ..OptimConfig::default() };
    assert!((o.rate(0, Some(110)) - 0.2).abs() < 1e-12);
    assert!((o.rate(9, Some(110)) - 2.0).abs() < 1e-12);
    let middle = o.rate(60, Some(110));
    assert!((middle - 2.0 * (0.01 + 0.99 * 0.5)).abs() < 1e-12, "{middle}");
    assert!((o.rate(110, Some(110)) - 0.02).abs() < 1e-12);
    assert_eq!(o.rate(60, None), 2.0);
    let constant = OptimConfig { decay: Decay::Constant, ..o };
    assert_eq!(constant.rate(100, Some(110)), 2.0);
}

/// A step forgets half of what an average held after its half-life; a young average follows the weights.
#[test]
fn averages_are_their_formula() {
    let ema = EmaConfig { half_lives: [0.05, 0.2] };
    assert_eq!((ema.half_life(0, 2000), ema.half_life(1, 2000)), (100.0, 400.0));
    let kept: f64 = (0..100).map(|_| ema.decay(0, 1_000_000, Some(2000))).product();
    assert!((kept - 0.5).abs() < 1e-9, "{kept}");
    assert!((ema.decay(0, 1, Some(2000)) - FIRST_KEPT).abs() < 1e-12);
    assert!((ema.decay(0, 1, None) - FIRST_KEPT).abs() < 1e-12);
}

/// The figures of a step are told in order, with the run's own numbers.
#[test]
fn events_tell_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (data, recipe) = (points(50), recipe_of_points(12));
    let (_, events) = run(&mut create(folder.path(), &recipe, &data));
    let Event::Start { step: 0, parameters, examples: 50 } = events[0] else { panic!("{:?}", events[0]) };
    assert_eq!(parameters as usize, recipe.network.parameters(&[2]).unwrap());
    let reports: Vec<_> = events.iter().filter_map(|e| if let Event::Step(r) = e { Some(*r) } else { None }).collect();
    assert_eq!(reports.iter().map(|r| r.step).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    for r in &reports {
        assert_eq!((r.total, r.lr), (Some(12), recipe.optim.rate(r.step - 1, Some(12))));
        assert!(r.examples_per_second > 0.0 && r.grad_norm > 0.0 && r.trivial > 0.0);
    }
    assert_eq!(events.iter().filter(|e| matches!(e, Event::Saved { .. })).count(), 2);
    assert_eq!(std::fs::read_to_string(folder.path().join("recipe.toml")).unwrap(), "# a recipe\n");
}
