//! The verbs, one file each.

pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod eval;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod latent;
pub(crate) mod nll;
pub(crate) mod plot;
pub(crate) mod predict;
pub(crate) mod sample;
pub(crate) mod solve;
pub(crate) mod steering;
pub(crate) mod train;
