//! A session: one sync over one link. The client greets, says what is to be done, and plays one role; the server plays
//! the other.
//!
//! Roles are plain blocking code on a thread of their own (`sender`, `receiver`); the link is driven by the runtime's
//! one thread (`channel`). Nothing here knows what the link is made of.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::error::{Error, Result};
use crate::events::{Event, Monitor};
use crate::filter::Filter;
use crate::options::Options;
use crate::protocol::buffers::Buffers;
use crate::protocol::message::{Counters, Deleted, Message, Role};
use crate::protocol::payload::Payload;
use crate::source::lister::Lister;
use crate::transport::Link;

pub mod arrivals;
pub mod batch;
pub mod channel;
pub mod chunks;
pub mod client;
pub mod depth;
pub mod file_list;
pub mod host;
pub mod kept;
pub mod opening;
pub mod outgoing;
pub mod pace;
mod paths;
pub mod receiver;
pub mod requested;
pub mod round_trip;
pub mod sender;
pub mod stream;
#[cfg(test)]
mod tests;
mod turns;

pub use client::{Greeting, Known, client, client_again};
pub use host::{Host, greet, refuse, server, start_in};
pub use kept::{Rest, await_over};

use channel::{Inbox, Outbox, Settings, Traffic};
use opening::Opening;
use requested::Requested;
use round_trip::{Distance, RoundTrip};

/// How long an ended session may take to hand its last bytes to the link, where nothing holds it back.
const FLUSH_WAIT: Duration = Duration::from_secs(5);
/// How long a server waits for a client to say what it wants.
const START_WAIT: Duration = Duration::from_secs(60);

/// What a role works with.
pub struct Session {
    /// What the peer says.
    pub inbox: Inbox,
    /// What we say.
    pub outbox: Outbox,
    /// The resolved options.
    pub options: Options,
    /// Where contents are put together.
    pub buffers: Buffers,
    /// What the peer's greeting said; nothing before it has been heard.
    pub greeted: Arc<OnceLock<Greeted>>,
    /// Seed of all digests.
    pub seed: u64,
    /// Round-trip time of the link.
    pub rtt: RoundTrip,
    /// Who is told.
    pub monitor: Arc<Monitor>,
    /// Whether the user is at this end.
    pub is_client: bool,
    /// What the list may hold, where it is ours to say.
    pub requested: Option<Requested>,
}

/// What is known of a peer that has greeted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Greeted {
    /// The phases of the wire that it wants to be used, as capability bits.
    pub capabilities: u64,
    /// From the start of the session to its greeting.
    pub connect: Duration,
}

impl Session {
    /// The phases of the wire that the peer wants to be used, as capability bits; none before it has been heard.
    pub fn peer(&self) -> u64 {
        self.greeted.get().map_or(0, |greeted| greeted.capabilities)
    }

    /// The error for a message that may not come now.
    pub fn out_of_place(&self, expected: &str, got: &Message) -> Error {
        Error::Stream(format!("message {:#04x} instead of {expected}", got.code()))
    }

