//! The lab as its user runs it, with rsync as the only tool and a scenario of a few dozen entries.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::common::{LAB, checkout, eventually, gone, have, lab, said};
use bench_harness::needs;
use bench_harness::record::sample::Pass;
use bench_harness::record::store;
use bench_harness::ssh::server::Server;

/// Takes as long as it likes, forgets a file, or changes its source: what a subject can do wrong.
fn wrong(name: &str, script: &str) -> String {
    format!(
        "[[subject]]\nname = {name:?}\nrole = \"peer\"\nwhy = \"a test\"\nprogram = \"sh\"\n\
         local = [\"sh\", \"-c\", {script:?}]\n"
    )
}

/// The floor of everything over SSH.
const CONNECT: &str = r#"
[[subject]]
name = "connect"
role = "connect"
why = "a test"
program = "ssh"
checked = false
push = ["sh", "-c", "{rsh} {host} '{remote} true'"]
pull = ["sh", "-c", "{rsh} {host} '{remote} true'"]
"#;

#[test]
fn verify_passes_with_rsync_and_leaves_nothing_behind() {
    if !have("rsync") {
        return;
    }
    let dir = checkout("");
    let done = lab(dir.path(), &["verify", "--local"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("3 of 3 cells verified"), "{}", said(&done));
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["Cargo.toml", "scenarios"]);
}

