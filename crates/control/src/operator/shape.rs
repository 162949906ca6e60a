//! The shape of a picture in a row.

use super::OperatorError;

/// A picture `[c, h, w]`, channel by channel, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    channels: usize,
    height: usize,
    width: usize,
}

/// The most entries of a picture or a matrix: beyond it, memory ends before the mathematics does.
pub(super) const MAX_ENTRIES: usize = 1 << 30;

impl Shape {
    /// A picture of `channels` planes of `height` rows of `width` pixels.
    ///
    /// # Errors
    /// When a side is zero or there are more than 2^30 entries.
    pub fn new(channels: usize, height: usize, width: usize) -> Result<Self, OperatorError> {
        for (what, side) in [("channels", channels), ("height", height), ("width", width)] {
            if side == 0 {
                return Err(OperatorError::OutOfRange { what, found: 0.0, expected: "at least 1" });
            }
        }
        let rows = channels.checked_mul(height);
        match rows.and_then(|rows| rows.checked_mul(width)) {
            Some(entries) if entries <= MAX_ENTRIES => Ok(Self { channels, height, width }),
            _ => Err(OperatorError::TooLarge {
                what: "a picture",
                first: rows.unwrap_or(usize::MAX),
                second: width,
                limit: MAX_ENTRIES,
            }),
        }
    }

    /// Planes.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Rows of a plane.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Pixels of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels of a plane, `h w`.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Entries of the row, `c h w`.
    pub fn entries(&self) -> usize {
        self.channels * self.pixels()
    }
}
