//! `--backup`: what is replaced or deleted is kept, beside its place under a longer name or in a directory of its own.
//!
//! Directories are not kept, nor what only gets other attributes. A backup beside its place is never itself deleted for
//! want of a source: a rule of the filter protects it (the command line adds that), and what is in a directory that is to
//! go keeps the directory.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::Destination;
use super::attributes::{SETGID, WORKING_DIR_MODE};
use crate::error::{Error, Result};
use crate::events::About;
use crate::options::Options;
use crate::tree::aside::{Spot, Way, set_aside};
use crate::tree::dir::Tree;
use crate::tree::entry::{Entry, Seldom};
use crate::tree::metadata::{self, Keep};
use crate::tree::room::{Room, make_dir};

/// Where backups go.
pub(super) struct Backup {
    suffix: OsString,
    /// `None`: beside what they are of.
    room: Option<Room>,
    /// Directories of the list, if there is a room: what is made in it is like what they will be.
    dirs: HashMap<PathBuf, Entry>,
}

impl Backup {
    /// As the options say; `None` where nothing is kept.
    pub(super) fn open(tree: &Tree, options: &Options) -> Result<Option<Backup>> {
        let Some(suffix) = &options.backup else { return Ok(None) };
        if suffix.contains(&b'/') || (suffix.is_empty() && options.backup_dir.is_none()) {
            return Err(Error::Usage("backups need a suffix without slashes, or a directory".into()));
        }
        let room = match &options.backup_dir {
            Some(dir) => Some(Room::open(tree, dir).map_err(|error| Error::io("open directory", dir, error))?),
            None => None,
        };
        Ok(Some(Backup { suffix: OsString::from_vec(suffix.clone()), room, dirs: HashMap::new() }))
    }

    /// The name of the backup of what is at `place`.
    fn name(&self, place: &Path) -> PathBuf {
        let mut name = place.file_name().unwrap_or_default().to_os_string();
        name.push(&self.suffix);
        place.with_file_name(name)
    }
}

impl Destination {
    /// Keeps what stands at `place`, if that is asked for and anything does.
    ///
    /// # Errors
    /// The system's; what stands there must then stay.
    pub(super) fn back_up(&self, tree: &Tree, place: &Path, way: Way) -> io::Result<()> {
        let Some(backup) = &self.backup else { return Ok(()) };
        let from = Spot { tree, path: place };
        let kept = match &backup.room {
            None => {
                let to = backup.name(place);
                set_aside(from, Spot { tree, path: &to }, way)?.then_some(to)
            }
            Some(room) => {
                let to = room.at(&backup.name(place));
                let spot = Spot { tree: room.tree(), path: &to };
                let done = match set_aside(from, spot, way) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        self.make_backup_dirs(tree, room, place)?;
                        set_aside(from, spot, way)?
                    }
                    done => done?,
                };
                done.then(|| room.shown(&to))
            }
        };
        if let Some(to) = kept {
            self.monitor.remark(About::Backup, 2, &format!("backed up {} to {}", place.display(), to.display()));
        }
        Ok(())
    }

    /// Notes a directory of the list, whose attributes count for backups from here on: it is given them only when what is in
    /// it is done with.
    pub(super) fn note_dir(&mut self, entry: &Entry, place: &Path) {
        if let Some(backup) = self.backup.as_mut().filter(|backup| backup.room.is_some() && entry.is_dir()) {
            backup.dirs.insert(place.to_path_buf(), entry.clone());
        }
    }

    /// A directory has its attributes now.
    pub(super) fn forget_noted_dir(&mut self, place: &Path) {
        if let Some(backup) = &mut self.backup {
            backup.dirs.remove(place);
        }
    }

    /// The directory at `place` with the attributes that it has, or will have.
    fn dir_to_be(&self, tree: &Tree, place: &Path) -> io::Result<Option<Entry>> {
        let Some(now) = tree.lstat(place)?.filter(Entry::is_dir) else { return Ok(None) };
        let mode = self.modes.get(place).copied().unwrap_or(now.mode);
        let Some(entry) = self.backup.as_ref().and_then(|backup| backup.dirs.get(place)) else {
            return Ok(Some(Entry { mode, ..now }));
        };
        let keep = self.keep(entry);
        let acls = if keep.acls { entry.acls() } else { now.acls() };
        let seldom = Seldom { acls: acls.cloned().map(Box::new), ..Seldom::default() }.boxed();
        Ok(Some(Entry {
            mode: if keep.perms { entry.mode } else { mode },
            uid: if keep.owner { entry.uid } else { now.uid },
            gid: if keep.group { entry.gid } else { now.gid },
            seldom,
            ..now
        }))
    }

    /// Makes the directories above the backup of `place`, each with the attributes of its counterpart.
    fn make_backup_dirs(&self, tree: &Tree, room: &Room, place: &Path) -> io::Result<()> {
        room.make(0o777)?;
        let mut dirs: Vec<&Path> = place.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
        dirs.reverse();
        for dir in dirs {
            let path = room.at(dir);
            if !make_dir(room.tree(), &path, WORKING_DIR_MODE)? {
                continue;
            }
            let Some(like) = self.dir_to_be(tree, dir)? else { continue };
            // More backups will go into it.
            let mut mode = if self.passes { like.mode } else { like.mode | WORKING_DIR_MODE };
            if !self.options.perms {
                mode |= room.tree().lstat(&path)?.map_or(0, |made| made.mode & SETGID);
            }
            let like = Entry { mode, ..like };
            // Extended attributes say something of the directory, not of what its backup is.
            let keep = Keep { perms: true, xattrs: None, ..self.keep(&like) };
            // It is there, which is what matters.
            let _ = metadata::apply(room.tree(), &path, &like, &keep, None);
        }
        Ok(())
    }

    /// Whether something of this name would be kept beside its place if it went.
    pub(super) fn stays_as_backup(&self, path: &Path) -> bool {
        self.backup.as_ref().is_some_and(|backup| backup.room.is_none()) && !self.is_backup(path)
    }

    /// Whether a name is that of a backup beside its place.
    fn is_backup(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().as_bytes();
        self.backup
            .as_ref()
            .filter(|backup| backup.room.is_none())
            .is_some_and(|backup| name.len() > backup.suffix.len() && name.ends_with(backup.suffix.as_bytes()))
    }

    /// Removes what stands at `path` and is no directory, or keeps it elsewhere.
    pub(super) fn remove_or_keep(&self, tree: &Tree, path: &Path) -> io::Result<()> {
        match &self.backup {
            Some(_) if !self.is_backup(path) => self.back_up(tree, path, Way::Move),
            _ => tree.remove_file(path),
        }
    }
}
