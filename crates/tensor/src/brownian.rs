//! A Brownian path for each sample that refines: every grid of a seed reads the same path.
//!
//! A clock `c(t)` in [0, 1] runs from noise to data; on it lives a standard Brownian motion `B`, and the standardised increment
//! of a leg is `(B(c_s) - B(c_t)) / sqrt(c_s - c_t)`. `B` is built by Lévy's construction: `B(1)` is a normal, and the middle of an
//! interval `[a, b]` of length `2^-l` is `(B(a) + B(b)) / 2 + 2^(-l/2) z / 2`, down to `M` cells; at a share `u` of a cell
//! `B = (1 - u) B(a) + u B(b) + sqrt(u (1 - u) / M) z`, the same `z` at every `u`. The normal of interval `j` of length `2^-l` is that
//! of the stream of (seed, sample, [`Purpose::Path`], `2^l + j`), that of the whole has number 0: so a path of more cells is a finer
//! reading of the same path.
//!
//! At the cells' ends this is Brownian motion exactly, and at one point inside a cell the bridge's own law. So for times of which
//! no two lie inside one cell the joint law of all increments is **exactly** that of independent normals, while a run of 50 and
//! one of 500 steps read one and the same path; [`Brownian::fits`] tells whether a grid is such. Two times inside one cell would see the
//! same `z` and increments of too small a variance.
//!
//! A run walks through the tree once, keeping the present point and the ends of the intervals around it, at most `log2 M + 1` values a
//! number: a few times cost a few times `log2 M` normals, and 1000 steps over 1024 cells two normals a step instead of one. Requests may
//! also go back: the walk is then begun anew. What has nothing to do with the path ([`Noise::normal`]) is drawn as by [`Streams`].

use crate::noise::Stream;
use crate::{Batch, DType, Noise, Purpose, Streams, Tensor, TensorData};
use rayon::prelude::*;
use std::fmt;
use std::sync::Arc;

/// Why a grid does not fit a path.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BrownianError {
    /// The cells are too large.
    #[error(
        "times {first} and {second} lie inside one of the path's {cells} cells, where their increments would not be Brownian; \
         use more cells, or fewer steps"
    )]
    Crowded {
        /// A time.
        first: f64,
        /// The next one in the same cell.
        second: f64,
        /// Number of cells.
        cells: u32,
    },
    /// The number of cells is no power of two in range.
    #[error("a path of {found} cells: expected a power of two from 2 to {}", Brownian::MOST_CELLS)]
    Cells {
        /// What was asked for.
        found: u32,
    },
}

/// Numbers that a thread takes at least.
const NUMBERS: usize = 8192;

/// When on the path a time is: `[0, 1]`, growing from noise to data.
pub type Clock = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// The paths of a batch of samples: a [`Noise`] whose increments are those of one path whatever the grid.
#[derive(Clone)]
pub struct Brownian {
    streams: Streams,
    clock: Clock,
    cells: u32,
    /// Where the walk stands.
    here: Point,
    /// The ends of the intervals around it, the nearest last.
    ahead: Vec<Point>,
    /// Room for values, and for the normals of an interval.
    spare: Vec<Vec<f64>>,
    normals: Vec<f64>,
    /// The latest values read, newest last: place on the clock and `B sqrt(M)`.
    recent: Vec<(f64, Arc<Vec<f64>>)>,
}

/// A cell's end and `B sqrt(M)` there, row by row.
#[derive(Clone, Default)]
struct Point {
    cell: u32,
    value: Vec<f64>,
}

impl fmt::Debug for Brownian {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brownian").field("streams", &self.streams).field("cells", &self.cells).finish_non_exhaustive()
    }
}

impl Brownian {
    /// The usual number of cells: 1024.
    pub const CELLS: u32 = 1024;
    /// The largest number of cells: 2^24.
    pub const MOST_CELLS: u32 = 1 << 24;
    /// How many values are kept: the ends of a leg and a look between.
    const KEPT: usize = 3;

