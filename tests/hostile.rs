//! A peer that does not play by the rules: whatever it says, nothing outside the destination changes, nothing half-written
//! is left, and the session ends with status 12 and a word of why.

mod clients;
mod kept;
mod options;
mod paths;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sy::delta::Block;
use sy::delta::strong::Hasher;
use sy::error::ExitCode;
use sy::options::Options;
use sy::plan::{Action, Changes, Decision};
use sy::protocol::message::{
    ChecksumResp, Counters, DeltaData, FileData, FileDone, FileListAck, Message, Role, Status, code, put_copy,
    put_literal,
};
use sy::protocol::payload::Payload;
use sy::tree::entry::Kind;

use crate::harness::peer::{SEED, Server, archive, entry, file_entry, list};
use crate::harness::{Sandbox, Snapshot, Tree, Way, noise};

/// A destination with something in it, and something beside it that is none of a peer's business.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(Way::Push);
    let tree = Tree::new().file("old", noise(1, 20_000)).file("same", "12345").mtime(1_500_000_000, 7);
    sandbox.write_destination(&tree.symlink("door", "../outside").symlink("window", "../outside/file"));
    Tree::new().file("file", "outside").write(&sandbox.path("outside"));
    sandbox.write_source(&Tree::new().file("a", noise(2, 50_000)).file("dir/b", "b"));
    sandbox
}

/// Lets `play` talk to a receiver, and expects it to end the session with 12 and change nothing.
#[track_caller]
fn refused_by_receiver(what: &str, play: impl FnOnce(&mut Server)) {
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path(""));
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &archive());
    play(&mut server);
    let word = server.wire.last_word();
    let (status, complaint) = server.end();
    assert_eq!(status, 12, "{what}: {complaint}");
    let word = word.unwrap_or_else(|| panic!("{what}: it said nothing"));
    assert_eq!(word.code, ExitCode::Stream, "{what}: {}", String::from_utf8_lossy(&word.text));
    let mut after = Snapshot::of(&sandbox.path(""));
    // A temporary file that came and went leaves its mark on the directory's time.
    after.items.get_mut(Path::new("destination")).unwrap().mtime = before.items[Path::new("destination")].mtime;
    assert!(after == before, "{what}: {:?}", after.differences(&before));
}

/// The same for a sender, whose tree nobody should be able to change at all.
#[track_caller]
fn refused_by_sender(what: &str, options: &Options, play: impl FnOnce(&mut Server)) {
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path(""));
    let source = sandbox.path("source/");
    let mut server = Server::start(Role::Sender, &source, options);
    play(&mut server);
    let word = server.wire.last_word();
    let (status, complaint) = server.end();
    assert_eq!(status, 12, "{what}: {complaint}");
    assert_eq!(word.map(|word| word.code), Some(ExitCode::Stream), "{what}");
    Snapshot::of(&sandbox.path("")).assert_same(&before);
}

fn data(index: u32, offset: u64, bytes: &[u8], last: bool) -> Message {
    let digest = last.then(|| digest(bytes));
    Message::FileData(FileData { index, offset, digest, data: Payload::from(bytes.to_vec()) })
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    let mut hasher = Hasher::new(SEED);
    hasher.update(bytes);
    hasher.finish()
}

/// Reads the decisions on a list.
fn await_decisions(server: &mut Server) -> Vec<Decision> {
    loop {
        match server.wire.recv() {
            Some(Message::FileListAck(ack)) => return ack.decisions,
            Some(Message::DeleteBatch(_)) => {}
            Some(Message::Error(report)) if report.code == ExitCode::Ok => {}
            other => panic!("{other:?} instead of decisions"),
        }
    }
}

#[test]
fn a_receiver_refuses_names_that_leave_the_root() {
    let absolute = "/tmp/sy-hostile-test-that-must-not-exist";
    for name in ["..", "../outside/file", "a/../../x", absolute, "", "a//b", "./a", "a/.", "a/", "a\0b", "/"] {
        refused_by_receiver(name, |server| {
            server.wire.send(&list(vec![entry(".", Kind::Dir), file_entry(name, 5)]));
        });
        refused_by_receiver(name, |server| server.wire.send(&list(vec![entry(name, Kind::Dir)])));
    }
    assert!(!Path::new(absolute).exists());
}

