//! A session: one sync over one link. The client greets, says what is to be done, and plays one role; the server plays
//! the other.
//!
//! Roles are plain blocking code on a thread of their own (`sender`, `receiver`); the link is driven by the runtime's
//! one thread (`channel`). Nothing here knows what the link is made of.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;

use crate::error::{Error, ExitCode, Result};
use crate::events::{Event, Events, Monitor};
use crate::filter::Filter;
use crate::options::Options;
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::{MAX_FRAME, read_frame};
use crate::protocol::hello::{self, Clock, Hello, Silence};
use crate::protocol::message::{Counters, Deleted, Message, Role, SessionStart};
use crate::protocol::payload::Payload;
use crate::transport::Link;

pub mod batch;
pub mod channel;
pub mod depth;
pub mod file_list;
pub mod receiver;
pub mod requested;
pub mod round_trip;
pub mod sender;
#[cfg(test)]
mod tests;

use requested::Requested;
use round_trip::{Asked, RoundTrip};

use channel::{Inbox, Outbox, Settings, Traffic, WeakOutbox};

/// How long an ended session may take to hand its last bytes to the link.
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
    /// The phases of the wire that the peer understands, as capability bits.
    pub peer: u64,
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

impl Session {
    /// The error for a message that may not come now.
    pub fn out_of_place(&self, expected: &str, got: &Message) -> Error {
        Error::Stream(format!("message {:#04x} instead of {expected}", got.code()))
    }

