//! Attention with operands in bfloat16: [`crate::attention()`] block by block of 32 queries.

use super::unit::{BLOCK, Block, Blocks, EDGE, Square, Start, TERMS, Unit};
use super::{left, pack};
use crate::attention::{Sizes, share_into, softmax_columns};
use crate::micro::disjoint::Disjoint;
use crate::parallel::{for_each_job, scratch, scratch_squares};

/// Output columns of a block are the 32 of a panel.
const _: () = assert!(BLOCK == crate::micro::PANEL);

/// The keys `[d, len]` as a left operand over the channels, their squares turned: `[32 pixels][32 channels][2]`.
fn turned(unit: Unit, k: &[f32], d: usize, len: usize, to: &mut [Square]) {
    let (steps, whole) = (d.div_ceil(TERMS), len.next_multiple_of(BLOCK));
    let mut square = [Square::ZERO];
    for first in (0..whole).step_by(EDGE) {
        for step in 0..steps {
            if first < len {
                let rows = (d - step * TERMS).min(TERMS);
                pack::columns(unit, &k[step * TERMS * len..], rows, len, first, EDGE.min(len - first), 1, &mut square);
            } else {
                square[0] = Square::ZERO;
            }
            square[0].turn_into(&mut to[(first / BLOCK * steps + step) * 2 + first % BLOCK / EDGE]);
        }
    }
}

/// See [`crate::attention()`]: `x` is queries, keys and values, `o` and `l` the outputs and the logarithms of the sums.
pub(crate) fn attention(s: &Sizes, x: &[f32], o: &mut [f32], l: &mut [f32]) {
    let unit = Unit::detect();
    let (o, l) = (Disjoint::new(o), Disjoint::new(l));
    // A job is some blocks of queries of a head: keys and values are made ready for all of them.
    let blocks = s.blocks();
    let parts = (2 * crate::parallel::threads()).div_ceil(s.jobs).min(blocks);
    let (by_channel, by_key) = (s.d.div_ceil(TERMS), s.len.div_ceil(TERMS));
    let (keys, contents) = (2 * by_key * by_channel, 2 * s.d.div_ceil(BLOCK) * by_key);
    for_each_job(s.jobs * parts, s.jobs * s.head() * s.len < 1 << 14, |job| {
        let (job, part) = (job / parts, job % parts);
        let [q, k, v] = s.parts(job).map(|at| &x[at..at + s.head()]);
        scratch_squares(keys + contents + 2 * by_channel + 2 * by_key, |room| {
            let (keys, room) = room.split_at_mut(keys);
            let (contents, room) = room.split_at_mut(contents);
            let (queries, weights) = room.split_at_mut(2 * by_channel);
            turned(unit, k, s.d, s.len, keys);
            left(unit, v, s.d, s.len, contents);
            scratch(by_key * BLOCK * BLOCK, |scores| {
                unit.blocks(|products| {
                    for block in part * blocks / parts..(part + 1) * blocks / parts {
                        let first = block * BLOCK;
                        let width = BLOCK.min(s.len - first);
                        if width <= EDGE {
                            queries.fill(Square::ZERO);
                        }
                        pack::columns(unit, q, s.d, s.len, first, width, 2, queries);
                        one_block(unit, &products, s, job, first, [keys, contents, queries], weights, scores, &o, &l);
                    }
                });
            });
        });
    });
}

fn one_block(
    unit: Unit,
    products: &Blocks,
    s: &Sizes,
    job: usize,
    first: usize,
    [keys, contents, queries]: [&[Square]; 3],
    weights: &mut [Square],
    scores: &mut [f32],
    o: &Disjoint<'_>,
    l: &Disjoint<'_>,
) {
    let (by_channel, by_key) = (s.d.div_ceil(TERMS), s.len.div_ceil(TERMS));
    let [over_channels, over_keys] = [by_channel, by_key].map(|steps| (0..steps).map(|step| 2 * step).collect::<Vec<_>>());
    let (width, mut c) = (BLOCK.min(s.len - first), Block::ZERO);
    for (keys, scores) in keys.chunks_exact(2 * by_channel).zip(scores.chunks_exact_mut(BLOCK * BLOCK)) {
        products.product(&over_channels, keys, queries, (0, true), Start::Zero, Block::of(scores));
    }
    let (mut logs, mut shares) = ([0.0; BLOCK], [0.0; BLOCK]);
    softmax_columns(&mut scores[..s.len * BLOCK], s.scale(), &mut logs, &mut shares);
    pack::columns(unit, &scores[..s.len * BLOCK], s.len, BLOCK, 0, BLOCK, 2, weights);
    for (block, contents) in contents.chunks_exact(2 * by_key).enumerate() {
        products.product(&over_keys, contents, weights, (0, true), Start::Zero, &mut c);
        for (channel, sums) in (block * BLOCK..s.d).zip(&c.0) {
            // SAFETY: a block has its own columns of its own head.
            let to = unsafe { o.slice(job * s.head() + channel * s.len + first, width) };
            share_into(sums, &shares, to);
        }
    }
    // SAFETY: as above.
    unsafe { l.slice(job * s.len + first, width) }.copy_from_slice(&logs[..width]);
}
