//! The eleven letters for one entry, as rsync's `-i` prints them.
//!
//! `YXcstpoguax`: what is done (`<` sent, `>` received, `c` made here, `h` hard link, `.` attributes only), the
//! type, then a letter for each thing that changes, `+` for what is new.

use crate::options::Options;
use crate::plan::{Action, Changes, Decision};
use crate::tree::entry::{Entry, Kind};

/// The eleven letters.
pub fn letters(entry: &Entry, decision: Decision, sending: bool, options: &Options) -> String {
    let mut line = String::with_capacity(11);
    line.push(match decision.action {
        Action::Whole | Action::Delta if sending => '<',
        Action::Whole | Action::Delta => '>',
        Action::Create => 'c',
        Action::HardLink => 'h',
        Action::Skip | Action::Attributes => '.',
    });
    line.push(match entry.kind {
        Kind::File { .. } => 'f',
        Kind::Dir => 'd',
        Kind::Symlink { .. } => 'L',
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => 'D',
        Kind::Fifo | Kind::Socket => 'S',
    });
    let changes = decision.changes - Changes::ELSEWHERE;
    if changes.contains(Changes::NEW) {
        line.push_str("+++++++++");
        return line;
    }
    if changes.is_empty() && !decision.action.needs_data() {
        line.push_str("         ");
        return line;
    }
    let time = if options.times { 't' } else { 'T' };
    let letters = [
        (Changes::CONTENTS, 'c'),
        (Changes::SIZE, 's'),
        (Changes::TIME, time),
        (Changes::PERMS, 'p'),
        (Changes::OWNER, 'o'),
        (Changes::GROUP, 'g'),
        (Changes::ATIME, 'u'),
        (Changes::ACLS, 'a'),
        (Changes::XATTRS, 'x'),
    ];
    line.extend(letters.map(|(change, letter)| if changes.contains(change) { letter } else { '.' }));
    line
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn entry(kind: Kind) -> Entry {
        Entry::sample("a", kind)
    }

    #[test]
    fn the_letters_are_rsyncs() {
        let options = Options { times: true, ..Options::default() };
        let file = entry(Kind::File { size: 1 });
        let shown =
            |entry: &Entry, action, changes, sending| letters(entry, Decision { action, changes }, sending, &options);
        assert_eq!(shown(&file, Action::Whole, Changes::NEW, false), ">f+++++++++");
        assert_eq!(shown(&file, Action::Delta, Changes::SIZE | Changes::TIME, true), "<f.st......");
        assert_eq!(shown(&file, Action::Attributes, Changes::PERMS, false), ".f...p.....");
        assert_eq!(shown(&file, Action::Attributes, Changes::GROUP | Changes::ATIME, false), ".f.....gu..");
        assert_eq!(shown(&file, Action::Attributes, Changes::XATTRS | Changes::ACLS, false), ".f.......ax");
        assert_eq!(shown(&file, Action::Skip, Changes::empty(), false), ".f         ");
        assert_eq!(shown(&file, Action::Whole, Changes::empty(), false), ">f.........");
        assert_eq!(shown(&entry(Kind::Dir), Action::Create, Changes::NEW, false), "cd+++++++++");
        let link = entry(Kind::Symlink { target: Path::new("t").into() });
        assert_eq!(shown(&link, Action::Create, Changes::CONTENTS, false), "cLc........");
        assert_eq!(shown(&file, Action::HardLink, Changes::NEW, false), "hf+++++++++");
    }
}
