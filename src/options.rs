//! What both ends of a session must know of the command line: resolved, valid, and carried by `SESSION_START`.
//!
//! What only one end needs (the remote shell, progress, most of verbosity) is `cli::config`'s and never travels.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::tree::entry::{Entry, Kind, Timestamp};
use crate::tree::follow::{Follow, leads_out};
use crate::tree::mode::{self, Step};
use crate::tree::notes::Notes;
use crate::tree::xattrs::{Choice, Scope};

/// The options of one sync, with rsync's meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `-r`: descend into directories.
    pub recursive: bool,
    /// `-l`: copy symbolic links as links.
    pub links: bool,
    /// `-p`: keep permission bits.
    pub perms: bool,
    /// `-t`: keep modification times.
    pub times: bool,
    /// `-O`: not of directories.
    pub omit_dir_times: bool,
    /// `-J`: not of symbolic links.
    pub omit_link_times: bool,
    /// `--modify-window`: times that differ by no more seconds are equal; none: they are compared in nanoseconds.
    pub modify_window: Option<u64>,
    /// `-E`: keep whether files can be executed.
    pub executability: bool,
    /// `-U`: keep access times.
    pub atimes: bool,
    /// `-X`: keep extended attributes.
    pub xattrs: bool,
    /// `-A`: keep access control lists.
    pub acls: bool,
    /// `-XX`: those too in which rsync keeps what it cannot keep otherwise.
    pub all_xattrs: bool,
    /// `--open-noatime`: leave access times as they are where files are read.
    pub open_noatime: bool,
    /// `--chmod`: what is made of the source's modes.
    pub chmod: Vec<Step>,
    /// `-g`: keep the group.
    pub group: bool,
    /// `-o`: keep the owner (as root).
    pub owner: bool,
    /// Half of `-D`: make device nodes (as root).
    pub devices: bool,
    /// Half of `-D`: make FIFOs and sockets.
    pub specials: bool,
    /// `-H`: keep hard links within the transfer.
    pub hard_links: bool,
    /// `-d`: list the entries of a directory source without descending.
    pub dirs: bool,
    /// `-x`: stay on the source's file system.
    pub one_file_system: bool,
    /// `-xx`: leave out the directories that others are mounted on.
    pub skip_mounts: bool,
    /// `-R`: keep the paths of the sources.
    pub relative: bool,
    /// `--no-implied-dirs`: the directories that lead to them stay as the destination has them.
    pub no_implied_dirs: bool,
    /// The paths of SESSION_START are not all: see `session::paths`.
    pub more_paths: bool,
    /// Paths of the sender's machine may have wildcards.
    pub patterns: bool,
    /// `--ignore-missing-args`: a source that is not there is no error.
    pub ignore_missing_args: bool,
    /// `--files-from`, where the list is on the sender's machine and not the client's.
    pub files_from: Option<PathBuf>,
    /// `--from0`: the names in that list, and the lines of merge files, end with a NUL.
    pub from0: bool,
    /// `-L`: copy what links lead to.
    pub copy_links: bool,
    /// `-k`: take links to directories for directories.
    pub copy_dirlinks: bool,
    /// `--copy-unsafe-links`: copy what links lead to that lead out of the tree.
    pub copy_unsafe_links: bool,
    /// `--safe-links`: leave links alone that lead out of the tree.
    pub safe_links: bool,
    /// `-K`: where the source has a directory, the destination may have a link to one.
    pub keep_dirlinks: bool,
    /// `-c`: compare contents, not size and time.
    pub checksum: bool,
    /// `-u`: leave files alone that are newer at the destination.
    pub update: bool,
    /// `-W`: never use the delta algorithm.
    pub whole_file: bool,
    /// `-I`: transfer even where size and time agree.
    pub ignore_times: bool,
    /// `--size-only`: compare sizes alone.
    pub size_only: bool,
    /// `--existing`: create nothing.
    pub existing: bool,
    /// `--ignore-existing`: update nothing.
    pub ignore_existing: bool,
    /// `--delete` and its kin: remove what the source does not have, and when.
    pub delete: Option<DeleteTime>,
    /// `--max-delete`: how many deletions are too many.
    pub max_delete: Option<u64>,
    /// `--mkpath`: make all directories that lead to the destination.
    pub mkpath: bool,
    /// `--remove-source-files`: remove from the source what the destination has.
    pub remove_source_files: bool,
    /// `--backup`: keep what is replaced or deleted under its name with this appended.
    pub backup: Option<Vec<u8>>,
    /// `--backup-dir`: keep it there, not beside its place; relative to the destination.
    pub backup_dir: Option<PathBuf>,
    /// `--temp-dir`: write files there before they are put in place; relative to the destination.
    pub temp_dir: Option<PathBuf>,
    /// `--compare-dest`: leave out what is just so in one of these directories; relative to the destination.
    pub compare_dest: Vec<PathBuf>,
    /// `--copy-dest`: copy it from there.
    pub copy_dest: Vec<PathBuf>,
    /// `--link-dest`: make it a hard link to that.
    pub link_dest: Vec<PathBuf>,
    /// `--ignore-errors`: delete even if the source could not be read completely.
    pub ignore_errors: bool,
    /// `--force`: a directory that something else is to take the place of goes with its contents.
    pub force: bool,
    /// `-m`: leave out directories without anything but directories in them.
    pub prune_empty_dirs: bool,
    /// `--min-size`: leave files alone that are smaller, in bytes.
    pub min_size: Option<u64>,
    /// `--max-size`: leave files alone that are larger, in bytes.
    pub max_size: Option<u64>,
    /// `-S`: write runs of zeros as holes.
    pub sparse: bool,
    /// `--inplace`: write into the file under its own name.
    pub inplace: bool,
    /// `--partial`: keep what arrived of an interrupted file, for the next run to build on.
    pub partial: bool,
    /// `--partial-dir`: where that is kept; relative to the directory that the file will be in, or one for all.
    pub partial_dir: Option<PathBuf>,
    /// `--delay-updates`: files wait there until all have arrived.
    pub delay_updates: bool,
    /// `--append`: files that are longer than what is there only get the rest, in place; others are left alone.
    pub append: bool,
    /// `--append-verify`: and what was there is held against the source's.
    pub append_verify: bool,
    /// `--preallocate`: take room for all of a file before it is written.
    pub preallocate: bool,
    /// `--fsync`: have each file on the disk before it is put in place.
    pub fsync: bool,
    /// `--usermap`: whom users are mapped to, as typed; see `ids`.
    pub usermap: Option<Vec<u8>>,
    /// `--groupmap`: the same for groups.
    pub groupmap: Option<Vec<u8>>,
    /// `--fake-super`: what it takes root to give a file is said in an attribute of it, at this end.
    pub fake_super: bool,
    /// `-M--fake-super`: at the other end.
    pub fake_super_there: bool,
    /// `--numeric-ids`: do not map owner and group by name.
    pub numeric_ids: bool,
    /// `--list-only`: there is no destination, and nothing is decided about. Only the client knows.
    pub list_only: bool,
    /// `-n`: decide and report, change nothing.
    pub dry_run: bool,
    /// `-z`: compress the link with zstd.
    pub compress: bool,
    /// `--bwlimit`: most bytes a second that either end writes to the link.
    pub bwlimit: Option<u64>,
    /// `-v`, `--info`: how much is told of what each end does about single entries: 1 what is left alone, 2 also why, and where
    /// what is replaced went. What the other end has to tell comes over the link.
    pub remarks: u8,
    /// `--timeout`: longest silence of the peer that is borne.
    pub timeout: Option<Duration>,
    /// `--delete-excluded`, as far as the rules below do not say so by themselves: rules of per-directory merge files
    /// that name no side are the sender's.
    pub delete_excluded: bool,
    /// Filter rules in order, each as one line of `--filter`'s language.
    pub filters: Vec<Vec<u8>>,
}

