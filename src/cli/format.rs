//! `--out-format` and `--log-file-format`: a line for an entry, put together as rsync's escapes say. `-i` and `-v` are such
//! formats too.
//!
//! An escape stands for what is known when the line is printed, before the contents have come. What only rsync's daemon knows,
//! and what sy counts for the whole sync only, is refused by its letter instead of being printed as something else.

use std::io::Write;
use std::path::Path;

use super::names;
use super::stats::grouped;
use super::{itemize, when};
use crate::options::Options;
use crate::plan::Decision;
use crate::tree::entry::{Entry, Kind};

/// What a format is of.
pub enum Line<'a> {
    /// An entry of the list.
    Item {
        /// The source's entry.
        entry: &'a Entry,
        /// What is done about it.
        decision: Decision,
        /// The name that it becomes a link to.
        link_to: Option<&'a Path>,
    },
    /// Something that is deleted.
    Deleted {
        /// Below the destination's root.
        path: &'a Path,
        /// Whether it is a directory.
        is_dir: bool,
    },
}

/// What all lines of a sync have in common.
pub struct Scene {
    /// Whether contents leave for another machine.
    pub pushing: bool,
    /// Whether they come from one.
    pub pulling: bool,
    /// `-8`.
    pub eight_bit: bool,
    /// Of the sync.
    pub options: Options,
}

/// A format, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(Vec<u8>),
    Field { letter: u8, left: bool, width: usize, human: u8 },
}

/// The letters that mean something here.
const LETTERS: &[u8] = b"BGLMUfilnopt";

impl Format {
    /// What `-i` means.
    pub const ITEMIZED: &str = "%i %n%L";
    /// What `-v` means.
    pub const NAMED: &str = "%n%L";

    /// Takes `text` apart.
    ///
    /// # Errors
    /// An escape that there is not, as a sentence for a person.
    pub fn parse(text: &[u8]) -> Result<Format, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            pieces.push(Piece::Text(rest[..at].to_vec()));
            let (piece, after) = Piece::parse(&rest[at + 1..])?;
            pieces.push(piece);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_vec()));
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        Ok(Format { pieces })
    }

    /// Whether one of `letters` is in it.
    pub fn has(&self, letters: &[u8]) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Field { letter, .. } if letters.contains(letter)))
    }

    /// The line for `of`.
    pub fn line(&self, of: &Line<'_>, scene: &Scene) -> Vec<u8> {
        let mut out = Vec::with_capacity(80);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Field { letter, left, width, human } => {
                    let begin = out.len();
                    of.push(*letter, *human, scene, &mut out);
                    pad(&mut out, begin, *left, *width);
                }
            }
        }
        out
    }
}

/// Fills what begins at `begin` up with blanks, to so many bytes as they are shown (rsync counts a name before it escapes it).
fn pad(out: &mut Vec<u8>, begin: usize, left: bool, width: usize) {
    let blanks = width.saturating_sub(out.len() - begin);
    out.resize(out.len() + blanks, b' ');
    if !left {
        out[begin..].rotate_right(blanks);
    }
}

impl Piece {
    /// What stands after a `%`, and what follows it.
    fn parse(text: &[u8]) -> Result<(Piece, &[u8]), String> {
        if let [b'%', rest @ ..] = text {
            return Ok((Piece::Text(b"%".to_vec()), rest));
        }
        let quotes = text.iter().take_while(|byte| **byte == b'\'').count();
        let rest = &text[quotes..];
        let (left, rest) = rest.strip_prefix(b"-").map_or((false, rest), |rest| (true, rest));
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (width, rest) = rest.split_at(digits);
        let width = width.iter().fold(0usize, |width, digit| width.saturating_mul(10) + usize::from(digit - b'0'));
        let refuse = |why: &str| Err(format!("%{}: {why}", String::from_utf8_lossy(&text[..text.len().min(8)])));
        match rest.split_first() {
            Some((letter, rest)) if LETTERS.contains(letter) => {
                let (human, width) = (quotes.min(3) as u8, width.min(4096));
                Ok((Piece::Field { letter: *letter, left, width, human }, rest))
            }
            Some((b'b' | b'c', _)) => refuse("bytes are counted for the whole sync: see --stats"),
            Some((b'C', _)) => refuse("sy does not tell digests"),
            Some((b'a' | b'h' | b'm' | b'P' | b'u', _)) => refuse("only rsync's daemon knows that"),
            _ => refuse("no escape (those that there are: %i %n %L %f %l %o %M %B %U %G %p %t %%)"),
        }
    }
}

