//! Running: in which order, one sync at a time, and what is made of it. The only part that starts subjects.

pub mod counters;
pub mod execute;
pub mod keep;
pub mod schedule;
pub mod session;
pub mod soak;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::place::Place;
use crate::place::agent::Agent;
use crate::place::workshop::Workshop;
use crate::scenario::{Direction, Over, Scenario};
use crate::ssh::Endpoint;

/// Everything that a sync needs besides its cell and its subject.
#[derive(Debug)]
pub struct Lab {
    /// The lab's own binary, which wraps every command.
    pub own: PathBuf,
    /// The trees on this host.
    pub near: Workshop,
    /// Seconds after which a sync is ended.
    pub timeout_s: u64,
    /// How many syncs there were: every one has result files of its own, so that a late one is never read for another.
    pub count: u64,
}

/// A way from one end to the other.
#[derive(Debug)]
pub struct Transport {
    /// Its name in samples and tables.
    pub label: String,
    /// The far end; none where both ends are on this host without SSH.
    pub far: Option<Far>,
    /// Whether it is there for the scenarios that isolate a phase and no others.
    pub of_phases: bool,
}

/// The far end of a transport.
#[derive(Debug)]
pub struct Far {
    /// How it is reached.
    pub endpoint: Endpoint,
    /// The lab's binary there.
    pub own: String,
    /// The binaries that were copied there: by the path here, the path there.
    pub programs: BTreeMap<String, String>,
    /// Its trees; none where they are the near end's.
    pub agent: Option<Agent>,
}

impl Transport {
    /// The one without SSH.
    pub fn local() -> Self {
        Transport { label: "local".into(), far: None, of_phases: false }
    }

    /// Which kind it is.
    pub fn over(&self) -> Over {
        match &self.far {
            None => Over::Local,
            Some(far) if far.endpoint.wan.is_some() => Over::Wan,
            Some(_) => Over::Ssh,
        }
    }

    /// Seconds that a sync takes on an ordinary machine, with putting back and comparing: enough to say how long a run
    /// will be about, and good for nothing else. Over a line most of it is round trips, of connecting and of the slowest.
    pub fn rough_s(&self) -> f64 {
        let rtt_ms = self.far.as_ref().and_then(|far| far.endpoint.wan).map_or(0.0, |wan| wan.rtt_ms);
        if self.far.is_some() { 0.7 + rtt_ms / 40.0 } else { 0.25 }
    }

    /// Whether a scenario is run over it.
    pub fn takes(&self, scenario: &Scenario) -> bool {
        scenario.over.contains(&self.over()) && (!self.of_phases || scenario.phase.is_some())
    }
}

/// Which end has the source and which the destination.
pub struct Ends<'a> {
    /// This host.
    pub near: &'a mut Workshop,
    /// The far host, where it is another one.
    pub far: Option<&'a mut Agent>,
    /// Which way the bytes go.
    pub direction: Direction,
}

impl Ends<'_> {
    /// The place of the source.
    pub fn source(&mut self) -> &mut dyn Place {
        match (self.direction, &mut self.far) {
            (Direction::Pull, Some(agent)) => *agent,
            _ => self.near,
        }
    }

    /// The place of the destination.
    pub fn destination(&mut self) -> &mut dyn Place {
        match (self.direction, &mut self.far) {
            (Direction::Push, Some(agent)) => *agent,
            _ => self.near,
        }
    }

    /// The place of the far end.
    pub fn far(&mut self) -> &mut dyn Place {
        match &mut self.far {
            Some(agent) => *agent,
            None => self.near,
        }
    }
}