#[test]
fn a_receiver_refuses_lists_that_contradict_themselves() {
    refused_by_receiver("a name twice", |server| {
        server.wire.send(&list(vec![file_entry("a", 1), file_entry("a", 2)]));
    });
    refused_by_receiver("a file with contents", |server| {
        server.wire.send(&list(vec![file_entry("a", 1), file_entry("a/b", 1)]));
    });
    refused_by_receiver("a link with contents", |server| {
        let link = Kind::Symlink { target: Path::new("../outside").into() };
        server.wire.send(&list(vec![entry(".", Kind::Dir), entry("l", link), file_entry("l/file", 1)]));
    });
    refused_by_receiver("a root that is a file", |server| server.wire.send(&list(vec![file_entry(".", 1)])));
    refused_by_receiver("a link to nothing", |server| {
        server.wire.send(&list(vec![entry("l", Kind::Symlink { target: Path::new("").into() })]));
    });
    refused_by_receiver("a gap", |server| {
        let Message::FileList(mut piece) = list(vec![file_entry("a", 1)]) else { return };
        piece.first = 7;
        server.wire.send(&Message::FileList(piece));
    });
}

#[test]
fn a_receiver_refuses_counts_and_lengths_before_it_makes_room_for_them() {
    let everything = u32::MAX.to_be_bytes();
    refused_by_receiver("users without end", |server| {
        server.wire.send_frame(code::FILE_LIST, &[&[1, 0, 0, 0, 0][..], &everything].concat());
    });
    refused_by_receiver("entries without end", |server| {
        server.wire.send_frame(code::FILE_LIST, &[&[1][..], &[0; 12], &everything].concat());
    });
    refused_by_receiver("a frame of nothing", |server| server.wire.send_raw(&[0, 0, 0, 0, code::FILE_LIST]));
    refused_by_receiver("a frame without end", |server| {
        server.wire.send_raw(&[0xff, 0xff, 0xff, 0xff, code::FILE_LIST])
    });
    refused_by_receiver("bytes to spare", |server| {
        let Message::FileList(piece) = list(vec![file_entry("a", 1)]) else { return };
        let frame = Message::FileList(piece).encode(&Default::default());
        server.wire.send_frame(code::FILE_LIST, &[&frame.head[5..], b"more"].concat());
    });
    for name_len in [0u16, 1, u16::MAX] {
        refused_by_receiver("an entry cut short", |server| {
            let fields = [&[1][..], &[0; 12], &[0, 0, 0, 1], &[0], &name_len.to_be_bytes(), &[b'a'; 22]].concat();
            server.wire.send_frame(code::FILE_LIST, &fields);
        });
    }
}

#[test]
fn a_receiver_refuses_what_is_unknown_or_out_of_turn() {
    refused_by_receiver("an unknown type", |server| server.wire.send_frame(0x77, b"?"));
    refused_by_receiver("a second start", |server| server.wire.send_frame(code::SESSION_START, &[0; 69]));
    refused_by_receiver("a greeting again", |server| server.wire.greet_again());
    refused_by_receiver("contents before a list", |server| server.wire.send(&data(0, 0, b"x", true)));
    let ack = Message::FileListAck(FileListAck { first: 0, last: true, decisions: Vec::new() });
    refused_by_receiver("the receiver's own message", |server| server.wire.send(&ack));
    refused_by_receiver("an end before a list", |server| server.wire.send(&Message::SessionEnd(Counters::default())));
    refused_by_receiver("a second list", |server| {
        server.wire.send(&list(vec![file_entry("new", 5)]));
        await_decisions(server);
        server.wire.send(&list(vec![file_entry("other", 5)]));
    });
}

#[test]
fn a_server_answers_a_question_at_once_and_not_without_end() {
    for role in [Role::Sender, Role::Receiver] {
        let sandbox = sandbox();
        let mut server = Server::start(role, &sandbox.destination(), &archive());
        for question in 1..=100 {
            server.wire.send(&Message::Keepalive { timestamp: question, echo: Some(0) });
        }
        for question in 1..=8 {
            // A server that sends has a question of its own, and its list comes when it will.
            let echo = std::iter::repeat_with(|| server.wire.recv_any()).find_map(|message| match message {
                Message::Keepalive { echo: Some(echo), .. } if echo != 0 => Some(echo),
                _ => None,
            });
            assert_eq!(echo, Some(question));
        }
        server.end();
    }
}

/// A receiver that wants `new` (0), has `same` (1) and wants a delta of `old` (2).
fn wanting(server: &mut Server) {
    server.wire.send(&list(vec![file_entry("new", 5), file_entry("same", 5), file_entry("old", 30_000)]));
    let decisions: Vec<Action> = await_decisions(server).iter().map(|decision| decision.action).collect();
    assert_eq!(decisions, [Action::Whole, Action::Skip, Action::Delta]);
}

