//! What a run leaves on disk while it goes on: the state to resume from, the model to sample from, a look at its samples.
//!
//! "The last good model" is a promise: weights are saved only after the network, with the raw and with the averaged weights, has
//! given finite numbers on the batch that comes next. A step whose loss was finite can still have thrown the weights away.

use crate::event::{Event, Observer};
use crate::log::Log;
use crate::rates::Rates;
use crate::{TrainError, Trainer, preview};
use scorefield_model::{DataSummary, FORMAT, LearnedVariance, Model, ModelMeta, NetworkInput, SamplingDefaults, TrainingSummary};
use scorefield_nn::Params;

impl Trainer<'_> {
    /// The model as it would be sampled now: averaged weights.
    ///
    /// # Errors
    /// Never for a run that was built; the signature is that of [`Model::new`].
    pub fn model(&self) -> Result<Model, TrainError> {
        let p = &self.position;
        let meta = ModelMeta {
            format: FORMAT,
            network: self.config.network.clone(),
            process: self.memory.rates.as_ref().map_or_else(|| self.config.process.clone(), Rates::config),
            prediction: self.config.prediction,
            variance: self.config.network.learned_variance().then_some(self.config.objective.variance),
            time_input: self.config.time_input,
            states: self.config.states.as_ref().map(|s| s.process.clone()),
            classifier: self.classifier.as_ref().map(|run| run.summary.clone()),
            condition: self.condition_meta(),
            input: NetworkInput::default(),
            codec: self.codec.clone(),
            sigma_data: self.sigma_data,
            training: TrainingSummary {
                steps: p.step,
                examples: p.examples,
                seconds: p.seconds,
                loss: p.loss,
                ema_half_life: self.config.ema.half_life(0, p.total.unwrap_or(p.step)),
                label_dropout: self.config.label_dropout,
                condition_dropout: self.config.condition_dropout,
                batch: (self.config.batch * self.config.accumulate) as u64,
                seed: self.config.seed,
                version: env!("CARGO_PKG_VERSION").into(),
            },
            data: DataSummary {
                name: self.dataset.name().to_owned(),
                examples: self.dataset.len() as u64,
                fingerprint: p.data.clone(),
            },
            sampling: self.sampling(),
        };
        let averaged = Params::from_host(self.network.params(), self.state.ema[0].clone(), &self.device)
            .map_err(|e| TrainError::State { path: self.run.state(), found: e.to_string() })?;
        Ok(Model::new(meta, averaged)?)
    }

    /// How the model is sampled unless something else is asked for.
    fn sampling(&self) -> SamplingDefaults {
        if let Some(states) = &self.config.states {
            return SamplingDefaults::of_states(&states.process);
        }
        let free = self.config.network.learned_variance() && self.config.objective.variance == LearnedVariance::Free;
        match self.config.objective.discrete().filter(|_| free) {
            Some(steps) => SamplingDefaults::of_chain(steps),
            None => SamplingDefaults::of(&self.config.prediction),
        }
    }

    /// Saves the figures so far, the state, then the model: each file is replaced whole, and no state is newer than its figures.
    /// Returns false, and leaves what was saved before, when the weights are not good.
    pub(super) fn save(&mut self, observer: &mut dyn Observer, log: &mut Log) -> Result<bool, TrainError> {
        log.flush()?;
        let step = self.position.step;
        let model = self.model()?;
        if !(self.sound(&self.params) && self.sound(model.weights())) {
            observer.event(&Event::Warning(format!(
                "step {step} was not saved: its weights give no finite output; the last good model is that of step {}",
                self.saved
            )));
            return Ok(false);
        }
        self.run.save_state(&self.position, self.network.params(), &self.params.to_host(), &self.state, &self.memory)?;
        model.save(&self.run.model(), Some(&self.params))?;
        self.saved = step;
        observer.event(&Event::Saved { step });
        Ok(true)
    }

    pub(super) fn preview(&self, observer: &mut dyn Observer, log: &mut Log) -> Result<(), TrainError> {
        let path = self.run.samples().join(format!("step-{:07}.{}", self.position.step, preview::ending(&self.codec)));
        preview::write(&self.model()?, &self.config.preview, self.config.seed, &self.conditions(self.config.preview.n), &path)?;
        log.picture(self.position.step, &path)?;
        observer.event(&Event::Preview(path));
        Ok(())
    }
}
