//! Things that go wrong around a sync: the right exit code, a word that helps, every file old or new and never half, no
//! temporary file left, and a next run that puts all right.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use sy::plan::{Action, Changes, Decision};
use sy::protocol::hello::{Clock, Hello};
use sy::protocol::message::{FileData, FileDone, FileListAck, Message, Role, Status};
use sy::session::file_list::STREAMS;

use crate::harness::peer::{Booth, Server, archive};
use crate::harness::process::{Finished, Program, signal_process, wait_until};
use crate::harness::snapshot::paths;
use crate::harness::{SY, Sandbox, Snapshot, Tree, Way, is_root, noise, required, sync_test};

/// `sy OPTIONS source/ host:destination` by way of a remote shell.
fn push(sandbox: &Sandbox, shell: &str, options: &[&str]) -> Program {
    let remote = format!("host:{}", sandbox.destination().display());
    Program::sy(options).arg("-e").arg(shell).arg("--sy-path").arg(SY).arg(sandbox.path("source/")).arg(remote)
}

/// `sy OPTIONS host:source/ destination` by way of a remote shell.
fn pull(sandbox: &Sandbox, shell: &str, options: &[&str]) -> Program {
    let remote = format!("host:{}/", sandbox.source().display());
    Program::sy(options).arg("-e").arg(shell).arg("--sy-path").arg(SY).arg(remote).arg(sandbox.destination())
}

fn small() -> Sandbox {
    let sandbox = Sandbox::new(Way::Push);
    sandbox.write_source(&Tree::new().file("f", "1"));
    sandbox
}

/// Names of the destination that are no names of the source.
fn leftovers(sandbox: &Sandbox) -> Vec<PathBuf> {
    paths(&sandbox.destination()).difference(&paths(&sandbox.source())).cloned().collect()
}

#[track_caller]
fn did_not_panic(finished: Finished) -> Finished {
    assert!(!finished.stderr.contains("panicked") && !finished.stderr.contains("a bug in sy"), "{}", finished.told());
    finished
}

#[test]
fn what_a_login_shell_says_before_the_session_is_shown() {
    let shell = r#"sh -c 'echo "Welcome to example, 3 users"; shift; exec sh -c "$*"' rsh"#;
    push(&small(), shell, &["-a"]).run().code(2).says("Welcome to example, 3 users");
    pull(&small(), shell, &["-a"]).run().code(2).says("Welcome to example, 3 users");
}

#[test]
fn without_sy_at_the_other_end_it_says_how_to_point_at_it() {
    let sandbox = small();
    let program = Program::sy(&["-a", "-e"]).arg(crate::harness::STAND_IN).arg("--sy-path=/no/such/sy");
    let finished = program.arg(sandbox.source()).arg("host:x").run();
    finished.code(5).says("--sy-path").says("/no/such/sy");
    Program::sy(&["-a", "-e", "/no/such/shell"])
        .arg(sandbox.source())
        .arg("host:x")
        .run()
        .code(5)
        .says("/no/such/shell");
}

#[test]
fn a_remote_that_dies_at_the_start_could_not_be_started() {
    for (status, word) in [(255, "could not connect"), (1, "status 1"), (126, "cannot be run")] {
        push(&small(), &format!("sh -c 'exit {status}' rsh"), &["-a"]).run().code(5).says(word);
    }
    push(&small(), "sh -c 'kill -9 $$' rsh", &["-a"]).run().code(5);
}

#[test]
fn a_host_that_would_be_an_option_is_refused() {
    let sandbox = small();
    let mark = sandbox.path("mark");
    let host = format!("-oProxyCommand=touch {}:x", mark.display().to_string().replace('/', "\\057"));
    Program::sy(&["-a", "--"]).arg(sandbox.source()).arg(host).run().code(1).says("'-'");
    Program::sy(&["-a", "--"]).arg("-evil:x").arg(sandbox.destination()).run().code(1).says("'-'");
    assert!(!mark.exists());
}

