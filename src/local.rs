//! A sync on one machine: no protocol, contents copied by the kernel, several files at a time.
//!
//! With `--no-whole-file`, or with `--bwlimit`, it is a session over a link within the process instead, both roles on threads of their own.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::destination::draft::Draft;
use crate::destination::{Destination, Outline};
use crate::error::{Error, ExitCode, Result, is_full};
use crate::events::Monitor;
use crate::filter::Filter;
use crate::ids::IdMap;
use crate::location;
use crate::options::Options;
use crate::plan::Decision;
use crate::protocol::hello::Silence;
use crate::session::{self, Outcome, Prepared, Request};
use crate::source::relative::Named;
use crate::source::{self, Source, removal};
use crate::transport::memory;
use crate::tree::copy::copy_contents;
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;

/// Bytes that the link within the process holds each way.
const LINK_BUFFER: usize = 1 << 20;
/// Most threads that copy: beyond it they only wait for one another in the kernel.
const MAX_WORKERS: usize = 8;
/// Neighbouring files that one worker takes at a time, so that workers mostly stay in different directories.
const SHARE: usize = 16;

/// Syncs two trees of this machine.
///
/// # Errors
/// What ended the sync early.
pub async fn run(mut request: Request, monitor: &Arc<Monitor>) -> Result<Outcome> {
    if request.options.remove_source_files && is_onto_itself(&request) {
        request.options.remove_source_files = false;
        monitor.warn(ExitCode::Ok, "the source is the destination: nothing is removed from it");
    }
    // A limit is one of links, and a kernel that copies knows of none.
    if !request.options.whole_file || request.options.bwlimit.is_some() {
        return over_a_link(request, monitor).await;
    }
    let monitor = monitor.clone();
    let copied = tokio::task::spawn_blocking(move || copy(&request, &monitor)).await;
    copied.unwrap_or_else(|panic| Err(Error::Stream(format!("a bug in sy: {panic}"))))
}

/// Whether some source would be its own copy.
fn is_onto_itself(request: &Request) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let Some(destination) = identity(Path::new(OsStr::from_bytes(&request.destination))) else { return false };
    if request.options.relative {
        let mut roots = request.sources.iter().filter_map(|source| Named::parse(source)).map(|named| named.root);
        return roots.any(|root| identity(&root) == Some(destination));
    }
    request.sources.iter().map(|source| Path::new(OsStr::from_bytes(source))).any(|source| {
        let parent = source.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = if location::copies_contents(source) { source } else { parent };
        [source, dir].into_iter().any(|path| identity(path) == Some(destination))
    })
}

async fn over_a_link(request: Request, monitor: &Arc<Monitor>) -> Result<Outcome> {
    let (near, far) = memory::pair(LINK_BUFFER);
    let prepared = Prepared::new(request, monitor);
    let (outcome, served) = tokio::join!(session::client(near, prepared, monitor.clone()), session::server(far));
    match outcome {
        Ok(outcome) => Ok(outcome),
        Err(Silence::Error(error)) => Err(error),
        Err(Silence::Ended | Silence::Older) => Err(served.err().unwrap_or(Error::Disconnected)),
    }
}

