//! The client's link to another machine: a remote shell (`ssh` unless told otherwise) that runs `sy --server` there.
//!
//! What goes to the remote shell is the user's own `--sy-path` and the word `--server`, and of a pull its first words in
//! hexadecimal digits: sources, destination and options travel in SESSION_START, so no name of a file ever meets a shell.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::Link;
use crate::error::{Error, Result};

/// Once the link has ended, how long the remote shell may take to say why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long a remote shell that is not wanted any more may take to go by itself.
const LEAVING: Duration = Duration::from_millis(500);

/// How to reach the other end.
#[derive(Clone, Debug)]
pub struct Remote {
    /// The remote shell and its arguments.
    pub shell: Vec<OsString>,
    /// `[user@]host`, as the remote shell takes it.
    pub host: OsString,
    /// The command that is `sy` over there: for the remote shell to interpret, so that `sudo sy` works as in rsync.
    pub sy_path: OsString,
}

impl Remote {
    /// The command that is run, for a person.
    pub fn shown(&self) -> String {
        let command = server_command(&self.sy_path, None);
        let words = self.shell.iter().chain([&self.host, &command]);
        words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }
}

/// A running remote shell.
pub struct RemoteShell {
    /// `None` once it is let go of.
    child: Option<Child>,
    remote: Remote,
}

/// Splits a command as `--rsh` and `SY_RSH` give it: at blanks, with quotes.
///
/// # Errors
/// [`Error::Usage`] for an open quote or an empty command.
pub fn split_command(command: &str) -> Result<Vec<OsString>> {
    let words = shell_words::split(command)
        .map_err(|error| Error::Usage(format!("the remote shell {command:?} is not a command: {error}")))?;
    if words.is_empty() {
        return Err(Error::Usage("the remote shell is an empty command".into()));
    }
    Ok(words.into_iter().map(OsString::from).collect())
}

impl RemoteShell {
    /// Starts the remote shell. `opening` is what its command finds in its environment, if the user has named a program and not
    /// written a piece of shell.
    ///
    /// # Errors
    /// [`Error::Start`] when it cannot be run here.
    pub fn start(remote: &Remote, opening: Option<&OsStr>) -> Result<(RemoteShell, Link)> {
        let mut child = Command::new(&remote.shell[0])
            .args(&remote.shell[1..])
            .arg(&remote.host)
            .arg(server_command(&remote.sy_path, opening))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| cannot_run(&remote.shell[0], &error))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Start("the remote shell has no standard input and output".into()));
        };
        super::widen(&input);
        super::widen(&output);
        Ok((RemoteShell { child: Some(child), remote: remote.clone() }, Link::new(output, input)))
    }

    /// Lets it end by itself, after a session that ended well: all has been said and is on disk, and what is left, the goodbye
    /// of `ssh`, takes a round trip that nobody has to wait for.
    pub fn let_go(mut self) {
        self.child = None;
    }

    /// Waits for the remote shell to end, but not for ever.
    async fn wait(&mut self) -> Option<ExitStatus> {
        tokio::time::timeout(LAST_WORDS, self.child.as_mut()?.wait()).await.ok()?.ok()
    }

    /// Why nothing came over the link: what the remote shell's exit status says about it.
    pub async fn explain(&mut self) -> Error {
        let status = self.wait().await;
        let host = self.remote.host.to_string_lossy();
        let command = self.remote.sy_path.to_string_lossy();
        Error::Start(match status.and_then(|status| status.code()) {
            Some(127) => format!(
                "there is no `{command}` on {host}: install sy there (`cargo install sy`, or copy this program), or say where \
                 it is with --sy-path=/path/to/sy"
            ),
            Some(126) => {
                format!("`{command}` on {host} cannot be run: is it a program for that machine? (see --sy-path)")
            }
            Some(255) => format!("could not connect to {host}: {} failed", self.remote.shell[0].display()),
            Some(code) => format!("`{command} --server` on {host} ended with status {code} before it said anything"),
            None => format!("`{command} --server` on {host} ended before it said anything"),
        })
    }
}

impl Drop for RemoteShell {
    /// A remote shell that is still there is asked to go before it is killed: it may have to give the terminal its echo
    /// back.
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid as i32)) else { return };
        let _ = kill_process(pid, Signal::TERM);
        let deadline = Instant::now() + LEAVING;
        while Instant::now() < deadline {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.start_kill();
    }
}

/// `sy_path` as the user wrote it, then our own word; `env` is there for shells that have another way to say it.
fn server_command(sy_path: &OsStr, opening: Option<&OsStr>) -> OsString {
    let mut command = OsString::new();
    if let Some(opening) = opening.filter(|_| is_program(sy_path)) {
        command.push(format!("env {}=", super::OPENING));
        command.push(opening);
        command.push(" ");
    }
    command.push(sy_path);
    command.push(" --server");
    command
}

/// Whether a command is a program to every shell: the name of one alone, for `exec sy` begins with none, or the path of one
/// with plain words after it.
fn is_program(command: &OsStr) -> bool {
    let command = command.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
    let program = command.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_named = !program.is_empty() && !program.starts_with(b"-") && program.iter().all(is_plain);
    let has_words = program.len() < command.len();
    is_named && (!has_words || program.contains(&b'/')) && command.iter().all(|byte| is_plain(byte) || *byte == b' ')
}

fn cannot_run(program: &OsStr, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "; install an ssh client, or name the remote shell with -e",
        _ => "",
    };
    Error::Start(format!("failed to run the remote shell {}: {error}{hint}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_in_the_environment_of_a_program_and_of_nothing_else() {
        let command = |path: &str, opening: Option<&str>| server_command(path.as_ref(), opening.map(OsStr::new));
        assert_eq!(command("/opt/my-sy/bin/sy", Some("0a")), "env SY_OPENING=0a /opt/my-sy/bin/sy --server");
        assert_eq!(command("/bin/nice -n 5 sy", Some("0a")), "env SY_OPENING=0a /bin/nice -n 5 sy --server");
        assert_eq!(command("sy", None), "sy --server");
        for path in ["exec sy", "", "/bin/sy; x", "/bin/A=1 sy", " sy", "cd /x && sy", "~/sy", "$SY", "A=1", "-i"] {
            assert_eq!(command(path, Some("0a")), format!("{path} --server").as_str());
        }
    }

    #[test]
    fn a_remote_shell_is_split_at_blanks_outside_quotes() {
        assert_eq!(
            split_command("ssh -p 22 -o 'ProxyCommand=a b'").unwrap(),
            ["ssh", "-p", "22", "-o", "ProxyCommand=a b"]
        );
        assert!(split_command("ssh 'x").is_err());
        assert!(split_command("  ").is_err());
    }
}
