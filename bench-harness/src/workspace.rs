//! Where the lab's own data lies: the workspace it was built from, or the one it is run in.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The directory that has `scenarios/`, `results/` and sy's `Cargo.toml`.
///
/// The current directory and its parents come first, so that a checkout that was moved or copied still finds itself.
///
/// # Errors
/// When there is none.
pub fn root() -> Result<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let built = Path::new(env!("CARGO_MANIFEST_DIR"));
    for dir in here.ancestors().chain(built.ancestors()) {
        if dir.join("scenarios").join("subjects.toml").is_file() && dir.join("Cargo.toml").is_file() {
            return Ok(dir.to_owned());
        }
    }
    bail!("found no directory with scenarios/subjects.toml; run this inside a checkout of sy")
}

/// Cargo's target directory of the workspace at `root`.
pub fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
