//! How far away the other end is: the least of what was measured.
//!
//! Each measurement is a message and the first word after it, by the clock of the end that sent it, so it can only be too
//! long: what a client hears first waits for `ssh` to connect, and for the other end to start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A link's round-trip time. Clones share what is known.
#[derive(Clone, Debug)]
pub struct RoundTrip(Arc<AtomicU64>);

impl RoundTrip {
    /// What the greeting measured, if it did.
    pub fn new(greeting: Option<Duration>) -> RoundTrip {
        let known = RoundTrip(Arc::new(AtomicU64::new(u64::MAX)));
        greeting.into_iter().for_each(|time| known.measured(time));
        known
    }

    /// It took `time` to get an answer.
    pub fn measured(&self, time: Duration) {
        self.0.fetch_min(time.as_micros() as u64, Relaxed);
    }

    /// The least that was measured; `None` if nothing was.
    pub fn get(&self) -> Option<Duration> {
        Some(self.0.load(Relaxed)).filter(|micros| *micros != u64::MAX).map(Duration::from_micros)
    }
}

/// A message that has been sent and whose first answer is awaited.
#[derive(Debug)]
pub struct Asked {
    at: Instant,
    known: RoundTrip,
}

impl Asked {
    /// Now.
    pub fn now(known: &RoundTrip) -> Asked {
        Asked { at: Instant::now(), known: known.clone() }
    }

    /// The answer is there.
    pub fn answered(self) {
        self.known.measured(self.at.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_what_was_measured_counts_and_nothing_is_no_time() {
        let unknown = RoundTrip::new(None);
        assert_eq!(unknown.get(), None);
        let known = RoundTrip::new(Some(Duration::from_millis(1500)));
        for (time, expected) in [(30, 30), (2000, 30), (20, 20)] {
            known.clone().measured(Duration::from_millis(time));
            assert_eq!(known.get(), Some(Duration::from_millis(expected)));
        }
    }
}