#[test]
fn a_receiver_refuses_contents_that_it_did_not_ask_for() {
    refused_by_receiver("no such index", |server| {
        wanting(server);
        server.wire.send(&data(3, 0, b"x", true));
    });
    refused_by_receiver("the last index there is", |server| {
        wanting(server);
        server.wire.send(&data(u32::MAX, 0, b"x", true));
    });
    refused_by_receiver("a file that is there", |server| {
        wanting(server);
        server.wire.send(&data(1, 0, b"x", true));
    });
    refused_by_receiver("a wrong offset", |server| {
        wanting(server);
        server.wire.send(&data(0, 1 << 40, b"x", true));
    });
    refused_by_receiver("an offset that goes back", |server| {
        wanting(server);
        server.wire.send(&data(0, 0, b"xy", false));
        server.wire.send(&data(0, 0, b"xy", true));
    });
    refused_by_receiver("two files at once", |server| {
        wanting(server);
        server.wire.send(&data(0, 0, b"x", false));
        server.wire.send(&data(2, 0, b"x", true));
    });
    refused_by_receiver("an end before all is here", |server| {
        wanting(server);
        server.wire.send(&Message::SessionEnd(Counters::default()));
    });
    refused_by_receiver("an end within a file", |server| {
        wanting(server);
        server.wire.send(&data(0, 0, b"x", false));
        server.wire.send(&Message::SessionEnd(Counters::default()));
    });
    refused_by_receiver("an outcome of what was not asked for", |server| {
        wanting(server);
        server.wire.send(&Message::FileDone(FileDone { index: 1, status: Status::Failed }));
    });
}

/// A batch as its parts say, right or wrong.
fn batch(count: u16, files: &[(u32, u16, &[u8])]) -> Vec<u8> {
    let mut bytes = count.to_be_bytes().to_vec();
    for (index, size, contents) in files {
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(contents);
    }
    bytes
}

#[test]
fn a_receiver_refuses_a_malformed_batch_whole() {
    // The first file is wanted and well-formed each time: it must not be made either.
    let good = (0, 5, &b"hello"[..]);
    let refused = |what: &str, bytes: Vec<u8>| {
        refused_by_receiver(what, |server| {
            wanting(server);
            server.wire.send_frame(code::FILE_DATA_BATCH, &bytes);
        });
    };
    refused("no files", batch(0, &[]));
    refused("nothing at all", Vec::new());
    refused("a count too high", batch(3, &[good, (2, 1, b"x")]));
    refused("a count beyond all bounds", batch(u16::MAX, &[good]));
    refused("a count too low", batch(1, &[good, (2, 1, b"x")]));
    refused("a size beyond the frame", batch(2, &[good, (2, 500, b"x")]));
    refused("a file too large for a batch", batch(2, &[good, (2, 8193, &[0; 8193])]));
    refused("an unknown index", batch(2, &[good, (3, 1, b"x")]));
    refused("a file that is there", batch(2, &[good, (1, 1, b"x")]));
    refused("one file twice", batch(2, &[good, good]));
    refused_by_receiver("a batch within a file", |server| {
        wanting(server);
        server.wire.send(&data(2, 0, b"x", false));
        server.wire.send_frame(code::FILE_DATA_BATCH, &batch(1, &[good]));
    });
    refused_by_receiver("a batch before a list", |server| {
        server.wire.send_frame(code::FILE_DATA_BATCH, &batch(1, &[good]));
    });
}

#[test]
fn a_file_that_fails_in_its_batch_is_asked_for_by_itself_and_the_others_are_done() {
    let sandbox = sandbox();
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &archive());
    wanting(&mut server);
    // Nothing can be renamed over a directory.
    let obstacle = sandbox.destination().join("new");
    fs::create_dir(&obstacle).unwrap();
    server.wire.send_frame(code::FILE_DATA_BATCH, &batch(2, &[(0, 5, b"hello"), (2, 3, b"old")]));
    let mut outcome = || match server.wire.recv() {
        Some(Message::FileDone(done)) => (done.index, done.status),
        other => panic!("{other:?} instead of an outcome"),
    };
    assert_eq!((outcome(), outcome()), ((0, Status::Redo), (2, Status::Done)));
    assert_eq!(fs::read(sandbox.destination().join("old")).unwrap(), b"old");
    server.wire.send(&data(0, 0, b"hello", true));
    let report = server.wire.recv();
    assert!(matches!(&report, Some(Message::Error(report)) if !report.fatal), "{report:?}");
    assert!(matches!(server.wire.recv(), Some(Message::FileDone(done)) if done.status == Status::Failed));
    server.wire.send(&Message::SessionEnd(Counters::default()));
    assert!(matches!(server.wire.recv(), Some(Message::SessionEnd(counters)) if counters.failed == 1));
    assert_eq!(server.end().0, 23);
}

