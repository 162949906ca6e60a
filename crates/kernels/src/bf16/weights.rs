//! Weights in the order in which blocks read them.

use super::rows::halves;
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
        Self::of(w, rows, channels, taps, [channels * taps, taps], |t| t)
    }

    /// From weights `[channels, rows, taps]`, the taps reversed: what takes the gradient of the output to that of the input.
    pub(crate) fn turned(w: &[f32], rows: usize, channels: usize, taps: usize) -> Self {
        assert_eq!(w.len(), rows * channels * taps, "weights of another size");
        Self::of(w, rows, channels, taps, [taps, rows * taps], |t| taps - 1 - t)
    }

    /// Weight `(row, channel, t)` is `w[row apart[0] + channel apart[1] + place(t)]`.
    fn of(
        w: &[f32],
        rows: usize,
        channels: usize,
        taps: usize,
        apart: [usize; 2],
        place: impl Fn(usize) -> usize + Sync,
    ) -> Self {
        let unit = Unit::detect();
        let chunks = channels.div_ceil(TERMS);
        let squares = map_jobs(rows.div_ceil(BLOCK), w.len() < 1 << 14, |block| {
            let tall = (rows - block * BLOCK).min(BLOCK).div_ceil(EDGE);
            let mut squares = vec![Square::ZERO; tall * chunks * taps];
            // The taps of 32 channels of a row.
            let mut numbers = vec![0u16; TERMS * taps];
            for row in block * BLOCK..rows.min((block + 1) * BLOCK) {
                let (square, within) = ((row - block * BLOCK) / EDGE, row % EDGE);
                for chunk in 0..chunks {
                    let real = TERMS.min(channels - chunk * TERMS);
                    let start = row * apart[0] + chunk * TERMS * apart[1];
                    if apart[1] == taps {
                        halves(unit, &w[start..][..real * taps], &mut numbers[..real * taps]);
                    } else {
                        for (c, to) in numbers.chunks_exact_mut(taps).enumerate().take(real) {
                            halves(unit, &w[start + c * apart[1]..][..taps], to);
                        }
                    }
                    numbers[real * taps..].fill(0);
                    for t in 0..taps {
                        let to = &mut squares[(chunk * taps + t) * tall + square].0[within];
                        let from = numbers[place(t)..].chunks(2 * taps);
                        for (to, pair) in to.iter_mut().zip(from) {
                            *to = u32::from(pair[0]) | u32::from(pair[taps]) << 16;
                        }
                    }
                }
            }
            squares
        });
        Self { squares: squares.concat(), rows, channels, taps, unit }
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
