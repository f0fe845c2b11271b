//! Phase 5.1: a sender that lists, hears decisions and sends contents at once, directory by directory.
//!
//! Chunks go out as fast as the source is listed, as long as no more than `WINDOW` entries are undecided or unsent; the
//! receiver answers each with its decisions, in order. Files that are wanted of one chunk share batches with each other
//! only, so the same tree makes the same frames whatever the timing. After the last chunk comes FILE_LIST_END; the
//! receiver, who alone knows when all is done, ends the session.

use std::collections::{HashMap, VecDeque};
use std::ffi::CString;
use std::iter::Peekable;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::events::Event;
use crate::plan::{Action, Decision};
use crate::protocol::chunk::{self, Chunk, ChunkAck, Contents, ListEnd, State};
use crate::protocol::codec;
use crate::protocol::message::{Counters, HeapCounts, Message};
use crate::session::Session;
use crate::session::file_list::whole::Names;
use crate::session::outgoing::{Item, Outgoing, Want};
use crate::source::lister::{Listed, Lister};
use crate::source::removal;
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;
use crate::tree::scanner::Visited;

mod waiting;

use waiting::Waiting;

/// Entries that are listed and not yet dealt with, before the sender waits to list more: a few MiB, and one chunk beyond.
/// Those with a long path count for several, at both ends. Few in tests, whose trees are small.
const WINDOW: usize = if cfg!(test) { 8 } else { 64 << 10 };

/// Plays a sender whose source is being listed. Returns what it counted, and what the receiver did.
///
/// # Errors
/// What ended the session early.
pub fn run(session: &mut Session, lister: Lister) -> Result<(Counters, Option<Counters>)> {
    let begun = Instant::now();
    let names = Names::new(session);
    let mut streamer = Streamer {
        outgoing: Outgoing::new(session, usize::MAX),
        trees: lister.trees.clone(),
        lister: Some(lister),
        names,
        next_chunk: 0,
        next_index: 0,
        announced: 0,
        to_visit: Vec::new(),
        listing: None,
        sent: VecDeque::new(),
        in_flight: 0,
        leaders: HashMap::new(),
        waiting: Waiting::default(),
        listed: Counters::default(),
        wanted: false,
        begun,
    };
    streamer.announce_roots()?;
    let theirs = streamer.play()?;
    streamer.outgoing.session.tell_distance();
    let mut counters = streamer.counters();
    counters.stages_us[3] = begun.elapsed().as_micros() as u64;
    counters.heap = HeapCounts::now(0);
    Ok((counters, Some(theirs)))
}

/// A chunk that is not decided on.
struct Sent {
    id: u32,
    /// The index of its first place.
    first: u32,
    tree: Arc<Tree>,
    own: Option<Entry>,
    entries: Vec<Entry>,
}

/// A directory of which some is still to be sent.
struct Listing {
    dir: u32,
    tree: Arc<Tree>,
    /// In its first chunk.
    own: Option<Entry>,
    entries: Peekable<std::vec::IntoIter<Entry>>,
    dirs: Peekable<std::vec::IntoIter<CString>>,
    incomplete: bool,
}

struct Streamer<'a> {
    outgoing: Outgoing<'a>,
    trees: Vec<Arc<Tree>>,
    /// `None` once all is listed.
    lister: Option<Lister>,
    names: Names,
    next_chunk: u32,
    next_index: u32,
    /// Directories announced: the number of the last one.
    announced: u32,
    /// The numbers of directories that are yet to be visited, those of the deepest directory last.
    to_visit: Vec<Range<u32>>,
    listing: Option<Listing>,
    sent: VecDeque<Sent>,
    /// The weight of the entries in `sent`, and of files wanted and not settled.
    in_flight: usize,
    /// The first name of each hard-link group, for what the user is told.
    leaders: HashMap<u32, PathBuf>,
    waiting: Waiting,
    listed: Counters,
    /// Whether any contents were wanted.
    wanted: bool,
    begun: Instant,
}

