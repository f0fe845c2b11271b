//! Which rounds a cell has and in which order subjects take their turns. Pure.
//!
//! Rounds are interleaved, A B C then C B A, so that a drift of the machine falls on all subjects alike and no subject
//! always follows the same one.

use crate::record::sample::Pass;
use crate::scenario::Operation;

/// How much of it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Warm-up, first-byte passes and this many timed rounds.
    Full(u32),
    /// One round that warms up and takes the first byte, and this many timed rounds.
    Quick(u32),
    /// One round that only checks.
    Verify,
}

/// First-byte passes of a full measurement.
pub const FIRST_BYTE_PASSES: usize = 3;

/// One round of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// 0 for what is not measured.
    pub number: u32,
    /// Whether the subjects that take part in first-byte passes are watched.
    pub watched: bool,
    /// Whether only those take part.
    pub watched_only: bool,
}

impl Round {
    /// What a sample of this round is for, given whether its subject takes part in first-byte passes.
    pub fn pass(self, first_byte: bool) -> Pass {
        match (self.number, self.watched && first_byte) {
            (0, true) => Pass::FirstByte,
            (0, false) => Pass::WarmUp,
            _ => Pass::Timed,
        }
    }
}

impl Effort {
    /// The rounds of a cell, in order.
    pub fn rounds(self, operation: Operation) -> Vec<Round> {
        // Where nothing changes there is no first byte to see.
        let writes = operation != Operation::Incremental;
        let warm_up = |watched| Round { number: 0, watched, watched_only: false };
        let mut rounds = vec![warm_up(writes && matches!(self, Effort::Quick(_)))];
        if writes && matches!(self, Effort::Full(_)) {
            rounds.extend([Round { number: 0, watched: true, watched_only: true }; FIRST_BYTE_PASSES]);
        }
        if let Effort::Full(runs) | Effort::Quick(runs) = self {
            rounds.extend((1..=runs).map(|number| Round { number, watched: false, watched_only: false }));
        }
        rounds
    }
}

/// The order of `n` subjects in a round.
pub fn order(round: u32, n: usize) -> Vec<usize> {
    if round > 0 && round.is_multiple_of(2) { (0..n).rev().collect() } else { (0..n).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alternate_their_order() {
        assert_eq!(order(0, 3), [0, 1, 2]);
        assert_eq!(order(1, 3), [0, 1, 2]);
        assert_eq!(order(2, 3), [2, 1, 0]);
        assert_eq!(order(3, 3), [0, 1, 2]);
    }

    #[test]
    fn a_full_cell_warms_up_watches_and_then_times() {
        let rounds = Effort::Full(2).rounds(Operation::Delta);
        let numbers: Vec<(u32, bool)> = rounds.iter().map(|r| (r.number, r.watched)).collect();
        assert_eq!(numbers, [(0, false), (0, true), (0, true), (0, true), (1, false), (2, false)]);
    }

    #[test]
    fn nothing_is_watched_where_nothing_changes() {
        for effort in [Effort::Full(1), Effort::Quick(1)] {
            assert!(effort.rounds(Operation::Incremental).iter().all(|r| !r.watched));
        }
    }

    #[test]
    fn a_quick_cell_has_one_round_that_is_not_timed_and_verify_has_no_other() {
        let rounds = Effort::Quick(2).rounds(Operation::Initial);
        assert_eq!(rounds.iter().map(|r| r.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((rounds[0].pass(true), rounds[0].pass(false)), (Pass::FirstByte, Pass::WarmUp));
        assert_eq!(Effort::Verify.rounds(Operation::Initial).len(), 1);
    }

    #[test]
    fn a_timed_round_is_never_watched() {
        let timed = Round { number: 1, watched: false, watched_only: false };
        assert_eq!(timed.pass(true), Pass::Timed);
    }
}
