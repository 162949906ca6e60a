//! Data laws whose marginals, scores and posterior means are closed formulas: what everything else is tested on.

mod blocks;
mod chain;
mod empirical;
mod finite;
mod gaussian;
mod mixture;
mod path_ends;

pub use chain::MarkovChain;
pub use empirical::Empirical;
pub use finite::Finite;
pub use gaussian::Gaussian;
pub use mixture::Mixture;
pub use path_ends::PathEnds;
