//! The destination of a sync, whoever brings the contents: what is decided about each entry of the list, what is made
//! from the list alone, what is deleted, and what is put right at the end.
//!
//! Used by the receiver of a session and by a local copy. Works only through a [`Tree`], so beneath the root. Contents
//! are `incoming`'s (from a link) or `tree::copy`'s (on one machine).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ExitCode, Result};
use crate::events::{About, Event, Monitor};
use crate::filter::{Filter, Scopes, Side};
use crate::location;
use crate::options::Options;
use crate::plan::{self, Action, Changes, Decision, Powers};
use crate::protocol::message::{Counters, Deleted};
use crate::source;
use crate::tree::aside::Way;
use crate::tree::capability::Capability;
use crate::tree::dir::Tree;
use crate::tree::entry::{Entry, Kind};
use crate::tree::metadata::{self, Keep};
use crate::tree::notes::Notes;
use crate::tree::owners;
use crate::tree::place::is_partial_name;
use crate::tree::room::Room;

pub mod ahead;
mod attributes;
mod backup;
pub mod delete;
pub mod draft;
mod elsewhere;
pub mod extra;
mod implied;
pub mod incoming;
mod links;
mod partial;
mod remove;
#[cfg(test)]
mod tests;

use ahead::{Ahead, Found};
use attributes::WORKING_DIR_MODE;
use backup::Backup;
use elsewhere::Elsewhere;
use links::Leader;
use partial::Partials;
use remove::Tell;

/// What was tried and how it failed, before the path is added.
type Attempt<T> = std::result::Result<T, (&'static str, io::Error)>;

/// What has to be known of a list before any of it is dealt with.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// It has at most one entry, and no directory.
    is_file: bool,
    is_empty: bool,
    /// It is all of the source, as far as is known.
    is_complete: bool,
    /// Its entries that are named like what `--partial` keeps.
    partials: HashSet<PathBuf>,
}

impl Outline {
    /// Of a list that is all here; `is_complete` says whether it is all of the source.
    pub fn of(entries: &[Entry], is_complete: bool, options: &Options) -> Outline {
        let is_file = entries.len() <= 1 && !entries.iter().any(Entry::is_dir);
        let partials = entries.iter().filter(|entry| options.partial && is_named_partial(entry));
        let partials = partials.map(|entry| entry.relative().to_path_buf()).collect();
        Outline { is_file, is_empty: entries.is_empty(), is_complete, partials }
    }

    /// Of a list that will be of directories and what is in them.
    pub fn directories() -> Outline {
        Outline { is_complete: true, ..Outline::default() }
    }
}

fn is_named_partial(entry: &Entry) -> bool {
    entry.relative().file_name().is_some_and(is_partial_name)
}

