//! Programs that the lab uses and the packages that bring them: what to say when one is missing.

use std::path::PathBuf;

/// Where a program is on the PATH.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// What to say when a program is missing: what it was wanted for and which package brings it.
pub fn missing(program: &str, consequence: &str) -> String {
    let packages = match program {
        "sshd" => "openssh-server (Debian, Fedora), openssh (Arch, Homebrew)",
        "ssh" => "openssh-client (Debian), openssh-clients (Fedora), openssh (Arch, Homebrew)",
        other => return format!("{other} is missing (package {other}): {consequence}"),
    };
    format!("{program} is missing (package {packages}): {consequence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_its_package_and_what_is_left_out() {
        assert_eq!(missing("rsync", "no ratio"), "rsync is missing (package rsync): no ratio");
        assert!(missing("sshd", "x").contains("openssh-server"));
        assert!(find("sh").is_some() && find("no-such-program").is_none());
    }
}
