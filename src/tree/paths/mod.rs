//! The two paths of an entry: as read (root and all) and below the root. Seam for phase 2.2, `path-dedup`.
//!
//! `two` is the baseline: an allocation for each path. What a sibling must offer: `new`, `path`, `relative`, `Clone`.

mod two;
pub use two::Paths;
