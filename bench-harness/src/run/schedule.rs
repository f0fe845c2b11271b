//! Which rounds a cell has and in which order subjects take their turns. Pure.
//!
//! Rounds are interleaved, A B C then C B A, so that a drift of the machine falls on all subjects alike and no subject
//! always follows the same one.

use crate::record::sample::Pass;
use crate::scenario::{Operation, Scenario};
use crate::subject::Subject;

/// How much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Warm-up, first-byte passes and this many timed rounds.
    Full(u32),
    /// Warm-up, timed rounds, and a pass of the counting builds: what a run with `--phases` has.
    Phases {
        /// Timed rounds where a scenario isolates a phase, since verdicts on claims rest on them.
        claims: u32,
        /// Timed rounds elsewhere.
        others: u32,
    },
    /// One round that warms up and takes the first byte, and this many timed rounds.
    Quick(u32),
    /// One round that only checks.
    Verify,
}

/// First-byte passes of a full measurement.
pub const FIRST_BYTE_PASSES: usize = 3;

/// Which subjects a round is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All of them.
    All,
    /// All of them, and those that take part in first-byte passes are watched.
    AllWatched,
    /// Only those, watched.
    Watched,
    /// Only those that have a counting build, which is run in their place.
    Counting,
}

/// One round of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// 0 for what is not measured.
    pub number: u32,
    /// Whom it is for.
    pub who: Who,
}

impl Round {
    /// Whether a subject has a turn in this round.
    pub fn includes(self, subject: &Subject) -> bool {
        match self.who {
            Who::All | Who::AllWatched => true,
            Who::Watched => subject.first_byte,
            Who::Counting => subject.counting_program.is_some(),
        }
    }

    /// What a subject's sample of this round is for.
    pub fn pass(self, subject: &Subject) -> Pass {
        match (self.number, self.who) {
            (0, Who::Counting) => Pass::Counted,
            (0, Who::AllWatched | Who::Watched) if subject.first_byte => Pass::FirstByte,
            (0, _) => Pass::WarmUp,
            _ => Pass::Timed,
        }
    }
}

impl Effort {
    /// The rounds of a cell, in order.
    pub fn rounds(self, scenario: &Scenario, operation: Operation) -> Vec<Round> {
        let untimed = |who| Round { number: 0, who };
        let (runs, passes): (u32, &[Pass]) = match self {
            Effort::Full(runs) => (runs, &[Pass::FirstByte, Pass::Timed]),
            Effort::Phases { claims, .. } if scenario.phase.is_some() => (claims, &[Pass::Timed, Pass::Counted]),
            Effort::Phases { others, .. } => (others, &[Pass::Timed, Pass::Counted]),
            Effort::Quick(runs) => (runs, &[Pass::FirstByte, Pass::Timed]),
            Effort::Verify => (0, &[]),
        };
        let wanted = |pass| match (&scenario.passes, self) {
            (_, Effort::Verify) | (None, _) => passes.contains(&pass),
            (Some(own), _) => own.contains(&pass),
        };
        // Where nothing changes there is no first byte to see.
        let watched = wanted(Pass::FirstByte) && operation != Operation::Incremental;
        let joined = watched && matches!(self, Effort::Quick(_));
        let mut rounds = vec![untimed(if joined { Who::AllWatched } else { Who::All })];
        if watched && !joined {
            rounds.extend([untimed(Who::Watched); FIRST_BYTE_PASSES]);
        }
        if wanted(Pass::Timed) {
            let most = scenario.rounds.unwrap_or(runs);
            rounds.extend((1..=runs.min(most)).map(|number| Round { number, who: Who::All }));
        }
        if self.counts(scenario) {
            rounds.push(untimed(Who::Counting));
        }
        rounds
    }

    /// Whether the scenario has a pass of counting builds.
    pub fn counts(self, scenario: &Scenario) -> bool {
        let wanted = scenario.passes.as_ref().is_none_or(|passes| passes.contains(&Pass::Counted));
        wanted && matches!(self, Effort::Phases { .. })
    }
}

