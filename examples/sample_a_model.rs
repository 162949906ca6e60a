//! Samples of a trained model from a Rust program.
//!
//!     cargo run --release -- demo
//!     cargo run --release -p scorefield --example sample_a_model scorefield-demo/model.safetensors
//!
//! writes `sample_a_model.png`.

use scorefield::data::write;
use scorefield::model::{Model, Weights};
use scorefield::process::GridKind;
use scorefield::sample::SolverKind;
use scorefield::tensor::{DType, Device};
use scorefield::{ClassChoice, Generate};
use std::ops::ControlFlow;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: sample_a_model MODEL.safetensors")?;
    let device = Device::default();
    let model = Model::load(path, Weights::Ema, &device)?;
    let solver = "heun".parse::<SolverKind>()?.build();
    let drawn = Generate {
        model: &model,
        solver: &*solver,
        grid: GridKind::Karras { rho: 7.0 }.grid(model.process(), 18)?,
        class: ClassChoice::InTurn,
        guidance: None,
        seed: 0,
        // Sample 17 of seed 0 is the same whatever stands here.
        samples: 0..36,
        batch: 36,
        dtype: DType::F32,
        device: device.clone(),
    }
    .run(|_, _, _| ControlFlow::Continue(()))?;
    let states = drawn.ok_or("nothing was drawn")?.states;
    write::samples(Path::new("sample_a_model.png"), &states, 36, &model.meta().codec)?;
    Ok(())
}
