//! One step of a training run: the loss of one batch, and what the optimiser makes of its gradient.

use crate::average::{Rates, accumulate, global_norm};
use crate::classifier::cross_entropy;
use crate::memory::Memory;
use crate::objective::trivial_error;
use crate::score_matching::{Field, Probes};
use crate::vlb::Bound;
use crate::{Coupling, Drawn, Loss, TrainConfig, Trainer};
use scorefield_data::{Batches, HostBatch};
use scorefield_nn::{Input, Mode, Params, Precision};
use scorefield_process::{Coeffs, Marginal, ProcessExt};
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
        let (mut gathered, mut loss, mut trivial) = (Gathered::default(), 0.0, 0.0);
        for part in 0..accumulate_over {
            let examples = self.batches().at(step * accumulate_over + part);
            let (l, t) = self.gradient(&examples, &mut gathered);
            loss += l / accumulate_over as f64;
            trivial += t / accumulate_over as f64;
        }
        self.position.step += 1;
        self.position.examples += accumulate_over * self.config.batch as u64;
        let Gathered { mut grads, mut head, seen, rates } = gathered;
        if accumulate_over > 1 {
            let share = 1.0 / accumulate_over as f32;
            grads.iter_mut().flatten().for_each(|g| g.iter_mut().for_each(|v| *v *= share));
            head.iter_mut().for_each(|v| *v *= share);
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
        self.memory.learn(&seen, &head, &self.config.optim, lr, updates);
        self.learn_rates(&rates, lr, updates);
        Step::Taken { loss, trivial, lr, grad_norm }
    }

    /// The weights as leaves of a new derivative graph.
    pub(crate) fn leaves(&self) -> Params {
        let leaves = self.params.tracked(self.network.params(), &self.device);
        match self.config.precision {
            Precision::Single => leaves,
            // The weights stay as they are for this step: they are rounded once for it.
            precision @ Precision::Bf16 => leaves.kept(precision),
        }
    }

    fn batches(&self) -> Batches<'a> {
        let examples = &self.config.examples;
        Batches::new(self.dataset, &self.codec, self.config.seed, self.config.batch)
            .flip(examples.flip)
            .augment(examples.augment.clone())
            .condition(self.condition.clone())
    }

    /// Adds the gradient of one batch and returns its loss and that of the trivial predictor.
    fn gradient(&self, examples: &HostBatch, gathered: &mut Gathered) -> (f64, f64) {
        if let Some(how) = &self.config.consistency {
            return self.consistency_gradient(how, examples, &mut gathered.grads);
        }
        if let Some((how, states)) = self.config.states.as_ref().zip(self.states.as_ref()) {
            return self.states_gradient(how, states, examples, &mut gathered.grads);
        }
        if let Some(rates) = &self.memory.rates {
            return self.rates_gradient(rates, examples, gathered);
        }
        let question = self.question(examples);
        let leaves = self.leaves();
        let mode = Mode::Train { noise: Streams::new(self.config.seed, examples.samples.clone(), Purpose::Dropout) };
        let each = self.losses(&question, &leaves, &mode, &examples.samples);
        let value = f64::from(rows(question.drawn.importance.scale(each.clone()).mean().inner())[0]);
        let factor = self.remember(&question, &each, gathered);
        let mut gradients = factor.scale(each).mean().backward();
        accumulate(&mut gathered.grads, leaves.grads(&mut gradients), self.network.params());
        (value, question.trivial)
    }

    /// The loss of every row, `[n, 1]`.
    fn losses(&self, q: &Question, leaves: &Params, mode: &Mode, samples: &[u64]) -> Batch {
        let x0 = q.x0.clone().autodiff();
        let input = q.coeffs.c_in.scale(q.x_t.clone()).autodiff();
        let d = x0.dims()[1];
        let error = |output: Batch| {
            let error = q.on_output.sqrt().scale(output - q.coeffs.target(&q.x_t, &q.x0).autodiff());
            (error.clone() * error).mean_dim(1)
        };
        let forward = || self.network.forward(leaves, input.clone(), &q.told, mode);
        if let Some(labels) = &q.labels {
            return cross_entropy(forward(), labels);
        }
        let clean = |output: &Batch| q.coeffs.assemble(&q.x_t.clone().autodiff(), output);
        let learned = |output: Batch| self.config.objective.variance.of(output);
        match (&self.config.objective.loss, &q.bound) {
            (Loss::Hybrid { lambda, .. }, Some(bound)) => {
                let output = forward();
                let (mean, variance) = (output.clone().narrow(1, 0, d), output.narrow(1, d, d));
                // The bound trains the variance alone.
                error(mean.clone()) + bound.rows(&x0, clean(&mean.detach()), &learned(variance)) * *lambda
            }
            (_, Some(bound)) => {
                let output = forward();
                bound.rows(&x0, clean(&output.clone().narrow(1, 0, d)), &learned(output.narrow(1, d, d)))
            }
            (loss @ (Loss::Sliced { .. } | Loss::ExactTrace), None) => {
                let probes = Probes::of(loss, d, self.config.seed, samples, &self.device);
                let directions: Vec<Batch> = probes.directions.iter().map(|v| v.clone().autodiff()).collect();
                let (output, products) = self.network.jvp(leaves, input, &directions, &q.told, mode);
                let field = Field::new(&q.marginal, &q.coeffs, &q.on_output);
                field.rows(&q.x_t.clone().autodiff(), output, &probes, products)
            }
            (Loss::Denoising | Loss::Hybrid { .. } | Loss::Vlb { .. }, None) => error(forward()),
        }
    }

    /// Keeps what the objective's memory learns from the losses of a batch, and returns the factor of each in the gradient.
    fn remember(&self, q: &Question, each: &Batch, gathered: &mut Gathered) -> Column {
        let importance = q.drawn.importance.clone();
        let Memory { history, head, .. } = &self.memory;
        if history.is_none() && head.is_none() {
            return importance;
        }
        let losses: Vec<f64> = rows(each.clone().inner()).into_iter().map(f64::from).collect();
        if history.is_some() {
            gathered.seen.extend(q.drawn.places.iter().copied().zip(losses.iter().copied()));
        }
        let Some(head) = head else { return importance };
        let levels: Vec<f64> = q.marginal.ratio().ln().0.into_iter().map(|l| l / 4.0).collect();
        for ((&c, &loss), weight) in levels.iter().zip(&losses).zip(&importance.0) {
            head.gradient(c, loss, weight / losses.len() as f64, &mut gathered.head);
        }
        importance * Column(levels.iter().map(|&c| (-head.at(c)).exp()).collect())
    }

    /// Whether the network, with other weights, gives numbers whose squares are numbers on the batch that comes next. Nothing is
    /// learned from it; the weights of the loss do not count, which are infinite for a rare time without the network's fault.
    pub(super) fn sound(&self, params: &Params) -> bool {
        let examples = self.batches().at(self.position.step * self.config.accumulate as u64);
        if let Some((how, states)) = self.config.states.as_ref().zip(self.states.as_ref()) {
            return self.states_sound(how, states, &examples, params);
        }
        let question = self.question(&examples);
        let input = question.coeffs.c_in.scale(question.x_t);
        let output = self.network.forward(params, input, &question.told, &Mode::Eval);
        rows((output.clone() * output).mean())[0].is_finite()
    }

    /// What the network is asked on a batch, and what is needed to judge its answer.
    fn question(&self, examples: &HostBatch) -> Question {
        let TrainConfig { seed, prediction, objective, .. } = &self.config;
        let (n, process) = (examples.samples.len(), &*self.process);
        let drawn = objective.draw(process, *seed, &examples.samples, self.memory.history.as_ref());
        let times = &drawn.times;
        let marginal = process.at_each(times);
        let coeffs = prediction.coeffs(&marginal);

        // x_t = alpha x_0 + sigma eps
        let x0 = batch(examples.x.clone(), n, &self.device);
        let eps = Streams::new(*seed, examples.samples.clone(), Purpose::Perturb).normal(&x0);
        let eps = self.couple(&x0, eps, &examples.samples);
        let x_t = marginal.perturb(&x0, &eps);
        let told = Input {
            time: times.iter().map(|&t| self.config.time_input.at(process, t)).collect(),
            classes: self.classes(examples),
            // What a classifier is not told of an augmentation it learns to look past.
            augment: examples.augment.clone().filter(|_| self.classifier.is_none()),
            condition: self.conditions_told(examples),
        };
        let labels = self.classifier.as_ref().map(|_| examples.labels.iter().flatten().copied().collect());
        let on_output = objective.weights(process, prediction, times);
        let bound = objective.discrete().map(|levels| Bound::new(process, &drawn.levels, levels, &self.codec));
        let trivial = self.trivial(&drawn, bound.as_ref());
        Question { x_t, x0, told, marginal, coeffs, on_output, bound, trivial, drawn, labels }
    }

    /// The loss of a predictor that knows only the mean and the spread of the data.
    fn trivial(&self, drawn: &Drawn, bound: Option<&Bound>) -> f64 {
        if let Some(classifier) = &self.classifier {
            return classifier.entropy;
        }
        let (objective, process) = (&self.config.objective, &*self.process);
        let of =
            |(&t, weight): (&f64, &f64)| weight * objective.trivial_loss(process, &self.config.prediction, t, self.sigma_data);
        let plain = || drawn.times.iter().zip(&drawn.importance.0).map(of).sum::<f64>() / drawn.times.len() as f64;
        let errors = || drawn.times.iter().map(|&t| trivial_error(process, t, self.sigma_data)).collect::<Vec<f64>>();
        match (objective.loss, bound) {
            (Loss::Vlb { .. }, Some(bound)) => bound.trivial(&errors()),
            (Loss::Hybrid { lambda, .. }, Some(bound)) => plain() + lambda * bound.trivial(&errors()),
            _ => plain(),
        }
    }

    /// The noise in the order in which it meets the data.
    pub(crate) fn couple(&self, x0: &Batch, eps: Batch, samples: &[u64]) -> Batch {
        let coupling = self.config.objective.coupling;
        if coupling == Coupling::Independent {
            return eps;
        }
        let (host, d) = (rows(eps), x0.dims()[1]);
        let pairs = coupling.pairs(&rows(x0.clone()), &host, self.config.seed, samples);
        let moved = pairs.iter().flat_map(|&j| host[j * d..(j + 1) * d].iter().copied()).collect();
        batch(moved, pairs.len(), &self.device)
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

    /// The conditions the network is told: some are hidden, independently of the labels.
    pub(crate) fn conditions_told(&self, examples: &HostBatch) -> Option<Vec<f32>> {
        let (mut told, share) = (examples.condition.clone()?, self.config.condition_dropout);
        if let (true, Some(hidden)) = (share > 0.0, self.condition_meta().map(|meta| meta.hidden())) {
            for (row, &sample) in told.chunks_exact_mut(hidden.len()).zip(&examples.samples) {
                if Stream::new(self.config.seed, sample, Purpose::LabelDrop, 1, 0).uniform(0) < share {
                    row.copy_from_slice(&hidden);
                }
            }
        }
        Some(told)
    }
}

/// A batch as the network sees it, and what its answer is held against.
struct Question {
    x_t: Batch,
    x0: Batch,
    told: Input,
    drawn: Drawn,
    marginal: Marginal<Column>,
    coeffs: Coeffs<Column>,
    /// Weights on the squared error of the network's output, `w c_out^2`.
    on_output: Column,
    /// For losses of a discrete chain.
    bound: Option<Bound>,
    trivial: f64,
    /// What a classifier should find.
    labels: Option<Vec<u32>>,
}

/// What the batches of one step leave.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) grads: Vec<Option<Vec<f32>>>,
    /// The gradient of the log-variances.
    head: Vec<f32>,
    /// The gradient of the rates' logits.
    pub(crate) rates: Vec<f64>,
    /// Places in the span and the losses there.
    pub(crate) seen: Vec<(f64, f64)>,
}
