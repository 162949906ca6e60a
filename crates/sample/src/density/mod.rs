//! Densities: the likelihood of data under a model, its latents, and a bound on the likelihood.
//!
//! The probability flow (Song et al. 2021, section 4.3) carries data to noise without chance, so the density of a datum is that of
//! its latent times the change of volume on the way. [`log_likelihood`] integrates both; [`encode`] and [`decode`] only the way;
//! [`variational_bound`] needs no way at all, but evaluations of the denoiser at many noise levels. States with categories have a bound
//! and no flow: [`states_bound`].

mod bound;
mod flow;
mod latent;
mod likelihood;
mod states;

pub use bound::{Bound, BoundOptions, Chain, Decoder, Entropies, variational_bound};
pub use flow::{Flow, FlowError};
pub use latent::{decode, decode_with, encode, encode_with, slerp};
pub use likelihood::{Likelihood, Probe, Trace, log_likelihood, log_likelihood_with};
pub use states::{Edges, StatesBound, StatesBoundError, StatesBoundOptions, null_nats, states_bound};
