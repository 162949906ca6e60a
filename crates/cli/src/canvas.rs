//! Drawing on a picture: lines, dots, arrows, text, and the axes of a chart.

use embedded_graphics::geometry::OriginDimensions;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle, ascii};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable, Pixel, Point, Primitive, RgbColor, Size};
use embedded_graphics::primitives::{Line, PrimitiveStyle};
use embedded_graphics::text::{Baseline, Text};
use scorefield::data::write::Picture;
use std::convert::Infallible;

/// Red, green and blue.
pub(crate) type Colour = [u8; 3];

/// Colours that stay apart for most eyes (Okabe and Ito).
pub(crate) const BLUE: Colour = [0, 114, 178];
pub(crate) const GREY: Colour = [120, 120, 120];
pub(crate) const BLACK: Colour = [30, 30, 30];
pub(crate) const WHITE: Colour = [255, 255, 255];

/// A picture that is drawn on.
#[derive(Debug)]
pub(crate) struct Canvas(pub Picture);

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width as u32, self.0.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            let (Ok(x), Ok(y)) = (usize::try_from(at.x), usize::try_from(at.y)) else { continue };
            if x < self.0.width && y < self.0.height {
                let i = (y * self.0.width + x) * 3;
                self.0.bytes[i..i + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

fn rgb(c: Colour) -> Rgb888 {
    Rgb888::new(c[0], c[1], c[2])
}

fn point(p: (f64, f64)) -> Point {
    // Far outside is as good as a little outside, and fits.
    let whole = |v: f64| v.round().clamp(-1e6, 1e6) as i32;
    Point::new(whole(p.0), whole(p.1))
}

/// Drawing in memory cannot fail.
fn drawn(result: Result<impl Sized, Infallible>) {
    match result {
        Ok(_) => {}
        Err(never) => match never {},
    }
}

impl Canvas {
    /// A canvas of one colour.
    pub(crate) fn new(width: usize, height: usize, colour: Colour) -> Self {
        Self(Picture::filled(width, height, &colour))
    }

    /// A straight line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, width: u32) {
        drawn(Line::new(point(from), point(to)).into_styled(PrimitiveStyle::with_stroke(rgb(colour), width)).draw(self));
    }

    /// Text whose top left corner is at a place; letters are 6 by 10 pixels.
    pub(crate) fn text(&mut self, at: (f64, f64), text: &str, colour: Colour) {
        let style = MonoTextStyle::new(&ascii::FONT_6X10, rgb(colour));
        drawn(Text::with_baseline(text, point(at), style, Baseline::Top).draw(self));
    }

    /// Text in a face.
    pub(crate) fn label(&mut self, at: (f64, f64), text: &str, colour: Colour, face: Face) {
        drawn(Text::with_baseline(text, point(at), MonoTextStyle::new(face.font(), rgb(colour)), Baseline::Top).draw(self));
    }
}

/// The letters of a [`Canvas::label`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Face {
    /// 7 by 13 pixels.
    Small,
    /// 9 by 15 pixels, bold.
    Title,
}

impl Face {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Self::Small => &ascii::FONT_7X13,
            Self::Title => &ascii::FONT_9X15_BOLD,
        }
    }

    /// Pixels that a text takes.
    pub(crate) fn width(self, text: &str) -> f64 {
        text.chars().count() as f64 * f64::from(self.font().character_size.width)
    }
}

/// A line of a chart.
#[derive(Debug)]
pub(crate) struct Curve<'a> {
    /// What it is.
    pub name: &'a str,
    /// Its points, by x.
    pub points: Vec<(f64, f64)>,
    /// Its colour.
    pub colour: Colour,
    /// Its width in pixels.
    pub width: u32,
}

