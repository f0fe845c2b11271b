//! Many files and large ones: that it ends, that what it takes grows with the tree and no faster, that memory does not
//! grow with a file. Counted, not timed.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use serde_json::Value;
use sy::phases;

use crate::harness::process::{Finished, Program, peak_kib};
use crate::harness::tree::Node;
use crate::harness::{STAND_IN, SY, Sandbox, Tree, Way, noise};

/// Most that one end may hold while one large file passes, in KiB.
const MEMORY: u64 = 64 << 10;
/// The same for many paths of tens of KiB.
const LONG_PATHS: u64 = 100 << 10;
/// A file that the bound has no room for; unoptimized a larger one takes too long.
const LARGE: u64 = if cfg!(debug_assertions) { 128 << 20 } else { 300 << 20 };

/// `count` empty files, a hundred to a directory.
fn many(root: &Path, count: usize) {
    for number in 0..count {
        if number % 100 == 0 {
            fs::create_dir_all(root.join(format!("d{}", number / 100))).expect("a directory of ours");
        }
        fs::File::create(root.join(format!("d{}/f{number}", number / 100))).expect("a file of ours");
    }
}

/// Pushes or pulls `count` empty files; the client's counters.
fn synced(way: Way, count: usize) -> Value {
    let sandbox = Sandbox::in_memory(way);
    many(&sandbox.source(), count);
    let file = sandbox.path("stats");
    sandbox.program(&["-a"], &["source/"], "destination").arg("--stats-file").arg(&file).run().ok();
    let stats: Value = serde_json::from_slice(&fs::read(file).expect("--stats-file was given")).expect("JSON");
    let listed = (count + count / 100 + 1) as u64;
    assert_eq!(stats["files"]["created"].as_u64(), Some(listed));
    let found: usize = fs::read_dir(sandbox.destination())
        .expect("it is there")
        .map(|dir| fs::read_dir(dir.expect("a directory").path()).expect("a directory").count())
        .sum();
    assert_eq!(found, count);
    stats
}

#[test]
fn a_hundred_thousand_files_pass_a_pipe() {
    // Unoptimized it takes too long to be worth it.
    synced(Way::Push, if cfg!(debug_assertions) { 20_000 } else { 100_000 });
}

#[test]
fn frames_and_bytes_grow_with_the_number_of_files() {
    for way in [Way::Push, Way::Pull] {
        let (few, many) = (synced(way, 1000), synced(way, 10_000));
        for key in ["frames_out", "frames_in", "wire_out", "wire_in", "round_trips"] {
            let each = |stats: &Value, count: f64| stats[key].as_f64().expect(key) / count;
            let (before, after) = (each(&few, 1000.0), each(&many, 10_000.0));
            assert!(after <= before * 1.5, "{way:?}, {key}: {before} a file, then {after}");
        }
    }
}

/// `sy OPTIONS`, the server's peak memory noted by its remote shell's end, the client's while it runs.
fn watched(sandbox: &Sandbox, options: &[&str]) -> (Finished, u64) {
    let file = sandbox.path("server.pid");
    let shell = format!("sh -c 'echo $$ >{0}.new; mv {0}.new {0}; exec {SY} --server' rsh", file.display());
    let (source, destination) = (sandbox.path("source/"), sandbox.destination());
    let remote = |path: &Path| format!("host:{}", path.display());
    let program = Program::sy(options).arg("-e").arg(shell);
    let program = match sandbox.way {
        Way::Pull => program.arg(remote(&source)).arg(destination),
        _ => program.arg(source).arg(remote(&destination)),
    };
    let mut server = 0;
    let finished = program.start().watch_memory(|| {
        let id = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        server = id.and_then(peak_kib).unwrap_or(0).max(server);
    });
    let _ = fs::remove_file(file);
    (finished, server)
}

fn assert_bounded(sandbox: &Sandbox, options: &[&str], most: u64) {
    let (finished, server) = watched(sandbox, options);
    let finished = finished.ok();
    for (end, peak) in [("client", finished.peak_kib), ("server", server)] {
        assert!(peak > 0 || !cfg!(target_os = "linux"), "the memory of the {end} was never seen");
        assert!(peak < most, "{end}, {options:?}: {peak} KiB");
    }
}

#[test]
fn a_large_file_passes_in_bounded_memory() {
    for way in [Way::Push, Way::Pull] {
        let sandbox = Sandbox::in_memory(way);
        let pieces = vec![(0, noise(1, 1 << 20)), (LARGE / 2, noise(2, 1 << 20))];
        sandbox.write_source(&Tree::new().put("large", Node::Sparse(LARGE, pieces)));
        assert_bounded(&sandbox, &["-aS"], MEMORY);
        assert_eq!(fs::metadata(sandbox.path("destination/large")).unwrap().len(), LARGE);
        // And as a delta, where a signature comes first.
        crate::harness::tree::set_mtime(&sandbox.path("destination/large"), (5, 0));
        assert_bounded(&sandbox, &["-aS", "--sy-path=sy"], MEMORY);
        let (ours, theirs) = (sandbox.path("source/large"), sandbox.path("destination/large"));
        let same = std::process::Command::new("cmp").arg(ours).arg(theirs).status();
        assert!(same.expect("cmp").success());
    }
}

#[test]
fn a_very_deep_tree_is_synced() {
    let sandbox = Sandbox::in_memory(Way::Push);
    let deep = vec!["a directory with a long name"; 120].join("/");
    sandbox.write_source(&Tree::new().file(format!("{deep}/file"), "deep"));
    let program = Program::sy(&["-a", "-e", STAND_IN, "--sy-path", SY]).arg(sandbox.path("source/"));
    program.arg(format!("host:{}", sandbox.destination().display())).run().ok();
    sandbox.assert_synced();
}

/// `levels` directories in each other with names as long as can be, and `files` files in each of the lower half: by
/// handles, for the system takes no such path.
fn dig(root: &Path, levels: usize, files: usize) {
    let (name, mode) = ("n".repeat(255), Mode::from_raw_mode(0o755));
    let mut handle: OwnedFd = fs::File::open(root).expect("it is there").into();
    for level in 0..levels {
        mkdirat(&handle, &name, mode).expect("a directory of ours");
        handle = openat(&handle, &name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("it is there");
        for number in 0..if level < levels / 2 { 0 } else { files } {
            openat(&handle, number.to_string(), OFlags::CREATE | OFlags::WRONLY, mode).expect("a file of ours");
        }
    }
}

#[test]
fn paths_of_any_length_pass_in_bounded_memory() {
    // A whole list has all of them.
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    let sandbox = Sandbox::in_memory(Way::Push);
    // Their paths are some 120 MB, which each end would hold in one form or another.
    dig(&sandbox.source(), 250, 20);
    assert_bounded(&sandbox, &["-a"], LONG_PATHS);
    assert!(watched(&sandbox, &["-ai"]).0.ok().stdout.is_empty());
}