    /// The paths of the samples of `streams` on a clock.
    ///
    /// # Errors
    /// When `cells` is no power of two from 2 to 2^24.
    pub fn new(streams: Streams, clock: Clock, cells: u32) -> Result<Self, BrownianError> {
        if !cells.is_power_of_two() || !(2..=Self::MOST_CELLS).contains(&cells) {
            return Err(BrownianError::Cells { found: cells });
        }
        let (here, normals) = (Point::default(), Vec::new());
        Ok(Self { streams, clock, cells, here, ahead: Vec::new(), spare: Vec::new(), normals, recent: Vec::new() })
    }

    /// Whether increments between the given times are exactly Brownian: no two of them strictly inside one cell.
    ///
    /// # Errors
    /// With the first two that are.
    pub fn fits(&self, times: &[f64]) -> Result<(), BrownianError> {
        let mut last: Option<(u32, f64)> = None;
        for &t in times {
            let (cell, u) = self.place((self.clock)(t));
            if u == 0.0 {
                continue;
            }
            if let Some((_, first)) = last.filter(|(before, _)| *before == cell) {
                return Err(BrownianError::Crowded { first, second: t, cells: self.cells });
            }
            last = Some((cell, t));
        }
        Ok(())
    }

    /// The cell of a place on the clock and the share of the cell before it.
    fn place(&self, c: f64) -> (u32, f64) {
        let at = c.clamp(0.0, 1.0) * f64::from(self.cells);
        (at as u32, at.fract())
    }

    /// The normals of an interval by its number in the tree, `[n, d]`.
    fn draw(&mut self, interval: u32, n: usize, d: usize) {
        let (seed, samples) = (self.streams.seed(), self.streams.samples());
        self.normals.resize(n * d, 0.0);
        if d > 0 {
            crate::fill_normals(&mut self.normals, d, |i| Stream::new(seed, samples[i], Purpose::Path, interval, 0));
        }
    }

    /// `left a + right b + spread z` of the interval, row by row.
    fn bridge(&mut self, interval: u32, [left, right, spread]: [f64; 3], n: usize, d: usize) -> Vec<f64> {
        self.draw(interval, n, d);
        let mut value = self.spare.pop().unwrap_or_default();
        value.resize(n * d, 0.0);
        let end = &self.ahead.last().expect("an interval has an end").value;
        value.par_iter_mut().with_min_len(NUMBERS).zip(&self.here.value).zip(end).zip(&self.normals).for_each(
            |(((x, a), b), z)| {
                *x = left * a + right * b + spread * z;
            },
        );
        value
    }

    /// Walks to the end of a cell, and no further than the interval that begins there.
    fn walk(&mut self, cell: u32, n: usize, d: usize) {
        if cell < self.here.cell || self.here.value.len() != n * d {
            self.here = Point { cell: 0, value: vec![0.0; n * d] };
            self.draw(0, n, d);
            let root = f64::from(self.cells).sqrt();
            self.ahead = vec![Point { cell: self.cells, value: self.normals.iter().map(|z| root * z).collect() }];
        }
        loop {
            while let Some(next) = self.ahead.pop_if(|p| p.cell <= cell) {
                self.spare.push(std::mem::replace(&mut self.here, next).value);
            }
            if self.here.cell == cell {
                return;
            }
            self.halve(n, d);
        }
    }

    /// Puts the middle of the present interval before its end.
    fn halve(&mut self, n: usize, d: usize) {
        let (from, to) = (self.here.cell, self.ahead.last().expect("an interval has an end").cell);
        let length = to - from;
        let interval = (self.cells + from) / length;
        let value = self.bridge(interval, [0.5, 0.5, 0.5 * f64::from(length).sqrt()], n, d);
        self.ahead.push(Point { cell: from + length / 2, value });
    }

    /// `B(c) sqrt(M)`, row by row.
    fn value(&mut self, c: f64, n: usize, d: usize) -> Arc<Vec<f64>> {
        if let Some((_, value)) = self.recent.iter().find(|(at, _)| *at == c) {
            return Arc::clone(value);
        }
        let (cell, u) = self.place(c);
        self.walk(cell, n, d);
        let value = if u == 0.0 {
            self.here.value.clone()
        } else {
            while self.ahead.last().expect("a cell has an end").cell > cell + 1 {
                self.halve(n, d);
            }
            self.bridge(self.cells + cell, [1.0 - u, u, (u * (1.0 - u)).sqrt()], n, d)
        };
        if self.recent.len() == Self::KEPT {
            self.spare.extend(Arc::into_inner(self.recent.remove(0).1));
        }
        let value = Arc::new(value);
        self.recent.push((c, Arc::clone(&value)));
        value
    }
}

