//! The processes by name. Schedules are named by their formula: two projects' "VP" may be two curves.

mod about;
mod betas;
mod closures;
mod config;
mod cosine;
mod defaults;
mod discrete;
mod edm;
mod flow;
mod shifted;
mod subvp;
mod text;
mod trigonometric;
mod ve;
mod vp;

pub use betas::Betas;
pub use closures::Closures;
pub use config::ProcessConfig;
pub use cosine::VpCosine;
pub use discrete::Discrete;
pub use edm::Edm;
pub use flow::RectifiedFlow;
pub use shifted::Shifted;
pub use subvp::SubVp;
pub use text::ProcessTextError;
pub use trigonometric::Trigonometric;
pub use ve::Ve;
pub use vp::VpLinear;

/// A parameter that makes no process.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("process {process}: {parameter} is {found}, expected {expected}")]
pub struct ProcessError {
    /// The process's name.
    pub process: &'static str,
    /// The parameter.
    pub parameter: &'static str,
    /// Its value.
    pub found: f64,
    /// What would do.
    pub expected: &'static str,
}

/// Both ends of an increasing positive range, or the error that names the wrong one.
fn increasing(process: &'static str, names: [&'static str; 2], low: f64, high: f64) -> Result<(f64, f64), ProcessError> {
    if !(low.is_finite() && low > 0.0) {
        return Err(ProcessError { process, parameter: names[0], found: low, expected: "a finite number above 0" });
    }
    if !(high.is_finite() && high > low) {
        return Err(ProcessError { process, parameter: names[1], found: high, expected: "a finite number above the lower end" });
    }
    Ok((low, high))
}
