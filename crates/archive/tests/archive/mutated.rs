//! Small files with bytes changed at random: no reader panics, hangs, or takes memory without measure.
//!
//! `cargo test` does some thousands; `SCOREFIELD_FUZZ_SECONDS=180 cargo test -p scorefield-archive --test archive fuzz -- --ignored`
//! goes on for that long with each reader, from a seed in `SCOREFIELD_FUZZ_SEED`.

use crate::files::{all_small, small};
use scorefield_archive::{Archive, Policy, open_sharded, open_with};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The generator of Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Numbers at which readers of lengths go wrong.
const EDGES: [u64; 12] =
    [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 40, 1 << 62, i64::MAX as u64, u64::MAX];

/// Instructions of pickles, to be put anywhere.
const OPS: &[u8] =
    b"().0122FIJKLMNQRSTUVXabcdeghijlopqrstu}]CBG\x81\x85\x86\x87\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96";

/// One to six changes, of which one may put in a part of another file.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(6) {
        if bytes.is_empty() {
            return;
        }
        let (at, length) = (random.below(bytes.len()), 1 + random.below(16));
        let end = (at + length).min(bytes.len());
        match random.below(9) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.next() as u8,
            3 => bytes[at] = OPS[random.below(OPS.len())],
            4 => bytes.insert(at, OPS[random.below(OPS.len())]),
            5 => drop(bytes.drain(at..end)),
            6 => {
                let part = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
            7 => {
                let edge = EDGES[random.below(EDGES.len())].to_le_bytes();
                let width = [1, 2, 4, 8][random.below(4)].min(bytes.len() - at);
                bytes[at..at + width].copy_from_slice(&edge[..width]);
            }
            _ => {
                let from = random.below(other.len());
                let part = &other[from..(from + 4 * length).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
        }
    }
}

/// Everything that can be asked of an open file, with bounds on what comes back.
fn use_up(archive: &Archive) {
    let root = archive.root();
    let _ = (root.count(), root.class(), root.need("absent").map_err(|e| e.to_string()).err());
    for (_, node) in root.entries().take(100) {
        let _ = (
            node.kind(),
            node.as_f64(),
            node.as_i64(),
            node.as_bool(),
            node.as_str(),
            node.array().map_err(|e| e.to_string()).err(),
        );
        let _ = node.list().map(|list| list.len());
    }
    match archive.arrays() {
        Ok(arrays) => {
            for array in arrays.values().filter(|a| a.len() <= 1 << 20) {
                let _ = (array.f32(), array.f64(), array.i64());
            }
        }
        Err(e) => assert!(!e.to_string().is_empty()),
    }
}

/// Opens mutated bytes under both policies, or as an index; the time of it.
fn attempt(path: &Path, bytes: &[u8]) -> Duration {
    std::fs::write(path, bytes).unwrap();
    let start = Instant::now();
    let opened = match path.extension() {
        Some(_) => vec![open_sharded(path)],
        None => vec![open_with(path, &Policy::default()), open_with(path, &Policy::keeping_unknown())],
    };
    for archive in opened {
        match archive {
            Ok(archive) => use_up(&archive),
            Err(e) => assert!(e.to_string().contains(path.parent().unwrap().to_str().unwrap())),
        }
    }
    start.elapsed()
}

/// Goes through mutations of the files of one reader until `more` says no; how many there were.
fn run(reader: &str, files: &[PathBuf], seed: u64, mut more: impl FnMut(u64) -> bool) -> u64 {
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(if reader == INDEX { "mutated.json" } else { "mutated" });
    for name in ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] {
        std::fs::copy(small(name), folder.path().join(name)).unwrap();
    }
    let mut random = Random(seed);
    let mut n = 0;
    while more(n) {
        let state = random.0;
        let mut bytes = corpus[random.below(corpus.len())].clone();
        let other = &corpus[random.below(corpus.len())];
        mutate(&mut bytes, other, &mut random);
        let took = std::panic::catch_unwind(|| attempt(&path, &bytes));
        let took = took.unwrap_or_else(|_| panic!("{reader}: state {state:#x} makes it panic"));
        assert!(took < Duration::from_secs(2), "{reader}: state {state:#x} takes {took:?}");
        n += 1;
    }
    n
}

/// The reader of indices of shards, which stand beside what it reads.
const INDEX: &str = "index";

/// The files of each reader.
fn readers() -> Vec<(&'static str, Vec<PathBuf>)> {
    let of = |ends: &[&str]| -> Vec<PathBuf> {
        let chosen = all_small().into_iter().filter(|p| ends.iter().any(|end| p.to_string_lossy().ends_with(end)));
        chosen.collect()
    };
    vec![
        ("zip", of(&["zip.pt", "zip_deflated.pt", "zip_big_endian.pt"])),
        ("legacy", of(&["legacy.pt"])),
        ("tar", of(&["tar.pt"])),
        ("pickle", of(&[".pkl"])),
        ("safetensors", of(&[".safetensors"])),
        (INDEX, vec![small("model.safetensors.index.json")]),
    ]
}

#[test]
fn some_thousand_mutations() {
    for (reader, files) in readers() {
        assert!(!files.is_empty());
        run(reader, &files, 1, |n| n < 1500);
    }
}

/// Single bits, one after another, of every small file.
#[test]
fn single_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flipped");
    for file in all_small() {
        let mut bytes = std::fs::read(&file).unwrap();
        let step = 1 + bytes.len() * 8 / 700;
        for bit in (0..bytes.len() * 8).step_by(step) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let took = attempt(&path, &bytes);
            assert!(took < Duration::from_secs(2), "{} bit {bit}: {took:?}", file.display());
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, no number")))
}

/// For minutes: the reader named in `SCOREFIELD_FUZZ_READER`, or all, one after another.
#[test]
#[ignore = "runs for SCOREFIELD_FUZZ_SECONDS with each reader"]
fn fuzz() {
    let seconds = Duration::from_secs(variable("SCOREFIELD_FUZZ_SECONDS", 60));
    let seed = variable("SCOREFIELD_FUZZ_SEED", 3);
    let only = std::env::var("SCOREFIELD_FUZZ_READER").ok();
    let mut report = String::new();
    for (reader, files) in readers() {
        if only.as_deref().is_some_and(|only| only != reader) {
            continue;
        }
        let start = Instant::now();
        let n = run(reader, &files, seed, |_| start.elapsed() < seconds);
        report.push_str(&format!("{reader}: {n} mutations; "));
    }
    std::fs::write(std::env::temp_dir().join(format!("scorefield-fuzz-{}.txt", only.unwrap_or_default())), &report).unwrap();
    assert!(!report.is_empty());
}
