//! rsync's filter rules: which entries the sender hides, and which the receiver protects from deletion.
//!
//! Rules are lines of `--filter`'s language, in order; the first whose pattern matches decides, and what none matches is
//! included. A rule without a side counts for both: excluded means hidden at the sender and protected at the receiver.
//! A pattern that begins with `/` is anchored at the transfer's root; one with another `/` (or `**`) is matched against the
//! end of the path, whole components of it; any other against the last component alone. A `/` at its end makes it match
//! directories only. `*` and `?` stop at slashes, `**` does not; a backslash escapes only where there are wildcards.
//!
//! An entry is judged by itself: who walks a tree does not enter an excluded directory, which is what excludes its contents.
//!
//! Rules travel to the peer, so parsing reads no file: merge rules are replaced by what they name beforehand, at the side
//! where they were typed ([`expand()`]). Per-directory merge rules stay: each side reads the files of its own tree as it walks
//! through it ([`Scopes`]). Rules with the `x` modifier are about names of extended attributes and nothing else; those of
//! per-directory merge files are refused by name.

mod beneath;
mod expand;
mod merge;
mod pattern;
mod rule;
mod scopes;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::options::Options;
use crate::tree::xattrs::Choice;

pub use expand::{
    Action, expand, expand_with, from_exclude, from_file, from_include, from_partial_dir, from_protected_suffix,
    hiding_only,
};
pub use merge::Ends;
pub(crate) use merge::lines;
pub use rule::FilterError;
pub use scopes::Scopes;

use pattern::{Candidate, Pattern};
use rule::{Line, Merge, Modifiers, Parsed, Rule, View};
use scopes::Level;

/// Whether a name without slashes is what a pattern means.
pub fn is_like(pattern: &[u8], name: &[u8]) -> bool {
    Pattern::compile(pattern).matches(Candidate::new(name, false))
}

/// For whom a verdict is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The sender asks whether an entry is in the transfer; excluded entries are hidden.
    Sender,
    /// The receiver asks whether an entry that the sender does not have may be deleted; excluded entries are protected.
    Receiver,
}

/// What the rules say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In the transfer, or at risk of deletion.
    Included,
    /// Hidden, or protected.
    Excluded,
}

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    items: Arc<Vec<Item>>,
    /// Rules about the names of extended attributes.
    xattrs: Arc<Vec<Rule>>,
    merges: Arc<Vec<Arc<DirMerge>>>,
    /// The transfer root's absolute path without its leading slash, for rules with the `/` modifier.
    root: Vec<u8>,
    /// Rules of merge files that name no side are the sender's.
    hides_only: bool,
    /// What ends a line of a merge file.
    ends: Ends,
}

/// What stands in a list of rules.
#[derive(Debug)]
enum Item {
    Rule(Rule),
    /// The place of the rules of per-directory merge files, by the number of their merge rule.
    Merge(usize),
}

/// A per-directory merge rule.
#[derive(Debug)]
struct DirMerge {
    file: Vec<u8>,
    /// All of the rule but the file's name.
    rest: Merge<'static>,
}

impl DirMerge {
    fn rule(&self) -> Merge<'_> {
        Merge { file: &self.file, ..self.rest }
    }

    /// What the file is called in each directory.
    fn name(&self) -> &[u8] {
        self.rule().base_name()
    }

    /// Whether directories below do not inherit the file's rules.
    fn is_local(&self) -> bool {
        self.rest.local
    }

    /// The directory, in its components, from which on those above a walk are looked at as well: the one that the rule
    /// names, if the walk's start, whose components are `start`, is below it.
    fn from<'p>(&'p self, start: &[&'p [u8]]) -> Option<Vec<&'p [u8]>> {
        let name = self.file.len() - self.name().len();
        let named = &self.file[..name];
        if named.is_empty() {
            return None;
        }
        let mut from: Vec<&[u8]> = if named.starts_with(b"/") { Vec::new() } else { start.to_vec() };
        for part in named.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(from.pop()),
                part => from.push(part),
            }
        }
        (start.starts_with(&from) && start.len() > from.len()).then_some(from)
    }
}

