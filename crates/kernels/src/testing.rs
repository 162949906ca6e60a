//! Numbers and thread pools for the tests of this crate.

/// `n` numbers in (-1, 1), a function of the seed.
pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f32> {
    let stream = scorefield_tensor::noise::Stream::new(seed, 0, scorefield_tensor::Purpose::User, 0, 0);
    (0..n).map(|i| (2.0 * stream.uniform(i) - 1.0) as f32).collect()
}

/// Runs `work` in a pool of its own.
pub(crate) fn with_threads<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of threads").install(work)
}