/// A destination, opened.
pub struct Destination {
    /// The tree; `None` in a dry run onto nothing, and where nothing but a list is wanted.
    pub tree: Option<Tree>,
    /// What was done so far.
    pub counters: Counters,
    root: PathBuf,
    /// A single file's new name, where the destination names a file and not a directory.
    rename: Option<OsString>,
    options: Options,
    rules: Scopes,
    seed: u64,
    /// Whether what only root can give can be given, or said.
    is_root: bool,
    /// Whether modes keep us from nothing.
    passes: bool,
    /// What is noted of what is here.
    notes: Notes,
    /// What is asked for and the file system cannot keep: known from the start, so that nothing differs for want of it.
    lacking: Vec<Capability>,
    monitor: Arc<Monitor>,
    /// Directories that are not there (or are ours and empty): nothing in them needs to be looked for.
    empty: HashSet<PathBuf>,
    /// Directories that are not made because the options say so: nothing in them is looked at.
    ignored: HashSet<PathBuf>,
    /// Directories that could not be made: nothing in them is tried.
    failed: HashSet<PathBuf>,
    /// Directories whose times our own writing has moved.
    touched: HashSet<PathBuf>,
    /// Directories that we may not write to, and have had no need to.
    closed: HashMap<PathBuf, Entry>,
    /// Directories in which something was deleted, as they were before.
    before: HashMap<PathBuf, Entry>,
    /// The modes that directories go back to, where they have another one while we work in them.
    modes: HashMap<PathBuf, u32>,
    /// The name of each hard-link group that the others become links to.
    leaders: HashMap<u32, Leader>,
    /// Whether there was anything here before, if links are to be kept.
    had_any: bool,
    /// Whether names that are not there may wait for others of their files that are.
    names_may_wait: bool,
    /// Whether things may be deleted: asked for, and the list is all of the source.
    may_delete: bool,
    /// Whether a listed file of the source could not be read.
    source_failed: bool,
    /// What is to be deleted at the end; what is in one directory follows one another.
    noted: Vec<PathBuf>,
    /// Entries that `--max-delete` has kept.
    limited: u64,
    /// What was deleted to make way, and has not been told yet.
    cleared: Vec<Deleted>,
    /// Entries of the list that are named like what `--partial` keeps: they are files like any other.
    listed_partials: HashSet<PathBuf>,
    /// What was found in the directory that is being decided about, before its list was here.
    found: Option<Found>,
    ahead: Ahead,
    /// What is replaced or deleted is kept.
    backup: Option<Backup>,
    /// Where what has no name yet is kept.
    partials: Option<Partials>,
    /// Files that wait for their names (`--delay-updates`).
    delayed: Vec<PathBuf>,
    /// Where files are written before they are put in place, if not beside that.
    temp: Option<Room>,
    /// Other directories that may have what the destination lacks.
    elsewhere: Option<Elsewhere>,
}

impl Destination {
    /// Opens, and where missing makes, the destination `path` for the list that `outline` is of.
    ///
    /// As in rsync, the path names the directory that everything
    /// goes into, unless the list is a single file and no such directory exists: then it names the file.
    ///
    /// # Errors
    /// [`Error::Selection`] when several entries are to go into a file; [`Error::Io`] when the directory cannot be made
    /// or opened.
    pub fn open(
        path: &Path,
        outline: Outline,
        options: &Options,
        filter: Filter,
        seed: u64,
        monitor: &Arc<Monitor>,
    ) -> Result<Destination> {
        if options.preallocate && !cfg!(target_os = "linux") {
            return Err(Error::Usage("--preallocate does not work on this system".into()));
        }
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let (root, rename) = match options.list_only {
            true => (path.to_path_buf(), None),
            false => Self::resolve(path, &outline, options.mkpath)?,
        };
        let is_root = options.fake_super || owners::is_root();
        let choice = filter.xattr_choice(Side::Receiver);
        let mut destination = Destination {
            tree: None,
            counters: Counters::default(),
            rules: Scopes::new(filter.with_root(&source::absolute(&root)), Side::Receiver),
            root,
            rename,
            // Only root makes devices: for anybody else they are as if -D had not been given.
            options: Options { devices: options.devices && is_root, ..options.clone() },
            seed,
            is_root,
            passes: owners::is_root(),
            notes: options.notes_of_destination(seed, is_root, choice),
            lacking: Vec::new(),
            monitor: monitor.clone(),
            empty: HashSet::new(),
            ignored: HashSet::new(),
            failed: HashSet::new(),
            touched: HashSet::new(),
            closed: HashMap::new(),
            before: HashMap::new(),
            modes: HashMap::new(),
            leaders: HashMap::new(),
            had_any: false,
            names_may_wait: false,
            may_delete: options.delete.is_some(),
            source_failed: false,
            noted: Vec::new(),
            limited: 0,
            cleared: Vec::new(),
            listed_partials: outline.partials,
            found: None,
            ahead: Ahead::default(),
            backup: None,
            partials: None,
            delayed: Vec::new(),
            temp: None,
            elsewhere: None,
        };
        if !outline.is_complete {
            destination.source_is_incomplete();
        }
        if options.list_only {
            destination.empty.insert(PathBuf::from("."));
            return Ok(destination);
        }
        destination.open_root(!outline.is_empty || location::copies_contents(path))?;
        destination.find_lacking();
        destination.had_any = options.hard_links && destination.has_any();
        destination.let_names_wait(true);
        let (tree, notes) = (destination.tree.as_ref(), &destination.notes);
        destination.elsewhere = Elsewhere::open(tree, &destination.root, options, notes, monitor)?;
        if let Some(tree) = &destination.tree {
            destination.backup = Backup::open(tree, options)?;
            destination.partials = Partials::open(tree, options)?;
            if let Some(dir) = &options.temp_dir {
                let opened = Room::open(tree, dir).map_err(|error| Error::io("open directory", dir, error))?;
                destination.temp = Some(opened);
            }
        }
        Ok(destination)
    }

