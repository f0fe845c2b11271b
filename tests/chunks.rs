//! A list that comes in chunks from a peer that does not play by the rules: nothing is deleted, nothing is made outside of
//! what was announced, and the session ends with status 12 and a word of why.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use sy::delta::Block;
use sy::delta::strong::Hasher;
use sy::error::ExitCode;
use sy::options::{DeleteTime, Options};
use sy::phases;
use sy::plan::{Action, Changes, Decision};
use sy::protocol::chunk::{Chunk, ChunkAck, Contents, ListEnd, State};
use sy::protocol::message::{ChecksumResp, Counters, FileData, FileDone, Message, Report, Role, Status, code};
use sy::tree::entry::{Entry, Kind};

use crate::harness::peer::{Booth, SEED, Server, archive, entry, file_entry};
use crate::harness::process::Program;
use crate::harness::{Sandbox, Snapshot, Tree, Way, noise};

fn deleting() -> Options {
    Options { delete: Some(DeleteTime::During), ..archive() }
}

/// A destination that a careless receiver would delete from.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(Way::Push);
    sandbox.write_destination(&Tree::new().file("extra", "1").file("dir/extra", "2").file("dir/old", noise(1, 20_000)));
    sandbox.write_source(&Tree::new().file("a", noise(2, 50_000)).file("dir/b", "b"));
    sandbox
}

const WHOLE: State = State { first: true, last: true, lost: false, incomplete: false };

fn chunk(id: u32, dir: u32, state: State, contents: Contents) -> Message {
    Message::FileListChunk(Chunk::new(id, dir, state, &contents, Vec::new()))
}

/// The chunk that every list begins with.
fn roots(names: &[&str]) -> Message {
    chunk(0, 0, WHOLE, Contents { dirs: os(names), ..Contents::default() })
}

fn os(names: &[&str]) -> Vec<OsString> {
    names.iter().map(OsString::from).collect()
}

/// What is in the directory `path`, all of it if `listed`.
fn contents(path: &str, listed: bool, files: &[&str], dirs: &[&str]) -> Contents {
    let own = Entry { contents_listed: listed, mode: 0o755, ..entry(path, Kind::Dir) };
    let entries = files.iter().map(|name| file_entry(name, 5)).collect();
    Contents { own: Some(own), entries, dirs: os(dirs), ..Contents::default() }
}

fn end(total: u32) -> Message {
    Message::FileListEnd(ListEnd { total, counters: Counters::default() })
}

/// Says `messages` to a receiver that would delete, and expects it to end the session with 12.
#[track_caller]
fn offend(what: &str, sandbox: &Sandbox, messages: &[Message]) {
    let mut server = Server::start_for(u64::MAX, Role::Receiver, &sandbox.destination(), &deleting());
    messages.iter().for_each(|message| server.wire.send(message));
    let word = server.wire.last_word();
    let (status, complaint) = server.end();
    assert_eq!(status, 12, "{what}: {complaint}");
    assert_eq!(word.map(|word| word.code), Some(ExitCode::Stream), "{what}");
}

/// As [`offend`], and nothing has changed.
#[track_caller]
fn refused(what: &str, messages: &[Message]) {
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path(""));
    offend(what, &sandbox, messages);
    Snapshot::of(&sandbox.path("")).assert_same(&before);
}

/// As [`offend`], where something has been listed as it may: that is made, and nothing is deleted.
#[track_caller]
fn refused_in_the_end(what: &str, messages: &[Message]) {
    let sandbox = sandbox();
    let before = sandbox.destination_tree();
    offend(what, &sandbox, messages);
    let after = sandbox.destination_tree().names();
    assert!(before.names().iter().all(|name| after.contains(name)), "{what}: {after:?}");
}

#[test]
fn a_receiver_refuses_directories_that_were_not_announced_or_come_again() {
    let dir = |id, number| chunk(id, number, WHOLE, contents("dir", true, &[], &[]));
    refused("no roots", &[dir(0, 1)]);
    refused("a directory that nobody announced", &[roots(&["dir"]), dir(1, 2)]);
    refused("a number out of all bounds", &[roots(&["dir"]), dir(1, u32::MAX)]);
    refused("the roots again", &[roots(&["dir"]), chunk(1, 0, WHOLE, Contents::default())]);
    let parent = chunk(1, 1, WHOLE, contents("new", false, &[], &["sub"]));
    let child = chunk(2, 2, WHOLE, contents("new/sub", false, &[], &[]));
    refused_in_the_end("a parent after its child", &[roots(&["new"]), parent, child, dir(3, 1)]);
    refused("a chunk out of its turn", &[roots(&["dir"]), dir(2, 1)]);
    refused("a chunk that came already", &[roots(&["dir"]), dir(0, 1)]);
}

