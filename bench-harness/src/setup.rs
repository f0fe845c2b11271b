//! From arguments to a lab that is ready: what there is on this machine, where trees go, how far hosts are reached.
//!
//! What is missing is said, with the package that brings it, and left out; only when nothing is left to run it is an
//! error. Everything made here hangs on one leash and goes when `Ready` is dropped, or when the lab is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::child::leash::Leash;
use crate::claim;
use crate::cli::Selection;
use crate::lineup::{self, Lineup};
use crate::needs;
use crate::phases;
use crate::place::agent::Agent;
use crate::place::disk::{self, Need};
use crate::place::workshop::Workshop;
use crate::place::{Place, Request, Response};
use crate::record::environment::{self, Environment, Machine, SubjectInfo, TransportInfo};
use crate::record::sample::SCHEMA;
use crate::run::schedule::Effort;
use crate::run::{Far, Lab, Transport};
use crate::scenario::{self, Scenario, layout};
use crate::ssh::Endpoint;
use crate::ssh::server::{self, Server};
use crate::subject::{self, Role, Subject};
use crate::sy_build::Sy;
use crate::wan::Wan;
use crate::wan::relay::Relay;

/// A mistake in the arguments, for exit status 2.
#[derive(Debug)]
pub struct Usage(String);

impl Usage {
    /// What was wrong with the arguments.
    pub fn new(what: &anyhow::Error) -> Self {
        Usage(format!("{what:#}"))
    }
}

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// A lab that is ready to run. Fields are dropped in this order: connections, relays, the server, then all directories.
pub struct Ready {
    /// The ways to the other end.
    pub transports: Vec<Transport>,
    /// The trees and binaries.
    pub lab: Lab,
    /// The scenarios at the size that is wanted.
    pub scenarios: Vec<Scenario>,
    /// The subjects that can be run.
    pub subjects: Vec<Subject>,
    /// What is known of it so far.
    pub environment: Environment,
    _relays: Vec<Relay>,
    _server: Option<Server>,
    _leash: Option<Leash>,
}

/// Scenarios and subjects that were asked for, of those in the checkout.
///
/// # Errors
/// `Usage` when a name is not known; otherwise when a file is invalid.
pub fn choose(root: &Path, selection: &Selection) -> Result<(Vec<Scenario>, Vec<Subject>)> {
    let dir = root.join("scenarios");
    let (all, subjects) = (scenario::load_all(&dir)?, subject::load(&dir)?);
    known("scenario", &selection.scenarios, all.iter().map(|s| s.name.as_str()).chain(scenario::GROUPS))?;
    known("peer", &selection.peers, subjects.iter().map(|s| s.name.as_str()))?;
    let wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|n| n == name);
    let phases = !selection.phases.is_empty();
    let chosen = |s: &Scenario| match selection.scenarios.is_empty() {
        true if phases => s.is_core() || s.phase.is_some(),
        true => s.is_default(),
        false => selection.scenarios.iter().any(|name| s.is_called(name)),
    };
    let mut scenarios: Vec<Scenario> = all.into_iter().filter(chosen).collect();
    if phases && selection.scenarios.is_empty() {
        // Many builds in every round: an hour more for the other way tells little.
        scenarios.iter_mut().for_each(|s| s.directions.truncate(1));
    }
    if selection.quick {
        scenarios = scenarios.into_iter().map(Scenario::quick).collect();
    }
    let has_part = |s: &Subject| {
        let of_phase = |scenario: &Scenario| scenario.phase.is_some() && scenario.phase == s.for_phase;
        !s.by_name || scenarios.iter().any(|scenario| scenario.also.contains(&s.name) || of_phase(scenario))
    };
    let keep = |s: &Subject| match s.role {
        _ if !has_part(s) => false,
        Role::Contender => true,
        // So few rounds allow no verdict, with or without a measure of the noise.
        Role::Control if selection.quick => false,
        // The time that they take is better spent on rounds.
        Role::Peer | Role::Floor if phases && selection.peers.is_empty() => false,
        _ => wanted(&selection.peers, &s.name),
    };
    let subjects = subjects.into_iter().filter(keep).collect();
    Ok((scenarios, subjects))
}

