//! The tensors of another project that a parameter of ours is read from: the inverse of reading, [`Source::numbers`].

use crate::import::plan::Source;

/// A tensor by its name in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

/// What has to be in the file so that reading `source` gives `values` of `shape`. None for sources that are read whatever the axes of the
/// file are: of them the file's shape does not follow from ours.
pub(super) fn pieces(source: &Source, shape: &[usize], values: &[f32]) -> Option<Vec<Piece>> {
    let one = |name: &String, shape: Vec<usize>, values: Vec<f32>| Some(vec![Piece { name: name.clone(), shape, values }]);
    match source {
        Source::Same(name) => one(name, shape.to_vec(), values.to_vec()),
        Source::Transposed(name) => {
            let &[rows, columns] = shape else { return None };
            let theirs = (0..columns).flat_map(|j| (0..rows).map(move |i| values[i * columns + j])).collect();
            one(name, vec![columns, rows], theirs)
        }
        Source::Rows(name, order) => {
            let width = values.len() / order.len().max(1);
            let mut theirs = vec![0.0; values.len()];
            for (ours, &row) in values.chunks_exact(width.max(1)).zip(order) {
                theirs[row * width..(row + 1) * width].copy_from_slice(ours);
            }
            one(name, shape.to_vec(), theirs)
        }
        Source::Stacked(parts) => {
            let mut part = shape.to_vec();
            *part.first_mut()? /= parts.len().max(1);
            let numbers = part.iter().product::<usize>().max(1);
            let each = parts.iter().zip(values.chunks_exact(numbers)).map(|(source, values)| pieces(source, &part, values));
            Some(each.collect::<Option<Vec<_>>>()?.concat())
        }
        Source::Reshaped(_) | Source::Planes(_) | Source::Turned(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::plan::Arrays;
    use scorefield_archive::{Archive, open};

    /// Reading what was written gives the numbers back, for every arrangement that can be written.
    #[test]
    fn reading_is_the_inverse() {
        let same = |n: &str| Source::Same(n.into());
        let cases = [
            (same("a"), vec![3, 4]),
            (Source::Transposed("a".into()), vec![3, 4]),
            (Source::Rows("a".into(), vec![2, 0, 3, 1]), vec![4, 2, 1]),
            (Source::Stacked(vec![same("q"), Source::Rows("k".into(), vec![1, 0]), Source::Transposed("v".into())]), vec![6, 3]),
        ];
        for (source, shape) in cases {
            let values: Vec<f32> = (0..shape.iter().product::<usize>()).map(|i| i as f32 + 0.5).collect();
            let found = pieces(&source, &shape, &values).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.safetensors");
            let tensors: Vec<_> = found.iter().map(|p| (p.name.clone(), p.shape.clone(), p.values.as_slice())).collect();
            crate::write_tensors(&path, &tensors, "").unwrap();
            let archive: Archive = open(&path).unwrap();
            let arrays: Arrays = archive.arrays().unwrap();
            assert_eq!(source.numbers(&arrays).unwrap(), values, "{source:?}");
            let shapes: Vec<(&str, Vec<usize>)> = found.iter().map(|p| (p.name.as_str(), p.shape.clone())).collect();
            assert_eq!(source.expected(&shape), shapes, "{source:?}");
        }
        // Rows 2, 0, 3, 1 of theirs are ours 0 to 3.
        let moved = pieces(&Source::Rows("a".into(), vec![2, 0, 3, 1]), &[4], &[0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(moved[0].values, [1.0, 3.0, 0.0, 2.0]);
        assert!(pieces(&Source::Reshaped("a".into()), &[2], &[0.0, 1.0]).is_none());
    }
}
