//! The demo's figures: what a nearest-neighbour rule says of the samples, their distance to held-out digits, and how near they are to
//! digits the model has seen.

use anyhow::Result;
use scorefield::Sampled;
use scorefield::data::Dataset;
use scorefield::eval::{Classifier, Memorisation, RowsBuf, energy_distance, memorisation};
use scorefield::model::ModelMeta;

/// Neighbours that vote on a class.
const K: usize = 3;

/// The figures.
#[derive(Debug)]
pub(super) struct Scores {
    /// Share of samples recognised as the class they were asked for.
    pub class_accuracy: f64,
    /// Share of held-out digits recognised as what they are.
    pub real_accuracy: f64,
    /// Energy distance between samples and held-out digits (V-statistic), in model units.
    pub energy_distance: f64,
    /// The same between as many real digits and the held-out ones.
    pub energy_distance_real: f64,
    /// Standard error of the first.
    pub energy_distance_error: f64,
    /// Samples by class that were recognised.
    pub recognised: Vec<(u32, u32)>,
    /// Nearest training digits.
    pub memorisation: Memorisation,
}

/// Encoded rows of a data set and their labels.
pub(super) fn encoded(data: &Dataset, meta: &ModelMeta) -> (RowsBuf, Vec<u32>) {
    let d = data.shape().len();
    let (mut natural, mut state) = (vec![0.0; d], vec![0.0; d]);
    let mut values = Vec::with_capacity(data.len() * d);
    for i in 0..data.len() {
        data.row(i, &mut natural);
        meta.codec.encode_row(&natural, &mut state);
        values.extend_from_slice(&state);
    }
    let labels = (0..data.len()).filter_map(|i| data.label(i)).collect();
    (RowsBuf::new(values, data.len(), d), labels)
}

/// Scores samples as they would be written: decoded to whole grey levels and encoded again.
pub(super) fn scores(drawn: &Sampled, training: &Dataset, held_out: &Dataset, meta: &ModelMeta) -> Result<Scores> {
    let d = meta.codec.shape().len();
    let (mut natural, mut state) = (vec![0.0; d], vec![0.0; d]);
    let mut values = Vec::with_capacity(drawn.states.len());
    for row in drawn.states.chunks_exact(d) {
        meta.codec.decode_row(row, &mut natural);
        meta.codec.encode_row(&natural, &mut state);
        values.extend_from_slice(&state);
    }
    let n = values.len() / d;
    let samples = RowsBuf::new(values, n, d);
    let asked: Vec<u32> = drawn.classes.iter().flatten().map(|c| c.unwrap_or(u32::MAX)).collect();
    let (train, train_labels) = encoded(training, meta);
    let (real, real_labels) = encoded(held_out, meta);

    let classifier = Classifier::new(train.view(), &train_labels, K);
    let found = classifier.classify(samples.view())?;
    let mut recognised = vec![(0, 0); meta.codec.classes().len()];
    for (&asked, &found) in asked.iter().zip(&found) {
        let row = &mut recognised[asked as usize];
        row.0 += u32::from(asked == found);
        row.1 += 1;
    }
    let hits: u32 = recognised.iter().map(|r| r.0).sum();

    let of_samples = energy_distance(samples.view(), real.view())?;
    // As many real digits as samples: a V-statistic depends on the sizes.
    let of_real = energy_distance(train.view().first(n), real.view())?;
    Ok(Scores {
        class_accuracy: f64::from(hits) / n as f64,
        real_accuracy: classifier.accuracy(real.view(), &real_labels)?,
        energy_distance: of_samples.biased,
        energy_distance_real: of_real.biased,
        energy_distance_error: of_samples.standard_error,
        recognised,
        memorisation: memorisation(samples.view(), train.view(), real.view())?,
    })
}
