//! Natural units and the model's: what measures bytes, on states.

use super::SolveError;
use scorefield_control::operator::{Affine, Composed, Operator, Scaled, Shape as Plane};
use scorefield_control::{Measurement, Parts, Seen, Tasks, Tiled};
use scorefield_data::{Codec, Shape};
use scorefield_model::Model;
use std::sync::Arc;

/// A measurement of natural values (bytes, the units of a table), and the same on the model's states.
///
/// With `natural = shift + scale x` and `s` the mean scale, a linear `A` is measured as `(y - A shift) / s = A (scale / s) x` with noise of
/// deviation `sigma / s`, another as `y / s = A(shift + scale x) / s`. Without noise the rows of a linear `A` are brought to length one where
/// channels have different scales, so that a column of small numbers counts as much as one of large numbers.
#[derive(Clone, Debug)]
pub struct Problem {
    natural: Arc<dyn Operator>,
    states: Arc<dyn Operator>,
    seen: Seen,
    /// `A shift` where `A` is linear, else zero.
    offset: Vec<f64>,
    /// `s`.
    unit: f64,
    shift: Vec<f64>,
    scale: Vec<f64>,
    bounds: Option<(f64, f64)>,
    whole: Option<[usize; 2]>,
    name: &'static str,
    /// Of a part of a picture the places that are known, and whether nothing else was done to it.
    kept: Option<(Vec<usize>, bool)>,
    /// What measures exactly where channels have different scales: rows of length one, and what they were divided by.
    exact: Option<(Arc<dyn Operator>, Vec<f64>)>,
}

/// One measurement, in the model's units.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Its number: its samples' noise belongs to it.
    pub number: u64,
    /// What was measured; of [`Problem::edit`] the state to start from.
    pub y: Vec<f64>,
    /// The deviation of its noise.
    pub sigma: f64,
}

impl Problem {
    /// Tasks on the states of a codec, or on pictures of another height and width that are tiled.
    ///
    /// # Errors
    /// When the states cannot be so measured.
    pub fn new(codec: &Codec, whole: Option<[usize; 2]>, tasks: &Tasks, parts: &Parts) -> Result<Self, SolveError> {
        let shape = plane(codec, whole)?;
        let parts = &Parts { bounds: codec.bounds(), ..parts.clone() };
        let (natural, seen) = tasks.operator(shape, parts)?;
        let mut problem = Self::with(codec, whole, natural, seen)?;
        if let (Seen::Part(_), Some(mask)) = (seen, &parts.mask) {
            let places: Vec<usize> = (0..mask.len()).filter(|i| mask[*i]).collect();
            let alone = tasks.each().count() == 1;
            if let (true, Some((exact, lengths))) = (alone, &mut problem.exact) {
                // Rows of a mask are of length one by themselves.
                *lengths = places.iter().map(|i| problem.scale[*i]).collect();
                *exact = problem.natural.clone();
            }
            problem.kept = Some((places, alone));
        }
        Ok(problem)
    }

    /// Nothing is measured: runs start from a state that is given, under noise (Meng et al. 2022, SDEdit).
    ///
    /// # Errors
    /// When the size is none.
    pub fn edit(codec: &Codec, whole: Option<[usize; 2]>) -> Result<Self, SolveError> {
        let shape = plane(codec, whole)?;
        let same = scorefield_control::operator::Identity::new(shape.entries());
        Self::with(codec, whole, Box::new(same), Seen::Picture(shape))
    }

    fn with(codec: &Codec, whole: Option<[usize; 2]>, natural: Box<dyn Operator>, seen: Seen) -> Result<Self, SolveError> {
        let (natural, d): (Arc<dyn Operator>, _) = (natural.into(), natural_len(codec, whole));
        let per = d / codec.shape().channels();
        let shift: Vec<f64> = (0..d).map(|i| codec.shift(i / per)).collect();
        let scale: Vec<f64> = (0..d).map(|i| codec.scale(i / per)).collect();
        let unit = scale.iter().sum::<f64>() / d as f64;
        let mut offset = vec![0.0; natural.outputs()];
        let name = natural.name();
        let mut exact = None;
        let states: Arc<dyn Operator> = if natural.is_linear() {
            natural.apply(&shift, &mut offset);
            if scale.iter().all(|s| *s == scale[0]) {
                natural.clone()
            } else {
                let units = |by: f64| Affine::new(vec![0.0; d], scale.iter().map(|s| s / by).collect());
                let lengths = lengths(&*natural, &scale);
                let rows = Affine::new(vec![0.0; lengths.len()], lengths.iter().map(|l| 1.0 / l).collect())?;
                let inner = Composed::new(Box::new(natural.clone()), Box::new(units(1.0)?))?;
                exact = Some((Arc::new(Composed::new(Box::new(rows), Box::new(inner))?) as Arc<dyn Operator>, lengths));
                Arc::new(Composed::new(Box::new(natural.clone()), Box::new(units(unit)?))?)
            }
        } else {
            let units = Affine::new(shift.clone(), scale.clone())?;
            let composed = Composed::new(Box::new(natural.clone()), Box::new(units))?;
            Arc::new(Scaled::new(1.0 / unit, Box::new(composed))?)
        };
        let bounds = codec.bounds();
        Ok(Self { natural, states, seen, offset, unit, shift, scale, bounds, whole, name, kept: None, exact })
    }

    /// The operator's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What a measurement looks like.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// Numbers of a measurement.
    pub fn outputs(&self) -> usize {
        self.natural.outputs()
    }

    /// Entries of a state.
    pub fn inputs(&self) -> usize {
        self.natural.inputs()
    }

    /// Height and width of the whole, where it is tiled.
    pub fn whole(&self) -> Option<[usize; 2]> {
        self.whole
    }

