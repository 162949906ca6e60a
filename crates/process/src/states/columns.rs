//! Which columns a state has, and where each lies in a wide row.

use scorefield_tensor::{Batch, DType, Tensor, TensorData, batch_f64, rows_f64};
use serde::{Deserialize, Serialize};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnKind {
    /// A real number.
    Number,
    /// One of so many levels.
    Category(usize),
}

/// A run of neighbouring columns of one kind: computed as one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they hold.
    pub kind: ColumnKind,
    /// The first column.
    pub column: usize,
    /// How many columns.
    pub columns: usize,
    /// The first entry of a wide row.
    pub entry: usize,
    /// Entries a column takes: 1 for numbers; levels and the mask for categories.
    pub states: usize,
}

impl Group {
    /// Entries of the whole group.
    pub fn width(&self) -> usize {
        self.columns * self.states
    }

    /// The group's block of wide rows, `[n, columns * states]`.
    pub fn of(&self, wide: &Batch) -> Batch {
        wide.clone().narrow(1, self.entry, self.width())
    }

    /// The block with an axis for columns and one for states, `[n, columns, states]`.
    pub fn cube(&self, wide: &Batch) -> Tensor<3> {
        let n = wide.dims()[0];
        self.of(wide).reshape([n, self.columns, self.states])
    }

    /// Whether the columns are categories.
    pub fn is_category(&self) -> bool {
        self.kind != ColumnKind::Number
    }
}

/// The columns of a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    kinds: Vec<ColumnKind>,
    groups: Vec<Group>,
    masked: bool,
}

impl Columns {
    /// Columns in order; `masked` gives every category one more state, its mask.
    pub fn new(kinds: Vec<ColumnKind>, masked: bool) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut entry = 0;
        for (column, &kind) in kinds.iter().enumerate() {
            let states = match kind {
                ColumnKind::Number => 1,
                ColumnKind::Category(levels) => levels + usize::from(masked),
            };
            match groups.last_mut() {
                Some(group) if group.kind == kind => group.columns += 1,
                _ => groups.push(Group { kind, column, columns: 1, entry, states }),
            }
            entry += states;
        }
        Self { kinds, groups, masked }
    }

    /// What each column holds.
    pub fn kinds(&self) -> &[ColumnKind] {
        &self.kinds
    }

    /// The blocks of a wide row.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Whether categories have a mask.
    pub fn masked(&self) -> bool {
        self.masked
    }

    /// How many columns.
    #[allow(clippy::len_without_is_empty, reason = "a state has at least one column")]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Entries of a wide row.
    pub fn width(&self) -> usize {
        self.groups.last().map_or(0, |g| g.entry + g.width())
    }

    /// Wide rows `[n, width]` of rows `[n, columns]` that hold numbers and places of levels (the mask's place is the number of levels).
    ///
    /// # Panics
    /// When a place is none of its column's states, or the rows have another length.
    #[track_caller]
    pub fn expand(&self, narrow: &Batch) -> Batch {
        let [n, d] = narrow.dims();
        assert_eq!(d, self.len(), "rows of {d} columns for a state of {}", self.len());
        let (values, width) = (rows_f64(narrow.clone()), self.width());
        let mut wide = vec![0.0; n * width];
        for (row, out) in values.chunks_exact(d).zip(wide.chunks_exact_mut(width)) {
            for group in &self.groups {
                for c in 0..group.columns {
                    let (value, at) = (row[group.column + c], group.entry + c * group.states);
                    if group.is_category() {
                        let place = value as usize;
                        assert!(
                            value.fract() == 0.0 && value >= 0.0 && place < group.states,
                            "column {}: {value} is none of {} states",
                            group.column + c,
                            group.states
                        );
                        out[at + place] = 1.0;
                    } else {
                        out[at] = value;
                    }
                }
            }
        }
        like(wide, n, narrow)
    }

    /// Rows `[n, columns]` of wide rows: numbers, and the place of the largest entry of each category.
    #[track_caller]
    pub fn collapse(&self, wide: &Batch) -> Batch {
        let [n, width] = wide.dims();
        assert_eq!(width, self.width(), "wide rows of {width} entries for a state of {}", self.width());
        let values = rows_f64(wide.clone());
        let mut out = Vec::with_capacity(n * self.len());
        for row in values.chunks_exact(width) {
            for group in &self.groups {
                for column in row[group.entry..][..group.width()].chunks_exact(group.states) {
                    out.push(if group.is_category() { largest(column) as f64 } else { column[0] });
                }
            }
        }
        like(out, n, wide)
    }
}

fn largest(values: &[f64]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// Host numbers as a batch of `n` rows in the element type and on the device of another.
pub(super) fn like(values: Vec<f64>, n: usize, other: &Batch) -> Batch {
    if other.dtype() == DType::F64 {
        return batch_f64(values, n, &other.device());
    }
    let d = values.len() / n.max(1);
    Tensor::from_data(TensorData::new(values, [n, d]), (&other.device(), other.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::Device;

    #[test]
    fn wide_rows_and_back() {
        use ColumnKind::{Category, Number};
        for masked in [false, true] {
            let columns = Columns::new(vec![Number, Category(3), Category(3), Category(2), Number], masked);
            assert_eq!(columns.groups().len(), 4);
            assert_eq!(columns.width(), 10 + 3 * usize::from(masked));
            let narrow = batch_f64(vec![0.5, 2.0, 0.0, 1.0, -1.5, 0.25, 1.0, 2.0, 0.0, 7.0], 2, &Device::default());
            let wide = columns.expand(&narrow);
            assert_eq!(rows_f64(columns.collapse(&wide)), rows_f64(narrow));
            let one_hot = rows_f64(columns.groups()[1].cube(&wide).sum_dim(2));
            assert_eq!(one_hot, [1.0; 4]);
        }
    }

    #[test]
    #[should_panic(expected = "column 0: 2 is none of 2 states")]
    fn a_level_that_is_none_is_refused() {
        let columns = Columns::new(vec![ColumnKind::Category(2)], false);
        columns.expand(&batch_f64(vec![2.0], 1, &Device::default()));
    }
}
