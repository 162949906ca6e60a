//! Synthetic sets, functions of their name alone: points in the plane, heartbeats, bits, a table, dead leaves.
//!
//! A name is `NAME`, `NAME:n` (n examples) or, for two of them, `NAME:n:DETAIL`. The laws of `swiss-roll`, `binary-heartbeat` and `table` are
//! known: [`crate::roll`], [`crate::pulse`], [`crate::joint`].

use crate::categories::bits;
use crate::dataset::Storage;
use crate::{DataError, Dataset, Shape, Value, heartbeat, joint, leaves, pulse, roll};
use rayon::prelude::*;
use scorefield_tensor::Purpose;
use scorefield_tensor::noise::Stream;
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

type Draw = fn(&Stream, [f64; 2]) -> [f64; 2];

const SETS: [(&str, Draw); 3] = [
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

/// A spiral of one and a half turns with noise across it.
fn rolled(s: &Stream, z: [f64; 2], noise: f64) -> [f64; 2] {
    let [x, y] = roll::spiral(1.5 * PI * (1.0 + 2.0 * s.uniform(20)));
    [x + noise * z[0], y + noise * z[1]]
}

/// More examples than this are not made.
const MOST: usize = 1 << 22;
/// Nor are more bytes of pictures.
const MOST_BYTES: usize = 1 << 32;

/// `NAME`, `NAME:n` or `NAME:n:DETAIL`; 10,000 examples unless said otherwise.
pub(crate) fn open(spec: &str, name: &str) -> Result<Dataset, DataError> {
    let unknown = || {
        let others = ["heartbeat", "binary-heartbeat", "table", "dead-leaves"];
        let names: Vec<_> =
            ["swiss-roll"].into_iter().chain(SETS.map(|s| s.0)).chain(others).map(|n| format!("toy:{n}")).collect();
        let expected = format!(
            "one of {} (and `:n` for n examples, at most {MOST}; `toy:swiss-roll:n:NOISE` has noise of a deviation from 1e-5 to 10, \
             `toy:dead-leaves:n:HxW` pictures of H lines and W columns, from {} to {}, together at most 4 GiB)",
            names.join(", "),
            leaves::SIDES.start(),
            leaves::SIDES.end(),
        );
        DataError::Missing { spec: spec.into(), expected }
    };
    let mut parts = name.splitn(3, ':');
    let name = parts.next().unwrap_or_default();
    let n = parts.next().map_or(Some(10_000), |n| n.parse().ok()).filter(|n| (1..=MOST).contains(n)).ok_or_else(unknown)?;
    let detail = parts.next();
    let stream = |i: usize| Stream::new(0, i as u64, Purpose::Synthetic, 0, 0);
    let vectors = |dim: usize, values: Vec<f32>| Dataset::from_rows(spec, Shape::Vector { dim }, values, None);
    let points = |draw: &dyn Fn(&Stream, [f64; 2]) -> [f64; 2]| {
        let point = |i: usize| {
            let mut z = [0.0; 4];
            stream(i).fill_normal(&mut z);
            draw(&stream(i), [z[0], z[1]]).map(|v| v as f32)
        };
        vectors(2, (0..n).flat_map(point).collect())
    };
    match (name, detail) {
        ("swiss-roll", detail) => {
            let noise = detail.map_or(Some(roll::NOISE), |d| d.parse().ok());
            let law = noise.and_then(roll::Roll::new).ok_or_else(unknown)?;
            Ok(points(&|s, z| rolled(s, z, law.noise())))
        }
        ("dead-leaves", detail) => {
            let side = |text: &str| text.parse().ok().filter(|s| leaves::SIDES.contains(s));
            let sides = |d: &str| d.split_once('x').and_then(|(h, w)| Some([side(h)?, side(w)?]));
            let [height, width] = detail.map_or(Some([leaves::SIDE; 2]), sides).ok_or_else(unknown)?;
            if n * height * width > MOST_BYTES {
                return Err(unknown());
            }
            let pictures: Vec<Vec<u8>> = (0..n).into_par_iter().map(|i| leaves::draw(&stream(i), [height, width])).collect();
            let shape = Shape::Image { channels: 1, height, width };
            Ok(Dataset::new(spec, shape, Value::Byte, Storage::Bytes(Arc::new(pictures.concat())), n))
        }
        ("heartbeat", None) => {
            let values: Vec<Vec<f32>> = (0..n).into_par_iter().map(|i| heartbeat::draw(&stream(i))).collect();
            Ok(vectors(heartbeat::LENGTH, values.concat()))
        }
        ("binary-heartbeat", None) => {
            let data = vectors(pulse::LENGTH, (0..n).flat_map(|i| pulse::draw(&stream(i))).collect());
            Ok(data.with_categories(vec![bits(); pulse::LENGTH]))
        }
        ("table", None) => {
            let mut up_to = joint::probabilities();
            (1..up_to.len()).for_each(|i| up_to[i] += up_to[i - 1]);
            let row = |i: usize| joint::row(joint::draw(&stream(i), &up_to)).map(|k| k as f32);
            let (columns, categories) = joint::names();
            let mut data = vectors(columns.len(), (0..n).flat_map(row).collect()).with_categories(categories);
            data.channels = columns;
            Ok(data)
        }
        (name, None) => {
            let (_, draw) = SETS.iter().find(|s| s.0 == name).ok_or_else(unknown)?;
            Ok(points(draw))
        }
        _ => Err(unknown()),
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
        let wrong = [
            "moons:0",
            "moons:x",
            "moons:99999999999",
            "sun",
            "moons:5:0.1",
            "swiss-roll:5:0",
            "swiss-roll:5:x",
            "swiss-roll:5:0.1:1",
            "table:5:1",
            "dead-leaves:5:7x8",
            "dead-leaves:5:8x513",
            "dead-leaves:5:8",
            "dead-leaves:4000000:512x512",
        ];
        for wrong in wrong {
            assert!(open(wrong, wrong).unwrap_err().to_string().contains("toy:dead-leaves"), "{wrong}");
        }
    }

    /// What has been drawn stays what it is, bit for bit.
    #[test]
    fn sets_are_frozen() {
        let frozen = [
            ("swiss-roll:500", "e9154bd4e6c34a5e8422037674998bf1"),
            ("moons:500", "d717b880175a13c35f0b209fd66919f3"),
            ("dead-leaves:20", "9c4774d8815203185dc71905319ac818"),
            ("heartbeat:100", "eacb7212c9bcede93456903f4a8c4bbb"),
        ];
        for (name, fingerprint) in frozen {
            assert_eq!(rows(&format!("toy:{name}")).0.fingerprint(), fingerprint, "{name}");
        }
        assert_eq!(rows("toy:swiss-roll:50").1, rows("toy:swiss-roll:50:0.03").1);
        assert_eq!(rows("toy:dead-leaves:5").1, rows("toy:dead-leaves:5:32x32").1);
    }

    /// Chi-square of counts against probabilities, per degree of freedom.
    fn chi_square(counts: &[usize], probabilities: &[f64]) -> f64 {
        let n = counts.iter().sum::<usize>() as f64;
        let term = |(&c, p): (&usize, &f64)| (c as f64 - n * p).powi(2) / (n * p);
        counts.iter().zip(probabilities).map(term).sum::<f64>() / (counts.len() - 1) as f64
    }

    /// Five sequences, each in a fifth of the rows.
    #[test]
    fn binary_hearts_beat_every_fifth_time() {
        let (data, sequences) = rows("toy:binary-heartbeat:5000");
        assert_eq!((data.shape(), data.value()), (Shape::Vector { dim: 20 }, Value::Category));
        assert!((0..20).all(|c| data.categories(c) == Some(&bits()[..])));
        let support = pulse::support();
        assert!(support.iter().all(|s| s.iter().sum::<f32>() == 4.0 && (5..20).all(|i| s[i] == s[i - 5])));
        let mut counts = [0; 5];
        sequences.iter().for_each(|s| counts[support.iter().position(|t| t == s).unwrap()] += 1);
        // Four degrees of freedom: above 5 in less than one of 1,900 draws.
        assert!(chi_square(&counts, &[0.2; 5]) < 5.0, "{counts:?}");
    }

    /// Rows occur as often as the joint law says, and the law is the chain it is said to be: dependent, no category rare.
    #[test]
    fn the_table_has_its_law() {
        let (data, table) = rows("toy:table:60000");
        assert_eq!((data.value(), data.channels()), (Value::Category, &["a", "b", "c"].map(String::from)[..]));
        assert_eq!((0..3).map(|c| data.categories(c).unwrap().len()).collect::<Vec<_>>(), joint::LEVELS);
        assert_eq!(data.categories(2).unwrap()[4], "c4");
        let law = joint::probabilities();
        assert!((law.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        let mut counts = [0; 60];
        table.iter().for_each(|r| counts[(r[0] as usize * 4 + r[1] as usize) * 5 + r[2] as usize] += 1);
        assert!((0.4..1.8).contains(&chi_square(&counts, &law)), "{counts:?}");
        let sum = |keep: &dyn Fn([usize; 3]) -> bool| (0..60).filter(|&p| keep(joint::row(p))).map(|p| law[p]).sum::<f64>();
        let information = |of: &dyn Fn([usize; 3]) -> [usize; 2]| -> f64 {
            let term = |x: usize, y: usize| {
                let p = sum(&|r| of(r) == [x, y]);
                if p > 0.0 { p * (p / sum(&|r| of(r)[0] == x) / sum(&|r| of(r)[1] == y)).ln() } else { 0.0 }
            };
            (0..5).flat_map(|x| (0..5).map(move |y| (x, y))).map(|(x, y)| term(x, y)).sum()
        };
        let (first, second, ends) =
            (information(&|r| [r[0], r[1]]), information(&|r| [r[1], r[2]]), information(&|r| [r[0], r[2]]));
        assert!(first > 0.1 && second > 0.1 && ends > 0.01 && ends < first.min(second), "{first} {second} {ends}");
        let least =
            (0..3).flat_map(|c| (0..joint::LEVELS[c]).map(move |k| (c, k))).map(|(c, k)| sum(&|r| r[c] == k)).fold(1.0, f64::min);
        assert!(least > 0.09, "{least}");
    }

    /// A thicker roll is the same spiral with the same normals, longer.
    #[test]
    fn rolls_have_the_noise_they_say() {
        let (thin, thick) = (rows("toy:swiss-roll:50:0.1").1, rows("toy:swiss-roll:50:0.3").1);
        for (i, (a, b)) in thin.iter().zip(&thick).enumerate() {
            let centre = spiral_of(i);
            a.iter()
                .zip(b)
                .zip(centre)
                .for_each(|((a, b), c)| assert!((3.0 * (f64::from(*a) - c) - (f64::from(*b) - c)).abs() < 1e-5));
        }
    }

    fn spiral_of(i: usize) -> [f64; 2] {
        rolled(&Stream::new(0, i as u64, Purpose::Synthetic, 0, 0), [0.0; 2], 0.0)
    }

    /// Twice the side is the same picture, seen twice as fine, and what is not square is covered too.
    #[test]
    fn leaves_have_any_size() {
        let (small, large) = (rows("toy:dead-leaves:3:16x16").1, rows("toy:dead-leaves:3:32x32").1);
        for (small, large) in small.iter().zip(&large) {
            let same = (0..256).filter(|i| small[*i] == large[i / 16 * 64 + i % 16 * 2]).count();
            assert!(same > 240, "{same}");
        }
        let (data, wide) = rows("toy:dead-leaves:2:8x512");
        assert_eq!(data.shape(), Shape::Image { channels: 1, height: 8, width: 512 });
        for picture in wide {
            // The longest run of one grey: a leaf is at most 8 wide, what is left open would be wider.
            let run = picture[..512].chunk_by(|a, b| a == b).map(<[f32]>::len).max().unwrap();
            assert!((2..=12).contains(&run), "{run}");
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