    /// Lets a sender at the other end say what became of the files that it is to remove, now that it knows which: nobody else
    /// has anything to tell when the session is over.
    ///
    /// # Errors
    /// What it says instead.
    pub fn hear_out(&mut self) -> Result<()> {
        if !self.is_client || !self.options.remove_source_files {
            return Ok(());
        }
        match self.inbox.recv() {
            Ok(message) => Err(self.out_of_place("an end", &message)),
            Err(error) if channel::is_link_failure(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells a user who wants to hear it how far away the other end is.
    pub fn tell_distance(&self) {
        if let Some(rtt) = self.rtt.get().filter(|_| self.is_client) {
            self.monitor.detail(2, &format!("the other end is {:.1} ms away", rtt.as_secs_f64() * 1e3));
        }
    }

    /// Contents that are written: their buffer can hold the next ones.
    pub fn done_with(&self, contents: Payload) {
        if let Some(buffer) = contents.reclaim() {
            self.buffers.give_back(buffer);
        }
    }

    /// Tells the user what the other end deleted.
    pub fn tell_deleted(&self, deleted: &[Deleted]) {
        for Deleted { path, is_dir } in deleted {
            self.monitor.event(&Event::Deleted { path, is_dir: *is_dir });
        }
    }
}

/// What a client asks of a session.
#[derive(Clone, Debug)]
pub struct Request {
    /// The client's own role.
    pub role: Role,
    /// The options.
    pub options: Options,
    /// Sources, as typed: ours if we send, the server's if we receive.
    pub sources: Vec<Vec<u8>>,
    /// The destination, as typed.
    pub destination: Vec<u8>,
}

/// What a session came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What this end counted.
    pub ours: Counters,
    /// What the other end counted.
    pub theirs: Option<Counters>,
    /// Frames written and read.
    pub frames: (u64, u64),
    /// Bytes written and read, as the link carried them.
    pub wire: (u64, u64),
    /// Round-trip time of the link.
    pub rtt: Option<Duration>,
    /// From the start of the session to the answer to our greeting, or until a link that waited for a sync was ours.
    pub connect: Duration,
}

/// A request, and what can be done about it before there is a link.
pub struct Prepared {
    request: Request,
    seed: u64,
    /// The source being listed, where the list can be sent while it is made.
    lister: Option<Lister>,
    /// Its first words, where they have been said ahead.
    opening: Option<Box<Opening>>,
}

impl Prepared {
    /// Begins what needs no link.
    pub fn new(request: Request, monitor: &Arc<Monitor>) -> Prepared {
        let seed = fastrand::u64(..);
        let sends = request.role == Role::Sender;
        let lister = sends.then(|| file_list::lister(&request.sources, &request.options, seed, monitor)).flatten();
        Prepared { request, seed, lister, opening: None }
    }

    /// The same for a peer who wants the whole list before anything else.
    pub fn whole(request: Request) -> Prepared {
        Prepared { request, seed: fastrand::u64(..), lister: None, opening: None }
    }
}

/// One end's part in a session.
struct Part {
    role: Role,
    options: Options,
    greeted: Arc<OnceLock<Greeted>>,
    seed: u64,
    paths: Vec<Vec<u8>>,
    /// The sources, as typed, at a client that receives.
    asked_for: Option<Vec<Vec<u8>>>,
    /// Where a server's paths begin that are not absolute, if that is not where the process is.
    home: Option<PathBuf>,
    distance: Distance,
    /// The source being listed already, at a client that sends.
    lister: Option<Lister>,
    is_client: bool,
    /// Its number, on a link that is kept.
    session_id: Option<u64>,
    /// How long the peer's first word may take, if that is known to be less than the timeout.
    first_word: Option<Duration>,
}

impl Part {
    fn of_client(
        request: Request,
        seed: u64,
        lister: Option<Lister>,
        greeted: Arc<OnceLock<Greeted>>,
        distance: Distance,
    ) -> Part {
        let (paths, asked_for) = match request.role {
            Role::Sender => (request.sources, None),
            Role::Receiver => (vec![request.destination], Some(request.sources)),
        };
        let (role, options) = (request.role, request.options);
        let (session_id, first_word, home) = (None, None, None);
        Part {
            role,
            options,
            greeted,
            seed,
            paths,
            asked_for,
            home,
            distance,
            lister,
            is_client: true,
            session_id,
            first_word,
        }
    }
}

/// Plays a role to its end and tells the other end of an error, if one ended it. What is left of the link is of use if it is kept.
async fn play(
    link: Link,
    part: Part,
    greeting: Option<Arc<Greeting>>,
    monitor: Arc<Monitor>,
    traffic: Arc<Traffic>,
    connect: impl FnOnce(&Outbox),
) -> (Result<(Counters, Option<Counters>)>, Rest) {
    let (buffers, is_client) = (Buffers::default(), part.is_client);
    let settings = Settings {
        role: part.role,
        timeout: part.options.timeout,
        compress: part.options.compress,
        bwlimit: part.options.bwlimit,
        remarks: if is_client { part.options.remarks } else { 0 },
        root: part.paths.first().map(|path| PathBuf::from(OsStr::from_bytes(path))).unwrap_or_default(),
        buffers: buffers.clone(),
        distance: part.distance.clone(),
        greeting,
        session_id: part.session_id,
        first_word: part.first_word,
    };
    let (inbox, outbox, ends) = channel::open(link, settings, monitor.clone(), traffic);
    connect(&outbox);
    let (role, paths, compress) = (part.role, part.paths, part.options.compress);
    let flush_wait = channel::flush_wait(part.options.bwlimit);
    let mut session = Session {
        inbox,
        outbox,
        options: part.options,
        buffers,
        greeted: part.greeted,
        seed: part.seed,
        rtt: part.distance.known,
        monitor,
        is_client,
        requested: None,
    };
    let (asked_for, lister, home) = (part.asked_for, part.lister, part.home);
    let played = tokio::task::spawn_blocking(move || {
        let filter = Filter::of(&session.options).map_err(|error| Error::Usage(error.to_string()));
        let result = filter.and_then(|filter| {
            if let Some(sources) = asked_for {
                session.requested = Some(Requested::new(&sources, &session.options, filter.clone()));
                paths::send_rest(&session, &sources)?;
            }
            match role {
                Role::Sender if !session.is_client => {
                    let paths = paths::all(&mut session, paths, home.as_deref())?;
                    sender::run(&mut session, &paths, &filter, lister)
                }
                Role::Sender => sender::run(&mut session, &paths, &filter, lister),
                Role::Receiver => receiver::run(&mut session, &paths, filter),
            }
        });
        result.map_err(|error| conclude(&mut session, error))
    });
    let result = played.await.unwrap_or_else(|panic| Err(Error::Stream(format!("a bug in sy: {panic}"))));
    // The role's outbox is gone with it, so the link ends as soon as it has taken what it was given.
    // A peer that has been silent for too long will not take it.
    let mut writer = None;
    if !matches!(result, Err(Error::Timeout { .. })) {
        writer = tokio::time::timeout(flush_wait, ends.writing).await.ok().and_then(|ended| ended.ok().flatten());
    }
    let rest = match (&result, part.session_id, writer) {
        (Ok(_), Some(session_id), Some(writer)) if is_client => {
            // Within a compressed stream nobody else can go on reading. A sender's peer has said all but its last word.
            let waits = compress && role == Role::Sender;
            kept::left_by_client(session_id, writer, ends.reading, &ends.quiet, waits).await
        }
        (Ok(_), Some(_), Some(writer)) => kept::free(writer, ends.reading).await,
        (_, Some(_), _) => {
            // A client is given time to hear why, but not to hold the link for ever.
            let linger = if is_client { Duration::ZERO } else { FLUSH_WAIT };
            let mut reading = ends.reading;
            if tokio::time::timeout(linger, &mut reading).await.is_err() {
                reading.abort();
            }
            Rest::Doubtful
        }
        _ => Rest::Doubtful,
    };
    (result, rest)
}

/// What a role that failed says to the peer, or what the peer said before the link failed.
fn conclude(session: &mut Session, error: Error) -> Error {
    if channel::is_link_failure(&error) {
        return session.inbox.last_words().unwrap_or(error);
    }
    if !matches!(error, Error::Peer { .. }) {
        session.outbox.send_last(channel::fatal(&error));
    }
    error
}

async fn send_raw(link: &mut Link, bytes: &[u8], traffic: &Traffic) -> Result<()> {
    let sent = async {
        link.writer.write_all(bytes).await?;
        link.writer.flush().await
    };
    sent.await.map_err(|source: io::Error| Error::Link { action: "write to", source })?;
    traffic.frames_out.fetch_add(1, Relaxed);
    traffic.wire_out.fetch_add(bytes.len() as u64, Relaxed);
    Ok(())
}
