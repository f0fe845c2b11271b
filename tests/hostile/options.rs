//! Options of a session that no command line would have let pass, or that a list turns against the destination.

use std::path::Path;

use sy::options::Options;
use sy::protocol::message::{Counters, Message, Role};
use sy::tree::entry::Kind;

use super::{await_decisions, data, sandbox};
use crate::harness::Snapshot;
use crate::harness::peer::{Server, archive, entry, file_entry, list};

#[test]
fn a_receiver_refuses_other_directories_of_two_kinds_and_too_many() {
    let dirs = |count: usize| vec![std::path::PathBuf::from("../outside"); count];
    for (linked, copied) in [(1, 1), (21, 0)] {
        receiver_refuses_options(&Options { link_dest: dirs(linked), copy_dest: dirs(copied), ..archive() });
    }
}

fn receiver_refuses_options(options: &Options) {
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path(""));
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), options);
    server.wire.send(&list(vec![file_entry("file", 7)]));
    while server.wire.recv().is_some() {}
    let (status, complaint) = server.end();
    assert_eq!(status, 1, "{complaint}");
    Snapshot::of(&sandbox.path("")).assert_same(&before);
}

fn delayed(dir: Option<&str>) -> Options {
    Options { partial: true, partial_dir: dir.map(Into::into), delay_updates: true, ..archive() }
}

#[test]
fn a_receiver_lets_no_file_wait_behind_a_planted_link() {
    let sandbox = sandbox();
    let outside = Snapshot::of(&sandbox.path("outside"));
    for dir in [".~tmp~", "door"] {
        let mut server = Server::start(Role::Receiver, &sandbox.destination(), &delayed(Some(dir)));
        let target = Path::new("../outside").into();
        let planted = entry(".~tmp~", Kind::Symlink { target });
        server.wire.send(&list(vec![entry(".", Kind::Dir), planted, file_entry("file", 3)]));
        await_decisions(&mut server);
        server.wire.send(&data(2, 0, b"new", true));
        server.wire.send(&Message::SessionEnd(Counters::default()));
        while !matches!(server.wire.recv(), Some(Message::SessionEnd(_)) | None) {}
        server.end();
        Snapshot::of(&sandbox.path("outside")).assert_same(&outside);
        assert!(!sandbox.path("destination/file").exists(), "{dir}");
    }
}

#[test]
fn a_receiver_refuses_directories_for_unfinished_files_that_lead_out() {
    let leads_out = Options { partial: true, partial_dir: Some("../outside".into()), ..archive() };
    let removing = Options { remove_source_files: true, ..delayed(Some("wait")) };
    for options in [leads_out, delayed(None), delayed(Some("/nowhere")), delayed(Some("../outside")), removing] {
        receiver_refuses_options(&options);
    }
}
