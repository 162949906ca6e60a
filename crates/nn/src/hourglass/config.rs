//! The keys of the hourglass transformer, and what contradicts what.

use crate::NetworkError;
use crate::mlp::check_dropout;
use serde::{Deserialize, Serialize};

/// Which tokens see each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HourglassAttention {
    /// All of them.
    #[default]
    Global,
    /// Those of one window of `size x size` tokens; in every second layer the windows are moved by half their size (Liu et al. 2021).
    ShiftedWindow {
        /// Side of a window, in tokens; it divides the sides of the level.
        size: usize,
    },
    /// A token sees the `size x size` tokens around it; near a border the square is moved inside the picture, so that every token sees
    /// as many (Hassani et al. 2023).
    Neighbourhood {
        /// Side of the square, an odd number of tokens, at most the sides of the level.
        size: usize,
    },
}

/// One level of [`HourglassConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HourglassLevel {
    /// Numbers a token.
    pub width: usize,
    /// Layers, on the way down and again on the way up; the last level has them once.
    pub depth: usize,
    /// Hidden width of the feed-forward branches; three times `width` if absent.
    pub hidden: Option<usize>,
    /// Numbers a head, a multiple of eight that divides `width`.
    pub head_channels: usize,
    /// Which tokens see each other.
    pub attention: HourglassAttention,
    /// Rate of dropout before the last map of every branch, in [0, 1).
    pub dropout: f64,
}

impl Default for HourglassLevel {
    fn default() -> Self {
        Self { width: 256, depth: 4, hidden: None, head_channels: 64, attention: HourglassAttention::Global, dropout: 0.0 }
    }
}

impl HourglassLevel {
    /// Hidden width of the feed-forward branches.
    pub fn hidden_width(&self) -> usize {
        self.hidden.unwrap_or(3 * self.width)
    }

    /// Number of heads.
    pub fn heads(&self) -> usize {
        self.width / self.head_channels.max(1)
    }
}

/// Configuration of [`crate::Hourglass`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HourglassConfig {
    /// Height and width of a patch, the pixels of one token of the first level. They divide the picture.
    pub patch: [usize; 2],
    /// The levels from the finest on; each has half as many tokens a side as the one before, the last is the middle.
    pub levels: Vec<HourglassLevel>,
    /// Width of the vector that all layers are told.
    pub mapping_width: usize,
    /// Feed-forward branches that make it.
    pub mapping_depth: usize,
    /// Their hidden width; three times `mapping_width` if absent.
    pub mapping_hidden: Option<usize>,
    /// Rate of dropout before the last map of each of them, in [0, 1).
    pub mapping_dropout: f64,
    /// Number of classes; zero for none.
    pub classes: usize,
    /// Whether the output has twice the channels, the second half for a learned variance (Nichol and Dhariwal 2021).
    pub learned_variance: bool,
}

impl Default for HourglassConfig {
    fn default() -> Self {
        let fine = HourglassLevel {
            width: 128,
            depth: 2,
            attention: HourglassAttention::Neighbourhood { size: 7 },
            ..HourglassLevel::default()
        };
        Self {
            patch: [2, 2],
            levels: vec![fine, HourglassLevel::default()],
            mapping_width: 256,
            mapping_depth: 2,
            mapping_hidden: None,
            mapping_dropout: 0.0,
            classes: 0,
            learned_variance: false,
        }
    }
}

impl HourglassConfig {
    /// Hidden width of the mapping network.
    pub fn mapping_hidden_width(&self) -> usize {
        self.mapping_hidden.unwrap_or(3 * self.mapping_width)
    }

    /// Height and width of each level's grid of tokens for pictures of a size.
    ///
    /// # Errors
    /// When the configuration contradicts itself, patches do not cut the picture, levels do not halve the grid, or windows and
    /// neighbourhoods do not fit it.
    pub(super) fn grids(&self, height: usize, width: usize) -> Result<Vec<[usize; 2]>, NetworkError> {
        self.check()?;
        let [p, q] = self.patch;
        if !height.is_multiple_of(p) || !width.is_multiple_of(q) {
            let expected = format!("pictures of {height} x {width} are not made of such patches; use divisors of both sides");
            return Err(NetworkError::value("patch", format!("{:?}", self.patch), expected));
        }
        let (rows, columns) = (height / p, width / q);
        let deepest = self.levels.len() - 1;
        if !rows.is_multiple_of(1 << deepest) || !columns.is_multiple_of(1 << deepest) {
            let fit = rows.trailing_zeros().min(columns.trailing_zeros()) + 1;
            let expected = format!(
                "{rows} x {columns} tokens cannot be halved {deepest} times; give at most {fit} levels, or another size of pictures or patches"
            );
            return Err(NetworkError::value("levels", format!("{} levels", self.levels.len()), expected));
        }
        let grids: Vec<[usize; 2]> = (0..self.levels.len()).map(|l| [rows >> l, columns >> l]).collect();
        for (l, (level, &[rows, columns])) in self.levels.iter().zip(&grids).enumerate() {
            let refuse =
                |size, expected: &str| Err(NetworkError::value("levels.attention.size", size, format!("level {l}: {expected}")));
            match level.attention {
                HourglassAttention::Global => {}
                HourglassAttention::ShiftedWindow { size } if size == 0 || rows % size != 0 || columns % size != 0 => {
                    return refuse(size, &format!("windows must divide its {rows} x {columns} tokens"));
                }
                HourglassAttention::Neighbourhood { size } if size % 2 == 0 => {
                    return refuse(size, "a neighbourhood has a token in its middle: an odd number");
                }
                HourglassAttention::Neighbourhood { size } if size > rows || size > columns => {
                    return refuse(size, &format!("a neighbourhood must fit into its {rows} x {columns} tokens"));
                }
                HourglassAttention::ShiftedWindow { .. } | HourglassAttention::Neighbourhood { .. } => {}
            }
        }
        Ok(grids)
    }

    /// Refuses what cannot be, whatever the picture.
    fn check(&self) -> Result<(), NetworkError> {
        let positive = |key, number: usize| match number {
            0 => Err(NetworkError::value(key, 0, "at least 1")),
            _ => Ok(()),
        };
        if self.levels.is_empty() || self.levels.len() > 16 {
            return Err(NetworkError::value("levels", format!("{} levels", self.levels.len()), "1 to 16 levels"));
        }
        if self.patch.contains(&0) {
            return Err(NetworkError::value("patch", format!("{:?}", self.patch), "patches of at least one pixel"));
        }
        if self.mapping_width == 0 || !self.mapping_width.is_multiple_of(2) {
            let expected = "features come in pairs of sine and cosine: an even number, at least 2";
            return Err(NetworkError::value("mapping_width", self.mapping_width, expected));
        }
        positive("mapping_hidden", self.mapping_hidden.unwrap_or(1))?;
        check_dropout(self.mapping_dropout)?;
        for (l, level) in self.levels.iter().enumerate() {
            positive("levels.width", level.width)?;
            positive("levels.depth", level.depth)?;
            positive("levels.hidden", level.hidden.unwrap_or(1))?;
            check_dropout(level.dropout)?;
            if level.head_channels == 0 || !level.head_channels.is_multiple_of(8) {
                let expected = format!("level {l}: rotations take an eighth of a head each, a multiple of 8");
                return Err(NetworkError::value("levels.head_channels", level.head_channels, expected));
            }
            if !level.width.is_multiple_of(level.head_channels) {
                let expected = format!("level {l}: heads must divide its width of {}", level.width);
                return Err(NetworkError::value("levels.head_channels", level.head_channels, expected));
            }
        }
        Ok(())
    }
}
