//! `report.md`: what was measured, in tables. Pure: the same record always gives the same text.

mod claims;
mod first_byte;
pub mod format;
pub mod scale;
mod soak;
mod steps;
mod tables;

use std::fmt::Write;

use crate::group::{self, Cell, Row};
use crate::plot;
use crate::record::environment::{Environment, Machine};
use crate::record::store::Recorded;
use crate::rtt;
use crate::scenario;
use crate::stats;
use crate::subject::Role;
use crate::verdict::Verdict;
use crate::wan::Wan;
use format::{bytes, figure};

/// So many contenders have columns beside each other; more of them have rows.
const SIDE_BY_SIDE: usize = 2;

/// The whole report.
pub fn render(run: &Recorded) -> String {
    let cells = group::cells(&run.samples);
    let rows = group::conclude(&cells, &run.environment);
    let mut out = head(&run.environment, &cells);
    phases(&mut out, &cells, &run.environment);
    for transport in transports(&cells) {
        let cells: Vec<&Cell> = cells.iter().filter(|c| c.key.transport == transport).collect();
        let rows: Vec<&Row> = rows.iter().filter(|r| r.cell.key.transport == transport).collect();
        section(&mut out, &transport, &cells, &rows, run);
    }
    for family in rtt::families(&cells, &run.environment) {
        let rate = family.mbit.map_or(String::new(), |mbit| format!(", {mbit} Mbit/s"));
        let _ = write!(
            out,
            "\n## Round trips: {}{rate}\n\n![time against round-trip time](plots/{})\n",
            family.scenario,
            family.file()
        );
    }
    if let Some(text) = scale::section(&cells, &run.environment) {
        let _ = write!(out, "\n## Number of files\n\n{text}");
    }
    if let Some(text) = soak::section(&run.environment) {
        let _ = write!(out, "\n## What is kept\n\n{text}");
    }
    errors(&mut out, &cells, &run.environment);
    out
}

/// The transports in the order in which they were measured.
pub fn transports(cells: &[Cell]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for cell in cells {
        if !found.contains(&cell.key.transport) {
            found.push(cell.key.transport.clone());
        }
    }
    found
}

/// A transport's label as part of a file's name.
pub fn file_part(transport: &str) -> String {
    transport.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

fn head(environment: &Environment, cells: &[Cell]) -> String {
    let kind = if environment.quick { " (quick: small trees, few rounds; no result to quote)" } else { "" };
    let mut out = format!("# Run of {}{kind}\n\n", environment.date);
    let verified = cells.iter().filter(|c| c.is_verified()).count();
    let _ = writeln!(out, "**{verified} of {} cells verified.** {}\n", cells.len(), completeness(environment));
    let mut line = |what: &str, text: String| {
        let _ = writeln!(out, "- {what}: {text}");
    };
    line("command", format!("`{}`", environment.command));
    line("machine", machine(&environment.machine));
    let dirty = if environment.dirty == Some(true) { " with changes" } else { "" };
    line("commit", environment.commit.as_ref().map_or("unknown".into(), |c| format!("`{c}`{dirty}")));
    for subject in environment.subjects.iter().filter(|s| matches!(s.role, Role::Contender | Role::Before)) {
        let features = subject.features.as_ref().map_or(String::new(), |f| format!(", features {f}"));
        line(&subject.name, format!("{}{features}", subject.version.as_deref().unwrap_or("unknown")));
    }
    line("rsync", environment.rsync.join("; "));
    line("ssh", environment.ssh.clone().unwrap_or_else(|| "none".into()));
    for (label, transport) in &environment.transports {
        let cipher = transport.cipher.clone().unwrap_or_else(|| "unknown".into());
        let rtt = transport.rtt_s.map_or(String::new(), |s| format!(", empty request {} ms", figure(s * 1e3)));
        let far = transport.far.as_ref().map_or(String::new(), |m| format!(", far host {}", machine(m)));
        let wan = transport.wan.map_or(String::new(), |wan| format!(", {}", relay(&wan)));
        line(label, format!("cipher {cipher}{wan}{rtt}{far}"));
    }
    line("seed", format!("{}, {} timed rounds", environment.seed, environment.runs));
    for note in environment.notes.iter().chain(&environment.problems) {
        line("note", note.clone());
    }
    out + "\nHow to read it: `bench-harness/METHODOLOGY.md`. Times are medians in milliseconds with the MAD behind ±.\n"
}

fn completeness(environment: &Environment) -> &'static str {
    if environment.complete { "" } else { "The run did not come to its end." }
}

fn relay(wan: &Wan) -> String {
    let rate = wan.mbit.map_or("no bound on the rate".into(), |mbit| format!("{mbit} Mbit/s each way"));
    format!(
        "a relay adds {} ms to each round trip, {rate}, holds {} each way",
        wan.rtt_ms,
        bytes(Some(wan.queue() as f64))
    )
}

