//! Filters as the products of minimal filtering read them.

use super::transform::POINTS;
use super::{SKEW, Side};
use crate::micro::disjoint::Disjoint;
use crate::micro::{Isa, ROWS, transpose};
use crate::parallel::{for_each_chunk, for_each_job, scratch, unset};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Filters that a first call transforms for all that follow, for tiles of either size.
#[derive(Default)]
pub(crate) struct Kept([Mutex<Option<Arc<Vec<f32>>>>; 2]);

impl Kept {
    /// The numbers for [`Filters::of`], of the weights `[k, c, 3, 3]` that the first call gave.
    pub(crate) fn values(&self, w: &[f32], [k, c]: [usize; 2], side: Side) -> Arc<Vec<f32>> {
        let mut kept = self.0[usize::from(side == Side::Two)].lock().unwrap_or_else(PoisonError::into_inner);
        let first = || scratch(Filters::room(k, c, side), |room| Arc::new(Filters::new(w, [k, c], false, side, room).grouped()));
        Arc::clone(kept.get_or_insert_with(first))
    }
}

/// Transformed filters, `[point][rows, sums]`, or `[point][group][sums][row]` where they are [grouped](Filters::grouped).
pub(crate) struct Filters<'a> {
    values: &'a [f32],
    pub(super) rows: usize,
    pub(super) sums: usize,
    pub(super) side: Side,
    grouped: bool,
}

impl<'a> Filters<'a> {
    /// Numbers that the filters of a correlation take.
    pub(crate) fn room(rows: usize, sums: usize, side: Side) -> usize {
        side.points() * Self::step(rows, sums)
    }

    fn step(rows: usize, sums: usize) -> usize {
        rows * sums + SKEW
    }

    /// Filters transformed before and [grouped](Filters::grouped) in `values`.
    pub(crate) fn of(values: &'a [f32], rows: usize, sums: usize, side: Side) -> Self {
        assert!(values.len() >= Self::room(rows, sums, side), "transformed filters of other channels");
        Self { values, rows, sums, side, grouped: true }
    }

    /// The numbers in the order in which the products of a few tiles read them: filters that are kept come from memory, and one stream of
    /// numbers comes faster than twelve.
    fn grouped(&self) -> Vec<f32> {
        let (isa, step) = (Isa::detect(), Self::step(self.rows, self.sums));
        let mut out = unset(Self::room(self.rows, self.sums, self.side));
        for_each_chunk(&mut out, step, |p, to| {
            for group in groups(self.rows) {
                let (start, len) = (group.start * self.sums, group.len() * self.sums);
                transpose(
                    isa,
                    &self.values[p * step + start..],
                    self.sums,
                    &mut to[start..][..len],
                    group.len(),
                    group.len(),
                    self.sums,
                );
            }
            to[self.rows * self.sums..].fill(0.0);
        });
        out
    }

    /// Rows `group` of point `p` from term `first` of the sum on, with the distances of rows and of terms.
    pub(super) fn at(&self, p: usize, group: &Range<usize>, first: usize) -> (&[f32], usize, usize) {
        let values = &self.values[p * Self::step(self.rows, self.sums) + group.start * self.sums..];
        if self.grouped { (&values[first * group.len()..], 1, group.len()) } else { (&values[first..], self.sums, 1) }
    }

    /// From weights `[k, c, 3, 3]`; `turned` for the gradient with respect to the input: channels exchanged, places reversed.
    pub(crate) fn new(w: &[f32], [k, c]: [usize; 2], turned: bool, side: Side, room: &'a mut [f32]) -> Self {
        let (rows, sums) = if turned { (c, k) } else { (k, c) };
        let (isa, step) = (Isa::detect(), Self::step(rows, sums));
        assert!(room.len() >= Self::room(rows, sums, side), "room for transformed filters");
        let out = Disjoint::new(room);
        for_each_job(rows, rows * sums < 1 << 12, |row| {
            // SAFETY: jobs write different rows of the matrices.
            let at = |p: usize, s: usize, len: usize| unsafe { out.slice(p * step + row * sums + s, len) };
            let (mut square, mut g, mut u) = ([0.0; 16 * 16], [0.0; 9 * 16], [0.0; POINTS * 16]);
            for first in (0..sums).step_by(16) {
                let count = (sums - first).min(16);
                let (from, apart) = if turned { ((first * c + row) * 9, c * 9) } else { ((row * c + first) * 9, 9) };
                if count == 16 && from + 15 * apart + 16 <= w.len() {
                    // Sixteen numbers of each filter, of which nine are its own.
                    transpose(isa, &w[from..], apart, &mut square, 16, 16, 16);
                    for t in 0..9 {
                        g[if turned { 8 - t } else { t } * 16..][..16].copy_from_slice(&square[t * 16..][..16]);
                    }
                } else {
                    for l in 0..count {
                        for t in 0..9 {
                            g[if turned { 8 - t } else { t } * 16 + l] = w[from + l * apart + t];
                        }
                    }
                }
                // SAFETY: 9 and 36 vectors of 16, of which those of a small tile are the first 16.
                unsafe { side.read_filters(isa, g.as_ptr(), u.as_mut_ptr(), 16) };
                for (p, from) in u.chunks_exact(16).take(side.points()).enumerate() {
                    at(p, first, count).copy_from_slice(&from[..count]);
                }
            }
        });
        Self { values: room, rows, sums, side, grouped: false }
    }
}

/// Groups of nearly equal height: 64 rows are 4 x 11 + 2 x 10, not 5 x 12 + 4.
pub(super) fn groups(rows: usize) -> impl Iterator<Item = Range<usize>> + Clone {
    let count = rows.div_ceil(ROWS);
    (0..count).map(move |g| g * rows / count..(g + 1) * rows / count)
}
