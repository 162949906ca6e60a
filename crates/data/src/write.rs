//! Samples out: pictures, arrays, tables. Whatever is written is written beside, flushed to disk and renamed.

use crate::{Codec, DataError, Dataset, Shape, Value, npy, npz};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Calls `fill` on a new file beside `path`, flushes it to disk and renames it to `path`: under that name there is the old file or
/// the whole new one, never a part.
///
/// # Errors
/// What the file system says; the file beside is then removed.
pub fn atomic(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let (folder, beside) = beside(path)?;
    let written = (|| {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(&beside)?);
        fill(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        // The error that matters is the first one.
        let _ = fs::remove_file(&beside);
    } else {
        settle(folder);
    }
    written
}

/// Calls `fill` on a new folder beside `path` and renames it to `path`, where nothing may be: under that name there is nothing or the
/// whole folder. Files inside have to be flushed by `fill`, as [`atomic`] does.
///
/// # Errors
/// What `fill` or the file system says, or that something of that name exists; the folder beside is then removed.
pub fn atomic_folder<E: From<io::Error>>(path: &Path, fill: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    if path.symlink_metadata().is_ok() {
        return Err(io::Error::from(io::ErrorKind::AlreadyExists).into());
    }
    let (folder, beside) = beside(path)?;
    let written = (|| {
        fs::create_dir(&beside)?;
        fill(&beside)?;
        settle(&beside);
        Ok(fs::rename(&beside, path)?)
    })();
    if written.is_err() {
        let _ = fs::remove_dir_all(&beside);
    } else {
        settle(folder);
    }
    written
}

/// The folder of a path, made if need be, and a name in it to write under.
fn beside(path: &Path) -> io::Result<(&Path, PathBuf)> {
    let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file name"))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Named for process and thread: two that write the same file at once do not meet.
    let thread: String = format!("{:?}", std::thread::current().id()).chars().filter(char::is_ascii_digit).collect();
    Ok((folder, folder.join(format!(".{}.{}.{thread}.tmp", name.to_string_lossy(), std::process::id()))))
}

/// A rename is safe on disk once its folder is; file systems that cannot flush a folder do so by themselves.
fn settle(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// An 8-bit picture: grey, RGB or RGBA, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1, 3 or 4.
    pub channels: usize,
    /// `height * width * channels` bytes.
    pub bytes: Vec<u8>,
}

impl Picture {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: &[u8]) -> Self {
        Self { width, height, channels: colour.len(), bytes: colour.repeat(width * height) }
    }

    /// A state as a picture. Channels beyond grey, RGB and RGBA are shown by their mean.
    ///
    /// # Errors
    /// When the codec's shape is no picture.
    pub fn of_state(state: &[f32], codec: &Codec) -> Option<Self> {
        let Shape::Image { channels, height, width } = codec.shape() else { return None };
        let plane = height * width;
        let shown = if matches!(channels, 1 | 3 | 4) { channels } else { 1 };
        let mut natural = vec![0.0; state.len()];
        codec.decode_row(state, &mut natural);
        let mut bytes = vec![0; plane * shown];
        for i in 0..plane {
            let level = |c: usize| {
                let (low, high) = codec.bounds_of(c);
                ((f64::from(natural[c * plane + i]) - low) / (high - low) * 255.0).clamp(0.0, 255.0)
            };
            if shown == channels {
                (0..shown).for_each(|c| bytes[i * shown + c] = level(c).round() as u8);
            } else {
                bytes[i] = ((0..channels).map(level).sum::<f64>() / channels as f64).round() as u8;
            }
        }
        Some(Self { width, height, channels: shown, bytes })
    }

    /// The picture on a grey checker where it is transparent: RGB, or grey as it was.
    pub fn opaque(&self) -> Self {
        if self.channels != 4 {
            return self.clone();
        }
        let mut bytes = Vec::with_capacity(self.width * self.height * 3);
        for (i, p) in self.bytes.chunks(4).enumerate() {
            let ground = if (i % self.width / 4 + i / self.width / 4).is_multiple_of(2) { 120 } else { 152 };
            let mix = |v: u8| ((u32::from(v) * u32::from(p[3]) + ground * (255 - u32::from(p[3])) + 127) / 255) as u8;
            bytes.extend([mix(p[0]), mix(p[1]), mix(p[2])]);
        }
        Self { channels: 3, bytes, ..*self }
    }

    /// Every pixel as a square of `k` by `k`.
    pub fn enlarged(&self, k: usize) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len() * k * k);
        for row in self.bytes.chunks(self.width * self.channels) {
            let wide: Vec<u8> = row.chunks(self.channels).flat_map(|p| p.repeat(k)).collect();
            (0..k).for_each(|_| bytes.extend(&wide));
        }
        Self { width: self.width * k, height: self.height * k, channels: self.channels, bytes }
    }

    /// Puts `other` into this picture with its corner at (x, y); parts outside are cut off.
    ///
    /// # Panics
    /// When the channels differ.
    #[track_caller]
    pub fn paste(&mut self, other: &Self, x: usize, y: usize) {
        assert_eq!(self.channels, other.channels, "pictures of different channels");
        let c = self.channels;
        for row in 0..other.height.min(self.height.saturating_sub(y)) {
            let n = other.width.min(self.width.saturating_sub(x)) * c;
            let (to, from) = (((y + row) * self.width + x) * c, row * other.width * c);
            self.bytes[to..to + n].copy_from_slice(&other.bytes[from..from + n]);
        }
    }

    /// The picture as an RGB one.
    pub fn rgb(&self) -> Self {
        let opaque = self.opaque();
        if opaque.channels == 3 {
            return opaque;
        }
        Self { channels: 3, bytes: opaque.bytes.iter().flat_map(|&v| [v; 3]).collect(), ..opaque }
    }

    /// Writes a PNG.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save_png(&self, path: &Path) -> Result<(), DataError> {
        let png = self.png().map_err(DataError::write(path))?;
        atomic(path, |out| out.write_all(&png)).map_err(DataError::write(path))
    }

    /// The bytes of a PNG.
    fn png(&self) -> io::Result<Vec<u8>> {
        let mut png = Vec::new();
        let colour = match self.channels {
            1 => ExtendedColorType::L8,
            3 => ExtendedColorType::Rgb8,
            _ => ExtendedColorType::Rgba8,
        };
        PngEncoder::new(&mut png)
            .write_image(&self.bytes, self.width as u32, self.height as u32, colour)
            .map_err(io::Error::other)?;
        Ok(png)
    }
}

