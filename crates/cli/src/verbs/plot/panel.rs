//! One noise level as a picture: the density as shades, the score as arrows, points and the ways they came.

use super::field::Field;
use crate::brush::{Clip, Paint};
use crate::canvas::{BLACK, Canvas, Colour, Face, GREY};
use crate::ramp::ramp;
use scorefield::tensor::Device;

/// Half the side of the window, in standard deviations of `x_t`.
const HALF: f64 = 2.8;
/// Of the ways and of the points at their ends.
pub(super) const WAY: Colour = [94, 230, 214];
pub(super) const POINT: Colour = [255, 255, 255];
const ARROW: Colour = [238, 236, 248];
const NIGHT: Colour = [12, 10, 30];

/// A place of the picture.
pub(super) type Place = [f64; 2];

/// How a panel looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    /// Pixels of a side.
    pub side: usize,
    /// Arrows a row.
    pub arrows: usize,
    /// Steps of the shades; 0 is smooth.
    pub bands: usize,
    /// Radius of a point.
    pub point: f64,
}

/// The shade of a density relative to the panel's peak: its root, so that thin parts are seen too.
pub(super) fn shade(relative: f64) -> f64 {
    relative.sqrt()
}

/// Where a panel lies on a canvas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    left: usize,
    top: usize,
    look: Look,
}

impl Panel {
    /// A panel with its corner at a place.
    pub(super) fn new(left: usize, top: usize, look: Look) -> Self {
        Self { left, top, look }
    }

    fn clip(&self) -> Clip {
        Clip { x0: self.left, y0: self.top, x1: self.left + self.look.side, y1: self.top + self.look.side }
    }

    fn pixel(&self, place: Place) -> (f64, f64) {
        let u = |v: f64| (v / HALF + 1.0) * 0.5 * self.look.side as f64;
        (self.left as f64 + u(place[0]), self.top as f64 + u(-place[1]))
    }

    /// The density, by a grid as fine as its details and straight lines between.
    pub(super) fn density(&self, canvas: &mut Canvas, field: &Field, t: f64) {
        let side = self.look.side;
        let cells = ((2.0 * HALF / (0.5 * field.detail(t))).ceil() as usize).clamp(24, side / 2);
        let at = |k: usize| HALF * (2.0 * k as f64 / cells as f64 - 1.0);
        let nodes: Vec<f64> =
            (0..=cells).flat_map(|j| (0..=cells).map(move |i| (i, j))).map(|(i, j)| field.density([at(i), -at(j)], t)).collect();
        let peak = nodes.iter().copied().fold(1e-300, f64::max);
        for y in 0..side {
            for x in 0..side {
                let of = |v: usize| {
                    let at = (v as f64 + 0.5) / side as f64 * cells as f64;
                    ((at as usize).min(cells - 1), at - (at as usize).min(cells - 1) as f64)
                };
                let ((i, u), (j, v)) = (of(x), of(y));
                let node = |i: usize, j: usize| nodes[j * (cells + 1) + i];
                let (above, below) =
                    (node(i, j) * (1.0 - u) + node(i + 1, j) * u, node(i, j + 1) * (1.0 - u) + node(i + 1, j + 1) * u);
                let mut value = shade((above * (1.0 - v) + below * v) / peak);
                if self.look.bands > 0 {
                    value = (value * self.look.bands as f64).round() / self.look.bands as f64;
                }
                let at = ((self.top + y) * canvas.0.width + self.left + x) * 3;
                canvas.0.bytes[at..at + 3].copy_from_slice(&ramp(value));
            }
        }
    }

    /// The middles of the cells that arrows stand in.
    pub(super) fn cells(&self) -> Vec<Place> {
        let n = self.look.arrows;
        let at = |k: usize| HALF * ((2 * k + 1) as f64 / n as f64 - 1.0);
        (0..n * n).map(|k| [at(k % n), at(k / n)]).collect()
    }

    /// The score in every cell; the length of an arrow is `ln(1 + |score|)`, the longest just fitting its cell. Returns the longest
    /// score.
    pub(super) fn scores(&self, canvas: &mut Canvas, field: &Field, t: f64, device: &Device) -> f64 {
        self.arrows(canvas, &field.scores(&self.cells(), t, device), Paint(ARROW, 0.8))
    }

