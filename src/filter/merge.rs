//! What stands in a merged file, piece by piece, and what CVS ignores. The one place that knows lines from words; who reads
//! the file is `expand`'s or `beneath`'s to say.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::rule::{self, FilterError, Merge, Modifiers, Parsed};

/// What CVS ignores by itself, in words.
const CVS: &[u8] =
    b"RCS SCCS CVS CVS.adm RCSLOG cvslog.* tags TAGS .make.state .nse_depinfo *~ #* .#* ,* _$* *$ *.old *.bak \
    *.BAK *.orig *.rej .del-* *.a *.olb *.o *.obj *.so *.exe *.Z *.elc *.ln core .svn/ .git/ .hg/ .bzr/";

/// What ends a line of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// A line feed. As in rsync a carriage return does too.
    #[default]
    Line,
    /// A NUL (`--from0`).
    Nul,
}

impl Ends {
    /// Whichever `-0` says.
    pub fn with_nul(is_nul: bool) -> Ends {
        if is_nul { Ends::Nul } else { Ends::Line }
    }
}

/// Lines that say something.
pub(crate) fn lines(contents: &[u8], ends: Ends) -> impl Iterator<Item = &[u8]> {
    let ends = move |byte: &u8| match ends {
        Ends::Line => matches!(byte, b'\n' | b'\r'),
        Ends::Nul => *byte == 0,
    };
    contents.split(ends).filter(|line| !matches!(line.first(), None | Some(b';' | b'#')))
}

fn words(contents: &[u8]) -> impl Iterator<Item = &[u8]> {
    contents.split(|b| matches!(b, b' ' | 9..=13)).filter(|word| !word.is_empty())
}

/// The rules, or bare patterns, of a file with `contents` that `merge` names.
pub(super) fn pieces<'c>(merge: &Merge<'_>, contents: &'c [u8], ends: Ends) -> Vec<Cow<'c, [u8]>> {
    match (merge.words, merge.bare) {
        (false, _) => lines(contents, ends).map(Cow::Borrowed).collect(),
        (true, Some(_)) => words(contents).map(Cow::Borrowed).collect(),
        (true, None) => rules_of_words(contents),
    }
}

/// Whole rules from words: a sign without its pattern takes the next word.
fn rules_of_words(contents: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut words = words(contents);
    let mut rules = Vec::new();
    while let Some(word) = words.next() {
        let pattern = match rule::parse(word) {
            Err(FilterError::NoPattern(_)) => words.next(),
            _ => None,
        };
        rules.push(pattern.map_or(Cow::Borrowed(word), |pattern| Cow::Owned([word, b" ", pattern].concat())));
    }
    rules
}

/// What the user wants CVS to ignore besides, as this process finds it.
pub(super) struct Taste {
    /// The contents of `~/.cvsignore`.
    home: Vec<u8>,
    /// The value of `$CVSIGNORE`.
    variable: Vec<u8>,
}

impl Taste {
    /// # Errors
    /// A `~/.cvsignore` that is there and cannot be read.
    pub(super) fn of_the_user() -> Result<Taste, FilterError> {
        let path = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cvsignore"));
        let variable = std::env::var_os("CVSIGNORE").map(OsString::into_vec).unwrap_or_default();
        Ok(Taste { home: path.map_or(Ok(Vec::new()), read_home)?, variable })
    }

    /// The rules that `-C` stands for, each with what that rule has. Those of CVS itself are perishable.
    pub(super) fn rules(&self, rule: &Parsed<'_>) -> Vec<Parsed<'static>> {
        let perishable = Modifiers { perishable: true, ..Modifiers::default() };
        let lists = [(CVS, perishable), (&self.home[..], Modifiers::default()), (&self.variable, Modifiers::default())];
        let mut rules = Vec::new();
        for (word, own) in lists.into_iter().flat_map(|(list, own)| words(list).map(move |word| (word, own))) {
            match word {
                b"!" => rules.clear(),
                _ => rules.push(Parsed {
                    include: rule.include,
                    modifiers: rule.modifiers.with(own),
                    pattern: Cow::Owned(word.to_vec()),
                }),
            }
        }
        rules
    }
}

fn read_home(path: PathBuf) -> Result<Vec<u8>, FilterError> {
    match std::fs::read(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        read => read.map_err(|source| FilterError::Read { path, source }),
    }
}

/// The rules that a `-C` among the rules stands for, `rule`.
///
/// # Errors
/// Those of [`Taste::of_the_user`].
pub(super) fn cvs(rule: &Parsed<'_>) -> Result<Vec<Parsed<'static>>, FilterError> {
    Ok(Taste::of_the_user()?.rules(rule))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::rule::Line;

    fn texts(taste: &Taste, rule: &[u8]) -> Vec<String> {
        let Ok(Line::Cvs(rule)) = rule::parse(rule) else { panic!("no rule of CVS") };
        taste.rules(&rule).iter().map(|rule| String::from_utf8(rule.to_line()).unwrap()).collect()
    }

    #[test]
    fn cvs_rules_are_its_own_perishable_ones_then_the_users() {
        let taste = Taste { home: b"mine #x".to_vec(), variable: b"also\n*.tmp".to_vec() };
        let rules = texts(&taste, b"-C");
        assert_eq!((rules[0].as_str(), rules.len()), ("-p RCS", 36 + 4));
        assert!(rules.contains(&"-p #*".into()) && rules.contains(&"-p .git/".into()));
        assert_eq!(rules[rules.len() - 4..], ["- mine", "- #x", "- also", "- *.tmp"]);
        assert_eq!(texts(&taste, b"-sC")[0], "-ps RCS");
        assert_eq!(texts(&taste, b"+C")[0], "+p RCS");
    }

    #[test]
    fn an_exclamation_mark_of_the_user_clears_what_cvs_ignores() {
        let taste = Taste { home: b"lost ! kept".to_vec(), variable: b"too !x".to_vec() };
        assert_eq!(texts(&taste, b"-C"), ["- kept", "- too", "- !x"]);
    }
}
