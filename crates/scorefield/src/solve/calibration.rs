//! Whether the truth lies within the intervals as often as they say.

/// Coverage of central intervals, entry by entry, on examples whose truth is known.
///
/// Among `k` samples and the truth, if they come from one law, every order is as likely: the truth's rank is uniform on `0..=k`, and it lies
/// between the samples of rank `l` and `k + 1 - l` with probability `1 - 2 l / (k + 1)`. Equal values (bytes, mostly) are put in a random
/// order, whose mean is taken: the coverage of a right law is the nominal one even where all samples agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    samples: usize,
    /// For each example the mean coverage of its entries at every level, from the narrowest interval.
    all: Vec<Vec<f64>>,
    /// The same of the entries whose samples differ; examples without such an entry are left out.
    varied: Vec<Vec<f64>>,
}

impl Calibration {
    /// Of so many samples an example.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn new(samples: usize) -> Self {
        assert!(samples > 0, "no samples, no intervals");
        Self { samples, all: Vec::new(), varied: Vec::new() }
    }

    /// The nominal levels `1 - 2 l / (k + 1)`, from the narrowest interval to that between the outermost samples.
    pub fn levels(&self) -> Vec<f64> {
        self.places().map(|l| 1.0 - 2.0 * l as f64 / (self.samples + 1) as f64).collect()
    }

    /// `l` of each level.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        (1..=self.samples.div_ceil(2)).rev().filter({
            let k = self.samples;
            move |l| 2 * l <= k
        })
    }

    /// One more example: its truth, its samples one after the other, and which entries count (those that the measurement does not fix).
    ///
    /// # Panics
    /// When lengths do not agree.
    #[track_caller]
    pub fn add(&mut self, truth: &[f32], samples: &[f32], counts: impl Fn(usize) -> bool) {
        let (d, k) = (truth.len(), self.samples);
        assert_eq!(samples.len(), d * k, "{} numbers for {k} samples of {d}", samples.len());
        let places: Vec<usize> = self.places().collect();
        let mut sums = [vec![0.0; places.len()], vec![0.0; places.len()]];
        let mut entries = [0usize; 2];
        for i in (0..d).filter(|i| counts(*i)) {
            let column = || samples.iter().skip(i).step_by(d);
            let below = column().filter(|v| **v < truth[i]).count();
            let ties = column().filter(|v| **v == truth[i]).count();
            let first = samples[i];
            let varied = column().any(|v| *v != first);
            // The rank is uniform on below..=below + ties; inside are ranks l..=k - l.
            let inside = |l: usize| (below..=below + ties).filter(|r| (l..=k - l).contains(r)).count() as f64 / (ties + 1) as f64;
            for (set, sums) in sums.iter_mut().enumerate().filter(|(set, _)| *set == 0 || varied) {
                entries[set] += 1;
                sums.iter_mut().zip(&places).for_each(|(sum, l)| *sum += inside(*l));
            }
        }
        let [all, varied] = sums;
        for (to, sums, n) in [(&mut self.all, all, entries[0]), (&mut self.varied, varied, entries[1])] {
            if n > 0 {
                to.push(sums.into_iter().map(|s| s / n as f64).collect());
            }
        }
    }

    /// How many examples there are.
    pub fn examples(&self) -> usize {
        self.all.len()
    }

    /// Coverage at every level and its standard error over the examples.
    pub fn curve(&self) -> Vec<(f64, f64)> {
        (0..self.levels().len()).map(|j| mean(self.all.iter().map(|c| c[j]))).collect()
    }

    /// [`Calibration::curve`] of the entries whose samples differ: those that the model is not sure of.
    pub fn varied(&self) -> Vec<(f64, f64)> {
        (0..self.levels().len()).map(|j| mean(self.varied.iter().map(|c| c[j]))).collect()
    }

    /// Coverage at any level, from that of the levels beside it on a straight line (an interval drawn from two), with its standard error:
    /// of all entries, or of those whose samples differ. None if there is no example, or the level is above that of the outermost
    /// samples.
    pub fn at(&self, level: f64, varied: bool) -> Option<(f64, f64)> {
        let of = if varied { &self.varied } else { &self.all };
        if of.is_empty() {
            return None;
        }
        // At level 0 nothing is covered.
        let levels: Vec<f64> = [0.0].into_iter().chain(self.levels()).collect();
        let right = levels.iter().position(|l| *l >= level - 1e-9)?.max(1);
        let share = (level - levels[right - 1]) / (levels.get(right)? - levels[right - 1]);
        let covered = |curve: &Vec<f64>, at: usize| match at {
            0 => 0.0,
            _ => curve[at - 1],
        };
        Some(mean(of.iter().map(|c| covered(c, right - 1) * (1.0 - share) + covered(c, right) * share)))
    }
}

/// Mean and its standard error; NaN of nothing, an error of NaN of one.
fn mean(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let square = values.map(|v| (v - mean).powi(2)).sum::<f64>();
    (mean, (square / (n - 1.0) / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::Purpose;
    use scorefield_tensor::noise::Stream;

    /// Samples and truth of one law are covered as often as they should be, of a law half as wide less, of one twice as wide more; so are
    /// those of a law on three values, and those that are all the same.
    #[test]
    fn a_right_law_is_covered_as_often_as_it_says() {
        let (d, k) = (200, 19);
        let coverage = |spread: f64, round: f64| {
            let mut calibration = Calibration::new(k);
            for example in 0..30 {
                let mut normal = vec![0.0; d * (k + 1)];
                Stream::new(1, example, Purpose::User, 0, 0).fill_normal(&mut normal);
                let value = |v: f64| if round > 0.0 { (v / round).round() * round } else { v };
                let truth: Vec<f32> = normal[..d].iter().map(|v| value(*v) as f32).collect();
                let samples: Vec<f32> = normal[d..].iter().map(|v| value(v * spread) as f32).collect();
                calibration.add(&truth, &samples, |_| true);
            }
            calibration
        };
        let right = coverage(1.0, 0.0);
        assert_eq!(right.levels().last().map(|l| (l * 100.0).round()), Some(90.0));
        for (level, (found, error)) in right.levels().iter().zip(right.curve()) {
            assert!((found - level).abs() < 4.0 * error + 1e-9, "{level} {found} {error}");
        }
        let ninety = |c: &Calibration| c.at(0.9, false).unwrap().0;
        assert!((ninety(&right) - 0.9).abs() < 0.015 && (right.at(0.55, false).unwrap().0 - 0.55).abs() < 0.03);
        assert!(right.at(0.95, false).is_none());
        assert!(ninety(&coverage(0.5, 0.0)) < 0.7 && ninety(&coverage(2.0, 0.0)) > 0.97);
        // On a lattice, and on a point.
        assert!((ninety(&coverage(1.0, 1.0)) - 0.9).abs() < 0.015);
        let point = coverage(1.0, 1e3);
        assert!((ninety(&point) - 0.9).abs() < 1e-12 && point.at(0.9, true).is_none());
    }
}
