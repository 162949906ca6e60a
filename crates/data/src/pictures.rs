//! A folder of pictures, recursive; the first level of sub-folders are classes when there are two or more.

use crate::dataset::Storage;
use crate::{DataError, Dataset, LoadReport, OpenOptions, Shape, Value};
use fast_image_resize as fir;
use image::{DynamicImage, ImageDecoder, ImageReader};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a picture is brought to the size asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The shorter side is resized, the longer cut off on both ends.
    #[default]
    Crop,
    /// Both sides are resized.
    Stretch,
}

const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

fn collect(folder: &Path, out: &mut Vec<PathBuf>) -> Result<(), DataError> {
    for entry in std::fs::read_dir(folder).map_err(DataError::io(folder))? {
        let path = entry.map_err(DataError::io(folder))?.path();
        if path.is_dir() {
            collect(&path, out)?;
        } else if path.extension().is_some_and(|e| ENDINGS.contains(&e.to_string_lossy().to_lowercase().as_str())) {
            out.push(path);
        }
    }
    Ok(())
}

/// Decodes by content, whatever the ending says, with bounded memory and the rotation that the camera noted.
fn decode(path: &Path) -> Result<DynamicImage, String> {
    let mut reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| e.to_string())?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(1 << 15), Some(1 << 15));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let orientation = decoder.orientation().map_err(|e| e.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn channels_of(picture: &DynamicImage) -> usize {
    let rgba = picture.to_rgba8();
    if rgba.pixels().any(|p| p.0[3] != 255) {
        4
    } else if picture.color().has_color() && rgba.pixels().any(|p| p.0[0] != p.0[1] || p.0[1] != p.0[2]) {
        3
    } else {
        1
    }
}

fn resize(picture: &DynamicImage, [height, width]: [usize; 2], fit: Fit) -> Result<DynamicImage, String> {
    if (picture.height() as usize, picture.width() as usize) == (height, width) {
        return Ok(picture.clone());
    }
    let source = DynamicImage::from(picture.to_rgba8());
    let mut out = DynamicImage::new_rgba8(width as u32, height as u32);
    let mut options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3));
    if fit == Fit::Crop {
        options = options.fit_into_destination(Some((0.5, 0.5)));
    }
    fir::Resizer::new().resize(&source, &mut out, &options).map_err(|e| e.to_string())?;
    Ok(out)
}

fn chw(picture: &DynamicImage, channels: usize) -> Vec<u8> {
    let interleaved = match channels {
        1 => picture.to_luma8().into_raw(),
        3 => picture.to_rgb8().into_raw(),
        _ => picture.to_rgba8().into_raw(),
    };
    (0..channels).flat_map(|c| interleaved.iter().skip(c).step_by(channels).copied()).collect()
}

