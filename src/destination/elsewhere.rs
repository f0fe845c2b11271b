//! `--compare-dest`, `--copy-dest`, `--link-dest`: other directories may have what the destination lacks.
//!
//! Of several the one that has it most alike counts, the first of equals. What is exactly alike is left out, copied or
//! linked, as the option says. A file with the contents but other attributes is copied from there and given its own; one
//! with other contents is the basis of a delta. A regular file that stands at the destination gives way only if another one is
//! exactly alike. The directories are the user's to name; what is looked for in them is the same path below
//! them, through no link, so a peer cannot choose anything outside of them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Attempt, Destination, parent};
use crate::error::{Error, ExitCode, Result};
use crate::events::Monitor;
use crate::options::Options;
use crate::plan::{self, Action, Changes, Decision};
use crate::tree::aside::Way;
use crate::tree::copy::copy_contents;
use crate::tree::dir::Tree;
use crate::tree::entry::{Entry, Kind};
use crate::tree::notes::Notes;
use crate::tree::room::{Room, plain};

/// Most directories that can be named, as in rsync.
const MOST: usize = 20;

/// What becomes of what is exactly alike elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It is not made.
    Compare,
    /// It is copied.
    Copy,
    /// It becomes another name of it.
    Link,
}

/// The directories, in the order in which they are asked.
pub(super) struct Elsewhere {
    purpose: Use,
    rooms: Vec<Room>,
}

/// How much of an entry is the same elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// Its type.
    Type,
    /// Its contents, or target, or device number as well.
    Contents,
    /// And all attributes that are kept.
    All,
}

/// What another directory has of an entry.
pub(super) struct Likeness {
    /// Which directory.
    pub(super) room: usize,
    entry: Entry,
    level: Level,
}

impl Elsewhere {
    /// As the options say; `None` where they name no directory. `root` is where the tree is, or in a dry run would be.
    pub(super) fn open(
        tree: Option<&Tree>,
        root: &Path,
        options: &Options,
        notes: &Notes,
        monitor: &Monitor,
    ) -> Result<Option<Elsewhere>> {
        let kinds = [
            (Use::Compare, "--compare-dest", &options.compare_dest),
            (Use::Copy, "--copy-dest", &options.copy_dest),
            (Use::Link, "--link-dest", &options.link_dest),
        ];
        let mut named = kinds.into_iter().filter(|(_, _, dirs)| !dirs.is_empty());
        let Some((purpose, option, dirs)) = named.next() else { return Ok(None) };
        if named.next().is_some() || dirs.len() > MOST {
            let text = format!("only one of --compare-dest, --copy-dest and --link-dest can be, of at most {MOST}");
            return Err(Error::Usage(text));
        }
        let open = |dir: &PathBuf| {
            let room = match tree {
                Some(tree) => Room::open(tree, dir),
                None => Room::outside(&plain(&root.join(dir))),
            };
            let room = room.map_err(|error| Error::io("open directory", dir, error))?.noting(notes.clone());
            if !room.is_there() {
                let text = format!("the directory {} of {option} is not there", dir.display());
                monitor.warn(ExitCode::Ok, &text);
            }
            Ok(room)
        };
        Ok(Some(Elsewhere { purpose, rooms: dirs.iter().map(open).collect::<Result<_>>()? }))
    }
}

