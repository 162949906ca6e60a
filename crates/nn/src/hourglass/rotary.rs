//! Axial rotary positions (Su et al. 2021; Crowson et al. 2024, section 3.3): a head turns pairs of its numbers by angles that grow
//! with the token's place, so that the product of a query and a key depends on where they are to each other.
//!
//! A token at `(y, x)` has `D = d / 4` angles a head of `d` numbers, `theta = [y f | x f]` with the head's `d / 8` frequencies `f`;
//! numbers `k` and `D + k` of the head are turned by `theta_k`, its second half stays. Places are the centres of the tokens, the longer
//! side of the picture being `[-1, 1]`; a merged token lies in the middle of its four.

use scorefield_tensor::Tensor;

/// Where the tokens of a level are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    /// Height and width in tokens.
    pub(super) size: [usize; 2],
}

impl Grid {
    /// How many tokens there are.
    pub(super) fn tokens(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// The places of the rows and of the columns.
    fn places(&self) -> [Vec<f64>; 2] {
        let longer = self.size[0].max(self.size[1]) as f64;
        self.size.map(|side| (0..side).map(|i| (2 * i + 1) as f64 / longer - side as f64 / longer).collect())
    }

    /// The cosines and sines of the angles, `[tokens, heads, d / 4]` each, for frequencies `[heads, d / 8]`.
    pub(super) fn turns(&self, frequencies: &[f32], heads: usize) -> [Vec<f32>; 2] {
        let each = frequencies.len() / heads;
        let along = |places: Vec<f64>| -> Vec<(f32, f32)> {
            let angles = places.iter().flat_map(|&p| frequencies.iter().map(move |&f| p * f64::from(f)));
            angles.map(|a| (a.cos() as f32, a.sin() as f32)).collect()
        };
        // Few angles are different: those of a row, and those of a column.
        let [down, across] = self.places().map(along);
        let mut turns = [0, 1].map(|_| Vec::with_capacity(self.tokens() * 2 * frequencies.len()));
        for row in down.chunks(frequencies.len()) {
            for column in across.chunks(frequencies.len()) {
                for (row, column) in row.chunks(each).zip(column.chunks(each)) {
                    turns[0].extend(row.iter().chain(column).map(|&(cos, _)| cos));
                    turns[1].extend(row.iter().chain(column).map(|&(_, sin)| sin));
                }
            }
        }
        turns
    }
}

/// Turns the first half of the last axis of `x`: `a cos - b sin, b cos + a sin` of its quarters `a` and `b`.
pub(super) fn rotate(x: Tensor<5>, cos: Tensor<5>, sin: Tensor<5>) -> Tensor<5> {
    let d = x.dims()[4];
    let quarter = d / 4;
    let (a, b) = (x.clone().narrow(4, 0, quarter), x.clone().narrow(4, quarter, quarter));
    let turned_a = a.clone() * cos.clone() - b.clone() * sin.clone();
    let turned_b = b * cos + a * sin;
    Tensor::cat(vec![turned_a, turned_b, x.narrow(4, 2 * quarter, d - 2 * quarter)], 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::{TensorData, rows};

    #[test]
    fn places_are_centres_and_merge_to_means() {
        let places = |size| Grid { size }.places();
        assert_eq!(places([2, 4]), [vec![-0.25, 0.25], vec![-0.75, -0.25, 0.25, 0.75]]);
        let means = |v: &[f64]| v.chunks(2).map(|p| (p[0] + p[1]) / 2.0).collect::<Vec<_>>();
        for (fine, coarse) in places([6, 12]).iter().zip(places([3, 6])) {
            means(fine).iter().zip(&coarse).for_each(|(a, b)| assert!((a - b).abs() < 1e-15, "{a} {b}"));
        }
    }

    /// The formula for every token, head and number; lengths stay, and the product of two turned heads is a function of how far apart
    /// they are: one of y for the first angles, one of x for the others.
    #[test]
    fn rotations() {
        let (size, heads, d) = ([3, 2], 2, 16);
        let grid = Grid { size };
        let [y, x] = grid.places();
        let frequencies: Vec<f32> = (0..4).map(|i| 1.0 + i as f32).collect(); // [2, 2]
        let [cos, sin] = grid.turns(&frequencies, heads);
        let tensor = |v: &[f32], last: usize| {
            Tensor::<5>::from_data(TensorData::new(v.to_vec(), [1, 6, 1, heads, last]), &Default::default())
        };
        let numbers: Vec<f32> = (0..6 * heads * d).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        let turned = rows(rotate(tensor(&numbers, d), tensor(&cos, 4), tensor(&sin, 4)));
        for token in 0..6 {
            let place = [y[token / 2], x[token % 2]];
            for head in 0..heads {
                let at = (token * heads + head) * d;
                let (before, after) = (&numbers[at..at + d], &turned[at..at + d]);
                for k in 0..4 {
                    let theta = place[k / 2] * f64::from(frequencies[head * 2 + k % 2]);
                    let (a, b) = (f64::from(before[k]), f64::from(before[4 + k]));
                    assert!((f64::from(after[k]) - (a * theta.cos() - b * theta.sin())).abs() < 1e-6);
                    assert!((f64::from(after[4 + k]) - (b * theta.cos() + a * theta.sin())).abs() < 1e-6);
                }
                assert_eq!(before[8..], after[8..]);
            }
        }

        // The same two heads at tokens one row apart, wherever.
        let repeated: Vec<f32> = (0..6).flat_map(|_| numbers[..heads * d].to_vec()).collect();
        let turned = rows(rotate(tensor(&repeated, d), tensor(&cos, 4), tensor(&sin, 4)));
        let product = |s: usize, t: usize| -> f32 { (0..d).map(|k| turned[s * heads * d + k] * turned[t * heads * d + k]).sum() };
        assert!((product(0, 2) - product(2, 4)).abs() < 1e-5 && (product(0, 1) - product(4, 5)).abs() < 1e-5);
        assert!((product(0, 2) - product(0, 4)).abs() > 1e-2);
    }
}
