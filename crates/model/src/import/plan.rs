//! From another project's tensors to the parameters of one of our networks.
//!
//! A layout says what the network is ([`Plan::meta`]) and, for each of our parameters, where its numbers are ([`Source`]): the same
//! tensor under another name, a transposed matrix, rows in another order. Everything is then checked in one place: nothing missing,
//! nothing left over, every shape as it should be, every number finite.

use super::Layout;
use super::error::{Fault, ImportError};
use crate::{ModelMeta, Weights};
use scorefield_archive::Array;
use scorefield_nn::ParamSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Tensors by their names in the file.
pub(crate) type Arrays = BTreeMap<String, Array>;

/// The shape of a tensor of at least `axes` axes, none of them empty or longer than any network has: an empty tensor may have axes of any
/// length, and lengths are multiplied.
pub(crate) fn shape_of<'a>(arrays: &'a Arrays, name: &str, axes: usize) -> Option<&'a [usize]> {
    const LONGEST: usize = 1 << 20;
    arrays.get(name).map(Array::shape).filter(|s| s.len() >= axes && s.iter().all(|d| (1..=LONGEST).contains(d)))
}

/// Where the numbers of a parameter are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    /// As they are; dimensions of one at the end do not count (`[c, c, 1]` is `[c, c, 1, 1]`).
    Same(String),
    /// As they are, whatever the axes: where theirs have axes of length one, or one axis where ours have two.
    Reshaped(String),
    /// Their last two axes exchanged; ours may be one.
    Planes(String),
    /// A matrix `[in, out]` that is ours as `[out, in]`.
    Transposed(String),
    /// Rows (the first dimension) in another order.
    Rows(String, Vec<usize>),
    /// Filters `[in, out, k, k]` of a transposed convolution that are ours as `[out, in, k, k]`, turned by 180 degrees.
    Turned(String),
    /// One after another along the first dimension.
    Stacked(Vec<Source>),
}

impl Source {
    pub(crate) fn same(name: impl Into<String>) -> Option<Self> {
        Some(Self::Same(name.into()))
    }

    /// The names in the file.
    fn names(&self) -> Vec<&str> {
        match self {
            Self::Same(name)
            | Self::Reshaped(name)
            | Self::Planes(name)
            | Self::Transposed(name)
            | Self::Turned(name)
            | Self::Rows(name, _) => {
                vec![name]
            }
            Self::Stacked(parts) => parts.iter().flat_map(Self::names).collect(),
        }
    }

    /// The shape that the tensor of the file must have for ours to be `shape`; of parts, each one's.
    pub(crate) fn expected(&self, shape: &[usize]) -> Vec<(&str, Vec<usize>)> {
        match self {
            Self::Same(name) | Self::Rows(name, _) => vec![(name, shape.to_vec())],
            Self::Reshaped(name) | Self::Planes(name) => vec![(name, vec![shape.iter().product()])],
            Self::Transposed(name) => vec![(name, shape.iter().take(2).rev().copied().collect())],
            Self::Turned(name) => {
                let mut swapped = shape.to_vec();
                swapped.swap(0, 1);
                vec![(name, swapped)]
            }
            Self::Stacked(parts) => {
                let mut part = shape.to_vec();
                part[0] /= parts.len().max(1);
                parts.iter().flat_map(|p| p.expected(&part)).collect()
            }
        }
    }

    /// The numbers in our order; the shapes were checked.
    pub(crate) fn numbers(&self, arrays: &Arrays) -> Result<Vec<f32>, Fault> {
        let read = |name: &str| -> Result<Vec<f32>, Fault> {
            let array = arrays.get(name).ok_or_else(|| Fault::new(format!("`{name}` is missing"), "the tensor"))?;
            let values = array.f32()?;
            match values.iter().position(|v| !v.is_finite()) {
                Some(at) => {
                    Err(Fault::new(format!("`{name}` is {} at entry {at}", values[at]), "finite numbers: a broken checkpoint"))
                }
                None => Ok(values),
            }
        };
        match self {
            Self::Same(name) | Self::Reshaped(name) => read(name),
            Self::Planes(name) => {
                let (values, shape) = (read(name)?, arrays[name].shape());
                let &[.., rows, columns] = shape else {
                    return Err(Fault::new(format!("`{name}` has shape {shape:?}"), "planes"));
                };
                let plane = |p: &[f32]| -> Vec<f32> {
                    (0..columns).flat_map(|c| (0..rows).map(move |r| r * columns + c)).map(|at| p[at]).collect()
                };
                Ok(values.chunks_exact((rows * columns).max(1)).flat_map(plane).collect())
            }
            Self::Transposed(name) => {
                let values = read(name)?;
                let columns = *arrays[name].shape().get(1).unwrap_or(&1);
                let rows = values.len() / columns.max(1);
                Ok((0..columns).flat_map(|j| (0..rows).map(move |i| (i, j))).map(|(i, j)| values[i * columns + j]).collect())
            }
            Self::Turned(name) => {
                let (values, shape) = (read(name)?, arrays[name].shape());
                let &[inputs, outputs, height, width] = shape else {
                    return Err(Fault::new(format!("`{name}` has shape {shape:?}"), "filters [in, out, height, width]"));
                };
                let area = height * width;
                let filter = |(o, i): (usize, usize)| values[(i * outputs + o) * area..][..area].iter().rev().copied();
                Ok((0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i))).flat_map(filter).collect())
            }
            Self::Rows(name, order) => {
                let values = read(name)?;
                let width = values.len() / order.len().max(1);
                Ok(order.iter().flat_map(|&r| values[r * width..(r + 1) * width].iter().copied()).collect())
            }
            Self::Stacked(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.extend(part.numbers(arrays)?);
                }
                Ok(all)
            }
        }
    }
}

