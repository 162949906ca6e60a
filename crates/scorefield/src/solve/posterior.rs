//! What samples say of what is not known: mean, spread, quantiles, how far they are from each other.

/// The most samples that are compared with each other.
pub const MOST_COMPARED: usize = 256;

/// A summary of `k` samples of `d` entries.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior {
    /// The mean of every entry.
    pub mean: Vec<f32>,
    /// The standard deviation of every entry, of `k - 1` degrees of freedom; zero for one sample.
    pub deviation: Vec<f32>,
    /// For each share asked for, that quantile of every entry.
    pub quantiles: Vec<Vec<f32>>,
    /// The root mean square difference of every pair of samples, `[k, k]`: of the first [`MOST_COMPARED`].
    pub distances: Vec<f32>,
}

impl Posterior {
    /// Of samples one after the other. Quantile `p` of an entry is at place `p (k + 1)` among its sorted samples, counted from 1, with
    /// straight lines between, and the outermost sample beyond (Hyndman and Fan 1996, definition 6): the chance that one more sample of the
    /// same law lies below it is `p`, whatever the law.
    ///
    /// # Panics
    /// When there is no sample, or they are not of one length.
    #[track_caller]
    pub fn of(samples: &[f32], d: usize, shares: &[f64]) -> Self {
        assert!(d > 0 && !samples.is_empty() && samples.len().is_multiple_of(d), "{} numbers in rows of {d}", samples.len());
        let k = samples.len() / d;
        let compared = k.min(MOST_COMPARED);
        let mut summary = Self {
            mean: vec![0.0; d],
            deviation: vec![0.0; d],
            quantiles: vec![vec![0.0; d]; shares.len()],
            distances: vec![0.0; compared * compared],
        };
        let mut column = vec![0.0_f64; k];
        for i in 0..d {
            column.iter_mut().enumerate().for_each(|(j, v)| *v = f64::from(samples[j * d + i]));
            column.sort_by(f64::total_cmp);
            let mean = column.iter().sum::<f64>() / k as f64;
            let square = column.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            summary.mean[i] = mean as f32;
            summary.deviation[i] = if k > 1 { (square / (k - 1) as f64).sqrt() as f32 } else { 0.0 };
            for (quantile, share) in summary.quantiles.iter_mut().zip(shares) {
                let place = (share * (k + 1) as f64 - 1.0).clamp(0.0, (k - 1) as f64);
                let (low, part) = (place as usize, place.fract());
                quantile[i] = (column[low] * (1.0 - part) + column[(low + 1).min(k - 1)] * part) as f32;
            }
        }
        for a in 0..compared {
            for b in 0..a {
                let pairs = samples[a * d..(a + 1) * d].iter().zip(&samples[b * d..(b + 1) * d]);
                let mean = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / d as f64;
                summary.distances[a * compared + b] = mean.sqrt() as f32;
                summary.distances[b * compared + a] = mean.sqrt() as f32;
            }
        }
        summary
    }

    /// The mean distance of two different samples; none of one sample.
    pub fn mean_distance(&self) -> Option<f64> {
        let k = (self.distances.len() as f64).sqrt();
        (k > 1.0).then(|| self.distances.iter().map(|v| f64::from(*v)).sum::<f64>() / (k * (k - 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_what_its_formulas_say() {
        // Two entries of three samples: 1, 2, 6 and all 5.
        let of = Posterior::of(&[2.0, 5.0, 6.0, 5.0, 1.0, 5.0], 2, &[0.25, 0.5, 0.75, 0.375, 0.01]);
        assert_eq!((of.mean[0], of.mean[1]), (3.0, 5.0));
        assert!((of.deviation[0] - 7.0_f32.sqrt()).abs() < 1e-6 && of.deviation[1] == 0.0);
        let first: Vec<f32> = of.quantiles.iter().map(|q| q[0]).collect();
        assert_eq!(first, [1.0, 2.0, 6.0, 1.5, 1.0]);
        assert!((of.distances[1] - (16.0_f32 / 2.0).sqrt()).abs() < 1e-6 && of.distances[0] == 0.0);
        let mean = of.mean_distance().unwrap();
        assert!((mean - (4.0 + 1.0 + 5.0) / 3.0 / 2.0_f64.sqrt()).abs() < 1e-6);
        assert_eq!(Posterior::of(&[1.0, 2.0], 2, &[]).mean_distance(), None);
    }
}