/// Adds a per-directory merge rule and returns its number; `None` if there is one for a file of that name, which counts.
fn add_merge(merges: &mut Vec<Arc<DirMerge>>, rule: Merge<'_>) -> Option<usize> {
    if merges.iter().any(|merge| merge.name() == rule.base_name()) {
        return None;
    }
    let file = rule.file.to_vec();
    merges.push(Arc::new(DirMerge { file, rest: Merge { file: b"", exclude_itself: false, ..rule } }));
    Some(merges.len() - 1)
}

/// What is asked of rules.
struct Question<'a> {
    side: Side,
    /// Perishable rules do not count.
    deleting: bool,
    candidate: Candidate<'a>,
    root: &'a [u8],
}

/// The first of `items` that matches.
#[inline]
fn first<'r>(items: &'r [Item], question: &Question<'_>, levels: &'r [Level]) -> Option<Found<'r>> {
    items.iter().find_map(|item| match item {
        Item::Rule(rule) => rule.decides(question).then_some(Found { rule, merge: None }),
        Item::Merge(number) => scopes::inherited(*number, question, levels),
    })
}

/// The rule that decides.
struct Found<'r> {
    rule: &'r Rule,
    /// Which merge rule's files it is from.
    merge: Option<usize>,
}

/// Why an entry is treated as it is, in the words of rsync's users.
#[derive(Debug)]
pub struct Reason<'a> {
    side: Side,
    verdict: Verdict,
    path: &'a Path,
    is_dir: bool,
    pattern: &'a [u8],
    merge_file: Option<&'a [u8]>,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match (self.side, self.verdict) {
            (Side::Sender, Verdict::Included) => "[sender] showing",
            (Side::Sender, Verdict::Excluded) => "[sender] hiding",
            (Side::Receiver, Verdict::Included) => "[generator] risking",
            (Side::Receiver, Verdict::Excluded) => "[generator] protecting",
        };
        let kind = if self.is_dir { "directory" } else { "file" };
        let text = |bytes| OsStr::from_bytes(bytes).display();
        write!(f, "{doing} {kind} {} because of pattern {}", self.path.display(), text(self.pattern))?;
        self.merge_file.map_or(Ok(()), |file| write!(f, " [per-dir {}]", text(file)))
    }
}

impl Filter {
    /// Compiles `rules`, each one line as `--filter` takes it; an empty one says nothing.
    ///
    /// # Errors
    /// The first rule that cannot be understood, and any merge rule but per-directory ones: see [`expand()`].
    pub fn parse(rules: &[Vec<u8>]) -> Result<Self, FilterError> {
        let (mut items, mut merges, mut xattrs) = (Vec::new(), Vec::new(), Vec::new());
        for line in rules {
            match rule::parse(line)? {
                Line::Nothing => {}
                Line::Clear => {
                    items.clear();
                    merges.clear();
                    xattrs.clear();
                }
                Line::Rule(rule) if rule.modifiers.xattr => xattrs.push(Rule::compile(&rule, View::Below(0))),
                Line::Rule(rule) => items.push(Item::Rule(Rule::compile(&rule, View::Below(0)))),
                Line::DirMerge(rule) if rule.modifiers.xattr => return Err(rule::about_xattrs(line)),
                Line::DirMerge(rule) => items.extend(add_merge(&mut merges, rule).map(Item::Merge)),
                Line::Merge(_) | Line::Cvs(_) => return Err(FilterError::MergeNotExpanded(rule::shown(line))),
            }
        }
        let (items, xattrs, merges) = (Arc::new(items), Arc::new(xattrs), Arc::new(merges));
        Ok(Self { items, xattrs, merges, root: Vec::new(), hides_only: false, ends: Ends::Line })
    }

    /// The rules of a sync.
    ///
    /// # Errors
    /// Those of [`Filter::parse`].
    pub fn of(options: &Options) -> Result<Self, FilterError> {
        let ends = Ends::with_nul(options.from0);
        Ok(Self { hides_only: options.delete_excluded, ends, ..Self::parse(&options.filters)? })
    }

    /// Names the absolute path of this side's transfer root, which rules with the `/` modifier match against.
    ///
    /// Without it they see the path below the root only.
    #[must_use]
    pub fn with_root(mut self, root: &Path) -> Self {
        let bytes = root.as_os_str().as_bytes();
        self.root = bytes.strip_prefix(b"/").unwrap_or(bytes).to_vec();
        while self.root.last() == Some(&b'/') {
            self.root.pop();
        }
        self
    }