/// The order of `n` subjects in a round.
pub fn order(round: u32, n: usize) -> Vec<usize> {
    if round > 0 && round.is_multiple_of(2) { (0..n).rev().collect() } else { (0..n).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::tiny;

    #[test]
    fn rounds_alternate_their_order() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [0, 1, 2]);
        assert_eq!(order(2, 3), [2, 1, 0]);
        assert_eq!(order(3, 3), [0, 1, 2]);
    }

    /// A scenario that leaves everything to the run, or isolates a phase.
    fn scenario(of_phase: bool) -> Scenario {
        Scenario { phase: of_phase.then(|| "1.1".to_owned()), ..tiny() }
    }

    #[test]
    fn a_full_cell_warms_up_watches_and_then_times() {
        let rounds = Effort::Full(2).rounds(&scenario(false), Operation::Delta);
        let expected =
            [(0, Who::All), (0, Who::Watched), (0, Who::Watched), (0, Who::Watched), (1, Who::All), (2, Who::All)];
        assert_eq!(rounds.iter().map(|r| (r.number, r.who)).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_is_watched_where_nothing_changes() {
        for effort in [Effort::Full(1), Effort::Quick(1)] {
            let rounds = effort.rounds(&scenario(false), Operation::Incremental);
            assert!(rounds.iter().all(|r| r.who == Who::All));
        }
    }

    #[test]
    fn a_scenario_bounds_its_rounds_and_chooses_its_passes() {
        let long = Scenario { rounds: Some(3), passes: Some(vec![Pass::Timed]), ..scenario(false) };
        let of = |effort: Effort, scenario: &Scenario| {
            effort.rounds(scenario, Operation::Initial).iter().map(|r| (r.number, r.who)).collect::<Vec<_>>()
        };
        let three = [(0, Who::All), (1, Who::All), (2, Who::All), (3, Who::All)];
        for effort in [Effort::Full(9), Effort::Phases { claims: 9, others: 9 }, Effort::Quick(9)] {
            assert_eq!(of(effort, &long), three, "{effort:?}");
        }
        assert_eq!(of(Effort::Full(1), &long), three[..2]);
        assert_eq!(of(Effort::Verify, &long), three[..1]);
        let watched = Scenario { passes: Some(vec![Pass::FirstByte]), ..scenario(false) };
        let passes = [(0, Who::All), (0, Who::Watched), (0, Who::Watched), (0, Who::Watched)];
        assert_eq!(of(Effort::Phases { claims: 2, others: 1 }, &watched), passes);
        assert_eq!(of(Effort::Quick(2), &watched), [(0, Who::AllWatched)]);
    }

    fn subject(first_byte: bool, counting: bool) -> Subject {
        let counting_program = counting.then(|| "sy-counting".to_owned());
        Subject { first_byte, counting_program, ..crate::subject::tests::named("x") }
    }

    #[test]
    fn a_quick_cell_has_one_round_that_is_not_timed_and_verify_has_no_other() {
        let rounds = Effort::Quick(2).rounds(&scenario(false), Operation::Initial);
        assert_eq!(rounds.iter().map(|r| r.number).collect::<Vec<_>>(), [0, 1, 2]);
        let pass = |first_byte| rounds[0].pass(&subject(first_byte, false));
        assert_eq!((pass(true), pass(false)), (Pass::FirstByte, Pass::WarmUp));
        assert_eq!(Effort::Verify.rounds(&scenario(false), Operation::Initial).len(), 1);
    }

    #[test]
    fn counting_builds_have_a_pass_of_their_own_that_is_never_timed() {
        for operation in Operation::ALL {
            let rounds = Effort::Phases { claims: 2, others: 1 }.rounds(&scenario(true), operation);
            let passes: Vec<Pass> = rounds.iter().map(|r| r.pass(&subject(true, true))).collect();
            assert_eq!(passes, [Pass::WarmUp, Pass::Timed, Pass::Timed, Pass::Counted]);
            let without: Vec<bool> = rounds.iter().map(|r| r.includes(&subject(true, false))).collect();
            assert_eq!(without, [true, true, true, false]);
        }
    }

    #[test]
    fn a_scenario_that_isolates_a_phase_has_rounds_of_its_own_number() {
        let timed = |of_phase| {
            let rounds = Effort::Phases { claims: 5, others: 3 }.rounds(&scenario(of_phase), Operation::Initial);
            rounds.iter().filter(|round| round.number > 0).count()
        };
        assert_eq!((timed(true), timed(false)), (5, 3));
    }

    #[test]
    fn a_timed_round_is_never_watched() {
        let timed = Round { number: 1, who: Who::All };
        assert_eq!(timed.pass(&subject(true, true)), Pass::Timed);
    }
}
