//! A training run as a text: what the caller said, over a named recipe, over settings made from the data.
//!
//! Three layers are laid over each other, the later winning: settings measured on the data, a recipe (named, or a TOML file), and single
//! keys (`optim.lr=1e-3`). The result is written into the run folder in full: run again, it repeats the run on any machine.

mod classifier;
mod named;
mod survival;

pub use named::{NamedRecipe, recipes};

use crate::auto::{self, Measured};
use scorefield_data::{Codec, CodecOptions, ConditionSource, DataError, Dataset, OpenOptions};
use scorefield_nn::{preset, presets};
use scorefield_sample::nearest;
use scorefield_train::TrainConfig;
use std::path::Path;
use toml::{Table, Value};

/// What makes no recipe, and what would.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// No such recipe.
    #[error(
        "recipe \"{name}\": neither a file nor the name of a recipe; names are {known}{}",
        .near.map(|n| format!(" (\"{n}\"?)")).unwrap_or_default()
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
        /// The nearest of them.
        near: Option<&'static str>,
    },
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// What the file system says.
        source: std::io::Error,
    },
    /// A text that is no TOML, or TOML that is no recipe.
    #[error("{place}: {found}{}", .near.as_ref().map(|n| format!("; did you mean \"{n}\"?")).unwrap_or_default())]
    Wrong {
        /// The recipe or the key that was set.
        place: String,
        /// What is wrong.
        found: String,
        /// The nearest known key.
        near: Option<String>,
    },
    /// The data make no codec.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// What a caller says of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choices {
    /// The name of a recipe or the path of a TOML file; `auto` if none.
    pub recipe: Option<String>,
    /// `key=value` with dotted keys and TOML values.
    pub set: Vec<String>,
    /// Steps to train.
    pub steps: Option<u64>,
    /// Minutes to train.
    pub minutes: Option<f64>,
    /// The seed.
    pub seed: Option<u64>,
    /// The data, unless the recipe names them.
    pub source: Option<String>,
    /// Whether a classifier of noised data is trained, on half of the recipe's network, and not a model of them.
    pub classifier: bool,
}

/// A recipe before the data have been seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    place: String,
    table: Table,
    /// The data it names, if any.
    pub source: Option<String>,
    /// How they are read.
    pub data: OpenOptions,
    /// As in [`Choices`].
    classifier: bool,
}

/// Tables that say one thing as a whole: they replace what stood there and are not merged with it.
const WHOLE: [&str; 8] = ["length", "process", "prediction", "time_input", "weight", "times", "loss", "coupling"];

impl Draft {
    /// Reads the recipe and the single keys.
    ///
    /// # Errors
    /// When there is no such recipe, it is no TOML, or a key of its data does not exist.
    pub fn new(choices: &Choices) -> Result<Self, RecipeError> {
        let name = choices.recipe.as_deref().unwrap_or("auto");
        let text = text_of(name)?;
        let mut table: Table = text.parse().map_err(|e: toml::de::Error| wrong(&format!("recipe {name}"), &e))?;
        for set in &choices.set {
            set_key(&mut table, set)?;
        }
        let length = |key: &str, value| Value::Table(Table::from_iter([(key.to_owned(), value)]));
        let whole = |flag: &str, value: u64| {
            let too_large = |_| found(&format!("{flag} {value}"), format!("expected a number up to {}", i64::MAX));
            i64::try_from(value).map(Value::Integer).map_err(too_large)
        };
        if let Some(steps) = choices.steps {
            table.insert("length".into(), length("steps", whole("--steps", steps)?));
        }
        if let Some(minutes) = choices.minutes {
            table.insert("length".into(), length("minutes", Value::Float(minutes)));
        }
        if let Some(seed) = choices.seed {
            table.insert("seed".into(), whole("--seed", seed)?);
        }
        let place = format!("recipe {name}");
        let mut data = match table.remove("data") {
            Some(Value::Table(data)) => data,
            None => Table::new(),
            Some(other) => return Err(found(&place, format!("data is {other}, expected a table [data]"))),
        };
        let named = match data.remove("source") {
            Some(Value::String(source)) => Some(source),
            None => None,
            Some(other) => return Err(found(&place, format!("data.source is {other}, expected a text"))),
        };
        let data = data.try_into().map_err(|e| wrong(&format!("{place}, table data"), &e))?;
        Ok(Self { place, table, source: choices.source.clone().or(named), data, classifier: choices.classifier })
    }

