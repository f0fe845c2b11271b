//! How far away the other end is: the least of what was measured.
//!
//! Each measurement is a question and its answer by the clock of the end that asked, so it can only be too long. The echo of
//! a client's HELLO waits for `ssh` to connect and for the other end to start; so a client asks once more when it has heard
//! that, with a KEEPALIVE that the other end's reader answers at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::protocol::hello::Clock;
use crate::protocol::message::Message;

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

/// What it takes to find out, or to let the other end find out.
#[derive(Clone, Debug)]
pub struct Distance {
    /// Of this end.
    pub clock: Clock,
    /// What is known.
    pub known: RoundTrip,
    /// Whether we ask.
    pub asks: bool,
}

impl Distance {
    /// The question, where we ask.
    pub fn question(&self) -> Option<Message> {
        self.asks.then(|| Message::Keepalive { timestamp: self.clock.micros(), echo: Some(0) })
    }

    /// Hears a KEEPALIVE; if it is a question, says the answer.
    pub fn hear(&self, payload: &[u8]) -> Option<Message> {
        let (timestamp, rest) = payload.split_first_chunk().map(|(head, rest)| (u64::from_be_bytes(*head), rest))?;
        match rest.first_chunk().map(|echo| u64::from_be_bytes(*echo))? {
            0 => Some(Message::Keepalive { timestamp: self.clock.micros(), echo: Some(timestamp) }),
            echo => {
                self.clock.since(echo).into_iter().for_each(|time| self.known.measured(time));
                None
            }
        }
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
