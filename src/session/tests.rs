//! Sessions over the in-memory link: both roles in one process, no other process and no network.
//!
//! Every kind of session runs over a link that holds 4 KiB and takes its time: whoever waits for the wrong thing hangs
//! here. Round trips are counted exactly, since they repeat exactly.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::error::ExitCode;
use crate::options::DeleteTime;
use crate::phases;
use crate::protocol::hello::{self, CHUNKS_SINCE, Clock, Hello, Silence};
use crate::transport::memory;

mod kept;

/// A source and a destination, and the options of an archive.
struct Trees {
    dir: TempDir,
    options: Options,
}

impl Trees {
    fn new() -> Trees {
        let dir = TempDir::new().expect("a temporary directory");
        fs::create_dir(dir.path().join("source")).expect("a directory");
        let options = Options {
            recursive: true,
            links: true,
            perms: true,
            times: true,
            timeout: Some(Duration::from_secs(60)),
            ..Options::default()
        };
        Trees { dir, options }
    }

    fn file(&self, name: &str, contents: &[u8]) {
        let path = self.dir.path().join("source").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, contents).expect("a file");
    }

    fn path(&self, name: &str) -> Vec<u8> {
        self.dir.path().join(name).as_os_str().as_bytes().to_vec()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join("destination").join(name)).expect(name)
    }

    /// What a client of this role asks for.
    fn request(&self, role: Role) -> Request {
        let (options, sources) = (self.options.clone(), vec![self.path("source/")]);
        Request { role, options, sources, destination: self.path("destination") }
    }

    /// Runs a session; `role` is the client's.
    fn sync(&self, role: Role, link: fn() -> (Link, Link)) -> Outcome {
        self.play(|monitor| Prepared::new(self.request(role), monitor), link)
    }

    /// Runs a session whose client is prepared by `prepare`.
    fn play(&self, prepare: impl FnOnce(&Arc<Monitor>) -> Prepared, link: fn() -> (Link, Link)) -> Outcome {
        runtime().block_on(async {
            let (near, far) = link();
            let monitor = Arc::new(Monitor::deaf());
            let (outcome, served) = tokio::join!(client(near, prepare(&monitor), monitor.clone()), server(far));
            assert_eq!(served.expect("the server ends well"), ExitCode::Ok);
            assert_eq!(monitor.exit_code(), ExitCode::Ok);
            outcome.expect("the client ends well")
        })
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn quick() -> (Link, Link) {
    memory::pair(1 << 20)
}

/// 4 KiB each way, 50 ms one way: what the design promises to survive.
fn narrow() -> (Link, Link) {
    memory::pair_with_latency(4 << 10, Duration::from_millis(50))
}

fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| random.u8(..)).collect()
}

#[test]
fn every_kind_of_session_ends_over_a_link_of_4_kib_and_50_ms() {
    for role in [Role::Sender, Role::Receiver] {
        for compress in [false, true] {
            let mut trees = Trees::new();
            trees.options.compress = compress;
            for index in 0..20 {
                trees.file(&format!("d{}/f{index}", index % 3), &noise(index * 700, index as u64));
            }
            let mut large = noise(300_000, 99);
            trees.file("large", &large);
            trees.sync(role, narrow);
            assert_eq!(trees.read("large"), large);
            large[150_000] ^= 1;
            large.extend_from_slice(b"more");
            trees.file("large", &large);
            let outcome = trees.sync(role, narrow);
            assert_eq!(trees.read("large"), large);
            assert!(outcome.ours.matched > 290_000, "{:?}", outcome.ours);
            // Signatures one way and data the other, of many files, with windows that are full all the time.
            for index in 1..20 {
                trees.file(&format!("d{}/f{index}", index % 3), &noise(index * 700, index as u64)[1..]);
            }
            fs::remove_file(trees.dir.path().join("source/d1/f1")).expect("removed");
            trees.options.delete = Some(DeleteTime::During);
            trees.sync(role, narrow);
            assert!(!trees.dir.path().join("destination/d1/f1").exists());
        }
    }
}

