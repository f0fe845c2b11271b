//! Phase 1.1: the more files and the longer the way, the more under way at once.
//!
//! The plan's figures, but that its formula gave less above 50 ms than between 20 and 50 ms, which cannot have been
//! meant: the factor grows with the round-trip time throughout.

use std::time::Duration;

use super::MAX_DEPTH;

/// Files from which on a way without delay gets the depth beside it.
const BY_FILES: [(usize, usize); 2] = [(500, 32), (100, 16)];
/// The depth for fewer.
const LEAST: usize = 8;
/// Milliseconds of round-trip time beyond which the depth is multiplied by the factor beside it.
const BY_RTT: [(u64, usize); 2] = [(50, 4), (20, 2)];

/// Requests under way at once, for a transfer of `files` over a link of round-trip time `rtt`.
pub fn depth(files: usize, rtt: Option<Duration>) -> usize {
    let base = BY_FILES.iter().find(|(more_than, _)| files > *more_than).map_or(LEAST, |(_, depth)| *depth);
    let millis = rtt.map_or(0, |rtt| rtt.as_millis() as u64);
    let factor = BY_RTT.iter().find(|(more_than, _)| millis > *more_than).map_or(1, |(_, factor)| *factor);
    (base * factor).min(MAX_DEPTH)
}
