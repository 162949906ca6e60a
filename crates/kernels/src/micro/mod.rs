//! The only code that knows instruction sets: the register tile of the matrix product, masked gathers and transposes.
//!
//! Every body computes each output by the same sequence of fused multiply-adds over `k`, whatever the width of its vectors,
//! so AVX-512, AVX2 and NEON give the same bits. The portable body does so too where the target fuses in hardware (aarch64);
//! elsewhere it rounds the product first, because a fused operation in software costs fifty times more.
//!
//! The functions of this file are safe: they check the bounds that the unsafe bodies rely on.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(crate) mod disjoint;
#[cfg(target_arch = "x86_64")]
pub(crate) mod halves;
#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
mod portable;
mod vector;
pub(crate) mod wide;

pub(crate) use vector::lanes;

/// Columns of a packed panel: two AVX-512 vectors.
pub(crate) const PANEL: usize = 32;
/// Columns of half a panel, and pixels of one masked load.
pub(crate) const HALF: usize = 16;
/// Most rows of a register tile: 12 x 2 accumulators, 2 columns and 1 broadcast fit the 32 registers of AVX-512.
pub(crate) const ROWS: usize = 12;

/// The instruction sets there are bodies for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// 512-bit vectors with masks.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 256-bit vectors with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 128-bit vectors with fused multiply-add.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// Plain Rust, which the compiler vectorises for the target.
    Portable,
}

impl Isa {
    /// The widest set this processor has (the standard library caches the answer).
    pub(crate) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if Self::avx512() {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        #[cfg(target_arch = "aarch64")]
        if std::arch::is_aarch64_feature_detected!("neon") {
            return Self::Neon;
        }
        Self::Portable
    }

    /// All but the first processors with 512-bit vectors have the three parts.
    #[cfg(target_arch = "x86_64")]
    fn avx512() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl")
    }

    /// Every set this processor has, for tests that compare them.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
            }
            if Self::avx512() {
                all.push(Self::Avx512);
            }
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self::Neon);
        all
    }
}

/// The operands of one register tile, `C[m, n] (+)= A[m, kc] B[kc, 32]`.
pub(crate) struct Tile<'a> {
    /// Rows of the tile, 1 to [`ROWS`].
    pub m: usize,
    /// Columns that matter, 1 to [`PANEL`]; 16 or fewer run in half the time. The others hold anything afterwards.
    pub n: usize,
    /// Length of the sum.
    pub kc: usize,
    /// `A[i, k] = a[i * rs + k * cs]`, where `rs` or `cs` is 1.
    pub a: &'a [f32],
    /// Distance of rows of A.
    pub rs: usize,
    /// Distance of columns of A.
    pub cs: usize,
    /// The packed panel `[kc][32]`.
    pub b: &'a [f32],
    /// `C[i, j] = c[i * ldc + j]`.
    pub c: &'a mut [f32],
    /// Distance of rows of C.
    pub ldc: usize,
    /// Whether the sum is added to C or replaces it.
    pub add: bool,
}

/// Runs one register tile.
#[inline]
pub(crate) fn tile(isa: Isa, t: Tile<'_>) {
    assert!((1..=ROWS).contains(&t.m) && (1..=PANEL).contains(&t.n) && t.kc > 0);
    assert!(t.rs == 1 || t.cs == 1);
    assert!(t.a.len() > (t.m - 1) * t.rs + (t.kc - 1) * t.cs);
    assert!(t.b.len() >= t.kc * PANEL && t.c.len() >= (t.m - 1) * t.ldc + PANEL);
    match isa {
        // SAFETY: the bounds of A, B and C were checked above, and detection found the features.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { avx512::tile(t) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => unsafe { avx2::tile(t) },
        // SAFETY: as above.
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => unsafe { neon::tile(t) },
        Isa::Portable => portable::tile(t),
    }
}

/// A piece of a vector of 16 pixels that lies evenly spaced in an image: lane `l` in `mask` reads `offset + apart * l`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// Position of lane 0, relative to the plane; may point outside where lane 0 is not in the mask.
    pub offset: i32,
    /// The lanes, one behind the other.
    pub mask: u16,
}

