//! The operations as an extension of Burn's backends: bodies for Flex, and for Flex under autodiff.
//!
//! Only `f32` tensors of Flex come here ([`crate::host::fast`]); the public functions send everything else to ordinary
//! operations, which Burn differentiates itself.

use crate::attention::{self, AttentionPullback};
use crate::conv::{self, ConvPullback, Precision, Ready, Settings};
use crate::group_norm::{self, GroupNormPullback, Norm};
use crate::host::dims;
use crate::join::{self, AddChannelsPullback, AddPullback, ConcatPullback};
use crate::linear::{self, LinearPullback};
use crate::record::record;
use crate::resample::{self, FirPullback, Resample, ResamplePullback};
use crate::silu::{self, SiluPullback, SiluSumPullback};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, backend_extension};

/// Fused operations, a body for each backend that has one.
#[backend_extension(Flex, Autodiff)]
pub(crate) trait KernelOps: Backend {
    fn conv2d(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self>;
    fn linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        onto: FloatTensor<Self>,
        ready: Option<Ready>,
    ) -> FloatTensor<Self>;
    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self>;
    fn silu_sum(x: FloatTensor<Self>, h: FloatTensor<Self>) -> FloatTensor<Self>;
    fn group_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, beta: FloatTensor<Self>, norm: Norm) -> FloatTensor<Self>;
    fn group_norm_modulated(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: Norm,
    ) -> FloatTensor<Self>;
    fn attention(qkv: FloatTensor<Self>, heads: usize, precision: Precision) -> FloatTensor<Self>;
    fn add(x: FloatTensor<Self>, h: FloatTensor<Self>, gain: f32) -> FloatTensor<Self>;
    fn add_channels(x: FloatTensor<Self>, e: FloatTensor<Self>) -> FloatTensor<Self>;
    fn concat(x: FloatTensor<Self>, h: FloatTensor<Self>) -> FloatTensor<Self>;
    fn resample(x: FloatTensor<Self>, how: Resample) -> FloatTensor<Self>;
    fn fir(x: FloatTensor<Self>, pad: usize) -> FloatTensor<Self>;
}

fn precision_of(ready: Option<&Ready>) -> Precision {
    ready.map_or_else(Precision::default, Ready::precision)
}

impl KernelOps for Flex {
    fn conv2d(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        conv::host_forward([&x, &w, &bias, &shift, &residual], &settings)
    }

    fn linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        onto: FloatTensor<Self>,
        ready: Option<Ready>,
    ) -> FloatTensor<Self> {
        linear::host_forward([&x, &w, &bias, &onto], ready.as_ref())
    }

    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        silu::host_forward(&x)
    }

    fn silu_sum(x: FloatTensor<Self>, h: FloatTensor<Self>) -> FloatTensor<Self> {
        silu::host_sum(&x, &h)
    }

    fn group_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, beta: FloatTensor<Self>, norm: Norm) -> FloatTensor<Self> {
        group_norm::host_forward(&x, &gamma, &beta, None, norm).0
    }

    fn group_norm_modulated(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: Norm,
    ) -> FloatTensor<Self> {
        group_norm::host_forward(&x, &gamma, &beta, Some([&scale, &shift]), norm).0
    }

    fn attention(qkv: FloatTensor<Self>, heads: usize, precision: Precision) -> FloatTensor<Self> {
        attention::host_forward(&qkv, heads, precision).0
    }

    fn add(x: FloatTensor<Self>, h: FloatTensor<Self>, gain: f32) -> FloatTensor<Self> {
        join::host_add(&x, &h, gain)
    }

    fn add_channels(x: FloatTensor<Self>, e: FloatTensor<Self>) -> FloatTensor<Self> {
        join::host_add_channels(&x, &e)
    }

    fn concat(x: FloatTensor<Self>, h: FloatTensor<Self>) -> FloatTensor<Self> {
        join::host_concat(&x, &h)
    }

    fn resample(x: FloatTensor<Self>, how: Resample) -> FloatTensor<Self> {
        resample::host_resample(&x, how, 1.0)
    }

    fn fir(x: FloatTensor<Self>, pad: usize) -> FloatTensor<Self> {
        resample::host_fir(&x, pad)
    }
}

