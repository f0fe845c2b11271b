//! The section about processes that are kept: what they hold over many sessions, and whether those went well.

use std::fmt::Write;

use super::format::{NONE, cell_text, figure, or_none, table};
use crate::record::environment::Environment;
use crate::record::soak::{Seen, Soak};

/// Its text; none where nothing was soaked.
pub fn section(environment: &Environment) -> Option<String> {
    let texts: Vec<String> = environment.soaks.iter().map(one).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn one(soak: &Soak) -> String {
    let ms = |seconds: Option<f64>| or_none(seconds.map(|s| s * 1e3));
    let mut out = format!(
        "{} in {}, {}: {} sessions one after another, {} failed, median of the first tenth {} ms, of the last {} ms; {} at once, \
         {} verified, within {} s.\n",
        soak.subject,
        cell_text(&soak.scenario),
        soak.transport,
        soak.sessions,
        soak.failed,
        ms(soak.early_s),
        ms(soak.late_s),
        soak.at_once,
        soak.verified,
        figure(soak.at_once_s)
    );
    let head = ["end", "sessions", "MiB", "peak MiB", "threads", "open files", "wake-ups a second"].map(String::from);
    let body: Vec<Vec<String>> = soak.seen.iter().map(row).collect();
    if !body.is_empty() {
        let _ = write!(out, "\n{}", table(&head, &body, 1));
    }
    out
}

fn row(seen: &Seen) -> Vec<String> {
    let mib = |kib: u64| figure(kib as f64 / 1024.0);
    let end = if seen.end == 0 { "near" } else { "far" };
    let mut row = vec![end.to_owned(), seen.sessions.to_string(), mib(seen.rss_kib), mib(seen.peak_kib)];
    row.extend([seen.threads.to_string(), seen.files.to_string()]);
    row.push(seen.wakes_per_s.map_or(NONE.into(), |wakes| format!("{wakes:.1}")));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_holds_is_a_row_for_each_look_at_it() {
        let seen = |sessions, rss_kib, wakes_per_s| Seen {
            sessions,
            rss_kib,
            peak_kib: 9216,
            threads: 3,
            files: 12,
            wakes_per_s,
            ..Seen::default()
        };
        let soak = Soak {
            subject: "sy-warm".into(),
            sessions: 1000,
            early_s: Some(0.01),
            at_once: 50,
            verified: 49,
            seen: vec![seen(1, 8192, Some(0.2)), seen(1050, 9216, None)],
            ..Soak::default()
        };
        let text = section(&Environment { soaks: vec![soak], ..Environment::default() }).unwrap();
        assert!(text.contains("1000 sessions one after another, 0 failed") && text.contains("49 verified"), "{text}");
        assert!(text.contains("first tenth 10.0 ms, of the last – ms"), "{text}");
        let rows: Vec<String> = text.lines().filter(|l| l.starts_with("| near")).map(|l| l.replace(' ', "")).collect();
        assert_eq!(rows, ["|near|1|8.00|9.00|3|12|0.2|", "|near|1050|9.00|9.00|3|12|–|"]);
        assert_eq!(section(&Environment::default()), None);
    }
}