/// Pictures side by side, `columns` a row, two pixels apart, small ones enlarged to be seen.
///
/// # Panics
/// When there is none, or they differ in size.
pub fn grid(pictures: &[Picture], columns: usize) -> Picture {
    let first = pictures.first().expect("a grid of no picture");
    let k = (56 / first.width.max(first.height)).max(1);
    let colour = pictures.iter().any(|p| p.channels != 1);
    let ready: Vec<_> = pictures.iter().map(|p| if colour { p.rgb() } else { p.opaque() }.enlarged(k)).collect();
    let (w, h, gap) = (ready[0].width, ready[0].height, 2);
    let columns = columns.clamp(1, ready.len());
    let rows = ready.len().div_ceil(columns);
    let ground: &[u8] = if colour { &[32, 32, 32] } else { &[32] };
    let mut out = Picture::filled(columns * (w + gap) + gap, rows * (h + gap) + gap, ground);
    for (i, p) in ready.iter().enumerate() {
        out.paste(p, gap + i % columns * (w + gap), gap + i / columns * (h + gap));
    }
    out
}

/// Writes `n` states in the kind that the ending of `path` names: `.png` a grid, `.npy` or `.npz` an array of natural values, `.csv` a
/// table, no ending a folder with a PNG for each sample. Categories are named in a table, numbered from 0 in an array, and shown from
/// black, the first, to white, the last.
///
/// # Errors
/// When the kind cannot hold these data, is unknown, or the file system refuses.
pub fn samples(path: &Path, states: &[f32], n: usize, codec: &Codec) -> Result<(), DataError> {
    samples_from(path, states, n, codec, 0)
}

