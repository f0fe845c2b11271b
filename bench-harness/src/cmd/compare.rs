//! Compares two recorded runs: each contender's ratio to the reference, which was taken in its own run, and the
//! counters, which repeat exactly. Absolute times of two runs are never compared.

use std::path::Path;

use anyhow::Result;

use crate::group::{self, Cell};
use crate::record::sample::Sample;
use crate::record::store::{self, Recorded};
use crate::report::format::{NONE, direction, operation, ratio, table};
use crate::stats::Ratio;

/// Prints the comparison; always true, since it judges nothing: that is what `gate` is for.
///
/// # Errors
/// When a run cannot be read.
pub fn run(a: &Path, b: &Path) -> Result<bool> {
    print!("{}", render(&store::read(a)?, &store::read(b)?));
    Ok(true)
}

/// The comparison as a Markdown table.
pub fn render(a: &Recorded, b: &Recorded) -> String {
    let (cells_a, cells_b) = (group::cells(&a.samples), group::cells(&b.samples));
    let (rows_a, rows_b) = (group::conclude(&cells_a, &a.environment), group::conclude(&cells_b, &b.environment));
    let head = [
        "transport",
        "scenario",
        "operation",
        "direction",
        "subject",
        "A",
        "B",
        "change",
        "",
        "wire",
        "frames",
        "round trips",
    ];
    let mut lines = Vec::new();
    for (before, after) in group::shared(&rows_a, &rows_b) {
        let key = &before.cell.key;
        let counter = |figure: fn(&Sample) -> Option<u64>| counters(before.cell, after.cell, &before.contender, figure);
        let mut line = vec![key.transport.clone(), key.scenario.clone(), operation(key.operation).into()];
        line.extend([direction(key.direction).to_owned(), before.contender.clone()]);
        line.extend([ratio(before.ratio.as_ref()), ratio(after.ratio.as_ref())]);
        line.extend(change(before.ratio.as_ref(), after.ratio.as_ref()));
        line.push(counter(|s| Some(s.wire_out? + s.wire_in?)));
        line.extend([counter(|s| s.frames), counter(|s| s.round_trips)]);
        lines.push(line);
    }
    let left_out = rows_a.len() + rows_b.len() - 2 * lines.len();
    let left_out =
        if left_out == 0 { String::new() } else { format!("\n{left_out} rows are in one of the runs only.\n") };
    let (from, to) = (&a.environment, &b.environment);
    let name = |e: &crate::record::environment::Environment| {
        format!("{} ({}, {} cores)", e.date, e.machine.cpu, e.machine.cores)
    };
    let other = if from.machine.slug() == to.machine.slug() {
        ""
    } else {
        "Two machines: even ratios may differ for that reason alone.\n"
    };
    format!("A: {}\nB: {}\n{other}\n{}{left_out}", name(from), name(to), table(&head.map(String::from), &lines, 5))
}

/// The quotient of the two ratios, and a word where their intervals do not meet.
fn change(before: Option<&Ratio>, after: Option<&Ratio>) -> [String; 2] {
    let Some((a, b)) = before.zip(after) else { return [NONE.into(), NONE.into()] };
    let word = if b.high < a.low {
        "better"
    } else if b.low > a.high {
        "worse"
    } else {
        "same"
    };
    [format!("{:+.1} %", (b.median / a.median - 1.0) * 100.0), word.into()]
}

fn counters(a: &Cell, b: &Cell, subject: &str, figure: fn(&Sample) -> Option<u64>) -> String {
    let median = |cell: &Cell| cell.measurement(subject)?.median(|s| figure(s).map(|n| n as f64));
    match (median(a), median(b)) {
        (None, None) => NONE.into(),
        (Some(a), Some(b)) if a == b => format!("{a:.0}"),
        (a, b) => {
            format!("{} → {}", a.map_or(NONE.into(), |v| v.to_string()), b.map_or(NONE.into(), |v| v.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::record;

    #[test]
    fn a_run_compared_with_itself_is_the_same_everywhere() {
        let text = render(&record(), &record());
        assert!(text.contains("| same |") && !text.contains("better") && !text.contains("worse"));
        assert!(!text.contains("rows are in one"));
    }

    #[test]
    fn disjoint_intervals_are_named_and_counters_shown() {
        let (a, mut b) = (record(), record());
        for sample in b.samples.iter_mut().filter(|s| s.subject == "sy") {
            sample.wall_s = sample.wall_s.map(|t| t / 2.0);
            sample.wire_out = sample.wire_out.map(|n| n + 1);
        }
        let text = render(&a, &b);
        assert!(text.contains("-50.0 %") && text.contains("better") && text.contains("1100 → 1101"), "{text}");
        assert!(render(&b, &a).contains("worse"));
    }
}
