//! A file while it is being written: beside its place under a temporary name, or with `--inplace` where it stands.
//!
//! Where the bytes come from is the caller's: a link (`incoming`) or a copy on one machine.

use std::fs::File;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Destination;
use crate::options::Options;
use crate::tree::aside::Way;
use crate::tree::copy::copy_contents;
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;
use crate::tree::metadata::{self, Keep};
use crate::tree::place::{TempFile, WhenAbandoned};
use crate::tree::room::Room;

enum Target {
    Temporary(TempFile),
    InPlace(InPlace),
}

/// A file that is written where it stands.
struct InPlace {
    file: File,
    /// It was made for the purpose.
    made: bool,
    /// The mode that it had: we may have had to change it, and a write takes setuid and setgid away.
    mode: Option<u32>,
}

/// How a file that is complete comes to its place.
struct Ending {
    /// The file whose mode it is given where it is new and modes are not kept.
    basis: Option<Entry>,
    /// It waits on its shelf.
    waits: bool,
    /// It is on the disk before.
    sync: bool,
}

/// A file that is not yet what it is to be.
pub struct Draft {
    target: Target,
    keeps_partial: bool,
    sparse: bool,
    /// Room was taken for so many bytes.
    allocated: Option<u64>,
}

impl Destination {
    /// Begins the file at `place`, which is to be `size` bytes long; `again` if it was begun before.
    ///
    /// # Errors
    /// The system's, from creating the temporary file or opening the file itself, or from keeping that with `--backup`.
    pub fn begin(&self, tree: &Tree, place: &Path, size: u64, again: bool) -> io::Result<Draft> {
        // What is written in place is lost with the first byte.
        if self.options.inplace && !again {
            self.back_up(tree, place, Way::Copy)?;
        }
        let then = self.when_abandoned(tree, place)?;
        let mut draft = Draft::begin(tree, place, &self.options, self.temp.as_ref(), then)?;
        if self.options.preallocate {
            draft.allocate(size)?;
        }
        Ok(draft)
    }

    /// Ends a file that is all there, `len` bytes: see `Draft::finish`. With `--delay-updates` it has its name only later.
    ///
    /// # Errors
    /// As there, or from keeping what stood at `place`.
    pub fn complete(
        &self,
        draft: Draft,
        tree: &Tree,
        place: &Path,
        entry: &Entry,
        len: u64,
    ) -> io::Result<Option<io::Error>> {
        let basis = if self.options.perms { None } else { self.lstat_elsewhere(place) };
        let ending = Ending { basis, waits: self.options.delay_updates, sync: self.options.fsync };
        self.complete_by(draft, tree, place, entry, len, ending)
    }

    /// The same for a copy of what another directory has, which does not wait.
    pub(super) fn complete_copy(
        &self,
        draft: Draft,
        tree: &Tree,
        place: &Path,
        entry: &Entry,
        len: u64,
    ) -> io::Result<Option<io::Error>> {
        let ending = Ending { basis: None, waits: false, sync: self.options.fsync };
        self.complete_by(draft, tree, place, entry, len, ending)
    }

    fn complete_by(
        &self,
        mut draft: Draft,
        tree: &Tree,
        place: &Path,
        entry: &Entry,
        len: u64,
        ending: Ending,
    ) -> io::Result<Option<io::Error>> {
        if draft.is_fresh() && !ending.waits {
            self.back_up(tree, place, Way::Link)?;
        }
        draft.trim(len)?;
        if draft.is_far()? {
            draft.come_near(tree, place, len, self.when_abandoned(tree, place)?)?;
        }
        let lacking = draft.finish(tree, place, entry, len, &self.keep(entry), ending)?;
        Ok(lacking.and_then(|error| self.forgive(place, Err(error)).err()))
    }
}

impl Draft {
    fn begin(
        tree: &Tree,
        place: &Path,
        options: &Options,
        room: Option<&Room>,
        then: WhenAbandoned,
    ) -> io::Result<Draft> {
        let target = match (options.inplace, room) {
            (true, _) => Target::InPlace(open_in_place(tree, place)?),
            (false, None) => Target::Temporary(TempFile::create_with(tree, place, then)?),
            (false, Some(room)) => Target::Temporary(TempFile::create_elsewhere(room, tree, place, then)?),
        };
        Ok(Draft { target, keeps_partial: options.partial, sparse: options.sparse, allocated: None })
    }

    /// Takes room for all of the file before anything is written. Where the file system cannot, that is no matter.
    fn allocate(&mut self, size: u64) -> io::Result<()> {
        let file = self.file();
        let len = if self.is_fresh() { 0 } else { file.metadata()?.len() };
        if size > len && reserve(file, size)? {
            self.allocated = Some(size);
        }
        Ok(())
    }

    /// Where the bytes go.
    pub fn file(&self) -> &File {
        match &self.target {
            Target::Temporary(temporary) => temporary.file(),
            Target::InPlace(in_place) => &in_place.file,
        }
    }

    /// Whether the file was empty when it was begun.
    pub fn is_fresh(&self) -> bool {
        matches!(self.target, Target::Temporary(_))
    }

    /// Whether zeros that are not written are holes, as things are.
    pub fn begins_as_hole(&self) -> bool {
        self.is_fresh() && self.allocated.is_none()
    }

