//! The counts of a finished sync: for people as `--stats` of rsync prints them, for programs as one JSON object.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::ExitCode;
use crate::phases::{PHASES, State};
use crate::protocol::message::{Counters, HeapCounts, Role};
use crate::session::Outcome;

/// Version of the `--stats-file` object.
const SCHEMA: u32 = 1;

/// What was seen of one type of entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Entries listed.
    pub listed: u64,
    /// Entries made that were not there.
    pub created: u64,
}

/// What the events told, for the counts at the end.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Regular files.
    pub files: Tally,
    /// Directories.
    pub dirs: Tally,
    /// Symbolic links.
    pub links: Tally,
    /// Device nodes.
    pub devices: Tally,
    /// FIFOs and sockets.
    pub specials: Tally,
    /// Regular files whose contents were sent.
    pub transferred: u64,
    /// Their size in bytes.
    pub transferred_bytes: u64,
    /// Deletions.
    pub deleted: u64,
}

/// Everything that is known about a finished sync.
pub struct Summary {
    /// What the session counted.
    pub outcome: Outcome,
    /// What the events told.
    pub seen: Seen,
    /// This end's role; `None` where both trees were on this machine.
    pub role: Option<Role>,
    /// How it ended.
    pub exit_code: ExitCode,
    /// From start to end.
    pub elapsed: Duration,
    /// Whether nothing was really done.
    pub dry_run: bool,
}

impl Summary {
    /// The receiver's counts, whichever end it was: it alone knows what became of the files.
    fn receiver(&self) -> Counters {
        match (self.role, self.outcome.theirs) {
            // With --no-whole-file on one machine it is the client that sends.
            (Some(Role::Sender) | None, Some(theirs)) => theirs,
            _ => self.outcome.ours,
        }
    }

    /// The object of `--stats-file`.
    pub fn stats_file(&self) -> Value {
        let ours = &self.outcome.ours;
        let mut object = end_json(ours);
        // Counted to the end, which SESSION_END could not be.
        object["heap"] = heap_json(&HeapCounts::now(ours.heap.list));
        // What crossed the link is counted where it crosses; what became of the files, where they are.
        object["files"] = files_json(&self.receiver());
        object["bytes"] = bytes_json(&self.receiver());
        object["schema"] = SCHEMA.into();
        object["version"] = env!("CARGO_PKG_VERSION").into();
        let on = PHASES.iter().filter(|phase| phase.state == State::On);
        object["phases"] = on.map(|phase| phase.feature).collect::<Vec<_>>().into();
        object["role"] = match self.role {
            None => "local",
            Some(Role::Sender) => "sender",
            Some(Role::Receiver) => "receiver",
        }
        .into();
        object["exit_code"] = (self.exit_code as u8).into();
        (object["frames_out"], object["frames_in"]) = (self.outcome.frames.0.into(), self.outcome.frames.1.into());
        (object["wire_out"], object["wire_in"]) = (self.outcome.wire.0.into(), self.outcome.wire.1.into());
        object["rtt_us"] = self.outcome.rtt.map(|rtt| rtt.as_micros() as u64).into();
        object["stages_s"]["connect"] = self.outcome.connect.as_secs_f64().into();
        object["stages_s"]["total"] = self.elapsed.as_secs_f64().into();
        object["peer"] = self.outcome.theirs.as_ref().map(end_json).into();
        object
    }

    /// The `summary` event of `--json`.
    pub fn json(&self) -> Value {
        let mut object = self.stats_file();
        object["dry_run"] = self.dry_run.into();
        object
    }

    /// The lines of `--stats`, rsync's in rsync's order.
    pub fn rsync_lines(&self, human: bool) -> Vec<String> {
        let seen = &self.seen;
        let count = |number| grouped(number, human);
        let kinds = |of: fn(&Tally) -> u64| {
            let [files, dirs, links, devices, specials] =
                [&seen.files, &seen.dirs, &seen.links, &seen.devices, &seen.specials].map(of);
            let parts = [("reg", files), ("dir", dirs), ("link", links), ("dev", devices), ("special", specials)];
            let total: u64 = parts.iter().map(|(_, number)| number).sum();
            let parts: Vec<String> = parts
                .iter()
                .filter(|(_, number)| *number > 0)
                .map(|(name, number)| format!("{name}: {}", count(*number)))
                .collect();
            let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
            format!("{}{parts}", count(total))
        };
        let receiver = self.receiver();
        let list_s = receiver.stages_us[1].max(self.outcome.ours.stages_us[1]) as f64 / 1e6;
        vec![
            String::new(),
            format!("Number of files: {}", kinds(|tally| tally.listed)),
            format!("Number of created files: {}", kinds(|tally| tally.created)),
            format!("Number of deleted files: {}", count(seen.deleted)),
            format!("Number of regular files transferred: {}", count(seen.transferred)),
            format!("Total file size: {} bytes", count(receiver.total)),
            format!("Total transferred file size: {} bytes", count(seen.transferred_bytes)),
            format!("Literal data: {} bytes", count(receiver.literal)),
            format!("Matched data: {} bytes", count(receiver.matched)),
            format!("File list size: {}", count(self.outcome.ours.listed)),
            format!("File list generation time: {:.3} seconds", self.scan_s()),
            format!("File list transfer time: {list_s:.3} seconds"),
            format!("Total bytes sent: {}", count(self.outcome.wire.0)),
            format!("Total bytes received: {}", count(self.outcome.wire.1)),
        ]
    }

