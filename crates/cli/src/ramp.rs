//! A colour scale that is even to the eye: from night blue over violet and coral to pale yellow, with lightness growing in equal
//! steps.
//!
//! It is a path in OKLab (Ottosson 2020), in which equal distances look equally far apart; lightness is linear in the value, so the
//! scale also reads in grey and to colour-blind eyes.

use crate::canvas::Colour;

/// Chroma and hue (degrees) along the path, at equal steps.
const PATH: [(f64, f64); 6] = [(0.055, 278.0), (0.125, 290.0), (0.165, 330.0), (0.165, 375.0), (0.150, 410.0), (0.120, 455.0)];
/// Lightness at both ends.
const LIGHTNESS: [f64; 2] = [0.19, 0.93];

/// The colour of a value in [0, 1]; values outside are those of the ends.
pub(crate) fn ramp(value: f64) -> Colour {
    let v = value.clamp(0.0, 1.0);
    let at = v * (PATH.len() - 1) as f64;
    let k = (at as usize).min(PATH.len() - 2);
    let u = at - k as f64;
    let mix = |a: f64, b: f64| a + u * (b - a);
    let (chroma, hue) = (mix(PATH[k].0, PATH[k + 1].0), mix(PATH[k].1, PATH[k + 1].1).to_radians());
    of_oklab(LIGHTNESS[0] + v * (LIGHTNESS[1] - LIGHTNESS[0]), chroma * hue.cos(), chroma * hue.sin())
}

/// sRGB of an OKLab colour; what no screen shows is cut.
fn of_oklab(lightness: f64, a: f64, b: f64) -> Colour {
    let l = (lightness + 0.396_337_777_4 * a + 0.215_803_757_3 * b).powi(3);
    let m = (lightness - 0.105_561_345_8 * a - 0.063_854_172_8 * b).powi(3);
    let s = (lightness - 0.089_484_177_5 * a - 1.291_485_548_0 * b).powi(3);
    let red = 4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s;
    let green = -1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s;
    let blue = -0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s;
    let shown = |v: f64| if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
    [red, green, blue].map(|v| (255.0 * shown(v)).round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grey in OKLab is grey on the screen, white is white, and along the scale the luminance only grows.
    #[test]
    fn lightness_grows() {
        assert_eq!([of_oklab(0.0, 0.0, 0.0), of_oklab(1.0, 0.0, 0.0)], [[0; 3], [255; 3]]);
        let luminance = |c: Colour| 0.2126 * f64::from(c[0]) + 0.7152 * f64::from(c[1]) + 0.0722 * f64::from(c[2]);
        let all: Vec<f64> = (0..=50).map(|i| luminance(ramp(f64::from(i) / 50.0))).collect();
        assert!(all.windows(2).all(|w| w[0] < w[1]), "{all:?}");
    }
}
