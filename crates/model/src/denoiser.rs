//! The adapter between rows and networks: `D(x; t) = c_skip x + c_out F(c_in x, c_noise)`.

use crate::Model;
use scorefield_nn::{Input, Mode};
use scorefield_process::{Denoiser, Process, ProcessExt};
use scorefield_tensor::{Batch, Coefficient};

/// A model as a denoiser for one batch: unconditional, or with a class for each row.
#[derive(Debug)]
pub struct ModelDenoiser<'a> {
    model: &'a Model,
    classes: Option<Vec<Option<u32>>>,
}

impl<'a> ModelDenoiser<'a> {
    pub(crate) fn new(model: &'a Model, classes: Option<Vec<Option<u32>>>) -> Self {
        Self { model, classes }
    }
}

impl Denoiser for ModelDenoiser<'_> {
    fn process(&self) -> &dyn Process {
        self.model.process()
    }

    #[track_caller]
    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        let coeffs = self.model.meta().prediction.coeffs(&self.model.process().at(t));
        coeffs.assemble(x, &self.model.output(coeffs.c_in.scale(x.clone()), t, self.classes.as_deref()))
    }

    #[track_caller]
    fn denoise_each(&self, x: &Batch, times: &[f64]) -> Batch {
        let coeffs = self.model.meta().prediction.coeffs(&self.model.process().at_each(times));
        coeffs.assemble(x, &self.model.output_each(coeffs.c_in.scale(x.clone()), times, self.classes.as_deref()))
    }
}

impl Model {
    /// The network's own output `F(input, c_noise(t))` in evaluation mode; `input` is already scaled by `c_in`.
    ///
    /// # Panics
    /// When classes are given for another number of rows.
    #[track_caller]
    pub fn output(&self, input: Batch, t: f64, classes: Option<&[Option<u32>]>) -> Batch {
        let n = input.dims()[0];
        self.output_each(input, &vec![t; n], classes)
    }

    /// [`Model::output`] with a time of its own for every row.
    ///
    /// # Panics
    /// When times or classes are given for another number of rows.
    #[track_caller]
    pub fn output_each(&self, input: Batch, times: &[f64], classes: Option<&[Option<u32>]>) -> Batch {
        let n = input.dims()[0];
        assert_eq!(times.len(), n, "{} times for {n} rows", times.len());
        if let Some(classes) = classes {
            assert_eq!(classes.len(), n, "{} classes for {n} rows", classes.len());
        }
        let time = times.iter().map(|&t| self.meta().time_input.at(self.process(), t)).collect();
        let input_of = Input { time, classes: classes.map(<[_]>::to_vec), augment: None };
        self.network().forward(self.weights(), input, &input_of, &Mode::Eval)
    }
}
