//! How other projects order the channels of one joint query-key-value map.
//!
//! Here the `3 C` output channels are `[q | k | v]`, and within each of the three head after head. A file in another order becomes
//! ours by taking its rows in the order [`QkvPacking::rows`] gives.

/// The order of the `3 C` rows of a joint map, `C = heads * d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QkvPacking {
    /// `[q | k | v]`, each head after head: ours, and the new attention order of Dhariwal and Nichol 2021's code.
    Parts,
    /// Head after head, each `[q | k | v]`: Nichol and Dhariwal 2021's code, and the legacy order of their next one.
    HeadsThenParts,
    /// Head after head, channel after channel, `q, k, v` being the fastest axis: Karras et al. 2022.
    Interleaved,
}

impl QkvPacking {
    /// For each of our rows the row of the packed map it comes from.
    ///
    /// # Panics
    /// When `heads` does not divide `channels`.
    #[track_caller]
    pub fn rows(self, channels: usize, heads: usize) -> Vec<usize> {
        assert!(heads > 0 && channels.is_multiple_of(heads), "{heads} heads of {channels} channels");
        let d = channels / heads;
        let source = |part: usize, head: usize, c: usize| match self {
            Self::Parts => part * channels + head * d + c,
            Self::HeadsThenParts => head * 3 * d + part * d + c,
            Self::Interleaved => head * 3 * d + c * 3 + part,
        };
        let of_part = |part| (0..heads).flat_map(move |head| (0..d).map(move |c| source(part, head, c)));
        (0..3).flat_map(of_part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::QkvPacking;

    #[test]
    fn each_packing_is_a_permutation() {
        for packing in [QkvPacking::Parts, QkvPacking::HeadsThenParts, QkvPacking::Interleaved] {
            let mut rows = packing.rows(12, 3);
            rows.sort_unstable();
            assert_eq!(rows, (0..36).collect::<Vec<_>>());
        }
        assert_eq!(QkvPacking::Interleaved.rows(2, 1), [0, 3, 1, 4, 2, 5]);
        assert_eq!(QkvPacking::HeadsThenParts.rows(2, 2), [0, 3, 1, 4, 2, 5]);
    }
}
