//! A network made into a denoiser, and the model file.
