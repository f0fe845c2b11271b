//! What a kept process costs while it is kept: recorded in `env.json`, for it belongs to no cell.

use serde::{Deserialize, Serialize};

/// What became of a subject's kept process over many sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Soak {
    /// The transport's label.
    pub transport: String,
    /// The scenario's name.
    pub scenario: String,
    /// The subject's name.
    pub subject: String,
    /// Sessions one after another.
    pub sessions: u32,
    /// Those of them that failed or left a wrong tree.
    pub failed: u32,
    /// Median seconds of the first tenth of them that did not.
    pub early_s: Option<f64>,
    /// ... and of the last tenth.
    pub late_s: Option<f64>,
    /// Syncs at once.
    pub at_once: u32,
    /// Those of them that left the right tree.
    pub verified: u32,
    /// Seconds until the last of them had ended.
    pub at_once_s: f64,
    /// What the processes were seen to hold, in the order of looking.
    pub seen: Vec<Seen>,
}

/// One process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// How many sessions it had had.
    pub sessions: u32,
    /// At which end, in the order in which the subject names its processes; 0 is the near one.
    pub end: usize,
    /// Resident set, in KiB.
    pub rss_kib: u64,
    /// The largest that it has been, in KiB.
    pub peak_kib: u64,
    /// Its threads.
    pub threads: u64,
    /// Its open files.
    pub files: u64,
    /// How often a thread of it woke up in a second in which nothing was asked of it; taken where it was idle.
    pub wakes_per_s: Option<f64>,
}
