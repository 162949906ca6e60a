//! Synthetic sets, functions of their name and size alone: points in the plane, heartbeats, dead leaves.

use crate::dataset::Storage;
use crate::{DataError, Dataset, Shape, Value, heartbeat, leaves};
use rayon::prelude::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

type Draw = fn(&Stream, [f64; 2]) -> [f64; 2];

const SETS: [(&str, Draw); 4] = [
    // A spiral of one and a half turns with noise across it.
    ("swiss-roll", |s, z| {
        let a = 1.5 * PI * (1.0 + 2.0 * s.uniform(20));
        [a * a.cos() / 10.0 + 0.03 * z[0], a * a.sin() / 10.0 + 0.03 * z[1]]
    }),
    // Two half circles that interlock.
    ("moons", |s, z| {
        let a = PI * s.uniform(20);
        let (x, y) = if s.uniform(21) < 0.5 { (a.cos(), a.sin()) } else { (1.0 - a.cos(), 0.5 - a.sin()) };
        [x - 0.5 + 0.05 * z[0], y - 0.25 + 0.05 * z[1]]
    }),
    // The dark squares of a 4x4 board over [-2, 2]^2.
    ("checkerboard", |s, _| {
        let row = s.below(20, 4);
        let column = 2 * s.below(21, 2) + row % 2;
        [f64::from(column) + s.uniform(22) - 2.0, f64::from(row) + s.uniform(23) - 2.0]
    }),
    // Eight equal Gaussians of deviation 0.1 on a circle of radius 2.
    ("mixture", |s, z| {
        let a = TAU * f64::from(s.below(20, 8)) / 8.0;
        [2.0 * a.cos() + 0.1 * z[0], 2.0 * a.sin() + 0.1 * z[1]]
    }),
];

/// More examples than this are not made.
const MOST: usize = 1 << 22;

/// `NAME` or `NAME:n`; 10,000 examples unless said otherwise.
pub(crate) fn open(spec: &str, name: &str) -> Result<Dataset, DataError> {
    let unknown = || {
        let names: Vec<_> = SETS.iter().map(|s| s.0).chain(["heartbeat", "dead-leaves"]).map(|n| format!("toy:{n}")).collect();
        DataError::Missing {
            spec: spec.into(),
            expected: format!("one of {} (and `:n` for n examples, at most {MOST})", names.join(", ")),
        }
    };
    let (name, n) = name.split_once(':').map_or((name, Some(10_000)), |(name, n)| (name, n.parse().ok()));
    let n = n.filter(|n| (1..=MOST).contains(n)).ok_or_else(unknown)?;
    let stream = |i: usize| Stream::new(0, i as u64, Purpose::Synthetic, 0, 0);
    match name {
        "heartbeat" => {
            let values: Vec<Vec<f32>> = (0..n).into_par_iter().map(|i| heartbeat::draw(&stream(i))).collect();
            Ok(Dataset::from_rows(spec, Shape::Vector { dim: heartbeat::LENGTH }, values.concat(), None))
        }
        "dead-leaves" => {
            let pictures: Vec<Vec<u8>> = (0..n).into_par_iter().map(|i| leaves::draw(&stream(i))).collect();
            let shape = Shape::Image { channels: 1, height: leaves::SIDE, width: leaves::SIDE };
            Ok(Dataset::new(spec, shape, Value::Byte, Storage::Bytes(Arc::new(pictures.concat())), n))
        }
        _ => {
            let (_, draw) = SETS.iter().find(|s| s.0 == name).ok_or_else(unknown)?;
            let point = |i: usize| {
                let mut z = [0.0; 4];
                stream(i).fill_normal(&mut z);
                draw(&stream(i), [z[0], z[1]]).map(|v| v as f32)
            };
            Ok(Dataset::from_rows(spec, Shape::Vector { dim: 2 }, (0..n).flat_map(point).collect(), None))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(spec: &str) -> (Dataset, Vec<Vec<f32>>) {
        let data = open(spec, spec.strip_prefix("toy:").unwrap()).unwrap();
        let row = |i: usize| {
            let mut row = vec![0.0; data.shape().len()];
            data.row(i, &mut row);
            row
        };
        let rows = (0..data.len()).map(row).collect();
        (data, rows)
    }

    /// A smaller set is the beginning of a larger one, examples differ, and the values are where they should be.
    #[test]
    fn every_set_is_a_function_of_its_name() {
        for name in ["swiss-roll", "moons", "checkerboard", "mixture", "heartbeat", "dead-leaves"] {
            let (_, few) = rows(&format!("toy:{name}:5"));
            let (_, more) = rows(&format!("toy:{name}:9"));
            assert_eq!(few[..], more[..5], "{name}");
            assert!((1..9).all(|i| more[i] != more[i - 1]), "{name}");
            let most = if name == "dead-leaves" { 255.0 } else { 4.0 };
            assert!(more.iter().flatten().all(|v| v.is_finite() && v.abs() <= most), "{name}");
        }
        for wrong in ["moons:0", "moons:x", "moons:99999999999", "sun"] {
            assert!(open(wrong, wrong).unwrap_err().to_string().contains("toy:dead-leaves"), "{wrong}");
        }
    }

    /// A beat is high and narrow: each series has a peak of about 1, and is below a third of it most of the time.
    #[test]
    fn hearts_beat() {
        let (data, series) = rows("toy:heartbeat:500");
        assert_eq!((data.shape(), data.value()), (Shape::Vector { dim: 64 }, Value::Real));
        let peaks: Vec<f32> = series.iter().map(|s| s.iter().copied().fold(f32::MIN, f32::max)).collect();
        let mean = peaks.iter().sum::<f32>() / 500.0;
        assert!((0.75..1.25).contains(&mean), "{mean}");
        let low = series.iter().zip(&peaks).map(|(s, p)| s.iter().filter(|v| **v < p / 3.0).count()).sum::<usize>();
        assert!(low > 500 * 64 * 3 / 4, "{low}");
    }

    /// Greys are uniform over all pixels; neighbours are mostly of one leaf, which makes them equal, and pixels far apart are not.
    #[test]
    fn leaves_lie_on_each_other() {
        let (data, pictures) = rows("toy:dead-leaves:400");
        assert_eq!((data.shape(), data.value()), (Shape::Image { channels: 1, height: 32, width: 32 }, Value::Byte));
        let mean = pictures.iter().flatten().map(|&v| f64::from(v)).sum::<f64>() / (400.0 * 1024.0);
        // About 30 leaves are seen a picture: the mean of 12,000 uniforms has a standard error below one.
        assert!((mean - 127.5).abs() < 5.0, "{mean}");
        let equal = |step: usize| {
            let pairs = |p: &Vec<f32>| {
                (0..32 * (32 - step))
                    .filter(|i| p[i / (32 - step) * 32 + i % (32 - step)] == p[i / (32 - step) * 32 + i % (32 - step) + step])
                    .count()
            };
            pictures.iter().map(pairs).sum::<usize>() as f64 / (400.0 * 32.0 * (32 - step) as f64)
        };
        let (near, far) = (equal(1), equal(20));
        assert!((0.7..0.97).contains(&near) && far < 0.2 && far > 0.0, "{near} {far}");
    }
}
