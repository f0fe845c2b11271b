//! When what leaves a line. Pure: it is told the time and never asks for it, so its tests are exact.
//!
//! A `Wire` is the bottleneck of one direction, which all connections share: bytes leave it one after another at its
//! rate. A `Line` is one direction of one connection: what has left the wire arrives a delay later, in order, and the
//! line holds no more than its queue allows; whoever fills it has to wait, and through TCP so has the sender.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The bottleneck of one direction.
#[derive(Debug)]
pub struct Wire {
    bytes_per_s: Option<f64>,
    free: Option<Instant>,
}

impl Wire {
    /// One with this rate; none: without a bound.
    pub fn new(bytes_per_s: Option<f64>) -> Self {
        Wire { bytes_per_s, free: None }
    }

    /// Puts bytes on it, behind those that were put there before; returns when the last one is through.
    pub fn send(&mut self, now: Instant, bytes: usize) -> Instant {
        let start = self.free.map_or(now, |free| free.max(now));
        let takes = self.bytes_per_s.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(bytes as f64 / rate));
        *self.free.insert(start + takes)
    }
}

/// What comes out of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<'a> {
    /// Bytes, some or all of which can be taken.
    Bytes(&'a [u8]),
    /// The sender has closed its direction.
    End,
    /// The sender's connection was reset.
    Reset,
}

#[derive(Debug)]
enum Parcel {
    Bytes { bytes: Vec<u8>, taken: usize },
    End,
    Reset,
}

/// One direction of one connection.
#[derive(Debug)]
pub struct Line {
    delay: Duration,
    queue: usize,
    held: usize,
    parcels: VecDeque<(Instant, Parcel)>,
}

impl Line {
    /// An empty one that holds at most `queue` bytes.
    pub fn new(delay: Duration, queue: usize) -> Self {
        Line { delay, queue, held: 0, parcels: VecDeque::new() }
    }

    /// How many bytes may be put in now.
    pub fn room(&self) -> usize {
        self.queue - self.held
    }

    /// Puts bytes in that leave the wire at `sent`; there must be room.
    pub fn send(&mut self, sent: Instant, bytes: &[u8]) {
        debug_assert!(bytes.len() <= self.room());
        self.held += bytes.len();
        self.put(sent, Parcel::Bytes { bytes: bytes.to_vec(), taken: 0 });
    }

    /// The sender closes its direction.
    pub fn end(&mut self, now: Instant) {
        self.put(now, Parcel::End);
    }

    /// The sender's connection is reset; what was sent before arrives before.
    pub fn reset(&mut self, now: Instant) {
        self.put(now, Parcel::Reset);
    }

    /// Nothing overtakes: an end is sent when the wire may still be busy with the bytes before it.
    fn put(&mut self, sent: Instant, parcel: Parcel) {
        let due = sent + self.delay;
        let due = self.parcels.back().map_or(due, |(before, _)| due.max(*before));
        self.parcels.push_back((due, parcel));
    }

    /// When the next thing arrives.
    pub fn due(&self) -> Option<Instant> {
        self.parcels.front().map(|(due, _)| *due)
    }

    /// What has arrived by now and was not taken yet.
    pub fn arrived(&self, now: Instant) -> Option<Arrival<'_>> {
        let (due, parcel) = self.parcels.front()?;
        (*due <= now).then_some(match parcel {
            Parcel::Bytes { bytes, taken } => Arrival::Bytes(&bytes[*taken..]),
            Parcel::End => Arrival::End,
            Parcel::Reset => Arrival::Reset,
        })
    }

    /// Takes what `arrived` has shown: so many of its bytes, or the end or reset with 0.
    pub fn take(&mut self, bytes: usize) {
        if let Some((_, Parcel::Bytes { bytes: all, taken })) = self.parcels.front_mut() {
            *taken += bytes;
            self.held -= bytes;
            if *taken < all.len() {
                return;
            }
        }
        self.parcels.pop_front();
    }

    /// Drops everything in it: there is nobody at its end any more.
    pub fn clear(&mut self) {
        self.parcels.clear();
        self.held = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_parcel_arrives_one_delay_after_it_was_sent_and_not_with_a_later_one() {
        let (start, mut line) = (Instant::now(), Line::new(25 * MS, 100));
        line.send(start, b"ab");
        line.send(start + 3 * MS, b"c");
        assert_eq!(line.due(), Some(start + 25 * MS));
        assert_eq!(line.arrived(start + 25 * MS - Duration::from_nanos(1)), None);
        assert_eq!(line.arrived(start + 25 * MS), Some(Arrival::Bytes(b"ab")));
        line.take(2);
        assert_eq!(line.arrived(start + 27 * MS), None);
        assert_eq!((line.due(), line.arrived(start + 28 * MS)), (Some(start + 28 * MS), Some(Arrival::Bytes(b"c"))));
    }

    #[test]
    fn an_idle_wire_takes_its_time_for_the_bytes_and_a_busy_one_for_those_before_too() {
        let (start, mut wire) = (Instant::now(), Wire::new(Some(1000.0)));
        assert_eq!(wire.send(start, 10), start + 10 * MS);
        assert_eq!(wire.send(start + 4 * MS, 5), start + 15 * MS);
        // Idle time is not saved up.
        assert_eq!(wire.send(start + 100 * MS, 1), start + 101 * MS);
    }

    #[test]
    fn a_wire_without_a_rate_takes_no_time() {
        let (start, mut wire) = (Instant::now(), Wire::new(None));
        assert_eq!(wire.send(start, 1 << 30), start);
        assert_eq!(wire.send(start + MS, 1 << 30), start + MS);
    }

    #[test]
    fn a_full_line_has_no_room_until_bytes_are_taken() {
        let (start, mut line) = (Instant::now(), Line::new(MS, 4));
        line.send(start, b"abc");
        assert_eq!(line.room(), 1);
        line.send(start, b"d");
        assert_eq!(line.room(), 0);
        line.take(2);
        assert_eq!((line.room(), line.arrived(start + MS)), (2, Some(Arrival::Bytes(b"c"))));
        line.take(1);
        line.take(1);
        assert_eq!((line.room(), line.due()), (4, None));
    }

    #[test]
    fn an_end_does_not_overtake_bytes_that_the_wire_is_busy_with() {
        let (start, mut line) = (Instant::now(), Line::new(MS, 4));
        line.send(start + 9 * MS, b"abc");
        line.end(start);
        line.reset(start + 2 * MS);
        line.take(3);
        assert_eq!((line.due(), line.arrived(start + 10 * MS)), (Some(start + 10 * MS), Some(Arrival::End)));
        line.take(0);
        assert_eq!(line.arrived(start + 10 * MS), Some(Arrival::Reset));
    }

    #[test]
    fn a_cleared_line_is_as_new() {
        let (start, mut line) = (Instant::now(), Line::new(MS, 4));
        line.send(start, b"abc");
        line.clear();
        assert_eq!((line.room(), line.due(), line.arrived(start + MS)), (4, None, None));
    }
}
