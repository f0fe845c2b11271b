//! What a peer says of attributes, access control lists and holes: as little to be believed as the rest.

use std::ffi::CString;

use sy::protocol::message::{Report, XattrValue};
use sy::tree::acl::{Acl, Acls, Item};
use sy::tree::capability::Capability;
use sy::tree::entry::{Entry, Seldom};
use sy::tree::xattrs::{MAX_VALUE, Value, Xattr};

use super::clients::{await_start, client};
use super::*;
use crate::harness::is_root;
use crate::harness::snapshot::xattrs;
use crate::harness::tree::Node;

/// Lets `play` talk to a receiver with these options, and expects it to end the session with 12 and change nothing.
#[track_caller]
fn refused(what: &str, options: &Options, play: impl FnOnce(&mut Server)) {
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path(""));
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), options);
    play(&mut server);
    let word = server.wire.last_word();
    assert_eq!(server.end().0, 12, "{what}");
    assert_eq!(word.map(|word| word.code), Some(ExitCode::Stream), "{what}");
    let mut after = Snapshot::of(&sandbox.path(""));
    after.items.get_mut(Path::new("destination")).unwrap().mtime = before.items[Path::new("destination")].mtime;
    assert!(after == before, "{what}: {:?}", after.differences(&before));
}

fn with(entry: Entry, seldom: Seldom) -> Entry {
    Entry { seldom: Some(Box::new(seldom)), ..entry }
}

fn xattr(name: &str, value: Value) -> Xattr {
    Xattr { name: CString::new(name).unwrap(), value }
}

fn described(entry: Entry, names: &[&str]) -> Entry {
    let xattrs = names.iter().map(|name| xattr(name, Value::listed(b"value".to_vec(), SEED))).collect();
    with(entry, Seldom { xattrs, ..Seldom::default() })
}

fn keeping() -> Options {
    Options { xattrs: true, acls: true, sparse: true, ..archive() }
}

/// A receiver that wants `new` (0) and the value of the second of its attributes.
fn wanting_a_value(server: &mut Server) {
    let large = Value::listed(vec![7; 1000], SEED);
    let xattrs = vec![xattr("user.a", Value::listed(vec![7], SEED)), xattr("user.b", large)];
    let new = with(file_entry("new", 5), Seldom { xattrs, ..Seldom::default() });
    server.wire.send(&list(vec![new, file_entry("same", 5)]));
    assert!(await_decisions(server)[0].wants_values());
}

fn value(index: u32, place: u16, bytes: &[u8]) -> Message {
    Message::XattrValue(XattrValue { index, place, value: Some(bytes.to_vec()) })
}

#[test]
fn a_receiver_refuses_values_that_it_did_not_ask_for() {
    for (what, index, place) in [
        ("of no entry", 2, 0),
        ("of one that has none", 1, 0),
        ("of a small one", 0, 0),
        ("of none", 0, 2),
        ("beyond all", u32::MAX, u16::MAX),
    ] {
        refused(what, &keeping(), |server| {
            wanting_a_value(server);
            server.wire.send(&value(index, place, b"value"));
        });
    }
    refused("once more", &keeping(), |server| {
        wanting_a_value(server);
        server.wire.send(&value(0, 1, &[7; 1000]));
        server.wire.send(&value(0, 1, &[7; 1000]));
    });
    refused("too large", &keeping(), |server| {
        wanting_a_value(server);
        server.wire.send(&value(0, 1, &vec![7; MAX_VALUE + 1]));
    });
    refused("without the option", &archive(), |server| {
        server.wire.send(&list(vec![described(file_entry("new", 5), &["user.a"])]));
        assert!(!await_decisions(server)[0].wants_values());
        server.wire.send(&value(0, 0, b"value"));
    });
}

