//! k-diffusion's names of the tensors of its two networks.

use super::plan::Source;
use scorefield_nn::AdaGnUNetConfig;

/// Of `image_v1`. Blocks and attentions are numbered together; on the way down number 0 is the filter's.
pub(crate) fn image_v1(config: &AdaGnUNetConfig, name: &str) -> Option<Source> {
    let unit = |rest: &[&str]| {
        Some(match *rest {
            ["norm0", end] => format!("main.0.mapper.{end}"),
            ["conv0", end] => format!("main.2.{end}"),
            ["norm1", end] => format!("main.4.mapper.{end}"),
            ["conv1", end] => format!("main.6.{end}"),
            ["skip", end] => format!("skip.{end}"),
            ["attention", "norm", end] => format!("norm_in.mapper.{end}"),
            ["attention", layer @ ("qkv" | "out"), end] => format!("{layer}_proj.{end}"),
            _ => return None,
        })
    };
    let theirs = match name.split('.').collect::<Vec<_>>()[..] {
        ["embed", "frequencies"] => "timestep_embed.weight".into(),
        ["embed", "augment", end] => format!("mapping_cond.{end}"),
        ["embed", "linear0", end] => format!("mapping.0.{end}"),
        ["embed", "linear1", end] => format!("mapping.2.{end}"),
        ["stem", end] => format!("proj_in.{end}"),
        ["out", end] => format!("proj_out.{end}"),
        [way @ ("down" | "up"), level, i, ref rest @ ..] => {
            let level = level.parse::<usize>().ok().filter(|&l| l < config.levels())?;
            let each = 1 + usize::from(config.attention_levels.contains(&level));
            let number = i.parse::<usize>().ok()? * each + usize::from(rest.first() == Some(&"attention"));
            match way {
                "down" => format!("u_net.d_blocks.{level}.{}.{}", 1 + number, unit(rest)?),
                _ => format!("u_net.u_blocks.{}.{number}.{}", config.levels() - 1 - level, unit(rest)?),
            }
        }
        _ => return None,
    };
    // Theirs have axes of length one where ours have none, and one axis where a patch has two.
    Some(Source::Reshaped(theirs))
}

/// Of `image_transformer_v2`.
pub(crate) fn transformer(name: &str) -> Option<Source> {
    let layer = |place: String, rest: &[&str]| {
        Some(match rest {
            ["attention", "norm", end] => format!("{place}.self_attn.norm.linear.{end}"),
            ["attention", "scale"] => format!("{place}.self_attn.scale"),
            ["attention", "frequencies"] => format!("{place}.self_attn.pos_emb.freqs"),
            ["attention", map, end] => format!("{place}.self_attn.{map}_proj.{end}"),
            ["feed", "norm", end] => format!("{place}.ff.norm.linear.{end}"),
            ["feed", map, end] => format!("{place}.ff.{map}_proj.{end}"),
            _ => return None,
        })
    };
    let theirs = match name.split('.').collect::<Vec<_>>()[..] {
        ["mapping", "time_frequencies"] => "time_emb.weight".into(),
        ["mapping", "augment_frequencies"] => "aug_emb.weight".into(),
        ["mapping", "time", end] => format!("time_in_proj.{end}"),
        ["mapping", "augment", end] => format!("aug_in_proj.{end}"),
        ["mapping", "class", _] => return Some(Source::Transposed("class_emb.weight".into())),
        ["mapping", "enter", end] => format!("mapping.in_norm.{end}"),
        ["mapping", "leave", end] => format!("mapping.out_norm.{end}"),
        ["mapping", i, "norm", end] => format!("mapping.blocks.{i}.norm.{end}"),
        ["mapping", i, map, end] => format!("mapping.blocks.{i}.{map}_proj.{end}"),
        ["enter", end] => format!("patch_in.proj.{end}"),
        ["leave", "norm", end] => format!("out_norm.{end}"),
        ["leave", "linear", end] => format!("patch_out.proj.{end}"),
        ["down", level, "merge", end] => format!("merges.{level}.proj.{end}"),
        ["up", level, "split", "share"] => format!("splits.{level}.fac"),
        ["up", level, "split", end] => format!("splits.{level}.proj.{end}"),
        ["mid", i, ref rest @ ..] => layer(format!("mid_level.{i}"), rest)?,
        ["down", level, i, ref rest @ ..] => layer(format!("down_levels.{level}.{i}"), rest)?,
        ["up", level, i, ref rest @ ..] => layer(format!("up_levels.{level}.{i}"), rest)?,
        _ => return None,
    };
    Some(Source::Reshaped(theirs))
}
