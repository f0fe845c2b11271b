//! What a client that pulls says ahead, in the environment of the remote command.

use std::fs;
use std::io::Write;
use std::process::{Child, ChildStdout, Command, Stdio};

use sy::phases;
use sy::protocol::hello::{Clock, Hello};
use sy::protocol::message::{Message, Role, SessionStart};

use crate::harness::peer::{SEED, Wire, archive};
use crate::harness::process::Program;
use crate::harness::{SY, Sandbox, Tree, Way, sync_test};

/// First words that ask for `source/` of the sandbox, in chunks.
fn words(sandbox: &Sandbox) -> Vec<u8> {
    let start = SessionStart {
        session_id: 1,
        role: Role::Sender,
        seed: SEED,
        echo: 0,
        options: archive(),
        paths: vec![sandbox.path("source/").into_os_string().into_encoded_bytes()],
    };
    let start = Message::SessionStart(Box::new(start)).encode(&Default::default());
    [Hello { capabilities: u64::MAX, ..Hello::ours(&Clock::start(), 0) }.encode(), start.head.to_vec()].concat()
}

fn server(opening: &str) -> (Child, Wire<ChildStdout, std::io::Sink>) {
    let mut command = Command::new(SY);
    command
        .arg("--server")
        .env("SY_OPENING", opening)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("sy can be run");
    let output = child.stdout.take().expect("piped");
    (child, Wire::new(output, std::io::sink()))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_server_begins_with_what_was_said_ahead_and_is_to_hear_it_again() {
    let sandbox = Sandbox::new(Way::Pull);
    sandbox.write_source(&Tree::new().file("file", "contents"));
    let words = words(&sandbox);
    let mut other = words.clone();
    *other.last_mut().expect("there are some") ^= 1;
    for (comes, code) in [(&words, 12), (&other, 10)] {
        let (mut child, mut wire) = server(&digits(&words));
        assert!(wire.heard_greeting());
        // Nothing has come over the link.
        let listed = wire.recv().expect("it lists");
        assert!(matches!(listed, Message::FileListChunk(_) | Message::FileList(_)), "{listed:?}");
        child.stdin.take().expect("piped").write_all(comes).expect("it listens");
        while wire.recv().is_some() {}
        assert_eq!(child.wait().expect("it ends").code(), Some(code), "the client leaves before its time");
    }
}

#[test]
fn a_server_that_finds_nonsense_listens_to_the_link() {
    let sandbox = Sandbox::new(Way::Pull);
    sandbox.write_source(&Tree::new().file("file", "contents"));
    for nonsense in ["", "xyz", "0"] {
        let (mut child, mut wire) = server(nonsense);
        child.stdin.as_mut().expect("piped").write_all(&words(&sandbox)).expect("it listens");
        assert!(wire.heard_greeting() && wire.recv().is_some(), "{nonsense}");
        drop(child.stdin.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(12));
    }
}

sync_test!(only_a_pull_from_a_program_says_its_first_words_ahead, |sandbox| {
    sandbox.write_source(&Tree::new().file("file", "contents"));
    let log = sandbox.path("command");
    let shell = format!("sh -c 'shift; printf %s \"$*\" > {}; exec sh -c \"$*\"' rsh", log.display());
    let long: Vec<String> = (0..2000).map(|number| format!("--exclude=no such name {number}")).collect();
    let in_shell = format!("true && {SY}");
    let run = |sy: &str, options: &[String]| {
        let (mut from, mut to) = (sandbox.path("source/").into_os_string(), sandbox.destination().into_os_string());
        let remote = match sandbox.way {
            Way::Pull => &mut from,
            Way::Push => &mut to,
            _ => return None,
        };
        *remote = format!("host:{}", remote.display()).into();
        let program = Program::sy(&["-a", "-e", &shell, "--sy-path", sy]).args(options).arg(from).arg(to);
        program.run().ok();
        sandbox.assert_synced();
        fs::remove_dir_all(sandbox.destination()).expect("it was made");
        Some(fs::read_to_string(&log).expect("the shell wrote it"))
    };
    let streams = phases::capabilities() & phases::capability("5.1") != 0;
    if let Some(command) = run(SY, &[]) {
        let digits =
            command.strip_prefix("env SY_OPENING=").and_then(|rest| rest.strip_suffix(&format!(" {SY} --server")));
        assert_eq!(digits.is_some(), streams && sandbox.way == Way::Pull, "{command}");
        assert!(digits.unwrap_or_default().bytes().all(|digit| digit.is_ascii_hexdigit()), "{command}");
    }
    for (sy, options) in [(in_shell.as_str(), &[][..]), (SY, &long)] {
        let command = run(sy, options);
        assert!(command.is_none_or(|command| command == format!("{sy} --server")), "{sy}");
    }
});
