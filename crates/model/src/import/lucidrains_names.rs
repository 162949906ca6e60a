//! denoising-diffusion-pytorch's names of the tensors of its `Unet`.

use super::plan::Source;
use scorefield_nn::RmsUNetConfig;

/// A residual block's layer.
fn block(rest: &[&str]) -> Option<String> {
    Some(match *rest {
        ["conv0", end] => format!("block1.proj.{end}"),
        ["norm0", "gain"] => "block1.norm.g".into(),
        ["embed", end] => format!("mlp.1.{end}"),
        ["conv1", end] => format!("block2.proj.{end}"),
        ["norm1", "gain"] => "block2.norm.g".into(),
        ["skip", end] => format!("res_conv.{end}"),
        _ => return None,
    })
}

/// An attention's layer. Linear attention has its memory as ours, `[2, heads, d, memory]`; full attention has it as a list of vectors,
/// `[2, heads, memory, d]`.
fn attention(place: &str, rest: &[&str], full: bool) -> Option<Source> {
    let end = match *rest {
        ["norm", "gain"] => "norm.g".into(),
        ["qkv", end] => format!("to_qkv.{end}"),
        ["memory"] if full => return Some(Source::Planes(format!("{place}.mem_kv"))),
        ["memory"] => "mem_kv".into(),
        ["out", end] if full => format!("to_out.{end}"),
        ["out", end] => format!("to_out.0.{end}"),
        ["out_norm", "gain"] => "to_out.1.g".into(),
        _ => return None,
    };
    Some(Source::Reshaped(format!("{place}.{end}")))
}

/// Where the numbers of one of our parameters are.
pub(crate) fn source(config: &RmsUNetConfig, name: &str) -> Option<Source> {
    let levels = config.levels();
    // Theirs have axes of length one where ours have none, and one axis where a patch has two.
    let reshaped = |name: String| Some(Source::Reshaped(name));
    match name.split('.').collect::<Vec<_>>()[..] {
        ["embed", "frequencies"] => reshaped("time_mlp.0.weights".into()),
        ["embed", "linear0", end] => reshaped(format!("time_mlp.1.{end}")),
        ["embed", "linear1", end] => reshaped(format!("time_mlp.3.{end}")),
        ["stem", end] => reshaped(format!("init_conv.{end}")),
        ["mid", "attention", ref rest @ ..] => attention("mid_attn", rest, true),
        ["mid", "0", ref rest @ ..] => reshaped(format!("mid_block1.{}", block(rest)?)),
        ["mid", "1", ref rest @ ..] => reshaped(format!("mid_block2.{}", block(rest)?)),
        ["last", ref rest @ ..] => reshaped(format!("final_res_block.{}", block(rest)?)),
        ["out", end] => reshaped(format!("final_conv.{end}")),
        [way @ ("down" | "up"), level, ref rest @ ..] => {
            let level = level.parse::<usize>().ok().filter(|&l| l < levels)?;
            // Their way up is numbered from the deepest level; what changes the size is the first of two layers.
            let (place, resamples) = match way {
                "down" => (format!("downs.{level}"), level + 1 < levels),
                _ => (format!("ups.{}", levels - 1 - level), level > 0),
            };
            match *rest {
                ["attention", ref rest @ ..] => {
                    attention(&format!("{place}.2"), rest, config.full_attention_levels.contains(&level))
                }
                ["leave", end] if resamples => reshaped(format!("{place}.3.1.{end}")),
                ["leave", end] => reshaped(format!("{place}.3.{end}")),
                [i @ ("0" | "1"), ref rest @ ..] => reshaped(format!("{place}.{i}.{}", block(rest)?)),
                _ => None,
            }
        }
        _ => None,
    }
}
