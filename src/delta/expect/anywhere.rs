//! The baseline of phase 6.1: a match says nothing about what follows.

use super::{Expect, Position};

/// Nothing is expected but the basis' short end at its place, since no look-up would find it there.
pub struct Anywhere;

impl Expect for Anywhere {
    fn here(position: &mut impl Position, next: u32) -> Option<u32> {
        (position.is_short(next) && position.holds(next, 0)).then_some(next)
    }

    fn ahead(position: &mut impl Position, next: u32) -> Option<u32> {
        let behind = next.saturating_add(1);
        (position.is_short(behind) && position.holds(behind, 1)).then_some(behind)
    }
}
