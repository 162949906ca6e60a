//! What an objective learns besides the network: losses of the times, log-variances of the levels, rates of the process. Part of the
//! state of a run.

use crate::history::History;
use crate::rates::Rates;
use crate::uncertainty::Head;
use crate::{OptimConfig, TrainConfig, TrainError};
use scorefield_kernels::optim::AdamW;

/// Reads the numbers of a named tensor of the given shape.
type Read<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, TrainError> + 'a;

/// Empty for most objectives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) history: Option<History>,
    pub(crate) head: Option<Head>,
    pub(crate) rates: Option<Rates>,
}

impl Memory {
    /// Before the first step.
    pub(crate) fn new(config: &TrainConfig) -> Result<Self, TrainError> {
        let objective = &config.objective;
        Ok(Self {
            history: History::of(&objective.times),
            head: objective.uncertainty.map(|u| Head::new(&u, config.seed)),
            rates: Rates::of(config)?,
        })
    }

    /// Takes in the losses `seen` at their places and the gradient of the log-variances, after update number `updates`.
    pub(crate) fn learn(&mut self, seen: &[(f64, f64)], gradient: &[f32], o: &OptimConfig, lr: f64, updates: u64) {
        if let Some(history) = &mut self.history {
            seen.iter().for_each(|&(place, loss)| history.record(place, loss));
        }
        if let Some(head) = &mut self.head {
            let hyper = AdamW { lr, beta1: o.beta1, beta2: o.beta2, eps: o.eps, weight_decay: 0.0 };
            head.step(gradient, hyper, o.clip, updates);
        }
    }

    /// Every number of it by name.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>, &[f32])> {
        let mut all: Vec<(&str, &[f32])> = Vec::new();
        if let Some(history) = &self.history {
            all.extend([("history.losses", &*history.losses), ("history.counts", &*history.counts)]);
        }
        if let Some(head) = &self.head {
            all.extend([("uncertainty.raw", &*head.weights), ("uncertainty.first", &*head.first)]);
            all.push(("uncertainty.second", &head.second));
        }
        if let Some(rates) = &self.rates {
            all.extend([("rates.raw", &*rates.logits), ("rates.first", &*rates.first), ("rates.second", &*rates.second)]);
        }
        all.into_iter().map(|(name, values)| (name.to_owned(), vec![values.len()], values)).collect()
    }

    /// Takes the numbers of a saved state.
    pub(crate) fn restore(&mut self, read: &mut Read<'_>) -> Result<(), TrainError> {
        let mut into = |name: &str, values: &mut Vec<f32>| -> Result<(), TrainError> {
            *values = read(name, &[values.len()])?;
            Ok(())
        };
        if let Some(history) = &mut self.history {
            into("history.losses", &mut history.losses)?;
            into("history.counts", &mut history.counts)?;
        }
        if let Some(head) = &mut self.head {
            into("uncertainty.raw", &mut head.weights)?;
            into("uncertainty.first", &mut head.first)?;
            into("uncertainty.second", &mut head.second)?;
        }
        if let Some(rates) = &mut self.rates {
            into("rates.raw", &mut rates.logits)?;
            into("rates.first", &mut rates.first)?;
            into("rates.second", &mut rates.second)?;
        }
        Ok(())
    }
}
