//! The tables of a run with `--phases`: the plan's claims with their verdicts, and all phases against none.

use super::format::{NONE, bytes, cell_text, direction, figure, operation, ratio, table};
use super::tables;
use crate::claim::{self, Finding, Judgement};
use crate::group::{self, Cell};
use crate::metric::Metric;
use crate::phases::{self, Build, Pair};
use crate::record::environment::Environment;
use crate::scenario::Direction;
use crate::stats::Ratio;
use crate::subject::Role;

/// One row a claim and cell; none where the run judges no claim.
pub fn claims(cells: &[Cell], environment: &Environment) -> Option<String> {
    let builds = group::builds(environment);
    let found = claim::findings(&environment.claims, cells, &builds);
    let head =
        ["phase", "claim", "measured [95 %]", "verdict", "figure", "scenario", "where", "without → with", "counter"];
    let body: Vec<Vec<String>> = found.iter().map(row).collect();
    (!body.is_empty()).then(|| table(&head.map(String::from), &body, head.len()))
}

fn row(finding: &Finding) -> Vec<String> {
    let claim = finding.claim;
    let place = finding.cell.map_or("no cell of it in this run".into(), |key| match key.direction {
        Direction::Local => format!("{}, {}", operation(key.operation), key.transport),
        way => format!("{}, {} {}", operation(key.operation), key.transport, direction(way)),
    });
    let pair = |pair: Pair| format!("{} → {}", pair.base.name, pair.with.name);
    vec![
        claim.phase.clone(),
        cell_text(&claim.part),
        finding.ratio.as_ref().map_or(NONE.into(), |r| in_its_terms(&claim.part, r)),
        match finding.judgement {
            // What needs work shall be seen from afar.
            loud @ (Judgement::Refuted | Judgement::Inert) => format!("**{loud}**"),
            quiet => quiet.to_string(),
        },
        claim.metric.word().into(),
        claim.scenario.clone(),
        place,
        finding.pair.map_or("no such pair of builds".into(), pair),
        finding.claim.counter.map_or(NONE.into(), |counter| counted(counter, finding.counter)),
    ]
}

/// A ratio of cost in the terms of the claim: a gain of speed in per cent, a cut of cost in per cent, or a factor of speed.
fn in_its_terms(part: &str, ratio: &Ratio) -> String {
    let Ratio { low, median, high, pairs } = *ratio;
    let (cost, speed) = ([median, low, high], [1.0 / median, 1.0 / high, 1.0 / low]);
    let per_cent = |of: [f64; 3]| of.map(|v| format!("{:+.1}", (v - 1.0) * 100.0));
    let ([median, low, high], unit) = match part.trim_start().chars().next() {
        Some('+') => (per_cent(speed), " %"),
        Some('-') => (per_cent(cost), " %"),
        _ => (speed.map(|v| format!("{v:.2}")), "x"),
    };
    // A count is taken once and is exact: there is no interval to tell.
    if pairs == 1 { format!("{median}{unit}") } else { format!("{median}{unit} [{low}, {high}]") }
}

fn counted(metric: Metric, values: Option<(f64, f64)>) -> String {
    let Some((off, on)) = values else { return format!("{}: not counted", metric.word()) };
    let show = |value: f64| match metric {
        Metric::HeapBytes | Metric::SenderHeapPeak | Metric::SenderList | Metric::Wire => bytes(Some(value)),
        metric if metric.is_time() => figure(value),
        _ => format!("{value:.0}"),
    };
    format!("{} {} → {}", metric.word(), show(off), show(on))
}

