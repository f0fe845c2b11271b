//! Syncs with `--use-daemon` through a real `ssh`: what they share, and what happens when it goes away.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{Den, half_written, is_daemon, kill, number};
use crate::harness::process::{Finished, Program, signal_process, wait_until};
use crate::harness::sshd::Sshd;
use crate::harness::{STAND_IN, SY, Sandbox, Tree, Way, noise};

/// Two machines, as far as daemons and `ssh` can tell.
struct Machines {
    here: Den,
    there: Den,
    sshd: Sshd,
}

impl Machines {
    fn new() -> Machines {
        Machines::with("")
    }

    /// The other one's `sshd` has more lines in its configuration.
    fn with(lines: &str) -> Machines {
        let (here, there) = (Den::new(), Den::new());
        let (run, home) = (there.path("run"), there.path("home"));
        let set = format!("SetEnv XDG_RUNTIME_DIR={} HOME={}\n{lines}", run.display(), home.display());
        Machines { here, there, sshd: Sshd::start_with(&set) }
    }

    fn sy(&self, options: &[&str]) -> Program {
        self.here.settle(self.sshd.sy(options))
    }

    /// Pushes the sandbox's source to its destination.
    fn push(&self, sandbox: &Sandbox, options: &[&str]) -> Program {
        let program = self.sy(&["-a"]).args(options);
        program.arg(sandbox.path("source/")).arg(self.sshd.remote(&sandbox.destination()))
    }

    /// The same through the daemon or not at all.
    #[track_caller]
    fn shared(&self, sandbox: &Sandbox) -> Finished {
        let finished = self.sshd.ok(self.push(sandbox, &["--use-daemon=require"]).run());
        sandbox.assert_synced();
        finished
    }

    fn host(&self) -> Option<Value> {
        self.here.status().and_then(|mut status| status["hosts"].get_mut(0).map(Value::take))
    }

    /// The `ssh` that carries the links.
    fn master(&self) -> u32 {
        let control = self.names("c").pop().expect("a control socket");
        let told = Command::new("ssh").arg("-S").arg(control).args(["-O", "check", "x"]).output().expect("ssh runs");
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        let pid = told.split("pid=").nth(1).and_then(|rest| rest.split(')').next()).and_then(|pid| pid.parse().ok());
        pid.unwrap_or_else(|| panic!("{told}"))
    }

    /// What the daemon here has made for its `ssh`.
    fn names(&self, suffix: &str) -> Vec<PathBuf> {
        let items = fs::read_dir(self.here.path("run/sy")).expect("a directory of the daemon's");
        let paths = items.map(|item| item.expect("an item").path());
        paths.filter(|path| path.extension().is_some_and(|found| found == suffix)).collect()
    }
}

impl Drop for Machines {
    /// Both daemons go with their dens; the `ssh` between them goes first.
    fn drop(&mut self) {
        let _ = self.here.daemon(&["stop", "--now"]).run();
    }
}

fn tree(seed: u64) -> Tree {
    (0..40).fold(Tree::new().file("large", noise(seed, 300_000)), |tree, index| {
        tree.file(format!("d{}/f{index}", index % 5), noise(seed + index, 700))
    })
}

fn sandbox(seed: u64) -> Sandbox {
    let sandbox = Sandbox::new(Way::Push);
    sandbox.write_source(&tree(seed));
    sandbox
}

/// A process that is no daemon of ours but that the test knows: the `ssh` of one.
fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_first_sync_starts_both_daemons_and_those_that_follow_share_its_connection() {
    let (machines, first) = (Machines::new(), sandbox(1));
    machines.shared(&first).says("started the daemon");
    let (here, there) = (machines.here.pid().expect("here"), machines.there.pid().expect("there"));
    let master = machines.master();
    for seed in 2..5 {
        let next = sandbox(seed);
        let told = machines.shared(&next);
        assert_eq!(told.stderr, "", "nothing to say");
        let back = machines.sy(&["-a", "--use-daemon=require"]).arg(machines.sshd.remote(&next.path("destination/")));
        machines.sshd.ok(back.arg(next.path("back")).run());
        crate::harness::Snapshot::of(&next.path("back")).assert_same(&next.source_tree());
        let compressed = machines.sy(&["-az", "--use-daemon=require"]).arg(next.path("source/"));
        machines.sshd.ok(compressed.arg(machines.sshd.remote(&next.path("compressed"))).run());
        crate::harness::Snapshot::of(&next.path("compressed")).assert_same(&next.source_tree());
    }
    assert_eq!((machines.here.pid(), machines.there.pid()), (Some(here), Some(there)));
    assert_eq!(machines.master(), master);
    assert_eq!(number(&machines.there.status().expect("it runs")["served"]), 10);
    machines.here.daemon(&["stop"]).run().ok();
    wait_until("its ssh is gone", || !runs(master));
    assert!(machines.names("c").is_empty());
}