    /// A vector in every cell, its length as `ln(1 + |v|)`. Returns the longest.
    pub(super) fn arrows(&self, canvas: &mut Canvas, vectors: &[Place], paint: Paint) -> f64 {
        let step = 2.0 * HALF / self.look.arrows as f64;
        let size = |s: &Place| s[0].hypot(s[1]);
        let longest = vectors.iter().map(size).filter(|v| v.is_finite()).fold(1e-12, f64::max);
        for (p, s) in self.cells().iter().zip(vectors).filter(|(_, s)| size(s).is_finite()) {
            let length = 0.94 * step * size(s).ln_1p() / longest.ln_1p();
            let half = [0, 1].map(|i| 0.5 * length * s[i] / size(s).max(1e-12));
            // The middle of an arrow is the place whose vector it is.
            let (from, to) = (self.pixel([p[0] - half[0], p[1] - half[1]]), self.pixel([p[0] + half[0], p[1] + half[1]]));
            canvas.dart(self.clip(), from, to, 1.1, paint);
        }
        longest
    }

    /// A frame on an empty panel.
    pub(super) fn frame(&self, canvas: &mut Canvas) {
        let (x, y, side) = (self.left as f64, self.top as f64, self.look.side as f64);
        for (from, to) in [((0.0, 0.0), (1.0, 0.0)), ((0.0, 1.0), (1.0, 1.0)), ((0.0, 0.0), (0.0, 1.0)), ((1.0, 0.0), (1.0, 1.0))] {
            canvas.line((x + side * from.0, y + side * from.1), (x + side * to.0, y + side * to.1), GREY, 1);
        }
    }

    /// Many points of one colour.
    pub(super) fn dots(&self, canvas: &mut Canvas, points: &[Place], paint: Paint) {
        points.iter().for_each(|place| canvas.disc(self.clip(), self.pixel(*place), self.look.point, paint));
    }

    /// The ways of points, each a line through places, and where they are now.
    pub(super) fn ways(&self, canvas: &mut Canvas, ways: &[Vec<Place>]) {
        let pixels: Vec<Vec<_>> = ways.iter().map(|way| way.iter().map(|p| self.pixel(*p)).collect()).collect();
        for way in &pixels {
            canvas.stroke(self.clip(), way, 3.2, Paint(NIGHT, 0.45));
            canvas.stroke(self.clip(), way, 1.5, Paint(WAY, 0.95));
        }
        self.points(canvas, &ways.iter().filter_map(|w| w.last().copied()).collect::<Vec<_>>());
    }

    /// Points without a way.
    pub(super) fn points(&self, canvas: &mut Canvas, points: &[Place]) {
        for place in points {
            let at = self.pixel(*place);
            canvas.disc(self.clip(), at, self.look.point + 1.0, Paint(NIGHT, 0.8));
            canvas.disc(self.clip(), at, self.look.point, Paint(POINT, 1.0));
        }
    }

    /// Short lines with growing strength: where points came from in the last steps.
    pub(super) fn tails(&self, canvas: &mut Canvas, ways: &[Vec<Place>]) {
        for way in ways {
            let n = way.len();
            for (k, pair) in way.windows(2).enumerate() {
                let strength = (k + 1) as f64 / n as f64;
                canvas.stroke_segment(self.clip(), self.pixel(pair[0]), self.pixel(pair[1]), 1.6, Paint(WAY, 0.9 * strength));
            }
        }
    }

    /// Ticks and numbers at the lower edge and, if asked for, at the left one.
    pub(super) fn axes(&self, canvas: &mut Canvas, vertical: bool) {
        let (left, top, side) = (self.left as f64, self.top as f64, self.look.side as f64);
        for value in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            let (x, _) = self.pixel([value, 0.0]);
            let (_, y) = self.pixel([0.0, value]);
            let text = format!("{value:.0}");
            let wide = Face::Small.width(&text);
            canvas.line((x, top + side), (x, top + side + 4.0), GREY, 1);
            canvas.label((x - 0.5 * wide, top + side + 7.0), &text, BLACK, Face::Small);
            if vertical {
                canvas.line((left - 5.0, y), (left - 1.0, y), GREY, 1);
                canvas.label((left - 9.0 - wide, y - 6.0), &text, BLACK, Face::Small);
            }
        }
    }
}
