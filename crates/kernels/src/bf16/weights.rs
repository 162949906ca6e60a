//! Weights in the order in which blocks read them.

use super::round;
use super::unit::{BLOCK, EDGE, Square, TERMS, Unit};
use crate::parallel::map_jobs;

/// Weights `[k, c, taps]`: for each 32 rows, and for each step of the sum (32 channels at one tap), one or two squares.
pub(crate) struct Weights {
    squares: Vec<Square>,
    /// Rows, and channels that are summed over.
    pub(crate) rows: usize,
    pub(crate) channels: usize,
    pub(crate) taps: usize,
    /// What the products are computed on.
    pub(crate) unit: Unit,
}

impl Weights {
    /// From weights `[rows, channels, taps]`; channels and rows that are not there are zero.
    pub(crate) fn new(w: &[f32], rows: usize, channels: usize, taps: usize) -> Self {
        assert_eq!(w.len(), rows * channels * taps, "weights of another size");
        Self::of(rows, channels, taps, |row, c, t| w[(row * channels + c) * taps + t])
    }

    /// From weights `[channels, rows, taps]`, the taps reversed: what takes the gradient of the output to that of the input.
    pub(crate) fn turned(w: &[f32], rows: usize, channels: usize, taps: usize) -> Self {
        assert_eq!(w.len(), rows * channels * taps, "weights of another size");
        Self::of(rows, channels, taps, |row, c, t| w[(c * rows + row) * taps + taps - 1 - t])
    }

    fn of(rows: usize, channels: usize, taps: usize, weight: impl Fn(usize, usize, usize) -> f32 + Sync + Send) -> Self {
        let number = |row: usize, c: usize, t: usize| if row < rows && c < channels { round(weight(row, c, t)) } else { 0 };
        let squares = map_jobs(rows.div_ceil(BLOCK), rows * channels * taps < 1 << 14, |block| {
            let tall = (rows - block * BLOCK).min(BLOCK).div_ceil(EDGE);
            let mut squares = Vec::with_capacity(tall * channels.div_ceil(TERMS) * taps);
            for chunk in 0..channels.div_ceil(TERMS) {
                for t in 0..taps {
                    for square in 0..tall {
                        let word = |row: usize, pair: usize| {
                            let (row, c) = (block * BLOCK + square * EDGE + row, chunk * TERMS + 2 * pair);
                            number(row, c, t) | number(row, c + 1, t) << 16
                        };
                        squares.push(Square(std::array::from_fn(|row| std::array::from_fn(|pair| word(row, pair)))));
                    }
                }
            }
            squares
        });
        Self { squares: squares.concat(), rows, channels, taps, unit: Unit::detect() }
    }

    /// Steps of the sum.
    pub(crate) fn steps(&self) -> usize {
        self.channels.div_ceil(TERMS) * self.taps
    }

    /// The squares of rows `32 block..`.
    pub(crate) fn block(&self, block: usize) -> &[Square] {
        let first = 2 * block * self.steps();
        &self.squares[first..self.squares.len().min(first + 2 * self.steps())]
    }
}
