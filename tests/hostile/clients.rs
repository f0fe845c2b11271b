//! A server that does not play by the rules, and the client that the user has started.

use std::fs;

use sy::error::ExitCode;
use sy::events::About;
use sy::plan::Action;
use sy::protocol::message::{Deleted, Message, Remark, Report};

use super::{decisions, sandbox};
use crate::harness::peer::{Booth, Wire, file_entry, list};
use crate::harness::process::{Finished, Program};
use crate::harness::{Sandbox, Snapshot};

/// Runs a client against a server that the test plays.
pub(super) fn client(
    options: &[&str],
    pull: bool,
    sandbox: &Sandbox,
    play: impl FnOnce(&mut Wire<fs::File, fs::File>) + Send + 'static,
) -> Finished {
    let booth = Booth::new();
    booth.serve(play);
    let program = Program::sy(options).arg("-e").arg(booth.shell());
    let finished = match pull {
        true => program.arg("host:source/").arg(sandbox.destination()),
        false => program.arg(sandbox.path("source/")).arg("host:destination"),
    }
    .run();
    assert!(!finished.stderr.contains("panicked"), "{}", finished.told());
    finished
}

pub(super) fn await_start(wire: &mut Wire<fs::File, fs::File>) {
    wire.greet(0);
    assert!(matches!(wire.recv(), Some(Message::SessionStart(_))));
}

#[test]
fn a_client_that_pulls_refuses_what_a_receiver_refuses() {
    for name in ["../outside/file", "/etc/x", "", "a/../b", "."] {
        let sandbox = sandbox();
        let before = Snapshot::of(&sandbox.path(""));
        client(&["-a"], true, &sandbox, move |wire| {
            await_start(wire);
            wire.send(&list(vec![file_entry(name, 1)]));
            wire.last_word();
        })
        .code(12);
        Snapshot::of(&sandbox.path("")).assert_same(&before);
    }
}

#[test]
fn a_client_that_pushes_refuses_what_a_sender_refuses() {
    let sandbox = sandbox();
    client(&["-a"], false, &sandbox, |wire| {
        await_start(wire);
        wire.send(&decisions(0, true, &[Action::Skip; 9]));
        wire.last_word();
    })
    .code(12);
}

#[test]
fn a_peer_cannot_steer_the_users_terminal() {
    let sandbox = sandbox();
    let finished = client(&["-av"], false, &sandbox, |wire| {
        await_start(wire);
        let path = "gone\x1b[2J".into();
        wire.send(&Message::DeleteBatch(vec![Deleted { path, is_dir: false }]));
        wire.send(&Message::Error(Report { fatal: false, code: ExitCode::Ok, text: b"look\x1b[31m\rhere".to_vec() }));
        wire.send(&Message::Error(Report { fatal: true, code: ExitCode::FileIo, text: b"\x1b]0;title\x07".to_vec() }));
        wire.last_word();
    })
    .code(11);
    let printed = [finished.stdout.as_slice(), finished.stderr.as_bytes()].concat();
    assert!(!printed.iter().any(|byte| *byte == 0x1b || *byte == 7 || *byte == b'\r'), "{}", finished.told());
    assert!(finished.stderr.contains("look") && finished.stderr.contains("title"), "{}", finished.told());
}

#[test]
fn remarks_that_nobody_asked_for_are_refused() {
    let remark = |level| Message::Remark(Remark { about: About::Course, level, text: b"psst\x1b[31m".to_vec() });
    for (options, level, code) in [("-a", 1, 12), ("-av", 2, 12), ("-avv", 3, 12), ("-avv", 0, 12), ("-avv", 2, 11)] {
        let sandbox = sandbox();
        let finished = client(&[options], false, &sandbox, move |wire| {
            await_start(wire);
            wire.send(&remark(level));
            wire.send(&Message::Error(Report { fatal: true, code: ExitCode::FileIo, text: b"so be it".to_vec() }));
            wire.last_word();
        })
        .code(code);
        assert_eq!(finished.stderr.contains("psst"), code == 11, "{}", finished.told());
        assert!(!finished.stderr.contains('\x1b'), "{}", finished.told());
    }
}