/// When what the source does not have is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeleteTime {
    /// Before anything is transferred.
    Before,
    /// In each directory before anything in it is decided about.
    During,
    /// Found as with [`DeleteTime::During`], deleted when everything is in place.
    Delay,
    /// Found and deleted when everything is in place.
    After,
}

impl DeleteTime {
    /// Whether nothing is deleted before everything is in place.
    pub fn is_late(self) -> bool {
        matches!(self, DeleteTime::Delay | DeleteTime::After)
    }
}

impl Options {
    /// Whether entries of this kind, and files of this size, are made and changed. Those that are not are listed all the
    /// same: what the source has is not deleted at the destination.
    pub fn selects(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Dir => true,
            Kind::File { size } => {
                self.min_size.is_none_or(|least| *size >= least) && self.max_size.is_none_or(|most| *size <= most)
            }
            Kind::Symlink { .. } => self.links,
            Kind::Fifo | Kind::Socket => self.specials,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => self.devices,
        }
    }

    /// Whether this entry is made and changed: its kind is, and it is no link that is to be left alone.
    pub fn takes(&self, entry: &Entry) -> bool {
        self.selects(&entry.kind) && !self.is_unsafe(entry)
    }

    /// Whether an entry is a link that `--safe-links` leaves alone.
    pub fn is_unsafe(&self, entry: &Entry) -> bool {
        let Kind::Symlink { target } = &entry.kind else { return false };
        self.safe_links && leads_out(target.as_os_str().as_bytes(), entry.relative())
    }

    /// Whether it is told which filter rule decided over an entry.
    pub fn tells_reasons(&self) -> bool {
        self.remarks > 1
    }

    /// The links of the source that are followed.
    pub fn follow(&self) -> Follow {
        Follow { all: self.copy_links, dirs: self.copy_dirlinks, leading_out: self.copy_unsafe_links }
    }

    /// What is noted of the entries of a source, besides what every sync needs. Large values are digested under `seed`. Of
    /// attributes all are sent that can be read: which are kept is the destination's to know.
    pub fn notes_of_source(&self, seed: u64, choice: Option<Choice>) -> Notes {
        let rsyncs = self.all_xattrs;
        let fake = self.fake_super;
        let xattrs = self.xattrs.then_some(Scope { privileged: true, rsyncs, unreadable: false, fake, seed, choice });
        Notes { atimes: self.atimes, unnoticed: self.open_noatime, xattrs, acls: self.acls, fake }
    }

    /// The same of a destination, whose files are read to be compared, which is not to be seen in what is kept of them.
    pub fn notes_of_destination(&self, seed: u64, is_root: bool, choice: Option<Choice>) -> Notes {
        let fake = self.fake_super;
        let scope = Scope { privileged: is_root, rsyncs: !fake, unreadable: true, fake, seed, choice };
        let xattrs = self.xattrs.then_some(scope);
        Notes { unnoticed: self.open_noatime || self.atimes, xattrs, ..self.notes_of_source(seed, None) }
    }

    /// Whether entries of this kind keep their access times.
    pub fn keeps_atimes(&self, kind: &Kind) -> bool {
        let omitted = match kind {
            Kind::Dir => true,
            Kind::Symlink { .. } => self.omit_link_times,
            _ => false,
        };
        self.atimes && !omitted
    }

    /// Whether owners are given to others than their names say.
    pub fn maps_owners(&self) -> bool {
        self.usermap.is_some() || self.groupmap.is_some()
    }

    /// Makes an entry of the source what it counts as: with the mode that `--chmod` makes of its own.
    pub fn adjust(&self, entry: &mut Entry) {
        if !self.chmod.is_empty() && !matches!(entry.kind, Kind::Symlink { .. }) {
            entry.mode = mode::change(entry.mode, entry.is_dir(), &self.chmod);
        }
    }

    /// Whether the destination's time of an entry is taken for the source's.
    pub fn is_same_time(&self, source: &Timestamp, existing: &Timestamp) -> bool {
        match self.modify_window {
            None => source.is_kept_as(existing),
            Some(window) => source.secs.abs_diff(existing.secs) <= window,
        }
    }

    /// Whether the destination's time of an entry is newer than the source's, or, with a window, as good as.
    pub fn is_newer(&self, existing: &Timestamp, source: &Timestamp) -> bool {
        match self.modify_window {
            None => existing > source,
            Some(window) => i128::from(source.secs) - i128::from(existing.secs) < i128::from(window),
        }
    }

    /// Whether entries of this kind keep their modification times.
    pub fn keeps_times(&self, kind: &Kind) -> bool {
        let omitted = match kind {
            Kind::Dir => self.omit_dir_times,
            Kind::Symlink { .. } => self.omit_link_times,
            _ => false,
        };
        self.times && !omitted
    }
}
