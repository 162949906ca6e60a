//! One picture file as bytes of the size and channels asked for.
//!
//! Every picture becomes 8-bit RGBA first, is resized there (colours weighted by their alpha, so that what is transparent does not
//! bleed), and is then laid on the background or keeps its alpha.

use fast_image_resize as fir;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbaImage};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How a picture is brought to the size asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// The shorter side is resized, the longer cut off on both ends.
    #[default]
    Crop,
    /// The longer side is resized, the shorter filled up on both ends: with the background, or with nothing where alpha is kept.
    Pad,
    /// Both sides are resized, each by its own factor.
    Stretch,
}

/// Which channels pictures are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChannelPolicy {
    /// Alpha is kept if any picture has transparency; otherwise colour if at least half of the pictures have it, else grey.
    #[default]
    Auto,
    /// One channel, transparent parts on white.
    Grey,
    /// Red, green, blue, transparent parts on white.
    Rgb,
    /// Red, green, blue, alpha.
    Rgba,
    /// Red, green, blue, transparent parts on this colour.
    OnBackground([u8; 3]),
}

/// What a picture needs to be shown as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Grey,
    Colour,
    Transparent,
}

/// What every picture of a set is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub size: [usize; 2],
    pub fit: Fit,
    pub channels: usize,
    pub background: [u8; 3],
}

/// [`whole`] as 8-bit RGBA.
pub(crate) fn decode(path: &Path) -> Result<RgbaImage, String> {
    Ok(whole(path)?.0.into_rgba8())
}

/// Decodes by content, whatever the ending says, with bounded memory and the rotation that the camera noted; and what kind of file it is.
pub(crate) fn whole(path: &Path) -> Result<(DynamicImage, Option<ImageFormat>), String> {
    let mut reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(|e| e.to_string())?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(1 << 15), Some(1 << 15));
    reader.limits(limits);
    let format = reader.format();
    let mut decoder = reader.into_decoder().map_err(|e| e.to_string())?;
    let orientation = decoder.orientation().map_err(|e| e.to_string())?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| e.to_string())?;
    picture.apply_orientation(orientation);
    if picture.width() == 0 || picture.height() == 0 {
        return Err("a picture of no pixel".into());
    }
    Ok((picture, format))
}

/// What the pixels of a picture are, whatever its file could hold: a colour file of grey pixels is grey.
pub(crate) fn kind(picture: &RgbaImage) -> Kind {
    let mut kind = Kind::Grey;
    for [r, g, b, a] in picture.pixels().map(|p| p.0) {
        if a != 255 {
            return Kind::Transparent;
        }
        if r != g || g != b {
            kind = Kind::Colour;
        }
    }
    kind
}

fn resized(source: &RgbaImage, height: u32, width: u32, crop: bool) -> Result<RgbaImage, String> {
    let mut out = DynamicImage::new_rgba8(width, height);
    let mut options = fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3));
    if crop {
        options = options.fit_into_destination(Some((0.5, 0.5)));
    }
    let source = DynamicImage::from(source.clone());
    fir::Resizer::new().resize(&source, &mut out, &options).map_err(|e| e.to_string())?;
    Ok(out.into_rgba8())
}

fn resize(picture: &RgbaImage, [height, width]: [usize; 2], fit: Fit) -> Result<RgbaImage, String> {
    let (h, w) = (height as u32, width as u32);
    match fit {
        Fit::Crop | Fit::Stretch => resized(picture, h, w, fit == Fit::Crop),
        Fit::Pad => {
            let scale = (f64::from(h) / f64::from(picture.height())).min(f64::from(w) / f64::from(picture.width()));
            let side = |n: u32, most: u32| ((f64::from(n) * scale).round() as u32).clamp(1, most);
            let (inner_h, inner_w) = (side(picture.height(), h), side(picture.width(), w));
            let inner = resized(picture, inner_h, inner_w, false)?;
            let mut out = RgbaImage::new(w, h);
            image::imageops::replace(&mut out, &inner, i64::from((w - inner_w) / 2), i64::from((h - inner_h) / 2));
            Ok(out)
        }
    }
}