impl Noise for Brownian {
    #[track_caller]
    fn normal(&mut self, like: &Batch) -> Batch {
        self.streams.normal(like)
    }

    /// `(B(c_s) - B(c_t)) / sqrt(c_s - c_t)`.
    ///
    /// # Panics
    /// When the clock does not grow from `t` to `s`, or there is not one sample a row.
    #[track_caller]
    fn between(&mut self, like: &Batch, t: f64, s: f64) -> Batch {
        let [n, d] = like.dims();
        let samples = self.streams.samples().len();
        assert_eq!(samples, n, "the paths of {samples} samples asked for {n} rows");
        let (from, to) = ((self.clock)(t).clamp(0.0, 1.0), (self.clock)(s).clamp(0.0, 1.0));
        assert!(to > from, "the path's clock reads {from} at time {t} and {to} at time {s}: it must grow over a leg");
        let scale = (f64::from(self.cells) * (to - from)).sqrt().recip();
        let (start, end) = (self.value(from, n, d), self.value(to, n, d));
        let both = start.par_iter().with_min_len(NUMBERS).zip(end.as_slice());
        let options = (&like.device(), like.dtype());
        let data = if like.dtype() == DType::F64 {
            TensorData::new(both.map(|(a, b)| (b - a) * scale).collect::<Vec<f64>>(), [n, d])
        } else {
            TensorData::new(both.map(|(a, b)| ((b - a) * scale) as f32).collect::<Vec<f32>>(), [n, d])
        };
        Tensor::from_data(data, options)
    }

