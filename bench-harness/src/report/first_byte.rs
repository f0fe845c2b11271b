//! Time to the first byte, from the passes that watched for it: of the whole command, and over SSH from the moment on that
//! the link is open, beside what the design allows for that.
//!
//! The link is open when the command at the remote end starts to run: nothing of a tool can act there before, and
//! what comes before is the same for every tool. It is told by the wrapper there, by the same clock as the first byte where
//! the destination is there, too.

use super::format::{or_none, table};
use super::tables::{name_heads, names, present};
use crate::group::Cell;
use crate::record::environment::{Environment, SubjectInfo};
use crate::record::sample::Sample;
use crate::stats;

/// So many round trips after the link is open a tool may have its first byte at the destination, ...
pub const LINK_ROUND_TRIPS: f64 = 2.0;
/// ... and so many milliseconds of work.
pub const LINK_WORK_MS: f64 = 50.0;

/// Its text; none where nothing was watched.
pub fn section(cells: &[&Cell], environment: &Environment) -> Option<String> {
    let whole = figures(cells, environment, |s| s.first_byte_s)?;
    let whole = table(&heads(&whole.subjects), &whole.rows.into_iter().map(|(_, row)| row).collect::<Vec<_>>(), 3);
    let after = figures(cells, environment, after_link).map(|after| {
        let mut head = heads(&after.subjects);
        head.extend(["allowed ms".to_owned(), "kept by".to_owned()]);
        let row = |(cell, mut row): (&Cell, Vec<String>)| {
            let allowed = allowed_ms(cell, environment);
            let kept = |s: &&&SubjectInfo| {
                milliseconds(cell, s, after_link).zip(allowed).is_some_and(|(took, allowed)| took <= allowed)
            };
            let keepers: Vec<&str> = after.subjects.iter().filter(kept).map(|s| s.name.as_str()).collect();
            row.push(or_none(allowed));
            row.push(if keepers.is_empty() { "nobody".into() } else { keepers.join(", ") });
            row
        };
        let body: Vec<Vec<String>> = after.rows.into_iter().map(row).collect();
        format!(
            "\nAfter the link is open; allowed are {LINK_ROUND_TRIPS} round trips and {LINK_WORK_MS} ms:\n\n{}",
            table(&head, &body, 3)
        )
    });
    Some(format!("{whole}{}", after.unwrap_or_default()))
}

/// Rows of medians, and whose they are.
struct Medians<'a> {
    subjects: Vec<&'a SubjectInfo>,
    rows: Vec<(&'a Cell<'a>, Vec<String>)>,
}

fn figures<'a>(
    cells: &[&'a Cell<'a>],
    environment: &'a Environment,
    of: fn(&Sample) -> Option<f64>,
) -> Option<Medians<'a>> {
    let seen = |cell: &Cell, s: &SubjectInfo| milliseconds(cell, s, of).is_some();
    let subjects = present(cells, environment, |s| cells.iter().any(|c| seen(c, s)));
    let rows: Vec<(&Cell, Vec<String>)> = cells
        .iter()
        .filter(|cell| subjects.iter().any(|s| seen(cell, s)))
        .map(|cell| {
            let medians = subjects.iter().map(|s| or_none(milliseconds(cell, s, of)));
            (*cell, names(cell).into_iter().chain(medians).collect())
        })
        .collect();
    (!rows.is_empty()).then_some(Medians { subjects, rows })
}

fn heads(subjects: &[&SubjectInfo]) -> Vec<String> {
    name_heads().into_iter().chain(subjects.iter().map(|s| format!("{} ms", s.name))).collect()
}

fn after_link(sample: &Sample) -> Option<f64> {
    Some(sample.first_byte_s? - sample.link_open_s?)
}

fn milliseconds(cell: &Cell, subject: &SubjectInfo, of: fn(&Sample) -> Option<f64>) -> Option<f64> {
    let seen = cell.measurement(&subject.name)?.first_byte;
    stats::median(&seen.into_iter().filter_map(of).collect::<Vec<_>>()).map(|s| s * 1e3)
}

/// None where the distance is not known.
fn allowed_ms(cell: &Cell, environment: &Environment) -> Option<f64> {
    let transport = environment.transports.get(&cell.key.transport)?;
    let rtt_ms = match (transport.wan, transport.rtt_s) {
        (Some(wan), _) => wan.rtt_ms,
        (None, Some(rtt_s)) => rtt_s * 1e3,
        // The private server: tens of microseconds.
        (None, None) if transport.far.is_none() => 0.0,
        (None, None) => return None,
    };
    Some(LINK_ROUND_TRIPS * rtt_ms + LINK_WORK_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group;
    use crate::record::environment::TransportInfo;
    use crate::record::sample::Pass;
    use crate::record::sample::tests::sample;
    use crate::report::format::NONE;
    use crate::report::tests::record;

    fn watched(subject: &str, link: f64, first: f64) -> Sample {
        let times = (Some(link), Some(first));
        Sample { pass: Pass::FirstByte, link_open_s: times.0, first_byte_s: times.1, ..sample(subject, 0, 1.0) }
    }

    #[test]
    fn what_comes_after_the_link_is_open_is_held_against_two_round_trips_and_fifty_milliseconds() {
        let mut run = record();
        run.samples = vec![watched("sy", 0.5, 0.749), watched("rsync", 0.5, 0.751)];
        let wan = TransportInfo { wan: Some("100".parse().unwrap()), ..TransportInfo::default() };
        run.environment.transports.insert("ssh:loopback".into(), wan);
        let cells = group::cells(&run.samples);
        let text = section(&cells.iter().collect::<Vec<_>>(), &run.environment).unwrap();
        let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| small_files")).collect();
        assert_eq!(rows.len(), 2, "{text}");
        assert!(rows[0].contains("749 |") && rows[0].contains("751 |"), "{text}");
        assert!(rows[1].contains("249 |") && rows[1].contains("251 |") && rows[1].contains("250 |"), "{text}");
        assert!(rows[1].trim_end_matches(" |").ends_with(" sy"), "{text}");
    }

    #[test]
    fn without_ssh_there_is_no_link_and_no_second_table() {
        let run = record();
        let cells = group::cells(&run.samples);
        // The record's local samples have a first byte, but in passes that did not watch: those have none.
        assert_eq!(section(&cells.iter().collect::<Vec<_>>(), &run.environment), None);
        let local = Sample { transport: "local".into(), link_open_s: None, ..watched("sy", 0.0, 0.005) };
        let local = [local];
        let cells = group::cells(&local);
        let text = section(&cells.iter().collect::<Vec<_>>(), &run.environment).unwrap();
        assert!(text.contains("5.00") && !text.contains("link") && !text.contains(NONE), "{text}");
    }
}
