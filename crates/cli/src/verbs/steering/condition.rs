//! What samples are given with: `--condition FILE[@I]`.

use super::Flags;
use crate::failure::misuse;
use anyhow::Result;
use scorefield::data::{self, ChannelPolicy, Dataset, OpenOptions, PictureFile, Shape};
use scorefield::model::Model;
use std::path::Path;

impl Flags {
    /// Encoded rows, as the model was trained with them; none for a model without a condition.
    pub(super) fn condition(&self, model: &Model) -> Result<Option<Vec<f32>>> {
        let Some(text) = &self.condition else { return Ok(None) };
        let Some(meta) = &model.meta().condition else {
            return Err(misuse(format!("--condition {text}: the model was trained without a condition; leave it out")));
        };
        if text == "none" {
            if model.meta().training.condition_dropout == 0.0 {
                return Err(misuse(
                    "--condition none: the model never saw examples without their condition (condition_dropout 0); expected FILE[@I]",
                ));
            }
            return Ok(Some(meta.hidden()));
        }
        let numbered = text.rsplit_once('@').and_then(|(spec, i)| Some((spec, i.parse::<usize>().ok()?)));
        let (spec, chosen) = match numbered {
            Some((spec, i)) if !Path::new(text).exists() => (spec, Some(i)),
            _ => (text.as_str(), None),
        };
        let mut options = OpenOptions::default();
        if Path::new(spec).is_dir() {
            options.channels = match model.meta().codec.shape() {
                Shape::Image { channels: 1, .. } => ChannelPolicy::Grey,
                Shape::Image { channels: 3, .. } => ChannelPolicy::Rgb,
                _ => ChannelPolicy::Auto,
            };
        }
        let wrong = |e: data::DataError| misuse(format!("--condition {text}: {e}"));
        let found = match meta.codec.shape() {
            Shape::Image { channels, .. } if PictureFile::is_one(Path::new(spec)) => {
                let picture = PictureFile::read(Path::new(spec)).map_err(wrong)?;
                let own = model.meta().codec.shape().channels();
                // In the condition's channels, or in the model's, of which the condition is made.
                let picture = picture.with_channels(channels).or_else(|| picture.with_channels(own)).unwrap_or(picture);
                let shape = Shape::Image { channels: picture.channels, height: picture.height, width: picture.width };
                Dataset::from_rows(spec, shape, picture.values, None)
            }
            _ => data::open(spec, &options).map_err(wrong)?,
        };
        let rows = meta.source.prepare(&found, meta.codec.shape()).map_err(wrong)?;
        let places = match chosen {
            None => (0..rows.len()).collect(),
            Some(i) if i < rows.len() => vec![i],
            Some(_) => return Err(misuse(format!("--condition {text}: {spec} has {} rows, numbered from 0", rows.len()))),
        };
        let m = meta.codec.shape().len();
        let (mut natural, mut all) = (vec![0.0; m], vec![0.0; places.len() * m]);
        for (place, state) in places.into_iter().zip(all.chunks_mut(m)) {
            rows.row(place, &mut natural);
            meta.codec.encode_row(&natural, state);
        }
        // Numbers between bounds, and others beyond them: a picture of 0 to 255 for a model of 0 to 1, say.
        let plane = meta.codec.shape().plane();
        let outside = all.iter().enumerate().find(|(i, v)| {
            let bounds = meta.codec.range(i % m / plane);
            bounds.is_some_and(|(low, high)| f64::from(**v) < low - 1e-3 || f64::from(**v) > high + 1e-3)
        });
        if let Some((i, v)) = outside {
            let c = i % m / plane;
            let natural = f64::from(*v) * meta.codec.scale(c);
            let (low, high) = meta.codec.range(c).unwrap_or_default();
            return Err(misuse(format!(
                "--condition {text}: row {} holds a number {:.3} units from the middle of the scale, but those that the model was trained with \
                 lie between {:.3} and {:.3}; bring it to their scale",
                i / m,
                natural,
                low * meta.codec.scale(c),
                high * meta.codec.scale(c)
            )));
        }
        Ok(Some(all))
    }
}
