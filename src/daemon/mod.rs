//! The persistent server and its client. Seam for phase 4.1, `daemon`.
//!
//! `disabled` is the baseline: there is none, and `sy daemon` says so. A sibling offers the same `run`.

mod disabled;
pub use disabled::run;
