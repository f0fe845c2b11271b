//! A receiver whose list comes in chunks: each chunk is decided on as it comes, what a directory should not have goes when
//! all of the directory is here, and it is put right when all that is below it is done.
//!
//! A directory is announced by name in its parent's chunk, then listed in chunks of its own; numbers stand for both. It is
//! forgotten when its own chunks, its files, its links and its directories are done with, so what is held follows what is
//! under way, not the tree and not the largest directory: of a chunk that is decided on only what is wanted of it stays.
//! A directory of one chunk, as nearly all are, is deleted in before it is decided about. A larger one has been decided
//! about for the most part by then, so of what it has by other names for the file system's sake nothing goes. Signatures go
//! out with the decisions, unasked, as long as not too many bytes of them wait for their delta.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::Session;
use super::arrivals::{Arrivals, Wanted};
use super::receiver::Teller;
use crate::destination::{Destination, Outline};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::ids::IdMap;
use crate::plan::{Action, Decision};
use crate::protocol::chunk::{Chunk, ChunkAck, Contents, ListEnd, State};
use crate::protocol::message::{Counters, HeapCounts, Message};
use crate::tree::entry::Entry;

mod dirs;
mod order;
mod waiting;

use dirs::{Coming, Dirs, Held};
use order::name_of;
use waiting::Waiting;

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
    if session.options.delay_updates {
        return Err(Error::Stream("a list in chunks, though updates are delayed until all of it is here".into()));
    }
    let begun = Instant::now();
    let ids = IdMap::new(&session.options, &session.monitor)?;
    let outline = Outline::directories();
    let destination = Destination::open(path, outline, &session.options, filter, session.seed, &session.monitor)?;
    let mut receiver = Receiver {
        arrivals: Arrivals::new(session, destination),
        root: path.to_path_buf(),
        ids,
        dirs: Dirs::new(),
        held: Held::new(),
        next_chunk: 0,
        next_index: 0,
        to_sign: VecDeque::new(),
        followers: HashMap::new(),
        waiting: Waiting::default(),
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
    session.hear_out()?;
    Ok((counters, Some(theirs)))
}

