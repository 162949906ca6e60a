//! A line of formula for each process, for listings.

use super::ProcessConfig;

impl ProcessConfig {
    /// One line: its formula and whose it is; `alpha_bar` is the cumulative product of `1 - beta`, `u` from 0 to 1 over the table.
    pub fn about(&self) -> &'static str {
        match self {
            Self::VpLinear { .. } => "alpha = exp(-1/2 int beta), beta linear in t, sigma^2 = 1 - alpha^2 (Song et al. 2021)",
            Self::VpCosine { .. } => "alpha along a cosine, sigma^2 = 1 - alpha^2 (Nichol and Dhariwal 2021, in continuous time)",
            Self::SubVp { .. } => "alpha of vp-linear, sigma = 1 - alpha^2 (Song et al. 2021)",
            Self::Ve { .. } => "alpha = 1, sigma geometric in t (Song et al. 2021; the limit of NCSN)",
            Self::Edm { .. } => "alpha = 1, sigma = t (Karras et al. 2022)",
            Self::RectifiedFlow => "alpha = 1 - t, sigma = t (Liu et al. 2023; Lipman et al. 2023)",
            Self::Trigonometric => "alpha = cos(pi t / 2), sigma = sin(pi t / 2) (Salimans and Ho 2022)",
            Self::DiscreteLinear { .. } => "betas in equal steps (Ho et al. 2020)",
            Self::DiscreteQuadratic { .. } => "betas with roots in equal steps (Ho et al. 2020, quad)",
            Self::DiscreteScaledLinear { .. } => "betas with roots in equal steps (Rombach et al. 2022, scaled linear)",
            Self::DiscreteConstant { .. } => "one beta for all times (Ho et al. 2020, const)",
            Self::DiscreteCosine { .. } => "alpha_bar along a squared cosine (Nichol and Dhariwal 2021)",
            Self::DiscreteSigmoid { .. } => "betas along a sigmoid (Xu et al. 2022; diffusers)",
            Self::DiscreteSigmoidCumulative { .. } => "alpha_bar along a sigmoid (Jabri et al. 2022; lucidrains)",
            Self::DiscreteLaplace { .. } => "alpha_bar from a Laplace law of the log-SNR (Hang et al. 2024, as in diffusers)",
            Self::DiscreteExponential { .. } => "alpha_bar = exp(-rate u) (diffusers, exp)",
            Self::DiscreteWarmup { .. } => "betas linear over a share of the times, then constant (Ho et al. 2020, warmup)",
            Self::DiscreteJsd { .. } => "beta_i = 1 / (T - i) (Sohl-Dickstein et al. 2015)",
            Self::DiscreteBetas { .. } => "your own betas, with semicolons between",
            Self::Shifted { .. } => "another process with sigma/alpha times a factor (Hoogeboom et al. 2023; Esser et al. 2024)",
        }
    }
}