#[test]
fn a_subject_that_forgets_a_file_is_an_error_row_without_a_time() {
    if !have("rsync") {
        return;
    }
    let dir = checkout(&wrong("forgetful", "rsync -a {src}/ {dst}/ && rm -r {dst}/extras"));
    let done = lab(dir.path(), &["--local", "--runs", "1", "--out", "run"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    let run = store::read(&dir.path().join("run")).unwrap();
    let wrong = run.samples.iter().filter(|s| s.subject == "forgetful");
    assert!(wrong.clone().count() > 0);
    for sample in wrong {
        assert!(sample.outcome.starts_with("the trees differ: ") && sample.wall_s.is_none(), "{sample:?}");
    }
    let report = fs::read_to_string(dir.path().join("run/report.md")).unwrap();
    assert!(report.contains("**0 of 3 cells verified.**") && report.contains("\"extras\": missing"), "{report}");
}

#[test]
fn a_subject_that_hangs_is_ended_with_all_its_children() {
    let pids = tempfile::tempdir().unwrap();
    let script = format!("sleep 1000 & echo $! >> {}/pids; sleep 1000", pids.path().display());
    let dir = checkout(&wrong("hanging", &script));
    let done = lab(dir.path(), &["verify", "--local", "--timeout", "1", "--peers", "hanging"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("hanging: timeout after 1 s"), "{}", said(&done));
    let pids = fs::read_to_string(pids.path().join("pids")).unwrap();
    assert_eq!(pids.lines().count(), 3);
    for pid in pids.lines() {
        assert!(gone(pid), "process {pid} is still there");
    }
}

#[test]
fn a_subject_that_fails_is_quoted() {
    let dir = checkout(&wrong("failing", "echo 'no such luck' >&2; exit 23"));
    let done = lab(dir.path(), &["verify", "--local", "--peers", "failing"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("failing: exit 23: no such luck"), "{}", said(&done));
}

#[test]
fn a_subject_that_changes_its_source_is_caught() {
    if !have("rsync") {
        return;
    }
    let script = "rsync -a {src}/ {dst}/ && touch {src}/planted";
    let dir = checkout(&wrong("meddling", script));
    let done = lab(dir.path(), &["verify", "--local", "--peers", "meddling"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(said(&done).contains("changed the source"), "{}", said(&done));
}

#[test]
fn a_run_over_ssh_records_both_ends_and_renders_again() {
    if !have("rsync") || !have("sshd") {
        return;
    }
    let dir = checkout("");
    let done = lab(dir.path(), &["--loopback", "--quick", "--out", "run"]);
    assert!(done.status.success(), "{}", said(&done));
    let run = store::read(&dir.path().join("run")).unwrap();
    assert!(run.environment.complete && run.environment.transports["ssh:loopback"].cipher.is_some());
    // Three operations each way, one round of warming up and two timed.
    assert_eq!(run.samples.len(), 18);
    for sample in run.samples.iter().filter(|s| s.pass == Pass::Timed) {
        assert!(sample.remote_user_s.is_some() && sample.remote_max_rss_kib.is_some(), "{sample:?}");
        assert!(sample.wire_out.is_some() && sample.wire_in.is_some(), "{sample:?}");
    }
    if cfg!(target_os = "linux") {
        let watched = run.samples.iter().filter(|s| s.pass == Pass::FirstByte);
        assert!(watched.clone().count() == 4 && watched.clone().all(|s| s.first_byte_s.is_some_and(|t| t > 0.0)));
    }
    let report = fs::read_to_string(dir.path().join("run/report.md")).unwrap();
    fs::remove_file(dir.path().join("run/report.md")).unwrap();
    assert!(lab(dir.path(), &["report", "run"]).status.success());
    assert_eq!(fs::read_to_string(dir.path().join("run/report.md")).unwrap(), report);
    let again = lab(dir.path(), &["--loopback", "--quick", "--out", "run"]);
    assert!(!again.status.success() && said(&again).contains("never overwritten"));
}

#[test]
fn a_run_behind_a_relay_is_a_transport_of_its_own_and_as_slow_as_its_line() {
    if !have("rsync") || !have("sshd") {
        return;
    }
    let dir = checkout(CONNECT);
    let done = lab(dir.path(), &["--wan", "20:50", "--quick", "--out", "run"]);
    assert!(done.status.success(), "{}", said(&done));
    let run = store::read(&dir.path().join("run")).unwrap();
    let transport = &run.environment.transports["ssh:wan-20ms-50mbit"];
    assert_eq!(transport.wan, Some("20:50".parse().unwrap()));
    assert_eq!(run.environment.transports.len(), 1);
    for sample in &run.samples {
        // The handshake, the versions, the keys, the authentication, the command: five round trips are the least.
        assert!(sample.wall_s.is_some_and(|wall| wall >= 0.1), "{sample:?}");
    }
    assert!(run.samples.iter().any(|s| s.subject == "connect") && run.samples.iter().any(|s| s.subject == "rsync"));
    let report = fs::read_to_string(dir.path().join("run/report.md")).unwrap();
    assert!(report.contains("a relay adds 20 ms to each round trip, 50 Mbit/s each way"), "{report}");
    assert!(report.contains("## ssh:wan-20ms-50mbit"), "{report}");
}

#[test]
fn a_host_of_the_users_configuration_gets_binaries_and_trees_and_both_directions_are_measured() {
    if !have("rsync") || !have("sshd") {
        return;
    }
    let (dir, keys) = (checkout(""), tempfile::tempdir().unwrap());
    let server = Server::start(Path::new(LAB), keys.path()).unwrap();
    // The user's own configuration is stood in for by an `ssh` that reads this one.
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let ssh = needs::find("ssh").unwrap();
    let text = format!("#!/bin/sh\nexec {} -F {}/ssh_config \"$@\"\n", ssh.display(), keys.path().display());
    fs::write(bin.join("ssh"), text).unwrap();
    fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::join_paths([bin].into_iter().chain(std::env::split_paths(&std::env::var("PATH").unwrap())));
    let args = ["--ssh", &server.endpoint.host, "--quick", "--runs", "1", "--out", "run"];
    let done = Command::new(LAB).args(args).current_dir(dir.path()).env("PATH", path.unwrap()).output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    let run = store::read(&dir.path().join("run")).unwrap();
    let transport = &run.environment.transports["ssh:sy-lab"];
    assert!(transport.far.is_some() && transport.rtt_s.is_some_and(|t| t > 0.0));
    assert_eq!(run.samples.len(), 12);
    if cfg!(target_os = "linux") {
        let watched = run.samples.iter().filter(|s| s.pass == Pass::FirstByte);
        assert!(watched.clone().count() == 4 && watched.clone().all(|s| s.first_byte_s.is_some_and(|t| t > 0.0)));
    }
}

#[test]
fn a_host_out_of_reach_is_told_and_the_rest_is_run() {
    if !have("rsync") || !have("ssh") {
        return;
    }
    let dir = checkout("");
    let done = lab(dir.path(), &["verify", "--local", "--ssh", "no-such-host.invalid"]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(said(&done).contains("no-such-host.invalid is left out"), "{}", said(&done));
    assert!(said(&done).contains("3 of 3 cells verified"), "{}", said(&done));
}

/// A lab that waits for a subject that hangs, the id of that subject's process, and its destination.
fn waiting_lab() -> (Child, String, PathBuf) {
    let told = tempfile::tempdir().unwrap();
    let file = told.path().join("told");
    let script = format!("echo $$ {{dst}} > {0}.part; mv {0}.part {0}; sleep 1000", file.display());
    let dir = checkout(&wrong("hanging", &script));
    let mut running = Command::new(LAB);
    running.args(["verify", "--local", "--peers", "hanging"]).current_dir(dir.path());
    let running = running.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    assert!(eventually(|| file.exists()));
    let text = fs::read_to_string(file).unwrap();
    let (pid, dst) = text.trim().split_once(' ').unwrap();
    assert!(Path::new(dst).is_dir());
    (running, pid.into(), dst.into())
}

#[test]
fn ctrl_c_ends_the_command_that_runs_and_leaves_nothing_behind() {
    let (running, pid, dst) = waiting_lab();
    assert!(Command::new("kill").args(["-INT", &running.id().to_string()]).status().unwrap().success());
    let done = running.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130), "{}", said(&done));
    assert!(gone(&pid) && !dst.exists());
}

#[test]
fn a_killed_lab_leaves_nothing_behind_either() {
    let (mut running, pid, dst) = waiting_lab();
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(gone(&pid) && eventually(|| !dst.exists()));
}

#[test]
fn wrong_usage_is_status_two() {
    let dir = checkout("");
    assert_eq!(lab(dir.path(), &["--scenarios", "nope"]).status.code(), Some(2));
    assert_eq!(lab(dir.path(), &["--no-such-option"]).status.code(), Some(2));
}

/// A subject that copies only while a process of its own is there, which `script` is; `ready` says so by a file.
fn keeper(script: &str) -> String {
    format!(
        "[[subject]]\nname = \"keeper\"\nrole = \"peer\"\nwhy = \"a test\"\nprogram = \"sh\"\nby_name = true\n\
         env = {{ WHERE = \"{{state}}\" }}\n\
         local = [\"sh\", \"-c\", \"test -e $WHERE/here && rsync -a {{src}}/ {{dst}}/\"]\n\
         [subject.keep]\ncommand = [\"sh\", \"-c\", {script:?}]\nready = [\"sh\", \"-c\", \"test -e $WHERE/here\"]\n\
         close = [\"sh\", \"-c\", \"rm -f $WHERE/here\"]\n"
    )
}

fn keeping(subject: &str) -> tempfile::TempDir {
    let dir = checkout(subject);
    let path = dir.path().join("scenarios/tiny.toml");
    let text = fs::read_to_string(&path).unwrap().replace("[[part]]", "also = [\"keeper\"]\n[[part]]");
    fs::write(path, text).unwrap();
    dir
}

#[test]
fn what_a_subject_needs_is_kept_while_its_cell_is_measured_and_ended_after_it() {
    if !have("rsync") {
        return;
    }
    let pids = tempfile::tempdir().unwrap();
    let script = format!("touch $WHERE/here; echo $$ >> {}/pids; exec sleep 1000", pids.path().display());
    let dir = keeping(&keeper(&script));
    let done = lab(dir.path(), &["verify", "--local"]);
    assert!(done.status.success() && said(&done).contains("keeper"), "{}", said(&done));
    let pids = fs::read_to_string(pids.path().join("pids")).unwrap();
    assert_eq!(pids.lines().count(), 3, "one for each cell");
    assert!(pids.lines().all(gone), "a kept process is still there");
}

#[test]
fn what_does_not_come_or_does_not_stay_is_an_error_row_and_the_others_are_run() {
    if !have("rsync") {
        return;
    }
    for (script, why) in [
        ("echo 'no such luck' >&2; exit 1", "needs to have kept ended: no such luck"),
        ("touch $WHERE/here; (sleep 0.2; rm $WHERE/here) & exec sleep 1000", "gone after the last round"),
    ] {
        let dir = keeping(&keeper(script).replace("rsync -a {src}/ {dst}/", "rsync -a {src}/ {dst}/; sleep 0.4"));
        let done = lab(dir.path(), &["--local", "--quick", "--out", "run"]);
        assert_eq!(done.status.code(), Some(1), "{}", said(&done));
        let run = store::read(&dir.path().join("run")).unwrap();
        let row = |s: &&bench_harness::record::sample::Sample| s.subject == "keeper" && s.outcome.contains(why);
        assert!(run.samples.iter().any(|s| row(&s)), "{why}: {}", said(&done));
        assert!(run.samples.iter().any(|s| s.subject == "rsync" && s.is_ok()));
    }
}

/// A `sy` that copies, and says that it scans for as many seconds as it is told here.
fn copier(dir: &Path, name: &str, scan_s: u32) -> PathBuf {
    let path = dir.join(name);
    let stats = format!(r#"{{"stages_s":{{"connect":0.0,"total":0.5,"scan":{scan_s}}}}}"#);
    let script = format!(
        "#!/bin/sh\ncase $1 in\n--version) echo 'sy 1.0.0' ;;\nphases) echo '{{\"schema\":1,\"phases\":[]}}' ;;\n\
         *) echo '{stats}' >\"$2\"; exec cp -a \"$3.\" \"$4\" ;;\nesac\n"
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const SY: &str = r#"
[[subject]]
name = "sy"
role = "contender"
why = "a test"
program = "sy"
counters = "sy"
operations = ["initial"]
local = ["{program}", "--stats-file", "{counters}", "{src}/", "{dst}/"]
"#;

#[test]
fn an_earlier_build_runs_in_the_same_rounds_and_is_set_against_this_one_in_every_cell() {
    if !have("rsync") {
        return;
    }
    let dir = checkout(SY);
    let (now, before) = (copier(dir.path(), "now", 2), copier(dir.path(), "then", 7));
    let builds = ["--sy", now.to_str().unwrap(), "--against", before.to_str().unwrap()];
    let done = lab(dir.path(), &[&["--local", "--runs", "3", "--out", "run"], &builds[..]].concat());
    assert!(done.status.success(), "{}", said(&done));
    let run = store::read(&dir.path().join("run")).unwrap();
    let scans = |name: &str| -> Vec<(u32, Option<f64>)> {
        let timed = run.samples.iter().filter(|s| s.subject == name && s.pass == Pass::Timed);
        timed.map(|s| (s.round, s.scan_s)).collect()
    };
    assert_eq!(scans("sy"), [(1, Some(2.0)), (2, Some(2.0)), (3, Some(2.0))]);
    assert_eq!(scans("sy-before"), [(1, Some(7.0)), (2, Some(7.0)), (3, Some(7.0))]);
    let report = fs::read_to_string(dir.path().join("run/report.md")).unwrap();
    let table = report.split("## sy against sy-before").nth(1).expect(&report);
    let row = table.lines().find(|line| line.contains("| tiny ") && line.contains("| initial ")).expect(table);
    assert!(row.contains("1.00 [1.00, 1.00]"), "both say the same of their sessions: {row}");
}
