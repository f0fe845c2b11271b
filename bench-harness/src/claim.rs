//! What the plan claims for a phase, and what may be said of it: confirmed, refuted, inconclusive, inert. Pure.
//!
//! The number is read from the claim's own text, as `sy phases --json` prints it; the scenario that isolates the phase
//! says with which figure it is measured and which counter has to move. Compared are two builds that differ in the phase
//! alone. Every figure is one of cost, so "with" over "without" below 1 is a gain.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::group::{Cell, Key};
use crate::metric::Metric;
use crate::phases::{Build, Pair, Phase, pair};
use crate::scenario::Scenario;
use crate::stats::{self, Ratio};

/// With fewer pairs of a time nothing is said; a count is exact and needs one.
pub const CLAIM_MIN_PAIRS: usize = 3;
/// A counter that differs by less than this share has not moved: 1 %.
pub const COUNTER_MIN_MOVE: f64 = 0.01;

/// One claim as it is recorded with a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// The phase's id.
    pub phase: String,
    /// The words of the claim that this is about.
    pub part: String,
    /// The scenario that isolates the phase.
    pub scenario: String,
    /// The figure that the claim is about.
    pub metric: Metric,
    /// The largest ratio of that figure, with the phase to without, that is still what was claimed.
    pub most: f64,
    /// What must move, or the phase did nothing here.
    pub counter: Option<Metric>,
}

/// What is said of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The whole interval lies at or beyond the lower end of what was claimed.
    Confirmed,
    /// The whole interval falls short of it.
    Refuted,
    /// Neither.
    Inconclusive,
    /// The counter did not move: whatever the figure did is not the phase's doing.
    Inert,
    /// The run has no such figure.
    NotMeasured,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Judgement::Confirmed => "confirmed",
            Judgement::Refuted => "refuted",
            Judgement::Inconclusive => "inconclusive",
            Judgement::Inert => "inert",
            Judgement::NotMeasured => "not measured",
        })
    }
}

/// A claim and what one cell says of it.
#[derive(Clone, Debug)]
pub struct Finding<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// Where; none if the run has no cell of its scenario.
    pub cell: Option<&'a Key>,
    /// The two builds; none if the run has no such pair.
    pub pair: Option<Pair<'a>>,
    /// The figure with the phase to the figure without it.
    pub ratio: Option<Ratio>,
    /// The counter without the phase and with it.
    pub counter: Option<(f64, f64)>,
    /// What is said.
    pub judgement: Judgement,
}

/// The claims of the scenarios, with the bounds that their texts give.
///
/// # Errors
/// When a scenario is about a phase that there is not, or about words that the phase does not claim.
pub fn of_scenarios(scenarios: &[Scenario], table: &[Phase]) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for (scenario, id) in scenarios.iter().filter_map(|s| Some((s, s.phase.as_ref()?))) {
        let phase = table.iter().find(|phase| phase.id == *id);
        let phase = phase.with_context(|| format!("scenario {}: sy has no phase {id}", scenario.name))?;
        for declared in &scenario.claims {
            let (name, part) = (&scenario.name, &declared.part);
            ensure!(phase.claim.contains(part), "scenario {name}: phase {id} claims {:?}, not {part:?}", phase.claim);
            claims.push(Claim {
                phase: id.clone(),
                part: part.clone(),
                scenario: name.clone(),
                metric: declared.metric,
                most: bound(part).with_context(|| format!("scenario {name}: no number in {part:?}"))?,
                counter: declared.counter,
            });
        }
    }
    let place = |claim: &Claim| table.iter().position(|phase| phase.id == claim.phase);
    claims.sort_by_key(place);
    Ok(claims)
}

