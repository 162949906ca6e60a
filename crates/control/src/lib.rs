//! Measurements `y = A(x) + noise` of inverse problems: operators with exact transposes, singular values where they are cheap.
//!
//! Everything works on one row of doubles: a picture `[c, h, w]` row by row, or a vector. Nothing here knows of denoisers, times or
//! tensors; posterior rules are built on top. There is no random generator either: what is random is drawn from a closure of
//! uniform numbers in (0, 1).

pub mod operator;
