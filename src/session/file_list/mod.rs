//! How the list and the decisions on it cross the link. Seam for phase 5.1, `incremental-recursion`.
//!
//! `whole` is the baseline: all of the list, then all of the decisions, then contents. `streamed` lists, decides and
//! transfers at once, directory by directory. Every build understands both, so what is chosen here is what a sender does:
//! `STREAMS`, and `lister` and `stream`, which only a build that streams offers something for.

#[cfg(any(test, feature = "incremental-recursion"))]
mod streamed;
mod whole;

use std::sync::Arc;

pub use whole::{decide, exchange, receive};

use super::Session;
use crate::error::Result;
use crate::events::Monitor;
use crate::filter::Filter;
use crate::options::Options;
use crate::protocol::message::Counters;
use crate::source::lister::Lister;

/// Whether this build sends its list while it is made.
pub const STREAMS: bool = cfg!(feature = "incremental-recursion");

/// Begins to list `sources`; `None` where the whole list is sent at once.
pub fn lister(sources: &[Vec<u8>], options: &Options, seed: u64, monitor: &Arc<Monitor>) -> Option<Lister> {
    // A rule that makes no sense is told when the session begins.
    let filter = Filter::of(options).ok().filter(|_| STREAMS)?;
    Lister::start(sources, options, &filter, seed, monitor)
}

/// Sends what `lister` lists, and what is wanted of it.
///
/// # Errors
/// What ended the session early.
#[cfg(any(test, feature = "incremental-recursion"))]
pub fn stream(session: &mut Session, lister: Lister) -> Result<(Counters, Option<Counters>)> {
    streamed::run(session, lister)
}

/// Never called: `lister` has none.
///
/// # Errors
/// Always.
#[cfg(not(any(test, feature = "incremental-recursion")))]
pub fn stream(_: &mut Session, _: Lister) -> Result<(Counters, Option<Counters>)> {
    Err(crate::error::Error::Stream("this build lists the whole source first".into()))
}
