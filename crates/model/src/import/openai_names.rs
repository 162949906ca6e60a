//! improved-diffusion's and guided-diffusion's names of the tensors of a `UNetModel`.
//!
//! Both number their blocks through: a level takes `blocks + 1` numbers on either way.

use super::plan::Source;
use scorefield_nn::{QkvPacking, UNetConfig};

/// A residual block's or an attention's layer.
fn inner(rest: &[&str]) -> Option<String> {
    Some(match rest {
        ["norm0", end] => format!("in_layers.0.{end}"),
        ["conv0", end] => format!("in_layers.2.{end}"),
        ["embed", end] => format!("emb_layers.1.{end}"),
        ["norm1", end] => format!("out_layers.0.{end}"),
        ["conv1", end] => format!("out_layers.3.{end}"),
        ["skip", end] => format!("skip_connection.{end}"),
        ["attention", "out", end] => format!("proj_out.{end}"),
        ["attention", layer, end] => format!("{layer}.{end}"),
        _ => return None,
    })
}

/// A block with its attention: module 0 is the block, 1 the attention.
fn unit(rest: &[&str]) -> Option<String> {
    Some(format!("{}.{}", usize::from(rest.first() == Some(&"attention")), inner(rest)?))
}

fn theirs(config: &UNetConfig, name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let number = |s: &str| s.parse::<usize>().ok();
    let (levels, blocks) = (config.levels(), config.blocks);
    Some(match parts[..] {
        ["embed", "class", _] => "label_emb.weight".into(),
        ["embed", "linear0", end] => format!("time_embed.0.{end}"),
        ["embed", "linear1", end] => format!("time_embed.2.{end}"),
        ["stem", end] => format!("input_blocks.0.0.{end}"),
        ["out", "norm", end] => format!("out.0.{end}"),
        ["out", "conv", end] => format!("out.2.{end}"),
        ["mid", "attention", layer, end] => format!("middle_block.1.{}", inner(&["attention", layer, end])?),
        ["mid", i, ref rest @ ..] => format!("middle_block.{}.{}", 2 * number(i)?, inner(rest)?),
        ["down", level, "resample", ref rest @ ..] => {
            let k = (number(level)? + 1) * (blocks + 1);
            match rest {
                [end] => format!("input_blocks.{k}.0.op.{end}"),
                rest => format!("input_blocks.{k}.0.{}", inner(rest)?),
            }
        }
        ["down", level, i, ref rest @ ..] => {
            format!("input_blocks.{}.{}", 1 + number(level)? * (blocks + 1) + number(i)?, unit(rest)?)
        }
        ["up", level, ref rest @ ..] => {
            let first = (levels - 1).checked_sub(number(level)?)? * (blocks + 1);
            match rest {
                ["resample", rest @ ..] => {
                    let module = 1 + usize::from(config.attention_levels.contains(&number(level)?));
                    let place = format!("output_blocks.{}.{module}", first + blocks);
                    match rest {
                        [end] => format!("{place}.conv.{end}"),
                        rest => format!("{place}.{}", inner(rest)?),
                    }
                }
                [i, rest @ ..] => format!("output_blocks.{}.{}", first + number(i)?, unit(rest)?),
                [] => return None,
            }
        }
        _ => return None,
    })
}

/// Where the numbers of one of our parameters are.
pub(crate) fn source(config: &UNetConfig, packing: QkvPacking, name: &str, shape: &[usize]) -> Option<Source> {
    let file = theirs(config, name)?;
    Some(match name {
        "embed.class.weight" => Source::Transposed(file),
        _ if name.contains(".qkv.") => {
            let channels = shape[0] / 3;
            Source::Rows(file, packing.rows(channels, config.heads_for(channels)))
        }
        _ => Source::Same(file),
    })
}