fn copy(request: &Request, monitor: &Arc<Monitor>) -> Result<Outcome> {
    let options = &request.options;
    let filter = Filter::of(options).map_err(|error| Error::Usage(error.to_string()))?;
    let seed = fastrand::u64(..);
    let begun = Instant::now();
    let mut source = Source::scan(&request.sources, options, &filter, seed, monitor);
    source.entries.iter_mut().for_each(|entry| options.adjust(entry));
    if options.maps_owners() {
        let mut ids = IdMap::new(options, monitor)?;
        source.entries.iter_mut().for_each(|entry| ids.translate_own(entry));
    }
    monitor.progress.listed.store(true, Relaxed);
    let scanned = Instant::now();
    let path = Path::new(OsStr::from_bytes(&request.destination));
    let outline = Outline::of(&source.entries, source.complete, options);
    let theirs = Options { fake_super: options.fake_super_there, ..options.clone() };
    let mut destination = Destination::open(path, outline, &theirs, filter, seed, monitor)?;
    destination.delete_early(&source.entries, &mut |_| {});
    let mut decisions: Vec<Decision> = source.entries.iter().map(|entry| destination.prepare(entry)).collect();
    destination.settle_waiting(&source.entries, &mut decisions);
    let decided = Instant::now();
    for (index, (entry, decision)) in source.entries.iter().zip(&decisions).enumerate() {
        destination.announce(entry, *decision);
        if decision.is_settled() {
            removal::remove(source.tree(index), entry, monitor);
        }
        if decision.wants_values() && !decision.action.needs_data() {
            let mut entry = entry.clone();
            source::read_values(source.tree(index), &mut entry, monitor);
            destination.give_values(&entry);
        }
        if !decision.action.needs_data() || options.dry_run {
            monitor.progress.entry_done();
            monitor.progress.bytes_done(entry.kind.size());
        }
    }
    if !options.dry_run {
        copy_files(&source, &mut destination, &decisions, options, monitor)?;
    }
    let copied = Instant::now();
    destination.finish(&source.entries, &decisions, &mut |_| {});
    let mut outcome = Outcome { ours: destination.counters, ..Outcome::default() };
    let stages = [scanned - begun, Duration::ZERO, decided - scanned, copied - decided, copied.elapsed()];
    outcome.ours.heap.list = source.list_bytes;
    outcome.ours.stages_us = stages.map(|stage| stage.as_micros() as u64);
    Ok(outcome)
}

