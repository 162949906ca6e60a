//! A model of small pictures on a large one.
//!
//! The large picture is covered with overlapping windows of the model's size, and `D` of the whole is at every pixel the weighted mean of what the
//! windows that hold it say (Bar-Tal et al. 2023, MultiDiffusion, eq. 5): one state, one run, no seams. The weight of a pixel in a window
//! falls linearly to the window's edges. What is farther away than a window is not known to the model.

use scorefield_process::{Denoiser, Differentiable, Process};
use scorefield_tensor::{Batch, DType, Device, batch_f64};

/// Why a picture cannot be tiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TilesError {
    /// A side below the model's.
    #[error(
        "a picture of {width} x {height} pixels is smaller than the model's {window_width} x {window_height}; enlarge or pad it"
    )]
    Small {
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
        /// The window's width.
        window_width: usize,
        /// The window's height.
        window_height: usize,
    },
    /// An overlap that leaves no way forward.
    #[error("an overlap of {found} pixels: expected 0 to {most}, less than the model's shorter side")]
    Overlap {
        /// What was asked for.
        found: usize,
        /// The most there can be.
        most: usize,
    },
}

/// The mean of a model's answers on overlapping windows of a larger picture.
#[derive(Debug)]
pub struct Tiled<D> {
    inner: D,
    tiles: Tiles,
}

/// Where the windows are.
#[derive(Clone, Debug)]
pub(crate) struct Tiles {
    channels: usize,
    /// Height and width of a window and of the whole.
    window: [usize; 2],
    whole: [usize; 2],
    /// Rows and columns at which windows begin.
    at: [Vec<usize>; 2],
}

impl<D> Tiled<D> {
    /// Over a picture of `whole` (height, width) with windows of `window`, neighbours sharing `overlap` pixels or more.
    ///
    /// # Errors
    /// When the picture is smaller than a window, or the overlap as large as one.
    pub fn new(inner: D, channels: usize, window: [usize; 2], whole: [usize; 2], overlap: usize) -> Result<Self, TilesError> {
        if whole[0] < window[0] || whole[1] < window[1] {
            let ([height, width], [window_height, window_width]) = (whole, window);
            return Err(TilesError::Small { width, height, window_width, window_height });
        }
        let most = window[0].min(window[1]).saturating_sub(1);
        if overlap > most {
            return Err(TilesError::Overlap { found: overlap, most });
        }
        let along = |axis: usize| {
            let (side, room) = (window[axis], whole[axis] - window[axis]);
            let steps = room.div_ceil(side - overlap);
            // Evenly spread, the last at the far edge.
            (0..=steps).map(|k| (k * room).checked_div(steps).unwrap_or(0)).collect::<Vec<_>>()
        };
        Ok(Self { inner, tiles: Tiles { channels, window, whole, at: [along(0), along(1)] } })
    }

    /// How many windows there are.
    pub fn windows(&self) -> usize {
        self.tiles.at[0].len() * self.tiles.at[1].len()
    }
}

impl Tiles {
    fn places(&self) -> impl Iterator<Item = [usize; 2]> + '_ {
        self.at[0].iter().flat_map(|&i| self.at[1].iter().map(move |&j| [i, j]))
    }

    /// Window after window of every row: `[n, C H W]` to `[windows n, c h w]`.
    fn cut(&self, x: &Batch) -> Batch {
        let n = x.dims()[0];
        let whole = x.clone().reshape([n, self.channels, self.whole[0], self.whole[1]]);
        let piece = |[i, j]: [usize; 2]| {
            let piece = whole.clone().narrow(2, i, self.window[0]).narrow(3, j, self.window[1]);
            piece.reshape([n, self.channels * self.window[0] * self.window[1]])
        };
        Batch::cat(self.places().map(piece).collect(), 0)
    }

    /// The weighted mean of windows, `[windows n, c h w]` to `[n, C H W]`.
    fn blend(&self, pieces: &Batch, n: usize) -> Batch {
        let weights = self.weights(pieces.dtype(), &pieces.device());
        self.sum(pieces, n, |k, piece| piece * weights.clone().narrow(0, k, 1))
    }

    /// The transpose of [`Tiles::blend`]: `[n, C H W]` to `[windows n, c h w]`.
    fn spread(&self, v: &Batch) -> Batch {
        let n = v.dims()[0];
        let weights = self.weights(v.dtype(), &v.device());
        let pieces = self.cut(v);
        let windows = weights.dims()[0];
        let of = |k: usize| pieces.clone().narrow(0, k * n, n) * weights.clone().narrow(0, k, 1);
        Batch::cat((0..windows).map(of).collect(), 0)
    }

    /// The sum of windows where they overlap, the transpose of [`Tiles::cut`].
    fn sum(&self, pieces: &Batch, n: usize, weigh: impl Fn(usize, Batch) -> Batch) -> Batch {
        let [height, width] = self.whole;
        let mut whole =
            scorefield_tensor::Tensor::<4>::zeros([n, self.channels, height, width], (&pieces.device(), pieces.dtype()));
        for (k, [i, j]) in self.places().enumerate() {
            let (rows, columns) = (i..i + self.window[0], j..j + self.window[1]);
            let piece = weigh(k, pieces.clone().narrow(0, k * n, n)).reshape([n, self.channels, self.window[0], self.window[1]]);
            let place = [0..n, 0..self.channels, rows, columns];
            let before = whole.clone().slice(place.clone());
            whole = whole.slice_assign(place, before + piece);
        }
        whole.reshape([n, self.channels * height * width])
    }

    /// What each window's pixels count, `[windows, c h w]`: they add up to 1 at every pixel of the whole.
    fn weights(&self, dtype: DType, device: &Device) -> Batch {
        let [h, w] = self.window;
        let [height, width] = self.whole;
        let ramp = |i: usize, side: usize| (i + 1).min(side - i) as f64;
        let own = |i: usize, j: usize| ramp(i, h) * ramp(j, w);
        let mut total = vec![0.0; height * width];
        for [top, left] in self.places() {
            for (i, j) in (0..h * w).map(|p| (p / w, p % w)) {
                total[(top + i) * width + left + j] += own(i, j);
            }
        }
        let mut out = Vec::new();
        for [top, left] in self.places() {
            let plane: Vec<f64> = (0..h * w).map(|p| own(p / w, p % w) / total[(top + p / w) * width + left + p % w]).collect();
            (0..self.channels).for_each(|_| out.extend_from_slice(&plane));
        }
        batch_f64(out, self.places().count(), device).cast(dtype)
    }
}

impl<D: Denoiser> Denoiser for Tiled<D> {
    fn process(&self) -> &dyn Process {
        self.inner.process()
    }

    fn denoise(&self, x: &Batch, t: f64) -> Batch {
        self.tiles.blend(&self.inner.denoise(&self.tiles.cut(x), t), x.dims()[0])
    }
}

/// `J^T v` of the whole: what `v` weighs in each window, through the window's own, added up.
impl<D: Differentiable> Differentiable for Tiled<D> {
    fn pullback(&self, x: &Batch, t: f64, cotangent: &mut dyn FnMut(&Batch) -> Batch) -> (Batch, Batch) {
        let n = x.dims()[0];
        let mut whole = None;
        let (_, pulled) = self.inner.pullback(&self.tiles.cut(x), t, &mut |pieces| {
            let clean = self.tiles.blend(pieces, n);
            let v = self.tiles.spread(&cotangent(&clean));
            whole = Some(clean);
            v
        });
        (whole.expect("a pullback calls its cotangent"), self.tiles.sum(&pulled, n, |_, piece| piece))
    }
}
