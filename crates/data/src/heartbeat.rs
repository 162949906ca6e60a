//! Series of 64 numbers that look like an electrocardiogram: one to two beats, each the sum of five waves.
//!
//! McSharry, Clifford, Tarassenko and Smith 2003, "A dynamical model for generating synthetic electrocardiogram signals", table I,
//! has the angles and widths of the waves P, Q, R, S and T on the circle of a beat; their heights are here in units of the largest.
//! Rate, place, heights, a slow drift and noise differ from series to series.

use scorefield_tensor::noise::Stream;
use std::f64::consts::{PI, TAU};

/// Numbers in a series.
pub(crate) const LENGTH: usize = 64;

/// Angle in a beat, height, width.
const WAVES: [(f64, f64, f64); 5] =
    [(-PI / 3.0, 0.15, 0.25), (-PI / 12.0, -0.15, 0.1), (0.0, 1.0, 0.1), (PI / 12.0, -0.25, 0.1), (PI / 2.0, 0.3, 0.4)];

/// The series of a stream.
pub(crate) fn draw(stream: &Stream) -> Vec<f32> {
    // Normals take the first words, so the uniforms come from words beyond them.
    let mut z = [0.0; 8 + LENGTH];
    stream.fill_normal(&mut z);
    let beats = 1.0 + stream.uniform(200);
    let place = stream.uniform(201) * TAU;
    let (drift, turn) = (0.05 * z[5], stream.uniform(202) * TAU);
    let heights: Vec<f64> = WAVES.iter().zip(z).map(|(w, z)| w.1 * (0.15 * z).exp()).collect();
    (0..LENGTH)
        .map(|i| {
            let t = i as f64 / LENGTH as f64;
            let angle = TAU * beats * t + place;
            let wave = |((at, _, width), height): (&(f64, f64, f64), &f64)| {
                let from = (angle - at + PI).rem_euclid(TAU) - PI;
                height * (-0.5 * (from / width).powi(2)).exp()
            };
            let beat: f64 = WAVES.iter().zip(&heights).map(wave).sum();
            (beat + drift * (TAU * t + turn).sin() + 0.01 * z[8 + i]) as f32
        })
        .collect()
}
