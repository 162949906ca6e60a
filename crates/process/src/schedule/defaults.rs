//! The usual constants of processes, where a recipe leaves them out.

pub(super) fn beta_min() -> f64 {
    0.1
}
pub(super) fn beta_max() -> f64 {
    20.0
}
pub(super) fn offset() -> f64 {
    0.008
}
pub(super) fn ve_min() -> f64 {
    0.01
}
pub(super) fn ve_max() -> f64 {
    50.0
}
pub(super) fn edm_min() -> f64 {
    0.002
}
pub(super) fn edm_max() -> f64 {
    80.0
}
pub(super) fn table_min() -> f64 {
    1e-4
}
pub(super) fn table_max() -> f64 {
    0.02
}
pub(super) fn scaled_min() -> f64 {
    0.00085
}
pub(super) fn scaled_max() -> f64 {
    0.012
}
pub(super) fn clip() -> f64 {
    0.999
}
pub(super) fn sigmoid_start() -> f64 {
    -3.0
}
pub(super) fn sigmoid_end() -> f64 {
    3.0
}
pub(super) fn sigmoid_tau() -> f64 {
    1.0
}
pub(super) fn exponent() -> f64 {
    12.0
}
pub(super) fn fraction() -> f64 {
    0.1
}
pub(super) fn steps() -> usize {
    1000
}
