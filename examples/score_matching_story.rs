//! Why data are noised: a score learned without noise is wrong where there are no data; noise at many scales puts data everywhere.
//!
//!     cargo run --release -p scorefield --example score_matching_story
//!
//! writes `score-story.png`: above, at little noise, the exact score and what plain score matching learned; below, at much noise, the
//! exact score and what one network learned at all scales. Blue are noised data, arrows have the length `ln(1 + |score|)`.
#![allow(clippy::print_stdout, reason = "the figures are for a person")]
use scorefield::data::write::{Picture, grid};
use scorefield::data::{Dataset, Shape};
use scorefield::process::{Denoiser, DenoiserExt, ProcessConfig, ProcessExt, oracle::Mixture};
use scorefield::tensor::{Purpose, batch, noise::Stream, rows};
use scorefield::train::{Silent, Trainer};
use scorefield::{Choices, Draft};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A fifth of the data far from the rest (Song and Ermon 2019, figure 2); mean 0 and deviation 1, so that the codec changes nothing.
    let law = |p| Mixture::isotropic(p, &[0.2, 0.8], &[vec![-1.94; 2], vec![0.485; 2]], &[0.24, 0.24]);
    let (clean, mut z) = (law(ProcessConfig::all()[0].build()?), vec![0.0; 40_000]);
    Stream::new(0, 0, Purpose::User, 0, 0).fill_normal(&mut z);
    let drawn = z.chunks(2).enumerate().flat_map(|(i, z)| clean.draw((i as f64 * 0.618).fract(), z, (1.0, 0.0)));
    let points: Vec<f32> = drawn.map(|v| v as f32).collect();
    let data = Dataset::from_rows("blobs", Shape::Vector { dim: 2 }, points.clone(), None);
    let places: Vec<f32> = (0..18 * 18).flat_map(|k| [k % 18, k / 18]).map(|i| (i as f32 + 0.5) / 3.0 - 3.0).collect();

    let (mut panels, folder) = (Vec::new(), std::env::temp_dir().join(format!("score-story-{}", std::process::id())));
    let plain = ["objective.loss={name='exact-trace'}", "objective.times={name='single',ratio=0.1}"];
    for (name, noise, keys) in [("plain", 0.1, &plain[..]), ("all scales", 1.0, &[])] {
        let size = ["network.hidden=64", "network.depth=2", "length={steps=2000}"];
        let choices = Choices { set: keys.iter().chain(&size).map(|k| k.to_string()).collect(), ..Choices::default() };
        let recipe = Draft::new(&choices)?.resolve(&data)?.train;
        let exact = law(recipe.process.build()?);
        let mut trainer = Trainer::create(&folder.join(name), recipe, "", &data, &Default::default())?;
        trainer.run(&mut Silent, &Default::default())?;
        let (model, t) = (trainer.model()?, exact.process().time_of_ratio(noise));
        let fields = |at: &[f32]| {
            let x = batch(at.to_vec(), at.len() / 2, &Default::default());
            [rows(exact.score(&x, t)), rows(model.denoiser(None).score(&x, t))]
        };
        let noised: Vec<f32> = points[..800].iter().zip(&z[1000..]).map(|(x, z)| x + (noise * z) as f32).collect();
        let bare = |p: &&[f32]| exact.ln_density(&[p[0].into(), p[1].into()], t) < -9.0;
        let empty: Vec<f32> = places.chunks(2).filter(bare).flatten().copied().collect();
        for (place, [right, found]) in [("are", fields(&noised)), ("are none", fields(&empty))] {
            let wrong = right.iter().zip(&found).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
            println!("{name}: error {:.2} where data {place}", (wrong / right.iter().map(|v| v * v).sum::<f32>()).sqrt());
        }
        panels.extend(fields(&places).map(|field| panel(&noised, &places, &field)));
    }
    std::fs::remove_dir_all(folder)?;
    Ok(grid(&panels, 2).save_png("score-story.png".as_ref())?)
}

/// The plane from -3 to 3: points, and arrows from their places on, the longest a place and a half long.
fn panel(points: &[f32], places: &[f32], field: &[f32]) -> Picture {
    let mut picture = Picture::filled(360, 360, &[255; 3]);
    let mut disc = |x: f32, y: f32, r: usize, colour: [u8; 3]| {
        let at = |v: f32| (60.0 * v + 180.0).clamp(0.0, 357.0) as usize;
        let k = |k| 3 * ((359 - at(y) - k / r) * 360 + at(x) + k % r);
        (0..r * r).for_each(|i| picture.bytes[k(i)..k(i) + 3].copy_from_slice(&colour));
    };
    points.chunks(2).for_each(|p| disc(p[0], p[1], 2, [0, 114, 178]));
    let length = |s: &[f32]| s[0].hypot(s[1]).ln_1p();
    let longest = field.chunks(2).map(length).fold(0.0, f32::max);
    for (p, s) in places.chunks(2).zip(field.chunks(2)) {
        let step = 0.5 * length(s) / longest / s[0].hypot(s[1]).max(1e-9) / 30.0;
        (0..30)
            .map(|i| (i, step * i as f32))
            .for_each(|(i, l)| disc(p[0] + l * s[0], p[1] + l * s[1], 1 + (40 - i) / 30, [30; 3]));
    }
    picture
}
