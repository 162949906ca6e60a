//! The verbs, one file each.

pub(crate) mod demo;
pub(crate) mod info;
pub(crate) mod sample;
pub(crate) mod train;