    fn scan_s(&self) -> f64 {
        let theirs = self.outcome.theirs.map_or(0, |theirs| theirs.stages_us[0]);
        theirs.max(self.outcome.ours.stages_us[0]) as f64 / 1e6
    }

    /// The last two lines of `-v` and `--stats`.
    pub fn closing_lines(&self, human: bool) -> Vec<String> {
        let (sent, received) = self.outcome.wire;
        let total = self.receiver().total;
        let wire = sent + received;
        let rate = wire as f64 / self.elapsed.as_secs_f64().max(0.001);
        let speedup = total as f64 / wire.max(1) as f64;
        let dry = if self.dry_run { " (DRY RUN)" } else { "" };
        vec![
            String::new(),
            format!(
                "sent {} bytes  received {} bytes  {} bytes/sec",
                grouped(sent, human),
                grouped(received, human),
                grouped(rate as u64, human)
            ),
            format!("total size is {}  speedup is {speedup:.2}{dry}", grouped(total, human)),
        ]
    }
}

fn end_json(counters: &Counters) -> Value {
    let seconds = |stage: usize| counters.stages_us[stage] as f64 / 1e6;
    json!({
        "files": files_json(counters),
        "bytes": bytes_json(counters),
        "round_trips": counters.round_trips,
        "depth": if counters.depth == 0 { Value::Null } else { counters.depth.into() },
        "stages_s": {
            "scan": seconds(0),
            "list": seconds(1),
            "decide": seconds(2),
            "transfer": seconds(3),
            "finish": seconds(4),
        },
        "heap": heap_json(&counters.heap),
    })
}

/// Null where the end's build does not count.
fn heap_json(heap: &HeapCounts) -> Value {
    if heap.allocations == 0 {
        return Value::Null;
    }
    json!({
        "allocations": heap.allocations,
        "bytes": heap.bytes,
        "peak_bytes": heap.peak,
        "list_bytes": heap.list,
    })
}

fn files_json(counters: &Counters) -> Value {
    json!({
        "listed": counters.listed,
        "created": counters.created,
        "updated": counters.updated,
        "unchanged": counters.unchanged,
        "deleted": counters.deleted,
        "failed": counters.failed,
    })
}

fn bytes_json(counters: &Counters) -> Value {
    json!({ "literal": counters.literal, "matched": counters.matched, "total": counters.total })
}

/// A number for people: `1,234,567`, or `1.23M` with `-h`, both as rsync prints them.
fn grouped(number: u64, human: bool) -> String {
    if human && number >= 1000 {
        let units = ["K", "M", "G", "T", "P", "E"];
        let mut value = number as f64 / 1000.0;
        let mut unit = 0;
        while value >= 1000.0 && unit + 1 < units.len() {
            value /= 1000.0;
            unit += 1;
        }
        return format!("{value:.2}{}", units[unit]);
    }
    let digits = number.to_string();
    let head = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if head > 0 {
        groups.push(&digits[..head]);
    }
    groups.extend((head..digits.len()).step_by(3).map(|at| &digits[at..at + 3]));
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heap_is_told_where_it_was_counted_and_null_elsewhere() {
        let counted = HeapCounts { allocations: 3, bytes: 400, peak: 200, list: 100 };
        let expected = json!({ "allocations": 3, "bytes": 400, "peak_bytes": 200, "list_bytes": 100 });
        assert_eq!(end_json(&Counters { heap: counted, ..Counters::default() })["heap"], expected);
        assert_eq!(end_json(&Counters::default())["heap"], Value::Null);
    }

    #[test]
    fn numbers_are_grouped_as_rsync_groups_them() {
        let shown: Vec<String> = [0, 12, 999, 1000, 1_234_567].iter().map(|n| grouped(*n, false)).collect();
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567"]);
        let human: Vec<String> = [999, 1000, 1_234_567, 5_000_000_000].iter().map(|n| grouped(*n, true)).collect();
        assert_eq!(human, ["999", "1.00K", "1.23M", "5.00G"]);
    }
}
