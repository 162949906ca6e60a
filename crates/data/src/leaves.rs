//! Pictures of leaves that fell on each other: discs of random place, size and grey, the later under the earlier until all is covered.
//!
//! Lee, Mumford and Huang 2001, "Occlusion models for natural images": with radii distributed as r^-3 the pictures share the statistics
//! of photographs (the same at every scale, edges, occlusion), which no Gaussian field does.

use scorefield_tensor::noise::Stream;

/// Rows and columns.
pub(crate) const SIDE: usize = 32;
const SMALLEST: f64 = 2.0;
const LARGEST: f64 = 16.0;
/// About 700 discs cover a picture; what is still open after these many has the grey of the last.
const MOST: u32 = 20_000;

/// The picture of a stream.
pub(crate) fn draw(stream: &Stream) -> Vec<u8> {
    let mut picture = vec![0u8; SIDE * SIDE];
    let mut open = vec![true; SIDE * SIDE];
    let mut left = picture.len();
    let mut last = 0;
    let unit = |w: u32| (f64::from(w) + 0.5) / 4_294_967_296.0;
    for disc in 0..MOST {
        if left == 0 {
            break;
        }
        let [x, y, size, grey] = stream.block(disc);
        // Centres as far outside as the largest disc reaches, so that the border is like the middle.
        let [x, y] = [x, y].map(|w| unit(w) * (SIDE as f64 + 2.0 * LARGEST) - LARGEST);
        // The distribution function of r^-3 on [SMALLEST, LARGEST], inverted.
        let (a, b) = (SMALLEST.powi(-2), LARGEST.powi(-2));
        let r = (a + unit(size) * (b - a)).powf(-0.5);
        last = (grey >> 24) as u8;
        let range = |centre: f64| {
            let low = (centre - r).floor().clamp(0.0, SIDE as f64) as usize;
            low..((centre + r).ceil() + 1.0).clamp(0.0, SIDE as f64) as usize
        };
        for row in range(y) {
            for column in range(x) {
                let i = row * SIDE + column;
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
