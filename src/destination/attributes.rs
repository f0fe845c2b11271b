//! Modes, times and owners: what of them is kept here, and the directories, which are worked in before they get theirs.

use std::io;
use std::path::Path;

use super::{Attempt, Destination};
use crate::error::ExitCode;
use crate::plan::{Changes, Decision};
use crate::tree::capability::Capability;
use crate::tree::entry::Entry;
use crate::tree::metadata::{self, Keep};
use crate::tree::xattrs::Scope;

/// Mode of a directory while its contents are being written, whatever it will be.
pub(super) const WORKING_DIR_MODE: u32 = 0o700;

/// What it takes to look into a directory.
const LOOKING_DIR_MODE: u32 = 0o500;

/// The bit of a directory's mode that gives its group to what is made in it.
pub(super) const SETGID: u32 = 0o2000;

impl Destination {
    /// The bit that a new directory has from the one that it is in, which only -p takes away again.
    pub(super) fn inherited(&self, place: &Path) -> io::Result<u32> {
        let matters = !(self.options.perms && self.options.group && self.is_root);
        let Some(tree) = self.tree.as_ref().filter(|_| matters) else { return Ok(0) };
        Ok(tree.lstat(place)?.map_or(0, |made| made.mode & SETGID))
    }

    /// Whether a directory gives its group to what is made in it is settled before anything is, not with its final mode.
    /// Where every entry is given its group anyway it does not matter.
    pub(super) fn pass_on_group(&self, entry: &Entry, place: &Path, mode: u32) -> Attempt<()> {
        let all_given = self.options.group && self.is_root && !self.options.no_implied_dirs;
        let matters = self.options.perms && !all_given && (entry.mode ^ mode) & SETGID != 0;
        let Some(tree) = self.tree.as_ref().filter(|_| matters) else { return Ok(()) };
        let working = Entry { mode: entry.mode | WORKING_DIR_MODE, ..entry.clone() };
        // What is made there without being listed has the group for good.
        let group = self.options.no_implied_dirs && self.keep(entry).group;
        let keep = Keep { perms: true, group, ..Keep::default() };
        metadata::apply(tree, place, &working, &keep, None).map_err(|error| ("set mode of", error))
    }

    pub(super) fn attributes(&mut self, entry: &Entry, place: &Path, existing: Option<&Entry>) -> Attempt<()> {
        if entry.is_dir() {
            self.touched.insert(place.to_path_buf());
            self.note_closed(place, existing)?;
            return self.pass_on_group(entry, place, existing.map_or(0, |existing| existing.mode));
        }
        let Some(tree) = &self.tree else { return Ok(()) };
        let keep = existing.map_or_else(|| self.keep(entry), |existing| self.keep_over(entry, existing));
        let given = metadata::apply(tree, place, entry, &keep, existing);
        self.forgive(place, given).map_err(|error| ("set attributes of", error))
    }

    /// Asks the file system of the root for what it may be unable to keep.
    pub(super) fn find_lacking(&mut self) {
        let Some(tree) = &self.tree else { return };
        let asked = [(Capability::Xattrs, self.options.xattrs), (Capability::Acls, self.options.acls)];
        for (capability, _) in asked.into_iter().filter(|(_, asked)| *asked) {
            // Where even that fails, so will what comes next, and say so.
            if tree.keeps(capability).is_ok_and(|keeps| !keeps) {
                self.lacking.push(capability);
            }
        }
    }

    /// Tells, once, that an entry has something that cannot be kept.
    pub(super) fn tell_lacking(&self, entry: &Entry, place: &Path) {
        for capability in &self.lacking {
            let has = match capability {
                Capability::Xattrs => {
                    self.notes.xattrs.as_ref().is_some_and(|scope| entry.xattrs().iter().any(|x| scope.has(&x.name)))
                }
                Capability::Acls => entry.acls().is_some(),
            };
            if has {
                self.monitor.unkept(*capability, &self.path_of(place));
            }
        }
    }

    /// Whether something cannot be kept, as far as is known.
    fn lacks(&self, capability: Capability) -> bool {
        self.lacking.contains(&capability) || self.monitor.misses(capability)
    }

    /// The extended attributes that are kept here, if any can be.
    pub(super) fn xattrs(&self) -> Option<Scope> {
        self.notes.xattrs.clone().filter(|_| !self.lacks(Capability::Xattrs))
    }

    /// Whether access control lists are kept here.
    pub(super) fn acls(&self) -> bool {
        self.options.acls && !self.lacks(Capability::Acls)
    }

    /// What a file system cannot keep is no error of an entry: it is told once.
    pub(super) fn forgive(&self, place: &Path, given: io::Result<()>) -> io::Result<()> {
        match given.as_ref().err().and_then(Capability::missed) {
            Some(capability) => {
                self.monitor.unkept(capability, &self.path_of(place));
                Ok(())
            }
            None => given,
        }
    }