impl Streamer<'_> {
    fn announce_roots(&mut self) -> Result<()> {
        let roots = self.lister.as_mut().map(|lister| std::mem::take(&mut lister.roots)).unwrap_or_default();
        let contents = Contents { dirs: roots, ..Contents::default() };
        let state = State { first: true, last: true, ..State::default() };
        self.send(0, state, contents, self.trees[0].clone())
    }

    fn play(&mut self) -> Result<Counters> {
        loop {
            while let Some(message) = self.outgoing.try_recv()? {
                if let Some(theirs) = self.handle(message)? {
                    return Ok(theirs);
                }
            }
            let lists = self.may_list() && self.list_more()?;
            if self.outgoing.step()? || lists {
                continue;
            }
            self.wait()?;
        }
    }

    /// A file that cannot be sent is settled without a word of the receiver's, so what is settled is asked for here and not
    /// where messages come in.
    fn may_list(&mut self) -> bool {
        self.in_flight -= self.outgoing.take_settled();
        self.in_flight < WINDOW
    }

    /// Sends a chunk, if what is to be in it has been listed.
    fn list_more(&mut self) -> Result<bool> {
        if self.listing.is_none() {
            let Some(listed) = self.lister.as_mut().and_then(Lister::ready) else { return Ok(false) };
            self.list(listed)?;
        }
        self.send_part().map(|()| true)
    }

    /// Waits for a message or for the next directory; says nothing of what it was: the next turn finds out.
    fn wait(&mut self) -> Result<()> {
        let may_list = self.may_list();
        if may_list && self.listing.is_some() {
            return Ok(());
        }
        let runtime = self.outgoing.session.outbox.runtime();
        let lister = self.lister.as_mut().filter(|_| may_list);
        let listed = match lister {
            None => {
                let message = self.outgoing.session.inbox.recv()?;
                self.outgoing.put_back(message);
                return Ok(());
            }
            Some(lister) => runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.outgoing.session.inbox.stirs() => None,
                    listed = lister.next() => Some(listed),
                }
            }),
        };
        match listed {
            None => Ok(()),
            Some(Some(listed)) => self.list(listed),
            Some(None) => self.end_list(),
        }
    }

    fn end_list(&mut self) -> Result<()> {
        self.lister = None;
        self.outgoing.session.monitor.progress.listed.store(true, Relaxed);
        self.listed.stages_us[0] = self.begun.elapsed().as_micros() as u64;
        // The receiver ends the session: these are the last counts that it gets to see.
        self.listed.heap = HeapCounts::now(0);
        let end = ListEnd { total: self.next_index, counters: self.listed };
        self.outgoing.session.outbox.send(Message::FileListEnd(end))
    }

    fn list(&mut self, listed: Listed) -> Result<()> {
        let Listed { visited, root, incomplete } = listed;
        let dir = self.next_to_visit();
        let tree = self.trees[root].clone();
        let Visited::Dir { own, entries, dirs } = visited else {
            let state = State { first: true, last: true, lost: true, incomplete };
            self.to_visit.push(0..0);
            return self.send(dir, state, Contents::default(), tree);
        };
        let first = self.announced + 1;
        // Indexes are 32 bits and count every entry, so this overflows after they do.
        self.announced = self.announced.saturating_add(dirs.len() as u32);
        self.to_visit.push(first..self.announced + 1);
        let (entries, dirs) = (entries.into_iter().peekable(), dirs.into_iter().peekable());
        self.listing = Some(Listing { dir, tree, own: Some(own), entries, dirs, incomplete });
        Ok(())
    }

    /// Sends a chunk of the directory that is being sent.
    fn send_part(&mut self) -> Result<()> {
        let Some(mut listing) = self.listing.take() else { return Ok(()) };
        let mut contents = Contents { own: listing.own.take(), ..Contents::default() };
        let mut bytes = 0;
        while let Some(entry) = listing.entries.next_if(|_| bytes < chunk::FILL) {
            bytes += codec::entry_size(&entry);
            contents.entries.push(entry);
        }
        while let Some(name) = listing.dirs.next_if(|_| bytes < chunk::FILL) {
            bytes += name.as_bytes().len() + chunk::NAME_LEAST;
            contents.dirs.push(os_string(name.into_bytes()));
        }
        let last = listing.entries.peek().is_none() && listing.dirs.peek().is_none();
        let state = State { first: contents.own.is_some(), last, lost: false, incomplete: listing.incomplete };
        let (dir, tree) = (listing.dir, listing.tree.clone());
        self.listing = Some(listing).filter(|_| !last);
        self.send(dir, state, contents, tree)
    }

    /// The number of the directory that the lister visits next.
    fn next_to_visit(&mut self) -> u32 {
        while let Some(level) = self.to_visit.last_mut() {
            if let Some(number) = level.next() {
                return number;
            }
            self.to_visit.pop();
        }
        // The lister visits what it announced and nothing else.
        0
    }

    fn send(&mut self, dir: u32, state: State, mut contents: Contents, tree: Arc<Tree>) -> Result<()> {
        if dir == 0 {
            // Roots are numbered like any other directory's.
            self.announced = contents.dirs.len() as u32;
            self.to_visit.push(1..self.announced + 1);
        }
        let listed = contents.own.iter().chain(&contents.entries);
        (contents.users, contents.groups) = self.names.of(listed);
        let places = contents.own.iter().len() + contents.entries.len();
        let id = self.next_chunk;
        let first = self.next_index;
        self.next_chunk += 1;
        self.next_index = u32::try_from(places)
            .ok()
            .and_then(|places| first.checked_add(places))
            .ok_or_else(|| Error::Selection("the source has more entries than one sync can list".into()))?;
        self.listed.listed += places as u64;
        let sizes = contents.entries.iter().map(|entry| entry.kind.size());
        self.listed.total = sizes.fold(self.listed.total, u64::saturating_add);
        self.in_flight += weight(&contents.own, &contents.entries);
        let session = &self.outgoing.session;
        let chunk = Chunk::new(id, dir, state, &contents, session.buffers.take(contents.room()));
        session.outbox.send(Message::FileListChunk(chunk))?;
        self.sent.push_back(Sent { id, first, tree, own: contents.own, entries: contents.entries });
        Ok(())
    }

    /// Deals with a message; the one that ends the session is what the receiver has counted.
    fn handle(&mut self, message: Message) -> Result<Option<Counters>> {
        match self.outgoing.handle(message)? {
            None => {}
            Some(Message::FileListChunkAck(ack)) => self.take_decisions(ack)?,
            Some(Message::SessionEnd(counters)) => {
                let lists = self.lister.is_some() || self.listing.is_some();
                if lists || !self.sent.is_empty() || !self.waiting.is_empty() || !self.outgoing.is_idle() {
                    return Err(Error::Stream("the receiver ends before all is sent".into()));
                }
                return Ok(Some(counters));
            }
            Some(other) => return Err(self.outgoing.session.out_of_place("decisions", &other)),
        }
        Ok(None)
    }

    fn take_decisions(&mut self, ack: ChunkAck) -> Result<()> {
        if self.lister.is_none() && self.listing.is_none() && self.sent.is_empty() && ack.id == self.next_chunk {
            return self.take_late_decisions(ack);
        }
        let sent = self.sent.pop_front().filter(|sent| sent.id == ack.id);
        let Some(sent) = sent else {
            return Err(Error::Stream(format!("decisions on chunk {}, which they are not due for", ack.id)));
        };
        let places = sent.own.iter().len() + sent.entries.len();
        if ack.count as usize != places {
            return Err(Error::Stream(format!("decisions on {} entries of {places}", ack.count)));
        }
        self.in_flight -= weight(&sent.own, &sent.entries);
        let mut decisions = ack.decisions.into_iter().peekable();
        let mut wanted = false;
        for (place, entry) in (0u32..).zip(sent.own.into_iter().chain(sent.entries)) {
            let decision = decisions.next_if(|(at, _)| *at == place).map_or(Decision::SKIP, |(_, decision)| decision);
            wanted |= self.decided(sent.first + place, entry, decision, &sent.tree)?;
        }
        if wanted {
            self.wanted = true;
            self.outgoing.part();
        }
        Ok(())
    }

    /// Does what a decision asks for; says whether that is contents.
    fn decided(&mut self, index: u32, entry: Entry, decision: Decision, tree: &Arc<Tree>) -> Result<bool> {
        if decision.waits() {
            return self.keep_waiting(index, entry, decision, tree).map(|()| false);
        }
        if decision.leads() {
            self.lead(&entry)?;
        }
        let session = &self.outgoing.session;
        let group = entry.link_group();
        let leader =
            group.map(|group| self.leaders.entry(group).or_insert_with(|| entry.relative().to_path_buf()).as_path());
        let link_to = leader.filter(|_| decision.follows_leader());
        session.monitor.event(&Event::Item { entry: &entry, decision: decision.told(), link_to });
        if decision.is_settled() && session.options.remove_source_files {
            removal::remove(tree, &entry, &session.monitor);
        }
        let values = decision.wants_values() && !session.options.dry_run;
        if !decision.action.needs_data() || session.options.dry_run {
            session.monitor.progress.entry_done();
            session.monitor.progress.bytes_done(entry.kind.size());
            if values {
                self.outgoing.send_values(index, &entry, tree)?;
            }
            return Ok(values);
        }
        if !entry.is_file() {
            return Err(Error::Stream("contents are wanted of what is no regular file".into()));
        }
        self.in_flight += codec::weight(&entry);
        let want = if decision.action == Action::Delta { Want::Signed } else { Want::Whole };
        self.outgoing.want(index, Item { entry, tree: tree.clone(), values }, want);
        Ok(true)
    }

    /// What was counted. The list and the decisions are one round trip, contents and the end another.
    fn counters(&self) -> Counters {
        let late = u64::from(self.wanted) + u64::from(self.waiting.asked) + u64::from(self.outgoing.was_redone());
        let round_trips = 1 + late;
        Counters {
            listed: self.listed.listed,
            total: self.listed.total,
            round_trips,
            stages_us: self.listed.stages_us,
            ..self.outgoing.counters
        }
    }
}

fn weight(own: &Option<Entry>, entries: &[Entry]) -> usize {
    own.iter().chain(entries).map(codec::weight).sum()
}

fn os_string(bytes: Vec<u8>) -> std::ffi::OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}
