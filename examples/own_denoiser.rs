//! A sampler embedded in a program: any function that gives the posterior mean can be sampled, here that of two blobs.
//!
//!     cargo run --release -p scorefield --example own_denoiser
//!
//! writes `own_denoiser.png`.

use scorefield::data::write::Picture;
use scorefield::process::oracle::Mixture;
use scorefield::process::{GridKind, ProcessConfig};
use scorefield::sample::{Job, SolverKind, sample};
use scorefield::tensor::rows;
use std::ops::ControlFlow;
use std::path::Path;

const SIDE: usize = 256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // x_t = alpha(t) x_0 + sigma(t) eps, variance preserving with DDPM's linear rate.
    let process = ProcessConfig::all()[0].build()?;
    let grid = GridKind::LogSnr.grid(&process, 20)?;

    // The law of the data, whose score is known in closed form; a trained `scorefield::model::Model` takes the same place.
    let law = Mixture::isotropic(process, &[2.0, 1.0], &[vec![-1.0, -0.5], vec![1.2, 0.8]], &[0.35, 0.2]);
    let solver = "dpmpp-2m".parse::<SolverKind>()?.build();
    let drawn = sample(&law, &*solver, &grid, &Job::new(0, 4000, 2), |_, _| ControlFlow::Continue(()));
    let points = rows(drawn.ok_or("nothing was drawn")?);

    let mut picture = Picture::filled(SIDE, SIDE, &[0]);
    for p in points.chunks_exact(2) {
        let place = |v: f32| ((v / 6.0 + 0.5) * SIDE as f32).clamp(0.0, SIDE as f32 - 1.0) as usize;
        let pixel = &mut picture.bytes[(SIDE - 1 - place(p[1])) * SIDE + place(p[0])];
        *pixel = pixel.saturating_add(80);
    }
    picture.save_png(Path::new("own_denoiser.png"))?;
    Ok(())
}