struct Receiver<'a> {
    arrivals: Arrivals<'a>,
    root: PathBuf,
    ids: IdMap,
    dirs: Dirs,
    held: Held,
    next_chunk: u32,
    next_index: u32,
    /// Files whose signature is still to be sent.
    to_sign: VecDeque<u32>,
    /// Links to files that are still wanted, by their group, each with its directory.
    followers: HashMap<u32, Vec<(Entry, Decision, u32)>>,
    waiting: Waiting,
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
            let message = self.next_message()?;
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

    /// Where files are written in a directory that may be in the list itself, nothing of the list is dealt with while one is
    /// half here, as the order of the link has it: in that directory it would be found and deleted.
    fn next_message(&mut self) -> Result<Message> {
        let inbox = &mut self.arrivals.session.inbox;
        match self.arrivals.session.options.temp_dir {
            None => inbox.recv_in_turn(),
            Some(_) => inbox.recv(),
        }
    }

    fn take_end(&mut self, end: ListEnd) -> Result<()> {
        if self.dirs.unlisted > 0 || end.total != self.next_index {
            let told = format!("{} entries and {} directories to come", self.next_index, self.dirs.unlisted);
            return Err(Error::Stream(format!("the list ends with {} entries: there were {told}", end.total)));
        }
        self.arrivals.session.monitor.progress.listed.store(true, Relaxed);
        self.end = Some(end);
        self.end_waiting()
    }

    fn take_chunk(&mut self, chunk: &Chunk) -> Result<()> {
        let state = chunk.state();
        if chunk.id != self.next_chunk {
            return Err(Error::Stream(format!("chunk {} instead of {}", chunk.id, self.next_chunk)));
        }
        self.next_chunk += 1;
        let mut dir = self.dirs.take(chunk.dir, state)?;
        let mut contents = chunk.open(&self.root, &dir.path)?;
        if chunk.dir == 0 && !contents.entries.is_empty() {
            return Err(Error::Stream("entries above the list's roots".into()));
        }
        dir.check(&contents, state, &mut self.held)?;
        self.translate(&mut contents);
        self.check_requested(&contents)?;
        if state.incomplete {
            self.arrivals.destination.source_is_incomplete();
        }
        let bytes = contents.entries.iter().map(|entry| entry.kind.size()).fold(0, u64::saturating_add);
        let places = contents.own.iter().len() + contents.entries.len();
        self.arrivals.session.monitor.progress.found(places as u64, bytes);
        let listed = contents.own.iter().chain(&contents.entries);
        listed.for_each(|entry| self.arrivals.destination.note_listed(entry));
        if state.first {
            dir.found = self.arrivals.destination.found_in(chunk.dir, &dir.path);
        }
        self.delete(&mut dir, &contents, state)?;
        self.decide(chunk, &mut dir, contents)?;
        if !state.last {
            self.dirs.put_back(chunk.dir, dir);
            return Ok(());
        }
        self.dirs.listed(chunk.dir, dir.own);
        self.close(chunk.dir);
        Ok(())
    }

    /// Makes the owners those of this machine, and the modes those that the options want.
    fn translate(&mut self, contents: &mut Contents) {
        contents.users.iter().for_each(|(id, name)| self.ids.add_user(*id, name));
        contents.groups.iter().for_each(|(id, name)| self.ids.add_group(*id, name));
        for entry in contents.own.iter_mut().chain(&mut contents.entries) {
            self.ids.translate(entry);
            self.arrivals.session.options.adjust(entry);
        }
    }

    fn check_requested(&self, contents: &Contents) -> Result<()> {
        let Some(asked) = &self.arrivals.session.requested else { return Ok(()) };
        contents.own.iter().chain(&contents.entries).try_for_each(|entry| asked.check(entry))
    }

    /// Takes the names of a chunk for what they mean to `--delete`: nothing goes before all of the directory is here, and
    /// of one that is a single chunk before anything in it is decided about.
    fn delete(&mut self, dir: &mut Coming, contents: &Contents, state: State) -> Result<()> {
        let destination = &mut self.arrivals.destination;
        if contents.own.as_ref().is_some_and(|own| own.contents_listed) {
            dir.extra = destination.look_for_extra(&dir.path);
        }
        let Some(extra) = &mut dir.extra else { return Ok(()) };
        destination.strike(extra, contents.entries.iter().map(name_of), state.last);
        destination.strike(extra, contents.dirs.iter().map(|name| name.as_os_str()), state.last);
        let Some(extra) = dir.extra.take_if(|_| state.last) else { return Ok(()) };
        let mut teller = Teller::new(self.arrivals.session);
        destination.delete_extra(&extra, &mut |deleted| teller.tell(deleted));
        teller.finish()
    }

    /// Decides about what is in a chunk, does what the list alone suffices for, and asks for the rest.
    fn decide(&mut self, chunk: &Chunk, dir: &mut Coming, contents: Contents) -> Result<()> {
        let Contents { own, entries, dirs, .. } = contents;
        let (count, first) = ((own.iter().len() + entries.len()) as u32, self.next_index);
        let too_many = || Error::Stream("more entries than a list may have".into());
        self.next_index = first.checked_add(count).ok_or_else(too_many)?;
        let (mut decisions, mut signed) = (Vec::new(), Vec::new());
        self.arrivals.destination.let_names_wait(self.waiting.has_room(&self.held));
        for (place, entry) in (0u32..).zip(own.into_iter().chain(entries)) {
            let destination = &mut self.arrivals.destination;
            let mut decision = match entry.is_dir() {
                true => destination.prepare(&entry),
                false => destination.prepare_with(&entry, &mut dir.found),
            };
            self.note_leader(&entry, &mut decision);
            if decision != Decision::SKIP {
                decisions.push((place, decision));
            }
            if decision.action == Action::Delta && !self.arrivals.session.options.dry_run {
                signed.push(first + place);
            }
            if let Some(own) = self.decided(chunk.dir, first + place, entry, decision)? {
                dir.own = Some((own, decision));
            }
        }
        let announced = self.dirs.next_numbers().zip(dirs.iter().cloned());
        self.arrivals.destination.look_ahead(chunk.dir, &dir.path, announced);
        self.dirs.announce(chunk.dir, dirs, &mut self.held)?;
        let mut teller = Teller::new(self.arrivals.session);
        self.arrivals.destination.take_cleared().into_iter().for_each(|deleted| teller.tell(deleted));
        teller.finish()?;
        self.arrivals.session.outbox.send(Message::FileListChunkAck(ChunkAck { id: chunk.id, count, decisions }))?;
        self.to_sign.extend(signed);
        Ok(())
    }

    /// Does what a decision asks for, or notes what it waits for. Hands a directory's own entry back.
    fn decided(&mut self, number: u32, index: u32, entry: Entry, decision: Decision) -> Result<Option<Entry>> {
        if decision.waits() {
            return self.wait(number, index, entry, decision).map(|()| None);
        }
        let wet = !self.arrivals.session.options.dry_run;
        if wet && decision.action.needs_data() {
            self.wanted = true;
            self.hold(number, &entry)?;
            if let Some(group) = entry.link_group() {
                self.followers.entry(group).or_default();
            }
            self.arrivals.want(index, Wanted::new(entry, decision, number));
            return Ok(None);
        }
        self.tell(&entry, decision);
        if wet && decision.wants_values() {
            self.wanted = true;
            self.hold(number, &entry)?;
            self.arrivals.want_values(index, entry.clone(), number);
        }
        if wet && decision.follows_leader() {
            if entry.link_group().is_some_and(|group| self.followers.contains_key(&group)) {
                self.hold(number, &entry)?;
                self.follow(entry, decision, number);
            } else {
                self.arrivals.destination.link(&entry, decision);
            }
            return Ok(None);
        }
        Ok(Some(entry).filter(Entry::is_dir))
    }

    /// Tells the user of an entry that no contents are wanted of.
    fn tell(&self, entry: &Entry, decision: Decision) {
        self.arrivals.destination.announce(entry, decision);
        let progress = &self.arrivals.session.monitor.progress;
        progress.entry_done();
        progress.bytes_done(entry.kind.size());
    }

    /// Notes that a link waits for the file that it is to be a name of.
    fn follow(&mut self, entry: Entry, decision: Decision, number: u32) {
        if let Some(waiting) = entry.link_group().and_then(|group| self.followers.get_mut(&group)) {
            waiting.push((entry, decision, number));
        }
    }

    /// A directory waits for one of its files or links.
    fn hold(&mut self, number: u32, entry: &Entry) -> Result<()> {
        self.dirs.hold(number);
        self.held.hold(entry.held_bytes())
    }

    /// A file or link of a directory is done with.
    fn release(&mut self, number: u32, entry: &Entry) {
        self.held.release(entry.held_bytes());
        self.close(number);
    }

    /// One thing fewer that a directory waits for; the last one puts it right, and its parents that waited for it.
    fn close(&mut self, number: u32) {
        let mut next = Some(number);
        while let Some(number) = next.take() {
            let Some(done) = self.dirs.close(number, &mut self.held) else { return };
            if let Some((entry, decision)) = done.own.as_deref() {
                self.arrivals.destination.finish_dir(entry, *decision);
                self.arrivals.destination.forget_dir(entry.relative());
            }
            next = (number != 0).then_some(done.parent);
        }
    }

    /// Goes on from the files that are done with: their links are made, their directories wait for one thing fewer.
    fn settle(&mut self) -> Result<()> {
        self.settle_waiting();
        for Wanted { entry, dir, .. } in self.arrivals.take_settled() {
            let waiting = entry.link_group().and_then(|group| self.followers.remove(&group));
            for (link, decision, dir) in waiting.into_iter().flatten() {
                self.arrivals.destination.link(&link, decision);
                self.release(dir, &link);
            }
            self.release(dir, &entry);
        }
        for (entry, dir) in self.arrivals.take_completed() {
            self.release(dir, &entry);
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
        let late = u64::from(self.wanted) + u64::from(self.waiting.asked) + u64::from(self.arrivals.was_redone());
        let round_trips = 1 + late;
        Ok(Counters { round_trips, ..self.arrivals.destination.counters })
    }
}
