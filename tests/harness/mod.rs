//! What the tests stand on: a sandbox for one sync, trees to sync in it, and the program itself, run in one of four ways.
//!
//! [`sync_test!`] multiplies a test over the ways, so that a rule holds for each of them or its test fails.

pub mod peer;
pub mod process;
pub mod snapshot;
pub mod sshd;
pub mod tree;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use process::{Finished, Program};
pub use snapshot::Snapshot;
pub use tree::Tree;

/// A remote shell that drops the host's name and hands the rest to a shell, as a login shell gets it.
pub const STAND_IN: &str = r#"sh -c 'shift; exec sh -c "$*"' rsh"#;

/// The program under test.
pub const SY: &str = env!("CARGO_BIN_EXE_sy");

/// Least room that is enough for the largest sandbox, in bytes.
const MEMORY_ROOM: u64 = 1 << 30;

/// The ways in which trees are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Both trees here, copied whole.
    Local,
    /// Both trees here, as a session within the process.
    Delta,
    /// From here to the other end of a pipe.
    Push,
    /// From the other end of a pipe to here.
    Pull,
}

/// A directory of its own with a source and a destination in it, gone when dropped.
pub struct Sandbox {
    dir: Option<tempfile::TempDir>,
    pub way: Way,
}

impl Sandbox {
    pub fn new(way: Way) -> Sandbox {
        Sandbox::below(&std::env::temp_dir(), way)
    }

    /// One in memory where there is enough: for very many files, whose making and removing on a disk takes longer than
    /// what is tested.
    pub fn in_memory(way: Way) -> Sandbox {
        let memory = Path::new("/dev/shm");
        let room = rustix::fs::statvfs(memory).map_or(0, |system| system.f_bavail * system.f_frsize);
        if room < MEMORY_ROOM {
            return Sandbox::new(way);
        }
        Sandbox::below(memory, way)
    }

    fn below(parent: &Path, way: Way) -> Sandbox {
        let dir = tempfile::Builder::new().prefix("sy-test-").tempdir_in(parent).expect("a temporary directory");
        let sandbox = Sandbox { dir: Some(dir), way };
        std::fs::create_dir(sandbox.source()).expect("a source directory");
        sandbox
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.as_ref().expect("it is taken only by drop").path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    pub fn destination(&self) -> PathBuf {
        self.path("destination")
    }

    pub fn write_source(&self, tree: &Tree) {
        tree.write(&self.source());
    }

    pub fn write_destination(&self, tree: &Tree) {
        tree.write(&self.destination());
    }

    pub fn source_tree(&self) -> Snapshot {
        Snapshot::of(&self.source())
    }

    pub fn destination_tree(&self) -> Snapshot {
        Snapshot::of(&self.destination())
    }

    /// `sy OPTIONS source/ destination`.
    pub fn sync(&self, options: &[&str]) -> Finished {
        self.program(options, &["source/"], "destination").run()
    }

    /// `sy OPTIONS SOURCES DESTINATION`, paths below the sandbox.
    pub fn sync_paths(&self, options: &[&str], sources: &[&str], destination: &str) -> Finished {
        self.program(options, sources, destination).run()
    }

    /// The command that [`Sandbox::sync_paths`] runs, to be changed before it is.
    pub fn program(&self, options: &[&str], sources: &[&str], destination: &str) -> Program {
        let mut program = self.without_paths(options);
        for source in sources {
            program = program.arg(self.located(self.way == Way::Pull, source.as_ref()));
        }
        program.arg(self.located(self.way == Way::Push, destination.as_ref()))
    }

    /// `sy OPTIONS` and what makes it go this sandbox's way.
    pub fn without_paths(&self, options: &[&str]) -> Program {
        let program = Program::sy(options);
        match self.way {
            Way::Local => program,
            Way::Delta => program.arg("--no-whole-file"),
            Way::Push | Way::Pull => program.arg("-e").arg(STAND_IN).arg("--sy-path").arg(SY),
        }
    }

    fn located(&self, remote: bool, path: &OsStr) -> OsString {
        let mut located = OsString::from(if remote { "host:" } else { "" });
        // Not `join`: it would drop a trailing slash in `path`, and that is the rule under test.
        located.push(self.path(""));
        located.push(path);
        located
    }

    /// That the destination is as the source: everything, root included.
    #[track_caller]
    pub fn assert_synced(&self) {
        self.destination_tree().assert_same(&self.source_tree());
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let dir = self.dir.take().expect("dropped once");
        tree::make_removable(dir.path());
        drop(dir);
    }
}

/// A regular file's bytes: noise, the same for the same `seed`.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A program of the system that a test cannot do without; says which package brings it.
pub fn required(program: &str, places: &[&str], package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).chain(places.iter().map(PathBuf::from)).map(|dir| dir.join(program));
    let missing = || panic!("{program} is needed here: install the package {package} (scripts/test does)");
    found.into_iter().find(|path| path.is_file()).unwrap_or_else(missing)
}

/// The real thing to compare with.
pub fn rsync() -> &'static Path {
    static RSYNC: OnceLock<PathBuf> = OnceLock::new();
    RSYNC.get_or_init(|| required("rsync", &["/usr/bin", "/usr/local/bin"], "rsync"))
}

/// A test in every [`Way`]: `sync_test!(rule, |sandbox| { .. })`.
macro_rules! sync_test {
    ($(#[$meta:meta])* $name:ident, |$sandbox:ident| $body:block) => {
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;

            fn rule($sandbox: &$crate::harness::Sandbox) $body

            #[test]
            fn local() {
                rule(&$crate::harness::Sandbox::new($crate::harness::Way::Local));
            }

            #[test]
            fn delta() {
                rule(&$crate::harness::Sandbox::new($crate::harness::Way::Delta));
            }

            #[test]
            fn push() {
                rule(&$crate::harness::Sandbox::new($crate::harness::Way::Push));
            }

            #[test]
            fn pull() {
                rule(&$crate::harness::Sandbox::new($crate::harness::Way::Pull));
            }
        }
    };
}
pub(crate) use sync_test;
