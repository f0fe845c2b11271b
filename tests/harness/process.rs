//! Programs under a deadline: what they print is collected, what hangs is ended and fails the test.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No test waits for anything near it: what takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(2);

/// A command to be run.
pub struct Program {
    command: Command,
    line: String,
}

/// A command that is running.
pub struct Running {
    child: Owned,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<Vec<u8>>,
    line: String,
    begun: Instant,
}

/// A process that ends with the test that started it, failed or not.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // Nothing is left to do for one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What came of a command.
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// Highest resident memory seen while [`Running::watch_memory`] looked on, in KiB.
    pub peak_kib: u64,
    line: String,
}

impl Program {
    pub fn new(program: impl AsRef<OsStr>) -> Program {
        let line = program.as_ref().to_string_lossy().into_owned();
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // What the machine at hand sets must not decide how sy runs or what rsync prints.
        command.env_remove("SY_RSH").env_remove("RSYNC_RSH").env("LC_ALL", "C.UTF-8");
        Program { command, line }
    }

    pub fn sy(options: &[&str]) -> Program {
        options.iter().fold(Program::new(super::SY), Program::arg)
    }

    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Program {
        self.line.push(' ');
        self.line.push_str(&arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn args<A: AsRef<OsStr>>(self, args: impl IntoIterator<Item = A>) -> Program {
        args.into_iter().fold(self, Program::arg)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Program {
        self.command.env(name, value);
        self
    }

    pub fn current_dir(mut self, dir: impl AsRef<std::path::Path>) -> Program {
        self.command.current_dir(dir);
        self
    }

    #[cfg(feature = "daemon")]
    pub fn env_remove(mut self, name: &str) -> Program {
        self.command.env_remove(name);
        self
    }

    /// The program and its arguments.
    pub fn words(&self) -> Vec<OsString> {
        std::iter::once(self.command.get_program()).chain(self.command.get_args()).map(OsString::from).collect()
    }

    pub fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap_or_else(|error| panic!("failed to run {}: {error}", self.line));
        let mut child = Owned(child);
        let (stdout, stderr) = (collect(child.0.stdout.take()), collect(child.0.stderr.take()));
        Running { child, stdout, stderr, line: self.line, begun: Instant::now() }
    }

    pub fn run(self) -> Finished {
        self.start().finish()
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    let mut pipe = pipe.expect("standard output and error are piped");
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A pipe that breaks has said what it had to say.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

impl Running {
    pub fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().expect("a child of ours").is_some()
    }

    #[cfg(feature = "daemon")]
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        signal_process(self.child.0.id(), signal);
    }

    /// Waits for the end; fails the test after the deadline.
    #[track_caller]
    pub fn finish(self) -> Finished {
        self.finish_with(|_| {})
    }

    /// Waits for the end, notes the memory that it takes meanwhile, and calls `look` now and then.
    #[track_caller]
    pub fn watch_memory(self, mut look: impl FnMut()) -> Finished {
        let mut peak = 0;
        let mut finished = self.finish_with(|id| {
            peak = peak_kib(id).unwrap_or(0).max(peak);
            look();
        });
        finished.peak_kib = peak;
        finished
    }

    #[track_caller]
    fn finish_with(mut self, mut look: impl FnMut(u32)) -> Finished {
        let status = loop {
            look(self.child.0.id());
            match self.child.0.try_wait().expect("a child of ours") {
                Some(status) => break status,
                None if self.begun.elapsed() > DEADLINE => panic!("it hangs: {}", self.line),
                None => std::thread::sleep(POLL),
            }
        };
        // Whoever it started and left behind may still hold its outputs.
        while !(self.stdout.is_finished() && self.stderr.is_finished()) {
            assert!(self.begun.elapsed() < DEADLINE, "it left a process behind that does not end: {}", self.line);
            std::thread::sleep(POLL);
        }
        let stdout = self.stdout.join().expect("a thread that only reads");
        let stderr = self.stderr.join().expect("a thread that only reads");
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Finished { status, stdout, stderr, peak_kib: 0, line: self.line }
    }
}

/// Sends a signal to a process that a test knows the id of.
pub fn signal_process(id: u32, signal: nix::sys::signal::Signal) {
    let id = i32::try_from(id).expect("a process id");
    // One that has ended meanwhile needs no signal.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal);
}

/// The highest resident memory of a process so far.
pub fn peak_kib(id: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Waits until `condition` holds; fails the test after the deadline.
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "in vain waited until {what}");
        std::thread::sleep(POLL);
    }
}

impl Finished {
    #[track_caller]
    pub fn ok(self) -> Finished {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Finished {
        assert_eq!(self.status.code(), Some(code), "{}", self.told());
        self
    }

    /// That the complaint holds `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Finished {
        assert!(self.stderr.contains(text), "{text:?} is not said by {}", self.told());
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("text on standard output")
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(String::from).collect()
    }

    /// Command, ending and both outputs, for a failure's message.
    pub fn told(&self) -> String {
        let signal = self.status.signal().map(|signal| format!(" (signal {signal})")).unwrap_or_default();
        let shown = |text: &str| text.chars().take(4000).collect::<String>();
        format!(
            "`{}`: status {:?}{signal}\n--- stdout\n{}\n--- stderr\n{}",
            self.line,
            self.status.code(),
            shown(&String::from_utf8_lossy(&self.stdout)),
            shown(&self.stderr)
        )
    }
}
