//! The figures of a sample that a claim can be about, by name. Pure.
//!
//! Times come from timed rounds; counts of the heap from the untimed pass with the counting build. Everything else about
//! a figure (who is compared, what is enough) is the business of `claim`.

use serde::{Deserialize, Serialize};

use crate::record::sample::Sample;
use crate::scenario::Direction;

/// A figure of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Seconds of the whole command.
    Wall,
    /// Seconds from the moment that the link was open to the end: without connecting.
    Session,
    /// Seconds of the sending end's scan.
    Scan,
    /// User and system seconds of the sending end: the system knows their sum exactly and divides it by samples.
    SenderCpu,
    /// Allocations of both ends.
    Allocations,
    /// Bytes that both ends allocated over time.
    HeapBytes,
    /// The most bytes that the sending end held at once.
    SenderHeapPeak,
    /// Bytes that the sending end held when its list was made: what a scan costs.
    SenderList,
    /// Times that the session waited for the other end.
    RoundTrips,
    /// Frames both ways.
    Frames,
    /// Bytes both ways.
    Wire,
}

impl Metric {
    /// The figure of a sample; none where it was not taken.
    pub fn of(self, sample: &Sample) -> Option<f64> {
        let count = |n: Option<u64>| n.map(|n| n as f64);
        let both = |near: Option<u64>, far: Option<u64>| match sample.direction {
            Direction::Local => count(near),
            _ => Some(count(near)? + count(far)?),
        };
        let near_sends = sample.direction != Direction::Pull;
        match self {
            Metric::Wall => sample.wall_s,
            Metric::Session => sample.session_s,
            Metric::Scan if near_sends => sample.scan_s,
            Metric::Scan => sample.remote_scan_s,
            Metric::SenderCpu if near_sends => Some(sample.user_s? + sample.sys_s?),
            Metric::SenderCpu => Some(sample.remote_user_s? + sample.remote_sys_s?),
            Metric::Allocations => both(sample.allocations, sample.remote_allocations),
            Metric::HeapBytes => both(sample.heap_bytes, sample.remote_heap_bytes),
            Metric::SenderHeapPeak if near_sends => count(sample.heap_peak_bytes),
            Metric::SenderHeapPeak => count(sample.remote_heap_peak_bytes),
            Metric::SenderList if near_sends => count(sample.heap_list_bytes),
            Metric::SenderList => count(sample.remote_heap_list_bytes),
            Metric::RoundTrips => count(sample.round_trips),
            Metric::Frames => count(sample.frames),
            Metric::Wire => Some(count(sample.wire_out)? + count(sample.wire_in)?),
        }
    }

    /// Whether it comes from the untimed pass with the counting build.
    pub fn is_of_heap(self) -> bool {
        matches!(self, Metric::Allocations | Metric::HeapBytes | Metric::SenderHeapPeak | Metric::SenderList)
    }

    /// Whether it is a time, which no two runs have alike.
    pub fn is_time(self) -> bool {
        matches!(self, Metric::Wall | Metric::Session | Metric::Scan | Metric::SenderCpu)
    }

    /// What a table calls it.
    pub fn word(self) -> &'static str {
        match self {
            Metric::Wall => "whole command",
            Metric::Session => "time of the session",
            Metric::Scan => "time of the scan",
            Metric::SenderCpu => "processor time of the sender",
            Metric::Allocations => "allocations",
            Metric::HeapBytes => "bytes allocated",
            Metric::SenderHeapPeak => "sender's heap at its peak",
            Metric::SenderList => "sender's heap after its scan",
            Metric::RoundTrips => "round trips",
            Metric::Frames => "frames",
            Metric::Wire => "wire bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::tests::sample;

    #[test]
    fn the_sending_end_is_near_in_a_push_and_far_in_a_pull() {
        let push = Sample {
            scan_s: Some(1.0),
            remote_scan_s: Some(2.0),
            heap_peak_bytes: Some(3),
            remote_heap_peak_bytes: Some(4),
            heap_list_bytes: Some(7),
            remote_heap_list_bytes: Some(8),
            user_s: Some(4.5),
            sys_s: Some(0.5),
            remote_user_s: Some(5.0),
            remote_sys_s: Some(1.0),
            ..sample("sy", 1, 1.0)
        };
        let pull = Sample { direction: Direction::Pull, ..push.clone() };
        let of_sender = [Metric::Scan, Metric::SenderHeapPeak, Metric::SenderCpu, Metric::SenderList];
        let figures = |s: &Sample| of_sender.map(|m| m.of(s).unwrap());
        assert_eq!(figures(&push), [1.0, 3.0, 5.0, 7.0]);
        assert_eq!(figures(&pull), [2.0, 4.0, 6.0, 8.0]);
    }

    #[test]
    fn both_ends_are_added_up_and_half_a_sum_is_none() {
        let both = Sample { allocations: Some(3), remote_allocations: Some(4), ..sample("sy", 1, 1.0) };
        assert_eq!(Metric::Allocations.of(&both), Some(7.0));
        let half = Sample { remote_allocations: None, ..both.clone() };
        assert_eq!(Metric::Allocations.of(&half), None);
        let local = Sample { direction: Direction::Local, ..half };
        assert_eq!(Metric::Allocations.of(&local), Some(3.0));
    }
}
