//! Smooth drawing: strokes, discs and darts whose edges are blended by how much of a pixel they cover.
//!
//! The coverage of a pixel is taken from the signed distance of its centre to the edge, `clamp(1/2 - distance)`: exact for straight
//! edges along the axes and within a few hundredths for others.

use crate::canvas::{Canvas, Colour};

type Place = (f64, f64);

/// A pixel rectangle `[x0, x1) x [y0, y1)` that drawing stays in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clip {
    pub x0: usize,
    pub y0: usize,
    pub x1: usize,
    pub y1: usize,
}

/// A colour and how much of it is laid on, 0 to 1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub Colour, pub f64);

/// Distance of `p` to the segment from `a` to `b`.
fn to_segment(p: Place, a: Place, b: Place) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let along = ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / (dx * dx + dy * dy).max(1e-12);
    let u = along.clamp(0.0, 1.0);
    (p.0 - a.0 - u * dx).hypot(p.1 - a.1 - u * dy)
}

impl Canvas {
    /// Blends paint over one pixel.
    fn blend(&mut self, x: usize, y: usize, Paint(colour, much): Paint) {
        let i = (y * self.0.width + x) * 3;
        for (old, new) in self.0.bytes[i..i + 3].iter_mut().zip(colour) {
            *old = (f64::from(*old) + much * (f64::from(new) - f64::from(*old))).round() as u8;
        }
    }

    /// Lays paint by a coverage on the pixels of a box around `points`, `reach` wider on each side.
    fn cover(&mut self, clip: Clip, points: &[Place], reach: f64, paint: Paint, coverage: impl Fn(Place) -> f64) {
        let end = |values: &mut dyn Iterator<Item = f64>, least: usize, most: usize| {
            let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            // A cast to an unsigned number saturates: far outside becomes the edge.
            (((low - reach).floor() as usize).max(least), ((high + reach).ceil() as usize + 1).min(most))
        };
        let (x0, x1) = end(&mut points.iter().map(|p| p.0), clip.x0, clip.x1);
        let (y0, y1) = end(&mut points.iter().map(|p| p.1), clip.y0, clip.y1);
        for y in y0..y1 {
            for x in x0..x1 {
                let much = coverage((x as f64 + 0.5, y as f64 + 0.5)).clamp(0.0, 1.0);
                if much > 0.0 {
                    self.blend(x, y, Paint(paint.0, paint.1 * much));
                }
            }
        }
    }