#[test]
fn an_unchanged_tree_takes_one_round_trip_from_the_start_of_sy() {
    let (machines, sandbox) = (Machines::new(), sandbox(1));
    machines.shared(&sandbox);
    let stats = sandbox.path("stats");
    machines.sshd.ok(machines.push(&sandbox, &["--use-daemon=require"]).arg("--stats-file").arg(&stats).run());
    let counted: Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    let streams = sy::phases::capabilities() & sy::phases::capability("5.1") != 0;
    assert_eq!(counted["round_trips"].as_u64(), Some(if streams { 1 } else { 2 }), "{counted}");
}

#[test]
fn fifty_syncs_at_once_all_arrive() {
    let machines = Machines::new();
    machines.shared(&sandbox(99));
    let master = machines.master();
    let syncs: Vec<_> = (0..50)
        .map(|seed| {
            let sandbox = Sandbox::new(Way::Push);
            sandbox.write_source(&Tree::new().file("a/f", noise(seed, 5000)).file("g", noise(seed, 50_000)));
            let running = machines.push(&sandbox, &["--use-daemon"]).start();
            (sandbox, running)
        })
        .collect();
    for (sandbox, running) in syncs {
        let finished = machines.sshd.ok(running.finish());
        assert_eq!(finished.stderr, "", "it went through the daemon");
        sandbox.assert_synced();
    }
    assert_eq!(machines.master(), master);
    wait_until("all are given back", || machines.host().is_some_and(|host| number(&host["lent"]) == 0));
}

#[test]
fn first_syncs_at_once_share_one_connection() {
    let machines = Machines::new();
    let syncs: Vec<_> = (0..6)
        .map(|seed| {
            let sandbox = sandbox(seed);
            let running = machines.push(&sandbox, &["--use-daemon=require"]).start();
            (sandbox, running)
        })
        .collect();
    for (sandbox, running) in syncs {
        machines.sshd.ok(running.finish());
        sandbox.assert_synced();
    }
    assert_eq!(machines.names("c").len(), 1);
    assert_eq!(machines.sshd.log().matches("Accepted publickey").count(), 1, "{}", machines.sshd.log());
}

#[test]
fn when_the_ssh_between_them_is_killed_the_next_sync_connects_anew() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    for seed in 2..4 {
        let master = machines.master();
        signal_process(master, Signal::SIGKILL);
        wait_until("it is gone", || !runs(master));
        machines.shared(&sandbox(seed));
        assert_ne!(machines.master(), master);
    }
}

#[test]
fn a_connection_that_is_lost_is_made_again_while_nobody_looks() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    let master = machines.master();
    signal_process(master, Signal::SIGKILL);
    wait_until("it is made again", || machines.here.log().contains("connected again"));
    assert_ne!(machines.master(), master);
    machines.shared(&sandbox(2));
}

#[test]
fn a_daemon_over_there_that_is_killed_is_started_again() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    let killed = machines.there.pid().expect("it runs");
    kill(killed);
    machines.shared(&sandbox(2));
    assert_ne!(machines.there.pid(), Some(killed));
}

#[test]
fn a_daemon_over_there_that_was_stopped_stays_so_until_the_next_sync() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    let master = machines.master();
    machines.there.daemon(&["stop"]).run().ok();
    wait_until("that is noticed", || machines.host().is_some_and(|host| host["connected"] == false));
    assert_eq!(machines.there.pid(), None);
    machines.shared(&sandbox(2));
    assert_eq!(machines.master(), master, "its connection was no worse for that");
}

#[test]
fn a_daemon_here_that_is_killed_is_started_again_and_finds_its_connection() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    let master = machines.master();
    kill(machines.here.pid().expect("it runs"));
    machines.shared(&sandbox(2)).says("started the daemon");
    assert_eq!(machines.master(), master, "it was found by its control socket");
    assert!(!machines.here.log().contains("no way"), "{}", machines.here.log());
    assert_eq!(fs::read_dir(machines.here.path("run/sy")).unwrap().count(), 3, "a lock, a control socket, a way");
    assert_eq!(machines.sshd.log().matches("Accepted publickey").count(), 1);
}

/// Starts a sync of a large file and waits until it is under way.
fn under_way(machines: &Machines, sandbox: &Sandbox) -> crate::harness::process::Running {
    fs::create_dir(sandbox.destination()).unwrap();
    let running = machines.push(sandbox, &["--use-daemon"]).start();
    wait_until("it is under way", || {
        half_written(&sandbox.destination()).iter().any(|path| path.metadata().is_ok_and(|file| file.len() > 0))
    });
    running
}

