//! Pictures to tokens and back, and grids of tokens to coarser ones and back: only the order of numbers changes.
//!
//! Tokens are rows `[n h w, c]`, picture after picture, row-major within each. A token of pixels holds its patch by row, column and
//! channel; a merged token holds its four by row, column and feature.

use scorefield_tensor::Tensor;

/// `[n, c, h p, w q]` to `[n h w, p q c]`.
pub(super) fn cut(x: Tensor<4>, [p, q]: [usize; 2]) -> Tensor<2> {
    let [n, c, height, width] = x.dims();
    let (h, w) = (height / p, width / q);
    x.reshape([n, c, h, p, w, q]).permute([0, 2, 4, 3, 5, 1]).reshape([n * h * w, p * q * c])
}

/// `[n h w, p q c]` to `[n, c, h p, w q]`: the inverse of [`cut`].
pub(super) fn paste(x: Tensor<2>, [h, w]: [usize; 2], [p, q]: [usize; 2]) -> Tensor<4> {
    let [tokens, numbers] = x.dims();
    let (n, c) = (tokens / (h * w), numbers / (p * q));
    x.reshape([n, h, w, p, q, c]).permute([0, 5, 1, 3, 2, 4]).reshape([n, c, h * p, w * q])
}

/// `[n h w, c]` to `[n h/2 w/2, 4 c]`: each 2x2 tokens side by side.
pub(super) fn merge(x: Tensor<2>, [h, w]: [usize; 2]) -> Tensor<2> {
    let [tokens, c] = x.dims();
    let n = tokens / (h * w);
    x.reshape([n, h / 2, 2, w / 2, 2, c]).permute([0, 1, 3, 2, 4, 5]).reshape([tokens / 4, 4 * c])
}

/// `[n h/2 w/2, 4 c]` to `[n h w, c]`: the inverse of [`merge`], `h` and `w` being those of the finer grid.
pub(super) fn split(x: Tensor<2>, [h, w]: [usize; 2]) -> Tensor<2> {
    let [tokens, numbers] = x.dims();
    let n = 4 * tokens / (h * w);
    x.reshape([n, h / 2, w / 2, 2, 2, numbers / 4]).permute([0, 1, 3, 2, 4, 5]).reshape([4 * tokens, numbers / 4])
}

#[cfg(test)]
mod tests {
    use super::*;
    use scorefield_tensor::{TensorData, rows};

    fn counted<const D: usize>(dims: [usize; D]) -> Tensor<D> {
        let values: Vec<f32> = (0..dims.iter().product::<usize>()).map(|i| i as f32).collect();
        Tensor::from_data(TensorData::new(values, dims), &Default::default())
    }

    #[test]
    fn patches_by_row_column_and_channel() {
        // Two pictures of 2 channels and 4 x 6 pixels, patches of 2 x 3: pixel (b, c, i, j) is number 48 b + 24 c + 6 i + j.
        let x = counted([2, 2, 4, 6]);
        let tokens = cut(x.clone(), [2, 3]);
        assert_eq!(tokens.dims(), [8, 12]);
        let numbers = rows(tokens.clone());
        for (at, &found) in numbers.iter().enumerate() {
            let (token, rest) = (at / 12, at % 12);
            let (b, ti, tj) = (token / 4, token / 2 % 2, token % 2);
            let (i, j, c) = (rest / 6, rest / 2 % 3, rest % 2);
            assert_eq!(found, (48 * b + 24 * c + 6 * (2 * ti + i) + 3 * tj + j) as f32);
        }
        assert_eq!(rows(paste(tokens, [2, 2], [2, 3])), rows(x));
    }

    #[test]
    fn split_undoes_merge() {
        // Two grids of 4 x 6 tokens of 3 numbers: token (b, i, j) begins at 72 b + 18 i + 3 j.
        let x = counted([48, 3]);
        let merged = merge(x.clone(), [4, 6]);
        assert_eq!(merged.dims(), [12, 12]);
        let numbers = rows(merged.clone());
        for (at, &found) in numbers.iter().enumerate() {
            let (token, rest) = (at / 12, at % 12);
            let (b, i, j) = (token / 6, 2 * (token / 3 % 2) + rest / 6, 2 * (token % 3) + rest / 3 % 2);
            assert_eq!(found, (72 * b + 18 * i + 3 * j + rest % 3) as f32);
        }
        assert_eq!(rows(split(merged, [4, 6])), rows(x));
    }
}
