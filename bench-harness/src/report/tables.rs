//! The tables of a transport's section.

use super::format::{NONE, bytes, direction, engine, figure, operation, or_none, ratio, table};
use crate::group::{Cell, Measurement, Row};
use crate::record::environment::{Environment, SubjectInfo};
use crate::record::sample::Sample;
use crate::scenario::is_of_repeated;
use crate::subject::Role;
use crate::verdict::{self, Verdict};

/// The words that name a cell within its transport.
pub fn names(cell: &Cell) -> Vec<String> {
    vec![cell.key.scenario.clone(), operation(cell.key.operation).into(), direction(cell.key.direction).into()]
}

/// ... and what stands above them.
pub fn name_heads() -> Vec<String> {
    ["scenario", "operation", "direction"].map(String::from).to_vec()
}

/// The subjects that took part in any of the cells and for which `keep` holds.
pub fn present<'a>(
    cells: &[&Cell],
    environment: &'a Environment,
    keep: impl Fn(&SubjectInfo) -> bool,
) -> Vec<&'a SubjectInfo> {
    let there = |s: &&SubjectInfo| keep(s) && cells.iter().any(|c| c.measurement(&s.name).is_some());
    environment.subjects.iter().filter(there).collect()
}

/// Medians of all subjects, and per contender ratio, engine ratio and verdict.
pub fn wall(cells: &[&Cell], rows: &[&Row], environment: &Environment) -> String {
    // The control has the reference's command; what it is there for stands in the A/A column.
    let subjects = present(cells, environment, |s| s.role != Role::Control);
    let contenders = present(cells, environment, |s| s.role == Role::Contender);
    // Without a connection to take off there is no engine ratio.
    let connects = subjects.iter().any(|s| s.role == Role::Connect);
    let mut head = name_heads();
    head.extend(subjects.iter().map(|s| s.name.clone()));
    for contender in &contenders {
        let of =
            |what: &str| if contenders.len() > 1 { format!("{}: {what}", contender.name) } else { what.to_owned() };
        head.push(of("ratio [95 %]"));
        head.extend(connects.then(|| of("engine")));
        head.push(of("verdict"));
    }
    head.push("A/A noise".into());
    let body: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let mut line = names(cell);
            line.extend(subjects.iter().map(|s| time(cell.measurement(&s.name))));
            let own: Vec<&&Row> = rows.iter().filter(|r| r.cell.key == cell.key).collect();
            for contender in &contenders {
                let row = own.iter().find(|r| r.contender == contender.name);
                line.push(ratio(row.and_then(|r| r.ratio.as_ref())));
                line.extend(connects.then(|| engine(row.and_then(|r| r.engine))));
                line.push(row.and_then(|r| r.verdict).map_or(NONE.into(), verdict_word));
            }
            let control = own.first().and_then(|r| r.control.as_ref());
            line.push(control.map_or(NONE.into(), |c| format!("±{:.1} %", verdict::noise(c) * 100.0)));
            line
        })
        .collect();
    table(&head, &body, 3)
}

/// The word for a verdict.
pub fn verdict_word(verdict: Verdict) -> String {
    // What needs work shall be seen from afar.
    if verdict == Verdict::Slower { "**slower**".into() } else { verdict.to_string() }
}

/// A median with its spread, in milliseconds.
pub fn time(measurement: Option<Measurement>) -> String {
    let Some(m) = measurement else { return NONE.into() };
    if !m.errors.is_empty() {
        return "error".into();
    }
    match (m.median(|s| s.wall_s), m.mad(|s| s.wall_s)) {
        (Some(median), Some(mad)) => format!("{} ±{}", figure(median * 1e3), figure(mad * 1e3)),
        _ => NONE.into(),
    }
}

/// Processor time and memory of both ends.
pub fn resources(cells: &[&Cell], environment: &Environment) -> Option<String> {
    let shown = |s: &SubjectInfo| matches!(s.role, Role::Contender | Role::Before | Role::Reference | Role::Peer);
    let subjects = present(cells, environment, shown);
    let far = cells.iter().any(|c| subjects.iter().any(|s| has(c, s, |s| s.remote_user_s.is_some())));
    let mut head = name_heads();
    for subject in &subjects {
        head.push(format!("{} cpu ms", subject.name));
        head.push(format!("{} MiB", subject.name));
    }
    let both = |near: Option<f64>, other: Option<f64>| match far {
        true => format!("{} / {}", or_none(near), or_none(other)),
        false => or_none(near),
    };
    let body: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let mut line = names(cell);
            for subject in &subjects {
                let m = cell.measurement(&subject.name);
                let get = |figure: fn(&Sample) -> Option<f64>| m.as_ref().and_then(|m| m.median(figure));
                line.push(both(
                    get(|s| Some((s.user_s? + s.sys_s?) * 1e3)),
                    get(|s| Some((s.remote_user_s? + s.remote_sys_s?) * 1e3)),
                ));
                line.push(both(
                    get(|s| Some(s.max_rss_kib? as f64 / 1024.0)),
                    get(|s| Some(s.remote_max_rss_kib? as f64 / 1024.0)),
                ));
            }
            line
        })
        .collect();
    let note = if far { "Local end / remote end; the local end's memory includes `ssh`.\n\n" } else { "" };
    (!body.is_empty()).then(|| format!("{note}{}", table(&head, &body, 3)))
}

