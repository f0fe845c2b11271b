//! How the list and the decisions on it cross the link. Seam for phase 5.1, `incremental-recursion`.
//!
//! `whole` is the baseline: all of the list, then all of the decisions, then contents.

mod whole;
pub use whole::{decide, exchange, receive};