#[test]
fn an_older_version_is_told_with_both_numbers() {
    let booth = Booth::new();
    booth.serve(|wire| {
        let (min_version, max_version) = (0, 0);
        let hello =
            Hello { min_version, max_version, capabilities: 0, timestamp: 1, echo: 0, software: "sy 0.0.1".into() };
        wire.send_raw(&hello.encode());
        wire.recv();
    });
    let finished = push(&small(), &booth.shell(), &["-a"]).run();
    finished.code(2).says("sy 0.0.1 (protocol 0 to 0)").says("(protocol 1 to ");
}

#[test]
fn a_server_that_understands_no_chunks_is_asked_again_with_the_whole_list() {
    if !STREAMS {
        return;
    }
    let sandbox = small();
    let (greeting, greeted) = (sandbox.path("greeting"), sandbox.path("greeted"));
    fs::write(&greeting, Hello { max_version: 1, ..Hello::ours(&Clock::start(), 0) }.encode()).expect("a file of ours");
    // Once an old server's greeting and no more, then the other end as it is.
    let (first, then) = (format!("exec cat {}", greeting.display()), r#"shift; exec sh -c "$*""#);
    let shell = format!("sh -c 'if mkdir {} 2>/dev/null; then {first}; fi; {then}' rsh", greeted.display());
    push(&sandbox, &shell, &["-a"]).run().ok();
    assert!(greeted.exists());
    sandbox.assert_synced();
}

#[test]
fn silence_ends_with_the_timeout_before_the_greeting_and_after() {
    push(&small(), "sh -c 'exec sleep 30' rsh", &["-a", "--timeout=1"]).run().code(30).says("--timeout");
    for pulls in [false, true] {
        let (booth, sandbox) = (Booth::new(), small());
        let (done, wait) = std::sync::mpsc::channel::<()>();
        booth.serve(move |wire| {
            wire.greet(0);
            // Silent, but there: until the test is over.
            let _ = wait.recv();
        });
        let go = if pulls { pull } else { push };
        go(&sandbox, &booth.shell(), &["-a", "--timeout=1"]).run().code(30).says("--timeout");
        drop(done);
    }
}

/// A remote shell that leaves the server's process id in a file.
fn traced(sandbox: &Sandbox) -> (String, PathBuf) {
    let file = sandbox.path("server.pid");
    (format!("sh -c 'echo $$ >{}.new; mv {0}.new {0}; exec {SY} --server' rsh", file.display()), file)
}

fn server_id(file: &Path) -> u32 {
    wait_until("the server runs", || file.exists());
    fs::read_to_string(file).expect("written by the remote shell").trim().parse().expect("a process id")
}

/// A source that takes a while: mostly a hole, so that it is made in no time.
fn long(way: Way) -> Sandbox {
    let sandbox = Sandbox::new(way);
    let sparse = crate::harness::tree::Node::Sparse(1 << 30, vec![(0, noise(7, 3_000_000))]);
    sandbox.write_source(&Tree::new().file("a", "small").put("large", sparse));
    sandbox.write_destination(&Tree::new().file("large", "old"));
    sandbox
}

/// A temporary file in the destination, with something in it.
fn under_way(sandbox: &Sandbox, bytes: u64) -> bool {
    let items = fs::read_dir(sandbox.destination()).into_iter().flatten().flatten();
    let is_temporary = |name: &str| name.starts_with(".large.");
    items
        .filter(|item| is_temporary(&item.file_name().to_string_lossy()))
        .any(|item| item.metadata().is_ok_and(|found| found.len() >= bytes))
}

/// After an interruption: the large file is as it was, and when it has become small a next run brings equality.
#[track_caller]
fn old_file_stays_and_next_run_repairs(sandbox: &Sandbox) {
    assert_eq!(fs::read(sandbox.path("destination/large")).unwrap(), b"old");
    fs::write(sandbox.path("source/large"), "small now").unwrap();
    sandbox.sync(&["-a", "--delete"]).ok();
    sandbox.assert_synced();
}

#[test]
fn a_killed_server_is_a_lost_connection() {
    for pulls in [false, true] {
        let sandbox = long(if pulls { Way::Pull } else { Way::Push });
        let (shell, file) = traced(&sandbox);
        let client = if pulls { pull } else { push }(&sandbox, &shell, &["-a"]).start();
        wait_until("a file is under way", || under_way(&sandbox, 1));
        signal_process(server_id(&file), Signal::SIGKILL);
        did_not_panic(client.finish()).code(12);
        if pulls {
            assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
        }
        old_file_stays_and_next_run_repairs(&sandbox);
    }
}

#[test]
fn a_stopped_server_is_silence() {
    for pulls in [false, true] {
        let sandbox = long(if pulls { Way::Pull } else { Way::Push });
        let (shell, file) = traced(&sandbox);
        let mut client = if pulls { pull } else { push }(&sandbox, &shell, &["-a", "--timeout=2"]).start();
        wait_until("a file is under way", || under_way(&sandbox, 1));
        let server = server_id(&file);
        signal_process(server, Signal::SIGSTOP);
        wait_until("the client gives up", || client.has_ended());
        // Stopped, it does not hear the SIGTERM that it was sent.
        signal_process(server, Signal::SIGKILL);
        did_not_panic(client.finish()).code(30).says("--timeout");
        old_file_stays_and_next_run_repairs(&sandbox);
    }
}

/// Interrupts a sync of a large file and waits until nobody works on the destination any more.
fn interrupted(sandbox: &Sandbox, options: &[&str], signal: Signal) {
    let client = sandbox.program(options, &["source/"], "destination").start();
    wait_until("a file is under way", || under_way(sandbox, 2_000_000));
    client.signal(signal);
    did_not_panic(client.finish()).code(20);
    wait_until("the temporary file is gone", || {
        !under_way(sandbox, 0) || sandbox.path("destination/.large.sy-partial").exists()
    });
}

sync_test!(a_signal_ends_it_with_20_and_leaves_nothing_half_written, |sandbox| {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let sandbox = long(if sandbox.way == Way::Local { Way::Delta } else { sandbox.way });
        interrupted(&sandbox, &["-a"], signal);
        assert!(leftovers(&sandbox).is_empty(), "{:?}", leftovers(&sandbox));
        old_file_stays_and_next_run_repairs(&sandbox);
    }
});

