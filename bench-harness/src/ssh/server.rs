//! The private `sshd`: on a free port of the loopback address, with keys of its own, for the time of one run.
//!
//! It needs no root and touches nothing in `~/.ssh`; only as root it makes `/run/sshd` where that is missing, because
//! sshd insists on it. It hangs on a leash, so it is ended and its directory removed however the lab ends.

use std::fs::{self, DirBuilder};
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Endpoint;
use crate::child::leash::Leash;

/// The transport's name in samples and tables.
pub const LABEL: &str = "ssh:loopback";
/// The host's name in the private configuration.
const HOST: &str = "sy-lab";
/// How long sshd may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where distributions put it; it is often not on a plain user's PATH.
const PLACES: [&str; 6] = [
    "/usr/sbin/sshd",
    "/usr/local/sbin/sshd",
    "/sbin/sshd",
    "/usr/bin/sshd",
    "/opt/homebrew/sbin/sshd",
    "/usr/local/bin/sshd",
];

/// A running private server.
#[derive(Debug)]
pub struct Server {
    /// How it is reached.
    pub endpoint: Endpoint,
    /// Its port on the loopback address.
    pub port: u16,
    _leash: Leash,
}

/// Where `sshd` is; it must be started by its absolute path.
pub fn find() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let searched = std::env::split_paths(&on_path).map(|dir| dir.join("sshd"));
    PLACES.iter().map(PathBuf::from).chain(searched).find(|path| path.is_absolute() && path.is_file())
}

impl Server {
    /// Starts one with its files in `dir`, which is the caller's to make and to remove; `own` is the lab's own binary.
    ///
    /// # Errors
    /// When there is no sshd, or it does not let us in; the end of its log is part of the text.
    pub fn start(own: &Path, dir: &Path) -> Result<Self> {
        let sshd = find().context("there is no sshd")?;
        make_run_dir()?;
        // An empty home: what the user's login shell reads there would be part of every time, and often most of it.
        fs::create_dir(dir.join("home")).context("cannot create the private home")?;
        // What a daemon at this end is found by, so that it is another one than that of the near end.
        DirBuilder::new().mode(0o700).create(dir.join("run")).context("cannot create the private runtime directory")?;
        make_key(&dir.join("host_key"))?;
        make_key(&dir.join("user_key"))?;
        fs::copy(dir.join("user_key.pub"), dir.join("authorized_keys")).context("cannot write authorized_keys")?;
        // PAM is only the second choice: without it nothing outside the directory matters, but there are systems where
        // an account without a password gets in through it alone.
        let attempt = |pam| Self::attempt(own, &sshd, dir, pam);
        attempt("no").or_else(|first| {
            attempt("yes").map_err(|_| first.context(format!("the private sshd does not work; it says: {}", tail(dir))))
        })
    }

    fn attempt(own: &Path, sshd: &Path, dir: &Path, pam: &str) -> Result<Self> {
        let port = free_port()?;
        write_configs(dir, port, pam)?;
        let log = dir.join("log");
        let _ = fs::remove_file(&log);
        let mut command = vec![sshd.into(), "-D".into(), "-e".into(), "-f".into(), dir.join("sshd_config").into()];
        command.extend(["-p".into(), port.to_string().into()]);
        let leash = Leash::new(own, &[], &command, Some(&log))?;
        let endpoint = Endpoint::private(LABEL, HOST, &dir.join("ssh_config"));
        wait_for(&log)?;
        endpoint.run("true")?;
        Ok(Server { endpoint, port, _leash: leash })
    }
}

/// A port that nobody listens on. Another program may take it before sshd does; then the attempt fails and says so.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr().context("cannot find a free port")?.port())
}

/// The log is read, and the port not tried: recent sshd punishes an address that connects without logging in.
fn wait_for(log: &Path) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if fs::read_to_string(log).unwrap_or_default().contains("Server listening on") {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("sshd did not listen within {} s", PATIENCE.as_secs())
}

fn tail(dir: &Path) -> String {
    let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" / ")
}

fn make_run_dir() -> Result<()> {
    let dir = Path::new("/run/sshd");
    if nix::unistd::geteuid().is_root() && Path::new("/run").is_dir() && !dir.exists() {
        fs::create_dir(dir).context("cannot create /run/sshd, which sshd insists on")?;
    }
    Ok(())
}

fn make_key(path: &Path) -> Result<()> {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "sy-lab", "-f"]).arg(path).stdin(Stdio::null());
    ensure!(keygen.status().context("cannot run ssh-keygen")?.success(), "ssh-keygen made no key");
    Ok(())
}

fn write_configs(dir: &Path, port: u16, pam: &str) -> Result<()> {
    let (d, host_key) =
        (dir.display(), fs::read_to_string(dir.join("host_key.pub")).context("cannot read the host key")?);
    let server = format!(
        "ListenAddress 127.0.0.1\nHostKey {d}/host_key\nAuthorizedKeysFile {d}/authorized_keys\nPidFile none\n\
         StrictModes no\nUsePAM {pam}\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitUserRC no\nSetEnv HOME={d}/home XDG_RUNTIME_DIR={d}/run\nX11Forwarding no\nPrintMotd no\nPrintLastLog no\nUseDNS no\n\
         MaxStartups 100\nLogLevel INFO\n"
    );
    let client = format!(
        "Host {HOST}\n HostName 127.0.0.1\n Port {port}\n IdentityFile {d}/user_key\n IdentitiesOnly yes\n \
         IdentityAgent none\n UserKnownHostsFile {d}/known_hosts\n GlobalKnownHostsFile /dev/null\n \
         HostKeyAlias {HOST}\n StrictHostKeyChecking yes\n PreferredAuthentications publickey\n LogLevel ERROR\n"
    );
    for (name, text) in [("sshd_config", server), ("ssh_config", client), ("known_hosts", format!("{HOST} {host_key}"))]
    {
        fs::write(dir.join(name), text).with_context(|| format!("cannot write {}", dir.join(name).display()))?;
    }
    Ok(())
}
