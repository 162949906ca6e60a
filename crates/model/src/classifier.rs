//! A classifier of noised data: `p(c | x_t)` at every noise level.

use crate::denoiser::Told;
use crate::{Model, ModelError, ModelMeta, Weights};
use scorefield_nn::Precision;
use scorefield_process::{Process, ProcessExt};
use scorefield_tensor::{Batch, Coefficient, Device, Tensor, TensorData, rows};
use std::path::Path;

/// A trained classifier of noised data; its file is that of a model with another network and a word that it is one.
#[derive(Debug)]
pub struct Classifier(Model);

impl Classifier {
    /// Reads a classifier's file, or that of a run folder.
    ///
    /// # Errors
    /// As [`Model::load`], and when it is a model of data.
    pub fn load(path: impl AsRef<Path>, which: Weights, device: &Device) -> Result<Self, ModelError> {
        Model::load_classifier(path.as_ref(), which, device).map(Self)
    }

    /// The classifier in a model's description and weights.
    ///
    /// # Panics
    /// When the description is not that of a classifier.
    #[track_caller]
    pub fn new(model: Model) -> Self {
        assert!(model.meta().classifier.is_some(), "a model of data is no classifier");
        Self(model)
    }

    /// The same classifier, its products made of other numbers.
    #[must_use]
    pub fn in_precision(self, precision: Precision) -> Self {
        Self(self.0.in_precision(precision))
    }

    /// What its products are made of.
    pub fn precision(&self) -> Precision {
        self.0.precision()
    }

    /// The description.
    pub fn meta(&self) -> &ModelMeta {
        self.0.meta()
    }

    /// The process whose noise it knows.
    pub fn process(&self) -> &dyn Process {
        self.0.process()
    }

    /// How many classes it tells apart.
    pub fn classes(&self) -> usize {
        self.0.network().output_shape()[0]
    }

    /// `ln p(c | x_t)` of rows `[n, d]` at one time each, `[n, classes]`.
    ///
    /// # Panics
    /// Unless there is one time a row.
    #[track_caller]
    pub fn log_probabilities(&self, x: &Batch, times: &[f64]) -> Batch {
        let c_in = self.meta().coeffs(&self.process().at_each(times)).c_in;
        log_softmax(self.0.output_each(c_in.scale(x.clone()), times, None))
    }

    /// `ln p(c_i | x_t = x_i)` for a class of every row, `[n]`, and its gradient with respect to `x_t`, `[n, d]`: one pass forward and one
    /// back in which the input alone is tracked.
    ///
    /// # Panics
    /// Unless there is one time and one class a row.
    #[track_caller]
    pub fn gradient(&self, x: &Batch, times: &[f64], classes: &[u32]) -> (Vec<f64>, Batch) {
        let c_in = self.meta().coeffs(&self.process().at_each(times)).c_in;
        let weights = self.0.weights().constants(&x.device());
        let input = c_in.scale(x.clone()).inner().autodiff().require_grad();
        let chosen = of_classes(log_softmax(self.0.forward(&weights, input.clone(), times, &Told::default())), classes);
        let values = rows(chosen.clone().inner()).into_iter().map(f64::from).collect();
        // Rows do not see each other: the gradient of the sum is that of each row.
        let gradients = chosen.sum().backward();
        let back = input.grad(&gradients).expect("the output depends on the input");
        (values, c_in.scale(back))
    }
}

/// `x - ln sum exp x` along a row.
pub fn log_softmax(x: Batch) -> Batch {
    let x = x.clone() - x.detach().max_dim(1);
    x.clone() - x.exp().sum_dim(1).log()
}

/// One entry of each row, `[n, k]` to `[n, 1]`.
///
/// # Panics
/// Unless there is one class a row, and the row has it.
#[track_caller]
pub fn of_classes(x: Batch, classes: &[u32]) -> Batch {
    let [n, k] = x.dims();
    assert_eq!(classes.len(), n, "{} classes for {n} rows", classes.len());
    let mut one_hot = vec![0.0f32; n * k];
    for (row, &class) in one_hot.chunks_mut(k).zip(classes) {
        assert!((class as usize) < k, "class {class} of {k}");
        row[class as usize] = 1.0;
    }
    let mask = Tensor::<2>::from_data(TensorData::new(one_hot, [n, k]), (&x.device(), x.dtype()));
    (x * mask).sum_dim(1)
}
