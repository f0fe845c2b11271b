//! The receiver: hears the list, decides, takes in what it asked for, and puts everything right at the end.
//!
//! States: `Listening` (FILE_LIST in) -> `Deciding` (FILE_LIST_ACK, DELETE_BATCH out) -> `Receiving` (FILE_DATA,
//! FILE_DATA_BATCH, CHECKSUM_REQ, DELTA_DATA, FILE_DONE in; CHECKSUM_RESP, FILE_DONE out) -> `Finishing` (SESSION_END in; a
//! server sends its own) -> done. A list that comes in chunks makes all of that one state: see `chunks`. Whatever does not
//! fit ends the session with an ERROR, and what is half-written goes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::arrivals::{Arrivals, Wanted};
use super::channel::Outbox;
use super::{Session, chunks, file_list};
use crate::destination::{Destination, Outline};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::plan::Decision;
use crate::protocol::message::{Counters, Deleted, FileList, HeapCounts, Message};
use crate::tree::entry::Entry;

/// Bytes of names after which a DELETE_BATCH is sent off.
const DELETE_FILL: usize = 32 << 10;

/// Plays the receiver: `paths` holds the destination. Returns what it counted, and what the sender did.
///
/// # Errors
/// What ended the session early.
pub fn run(session: &mut Session, paths: &[Vec<u8>], filter: Filter) -> Result<(Counters, Option<Counters>)> {
    let path = paths.first().map(|path| Path::new(OsStr::from_bytes(path))).unwrap_or(Path::new("."));
    match session.inbox.recv()? {
        Message::FileList(first) => receive_whole(session, path, filter, first),
        Message::FileListChunk(first) => chunks::receive(session, path, filter, first),
        other => Err(session.out_of_place("a list", &other)),
    }
}

/// Receives a list that comes whole, before anything is decided.
fn receive_whole(
    session: &mut Session,
    path: &Path,
    filter: Filter,
    first: FileList,
) -> Result<(Counters, Option<Counters>)> {
    let begun = Instant::now();
    let (entries, complete) = file_list::receive(session, first)?;
    session.monitor.progress.listed.store(true, Relaxed);
    session.tell_distance();
    let listed = Instant::now();
    let outline = Outline::of(&entries, complete, &session.options);
    let mut destination = Destination::open(path, outline, &session.options, filter, session.seed, &session.monitor)?;
    let mut teller = Teller::new(session);
    destination.delete_early(&entries, &mut |deleted| teller.tell(deleted));
    teller.finish()?;
    let mut decisions: Vec<Decision> = entries.iter().map(|entry| destination.prepare(entry)).collect();
    destination.settle_waiting(&entries, &mut decisions);
    let mut teller = Teller::new(session);
    destination.take_cleared().into_iter().for_each(|deleted| teller.tell(deleted));
    teller.finish()?;
    file_list::decide(session, &decisions)?;
    let decided = Instant::now();
    let mut arrivals = Arrivals::new(session, destination);
    settle(&mut arrivals, &entries, &decisions);
    let received = receive_all(&mut arrivals);
    // Only an error leaves a file unfinished here.
    arrivals.abandon();
    let (theirs, received, mut destination) = (received?, Instant::now(), arrivals.destination);
    let mut teller = Teller::new(session);
    destination.finish(&entries, &decisions, &mut |deleted| teller.tell(deleted));
    teller.finish()?;
    let mut counters = destination.counters;
    counters.stages_us[1] = (listed - begun).as_micros() as u64;
    counters.stages_us[2] = (decided - listed).as_micros() as u64;
    counters.stages_us[3] = (received - decided).as_micros() as u64;
    counters.stages_us[4] = received.elapsed().as_micros() as u64;
    // The sender counts both: it alone decides how many files are under way.
    (counters.round_trips, counters.depth) = (theirs.round_trips, theirs.depth);
    if !session.is_client {
        counters.heap = HeapCounts::now(0);
        session.outbox.send(Message::SessionEnd(counters))?;
    }
    Ok((counters, Some(theirs)))
}

/// Tells the user what needs no contents; the rest is told when its contents begin to come.
fn settle(arrivals: &mut Arrivals<'_>, entries: &[Entry], decisions: &[Decision]) {
    for (index, (entry, decision)) in (0u32..).zip(entries.iter().zip(decisions)) {
        if decision.action.needs_data() && !arrivals.session.options.dry_run {
            arrivals.want(index, Wanted::new(entry.clone(), *decision, 0));
            continue;
        }
        arrivals.destination.announce(entry, *decision);
        if decision.wants_values() {
            arrivals.want_values(index, entry.clone(), 0);
        }
        let progress = &arrivals.session.monitor.progress;
        progress.entry_done();
        progress.bytes_done(entry.kind.size());
    }
}

/// Takes contents in until the sender says that this was all.
fn receive_all(arrivals: &mut Arrivals<'_>) -> Result<Counters> {
    loop {
        let message = arrivals.session.inbox.recv()?;
        match arrivals.handle(message)? {
            None => drop((arrivals.take_settled(), arrivals.take_completed())),
            Some(Message::SessionEnd(theirs)) if arrivals.is_idle() => return Ok(theirs),
            Some(other) => return Err(arrivals.session.out_of_place("contents", &other)),
        }
    }
}

/// Tells a client what was deleted, many at a time.
#[derive(Default)]
pub(super) struct Teller {
    /// `None` at a client: its own events have told.
    outbox: Option<Outbox>,
    batch: Vec<Deleted>,
    bytes: usize,
    failure: Option<Error>,
}

impl Teller {
    pub(super) fn new(session: &Session) -> Teller {
        Teller { outbox: (!session.is_client).then(|| session.outbox.clone()), ..Teller::default() }
    }

    pub(super) fn tell(&mut self, deleted: Deleted) {
        if self.outbox.is_none() {
            return;
        }
        self.bytes += deleted.path.as_os_str().len();
        self.batch.push(deleted);
        if self.bytes >= DELETE_FILL {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if let (Some(outbox), None, false) = (&self.outbox, &self.failure, batch.is_empty()) {
            self.failure = outbox.send(Message::DeleteBatch(batch)).err();
        }
    }

    pub(super) fn finish(mut self) -> Result<()> {
        self.flush();
        self.failure.map_or(Ok(()), Err)
    }
}
