//! Single picture files as they are: their own size, channels, kind and bit depth, read and written again.

use crate::pictures::{ENDINGS, list};
use crate::{DataError, decode, write};
use image::codecs::{bmp::BmpEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageError, ImageFormat};
use std::io;
use std::path::{Path, PathBuf};

/// The kinds of files that pictures are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// PNG of 8 bits, or 16.
    Png {
        /// Whether it has 16 bits a channel.
        deep: bool,
    },
    /// JPEG, of quality 95: what is read again is near to what was written, not the same.
    Jpeg,
    /// WebP without loss.
    WebP,
    /// BMP.
    Bmp,
}

/// A picture of `[channels, height, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureFile {
    /// Grey, grey and alpha, RGB, RGBA: 1 to 4. Files with alpha are read as RGBA.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Channel by channel, row by row, from 0 to 255 whatever the depth: 16 bits have fractions.
    pub values: Vec<f32>,
    /// What kind of file it was.
    pub kind: PictureKind,
}

/// The picture files that a name stands for: itself, or those below a folder, in an order that is the same on every machine, by names with
/// `/` between their parts.
///
/// # Errors
/// When a folder cannot be read or has none.
pub fn picture_files(path: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    if path.is_dir() {
        let names = list(path)?;
        if names.is_empty() {
            let expected = format!("pictures ({}) in it or in its sub-folders", ENDINGS.join(", "));
            return Err(DataError::format(path, "a folder with no picture", expected));
        }
        return Ok(names.into_iter().map(|name| (name.clone(), path.join(name))).collect());
    }
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    Ok(vec![(name, path.to_owned())])
}

impl PictureKind {
    /// The ending of a file of this kind.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Png { .. } => "png",
            Self::Jpeg => "jpg",
            Self::WebP => "webp",
            Self::Bmp => "bmp",
        }
    }
}

impl PictureFile {
    /// Whether a path has the ending of a picture.
    pub fn is_one(path: &Path) -> bool {
        path.extension().is_some_and(|e| ENDINGS.contains(&e.to_string_lossy().to_lowercase().as_str()))
    }