    /// Gives the file, now `len` bytes long, its attributes and its name. Says which attribute it could not be given: its
    /// contents are worth having without.
    ///
    /// # Errors
    /// The system's; what stood at `place` before is then untouched (unless the file was written in place).
    fn finish(
        self,
        tree: &Tree,
        place: &Path,
        entry: &Entry,
        len: u64,
        keep: &Keep,
        ending: Ending,
    ) -> io::Result<Option<io::Error>> {
        // Without -p the mode is that of what is replaced.
        let made = matches!(self.target, Target::InPlace(InPlace { made: true, .. }));
        let mut replaced = if keep.perms || made { None } else { tree.lstat(place)?.filter(Entry::is_file) };
        if let Target::InPlace(InPlace { file, mode, .. }) = &self.target {
            file.set_len(len)?;
            if let (Some(replaced), Some(mode)) = (&mut replaced, mode) {
                replaced.mode = *mode;
            }
        }
        let lacking = metadata::finish_file(self.file(), entry, keep, replaced.or(ending.basis).as_ref()).err();
        if ending.sync {
            self.file().sync_all()?;
        }
        if let Target::Temporary(temporary) = self.target {
            if ending.waits { temporary.keep_partial() } else { temporary.commit() }?;
        }
        Ok(lacking)
    }

    /// Gives back what was taken of the disk and is not needed after all.
    fn trim(&self, len: u64) -> io::Result<()> {
        match self.allocated {
            Some(allocated) if allocated > len => self.file().set_len(len),
            _ => Ok(()),
        }
    }

    /// Whether it was written on another file system than that of its place.
    fn is_far(&self) -> io::Result<bool> {
        match &self.target {
            Target::Temporary(temporary) => temporary.is_far(),
            Target::InPlace(_) => Ok(false),
        }
    }

    /// A file that was written on another file system is copied to its own, beside its place.
    fn come_near(&mut self, tree: &Tree, place: &Path, len: u64, then: WhenAbandoned) -> io::Result<()> {
        let Target::Temporary(far) = &self.target else { return Ok(()) };
        let near = TempFile::create_with(tree, place, then)?;
        copy_contents(far.file(), near.file(), len, self.sparse, &mut Vec::new())?;
        self.target = Target::Temporary(near);
        Ok(())
    }

    /// Ends the file before its time. With `--partial` what there is of it is kept, if it is worth it.
    pub fn abandon(self, worth_keeping: bool) {
        if let Target::Temporary(temporary) = self.target
            && self.keeps_partial
            && worth_keeping
        {
            // If it cannot be kept it is gone, which is all that can be said of it.
            let _ = temporary.keep_partial();
        }
    }
}

/// Takes room on the disk for the first `size` bytes of a file, which does not become longer; `false` where that cannot be.
#[cfg(target_os = "linux")]
fn reserve(file: &File, size: u64) -> io::Result<bool> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, 0, size)) {
        Ok(()) => Ok(true),
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Never called: see `Destination::open`.
#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64) -> io::Result<bool> {
    Ok(false)
}

fn open_in_place(tree: &Tree, place: &Path) -> io::Result<InPlace> {
    let make = || Ok(InPlace { file: tree.create_file(place, 0o600)?, made: true, mode: None });
    match tree.open_for_update(place) {
        Ok(file) => {
            let mode = Some(file.metadata()?.permissions().mode() & 0o7777);
            Ok(InPlace { file, made: false, mode })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open_closed(tree, place).map_err(|_| error),
        // A link or a special file is replaced, as it would be without --inplace.
        Err(error) if error.kind() == io::ErrorKind::InvalidData || is_link(&error) => {
            tree.remove_file(place)?;
            make()
        }
        Err(error) => Err(error),
    }
}

/// Opens a file of ours that its mode closes to us; it is given its mode, old or new, when it is complete.
fn open_closed(tree: &Tree, place: &Path) -> io::Result<InPlace> {
    const OWNER: u32 = 0o600;
    let existing = tree.lstat(place)?.filter(Entry::is_file).ok_or(io::ErrorKind::NotFound)?;
    let opened = Entry { mode: existing.mode | OWNER, ..existing.clone() };
    let keep = Keep { perms: true, ..Keep::default() };
    metadata::apply(tree, place, &opened, &keep, Some(&existing))?;
    Ok(InPlace { file: tree.open_for_update(place)?, made: false, mode: Some(existing.mode) })
}

fn is_link(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::tree::entry::Kind;

    #[test]
    fn room_that_was_taken_and_is_not_needed_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let place = Path::new("f");
        let mut draft = Draft::begin(&tree, place, &Options::default(), None, WhenAbandoned::Remove).unwrap();
        draft.allocate(1 << 20).unwrap();
        let taken = draft.file().metadata().unwrap();
        assert!(taken.len() == 0 && taken.blocks() * 512 >= 1 << 20, "{} blocks", taken.blocks());
        assert!(!draft.begins_as_hole());
        io::Write::write_all(&mut draft.file(), b"short").unwrap();
        let entry = Entry::sample("f", Kind::File { size: 5 });
        draft.trim(5).unwrap();
        let ending = Ending { basis: None, waits: false, sync: true };
        draft.finish(&tree, place, &entry, 5, &Keep::default(), ending).unwrap();
        let left = std::fs::metadata(dir.path().join(place)).unwrap();
        assert!(left.len() == 5 && left.blocks() * 512 < 1 << 20, "{} blocks", left.blocks());
    }
}