fn has(cell: &Cell, subject: &SubjectInfo, figure: impl Fn(&Sample) -> bool) -> bool {
    cell.measurement(&subject.name).is_some_and(|m| m.timed.iter().any(|s| figure(s)))
}

/// How long it took until the session's first frame could leave, as contenders tell, where that is what a scenario is about.
pub fn start(cells: &[&Cell], environment: &Environment) -> Option<String> {
    // Who does not know says 0: nothing takes no time.
    let told = |s: &Sample| s.connect_s.filter(|seconds| *seconds > 0.0);
    let cells: Vec<&Cell> = cells.iter().copied().filter(|c| is_of_repeated(&c.key.scenario)).collect();
    let subjects = present(&cells, environment, |s| {
        s.role == Role::Contender && cells.iter().any(|c| has(c, s, |s| told(s).is_some()))
    });
    let head: Vec<String> = name_heads().into_iter().chain(subjects.iter().map(|s| format!("{} ms", s.name))).collect();
    let row = |cell: &&Cell| {
        let of = |s: &&SubjectInfo| Some(cell.measurement(&s.name)?.median(told)? * 1e3);
        names(cell).into_iter().chain(subjects.iter().map(|s| or_none(of(s)))).collect()
    };
    let body: Vec<Vec<String>> = cells.iter().map(row).collect();
    (!subjects.is_empty()).then(|| table(&head, &body, 3))
}

/// Bytes each way, and frames and round trips where a subject counts them.
pub fn wire(cells: &[&Cell], environment: &Environment) -> Option<String> {
    let counts = |s: &SubjectInfo, figure: fn(&Sample) -> bool| cells.iter().any(|c| has(c, s, figure));
    let subjects = present(cells, environment, |s| s.role != Role::Control && counts(s, |s| s.wire_out.is_some()));
    if subjects.is_empty() {
        return None;
    }
    let framed: Vec<&SubjectInfo> = subjects.iter().copied().filter(|s| counts(s, |s| s.frames.is_some())).collect();
    let mut head = name_heads();
    head.extend(subjects.iter().map(|s| format!("{} out / in", s.name)));
    head.extend(framed.iter().flat_map(|s| [format!("{} frames", s.name), format!("{} round trips", s.name)]));
    let body: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let mut line = names(cell);
            let get = |s: &SubjectInfo, figure: fn(&Sample) -> Option<f64>| cell.measurement(&s.name)?.median(figure);
            for subject in &subjects {
                let (out, back) =
                    (get(subject, |s| Some(s.wire_out? as f64)), get(subject, |s| Some(s.wire_in? as f64)));
                line.push(format!("{} / {}", bytes(out), bytes(back)));
            }
            for subject in &framed {
                let count = |value: Option<f64>| value.map_or(NONE.into(), |v| format!("{v:.0}"));
                line.push(count(get(subject, |s| Some(s.frames? as f64))));
                line.push(count(get(subject, |s| Some(s.round_trips? as f64))));
            }
            line
        })
        .collect();
    Some(table(&head, &body, 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group;
    use crate::report::tests::record;

    #[test]
    fn the_start_of_a_repeated_sync_is_told_and_an_unknown_one_is_not_nothing() {
        let mut run = record();
        let start = |run: &crate::record::store::Recorded| {
            let cells = group::cells(&run.samples);
            start(&cells.iter().collect::<Vec<_>>(), &run.environment)
        };
        run.samples.iter_mut().for_each(|s| s.connect_s = Some(0.25));
        assert_eq!(start(&run), None);
        run.samples.iter_mut().for_each(|s| s.scenario = "repeated/x".into());
        assert!(start(&run).unwrap().contains("250"));
        run.samples.iter_mut().for_each(|s| s.connect_s = Some(0.0));
        assert_eq!(start(&run), None);
    }
}
