//! Bytes, frames and round trips, from what each tool reports of itself. Pure.

use serde_json::Value;

use crate::subject::Counters;

/// What a tool counted; none where it does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Bytes sent by the local end.
    pub wire_out: Option<u64>,
    /// Bytes received by the local end.
    pub wire_in: Option<u64>,
    /// Frames both ways.
    pub frames: Option<u64>,
    /// Round trips waited for.
    pub round_trips: Option<u64>,
    /// Seconds until the link was open.
    pub connect_s: Option<f64>,
    /// Seconds from the open link to the end.
    pub session_s: Option<f64>,
    /// What the local end tells of itself.
    pub near: End,
    /// What it tells of the other end.
    pub far: End,
}

/// What sy tells of one end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct End {
    /// Seconds of its scan.
    pub scan_s: Option<f64>,
    /// Seconds of its transfer.
    pub transfer_s: Option<f64>,
    /// Its allocations; the counting build alone has them, as what follows.
    pub allocations: Option<u64>,
    /// Bytes that it allocated over time.
    pub heap_bytes: Option<u64>,
    /// The most bytes that it held at once.
    pub heap_peak_bytes: Option<u64>,
    /// Bytes that it held when its list was made.
    pub heap_list_bytes: Option<u64>,
}

/// Reads the counters: sy's from its statistics file, rsync's from what it printed.
pub fn read(from: Counters, stats_file: &str, printed: &str) -> Counted {
    match from {
        Counters::None => Counted::default(),
        Counters::Sy => of_sy(stats_file),
        Counters::Rsync => Counted {
            wire_out: number_after(printed, "Total bytes sent:"),
            wire_in: number_after(printed, "Total bytes received:"),
            ..Counted::default()
        },
    }
}

fn of_sy(text: &str) -> Counted {
    let stats: Value = serde_json::from_str(text).unwrap_or_default();
    let get = |key: &str| stats[key].as_u64();
    Counted {
        wire_out: get("wire_out"),
        wire_in: get("wire_in"),
        frames: get("frames_out").zip(get("frames_in")).map(|(out, back)| out + back),
        round_trips: get("round_trips"),
        connect_s: stats["stages_s"]["connect"].as_f64(),
        session_s: stats["stages_s"]["total"].as_f64().zip(stats["stages_s"]["connect"].as_f64()).map(|(t, c)| t - c),
        near: end(&stats),
        far: end(&stats["peer"]),
    }
}

fn end(stats: &Value) -> End {
    let (stages, heap) = (&stats["stages_s"], &stats["heap"]);
    End {
        scan_s: stages["scan"].as_f64(),
        transfer_s: stages["transfer"].as_f64(),
        allocations: heap["allocations"].as_u64(),
        heap_bytes: heap["bytes"].as_u64(),
        heap_peak_bytes: heap["peak_bytes"].as_u64(),
        heap_list_bytes: heap["list_bytes"].as_u64(),
    }
}

/// The number after a label, with or without separators of thousands.
fn number_after(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.trim().strip_prefix(label))?;
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rsync_prints_numbers_with_and_without_separators() {
        let read = |text: &str| read(Counters::Rsync, "", text);
        assert_eq!(read("Total bytes sent: 1,234\nTotal bytes received: 56\n").wire_out, Some(1234));
        assert_eq!(read("\nTotal bytes sent: 7\n  Total bytes received: 56\n").wire_in, Some(56));
        assert_eq!(read("nothing"), Counted::default());
    }

    #[test]
    fn sy_writes_one_object_and_a_missing_key_is_no_zero() {
        let text =
            r#"{"schema":1,"frames_out":3,"frames_in":4,"wire_out":10,"wire_in":0,"round_trips":2,"rtt_us":null}"#;
        let all = Counted {
            wire_out: Some(10),
            wire_in: Some(0),
            frames: Some(7),
            round_trips: Some(2),
            ..Counted::default()
        };
        assert_eq!(read(Counters::Sy, text, ""), all);
        assert_eq!(read(Counters::Sy, "{}", ""), Counted::default());
        assert_eq!(read(Counters::Sy, "", ""), Counted::default());
    }

    #[test]
    fn stages_and_heap_are_read_of_both_ends_and_the_session_is_what_follows_connecting() {
        let text = r#"{"stages_s":{"connect":0.25,"total":1.0,"scan":0.5,"transfer":0.125},"heap":null,
            "peer":{"stages_s":{"scan":0.0},"heap":{"allocations":3,"bytes":40,"peak_bytes":5,"list_bytes":4}}}"#;
        let counted = read(Counters::Sy, text, "");
        assert_eq!((counted.connect_s, counted.session_s), (Some(0.25), Some(0.75)));
        assert_eq!(counted.near, End { scan_s: Some(0.5), transfer_s: Some(0.125), ..End::default() });
        let heap = End { allocations: Some(3), heap_bytes: Some(40), heap_peak_bytes: Some(5), ..End::default() };
        assert_eq!(counted.far, End { scan_s: Some(0.0), heap_list_bytes: Some(4), ..heap });
    }
}
