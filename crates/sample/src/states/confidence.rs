//! Unmasking by confidence: at each step the columns the model is surest of are drawn, the others stay masked.
//!
//! Chang et al. 2022 (MaskGIT); Zheng et al. 2024. After a leg to `s` a share `1 - keep_s` of the category columns is masked. Every masked
//! column draws a level; those with the largest confidence keep it. Good with few steps; its law is not the model's (sure columns come
//! first), unlike `order=random`, which is the ancestral chain with a fixed number of columns a step. For absorbing transitions.

use super::{AncestralStates, StatesSolver};
use crate::solver::Key;
use crate::solver::key::choice;
use scorefield_process::Leg;
use scorefield_process::states::{Columns, StatesDenoiser, StatesProcess, invert};
use scorefield_tensor::noise::Stream;
use scorefield_tensor::{Batch, Streams, batch_f64, rows_f64};

choice! {
    /// What makes a column sure.
    UnmaskBy {
        Confidence = "confidence": "The probability of the level it drew.",
        Margin = "margin": "The most likely level's probability less that of the next.",
        Entropy = "entropy": "A low entropy of its levels.",
        Random = "random": "Nothing: all are alike.",
    }
}

/// Draws all masked columns, keeps the surest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Confidence {
    /// What makes a column sure.
    pub order: UnmaskBy,
    /// Gumbel noise on the confidence's logarithm, times what is still masked: 0 for the surest, large for any.
    pub temperature: f64,
}

impl Confidence {
    pub(super) const ABOUT: &'static str =
        "Masked columns in the order of the model's confidence (Chang et al. 2022); absorbing transitions only.";

    pub(super) fn keys(&mut self) -> Vec<Key<'_>> {
        vec![
            Key::choice("order", "what makes a column sure", &mut self.order),
            Key::number("temperature", "noise on the order, 0 for none", &mut self.temperature, 0.0..=1e6),
        ]
    }

    /// How sure a column with these probabilities is that drew `level`; `u` is a uniform number of its own.
    fn sureness(&self, law: &[f64], level: usize, u: f64) -> f64 {
        match self.order {
            UnmaskBy::Confidence => law[level].max(1e-30).ln(),
            UnmaskBy::Margin => {
                let mut sorted = law.to_vec();
                sorted.sort_by(|a, b| b.total_cmp(a));
                (sorted[0] - sorted.get(1).copied().unwrap_or(0.0)).max(1e-30).ln()
            }
            UnmaskBy::Entropy => law.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum(),
            UnmaskBy::Random => u,
        }
    }

    fn row(&self, columns: &Columns, clean: &[f64], keep: f64, out: &mut [f64], streams: [&Stream; 2]) {
        let categories: Vec<(usize, usize)> = columns
            .groups()
            .iter()
            .filter(|g| g.is_category())
            .flat_map(|g| (0..g.columns).map(move |c| (g.entry + c * g.states, g.states)))
            .collect();
        let masked: Vec<(usize, usize)> = categories.iter().copied().filter(|(at, states)| out[at + states - 1] > 0.5).collect();
        let stay = ((1.0 - keep) * categories.len() as f64).round() as usize;
        let mut drawn: Vec<(f64, usize, usize, usize)> = masked
            .iter()
            .map(|&(at, states)| {
                let law = &clean[at..at + states - 1];
                let level = invert(law, streams[0].uniform(at));
                let u = streams[1].uniform(at);
                let gumbel = -(-u.ln()).ln() * self.temperature * (1.0 - keep);
                (self.sureness(law, level, u) + gumbel, at, states, level)
            })
            .collect();
        drawn.sort_by(|a, b| b.0.total_cmp(&a.0));
        let unmask = masked.len().saturating_sub(stay);
        for &(_, at, states, level) in drawn.iter().take(unmask) {
            out[at..at + states].fill(0.0);
            out[at + level] = 1.0;
        }
    }
}

impl StatesSolver for Confidence {
    fn name(&self) -> &'static str {
        "confidence"
    }

    fn refuses(&self, process: &StatesProcess) -> Option<&'static str> {
        (!process.columns().masked()).then_some("it unmasks, and the model's transition has no mask; take ancestral or ddim")
    }

    fn step(&self, d: &dyn StatesDenoiser, x: &Batch, leg: Leg, noise: &mut Streams) -> Batch {
        let (process, clean) = (d.process(), d.denoise(x, leg.t));
        let (at_s, columns) = (process.at(leg.s), process.columns());
        let mut out = rows_f64(x.clone());
        if columns.groups().iter().any(|g| !g.is_category()) {
            let moved = rows_f64(AncestralStates::default().step(d, x, leg, noise));
            for group in columns.groups().iter().filter(|g| !g.is_category()) {
                for row in (0..out.len()).step_by(columns.width()) {
                    let range = row + group.entry..row + group.entry + group.width();
                    out[range.clone()].copy_from_slice(&moved[range]);
                }
            }
        }
        let n = x.dims()[0];
        let levels: Vec<Stream> = (0..n).map(|i| noise.stream(i)).collect();
        noise.advance();
        let clean = rows_f64(clean);
        for (i, (row, clean)) in out.chunks_exact_mut(columns.width()).zip(clean.chunks_exact(columns.width())).enumerate() {
            self.row(columns, clean, at_s.keep, row, [&levels[i], &noise.stream(i)]);
        }
        noise.advance();
        batch_f64(out, n, &x.device()).cast(x.dtype())
    }
}
