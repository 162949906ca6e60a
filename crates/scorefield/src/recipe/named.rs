//! The recipes that come with the library.

/// A recipe that comes with the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedRecipe {
    /// Its name.
    pub name: &'static str,
    /// Its TOML; the first line, a comment, says what it is for.
    pub text: &'static str,
}

impl NamedRecipe {
    /// What it is for.
    pub fn about(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }
}

macro_rules! named {
    ($($name:literal),*) => { [$(NamedRecipe { name: $name, text: include_str!(concat!("../../recipes/", $name, ".toml")) }),*] };
}

/// All recipes with a name.
pub fn recipes() -> Vec<NamedRecipe> {
    named![
        "auto",
        "digits",
        "fashion28",
        "sprites32",
        "toy-2d",
        "consistency-2d",
        "heartbeat",
        "swiss-roll-thermo",
        "swiss-roll-rbf",
        "dead-leaves",
        "toy-table",
        "digits-bits",
        "fashion28-bits",
        "cifar10-ddpm",
        "cifar10-edm"
    ]
    .to_vec()
}
