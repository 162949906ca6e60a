//! Fused CPU operations, each with a portable body and its own backward.
