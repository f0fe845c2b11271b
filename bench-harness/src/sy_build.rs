//! Builds sy as a user would (release, from this checkout), in any feature set, and asks the binary what it is.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::record::environment;
use crate::workspace;

/// The feature of sy that counts allocations: an instrument and no phase.
const COUNTING: &str = "dhat-heap";

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
    let features = match features {
        "default" => Vec::new(),
        "none" => vec!["--no-default-features".into()],
        names => vec!["--no-default-features".into(), "--features".into(), names.into()],
    };
    identify(&cargo(root, &features)?)
}

/// Builds exactly these features, with every allocation counted if `counting`, into `lab/<directory>/` beneath cargo's
/// target directory.
///
/// Cargo itself works in one directory for all sets: it keeps what differs between them apart, and compiles what does not,
/// which is nearly all, once. The binary is then copied to where no later build replaces it.
///
/// # Errors
/// When cargo fails or the binary does not say what it is.
pub fn build_set(root: &Path, features: &[String], counting: bool, directory: &str) -> Result<Sy> {
    let lab = workspace::target(root).join("lab");
    let mut arguments = vec!["--no-default-features".to_owned(), "--target-dir".into()];
    arguments.push(lab.join("build").display().to_string());
    let all: Vec<&str> = features.iter().map(String::as_str).chain(counting.then_some(COUNTING)).collect();
    if !all.is_empty() {
        arguments.extend(["--features".into(), all.join(",")]);
    }
    let fresh = cargo(root, &arguments)?;
    let dir = lab.join(if counting { format!("{directory}-{COUNTING}") } else { directory.to_owned() });
    let (path, part) = (dir.join("sy"), dir.join("sy.part"));
    std::fs::create_dir_all(&dir)
        .and_then(|()| std::fs::copy(&fresh, &part))
        .and_then(|_| std::fs::rename(&part, &path))
        .with_context(|| format!("cannot copy {} to {}", fresh.display(), path.display()))?;
    identify(&path)
}

/// Runs cargo and returns the path of the binary that it made.
fn cargo(root: &Path, arguments: &[String]) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--quiet", "--package", "sy", "--message-format=json-render-diagnostics"]);
    command.args(arguments).current_dir(root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let done = command.output().context("cannot run cargo to build sy")?;
    ensure!(done.status.success(), "cargo could not build sy");
    executable(&String::from_utf8_lossy(&done.stdout)).context("cargo does not say where it put sy")
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
    fn a_program_that_is_not_sy_is_refused() {
        assert!(identify(Path::new("/bin/true")).unwrap_err().to_string().contains("does not print"));
    }
}