    /// Fills in from the data whatever has not been said.
    ///
    /// # Errors
    /// When a key does not exist or its value makes no sense.
    pub fn resolve(&self, data: &Dataset) -> Result<Recipe, RecipeError> {
        let mut said = self.table.clone();
        let codec = match said.get("examples").and_then(|e| e.get("codec")) {
            Some(codec) => codec.clone().try_into().map_err(|e| wrong(&format!("{}, examples.codec", self.place), &e))?,
            None => CodecOptions::default(),
        };
        let codec = Codec::fit(data, &codec)?;
        let measured = Measured::of(data, &codec);
        self.expand_preset(&mut said, data.classes().len())?;
        let survival = survival::is_measured(&mut said);
        measure(&self.place, &mut said, measured)?;
        let defaults = auto::config(data, measured);
        let mut table = Table::try_from(&defaults).expect("a configuration is a table");
        merge(&mut table, said);
        if survival {
            survival::measure(&self.place, &mut table, data, &codec)?;
        }
        let mut train: TrainConfig = table.try_into().map_err(|e| wrong(&self.place, &e))?;
        let condition = data.condition().map(|c| c.shape().dims()).unwrap_or_default();
        train.network = train.network.with_condition(&condition).map_err(|e| found(&self.place, e.to_string()))?;
        if self.classifier {
            train = classifier::of(&self.place, train, data.classes().len())?;
        }
        let source = self.source.clone().unwrap_or_else(|| data.name().to_owned());
        // Files by their whole name: a run is resumed from any folder.
        let source = std::fs::canonicalize(&source).map_or(source, |path| path.display().to_string());
        let mut data = self.data.clone();
        if let Some(ConditionSource::File(path)) = &mut data.condition {
            *path = std::fs::canonicalize(&*path).unwrap_or_else(|_| path.clone());
        }
        Ok(Recipe { source, data, train })
    }

    /// `network.preset = NAME` stands for that preset's keys, under those that are given beside it; classes are the data's.
    fn expand_preset(&self, said: &mut Table, classes: usize) -> Result<(), RecipeError> {
        let Some(Value::Table(network)) = said.get_mut("network") else { return Ok(()) };
        let Some(name) = network.remove("preset") else { return Ok(()) };
        let name = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
        let Some(preset) = preset(&name) else {
            let all = presets();
            let near = nearest(&name, all.iter().map(|p| p.name)).map(str::to_owned);
            return Err(RecipeError::Wrong { place: self.place.clone(), found: format!("there is no preset \"{name}\""), near });
        };
        let config = preset.config.with_classes(classes);
        let mut table = Table::try_from(&config).expect("a configuration is a table");
        merge(&mut table, std::mem::take(network));
        *network = table;
        Ok(())
    }
}

/// A training run in full.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The data by name.
    pub source: String,
    /// How they are read.
    pub data: OpenOptions,
    /// Everything else.
    pub train: TrainConfig,
}

impl Recipe {
    /// The recipe as TOML: [`Draft::new`] of it and the same data give this recipe again.
    pub fn to_toml(&self) -> String {
        let mut table = Table::try_from(&self.train).expect("a configuration is a table");
        let mut data = Table::try_from(&self.data).expect("options are a table");
        data.insert("source".into(), Value::String(self.source.clone()));
        table.insert("data".into(), Value::Table(data));
        toml::to_string(&table).expect("a table is TOML")
    }
}

fn text_of(name: &str) -> Result<String, RecipeError> {
    if let Some(named) = recipes().into_iter().find(|r| r.name == name) {
        return Ok(named.text.to_owned());
    }
    let path = Path::new(name);
    if path.is_file() {
        return std::fs::read_to_string(path).map_err(|source| RecipeError::Io { path: name.into(), source });
    }
    let names: Vec<_> = recipes().iter().map(|r| r.name).collect();
    Err(RecipeError::Unknown { name: name.into(), known: names.join(", "), near: nearest(name, names.iter().copied()) })
}

/// Puts `a.b.c=value` in its place; a value that is no TOML counts as a text.
fn set_key(table: &mut Table, set: &str) -> Result<(), RecipeError> {
    let place = format!("--set {set}");
    let Some((path, text)) = set.split_once('=') else {
        return Err(found(&place, "no \"=\"; expected key=value, for example optim.lr=1e-3".into()));
    };
    let value = format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut t| t.remove("v"))
        .unwrap_or_else(|| Value::String(text.trim().to_owned()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in keys {
        let entry = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
        if key == "length" {
            *entry = Value::Table(Table::new());
        }
        let Value::Table(inner) = entry else {
            return Err(found(&place, format!("{key} is {entry} and has no keys")));
        };
        at = inner;
    }
    at.insert(last.to_owned(), value);
    Ok(())
}

/// Replaces the text "measured" by what was measured.
fn measure(place: &str, table: &mut Table, m: Measured) -> Result<(), RecipeError> {
    for (key, value) in table {
        match value {
            Value::String(text) if text == "measured" => {
                *value = Value::Float(match key.as_str() {
                    "sigma_data" => m.sigma_data,
                    "sigma_max" => m.sigma_max,
                    other => return Err(found(place, format!("{other} cannot be measured; sigma_data and sigma_max can"))),
                });
            }
            Value::Table(inner) => measure(place, inner, m)?,
            _ => {}
        }
    }
    Ok(())
}

/// Lays `over` over `table`.
fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) if adds_to(&key, below, &above) => merge(below, above),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Whether a table adds keys to another, or says something else: another variant, or a network of another kind.
fn adds_to(key: &str, below: &Table, above: &Table) -> bool {
    let tag = |t: &Table| t.get("name").or_else(|| t.get("kind")).cloned();
    match tag(above) {
        Some(tag_above) => tag(below).is_some_and(|b| b == tag_above) && key != "network",
        None if WHOLE.contains(&key) => tag(below).is_some() || above.keys().all(|k| below.contains_key(k)),
        None => true,
    }
}

