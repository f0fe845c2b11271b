//! Builds sy as a user would (release, from this checkout) and asks the binary what it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::record::environment;

/// A sy binary and what it says of itself.
#[derive(Clone, Debug)]
pub struct Sy {
    /// Where it is.
    pub path: PathBuf,
    /// The first line of `--version`.
    pub version: String,
    /// What `phases --json` prints.
    pub phases: serde_json::Value,
}

/// Builds the feature set `features`: `default`, `none`, or names with commas between them.
///
/// # Errors
/// When cargo fails or the binary does not say what it is.
pub fn build(root: &Path, features: &str) -> Result<Sy> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", "sy", "--message-format=json-render-diagnostics"]);
    command.args(feature_arguments(features)).current_dir(root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let done = command.output().context("cannot run cargo to build sy")?;
    ensure!(done.status.success(), "cargo could not build sy");
    let messages = String::from_utf8_lossy(&done.stdout);
    let path = executable(&messages).context("cargo does not say where it put sy")?;
    identify(&path)
}

/// Asks a binary what it is. No identity, no measurement.
///
/// # Errors
/// When it is not a sy that the lab knows how to ask.
pub fn identify(path: &Path) -> Result<Sy> {
    let program = path.to_str().context("the path of sy is not UTF-8")?;
    let version = environment::output(program, &["--version"]).unwrap_or_default();
    let version = version.lines().next().unwrap_or_default().to_owned();
    ensure!(version.starts_with("sy "), "{} does not print `sy X.Y.Z` for --version", path.display());
    let Some(text) = environment::output(program, &["phases", "--json"]) else {
        bail!("{} does not print its phases", path.display());
    };
    let phases = serde_json::from_str(&text).with_context(|| format!("{}: phases are not JSON", path.display()))?;
    Ok(Sy { path: path.to_owned(), version, phases })
}

fn feature_arguments(features: &str) -> Vec<String> {
    match features {
        "default" => Vec::new(),
        "none" => vec!["--no-default-features".into()],
        names => vec!["--no-default-features".into(), "--features".into(), names.into()],
    }
}

/// The path in cargo's message about the binary `sy`.
fn executable(messages: &str) -> Option<PathBuf> {
    let parsed = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut found =
        parsed.filter(|m| m["target"]["name"] == "sy").filter_map(|m| m["executable"].as_str().map(PathBuf::from));
    found.next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_is_read_from_the_message_of_the_right_target() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"sy"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/x/other"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"sy"},"executable":"/x/sy"}"#,
            "\nnoise\n"
        );
        assert_eq!(executable(messages), Some("/x/sy".into()));
        assert_eq!(executable("noise"), None);
    }

    #[test]
    fn feature_sets_become_arguments() {
        assert!(feature_arguments("default").is_empty());
        assert_eq!(feature_arguments("none"), ["--no-default-features"]);
        assert_eq!(feature_arguments("a,b"), ["--no-default-features", "--features", "a,b"]);
    }

    #[test]
    fn a_program_that_is_not_sy_is_refused() {
        assert!(identify(Path::new("/bin/true")).unwrap_err().to_string().contains("does not print"));
    }
}
