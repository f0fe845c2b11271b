//! A receiver whose list comes in chunks: each directory is decided on when all of it is here, and put right when all that
//! is below it is done.
//!
//! A directory is announced by name in its parent's chunk, then listed in chunks of its own; numbers stand for both. It is
//! forgotten when its own chunks, its files, its links and its directories are done with, so what is held follows what is
//! under way. Signatures go out with the decisions, unasked, as long as not too many bytes of them wait for their delta.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::Session;
use super::arrivals::{Arrivals, Wanted};
use super::receiver::Teller;
use crate::destination::{Destination, Outline};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::plan::{Action, Decision};
use crate::protocol::chunk::{Chunk, ChunkAck, Contents, ListEnd};
use crate::protocol::codec;
use crate::protocol::message::{Counters, HeapCounts, Message};
use crate::tree::entry::Entry;
use crate::tree::owners::IdMap;

/// Bytes of signatures that are under way before no more are made: a few round trips' worth on any link. Few in tests.
const SIGNATURES: usize = if cfg!(test) { 1 << 10 } else { 8 << 20 };

/// Plays a receiver whose list begins with `roots`. Returns what it counted, and what the sender did.
///
/// # Errors
/// What ended the session early.
pub fn receive(
    session: &mut Session,
    path: &Path,
    filter: Filter,
    roots: Chunk,
) -> Result<(Counters, Option<Counters>)> {
    let begun = Instant::now();
    let outline = Outline::directories();
    let destination = Destination::open(path, outline, &session.options, filter, session.seed, &session.monitor)?;
    let ids = IdMap::new(session.options.numeric_ids);
    let mut receiver = Receiver {
        arrivals: Arrivals::new(session, destination),
        root: path.to_path_buf(),
        ids,
        dirs: HashMap::from([(0, Dir::new(PathBuf::from("."), 0))]),
        announced: 0,
        unlisted: 1,
        within: None,
        next_chunk: 0,
        next_index: 0,
        to_sign: VecDeque::new(),
        followers: HashMap::new(),
        end: None,
        wanted: false,
    };
    let received = receiver.take_chunk(&roots).and_then(|()| receiver.receive_all());
    // Only an error leaves a file unfinished here.
    receiver.arrivals.abandon();
    let theirs = received?;
    let mut counters = receiver.finish()?;
    counters.stages_us[3] = begun.elapsed().as_micros() as u64;
    counters.heap = HeapCounts::now(0);
    session.tell_distance();
    session.outbox.send(Message::SessionEnd(counters))?;
    Ok((counters, Some(theirs)))
}

/// A directory that is not done with.
struct Dir {
    /// Below the list's root.
    path: PathBuf,
    parent: u32,
    /// What has come of it, until all has.
    parts: Vec<Part>,
    /// All of it has come.
    is_listed: bool,
    /// Its entry and what was decided, once all has come; the one above the roots has none.
    own: Option<(Entry, Decision)>,
    /// What it waits for: its own chunks, its files, its links, its directories.
    open: usize,
}

/// A chunk that waits for the rest of its directory.
struct Part {
    id: u32,
    contents: Contents,
}

impl Dir {
    fn new(path: PathBuf, parent: u32) -> Dir {
        Dir { path, parent, parts: Vec::new(), is_listed: false, own: None, open: 1 }
    }
}

struct Receiver<'a> {
    arrivals: Arrivals<'a>,
    root: PathBuf,
    ids: IdMap,
    dirs: HashMap<u32, Dir>,
    /// The number of the last directory that was announced.
    announced: u32,
    /// Directories whose last chunk has not come.
    unlisted: usize,
    /// The directory whose chunks are coming, if the last one was not its last.
    within: Option<u32>,
    next_chunk: u32,
    next_index: u32,
    /// Files whose signature is still to be sent.
    to_sign: VecDeque<u32>,
    /// Links to files that are still wanted, by their group, each with its directory.
    followers: HashMap<u32, Vec<(Entry, Decision, u32)>>,
    end: Option<ListEnd>,
    /// Whether any contents were wanted.
    wanted: bool,
}

