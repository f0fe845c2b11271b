//! What a scan and a session ask of the allocator, counted: bounds that repeat from run to run.
//!
//! A test program of its own, since the allocator is the process's. Each bound is at most a third above what was counted
//! when it was set: whoever makes a scan or a session hold or ask for twice as much fails here.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sy::error::ExitCode;
use sy::events::{Event, Events, Monitor};
use sy::options::Options;
use sy::phases::{PHASES, State};
use sy::protocol::message::Role;
use sy::session::{self, Outcome, Prepared, Request};
use sy::transport::memory;
use sy::tree::dir::Tree;
use sy::tree::entry::Entry;
use sy::tree::scanner::{ScanOptions, scan};
use tempfile::TempDir;

#[cfg(not(feature = "dhat-heap"))]
#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// One test at a time, trees and all: what is counted is the process's.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts what `work` asks for, in a test that is [`alone`].
fn counted<T>(work: impl FnOnce() -> T) -> (T, dhat::HeapStats) {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(4)).build();
    let made = work();
    let stats = dhat::HeapStats::get();
    (made, stats)
}

fn is_on(id: &str) -> bool {
    PHASES.iter().any(|phase| phase.id == id && phase.state == State::On)
}

/// `dirs` directories of `files` files each of `size` bytes, in memory where the system has such a place.
fn tree(dirs: usize, files: usize, size: usize) -> TempDir {
    let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory");
    for place in 0..dirs {
        let parent = dir.path().join(format!("source/module_{place:03}"));
        fs::create_dir_all(&parent).expect("a directory");
        for file in 0..files {
            fs::write(parent.join(format!("file_{file:04}.txt")), vec![b'x'; size]).expect("a file");
        }
    }
    dir
}

fn scan_all(root: &Path) -> Vec<Entry> {
    let options = ScanOptions { recursive: true, one_file_system: false, skip_mounts: false, hard_links: false };
    let tree = Tree::open(root).expect("the tree");
    scan(&tree, Path::new("."), &options, &mut |_: &Path, _: bool| true, &mut |path, error| {
        panic!("{}: {error}", path.display())
    })
}

#[test]
fn a_scan_holds_and_asks_for_a_bounded_amount_for_each_entry() {
    const ENTRIES: usize = 10_000 + 100 + 1;
    // Paths are of 52 bytes, 24 of them below the root: 227 bytes held without a phase, 151 and 119 with one; the peak is
    // while the list grows.
    let (held_bound, peak_bound, allocations_bound) = match (is_on("2.2"), is_on("6.2")) {
        (_, true) => (140, 215, 1.25),
        (true, false) => (175, 250, 1.25),
        (false, false) => (265, 330, 6.0),
    };
    let _alone = alone();
    let dir = tree(100, 100, 0);
    let (entries, stats) = counted(|| scan_all(&dir.path().join("source")));
    assert_eq!(entries.len(), ENTRIES);
    let (held, peak) = (stats.curr_bytes / ENTRIES, stats.max_bytes / ENTRIES);
    let allocations = stats.total_blocks as f64 / ENTRIES as f64;
    println!("an entry: {held} bytes held, {peak} at most, {allocations:.2} allocations");
    assert!(held <= held_bound, "{held} bytes held for an entry");
    assert!(peak <= peak_bound, "{peak} bytes at most for an entry");
    assert!(allocations <= allocations_bound, "{allocations} allocations for an entry");
}

struct Deaf;

impl Events for Deaf {
    fn event(&self, _: &Event<'_>) {}
}

/// A session within the process, both ends counted together.
fn sync(dir: &Path) -> Outcome {
    let path = |name: &str| dir.join(name).as_os_str().as_bytes().to_vec();
    let options = Options { recursive: true, links: true, perms: true, times: true, ..Options::default() };
    let request =
        Request { role: Role::Sender, options, sources: vec![path("source/")], destination: path("destination") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let (near, far) = memory::pair(1 << 20);
        let monitor = Arc::new(Monitor::new(Box::new(Deaf)));
        let (outcome, served) = tokio::join!(
            session::client(near, Prepared::new(request, &monitor), monitor.clone()),
            session::server(far)
        );
        assert_eq!(served.expect("the server ends well"), ExitCode::Ok);
        outcome.expect("the client ends well")
    })
}

#[test]
fn a_first_session_asks_for_a_bounded_amount_for_each_small_file() {
    const FILES: usize = 1000;
    // Counted: 4 to 5 allocations with all phases, 20 with none; the pool asks for more bytes at first, and not again.
    let all = PHASES.iter().all(|phase| phase.state != State::Off);
    let (allocations_bound, bytes_bound) = if all { (7.0, 13_500) } else { (25.0, 13_500) };
    let _alone = alone();
    let dir = tree(10, FILES / 10, 1 << 10);
    let (outcome, stats) = counted(|| sync(dir.path()));
    assert_eq!(outcome.theirs.map(|theirs| theirs.literal), Some((FILES << 10) as u64));
    let (allocations, bytes) = (stats.total_blocks as f64 / FILES as f64, stats.total_bytes as usize / FILES);
    println!("a file: {allocations:.2} allocations, {bytes} bytes");
    assert!(allocations <= allocations_bound, "{allocations} allocations for a file");
    assert!(bytes <= bytes_bound, "{bytes} bytes for a file");
}