    /// Gives an entry that is there the attributes whose values have come since.
    pub fn give_values(&self, entry: &Entry) {
        let place = &*self.place(entry);
        let Some(tree) = &self.tree else { return };
        let keep = Keep { xattrs: self.xattrs(), ..Keep::default() };
        if let Err(error) = self.forgive(place, metadata::apply(tree, place, entry, &keep, None)) {
            self.report(ExitCode::Partial, "set attributes of", place, &error);
        }
    }

    /// A directory that its owner may not write to is made writable when something in it changes, one that he may not even
    /// look into at once; `finish_dir` gives it its mode back.
    pub(super) fn note_closed(&mut self, place: &Path, existing: Option<&Entry>) -> Attempt<()> {
        let Some(existing) = existing.filter(|existing| existing.is_dir() && !self.passes) else { return Ok(()) };
        if existing.mode & WORKING_DIR_MODE == WORKING_DIR_MODE {
            return Ok(());
        }
        self.closed.insert(place.to_path_buf(), existing.clone());
        if existing.mode & LOOKING_DIR_MODE == LOOKING_DIR_MODE { Ok(()) } else { self.open_up(place) }
    }

    /// Makes a directory writable for us, if it is one of those that are not.
    pub(super) fn open_up(&mut self, place: &Path) -> Attempt<()> {
        let (Some(tree), Some(existing)) = (&self.tree, self.closed.remove(place)) else { return Ok(()) };
        let working = Entry { mode: existing.mode | WORKING_DIR_MODE, ..existing.clone() };
        let keep = Keep { perms: true, ..Keep::default() };
        metadata::apply(tree, place, &working, &keep, Some(&existing)).map_err(|error| ("make writable", error))?;
        self.touched.insert(place.to_path_buf());
        self.modes.insert(place.to_path_buf(), existing.mode);
        Ok(())
    }

    /// The mode that an entry gets: the source's with -p; else the one it has, or for a new one the source's as far as
    /// the umask lets it.
    pub fn mode_for(&self, entry: &Entry, existing: Option<&Entry>) -> u32 {
        let existing = existing.filter(|existing| existing.kind.same_type(&entry.kind)).map(|existing| existing.mode);
        metadata::with_umask_mode(entry.mode, existing, self.options.perms)
    }

    /// What of an entry's attributes is kept here.
    pub fn keep(&self, entry: &Entry) -> Keep {
        Keep {
            perms: self.options.perms,
            times: self.options.keeps_times(&entry.kind),
            atimes: self.options.keeps_atimes(&entry.kind),
            owner: self.options.owner && self.is_root,
            group: self.options.group && self.can_give_group(entry.gid),
            fake: self.options.fake_super,
            xattrs: self.xattrs(),
            acls: self.acls(),
            executability: self.options.executability,
        }
    }

    /// The same where the entry is there: a time that is taken for equal is left as it is.
    fn keep_over(&self, entry: &Entry, present: &Entry) -> Keep {
        let keep = self.keep(entry);
        let left = self.options.modify_window.is_some() && self.options.is_same_time(&entry.mtime, &present.mtime);
        Keep { times: keep.times && !left, atimes: keep.atimes && !self.has_atime(entry, present), ..keep }
    }

    /// Whether an access time is taken for equal, with a window; without one nothing is.
    fn has_atime(&self, entry: &Entry, present: &Entry) -> bool {
        let both = entry.atime().zip(present.atime()).filter(|_| self.options.modify_window.is_some());
        both.is_some_and(|(wanted, now)| self.options.is_same_time(&wanted, &now))
    }

    /// Gives a directory whose contents are in its attributes.
    pub fn finish_dir(&mut self, entry: &Entry, decision: Decision) {
        if self.options.dry_run {
            return;
        }
        let place = &*self.place(entry);
        let made = decision.changes.contains(Changes::NEW);
        if (!made && !self.touched.contains(place)) || self.failed.contains(place) {
            return;
        }
        let Some(tree) = &self.tree else { return };
        let result = tree.lstat(place).and_then(|now| {
            if entry.implied {
                return self.finish_implied(place, now);
            }
            let Some(now) = now.filter(Entry::is_dir) else { return Ok(()) };
            let kept = self.modes.get(place).copied().unwrap_or(now.mode);
            let wanted = Entry { mode: if self.options.perms { entry.mode } else { kept }, ..entry.clone() };
            let keep = Keep { perms: true, ..self.keep_over(entry, &now) };
            self.forgive(place, metadata::apply(tree, place, &wanted, &keep, Some(&now)))
        });
        if let Err(error) = result {
            self.report(ExitCode::Partial, "set attributes of directory", place, &error);
        }
    }
}