fn found(place: &str, found: String) -> RecipeError {
    RecipeError::Wrong { place: place.to_owned(), found, near: None }
}

/// A message of the TOML reader, with the nearest of the keys it says it expected.
fn wrong(place: &str, error: &toml::de::Error) -> RecipeError {
    let message = error.to_string();
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.contains("unknown field") || message.contains("unknown variant");
    let near = if unknown {
        quoted.next().and_then(|name| {
            let known: Vec<&str> = quoted.collect();
            nearest(name, known).map(str::to_owned)
        })
    } else {
        None
    };
    RecipeError::Wrong { place: place.to_owned(), found: message.trim().replace('\n', " "), near }
}

#[cfg(test)]
mod tests {
    mod objectives;

    use super::*;
    use scorefield_data::open;
    use scorefield_train::Length;

    fn resolve(choices: &Choices, spec: &str) -> Result<Recipe, RecipeError> {
        let draft = Draft::new(choices)?;
        let data = open(spec, &draft.data)?;
        draft.resolve(&data)
    }

    fn set(keys: &[&str]) -> Choices {
        Choices { set: keys.iter().map(|&k| k.to_owned()).collect(), ..Choices::default() }
    }

    #[test]
    fn every_recipe_resolves_and_its_text_is_itself() {
        for named in recipes() {
            let choices = Choices { recipe: Some(named.name.into()), ..Choices::default() };
            // Some say what they are for.
            let own = Draft::new(&choices).unwrap().source;
            let spec = match &own {
                Some(own) => own.as_str(),
                None if named.name.ends_with("2d") => "toy:moons",
                None => "digits",
            };
            let recipe = resolve(&choices, spec).unwrap_or_else(|e| panic!("{}: {e}", named.name));
            recipe.train.validate().unwrap();
            assert!(!named.about().is_empty());
            let folder = std::env::temp_dir().join(format!("scorefield-recipe-{}-{}.toml", named.name, std::process::id()));
            std::fs::write(&folder, recipe.to_toml()).unwrap();
            let again = Choices { recipe: Some(folder.display().to_string()), ..Choices::default() };
            assert_eq!(resolve(&again, spec).unwrap(), recipe, "{}", named.name);
            std::fs::remove_file(folder).unwrap();
        }
    }

    #[test]
    fn later_layers_win() {
        let mut choices = set(&["optim.lr=0.5", "process.sigma_max=7", "network.dropout=0.25", "length.minutes=2"]);
        choices.recipe = Some("digits".into());
        choices.seed = Some(9);
        let train = resolve(&choices, "digits").unwrap().train;
        assert_eq!((train.optim.lr, train.optim.warmup, train.seed, train.batch), (0.5, 50, 9, 64));
        assert_eq!(train.length, Length::Minutes(2.0));
        assert_eq!(train.network.classes(), 10);
        assert!(format!("{:?}", train.process).contains("sigma_max: 7.0"), "{:?}", train.process);
        assert!(format!("{:?}", train.network).contains("dropout: 0.25"));
        choices.steps = Some(3);
        assert_eq!(resolve(&choices, "digits").unwrap().train.length, Length::Steps(3));
    }

    #[test]
    fn another_variant_replaces_the_whole() {
        let train = resolve(&set(&["process={name=\"vp-linear\"}", "prediction=noise"]), "toy:moons").unwrap().train;
        assert!(format!("{:?}", train.process).contains("beta_max: 20.0"));
        let train = resolve(&set(&["objective.weight.sigma_data=measured"]), "toy:moons").unwrap().train;
        assert!(format!("{:?}", train.objective.weight).contains("sigma_data"));
    }

    #[test]
    fn mistakes_are_named_with_the_nearest() {
        let message = |keys: &[&str]| resolve(&set(keys), "toy:moons").unwrap_err().to_string();
        assert!(message(&["optim.lrr=1"]).contains("did you mean \"lr\""), "{}", message(&["optim.lrr=1"]));
        assert!(message(&["bach=1"]).contains("did you mean \"batch\""), "{}", message(&["bach=1"]));
        assert!(message(&["prediction=nois"]).contains("did you mean \"noise\""), "{}", message(&["prediction=nois"]));
        assert!(message(&["data.siz=[3,3]"]).contains("did you mean \"size\""));
        assert!(message(&["network.preset=digit8"]).contains("did you mean \"digits8\""));
        assert!(message(&["batch"]).contains("key=value"));
        assert!(message(&["batch=measured"]).contains("cannot be measured"));
        let choices = Choices { recipe: Some("fashoin28".into()), ..Choices::default() };
        assert!(Draft::new(&choices).unwrap_err().to_string().contains("fashion28"));
    }
}