fn known<'a>(what: &str, asked: &[String], all: impl Iterator<Item = &'a str>) -> Result<()> {
    let all: Vec<&str> = all.collect();
    match asked.iter().find(|name| !all.contains(&name.as_str())) {
        Some(name) => bail!(Usage(format!("there is no {what} {name:?}; there are {}", all.join(", ")))),
        None => Ok(()),
    }
}

/// Makes everything ready. `own` is the lab's own binary.
///
/// # Errors
/// `Usage` for wrong arguments; otherwise when there is nothing left to run.
pub fn ready(own: &Path, root: &Path, selection: &Selection, effort: Effort) -> Result<Ready> {
    let (mut scenarios, subjects) = choose(root, selection)?;
    let mut notes = Vec::new();
    let places = places(selection, &mut notes);
    let subjects = runnable(subjects, &mut notes);
    ensure!(!subjects.is_empty(), "there is nothing to run: {}", notes.join("; "));
    let Lineup { subjects, sy, table, binaries } =
        lineup::build(root, selection, subjects, scenarios.iter().any(|s| effort.counts(s)))?;
    if selection.scenarios.is_empty() && !table.is_empty() {
        // A scenario of a phase whose two builds are not there would decide nothing.
        let builds = lineup::builds(&subjects);
        scenarios.retain(|s| s.phase.as_ref().is_none_or(|phase| phases::pair(&builds, phase).is_some()));
    }
    let claims = if table.is_empty() { Vec::new() } else { claim::of_scenarios(&scenarios, &table)? };
    // The source, the destination, and the source after the edits.
    let trees = |s: &Scenario| if s.is_edited() { 3 } else { 2 };
    let rooms = scenarios.iter().map(|s| layout::need(&layout::plan(s, selection.seed), trees(s)));
    let need = rooms.reduce(|a, b| Need { bytes: a.bytes.max(b.bytes), entries: a.entries.max(b.entries) });
    let need = need.unwrap_or_default();
    let scratch = Scratch::new(own, need, selection)?;
    let server = if places.server { server(own, &scratch.ssh, &mut notes)? } else { None };
    let (mut transports, mut problems) = (Vec::new(), Vec::new());
    if places.local {
        transports.push(Transport::local());
    }
    let mut relays = Vec::new();
    if let Some(server) = &server {
        // Relays alone were asked for; but what isolates a phase says something without a delay, too.
        let of_phases = !places.loopback && !table.is_empty() && selection.ssh.is_empty();
        if places.loopback || of_phases {
            transports.push(Transport { of_phases, ..same_host(server.endpoint.clone(), own)? });
        }
        for wan in lines(&selection.wan) {
            let relay = Relay::start(wan, server.port)?;
            transports.push(same_host(server.endpoint.behind(wan, relay.port), own)?);
            relays.push(relay);
        }
    }
    for host in &selection.ssh {
        match far_host(Endpoint::user(host), own, &binaries, need) {
            Ok(transport) => transports.push(transport),
            // Asked for by name and not to be had: the rest is run, but the run is not a good one.
            Err(error) => problems.push(format!("{host} is left out: {error:#}")),
        }
    }
    if let Effort::Phases { others, .. } = effort {
        notes.push(format!("where a scenario isolates no phase there are {others} timed rounds"));
    }
    notes.iter().chain(&problems).for_each(|note| eprintln!("note: {note}"));
    ensure!(!transports.is_empty(), "there is no place to run in");
    let lab = Lab { own: own.to_owned(), near: Workshop::new(&scratch.trees)?, timeout_s: selection.timeout, count: 0 };
    let mut environment = describe(root, &scratch.trees, &subjects, sy.as_ref(), &mut transports)?;
    environment.seed = selection.seed;
    environment.quick = selection.quick;
    environment.claims = claims;
    environment.files = scenarios.iter().map(|s| (s.name.clone(), s.files())).collect();
    environment.notes = notes;
    environment.problems = problems;
    Ok(Ready {
        transports,
        lab,
        scenarios,
        subjects,
        environment,
        _relays: relays,
        _server: server,
        _leash: scratch.leash,
    })
}