/// [`samples`] whose first has the number `first`, for the names of a folder's pictures.
///
/// # Errors
/// As [`samples`].
pub fn samples_from(path: &Path, states: &[f32], n: usize, codec: &Codec, first: u64) -> Result<(), DataError> {
    let d = codec.shape().len();
    let wrong = |found: String, expected: &str| DataError::Output { path: path.to_owned(), found, expected: expected.into() };
    let no_picture = || wrong(format!("{} are no pictures", codec.shape()), "an ending of .npy, .npz or .csv for vectors");
    let pictures = || -> Result<Vec<Picture>, DataError> {
        states.chunks(d).take(n).map(|s| Picture::of_state(s, codec).ok_or_else(no_picture)).collect()
    };
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match ending.as_deref() {
        Some("png") => grid(&pictures()?, (n as f64).sqrt().ceil() as usize).save_png(path),
        None => {
            fs::create_dir_all(path).map_err(DataError::write(path))?;
            let name = |i: usize| -> PathBuf { path.join(format!("{:06}.png", first + i as u64)) };
            pictures()?.iter().enumerate().try_for_each(|(i, p)| p.save_png(&name(i)))
        }
        Some("npy") => {
            let bytes = npy(states, n, codec);
            atomic(path, |out| out.write_all(&bytes)).map_err(DataError::write(path))
        }
        Some("npz") => {
            let zip = npz::archive(&[("samples", npy(states, n, codec))]).map_err(DataError::write(path))?;
            atomic(path, |out| out.write_all(&zip)).map_err(DataError::write(path))
        }
        Some("csv") => {
            let mut text = String::new();
            let names: Vec<String> = match codec.shape() {
                Shape::Vector { .. } => codec.channels().to_vec(),
                Shape::Image { .. } => (0..d).map(|i| format!("v{i}")).collect(),
            };
            // A name with a comma or a quote in it stands between quotes (RFC 4180); so does one that would read as another separator.
            let quoted = |name: &str| match name.contains([',', '"', '\n', '\r', ';', '\t']) {
                true => format!("\"{}\"", name.replace('"', "\"\"")),
                false => name.to_owned(),
            };
            let plane = codec.shape().plane();
            let cell = |(i, v): (usize, &f32)| match codec.categories(i / plane).filter(|_| v.is_finite()) {
                Some(names) => quoted(&names[*v as usize]),
                None => v.to_string(),
            };
            text.push_str(&names.iter().map(|n| quoted(n)).collect::<Vec<_>>().join(","));
            text.push('\n');
            let mut natural = vec![0.0; d];
            for state in states.chunks(d).take(n) {
                codec.decode_row(state, &mut natural);
                text.push_str(&natural.iter().enumerate().map(cell).collect::<Vec<_>>().join(","));
                text.push('\n');
            }
            atomic(path, |out| out.write_all(text.as_bytes())).map_err(DataError::write(path))
        }
        Some(other) => Err(wrong(
            format!("the ending .{other} is not one this version writes"),
            ".png (a grid), no ending (a folder of pictures), .npy, .npz or .csv",
        )),
    }
}

/// [`npy_of`] the first `n` states.
fn npy(states: &[f32], n: usize, codec: &Codec) -> Vec<u8> {
    let rows: Vec<&[f32]> = states.chunks(codec.shape().len()).take(n).collect();
    let most = codec.levels().into_iter().flatten().max().unwrap_or_default();
    npy_of((codec.value(), most, codec.shape()), rows.len(), |i, natural| codec.decode_row(rows[i], natural))
}

