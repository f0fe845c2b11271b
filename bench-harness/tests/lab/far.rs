//! The private server, and a far host behind it as `--ssh HOST` would use one.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{LAB, checkout, eventually, gone, have};
use bench_harness::place::disk::Need;
use bench_harness::place::{Place, Request, Response, Start};
use bench_harness::scenario::generate::Version;
use bench_harness::scenario::{Scenario, load_all};
use bench_harness::setup::far_host;
use bench_harness::ssh::Endpoint;
use bench_harness::ssh::server::Server;

fn tiny() -> Scenario {
    load_all(&checkout("").path().join("scenarios")).unwrap().remove(0)
}

#[test]
fn server_lets_in_with_its_own_key_and_is_gone_afterwards() {
    if !have("sshd") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Path::new(LAB), dir.path()).unwrap();
    assert_eq!(server.endpoint.run("echo hello").unwrap(), "hello");
    assert!(server.endpoint.cipher().is_some());
    assert!(server.endpoint.run("exit 3").is_err());
    let port = server.port;
    drop(server);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "port {port} is still open");
}

#[test]
fn far_host_gets_the_binaries_answers_and_is_left_clean() {
    if !have("sshd") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(Path::new(LAB), dir.path()).unwrap();
    let endpoint = Endpoint { label: "ssh:far".into(), ..server.endpoint.clone() };
    let need = Need { bytes: 1 << 20, entries: 100 };
    let mut transport = far_host(endpoint, Path::new(LAB), &["/bin/ls".into(), "/bin/cat".into()], need).unwrap();
    let far = transport.far.as_mut().unwrap();
    let home = far.own.strip_suffix("/bench-harness").unwrap().to_owned();
    // Each build has a name of its own there.
    assert!(far.programs["/bin/ls"] != far.programs["/bin/cat"]);
    assert_eq!(far.endpoint.run(&format!("{} -d {home}", far.programs["/bin/ls"])).unwrap(), home);
    let agent = far.agent.as_mut().unwrap();
    let trees = agent.dir();
    assert!(trees.is_dir() && Path::new(&home).is_dir());

    let answer = agent.call(&Request::Prepare { scenario: Box::new(tiny()), seed: 1 }).unwrap();
    assert!(matches!(answer, Response::Digests(a, Some(b)) if a != b));
    agent.tell(&Request::Start(Start::Fresh)).unwrap();
    assert_eq!(agent.differences(&Request::Check(Version::Before)).unwrap(), None);
    assert!(agent.differences(&Request::Check(Version::After)).unwrap().is_some());
    // The far clock is this host's, so what was found must be less than the exchange took.
    assert!((agent.clock_ahead_ns().abs() as f64) < agent.rtt_s * 1e9);
    assert!(agent.call(&Request::Usage("../x".into())).unwrap_err().to_string().contains("on the far host"));

    drop(transport);
    assert!(!trees.exists() && !Path::new(&home).exists());
}

#[test]
fn a_killed_lab_leaves_no_directory_and_no_command_behind() {
    let dir = tempfile::tempdir().unwrap();
    let held = dir.path().join("held");
    std::fs::create_dir(&held).unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 1000", pid_file.display());
    let mut leash = Command::new(LAB);
    leash.arg("__leash").arg(&held).args(["--", "sh", "-c", &script]);
    let mut leash = leash.stdin(Stdio::piped()).spawn().unwrap();
    assert!(eventually(|| std::fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))));
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    // What the system does to the pipe of a process that was killed.
    drop(leash.stdin.take());
    assert!(leash.wait().unwrap().success());
    assert!(!held.exists());
    assert!(gone(&pid), "process {pid} is still there");
}

#[test]
fn the_wrapper_measures_its_command_and_passes_streams_and_status_through() {
    let dir = tempfile::tempdir().unwrap();
    let result = dir.path().join("r");
    let mut wrapper = Command::new(LAB);
    wrapper.arg("__measure").arg("--result").arg(&result).args(["--timeout", "60", "--", "sh", "-c"]);
    wrapper.arg("cat; i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 7");
    let mut wrapper = wrapper.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut wrapper.stdin.take().unwrap(), b"through").unwrap();
    let done = wrapper.wait_with_output().unwrap();
    assert_eq!((done.status.code(), done.stdout.as_slice()), (Some(7), b"through".as_slice()));
    let usage: serde_json::Value = serde_json::from_slice(&std::fs::read(&result).unwrap()).unwrap();
    assert_eq!((usage["exit_code"].as_i64(), usage["timed_out"].as_bool()), (Some(7), Some(false)));
    let figure = |name: &str| usage[name].as_f64().unwrap();
    assert!(figure("user_s") > 0.0 && figure("wall_s") >= figure("user_s") * 0.5 && figure("max_rss_kib") > 100.0);
}
