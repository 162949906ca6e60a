//! `states.process.survival = "measured"`: the schedule of even mutual information in the data at hand.

use super::{RecipeError, found, wrong};
use scorefield_data::{Codec, Dataset};
use scorefield_model::kinds;
use scorefield_process::schedule::RectifiedFlow;
use scorefield_process::states::{StatesConfig, Survival};
use scorefield_train::frequencies;
use toml::{Table, Value};

/// Whether the survival is to be measured; the word is then taken out.
pub(super) fn is_measured(said: &mut Table) -> bool {
    let process = said.get_mut("states").and_then(|s| s.get_mut("process")).and_then(Value::as_table_mut);
    let Some(process) = process else { return false };
    let asked = process.get("survival").and_then(Value::as_str) == Some("measured");
    if asked {
        process.remove("survival");
    }
    asked
}

/// `states.process.survival = measured` stands for the schedule of even mutual information in the data at hand.
pub(super) fn measure(place: &str, table: &mut Table, data: &Dataset, codec: &Codec) -> Result<(), RecipeError> {
    let none = || found(place, "states.process.survival = measured, and data without categories".into());
    let states = table.get_mut("states").and_then(|s| s.get_mut("process")).ok_or_else(none)?;
    let mut config: StatesConfig = states.clone().try_into().map_err(|e| wrong(place, &e))?;
    config.survival = even_information(data, codec, &config).map_err(|e| found(place, e))?;
    *states = Value::try_from(&config).expect("a configuration is a table");
    Ok(())
}

/// The survival under which what is known of the data's categories falls along a line.
fn even_information(data: &Dataset, codec: &Codec, config: &StatesConfig) -> Result<Survival, String> {
    let process = config.build(kinds(codec), Some(Box::new(RectifiedFlow))).map_err(|e| e.to_string())?;
    let laws = frequencies(data, codec);
    let of_group = process.parts().filter_map(|(group, kernel)| Some((group, kernel?)));
    let columns: Vec<_> = of_group
        .flat_map(|(group, kernel)| laws[group.column..][..group.columns].iter().map(move |law| (kernel, law.clone())))
        .collect();
    let varies = columns.iter().any(|(_, law)| law.iter().filter(|p| **p > 0.0).count() > 1);
    if !varies {
        return Err("states.process.survival = measured, and categories that never vary".into());
    }
    Ok(Survival::mutual_information(&columns))
}
