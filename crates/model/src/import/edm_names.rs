//! NVlabs/edm's names of the tensors of `SongUNet` and `DhariwalUNet`: blocks are called by the size they work at.

use super::plan::Source;
use scorefield_nn::{QkvPacking, UNetConfig};

/// What decides how a tensor is called.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    pub(crate) config: UNetConfig,
    /// The side of a picture.
    pub(crate) size: usize,
    /// `DhariwalUNet`.
    pub(crate) adm: bool,
    /// The progressive input is called `aux_residual`, not `aux_skip`.
    pub(crate) residual: bool,
}

/// A residual block's layer.
fn inner(rest: &[&str]) -> String {
    match rest {
        ["embed", end] => format!("affine.{end}"),
        rest => rest.join("."),
    }
}

impl Naming {
    /// `8x8` for the blocks of a level.
    fn at(&self, level: &str) -> Option<String> {
        let side = self.size >> level.parse::<usize>().ok().filter(|l| *l < 32)?;
        Some(format!("{side}x{side}"))
    }

    fn attention(&self, place: &str, rest: &[&str], shape: &[usize]) -> Option<Source> {
        let [layer, end] = rest else { return None };
        match *layer {
            "norm" => Source::same(format!("model.{place}.norm2.{end}")),
            "out" => Source::same(format!("model.{place}.proj.{end}")),
            _ => {
                let channels = shape[0] / 3;
                let rows = QkvPacking::Interleaved.rows(channels, self.config.heads_for(channels));
                Some(Source::Rows(format!("model.{place}.qkv.{end}"), rows))
            }
        }
    }

    /// Where the numbers of one of our parameters are.
    pub(crate) fn source(&self, name: &str, shape: &[usize]) -> Option<Source> {
        let parts: Vec<&str> = name.split('.').collect();
        let (top, last) = (self.at("0")?, (self.config.levels() - 1).to_string());
        let below = |level: &str| self.at(&(level.parse::<usize>().ok()? + 1).to_string());
        let above = |level: &str| self.at(&level.parse::<usize>().ok()?.checked_sub(1)?.to_string());
        let theirs = match parts[..] {
            ["embed", "frequencies"] => "map_noise.freqs".into(),
            ["embed", "class", end] => format!("map_label.{end}"),
            ["embed", "augment", end] => format!("map_augment.{end}"),
            ["embed", "linear0", end] => format!("map_layer0.{end}"),
            ["embed", "linear1", end] => format!("map_layer1.{end}"),
            ["stem", end] => format!("enc.{top}_conv.{end}"),
            ["out", layer, end] if self.adm => format!("out_{layer}.{end}"),
            ["out", layer, end] => format!("dec.{top}_aux_{layer}.{end}"),
            ["mid", "attention", ref rest @ ..] => return self.attention(&format!("dec.{}_in0", self.at(&last)?), rest, shape),
            ["mid", i, ref rest @ ..] => format!("dec.{}_in{i}.{}", self.at(&last)?, inner(rest)),
            ["down", level, "resample", ref rest @ ..] => format!("enc.{}_down.{}", below(level)?, inner(rest)),
            ["down", level, "input", end] => {
                format!("enc.{}_aux_{}.{end}", below(level)?, if self.residual { "residual" } else { "skip" })
            }
            ["down", level, i, "attention", ref rest @ ..] => {
                return self.attention(&format!("enc.{}_block{i}", self.at(level)?), rest, shape);
            }
            ["down", level, i, ref rest @ ..] => format!("enc.{}_block{i}.{}", self.at(level)?, inner(rest)),
            ["up", level, "resample", ref rest @ ..] => format!("dec.{}_up.{}", above(level)?, inner(rest)),
            ["up", level, "output", layer, end] => format!("dec.{}_aux_{layer}.{end}", self.at(level)?),
            ["up", level, i, "attention", ref rest @ ..] => {
                return self.attention(&format!("dec.{}_block{i}", self.at(level)?), rest, shape);
            }
            ["up", level, i, ref rest @ ..] => format!("dec.{}_block{i}.{}", self.at(level)?, inner(rest)),
            _ => return None,
        };
        Source::same(format!("model.{theirs}"))
    }
}
