//! `--list-only`, or a source without a destination: what would be copied, a line each as rsync lists it.
//!
//! Type and permissions, size, time, name; a link's target where links are kept. Times are those of this machine's clock,
//! names are escaped as all that is printed. What would become of an entry is not said, nor decided.

use super::config::Output;
use super::stats::grouped;
use super::{format, names, when};
use crate::tree::entry::{Entry, Kind};

/// How entries are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Links have their targets.
    targets: bool,
    /// Entries have their times of access, where they are known.
    atimes: bool,
    human: u8,
    eight_bit: bool,
}

impl Listing {
    /// As it was asked for; `targets` says whether those of links are told, `atimes` whether times of access are.
    pub fn new(targets: bool, atimes: bool, output: &Output) -> Listing {
        Listing { targets, atimes, human: output.human, eight_bit: output.eight_bit }
    }

    /// An entry's line.
    pub fn line(self, entry: &Entry) -> Vec<u8> {
        let width = if self.human > 0 { 14 } else { 11 };
        let size = grouped(entry.kind.length(), self.human);
        let mut line = vec![type_letter(&entry.kind)];
        line.extend(format::permissions(entry.mode));
        line.extend(format!(" {size:>width$} {} ", when::listed(entry.mtime.secs)).bytes());
        if self.atimes {
            let atime = entry.atime().map(|time| when::listed(time.secs)).unwrap_or_default();
            line.extend(format!("{atime:19} ").bytes());
        }
        names::push(&mut line, entry.relative(), self.eight_bit);
        if let (Kind::Symlink { target }, true) = (&entry.kind, self.targets) {
            line.extend_from_slice(b" -> ");
            names::push(&mut line, target, self.eight_bit);
        }
        line
    }
}

fn type_letter(kind: &Kind) -> u8 {
    match kind {
        Kind::File { .. } => b'-',
        Kind::Dir => b'd',
        Kind::Symlink { .. } => b'l',
        Kind::Fifo => b'p',
        Kind::Socket => b's',
        Kind::CharDevice { .. } => b'c',
        Kind::BlockDevice { .. } => b'b',
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The line without its time, which is that of wherever this runs.
    fn line(entry: &Entry, targets: bool, human: u8) -> (String, String) {
        let line = Listing { targets, atimes: false, human, eight_bit: false }.line(entry);
        let line = String::from_utf8(line).expect("text");
        let size_end = if human > 0 { 25 } else { 22 };
        (line[..size_end].to_string(), line[size_end + 21..].to_string())
    }

    #[test]
    fn an_entry_is_listed_as_rsync_lists_it() {
        let file = Entry { mode: 0o6754, ..Entry::sample("a\n", Kind::File { size: 1_234_567 }) };
        assert_eq!(line(&file, false, 1), ("-rwsr-sr--      1,234,567".into(), "a\\#012".into()));
        assert_eq!(line(&file, false, 0).0, "-rwsr-sr--     1234567");
        assert_eq!(line(&file, false, 2).0, "-rwsr-sr--          1.23M");
        let link = Entry { mode: 0o777, ..Entry::sample("l", Kind::Symlink { target: Path::new("t").into() }) };
        assert_eq!(line(&link, true, 1), ("lrwxrwxrwx              1".into(), "l -> t".into()));
        assert_eq!(line(&link, false, 1).1, "l");
        let dir = Entry { mode: 0o1776, ..Entry::sample(".", Kind::Dir) };
        assert_eq!(line(&dir, true, 1), ("drwxrwxrwT              0".into(), ".".into()));
    }
}