#[test]
fn a_receiver_refuses_deltas_that_do_not_fit_its_file() {
    let delta = |ops: Vec<u8>| Message::DeltaData(DeltaData { index: 2, digest: None, ops: Payload::from(ops) });
    let copy = |block, count| {
        let mut ops = Vec::new();
        put_copy(&mut ops, block, count);
        ops
    };
    let after_signature = |what: &str, ops: Vec<u8>| {
        refused_by_receiver(what, |server| {
            wanting(server);
            server.wire.send(&Message::ChecksumReq { index: 2 });
            assert!(matches!(server.wire.recv(), Some(Message::ChecksumResp(piece)) if piece.index == 2));
            server.wire.send(&delta(ops));
        });
    };
    after_signature("a block that is not there", copy(100_000, 1));
    after_signature("more blocks than there are", copy(0, u32::MAX));
    after_signature("no blocks", copy(0, 0));
    after_signature("an unknown operation", vec![9, 0, 0, 0, 0]);
    after_signature("a literal cut short", {
        let mut ops = Vec::new();
        put_literal(&mut ops, b"12345678");
        ops.truncate(8);
        ops
    });
    refused_by_receiver("a delta without a signature", |server| {
        wanting(server);
        server.wire.send(&delta(copy(0, 1)));
    });
    refused_by_receiver("a signature of what is not wanted", |server| {
        wanting(server);
        server.wire.send(&Message::ChecksumReq { index: 1 });
    });
    refused_by_receiver("a signature twice", |server| {
        wanting(server);
        server.wire.send(&Message::ChecksumReq { index: 2 });
        server.wire.send(&Message::ChecksumReq { index: 2 });
    });
}

#[test]
fn contents_that_do_not_match_their_digest_are_asked_for_again_and_never_placed() {
    let sandbox = sandbox();
    let before = sandbox.destination_tree();
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &archive());
    wanting(&mut server);
    let wrong = FileData { index: 0, offset: 0, digest: Some([7; 16]), data: Payload::from(b"wrong".to_vec()) };
    for _ in 0..2 {
        server.wire.send(&Message::FileData(wrong.clone()));
        let redo = FileDone { index: 0, status: Status::Redo };
        assert!(matches!(server.wire.recv(), Some(Message::FileDone(done)) if done == redo));
    }
    let (status, _) = server.end();
    assert_eq!(status, 12);
    let names = sandbox.destination_tree().names();
    assert_eq!(names, before.names());
}

#[test]
fn a_receiver_writes_beside_no_planted_link_and_through_none() {
    let sandbox = sandbox();
    let outside = Snapshot::of(&sandbox.path("outside"));
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &archive());
    server.wire.send(&list(vec![
        entry(".", Kind::Dir),
        file_entry("window", 3),
        entry("door", Kind::Dir),
        file_entry("door/file", 3),
    ]));
    await_decisions(&mut server);
    server.wire.send(&data(1, 0, b"new", true));
    server.wire.send(&data(3, 0, b"new", true));
    server.wire.send(&Message::SessionEnd(Counters::default()));
    while !matches!(server.wire.recv(), Some(Message::SessionEnd(_)) | None) {}
    let (status, complaint) = server.end();
    assert_eq!(status, 0, "{complaint}");
    Snapshot::of(&sandbox.path("outside")).assert_same(&outside);
    assert_eq!(fs::read(sandbox.path("destination/window")).unwrap(), b"new");
    assert!(sandbox.path("destination/door").symlink_metadata().unwrap().is_dir());
}

