//! Expects the basis' own order: unchanged stretches then cost one hash, and an edit in place no rolling.

use super::{Expect, Position};

/// The next block is expected here; where it was edited, the one behind it is expected where it was.
pub struct Neighbour;

impl Expect for Neighbour {
    fn here(position: &mut impl Position, next: u32) -> Option<u32> {
        position.holds(next, 0).then_some(next)
    }

    fn ahead(position: &mut impl Position, next: u32) -> Option<u32> {
        let behind = next.saturating_add(1);
        position.holds(behind, 1).then_some(behind)
    }
}