/// Round trips of a session: those of a list that comes whole with its requests, or of one that streams.
fn round_trips(requests: u64, streamed: u64) -> u64 {
    // Greeting, list, one for each time that all slots are full, end.
    if file_list::STREAMS { streamed } else { 1 + 1 + requests + 1 }
}

fn waves(requests: u64, files: usize) -> u64 {
    requests.div_ceil(depth::depth(files, Some(Duration::ZERO)) as u64)
}

#[test]
fn round_trips_are_those_of_the_requests_under_way_or_two_at_most() {
    for role in [Role::Sender, Role::Receiver] {
        let trees = Trees::new();
        for index in 0..20 {
            trees.file(&format!("f{index:02}"), &noise(9000, index));
        }
        assert_eq!(trees.sync(role, quick).ours.round_trips, round_trips(waves(20, 20), 2));
        assert_eq!(trees.sync(role, quick).ours.round_trips, round_trips(0, 1), "nothing to send");
        trees.file("f00", &noise(9001, 50));
        // Asked for, a signature is a round trip of its own.
        assert_eq!(trees.sync(role, quick).ours.round_trips, round_trips(2, 2));
    }
}

#[test]
fn small_files_share_a_round_trip_where_both_ends_take_batches() {
    for role in [Role::Sender, Role::Receiver] {
        let trees = Trees::new();
        for index in 0..1000 {
            trees.file(&format!("f{index:03}"), &noise(1000, index));
        }
        let files = if phases::capabilities() & phases::capability("1.2") != 0 { 64 } else { 1 };
        let outcome = trees.sync(role, quick);
        assert_eq!(outcome.ours.round_trips, round_trips(waves(1000_u64.div_ceil(files), 1000), 2));
        // Full batches, however few requests may be under way.
        let (out, into) = outcome.frames;
        let contents = if role == Role::Sender { out } else { into };
        assert!(contents <= 1000_u64.div_ceil(files) + 8, "{contents} frames for 1000 files");
        assert_eq!(outcome.ours.literal, 1000 * 1000);
        assert_eq!(trees.read("f042"), noise(1000, 42));
    }
}

/// Mode, time (seconds and nanoseconds) and, of a file, contents.
type Item = (u32, i64, i64, Option<Vec<u8>>);

/// Everything below a directory.
fn everything(root: &Path) -> BTreeMap<PathBuf, Item> {
    let (mut found, mut left) = (BTreeMap::new(), vec![root.to_path_buf()]);
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).expect("it was listed");
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).expect("a directory").map(|item| item.expect("an item").path()));
        }
        let contents = meta.is_file().then(|| fs::read(&path).expect("a file"));
        let name = path.strip_prefix(root).expect("below the root").to_path_buf();
        found.insert(name, (meta.mode(), meta.mtime(), meta.mtime_nsec(), contents));
    }
    found
}

#[test]
fn a_list_in_chunks_and_a_whole_one_make_the_same_tree() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut trees = Trees::new();
        trees.options.delete = Some(DeleteTime::During);
        let source = trees.dir.path().join("source");
        for stage in 0..3 {
            for _ in 0..random.usize(1..40) {
                let depth = random.usize(0..4);
                let dirs: String = (0..depth).map(|_| format!("d{}/", random.u8(0..3))).collect();
                trees.file(&format!("{dirs}f{}", random.u8(0..9)), &noise(random.usize(0..30_000), random.u64(..)));
            }
            for (chunks, destination) in [(false, "whole"), (true, "chunks")] {
                let request = Request { destination: trees.path(destination), ..trees.request(Role::Sender) };
                let prepare = |monitor: &Arc<Monitor>| {
                    let start = || Lister::start(&request.sources, &request.options, &Filter::default(), 7, monitor);
                    let lister = chunks.then(|| start().expect("a directory"));
                    Prepared { request, seed: 7, lister, opening: None }
                };
                trees.play(prepare, quick);
                let made = everything(&trees.dir.path().join(destination));
                assert!(made == everything(&source), "seed {seed}, stage {stage}, {destination}");
            }
            // What is left is edited, added to, and in part removed.
            let _ = fs::remove_dir_all(source.join(format!("d{}", random.u8(0..3))));
        }
    }
}