#[test]
fn a_receiver_links_to_nothing_by_way_of_a_planted_link() {
    let sandbox = sandbox();
    let mut options = archive();
    options.link_dest = vec!["planted".into(), "old/..".into(), "door".into()];
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &options);
    let outside = fs::metadata(sandbox.path("outside/file")).unwrap();
    let mut file = file_entry("file", outside.size());
    (file.mtime.secs, file.mtime.nanos) = (outside.mtime(), outside.mtime_nsec() as u32);
    (file.mode, file.uid, file.gid) = (outside.mode() & 0o7777, outside.uid(), outside.gid());
    let target = Path::new("../outside").into();
    server.wire.send(&list(vec![entry(".", Kind::Dir), file, entry("planted", Kind::Symlink { target })]));
    let actions: Vec<Action> = await_decisions(&mut server).iter().map(|decision| decision.action).collect();
    assert_eq!(actions[1..], [Action::Whole, Action::Create]);
    drop(server);
    assert_eq!(fs::metadata(sandbox.path("outside/file")).unwrap().nlink(), 1);
}

#[test]
fn a_receiver_refuses_to_append_where_it_did_not_say_that_its_file_ends() {
    for (index, offset) in [(1, 10), (1, 19_999), (1, u64::MAX), (2, 5)] {
        let sandbox = sandbox();
        let options = Options { append: true, inplace: true, ..archive() };
        let mut server = Server::start(Role::Receiver, &sandbox.destination(), &options);
        server.wire.send(&list(vec![entry(".", Kind::Dir), file_entry("old", 30_000), file_entry("new", 9)]));
        let actions: Vec<Action> = await_decisions(&mut server).iter().map(|decision| decision.action).collect();
        assert_eq!(actions[1..], [Action::Delta, Action::Whole]);
        server.wire.send(&data(index, offset, b"more", true));
        assert_eq!(server.wire.last_word().map(|word| word.code), Some(ExitCode::Stream), "{index} at {offset}");
        assert_eq!(server.end().0, 12);
        assert_eq!(fs::read(sandbox.path("destination/old")).unwrap(), noise(1, 20_000));
        assert!(!sandbox.path("destination/new").exists());
    }
}

fn decisions(first: u32, last: bool, actions: &[Action]) -> Message {
    let decisions = actions.iter().map(|action| Decision { action: *action, changes: Changes::NEW }).collect();
    Message::FileListAck(FileListAck { first, last, decisions })
}

/// Reads the list of the sandbox's source: `.`, `a`, `dir`, `dir/b`.
fn await_list(server: &mut Server) {
    match server.wire.recv() {
        Some(Message::FileList(list)) if list.last => assert_eq!(list.entries.len(), 4),
        other => panic!("{other:?} instead of a list"),
    }
}