pub(crate) fn open(folder: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
    let mut paths = Vec::new();
    collect(folder, &mut paths)?;
    paths.sort();
    if paths.is_empty() {
        let expected = format!("pictures ({}) in it or in its sub-folders", ENDINGS.join(", "));
        return Err(DataError::format(folder, "a folder with no picture", expected));
    }
    let decoded: Vec<_> = paths.par_iter().map(|p| decode(p)).collect();
    let mut report = LoadReport { found: paths.len(), ..LoadReport::default() };
    let mut good = Vec::new();
    for (path, picture) in paths.iter().zip(decoded) {
        match picture {
            Ok(picture) => good.push((path, picture)),
            Err(reason) => report.skipped.push((path.display().to_string(), reason)),
        }
    }
    report.used = good.len();
    let broken = report.skipped.len();
    if broken * 100 > paths.len() || good.is_empty() {
        let first: Vec<_> = report.skipped.iter().take(3).map(|(p, r)| format!("{p}: {r}")).collect();
        return Err(DataError::Broken { path: folder.into(), broken, total: paths.len(), first: first.join("; ") });
    }
    let mut sizes = BTreeMap::new();
    good.iter().for_each(|(_, p)| *sizes.entry([p.height() as usize, p.width() as usize]).or_insert(0usize) += 1);
    let size = match (options.size, sizes.len()) {
        (Some(size), _) => size,
        (None, 1) => *sizes.keys().next().unwrap_or(&[1, 1]),
        (None, _) => {
            let listed: Vec<_> = sizes.iter().take(6).map(|([h, w], n)| format!("{w}x{h} ({n})")).collect();
            return Err(DataError::Sizes { path: folder.into(), found: listed.join(", ") });
        }
    };
    if size[0] == 0 || size[1] == 0 || size[0] > 4096 || size[1] > 4096 {
        return Err(DataError::format(folder, format!("a size of {size:?}"), "rows and columns from 1 to 4096"));
    }
    let channels = good.par_iter().map(|(_, p)| channels_of(p)).max().unwrap_or(1);
    let rows: Result<Vec<Vec<u8>>, String> =
        good.par_iter().map(|(_, p)| Ok(chw(&resize(p, size, options.fit)?, channels))).collect();
    let bytes = rows.map_err(|e| DataError::format(folder, e, "pictures that can be resized"))?.concat();
    let shape = Shape::Image { channels, height: size[0], width: size[1] };
    let mut data = Dataset::new(&folder.display().to_string(), shape, Value::Byte, Storage::Bytes(Arc::new(bytes)), good.len());
    let class_of = |path: &Path| -> Option<String> {
        let inside = path.strip_prefix(folder).ok()?;
        (inside.components().count() > 1)
            .then(|| inside.components().next().map(|c| c.as_os_str().to_string_lossy().into_owned()))?
    };
    let named: Vec<Option<String>> = good.iter().map(|(p, _)| class_of(p)).collect();
    let mut classes: Vec<String> = named.iter().flatten().cloned().collect();
    classes.sort();
    classes.dedup();
    if classes.len() >= 2 && named.iter().all(Option::is_some) {
        let place = |name: &Option<String>| name.as_ref().and_then(|n| classes.binary_search(n).ok()).unwrap_or(0) as u32;
        data.labels = Some(Arc::new(named.iter().map(place).collect()));
        data.classes = classes;
    }
    data.report = report;
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, open, write};

    /// What was written as PNG files comes back; one broken file among many is named and skipped, more are an error.
    #[test]
    fn folders_come_back_and_broken_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let shape = Shape::Image { channels: 3, height: 3, width: 2 };
        let values: Vec<f32> = (0..150 * 18).map(|i| (i * 37 % 256) as f32).collect();
        let data = Dataset::from_rows("made", shape, values, None);
        let codec = Codec::fit(&data, &Default::default()).unwrap();
        let mut states = vec![0.0; 150 * 18];
        for (i, state) in states.chunks_mut(18).enumerate() {
            let mut row = vec![0.0; 18];
            data.row(i, &mut row);
            codec.encode_row(&row, state);
        }
        write::samples(folder.path(), &states, 0, &codec).unwrap();
        let place = folder.path().join("all");
        write::samples(&place, &states, 150, &codec).unwrap();
        std::fs::write(place.join("text.png"), "no picture at all").unwrap();
        let back = open(&place.display().to_string(), &OpenOptions::default()).unwrap();
        assert_eq!((back.len(), back.shape(), back.report().skipped.len()), (150, shape, 1));
        assert!(back.report().skipped[0].0.ends_with("text.png"));
        let (mut a, mut b) = (vec![0.0; 18], vec![0.0; 18]);
        for i in 0..150 {
            data.row(i, &mut a);
            back.row(i, &mut b);
            assert_eq!(a, b);
        }
        (0..5).for_each(|i| std::fs::write(place.join(format!("bad{i}.png")), "no").unwrap());
        assert!(matches!(open(&place.display().to_string(), &OpenOptions::default()), Err(DataError::Broken { broken: 6, .. })));
    }
}
