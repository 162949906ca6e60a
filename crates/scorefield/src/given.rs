//! What is known of samples besides the model: entries of an example, for certain or as measurements.

use crate::GenerateError;
use scorefield_data::Codec;
use scorefield_model::ModelMeta;
use scorefield_process::Denoiser;
use scorefield_process::states::{Group, StatesProcess};
use scorefield_sample::Evidence;
use scorefield_sample::states::Factor;
use scorefield_tensor::{Batch, DType, Device, batch, batch_f64};

/// What is known of every sample, the same for all: the model's law `p(x_0)` is multiplied by `r(x_0)` (Sohl-Dickstein et al. 2015, section
/// 2.5).
#[derive(Clone, Debug)]
pub struct Given {
    /// An example as the codec encodes it.
    pub row: Vec<f32>,
    /// Which of its entries are known.
    pub known: Vec<bool>,
    /// Of each known category the probability that what is seen is not what is: another level, all alike; 0 for certain.
    pub flips: f64,
    /// Of each known number the deviation of its measurement, normal, in the data's own units; 0 for certain.
    pub noise: f64,
}

impl Given {
    /// Refuses what a model of this codec has no use for.
    pub(crate) fn fits(&self, codec: &Codec) -> Result<(), GenerateError> {
        let say = |what: String| Err(GenerateError::Given { what });
        let (d, levels) = (codec.shape().len(), codec.levels());
        for (what, found) in [("a row", self.row.len()), ("flags", self.known.len())] {
            if found != d {
                return say(format!("{what} of {found} entries, expected {d}"));
            }
        }
        if !(0.0..1.0).contains(&self.flips) {
            return say(format!("flips {}: expected a probability from 0 up to, but not including, 1", self.flips));
        }
        if !(self.noise >= 0.0 && self.noise.is_finite()) {
            return say(format!("noise {}: expected the deviation of a measurement, from 0 on", self.noise));
        }
        if self.flips > 0.0 && levels.iter().all(Option::is_none) {
            return say(format!("flips {}: the data of the model are numbers, whose measurements have a noise", self.flips));
        }
        if self.noise > 0.0 && levels.iter().all(Option::is_some) {
            return say(format!("noise {}: the data of the model are categories, whose measurements have flips", self.noise));
        }
        Ok(())
    }

    /// The deviation of the measurement of each entry in the model's units, infinite where nothing is known.
    fn deviations(&self, codec: &Codec) -> Vec<f64> {
        let plane = codec.shape().plane();
        let of = |(i, known): (usize, &bool)| if *known { self.noise / codec.scale(i / plane) } else { f64::INFINITY };
        self.known.iter().enumerate().map(of).collect()
    }

    /// The factor on `n` samples of a model of states.
    pub(crate) fn factor(&self, process: &StatesProcess, codec: &Codec, n: usize, device: &Device) -> Factor {
        let columns = process.columns();
        let wide = columns.expand(&batch(self.row.repeat(n), n, device));
        let mut factor = Factor::known(process, &wide, &self.known);
        if self.flips > 0.0 {
            let seen = |group: &Group| {
                let value = group.of(&factor.value);
                if !group.is_category() {
                    return value;
                }
                let levels = (group.states - usize::from(columns.masked())) as f64;
                // r of a level is the probability of what is seen given that level.
                let (same, other) = (1.0 - self.flips, self.flips / (levels - 1.0));
                value * (same - other) + other
            };
            factor.value = Batch::cat(columns.groups().iter().map(seen).collect(), 1);
        }
        if self.noise > 0.0 {
            factor.measured(process, &self.deviations(codec));
        }
        factor
    }

    /// A model of numbers multiplied by what is known.
    pub(crate) fn evidence<D: Denoiser>(&self, inner: D, meta: &ModelMeta, (dtype, device): (DType, &Device)) -> Evidence<D> {
        Evidence {
            inner,
            value: batch(self.row.clone(), 1, device).cast(dtype),
            deviation: batch_f64(self.deviations(&meta.codec), 1, device).cast(dtype),
            variance: meta.sigma_data.powi(2),
        }
    }
}
