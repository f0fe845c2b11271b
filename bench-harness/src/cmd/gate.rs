//! Judges a run against an earlier one: what got worse, by how much, and whether that is more than chance makes of it.
//!
//! Counters repeat exactly on one input, so the least of the later run is held against the most of the earlier one.
//! Times are judged as ratios to the reference taken in their own run: where the intervals do not meet, and the change is
//! more than both runs' A/A controls show. Absolute times of two runs are never compared.

use std::path::Path;

use anyhow::{Result, bail};

use crate::group::{self, Row};
use crate::metric::Metric;
use crate::record::sample::OK;
use crate::record::store::{self, Recorded};
use crate::report::format::{NONE, direction, operation, ratio, table};
use crate::stats::Ratio;
use crate::verdict;

/// Counters may grow by this share: a keepalive more or less, or another length of a number. 2 %.
const GATE_COUNTER_SHARE: f64 = 0.02;
/// And by this much whatever the share, for cells that count a handful.
const GATE_COUNTER_LEAST: f64 = 1.0;
/// Ratios may grow by this share, however quiet the A/A controls were: 10 %.
const GATE_RATIO_SHARE: f64 = 0.1;
/// What repeats exactly, or so nearly that the allowance covers it.
const COUNTERS: [Metric; 5] =
    [Metric::RoundTrips, Metric::Frames, Metric::Wire, Metric::Allocations, Metric::SenderList];

/// Something that got worse.
#[derive(Clone, Debug, PartialEq)]
struct Regression {
    cell: [String; 4],
    contender: String,
    figure: &'static str,
    before: String,
    after: String,
    /// As a share: 0.1 is a tenth more; no number where it is none.
    change: f64,
}

/// Prints what regressed from the run `a` to the run `b`; whether nothing did.
///
/// # Errors
/// When a run cannot be read, or the two have nothing in common.
pub fn run(a: &Path, b: &Path) -> Result<bool> {
    let (before, after) = (store::read(a)?, store::read(b)?);
    let (judged, regressions) = judge(&before, &after)?;
    print!("{}", render(&before, &after, judged, &regressions));
    Ok(regressions.is_empty())
}

/// How many rows both runs have, and what regressed in them.
fn judge(a: &Recorded, b: &Recorded) -> Result<(usize, Vec<Regression>)> {
    let (cells_a, cells_b) = (group::cells(&a.samples), group::cells(&b.samples));
    let (rows_a, rows_b) = (group::conclude(&cells_a, &a.environment), group::conclude(&cells_b, &b.environment));
    let shared = group::shared(&rows_a, &rows_b);
    if shared.is_empty() {
        bail!("the two runs have no cell in common");
    }
    // Times of two machines differ in more than what was changed, and so do ratios of them.
    let alike = a.environment.machine.slug() == b.environment.machine.slug();
    let regressions = shared.iter().flat_map(|(before, after)| {
        let counters = COUNTERS.iter().filter_map(|metric| counter(before, after, *metric));
        failure(before, after)
            .into_iter()
            .chain(counters)
            .chain(time(before, after).filter(|_| alike))
            .collect::<Vec<_>>()
    });
    Ok((shared.len(), regressions.collect()))
}

/// A sync that went wrong has no figures: that it did is what got worse.
fn failure(before: &Row, after: &Row) -> Option<Regression> {
    let errors = |row: &Row| row.cell.measurement(&row.contender).map(|measured| measured.errors).unwrap_or_default();
    let (was, is) = (errors(before), errors(after));
    (was.is_empty() && !is.is_empty()).then(|| regression(before, "outcome", OK.into(), is.join(", "), f64::NAN))
}

fn counter(before: &Row, after: &Row, metric: Metric) -> Option<Regression> {
    let figures = |row: &Row| row.cell.figures(&row.contender, metric).into_iter().map(|(_, figure)| figure);
    let (most, least) = (figures(before).reduce(f64::max)?, figures(after).reduce(f64::min)?);
    let allowed = most + GATE_COUNTER_LEAST.max(most * GATE_COUNTER_SHARE);
    let share = least / most.max(1.0) - 1.0;
    (least > allowed).then(|| regression(before, metric.word(), format!("{most}"), format!("{least}"), share))
}

fn time(before: &Row, after: &Row) -> Option<Regression> {
    let (a, b) = (before.ratio.as_ref()?, after.ratio.as_ref()?);
    let noise = |row: &Row| row.control.as_ref().map_or(0.0, verdict::noise);
    let allowed = GATE_RATIO_SHARE.max(noise(before)).max(noise(after));
    let pairs = a.pairs.min(b.pairs);
    let change = b.median / a.median - 1.0;
    let is_worse = pairs >= verdict::VERDICT_MIN_PAIRS && b.low > a.high && change > allowed;
    let word = |ratio_of: &Ratio| ratio(Some(ratio_of));
    is_worse.then(|| regression(before, "time, ratio to the reference", word(a), word(b), change))
}