/// From the name and shape of one of our parameters to its source; none for a name that the layout has no place for.
pub(crate) type Names = Box<dyn Fn(&str, &[usize]) -> Option<Source> + Send + Sync>;

/// A checkpoint as a layout understands it.
pub(crate) struct Plan {
    pub(crate) meta: ModelMeta,
    pub(crate) names: Names,
    /// Averaged weights.
    pub(crate) ema: Option<Arrays>,
    /// The optimiser's own.
    pub(crate) raw: Option<Arrays>,
    /// Whether a tensor of the file is no parameter of the network (tables, counters).
    pub(crate) beside: fn(&str) -> bool,
    /// What a person should know.
    pub(crate) notes: Vec<String>,
}

/// Without ones at the end.
fn trimmed(shape: &[usize]) -> &[usize] {
    let used = shape.iter().rposition(|&n| n != 1).map_or(0, |i| i + 1);
    &shape[..used]
}

impl Plan {
    /// The tensors of a set of weights; the averaged ones stand for both where there are no others.
    pub(crate) fn set(&self, path: &Path, which: Weights) -> Result<&Arrays, ImportError> {
        let has = if self.ema.is_some() { "averaged" } else { "raw" };
        match which {
            Weights::Ema => self.ema.as_ref().or(self.raw.as_ref()),
            Weights::Raw => self.raw.as_ref(),
        }
        .ok_or(ImportError::NoSet { path: path.to_owned(), has })
    }

    /// One source a parameter, checked against a set of tensors.
    pub(crate) fn resolve(
        &self,
        path: &Path,
        layout: Layout,
        specs: &[ParamSpec],
        arrays: &Arrays,
    ) -> Result<Vec<Source>, ImportError> {
        let (mut missing, mut wrong, mut used, mut sources) = (Vec::new(), Vec::new(), BTreeSet::new(), Vec::new());
        for spec in specs {
            let Some(source) = (self.names)(&spec.name, &spec.shape) else {
                missing.push(format!("(a place for {})", spec.name));
                continue;
            };
            for (name, shape) in source.expected(&spec.shape) {
                let fits = |a: &Array| match source {
                    Source::Reshaped(_) => a.len() == shape[0],
                    Source::Planes(_) => a.len() == shape[0] && a.shape().len() > 1,
                    _ => trimmed(a.shape()) == trimmed(&shape),
                };
                match arrays.get(name) {
                    None => missing.push(name.to_owned()),
                    Some(a) if !fits(a) => {
                        wrong.push(format!("{name} {:?}, expected {:?}", a.shape(), trimmed(&shape)));
                    }
                    Some(_) => {}
                }
            }
            used.extend(source.names().into_iter().map(str::to_owned));
            sources.push(source);
        }
        let unexpected: Vec<String> = arrays.keys().filter(|k| !used.contains(*k) && !(self.beside)(k)).cloned().collect();
        if missing.is_empty() && wrong.is_empty() && unexpected.is_empty() {
            return Ok(sources);
        }
        Err(ImportError::Keys { path: path.to_owned(), layout, missing, unexpected, wrong })
    }

    /// All numbers of a set, parameter after parameter.
    pub(crate) fn numbers(sources: &[Source], arrays: &Arrays) -> Result<Vec<Vec<f32>>, Fault> {
        sources.iter().map(|s| s.numbers(arrays)).collect()
    }
}
