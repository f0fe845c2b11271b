//! The names of sources that come in pieces, and lists of names at the server's end.

use std::path::Path;

use sy::error::ExitCode;
use sy::options::Options;
use sy::protocol::message::{Message, Paths, Role, code};

use super::sandbox;
use crate::harness::peer::{Server, archive, file_entry, list};

/// A server that sends, from the sandbox's destination, and is told so much before a test goes on.
fn sender(options: &Options) -> Server {
    let sandbox = sandbox();
    let server = Server::start(Role::Sender, &sandbox.destination(), options);
    drop(sandbox);
    server
}

fn awaiting() -> Options {
    Options { relative: true, more_paths: true, ..archive() }
}

#[track_caller]
fn is_refused(mut server: Server) {
    let word = server.wire.last_word().expect("it says why");
    assert_eq!((server.end().0, word.code), (12, ExitCode::Stream));
}

#[test]
fn a_server_that_waits_for_names_takes_nothing_else_for_them() {
    let mut server = sender(&awaiting());
    server.wire.send(&list(vec![file_entry("a", 1)]));
    is_refused(server);
    for payload in [&b"\x02\0\0\0\0"[..], b"\x01\0\0\0\x05", b"\x01\0\0\0\x01\0\x02a\0", b"\x01\0\0\0\0x", b""] {
        let mut server = sender(&awaiting());
        server.wire.send_frame(code::PATHS, payload);
        is_refused(server);
    }
}

#[test]
fn names_may_not_come_where_nobody_waits_for_them() {
    let named = || Message::Paths(Paths { last: true, paths: vec![b"a".to_vec()] });
    let mut server = sender(&archive());
    server.wire.send(&named());
    is_refused(server);
    let mut server = sender(&awaiting());
    server.wire.send(&named());
    server.wire.send(&named());
    is_refused(server);
}

#[test]
fn a_session_whose_sources_cannot_be_is_refused() {
    let list = || Some("list".into());
    let receiving = [Options { more_paths: true, ..archive() }, Options { files_from: list(), ..archive() }];
    for options in receiving {
        let sandbox = sandbox();
        is_refused(Server::start(Role::Receiver, &sandbox.destination(), &options));
    }
    is_refused(sender(&Options { files_from: list(), ..awaiting() }));
}

#[test]
fn names_that_cannot_be_kept_are_errors_of_their_own() {
    let sandbox = sandbox();
    let mut server = Server::start(Role::Sender, Path::new("."), &awaiting());
    let old = [sandbox.destination().as_os_str().as_encoded_bytes(), b"/./old"].concat();
    let paths = vec![b"a/../../b".to_vec(), Vec::new(), b"/no/such/thing".to_vec(), old];
    server.wire.send(&Message::Paths(Paths { last: true, paths }));
    let mut listed = Vec::new();
    let (mut complaints, mut is_whole) = (0, false);
    // When they come is not promised.
    while !is_whole || complaints < 2 {
        match server.wire.recv().expect("a list") {
            Message::FileList(piece) => {
                listed.extend(piece.entries.iter().map(|entry| entry.relative().to_path_buf()));
                is_whole |= piece.last;
            }
            Message::Error(report) if !report.fatal => complaints += 1,
            other => panic!("{other:?} instead of a list"),
        }
    }
    assert!(listed.contains(&Path::new("old").to_path_buf()), "{listed:?}");
    assert!(!listed.iter().any(|path| path.ends_with("b")), "{listed:?}");
    server.end();
}