    /// Tells those who want to hear it how far away the other end is.
    pub fn tell_distance(&self) {
        if let Some(rtt) = self.rtt.get() {
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
    /// From the start of the session to the answer to our greeting.
    pub connect: Duration,
}

/// Plays the client's role of a session over `link`.
///
/// # Errors
/// [`Silence::Ended`] if the link ended before the other end said a word, so that the caller, who knows what the link is
/// made of, can say why.
pub async fn client(mut link: Link, request: Request, monitor: Arc<Monitor>) -> std::result::Result<Outcome, Silence> {
    let begun = Instant::now();
    let clock = Clock::start();
    let traffic = Arc::new(Traffic::default());
    send_raw(&mut link, &Hello::ours(&clock, 0).encode(), &traffic).await.or_else(not_hangup)?;
    let theirs = hello::read(&mut link.reader, request.options.timeout).await?;
    theirs.agree()?;
    traffic.frames_in.fetch_add(1, Relaxed);
    let (rtt, connect) = (RoundTrip::new(clock.since(theirs.echo)), begun.elapsed());
    monitor.detail(2, &format!("the other end is {}", theirs.software));
    let start = SessionStart {
        session_id: fastrand::u64(..),
        role: if request.role == Role::Sender { Role::Receiver } else { Role::Sender },
        seed: fastrand::u64(..),
        echo: theirs.timestamp,
        options: request.options.clone(),
        paths: if request.role == Role::Sender { vec![request.destination.clone()] } else { request.sources.clone() },
    };
    let frame = Message::SessionStart(start.clone()).encode(&Default::default());
    if frame.head.len() > MAX_FRAME {
        return Err(Error::Usage("the filter rules and paths are too long for one session".into()).into());
    }
    send_raw(&mut link, &frame.head, &traffic).await?;
    let asked = Asked::now(&rtt);
    let (paths, asked_for) = match request.role {
        Role::Sender => (request.sources, None),
        Role::Receiver => (vec![request.destination], Some(request.sources)),
    };
    let part = Part {
        role: request.role,
        options: request.options,
        peer: theirs.capabilities,
        seed: start.seed,
        paths,
        asked_for,
        rtt: rtt.clone(),
        asked: Some(asked),
    };
    let (ours, counted) = play(link, part, monitor, traffic.clone(), |_| {}).await?;
    Ok(Outcome {
        ours: Counters { round_trips: ours.round_trips + 1, ..ours },
        theirs: counted,
        frames: (traffic.frames_out.load(Relaxed), traffic.frames_in.load(Relaxed)),
        wire: (traffic.wire_out.load(Relaxed), traffic.wire_in.load(Relaxed)),
        rtt: rtt.get(),
        connect,
    })
}

/// Serves one session on `link`: the other end of [`client`]. Errors have been told to the client when it returns.
///
/// # Errors
/// What ended the session early.
pub async fn server(mut link: Link) -> Result<ExitCode> {
    let clock = Clock::start();
    let traffic = Arc::new(Traffic::default());
    let theirs = match hello::read(&mut link.reader, Some(START_WAIT)).await {
        Ok(hello) => hello,
        Err(Silence::Ended) => return Err(Error::Disconnected),
        Err(Silence::Error(error)) => return Err(error),
    };
    // Answered even if the versions do not meet: the client then says so, with both numbers.
    send_raw(&mut link, &Hello::ours(&clock, theirs.timestamp).encode(), &traffic).await?;
    theirs.agree()?;
    let start = match read_start(&mut link).await {
        Ok(start) => start,
        Err(error) => {
            let frame = channel::fatal(&error).encode(&Default::default());
            return send_raw(&mut link, &frame.head, &traffic).await.and(Err(error));
        }
    };
    let rtt = RoundTrip::new(clock.since(start.echo));
    let part = Part {
        role: start.role,
        options: start.options,
        peer: theirs.capabilities,
        seed: start.seed,
        paths: start.paths.into_iter().map(at_home).collect(),
        asked_for: None,
        rtt,
        asked: None,
    };
    let relay = Relay::default();
    let monitor = Arc::new(Monitor::new(Box::new(relay.clone())));
    let begin = |outbox: &Outbox| {
        // The client measures by it how far away we are. A link that is gone is noticed by the role.
        let _ = outbox.send(Message::Keepalive { timestamp: clock.micros() });
        relay.connect(outbox);
    };
    play(link, part, monitor.clone(), traffic, begin).await?;
    Ok(monitor.exit_code())
}

async fn read_start(link: &mut Link) -> Result<SessionStart> {
    let frame =
        read_frame(&mut link.reader, Some(START_WAIT), &Buffers::default()).await?.ok_or(Error::Disconnected)?;
    match Message::decode(frame, Path::new(""), &Buffers::default())? {
        Message::SessionStart(start) => Ok(start),
        other => Err(Error::Stream(format!("message {:#04x} instead of SESSION_START", other.code()))),
    }
}

/// A server's watcher: warnings travel to the client, who tells its user.
#[derive(Clone, Default)]
struct Relay(Arc<OnceLock<WeakOutbox>>);

impl Relay {
    fn connect(&self, outbox: &Outbox) {
        let _ = self.0.set(outbox.downgrade());
    }
}

impl Events for Relay {
    fn event(&self, event: &Event<'_>) {
        if let (Event::Warning { text, code }, Some(outbox)) = (event, self.0.get().and_then(WeakOutbox::upgrade)) {
            // A link that is gone is noticed by the role.
            let _ = outbox.send(channel::warning(*code, text));
        }
    }
}

/// One end's part in a session.
struct Part {
    role: Role,
    options: Options,
    peer: u64,
    seed: u64,
    paths: Vec<Vec<u8>>,
    /// The sources, as typed, at a client that receives.
    asked_for: Option<Vec<Vec<u8>>>,
    rtt: RoundTrip,
    /// SESSION_START, which a client has just sent.
    asked: Option<Asked>,
}

/// `~` and `~/...` as the user's shell would have them: no shell sees a path of ours.
fn at_home(path: Vec<u8>) -> Vec<u8> {
    match path.strip_prefix(b"~") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => match std::env::var_os("HOME") {
            Some(home) => [home.as_bytes(), rest].concat(),
            None => path,
        },
        _ => path,
    }
}

/// Plays a role to its end and tells the other end of an error, if one ended it.
async fn play(
    link: Link,
    part: Part,
    monitor: Arc<Monitor>,
    traffic: Arc<Traffic>,
    connect: impl FnOnce(&Outbox),
) -> Result<(Counters, Option<Counters>)> {
    let (buffers, is_client) = (Buffers::default(), part.asked.is_some());
    let settings = Settings {
        role: part.role,
        timeout: part.options.timeout,
        compress: part.options.compress,
        root: part.paths.first().map(|path| PathBuf::from(OsStr::from_bytes(path))).unwrap_or_default(),
        buffers: buffers.clone(),
        asked: part.asked,
    };
    let (inbox, outbox, written) = channel::open(link, settings, monitor.clone(), traffic);
    connect(&outbox);
    let (role, paths) = (part.role, part.paths);
    let mut session = Session {
        inbox,
        outbox,
        options: part.options,
        buffers,
        peer: part.peer,
        seed: part.seed,
        rtt: part.rtt,
        monitor,
        is_client,
        requested: None,
    };
    let asked_for = part.asked_for;
    let played = tokio::task::spawn_blocking(move || {
        let filter = Filter::parse(&session.options.filters).map_err(|error| Error::Usage(error.to_string()));
        let result = filter.and_then(|filter| {
            session.requested = asked_for.map(|sources| Requested::new(&sources, filter.clone()));
            match role {
                Role::Sender => sender::run(&mut session, &paths, &filter),
                Role::Receiver => receiver::run(&mut session, &paths, filter),
            }
        });
        result.map_err(|error| conclude(&mut session, error))
    });
    let result = played.await.unwrap_or_else(|panic| Err(Error::Stream(format!("a bug in sy: {panic}"))));
    // The role's outbox is gone with it, so the link ends as soon as it has taken what it was given.
    // A peer that has been silent for too long will not take it.
    if !matches!(result, Err(Error::Timeout { .. })) {
        let _ = tokio::time::timeout(FLUSH_WAIT, written).await;
    }
    result
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

/// A peer that is gone before it is greeted may still have said why.
fn not_hangup(error: Error) -> Result<()> {
    if channel::is_link_failure(&error) { Ok(()) } else { Err(error) }
}
