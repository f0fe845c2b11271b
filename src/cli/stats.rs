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
    /// Bytes of all files listed and of the targets of links, which is what rsync calls the size of a tree.
    pub size: u64,
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
    pub fn rsync_lines(&self, human: u8) -> Vec<String> {
        let seen = &self.seen;
        let count = |number| grouped(number, human);
        let tallies = [&seen.files, &seen.dirs, &seen.links, &seen.devices, &seen.specials];
        let receiver = self.receiver();
        let list_s = receiver.stages_us[1].max(self.outcome.ours.stages_us[1]) as f64 / 1e6;
        vec![
            String::new(),
            format!("Number of files: {}", by_type(tallies.map(|tally| tally.listed), human)),
            format!("Number of created files: {}", by_type(tallies.map(|tally| tally.created), human)),
            format!("Number of deleted files: {}", by_type(deleted(&receiver), human)),
            format!("Number of regular files transferred: {}", count(seen.transferred)),
            format!("Total file size: {} bytes", count(seen.size)),
            format!("Total transferred file size: {} bytes", count(seen.transferred_bytes)),
            format!("Literal data: {} bytes", count(receiver.literal)),
            format!("Matched data: {} bytes", count(receiver.matched)),
            format!("File list size: {}", count(self.outcome.ours.listed)),
            format!("File list generation time: {:.3} seconds", self.scan_s()),
            format!("File list transfer time: {list_s:.3} seconds"),
            format!("Total bytes sent: {}", count(self.carried().0)),
            format!("Total bytes received: {}", count(self.carried().1)),
        ]
    }

    /// Bytes sent and received. Where nothing had to cross a link, the contents that were copied: what rsync, which is two
    /// processes even on one machine, sends from one to the other.
    fn carried(&self) -> (u64, u64) {
        match self.outcome.wire {
            (0, 0) => (self.receiver().literal, 0),
            wire => wire,
        }
    }

    fn scan_s(&self) -> f64 {
        let theirs = self.outcome.theirs.map_or(0, |theirs| theirs.stages_us[0]);
        theirs.max(self.outcome.ours.stages_us[0]) as f64 / 1e6
    }

    /// What the last line of a log says.
    pub fn log_line(&self) -> String {
        let (sent, received) = self.carried();
        format!("sent {sent} bytes  received {received} bytes  total size {}", self.seen.size)
    }

    /// The last two lines of `-v` and `--stats`.
    pub fn closing_lines(&self, human: u8) -> Vec<String> {
        let (sent, received) = self.carried();
        let total = self.seen.size;
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
                grouped_places(rate, human)
            ),
            format!(
                "total size is {}  speedup is {}{dry}",
                grouped(total, human),
                grouped_places(speedup, human.min(1))
            ),
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

/// What was deleted: files, directories, links, devices, FIFOs and sockets.
fn deleted(counters: &Counters) -> [u64; 5] {
    let Counters { deleted_dirs, deleted_links, deleted_devices, deleted_specials, .. } = *counters;
    let others = [deleted_dirs, deleted_links, deleted_devices, deleted_specials];
    // A peer's numbers may be any.
    let files = others.iter().fold(counters.deleted, |files, number| files.saturating_sub(*number));
    [files, deleted_dirs, deleted_links, deleted_devices, deleted_specials]
}

/// Numbers of files, directories, links, devices, FIFOs and sockets, as `total (reg: files, dir: directories)`.
fn by_type(numbers: [u64; 5], human: u8) -> String {
    let named = ["reg", "dir", "link", "dev", "special"].into_iter().zip(numbers).filter(|(_, number)| *number > 0);
    let parts: Vec<String> = named.map(|(name, number)| format!("{name}: {}", grouped(number, human))).collect();
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    format!("{}{parts}", grouped(numbers.iter().fold(0, |total, number| total.saturating_add(*number)), human))
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

/// A number for people, as rsync's levels of `-h` print it: 0 `1234567`, 1 `1,234,567`, 2 `1.23M`, 3 the same of 1024.
pub fn grouped(number: u64, human: u8) -> String {
    match human {
        0 => number.to_string(),
        _ => in_units(number as f64, human).unwrap_or_else(|| with_commas(&number.to_string())),
    }
}

/// The same of a number with two places.
fn grouped_places(number: f64, human: u8) -> String {
    let places = format!("{number:.2}");
    match human {
        0 => places,
        _ => in_units(number, human).unwrap_or_else(|| {
            let (whole, fraction) = places.split_once('.').unwrap_or((&places, "00"));
            format!("{}.{fraction}", with_commas(whole))
        }),
    }
}

/// In units with a letter, where the level asks for them and the number is large enough.
fn in_units(number: f64, human: u8) -> Option<String> {
    let base = match human {
        0 | 1 => return None,
        2 => 1000.0,
        _ => 1024.0,
    };
    let mut value = number / base;
    let mut units = ["K", "M", "G", "T", "P"].into_iter();
    let mut unit = units.next().filter(|_| number >= base)?;
    while value >= base
        && let Some(larger) = units.next()
    {
        (value, unit) = (value / base, larger);
    }
    Some(format!("{value:.2}{unit}"))
}

fn with_commas(digits: &str) -> String {
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
        let shown = |number, human| grouped(number, human);
        assert_eq!([0, 12, 999, 1000, 1_234_567].map(|n| shown(n, 1)), ["0", "12", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1000, 1_234_567].map(|n| shown(n, 0)), ["0", "1000", "1234567"]);
        let large = [999, 1000, 1_234_567, 5_000_000_000];
        assert_eq!(large.map(|n| shown(n, 2)), ["999", "1.00K", "1.23M", "5.00G"]);
        assert_eq!(large.map(|n| shown(n, 3)), ["999", "1,000", "1.18M", "4.66G"]);
        let places = |number, human| grouped_places(number, human);
        assert_eq!([0, 1, 2].map(|human| places(1234.5, human)), ["1234.50", "1,234.50", "1.23K"]);
        assert_eq!(places(0.014, 1), "0.01");
    }
}