fn machine(machine: &Machine) -> String {
    let mut text = format!("{}, {} cores", machine.cpu, machine.cores);
    if let Some(mib) = machine.memory_mib {
        let _ = write!(text, ", {} memory", bytes(Some(mib as f64 * 1048576.0)));
    }
    let _ = write!(text, ", {}, trees on {}", machine.kernel, machine.file_system);
    if let Some(load) = machine.load_1m {
        let _ = write!(text, ", load {load:.2} before");
    }
    text
}

/// The table of the plan's claims, where a run judges them: what its user waits for.
pub fn claims(run: &Recorded) -> Option<String> {
    claims::claims(&group::cells(&run.samples), &run.environment)
}

fn phases(out: &mut String, cells: &[Cell], environment: &Environment) {
    if let Some(table) = claims::claims(cells, environment) {
        let _ = write!(out, "\n## Claims\n\n{table}");
    }
    if let Some((title, table)) = claims::together(cells, environment) {
        let _ = write!(out, "\n## {title}\n\n{table}");
    }
}

fn section(out: &mut String, transport: &str, cells: &[&Cell], rows: &[&Row], run: &Recorded) {
    let part = file_part(transport);
    let _ = write!(out, "\n## {transport}\n\n{}\n", summary(rows));
    let _ = write!(out, "![ratio to rsync](plots/ratio-{part}.svg)\n\n");
    let environment = &run.environment;
    if plot::has_steps(cells, environment) {
        let _ = write!(out, "![step by step](plots/phases-{part}.svg)\n\n");
    }
    let many = environment.subjects.iter().filter(|s| s.role == Role::Contender).count() > SIDE_BY_SIDE;
    let time = if many { steps::time(cells, rows, environment) } else { tables::wall(cells, rows, environment) };
    let _ = write!(out, "### Time\n\n{time}\n![medians](plots/wall-{part}.svg)\n");
    let more = match many {
        true => vec![("Costs", Some(steps::costs(cells, environment)))],
        false => vec![
            ("Processor time and memory", tables::resources(cells, environment)),
            ("Start", tables::start(cells, environment)),
            ("Wire", tables::wire(cells, environment)),
        ],
    };
    let more = more.into_iter().chain([("First byte", first_byte::section(cells, environment))]);
    for (title, table) in more.filter_map(|(title, table)| Some((title, table?))) {
        let _ = write!(out, "\n### {title}\n\n{table}");
    }
}

/// Per contender: how many cells went which way, and the geometric mean of its ratios.
fn summary(rows: &[&Row]) -> String {
    // The scenarios of a phase are no sample of what people sync.
    let rows = || rows.iter().filter(|r| !scenario::is_of_phase(&r.cell.key.scenario));
    let mut names: Vec<&str> = Vec::new();
    for row in rows() {
        if !names.contains(&row.contender.as_str()) {
            names.push(&row.contender);
        }
    }
    let mut out = String::new();
    for name in &names {
        let own: Vec<&&Row> = rows().filter(|r| r.contender == *name).collect();
        let count = |v: Verdict| own.iter().filter(|r| r.verdict == Some(v)).count();
        let ratios: Vec<f64> = own.iter().filter_map(|r| Some(r.ratio?.median)).collect();
        let mean = stats::geometric_mean(&ratios)
            .map_or(String::new(), |m| format!(", {m:.2} of its time in the geometric mean"));
        let _ = writeln!(
            out,
            "{}{name} against the reference: faster in {}, slower in {}, inconclusive in {}, no ratio in {}{mean}.",
            if names.len() > 1 { "- " } else { "" },
            count(Verdict::Faster),
            count(Verdict::Slower),
            count(Verdict::Inconclusive),
            own.iter().filter(|r| r.verdict.is_none()).count(),
        );
    }
    out
}

fn errors(out: &mut String, cells: &[Cell], environment: &Environment) {
    let mut rows = Vec::new();
    for cell in cells {
        for subject in &environment.subjects {
            for error in cell.measurement(&subject.name).map(|m| m.errors).unwrap_or_default() {
                let mut row = tables::names(cell);
                row.extend([cell.key.transport.clone(), subject.name.clone(), format::cell_text(&error)]);
                rows.push(row);
            }
        }
    }
    if !rows.is_empty() {
        let head = ["scenario", "operation", "direction", "transport", "subject", "error"].map(String::from);
        let _ = write!(out, "\n## Errors\n\n{}", format::table(&head, &rows, 6));
    }
}

#[cfg(test)]
pub mod tests {
    //! A record for the tests of other modules.

    use super::*;
    use crate::claim::Claim;
    use crate::metric::Metric;
    use crate::record::environment::SubjectInfo;
    use crate::record::sample::tests::sample;
    use crate::record::sample::{Pass, Sample};
    use crate::scenario::{Direction, Operation};