#[test]
fn a_receiver_refuses_attributes_of_the_system_and_lists_that_make_no_sense() {
    for names in [&["system.posix_acl_access"][..], &["user.b", "user.a"], &["user.a", "user.a"], &[""]] {
        refused(&format!("{names:?}"), &keeping(), |server| {
            server.wire.send(&list(vec![described(file_entry("new", 5), names)]));
        });
    }
    let acls = |own| Some(Box::new(Acls { own: Some(own), default: None }));
    let items = vec![Item { group: false, id: 1, perms: 7 }];
    for own in [Acl { group: 8, ..Acl::default() }, Acl { items, ..Acl::default() }] {
        refused(&format!("{own:?}"), &keeping(), |server| {
            let seldom = Seldom { acls: acls(own.clone()), ..Seldom::default() };
            server.wire.send(&list(vec![with(file_entry("new", 5), seldom)]));
        });
    }
}

#[test]
fn attributes_of_a_link_are_never_given_to_what_it_leads_to() {
    let sandbox = sandbox();
    let before = Snapshot::of(&sandbox.path("outside"));
    let mut server = Server::start(Role::Receiver, &sandbox.destination(), &keeping());
    let link = |name: &str, target: &str| {
        let link = entry(name, Kind::Symlink { target: Path::new(target).into() });
        described(link, &["trusted.x", "user.x"])
    };
    server.wire.send(&list(vec![link("door", "../outside"), link("window", "../outside/file")]));
    // That a link can have no attribute of a user's is told before them.
    while !matches!(server.wire.recv(), Some(Message::FileListAck(_)) | None) {}
    server.end();
    Snapshot::of(&sandbox.path("outside")).assert_same(&before);
    assert_eq!(xattrs(&sandbox.destination().join("door")).contains_key("trusted.x"), is_root());
}

#[test]
fn a_receiver_refuses_holes_where_there_can_be_none() {
    let hole = |index, offset, len| Message::FileHole { index, offset, len };
    for (what, message) in [
        ("of a file that is there", hole(1, 0, 10)),
        ("elsewhere", hole(0, 7, 10)),
        ("beyond all files", hole(0, 0, u64::MAX)),
    ] {
        refused(what, &keeping(), |server| {
            wanting(server);
            server.wire.send(&message);
        });
    }
    refused("of another file", &keeping(), |server| {
        wanting(server);
        server.wire.send(&data(0, 0, b"x", false));
        server.wire.send(&hole(2, 1, 10));
    });
    refused("without the option", &archive(), |server| {
        wanting(server);
        server.wire.send(&hole(0, 0, 10));
    });
}

#[test]
fn a_peer_that_knows_no_holes_is_sent_their_zeros() {
    let sandbox = sandbox();
    let sparse = Node::Sparse(1 << 20, vec![(0, vec![7; 5000])]);
    Tree::new().put("f", sparse).write(&sandbox.path("sparse"));
    let mut server = Server::start(Role::Sender, &sandbox.path("sparse/f"), &keeping());
    assert!(matches!(server.wire.recv(), Some(Message::FileList(_))));
    server.wire.send(&decisions(0, true, &[Action::Whole]));
    let mut bytes = 0;
    loop {
        match server.wire.recv() {
            Some(Message::FileData(data)) => {
                bytes += data.data.len();
                if data.digest.is_some() {
                    break;
                }
            }
            other => panic!("{other:?} instead of contents"),
        }
    }
    assert_eq!(bytes, 1 << 20);
    server.end();
}

#[test]
fn what_the_other_end_cannot_keep_is_told_once_and_apart() {
    let sandbox = sandbox();
    let finished = client(&["-aX", "--json"], false, &sandbox, |wire| {
        await_start(wire);
        for name in ["a\x1b[2J", "b"] {
            wire.send(&Message::Unkept { capability: Capability::Xattrs, path: name.into() });
        }
        wire.send(&Message::Error(Report { fatal: true, code: ExitCode::FileIo, text: b"over".to_vec() }));
        wire.last_word();
    })
    .code(11);
    let told = |text: &str, of: &str| text.lines().filter(|line| line.contains(of)).count();
    assert_eq!(told(&finished.text(), r#""what":"xattrs""#), 1, "{}", finished.told());
    assert_eq!(told(&finished.stderr, "keeps no extended attributes"), 1, "{}", finished.told());
    assert!(!finished.stderr.contains('\x1b'), "{}", finished.told());
}
