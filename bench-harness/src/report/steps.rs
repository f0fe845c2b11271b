//! The tables of a transport's section where there are many builds of sy: one row a cell and subject, because a column for
//! each of them would be too wide to read.

use super::format::{NONE, bytes, engine, figure, or_none, ratio, table};
use super::tables;
use crate::claim;
use crate::group::{Cell, Measurement, Row};
use crate::metric::Metric;
use crate::record::environment::Environment;
use crate::record::sample::Sample;
use crate::subject::Role;

/// Medians, and for each build its ratio to the reference, engine ratio and verdict.
pub fn time(cells: &[&Cell], rows: &[&Row], environment: &Environment) -> String {
    let head = ["scenario", "operation", "direction", "subject", "time", "ratio [95 %]", "engine", "verdict"];
    lines(cells, environment, &head.map(String::from), |cell, name, measured| {
        let row = rows.iter().find(|r| r.cell.key == cell.key && r.contender == name);
        vec![
            tables::time(Some(measured.clone())),
            ratio(row.and_then(|r| r.ratio.as_ref())),
            row.and_then(|r| r.engine).map_or(NONE.into(), |value| engine(Some(value))),
            row.and_then(|r| r.verdict).map_or(NONE.into(), tables::verdict_word),
        ]
    })
}

/// What it took: session, scan, processor time, memory, heap, wire, frames, round trips.
pub fn costs(cells: &[&Cell], environment: &Environment) -> String {
    let head = [
        "scenario",
        "operation",
        "direction",
        "subject",
        "session ms",
        "scan ms",
        "cpu ms",
        "MiB",
        "allocations",
        "sender's heap",
        "wire",
        "frames",
        "round trips",
    ];
    lines(cells, environment, &head.map(String::from), |cell, name, measured| {
        let of = |metric| claim::median(cell, name, metric);
        let count = |metric| of(metric).map_or(NONE.into(), |v| format!("{v:.0}"));
        let ends = |near: fn(&Sample) -> Option<f64>, far: fn(&Sample) -> Option<f64>| match measured.median(far) {
            Some(far) => format!("{} / {}", or_none(measured.median(near)), figure(far)),
            None => or_none(measured.median(near)),
        };
        vec![
            or_none(of(Metric::Session).map(|s| s * 1e3)),
            or_none(of(Metric::Scan).map(|s| s * 1e3)),
            ends(|s| Some((s.user_s? + s.sys_s?) * 1e3), |s| Some((s.remote_user_s? + s.remote_sys_s?) * 1e3)),
            ends(|s| Some(s.max_rss_kib? as f64 / 1024.0), |s| Some(s.remote_max_rss_kib? as f64 / 1024.0)),
            count(Metric::Allocations),
            bytes(of(Metric::SenderHeapPeak)),
            bytes(of(Metric::Wire)),
            count(Metric::Frames),
            count(Metric::RoundTrips),
        ]
    })
}

/// A row for every subject of every cell but the controls.
fn lines(
    cells: &[&Cell],
    environment: &Environment,
    head: &[String],
    figures: impl Fn(&Cell, &str, &Measurement) -> Vec<String>,
) -> String {
    let mut body = Vec::new();
    for cell in cells {
        for subject in environment.subjects.iter().filter(|s| s.role != Role::Control) {
            let Some(measured) = cell.measurement(&subject.name) else { continue };
            let mut line = tables::names(cell);
            line.push(subject.name.clone());
            line.extend(figures(cell, &subject.name, &measured));
            body.push(line);
        }
    }
    table(head, &body, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group;
    use crate::report::tests::phases_record;

    #[test]
    fn every_subject_of_a_cell_has_a_row_of_its_own() {
        let run = phases_record();
        let cells = group::cells(&run.samples);
        let rows = group::conclude(&cells, &run.environment);
        let (cells, rows): (Vec<&Cell>, Vec<&Row>) = (cells.iter().collect(), rows.iter().collect());
        let text = time(&cells, &rows, &run.environment);
        let row = |text: &str, name: &str| {
            text.lines().find(|l| l.starts_with("| small_files") && l.contains(name)).unwrap().to_owned()
        };
        assert!(row(&text, "sy[all]").contains("200 ±0.000") && row(&text, "sy[all]").contains("0.50 [0.50, 0.50]"));
        assert!(row(&text, "| rsync").contains("400 ±0.000"));
        let text = costs(&cells, &run.environment);
        assert!(row(&text, "sy[none]").contains("80 |") && row(&text, "sy[none]").contains("9000"), "{text}");
    }
}