    /// Reads a file, by what is in it and not by its ending. Kinds that are not written (GIF) come out as PNG.
    ///
    /// # Errors
    /// When it is no picture that can be read.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let wrong = |found: String| DataError::format(path, found, format!("a whole picture ({})", ENDINGS.join(", ")));
        if !path.is_file() {
            return Err(wrong("no such file".into()));
        }
        let (picture, format) = decode::whole(path).map_err(wrong)?;
        let (height, width) = (picture.height() as usize, picture.width() as usize);
        let colour = picture.color();
        let deep = colour.bytes_per_pixel() / colour.channel_count() > 1;
        let channels = match (colour.has_color(), colour.has_alpha()) {
            (_, true) => 4,
            (true, false) => 3,
            (false, false) => 1,
        };
        // 16 bits hold 8 exactly: 65,535 = 255 * 257.
        let whole = picture.into_rgba16();
        let mut values = vec![0.0; channels * height * width];
        for (i, pixel) in whole.pixels().enumerate() {
            (0..channels).for_each(|c| values[c * height * width + i] = f32::from(pixel.0[c]) / 257.0);
        }
        let kind = match format {
            Some(ImageFormat::Jpeg) => PictureKind::Jpeg,
            Some(ImageFormat::WebP) => PictureKind::WebP,
            Some(ImageFormat::Bmp) => PictureKind::Bmp,
            _ => PictureKind::Png { deep },
        };
        Ok(Self { channels, height, width, values, kind })
    }

    /// The picture with another number of channels, if none of what it shows is lost: grey as three equal channels and back, an alpha of
    /// 255 added or taken away. None if something would be.
    pub fn with_channels(&self, channels: usize) -> Option<Self> {
        let plane = self.height * self.width;
        let of = |c: usize| &self.values[c * plane..(c + 1) * plane];
        let opaque = self.channels != 4 || of(3).iter().all(|a| *a == 255.0);
        let grey = self.channels < 3 || (of(0) == of(1) && of(1) == of(2));
        let values = match (self.channels, channels) {
            (a, b) if a == b => self.values.clone(),
            (1, 3) => self.values.repeat(3),
            (1, 4) => [self.values.repeat(3), vec![255.0; plane]].concat(),
            (3, 4) => [&self.values[..], &vec![255.0; plane]].concat(),
            (4, 3) if opaque => self.values[..3 * plane].to_vec(),
            (4, 2) if grey => [of(0), of(3)].concat(),
            (3, 2) if grey => [of(0), &vec![255.0; plane][..]].concat(),
            (1, 2) => [of(0), &vec![255.0; plane][..]].concat(),
            (2, 4) => [&of(0).repeat(3)[..], of(1)].concat(),
            (3 | 4, 1) if opaque && grey => of(0).to_vec(),
            _ => return None,
        };
        Some(Self { channels, values, ..*self })
    }

    /// Writes it as its kind; values are rounded to its depth.
    ///
    /// # Errors
    /// What the file system says.
    ///
    /// # Panics
    /// When the values are not those of the shape.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        assert_eq!(self.values.len(), self.channels * self.height * self.width, "values of another shape");
        let bytes = self.encoded().map_err(|e| DataError::write(path)(io::Error::other(e)))?;
        write::atomic(path, |out| out.write_all(&bytes)).map_err(DataError::write(path))
    }

    fn encoded(&self) -> Result<Vec<u8>, ImageError> {
        if let Some(clear) = self.with_channels(4).filter(|_| self.channels == 2) {
            return clear.encoded();
        }
        let (w, h, plane) = (self.width as u32, self.height as u32, self.height * self.width);
        let levels = |most: f32| {
            (0..plane * self.channels).map(move |k| {
                let v = self.values[k % self.channels * plane + k / self.channels] / 255.0;
                (v.clamp(0.0, 1.0) * most).round()
            })
        };
        let mut out = Vec::new();
        if self.kind == (PictureKind::Png { deep: true }) {
            let bytes: Vec<u8> = levels(65_535.0).flat_map(|v| (v as u16).to_ne_bytes()).collect();
            let colour = match self.channels {
                1 => ExtendedColorType::L16,
                3 => ExtendedColorType::Rgb16,
                _ => ExtendedColorType::Rgba16,
            };
            PngEncoder::new(&mut out).write_image(&bytes, w, h, colour)?;
            return Ok(out);
        }
        let bytes: Vec<u8> = levels(255.0).map(|v| v as u8).collect();
        let colour = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        match self.kind {
            // JPEG has no alpha: such a picture stays a PNG.
            PictureKind::Jpeg if self.channels != 4 => {
                JpegEncoder::new_with_quality(&mut out, 95).write_image(&bytes, w, h, colour)?;
            }
            PictureKind::WebP => {
                // It has no grey.
                let (bytes, colour) = match self.channels {
                    1 => (bytes.iter().flat_map(|v| [*v; 3]).collect(), ExtendedColorType::Rgb8),
                    _ => (bytes, colour),
                };
                WebPEncoder::new_lossless(&mut out).write_image(&bytes, w, h, colour)?;
            }
            PictureKind::Bmp => BmpEncoder::new(&mut out).write_image(&bytes, w, h, colour)?,
            _ => PngEncoder::new(&mut out).write_image(&bytes, w, h, colour)?,
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(channels: usize, kind: PictureKind) -> PictureFile {
        let deep = kind == PictureKind::Png { deep: true };
        let (height, width) = (5, 7);
        let value = |i: usize| if deep { (i * 1_871 % 65_536) as f32 / 257.0 } else { (i * 37 % 256) as f32 };
        PictureFile { channels, height, width, values: (0..channels * height * width).map(value).collect(), kind }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [PictureKind::Png { deep: false }, PictureKind::Png { deep: true }, PictureKind::WebP, PictureKind::Bmp] {
            for channels in [1, 3, 4] {
                let path = folder.path().join(format!("p.{}", kind.ending()));
                let whole = picture(channels, kind);
                whole.save(&path).unwrap();
                let back = PictureFile::read(&path).unwrap();
                let back = back.with_channels(channels).unwrap();
                assert_eq!((back.kind, back.height, back.width), (kind, 5, 7));
                let largest = whole.values.iter().zip(&back.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(largest < 1e-4, "{kind:?} {channels}: {largest}");
            }
        }
        let path = folder.path().join("p.jpg");
        let flat = PictureFile { values: vec![77.0; 35], ..picture(1, PictureKind::Jpeg) };
        flat.save(&path).unwrap();
        let back = PictureFile::read(&path).unwrap();
        assert!(back.kind == PictureKind::Jpeg && back.values.iter().all(|v| (v - 77.0).abs() <= 1.0));
        std::fs::write(&path, b"\x89PNG\r\n\x1a\nno more").unwrap();
        assert!(PictureFile::read(&path).unwrap_err().to_string().contains("p.jpg"));
    }

    #[test]
    fn channels_change_only_where_nothing_is_lost() {
        let colour = picture(3, PictureKind::Png { deep: false });
        assert!(colour.with_channels(1).is_none());
        let clear = colour.with_channels(4).unwrap();
        assert_eq!(clear.with_channels(3).unwrap().values, colour.values);
        let grey = picture(1, PictureKind::Png { deep: false });
        let veiled = PictureFile { channels: 2, values: [&grey.values[..], &vec![9.0; 35][..]].concat(), ..grey.clone() };
        assert_eq!(veiled.with_channels(4).unwrap().with_channels(2).unwrap(), veiled);
        assert_eq!(grey.with_channels(4).unwrap().with_channels(1).unwrap().values, grey.values);
        let mut half = clear.clone();
        half.values[3 * 35] = 100.0;
        assert!(half.with_channels(3).is_none());
    }
}
