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
use scorefield::tensor::Device;
use scorefield::{ClassChoice, Generate, Guidance};
use std::ops::ControlFlow;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: sample_a_model MODEL.safetensors")?;
    let device = Device::default();
    let model = Model::load(path, Weights::Ema, &device)?;
    let solver = "heun".parse::<SolverKind>()?.build();
    let drawn = Generate {
        guidance: Guidance { class: ClassChoice::InTurn, ..Guidance::default() },
        // Sample 17 of seed 0 is the same whatever stands here.
        batch: 36,
        ..Generate::new(&model, &*solver, GridKind::Karras { rho: 7.0 }.grid(model.process(), 18)?, 36)
    }
    .run(|_, _, _| ControlFlow::Continue(()))?;
    let states = drawn.ok_or("nothing was drawn")?.states;
    write::samples(Path::new("sample_a_model.png"), &states, 36, &model.meta().codec)?;
    Ok(())
}