#[test]
fn a_sender_refuses_decisions_that_do_not_fit_its_list() {
    use Action::{Create, Skip, Whole};
    let cases = [
        ("too few", decisions(0, true, &[Skip])),
        ("too many", decisions(0, true, &[Skip; 5])),
        ("none at all", decisions(0, true, &[])),
        ("a gap", decisions(1, true, &[Skip; 3])),
        ("contents of a directory", decisions(0, true, &[Whole; 4])),
    ];
    for (what, message) in cases {
        refused_by_sender(what, &archive(), |server| {
            await_list(server);
            server.wire.send(&message);
        });
    }
    refused_by_sender("a count without end", &archive(), |server| {
        await_list(server);
        server.wire.send_frame(code::FILE_LIST_ACK, &[1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    });
    refused_by_sender("an unknown decision", &archive(), |server| {
        await_list(server);
        server.wire.send_frame(code::FILE_LIST_ACK, &[1, 0, 0, 0, 0, 0, 0, 0, 1, 99, 0, 0]);
    });
    refused_by_sender("a list", &archive(), |server| server.wire.send(&list(vec![])));
    refused_by_sender("an outcome of nothing", &archive(), |server| {
        await_list(server);
        server.wire.send(&decisions(0, true, &[Skip, Whole, Create, Skip]));
        server.wire.send(&Message::FileDone(FileDone { index: 3, status: Status::Done }));
    });
}

#[test]
fn a_sender_refuses_signatures_that_cannot_be() {
    let block = Block { weak: 1, strong: 2 };
    let piece = |index, file_size, block_size, count| ChecksumResp {
        index,
        last: true,
        file_size,
        block_size,
        blocks: vec![block; count],
    };
    let cases = [
        ("blocks of nothing", piece(1, 50_000, 0, 1)),
        ("blocks too large", piece(1, u64::MAX, u32::MAX, 1)),
        ("too few blocks", piece(1, 50_000, 512, 1)),
        ("too many blocks", piece(1, 512, 512, 2)),
        ("blocks of an empty file", piece(1, 0, 512, 1)),
        ("another file", piece(3, 512, 512, 1)),
        ("no such file", piece(99, 512, 512, 1)),
    ];
    for (what, piece) in cases {
        refused_by_sender(what, &archive(), |server| {
            await_list(server);
            server.wire.send(&decisions(0, true, &[Action::Skip, Action::Delta, Action::Skip, Action::Skip]));
            assert!(matches!(server.wire.recv(), Some(Message::ChecksumReq { index: 1 })));
            server.wire.send(&Message::ChecksumResp(piece));
        });
    }
}

#[test]
fn a_sender_gives_a_file_up_that_never_arrives_right() {
    let sandbox = sandbox();
    let mut server = Server::start(Role::Sender, &sandbox.path("source/"), &archive());
    await_list(&mut server);
    server.wire.send(&decisions(0, true, &[Action::Skip, Action::Whole, Action::Skip, Action::Skip]));
    let mut redone = 0;
    loop {
        match server.wire.recv() {
            Some(Message::FileData(FileData { index, digest: Some(_), .. })) => {
                redone += 1;
                assert!(redone < 10, "it goes on for ever");
                server.wire.send(&Message::FileDone(FileDone { index, status: Status::Redo }));
            }
            Some(Message::SessionEnd(_)) => break,
            Some(_) => {}
            None => panic!("it ended without a word"),
        }
    }
    assert_eq!(server.end().0, 23);
}

#[test]
fn small_files_do_not_wait_for_a_large_one_behind_them() {
    let sandbox = sandbox();
    sandbox.write_source(&Tree::new().file("a", "small").file("large", noise(1, 1 << 20)));
    let mut server = Server::start(Role::Sender, &sandbox.path("source/"), &archive());
    let Some(Message::FileList(list)) = server.wire.recv() else { panic!("no list") };
    let place = |name: &str| list.entries.iter().position(|entry| entry.relative() == Path::new(name)).expect(name);
    let wanted = [place("a"), place("large")];
    let action = |index| if wanted.contains(&index) { Action::Whole } else { Action::Skip };
    server.wire.send(&decisions(0, true, &(0..list.entries.len()).map(action).collect::<Vec<_>>()));
    let first = match server.wire.recv() {
        Some(Message::FileDataBatch(batch)) => batch.files().map(|(index, _)| index).collect(),
        Some(Message::FileData(data)) => vec![data.index],
        other => panic!("{other:?} instead of contents"),
    };
    server.end();
    assert_eq!(first, [wanted[0] as u32]);
}

#[test]
fn a_server_refuses_a_start_that_cannot_be() {
    for role in [0, 3, 255] {
        let mut server = Server::bare();
        server.wire.greet(0);
        server.wire.send_frame(code::SESSION_START, &[&[0; 8][..], &[role], &[0; 49]].concat());
        assert_eq!(server.end().0, 12);
    }
    let sandbox = sandbox();
    let mut server = Server::bare();
    server.wire.greet(0);
    server.wire.send(&list(vec![file_entry("a", 1)]));
    assert_eq!(server.end().0, 12);
    drop(sandbox);
}

#[test]
fn a_receiver_with_keep_dirlinks_takes_no_link_for_a_directory_that_a_list_has_as_a_link_too() {
    let options = Options { keep_dirlinks: true, ..archive() };
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path("outside"));
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &options);
    let link = entry("l", Kind::Symlink { target: Path::new("../outside").into() });
    server.wire.send(&list(vec![entry(".", Kind::Dir), link, entry("l", Kind::Dir), file_entry("l/new", 1)]));
    let word = server.wire.last_word().expect("it says why");
    assert_eq!((server.end().0, word.code), (12, ExitCode::Stream));
    assert!(Snapshot::of(&sandbox.path("outside")) == before);
}

#[test]
fn a_receiver_refuses_maps_of_owners_that_are_none() {
    for map in ["", "1", "1:", "5-x:1", "1:4294967295"] {
        let sandbox = sandbox();
        let before = Snapshot::of(&sandbox.path(""));
        let options = Options { usermap: Some(map.into()), ..archive() };
        let mut server = Server::start(Role::Receiver, &sandbox.destination(), &options);
        server.wire.send(&list(vec![entry(".", Kind::Dir), file_entry("new", 5)]));
        let word = server.wire.last_word().unwrap_or_else(|| panic!("{map}: it said nothing"));
        assert_eq!(word.code, ExitCode::Usage, "{map}: {}", String::from_utf8_lossy(&word.text));
        assert_eq!(server.end().0, 1, "{map}");
        Snapshot::of(&sandbox.path("")).assert_same(&before);
    }
}