    fn begin(&mut self, step: u32) {
        self.streams.begin(step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch_f64, rows_f64};

    fn path(samples: std::ops::Range<u64>, cells: u32) -> Brownian {
        let streams = Streams::new(3, samples.collect(), Purpose::Solver);
        Brownian::new(streams, Arc::new(|t| 1.0 - t), cells).expect("a power of two")
    }

    /// The increments themselves over a grid of `steps` equal steps: `[step][row and entry]`.
    fn increments(path: &mut Brownian, n: usize, d: usize, steps: usize) -> Vec<Vec<f64>> {
        let like = batch_f64(vec![0.0; n * d], n, &Default::default());
        let time = |i: usize| 1.0 - i as f64 / steps as f64;
        let mut leg = |i: usize| rows_f64(path.between(&like, time(i), time(i + 1)));
        (0..steps).map(|i| leg(i).into_iter().map(|w| w / (steps as f64).sqrt()).collect()).collect()
    }

    /// What 50 steps see is the sum of what 500 see, also where the cells do not fit the grids.
    #[test]
    fn fine_increments_add_up_to_coarse_ones() {
        for cells in [1024, 4096] {
            let fine = increments(&mut path(0..4, cells), 4, 3, 500);
            let coarse = increments(&mut path(0..4, cells), 4, 3, 50);
            for (k, coarse) in coarse.iter().enumerate() {
                for (j, whole) in coarse.iter().enumerate() {
                    let sum: f64 = fine[10 * k..10 * (k + 1)].iter().map(|w| w[j]).sum();
                    assert!((sum - whole).abs() < 1e-12, "{cells} cells, step {k}, entry {j}: {sum} {whole}");
                }
            }
        }
    }

    /// A path of more cells is the same path, read more finely.
    #[test]
    fn more_cells_refine_the_path() {
        let [coarse, fine] = [64, 4096].map(|cells| increments(&mut path(0..4, cells), 4, 3, 64));
        for (a, b) in coarse.iter().flatten().zip(fine.iter().flatten()) {
            assert!((a - b).abs() < 1e-13, "{a} {b}");
        }
        // A look at the middle of a cell sees the normal that would halve it.
        let [inside, end] = [64, 128].map(|cells| increments(&mut path(0..4, cells), 4, 3, 128));
        for (a, b) in inside.iter().flatten().zip(end.iter().flatten()) {
            assert!((a - b).abs() < 1e-13, "{a} {b}");
        }
    }

    /// Standardised increments are independent standard normals: the mean square and the products of neighbours, also with
    /// times inside the cells, within five standard errors.
    #[test]
    fn increments_have_the_law_of_brownian_motion() {
        for steps in [300, 777, 1024] {
            let w: Vec<Vec<f64>> = increments(&mut path(0..50, 1024), 50, 4, steps);
            let z: Vec<f64> = w.iter().flatten().map(|v| v * (steps as f64).sqrt()).collect();
            let n = z.len() as f64;
            let square = z.iter().map(|v| v * v).sum::<f64>() / n;
            assert!((square - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{steps} steps: variance {square}");
            for lag in [1, 2, 50] {
                let product = z.iter().zip(&z[200 * lag..]).map(|(a, b)| a * b).sum::<f64>() / n;
                assert!(product.abs() < 5.0 / n.sqrt(), "{steps} steps, {lag} apart: {product}");
            }
            let fourth = z.iter().map(|v| v.powi(4)).sum::<f64>() / n;
            assert!((fourth - 3.0).abs() < 5.0 * (96.0 / n).sqrt(), "{steps} steps: fourth moment {fourth}");
        }
    }

    /// A time alone in its cell has the bridge's variance at every share of the cell: the increments to the cell's two ends.
    #[test]
    fn the_inside_of_a_cell_is_a_bridge() {
        let n = 20_000;
        let like = batch_f64(vec![0.0; n], n, &Default::default());
        for u in [0.1, 0.5, 0.8] {
            let mut path = path(0..n as u64, 2);
            let middle = 1.0 - 0.5 * u;
            let [a, b] = [(1.0, middle), (middle, 0.5)].map(|(t, s)| rows_f64(path.between(&like, t, s)));
            let mean = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(&b).map(|(a, b)| f(*a, *b)).sum::<f64>() / n as f64;
            let error = 5.0 * (2.0 / n as f64).sqrt();
            assert!((mean(&|a, _| a * a) - 1.0).abs() < error && (mean(&|_, b| b * b) - 1.0).abs() < error, "{u}");
            assert!(mean(&|a, b| a * b).abs() < error, "{u}");
        }
    }

    /// A row depends on its sample alone, and on neither the batch nor the order of the requests.
    #[test]
    fn rows_depend_on_their_sample_alone() {
        let whole = increments(&mut path(0..5, 1024), 5, 3, 100);
        let part = increments(&mut path(3..4, 1024), 1, 3, 100);
        assert!(whole.iter().zip(&part).all(|(w, p)| w[9..12] == p[..]));
        let like = batch_f64(vec![0.0; 3], 1, &Default::default());
        let mut back = path(3..4, 1024);
        for i in (0..100).rev() {
            let w = rows_f64(back.between(&like, 1.0 - f64::from(i) / 100.0, 1.0 - f64::from(i + 1) / 100.0));
            let w: Vec<f64> = w.iter().map(|w| w / 10.0).collect();
            assert_eq!(w, part[i as usize], "step {i}");
        }
    }

    /// A grid too fine for the cells is told so, and with more cells is not.
    #[test]
    fn crowded_grids_are_refused() {
        let times = |n: usize| (0..=n).map(|i| 1.0 - i as f64 / n as f64).collect::<Vec<_>>();
        assert_eq!(path(0..1, 1024).fits(&times(1000)), Ok(()));
        let refused = path(0..1, 1024).fits(&times(3000)).expect_err("three times a cell");
        assert!(refused.to_string().contains("1024 cells"), "{refused}");
        assert_eq!(path(0..1, 4096).fits(&times(3000)), Ok(()));
        let streams = Streams::new(3, vec![0], Purpose::Solver);
        assert_eq!(Brownian::new(streams, Arc::new(|t| t), 1000).expect_err("no power"), BrownianError::Cells { found: 1000 });
    }
}
