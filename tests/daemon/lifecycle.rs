//! Start, stop, status: races, what a dead daemon leaves, and where a daemon may be.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;

use nix::sys::signal::Signal;
use sy::options::Options;
use sy::protocol::message::{Message, Role, SessionStart};

use super::links::Wired;
use super::{Den, held, is_daemon, kill, number};
use crate::harness::process::{Program, signal_process, wait_until};
use crate::harness::{SY, is_root};

#[test]
fn a_daemon_is_started_once_found_again_and_stopped() {
    let den = Den::new();
    assert_eq!(den.status(), None);
    den.daemon(&["status"]).run().code(5);
    den.daemon(&["stop"]).run().ok();
    let pid = den.start(&[]);
    assert_eq!(fs::metadata(den.socket()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(den.start(&[]), pid, "the second finds the first");
    assert!(den.daemon(&["status"]).run().ok().text().contains(&format!("process {pid}")));
    den.daemon(&["stop"]).run().ok();
    assert!(!den.socket().exists());
    wait_until("it has ended", || !is_daemon(pid));
    assert_ne!(den.start(&[]), pid);
}

#[test]
fn of_many_that_start_at_once_one_stays_and_all_find_it() {
    let den = Den::new();
    for _ in 0..3 {
        let starts: Vec<_> = (0..12).map(|_| den.daemon(&["start"]).start()).collect();
        let pids: Vec<String> = starts
            .into_iter()
            .map(|start| start.finish().ok().text())
            .map(|text| text.split("process ").nth(1).expect("it says which").split(',').next().unwrap().to_owned())
            .collect();
        assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
        assert_eq!(den.pid().map(|pid| pid.to_string()).as_ref(), Some(&pids[0]));
        let stops: Vec<_> = (0..4).map(|_| den.daemon(&["stop"]).start()).collect();
        stops.into_iter().for_each(|stop| drop(stop.finish().ok()));
        assert_eq!(den.status(), None);
    }
}

#[test]
fn starts_and_stops_at_once_leave_a_daemon_that_answers_or_none() {
    let den = Den::new();
    let words = ["start", "stop"];
    let mixed: Vec<_> = (0..16).map(|turn| den.daemon(&[words[turn % 2]]).start()).collect();
    mixed.into_iter().for_each(|program| drop(program.finish().ok()));
    let pid = den.start(&[]);
    assert_eq!(den.pid(), Some(pid));
}

#[test]
fn what_a_dead_daemon_leaves_is_taken_over() {
    let den = Den::new();
    let first = den.start(&[]);
    kill(first);
    assert!(den.socket().exists(), "nobody could remove it");
    assert_eq!(den.status(), None);
    den.daemon(&["stop"]).run().ok();
    let second = den.start(&[]);
    assert_ne!(first, second);
    // The lock counts, and not what the file says.
    kill(second);
    fs::write(den.path("run/sy/lock"), "1\n").unwrap();
    fs::remove_file(den.socket()).unwrap();
    fs::write(den.socket(), "no socket").unwrap();
    assert!(is_daemon(den.start(&[])));
}

#[test]
fn a_stop_waits_for_sessions_and_a_second_one_does_not() {
    for last in [&["stop"][..], &["stop", "--now"]] {
        let den = Den::new();
        let pid = den.start(&[]);
        let mut wired = Wired::greeted(den.connect());
        let options = Options { recursive: true, ..Options::default() };
        let paths = vec![b"/nowhere".to_vec()];
        let start = SessionStart { session_id: 1, role: Role::Receiver, seed: 1, echo: 0, options, paths };
        wired.wire.send(&Message::SessionStart(Box::new(start)));
        wait_until("the session runs", || den.status().is_some_and(|status| number(&status["sessions"]) == 1));
        let mut stop = den.daemon(&["stop"]).start();
        wait_until("it stops", || den.status().is_some_and(|status| status["stopping"] == true));
        assert!(!stop.has_ended() && is_daemon(pid));
        let refused = Wired::try_greeted(den.connect());
        assert!(refused.is_none_or(|mut refused| refused.wire.recv().is_none()), "nothing new begins");
        den.daemon(last).run().ok();
        stop.finish().ok();
        wait_until("it has ended", || !is_daemon(pid));
    }
}

#[test]
fn a_signal_is_a_stop_and_a_second_one_ends_it_now() {
    let den = Den::new();
    let pid = den.start(&[]);
    signal_process(pid, Signal::SIGTERM);
    wait_until("it has ended", || !is_daemon(pid));
    assert!(!den.socket().exists());
}

#[test]
fn in_the_foreground_the_log_is_on_standard_error_and_a_second_daemon_is_refused() {
    let den = Den::new();
    let daemon = den.daemon(&["start", "--foreground"]).start();
    wait_until("it listens", || den.status().is_some());
    den.daemon(&["start", "--foreground"]).run().code(5).says("runs already");
    assert_eq!(den.pid(), Some(daemon.id()));
    daemon.signal(Signal::SIGINT);
    let finished = daemon.finish().ok().says("listens at").says("ended");
    assert!(finished.stdout.is_empty() && den.log().is_empty());
}

#[test]
fn a_daemon_that_a_sync_has_started_leaves_when_idle_and_no_other_does() {
    let den = Den::new();
    let stays = Den::new();
    let (leaves, stays_pid) = (den.start(&["--leave", "--idle", "1"]), stays.start(&["--idle", "1"]));
    wait_until("it has left", || !is_daemon(leaves));
    assert!(den.log().contains("leaves"), "{}", den.log());
    assert!(is_daemon(stays_pid));
}

#[test]
fn a_directory_that_others_can_write_to_is_no_place_for_a_daemon() {
    let den = Den::new();
    fs::set_permissions(den.path("run"), Permissions::from_mode(0o777)).unwrap();
    den.daemon(&["start"]).run().code(5).says("open to others");
    den.daemon(&["status"]).run().code(5).says("open to others");
    assert!(!den.socket().exists());
}

#[test]
fn without_a_runtime_directory_two_users_have_a_daemon_each() {
    if !is_root() {
        eprintln!("skipped: only root can be two users");
        return;
    }
    let den = Den::new();
    fs::set_permissions(den.path(""), Permissions::from_mode(0o711)).unwrap();
    let shared = den.path("tmp");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    let as_user = |user: &str, words: &[&str]| {
        let program = Program::new("setpriv").args(["--reuid", user, "--regid", user, "--clear-groups", SY, "daemon"]);
        program.args(words).env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &shared).env("HOME", "/nonexistent")
    };
    if Program::new("setpriv").args(["--reuid", "65534", "--clear-groups", SY, "--version"]).run().status.code()
        != Some(0)
    {
        eprintln!("skipped: no other user can run the program under test where it lies");
        return;
    }
    // Without a home there is no log and no complaint about that.
    for user in ["0", "65534"] {
        let started = as_user(user, &["start", "--foreground"]).env("XDG_STATE_HOME", &shared).start();
        // There is a moment at which the socket is there and nobody listens yet.
        wait_until("it listens", || UnixStream::connect(shared.join(format!("sy-{user}/sy.sock"))).is_ok());
        let status = as_user(user, &["status"]).run().ok().text();
        assert!(status.contains(&format!("process {}", started.id())), "{status}");
        assert_eq!(fs::metadata(shared.join(format!("sy-{user}"))).unwrap().uid().to_string(), user);
        started.signal(Signal::SIGTERM);
        started.finish().ok();
    }
}

#[test]
fn an_idle_daemon_is_small() {
    let den = Den::new();
    let pid = den.start(&[]);
    assert_eq!(held(pid, "task"), 1, "one thread drives it all");
    let peak = crate::harness::process::peak_kib(pid).expect("it runs");
    assert!(peak < 20 << 10, "{peak} KiB");
}