    /// The directory that everything goes into, and the new name of a single file.
    fn resolve(path: &Path, outline: &Outline, mkpath: bool) -> Result<(PathBuf, Option<OsString>)> {
        let names_a_file = outline.is_file && !location::copies_contents(path);
        let is_dir = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => true,
            Ok(_) if names_a_file => false,
            Ok(_) => {
                let text = format!("the destination {} must be a directory for what is copied", path.display());
                return Err(Error::Selection(text));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => !names_a_file || outline.is_empty,
            Err(error) => {
                return Err(Error::Selection(format!("cannot use the destination {}: {error}", path.display())));
            }
        };
        if is_dir {
            return Ok((path.to_path_buf(), None));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let may_be_made = mkpath && !parent.exists();
        if !parent.is_dir() && !may_be_made {
            let text = format!("the directory of the destination {} does not exist (see --mkpath)", path.display());
            return Err(Error::Selection(text));
        }
        Ok((parent.to_path_buf(), path.file_name().map(OsString::from)))
    }

    /// A root that nothing goes into is not made.
    fn open_root(&mut self, make: bool) -> Result<()> {
        match Tree::open(&self.root) {
            Ok(tree) => {
                let has_doors = self.options.keep_dirlinks || self.options.no_implied_dirs;
                let tree = tree.noting(self.notes.clone());
                self.tree = Some(if has_doors { tree.with_doors() } else { tree });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.empty.insert(PathBuf::from("."));
                if !make {
                    return Ok(());
                }
                if !self.options.dry_run {
                    let make = if self.options.mkpath { std::fs::create_dir_all } else { std::fs::create_dir };
                    make(&self.root).map_err(|error| Error::io("create directory", &self.root, error))?;
                    let tree =
                        Tree::open(&self.root).map_err(|error| Error::io("open directory", &self.root, error))?;
                    self.tree = Some(tree.noting(self.notes.clone()));
                }
                self.monitor.detail(1, &format!("created directory {}", self.root.display()));
            }
            Err(error) => return Err(Error::io("open directory", &self.root, error)),
        }
        Ok(())
    }

    /// Something of the source could not be read: from here on nothing is deleted, unless that is not to count.
    pub fn source_is_incomplete(&mut self) {
        if self.options.ignore_errors {
            return;
        }
        if std::mem::replace(&mut self.may_delete, false) {
            let text = "the source could not be read completely: nothing is deleted";
            self.monitor.warn(ExitCode::Partial, text);
        }
        self.noted.clear();
    }

    /// Notes an entry of the list, before anything of its directory is decided about.
    pub fn note_listed(&mut self, entry: &Entry) {
        if self.options.partial && is_named_partial(entry) {
            self.listed_partials.insert(entry.relative().to_path_buf());
        }
        self.note_dir(entry, entry.relative());
    }

    /// A directory is done with, and so is all that is below it.
    pub fn forget_dir(&mut self, place: &Path) {
        for places in [&mut self.empty, &mut self.ignored, &mut self.failed, &mut self.touched] {
            places.remove(place);
        }
        self.closed.remove(place);
        self.before.remove(place);
        self.modes.remove(place);
        self.forget_noted_dir(place);
    }

    /// Where an entry goes, below the root.
    pub fn place<'e>(&self, entry: &'e Entry) -> Cow<'e, Path> {
        match &self.rename {
            Some(name) => PathBuf::from(name).into(),
            None => entry.relative().into(),
        }
    }

    /// Decides about an entry and does what the list alone suffices for; what needs contents is left to the caller.
    /// An entry that fails is reported, and skipped.
    pub fn prepare(&mut self, entry: &Entry) -> Decision {
        if entry.implied {
            return self.prepare_implied(entry);
        }
        self.counters.listed += 1;
        self.counters.total = self.counters.total.saturating_add(entry.kind.size());
        let place = self.place(entry);
        if self.below_failed(&place) {
            return self.give_up(entry, &place);
        }
        if self.ignored.contains(parent(&place)) && *place != *Path::new(".") {
            if entry.is_dir() {
                self.ignored.insert(place.into_owned());
            }
            self.count(Decision::SKIP);
            return Decision::SKIP;
        }
        match self.try_prepare(entry, &place) {
            Ok(decision) => decision,
            Err((action, error)) => {
                self.monitor.failed(action, &self.path_of(&place), &error);
                self.give_up(entry, &place)
            }
        }
    }

    fn give_up(&mut self, entry: &Entry, place: &Path) -> Decision {
        if entry.is_dir() {
            self.failed.insert(place.to_path_buf());
        }
        self.counters.failed += 1;
        Decision::SKIP
    }

    fn below_failed(&self, place: &Path) -> bool {
        !self.failed.is_empty() && place.ancestors().skip(1).any(|parent| self.failed.contains(parent))
    }

    fn try_prepare(&mut self, entry: &Entry, place: &Path) -> Attempt<Decision> {
        let existing = self.existing(entry, place).map_err(|error| ("look at", error))?;
        self.note_dir(entry, place);
        self.tell_lacking(entry, place);
        let mut decision = match self.follow_leader(entry, place, existing.as_ref()) {
            Some(decision) => decision,
            None => self.decide(entry, place, existing.as_ref()),
        };
        let likeness = self.consult(entry, place, existing.as_ref(), &mut decision);
        if self.names_may_wait && likeness.is_none() {
            decision = self.put_off(entry, existing.as_ref(), decision);
        }
        if entry.is_dir() && existing.as_ref().is_none_or(|existing| !existing.is_dir()) {
            let absent = if decision.action == Action::Skip { &mut self.ignored } else { &mut self.empty };
            absent.insert(place.to_path_buf());
        }
        if let Some(existing) = &existing {
            self.make_way(entry, existing, decision.action != Action::Skip || likeness.is_some(), place)?;
        }
        if !self.options.dry_run {
            match decision.action {
                _ if likeness.is_some() => {
                    self.make_alike(entry, place, existing.as_ref(), &likeness, &mut decision)?
                }
                Action::Create => self.create(entry, place, existing.as_ref())?,
                Action::Attributes => {
                    self.attributes(entry, place, existing.as_ref())?;
                    self.drop_stale_partial(place);
                }
                _ if entry.is_dir() => self.note_closed(place, existing.as_ref())?,
                Action::Skip if existing.as_ref().is_some_and(Entry::is_file) => self.drop_stale_partial(place),
                Action::Skip => {}
                _ => self.open_up(parent(place))?,
            }
        }
        if !self.options.dry_run && !entry.xattrs().is_empty() {
            decision = plan::with_values(decision, entry, existing.as_ref(), &self.powers(entry));
        }
        self.lead(entry, place, existing.as_ref(), decision, likeness.as_ref());
        self.count(decision);
        Ok(self.settled(entry, place, existing.as_ref(), decision, likeness.is_some()))
    }

    /// With `--remove-source-files`, marks what the source may let go of: what was made or was there, and not what is left
    /// alone whatever the source has.
    fn settled(
        &self,
        entry: &Entry,
        place: &Path,
        existing: Option<&Entry>,
        mut decision: Decision,
        elsewhere: bool,
    ) -> Decision {
        if !self.options.remove_source_files || self.options.dry_run || entry.is_dir() {
            return decision;
        }
        let is_same = |existing: &Entry| existing.kind.same_type(&entry.kind) && !self.leaves(entry, place, existing);
        let has = match decision.action {
            Action::Create | Action::Attributes => true,
            Action::HardLink => elsewhere,
            Action::Skip if elsewhere => entry.is_file(),
            Action::Skip => self.options.takes(entry) && existing.is_some_and(is_same),
            _ => false,
        };
        decision.changes.set(Changes::SETTLED, has);
        decision
    }

    /// What stands at `place`; a directory that is not there has nothing in it.
    fn existing(&mut self, entry: &Entry, place: &Path) -> io::Result<Option<Entry>> {
        let Some(tree) = &self.tree else { return Ok(None) };
        if self.empty.contains(parent(place)) {
            // That the root was made by us just now only its decision shows: it is new.
            return Ok(None);
        }
        let found = self.found.as_mut().and_then(|found| found.take(place.file_name()?));
        if let Some(found) = found.filter(|_| !(self.options.keep_dirlinks && entry.is_dir())) {
            return Ok(Some(found));
        }
        let mut found = tree.lstat(place)?;
        if self.options.keep_dirlinks && entry.is_dir() && tree.open_door(place, found.as_ref())? {
            found = tree.lstat(place)?;
        }
        let before = self.before.get(place).filter(|_| found.as_ref().is_some_and(Entry::is_dir));
        Ok(before.cloned().or(found))
    }

    /// Whether what is there is left alone whatever the source has.
    fn ignores(&self, entry: &Entry, existing: &Entry) -> bool {
        let is_newer = existing.is_file() && entry.is_file() && self.options.is_newer(&existing.mtime, &entry.mtime);
        self.options.ignore_existing || (self.options.update && is_newer)
    }

    /// The same, or because it is not to be appended to though it is another file.
    fn leaves(&self, entry: &Entry, place: &Path, existing: &Entry) -> bool {
        let differs = || !plan::counts_as_same(entry, existing, &self.options, || self.same_contents(entry, place));
        self.ignores(entry, existing) || (self.options.append && entry.is_file() && existing.is_file() && differs())
    }

    fn decide(&self, entry: &Entry, place: &Path, existing: Option<&Entry>) -> Decision {
        if let Kind::Symlink { target } = &entry.kind
            && self.options.is_unsafe(entry)
        {
            let text = format!("{} leads out, to {}: it is left alone", entry.path().display(), target.display());
            self.monitor.remark(About::UnsafeLink, 1, &text);
        }
        let same_contents = || self.same_contents(entry, place);
        let decision = plan::decide(entry, existing, &self.options, &self.powers(entry), same_contents);
        self.with_partial(decision, entry, place)
    }

    /// Whether an entry can be given to a group, or said to be.
    fn can_give_group(&self, gid: u32) -> bool {
        self.options.fake_super || owners::can_give_group(gid)
    }

    fn powers(&self, entry: &Entry) -> Powers {
        Powers { owner: self.is_root, group: self.can_give_group(entry.gid), xattrs: self.xattrs(), acls: self.acls() }
    }

    fn same_contents(&self, entry: &Entry, place: &Path) -> bool {
        self.tree.as_ref().is_some_and(|tree| self.has_digest(entry, tree, place))
    }

    fn has_digest(&self, entry: &Entry, tree: &Tree, place: &Path) -> bool {
        let Some(theirs) = entry.digest() else { return false };
        tree.open_file(place).and_then(|file| source::digest(file, self.seed)).is_ok_and(|ours| ours == theirs)
    }

    /// Counts what a decision will have done; a failure takes it back.
    fn count(&mut self, decision: Decision) {
        *self.counter(decision) += 1;
    }

    fn counter(&mut self, decision: Decision) -> &mut u64 {
        match decision.action {
            Action::Skip => &mut self.counters.unchanged,
            _ if decision.changes.contains(Changes::NEW) => &mut self.counters.created,
            _ => &mut self.counters.updated,
        }
    }

    /// Takes the count of a decision back because its entry failed after all.
    pub fn count_failed(&mut self, decision: Decision) {
        let counter = self.counter(decision);
        *counter = counter.saturating_sub(1);
        self.counters.failed += 1;
    }

    /// Removes what stands in the way of an entry of another type. What a rename replaces stays until then.
    fn make_way(&mut self, entry: &Entry, existing: &Entry, is_needed: bool, place: &Path) -> Attempt<()> {
        if !is_needed || existing.is_dir() == entry.is_dir() {
            return Ok(());
        }
        if !self.options.dry_run {
            self.open_up(parent(place))?;
        }
        if existing.is_dir() {
            // What is in it goes first, and is told.
            return self.clear_dir(place).map_err(|error| ("make way (see --delete and --force) for", error));
        }
        if self.options.dry_run {
            return Ok(());
        }
        let Some(tree) = &self.tree else { return Ok(()) };
        self.remove_or_keep(tree, place).map_err(|error| ("make way for directory", error))
    }

    fn create(&mut self, entry: &Entry, place: &Path, existing: Option<&Entry>) -> Attempt<()> {
        self.open_up(parent(place))?;
        self.touch(place);
        let mode = self.mode_for(entry, existing);
        if entry.is_dir() {
            return self.create_dir(entry, place, mode);
        }
        let Some(tree) = &self.tree else { return Ok(()) };
        if existing.is_some() {
            self.back_up(tree, place, Way::Link).map_err(|error| ("keep (see --backup)", error))?;
        }
        match &entry.kind {
            Kind::Symlink { target } => {
                tree.replace_with_symlink(target, place).map_err(|error| ("create symbolic link", error))?;
            }
            _ => tree.replace_with_node(&entry.kind, place, mode).map_err(|error| ("create special file", error))?,
        }
        let made = tree.lstat(place).map_err(|error| ("look at", error))?;
        let wanted = Entry { mode, ..entry.clone() };
        let keep = Keep { perms: true, ..self.keep(entry) };
        let given = metadata::apply(tree, place, &wanted, &keep, made.as_ref());
        self.forgive(place, given).map_err(|error| ("set attributes of", error))
    }

    /// Times and the final mode follow when the contents are in: see `finish`. The root is there already.
    fn create_dir(&mut self, entry: &Entry, place: &Path, mode: u32) -> Attempt<()> {
        let Some(tree) = &self.tree else { return Ok(()) };
        if place != Path::new(".") {
            tree.create_dir(place, mode | WORKING_DIR_MODE).map_err(|error| ("create directory", error))?;
        }
        let inherited = self.inherited(place).map_err(|error| ("look at", error))?;
        self.modes.insert(place.to_path_buf(), mode | inherited);
        self.pass_on_group(entry, place, inherited)
    }

    /// Notes that the directory which `place` is in gets its times from us later.
    pub fn touch(&mut self, place: &Path) {
        let parent = parent(place);
        if !self.touched.contains(parent) {
            self.touched.insert(parent.to_path_buf());
        }
    }

    /// What comes after all contents: makes the hard links, deletes what was to stay until now (and calls `deleted` for
    /// each), and brings the directories' attributes into line, children first.
    pub fn finish(&mut self, entries: &[Entry], decisions: &[Decision], deleted: Tell<'_>) {
        let wet = !self.options.dry_run;
        self.release_delayed();
        for (entry, decision) in entries.iter().zip(decisions) {
            if wet && decision.follows_leader() {
                self.link(entry, *decision);
            }
        }
        self.delete_late(entries, deleted);
        for (entry, decision) in entries.iter().zip(decisions).rev() {
            if wet && entry.is_dir() {
                self.finish_dir(entry, *decision);
            }
        }
    }

    /// Tells the watcher about an entry whose decision is being carried out.
    pub fn announce(&self, entry: &Entry, decision: Decision) {
        if entry.implied {
            return;
        }
        let link_to = self.leader(entry).filter(|_| decision.follows_leader());
        self.monitor.event(&Event::Item { entry, decision: decision.told(), link_to });
    }

    /// Reports that `action` on an entry's place failed.
    pub fn report(&self, code: ExitCode, action: &str, place: &Path, error: &dyn std::fmt::Display) {
        self.monitor.warn(code, &format!("failed to {action} {}: {error}", self.path_of(place).display()));
    }

    /// A place with the root's path before it, for messages.
    pub fn path_of(&self, place: &Path) -> PathBuf {
        if place == Path::new(".") { self.root.clone() } else { self.root.join(place) }
    }
}

/// The directory that `place` is in; the root is in itself.
fn parent(place: &Path) -> &Path {
    place.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
