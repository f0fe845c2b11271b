//! How far hosts are reached: the options of `ssh`, what it agreed on, and the binaries put there.
//!
//! Every connection is a cold one: a shared connection of the user's own configuration is switched off, because it
//! would be measured as part of some runs and not of others.

pub mod server;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::wan::Wan;

/// The options that every `ssh` of the lab has, on top of the user's or the private configuration.
const OPTIONS: [&str; 2] = ["-o", "BatchMode=yes"];
/// ... and what makes every connection one of its own.
const COLD: [&str; 4] = ["-o", "ControlMaster=no", "-o", "ControlPath=none"];

/// A host and how it is reached.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The transport's name in samples and tables.
    pub label: String,
    /// The host as `ssh` knows it.
    pub host: String,
    /// Options before the host.
    pub options: Vec<String>,
    /// The line in between, where there is a relay.
    pub wan: Option<Wan>,
}

impl Endpoint {
    /// A host of the user's own SSH configuration.
    pub fn user(host: &str) -> Self {
        let options = OPTIONS.map(str::to_owned).to_vec();
        Endpoint { label: format!("ssh:{host}"), host: host.to_owned(), options, wan: None }
    }

    /// A host of a configuration file of the lab's own.
    pub fn private(label: &str, host: &str, config: &Path) -> Self {
        let mut endpoint = Endpoint { label: label.to_owned(), ..Endpoint::user(host) };
        endpoint.options.splice(0..0, ["-F".to_owned(), config.display().to_string()]);
        endpoint
    }

    /// The same host behind a relay that listens on this port.
    pub fn behind(&self, wan: Wan, port: u16) -> Self {
        let mut endpoint = Endpoint { label: wan.label(), wan: Some(wan), ..self.clone() };
        endpoint.options.extend(["-p".to_owned(), port.to_string()]);
        endpoint
    }

    /// The remote shell as `-e` wants it.
    pub fn rsh(&self) -> String {
        format!("ssh {} {}", self.options.join(" "), COLD.join(" "))
    }

    /// The same where a connection is shared on purpose; `-S` has to follow, or the user's own configuration decides.
    pub fn rsh_shared(&self) -> String {
        format!("ssh {}", self.options.join(" "))
    }

    /// `ssh` with the options and the host; the remote command is the caller's to add.
    pub fn command(&self) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(&self.options).args(COLD).arg(&self.host).stdin(Stdio::null());
        ssh
    }

    /// Runs a command line there and returns what it printed.
    ///
    /// # Errors
    /// When the host is out of reach or the command fails; the text is ssh's.
    pub fn run(&self, line: &str) -> Result<String> {
        let done = self.command().arg(line).output().context("cannot start ssh")?;
        let errors = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "`{line}` on {} failed: {}", self.host, errors.trim());
        Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// The cipher that a connection agrees on, as `ssh -v` tells.
    pub fn cipher(&self) -> Option<String> {
        let done = self.command().args(["-v", "true"]).output().ok()?;
        cipher_of(&String::from_utf8_lossy(&done.stderr)).map(str::to_owned)
    }

    /// Makes a temporary directory there and puts these files into it; returns its path.
    ///
    /// # Errors
    /// When the host is out of reach or has no room.
    pub fn upload(&self, files: &[(&Path, &str)]) -> Result<String> {
        let dir = self.run("umask 077 && mktemp -d \"${TMPDIR:-/tmp}/sy-lab-bin.XXXXXX\"")?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        ensure!(dir.starts_with('/') && dir.chars().all(plain), "the temporary directory on {} is {dir:?}", self.host);
        for (path, name) in files {
            let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
            let line = format!("cat > {dir}/{name} && chmod 700 {dir}/{name}");
            let done = self.command().arg(line).stdin(file).status().context("cannot start ssh")?;
            ensure!(done.success(), "cannot copy {name} to {}", self.host);
        }
        Ok(dir)
    }
}

fn cipher_of(log: &str) -> Option<&str> {
    let rest = log.lines().find_map(|line| line.split_once("kex: server->client cipher: "))?.1;
    rest.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cipher_is_read_from_the_log() {
        let log =
            "debug1: x\ndebug1: kex: server->client cipher: aes128-gcm@openssh.com MAC: <implicit> compression: none\n";
        assert_eq!(cipher_of(log), Some("aes128-gcm@openssh.com"));
        assert_eq!(cipher_of("nothing"), None);
    }

    #[test]
    fn private_endpoint_reads_its_own_configuration_first() {
        let endpoint = Endpoint::private("ssh:loopback", "lab", Path::new("/c"));
        assert!(endpoint.rsh().starts_with("ssh -F /c -o BatchMode=yes"));
    }

    #[test]
    fn every_connection_is_a_cold_one_unless_it_is_shared_on_purpose() {
        let endpoint = Endpoint::user("h");
        assert!(endpoint.rsh().contains("ControlPath=none") && !endpoint.rsh_shared().contains("Control"));
        assert!(endpoint.command().get_args().any(|arg| arg == "ControlMaster=no"));
    }

    #[test]
    fn an_endpoint_behind_a_relay_is_the_same_host_at_another_port() {
        let near = Endpoint::private("ssh:loopback", "lab", Path::new("/c"));
        let far = near.behind("50:20".parse().unwrap(), 1234);
        assert_eq!((far.label.as_str(), far.host.as_str()), ("ssh:wan-50ms-20mbit", "lab"));
        assert!(far.rsh().starts_with(&format!("{} -p 1234 ", near.rsh_shared())));
    }
}