    /// Of a part of a picture the places in it that are known.
    pub fn kept(&self) -> Option<&[usize]> {
        self.kept.as_ref().map(|(places, _)| &places[..])
    }

    /// The entries of a state that an exact measurement fixes: those that a mask alone keeps.
    pub fn fixed(&self) -> Option<&[usize]> {
        self.kept.as_ref().filter(|(_, alone)| *alone).map(|(places, _)| &places[..])
    }

    /// The operator on the model's states, under noise of a deviation.
    pub fn operator(&self, sigma: f64) -> &dyn Operator {
        &**self.operator_for(sigma)
    }

    fn operator_for(&self, sigma: f64) -> &Arc<dyn Operator> {
        match &self.exact {
            Some((exact, _)) if sigma == 0.0 => exact,
            _ => &self.states,
        }
    }

    /// How many windows of the model cover a state.
    ///
    /// # Errors
    /// When they do not fit.
    pub(super) fn windows(&self, model: &Model, overlap: usize) -> Result<usize, SolveError> {
        let (Some(whole), Shape::Image { channels, height, width }) = (self.whole, model.meta().codec.shape()) else {
            return Ok(1);
        };
        Ok(Tiled::new((), channels, [height, width], whole, overlap)?.windows())
    }

    /// `A(x)` of natural values, in natural units, without noise.
    pub fn measure(&self, natural: &[f32]) -> Vec<f64> {
        let x: Vec<f64> = natural.iter().map(|v| f64::from(*v)).collect();
        let mut y = vec![0.0; self.outputs()];
        self.natural.apply(&x, &mut y);
        y
    }

    /// The natural values of a state, without rounding, within their bounds.
    pub fn natural(&self, state: &[f32]) -> Vec<f32> {
        let of = |((x, shift), scale): ((&f32, &f64), &f64)| {
            let v = shift + scale * f64::from(*x);
            self.bounds.map_or(v, |(low, high)| v.clamp(low, high)) as f32
        };
        state.iter().zip(&self.shift).zip(&self.scale).map(of).collect()
    }

    /// A state of natural values.
    pub fn state(&self, natural: &[f32]) -> Vec<f64> {
        natural.iter().zip(&self.shift).zip(&self.scale).map(|((v, shift), scale)| (f64::from(*v) - shift) / scale).collect()
    }

    /// A measurement in natural units, its noise too, as a question.
    ///
    /// # Errors
    /// When there are not as many numbers as the operator gives, one is not finite, or the deviation is negative.
    pub fn question(&self, number: u64, y: &[f64], sigma: f64) -> Result<Question, SolveError> {
        let whole = Measurement::new(self.natural.clone(), y.to_vec(), sigma)?;
        let lengths = self.exact.as_ref().filter(|_| sigma == 0.0).map(|(_, lengths)| lengths);
        let unit = |i: usize| lengths.map_or(self.unit, |l| l[i]);
        let y = whole.y().iter().zip(&self.offset).enumerate().map(|(i, (y, offset))| (y - offset) / unit(i)).collect();
        Ok(Question { number, y, sigma: sigma / self.unit })
    }

    /// Refuses measured pictures with values that no picture gives: beyond the bounds by more than noise of the deviation, the largest of
    /// an entry, explains. For operators whose rows add up to one.
    ///
    /// # Errors
    /// Naming the first such number.
    pub fn within(&self, name: &str, y: &[f64], sigma: f64) -> Result<(), SolveError> {
        let (Some((low, high)), Seen::Picture(_) | Seen::Part(_)) = (self.bounds, self.seen) else { return Ok(()) };
        // Filters that sharpen (bicubic) overshoot, noise does too.
        let room = 6.0 * sigma + 0.25 * (high - low);
        match y.iter().position(|v| !(low - room..=high + room).contains(v)) {
            None => Ok(()),
            Some(place) => {
                let (question, found) = (name.to_owned(), y[place]);
                Err(SolveError::Outside { question, place, found, low, high })
            }
        }
    }

    /// Questions of one noise as the measurement of a batch.
    pub(super) fn measurement(&self, asked: &[&Question]) -> Result<Measurement, SolveError> {
        let y = asked.iter().flat_map(|q| q.y.iter().copied()).collect();
        Ok(Measurement::new(self.operator_for(asked[0].sigma).clone(), y, asked[0].sigma)?)
    }
}

/// The lengths of the rows of `A diag(scale)`; 1 for rows of zeros.
fn lengths(a: &dyn Operator, scale: &[f64]) -> Vec<f64> {
    let mut row = vec![0.0; a.inputs()];
    let mut unit = vec![0.0; a.outputs()];
    (0..a.outputs())
        .map(|i| {
            unit[i] = 1.0;
            a.adjoint(&unit, &mut row);
            unit[i] = 0.0;
            let length = row.iter().zip(scale).map(|(v, s)| (v * s).powi(2)).sum::<f64>().sqrt();
            if length > 0.0 { length } else { 1.0 }
        })
        .collect()
}

/// The shape that is measured.
fn plane(codec: &Codec, whole: Option<[usize; 2]>) -> Result<Plane, SolveError> {
    let shape = match (codec.shape(), whole) {
        (Shape::Image { channels, .. }, Some([height, width])) => Plane::new(channels, height, width),
        (Shape::Image { channels, height, width }, None) => Plane::new(channels, height, width),
        (Shape::Vector { dim }, _) => Plane::new(1, 1, dim),
    };
    Ok(shape?)
}

fn natural_len(codec: &Codec, whole: Option<[usize; 2]>) -> usize {
    match (codec.shape(), whole) {
        (Shape::Image { channels, .. }, Some([height, width])) => channels * height * width,
        (shape, _) => shape.len(),
    }
}
