//! TensorBoard event files: TFRecord frames around hand-encoded protocol buffers.
//!
//! A frame is `length: u64 | masked crc32c(length): u32 | payload | masked crc32c(payload): u32`, little-endian, where
//! `masked(c) = rotate_right(c, 15) + 0xa282ead8`. The payload is an `Event { wall_time: double = 1, step: int64 = 2,
//! file_version: string = 3, summary: Summary = 5 }`, a summary being `Value { tag = 1, simple_value = 2, image = 4 }`.
//! A frame cut short by a crash is ignored by readers, so appending needs no atomicity.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes scalars and pictures of one process to one event file.
#[derive(Debug)]
pub struct EventFile {
    file: BufWriter<File>,
    path: PathBuf,
}

impl EventFile {
    /// A new event file in `folder`, named after the time and the process so that no two sessions share one.
    ///
    /// # Errors
    /// When the folder or the file cannot be written.
    pub fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (stem, process) = (format!("events.out.tfevents.{:010}", now.as_secs()), std::process::id());
        // A process may begin two sessions within a second: the second takes the next number.
        let mut number = 0;
        let (file, path) = loop {
            let path = folder.join(format!("{stem}.{process}.{number}.scorefield"));
            match File::create_new(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                file => break (file?, path),
            }
        };
        let mut events = Self { file: BufWriter::new(file), path };
        events.event(0, |out| bytes_field(out, 3, b"brain.Event:2"))?;
        events.flush()?;
        Ok(events)
    }

    /// Where the events go.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One number of a curve.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> io::Result<()> {
        let mut item = Vec::new();
        bytes_field(&mut item, 1, tag.as_bytes());
        item.push(2 << 3 | 5);
        item.extend((value as f32).to_le_bytes());
        self.summary(step, &item)
    }

    /// One picture, as an encoded PNG.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn picture(&mut self, tag: &str, step: u64, (width, height): (u32, u32), png: &[u8]) -> io::Result<()> {
        let mut image = Vec::new();
        varint_field(&mut image, 1, u64::from(height));
        varint_field(&mut image, 2, u64::from(width));
        varint_field(&mut image, 3, 3);
        bytes_field(&mut image, 4, png);
        let mut item = Vec::new();
        bytes_field(&mut item, 1, tag.as_bytes());
        bytes_field(&mut item, 4, &image);
        self.summary(step, &item)
    }

    /// Hands what is buffered to the operating system.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn summary(&mut self, step: u64, item: &[u8]) -> io::Result<()> {
        let mut summary = Vec::new();
        bytes_field(&mut summary, 1, item);
        self.event(step, |out| bytes_field(out, 5, &summary))
    }

    fn event(&mut self, step: u64, body: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut out = vec![1 << 3 | 1];
        out.extend(now.as_secs_f64().to_le_bytes());
        varint_field(&mut out, 2, step);
        body(&mut out);
        let length = (out.len() as u64).to_le_bytes();
        self.file.write_all(&length)?;
        self.file.write_all(&masked_crc32c(&length).to_le_bytes())?;
        self.file.write_all(&out)?;
        self.file.write_all(&masked_crc32c(&out).to_le_bytes())
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_field(out: &mut Vec<u8>, field: u8, value: u64) {
    out.push(field << 3);
    varint(out, value);
}

fn bytes_field(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// CRC-32C (Castagnoli), bit by bit: events are few and short.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| if c & 1 == 1 { c >> 1 ^ 0x82F6_3B78 } else { c >> 1 })
    })
}

fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of the CRC catalogue for "123456789".
    #[test]
    fn crc_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
    }

    /// Frames can be walked and their sums hold.
    #[test]
    fn frames_are_readable() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        events.scalar("loss", 12, 0.5).unwrap();
        events.picture("samples", 300, (2, 2), b"not really a png").unwrap();
        events.flush().unwrap();
        let bytes = std::fs::read(events.path()).unwrap();
        let (mut at, mut frames) = (0, Vec::new());
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let crc = |b: &[u8]| u32::from_le_bytes(b.try_into().unwrap());
            assert_eq!(crc(&bytes[at + 8..at + 12]), masked_crc32c(&bytes[at..at + 8]));
            let payload = &bytes[at + 12..at + 12 + length];
            assert_eq!(crc(&bytes[at + 12 + length..at + 16 + length]), masked_crc32c(payload));
            frames.push(payload.to_vec());
            at += 16 + length;
        }
        assert_eq!(frames.len(), 3);
        assert!(frames[0].ends_with(b"brain.Event:2"));
        assert!(frames[1].windows(4).any(|w| w == b"loss") && frames[1].ends_with(&0.5f32.to_le_bytes()));
        assert_eq!(frames[2][9..12], [0x10, 0xAC, 0x02]);
    }
}
