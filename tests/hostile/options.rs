//! Options of a session that no command line would have let pass, or that a list turns against the destination.

use std::path::Path;

use sy::error::ExitCode;
use sy::options::Options;
use sy::protocol::message::{Counters, Message, Role};
use sy::tree::entry::{Entry, Kind};

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

#[test]
fn a_receiver_takes_a_directory_that_only_leads_to_others_for_an_offence_unless_there_may_be_such() {
    let implied = |name: &str| Entry { implied: true, contents_listed: false, ..entry(name, Kind::Dir) };
    let allowed = Options { relative: true, no_implied_dirs: true, ..archive() };
    let listed = Entry { contents_listed: true, ..implied("d") };
    let lists = [(archive(), implied("d")), (allowed.clone(), listed), (allowed.clone(), implied("."))];
    for (options, offending) in lists {
        let sandbox = sandbox();
        let before = Snapshot::of(&sandbox.path(""));
        let mut server = Server::start(Role::Receiver, &sandbox.destination(), &options);
        server.wire.send(&list(vec![offending, file_entry("new", 1)]));
        let word = server.wire.last_word().expect("it says why");
        assert_eq!((server.end().0, word.code), (12, ExitCode::Stream));
        Snapshot::of(&sandbox.path("")).assert_same(&before);
    }
}

#[test]
fn what_leads_to_others_is_no_way_out_of_the_destination() {
    let options = Options { relative: true, no_implied_dirs: true, ..archive() };
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path("outside"));
    std::os::unix::fs::symlink("../outside", sandbox.path("destination/there")).unwrap();
    std::os::unix::fs::symlink("there", sandbox.path("destination/twice")).unwrap();
    let implied = |name: &str| Entry { implied: true, contents_listed: false, ..entry(name, Kind::Dir) };
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &options);
    let link = entry("here", Kind::Symlink { target: Path::new("../outside").into() });
    let below = ["there/sub", "twice/sub"].map(|name| entry(name, Kind::Dir));
    server.wire.send(&list([vec![link, implied("there"), implied("twice")], below.to_vec()].concat()));
    server.wire.send(&Message::SessionEnd(Counters::default()));
    while !matches!(server.wire.recv(), Some(Message::SessionEnd(_)) | None) {}
    let (status, complaint) = server.end();
    assert_eq!(status, 23, "{complaint}");
    assert!(Snapshot::of(&sandbox.path("outside")) == before);
}