sync_test!(a_signal_among_many_files_leaves_each_whole_or_not_there, |sandbox| {
    let tree = (0..3000).fold(Tree::new(), |tree, number| tree.file(format!("d{}/{number}", number % 30), "contents"));
    let sandbox = &Sandbox::in_memory(sandbox.way);
    sandbox.write_source(&tree);
    let client = sandbox.program(&["-a"], &["source/"], "destination").start();
    wait_until("a file is there", || sandbox.path("destination/d0/0").exists());
    client.signal(Signal::SIGTERM);
    did_not_panic(client.finish()).code(20);
    let gone = || leftovers(sandbox).is_empty();
    wait_until("no temporary file is left", gone);
    for (path, _) in sandbox.destination_tree().items.iter().filter(|(path, _)| path.components().count() == 2) {
        assert_eq!(fs::read(sandbox.destination().join(path)).unwrap(), b"contents", "{path:?}");
    }
    sandbox.sync(&["-a"]).ok();
    sandbox.assert_synced();
});

sync_test!(with_partial_the_next_run_builds_on_what_came, |sandbox| {
    let sandbox = long(if sandbox.way == Way::Local { Way::Delta } else { sandbox.way });
    interrupted(&sandbox, &["-a", "--partial"], Signal::SIGINT);
    assert_eq!(leftovers(&sandbox), [Path::new(".large.sy-partial")]);
    assert_eq!(fs::read(sandbox.path("destination/large")).unwrap(), b"old");
    fs::File::options().write(true).open(sandbox.path("source/large")).unwrap().set_len(4_000_000).unwrap();
    let stats = sandbox.path("stats");
    let program = sandbox.program(&["-a", "--partial"], &["source/"], "destination");
    program.arg("--stats-file").arg(&stats).run().ok();
    let stats: serde_json::Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    assert!(stats["bytes"]["matched"].as_u64().unwrap() > 1_000_000, "{stats}");
    sandbox.assert_synced();
});

