//! Which entries of an example are known: `--mask MASK`.

use crate::failure::misuse;
use anyhow::Result;
use scorefield::data::{self, PictureFile, Shape};
use scorefield::tensor::Purpose;
use scorefield::tensor::noise::Stream;
use std::path::Path;

/// What a mask may be, for help and errors.
const NAMES: &str = "left, right, top, bottom, around (all but the middle), all, random:SHARE, box:TOP,LEFT,HEIGHT,WIDTH (hidden), \
                     columns:NAME,NAME or a file";

/// Which entries of an example of a shape a mask says are known; `channels` are the names of its channels, `seed` that of random masks.
///
/// # Errors
/// When it is no mask of such an example, or nothing is known under it.
pub(crate) fn known(mask: &str, shape: Shape, channels: &[String], seed: u64) -> Result<Vec<bool>> {
    let picture = matches!(shape, Shape::Image { .. });
    let (height, width) = match shape {
        Shape::Image { height, width, .. } => (height, width),
        Shape::Vector { dim } => (1, dim),
    };
    let at = |i: usize| if picture { (i % shape.plane() / width.max(1), i % width.max(1)) } else { (0, i) };
    let inside = |v: usize, side: usize| side > 1 && (side / 4..side - side / 4).contains(&v);
    let by = |of: &dyn Fn((usize, usize)) -> bool| (0..shape.len()).map(|i| of(at(i))).collect::<Vec<bool>>();
    let (name, options) = mask.split_once(':').unwrap_or((mask, ""));
    if !picture && ["top", "bottom", "box"].contains(&name) {
        return Err(misuse(format!(
            "--mask {mask}: is for pictures; an example here is {shape}: left, right, around, random:SHARE, columns:NAME,NAME or a file"
        )));
    }
    let found = match (name, options) {
        ("left", "") => by(&|(_, x)| x < width / 2),
        ("right", "") => by(&|(_, x)| x >= width / 2),
        ("top", "") => by(&|(y, _)| y < height / 2),
        ("bottom", "") => by(&|(y, _)| y >= height / 2),
        ("around", "") => by(&|(y, x)| !(inside(x, width) && (height == 1 || inside(y, height)))),
        ("all", "") => vec![true; shape.len()],
        ("random", share) => {
            let share = share.parse::<f64>().ok().filter(|s| *s > 0.0 && *s <= 1.0);
            let share = share.ok_or_else(|| misuse(format!("--mask {mask}: expected a share above 0 and at most 1")))?;
            let stream = Stream::new(seed, 0, Purpose::Measurement, 0, 1);
            by(&|(y, x)| stream.uniform(y * width + x) < share)
        }
        ("box", sides) => {
            let sides: Option<Vec<usize>> = sides.split(',').map(|v| v.trim().parse().ok()).collect();
            let Some([top, left, h, w]) = sides.as_deref() else {
                return Err(misuse(format!("--mask {mask}: expected box:TOP,LEFT,HEIGHT,WIDTH in pixels")));
            };
            if top.saturating_add(*h) > height || left.saturating_add(*w) > width {
                return Err(misuse(format!(
                    "--mask {mask}: the box leaves the picture, which has {height} rows and {width} columns"
                )));
            }
            by(&|(y, x)| !((*top..top + h).contains(&y) && (*left..left + w).contains(&x)))
        }
        ("columns", names) if !picture => {
            let mut found = vec![false; shape.len()];
            for name in names.split(',').map(str::trim) {
                let place = channels.iter().position(|c| c == name);
                let place = place.ok_or_else(|| {
                    misuse(format!("--mask {mask}: there is no column {name:?}; the model's are {}", channels.join(", ")))
                })?;
                found[place] = true;
            }
            found
        }
        ("columns", _) => {
            return Err(misuse(format!(
                "--mask {mask}: is for tables, and an example here is a picture, {shape}: left, right, top, bottom, around, random:SHARE, \
                 box:TOP,LEFT,HEIGHT,WIDTH or a file"
            )));
        }
        _ => of_file(mask, shape)?,
    };
    if !found.contains(&true) {
        return Err(misuse(format!("--mask {mask}: nothing of the example is known under it")));
    }
    Ok(found)
}

/// A picture or an array of 0 where unknown and 1 (or white) where known: one number a pixel, or one an entry.
fn of_file(mask: &str, shape: Shape) -> Result<Vec<bool>> {
    let values = if PictureFile::is_one(Path::new(mask)) && matches!(shape, Shape::Image { .. }) {
        let picture = PictureFile::read(Path::new(mask))?;
        if let Shape::Image { height, width, .. } = shape
            && [picture.height, picture.width] != [height, width]
        {
            return Err(misuse(format!(
                "--mask {mask}: {} x {} pixels, but what is to be filled in has {width} x {height}",
                picture.width, picture.height
            )));
        }
        // Colours of a mask say nothing: white is known.
        picture.with_channels(1).map_or(picture.values, |grey| grey.values)
    } else {
        let array = data::open(mask, &data::OpenOptions::default())
            .map_err(|e| misuse(format!("--mask {mask}: none of {NAMES}: {e}")))?;
        let mut values = Vec::new();
        let mut row = vec![0.0; array.shape().len()];
        for i in 0..array.len() {
            array.row(i, &mut row);
            values.extend_from_slice(&row);
        }
        values
    };
    if let Some(wrong) = values.iter().find(|v| **v != 0.0 && **v != 1.0 && **v != 255.0) {
        return Err(misuse(format!("--mask {mask}: {wrong} in it; expected 0 where unknown and 1 (or white, 255) where known")));
    }
    let known: Vec<bool> = values.into_iter().map(|v| v > 0.5).collect();
    match known.len() {
        n if n == shape.len() => Ok(known),
        n if n == shape.plane() && matches!(shape, Shape::Image { .. }) => Ok(known.repeat(shape.channels())),
        n => Err(misuse(format!("--mask {mask}: {n} numbers, but what is masked has {} ({shape})", shape.len()))),
    }
}