/// Where to run, besides the hosts of the user's own configuration.
#[derive(Debug, PartialEq, Eq)]
struct Places {
    local: bool,
    loopback: bool,
    /// Whether there is to be a private server: for the loopback, or for relays in front of it.
    server: bool,
}

/// On this host and over the private server, when nothing was asked for.
fn places(selection: &Selection, notes: &mut Vec<String>) -> Places {
    let nothing = !selection.local && !selection.loopback && selection.ssh.is_empty() && selection.wan.is_empty();
    let loopback = nothing || selection.loopback;
    let mut server = loopback || !selection.wan.is_empty();
    if server && server::find().is_none() {
        notes.push(needs::missing("sshd", "the runs over SSH to this host are left out"));
        server = false;
    }
    if server && needs::find("ssh").is_none() {
        notes.push(needs::missing("ssh", "the runs over SSH are left out"));
        server = false;
    }
    Places { local: nothing || selection.local, loopback: loopback && server, server }
}

fn runnable(subjects: Vec<Subject>, notes: &mut Vec<String>) -> Vec<Subject> {
    let there = |s: &Subject| s.program == lineup::SY || needs::find(&s.program).is_some();
    let (kept, gone): (Vec<Subject>, Vec<Subject>) = subjects.into_iter().partition(there);
    for subject in gone {
        notes.push(needs::missing(&subject.program, &format!("the subject {} is left out", subject.name)));
    }
    kept
}

/// The lab's two directories, the trees in memory where there is room and the keys beside no tree, and their leash.
struct Scratch {
    trees: PathBuf,
    ssh: PathBuf,
    leash: Option<Leash>,
}

impl Scratch {
    fn new(own: &Path, need: Need, selection: &Selection) -> Result<Self> {
        let make = |parent: &Path, prefix: &str| {
            let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(parent);
            dir.with_context(|| format!("cannot make a directory in {}", parent.display()))
        };
        // Kept only once the leash holds them: until then they go by themselves.
        let trees = make(&disk::choose(need, selection.trees.as_deref())?, "sy-lab-")?;
        let ssh = make(&disk::choose(Need::default(), None)?, "sy-lab-ssh-")?;
        let leash = if selection.keep {
            eprintln!("keeping {} and {}", trees.path().display(), ssh.path().display());
            None
        } else {
            Some(Leash::new(own, &[trees.path(), ssh.path()], &[], None)?)
        };
        Ok(Scratch { trees: trees.keep(), ssh: ssh.keep(), leash })
    }
}

fn server(own: &Path, dir: &Path, notes: &mut Vec<String>) -> Result<Option<Server>> {
    match Server::start(own, dir) {
        Ok(server) => Ok(Some(server)),
        Err(error) => {
            notes.push(format!("the runs over SSH to this host are left out: {error:#}"));
            Ok(None)
        }
    }
}

/// Each once: two transports of one label would be one.
fn lines(asked: &[Wan]) -> Vec<Wan> {
    let first = |(at, wan): (usize, &Wan)| (!asked[..at].contains(wan)).then_some(*wan);
    asked.iter().enumerate().filter_map(first).collect()
}

/// A far end that is this host: its trees and binaries are the near end's, and no relay is in the way to them.
fn same_host(endpoint: Endpoint, own: &Path) -> Result<Transport> {
    let label = endpoint.label.clone();
    let far = Far { endpoint, own: path_text(own)?, programs: BTreeMap::new(), agent: None };
    Ok(Transport { label, far: Some(far), of_phases: false })
}

