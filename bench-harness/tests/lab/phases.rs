//! `--phases` from end to end, with a `sy` of a few lines in the place of ours: cargo builds it in each set, the lab asks
//! it, runs it and judges its claims.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::common::{LAB, checkout, have, said};
use bench_harness::record::sample::Pass;
use bench_harness::record::store;

const MANIFEST: &str = r#"
[package]
name = "sy"
version = "1.0.0"
edition = "2024"
[features]
fewer = []
idle = []
dhat-heap = []
[workspace]
"#;

/// Copies with `cp -a`; says that it allocates a tenth as much with `fewer`, and the same with `idle`.
const PROGRAM: &str = r###"
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let state = |on: bool| if on { "on" } else { "off" };
    match args[0].as_str() {
        "--version" => println!("sy 1.0.0"),
        "phases" => println!(
            r##"{{"schema":1,"phases":[
            {{"id":"1.1","feature":"fewer","claim":"-50 % allocations","state":"{}"}},
            {{"id":"1.2","feature":"idle","claim":"-20 % allocations, +5 % speed","state":"{}"}},
            {{"id":"9.9","feature":"later","claim":"2x","state":"planned"}}]}}"##,
            state(cfg!(feature = "fewer") || LIES),
            state(cfg!(feature = "idle")),
        ),
        _ => {
            let allocations = if cfg!(feature = "fewer") { 100 } else { 1000 };
            let heap = if cfg!(feature = "dhat-heap") { format!(r#"{{"allocations":{allocations}}}"#) } else { "null".into() };
            let stages = r#"{"connect":0.0,"total":0.5,"scan":0.25}"#;
            std::fs::write(&args[1], format!(r#"{{"stages_s":{stages},"heap":{heap}}}"#)).unwrap();
            let done = std::process::Command::new("cp").args(["-a", &format!("{}.", args[2]), &args[3]]).status().unwrap();
            std::process::exit(if done.success() { 0 } else { 1 });
        }
    }
}
"###;

const SUBJECT: &str = r#"
[[subject]]
name = "sy"
role = "contender"
why = "a test"
program = "sy"
counters = "sy"
operations = ["initial"]
local = ["{program}", "--stats-file", "{counters}", "{src}/", "{dst}/"]
"#;

/// A scenario that isolates a phase of the program's.
fn scenario(dir: &Path, name: &str, phase: &str, claims: &str) {
    let text = fs::read_to_string(dir.join("scenarios/tiny.toml")).unwrap();
    let (head, parts) = text.split_once("[[part]]").unwrap();
    let head = head.replace("\"tiny\"", &format!("\"opt/{name}\""));
    let text =
        format!("{head}phase = {phase:?}\noperations = [\"initial\"]\nover = [\"local\"]\n{claims}[[part]]{parts}");
    fs::write(dir.join("scenarios/opt").join(name).with_extension("toml"), text).unwrap();
}

fn claim(part: &str, metric: &str) -> String {
    format!("[[claim]]\npart = {part:?}\nmetric = {metric:?}\ncounter = \"allocations\"\n")
}

fn with_sy(lies: bool) -> tempfile::TempDir {
    let dir = checkout(SUBJECT);
    let root = dir.path();
    fs::create_dir_all(root.join("src")).unwrap();
    fs::create_dir_all(root.join("scenarios/opt")).unwrap();
    fs::write(root.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(root.join("src/main.rs"), format!("const LIES: bool = {lies};\n{PROGRAM}")).unwrap();
    scenario(root, "fewer", "1.1", &claim("-50 % allocations", "allocations"));
    scenario(root, "idle", "1.2", &(claim("-20 % allocations", "allocations") + &claim("+5 % speed", "session")));
    dir
}

/// The lab in that checkout, with a target directory of its own.
fn lab(dir: &Path, args: &[&str]) -> Output {
    Command::new(LAB).args(args).current_dir(dir).env_remove("CARGO_TARGET_DIR").output().unwrap()
}

#[test]
fn a_cumulative_run_builds_every_set_counts_it_and_ends_with_the_claims() {
    if !have("rsync") {
        return;
    }
    let dir = with_sy(false);
    let args =
        ["--phases", "cumulative", "--scenarios", "opt/fewer,opt/idle", "--local", "--runs", "3", "--out", "run"];
    let done = lab(dir.path(), &args);
    assert!(done.status.success(), "{}", said(&done));
    let claims = String::from_utf8_lossy(&done.stdout).into_owned();
    let row = |words: [&str; 2]| claims.lines().find(|l| words.iter().all(|w| l.contains(w))).unwrap().to_owned();
    assert!(row(["-50 %", "opt/fewer"]).contains("| confirmed"), "{claims}");
    assert!(row(["-50 %", "opt/fewer"]).contains("-90.0 %") && claims.contains("allocations 1000 → 100"), "{claims}");
    assert!(row(["-20 %", "opt/idle"]).contains("**inert**") && row(["+5 %", "opt/idle"]).contains("**inert**"));
    for set in ["none", "1.1", "1.1+1.2", "none-dhat-heap", "1.1-dhat-heap", "1.1+1.2-dhat-heap"] {
        assert!(dir.path().join("target/lab").join(set).join("sy").is_file(), "{set}");
    }
    let run = store::read(&dir.path().join("run")).unwrap();
    let of = |pass| run.samples.iter().filter(move |s| s.pass == pass);
    // Two scenarios with three sets, and rsync; the second phase's scenario has all three as pair and extremes.
    assert_eq!((of(Pass::Timed).count(), of(Pass::Counted).count()), (3 * (4 + 4), 3 + 3));
    assert!(of(Pass::Counted).all(|s| s.allocations.is_some() && s.wall_s.is_none() && s.user_s.is_none()));
    assert!(of(Pass::Timed).all(|s| s.allocations.is_none() && s.wall_s.is_some()));
    let report = fs::read_to_string(dir.path().join("run/report.md")).unwrap();
    assert!(report.contains(claims.trim_end()) && report.contains("## sy[all] against sy[none]"), "{report}");
    fs::remove_file(dir.path().join("run/report.md")).unwrap();
    assert!(lab(dir.path(), &["report", "run"]).status.success());
    assert_eq!(fs::read_to_string(dir.path().join("run/report.md")).unwrap(), report);
}

#[test]
fn each_set_is_verified_without_counting_or_recording() {
    if !have("rsync") {
        return;
    }
    let dir = with_sy(false);
    let done = lab(dir.path(), &["verify", "--phases", "each", "--local", "--scenarios", "tiny"]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(said(&done).contains("verified: rsync sy[none] sy[1.1] sy[1.2] sy[all]"), "{}", said(&done));
    assert!(!dir.path().join("target/lab/none-dhat-heap").exists());
}

#[test]
fn a_build_that_is_not_what_was_asked_for_is_refused() {
    let dir = with_sy(true);
    let done = lab(dir.path(), &["--phases", "1.2", "--local", "--out", "run"]);
    assert_eq!(done.status.code(), Some(3), "{}", said(&done));
    assert!(said(&done).contains("sy[none] was built with [] and says that it has [\"1.1\"]"), "{}", said(&done));
    assert!(!dir.path().join("run").exists());
}

#[test]
fn a_phase_that_there_is_not_is_wrong_usage_and_the_known_ones_are_told() {
    let dir = with_sy(false);
    let done = lab(dir.path(), &["--phases", "later", "--local"]);
    assert_eq!(done.status.code(), Some(2), "{}", said(&done));
    assert!(said(&done).contains("no phase \"later\"") && said(&done).contains("1.1 (fewer)"), "{}", said(&done));
}