impl Receiver<'_> {
    /// Returns what the sender counted, when all is here.
    fn receive_all(&mut self) -> Result<Counters> {
        loop {
            self.settle()?;
            self.sign()?;
            if let Some(end) = self.end.filter(|_| self.dirs.is_empty() && self.arrivals.is_idle()) {
                return Ok(end.counters);
            }
            let message = self.arrivals.session.inbox.recv()?;
            match self.arrivals.handle(message)? {
                None => {}
                Some(Message::FileListChunk(chunk)) if self.end.is_none() => {
                    self.take_chunk(&chunk)?;
                    self.arrivals.session.done_with(chunk.into_bytes());
                }
                Some(Message::FileListEnd(end)) if self.end.is_none() => self.take_end(end)?,
                Some(other) => return Err(self.arrivals.session.out_of_place("a chunk or contents", &other)),
            }
        }
    }

    fn take_end(&mut self, end: ListEnd) -> Result<()> {
        if self.unlisted > 0 || end.total != self.next_index {
            let told = format!("{} entries and {} directories to come", self.next_index, self.unlisted);
            return Err(Error::Stream(format!("the list ends with {} entries: there were {told}", end.total)));
        }
        self.arrivals.session.monitor.progress.listed.store(true, Relaxed);
        self.end = Some(end);
        Ok(())
    }

    fn take_chunk(&mut self, chunk: &Chunk) -> Result<()> {
        let state = chunk.state();
        if chunk.id != self.next_chunk {
            return Err(Error::Stream(format!("chunk {} instead of {}", chunk.id, self.next_chunk)));
        }
        self.next_chunk += 1;
        if self.within.is_some_and(|dir| dir != chunk.dir) {
            return Err(Error::Stream(format!("a chunk of directory {} among those of another", chunk.dir)));
        }
        self.within = (!state.last).then_some(chunk.dir);
        let unannounced = || Error::Stream(format!("a chunk of directory {}, which is not due", chunk.dir));
        let dir = self.dirs.get_mut(&chunk.dir).filter(|dir| !dir.is_listed).ok_or_else(unannounced)?;
        if state.first != dir.parts.is_empty() || (chunk.dir == 0 && !state.last) {
            return Err(Error::Stream(format!("a chunk of directory {} out of order", chunk.dir)));
        }
        let mut contents = chunk.open(&self.root, &dir.path)?;
        if chunk.dir == 0 && !contents.entries.is_empty() {
            return Err(Error::Stream("entries above the list's roots".into()));
        }
        check_order(dir, &contents)?;
        self.translate(&mut contents);
        self.check_requested(&contents)?;
        if state.incomplete {
            self.arrivals.destination.source_is_incomplete();
        }
        let bytes = contents.entries.iter().map(|entry| entry.kind.size()).fold(0, u64::saturating_add);
        let places = contents.own.iter().len() + contents.entries.len();
        self.arrivals.session.monitor.progress.found(places as u64, bytes);
        if let Some(dir) = self.dirs.get_mut(&chunk.dir) {
            dir.parts.push(Part { id: chunk.id, contents });
        }
        if state.last { self.decide_dir(chunk.dir) } else { Ok(()) }
    }

    /// Makes the owners those of this machine.
    fn translate(&mut self, contents: &mut Contents) {
        contents.users.iter().for_each(|(id, name)| self.ids.add_user(*id, name));
        contents.groups.iter().for_each(|(id, name)| self.ids.add_group(*id, name));
        for entry in contents.own.iter_mut().chain(&mut contents.entries) {
            (entry.uid, entry.gid) = (self.ids.local_uid(entry.uid), self.ids.local_gid(entry.gid));
        }
    }

    fn check_requested(&self, contents: &Contents) -> Result<()> {
        let Some(asked) = &self.arrivals.session.requested else { return Ok(()) };
        contents.own.iter().chain(&contents.entries).try_for_each(|entry| asked.check(entry))
    }

    /// All of a directory is here: deletes what it has not, decides about it and what is in it, and asks for that.
    fn decide_dir(&mut self, number: u32) -> Result<()> {
        let Some(dir) = self.dirs.get_mut(&number) else { return Ok(()) };
        dir.is_listed = true;
        let (path, parts) = (dir.path.clone(), std::mem::take(&mut dir.parts));
        check_twice(&parts)?;
        self.unlisted -= 1;
        let destination = &mut self.arrivals.destination;
        parts.iter().flat_map(|part| &part.contents.entries).for_each(|entry| destination.note_listed(entry));
        self.delete_in(&path, &parts)?;
        let mut acks = Vec::with_capacity(parts.len());
        let mut signed = Vec::new();
        for Part { id, contents: Contents { own, entries, dirs, .. } } in parts {
            let count = (own.iter().len() + entries.len()) as u32;
            let first = self.next_index;
            self.next_index =
                first.checked_add(count).ok_or_else(|| Error::Stream("more entries than a list may have".into()))?;
            let mut decisions = Vec::new();
            for (place, entry) in (0u32..).zip(own.into_iter().chain(entries)) {
                let decision = self.arrivals.destination.prepare(&entry);
                if decision != Decision::SKIP {
                    decisions.push((place, decision));
                }
                self.decided(number, first + place, entry, decision, &mut signed);
            }
            acks.push(ChunkAck { id, count, decisions });
            self.announce(number, &path, dirs)?;
        }
        let mut teller = Teller::new(self.arrivals.session);
        self.arrivals.destination.take_cleared().into_iter().for_each(|deleted| teller.tell(deleted));
        teller.finish()?;
        for ack in acks {
            self.arrivals.session.outbox.send(Message::FileListChunkAck(ack))?;
        }
        self.to_sign.extend(signed);
        self.close(number);
        Ok(())
    }

    /// Deletes what stands in a directory that was listed to its end and is not in the list.
    fn delete_in(&mut self, path: &Path, parts: &[Part]) -> Result<()> {
        let listed = parts.first().and_then(|part| part.contents.own.as_ref()).is_some_and(|own| own.contents_listed);
        if !listed || self.arrivals.session.options.delete.is_none() {
            return Ok(());
        }
        let entries = parts.iter().flat_map(|part| &part.contents.entries);
        let mut names: Vec<&OsStr> = entries.map(name_of).collect();
        names.extend(parts.iter().flat_map(|part| &part.contents.dirs).map(|name| name.as_os_str()));
        names.sort_unstable();
        let mut teller = Teller::new(self.arrivals.session);
        self.arrivals.destination.delete_in(path, &names, &mut |deleted| teller.tell(deleted));
        teller.finish()
    }

    /// Does what a decision asks for, or notes what it waits for.
    fn decided(&mut self, number: u32, index: u32, entry: Entry, decision: Decision, signed: &mut Vec<u32>) {
        let wet = !self.arrivals.session.options.dry_run;
        if wet && decision.action.needs_data() {
            self.wanted = true;
            self.hold(number);
            if decision.action == Action::Delta {
                signed.push(index);
            }
            if let Some(group) = entry.link_group() {
                self.followers.entry(group).or_default();
            }
            self.arrivals.want(index, Wanted::new(entry, decision, number));
            return;
        }
        self.arrivals.destination.announce(&entry, decision);
        let progress = &self.arrivals.session.monitor.progress;
        progress.entry_done();
        progress.bytes_done(entry.kind.size());
        if wet && decision.action == Action::HardLink {
            match entry.link_group().and_then(|group| self.followers.get_mut(&group)) {
                Some(waiting) => {
                    waiting.push((entry, decision, number));
                    self.hold(number);
                }
                None => self.arrivals.destination.link(&entry, decision),
            }
        } else if let Some(dir) = self.dirs.get_mut(&number).filter(|_| entry.is_dir()) {
            dir.own = Some((entry, decision));
        }
    }

    /// Numbers the directories in a directory.
    fn announce(&mut self, parent: u32, path: &Path, names: Vec<std::ffi::OsString>) -> Result<()> {
        for name in names {
            let path = match path == Path::new(".") {
                true => PathBuf::from(name),
                false => path.join(name),
            };
            if path.as_os_str().len() > codec::MAX_PATH {
                return Err(Error::Stream(format!("a path of {} bytes", path.as_os_str().len())));
            }
            self.announced = self
                .announced
                .checked_add(1)
                .ok_or_else(|| Error::Stream("more directories than a list may have".into()))?;
            self.dirs.insert(self.announced, Dir::new(path, parent));
            self.unlisted += 1;
            self.hold(parent);
        }
        Ok(())
    }

    fn hold(&mut self, number: u32) {
        if let Some(dir) = self.dirs.get_mut(&number) {
            dir.open += 1;
        }
    }

    /// One thing fewer that a directory waits for; the last one puts it right, and its parents that waited for it.
    fn close(&mut self, number: u32) {
        let mut next = Some(number);
        while let Some(number) = next.take() {
            let Some(dir) = self.dirs.get_mut(&number) else { return };
            dir.open -= 1;
            if dir.open > 0 {
                return;
            }
            let Some(dir) = self.dirs.remove(&number) else { return };
            if let Some((entry, decision)) = &dir.own {
                self.arrivals.destination.finish_dir(entry, *decision);
            }
            self.arrivals.destination.forget_dir(&dir.path);
            next = (number != 0).then_some(dir.parent);
        }
    }

    /// Goes on from the files that are done with: their links are made, their directories wait for one thing fewer.
    fn settle(&mut self) -> Result<()> {
        for Wanted { entry, dir, .. } in self.arrivals.take_settled() {
            let waiting = entry.link_group().and_then(|group| self.followers.remove(&group));
            for (link, decision, dir) in waiting.into_iter().flatten() {
                self.arrivals.destination.link(&link, decision);
                self.close(dir);
            }
            self.close(dir);
        }
        Ok(())
    }

    /// Sends signatures, as long as not too many bytes of them are under way.
    fn sign(&mut self) -> Result<()> {
        while self.arrivals.signature_bytes() < SIGNATURES
            && let Some(index) = self.to_sign.pop_front()
        {
            // The sender may have given it up meanwhile.
            if self.arrivals.is_wanted(index) {
                self.arrivals.send_signature(index)?;
            }
        }
        Ok(())
    }

    /// What comes after everything else.
    fn finish(mut self) -> Result<Counters> {
        let mut teller = Teller::new(self.arrivals.session);
        self.arrivals.destination.delete_noted(&mut |deleted| teller.tell(deleted));
        teller.finish()?;
        let round_trips = 1 + u64::from(self.wanted) + u64::from(self.arrivals.was_redone());
        Ok(Counters { round_trips, ..self.arrivals.destination.counters })
    }
}

