//! ermongroup/ncsn's and ncsnv2's names of the tensors of their RefineNets, without the prefix of the parallel wrapper.
//!
//! They count stages from 1, and refinements from the deepest; a convolution that also halves is an object with the convolution inside.

use super::plan::Source;
use scorefield_nn::RefineNetConfig;

/// Where the numbers of one of our parameters are.
pub(crate) fn source(config: &RefineNetConfig, name: &str) -> Option<Source> {
    let number = |s: &str| s.parse::<usize>().ok();
    let refinement = |stage: &str| Some(format!("refine{}", config.stages().checked_sub(number(stage)?)?));
    // A unit's steps, and the end of a step: `norm.table` or `conv.weight`.
    let step = |unit: &str, step: &str, layer: &str| Some(format!("{}_{}_{layer}", number(unit)? + 1, number(step)? + 1));
    let end = |end: &str| if end == "table" { "embed.weight".to_owned() } else { end.to_owned() };
    let theirs = match name.split('.').collect::<Vec<_>>()[..] {
        ["stem", e] => format!("begin_conv.{e}"),
        ["out", "norm", e] => format!("normalizer.{}", end(e)),
        ["out", "conv", e] => format!("end_conv.{e}"),
        ["res", stage, block, layer, e] => {
            let stage = number(stage).filter(|s| *s < config.stages())?;
            let halves = block == "0" && config.halves(stage);
            let layer = match layer {
                "norm0" => "normalize1",
                "norm1" => "normalize2",
                "conv0" => "conv1",
                "conv1" if halves => "conv2.conv",
                "conv1" => "conv2",
                "skip" if halves => "shortcut.conv",
                "skip" => "shortcut",
                _ => return None,
            };
            format!("res{}.{block}.{layer}.{}", stage + 1, end(e))
        }
        ["refine", stage, "adapt", input, unit, s, layer, e] => {
            format!("{}.adapt_convs.{input}.{}.{}", refinement(stage)?, step(unit, s, layer)?, end(e))
        }
        ["refine", stage, "out", unit, s, layer, e] => {
            format!("{}.output_convs.{}.{}", refinement(stage)?, step(unit, s, layer)?, end(e))
        }
        ["refine", stage, part @ ("fuse" | "pool"), i, layer, e] => {
            let part = if part == "fuse" { "msf" } else { "crp" };
            format!("{}.{part}.{layer}s.{i}.{}", refinement(stage)?, end(e))
        }
        _ => return None,
    };
    Source::same(theirs)
}