/// Vectors of 16 pixels of some channels, gathered by runs: `dst[c * step + l] = src[base + c * plane + run.offset + apart * l]` for the lanes of the
/// runs, zero elsewhere, for `c < count`.
pub(crate) struct Gather<'a> {
    /// The pictures.
    pub src: &'a [f32],
    /// Where the first channel's plane begins.
    pub base: usize,
    /// Distance of planes.
    pub plane: usize,
    /// At most 16.
    pub runs: &'a [Run],
    /// Distance of the numbers of a run, 1 or 2.
    pub apart: usize,
    /// Channels.
    pub count: usize,
    /// Distance of the vectors.
    pub step: usize,
}

impl Gather<'_> {
    /// Where lane 0 of a run of channel `c` is read; anywhere if that lane is not in the mask.
    #[inline(always)]
    fn at(&self, run: &Run, c: usize) -> *const f32 {
        self.src.as_ptr().wrapping_add(self.base + c * self.plane).wrapping_offset(run.offset as isize)
    }
}

/// Runs a gather.
#[inline]
pub(crate) fn gather_runs(isa: Isa, g: &Gather<'_>, dst: &mut [f32]) {
    if g.count == 0 {
        return;
    }
    assert!(dst.len() >= (g.count - 1) * g.step + HALF && (1..=2).contains(&g.apart) && g.runs.len() <= HALF);
    let end = g.src.len() as isize - ((g.count - 1) * g.plane) as isize;
    for run in g.runs.iter().filter(|run| run.mask != 0) {
        let at = |lane: u32| g.base as isize + run.offset as isize + g.apart as isize * lane as isize;
        assert!(at(run.mask.trailing_zeros()) >= 0 && at(15 - run.mask.leading_zeros()) < end);
    }
    match (isa, g.apart) {
        // SAFETY: every lane in a mask was checked to lie inside `src` for all channels, and `dst` to hold all rows.
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, 1) => unsafe { avx512::gather_runs(g, dst) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx512, _) => unsafe { avx512::gather_every_second(g, dst) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (Isa::Avx2, 1) => unsafe { avx2::gather_runs(g, dst) },
        _ => portable::gather_runs(g, dst),
    }
}

/// `dst[c * step + l] = src[base + c * plane + points[l]]`, zero where `points[l]` is negative, for `c < count`.
#[inline]
pub(crate) fn gather_points(
    src: &[f32],
    base: usize,
    plane: usize,
    points: &[i32; HALF],
    count: usize,
    dst: &mut [f32],
    step: usize,
) {
    for c in 0..count {
        let from = base + c * plane;
        for (to, &point) in dst[c * step..c * step + HALF].iter_mut().zip(points) {
            *to = if point < 0 { 0.0 } else { src[from + point as usize] };
        }
    }
}

