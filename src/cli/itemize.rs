//! One line for one entry, as rsync's `-i` and `-v` print it.
//!
//! `YXcstpoguax name`: what is done (`<` sent, `>` received, `c` made here, `h` hard link, `.` attributes only), the
//! type, then a letter for each thing that changes, `+` for what is new.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
    let changes = decision.changes;
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
    ];
    line.extend(letters.map(|(change, letter)| if changes.contains(change) { letter } else { '.' }));
    // Access times, ACLs and extended attributes are not kept yet.
    line.push_str("...");
    line
}

/// A path as it is printed: a directory with a slash, a link with its target, control characters escaped.
pub fn name(entry: &Entry, link_to: Option<&Path>) -> String {
    let mut line = path(entry.relative(), entry.is_dir());
    match (&entry.kind, link_to) {
        (_, Some(leader)) => {
            let _ = write!(line, " => {}", printable(leader));
        }
        (Kind::Symlink { target }, _) => {
            let _ = write!(line, " -> {}", printable(target));
        }
        _ => {}
    }
    line
}

/// A path as it is printed, with a slash if it is a directory's.
pub fn path(path: &Path, is_dir: bool) -> String {
    let mut line = printable(path);
    if is_dir {
        line.push('/');
    }
    line
}

/// Bytes that could steer a terminal, or that are no text, as rsync shows them: `\#ooo`.
pub fn printable(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() {
                true => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(&mut shown, byte)),
                false => shown.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(&mut shown, *byte));
    }
    shown
}

fn escape(shown: &mut String, byte: u8) {
    let _ = write!(shown, "\\#{byte:03o}");
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

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
        assert_eq!(shown(&file, Action::Skip, Changes::empty(), false), ".f         ");
        assert_eq!(shown(&file, Action::Whole, Changes::empty(), false), ">f.........");
        assert_eq!(shown(&entry(Kind::Dir), Action::Create, Changes::NEW, false), "cd+++++++++");
        let link = entry(Kind::Symlink { target: Path::new("t").into() });
        assert_eq!(shown(&link, Action::Create, Changes::CONTENTS, false), "cLc........");
        assert_eq!(name(&link, None), "a -> t");
        assert_eq!(shown(&file, Action::HardLink, Changes::NEW, false), "hf+++++++++");
        assert_eq!(name(&file, Some(Path::new("b"))), "a => b");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let bytes = b"a\x1b[2J\n\xff\xc3\xa9";
        assert_eq!(printable(Path::new(OsStr::from_bytes(bytes))), "a\\#033[2J\\#012\\#377\u{e9}");
    }
}