#[test]
fn what_is_killed_in_the_middle_of_a_sync_leaves_nothing_half_written() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    for (round, victim) in ["there", "ssh"].into_iter().enumerate() {
        let sandbox = Sandbox::in_memory(Way::Push);
        sandbox.write_source(&Tree::new().file("large", noise(round as u64, 150 << 20)));
        let running = under_way(&machines, &sandbox);
        match victim {
            "there" => kill(machines.there.pid().expect("it runs")),
            _ => signal_process(machines.master(), Signal::SIGKILL),
        }
        let finished = running.finish();
        assert_eq!(finished.status.code(), Some(12), "{victim}: {}", finished.told());
        assert!(!sandbox.destination().join("large").exists(), "{victim}: half a file under its own name");
        let left = || half_written(&sandbox.destination());
        match victim {
            // Who is killed so cannot remove what has no name of its own yet.
            "there" => left().iter().for_each(|path| fs::remove_file(path).unwrap()),
            _ => wait_until("nothing is left of it", || left().is_empty()),
        }
        machines.shared(&sandbox);
    }
}

#[test]
fn a_sync_goes_on_when_the_daemon_here_is_killed() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    let sandbox = Sandbox::in_memory(Way::Push);
    sandbox.write_source(&Tree::new().file("large", noise(1, 150 << 20)));
    let running = under_way(&machines, &sandbox);
    kill(machines.here.pid().expect("it runs"));
    // The link is its own by then.
    machines.sshd.ok(running.finish());
    sandbox.assert_synced();
}

#[test]
fn an_interrupted_sync_ends_its_link_and_no_other() {
    let machines = Machines::new();
    machines.shared(&sandbox(1));
    let (master, there) = (machines.master(), machines.there.pid());
    let large = Sandbox::in_memory(Way::Push);
    large.write_source(&Tree::new().file("large", noise(1, 150 << 20)));
    let running = under_way(&machines, &large);
    running.signal(Signal::SIGINT);
    running.finish().code(20);
    wait_until("nothing is left of it", || half_written(&large.destination()).is_empty());
    machines.shared(&sandbox(2));
    assert_eq!((machines.master(), machines.there.pid()), (master, there));
}

#[test]
fn an_idle_connection_is_closed_and_daemons_that_syncs_have_started_leave() {
    let machines = Machines::new();
    machines.here.start(&["--idle", "1", "--leave"]);
    machines.shared(&sandbox(1));
    let (here, master) = (machines.here.pid().expect("it runs"), machines.master());
    wait_until("the connection is closed", || !runs(master));
    wait_until("the daemon has left", || !is_daemon(here));
    wait_until("no link is left over there", || {
        machines.there.status().is_some_and(|status| number(&status["links"]) == 0)
    });
}

#[test]
fn a_server_that_forwards_no_socket_is_reached_by_a_port() {
    let machines = Machines::with("AllowStreamLocalForwarding no");
    for seed in 1..3 {
        machines.shared(&sandbox(seed));
    }
    assert!(machines.here.log().contains("trying a port"), "{}", machines.here.log());
    assert_eq!(number(&machines.there.status().expect("it runs")["served"]), 2);
}

#[test]
fn a_server_that_forwards_nothing_is_reached_without_the_daemon() {
    let (machines, sandbox) = (Machines::with("DisableForwarding yes"), sandbox(1));
    machines.push(&sandbox, &["--use-daemon=require"]).run().code(5).says("the daemon cannot be used");
    let finished = machines.sshd.ok(machines.push(&sandbox, &["--use-daemon"]).run());
    assert_eq!(finished.stderr.lines().filter(|line| line.contains("the daemon is not used")).count(), 1);
    sandbox.assert_synced();
}

/// A sync that cannot use the daemon: it fails if it must, and else says so in one line and is done.
fn falls_back(den: &Den, says: &str, sync: impl Fn(&Sandbox) -> Program) {
    let sandbox = sandbox(1);
    den.settle(sync(&sandbox).arg("--use-daemon=require")).run().code(5).says("the daemon cannot be used").says(says);
    let finished = den.settle(sync(&sandbox).arg("--use-daemon")).run().ok().says(says);
    assert_eq!(finished.stderr.lines().filter(|line| line.starts_with("sy: ")).count(), 1, "{}", finished.stderr);
    sandbox.assert_synced();
}

/// A sync by way of a stand-in for a remote shell.
fn stood_in(sandbox: &Sandbox) -> Program {
    sandbox.program(&["-a"], &["source/"], "destination")
}

