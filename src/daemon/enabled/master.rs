//! The `ssh` that carries all links to one machine: an OpenSSH master of our own, spoken to through its control socket.
//!
//! It is made by a sync, in the foreground: that has the terminal, the agent and the environment in which a password or a new host's
//! key can be asked for, which a daemon has not. `ssh` goes to the background by itself and leaves when nothing has used it for a
//! while, so one whose daemon is dead does not stay. Whatever the daemon does goes through the control socket and can ask nobody.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::control::Wanted;
use crate::error::{Error, Result};
use crate::session::channel::printable;

/// How long a word to the control socket may take.
const WORD_WAIT: Duration = Duration::from_secs(5);
/// How long a command over there may take, a daemon's start included.
const COMMAND_WAIT: Duration = Duration::from_secs(20);
/// How long a connection may take that is made while nobody looks, in seconds.
const CONNECT_SECONDS: &str = "10";

/// A master, running or not.
#[derive(Clone, Debug)]
pub struct Master {
    shell: Vec<OsString>,
    host: OsString,
    sy_path: OsString,
    control: PathBuf,
}

impl Master {
    /// The one for `wanted`, whose control socket is at `control`.
    ///
    /// # Errors
    /// A remote shell that is not OpenSSH's.
    pub fn new(wanted: &Wanted, control: PathBuf) -> Result<Master> {
        let os_string = |bytes: &Vec<u8>| OsString::from_vec(bytes.clone());
        let shell: Vec<OsString> = wanted.shell.iter().map(os_string).collect();
        let program = shell.first().map(Path::new).and_then(Path::file_name);
        if program != Some(OsStr::new("ssh")) {
            return Err(Error::Start("it can share only connections of OpenSSH's ssh".into()));
        }
        Ok(Master { shell, host: os_string(&wanted.host), sy_path: os_string(&wanted.sy_path), control })
    }

    /// Where its control socket is.
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// The host, to be shown.
    pub fn host(&self) -> String {
        printable(self.host.as_bytes())
    }

