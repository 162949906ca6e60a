//! Latents: data carried to the prior by the probability flow, and back.
//!
//! The flow is an ordinary equation, so the way back is the way there; what a round trip loses is the integrator's error alone.
//! Latents are standardised, `z = x_end / sigma_end`: a model that has learned its data makes them standard normals.

use super::flow::{Flow, FlowError, Path, arrived};
use crate::ode::Memory;
use scorefield_process::{Denoiser, Process};
use scorefield_tensor::{Batch, Tensor, TensorData, batch_f64, rows_f64};

/// States `x`, `[n, d]`, at the start of the flow to standardised latents, and the evaluations of each row.
///
/// # Errors
/// When a row's way cannot be integrated.
pub fn encode(d: &dyn Denoiser, x: &Batch, flow: &Flow) -> Result<(Batch, Vec<u64>), FlowError> {
    encode_with(d.process(), |_| d, x, flow)
}

/// [`encode`] with a denoiser for each call, told the rows it will see.
///
/// # Errors
/// As [`encode`].
pub fn encode_with<D: Denoiser>(
    process: &dyn Process,
    denoiser: impl Fn(&[usize]) -> D,
    x: &Batch,
    flow: &Flow,
) -> Result<(Batch, Vec<u64>), FlowError> {
    let path = Path::new(process, flow);
    let (u_start, u_end) = path.span();
    let scale = path.at(u_end).sigma;
    carry(&denoiser, x, &path, (u_start, u_end), flow).map(|(x, evaluations)| (x / scale, evaluations))
}

/// Standardised latents, `[n, d]`, to states at the start of the flow, and the evaluations of each row.
///
/// # Errors
/// When a row's way cannot be integrated.
pub fn decode(d: &dyn Denoiser, z: &Batch, flow: &Flow) -> Result<(Batch, Vec<u64>), FlowError> {
    decode_with(d.process(), |_| d, z, flow)
}

/// [`decode`] with a denoiser for each call, told the rows it will see.
///
/// # Errors
/// As [`decode`].
pub fn decode_with<D: Denoiser>(
    process: &dyn Process,
    denoiser: impl Fn(&[usize]) -> D,
    z: &Batch,
    flow: &Flow,
) -> Result<(Batch, Vec<u64>), FlowError> {
    let path = Path::new(process, flow);
    let (u_start, u_end) = path.span();
    carry(&denoiser, &(z.clone() * path.at(u_end).sigma), &path, (u_end, u_start), flow)
}

fn carry<D: Denoiser>(
    denoiser: &impl Fn(&[usize]) -> D,
    x: &Batch,
    path: &Path<'_>,
    (from, to): (f64, f64),
    flow: &Flow,
) -> Result<(Batch, Vec<u64>), FlowError> {
    let [n, dim] = x.dims();
    let device = x.device();
    let r = path.at(from).r;
    let z: Vec<f64> = rows_f64(x.clone()).iter().map(|x| x / r).collect();
    let mut slope = |z: &Batch, u: &[f64], rows: &[usize]| {
        let z = rows_f64(z.clone());
        let places: Vec<_> = u.iter().map(|&u| path.at(u)).collect();
        let states = z.chunks(dim).zip(&places).flat_map(|(z, p)| z.iter().map(move |z| z * p.r)).collect();
        let states = Tensor::from_data(TensorData::new(states, [u.len(), dim]), (&device, x.dtype()));
        let clean = rows_f64(denoiser(rows).denoise_each(&states, &places.iter().map(|p| p.t).collect::<Vec<_>>()));
        // dz/du = (alpha / r) ((alpha / r) z - D)
        let row = |(i, (z, clean)): (usize, (&f64, &f64))| {
            let a = places[i / dim].alpha / places[i / dim].r;
            a * (a * z - clean)
        };
        batch_f64(z.iter().zip(&clean).enumerate().map(row).collect(), u.len(), &device)
    };
    let report = flow.ode.integrate_rows(&mut slope, batch_f64(z, n, &device), from, to, &mut Memory::new());
    arrived(&report)?;
    let end = path.at(to).r;
    let x_end = rows_f64(report.y).iter().map(|z| z * end).collect();
    let evaluations = report.rows.iter().map(|r| r.evaluations).collect();
    Ok((Tensor::from_data(TensorData::new(x_end, [n, dim]), (&device, x.dtype())), evaluations))
}

/// The point a fraction `f` of the way from `a` to `b` on the great arc between them (Shoemake 1985):
/// `(sin((1 - f) w) a + sin(f w) b) / sin(w)` with `cos(w) = <a, b> / (|a| |b|)`; the straight line where they are parallel.
///
/// Normal vectors in many dimensions have nearly one length, which the arc keeps and the straight line does not.
///
/// # Panics
/// When the lengths differ.
#[track_caller]
pub fn slerp(a: &[f64], b: &[f64], f: f64) -> Vec<f64> {
    assert_eq!(a.len(), b.len(), "latents of {} and {} entries", a.len(), b.len());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
    let angle = cosine.clamp(-1.0, 1.0).acos();
    let (p, q) = match angle.sin() {
        // Opposite vectors have no arc of their own; the line through the origin is as good as any.
        sine if sine.is_nan() || sine < 1e-9 => (1.0 - f, f),
        sine => (((1.0 - f) * angle).sin() / sine, (f * angle).sin() / sine),
    };
    a.iter().zip(b).map(|(a, b)| p * a + q * b).collect()
}
