//! The rules in force in each directory of a walk: those of the command line, and those of the merge files in it and in
//! the directories above it.
//!
//! A level holds what the files of one directory say, a list for each merge rule; a list goes on with that of the nearest
//! directory above that has one, unless it is cleared or not inherited. So a verdict looks at rules only, never at
//! directories without any. A directory whose merge file cannot be read or understood is told once, and all in it and below
//! is taken for excluded: a sender does not send, and a receiver does not delete, what a rule nobody knows may mean.
//!
//! How much a tree can make us hold is bounded: it may be anybody's.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand::MAX_MERGE_DEPTH;
use super::rule::{self, FilterError, Line, Merge, Parsed, Rule, View};
use super::{DirMerge, Filter, Found, Item, Question, Reason, Side, Verdict, beneath, merge};
use crate::tree::dir::Tree;

/// Rules of merge files that are in force at once.
const MAX_RULES: usize = 65_536;
/// Merge rules that are in force at once.
const MAX_MERGES: usize = 64;
/// Files that are read in one directory, merged ones included.
const MAX_READS: usize = 256;

/// A walk's rules. Verdicts are for entries of the directory that was entered last.
#[derive(Debug)]
pub struct Scopes {
    filter: Filter,
    side: Side,
    /// The merge rules in force: the filter's, then those that merge files have.
    merges: Vec<Arc<DirMerge>>,
    levels: Vec<Level>,
    /// Whether the directories above the walk have been looked at.
    began: bool,
    /// Whether the root itself is part of the walk.
    rooted: bool,
}

/// What the merge files of one directory say.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// Below the root, empty for that; `None` above the walk.
    dir: Option<Vec<u8>>,
    /// One for each merge rule.
    lists: Vec<List>,
    /// How many merge rules there were before.
    merges_above: usize,
    /// How many rules are in force here.
    rules: usize,
    pub(super) failed: bool,
}

#[derive(Debug, Default)]
struct List {
    items: Vec<Item>,
    /// The level whose list is the first to be looked at from here.
    start: Option<usize>,
    /// The one after this.
    next: Option<usize>,
}

/// What decides of the merge files of the rule `number`.
pub(super) fn inherited<'r>(number: usize, question: &Question<'_>, levels: &'r [Level]) -> Option<Found<'r>> {
    let mut at = levels.last()?.lists.get(number)?.start;
    while let Some(level) = at {
        let list = levels.get(level)?.lists.get(number)?;
        if let Some(found) = super::first(&list.items, question, levels) {
            return Some(Found { merge: found.merge.or(Some(number)), ..found });
        }
        at = list.next;
    }
    None
}

/// A directory whose merge files are read.
struct Place<'a> {
    /// `None` above the walk.
    tree: Option<&'a Tree>,
    /// Below the tree's root, or absolute.
    dir: &'a [u8],
    /// Where patterns with a slash in front are anchored.
    anchor: View,
}

impl Place<'_> {
    fn path(&self, name: &[u8]) -> PathBuf {
        let dir = Path::new(OsStr::from_bytes(self.dir)).join(OsStr::from_bytes(name));
        self.tree.map_or(dir.clone(), |tree| tree.path().join(&dir))
    }

    fn read(&self, name: &[u8]) -> Result<Option<Vec<u8>>, FilterError> {
        let read = match self.tree {
            Some(tree) => beneath::read(tree, self.dir, name),
            None => beneath::read_above(&self.path(name)),
        };
        read.map_err(|source| FilterError::Read { path: self.path(name), source })
    }

    /// What a merge rule within a merge file names: as in rsync it is looked for at the root, unless it has a slash.
    fn read_merged(&self, file: &[u8]) -> Result<Vec<u8>, FilterError> {
        let read = match self.tree {
            Some(_) if file.contains(&b'/') => self.read(file)?,
            Some(_) => Place { dir: b"", ..*self }.read(file)?,
            None => self.read(file)?,
        };
        let missing = || FilterError::Read { path: self.path(file), source: rustix::io::Errno::NOENT.into() };
        read.ok_or_else(missing)
    }
}

/// What is being gathered from a merge file.
#[derive(Default)]
struct Gathered {
    items: Vec<Item>,
    cleared: bool,
    /// How many merge rules there were before it.
    merges: usize,
}

impl Scopes {
    /// The rules of `filter` as `side` heeds them, before any directory is entered.
    pub fn new(filter: Filter, side: Side) -> Scopes {
        let merges = filter.merges.to_vec();
        Scopes { filter, side, merges, levels: Vec::new(), began: false, rooted: false }
    }

    /// Whether there is no rule at all, so that everything is included.
    pub fn is_empty(&self) -> bool {
        self.filter.is_empty()
    }

    /// Whether verdicts depend on files in the tree.
    pub fn read_files(&self) -> bool {
        self.filter.reads_files()
    }

