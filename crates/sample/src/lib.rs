//! Solvers, trajectories and guidance over any denoiser.
