//! Benches of the hot paths (`benches/`) and side-by-side runs against peers (`peers.py`).
//!
//! Figures of one machine mean nothing on another, and little on the same machine an hour later: `peers.py` runs ours and the peers
//! in turn and prints ratios of medians.