    /// What the rules say of the entry at `path`, in the directory that was entered last.
    #[inline]
    pub fn verdict(&self, path: &Path, is_dir: bool) -> Verdict {
        if self.is_empty() {
            return Verdict::Included;
        }
        self.filter.decide(self.side, path, is_dir, false, &self.levels)
    }

    /// Like [`Scopes::verdict`], as [`Filter::verdict_when_deleting`].
    pub fn verdict_when_deleting(&self, path: &Path, is_dir: bool) -> Verdict {
        self.filter.decide(self.side, path, is_dir, true, &self.levels)
    }

    /// Which rule said what [`Scopes::verdict`] did; none where none has a say, or nobody knows it.
    pub fn reason<'r>(&'r self, path: &'r Path, is_dir: bool) -> Option<Reason<'r>> {
        let found = self.filter.find(self.side, path, is_dir, false, &self.levels)?;
        let merge_file = found.merge.and_then(|number| self.merges.get(number)).map(|merge| merge.name());
        Some(Reason::of(&found, self.side, path, is_dir, merge_file))
    }

    /// Reads all merge files again when a directory is entered next: they may have changed.
    pub fn forget(&mut self) {
        self.levels.clear();
        self.merges.truncate(self.filter.merges.len());
        self.began = false;
    }

    /// Comes to the directory `dir` of `tree`, reading the merge files of those that the walk has not come through.
    ///
    /// # Errors
    /// A merge file that cannot be read or understood, told once: from then on all below its directory is excluded.
    pub fn enter(&mut self, tree: &Tree, dir: &Path) -> Result<(), FilterError> {
        if !self.read_files() {
            return Ok(());
        }
        let dir = if dir.as_os_str() == "." { b"" } else { dir.as_os_str().as_bytes() };
        self.rooted |= dir.is_empty();
        while self.levels.last().is_some_and(|level| level.dir.as_ref().is_some_and(|above| !holds(above, dir))) {
            self.pop();
        }
        let mut result = Ok(());
        if !std::mem::replace(&mut self.began, true) {
            let start = if self.rooted { b"" } else { first_component(dir, 0) };
            result = self.look_above(start);
        }
        while let Some(next) = self.next_towards(dir) {
            let anchor = View::Below(if next.is_empty() { 0 } else { next.len() + 1 });
            let pushed = self.push(&Place { tree: Some(tree), dir: next, anchor }, Some(next.to_vec()), |_| true);
            result = result.and(pushed);
        }
        result
    }