#[test]
fn the_same_tree_makes_the_same_frames() {
    for role in [Role::Sender, Role::Receiver] {
        let trees = Trees::new();
        let large: Vec<Vec<u8>> = (0..2).map(|index| noise(270_000, index)).collect();
        // First copies of all of them; then small files that are sent again and, among them, large ones that are deltas.
        let fill = |version: &str| {
            for index in 0..600 {
                let contents = large.get(index).map_or(b"small".as_slice(), Vec::as_slice);
                let dir = if index < 400 { "" } else { ["d/", "d/e/", "f/"][index % 3] };
                trees.file(&format!("{dir}f{}", (index * 7) % 600), &[contents, version.as_bytes()].concat());
            }
        };
        let sync = || {
            let _ = fs::remove_dir_all(trees.dir.path().join("destination"));
            ["first", "edited"].map(|version| {
                fill(version);
                let outcome = trees.sync(role, quick);
                (outcome.frames, outcome.ours.literal)
            })
        };
        let first = sync();
        for _ in 0..2 {
            assert_eq!(sync(), first);
        }
    }
}

#[test]
fn a_directory_of_more_directories_than_a_frame_has_room_for_is_listed() {
    let trees = Trees::new();
    // In all a little more than a frame may hold.
    let dir = trees.dir.path().join("source");
    for index in 0..4300 {
        let name: String = std::iter::repeat_with(fastrand::alphanumeric).take(240).collect();
        fs::create_dir(dir.join(format!("{name}{index}"))).expect("a directory");
    }
    for role in [Role::Sender, Role::Receiver] {
        trees.sync(role, quick);
        assert_eq!(fs::read_dir(trees.dir.path().join("destination")).expect("it is there").count(), 4300);
        fs::remove_dir_all(trees.dir.path().join("destination")).expect("removed");
    }
}

#[test]
fn a_client_that_sends_chunks_to_a_peer_without_hears_that_it_is_older() {
    if !file_list::STREAMS {
        return;
    }
    let trees = Trees::new();
    trees.file("a", b"contents");
    runtime().block_on(async {
        let (near, mut far) = quick();
        let old = Hello { max_version: CHUNKS_SINCE - 1, ..Hello::ours(&Clock::start(), 0) };
        far.writer.write_all(&old.encode()).await.expect("room for a greeting");
        let monitor = Arc::new(Monitor::deaf());
        let request = Request {
            role: Role::Sender,
            options: trees.options.clone(),
            sources: vec![trees.path("source/")],
            destination: trees.path("destination"),
        };
        let silence = client(near, Prepared::new(request, &monitor), monitor.clone()).await;
        assert!(matches!(silence, Err(Silence::Older)), "{:?}", silence.err());
    });
}

#[test]
fn an_unchanged_tree_sends_no_contents() {
    let trees = Trees::new();
    trees.file("a/b", b"contents");
    let first = trees.sync(Role::Sender, quick);
    assert_eq!(first.theirs.map(|theirs| (theirs.literal, theirs.created)), Some((8, 3)));
    let second = trees.sync(Role::Sender, quick);
    let theirs = second.theirs.expect("a server that received says what it did");
    assert_eq!((theirs.literal, theirs.created, theirs.updated, theirs.unchanged), (0, 0, 0, 3));
}

#[test]
fn a_dry_run_changes_nothing() {
    let mut trees = Trees::new();
    trees.file("a", b"contents");
    trees.options.dry_run = true;
    let outcome = trees.sync(Role::Sender, quick);
    assert_eq!(outcome.theirs.map(|theirs| theirs.created), Some(2));
    assert!(!Path::new(&trees.dir.path().join("destination")).exists());
}

#[test]
fn a_file_larger_than_any_queue_arrives_whole() {
    for compress in [false, true] {
        let mut trees = Trees::new();
        trees.options.compress = compress;
        let large = noise(20 << 20, 7);
        trees.file("large", &large);
        trees.sync(Role::Sender, quick);
        assert!(trees.read("large") == large);
    }
}

#[test]
fn a_client_that_goes_away_ends_the_server() {
    runtime().block_on(async {
        let (near, far) = quick();
        drop(near);
        assert!(matches!(server(far).await, Err(Error::Disconnected | Error::Link { .. })));
    });
}