#[test]
fn a_remote_shell_that_is_not_openssh_is_used_without_the_daemon() {
    let den = Den::new();
    falls_back(&den, "only connections of OpenSSH", stood_in);
    assert_eq!(den.status(), None, "none was started for it");
}

/// The stand-in under the name of `ssh`, which knows no option of it: what fails is the making of a connection to share.
fn named_ssh(den: &Den) -> impl Fn(&Sandbox) -> Program {
    let ssh = den.path("ssh");
    std::os::unix::fs::symlink("/bin/sh", &ssh).unwrap();
    let shell = STAND_IN.replacen("sh", &ssh.display().to_string(), 1);
    move |sandbox| {
        let program = Program::sy(&["-a", "-e", &shell, "--sy-path", SY]).arg(sandbox.path("source/"));
        program.arg(format!("host:{}", sandbox.destination().display()))
    }
}

#[test]
fn a_place_that_is_not_ours_alone_is_not_used() {
    let den = Den::new();
    let sync = named_ssh(&den);
    fs::set_permissions(den.path("run"), Permissions::from_mode(0o755)).unwrap();
    falls_back(&den, "open to others", &sync);
    fs::remove_dir(den.path("run")).unwrap();
    fs::create_dir(den.path("elsewhere")).unwrap();
    fs::set_permissions(den.path("elsewhere"), Permissions::from_mode(0o700)).unwrap();
    std::os::unix::fs::symlink(den.path("elsewhere"), den.path("run")).unwrap();
    falls_back(&den, "is no directory", &sync);
    assert_eq!(fs::read_dir(den.path("elsewhere")).unwrap().count(), 0, "nothing was put there");
}

#[test]
fn a_host_that_cannot_be_reached_through_the_daemon_is_tried_without() {
    let den = Den::new();
    den.start(&[]);
    falls_back(&den, "could not connect to host", named_ssh(&den));
}

/// Somebody at the daemon's socket who answers everything with `answer`, until he is asked to stop.
fn impostor(den: &Den, answer: Vec<u8>) -> std::thread::JoinHandle<()> {
    let listener = UnixListener::bind(den.socket()).expect("a socket of ours");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut request) = (stream.expect("a client"), vec![0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut request) {
                let asked = String::from_utf8_lossy(&request[..count]).into_owned();
                if asked.contains("Stop") {
                    let _ = stream.write_all(&frame(&json!("Stopping")));
                    return;
                }
                let _ = stream.write_all(&answer);
            }
        }
    })
}

fn frame(answer: &Value) -> Vec<u8> {
    let text = answer.to_string();
    [&(text.len() as u32 + 1).to_be_bytes()[..], &[0x40], text.as_bytes()].concat()
}

#[test]
fn nonsense_at_the_daemons_socket_is_not_believed() {
    for answer in [b"what?".to_vec(), frame(&json!({ "Granted": { "capabilities": 0 } })), noise(1, 5000)] {
        let den = Den::new();
        let _left_to_itself = impostor(&den, answer);
        let sandbox = sandbox(1);
        let finished = den.settle(named_ssh(&den)(&sandbox)).arg("--use-daemon").run().ok();
        assert_eq!(finished.stderr.lines().filter(|line| line.starts_with("sy: ")).count(), 1, "{}", finished.stderr);
        sandbox.assert_synced();
    }
}

#[test]
fn a_daemon_of_another_version_in_use_is_left_alone_and_an_unused_one_replaced() {
    let status = |sessions: u64| {
        let status = json!({ "Status": { "version": "0.0.1 (9-9)", "pid": 1, "sessions": sessions } });
        frame(&status)
    };
    let den = Den::new();
    let _left_to_itself = impostor(&den, status(1));
    den.daemon(&["start"]).run().code(5).says("is of version 0.0.1 (9-9), and in use");
    let den = Den::new();
    let stopped = impostor(&den, status(0));
    den.daemon(&["start"]).run().ok();
    stopped.join().expect("it was asked to stop");
    assert!(den.pid().is_some_and(is_daemon));
}

#[test]
fn without_another_machine_there_is_nothing_to_share() {
    let (den, sandbox) = (Den::new(), Sandbox::new(Way::Local));
    sandbox.write_source(&tree(1));
    let finished = den.settle(sandbox.program(&["-a", "--use-daemon=require"], &["source/"], "destination")).run().ok();
    assert_eq!(finished.stderr, "");
    sandbox.assert_synced();
    assert_eq!(den.status(), None);
    assert!(!Path::new(&den.path("run/sy/lock")).exists());
}