/// What a worker needs to know, all of it shared.
struct Job<'a, 's> {
    source: &'s Source,
    destination: &'a Destination,
    wanted: Vec<(usize, Cow<'s, Path>)>,
    next: AtomicUsize,
    stop: AtomicBool,
    options: &'a Options,
    monitor: &'a Monitor,
}

/// What came of one worker's share.
#[derive(Default)]
struct Share {
    placed: Vec<(usize, u64)>,
    failed: Vec<usize>,
    /// Whether some file of the source could not be read, though it is there.
    unread: bool,
    full: Option<Error>,
}

fn copy_files(
    source: &Source,
    destination: &mut Destination,
    decisions: &[Decision],
    options: &Options,
    monitor: &Monitor,
) -> Result<()> {
    let wanted: Vec<(usize, Cow<'_, Path>)> = decisions
        .iter()
        .enumerate()
        .filter(|(_, decision)| decision.action.needs_data())
        .map(|(index, _)| (index, destination.place(&source.entries[index])))
        .collect();
    let Some(tree) = destination.tree.as_ref().filter(|_| !wanted.is_empty()) else { return Ok(()) };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(wanted.len().div_ceil(SHARE));
    let trees: Vec<Tree> = (0..workers.clamp(1, MAX_WORKERS))
        .map(|_| tree.try_clone())
        .collect::<io::Result<_>>()
        .map_err(|error| Error::io("open directory", tree.path(), error))?;
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let job = Job { source, destination, wanted, next, stop, options, monitor };
    let shares: Vec<Share> = std::thread::scope(|scope| {
        let workers: Vec<_> = trees.iter().map(|tree| scope.spawn(|| job.work(tree))).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect()
    });
    let wanted = job.wanted;
    conclude(destination, decisions, &wanted, shares)
}

/// Counts what the workers did.
fn conclude(
    destination: &mut Destination,
    decisions: &[Decision],
    wanted: &[(usize, Cow<'_, Path>)],
    shares: Vec<Share>,
) -> Result<()> {
    let done: usize = shares.iter().map(|share| share.placed.len() + share.failed.len()).sum();
    let mut full = None;
    for share in shares {
        for (place, bytes) in share.placed {
            destination.counters.literal += bytes;
            destination.placed(&wanted[place].1);
        }
        for place in share.failed {
            destination.count_failed(decisions[wanted[place].0]);
        }
        if share.unread {
            destination.source_failed();
        }
        full = full.or(share.full);
    }
    match full {
        Some(error) => Err(error),
        None if done < wanted.len() => Err(Error::Stream("a bug in sy: a copying thread ended early".into())),
        None => Ok(()),
    }
}

impl Job<'_, '_> {
    fn work(&self, tree: &Tree) -> Share {
        let mut share = Share::default();
        let mut scratch = Vec::new();
        while !self.stop.load(Relaxed) {
            let first = self.next.fetch_add(SHARE, Relaxed);
            if first >= self.wanted.len() {
                break;
            }
            for wanted in first..self.wanted.len().min(first + SHARE) {
                self.copy(wanted, tree, &mut scratch, &mut share);
            }
        }
        share
    }

    fn copy(&self, wanted: usize, tree: &Tree, scratch: &mut Vec<u8>, share: &mut Share) {
        let (index, place) = &self.wanted[wanted];
        let entry = &self.source.entries[*index];
        match self.try_copy(*index, place, entry, tree, scratch) {
            Ok((bytes, lacking)) => {
                share.placed.push((wanted, bytes));
                if self.options.remove_source_files {
                    removal::remove(self.source.tree(*index), entry, self.monitor);
                }
                if let Some(error) = lacking {
                    self.destination.report(ExitCode::Partial, "set attributes of", place, &error);
                }
            }
            Err(failure) => {
                share.failed.push(wanted);
                self.report(entry, place, failure, share);
            }
        }
        self.monitor.progress.entry_done();
        self.monitor.progress.bytes_done(entry.kind.size());
    }

    /// Tells of a file that could not be copied. A full disk is noted instead: it ends the sync, all others would fail.
    fn report(&self, entry: &Entry, place: &Path, failure: Failure, share: &mut Share) {
        match failure {
            Failure::Read(error) => {
                share.unread |= source::unreadable(entry, &error, self.monitor) != ExitCode::Vanished;
            }
            Failure::Write(error) if is_full(&error) => {
                self.stop.store(true, Relaxed);
                share.full = share.full.take().or(Some(Error::io("write", &self.destination.path_of(place), error)));
            }
            Failure::Write(error) => {
                let to = self.destination.path_of(place);
                let text = format!("failed to copy {} to {}: {error}", entry.path().display(), to.display());
                self.monitor.warn(ExitCode::Partial, &text);
            }
        }
    }

    fn try_copy(
        &self,
        index: usize,
        place: &Path,
        entry: &Entry,
        tree: &Tree,
        scratch: &mut Vec<u8>,
    ) -> std::result::Result<(u64, Option<io::Error>), Failure> {
        let from = self.source.open(index).map_err(Failure::Read)?;
        let draft = self.destination.begin(tree, place, entry.kind.size(), false).map_err(Failure::Write)?;
        let copied = self
            .make_room(&from, &draft)
            .and_then(|()| copy_contents(&from, draft.file(), entry.kind.size(), self.options.sparse, scratch));
        let len = match copied {
            Ok(len) => len,
            Err(error) => {
                let begun = draft.file().metadata().is_ok_and(|file| file.len() > 0);
                draft.abandon(begun);
                return Err(Failure::Write(error));
            }
        };
        let entry = self.with_values(index, entry);
        let lacking = self.destination.complete(draft, tree, place, &entry, len).map_err(Failure::Write)?;
        Ok((len, lacking))
    }

    /// An entry with its large attributes, if it has any.
    fn with_values<'e>(&self, index: usize, entry: &'e Entry) -> Cow<'e, Entry> {
        if !(0..entry.xattrs().len()).any(|place| entry.large(place)) {
            return Cow::Borrowed(entry);
        }
        let mut entry = entry.clone();
        source::read_values(self.source.tree(index), &mut entry, self.monitor);
        Cow::Owned(entry)
    }

    /// A file that is written in place begins empty, for the kernel's ways of copying; it must not be the source itself.
    fn make_room(&self, from: &File, draft: &Draft) -> io::Result<()> {
        if draft.is_fresh() {
            return Ok(());
        }
        let (from, to) = (from.metadata()?, draft.file().metadata()?);
        if (from.dev(), from.ino()) == (to.dev(), to.ino()) {
            return Err(io::Error::other("they are one file"));
        }
        draft.file().set_len(0)
    }
}

/// On which side a copy failed; between the two, on that of the destination.
enum Failure {
    Read(io::Error),
    Write(io::Error),
}