/// That a part of a directory goes on where the one before ended: first all that is no directory, then the directories.
fn check_order(dir: &Dir, contents: &Contents) -> Result<()> {
    let Some(Part { contents: before, .. }) = dir.parts.last() else { return Ok(()) };
    if contents.entries.is_empty() && contents.dirs.is_empty() {
        return Err(Error::Stream(format!("a part of {:?} with nothing in it", dir.path)));
    }
    let follows = match (&before.entries[..], &before.dirs[..], &contents.entries[..], &contents.dirs[..]) {
        (_, [.., last], [], [first, ..]) => last < first,
        (_, [_, ..], [_, ..], _) => false,
        ([.., last], [], [first, ..], _) => name_of(last) < name_of(first),
        _ => true,
    };
    if follows { Ok(()) } else { Err(Error::Stream(format!("a part of {:?} out of order", dir.path))) }
}

/// That no name of a directory is both a directory's and another's. Both are in the order of their bytes.
fn check_twice(parts: &[Part]) -> Result<()> {
    let contents = || parts.iter().map(|part| &part.contents);
    let mut dirs = contents().flat_map(|part| &part.dirs).map(|name| name.as_os_str()).peekable();
    for entry in contents().flat_map(|part| &part.entries) {
        let name = name_of(entry);
        while dirs.next_if(|dir| *dir < name).is_some() {}
        if dirs.peek() == Some(&name) {
            return Err(Error::Stream(format!("{:?} is listed twice", entry.relative())));
        }
    }
    Ok(())
}

fn name_of(entry: &Entry) -> &OsStr {
    entry.relative().file_name().unwrap_or_default()
}
