//! Self-measurement: what the solvers claim against what they do, on laws with closed forms.
//!
//! * Slopes and levels of [processes](process), and that the last denoising step is one.
//! * Orders of deterministic solvers on a [mixture](order::Paths), against a reference of far finer steps.
//! * Orders in law on Gaussian data, whose [moments] at the end of a run are known without sampling error.
//! * [Strong](strong) orders on shared Brownian paths.
//! * The [Fréchet distance](Judge) of samples of a mixture from the exact law, against that of exact samples.
//! * The spread of samples of those methods that claim no order.
//! * Reverse laws and bounds of processes on [states] against enumeration.

mod exact;
mod law;
mod list;
pub mod order;
pub mod process;
pub mod states;
pub mod strong;

pub use exact::{law_error, moments};
pub use law::{Judge, spread, spread_of};
pub use list::{kinds, middle, processes};

use crate::Order;
use order::Slope;
use scorefield_process::ProcessConfig;
use scorefield_process::oracle::Gaussian;
use serde::Serialize;

/// One claim and its measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// What is measured: process, method, quantity.
    pub name: String,
    /// The process.
    pub process: String,
    /// The method: a solver, an estimator, an objective.
    pub method: String,
    /// The quantity: order, strong order, distance, spread, ...
    pub quantity: &'static str,
    /// What is claimed.
    pub claimed: f64,
    /// What was measured.
    pub measured: f64,
    /// Whether they agree within the tolerance of the measurement.
    pub ok: bool,
    /// The numbers of steps at which an order was measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<usize>,
    /// The errors there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<f64>,
}

impl Row {
    /// A row without steps.
    pub fn new(process: &str, method: &str, quantity: &'static str, (claimed, measured): (f64, f64), ok: bool) -> Self {
        let (process, method) = (process.to_owned(), method.to_owned());
        let name = format!("{process} {method} {quantity}");
        Self { name, process, method, quantity, claimed, measured, ok, steps: Vec::new(), errors: Vec::new() }
    }

    fn of_slope(process: &str, method: &str, quantity: &'static str, claimed: f64, found: Slope, ok: bool) -> Self {
        let row = Self::new(process, method, quantity, (claimed, found.order), ok);
        Self { steps: found.steps, errors: found.errors, ..row }
    }
}

/// The data of the check: two independent entries of unlike scale, neither centred.
pub(crate) const MEAN: [f64; 2] = [0.7, -1.2];
pub(crate) const VARIANCE: [f64; 2] = [0.25, 2.0];
/// A spread is confirmed when the standard deviation of the samples is this close to the law's, relatively.
const SPREAD_TOLERANCE: f64 = 0.1;

/// Every process with every solver, one thread a process: the same rows in the same order every time.
pub fn solvers() -> Vec<Row> {
    let configs = processes();
    std::thread::scope(|scope| {
        let running: Vec<_> = configs.iter().map(|config| scope.spawn(|| of_process(config))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("no measurement panics")).collect()
    })
}

/// The rows of one process.
fn of_process(config: &ProcessConfig) -> Vec<Row> {
    let process = || config.build().expect("the usual constants make a process");
    let (name, gaussian) = (config.name(), Gaussian::new(process(), MEAN.to_vec(), VARIANCE.to_vec()));
    let (paths, judge) = (order::Paths::new(process()), Judge::new(process()));
    let mut rows = Vec::new();
    for kind in kinds() {
        let (solver, method) = (kind.build(), kind.to_string());
        let slope = match solver.order() {
            Order::Deterministic(_) => Some(paths.order(solver.as_ref())),
            Order::Weak(_) | Order::Strong(_) => Some(order::of_law(&gaussian, MEAN.len(), solver.as_ref())),
            Order::None => None,
        };
        match (slope, solver.order().number()) {
            (Some(found), Some(claimed)) => {
                let ok = found.confirms(claimed);
                rows.push(Row::of_slope(name, &method, "order", claimed, found, ok));
            }
            _ => {
                let found = spread(&gaussian, &kind);
                rows.push(Row::new(name, &method, "spread", (1.0, found), (found - 1.0).abs() <= SPREAD_TOLERANCE));
            }
        }
        if solver.order() != Order::None || kind.adaptive() {
            let found = judge.distance(&kind);
            rows.push(Row::new(name, &method, "frechet", (judge.ceiling(), found), found <= judge.ceiling()));
        }
    }
    for (kind, claimed) in strong::claims() {
        let found = strong::order(&gaussian, kind.build().as_ref());
        let ok = found.confirms_strong(claimed);
        rows.push(Row::of_slope(name, &kind.to_string(), "strong order", claimed, found, ok));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SolverKind;

    /// The program's own check passes; each row that does not is named.
    #[test]
    fn every_claim_holds() {
        let rows = solvers();
        assert!(rows.len() >= processes().len() * (kinds().len() + strong::claims().len()));
        let failed: Vec<_> = rows.iter().filter(|r| !r.ok).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    /// Every solver of the list has a row under every process.
    #[test]
    fn every_solver_is_in_the_list() {
        let names: Vec<&str> = kinds().iter().map(SolverKind::name).collect();
        assert!(SolverKind::all().iter().all(|k| names.contains(&k.name())));
    }
}