#[test]
fn a_client_hears_what_became_of_the_files_that_the_other_end_was_to_remove() {
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    let sandbox = sandbox();
    let booth = Booth::new();
    let played = booth.serve(|wire| {
        wire.greet(u64::MAX);
        wire.send(&roots(&["dir"]));
        wire.send(&chunk(1, 1, WHOLE, contents("dir", true, &[], &[])));
        wire.send(&end(1));
        while !matches!(wire.recv().expect("a client that is there"), Message::SessionEnd(_)) {}
        wire.send(&Message::Error(Report { fatal: false, code: ExitCode::Partial, text: b"it will not go".to_vec() }));
    });
    let options = ["-a", "--remove-source-files"];
    let finished = Program::sy(&options).arg("-e").arg(booth.shell()).arg("host:dir").arg(sandbox.destination()).run();
    played.join().expect("it was played");
    assert!(finished.code(23).stderr.contains("it will not go"));
}

#[test]
fn a_chunk_is_answered_at_once_and_nothing_goes_before_all_of_its_directory_is_here() {
    let sandbox = sandbox();
    sandbox.write_destination(&Tree::new().file("dir/a-extra", "3").file("dir/z-extra", "4"));
    let before = sandbox.destination_tree();
    let mut server = Server::start_for(u64::MAX, Role::Receiver, &sandbox.destination(), &deleting());
    let part = State { last: false, ..WHOLE };
    server.wire.send(&roots(&["dir"]));
    server.wire.send(&chunk(1, 1, part, contents("dir", true, &["dir/new", "dir/old"], &[])));
    for id in 0..2 {
        match server.wire.recv() {
            Some(Message::FileListChunkAck(ack)) => assert_eq!(ack.id, id),
            other => panic!("{other:?}"),
        }
    }
    sandbox.destination_tree().assert_same(&before);
    let rest = State { first: false, ..WHOLE };
    server.wire.send(&chunk(2, 1, rest, Contents { dirs: os(&["z-extra"]), ..Contents::default() }));
    let mut gone = Vec::new();
    loop {
        match server.wire.recv() {
            Some(Message::DeleteBatch(batch)) => gone.extend(batch.into_iter().map(|deleted| deleted.path)),
            Some(Message::FileListChunkAck(ack)) => break assert_eq!((ack.id, ack.count), (2, 0)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(gone, ["dir/a-extra", "dir/extra"].map(Path::new));
    assert!(sandbox.path("destination/dir/z-extra").is_file(), "its chunk has not come: it may be lost");
    assert!(sandbox.path("destination/dir/old").is_file());
    assert_eq!(server.end().0, 12, "the client leaves before its time");
}

#[test]
fn what_is_half_written_in_a_directory_of_the_list_is_not_deleted_with_what_is_left_over_there() {
    let sandbox = sandbox();
    sandbox.write_destination(&Tree::new().file("room/left-over", "1"));
    let options = Options { temp_dir: Some("room".into()), ..deleting() };
    let mut server = Server::start_for(u64::MAX, Role::Receiver, &sandbox.destination(), &options);
    server.wire.send(&roots(&["dir", "links", "room"]));
    server.wire.send(&chunk(1, 1, WHOLE, contents("dir", true, &["dir/new"], &[])));
    for _ in 0..2 {
        while !matches!(server.wire.recv(), Some(Message::FileListChunkAck(_))) {}
    }
    // While these are made the rest comes, so that contents could overtake the list.
    let link = |number| entry(&format!("links/{number:04}"), Kind::Symlink { target: Path::new("there").into() });
    let links = (0..2000).map(link).collect();
    server.wire.send(&chunk(2, 2, WHOLE, Contents { entries: links, ..contents("links", true, &[], &[]) }));
    server.wire.send(&chunk(3, 3, WHOLE, contents("room", true, &[], &[])));
    let bytes = noise(3, 100_000);
    let mut hasher = Hasher::new(SEED);
    hasher.update(&bytes);
    for (offset, digest) in [(0, None), (50_000, Some(hasher.finish()))] {
        let data = bytes[offset..offset + 50_000].to_vec().into();
        server.wire.send(&Message::FileData(FileData { index: 1, offset: offset as u64, digest, data }));
    }
    server.wire.send(&end(2 + 2001 + 1));
    let done = loop {
        match server.wire.recv() {
            Some(Message::FileDone(done)) => break done,
            Some(Message::FileListChunkAck(_) | Message::DeleteBatch(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((done.index, done.status), (1, Status::Done));
    assert_eq!(fs::read(sandbox.path("destination/dir/new")).expect("it is in place"), bytes);
    while !matches!(server.wire.recv(), Some(Message::SessionEnd(_))) {}
    assert!(!sandbox.path("destination/room/left-over").exists());
    assert_eq!(server.end().0, 0);
}

#[test]
fn what_was_lost_within_a_directory_keeps_all_of_it() {
    let sandbox = sandbox();
    let before = sandbox.destination_tree();
    let mut server = Server::start_for(u64::MAX, Role::Receiver, &sandbox.destination(), &deleting());
    let part = State { last: false, ..WHOLE };
    server.wire.send(&roots(&["dir"]));
    server.wire.send(&chunk(1, 1, part, contents("dir", true, &["dir/new"], &[])));
    // Only the end of the directory tells that it is not all.
    let rest = State { first: false, incomplete: true, ..WHOLE };
    let contents = Contents { entries: vec![file_entry("dir/newer", 5)], ..Contents::default() };
    server.wire.send(&chunk(2, 1, rest, contents));
    let mut answered = 0;
    while answered < 3 {
        match server.wire.recv() {
            Some(Message::FileListChunkAck(_)) => answered += 1,
            Some(Message::Error(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    sandbox.destination_tree().assert_same(&before);
    assert_eq!(server.end().0, 12, "the client leaves before its time");
}

#[test]
fn a_sender_waits_for_answers_within_a_directory_too() {
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    /// What may be listed and not dealt with, and the entries of a chunk.
    const MOST: u32 = (64 << 10) + (64 << 10) / 6;
    let sandbox = Sandbox::in_memory(Way::Push);
    (0..MOST + 5000).for_each(|number| drop(fs::File::create(sandbox.path(format!("source/{number}")))));
    // A third of it without a word is what an end bears.
    let options = Options { timeout: Some(std::time::Duration::from_secs(12)), ..archive() };
    let mut server = Server::start_for(u64::MAX, Role::Sender, &sandbox.path("source/"), &options);
    let (mut listed, mut acks) = (0, Vec::new());
    loop {
        // However long it takes to list, it must not think that nobody is there.
        server.wire.send(&Message::Keepalive { timestamp: 0, echo: None });
        match server.wire.recv_any() {
            Message::FileListChunk(chunk) => {
                let contents = chunk.open(Path::new("/"), Path::new(".")).expect("sy sends what sy can read");
                let count = (contents.own.iter().len() + contents.entries.len()) as u32;
                listed += count;
                acks.push(Message::FileListChunkAck(ChunkAck { id: chunk.id, count, decisions: Vec::new() }));
            }
            Message::FileListEnd(_) => panic!("{listed} entries, and none was decided about"),
            // It has nothing more to say.
            Message::Keepalive { .. } if listed > 0 => break,
            _ => {}
        }
    }
    assert!(listed <= MOST, "{listed}");
    acks.iter().for_each(|ack| server.wire.send(ack));
    while !matches!(server.wire.recv(), Some(Message::FileListEnd(end)) if end.total == MOST + 5001) {}
    assert_eq!(server.end().0, 12, "the client leaves before its time");
}

#[test]
fn a_receiver_refuses_completeness_of_what_was_not_listed() {
    let part = State { last: false, ..WHOLE };
    let rest = State { first: false, ..WHOLE };
    let all = || contents("dir", true, &["dir/x"], &[]);
    refused("an end within a directory", &[roots(&["dir"]), chunk(1, 1, part, all()), end(2)]);
    refused("an end before a directory", &[roots(&["dir"]), end(0)]);
    let unlisted = chunk(1, 1, WHOLE, contents("new", false, &[], &["sub"]));
    refused_in_the_end("an end before a directory's directory", &[roots(&["new"]), unlisted, end(1)]);
    for total in [0, 2, 7] {
        let messages = [roots(&["new"]), chunk(1, 1, WHOLE, contents("new", true, &[], &[])), end(total)];
        refused_in_the_end("an end with another number of entries", &messages);
    }
    refused("the rest of what has not begun", &[roots(&["dir"]), chunk(1, 1, rest, Contents::default())]);
    refused("a second beginning", &[roots(&["dir"]), chunk(1, 1, part, all()), chunk(2, 1, part, all())]);
    let lost = State { lost: true, ..WHOLE };
    let messages = [roots(&["dir"]), chunk(1, 1, lost, Contents::default()), chunk(2, 1, WHOLE, all())];
    refused("a directory that was lost", &messages);
    let found = Contents { entries: vec![file_entry("dir/x", 5)], ..Contents::default() };
    refused("what is in a directory that was lost", &[roots(&["dir"]), chunk(1, 1, lost, found)]);
    let begun = chunk(1, 1, part, contents("dir", true, &["dir/x"], &[]));
    let other = chunk(2, 2, WHOLE, contents("new", true, &[], &[]));
    refused("a directory within another's chunks", &[roots(&["dir", "new"]), begun, other]);
}

#[test]
fn a_receiver_refuses_names_that_leave_their_directory_or_come_twice() {
    for bad in ["..", "a/b", "/etc", "", "a\0b"] {
        let mut contents = contents("dir", true, &[], &[]);
        contents.dirs = vec![OsString::from(bad)];
        refused(bad, &[roots(&["dir"]), chunk(1, 1, WHOLE, contents)]);
        refused(bad, &[roots(&[bad])]);
    }
    refused("the root below itself", &[roots(&["dir"]), chunk(1, 1, WHOLE, contents("dir", true, &[], &["."]))]);
    let twice = contents("dir", true, &["dir/x"], &["x"]);
    refused("a file that is a directory too", &[roots(&["dir"]), chunk(1, 1, WHOLE, twice)]);
    let part = State { last: false, ..WHOLE };
    let rest = State { first: false, ..WHOLE };
    let again = Contents { entries: vec![file_entry("dir/x", 5)], ..Contents::default() };
    let first = chunk(1, 1, part, contents("dir", true, &["dir/x"], &[]));
    refused("a name in two parts", &[roots(&["dir"]), first.clone(), chunk(2, 1, rest, again)]);
    let dirs = |names: &[&str]| Contents { dirs: os(names), ..Contents::default() };
    refused("a file that is a directory later", &[roots(&["dir"]), first.clone(), chunk(2, 1, rest, dirs(&["x"]))]);
    refused("a part with nothing in it", &[roots(&["dir"]), first, chunk(2, 1, rest, Contents::default())]);
    let first = chunk(1, 1, part, contents("dir", true, &[], &["x"]));
    refused("a directory in two parts", &[roots(&["dir"]), first.clone(), chunk(2, 1, rest, dirs(&["x"]))]);
    let file = Contents { entries: vec![file_entry("dir/y", 5)], ..Contents::default() };
    refused("a file after a directory", &[roots(&["dir"]), first, chunk(2, 1, rest, file)]);
    refused("the root beside others", &[roots(&[".", "dir"])]);
}

#[test]
fn a_sender_refuses_decisions_on_chunks_that_do_not_fit() {
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    let decided = |id, count, decisions: &[(u32, Action)]| {
        let changes = Changes::NEW;
        let decisions =
            decisions.iter().map(|(place, action)| (*place, Decision { action: *action, changes })).collect();
        Message::FileListChunkAck(ChunkAck { id, count, decisions })
    };
    // The source is `.` with the file `a`, then `dir` with the file `b`: three chunks with the one of the roots.
    let cases = [
        ("a chunk that is not due", decided(1, 2, &[])),
        ("too many entries", decided(0, 1, &[])),
        ("contents of a directory", decided(1, 2, &[(0, Action::Whole)])),
        ("the receiver's end before all is decided", Message::SessionEnd(Counters::default())),
        ("the outcome of a file that is not under way", Message::FileDone(FileDone { index: 1, status: Status::Done })),
    ];
    for (what, message) in cases {
        let sandbox = sandbox();
        let before = Snapshot::of(&sandbox.path(""));
        let mut server = Server::start_for(u64::MAX, Role::Sender, &sandbox.path("source/"), &archive());
        while !matches!(server.wire.recv(), Some(Message::FileListEnd(_)) | None) {}
        if what == "contents of a directory" {
            server.wire.send(&decided(0, 0, &[]));
        }
        server.wire.send(&message);
        let word = server.wire.last_word();
        assert_eq!(word.map(|word| word.code), Some(ExitCode::Stream), "{what}");
        assert_eq!(server.end().0, 12, "{what}");
        Snapshot::of(&sandbox.path("")).assert_same(&before);
    }
}

#[test]
fn a_sender_refuses_names_that_wait_for_nothing_and_words_about_them_out_of_turn() {
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    let (waits, leads) = (Changes::NEW | Changes::WAITS, Changes::LEADS);
    let ack = |id, count, decisions: &[(u32, Action, Changes)]| {
        let decisions = decisions.iter().map(|(place, action, changes)| {
            let decision = Decision { action: *action, changes: *changes };
            (*place, decision)
        });
        Message::FileListChunkAck(ChunkAck { id, count, decisions: decisions.collect() })
    };
    let waiting = ack(1, 4, &[(1, Action::HardLink, waits), (2, Action::HardLink, waits)]);
    let settled = ack(1, 4, &[]);
    // The source is `.` with the two names `a` and `b` of a file, and `c`: a chunk, and the one of the roots before it.
    let cases = [
        ("a directory that waits", vec![ack(1, 4, &[(0, Action::HardLink, waits)])]),
        ("a name without others", vec![ack(1, 4, &[(3, Action::HardLink, waits)])]),
        ("a name that waits and whose contents are wanted", vec![ack(1, 4, &[(1, Action::Whole, waits)])]),
        ("a leader that nobody waits for", vec![ack(1, 4, &[(1, Action::Skip, leads)])]),
        ("a leader of others", vec![ack(1, 4, &[(1, Action::HardLink, waits), (3, Action::Skip, leads)])]),
        ("the end while names wait", vec![waiting.clone(), Message::SessionEnd(Counters::default())]),
        ("more names than wait", vec![waiting.clone(), ack(2, 3, &[])]),
        ("none of those that wait", vec![waiting.clone(), ack(2, 0, &[])]),
        ("names of a chunk that there is not", vec![waiting.clone(), ack(3, 2, &[])]),
        ("a name that goes on waiting", vec![waiting.clone(), ack(2, 2, &[(0, Action::HardLink, waits)])]),
        ("a leader in the end", vec![waiting, ack(2, 2, &[(0, Action::Skip, leads)])]),
        ("names that have not waited", vec![settled, ack(2, 1, &[])]),
    ];
    for (what, messages) in cases {
        let sandbox = Sandbox::new(Way::Push);
        sandbox.write_source(&Tree::new().file("a", "a").hard_link("b", "a").file("c", "c"));
        let options = Options { hard_links: true, ..archive() };
        let mut server = Server::start_for(u64::MAX, Role::Sender, &sandbox.path("source/"), &options);
        while !matches!(server.wire.recv(), Some(Message::FileListEnd(_)) | None) {}
        server.wire.send(&ack(0, 0, &[]));
        messages.iter().for_each(|message| server.wire.send(message));
        let word = server.wire.last_word();
        assert_eq!(word.map(|word| word.code), Some(ExitCode::Stream), "{what}");
        assert_eq!(server.end().0, 12, "{what}");
    }
}

#[test]
fn a_sender_gathers_one_signature_at_a_time() {
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    let sandbox = sandbox();
    let mut server = Server::start_for(u64::MAX, Role::Sender, &sandbox.path("source/"), &archive());
    while !matches!(server.wire.recv(), Some(Message::FileListEnd(_)) | None) {}
    // The roots, `.` and the file `a`, then `dir` and the file `b`.
    for (id, count) in [(0, 0), (1, 2), (2, 2)] {
        let delta = Decision { action: Action::Delta, changes: Changes::SIZE };
        let decisions = (1..count).map(|place| (place, delta)).collect();
        server.wire.send(&Message::FileListChunkAck(ChunkAck { id, count, decisions }));
    }
    for index in [1, 3] {
        let blocks = vec![Block { weak: 1, strong: 2 }];
        let piece = ChecksumResp { index, last: false, file_size: 5000, block_size: 1000, blocks };
        server.wire.send(&Message::ChecksumResp(piece));
    }
    let word = server.wire.last_word().expect("a word of why");
    assert_eq!((word.code, server.end().0), (ExitCode::Stream, 12));
    assert!(String::from_utf8_lossy(&word.text).contains("file 3 within another"));
}

#[test]
fn more_files_that_vanish_than_may_be_under_way_do_not_stop_the_list() {
    if phases::capabilities() & phases::capability("5.1") == 0 {
        return;
    }
    // One more than may be under way before nothing more is listed.
    const FILES: usize = (64 << 10) + 1;
    let sandbox = Sandbox::in_memory(Way::Push);
    sandbox.write_source(&Tree::new().dir("a").file("b/last", "there"));
    (0..FILES).for_each(|number| fs::write(sandbox.path(format!("source/a/{number}")), "").expect("room for it"));
    let mut server = Server::start_for(u64::MAX, Role::Sender, &sandbox.path("source/"), &archive());
    let mut acks = Vec::new();
    while acks.len() < 3 || !acks.last().is_some_and(|(last, _)| *last) {
        let Some(Message::FileListChunk(chunk)) = server.wire.recv() else { panic!("all of a directory is listed") };
        let contents = chunk.open(Path::new("/"), Path::new("a")).expect("sy sends what sy can read");
        let own = contents.own.iter().len() as u32;
        let count = own + contents.entries.len() as u32;
        let whole = Decision { action: Action::Whole, changes: Changes::NEW };
        let decisions = (own..count).map(|place| (place, whole)).collect();
        acks.push((chunk.state().last, ChunkAck { id: chunk.id, count, decisions }));
    }
    fs::remove_dir_all(sandbox.path("source/a")).expect("removed");
    acks.into_iter().for_each(|(_, ack)| server.wire.send(&Message::FileListChunkAck(ack)));
    // The end of the list comes as soon as there is room for the rest of it, in among the files that vanished.
    let (mut vanished, mut listed) = (0, false);
    while vanished < FILES || !listed {
        match server.wire.recv() {
            Some(Message::FileDone(FileDone { status: Status::Vanished, .. })) => vanished += 1,
            Some(Message::FileListEnd(_)) => listed = true,
            Some(_) => {}
            None => panic!("after {vanished} files that vanished, the list's end told: {listed}"),
        }
    }
    assert_eq!(server.end().0, 12, "the client leaves before its time");
}

#[test]
fn a_receiver_refuses_impossible_flags_and_counts() {
    let send = |what: &str, dir: u32, flags: u8, fields: &[u8]| {
        let sandbox = sandbox();
        let before = Snapshot::of(&sandbox.path(""));
        let mut server = Server::start_for(u64::MAX, Role::Receiver, &sandbox.destination(), &deleting());
        let head = [&0u32.to_be_bytes()[..], &dir.to_be_bytes(), &[flags]].concat();
        server.wire.send_frame(code::FILE_LIST_CHUNK, &[&head[..], fields].concat());
        let word = server.wire.last_word();
        assert_eq!(word.map(|word| word.code), Some(ExitCode::Stream), "{what}");
        assert_eq!(server.end().0, 12, "{what}");
        Snapshot::of(&sandbox.path("")).assert_same(&before);
    };
    send("unknown flags", 0, 0xe3, &[0, 0, 0, 0]);
    send("lost and listed", 0, 0x0f, &[0, 0, 0, 0]);
    send("listed without its entry", 0, 0x06, &[0, 0, 0, 0]);
    send("dirs without end", 0, 0x03, &[0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
    send("users without end", 0, 0x03, &[0xff, 0xff, 0xff, 0x0f]);
    send("bytes to spare", 0, 0x03, &[0, 0, 0, 0, 7]);
    send("a number without end", 0, 0x03, &[0xff; 12]);
}
