//! The times and levels of diffusers' schedulers: linspace, leading and trailing spacing, and the grids of Karras and others with their
//! way back to the table's times.

use crate::number;
use crate::text;
use serde_json::Value;

/// Whether two lists are the same up to rounding.
pub(crate) fn is_close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9 * b.abs().max(1.0))
}

fn linspace(from: f64, to: f64, n: usize) -> Vec<f64> {
    (0..n).map(|i| from + (to - from) * i as f64 / (n - 1) as f64).collect()
}

/// The times of DDPM and DDIM.
pub(crate) fn ddim_times(config: &Value, n: usize) -> Vec<f64> {
    let trained = number(config, "num_train_timesteps", 1000.0);
    let offset = number(config, "steps_offset", 0.0);
    let jump = (trained / n as f64).floor();
    match text(config, "timestep_spacing") {
        "linspace" => linspace(0.0, trained - 1.0, n).iter().rev().map(|t| t.round_ties_even()).collect(),
        "trailing" => (0..n).map(|i| (trained - i as f64 * trained / n as f64).round_ties_even() - 1.0).collect(),
        _ => (0..n).rev().map(|i| jump * i as f64 + offset).collect(),
    }
}

/// The levels `sigma / alpha` of a table.
pub(crate) fn levels_of(alpha_bar: &[f64]) -> Vec<f64> {
    alpha_bar.iter().map(|a| ((1.0 - a) / a).sqrt()).collect()
}

/// The fractional time of a level: linear between the logarithms of the table's levels, cut to its ends.
pub(crate) fn time_of_level(level: f64, table: &[f64]) -> f64 {
    let log = level.ln();
    let low = table.iter().rposition(|s| s.ln() <= log).unwrap_or(0).min(table.len() - 2);
    let (a, b) = (table[low].ln(), table[low + 1].ln());
    low as f64 + ((log - a) / (b - a)).clamp(0.0, 1.0)
}

fn on(config: &Value, key: &str) -> bool {
    config.get(key) == Some(&Value::Bool(true))
}

/// The times at which a DPM-Solver, UniPC or DEIS scheduler asks its network, and its levels, one more; `None` for the two kinds of levels
/// that are not rebuilt here (quantiles of a Beta law, and flows).
pub(crate) fn dpm_grid(scheduler: &str, config: &Value, alpha_bar: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    if on(config, "use_beta_sigmas") || on(config, "use_flow_sigmas") {
        return None;
    }
    let table = levels_of(alpha_bar);
    let trained = table.len();
    // lambda = -ln of the level; levels beyond the clip are left out.
    let kept = match config.get("lambda_min_clipped").and_then(Value::as_f64) {
        Some(lowest) if scheduler == "DPMSolverMultistepScheduler" => table.iter().filter(|s| -s.ln() >= lowest).count() as f64,
        _ => trained as f64,
    };
    let offset = number(config, "steps_offset", 0.0);
    let steps = n as f64;
    let mut times: Vec<f64> = match text(config, "timestep_spacing") {
        "leading" => (1..=n).rev().map(|i| (kept / (steps + 1.0)).floor() * i as f64 + offset).collect(),
        "trailing" => (0..n).map(|i| (kept - i as f64 * trained as f64 / steps).round_ties_even() - 1.0).collect(),
        _ => linspace(0.0, kept - 1.0, n + 1).iter().skip(1).rev().map(|t| t.round_ties_even()).collect(),
    };

    let (low, high) = (table[0], table[trained - 1]);
    let exponential = || linspace(high.ln(), low.ln(), n).iter().map(|s| s.exp()).collect();
    let (mut levels, rounded): (Vec<f64>, bool) = if on(config, "use_karras_sigmas") {
        let root = |s: f64| s.powf(1.0 / 7.0);
        (linspace(root(high), root(low), n).iter().map(|s| s.powi(7)).collect(), true)
    } else if on(config, "use_lu_lambdas") {
        (exponential(), true)
    } else if on(config, "use_exponential_sigmas") {
        (exponential(), false)
    } else {
        (Vec::new(), false)
    };
    let between = !levels.is_empty();
    if between {
        let back = levels.iter().map(|s| time_of_level(*s, &table));
        times = back.map(|t| if rounded { t.round_ties_even() } else { t.floor() }).collect();
    } else {
        levels = times.iter().map(|t| table[*t as usize]).collect();
    }
    let repeats = scheduler == "UniPCMultistepScheduler" || scheduler == "DEISMultistepScheduler";
    levels.push(match text(config, "final_sigmas_type") {
        "zero" | "" if scheduler != "DEISMultistepScheduler" => 0.0,
        _ if between && repeats => levels[n - 1],
        _ => low,
    });
    Some((times, levels))
}

/// The times at which a scheduler over the level asks its network, one a step, and its levels with the last; `None` for quantiles of a
/// Beta law.
pub(crate) fn sigma_grid(scheduler: &str, config: &Value, alpha_bar: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    if on(config, "use_beta_sigmas") {
        return None;
    }
    let table = levels_of(alpha_bar);
    let mut times = match text(config, "timestep_spacing") {
        "" | "linspace" => linspace(table.len() as f64 - 1.0, 0.0, n),
        _ => ddim_times(config, n),
    };
    let level = |t: &f64| {
        let low = (*t as usize).min(table.len() - 2);
        table[low] + (t - low as f64) * (table[low + 1] - table[low])
    };
    let mut levels: Vec<f64> = times.iter().map(level).collect();
    let (high, low) = (levels[0], levels[n - 1]);
    let exponential = |n: usize| -> Vec<f64> { linspace(high.ln(), low.ln(), n).iter().map(|s| s.exp()).collect() };
    let between = if on(config, "use_karras_sigmas") {
        let root = |s: f64| s.powf(1.0 / 7.0);
        Some(linspace(root(high), root(low), n).iter().map(|s| s.powi(7)).collect())
    } else {
        on(config, "use_exponential_sigmas").then(|| exponential(n))
    };
    if let Some(between) = between {
        levels = between;
        let rounded = scheduler == "KDPM2DiscreteScheduler" && on(config, "use_karras_sigmas");
        let back = levels.iter().map(|s| time_of_level(*s, &table));
        times = back.map(|t| if rounded { t.round_ties_even() } else { t }).collect();
    } else if text(config, "interpolation_type") == "log_linear" {
        levels = exponential(n + 1);
    }
    levels.push(if text(config, "final_sigmas_type") == "sigma_min" { table[0] } else { 0.0 });
    Some((times, levels))
}