/// An npy file of natural values: bytes for 8-bit data and for categories if there are `most` at most 256, wider whole numbers for more,
/// f32 for the rest, of shape `[n, ...]`; `fill` puts row `i` in place.
fn npy_of((value, most, shape): (Value, usize, Shape), n: usize, mut fill: impl FnMut(usize, &mut [f32])) -> Vec<u8> {
    let dims: Vec<usize> = std::iter::once(n).chain(shape.dims()).collect();
    let kind = match value {
        Value::Byte => "|u1",
        Value::Category if most <= 256 => "|u1",
        Value::Category => "<i4",
        Value::Real => "<f4",
    };
    let mut out = npy::header(kind, &dims);
    let mut natural = vec![0.0; shape.len()];
    for i in 0..n {
        fill(i, &mut natural);
        match kind {
            "|u1" => out.extend(natural.iter().map(|&v| v as u8)),
            "<i4" => out.extend(natural.iter().flat_map(|&v| (v as i32).to_le_bytes())),
            _ => out.extend(natural.iter().flat_map(|v| v.to_le_bytes())),
        }
    }
    out
}

/// Writes a data set as it is, an `.npz` of `images` or `x` and, if it has classes, `labels`. Categories are written as their numbers, the
/// names are not.
///
/// # Errors
/// What the file system says.
pub fn dataset(path: &Path, data: &Dataset) -> Result<(), DataError> {
    let most = (0..data.channels().len()).filter_map(|c| data.categories(c)).map(<[String]>::len).max().unwrap_or_default();
    let examples = npy_of((data.value(), most, data.shape()), data.len(), |i, natural| data.row(i, natural));
    let name = if matches!(data.shape(), Shape::Image { .. }) { "images" } else { "x" };
    let mut arrays = vec![(name, examples)];
    if let Some(labels) = (0..data.len()).map(|i| data.label(i)).collect::<Option<Vec<u32>>>() {
        let mut bytes = npy::header("<i4", &[labels.len()]);
        bytes.extend(labels.iter().flat_map(|l| l.to_le_bytes()));
        arrays.push(("labels", bytes));
    }
    let zip = npz::archive(&arrays).map_err(DataError::write(path))?;
    atomic(path, |out| out.write_all(&zip)).map_err(DataError::write(path))
}

/// Writes plain numbers as an npy file of f32.
///
/// # Errors
/// What the file system says.
pub fn array(path: &Path, values: &[f32], dims: &[usize]) -> Result<(), DataError> {
    let mut bytes = npy::header("<f4", dims);
    bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    atomic(path, |out| out.write_all(&bytes)).map_err(DataError::write(path))
}

/// Writes plain numbers by name as an npz file of f32.
///
/// # Errors
/// What the file system says.
pub fn arrays(path: &Path, of: &[(&str, &[f32], &[usize])]) -> Result<(), DataError> {
    let all = of.iter().map(|(name, values, dims)| {
        let mut bytes = npy::header("<f4", dims);
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        (*name, bytes)
    });
    let zip = npz::archive(&all.collect::<Vec<_>>()).map_err(DataError::write(path))?;
    atomic(path, |out| out.write_all(&zip)).map_err(DataError::write(path))
}

/// Writes frames as an endlessly repeating GIF, `delay` milliseconds each.
///
/// # Errors
/// What the encoder or the file system says.
pub fn gif(path: &Path, frames: &[Picture], delay: u32) -> Result<(), DataError> {
    gif_resting(path, frames, delay, delay)
}

/// [`gif`] whose last frame stays for `rest` milliseconds.
///
/// # Errors
/// What the encoder or the file system says.
pub fn gif_resting(path: &Path, frames: &[Picture], delay: u32, rest: u32) -> Result<(), DataError> {
    let mut bytes = Vec::new();
    {
        let mut encoder = image::codecs::gif::GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(image::codecs::gif::Repeat::Infinite).map_err(io::Error::other).map_err(DataError::write(path))?;
        for (i, frame) in frames.iter().enumerate() {
            let rgba: Vec<u8> = frame.rgb().bytes.chunks(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
            let Some(buffer) = image::RgbaImage::from_raw(frame.width as u32, frame.height as u32, rgba) else { continue };
            let shown = if i + 1 == frames.len() { rest } else { delay };
            let delay = image::Delay::from_numer_denom_ms(shown, 1);
            let frame = image::Frame::from_parts(buffer, 0, 0, delay);
            encoder.encode_frame(frame).map_err(io::Error::other).map_err(DataError::write(path))?;
        }
    }
    atomic(path, |out| out.write_all(&bytes)).map_err(DataError::write(path))
}
