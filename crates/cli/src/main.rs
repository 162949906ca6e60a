//! The `scorefield` binary.
fn main() {}