impl Line<'_> {
    fn push(&self, letter: u8, human: u8, scene: &Scene, out: &mut Vec<u8>) {
        // Writing to memory does not fail.
        let _ = match letter {
            b'i' => out.write_all(&self.letters(scene)),
            b'n' | b'f' => return self.push_name(letter == b'f', scene, out),
            b'L' => return self.push_link(scene, out),
            b'l' => write!(out, "{}", grouped(self.size(), human)),
            b'o' => out.write_all(self.operation(scene)),
            b'M' => write!(out, "{}", when::of_file(self.entry().map_or(0, |entry| entry.mtime.secs))),
            b'B' => out.write_all(&self.entry().map_or(*b"---------", |entry| permissions(entry.mode))),
            b'U' => write!(out, "{}", self.entry().filter(|_| scene.options.owner).map_or(0, |entry| entry.uid)),
            b'G' => match self.entry() {
                Some(_) if !scene.options.group => out.write_all(b"DEFAULT"),
                entry => write!(out, "{}", entry.map_or(0, |entry| entry.gid)),
            },
            b'p' => write!(out, "{}", std::process::id()),
            _ => write!(out, "{}", when::now()),
        };
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Line::Item { entry, .. } => Some(entry),
            Line::Deleted { .. } => None,
        }
    }

    fn letters(&self, scene: &Scene) -> Vec<u8> {
        match self {
            Line::Item { entry, decision, .. } => {
                itemize::letters(entry, *decision, scene.pushing, &scene.options).into_bytes()
            }
            Line::Deleted { .. } => b"*deleting  ".to_vec(),
        }
    }

    /// Below the root, or, where the source is here, as it was named on the command line.
    fn push_name(&self, long: bool, scene: &Scene, out: &mut Vec<u8>) {
        let (path, is_dir) = match self {
            Line::Item { entry, .. } => (entry.relative(), entry.is_dir()),
            Line::Deleted { path, is_dir } => (*path, *is_dir),
        };
        match self.entry().filter(|_| long && !scene.pulling) {
            Some(entry) => {
                let path = entry.path();
                names::push(out, path.strip_prefix("/").unwrap_or(&path), scene.eight_bit);
            }
            None => names::push(out, path, scene.eight_bit),
        }
        if is_dir && !long {
            out.push(b'/');
        }
    }

    fn push_link(&self, scene: &Scene, out: &mut Vec<u8>) {
        let Line::Item { entry, link_to, .. } = self else { return };
        match (&entry.kind, link_to) {
            (_, Some(leader)) => {
                out.extend_from_slice(b" => ");
                names::push(out, leader, scene.eight_bit);
            }
            (Kind::Symlink { target }, _) => {
                out.extend_from_slice(b" -> ");
                names::push(out, target, scene.eight_bit);
            }
            _ => {}
        }
    }

    fn size(&self) -> u64 {
        self.entry().map_or(0, |entry| entry.kind.length())
    }

    fn operation(&self, scene: &Scene) -> &'static [u8] {
        match self {
            Line::Deleted { .. } => b"del.",
            Line::Item { .. } if scene.pulling => b"recv",
            Line::Item { .. } => b"send",
        }
    }
}

/// `rwxrwxrwx`, with the letters of `ls` for what execution means besides.
pub(super) fn permissions(mode: u32) -> [u8; 9] {
    let mut shown = *b"rwxrwxrwx";
    for (at, letter) in shown.iter_mut().enumerate() {
        if mode & (0o400 >> at) == 0 {
            *letter = b'-';
        }
    }
    for (bit, at, letter) in [(0o4000, 2, b's'), (0o2000, 5, b's'), (0o1000, 8, b't')] {
        if mode & bit != 0 {
            shown[at] = if shown[at] == b'x' { letter } else { letter.to_ascii_uppercase() };
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Action, Changes};

    fn scene() -> Scene {
        Scene {
            pushing: false,
            pulling: false,
            eight_bit: false,
            options: Options { times: true, ..Options::default() },
        }
    }

    fn show(format: &str, of: &Line<'_>) -> String {
        let line = Format::parse(format.as_bytes()).expect(format).line(of, &scene());
        String::from_utf8(line).expect("text")
    }

    fn item(entry: &Entry) -> Line<'_> {
        Line::Item { entry, decision: Decision { action: Action::Whole, changes: Changes::NEW }, link_to: None }
    }

    #[test]
    fn escapes_are_rsyncs_with_widths_and_numbers_for_people() {
        let mut entry = Entry::sample("dir/name", Kind::File { size: 1_234_567 });
        entry.mode = 0o4754;
        let line = item(&entry);
        assert_eq!(show("%i %n%L", &line), ">f+++++++++ dir/name");
        assert_eq!(
            show("%l|%'l|%''l|%'''l|%10l|%-10l|", &line),
            "1234567|1,234,567|1.23M|1.18M|   1234567|1234567   |"
        );
        assert_eq!(show("%3n 100%% %o %B %G", &line), "dir/name 100% send rwsr-xr-- DEFAULT");
        assert_eq!(show("%p", &line), std::process::id().to_string());
        assert_eq!(show("", &line), "");
        assert_eq!(show("%t", &line).len(), "2026/11/23 14:30:00".len());
    }

    #[test]
    fn a_deletion_has_a_name_and_little_else() {
        let line = Line::Deleted { path: Path::new("gone"), is_dir: true };
        assert_eq!(show("%i|%n|%f|%l|%o|%B|%U|%G|%L|", &line), "*deleting  |gone/|gone|0|del.|---------|0|0||");
    }

    #[test]
    fn what_is_no_escape_or_not_known_is_refused_by_its_letter() {
        for (format, told) in
            [("%n %z", "%z"), ("%", "no escape"), ("%5", "no escape"), ("%h", "only rsync"), ("%10b", "--stats")]
        {
            assert!(Format::parse(format.as_bytes()).unwrap_err().contains(told), "{format}");
        }
    }

    #[test]
    fn the_letters_for_execution_say_what_else_it_means() {
        let mut entry = Entry::sample("a", Kind::Dir);
        for (mode, shown) in [(0o7777, "rwsrwsrwt"), (0o7000, "--S--S--T"), (0o640, "rw-r-----")] {
            entry.mode = mode;
            assert_eq!(show("%B", &item(&entry)), shown);
        }
    }
}