/// Curves over a common axis, the vertical one logarithmic; numbers that have no logarithm are left out.
pub(crate) fn chart(title: &str, x_name: &str, curves: &[Curve<'_>]) -> Picture {
    let (width, height) = (720.0, 420.0);
    let (left, right, top, bottom) = (64.0, 16.0, 34.0, 40.0);
    let mut canvas = Canvas::new(width as usize, height as usize, WHITE);
    let sound = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite() && p.1 > 0.0;
    let all = || curves.iter().flat_map(|c| c.points.iter()).filter(sound);
    let (mut x_low, mut x_high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut y_low, mut y_high) = (f64::INFINITY, f64::NEG_INFINITY);
    for p in all() {
        (x_low, x_high) = (x_low.min(p.0), x_high.max(p.0));
        (y_low, y_high) = (y_low.min(p.1.log10()), y_high.max(p.1.log10()));
    }
    if all().next().is_none() {
        (x_low, x_high, y_low, y_high) = (0.0, 1.0, 0.0, 1.0);
    }
    x_high = x_high.max(x_low + 1e-9);
    (y_low, y_high) = (y_low - 0.03, y_high.max(y_low + 0.1) + 0.03);
    let place = |x: f64, y: f64| {
        let u = (x - x_low) / (x_high - x_low);
        let v = (y - y_low) / (y_high - y_low);
        (left + u * (width - left - right), height - bottom - v * (height - top - bottom))
    };

    let light = [225, 225, 225];
    for x in ticks(x_low, x_high) {
        let (px, _) = place(x, y_low);
        canvas.line((px, top), (px, height - bottom), light, 1);
        let label = number(x);
        canvas.text((px - 3.0 * label.len() as f64, height - bottom + 6.0), &label, BLACK);
    }
    for (y, major) in log_ticks(y_low, y_high) {
        let (_, py) = place(x_low, y);
        canvas.line((left, py), (width - right, py), light, 1);
        if major {
            let label = number(10f64.powf(y));
            canvas.text((left - 6.0 - 6.0 * label.len() as f64, py - 5.0), &label, BLACK);
        }
    }
    canvas.line((left, top), (left, height - bottom), BLACK, 1);
    canvas.line((left, height - bottom), (width - right, height - bottom), BLACK, 1);
    canvas.text((left, 8.0), title, BLACK);
    canvas.text((width - right - 6.0 * x_name.len() as f64, height - 16.0), x_name, BLACK);

    for curve in curves {
        let points: Vec<_> = curve.points.iter().filter(sound).map(|p| place(p.0, p.1.log10())).collect();
        points.windows(2).for_each(|w| canvas.line(w[0], w[1], curve.colour, curve.width));
    }
    let mut x = width - right;
    for curve in curves.iter().rev() {
        x -= 6.0 * curve.name.len() as f64 + 34.0;
        canvas.line((x, 13.0), (x + 18.0, 13.0), curve.colour, curve.width.max(2));
        canvas.text((x + 22.0, 8.0), curve.name, BLACK);
    }
    canvas.0
}

/// Curves in the unit square, both axes from 0 to 1.
pub(crate) fn straight(title: &str, x_name: &str, curves: &[Curve<'_>]) -> Picture {
    let (width, height) = (460.0, 460.0);
    let (left, right, top, bottom) = (44.0, 16.0, 34.0, 40.0);
    let mut canvas = Canvas::new(width as usize, height as usize, WHITE);
    let place = |x: f64, y: f64| (left + x * (width - left - right), height - bottom - y * (height - top - bottom));
    for v in ticks(0.0, 1.0) {
        let label = number(v);
        canvas.line(place(v, 0.0), place(v, 1.0), [225, 225, 225], 1);
        canvas.line(place(0.0, v), place(1.0, v), [225, 225, 225], 1);
        canvas.text((place(v, 0.0).0 - 3.0 * label.len() as f64, height - bottom + 6.0), &label, BLACK);
        canvas.text((left - 6.0 - 6.0 * label.len() as f64, place(0.0, v).1 - 5.0), &label, BLACK);
    }
    canvas.line(place(0.0, 0.0), place(0.0, 1.0), BLACK, 1);
    canvas.line(place(0.0, 0.0), place(1.0, 0.0), BLACK, 1);
    canvas.text((left, 8.0), title, BLACK);
    canvas.text((width - right - 6.0 * x_name.len() as f64, height - 16.0), x_name, BLACK);
    for (i, curve) in curves.iter().enumerate() {
        let points: Vec<_> = curve.points.iter().map(|p| place(p.0.clamp(0.0, 1.0), p.1.clamp(0.0, 1.0))).collect();
        points.windows(2).for_each(|w| canvas.line(w[0], w[1], curve.colour, curve.width));
        let y = top + 8.0 + 14.0 * i as f64;
        canvas.line((left + 10.0, y + 5.0), (left + 28.0, y + 5.0), curve.colour, curve.width.max(2));
        canvas.text((left + 34.0, y), curve.name, BLACK);
    }
    canvas.0
}

/// The losses of a run, `(step, loss, loss of the trivial predictor)`: every step, and smoothed over about a hundredth of the run.
pub(crate) fn losses(losses: &[(f64, f64, f64)]) -> Picture {
    let rate = (100.0 / losses.len().max(1) as f64).clamp(0.002, 0.1);
    let (mut smooth, mut weight) = (0.0, 0.0);
    let smoothed = losses.iter().filter(|l| l.1.is_finite()).map(|&(step, loss, _)| {
        smooth += rate * (loss - smooth);
        weight += rate * (1.0 - weight);
        (step, smooth / weight)
    });
    let curves = [
        Curve { name: "each step", points: losses.iter().map(|l| (l.0, l.1)).collect(), colour: [190, 215, 235], width: 1 },
        Curve { name: "trivial predictor", points: losses.iter().map(|l| (l.0, l.2)).collect(), colour: GREY, width: 1 },
        Curve { name: "smoothed", points: smoothed.collect(), colour: BLUE, width: 2 },
    ];
    chart("training loss", "step", &curves)
}

/// Round numbers in a range, about six.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 6.0;
    let base = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|k| k * base).find(|s| *s >= raw).unwrap_or(10.0 * base);
    let first = (low / step).ceil() as i64;
    (first..).map(|k| k as f64 * step).take_while(|x| *x <= high * (1.0 + 1e-12)).take(20).collect()
}

