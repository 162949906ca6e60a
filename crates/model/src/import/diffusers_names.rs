//! diffusers' names of the tensors of a `UNet2DModel`.

use super::plan::Source;
use scorefield_nn::{ProgressiveOutput, Resampling, UNetConfig};

/// What decides how a tensor is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naming {
    pub(crate) levels: usize,
    /// Resampling is in residual blocks (`downsample_type` of `resnet`), not a convolution.
    pub(crate) block: bool,
    /// Attention by the names of versions before 0.14: `query`, `proj_attn`.
    pub(crate) old_attention: bool,
    /// The skip blocks of NCSN++: `resnet_down`, `skip_conv`, and one attention a level on the way up.
    pub(crate) skips: bool,
}

/// A residual block's layer, `norm0.weight` and the like.
fn inner(rest: &[&str]) -> Option<String> {
    let [layer, end] = rest else { return None };
    let layer = match *layer {
        "norm0" => "norm1",
        "conv0" => "conv1",
        "embed" => "time_emb_proj",
        "norm1" => "norm2",
        "conv1" => "conv2",
        "skip" => "conv_shortcut",
        _ => return None,
    };
    Some(format!("{layer}.{end}"))
}

impl Naming {
    /// The names of today for a network.
    pub(crate) fn of(network: &UNetConfig) -> Self {
        Self {
            levels: network.levels(),
            block: network.resampling == Resampling::Block,
            old_attention: false,
            skips: network.progressive_output == ProgressiveOutput::Skip,
        }
    }

    fn attention(self, place: &str, rest: &[&str]) -> Option<Source> {
        let [layer, end] = rest else { return None };
        let ([q, k, v], out) = match self.old_attention {
            false => (["to_q", "to_k", "to_v"], "to_out.0"),
            true => (["query", "key", "value"], "proj_attn"),
        };
        match *layer {
            "norm" => Source::same(format!("{place}.group_norm.{end}")),
            "out" => Source::same(format!("{place}.{out}.{end}")),
            "qkv" => Some(Source::Stacked([q, k, v].map(|p| Source::Same(format!("{place}.{p}.{end}"))).to_vec())),
            _ => None,
        }
    }

    /// What halves (`way` of `down`) or doubles (`up`) the size at the end of a block.
    fn leave(self, place: &str, rest: &[&str], way: &str) -> Option<Source> {
        match rest {
            rest if self.skips => Source::same(format!("{place}.resnet_{way}.{}", inner(rest)?)),
            rest if self.block => Source::same(format!("{place}.{way}samplers.0.{}", inner(rest)?)),
            [end] => Source::same(format!("{place}.{way}samplers.0.conv.{end}")),
            _ => None,
        }
    }

    /// Where the numbers of one of our parameters are.
    pub(crate) fn source(self, name: &str) -> Option<Source> {
        let parts: Vec<&str> = name.split('.').collect();
        let theirs = match parts[..] {
            ["embed", "frequencies"] => "time_proj.weight".into(),
            ["embed", "class", _] => return Some(Source::Transposed("class_embedding.weight".into())),
            ["embed", "linear0", end] => format!("time_embedding.linear_1.{end}"),
            ["embed", "linear1", end] => format!("time_embedding.linear_2.{end}"),
            ["stem", end] => format!("conv_in.{end}"),
            ["out", "norm", end] => format!("conv_norm_out.{end}"),
            ["out", "conv", end] => format!("conv_out.{end}"),
            ["mid", "attention", ref rest @ ..] => return self.attention("mid_block.attentions.0", rest),
            ["mid", i, ref rest @ ..] => format!("mid_block.resnets.{i}.{}", inner(rest)?),
            ["down", level, "resample", ref rest @ ..] => return self.leave(&format!("down_blocks.{level}"), rest, "down"),
            ["down", level, "input", end] => format!("down_blocks.{level}.skip_conv.{end}"),
            ["up", "0", "output", layer, end] => format!("conv{}_out.{end}", if layer == "norm" { "_norm" } else { "" }),
            ["down", level, i, "attention", ref rest @ ..] => {
                return self.attention(&format!("down_blocks.{level}.attentions.{i}"), rest);
            }
            ["down", level, i, ref rest @ ..] => format!("down_blocks.{level}.resnets.{i}.{}", inner(rest)?),
            ["up", level, ref rest @ ..] => {
                let place = format!("up_blocks.{}", (self.levels - 1).checked_sub(level.parse().ok()?)?);
                match rest {
                    ["resample", rest @ ..] => return self.leave(&place, rest, "up"),
                    ["output", layer, end] => format!("{place}.skip_{layer}.{end}"),
                    [_, "attention", rest @ ..] if self.skips => return self.attention(&format!("{place}.attentions.0"), rest),
                    [i, "attention", rest @ ..] => return self.attention(&format!("{place}.attentions.{i}"), rest),
                    [i, rest @ ..] => format!("{place}.resnets.{i}.{}", inner(rest)?),
                    [] => return None,
                }
            }
            _ => return None,
        };
        Source::same(theirs)
    }
}
