//! score_sde_pytorch's names: one flat list of modules, in the order of use, which is ours too.

use super::plan::Source;
use scorefield_nn::ParamSpec;
use std::collections::HashMap;

/// Our names' modules with their places in the list.
#[derive(Clone, Debug)]
pub(crate) struct Modules {
    places: HashMap<String, usize>,
    /// The `ddpm` network: maps per pixel where `ncsnpp` has 1x1 convolutions.
    ddpm: bool,
    /// The progressive input is a filtered 3x3 convolution (`residual`), not a 1x1 combiner (`input_skip`).
    residual: bool,
}

/// The part of our name that is one entry of their list.
fn module(name: &str) -> &str {
    let ends: Vec<usize> = name.match_indices('.').map(|(i, _)| i).chain([name.len()]).collect();
    let parts: Vec<&str> = name.split('.').collect();
    let n = match parts[..] {
        ["embed" | "out" | "mid", ..] => 2,
        ["stem", ..] => 1,
        [_, _, "output", ..] | [_, _, _, "attention", ..] => 4,
        _ => 3,
    };
    &name[..ends[n.min(ends.len()) - 1]]
}

impl Modules {
    pub(crate) fn new(specs: &[ParamSpec], ddpm: bool, residual: bool) -> Self {
        let mut places = HashMap::new();
        for spec in specs {
            let next = places.len();
            places.entry(module(&spec.name).to_owned()).or_insert(next);
        }
        Self { places, ddpm, residual }
    }

    /// Where the numbers of one of our parameters are.
    pub(crate) fn source(&self, name: &str) -> Option<Source> {
        let place = module(name);
        let k = self.places.get(place)?;
        let file = |end: &str| format!("module.all_modules.{k}.{end}");
        let per_pixel = |nin: &str, end: &str| match end {
            "weight" => Source::Transposed(file(&format!("{nin}.W"))),
            _ => Source::Same(file(&format!("{nin}.b"))),
        };
        let rest = name[place.len()..].trim_start_matches('.');
        let theirs = match rest.split('.').collect::<Vec<_>>()[..] {
            [""] => "W".to_owned(),
            ["norm0" | "norm", end] => format!("GroupNorm_0.{end}"),
            ["norm1", end] => format!("GroupNorm_1.{end}"),
            ["conv0", end] => format!("Conv_0.{end}"),
            ["conv1", end] => format!("Conv_1.{end}"),
            ["embed", end] => format!("Dense_0.{end}"),
            ["skip", end] if self.ddpm => return Some(per_pixel("NIN_0", end)),
            ["skip", end] => format!("Conv_2.{end}"),
            ["qkv", end] => return Some(Source::Stacked((0..3).map(|i| per_pixel(&format!("NIN_{i}"), end)).collect())),
            ["out", end] => return Some(per_pixel("NIN_3", end)),
            [end] if place.ends_with("resample") => format!("Conv_0.{end}"),
            [end] if place.ends_with("input") => format!("{}.{end}", if self.residual { "Conv2d_0" } else { "Conv_0" }),
            [end] => end.to_owned(),
            _ => return None,
        };
        Source::same(file(&theirs))
    }
}