impl Destination {
    /// Finds what other directories have of an entry that the destination lacks, and changes the decision accordingly.
    pub(super) fn consult(
        &self,
        entry: &Entry,
        place: &Path,
        existing: Option<&Entry>,
        decision: &mut Decision,
    ) -> Option<Likeness> {
        let elsewhere = self.elsewhere.as_ref()?;
        let may_be_made = match existing {
            None => !self.options.existing || place == Path::new("."),
            Some(existing) if self.ignores(entry, existing) => false,
            Some(existing) if entry.is_file() => !existing.is_file() || elsewhere.purpose != Use::Copy,
            Some(existing) => entry.is_dir() && !existing.is_dir(),
        };
        if !may_be_made || decision.action == Action::HardLink || !self.options.takes(entry) {
            return None;
        }
        let likeness = self.most_alike(elsewhere, entry, place)?;
        if existing.is_some_and(|existing| existing.is_file() && entry.is_file()) {
            let (room, tree) = (&elsewhere.rooms[likeness.room], self.tree.as_ref()?);
            let is_it = || tree.same_file_as(place, room.tree(), &room.at(place)).unwrap_or(true);
            if likeness.level != Level::All || (elsewhere.purpose == Use::Link && is_it()) {
                return None;
            }
        }
        let decided = self.decide_with(elsewhere.purpose, entry, place, &likeness);
        if self.options.append && decided.action.needs_data() {
            return None;
        }
        *decision = decided;
        Some(likeness)
    }

    fn most_alike(&self, elsewhere: &Elsewhere, entry: &Entry, place: &Path) -> Option<Likeness> {
        let mut best: Option<Likeness> = None;
        for (number, room) in elsewhere.rooms.iter().enumerate() {
            let path = room.at(place);
            // What cannot be looked at is as good as not there.
            let found = room.tree().lstat(&path).ok().flatten();
            let Some(found) = found.filter(|found| found.kind.same_type(&entry.kind)) else { continue };
            let level = self.level(entry, &found, || self.has_digest(entry, room.tree(), &path));
            if best.as_ref().is_none_or(|best| best.level < level) {
                best = Some(Likeness { room: number, entry: found, level });
            }
            if level == Level::All {
                break;
            }
        }
        best
    }

    fn level(&self, entry: &Entry, found: &Entry, same_contents: impl FnOnce() -> bool) -> Level {
        let same = match entry.kind {
            Kind::File { .. } => plan::counts_as_same(entry, found, &self.options, same_contents),
            _ => entry.kind == found.kind,
        };
        let changes = plan::attribute_changes(entry, found, &self.options, &self.powers(entry));
        // rsync holds the time of a directory against this one even with -O.
        let same_time =
            !(entry.is_dir() && self.options.times) || self.options.is_same_time(&entry.mtime, &found.mtime);
        match (same, changes.is_empty() && same_time) {
            (false, _) => Level::Type,
            (true, false) => Level::Contents,
            (true, true) => Level::All,
        }
    }

    fn decide_with(&self, purpose: Use, entry: &Entry, place: &Path, likeness: &Likeness) -> Decision {
        let mut changes = plan::attribute_changes(entry, &likeness.entry, &self.options, &self.powers(entry));
        if likeness.level == Level::All && !entry.is_dir() {
            match purpose {
                Use::Compare => return Decision::SKIP,
                Use::Link => return Decision::new(Action::HardLink, Changes::ELSEWHERE),
                Use::Copy => {}
            }
        }
        let time_is_new = !self.options.keeps_times(&entry.kind);
        if likeness.level == Level::All {
            changes.set(Changes::TIME, entry.is_file() && time_is_new);
            return Decision::new(Action::Create, changes | Changes::ELSEWHERE);
        }
        if entry.is_file() && likeness.level == Level::Type {
            changes.set(Changes::SIZE, entry.kind.size() != likeness.entry.kind.size());
            let decision = plan::transfer(entry, &likeness.entry, &self.options, changes);
            return self.with_partial(decision, entry, place);
        }
        changes.set(Changes::CONTENTS, !entry.is_file() && !entry.is_dir());
        changes.set(Changes::TIME, changes.contains(Changes::TIME) || time_is_new);
        Decision::new(Action::Create, changes | Changes::ELSEWHERE)
    }

