//! The affine map of rows, `y = x W^T + b`.

use crate::bf16;
use crate::conv::{Precision, Ready};
use crate::extension::KernelOps;
use crate::gemm::{BLOCK, Columns, Left, Matrix, Packed, Rows, Transposed, blocks, in_place, product, product_in_place};
use crate::host::{Host, contiguous, dims, fast, host, values};
use crate::micro::disjoint::Disjoint;
use crate::micro::lanes;
use crate::parallel::{for_each_chunk, for_each_job, scratch, unset};
use crate::record::Pullback;
use burn::backend::Dispatch;
use scorefield_tensor::Tensor;

/// Up to as many rows the weights are read where they lie; more rows pay for packing them.
const FEW_ROWS: usize = 32;

/// `x` `[n, i]`, `w` `[o, i]`, `bias` `[o]`: the result is `x w^T + bias`, `[n, o]`. Differentiable in all three.
///
/// # Panics
/// When the widths of `x` and `w`, or the length of the bias, disagree.
#[track_caller]
pub fn linear(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    linear_ready(x, w, bias, None)
}

/// [`linear`] with weights that are the same at every call with one `ready`, in the precision that it says.
///
/// # Panics
/// As [`linear`]. That the weights are the same is not checked.
#[track_caller]
pub fn linear_ready(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>, ready: Option<Ready>) -> Tensor<2> {
    map(x, w, bias, None, ready)
}

/// `onto + x w^T + bias`, the sum with `onto` `[n, o]` formed while the rows are at hand: [`linear_ready`] and an addition, to the bit.
/// Differentiable in all four.
///
/// # Panics
/// As [`linear_ready`], and when `onto` has another shape than the result.
#[track_caller]
pub fn linear_onto(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>, onto: Tensor<2>, ready: Option<Ready>) -> Tensor<2> {
    assert_eq!(onto.dims(), [x.dims()[0], w.dims()[0]], "rows of one shape are added");
    map(x, w, bias, Some(onto), ready)
}

#[track_caller]
fn map(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>, onto: Option<Tensor<2>>, ready: Option<Ready>) -> Tensor<2> {
    let ([_, i], [o, iw]) = (x.dims(), w.dims());
    assert_eq!(i, iw, "rows of {i} numbers meet weights for {iw}");
    if let Some(b) = &bias {
        assert_eq!(b.dims()[0], o, "a bias of {} numbers for {o} outputs", b.dims()[0]);
    }
    if !(fast(&x) && fast(&w) && bias.as_ref().is_none_or(fast) && onto.as_ref().is_none_or(fast)) {
        let y = portable(x, w, bias);
        return onto.into_iter().fold(y, |y, onto| onto + y);
    }
    // What is not there is a tensor without numbers.
    let device = x.device().without_autodiff();
    let bias = bias.unwrap_or_else(|| Tensor::zeros([0], &device)).into_dispatch();
    let onto = onto.unwrap_or_else(|| Tensor::zeros([0; 2], &device)).into_dispatch();
    Tensor::from_dispatch(<Dispatch as KernelOps>::linear(x.into_dispatch(), w.into_dispatch(), bias, onto, ready))
}

/// The same from ordinary operations.
pub(crate) fn portable(x: Tensor<2>, w: Tensor<2>, bias: Option<Tensor<1>>) -> Tensor<2> {
    let y = x.matmul(w.transpose());
    match bias {
        Some(b) => y + b.unsqueeze::<2>(),
        None => y,
    }
}

/// The forward pass on Flex of rows, weights, bias and what is added (each of the two may be without numbers).
pub(crate) fn host_forward([x, w, added @ ..]: [&Host; 4], ready: Option<&Ready>) -> Host {
    let ([n, i], [o, _]) = (dims(x), dims(w));
    let (x, w, added) = (contiguous(x), contiguous(w), added.map(contiguous));
    let (x, w) = (values(&x), values(&w));
    let [bias, onto] = added.each_ref().map(|a| Some(values(a)).filter(|a| !a.is_empty()));
    if let Some(columns) = ready.and_then(|r| r.columns(w, [o, i])) {
        return host(bf16::linear(x, &columns, bias, onto), [n, o]);
    }
    let blocks = blocks(i, BLOCK);
    let mut y = unset(n * o);
    // All ways sum over the inputs in the same order: the bits do not depend on the choice.
    if n <= FEW_ROWS {
        product(o, n, &blocks, &Left::rows(w, i, &blocks), &Columns::new(x, i, n, &blocks), &Transposed::new(o, bias), &mut y);
        onto.into_iter().for_each(|onto| add_all(&mut y, onto));
    } else {
        scratch(Packed::room(i, o), |room| {
            let packed = Packed::new(&Columns::new(w, i, o, &blocks), o, &blocks, room);
            rows_by(&packed, [n, o], &blocks, &Left::rows(x, i, &blocks), [bias, onto], &mut y);
        });
    }
    host(y, [n, o])
}