/// Logarithms of 1, 2, 5 times powers of ten in a range, all with a label unless there are many.
fn log_ticks(low: f64, high: f64) -> Vec<(f64, bool)> {
    let many = high - low > 2.5;
    let decades = low.floor() as i64..=high.ceil() as i64;
    let mut marks = Vec::new();
    for d in decades {
        for k in [1.0f64, 2.0, 3.0, 5.0, 7.0] {
            let y = d as f64 + k.log10();
            if (low..=high).contains(&y) {
                marks.push((y, k == 1.0 || !many));
            }
        }
    }
    marks
}

fn number(v: f64) -> String {
    if v == 0.0 {
        "0".into()
    } else if v.abs() >= 1e5 || v.abs() < 1e-3 {
        format!("{v:.0e}")
    } else if v.fract().abs() < 1e-9 {
        format!("{v:.0}")
    } else {
        let digits = (2 - v.abs().log10().floor() as i32).clamp(1, 4) as usize;
        let text = format!("{v:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 1400.0), [0.0, 500.0, 1000.0]);
        assert!(log_ticks(-1.0, 0.0).iter().any(|t| t.0 == -1.0));
        assert_eq!([number(0.2), number(1400.0), number(1e-4), number(0.053)], ["0.2", "1400", "1e-4", "0.053"]);
    }

    #[test]
    fn a_chart_shows_its_curve_and_survives_bad_numbers() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 0.1), (3.0, -1.0)];
        let picture = chart("loss", "step", &[Curve { name: "loss", points, colour: BLUE, width: 2 }]);
        let of_colour = picture.bytes.chunks_exact(3).filter(|p| **p == BLUE).count();
        assert!(of_colour > 300, "{of_colour}");
        let empty = chart("loss", "step", &[]);
        assert_eq!(empty.bytes.len(), 3 * 720 * 420);
    }
}