/// `dst[j * ldd + i] = src[i * lds + j]` for `i < rows`, `j < cols`.
#[inline]
pub(crate) fn transpose(isa: Isa, src: &[f32], lds: usize, dst: &mut [f32], ldd: usize, rows: usize, cols: usize) {
    if rows == 0 || cols == 0 {
        return;
    }
    assert!(src.len() >= (rows - 1) * lds + cols && dst.len() >= (cols - 1) * ldd + rows);
    // Blocks of `edge` x `edge` by vectors, what is left over one by one.
    let edge = match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => HALF,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => 8,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => 4,
        Isa::Portable => return portable::transpose(src, lds, dst, ldd, 0..rows, 0..cols),
    };
    let (whole_rows, whole_cols) = (rows / edge * edge, cols / edge * edge);
    for i in (0..whole_rows).step_by(edge) {
        for j in (0..whole_cols).step_by(edge) {
            let (from, to) = (&src[i * lds + j..], &mut dst[j * ldd + i..]);
            match isa {
                // SAFETY: the block lies inside the bounds checked above, and detection found the features.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512::transpose16(from.as_ptr(), lds, to.as_mut_ptr(), ldd) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2::transpose8(from.as_ptr(), lds, to.as_mut_ptr(), ldd) },
                // SAFETY: as above.
                #[cfg(target_arch = "aarch64")]
                Isa::Neon => unsafe { neon::transpose4(from.as_ptr(), lds, to.as_mut_ptr(), ldd) },
                Isa::Portable => {}
            }
        }
    }
    portable::transpose(src, lds, dst, ldd, 0..rows, whole_cols..cols);
    portable::transpose(src, lds, dst, ldd, whole_rows..rows, 0..whole_cols);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        let mut s = seed.wrapping_mul(2_654_435_761) | 1;
        (0..n)
            .map(|_| {
                s ^= s << 13;
                s ^= s >> 17;
                s ^= s << 5;
                (s >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect()
    }

    /// Every tile size equals the sum in f64, and the fused bodies agree to the bit.
    #[test]
    fn tiles_equal_the_sum_on_every_instruction_set() {
        let kc = 37;
        for m in 1..=ROWS {
            for (n, column_major, add) in [(32, false, false), (16, true, true), (5, false, true), (31, true, false)] {
                let (rs, cs) = if column_major { (1, m + 3) } else { (kc + 5, 1) };
                let a = numbers(rs.max(cs) * (m.max(kc) + 1), 1);
                let b = numbers(kc * PANEL, 2);
                let start = numbers(m * 40, 3);
                let run = |isa| {
                    let mut c = start.clone();
                    tile(isa, Tile { m, n, kc, a: &a, rs, cs, b: &b, c: &mut c, ldc: 40, add });
                    (0..m).flat_map(|i| c[i * 40..i * 40 + n].to_vec()).collect::<Vec<_>>()
                };
                let mut fused: Option<Vec<f32>> = None;
                for isa in Isa::all() {
                    let c = run(isa);
                    for i in 0..m {
                        for j in 0..n {
                            let sum: f64 = (0..kc).map(|k| f64::from(a[i * rs + k * cs]) * f64::from(b[k * PANEL + j])).sum();
                            let want = sum + if add { f64::from(start[i * 40 + j]) } else { 0.0 };
                            assert!((f64::from(c[i * n + j]) - want).abs() < 2e-6, "{isa:?} {m}x{n} [{i},{j}]");
                        }
                    }
                    if isa != Isa::Portable || cfg!(target_arch = "aarch64") {
                        assert_eq!(*fused.get_or_insert(c.clone()), c, "{isa:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn gathers_and_transposes_move_every_number() {
        let src = numbers(400, 4);
        let run = |offset, mask| Run { offset, mask };
        let runs = [run(-3, 0b0000_0000_1111_1000), run(20, 0b0111_1111_0000_0000)];
        let (whole, long) = ([run(7, u16::MAX)], [run(-1, 0b0000_0001_1111_1110), run(3, 0b1111_1110_0000_0000)]);
        let three = [run(5, 0b11), run(30, 0b0001_1111_1111_0000), run(0, 0b1100_0000_0000_0000)];
        let cases = [&runs[..], &runs[..1], &[], &whole, &long, &three];
        for isa in Isa::all() {
            for (apart, runs) in [1, 2].into_iter().flat_map(|apart| cases.map(|runs| (apart, runs))) {
                let mut dst = vec![7.0; 3 * 20];
                // Nothing lies behind the last number that is read.
                let last = runs.iter().map(|r| 200 + r.offset + apart * (15 - r.mask.leading_zeros() as i32)).max().unwrap_or(0);
                let src = src[..=last as usize].to_vec().into_boxed_slice();
                let g = Gather { src: &src, base: 0, plane: 100, runs, apart: apart as usize, count: 3, step: 20 };
                gather_runs(isa, &g, &mut dst);
                for c in 0..3 {
                    for l in 0..16 {
                        let want = runs
                            .iter()
                            .find(|r| r.mask >> l & 1 == 1)
                            .map_or(0.0, |r| src[c * 100 + (r.offset + apart * l) as usize]);
                        assert_eq!(dst[c * 20 + l as usize], want);
                    }
                }
            }
            let mut turned = vec![0.0; 23 * 18];
            transpose(isa, &src, 23, &mut turned, 18, 17, 21);
            for i in 0..17 {
                for j in 0..21 {
                    assert_eq!(turned[j * 18 + i], src[i * 23 + j]);
                }
            }
        }
    }
}