sync_test!(what_came_is_kept_in_a_directory_that_was_named_for_it, |sandbox| {
    let sandbox = long(if sandbox.way == Way::Local { Way::Delta } else { sandbox.way });
    fs::create_dir(sandbox.path("kept")).unwrap();
    let dirs = [(".kept".to_string(), "destination/.kept"), (sandbox.path("kept").display().to_string(), "kept")];
    for (dir, kept) in dirs {
        let option = format!("--partial-dir={dir}");
        interrupted(&sandbox, &["-a", &option], Signal::SIGINT);
        let kept = sandbox.path(kept);
        wait_until("it is kept", || kept.join("large").exists());
        assert_eq!(fs::read(sandbox.path("destination/large")).unwrap(), b"old");
        let beside: Vec<PathBuf> = leftovers(&sandbox).into_iter().filter(|path| !path.starts_with(".kept")).collect();
        assert!(beside.is_empty(), "{beside:?}");
    }
    fs::remove_dir_all(sandbox.path("kept")).unwrap();
    fs::File::options().write(true).open(sandbox.path("source/large")).unwrap().set_len(4_000_000).unwrap();
    let stats = sandbox.path("stats");
    let options = ["-a", "--delete", "--partial-dir=.kept", "--stats-file"];
    sandbox.program(&[&options[..], &[stats.to_str().unwrap()]].concat(), &["source/"], "destination").run().ok();
    let stats: serde_json::Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    assert!(stats["bytes"]["matched"].as_u64().unwrap() > 1_000_000, "{stats}");
    sandbox.assert_synced();
});

sync_test!(of_updates_that_are_delayed_none_is_made_by_a_run_that_is_interrupted, |sandbox| {
    let sandbox = long(if sandbox.way == Way::Local { Way::Delta } else { sandbox.way });
    sandbox.write_destination(&Tree::new().file("first", "old").file("large", "old"));
    sandbox.write_source(&Tree::new().file("first", noise(1, 50_000)));
    interrupted(&sandbox, &["-a", "--delay-updates"], Signal::SIGTERM);
    for name in ["first", "large"] {
        assert_eq!(fs::read(sandbox.path("destination").join(name)).unwrap(), b"old", "{name}");
    }
    fs::File::options().write(true).open(sandbox.path("source/large")).unwrap().set_len(4_000_000).unwrap();
    sandbox.sync(&["-a", "--delete", "--delay-updates"]).ok();
    sandbox.assert_synced();
});

/// A session with something of everything, small enough to be cut at many places.
fn cuttable() -> Sandbox {
    let sandbox = Sandbox::new(Way::Push);
    let mut edited = noise(8, 60_000);
    sandbox.write_destination(&Tree::new().file("delta", &edited).mtime(5, 0).file("whole", "old").file("extra", "x"));
    edited[30_000] ^= 1;
    let tree = Tree::new().file("delta", edited).file("whole", noise(9, 40_000)).file("new/deep", noise(10, 1000));
    sandbox.write_source(&tree.symlink("l", "new"));
    sandbox
}

/// What is at each path must be what was there, or what is to be there; attributes may lack.
#[track_caller]
fn old_or_new(before: &Snapshot, source: &Snapshot, now: &Snapshot, what: &str) {
    for (path, item) in &now.items {
        let known = [before, source]
            .iter()
            .filter_map(|tree| tree.items.get(path))
            .any(|known| known.contents == item.contents);
        assert!(known, "{what}: {path:?} is neither old nor new: {:?}", now.differences(source));
    }
}

