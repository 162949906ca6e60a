//! Pictures of leaves that fell on each other: discs of random place, size and grey, the later under the earlier until all is covered.
//!
//! Lee, Mumford and Huang 2001, "Occlusion models for natural images": with radii distributed as r^-3 the pictures share the statistics
//! of photographs (the same at every scale, edges, occlusion), which no Gaussian field does. Radii lie between a sixteenth and a half of
//! the shorter side (2 and 16 pixels at 32x32): a picture of twice the side is of the same law, seen twice as fine.

use scorefield_tensor::noise::Stream;

/// Rows and columns unless others are asked for.
pub(crate) const SIDE: usize = 32;
/// Sides that can be asked for.
pub(crate) const SIDES: std::ops::RangeInclusive<usize> = 8..=512;
/// About 700 discs cover a square; what is still open after these many, for each square that the longer side has room for, has the grey
/// of the last.
const MOST: u32 = 20_000;

/// The picture of a stream.
pub(crate) fn draw(stream: &Stream, [height, width]: [usize; 2]) -> Vec<u8> {
    let mut picture = vec![0u8; height * width];
    let mut open = vec![true; height * width];
    let mut left = picture.len();
    let mut last = 0;
    let side = height.min(width) as f64;
    let (smallest, largest) = (side / 16.0, side / 2.0);
    let unit = |w: u32| (f64::from(w) + 0.5) / 4_294_967_296.0;
    for disc in 0..MOST * height.max(width).div_ceil(height.min(width)) as u32 {
        if left == 0 {
            break;
        }
        let [x, y, size, grey] = stream.block(disc);
        // Centres as far outside as the largest disc reaches, so that the border is like the middle.
        let place = |w: u32, side: usize| unit(w) * (side as f64 + 2.0 * largest) - largest;
        let (x, y) = (place(x, width), place(y, height));
        // The distribution function of r^-3 on [smallest, largest], inverted.
        let (a, b) = (smallest.powi(-2), largest.powi(-2));
        let r = (a + unit(size) * (b - a)).powf(-0.5);
        last = (grey >> 24) as u8;
        let range = |centre: f64, side: usize| {
            let low = (centre - r).floor().clamp(0.0, side as f64) as usize;
            low..((centre + r).ceil() + 1.0).clamp(0.0, side as f64) as usize
        };
        for row in range(y, height) {
            for column in range(x, width) {
                let i = row * width + column;
                if open[i] && (row as f64 - y).powi(2) + (column as f64 - x).powi(2) <= r * r {
                    (picture[i], open[i]) = (last, false);
                    left -= 1;
                }
            }
        }
    }
    open.iter().zip(&mut picture).filter(|(open, _)| **open).for_each(|(_, p)| *p = last);
    picture
}
