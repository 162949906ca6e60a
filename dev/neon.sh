#!/bin/sh
# The micro-kernels and transforms on aarch64, under emulation: their unit tests, bit against bit with plain Rust.
#
#   dev/neon.sh [RUSTC]
#
# RUSTC is a compiler that has the standard library of aarch64-unknown-linux-gnu. The rest of the crate is left out, so an old one will do.
# On Debian: apt-get install rustc libstd-rust-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user, and RUSTC is /usr/bin/rustc.
set -eu
rustc=${1:-rustc}
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/main.rs" <<EOF
#![feature(lint_reasons, let_else, mixed_integer_ops)]
#![allow(dead_code, stable_features, unused_features, unused_imports, unused_macros, unused_unsafe)]
#[path = "$root/crates/kernels/src/micro/mod.rs"]
mod micro;
#[path = "$root/crates/kernels/src/conv/winograd/places.rs"]
mod places;
#[path = "$root/crates/kernels/src/conv/winograd/transform.rs"]
mod transform;
#[path = "$root/crates/kernels/src/conv/winograd/two.rs"]
mod two;
EOF
RUSTC_BOOTSTRAP=1 "$rustc" --edition 2021 --test -O --target aarch64-unknown-linux-gnu -C linker=aarch64-linux-gnu-gcc \
    -o "$work/tests" "$work/main.rs"
# One thread: the emulator of a process with several may hang.
timeout 120 qemu-aarch64 -L /usr/aarch64-linux-gnu "$work/tests" --test-threads=1