fn cut_everywhere(pulls: bool, to_server: bool) {
    let go = if pulls { pull } else { push };
    let whole = {
        let (sandbox, booth) = (cuttable(), Booth::new());
        let relay = booth.relay(None, None);
        go(&sandbox, &booth.shell(), &["-a", "--delete"]).run().ok();
        let (there, back) = relay.join().expect("the relay");
        sandbox.assert_synced();
        if to_server { there } else { back }
    };
    // Every byte of the greeting and a little more, then steps through the rest, and the last few again.
    let step = (whole / 24).max(1);
    let cuts = (0..12).map(|cut| cut * 7).chain((84..whole).step_by(step)).chain(whole.saturating_sub(3)..whole);
    for cut in cuts {
        let what = format!("cut after {cut} of {whole} bytes {} the server", if to_server { "to" } else { "from" });
        let (sandbox, booth) = (cuttable(), Booth::new());
        let (before, source) = (sandbox.destination_tree(), sandbox.source_tree());
        let relay = booth.relay(to_server.then_some(cut), (!to_server).then_some(cut));
        let finished = did_not_panic(go(&sandbox, &booth.shell(), &["-a", "--delete"]).run());
        relay.join().expect("the relay");
        let status = finished.status.code().unwrap_or(-1);
        // A client that has all it wanted does not wait for its last words to be heard.
        let has_all = status == 0 && pulls && to_server && sandbox.destination_tree() == source;
        assert!(has_all || [12, 5, 2].contains(&status), "{what}: {}", finished.told());
        assert!(has_all || status == 12 || cut < 100, "{what}: {}", finished.told());
        old_or_new(&before, &source, &sandbox.destination_tree(), &what);
        sandbox.sync(&["-a", "--delete"]).ok();
        sandbox.assert_synced();
    }
}

#[test]
fn a_push_cut_on_its_way_there_leaves_every_file_old_or_new() {
    cut_everywhere(false, true);
}

#[test]
fn a_push_cut_on_its_way_back_leaves_every_file_old_or_new() {
    cut_everywhere(false, false);
}

#[test]
fn a_pull_cut_on_its_way_there_leaves_every_file_old_or_new() {
    cut_everywhere(true, true);
}

#[test]
fn a_pull_cut_on_its_way_back_leaves_every_file_old_or_new() {
    cut_everywhere(true, false);
}

/// Lets a sender list a tree with one file, changes that file, and wants it: its contents or outcome, and the exit code.
fn changed_after_listing(change: impl FnOnce(&Path)) -> (Result<Vec<u8>, Status>, i32) {
    let sandbox = Sandbox::new(Way::Pull);
    sandbox.write_source(&Tree::new().file("f", noise(11, 300_000)));
    let mut server = Server::start(Role::Sender, &sandbox.path("source/f"), &archive());
    assert!(matches!(server.wire.recv(), Some(Message::FileList(list)) if list.entries.len() == 1));
    change(&sandbox.path("source/f"));
    let decisions = vec![Decision { action: Action::Whole, changes: Changes::NEW }];
    server.wire.send(&Message::FileListAck(FileListAck { first: 0, last: true, decisions }));
    let mut contents = Vec::new();
    let outcome = loop {
        match server.wire.recv() {
            Some(Message::FileData(FileData { data, digest, .. })) => {
                contents.extend_from_slice(&data);
                if digest.is_some() {
                    server.wire.send(&Message::FileDone(FileDone { index: 0, status: Status::Done }));
                    break Ok(contents);
                }
            }
            Some(Message::FileDone(done)) => break Err(done.status),
            Some(Message::Error(_)) => {}
            other => panic!("{other:?} instead of contents"),
        }
    };
    while !matches!(server.wire.recv(), Some(Message::SessionEnd(_)) | None) {}
    (outcome, server.end().0)
}

#[test]
fn a_file_that_vanishes_is_told_with_24_and_one_that_became_something_else_with_23() {
    let (outcome, status) = changed_after_listing(|file| fs::remove_file(file).unwrap());
    assert_eq!((outcome, status), (Err(Status::Vanished), 24));
    let (outcome, status) = changed_after_listing(|file| {
        fs::remove_file(file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", file).unwrap();
    });
    assert_eq!((outcome, status), (Err(Status::Failed), 23));
}

#[test]
fn a_file_that_grows_or_shrinks_arrives_as_it_is_then() {
    let old = noise(11, 300_000);
    let (outcome, status) = changed_after_listing(|file| fs::write(file, b"shorter").unwrap());
    assert_eq!((outcome, status), (Ok(b"shorter".to_vec()), 0));
    let longer = [&old[..], b"longer"].concat();
    let (outcome, status) = changed_after_listing(|file| fs::write(file, &longer).unwrap());
    assert_eq!(status, 0);
    assert!(outcome.unwrap().starts_with(&old));
}

sync_test!(a_source_that_is_missing_deletes_nothing, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1"));
    sandbox.write_destination(&Tree::new().file("extra", "2").file("dir/extra", "3"));
    let finished = sandbox.sync_paths(&["-a", "--delete"], &["missing/", "source/"], "destination");
    finished.code(23).says("nothing is deleted");
    assert!(sandbox.path("destination/extra").is_file() && sandbox.path("destination/dir/extra").is_file());
    assert!(sandbox.path("destination/f").is_file());
    sandbox.sync_paths(&["-a", "--delete"], &["missing"], "destination").code(23);
    assert!(sandbox.path("destination/f").is_file());
});

