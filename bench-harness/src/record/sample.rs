//! One line of `samples.jsonl`: one sync by one subject.

use serde::{Deserialize, Serialize};

use crate::scenario::{Direction, Operation};

/// The version of the format. A change of a field's meaning, or of a scenario's bytes, raises it.
pub const SCHEMA: u32 = 1;
/// The outcome of a sync that ended well and left the right tree.
pub const OK: &str = "ok";

/// Why a sync was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// To fill caches; round 0.
    WarmUp,
    /// To see the first byte, with a watcher that costs time; round 0.
    FirstByte,
    /// To be measured; rounds from 1.
    #[default]
    Timed,
    /// To count allocations, with a build that is slow for it and has no time; round 0.
    Counted,
}

/// One sync. Where the outcome is not `ok` there is no figure at all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// `SCHEMA` when it was written.
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// What was done to the tree before.
    pub operation: Operation,
    /// `local`, `ssh:loopback` or `ssh:HOST`.
    pub transport: String,
    /// Which end had the source.
    pub direction: Direction,
    /// The subject's name.
    pub subject: String,
    /// From 1 for what is measured; 0 is never in a statistic.
    pub round: u32,
    /// The place in its round, from 0: in odd rounds the subjects' own order, in even ones the reverse.
    pub position: u32,
    /// Why it was done.
    pub pass: Pass,
    /// `ok`, or what went wrong.
    pub outcome: String,
    /// Seconds from start to end.
    pub wall_s: Option<f64>,
    /// User seconds of the local end.
    pub user_s: Option<f64>,
    /// System seconds of the local end.
    pub sys_s: Option<f64>,
    /// Largest resident set of any process of the local end, `ssh` included.
    pub max_rss_kib: Option<u64>,
    /// User seconds of the remote end.
    pub remote_user_s: Option<f64>,
    /// System seconds of the remote end.
    pub remote_sys_s: Option<f64>,
    /// Largest resident set of any process of the remote end.
    pub remote_max_rss_kib: Option<u64>,
    /// Seconds from the start until the command at the remote end runs: the link is open.
    #[serde(default)]
    pub link_open_s: Option<f64>,
    /// Seconds from the start to the first byte of a file at the destination; in first-byte passes alone.
    pub first_byte_s: Option<f64>,
    /// Bytes sent by the local end, before ssh.
    pub wire_out: Option<u64>,
    /// Bytes received by the local end, after ssh.
    pub wire_in: Option<u64>,
    /// Frames both ways.
    pub frames: Option<u64>,
    /// Times the session had to wait for the other end.
    pub round_trips: Option<u64>,
    /// Seconds until the link was open, as sy tells.
    #[serde(default)]
    pub connect_s: Option<f64>,
    /// Seconds from the moment that the link was open to the end, as sy tells.
    pub session_s: Option<f64>,
    /// Seconds of the local end's scan.
    pub scan_s: Option<f64>,
    /// Seconds of the local end's transfer.
    pub transfer_s: Option<f64>,
    /// Seconds of the remote end's scan.
    pub remote_scan_s: Option<f64>,
    /// Seconds of the remote end's transfer.
    pub remote_transfer_s: Option<f64>,
    /// Allocations of the local end; in counted passes alone, as all that follow.
    pub allocations: Option<u64>,
    /// Bytes that the local end allocated over time.
    pub heap_bytes: Option<u64>,
    /// The most bytes that the local end held at once.
    pub heap_peak_bytes: Option<u64>,
    /// Bytes that the local end held when its list was made; a sender has one.
    pub heap_list_bytes: Option<u64>,
    /// Allocations of the remote end.
    pub remote_allocations: Option<u64>,
    /// Bytes that the remote end allocated over time.
    pub remote_heap_bytes: Option<u64>,
    /// The most bytes that the remote end held at once.
    pub remote_heap_peak_bytes: Option<u64>,
    /// Bytes that the remote end held when its list was made; a sender has one.
    pub remote_heap_list_bytes: Option<u64>,
}

impl Sample {
    /// Whether it ended well.
    pub fn is_ok(&self) -> bool {
        self.outcome == OK
    }
}

#[cfg(test)]
pub mod tests {
    //! Samples for the tests of other modules.

    use super::*;

    /// A good sample of the given time.
    pub fn sample(subject: &str, round: u32, wall_s: f64) -> Sample {
        let pass = if round == 0 { Pass::WarmUp } else { Pass::Timed };
        Sample {
            schema: SCHEMA,
            scenario: "small_files".into(),
            operation: Operation::Initial,
            transport: "ssh:loopback".into(),
            direction: Direction::Push,
            subject: subject.into(),
            round,
            pass,
            outcome: OK.into(),
            wall_s: Some(wall_s),
            user_s: Some(wall_s / 2.0),
            sys_s: Some(wall_s / 4.0),
            max_rss_kib: Some(9000),
            remote_user_s: Some(wall_s / 2.0),
            remote_sys_s: Some(wall_s / 4.0),
            remote_max_rss_kib: Some(5000),
            wire_out: Some(1000),
            wire_in: Some(100),
            ..Sample::default()
        }
    }

    #[test]
    fn a_line_of_a_lab_that_knew_fewer_figures_is_read() {
        let mut json = serde_json::to_value(sample("sy", 1, 1.0)).unwrap();
        let line = json.as_object_mut().unwrap();
        for newer in ["session_s", "scan_s", "allocations", "remote_heap_peak_bytes"] {
            assert!(line.remove(newer).is_some(), "{newer}");
        }
        assert_eq!(serde_json::from_value::<Sample>(json).unwrap(), sample("sy", 1, 1.0));
    }

    #[test]
    fn names_in_a_line_are_the_documented_ones() {
        let json = serde_json::to_value(sample("sy", 0, 1.0)).unwrap();
        assert_eq!(json["pass"], "warm_up");
        assert_eq!(json["operation"], "initial");
        assert_eq!(json["direction"], "push");
    }
}
