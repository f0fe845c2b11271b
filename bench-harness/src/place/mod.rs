//! A place is where trees lie: this host, or a far one through the lab's agent. Both answer the same requests.
//!
//! The requests are the whole of what the lab needs at either end: make a scenario's trees, put the destination back,
//! check it, hand over a wrapper's result. So a far destination is compared where it lies and no tree is ever sent.

pub mod agent;
pub mod disk;
pub mod workshop;

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::child::measure::Usage;
use crate::record::environment::Machine;
use crate::scenario::Scenario;
use crate::scenario::generate::Version;

/// What a place is asked to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Describe the host.
    Describe,
    /// Make both versions of a scenario's tree, in the place of those that are there.
    Prepare {
        /// The scenario, at the size that is wanted.
        scenario: Box<Scenario>,
        /// The seed of its bytes.
        seed: u64,
    },
    /// Put the destination into the state that a run starts from.
    Start(Start),
    /// Say how the destination differs from a version of the tree.
    Check(Version),
    /// Say how the sources differ from what was made: a tool must not touch its source.
    Intact,
    /// Hand over and forget what a wrapper wrote under this name.
    Usage(String),
    /// Tell the time.
    Clock,
}

/// What a destination is before a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Start {
    /// An empty directory.
    Empty,
    /// The tree before the edits, every byte of it copied afresh.
    Fresh,
    /// The tree before the edits, where only what the last run changed is copied again.
    Restored,
}

/// What a place answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Response {
    /// It is done.
    Done,
    /// What the host is.
    Machine(Machine),
    /// The digests of the two versions of the tree; there is no second one where nothing is edited.
    Digests(String, Option<String>),
    /// The differences, and how many there are in all; only the first few are told.
    Differences(Vec<String>, usize),
    /// What a wrapper wrote, if it did.
    Usage(Option<Usage>),
    /// Nanoseconds since 1970.
    Clock(u64),
    /// It could not be done.
    Failed(String),
}

/// Where trees lie.
pub trait Place {
    /// Does what is asked.
    ///
    /// # Errors
    /// When it could not be done, or the place is out of reach.
    fn call(&mut self, request: &Request) -> Result<Response>;

    /// The directory that everything of the lab lies in at this place.
    fn dir(&self) -> PathBuf;

    /// By how many nanoseconds this place's clock is ahead of the lab's.
    fn clock_ahead_ns(&self) -> i64;

    /// Asks for something that is answered with `Done`.
    ///
    /// # Errors
    /// As `call`.
    fn tell(&mut self, request: &Request) -> Result<()> {
        match self.call(request)? {
            Response::Done => Ok(()),
            other => bail!("unexpected answer {other:?} to {request:?}"),
        }
    }

    /// Asks for differences and returns them in one line, or nothing where there are none.
    ///
    /// # Errors
    /// As `call`.
    fn differences(&mut self, request: &Request) -> Result<Option<String>> {
        match self.call(request)? {
            Response::Differences(_, 0) => Ok(None),
            Response::Differences(first, count) => Ok(Some(format!("{count} differences: {}", first.join("; ")))),
            other => bail!("unexpected answer {other:?} to {request:?}"),
        }
    }
}

/// The parts of a place's directory.
pub mod layout {
    /// The tree before the edits.
    pub const BEFORE: &str = "before";
    /// The tree after the edits.
    pub const AFTER: &str = "after";
    /// The destination.
    pub const DST: &str = "dst";
    /// What commands wrote: results, counters, output.
    pub const OUT: &str = "out";
    /// What is kept for a subject while a cell is measured: sockets. Short, because a socket's path has to be.
    pub const STATE: &str = "state";
}
