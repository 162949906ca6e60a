//! Operators against their definitions: transposes, slopes, singular values, solves, known pictures, noise laws, errors.

mod errors;
mod known;
mod linear;
mod list;
mod noise;
mod nonlinear;
mod singular;