impl<C: CheckpointStrategy> KernelOps for Autodiff<Flex, C> {
    fn conv2d(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        settings: Settings,
    ) -> FloatTensor<Self> {
        record::<C, _, _, 5>(
            [x, w, bias, shift, residual],
            |inputs| (conv::host_forward(inputs.each_ref(), &settings), ()),
            |inputs, (), _, need| ConvPullback::new(inputs, need, &settings),
        )
    }

    fn linear(
        x: FloatTensor<Self>,
        w: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        onto: FloatTensor<Self>,
        ready: Option<Ready>,
    ) -> FloatTensor<Self> {
        record::<C, _, _, 4>(
            [x, w, bias, onto],
            |inputs| (linear::host_forward(inputs.each_ref(), ready.as_ref()), ()),
            |inputs, (), _, need| LinearPullback::new(inputs, need, precision_of(ready.as_ref())),
        )
    }

    fn silu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _, 1>([x], |[x]| (silu::host_forward(x), ()), |[x], (), _, _| SiluPullback(x))
    }

    fn silu_sum(x: FloatTensor<Self>, h: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _, 2>([x, h], |[x, h]| (silu::host_sum(x, h), ()), |terms, (), _, _| SiluSumPullback(terms))
    }

    fn group_norm(x: FloatTensor<Self>, gamma: FloatTensor<Self>, beta: FloatTensor<Self>, norm: Norm) -> FloatTensor<Self> {
        record::<C, _, _, 3>(
            [x, gamma, beta],
            |[x, gamma, beta]| group_norm::host_forward(x, gamma, beta, None, norm),
            |[x, gamma, beta], moments, _, _| GroupNormPullback::new(x, gamma, beta, None, moments, norm),
        )
    }

    fn group_norm_modulated(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        norm: Norm,
    ) -> FloatTensor<Self> {
        record::<C, _, _, 5>(
            [x, gamma, beta, scale, shift],
            |[x, gamma, beta, scale, shift]| group_norm::host_forward(x, gamma, beta, Some([scale, shift]), norm),
            |[x, gamma, beta, scale, shift], moments, _, _| {
                GroupNormPullback::new(x, gamma, beta, Some([scale, shift]), moments, norm)
            },
        )
    }

    fn attention(qkv: FloatTensor<Self>, heads: usize, precision: Precision) -> FloatTensor<Self> {
        record::<C, _, _, 1>(
            [qkv],
            |[qkv]| attention::host_forward(qkv, heads, precision),
            |[qkv], l, o, _| AttentionPullback::new(qkv, heads, o, l),
        )
    }

    fn add(x: FloatTensor<Self>, h: FloatTensor<Self>, gain: f32) -> FloatTensor<Self> {
        record::<C, _, _, 2>([x, h], |[x, h]| (join::host_add(x, h, gain), ()), |_, (), _, _| AddPullback(gain))
    }

    fn add_channels(x: FloatTensor<Self>, e: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _, 2>([x, e], |[x, e]| (join::host_add_channels(x, e), ()), |_, (), _, _| AddChannelsPullback)
    }

    fn concat(x: FloatTensor<Self>, h: FloatTensor<Self>) -> FloatTensor<Self> {
        record::<C, _, _, 2>([x, h], |[x, h]| (join::host_concat(x, h), ()), |[x, _], (), _, _| ConcatPullback(dims::<4>(&x)[1]))
    }

    fn resample(x: FloatTensor<Self>, how: Resample) -> FloatTensor<Self> {
        record::<C, _, _, 1>([x], |[x]| (resample::host_resample(x, how, 1.0), ()), |_, (), _, _| ResamplePullback(how))
    }

    fn fir(x: FloatTensor<Self>, pad: usize) -> FloatTensor<Self> {
        record::<C, _, _, 1>([x], |[x]| (resample::host_fir(x, pad), ()), |_, (), _, _| FirPullback(pad))
    }
}
