//! What one example looks like.

use serde::{Deserialize, Serialize};

/// The shape of an example; its numbers are stored channel by channel, row by row (CHW).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A list of numbers.
    Vector {
        /// How many.
        dim: usize,
    },
    /// A picture of any number of channels.
    Image {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl Shape {
    /// Numbers in an example.
    #[allow(clippy::len_without_is_empty, reason = "a shape of nothing is refused where data are read")]
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// `[d]` or `[channels, height, width]`.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Self::Vector { dim } => vec![dim],
            Self::Image { channels, height, width } => vec![channels, height, width],
        }
    }

    /// How many channels: of a vector, each number is one.
    pub fn channels(&self) -> usize {
        self.dims()[0]
    }

    /// What the channels are called where nobody says.
    pub(crate) fn channel_names(&self) -> Vec<String> {
        match self {
            Self::Image { channels: 1, .. } => vec!["grey".into()],
            Self::Image { channels: 3, .. } => ["red", "green", "blue"].map(String::from).to_vec(),
            Self::Image { channels: 4, .. } => ["red", "green", "blue", "alpha"].map(String::from).to_vec(),
            _ => (0..self.channels()).map(|c| format!("c{c}")).collect(),
        }
    }

    /// Numbers a channel.
    pub fn plane(&self) -> usize {
        self.len() / self.channels().max(1)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vector { dim } => write!(f, "vectors of {dim}"),
            Self::Image { channels, height, width } => write!(f, "pictures of {width}x{height} with {channels} channels"),
        }
    }
}

/// What the numbers of a data set are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Whole numbers from 0 to 255, as in 8-bit pictures.
    Byte,
    /// Real numbers.
    Real,
    /// Categories: whole numbers from 0 on, which count the names of their channel.
    Category,
}
