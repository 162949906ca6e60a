//! How long a segment runs through every pixel it meets (Siddon 1985).

/// Pixels `(row * width + column, length)` of the plane `[0, w] x [0, h]` that the segment from `(x, y)` to `(x, y)` crosses.
/// A segment that runs along an edge between pixels counts for those to the right or below.
pub(super) fn chords(from: (f64, f64), to: (f64, f64), height: usize, width: usize) -> Vec<(usize, f64)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    // Shares of the way at which an edge is crossed.
    let mut at = vec![0.0, 1.0];
    for (start, step, n) in [(from.0, dx, width), (from.1, dy, height)] {
        if step != 0.0 {
            at.extend((0..=n).map(|edge| (edge as f64 - start) / step).filter(|t| *t > 0.0 && *t < 1.0));
        }
    }
    at.sort_by(f64::total_cmp);
    let whole = dx.hypot(dy);
    let piece = |t: &[f64]| {
        let (length, middle) = ((t[1] - t[0]) * whole, 0.5 * (t[0] + t[1]));
        let (column, row) = ((from.0 + middle * dx).floor(), (from.1 + middle * dy).floor());
        let inside = row >= 0.0 && column >= 0.0 && row < height as f64 && column < width as f64;
        // Two edges crossed at a corner leave a piece of rounding.
        (inside && length > 1e-12).then(|| (row as usize * width + column as usize, length))
    };
    at.windows(2).filter_map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::chords;

    #[test]
    fn segments_are_cut_at_the_edges() {
        assert_eq!(chords((0.5, 0.5), (2.5, 0.5), 2, 3), [(0, 0.5), (1, 1.0), (2, 0.5)]);
        let diagonal = chords((-1.0, -1.0), (3.0, 3.0), 2, 2);
        assert_eq!(diagonal.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [0, 3]);
        assert!(diagonal.iter().all(|(_, l)| (l - 2f64.sqrt()).abs() < 1e-12));
        assert!(chords((5.0, 0.0), (5.0, 2.0), 2, 3).is_empty());
    }
}
