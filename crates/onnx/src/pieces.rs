//! A batch in pieces: evaluations of a fixed number of rows, or of one time and class where the network takes but one.
//!
//! Rows are independent, so any cut gives the same numbers; a piece that is too short is filled up with its last row.

use std::ops::Range;

/// The rows `0..n` in order, at most `most` together, never across a place at which `breaks(row)` says that row `row` does not go with
/// the one before.
pub(crate) fn pieces(n: usize, most: usize, breaks: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for i in 1..=n {
        if i == n || i - start == most || breaks(i) {
            found.push(start..i);
            start = i;
        }
    }
    found
}

/// The rows of a piece, each of `width` numbers, filled up to `rows` with the last.
pub(crate) fn filled<T: Copy>(all: &[T], piece: &Range<usize>, width: usize, rows: usize) -> Vec<T> {
    let mut taken = all[piece.start * width..piece.end * width].to_vec();
    let last = (piece.end - 1) * width..piece.end * width;
    for _ in piece.len()..rows {
        taken.extend_from_slice(&all[last.clone()]);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_piece() {
        assert_eq!(pieces(7, 3, |_| false), [0..3, 3..6, 6..7]);
        assert_eq!(pieces(5, usize::MAX, |_| false), vec![0..5; 1]);
        assert_eq!(pieces(5, 3, |i| i == 2), [0..2, 2..5]);
        assert!(pieces(0, 3, |_| false).is_empty());
        for (n, most) in [(1, 1), (9, 4), (8, 4), (3, 7)] {
            let cut = pieces(n, most, |i| i % 5 == 0);
            assert_eq!(cut.iter().cloned().flatten().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            assert!(cut.iter().all(|p| (1..=most).contains(&p.len())));
        }
    }

    #[test]
    fn short_pieces_are_filled_with_their_last_row() {
        assert_eq!(filled(&[1, 2, 3, 4, 5, 6], &(1..3), 2, 4), [3, 4, 5, 6, 5, 6, 5, 6]);
        assert_eq!(filled(&[1, 2, 3], &(0..2), 1, 2), [1, 2]);
    }
}