    /// Whether there is no rule at all, so that everything is included.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether `side` excludes the entry at `path` whatever its tree is like: not where a rule decides, or may have decided
    /// before, that looks at where the tree's root is or at its merge files.
    pub fn surely_excludes(&self, side: Side, path: &Path, is_dir: bool) -> bool {
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() || bytes == b"." {
            return false;
        }
        let question = Question { side, deleting: false, candidate: Candidate::new(bytes, is_dir), root: &[] };
        let known = self.items.iter().map_while(|item| match item {
            Item::Rule(rule) if !rule.is_absolute() => Some(rule),
            Item::Rule(_) | Item::Merge(_) => None,
        });
        let mut deciding = known.filter(|rule| rule.decides(&question));
        deciding.next().is_some_and(|rule| rule.verdict() == Verdict::Excluded)
    }

    /// The names of extended attributes that `side` does not leave alone; none where no rule is about such names, and what is
    /// usual counts.
    pub fn xattr_choice(&self, side: Side) -> Option<Choice> {
        let rules = Arc::clone(&self.xattrs);
        let chosen = move |name: &[u8]| {
            let question = Question { side, deleting: false, candidate: Candidate::new(name, false), root: &[] };
            rules.iter().find(|rule| rule.decides(&question)).is_none_or(|rule| rule.verdict() == Verdict::Included)
        };
        (!self.xattrs.is_empty()).then(|| Choice::new(chosen))
    }

    /// Whether there are per-directory merge rules.
    pub fn reads_files(&self) -> bool {
        !self.merges.is_empty()
    }

    /// A rule with the side that it has where it names none.
    fn sided<'r>(&self, rule: &Parsed<'r>) -> Parsed<'r> {
        let sender = rule.modifiers.sender || (self.hides_only && !rule.modifiers.names_side());
        Parsed { modifiers: Modifiers { sender, ..rule.modifiers }, ..rule.clone() }
    }

    /// What the rules say to `side` of the entry at `path`, relative to the transfer root and without a leading slash.
    ///
    /// The root itself (`.` or nothing) is always included. Merge files have no say here: see [`Scopes`].
    pub fn verdict(&self, side: Side, path: &Path, is_dir: bool) -> Verdict {
        self.decide(side, path, is_dir, false, &[])
    }

    /// Which rule says it; none where none does.
    pub fn reason<'r>(&'r self, side: Side, path: &'r Path, is_dir: bool) -> Option<Reason<'r>> {
        let found = self.find(side, path, is_dir, false, &[])?;
        Some(Reason::of(&found, side, path, is_dir, None))
    }

    /// What the rules say to the receiver of an entry within a directory that is itself being deleted: as
    /// [`verdict`](Self::verdict), without the perishable (`p`) rules.
    pub fn verdict_when_deleting(&self, path: &Path, is_dir: bool) -> Verdict {
        self.decide(Side::Receiver, path, is_dir, true, &[])
    }

    fn decide(&self, side: Side, path: &Path, is_dir: bool, deleting: bool, levels: &[Level]) -> Verdict {
        if levels.last().is_some_and(|level| level.failed) && !is_root(path) {
            return Verdict::Excluded;
        }
        self.find(side, path, is_dir, deleting, levels).map_or(Verdict::Included, |found| found.rule.verdict())
    }

    fn find<'r>(
        &'r self,
        side: Side,
        path: &Path,
        is_dir: bool,
        deleting: bool,
        levels: &'r [Level],
    ) -> Option<Found<'r>> {
        if self.items.is_empty() || is_root(path) {
            return None;
        }
        let candidate = Candidate::new(path.as_os_str().as_bytes(), is_dir);
        first(&self.items, &Question { side, deleting, candidate, root: &self.root }, levels)
    }
}

/// Whether a path is that of the transfer's root.
fn is_root(path: &Path) -> bool {
    matches!(path.as_os_str().as_bytes(), b"" | b".")
}

impl<'a> Reason<'a> {
    fn of(found: &Found<'a>, side: Side, path: &'a Path, is_dir: bool, merge_file: Option<&'a [u8]>) -> Reason<'a> {
        Reason { side, verdict: found.rule.verdict(), path, is_dir, pattern: found.rule.text(), merge_file }
    }
}

#[cfg(test)]
mod tests;
