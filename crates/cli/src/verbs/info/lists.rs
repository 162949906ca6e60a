//! What there is to choose from, as tables that fit 120 characters.

use scorefield::nn::{NetworkError, presets};
use scorefield::process::{GridKind, ProcessConfig};
use scorefield::recipes;
use scorefield::sample::SolverKind;
use scorefield::sample::states::StatesSolverKind;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Characters in a line of a table.
const WIDTH: usize = 120;

/// A table with a column for each title, the last of them broken into lines where it is long.
pub(super) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let wide = |i: usize| rows.iter().map(|r| r[i].chars().count()).chain([titles[i].len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N - 1).map(wide).collect();
    let indent = widths.iter().map(|w| w + 2).sum::<usize>();
    let mut text = String::new();
    for row in std::iter::once(&titles.map(str::to_owned)).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        for word in row[N - 1].split(' ') {
            if line.chars().count() + word.chars().count() > WIDTH {
                let _ = writeln!(text, "{}", line.trim_end());
                line = " ".repeat(indent);
            }
            let _ = write!(line, "{word} ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// The order without its kind of convergence spelled out: `2`, `strong 1.5`, `weak 1`, `-`.
fn order_of(solver: &SolverKind) -> String {
    match solver.order().number() {
        None => "-".into(),
        Some(_) => solver.order().to_string().replace("order ", ""),
    }
}

/// Every solver: order, calls of the denoiser a step, what it is, its options with their usual values.
pub(super) fn solvers() -> (Value, String) {
    let row = |s: &SolverKind| {
        let options: Vec<String> = s.options().iter().map(|[name, value, ..]| format!("{name}={value}")).collect();
        let options = if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
        let calls = format!("{}{}", s.evaluations_per_step(), if s.adaptive() { "*" } else { "" });
        [s.name().to_owned(), order_of(s), calls, format!("{}{options}", s.about())]
    };
    let json_row = |s: &SolverKind| {
        json!({
            "name": s.name(), "about": s.about(), "order": s.order().number(), "order_kind": s.order().to_string(),
            "evaluations_per_step": s.evaluations_per_step(), "adaptive": s.adaptive(), "grid": s.default_grid().to_string(),
            "options": options_of(&s.options()),
        })
    };
    let all = SolverKind::all();
    let mut text = table(["solver", "order", "calls", "what it is [options]"], &all.iter().map(row).collect::<Vec<_>>());
    text.push_str(
        "order: of the probability flow's end, strong or weak of the reverse SDE, - where none is claimed\n\
         calls: of the model in a step, * where each sample chooses its own steps\n\
         info solver:NAME tells what the options do\n",
    );
    let states = StatesSolverKind::all();
    let states_row = |s: &StatesSolverKind| {
        let options: Vec<String> = s.options().iter().map(|[name, value, ..]| format!("{name}={value}")).collect();
        let options = if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
        [s.name().to_owned(), format!("{}{options}", s.about())]
    };
    text.push_str("\nfor models of categories, with uniform steps:\n");
    text.push_str(&table(["solver", "what it is [options]"], &states.iter().map(states_row).collect::<Vec<_>>()));
    let states_json = |s: &StatesSolverKind| json!({ "name": s.name(), "about": s.about(), "options": options_of(&s.options()) });
    let json = json!({
        "solvers": all.iter().map(json_row).collect::<Vec<_>>(), "states_solvers": states.iter().map(states_json).collect::<Vec<_>>(),
    });
    (json, text)
}

pub(super) fn options_of(options: &[[String; 4]]) -> Vec<Value> {
    let option = |[name, value, expected, about]: &[String; 4]| json!({ "name": name, "value": value, "expected": expected, "about": about });
    options.iter().map(option).collect()
}

/// A sampler of categories with its options, above the solver of numbers of the same name if there is one.
pub(super) fn states_solver(kind: &StatesSolverKind, numbers: Option<&SolverKind>) -> (Value, String) {
    let mut text = format!("{}, for models of categories: {}\n", kind.name(), kind.about());
    for [name, value, expected, about] in kind.options() {
        let _ = writeln!(text, "  {name}={value}: {about} ({expected})");
    }
    let mut json = json!({ "name": kind.name(), "about": kind.about(), "options": options_of(&kind.options()) });
    if let Some(numbers) = numbers {
        let (other, more) = solver(numbers);
        let _ = write!(text, "\n{more}");
        json["numbers"] = other;
    }
    (json, text)
}

/// One solver with its options.
pub(super) fn solver(kind: &SolverKind) -> (Value, String) {
    let calls = kind.evaluations_per_step();
    let steps = if kind.adaptive() { ", chooses its own steps" } else { "" };
    let mut text = format!(
        "{}: {}\n{}, {calls} calls of the model a step{steps}, on the {} grid unless said\n",
        kind.name(),
        kind.about(),
        kind.order(),
        kind.default_grid()
    );
    let rows: Vec<[String; 4]> = kind.options();
    if rows.is_empty() {
        text.push_str("It has no options.\n");
    } else {
        text.push('\n');
        let row = |[name, value, expected, about]: &[String; 4]| [name.clone(), value.clone(), format!("{about}: {expected}")];
        text.push_str(&table(["option", "value", "what it is: what it may be"], &rows.iter().map(row).collect::<Vec<_>>()));
    }
    let options: Vec<Value> = rows
        .iter()
        .map(|[name, value, expected, about]| json!({ "name": name, "value": value, "expected": expected, "about": about }))
        .collect();
    let json = json!({
        "solver": kind.name(), "about": kind.about(), "order": kind.order().number(), "order_kind": kind.order().to_string(),
        "evaluations_per_step": calls, "adaptive": kind.adaptive(), "grid": kind.default_grid().to_string(), "options": options,
    });
    (json, text)
}

fn named(what: &str, title: &str, rows: &[[String; 2]]) -> (Value, String) {
    let json: Vec<Value> = rows.iter().map(|[name, about]| json!({ "name": name, "about": about })).collect();
    (json!({ what: json }), table([title, "what it is"], rows))
}

/// Every recipe with a name.
pub(super) fn recipe_names() -> (Value, String) {
    let rows: Vec<_> = recipes().iter().map(|r| [r.name.to_owned(), r.about().to_owned()]).collect();
    named("recipes", "recipe", &rows)
}

/// Every spacing of a grid.
pub(super) fn grids() -> (Value, String) {
    let rows: Vec<_> = GridKind::named().iter().map(|g| [g.name().to_owned(), g.about().to_owned()]).collect();
    named("grids", "grid", &rows)
}

/// Every process with its formula and its usual constants.
pub(super) fn processes() -> (Value, String) {
    let options = |p: &ProcessConfig| p.options().iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(", ");
    let row = |p: &ProcessConfig| {
        let said = if p.options().is_empty() { String::new() } else { format!(" [{}]", options(p)) };
        [p.name().to_owned(), format!("{}{said}", p.about())]
    };
    let json = |p: &ProcessConfig| {
        let constants: Value =
            p.options().into_iter().map(|(k, v)| (k, Value::from(v))).collect::<serde_json::Map<_, _>>().into();
        json!({ "name": p.name(), "about": p.about(), "options": constants })
    };
    let all = ProcessConfig::named();
    let text = table(["process", "formula [constants]"], &all.iter().map(row).collect::<Vec<_>>());
    (json!({ "processes": all.iter().map(json).collect::<Vec<_>>() }), text)
}

/// Every preset of a network with its size.
///
/// # Errors
/// When a preset makes no network on its own shape.
pub(super) fn preset_names() -> Result<(Value, String), NetworkError> {
    let (mut rows, mut json_rows) = (Vec::new(), Vec::new());
    for p in presets() {
        let count = p.config.parameters(&p.shape)?;
        rows.push([p.name.to_owned(), format!("{count:>11}"), format!("{:?}", p.shape), p.about.to_owned()]);
        json_rows.push(json!({ "name": p.name, "about": p.about, "parameters": count, "shape": p.shape }));
    }
    Ok((json!({ "presets": json_rows }), table(["preset", " parameters", "shape", "what it is"], &rows)))
}