    /// A small record with a good cell, a cell with an error, and a local one.
    pub fn record() -> Recorded {
        let info = |name: &str, role| SubjectInfo {
            name: name.into(),
            role,
            version: Some(format!("{name} 1.0")),
            ..SubjectInfo::default()
        };
        let subjects = vec![
            info("sy", Role::Contender),
            info("rsync", Role::Reference),
            info("rsync-aa", Role::Control),
            info("ssh-true", Role::Connect),
        ];
        let environment = Environment {
            schema: 1,
            date: "2026-01-02T03:04:05Z".into(),
            complete: true,
            command: "bench-harness".into(),
            subjects,
            ..Environment::default()
        };
        let mut samples = Vec::new();
        for round in 0..=3 {
            for (subject, wall) in [("sy", 0.2), ("rsync", 0.4), ("rsync-aa", 0.41), ("ssh-true", 0.1)] {
                samples.push(sample(subject, round, wall));
            }
            samples.push(local("sy", round, 0.01));
            samples.push(local("rsync", round, 0.05));
        }
        samples.push(Sample {
            outcome: "exit 23: a|b".into(),
            wall_s: None,
            operation: Operation::Delta,
            ..sample("sy", 1, 0.0)
        });
        Recorded { environment, samples }
    }

    /// A run of three feature sets, with a claim that holds, one whose counter stands still, and one without a cell.
    pub fn phases_record() -> Recorded {
        let mut run = record();
        let build = |name: &str, ids: &[&str]| SubjectInfo {
            name: name.into(),
            role: Role::Contender,
            phases: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
            ..SubjectInfo::default()
        };
        run.environment.subjects[0] = build("sy[none]", &[]);
        run.environment.subjects.insert(1, build("sy[1.1]", &["1.1"]));
        run.environment.subjects.insert(2, build("sy[all]", &["1.1", "1.2"]));
        let claim = |phase: &str, part: &str, scenario: &str, counter| Claim {
            phase: phase.into(),
            part: part.into(),
            scenario: scenario.into(),
            metric: Metric::Wall,
            most: 0.8,
            counter: Some(counter),
        };
        run.environment.claims = vec![
            claim("1.1", "+20 % throughput", "small_files", Metric::RoundTrips),
            claim("1.2", "-30 % time", "small_files", Metric::Frames),
            claim("2.1", "2x", "opt/elsewhere", Metric::Frames),
        ];
        run.samples.retain(|s| s.subject != "sy" && s.transport != "local");
        for (name, wall, trips) in [("sy[none]", 0.4, 80), ("sy[1.1]", 0.2, 10), ("sy[all]", 0.2, 10)] {
            let counts = |s: Sample| Sample { round_trips: Some(trips), frames: Some(50), ..s };
            run.samples.extend((0..=3).map(|round| counts(sample(name, round, wall))));
            let counted = Sample { pass: Pass::Counted, allocations: Some(4500), ..sample(name, 0, 0.0) };
            run.samples.push(Sample { remote_allocations: Some(4500), wall_s: None, ..counted });
        }
        run
    }

    fn local(subject: &str, round: u32, wall: f64) -> Sample {
        let first_byte_s = (round == 0).then_some(0.005);
        let base = sample(subject, round, wall);
        Sample {
            transport: "local".into(),
            direction: Direction::Local,
            first_byte_s,
            wire_out: None,
            wire_in: None,
            ..base
        }
    }

    #[test]
    fn report_has_a_section_for_each_transport_with_ratio_verdict_and_engine() {
        let text = render(&record());
        assert!(text.contains("## ssh:loopback") && text.contains("## local"));
        let row = text.lines().find(|l| l.starts_with("| small_files | initial") && l.contains("push")).unwrap();
        assert!(row.contains("200 ±0.000") && row.contains("0.50 [0.50, 0.50]") && row.contains("faster"), "{row}");
        assert!(row.contains(" 0.33 "), "{row}");
    }

    #[test]
    fn report_shows_time_against_the_round_trip_where_there_are_several_lines() {
        let text = render(&rtt::tests::over(&["50:10", "20:10"]));
        assert!(text.contains("## Round trips: small_files, 10 Mbit/s\n\n![time against round-trip time](plots/rtt-small_files-10mbit.svg)"));
        assert!(!render(&record()).contains("Round trips:"));
    }

    #[test]
    fn an_error_is_told_and_never_a_time() {
        let text = render(&record());
        assert!(text.contains("**2 of 3 cells verified.**"));
        assert!(text.contains("exit 23: a\\|b"));
        let row = text.lines().find(|l| l.starts_with("| small_files | delta")).unwrap();
        assert!(row.contains("error"), "{row}");
    }

    #[test]
    fn the_same_record_gives_the_same_report() {
        assert_eq!(render(&record()), render(&record()));
    }

    #[test]
    fn a_run_of_feature_sets_begins_with_the_claims_and_has_a_row_for_each_build() {
        let text = render(&phases_record());
        let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
        assert!(place("## Claims") < place("## sy[all] against sy[none]"));
        assert!(place("## sy[all] against") < place("## ssh:loopback"));
        assert!(place("plots/phases-ssh-loopback.svg") < place("### Costs"));
        assert!(!render(&record()).contains("## Claims"));
    }

    #[test]
    fn a_quick_run_says_so() {
        let mut run = record();
        run.environment.quick = true;
        assert!(render(&run).lines().next().unwrap().contains("quick"));
    }

    #[test]
    fn labels_become_file_names() {
        assert_eq!(file_part("ssh:user@host.example"), "ssh-user-host.example");
    }
}
