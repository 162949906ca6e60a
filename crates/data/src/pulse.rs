//! The binary heartbeat: 20 bits with a one in every fifth place, from a place that is uniform.
//!
//! Sohl-Dickstein, Weiss, Maheswaranathan and Ganguli 2015, "Deep unsupervised learning using nonequilibrium thermodynamics", section 3.1.2:
//! five sequences of probability 1/5 each, so a model of bits can be held against the entropy, ln 5 nats a sequence.

use scorefield_tensor::noise::Stream;

/// Bits in a sequence.
pub const LENGTH: usize = 20;
/// Places from one to the next.
pub const PERIOD: usize = 5;

/// The sequence whose first one is in place `phase`.
fn sequence(phase: usize) -> Vec<f32> {
    (0..LENGTH).map(|i| f32::from(u8::from(i % PERIOD == phase))).collect()
}

/// The sequences that occur, one a phase from 0 to 4, each with probability 1/5: 5 rows of 20.
pub fn support() -> Vec<Vec<f32>> {
    (0..PERIOD).map(sequence).collect()
}

/// The sequence of a stream.
pub(crate) fn draw(stream: &Stream) -> Vec<f32> {
    sequence(stream.below(20, PERIOD as u32) as usize)
}
