//! Sets of points in the plane, functions of their name and size alone.

use crate::{DataError, Dataset, Shape};
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use std::f64::consts::{PI, TAU};

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

/// `NAME` or `NAME:n`; 10,000 points unless said otherwise.
pub(crate) fn open(spec: &str, name: &str) -> Result<Dataset, DataError> {
    let (name, n) = name.split_once(':').map_or((name, Some(10_000)), |(name, n)| (name, n.parse().ok().filter(|&n| n > 0)));
    let found = SETS.iter().find(|s| s.0 == name);
    let (Some((_, draw)), Some(n)) = (found, n) else {
        let names: Vec<_> = SETS.iter().map(|s| format!("toy:{}", s.0)).collect();
        return Err(DataError::Missing {
            spec: spec.into(),
            expected: format!("one of {} (and `:n` for n points)", names.join(", ")),
        });
    };
    let point = |i: usize| {
        let stream = Stream::new(0, i as u64, Purpose::Synthetic, 0, 0);
        let mut z = [0.0; 4];
        stream.fill_normal(&mut z);
        draw(&stream, [z[0], z[1]]).map(|v| v as f32)
    };
    Ok(Dataset::from_rows(spec, Shape::Vector { dim: 2 }, (0..n).flat_map(point).collect(), None))
}
