//! Benches of the hot paths and side-by-side runs against peers.