/// Puts the binaries on a far host and starts the agent there.
///
/// # Errors
/// When the host is out of reach, has no room, or cannot run this machine's binaries.
pub fn far_host(endpoint: Endpoint, own: &Path, binaries: &[PathBuf], need: Need) -> Result<Transport> {
    let names: Vec<String> = (0..binaries.len()).map(|n| format!("sy-{n}")).collect();
    let mut files = vec![(own, "bench-harness")];
    files.extend(binaries.iter().map(PathBuf::as_path).zip(names.iter().map(String::as_str)));
    let home = endpoint.upload(&files)?;
    let agent = Agent::start(endpoint.command(), &home, need).inspect_err(|_| {
        // The agent removes its home itself, but this one never ran.
        let _ = endpoint.run(&format!("rm -r {home}"));
    })?;
    let label = endpoint.label.clone();
    let far = Far {
        own: format!("{home}/bench-harness"),
        programs: binaries.iter().zip(&names).map(|(b, n)| (b.display().to_string(), format!("{home}/{n}"))).collect(),
        agent: Some(agent),
        endpoint,
    };
    Ok(Transport { label, far: Some(far), of_phases: false })
}

fn path_text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

fn describe(
    root: &Path,
    trees: &Path,
    subjects: &[Subject],
    sy: Option<&Sy>,
    transports: &mut [Transport],
) -> Result<Environment> {
    let (commit, dirty) = environment::commit(root);
    let mut environment = Environment {
        schema: SCHEMA,
        date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        commit,
        dirty,
        machine: Machine::of(trees),
        ssh: environment::error_output("ssh", &["-V"]),
        rsync: environment::rsync_identity(),
        sy: sy.map(|s| s.version.clone()),
        phases: sy.map(|s| s.phases.clone()).unwrap_or_default(),
        ..Environment::default()
    };
    let version = |subject: &Subject| match subject.program.as_str() {
        // Of all programs the builds of sy alone are given by their paths.
        path if Path::new(path).is_absolute() => environment.sy.clone(),
        "rsync" => environment.rsync.first().cloned(),
        "ssh" => environment.ssh.clone(),
        other => environment::output(other, &["--version"]).and_then(|text| text.lines().next().map(str::to_owned)),
    };
    let info = |s: &Subject| SubjectInfo {
        name: s.name.clone(),
        role: s.role,
        version: version(s),
        features: s.features.clone(),
        phases: s.phases.clone(),
    };
    environment.subjects = subjects.iter().map(info).collect();
    for transport in transports {
        let Some(far) = &mut transport.far else { continue };
        let mut info =
            TransportInfo { cipher: far.endpoint.cipher(), wan: far.endpoint.wan, ..TransportInfo::default() };
        if let Some(agent) = &mut far.agent {
            info.rtt_s = Some(agent.rtt_s);
            if let Response::Machine(machine) = agent.call(&Request::Describe)? {
                info.far = Some(machine);
            }
        }
        environment.transports.insert(transport.label.clone(), info);
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(scenarios: &[&str], peers: &[&str]) -> Selection {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Selection {
            local: true,
            loopback: false,
            wan: Vec::new(),
            ssh: Vec::new(),
            scenarios: own(scenarios),
            peers: own(peers),
            phases: Vec::new(),
            sy: None,
            against: None,
            quick: true,
            trees: None,
            seed: 1,
            timeout: 10,
            keep: false,
        }
    }

    #[test]
    fn an_unknown_name_is_wrong_usage_and_lists_the_known_ones() {
        let root = crate::workspace::root().unwrap();
        let error = choose(&root, &selection(&["nope"], &[])).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("small_files"));
        assert!(choose(&root, &selection(&[], &["nope"])).unwrap_err().is::<Usage>());
    }

    #[test]
    fn peers_choose_among_the_others_and_sy_always_stays() {
        let root = crate::workspace::root().unwrap();
        let (scenarios, subjects) = choose(&root, &selection(&["mixed"], &["rsync"])).unwrap();
        assert_eq!(subjects.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["sy", "rsync"]);
        assert_eq!(scenarios.len(), 1);
    }

    #[test]
    fn feature_sets_are_measured_on_the_plans_scenarios_one_way_and_on_those_of_the_phases() {
        let root = crate::workspace::root().unwrap();
        let names = |scenarios: &[Scenario]| scenarios.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        let (plain, _) = choose(&root, &selection(&[], &[])).unwrap();
        assert!(plain.iter().all(|s| s.phase.is_none()) && plain[0].directions.len() == 2, "{:?}", names(&plain));
        let sets = |scenarios| Selection { phases: vec!["each".into()], ..selection(scenarios, &[]) };
        let (scenarios, subjects) = choose(&root, &sets(&[])).unwrap();
        assert_eq!(names(&scenarios)[..3], ["small_files", "large_file", "source_code"]);
        assert!(scenarios[3..].iter().all(|s| s.phase.is_some()) && scenarios.len() > 3);
        assert!(scenarios.iter().all(|s| s.directions.len() == 1));
        assert!(subjects.iter().all(|s| !matches!(s.role, Role::Peer | Role::Floor)));
        let (scenarios, _) = choose(&root, &sets(&["small_files", "mixed"])).unwrap();
        assert_eq!((scenarios.len(), scenarios[0].directions.len()), (2, 2));
    }

    #[test]
    fn a_directory_of_scenarios_is_named_as_a_whole_and_never_run_unasked() {
        let root = crate::workspace::root().unwrap();
        let (scale, _) = choose(&root, &selection(&["scale"], &[])).unwrap();
        assert!(scale.len() > 1 && scale.iter().all(|s| scenario::is_of_scale(&s.name)));
        assert_eq!(choose(&root, &selection(&["scale/1000"], &[])).unwrap().0.len(), 1);
        let (unasked, _) = choose(&root, &selection(&[], &[])).unwrap();
        assert!(unasked.iter().all(|s| !s.name.contains('/') && s.name != "first_byte"));
    }

    #[test]
    fn who_takes_part_by_name_is_there_only_with_a_scenario_that_names_it() {
        let root = crate::workspace::root().unwrap();
        let names =
            |selection: &Selection| choose(&root, selection).unwrap().1.into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert!(names(&selection(&[], &[])).iter().all(|name| name != "sy-warm" && name != "rsync-mux"));
        assert_eq!(names(&selection(&["repeated"], &["rsync"])), ["sy", "sy-warm", "rsync"]);
        assert_eq!(names(&selection(&["repeated"], &["rsync-mux"])), ["sy", "sy-warm", "rsync-mux"]);
    }

    #[test]
    fn with_no_place_asked_for_there_are_both_and_a_line_is_a_place() {
        let there = server::find().is_some() && needs::find("ssh").is_some();
        let places = |local, loopback, wan: &[&str], ssh: &[&str]| {
            let ssh = ssh.iter().map(|host| (*host).to_owned()).collect();
            let wan = wan.iter().map(|text| text.parse().unwrap()).collect();
            places(&Selection { local, loopback, wan, ssh, ..selection(&[], &[]) }, &mut Vec::new())
        };
        let of = |local, loopback, server| Places { local, loopback: loopback && there, server: server && there };
        assert_eq!(places(false, false, &[], &[]), of(true, true, true));
        assert_eq!(places(true, false, &[], &[]), of(true, false, false));
        assert_eq!(places(false, false, &[], &["h"]), of(false, false, false));
        assert_eq!(places(false, false, &["50"], &[]), of(false, false, true));
        assert_eq!(places(true, true, &["50"], &[]), of(true, true, true));
    }

    #[test]
    fn a_line_that_is_asked_for_twice_is_one() {
        let asked = ["50", "100:20", "50.0", "100:2"].map(|text| text.parse().unwrap());
        assert_eq!(lines(&asked).iter().map(Wan::label).collect::<Vec<_>>(), [0, 1, 3].map(|at| asked[at].label()));
    }

    #[test]
    fn a_subject_without_its_program_is_left_out_and_the_package_named() {
        let root = crate::workspace::root().unwrap();
        let (_, mut subjects) = choose(&root, &selection(&[], &[])).unwrap();
        let rsync = subjects.iter_mut().find(|s| s.name == "rsync").unwrap();
        rsync.program = "no-such-program".into();
        let mut notes = Vec::new();
        let kept = runnable(subjects, &mut notes);
        assert!(kept.iter().all(|s| s.name != "rsync"));
        assert_eq!(notes, ["no-such-program is missing (package no-such-program): the subject rsync is left out"]);
    }
}