fn regression(row: &Row, figure: &'static str, before: String, after: String, change: f64) -> Regression {
    let key = &row.cell.key;
    let cell =
        [key.transport.clone(), key.scenario.clone(), operation(key.operation).into(), direction(key.direction).into()];
    Regression { cell, contender: row.contender.clone(), figure, before, after, change }
}

fn render(a: &Recorded, b: &Recorded, judged: usize, regressions: &[Regression]) -> String {
    let name = |run: &Recorded| format!("{} ({})", run.environment.date, run.environment.machine.slug());
    let runs = format!("earlier: {}\nlater: {}\n", name(a), name(b));
    let other = if a.environment.machine.slug() == b.environment.machine.slug() {
        ""
    } else {
        "Two machines: only counters are judged.\n"
    };
    if regressions.is_empty() {
        return format!("{runs}{other}nothing got worse in {judged} rows\n");
    }
    let head = ["transport", "scenario", "operation", "direction", "subject", "figure", "earlier", "later", "change"];
    let lines: Vec<Vec<String>> = regressions
        .iter()
        .map(|it| {
            let tail = [it.contender.clone(), it.figure.into(), it.before.clone(), it.after.clone()];
            let change = if it.change.is_nan() { NONE.into() } else { format!("{:+.1} %", it.change * 100.0) };
            it.cell.iter().cloned().chain(tail).chain([change]).collect()
        })
        .collect();
    format!(
        "{runs}{other}{} figures got worse in {judged} rows:\n\n{}",
        regressions.len(),
        table(&head.map(String::from), &lines, 6)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::record;

    fn judged(a: &Recorded, b: &Recorded) -> Vec<&'static str> {
        judge(a, b).unwrap().1.iter().map(|it| it.figure).collect()
    }

    fn of_sy(mut run: Recorded, change: impl Fn(&mut crate::record::sample::Sample)) -> Recorded {
        run.samples.iter_mut().filter(|sample| sample.subject == "sy").for_each(change);
        run
    }

    #[test]
    fn a_run_is_no_worse_than_itself() {
        assert_eq!(judged(&record(), &record()), [""; 0]);
    }

    #[test]
    fn a_counter_that_grew_is_named_and_one_that_shrank_is_not() {
        let more = of_sy(record(), |sample| sample.wire_out = sample.wire_out.map(|n| n + 200));
        let found = judged(&record(), &more);
        assert!(!found.is_empty() && found.iter().all(|figure| *figure == "wire bytes"), "{found:?}");
        assert_eq!(judged(&more, &record()), [""; 0]);
        let (rows, regressions) = judge(&record(), &more).unwrap();
        let text = render(&record(), &more, rows, &regressions);
        assert!(text.contains("| wire bytes |") && text.contains("+18.2 %"), "{text}");
    }

    #[test]
    fn what_the_allowance_covers_is_no_regression() {
        let little_more = of_sy(record(), |sample| sample.wire_out = sample.wire_out.map(|n| n + 20));
        assert_eq!(judged(&record(), &little_more), [""; 0]);
    }

    #[test]
    fn a_ratio_is_worse_where_the_intervals_do_not_meet_and_on_one_machine_alone() {
        let slower = of_sy(record(), |sample| sample.wall_s = sample.wall_s.map(|wall| wall * 2.0));
        let found = judged(&record(), &slower);
        assert!(found.contains(&"time, ratio to the reference"), "{found:?}");
        let mut elsewhere = slower;
        elsewhere.environment.machine.cores += 1;
        assert_eq!(judged(&record(), &elsewhere), [""; 0]);
    }

    #[test]
    fn a_sync_that_went_wrong_got_worse_and_one_that_always_did_has_not() {
        let broken = of_sy(record(), |sample| sample.outcome = "exit 23".into());
        let found = judged(&record(), &broken);
        assert!(!found.is_empty() && found.iter().all(|figure| *figure == "outcome"), "{found:?}");
        assert_eq!(judged(&broken, &broken), [""; 0]);
    }

    #[test]
    fn runs_with_nothing_in_common_are_not_judged() {
        let mut other = record();
        other.samples.iter_mut().for_each(|sample| sample.scenario = "another".into());
        assert!(judge(&record(), &other).unwrap_err().to_string().contains("in common"));
    }
}
