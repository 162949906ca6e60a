//! Which project wrote a file: told by what is in it.

use super::error::{Fault, ImportError};
use super::plan::Plan;
use super::{Given, diffusers, edm, hot_vs_cold, k_diffusion, lucidrains, ncsn, openai, papers, score_sde};
use scorefield_archive::{Archive, Kind, Node};
use std::fmt;
use std::path::Path;

/// A project's way of writing checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// huggingface diffusers.
    Diffusers,
    /// yang-song/score_sde_pytorch.
    ScoreSde,
    /// NVlabs/edm.
    Edm,
    /// openai/improved-diffusion and openai/guided-diffusion.
    OpenAi,
    /// lucidrains/denoising-diffusion-pytorch.
    Lucidrains,
    /// crowsonkb/k-diffusion.
    KDiffusion,
    /// ermongroup/ncsn.
    Ncsn,
    /// ermongroup/ncsnv2.
    NcsnV2,
    /// Yichizz/hot_vs_cold_diffusion.
    HotVsCold,
    /// BrianPulfer/PapersReimplementations.
    PapersReimplementations,
}

impl Layout {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Diffusers,
        Self::ScoreSde,
        Self::Edm,
        Self::OpenAi,
        Self::Lucidrains,
        Self::KDiffusion,
        Self::Ncsn,
        Self::NcsnV2,
        Self::HotVsCold,
        Self::PapersReimplementations,
    ];

    /// The name in messages and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Diffusers => "diffusers",
            Self::ScoreSde => "score-sde",
            Self::Edm => "edm",
            Self::OpenAi => "openai",
            Self::Lucidrains => "lucidrains",
            Self::KDiffusion => "k-diffusion",
            Self::Ncsn => "ncsn",
            Self::NcsnV2 => "ncsnv2",
            Self::HotVsCold => "hot-vs-cold",
            Self::PapersReimplementations => "papers-reimplementations",
        }
    }

    /// One line: whose it is and what is read.
    pub fn about(self) -> &'static str {
        match self {
            Self::Diffusers => "huggingface diffusers: UNet2DModel folders, also flat ones, .safetensors, sharded, .bin",
            Self::ScoreSde => "yang-song/score_sde_pytorch: ddpm, DDPM++ and NCSN++ .pth with the unnamed list of averages",
            Self::Edm => "NVlabs/edm: network-snapshot-*.pkl of SongUNet and DhariwalUNet under four preconditionings",
            Self::OpenAi => "openai/improved-diffusion and guided-diffusion: UNetModel .pt",
            Self::Lucidrains => "lucidrains/denoising-diffusion-pytorch: model-N.pt of the Trainer, or a bare Unet",
            Self::KDiffusion => {
                "crowsonkb/k-diffusion: image_v1 and image_transformer_v2, .pth of training and slim .safetensors"
            }
            Self::Ncsn => "ermongroup/ncsn: conditional RefineNet .pth",
            Self::NcsnV2 => "ermongroup/ncsnv2: RefineNet .pth with averages",
            Self::HotVsCold => "Yichizz/hot_vs_cold_diffusion: the DDPM of MNIST, .pth or .safetensors",
            Self::PapersReimplementations => {
                "BrianPulfer/PapersReimplementations: DDPM U-Nets of MNIST and Fashion-MNIST, .pt or .safetensors"
            }
        }
    }

    pub(super) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// Names of tensors that only this layout has.
    fn marks(self) -> &'static [&'static str] {
        match self {
            Self::Diffusers => &["conv_in.weight", "conv_norm_out.weight", "time_embedding.linear_1.weight", "down_blocks.0"],
            Self::ScoreSde => &["all_modules.0", "all_modules.3", "GroupNorm_0", "shadow_params"],
            Self::Edm => &["map_layer0", "map_layer1", "enc.", "dec."],
            Self::OpenAi => &["input_blocks.0.0.weight", "middle_block.0", "output_blocks.0.0", "time_embed.0.weight"],
            Self::Lucidrains => &["init_conv.weight", "time_mlp.1.weight", "final_res_block", "downs.0.0"],
            Self::KDiffusion => &["u_net.d_blocks", "mapping.0.weight", "patch_in.proj", "mid_level.0"],
            Self::Ncsn => &["begin_conv.weight", "res1.0", "refine1", "normalizer.embed"],
            Self::NcsnV2 => &["begin_conv.weight", "res1.0", "refine1", "module.sigmas"],
            Self::HotVsCold => &["blocks.0.net.0.weight", "time_embed.6.weight", "beta_t", "alpha_t"],
            Self::PapersReimplementations => &["b1.0.ln.weight", "b_mid.0.ln", "te_mid.0.weight", "conv_out.weight"],
        }
    }

    fn understand(self, path: &Path, archive: &Archive, given: &mut Given) -> Result<Plan, Fault> {
        match self {
            Self::Diffusers => diffusers::of_file(path, archive, given),
            Self::ScoreSde => score_sde::plan(path, archive, given),
            Self::Edm => edm::plan(archive, given),
            Self::OpenAi => openai::plan(path, archive, given),
            Self::Lucidrains => lucidrains::plan(path, archive, given),
            Self::KDiffusion => k_diffusion::plan(path, archive, given),
            Self::Ncsn | Self::NcsnV2 => ncsn::plan(path, archive, given),
            Self::HotVsCold => hot_vs_cold::plan(path, archive, given),
            Self::PapersReimplementations => papers::plan(path, archive, given),
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reads what a file or folder is.
pub(super) fn understand(path: &Path, mut given: Given) -> Result<(Layout, Plan, Given), ImportError> {
    if path.is_dir() {
        let plan = diffusers::of_folder(path, &mut given).map_err(|f| f.at(path, Layout::Diffusers))?;
        return Ok((Layout::Diffusers, plan, given));
    }
    // The index of a sharded checkpoint, `NAME.safetensors.index.json` or `NAME.bin.index.json`.
    let sharded = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.ends_with(".index.json"));
    let archive = if sharded { scorefield_archive::open_sharded(path)? } else { scorefield_archive::open(path)? };
    let layout = recognise(&archive).map_or_else(|| Err(unknown(path, &archive)), Ok)?;
    let plan = layout.understand(path, &archive, &mut given).map_err(|f| f.at(path, layout))?;
    Ok((layout, plan, given))
}

/// The layout of an open file.
fn recognise(archive: &Archive) -> Option<Layout> {
    let root = archive.root();
    let has = |key: &str| root.get(key).is_some();
    if root.get("ema").is_some_and(|ema| ema.kind() == Kind::Object && ema.class().is_some_and(|c| c.ends_with("Precond"))) {
        return Some(Layout::Edm);
    }
    if root.get("ema").is_some_and(|ema| ema.get("shadow_params").is_some()) {
        return Some(Layout::ScoreSde);
    }
    if root.get("0").is_some_and(|model| model.get("module.begin_conv.weight").is_some()) {
        return Some(if root.get("0").is_some_and(|m| ncsn::is_second(&m)) { Layout::NcsnV2 } else { Layout::Ncsn });
    }
    if root.get("model").is_some_and(|model| model.get("model.init_conv.weight").is_some()) || has("init_conv.weight") {
        return Some(Layout::Lucidrains);
    }
    if has("model_ema") && has("config") || k_diffusion::is_network(&root) {
        return Some(Layout::KDiffusion);
    }
    if has("input_blocks.0.0.weight") && has("time_embed.0.weight") {
        return Some(Layout::OpenAi);
    }
    if has("conv_in.weight") && has("conv_norm_out.weight") {
        return Some(Layout::Diffusers);
    }
    if hot_vs_cold::is_model(&root) {
        return Some(Layout::HotVsCold);
    }
    if papers::is_model(&root) {
        return Some(Layout::PapersReimplementations);
    }
    None
}

/// What such a file is nearest to.
fn unknown(path: &Path, archive: &Archive) -> ImportError {
    let names = some_names(&archive.root());
    let hits = |layout: &Layout| layout.marks().iter().filter(|m| names.iter().any(|n| n.contains(**m))).count();
    let best = Layout::ALL.into_iter().max_by_key(hits).filter(|l| hits(l) > 0);
    let nearest = match best {
        None => "none".to_owned(),
        Some(layout) => {
            let lacks: Vec<&str> = layout.marks().iter().copied().filter(|m| !names.iter().any(|n| n.contains(*m))).collect();
            let lacks = if lacks.is_empty() {
                "though its names stand elsewhere".into()
            } else {
                format!("but no `{}`", lacks.join("`, `"))
            };
            format!("{layout}, {lacks}")
        }
    };
    let first: Vec<String> = names.iter().take(4).map(|n| format!("`{n}`")).collect();
    let first = if first.is_empty() { String::new() } else { format!(", first {}", first.join(", ")) };
    let found = format!("{}, {} names{first}", archive.container(), names.len());
    ImportError::Unknown { path: path.to_owned(), found, nearest }
}

/// Dotted names of the first two levels.
fn some_names(root: &Node<'_>) -> Vec<String> {
    const MOST: usize = 20_000;
    let mut names = Vec::new();
    for (key, node) in root.entries() {
        names.extend(node.entries().map(|(inner, _)| format!("{key}.{inner}")).take(MOST.saturating_sub(names.len())));
        names.push(key);
        if names.len() >= MOST {
            break;
        }
    }
    names
}