/// Many rows by packed columns, a bias, and what is added.
fn rows_by(packed: &Packed<'_>, [n, o]: [usize; 2], blocks: &[usize], x: &Left<'_>, added: [Option<&[f32]>; 2], y: &mut [f32]) {
    let [bias, onto] = added;
    if in_place(n, o) {
        let finish = |first: usize, rows: &mut [f32]| {
            bias.into_iter().for_each(|bias| shift_rows(rows, bias));
            onto.into_iter().for_each(|onto| add_rows(rows, &onto[first * o..][..rows.len()]));
        };
        product_in_place(o, blocks, x, packed, finish, y);
    } else {
        product(n, o, blocks, x, packed, &Matrix::new(o, bias), y);
        onto.into_iter().for_each(|onto| add_all(y, onto));
    }
}

/// `y = x + y` on all threads.
fn add_all(y: &mut [f32], x: &[f32]) {
    const CHUNK: usize = 1 << 14;
    for_each_chunk(y, CHUNK, |i, y| add_rows(y, &x[i * CHUNK..][..y.len()]));
}

lanes! {
    /// Adds the same numbers to each row.
    fn shift_rows(rows: &mut [f32], shift: &[f32]) {
        for row in rows.chunks_exact_mut(shift.len()) {
            row.iter_mut().zip(shift).for_each(|(y, b)| *y += b);
        }
    }

    /// `y = x + y`.
    pub(crate) fn add_rows(y: &mut [f32], x: &[f32]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
    }
}

/// Columns that are summed at once: their sums stay in registers.
const WIDTH: usize = 64;

lanes! {
    /// The sums of some columns, at most [`WIDTH`] from `first` on, of rows of `apart`: each in double precision over the rows in order.
    fn sum_columns(x: &[f32], apart: usize, first: usize, to: &mut [f32]) {
        let mut sums = [0.0f64; WIDTH];
        if to.len() == WIDTH {
            for row in x.chunks_exact(apart) {
                let row: &[f32; WIDTH] = row[first..].first_chunk().expect("columns inside the row");
                for i in 0..WIDTH {
                    sums[i] += f64::from(row[i]);
                }
            }
        } else {
            for row in x.chunks_exact(apart) {
                sums.iter_mut().zip(&row[first..][..to.len()]).for_each(|(sum, x)| *sum += f64::from(*x));
            }
        }
        to.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum as f32);
    }
}

/// `dx = dy w`, `dw = dy^T x`, `db = sum over rows of dy`, and `dy` to what was added.
#[derive(Clone, Debug)]
pub(crate) struct LinearPullback {
    x: Option<Host>,
    w: Option<Host>,
    precision: Precision,
}

impl LinearPullback {
    pub(crate) fn new([x, w, ..]: [Host; 4], need: [bool; 4], precision: Precision) -> Self {
        Self { x: need[1].then(|| contiguous(&x)), w: need[0].then(|| contiguous(&w)), precision }
    }

    fn gradients(self, dy: &Host, need_bias: bool) -> [Option<Host>; 3] {
        let [n, o] = dims(dy);
        let dy = contiguous(dy);
        let dy = values(&dy);
        let dx = self.w.map(|w| {
            let [_, i] = dims(&w);
            if self.precision == Precision::Bf16 {
                return host(bf16::linear_input_gradient(dy, values(&w), o, i), [n, i]);
            }
            let (w, blocks) = (values(&w), blocks(o, BLOCK));
            let mut dx = unset(n * i);
            scratch(Packed::room(o, i), |room| {
                let packed = Packed::new(&Rows::new(w, i, &blocks), i, &blocks, room);
                rows_by(&packed, [n, i], &blocks, &Left::rows(dy, o, &blocks), [None; 2], &mut dx);
            });
            host(dx, [n, i])
        });
        let dw = self.x.map(|x| {
            let [_, i] = dims(&x);
            if self.precision == Precision::Bf16 {
                return host(bf16::linear_weight_gradient(dy, values(&x), o, i), [o, i]);
            }
            let (x, blocks) = (values(&x), blocks(n, BLOCK));
            let mut dw = unset(o * i);
            product(o, i, &blocks, &Left::transposed(dy, o, &blocks), &Rows::new(x, i, &blocks), &Matrix::new(i, None), &mut dw);
            host(dw, [o, i])
        });
        let db = need_bias.then(|| {
            let mut db = unset(o);
            let out = Disjoint::new(&mut db);
            for_each_job(o.div_ceil(WIDTH), n * o < 1 << 14, |job| {
                let columns = job * WIDTH..o.min((job + 1) * WIDTH);
                // SAFETY: a job has its own columns.
                sum_columns(dy, o, columns.start, unsafe { out.slice(columns.start, columns.len()) });
            });
            host(db, [o])
        });
        [dx, dw, db]
    }
}

impl Pullback<4> for LinearPullback {
    fn pull(self, dy: Host, need: [bool; 4]) -> [Option<Host>; 4] {
        let [dx, dw, db] = self.gradients(&dy, need[2]);
        [dx, dw, db, need[3].then_some(dy)]
    }
}