    /// Does what [`Destination::consult`] has decided. What cannot be linked is copied or made, and what cannot be copied
    /// is sent.
    pub(super) fn make_alike(
        &mut self,
        entry: &Entry,
        place: &Path,
        existing: Option<&Entry>,
        likeness: &Option<Likeness>,
        decision: &mut Decision,
    ) -> Attempt<()> {
        let Some(likeness) = likeness else { return Ok(()) };
        // A directory has made way.
        let existing = existing.filter(|existing| existing.is_dir() == entry.is_dir());
        if decision.action == Action::Skip && existing.is_none() {
            return Ok(());
        }
        self.open_up(parent(place))?;
        match decision.action {
            Action::Whole | Action::Delta => return Ok(()),
            Action::Skip => {
                self.touch(place);
                let Some(tree) = &self.tree else { return Ok(()) };
                return self.remove_or_keep(tree, place).map_err(|error| ("remove what is elsewhere:", error));
            }
            Action::HardLink => {
                self.touch(place);
                match self.link_elsewhere(place, existing, likeness) {
                    Ok(()) => return Ok(()),
                    Err(error) => self.monitor.detail(1, &format!("{} cannot be linked: {error}", place.display())),
                }
                let contents = if entry.is_file() { Changes::empty() } else { Changes::CONTENTS };
                *decision = Decision::new(Action::Create, contents | Changes::ELSEWHERE);
            }
            _ => {}
        }
        if !entry.is_file() {
            if entry.is_dir() {
                self.touched.insert(place.to_path_buf());
            }
            return self.create(entry, place, existing);
        }
        match self.copy_from_elsewhere(entry, place, likeness) {
            Ok(()) => self.touch(place),
            Err(error) => {
                self.monitor.detail(1, &format!("{} cannot be copied from elsewhere: {error}", place.display()));
                *decision = self.decide(entry, place, existing.filter(|existing| existing.is_file()));
            }
        }
        Ok(())
    }

    fn link_elsewhere(&self, place: &Path, existing: Option<&Entry>, likeness: &Likeness) -> io::Result<()> {
        let (Some(tree), Some(elsewhere)) = (&self.tree, &self.elsewhere) else { return Ok(()) };
        let room = &elsewhere.rooms[likeness.room];
        if existing.is_some() {
            self.back_up(tree, place, Way::Link)?;
        }
        tree.link_from(place, room.tree(), &room.at(place))
    }

    fn copy_from_elsewhere(&self, entry: &Entry, place: &Path, likeness: &Likeness) -> io::Result<()> {
        let (Some(tree), Some(elsewhere)) = (&self.tree, &self.elsewhere) else { return Ok(()) };
        let room = &elsewhere.rooms[likeness.room];
        let from = room.tree().open_file(&room.at(place))?;
        let draft = self.begin(tree, place, entry.kind.size(), false)?;
        let len = copy_contents(&from, draft.file(), entry.kind.size(), self.options.sparse, &mut Vec::new())?;
        if let Some(error) = self.complete_copy(draft, tree, place, entry, len)? {
            self.report(ExitCode::Partial, "set attributes of", place, &error);
        }
        Ok(())
    }

    /// The file that [`Destination::open_elsewhere`] opens.
    pub(super) fn lstat_elsewhere(&self, place: &Path) -> Option<Entry> {
        let find = |room: &Room| room.tree().lstat(&room.at(place)).ok().flatten().filter(Entry::is_file);
        self.elsewhere.as_ref()?.rooms.iter().find_map(find)
    }

    /// What another directory has of a file of which the destination has nothing, as the basis of a delta.
    pub fn open_elsewhere(&self, place: &Path) -> Option<File> {
        self.elsewhere.as_ref()?.rooms.iter().find_map(|room| room.tree().open_file(&room.at(place)).ok())
    }

    /// Whether what is to be made at `place` is exactly alike elsewhere, and there one file with what the one at `leader` is
    /// linked to in `room`.
    pub(super) fn are_one_elsewhere(&self, entry: &Entry, place: &Path, room: usize, leader: &Path) -> bool {
        let Some(elsewhere) = &self.elsewhere else { return false };
        let Some(likeness) = self.most_alike(elsewhere, entry, place) else { return false };
        let (ours, theirs) = (&elsewhere.rooms[likeness.room], &elsewhere.rooms[room]);
        let same = || ours.tree().same_file_as(&ours.at(place), theirs.tree(), &theirs.at(leader));
        likeness.level == Level::All && same().unwrap_or(false)
    }
}
