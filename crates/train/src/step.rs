//! One step of a training run: denoising score matching on one batch, and what the optimiser makes of its gradient.

use crate::average::{Rates, accumulate, global_norm};
use crate::{TrainConfig, Trainer};
use scorefield_data::{Batches, HostBatch};
use scorefield_nn::{Input, Mode, Params};
use scorefield_process::ProcessExt;
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Coefficient, Column, Noise, Purpose, Streams, batch, rows};

/// What came of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The weights moved.
    Taken {
        /// Weighted loss.
        loss: f64,
        /// The same for a predictor that knows only mean and spread of the data.
        trivial: f64,
        /// Learning rate.
        lr: f64,
        /// Global norm of the gradient before clipping.
        grad_norm: f64,
    },
    /// Loss or gradient was not finite: nothing moved but the position.
    Skipped {
        /// Weighted loss.
        loss: f64,
        /// Global norm of the gradient.
        grad_norm: f64,
    },
}

impl<'a> Trainer<'a> {
    /// One step of the optimiser, or none if its loss is not finite: the bare step, without saving or reporting, which
    /// [`Trainer::run`] repeats and benches time.
    pub fn advance(&mut self) -> Step {
        let (accumulate_over, step) = (self.config.accumulate as u64, self.position.step);
        let (mut grads, mut loss, mut trivial) = (Vec::new(), 0.0, 0.0);
        for part in 0..accumulate_over {
            let examples = self.batches().at(step * accumulate_over + part);
            let (l, t) = self.gradient(&examples, &mut grads);
            loss += l / accumulate_over as f64;
            trivial += t / accumulate_over as f64;
        }
        self.position.step += 1;
        self.position.examples += accumulate_over * self.config.batch as u64;
        if accumulate_over > 1 {
            let share = 1.0 / accumulate_over as f32;
            grads.iter_mut().flatten().for_each(|g| g.iter_mut().for_each(|v| *v *= share));
        }
        let grad_norm = global_norm(&grads);
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Step::Skipped { loss, grad_norm };
        }
        self.position.updates += 1;
        let (total, updates) = (self.position.total, self.position.updates);
        let lr = self.config.optim.rate(step, total);
        let decays = [0, 1].map(|which| self.config.ema.decay(which, updates, total));
        self.state.step(&mut self.params, &grads, grad_norm, &self.config.optim, Rates { lr, decays, step: updates });
        Step::Taken { loss, trivial, lr, grad_norm }
    }

    fn batches(&self) -> Batches<'a> {
        let examples = &self.config.examples;
        Batches::new(self.dataset, &self.codec, self.config.seed, self.config.batch)
            .flip(examples.flip)
            .augment(examples.augment.clone())
    }

    /// Adds the gradient of one batch and returns its loss and that of the trivial predictor.
    fn gradient(&self, examples: &HostBatch, grads: &mut Vec<Option<Vec<f32>>>) -> (f64, f64) {
        if let Some(how) = &self.config.consistency {
            return self.consistency_gradient(how, examples, grads);
        }
        let question = self.question(examples);
        let leaves = self.params.tracked(self.network.params(), &self.device);
        let mode = Mode::Train { noise: Streams::new(self.config.seed, examples.samples.clone(), Purpose::Dropout) };
        let output = self.network.forward(&leaves, question.input.autodiff(), &question.told, &mode);
        let error = question.root.scale(output - question.target.autodiff());
        let loss = (error.clone() * error).mean();
        let value = f64::from(rows(loss.clone().inner())[0]);
        let mut gradients = loss.backward();
        accumulate(grads, leaves.grads(&mut gradients), self.network.params());
        (value, question.trivial)
    }

    /// Whether the network, with other weights, gives numbers whose squares are numbers on the batch that comes next. Nothing is
    /// learned from it; the weights of the loss do not count, which are infinite for a rare time without the network's fault.
    pub(super) fn sound(&self, params: &Params) -> bool {
        let examples = self.batches().at(self.position.step * self.config.accumulate as u64);
        let question = self.question(&examples);
        let output = self.network.forward(params, question.input, &question.told, &Mode::Eval);
        rows((output.clone() * output).mean())[0].is_finite()
    }

    /// What the network is asked on a batch, and what it should say: the loss is the mean of `(root (F - target))^2`, that is
    /// `w c_out^2 |F - F*|^2 / d`.
    fn question(&self, examples: &HostBatch) -> Question {
        let TrainConfig { seed, prediction, objective, .. } = &self.config;
        let n = examples.samples.len();
        let times = objective.draw_times(&*self.process, *seed, &examples.samples);
        let marginal = self.process.at_each(&times);
        let coeffs = prediction.coeffs(&marginal);

        // x_t = alpha x_0 + sigma eps, and what the network should say of it
        let x0 = batch(examples.x.clone(), n, &self.device);
        let eps = Streams::new(*seed, examples.samples.clone(), Purpose::Perturb).normal(&x0);
        let x_t = marginal.perturb(&x0, &eps);
        let target = coeffs.target(&x_t, &x0);
        let told = Input {
            time: times.iter().map(|&t| self.config.time_input.at(&*self.process, t)).collect(),
            classes: self.classes(examples),
            augment: examples.augment.clone(),
        };
        let root = objective.weights(&*self.process, prediction, &times).sqrt();
        let trivial = times.iter().map(|&t| objective.trivial_loss(&*self.process, prediction, t, self.sigma_data)).sum::<f64>();
        Question { input: coeffs.c_in.scale(x_t), target, told, root, trivial: trivial / n as f64 }
    }

    /// The labels the network is told: some are hidden so that it learns the unconditional law too.
    pub(crate) fn classes(&self, examples: &HostBatch) -> Option<Vec<Option<u32>>> {
        (self.network.classes() > 0).then(|| {
            let hide = |sample: u64| {
                Stream::new(self.config.seed, sample, Purpose::LabelDrop, 0, 0).uniform(0) < self.config.label_dropout
            };
            examples.labels.iter().zip(&examples.samples).map(|(label, &sample)| label.filter(|_| !hide(sample))).collect()
        })
    }
}

/// A batch as the network sees it.
struct Question {
    input: Batch,
    target: Batch,
    told: Input,
    root: Column,
    trivial: f64,
}
