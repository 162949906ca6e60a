//! A doctor that speaks while a run goes on: what beginners find out only when the samples are bad.

use crate::{EmaConfig, TrainConfig};
use scorefield_data::{Codec, Dataset};

/// Watches a run and says what is likely wrong, each thing once.
#[derive(Debug, Default)]
pub struct Doctor {
    said: Vec<&'static str>,
    loss: f64,
    trivial: f64,
    steps: u64,
}

/// Encoded numbers beyond this are far from the rest: standardised Gaussian data have none in 10^22.
const FAR: f32 = 10.0;
/// Rows that are looked at, at most.
const ROWS: usize = 20_000;

/// Steps over which loss and trivial loss are compared.
const WINDOW: u64 = 200;

impl Doctor {
    /// Before the first step: batch against data, the codec's range, the averages against the length.
    pub fn before(&mut self, config: &TrainConfig, examples: usize, outside: u64, values: u64) -> Vec<String> {
        let mut notes = Vec::new();
        if examples < config.batch {
            notes.push(format!(
                "{examples} examples are fewer than a batch of {}: every batch repeats some, and the model may memorise them all",
                config.batch
            ));
        }
        if outside > 0 {
            notes.push(format!(
                "{outside} of {values} encoded values lie outside the codec's range: samplers that clip would cut them off"
            ));
        }
        notes
    }

    /// Before the first step, for data without bounds: numbers far outside the spread that the codec brought them to.
    pub fn tails(&mut self, data: &Dataset, codec: &Codec) -> Option<String> {
        let d = data.shape().len();
        let (mut natural, mut state) = (vec![0.0; d], vec![0.0; d]);
        let (mut far, mut largest) = (0u64, 0.0f32);
        let rows = data.len().min(ROWS);
        for k in 0..rows {
            data.row(k * data.len() / rows, &mut natural);
            codec.encode_row(&natural, &mut state);
            far += state.iter().filter(|v| v.abs() > FAR).count() as u64;
            largest = state.iter().fold(largest, |m, v| m.max(v.abs()));
        }
        (far > 0).then(|| {
            format!(
                "{far} of {} encoded values are larger than {FAR}, the largest is {largest:.1}: such rows govern the range of noise \
                 levels; look for errors in the data, or transform them (a logarithm, a cube root) first",
                rows * d
            )
        })
    }

    /// When the length is known: averages that are longer than the run would sample the first, bad weights.
    pub fn length(&mut self, ema: &EmaConfig, total: u64) -> Vec<String> {
        (0..2)
            // By the share that was asked for: in a run of a few steps the half-life is one step in any case.
            .filter(|&which| ema.half_lives[which] > 0.5)
            .map(|which| {
                format!(
                    "average {} has a half-life of {:.0} steps in a run of {total}: its samples lag behind the weights; \
                     ema.half_lives below 0.2 suit a run of this length",
                    which + 1,
                    ema.half_life(which, total)
                )
            })
            .collect()
    }

    /// After each step: is the network better than a predictor that knows only the mean and the spread of the data?
    pub fn step(&mut self, loss: f64, trivial: f64) -> Option<String> {
        self.loss += loss;
        self.trivial += trivial;
        self.steps += 1;
        if self.steps < WINDOW {
            return None;
        }
        let (loss, trivial) = (self.loss / WINDOW as f64, self.trivial / WINDOW as f64);
        (self.loss, self.trivial, self.steps) = (0.0, 0.0, 0);
        // The first window is warm-up; the doctor speaks from the second on, once.
        if !self.said.contains(&"first") {
            self.said.push("first");
            return None;
        }
        if loss < trivial || self.said.contains(&"trivial") {
            return None;
        }
        self.said.push("trivial");
        Some(format!(
            "the loss ({loss:.4}) is not below that of a predictor that knows only the mean and spread of the data ({trivial:.4}): \
             a lower learning rate, a longer warm-up or a larger network may help"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_once_of_a_loss_that_is_not_below_the_trivial() {
        let mut doctor = Doctor::default();
        let said: Vec<_> = (0..5 * WINDOW).filter_map(|_| doctor.step(1.1, 1.0)).collect();
        assert_eq!(said.len(), 1);
        assert!((0..5 * WINDOW).all(|_| Doctor::default().step(0.5, 1.0).is_none()));
        let mut content = Doctor::default();
        assert!((0..5 * WINDOW).all(|_| content.step(0.5, 1.0).is_none()));
    }

    #[test]
    fn speaks_of_averages_longer_than_the_run() {
        let mut doctor = Doctor::default();
        assert_eq!(doctor.length(&EmaConfig { half_lives: [0.05, 0.9] }, 1000).len(), 1);
        assert!(doctor.length(&EmaConfig::default(), 1000).is_empty());
    }
}
