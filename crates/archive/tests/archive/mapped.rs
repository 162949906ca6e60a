//! Opening a large file costs its header: neither time nor memory in proportion to its length.

use scorefield_archive::{Container, open};
use std::io::Write;
use std::time::{Duration, Instant};

const NUMBERS: u64 = 1 << 28;

fn sparse() -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let tensor = |from: u64, to: u64| format!(r#"{{"dtype":"F32","shape":[{}],"data_offsets":[{from},{to}]}}"#, (to - from) / 4);
    let all = 4 * NUMBERS;
    let header =
        format!(r#"{{"__metadata__":{{"format":"pt"}},"large":{},"small":{}}}"#, tensor(0, all - 8), tensor(all - 8, all));
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.as_file().set_len(8 + header.len() as u64 + all).unwrap();
    file
}

#[test]
fn a_gigabyte_is_not_read_to_be_described() {
    let file = sparse();
    let start = Instant::now();
    let archive = open(file.path()).unwrap();
    let arrays = archive.arrays().unwrap();
    let seen: Vec<_> = arrays.values().map(|a| (a.name(), a.shape()[0], a.dtype().name())).collect();
    let took = start.elapsed();
    assert_eq!((archive.container(), archive.metadata()["format"].as_str()), (Container::Safetensors, "pt"));
    assert_eq!(seen, [("large", (1 << 28) - 2, "f32"), ("small", 2, "f32")]);
    assert_eq!(arrays["small"].f32().unwrap(), [0.0; 2]);
    assert!(took < Duration::from_millis(200), "{took:?}");
    if cfg!(target_os = "linux") {
        let resident = resident(file.path().to_str().unwrap());
        assert!(resident < 1024, "{resident} kB of the file are in memory");
    }
}

/// Kilobytes of a mapped file that are in memory, as Linux counts them.
fn resident(path: &str) -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let of_file = maps.lines().skip_while(|line| !line.ends_with(path));
    let line = of_file.clone().find(|line| line.starts_with("Rss:")).expect("the file is mapped");
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap()
}