/// The same command as somebody who may not read everything, and the sandbox his. Root gives up its rights with `setpriv`.
fn as_nobody(sandbox: &Sandbox, options: &[&str]) -> Program {
    as_nobody_from(sandbox, options, &["source/"])
}

fn as_nobody_from(sandbox: &Sandbox, options: &[&str], sources: &[&str]) -> Program {
    let program = sandbox.program(options, sources, "destination");
    if !is_root() {
        return program;
    }
    const NOBODY: u32 = 65_534;
    let setpriv = required("setpriv", &["/usr/bin"], "util-linux");
    // Where the build is may be closed to nobody.
    let copy = sandbox.path("sy");
    assert!(Command::new("cp").arg(SY).arg(&copy).status().expect("cp").success());
    for path in ["", "source", "destination", "sy"] {
        give_away(&sandbox.path(path), NOBODY);
    }
    let mut words = program.words();
    words.iter_mut().filter(|word| *word == SY).for_each(|word| *word = copy.clone().into_os_string());
    Program::new(setpriv).args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(words)
}

fn give_away(path: &Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).expect("root gives files away");
    for item in fs::read_dir(path).into_iter().flatten().flatten() {
        give_away(&item.path(), uid);
    }
}

sync_test!(a_source_that_cannot_be_read_completely_deletes_nothing_from_there_on, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").dir("closed").mode(0o000).file("z/b", "2"));
    let extra = Tree::new().file("extra", "2").file("closed/copied before", "3").file("z/extra", "4");
    sandbox.write_destination(&extra);
    as_nobody(sandbox, &["-rlt", "--delete"]).run().code(23).says("closed").says("nothing is deleted");
    for kept in ["closed/copied before", "z/extra", "a", "z/b"] {
        assert!(sandbox.path("destination").join(kept).is_file(), "{kept}");
    }
    // What comes as a stream has been dealt with before anybody knew, as in rsync; with --delete-delay it is not.
    let streams = STREAMS && sandbox.way != Way::Local;
    assert_eq!(sandbox.path("destination/extra").exists(), !streams);
    sandbox.write_destination(&Tree::new().file("extra", "2"));
    as_nobody(sandbox, &["-rlt", "--delete-delay"]).run().code(23).says("nothing is deleted");
    assert!(sandbox.path("destination/extra").exists());
});

sync_test!(the_last_source_counts_as_well_when_it_cannot_be_read, |sandbox| {
    sandbox.write_source(&Tree::new().file("a/f", "1").dir("b").mode(0o000));
    sandbox.write_destination(&Tree::new().file("a/extra", "2"));
    let program = as_nobody_from(sandbox, &["-rlt", "--delete-delay"], &["source/a", "source/b"]);
    program.run().code(23).says("source/b").says("nothing is deleted");
    assert!(sandbox.path("destination/a/extra").is_file() && sandbox.path("destination/a/f").is_file());
});

sync_test!(a_file_that_cannot_be_read_fails_alone, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").file("closed", "secret").mode(0o000).file("z", "2"));
    sandbox.write_destination(&Tree::new().file("closed", "old"));
    as_nobody(sandbox, &["-rlt"]).run().code(23).says("closed");
    assert_eq!(fs::read(sandbox.path("destination/a")).unwrap(), b"1");
    assert_eq!(fs::read(sandbox.path("destination/z")).unwrap(), b"2");
    assert_eq!(fs::metadata(sandbox.path("destination/closed")).unwrap().len(), 3);
    assert!(leftovers(sandbox).is_empty());
});

