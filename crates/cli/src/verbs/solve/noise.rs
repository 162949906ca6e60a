//! The noise of a measurement: `--noise LAW`.

use crate::failure::misuse;
use anyhow::Result;
use scorefield::control::operator::MeasurementNoise;
use scorefield::tensor::Purpose;
use scorefield::tensor::noise::Stream;

/// The law that a text names; `bounds` are those of the data, none where what is measured is no picture.
pub(super) fn law(text: &str, bounds: Option<(f64, f64)>) -> Result<MeasurementNoise> {
    let say = |e: String| misuse(format!("--noise {text}: {e}"));
    let law = match (text.split_once(':'), text, bounds) {
        (Some(("poisson", photons)), _, bounds) => {
            let Some((low, high)) = bounds else {
                return Err(say("photons are counted of pictures; what is measured here has no darkest value".into()));
            };
            let photons: f64 = photons.parse().map_err(|_| say("expected poisson:PHOTONS, the mean count at white".into()))?;
            MeasurementNoise::Poisson { dark: low, peak: photons / (high - low) }
        }
        (None, "round", Some((low, high))) => MeasurementNoise::Quantise { levels: 256, low, high },
        (None, "round", None) => {
            return Err(say("is for pictures, and what is measured here is none; give the deviation".into()));
        }
        (None, number, _) => {
            let sigma: f64 =
                number.parse().map_err(|_| say("expected a deviation in the data's units, poisson:PHOTONS or round".into()))?;
            MeasurementNoise::Gaussian { sigma }
        }
        _ => return Err(say("expected a deviation in the data's units, poisson:PHOTONS or round".into())),
    };
    law.checked().map_err(|e| say(e.to_string()))
}

/// The deviation that a rule takes for a measurement: the root of the mean variance of its numbers.
pub(super) fn deviation(law: &MeasurementNoise, y: &[f64]) -> f64 {
    (y.iter().map(|v| law.variance(*v)).sum::<f64>() / y.len().max(1) as f64).sqrt()
}

/// The largest deviation of a number of a measurement.
pub(super) fn largest(law: &MeasurementNoise, y: &[f64]) -> f64 {
    y.iter().map(|v| law.variance(*v)).fold(0.0, f64::max).sqrt()
}

/// A measurement of `y`, drawn for its number.
pub(super) fn drawn(law: &MeasurementNoise, y: &[f64], seed: u64, number: u64) -> Vec<f64> {
    let stream = Stream::new(seed, number, Purpose::Measurement, 0, 0);
    let mut i = 0;
    law.draw(y, &mut || {
        i += 1;
        stream.uniform(i - 1)
    })
}