    /// The next directory on the way to `dir`.
    fn next_towards<'d>(&self, dir: &'d [u8]) -> Option<&'d [u8]> {
        match self.levels.last().and_then(|level| level.dir.as_deref()) {
            Some(here) if here == dir => None,
            Some(b"") => Some(first_component(dir, 0)),
            Some(here) => Some(first_component(dir, here.len() + 1)),
            None if self.rooted => Some(b""),
            None => Some(first_component(dir, 0)),
        }
    }

    /// Reads the merge files of the directories above `start`, for rules that name one of them.
    fn look_above(&mut self, start: &[u8]) -> Result<(), FilterError> {
        let root = self.filter.root.clone();
        let start = [&root[..], start].join(&b'/');
        let parts: Vec<&[u8]> = start.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
        if self.merges.iter().all(|merge| merge.from(&parts).is_none()) {
            return Ok(());
        }
        let mut result = Ok(());
        for count in 0..parts.len() {
            let above = parts[..count].join(&b'/');
            let anchor = match above.len() {
                len if len < root.len() => View::Above(if len == 0 { 0 } else { len + 1 }),
                len if len == root.len() => View::Below(0),
                len if root.is_empty() => View::Below(len + 1),
                len => View::Below(len - root.len()),
            };
            let dir = [b"/", &above[..]].concat();
            let reads = |merge: &DirMerge| merge.from(&parts).is_some_and(|from| parts[..count].starts_with(&from));
            let pushed = self.push(&Place { tree: None, dir: &dir, anchor }, None, reads);
            result = result.and(pushed);
        }
        result
    }

    fn pop(&mut self) {
        if let Some(level) = self.levels.pop() {
            self.merges.truncate(level.merges_above);
        }
    }

    /// Adds the level of a directory, with the files of the merge rules that `reads` says.
    fn push(
        &mut self,
        place: &Place<'_>,
        dir: Option<Vec<u8>>,
        reads: impl Fn(&DirMerge) -> bool,
    ) -> Result<(), FilterError> {
        let merges_above = self.merges.len();
        let mut level = Level { dir, merges_above, ..Level::default() };
        let filled = match self.levels.last().is_some_and(|above| above.failed) {
            true => {
                level.failed = true;
                Ok(())
            }
            false => self.fill(&mut level, place, reads),
        };
        if filled.is_err() {
            self.merges.truncate(merges_above);
            level.failed = true;
        }
        self.levels.push(level);
        filled
    }

    fn fill(
        &mut self,
        level: &mut Level,
        place: &Place<'_>,
        reads: impl Fn(&DirMerge) -> bool,
    ) -> Result<(), FilterError> {
        let (here, mut read) = (self.levels.len(), 0);
        level.rules = self.levels.last().map_or(0, |above| above.rules);
        // A merge file may add merge rules, which are then read in the same directory.
        while let Some(merge) = self.merges.get(level.lists.len()).cloned() {
            let (number, name) = (level.lists.len(), merge.name());
            let mut gathered = Gathered { merges: self.merges.len(), ..Gathered::default() };
            let contents = if reads(&merge) { place.read(name)? } else { None };
            if let Some(contents) = contents {
                let taken = self.take(&mut gathered, &merge.rule(), &contents, (place, &mut read), 1);
                taken.map_err(|source| within(place.path(name), source))?;
            }
            level.rules += gathered.items.len();
            if level.rules > MAX_RULES {
                return Err(FilterError::TooMany { limit: MAX_RULES, what: "rules", path: place.path(name) });
            }
            let above = self.levels.last().and_then(|above| above.lists.get(number)).and_then(|list| list.start);
            let next = above.filter(|_| !gathered.cleared && !merge.is_local());
            let start = if gathered.items.is_empty() { next } else { Some(here) };
            level.lists.push(List { items: gathered.items, start, next });
        }
        Ok(())
    }

    /// Takes the rules of a merged file, `depth` files deep.
    fn take(
        &mut self,
        gathered: &mut Gathered,
        rule: &Merge<'_>,
        contents: &[u8],
        (place, read): (&Place<'_>, &mut usize),
        depth: usize,
    ) -> Result<(), FilterError> {
        *read += 1;
        if *read > MAX_READS {
            return Err(FilterError::TooMany { limit: MAX_READS, what: "merge files", path: place.path(b"") });
        }
        for piece in merge::pieces(rule, contents, self.filter.ends) {
            match rule.line(&piece)? {
                Line::Nothing => {}
                Line::Clear => {
                    gathered.items.clear();
                    gathered.cleared = true;
                    self.merges.truncate(gathered.merges);
                }
                Line::Rule(parsed) if parsed.modifiers.xattr => return Err(rule::about_xattrs(&piece)),
                Line::Rule(parsed) => self.add(gathered, &parsed, place),
                Line::Cvs(parsed) => {
                    merge::cvs(&parsed)?.iter().for_each(|parsed| self.add(gathered, parsed, place));
                }
                Line::DirMerge(inner) => self.add_merge(gathered, inner, place)?,
                Line::Merge(inner) => {
                    if depth >= MAX_MERGE_DEPTH {
                        return Err(FilterError::MergeDepth { limit: MAX_MERGE_DEPTH, path: place.path(inner.file) });
                    }
                    if inner.exclude_itself {
                        self.add(gathered, &inner.own_exclusion(), place);
                    }
                    let contents = place.read_merged(inner.file)?;
                    self.take(gathered, &inner, &contents, (place, &mut *read), depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn add(&self, gathered: &mut Gathered, parsed: &Parsed<'_>, place: &Place<'_>) {
        let rule = Rule::compile(&self.filter.sided(parsed), place.anchor);
        gathered.items.push(Item::Rule(rule));
    }

    fn add_merge(&mut self, gathered: &mut Gathered, inner: Merge<'_>, place: &Place<'_>) -> Result<(), FilterError> {
        if inner.exclude_itself {
            self.add(gathered, &inner.own_exclusion(), place);
        }
        // Its files are nothing to the other side, be there sense in them or not.
        if !inner.modifiers.count_for(self.side) {
            return Ok(());
        }
        if self.merges.len() >= MAX_MERGES {
            let path = place.path(inner.file);
            return Err(FilterError::TooMany { limit: MAX_MERGES, what: "per-directory merge rules", path });
        }
        if let Some(number) = super::add_merge(&mut self.merges, inner) {
            gathered.items.push(Item::Merge(number));
        }
        Ok(())
    }
}

/// Names the merge file that a rule is in, unless the error names a file itself.
fn within(path: PathBuf, source: FilterError) -> FilterError {
    match source {
        FilterError::Read { .. } | FilterError::TooMany { .. } | FilterError::MergeDepth { .. } => source,
        source => FilterError::Within { path, source: Box::new(source) },
    }
}

/// Whether `dir` is `above` or below it.
fn holds(above: &[u8], dir: &[u8]) -> bool {
    above.is_empty() || dir.strip_prefix(above).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// `dir` up to the end of the component that begins at `from`.
fn first_component(dir: &[u8], from: usize) -> &[u8] {
    let end = dir.iter().skip(from).position(|byte| *byte == b'/').map_or(dir.len(), |at| from + at);
    &dir[..end]
}

#[cfg(test)]
mod tests;
