//! The tasks and rules of `solve`.

use super::lists::{options_of, table};
use scorefield::control::Task;
use scorefield::control::rule::RuleKind;
use serde_json::{Value, json};

type Options = Vec<[String; 4]>;

/// A line of a table: the name, what it is, its options with their usual values.
fn row(name: &str, about: &str, options: &Options) -> [String; 2] {
    let options: Vec<String> = options.iter().map(|[name, value, ..]| format!("{name}={value}")).collect();
    let options = if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) };
    [name.to_owned(), format!("{about}{options}")]
}

/// What each option does.
fn told(name: &str, options: &Options) -> String {
    options.iter().map(|[key, _, expected, about]| format!("  {name}:{key}  {about} ({expected})\n")).collect()
}

/// Every task, with its options.
pub(super) fn tasks() -> (Value, String) {
    let all = Task::all();
    let mut rows: Vec<[String; 2]> = all.iter().map(|t| row(t.name(), t.about(), &t.options())).collect();
    rows.push([
        "edit".into(),
        "no measurement: a picture or a sketch is noised and denoised again (SDEdit) [strength=0.5]".into(),
    ]);
    let mut text = table(["task", "what it is [options]"], &rows);
    text.extend(all.iter().map(|t| told(t.name(), &t.options())));
    text.push_str(
        "  edit:strength  share of the steps that are made (above 0, at most 1)\nTASK+TASK measures one after the other\n",
    );
    let json = all.iter().map(|t| json!({ "name": t.name(), "about": t.about(), "options": options_of(&t.options()) }));
    (json!({ "tasks": json.collect::<Vec<_>>() }), text)
}

/// Every rule, with its options, solver and steps.
pub(super) fn rules() -> (Value, String) {
    let all = RuleKind::all();
    let line = |r: &RuleKind| {
        let [name, about] = row(r.name(), r.about(), &r.options());
        [name, format!("{} x {}", r.default_steps(), r.default_solver()), about]
    };
    let mut text = table(["rule", "steps", "what it is [options]"], &all.iter().map(line).collect::<Vec<_>>());
    text.extend(all.iter().map(|r| told(r.name(), &r.options())));
    let json = all.iter().map(|r| {
        json!({
            "name": r.name(), "about": r.about(), "solver": r.default_solver(), "steps": r.default_steps(),
            "options": options_of(&r.options()),
        })
    });
    (json!({ "rules": json.collect::<Vec<_>>() }), text)
}