/// What all phases together make of each cell, or a build of what an earlier one did, with its title; none where the run has
/// no two such builds.
pub fn together(cells: &[Cell], environment: &Environment) -> Option<(String, String)> {
    let builds = group::builds(environment);
    let pair = phases::extremes(&builds).or_else(|| before(environment))?;
    let (base, with) = (pair.base.name, pair.with.name);
    let mut head = vec!["transport".to_owned(), "scenario".into(), "operation".into(), "direction".into()];
    let times = [Metric::Wall, Metric::Session, Metric::SenderCpu];
    head.extend(["time [95 %]", "session [95 %]", "sender's processor [95 %]"].map(String::from));
    let counters = [Metric::RoundTrips, Metric::Frames, Metric::Wire, Metric::Allocations, Metric::SenderHeapPeak];
    head.extend(counters.map(|metric| metric.word().to_owned()));
    let body: Vec<Vec<String>> = cells
        .iter()
        .map(|cell| {
            let mut line = vec![cell.key.transport.clone()];
            line.extend(tables::names(cell));
            line.extend(times.map(|metric| ratio(claim::ratio(cell, &pair, metric).as_ref())));
            let values = |metric| claim::median(cell, base, metric).zip(claim::median(cell, with, metric));
            line.extend(counters.map(|metric| change(metric, values(metric))));
            line
        })
        .collect();
    (!body.is_empty()).then(|| (format!("{with} against {base}"), table(&head, &body, 4)))
}

/// The contender and the earlier build of it, where the run has one.
fn before(environment: &Environment) -> Option<Pair<'_>> {
    let by = |role: Role| {
        let subject = environment.subjects.iter().find(|s| s.role == role)?;
        Some(Build { name: &subject.name, phases: &[] })
    };
    Some(Pair { base: by(Role::Before)?, with: by(Role::Contender)? })
}

fn change(metric: Metric, values: Option<(f64, f64)>) -> String {
    let shown = counted(metric, values);
    values.map_or(NONE.into(), |_| shown.trim_start_matches(metric.word()).trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::phases_record;

    #[test]
    fn figures_are_told_in_the_terms_of_the_claim() {
        let ratio = Ratio { low: 0.4, median: 0.5, high: 0.8, pairs: 5 };
        assert_eq!(in_its_terms("+20-40 % throughput", &ratio), "+100.0 % [+25.0, +150.0]");
        assert_eq!(in_its_terms("-50 % allocations", &ratio), "-50.0 % [-60.0, -20.0]");
        assert_eq!(in_its_terms("3.5x on repeated syncs", &ratio), "2.00x [1.25, 2.50]");
        assert_eq!(in_its_terms("-50 % allocations", &Ratio { pairs: 1, ..ratio }), "-50.0 %");
    }

    #[test]
    fn a_row_has_claim_measure_verdict_and_counter() {
        let run = phases_record();
        let cells = group::cells(&run.samples);
        let text = claims(&cells, &run.environment).unwrap();
        let row = |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap().to_owned();
        let confirmed = row("| 1.1");
        for part in ["+20 % throughput", "+100.0 % [+100.0, +100.0]", "| confirmed", "sy[none] → sy[1.1]"] {
            assert!(confirmed.contains(part), "{part} in {confirmed}");
        }
        assert!(confirmed.contains("initial, ssh:loopback push") && confirmed.contains("round trips 80 → 10"));
        assert!(row("| 1.2").contains("**inert**") && row("| 1.2").contains("frames 50 → 50"));
        assert!(row("| 2.1").contains("not measured") && row("| 2.1").contains("no cell of it"));
    }

    #[test]
    fn all_phases_are_set_against_none_in_every_cell() {
        let run = phases_record();
        let cells = group::cells(&run.samples);
        let (title, text) = together(&cells, &run.environment).unwrap();
        assert!(title == "sy[all] against sy[none]" && text.contains("0.50 [0.50, 0.50]"), "{title}: {text}");
        assert!(text.contains("80 → 10") && text.contains(NONE));
        assert_eq!(text.lines().count(), 2 + cells.len());
    }

    #[test]
    fn a_run_without_sets_has_neither_table() {
        let run = crate::report::tests::record();
        let cells = group::cells(&run.samples);
        assert!(claims(&cells, &run.environment).is_none() && together(&cells, &run.environment).is_none());
    }
}