    /// A line through points with round joints.
    pub(crate) fn stroke(&mut self, clip: Clip, points: &[Place], width: f64, paint: Paint) {
        // Coverage is the largest of all segments, so that joints are not painted twice.
        let (w, h) = (clip.x1.saturating_sub(clip.x0), clip.y1.saturating_sub(clip.y0));
        let mut mask = vec![0.0f32; w * h];
        let reach = 0.5 * width + 1.0;
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let from = |v: f64, w: f64, low: usize| ((v.min(w) - reach).floor() as usize).max(low);
            let to = |v: f64, w: f64, high: usize| ((v.max(w) + reach).ceil() as usize).min(high);
            for y in from(a.1, b.1, clip.y0)..to(a.1, b.1, clip.y1) {
                for x in from(a.0, b.0, clip.x0)..to(a.0, b.0, clip.x1) {
                    let d = to_segment((x as f64 + 0.5, y as f64 + 0.5), a, b);
                    let much = (0.5 * width + 0.5 - d).clamp(0.0, 1.0).min(width) as f32;
                    let cell = &mut mask[(y - clip.y0) * w + x - clip.x0];
                    *cell = cell.max(much);
                }
            }
        }
        for (i, much) in mask.into_iter().enumerate().filter(|m| m.1 > 0.0) {
            self.blend(clip.x0 + i % w, clip.y0 + i / w, Paint(paint.0, paint.1 * f64::from(much)));
        }
    }

    /// A straight line with round ends: a [`Canvas::stroke`] of two points at less cost.
    pub(crate) fn stroke_segment(&mut self, clip: Clip, a: Place, b: Place, width: f64, paint: Paint) {
        self.cover(clip, &[a, b], 0.5 * width + 1.0, paint, |p| (0.5 * width + 0.5 - to_segment(p, a, b)).min(width));
    }

    /// A filled disc.
    pub(crate) fn disc(&mut self, clip: Clip, at: Place, radius: f64, paint: Paint) {
        self.cover(clip, &[at], radius + 1.0, paint, |p| radius + 0.5 - (p.0 - at.0).hypot(p.1 - at.1));
    }

    /// An arrow: a shaft of the given width and a filled head.
    pub(crate) fn dart(&mut self, clip: Clip, from: Place, to: Place, width: f64, paint: Paint) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = dx.hypot(dy);
        if length < 0.5 {
            return;
        }
        let (ux, uy) = (dx / length, dy / length);
        let (head, half) = ((0.5 * length).min(3.2 * width + 1.6), (0.28 * length).min(1.6 * width + 0.8));
        // Shaft and head are one shape, so that half-transparent paint is even.
        let neck = length - head;
        self.cover(clip, &[from, to], half + 1.0, paint, |p| {
            let (along, across) = ((p.0 - from.0) * ux + (p.1 - from.1) * uy, ((p.1 - from.1) * ux - (p.0 - from.0) * uy).abs());
            let shaft = (0.5 * width + 0.5 - across).min(along + 0.5).min(neck - along + 0.5).min(width);
            let slope = head.hypot(half);
            let tip = (((length - along) * half - across * head) / slope + 0.5).min(along - neck + 0.5);
            shaft.max(tip)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The paint that is laid adds up to the area of the shape, wherever it lies between the pixels.
    #[test]
    fn paint_adds_up_to_the_area() {
        let clip = Clip { x0: 0, y0: 0, x1: 60, y1: 60 };
        let laid = |draw: &dyn Fn(&mut Canvas)| {
            let mut canvas = Canvas::new(60, 60, [0; 3]);
            draw(&mut canvas);
            canvas.0.bytes.iter().step_by(3).map(|&v| f64::from(v) / 255.0).sum::<f64>()
        };
        for shift in [0.0, 0.3, 0.77] {
            let disc = laid(&|c| c.disc(clip, (30.0 + shift, 29.0), 9.0, Paint([255; 3], 1.0)));
            assert!((disc / (std::f64::consts::PI * 81.0) - 1.0).abs() < 0.02, "{disc}");
            let line = laid(&|c| c.stroke(clip, &[(10.0, 10.0 + shift), (30.0, 20.0), (50.0, 20.0)], 3.0, Paint([255; 3], 1.0)));
            let area = 3.0 * (20.0f64.hypot(10.0 - shift) + 20.0) + std::f64::consts::PI * 2.25;
            assert!((line / area - 1.0).abs() < 0.03, "{line} {area}");
        }
    }

    /// What lies outside of the clip stays as it was.
    #[test]
    fn a_clip_is_kept() {
        let clip = Clip { x0: 10, y0: 10, x1: 20, y1: 20 };
        let mut canvas = Canvas::new(30, 30, [0; 3]);
        canvas.stroke(clip, &[(-50.0, 15.0), (90.0, 15.0)], 4.0, Paint([255; 3], 1.0));
        canvas.disc(clip, (10.0, 10.0), 8.0, Paint([255; 3], 1.0));
        canvas.dart(clip, (0.0, 12.0), (29.0, 12.0), 2.0, Paint([255; 3], 1.0));
        let inside = |i: usize| (10..20).contains(&(i % 30)) && (10..20).contains(&(i / 30));
        let bytes = &canvas.0.bytes;
        assert!((0..900).all(|i| inside(i) || bytes[3 * i] == 0));
        assert!((0..900).any(|i| inside(i) && bytes[3 * i] == 255));
    }
}
