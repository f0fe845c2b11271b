//! A private `sshd` for the tests that need a real one.

use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

use super::process::{Finished, Program, signal_process, wait_until};
use super::{SY, is_root, required};

/// A server of our own on a free port of the loopback, with keys that nobody else has; gone when dropped.
pub struct Sshd {
    pub dir: tempfile::TempDir,
    child: Child,
    port: u16,
}

impl Sshd {
    pub fn start() -> Sshd {
        Sshd::start_with("")
    }

    /// One with more lines in its configuration.
    pub fn start_with(lines: &str) -> Sshd {
        let sshd = required("sshd", &["/usr/sbin", "/usr/local/sbin"], "openssh-server");
        required("ssh", &["/usr/bin", "/usr/local/bin"], "openssh-client");
        let dir = tempfile::Builder::new().prefix("sy-sshd-").tempdir().expect("a temporary directory");
        for key in ["host", "user"] {
            let keygen = required("ssh-keygen", &["/usr/bin"], "openssh-client");
            let made =
                Command::new(keygen).args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.path().join(key)).status();
            assert!(made.expect("ssh-keygen").success());
        }
        fs::copy(dir.path().join("user.pub"), dir.path().join("authorized_keys")).expect("a key of ours");
        if is_root() {
            // Its privilege separation wants it, and only a system's start makes it.
            fs::create_dir_all("/run/sshd").expect("root makes /run/sshd");
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let config = dir.path().join("sshd_config");
        let shown = dir.path().display();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\nAllowUsers *\n{lines}\n"
        );
        fs::write(&config, text).expect("a configuration");
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let child =
            Command::new(sshd).arg("-D").arg("-e").arg("-f").arg(config).stdin(Stdio::null()).stderr(log).spawn();
        let sshd = Sshd { dir, child: child.expect("sshd runs"), port };
        wait_until("sshd listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        sshd
    }

    /// What to give to `-e`.
    pub fn shell(&self) -> String {
        let dir = self.dir.path().display();
        format!(
            "ssh -F none -p {} -i {dir}/user -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
             -o UserKnownHostsFile={dir}/known_hosts -o LogLevel=ERROR",
            self.port
        )
    }

    pub fn sy(&self, options: &[&str]) -> Program {
        Program::sy(options).arg("-e").arg(self.shell()).arg("--sy-path").arg(SY)
    }

    pub fn remote(&self, path: &Path) -> OsString {
        let mut remote = OsString::from("127.0.0.1:");
        remote.push(path);
        remote
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    #[track_caller]
    pub fn ok(&self, finished: Finished) -> Finished {
        assert!(finished.status.success(), "{}\n--- sshd\n{}", finished.told(), self.log());
        finished
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        signal_process(self.child.id(), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
