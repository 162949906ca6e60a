//! The whole picture: a panel for each noise level with a legend, or one panel a moment for an animation.

use super::field::Field;
use super::panel::{Look, POINT, Panel, Place, WAY, shade};
use crate::brush::{Clip, Paint};
use crate::canvas::{BLACK, Canvas, Face, GREY, WHITE};
use crate::ramp::ramp;
use scorefield::process::ProcessExt;
use scorefield::tensor::Device;

/// The places of all points at a time.
pub(super) type Moment = (f64, Vec<Place>);

const STILL: Look = Look { side: 330, arrows: 17, bands: 0, point: 3.0 };
const MOVING: Look = Look { side: 280, arrows: 13, bands: 12, point: 2.0 };
/// Pixels between panels, left of the first, above, below, and right of the last.
const GAP: usize = 20;
const LEFT: usize = 42;
const TOP: usize = 52;
const BOTTOM: usize = 84;
const RIGHT: usize = 20;
/// Moments of a tail in an animation.
const TAIL: usize = 7;

/// The empty page of a still picture of `count` panels.
pub(super) fn page(count: usize) -> Canvas {
    let width = LEFT + count * STILL.side + (count - 1) * GAP + RIGHT;
    Canvas::new(width, TOP + STILL.side + BOTTOM, WHITE)
}

/// Draws panel number `index`: the density, the score and the ways up to time `t`.
pub(super) fn still(canvas: &mut Canvas, field: &Field, index: usize, t: f64, moments: &[Moment], device: &Device) {
    let left = LEFT + index * (STILL.side + GAP);
    let panel = Panel::new(left, TOP, STILL);
    panel.density(canvas, field, t);
    let longest = panel.scores(canvas, field, t, device);
    let so_far = moments.iter().take_while(|m| m.0 >= t);
    let mut ways = vec![Vec::new(); moments.first().map_or(0, |m| m.1.len())];
    so_far.for_each(|(_, places)| ways.iter_mut().zip(places).for_each(|(way, place)| way.push(*place)));
    panel.ways(canvas, &ways);
    panel.axes(canvas, index == 0);
    let ratio = field.process().at(t).ratio();
    canvas.label((left as f64, 10.0), &format!("sigma/alpha = {}", short(ratio)), BLACK, Face::Title);
    let text = format!("t = {}, longest |score| = {}", short(t), short(longest));
    canvas.label((left as f64, 31.0), &text, GREY, Face::Small);
}

/// What shades, arrows, lines and dots are, along the lower edge of a still picture.
pub(super) fn legend(canvas: &mut Canvas, field: &Field) {
    let y = (TOP + STILL.side + 42) as f64;
    let mut x = LEFT as f64;
    let all = Clip { x0: 0, y0: 0, x1: canvas.0.width, y1: canvas.0.height };

    // The scale of shades, with the densities where they are.
    let width = 170usize;
    for i in 0..width {
        let colour = ramp(i as f64 / (width - 1) as f64);
        canvas.line((x + i as f64, y - 6.0), (x + i as f64, y + 5.0), colour, 1);
    }
    for (share, text) in [(0.0, "0"), (0.1, ".1"), (0.25, ".25"), (0.5, ".5"), (1.0, "1")] {
        let at = x + shade(share) * (width - 1) as f64;
        canvas.line((at, y + 6.0), (at, y + 9.0), GREY, 1);
        canvas.label((at - 0.5 * Face::Small.width(text), y + 11.0), text, BLACK, Face::Small);
    }
    x += width as f64 + 14.0;
    let text = format!("{} / its peak", field.shades);
    canvas.label((x, y - 7.0), &text, BLACK, Face::Small);
    x += Face::Small.width(&text) + 36.0;

    let dark = Paint(BLACK, 1.0);
    canvas.dart(all, (x, y), (x + 26.0, y), 1.3, dark);
    let text = "score, length ~ ln(1 + |score|)";
    canvas.label((x + 34.0, y - 7.0), text, BLACK, Face::Small);
    x += 34.0 + Face::Small.width(text) + 36.0;

    canvas.stroke(all, &[(x, y), (x + 28.0, y)], 3.2, Paint(BLACK, 0.6));
    canvas.stroke(all, &[(x, y), (x + 28.0, y)], 1.6, Paint(WAY, 1.0));
    canvas.disc(all, (x + 28.0, y), STILL.point + 1.2, dark);
    canvas.disc(all, (x + 28.0, y), STILL.point, Paint(POINT, 1.0));
    canvas.label((x + 38.0, y - 7.0), "probability flow from noise", BLACK, Face::Small);

    let text = "axes: (x_t - mean) / deviation";
    let from = canvas.0.width as f64 - RIGHT as f64 - Face::Small.width(text);
    canvas.label((from.max(LEFT as f64), y + 16.0), text, GREY, Face::Small);
}

/// One frame of an animation: the field at the last of `moments`, points and their short tails.
pub(super) fn frame(field: &Field, title: &str, moments: &[Moment], device: &Device) -> Canvas {
    let mut canvas = Canvas::new(MOVING.side + 16, MOVING.side + 38, WHITE);
    let panel = Panel::new(8, 30, MOVING);
    let Some((t, now)) = moments.last() else { return canvas };
    panel.density(&mut canvas, field, *t);
    panel.scores(&mut canvas, field, *t, device);
    let recent = &moments[moments.len().saturating_sub(TAIL)..];
    let tails: Vec<Vec<Place>> = (0..now.len()).map(|k| recent.iter().map(|m| m.1[k]).collect()).collect();
    panel.tails(&mut canvas, &tails);
    panel.points(&mut canvas, now);
    canvas.label((8.0, 8.0), title, BLACK, Face::Title);
    let text = format!("sigma/alpha = {}", short(field.process().at(*t).ratio()));
    let wide = Face::Small.width("sigma/alpha = 0.0000");
    canvas.label(((MOVING.side + 8) as f64 - wide, 10.0), &text, BLACK, Face::Small);
    canvas
}

/// A number in three figures.
pub(super) fn short(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return format!("{v}");
    }
    if v.abs() >= 1e5 {
        return format!("{v:.1e}");
    }
    let digits = (2 - v.abs().log10().floor() as i32).clamp(0, 6) as usize;
    format!("{v:.digits$}")
}