    /// What makes the connection, stays for `persist` seconds without use, and returns when it is made.
    pub fn connect(&self, persist: u64) -> std::process::Command {
        let mut command = std::process::Command::new(&self.shell[0]);
        command.arg("-o").arg(format!("ControlPersist={persist}"));
        // A user's own forwards are for the user's own connections.
        command.args(["-o", "ControlMaster=yes", "-o", "ClearAllForwardings=yes"]);
        command.args(&self.shell[1..]);
        // Behind the user's own, which count: one that is dead is to go by itself, for nobody can ask it to.
        command.args(["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]);
        command.arg("-S").arg(&self.control).args(["-f", "-N", "-T"]).arg(&self.host);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Makes the connection while nobody looks.
    ///
    /// # Errors
    /// What `ssh` says.
    pub async fn reconnect(&self, persist: u64, agent: Option<&[u8]>) -> Result<()> {
        let connect = self.connect(persist);
        let mut command = Command::new(&self.shell[0]);
        command.args(["-o", "BatchMode=yes", "-o"]).arg(format!("ConnectTimeout={CONNECT_SECONDS}"));
        command.args(connect.get_args()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(agent) = agent {
            command.env("SSH_AUTH_SOCK", OsStr::from_bytes(agent));
        }
        // Its standard error stays with the one that goes to the background: only the status tells.
        let status = tokio::time::timeout(COMMAND_WAIT, command.kill_on_drop(true).status()).await;
        match status {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Error::Start(format!("ssh could not connect to {} ({status})", self.host()))),
            Ok(Err(error)) => Err(Error::Start(format!("failed to run {}: {error}", self.shell[0].display()))),
            Err(_) => Err(Error::Timeout { seconds: COMMAND_WAIT.as_secs() }),
        }
    }

    /// Whether the connection is there. What is left of one that is not is in the way of the next.
    pub async fn is_alive(&self) -> bool {
        let alive = self.control.exists() && self.told("check", &[]).await.is_ok();
        if !alive {
            let _ = std::fs::remove_file(&self.control);
        }
        alive
    }

    /// Ends the connection.
    pub async fn end(&self) {
        if self.control.exists() {
            let _ = self.told("exit", &[]).await;
        }
    }

    /// Listens at `local` for what is to come out at `to` over there.
    ///
    /// # Errors
    /// What `ssh` says.
    pub async fn forward(&self, local: &Path, to: &OsStr) -> Result<()> {
        let _ = std::fs::remove_file(local);
        let spec = [local.as_os_str(), to].join(OsStr::new(":"));
        self.told("forward", &[OsStr::new("-L"), &spec]).await
    }

    /// Runs our own program over there with `words`, and returns what it prints.
    ///
    /// # Errors
    /// What it says when it fails.
    pub async fn run(&self, words: &[&str]) -> Result<Vec<u8>> {
        let mut command = self.sy_path.clone();
        for word in words {
            command.push(" ");
            command.push(word);
        }
        let mut mux = self.mux();
        mux.arg("-T").arg(&self.host).arg(command);
        let output = output(mux, COMMAND_WAIT).await?;
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(Error::Start(format!("on {}: {}", self.host(), last_line(&output)))),
        }
    }

    async fn told(&self, word: &str, arguments: &[&OsStr]) -> Result<()> {
        let mut mux = self.mux();
        mux.args(["-O", word]).args(arguments).arg(&self.host);
        let output = output(mux, WORD_WAIT).await?;
        match output.status.success() {
            true => Ok(()),
            false => Err(Error::Start(format!("ssh -O {word} {}: {}", self.host(), last_line(&output)))),
        }
    }

    /// An `ssh` that goes through the control socket or fails: it must never connect by itself.
    fn mux(&self) -> Command {
        let mut command = Command::new(&self.shell[0]);
        command.args(["-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", "ProxyCommand=false"]);
        command.args(&self.shell[1..]).arg("-S").arg(&self.control);
        command
    }
}

async fn output(mut command: Command, limit: Duration) -> Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(limit, command.output()).await {
        Ok(output) => output.map_err(|error| Error::Start(format!("failed to run ssh: {error}"))),
        Err(_) => Err(Error::Start(format!("ssh has not answered for {} seconds", limit.as_secs()))),
    }
}

/// What matters most of what a program complains of is said last.
fn last_line(output: &Output) -> String {
    let complaint = printable(&output.stderr).replace("\\r", "").replace("\\n", "\n");
    let last = complaint.lines().map(str::trim).rfind(|line| !line.is_empty()).map(String::from);
    last.unwrap_or_else(|| output.status.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(shell: &[&str]) -> Wanted {
        let shell = shell.iter().map(|word| word.as_bytes().to_vec()).collect();
        Wanted { shell, host: b"u@h".to_vec(), sy_path: b"sy".to_vec(), agent: None }
    }

    #[test]
    fn only_openssh_can_be_shared() {
        for shell in [&["rsh"][..], &["sh", "-c", "ssh"], &["ssh-wrapper"], &[]] {
            assert!(Master::new(&wanted(shell), PathBuf::new()).is_err(), "{shell:?}");
        }
        assert!(Master::new(&wanted(&["/usr/bin/ssh", "-p", "22"]), PathBuf::new()).is_ok());
    }

    #[test]
    fn our_own_options_come_first_and_the_control_socket_last_for_so_they_count() {
        let master = Master::new(&wanted(&["ssh", "-o", "ControlPersist=no"]), "/x/c".into()).unwrap();
        let connect = master.connect(60);
        let words: Vec<_> = connect.get_args().map(|word| word.to_str().unwrap()).collect();
        let at = |word: &str| words.iter().position(|other| *other == word).unwrap();
        assert!(at("ControlPersist=60") < at("ControlPersist=no"));
        assert!(at("ControlPersist=no") < at("/x/c") && words.last() == Some(&"u@h"));
    }
}