/// The largest ratio of cost that a claim's text allows, by the lower end of its range.
///
/// `+20-40 %` is a gain of speed: a fifth more in the same time is 1/1.2 of the time. `-50 %` is a cut of cost: 0.5.
/// `2-3x` is a factor of speed: 1/2.
pub fn bound(text: &str) -> Option<f64> {
    let text = text.trim_start();
    let (sign, rest) = match text.chars().next()? {
        sign @ ('+' | '-') => (Some(sign), &text[1..]),
        _ => (None, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let low: f64 = rest[..end].parse().ok()?;
    let unit = rest[end..].trim_start_matches(|c: char| c == '-' || c == '.' || c.is_ascii_digit()).trim_start();
    match (sign, unit.chars().next()?) {
        (Some('+'), '%') => Some(1.0 / (1.0 + low / 100.0)),
        (Some('-'), '%') if low < 100.0 => Some(1.0 - low / 100.0),
        (None, 'x') if low > 0.0 => Some(1.0 / low),
        _ => None,
    }
}

/// What is said of a claim, given the ratio, the counter's two values and how many pairs it takes.
pub fn judge(claim: &Claim, ratio: Option<&Ratio>, counter: Option<(f64, f64)>) -> Judgement {
    let Some(ratio) = ratio else { return Judgement::NotMeasured };
    let too_few = claim.metric.is_time() && ratio.pairs < CLAIM_MIN_PAIRS;
    match counter {
        Some((off, on)) if !moved(off, on) => Judgement::Inert,
        _ if too_few => Judgement::Inconclusive,
        _ if ratio.high <= claim.most => Judgement::Confirmed,
        _ if ratio.low > claim.most => Judgement::Refuted,
        _ => Judgement::Inconclusive,
    }
}

fn moved(off: f64, on: f64) -> bool {
    (on - off).abs() > COUNTER_MIN_MOVE * off.abs()
}

/// What a run says of each of its claims: one finding for every cell of the claim's scenario, and one where there is none.
pub fn findings<'a>(claims: &'a [Claim], cells: &'a [Cell<'a>], builds: &[Build<'a>]) -> Vec<Finding<'a>> {
    let mut found = Vec::new();
    for claim in claims {
        let before = found.len();
        let pair = pair(builds, &claim.phase);
        found.extend(cells.iter().filter(|c| c.key.scenario == claim.scenario).map(|cell| finding(claim, cell, pair)));
        if found.len() == before {
            let judgement = Judgement::NotMeasured;
            found.push(Finding { claim, cell: None, pair, ratio: None, counter: None, judgement });
        }
    }
    found
}

fn finding<'a>(claim: &'a Claim, cell: &'a Cell<'a>, pair: Option<Pair<'a>>) -> Finding<'a> {
    let ratio = pair.and_then(|pair| ratio(cell, &pair, claim.metric));
    let counter = pair
        .zip(claim.counter)
        .and_then(|(pair, counter)| median(cell, pair.base.name, counter).zip(median(cell, pair.with.name, counter)));
    let judgement = judge(claim, ratio.as_ref(), counter);
    Finding { claim, cell: Some(&cell.key), pair, ratio, counter, judgement }
}

/// The paired ratio of a figure, with to without.
pub fn ratio(cell: &Cell, pair: &Pair, metric: Metric) -> Option<Ratio> {
    let (with, base) = (cell.figures(pair.with.name, metric), cell.figures(pair.base.name, metric));
    stats::paired_ratio(&crate::group::pairs(&with, &base))
}

/// A subject's median of a figure.
pub fn median(cell: &Cell, subject: &str, metric: Metric) -> Option<f64> {
    let values: Vec<f64> = cell.figures(subject, metric).into_iter().map(|(_, value)| value).collect();
    stats::median(&values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group;
    use crate::phases::tests::phases;
    use crate::record::sample::tests::sample;
    use crate::record::sample::{Pass, Sample};

    fn close(text: &str, expected: f64) {
        let bound = bound(text).unwrap();
        assert!((bound - expected).abs() < 1e-12, "{text}: {bound}");
    }

    #[test]
    fn a_bound_is_the_lower_end_of_the_claim_as_a_ratio_of_cost() {
        close("+25 % throughput", 0.8);
        close("+20-40 % throughput on WAN", 1.0 / 1.2);
        close("-50 % allocations", 0.5);
        close("-30 % CPU of delta generation", 0.7);
        close("2-3x on first syncs", 0.5);
        close("3.5x on repeated syncs", 1.0 / 3.5);
        for nonsense in ["", "faster", "50 % faster", "-3x", "+ %", "-100 %", "+5"] {
            assert_eq!(bound(nonsense), None, "{nonsense}");
        }
    }

    fn claim(most: f64, counter: Option<Metric>) -> Claim {
        let (phase, part, scenario) = ("1.2".into(), "part".into(), "small_files".into());
        Claim { phase, part, scenario, metric: Metric::Session, most, counter }
    }

    fn ratio(low: f64, high: f64, pairs: usize) -> Ratio {
        Ratio { low, median: (low + high) / 2.0, high, pairs }
    }

    #[test]
    fn the_interval_against_the_bound_decides() {
        let judge = |low, high| judge(&claim(0.8, None), Some(&ratio(low, high, 5)), None);
        assert_eq!(judge(0.5, 0.6), Judgement::Confirmed);
        assert_eq!(judge(0.7, 0.8), Judgement::Confirmed);
        assert_eq!(judge(0.75, 0.85), Judgement::Inconclusive);
        assert_eq!(judge(0.85, 0.9), Judgement::Refuted);
        assert_eq!(judge(1.1, 1.2), Judgement::Refuted);
    }

    #[test]
    fn a_factor_of_speed_is_confirmed_by_its_lower_end_between_the_steps_before_and_with_the_phase() {
        let all = crate::scenario::load_all(&crate::workspace::root().unwrap().join("scenarios")).unwrap();
        let of = |id: &str| all.iter().filter(|s| s.phase.as_deref() == Some(id)).cloned().collect::<Vec<_>>();
        let phase = |id: &str, claim: &str| Phase { id: id.into(), claim: claim.into(), ..phases()[0].clone() };
        let table = [phase("4.1", "3.5x on repeated syncs"), phase("5.1", "2-3x on first syncs of large trees")];
        let claims = of_scenarios(&[of("4.1"), of("5.1")].concat(), &table).unwrap();
        assert_eq!(claims.iter().map(|c| c.metric).collect::<Vec<_>>(), [Metric::Wall, Metric::Session]);
        assert!((claims[0].most - 1.0 / 3.5).abs() < 1e-12 && (claims[1].most - 0.5).abs() < 1e-12);
        let judge = |low, high, trips| judge(&claims[1], Some(&ratio(low, high, 5)), Some(trips));
        assert_eq!(judge(0.3, 0.5, (4.0, 2.0)), Judgement::Confirmed);
        assert_eq!(judge(0.45, 0.55, (4.0, 2.0)), Judgement::Inconclusive);
        assert_eq!(judge(0.6, 0.7, (4.0, 2.0)), Judgement::Refuted);
        assert_eq!(judge(0.3, 0.5, (2.0, 2.0)), Judgement::Inert);
        let (before, with) = (vec!["4.1".to_owned()], vec!["4.1".to_owned(), "5.1".to_owned()]);
        let builds = [Build { name: "a", phases: &before }, Build { name: "b", phases: &with }];
        assert_eq!(pair(&builds, "5.1").map(|p| (p.base.name, p.with.name)), Some(("a", "b")));
    }

    #[test]
    fn a_counter_that_stands_still_makes_it_inert_whatever_the_time_did() {
        let judge = |off, on| judge(&claim(0.8, None), Some(&ratio(0.5, 0.6, 5)), Some((off, on)));
        assert_eq!(judge(1000.0, 1000.0), Judgement::Inert);
        assert_eq!(judge(1000.0, 1010.0), Judgement::Inert);
        assert_eq!(judge(0.0, 0.0), Judgement::Inert);
        assert_eq!(judge(1000.0, 1011.0), Judgement::Confirmed);
        assert_eq!(judge(0.0, 1.0), Judgement::Confirmed);
    }

    #[test]
    fn a_time_of_two_pairs_is_inconclusive_and_a_count_of_one_is_not() {
        let time = claim(0.8, None);
        let count = Claim { metric: Metric::Allocations, ..claim(0.8, None) };
        assert_eq!(judge(&time, Some(&ratio(0.5, 0.6, 2)), None), Judgement::Inconclusive);
        assert_eq!(judge(&count, Some(&ratio(0.5, 0.5, 1)), None), Judgement::Confirmed);
        assert_eq!(judge(&time, None, Some((1.0, 1.0))), Judgement::NotMeasured);
    }

    /// Five rounds in which `sy[b]` takes half of `sy[a]`'s time with a tenth of its round trips, and one counted pass.
    fn samples() -> Vec<Sample> {
        let mut all = Vec::new();
        for (name, factor, trips, allocations) in [("sy[a]", 1.0, 100, 4000), ("sy[b]", 0.5, 10, 1000)] {
            for round in 0..=5 {
                let session_s = Some(factor * (1.0 + f64::from(round) / 10.0));
                all.push(Sample { session_s, round_trips: Some(trips), ..sample(name, round, 2.0) });
            }
            let heap = (Some(allocations), Some(allocations));
            let counted = Sample { pass: Pass::Counted, wall_s: None, ..sample(name, 0, 0.0) };
            all.push(Sample { allocations: heap.0, remote_allocations: heap.1, ..counted });
        }
        all
    }

    #[test]
    fn a_finding_is_of_the_pair_in_the_claims_scenario_and_nothing_else() {
        let samples = samples();
        let cells = group::cells(&samples);
        let (a, b) = (vec!["1.1".to_owned()], vec!["1.1".to_owned(), "1.2".to_owned()]);
        let builds = [Build { name: "sy[a]", phases: &a }, Build { name: "sy[b]", phases: &b }];
        let heap = Claim { metric: Metric::Allocations, counter: Some(Metric::Allocations), ..claim(0.2, None) };
        let elsewhere = Claim { scenario: "opt/other".into(), ..claim(0.2, None) };
        let other_phase = Claim { phase: "2.1".into(), ..claim(0.2, None) };
        let claims = [claim(0.8, Some(Metric::RoundTrips)), heap, elsewhere, other_phase];
        let found = findings(&claims, &cells, &builds);
        assert_eq!(found.len(), 4);
        let first = &found[0];
        assert!((first.ratio.unwrap().median - 0.5).abs() < 1e-12 && first.ratio.unwrap().pairs == 5);
        assert_eq!((first.counter, first.judgement), (Some((100.0, 10.0)), Judgement::Confirmed));
        assert_eq!((first.pair.unwrap().base.name, first.pair.unwrap().with.name), ("sy[a]", "sy[b]"));
        // A quarter of the allocations is not the fifth that was claimed.
        assert_eq!((found[1].counter, found[1].judgement), (Some((8000.0, 2000.0)), Judgement::Refuted));
        assert!(found[2].cell.is_none() && found[2].judgement == Judgement::NotMeasured);
        assert!(found[3].pair.is_none() && found[3].judgement == Judgement::NotMeasured);
    }

    #[test]
    fn claims_come_in_the_plans_order_with_bounds_from_their_text_and_strange_ones_are_refused() {
        let scenario = |name: &str, phase: &str, part: &str| {
            let mut scenario = crate::scenario::tests::tiny();
            let claim = crate::scenario::Claim { part: part.into(), metric: Metric::Wall, counter: None };
            (scenario.name, scenario.phase, scenario.claims) = (name.into(), Some(phase.into()), vec![claim]);
            scenario
        };
        let two = [scenario("opt/b", "1.2", "+15-20 % throughput"), scenario("opt/a", "1.1", "+20-40 %")];
        let claims = of_scenarios(&two, &phases()).unwrap();
        assert_eq!(claims.iter().map(|c| c.phase.as_str()).collect::<Vec<_>>(), ["1.1", "1.2"]);
        assert!((claims[1].most - 1.0 / 1.15).abs() < 1e-12);
        let error = |s: Scenario| of_scenarios(&[s], &phases()).unwrap_err().to_string();
        assert!(error(scenario("opt/x", "1.1", "+99 %")).contains("claims \"+20-40 % throughput\", not \"+99 %\""));
        assert!(error(scenario("opt/x", "9.9", "+20-40 %")).contains("no phase 9.9"));
        assert!(error(scenario("opt/x", "1.1", "throughput")).contains("no number"));
    }
}
