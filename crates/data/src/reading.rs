//! How the stored numbers of a channel are read: as they are, cut into bits, or as places in a list of categories.
//!
//! Stored numbers are never rewritten: a set mapped from a file is cut into bits, or brought to another numbering, while it is read.

use std::sync::Arc;

/// How the numbers of one channel are read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reading {
    /// As they are stored.
    AsIs,
    /// `at` and more become `values[1]`, less becomes `values[0]`.
    Cut { at: f32, values: [f32; 2] },
    /// A stored number becomes the number beside it; sorted by the stored ones, which are all there are.
    Listed(Arc<Vec<(f32, f32)>>),
}

impl Reading {
    /// Stored numbers as places in `distinct`, which is sorted and holds all of them.
    pub(crate) fn places(distinct: &[f32]) -> Self {
        Self::Listed(Arc::new(distinct.iter().enumerate().map(|(i, &v)| (v, i as f32)).collect()))
    }

    /// This reading, and then a table from number `i` to `to[i]`.
    pub(crate) fn then(&self, to: &[f32]) -> Self {
        let of = |v: f32| to[v as usize];
        match self {
            Self::AsIs => Self::Listed(Arc::new(to.iter().enumerate().map(|(i, &v)| (i as f32, v)).collect())),
            Self::Cut { at, values } => Self::Cut { at: *at, values: values.map(of) },
            Self::Listed(pairs) => Self::Listed(Arc::new(pairs.iter().map(|&(stored, v)| (stored, of(v))).collect())),
        }
    }

    /// Stored numbers to what they are read as. A number that no list holds is read as NaN: lists are made of all that is stored.
    pub(crate) fn apply(&self, numbers: &mut [f32]) {
        match self {
            Self::AsIs => {}
            Self::Cut { at, values } => numbers.iter_mut().for_each(|v| *v = values[usize::from(*v >= *at)]),
            Self::Listed(pairs) => numbers.iter_mut().for_each(|v| {
                // Minus zero plus zero is zero.
                let stored = *v + 0.0;
                *v = pairs.binary_search_by(|p| p.0.total_cmp(&stored)).map_or(f32::NAN, |k| pairs[k].1);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reading: &Reading, numbers: &[f32]) -> Vec<f32> {
        let mut out = numbers.to_vec();
        reading.apply(&mut out);
        out
    }

    #[test]
    fn a_table_after_a_reading_is_the_two_in_turn() {
        let cut = Reading::Cut { at: 3.0, values: [0.0, 1.0] };
        assert_eq!(read(&cut, &[2.9, 3.0, 7.0, -1.0]), [0.0, 1.0, 1.0, 0.0]);
        assert_eq!(read(&cut.then(&[1.0, 0.0]), &[2.9, 3.0]), [1.0, 0.0]);
        let listed = Reading::places(&[-4.0, 0.0, 9.0]);
        assert_eq!(read(&listed, &[9.0, -4.0, -0.0]), [2.0, 0.0, 1.0]);
        assert_eq!(read(&listed.then(&[5.0, 6.0, 7.0]), &[9.0, -4.0, 0.0]), [7.0, 5.0, 6.0]);
        assert_eq!(read(&Reading::AsIs.then(&[2.0, 1.0, 0.0]), &[0.0, 1.0, 2.0]), [2.0, 1.0, 0.0]);
        assert!(read(&listed, &[3.0])[0].is_nan());
    }
}