/// A picture as the plan has it: `channels * height * width` bytes, channel by channel.
pub(crate) fn row(picture: &RgbaImage, plan: &Plan) -> Result<Vec<u8>, String> {
    let same = (picture.height() as usize, picture.width() as usize) == (plan.size[0], plan.size[1]);
    let fitted;
    let picture = if same {
        picture
    } else {
        fitted = resize(picture, plan.size, plan.fit)?;
        &fitted
    };
    let plane = plan.size[0] * plan.size[1];
    let mut out = vec![0; plan.channels * plane];
    for (i, [r, g, b, a]) in picture.pixels().map(|p| p.0).enumerate() {
        if plan.channels == 4 {
            [r, g, b, a].into_iter().enumerate().for_each(|(c, v)| out[c * plane + i] = v);
            continue;
        }
        let alpha = u32::from(a);
        let mix = |v: u8, ground: u8| ((u32::from(v) * alpha + u32::from(ground) * (255 - alpha) + 127) / 255) as u8;
        let [r, g, b] = [mix(r, plan.background[0]), mix(g, plan.background[1]), mix(b, plan.background[2])];
        if plan.channels == 3 {
            [r, g, b].into_iter().enumerate().for_each(|(c, v)| out[c * plane + i] = v);
        } else {
            // ITU-R BT.709; the weights add up to one, so that grey stays as it is.
            out[i] = ((2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b) + 5000) / 10_000) as u8;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgba;

    fn plan(size: [usize; 2], fit: Fit, channels: usize) -> Plan {
        Plan { size, fit, channels, background: [255; 3] }
    }

    /// A picture twice as wide as high, left half black, right half white.
    fn halves() -> RgbaImage {
        RgbaImage::from_fn(8, 4, |x, _| if x < 4 { Rgba([0, 0, 0, 255]) } else { Rgba([255; 4]) })
    }

    #[test]
    fn fits_are_what_they_say() {
        let columns = |fit: Fit, channels: usize| -> Vec<u8> { row(&halves(), &plan([4, 4], fit, channels)).unwrap() };
        let crop = columns(Fit::Crop, 1);
        assert_eq!((crop[0], crop[1], crop[2], crop[3]), (0, 0, 255, 255));
        let stretch = columns(Fit::Stretch, 1);
        assert!(stretch[0] < 20 && stretch[3] > 235, "{stretch:?}");
        // Two rows of the picture between two of background.
        let pad = columns(Fit::Pad, 1);
        assert!(pad[..4] == [255; 4] && pad[12..] == [255; 4] && pad[4] < 20 && pad[7] > 235, "{pad:?}");
        let pad = columns(Fit::Pad, 4);
        assert_eq!((&pad[48..52], &pad[52..60], &pad[60..]), (&[0; 4][..], &[255; 8][..], &[0; 4][..]));
        let tall = row(&RgbaImage::from_pixel(1, 3000, Rgba([9, 9, 9, 255])), &plan([2, 2], Fit::Pad, 3)).unwrap();
        assert_eq!(tall.len(), 12);
    }

    #[test]
    fn channels_are_what_they_say() {
        let clear = RgbaImage::from_pixel(1, 1, Rgba([200, 100, 0, 0]));
        let half = RgbaImage::from_pixel(1, 1, Rgba([255, 0, 0, 128]));
        let of = |p: &RgbaImage, channels, background| row(p, &Plan { background, ..plan([1, 1], Fit::Crop, channels) }).unwrap();
        assert_eq!(of(&clear, 4, [255; 3]), [200, 100, 0, 0]);
        assert_eq!(of(&clear, 3, [1, 2, 3]), [1, 2, 3]);
        assert_eq!(of(&clear, 1, [255; 3]), [255]);
        assert_eq!(of(&half, 3, [0, 0, 255]), [128, 0, 127]);
        for v in 0..=255 {
            assert_eq!(of(&RgbaImage::from_pixel(1, 1, Rgba([v, v, v, 255])), 1, [0; 3]), [v]);
        }
        assert_eq!((kind(&clear), kind(&halves())), (Kind::Transparent, Kind::Grey));
        assert_eq!(kind(&RgbaImage::from_pixel(1, 1, Rgba([1, 2, 3, 255]))), Kind::Colour);
    }
}