sync_test!(a_destination_that_cannot_be_written_fails_file_by_file, |sandbox| {
    sandbox.write_source(&Tree::new().file("open/a", "1").file("shut/b", "2"));
    sandbox.write_destination(&Tree::new().dir("open").dir("shut"));
    let program = as_nobody(sandbox, &["-rl"]);
    if is_root() {
        std::os::unix::fs::lchown(sandbox.path("destination/shut"), Some(0), Some(0)).unwrap();
    } else {
        // The owner could open it up, and sy does.
        return;
    }
    program.run().code(23).says("shut/b");
    assert!(sandbox.path("destination/open/a").is_file() && !sandbox.path("destination/shut/b").exists());
});

sync_test!(what_is_closed_to_its_owner_is_opened_up_where_it_has_to_change, |sandbox| {
    sandbox.write_source(&Tree::new().file("d/f", "new").file("in place", "new").mode(0o400).file("kept", "1"));
    let old = Tree::new().dir("d").mode(0o500).file("in place", "old").mode(0o400).mtime(5, 0);
    sandbox.write_destination(&old.file("gone/x", "1").dir("gone").mode(0o500).dir("gone/y").mode(0o000));
    as_nobody(sandbox, &["-rlpt", "--delete", "--exclude=no such name", "--inplace"]).run().ok();
    sandbox.assert_synced();
});

sync_test!(what_is_closed_to_its_owner_is_opened_up_to_delete_in_it, |sandbox| {
    for time in ["--delete", "--delete-delay", "--delete-after"] {
        sandbox.write_source(&Tree::new().file("shut/f", "1").file("read only/f", "2").dir("read only").mode(0o500));
        let extra = Tree::new().file("shut/x", "1").file("shut/y/z", "2").dir("shut").mode(0o000);
        sandbox.write_destination(&extra.file("read only/x", "3").dir("read only").mode(0o500));
        as_nobody(sandbox, &["-rlpt", time]).run().ok();
        sandbox.assert_synced();
        crate::harness::tree::make_removable(&sandbox.source());
        crate::harness::tree::make_removable(&sandbox.destination());
    }
});

sync_test!(a_file_that_cannot_be_read_keeps_what_delete_after_would_delete, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").file("closed", "secret").mode(0o000));
    sandbox.write_destination(&Tree::new().file("extra", "2"));
    as_nobody(sandbox, &["-rlt", "--delete-after"]).run().code(23).says("closed").says("nothing is deleted");
    assert!(sandbox.path("destination/a").is_file() && sandbox.path("destination/extra").is_file());
    as_nobody(sandbox, &["-rlt", "--delete-delay"]).run().code(23).says("closed");
    assert!(!sandbox.path("destination/extra").exists());
});

/// A small file system of its own, until dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where mounting is not allowed.
    fn tmpfs(at: &Path, size: &str) -> Option<Mounted> {
        fs::create_dir_all(at).expect("a directory of ours");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "sy-test"]).arg(at).output();
        let succeeded = mounted.is_ok_and(|output| output.status.success());
        if !succeeded {
            eprintln!("not tested: no file system can be mounted here");
        }
        succeeded.then(|| Mounted(at.to_path_buf()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Lazily: whoever still looks at it is about to end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

sync_test!(a_full_file_system_ends_it_with_11_and_nothing_half_written, |sandbox| {
    let Some(_mounted) = Mounted::tmpfs(&sandbox.destination(), "1m") else { return };
    sandbox.write_source(&Tree::new().file("a", "small").file("large", noise(12, 3_000_000)).file("z", "small"));
    fs::write(sandbox.path("destination/large"), "old").unwrap();
    did_not_panic(sandbox.sync(&["-a"])).code(11);
    assert_eq!(fs::read(sandbox.path("destination/large")).unwrap(), b"old");
    assert!(leftovers(sandbox).is_empty(), "{:?}", leftovers(sandbox));
});

sync_test!(with_one_file_system_a_mount_is_an_empty_directory, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").dir("mounted"));
    let Some(_mounted) = Mounted::tmpfs(&sandbox.path("source/mounted"), "1m") else { return };
    fs::write(sandbox.path("source/mounted/inside"), "2").unwrap();
    sandbox.sync(&["-ax"]).ok();
    assert_eq!(sandbox.destination_tree().names(), [".", "a", "mounted"]);
});
