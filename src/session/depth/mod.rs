//! How many files a sender has under way at once. Seam for phase 1.1, `adaptive-pipeline`.
//!
//! `fixed` is the baseline. A sibling offers the same function of the number of files and the measured round-trip time.

mod fixed;
pub use fixed::depth;

/// Most files under way at once, in any build: a receiver holds a sender to it.
pub const MAX_DEPTH: usize = 64;
