//! Score-based generative modelling through differential equations.
