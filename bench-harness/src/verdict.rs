//! What may be said of a ratio: faster, slower, or nothing.
//!
//! Stages, in this order: enough pairs, an interval that leaves 1 out, and a difference larger than what the A/A control
//! (the same command twice) shows in the same cell. What fails one of them is inconclusive, which is an answer.

use std::fmt;

use crate::stats::Ratio;

/// With fewer pairs nothing is said.
pub const VERDICT_MIN_PAIRS: usize = 3;
/// Differences below this are never called one, however quiet the A/A control was: 2 %.
pub const VERDICT_MIN_EFFECT: f64 = 0.02;

/// What is said of a contender in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It takes less time than the reference.
    Faster,
    /// It takes more.
    Slower,
    /// Neither can be said.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::Inconclusive => "inconclusive",
        })
    }
}

/// How far the A/A control's interval reaches from 1, as a share: 0.05 for 5 %.
pub fn noise(control: &Ratio) -> f64 {
    control.low.ln().abs().max(control.high.ln().abs()).exp() - 1.0
}

/// The verdict on a ratio to the reference, given the cell's A/A control if there is one.
pub fn judge(ratio: &Ratio, control: Option<&Ratio>) -> Verdict {
    let least = control.map_or(0.0, noise).max(VERDICT_MIN_EFFECT);
    let effect = ratio.median.ln().abs().exp() - 1.0;
    if ratio.pairs < VERDICT_MIN_PAIRS || effect <= least {
        Verdict::Inconclusive
    } else if ratio.high < 1.0 {
        Verdict::Faster
    } else if ratio.low > 1.0 {
        Verdict::Slower
    } else {
        Verdict::Inconclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(low: f64, median: f64, high: f64) -> Ratio {
        Ratio { median, low, high, pairs: 5 }
    }

    #[test]
    fn interval_that_leaves_one_out_decides() {
        let quiet = ratio(0.99, 1.0, 1.01);
        let table = [
            (ratio(0.4, 0.5, 0.6), Verdict::Faster),
            (ratio(1.2, 1.3, 1.4), Verdict::Slower),
            (ratio(0.8, 0.9, 1.01), Verdict::Inconclusive),
            (ratio(0.99, 1.2, 1.4), Verdict::Inconclusive),
        ];
        for (ratio, expected) in table {
            assert_eq!(judge(&ratio, Some(&quiet)), expected, "{ratio:?}");
        }
    }

    #[test]
    fn a_difference_inside_the_control_is_inconclusive() {
        let difference = ratio(0.85, 0.9, 0.95);
        assert_eq!(judge(&difference, Some(&ratio(0.98, 1.0, 1.02))), Verdict::Faster);
        assert_eq!(judge(&difference, Some(&ratio(0.8, 0.95, 1.05))), Verdict::Inconclusive);
        assert_eq!(judge(&difference, None), Verdict::Faster);
    }

    #[test]
    fn tiny_effects_and_few_pairs_are_inconclusive() {
        assert_eq!(judge(&ratio(0.98, 0.985, 0.99), None), Verdict::Inconclusive);
        let two = Ratio { pairs: 2, ..ratio(0.4, 0.5, 0.6) };
        assert_eq!(judge(&two, None), Verdict::Inconclusive);
    }

    #[test]
    fn noise_is_the_farther_end_as_a_share() {
        assert!((noise(&ratio(0.8, 1.0, 1.1)) - 0.25).abs() < 1e-12);
        assert!((noise(&ratio(0.95, 1.0, 1.1)) - 0.1).abs() < 1e-12);
    }
}
