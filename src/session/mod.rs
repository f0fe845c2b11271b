//! A session: one sync over one link. The client greets, says what is to be done, and plays one role; the server plays
//! the other.
//!
//! Roles are plain blocking code on a thread of their own (`sender`, `receiver`); the link is driven by the runtime's
//! one thread (`channel`). Nothing here knows what the link is made of.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::task::JoinHandle;

use crate::error::{Error, ExitCode, Result};
use crate::events::{Event, Events, Monitor};
use crate::filter::Filter;
use crate::options::Options;
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::{MAX_FRAME, RawFrame, read_frame};
use crate::protocol::hello::{self, CHUNKS_SINCE, Clock, Hello, MIN_VERSION, Silence};
use crate::protocol::message::{Counters, Deleted, Message, Role, SessionStart};
use crate::protocol::payload::Payload;
use crate::source::lister::Lister;
use crate::transport::{Link, LinkReader, LinkWriter};

pub mod arrivals;
pub mod batch;
pub mod channel;
pub mod chunks;
pub mod depth;
pub mod file_list;
pub mod outgoing;
pub mod receiver;
pub mod requested;
pub mod round_trip;
pub mod sender;
pub mod stream;
#[cfg(test)]
mod tests;

use requested::Requested;
use round_trip::{Distance, RoundTrip};

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

/// A request, and what can be done about it before there is a link.
pub struct Prepared {
    request: Request,
    seed: u64,
    /// The source being listed, where the list can be sent while it is made.
    lister: Option<Lister>,
}

impl Prepared {
    /// Begins what needs no link.
    pub fn new(request: Request, monitor: &Arc<Monitor>) -> Prepared {
        let seed = fastrand::u64(..);
        let sends = request.role == Role::Sender;
        let lister = sends.then(|| file_list::lister(&request.sources, &request.options, seed, monitor)).flatten();
        Prepared { request, seed, lister }
    }

    /// The same for a peer who wants the whole list before anything else.
    pub fn whole(request: Request) -> Prepared {
        Prepared { request, seed: fastrand::u64(..), lister: None }
    }
}

/// A greeting that is yet to be heard, at a client who goes on without it.
pub struct Greeting {
    begun: Instant,
    /// We send what only a peer of this version understands.
    least: u16,
    monitor: Arc<Monitor>,
    heard: Arc<OnceLock<Greeted>>,
    silence: Mutex<Option<Silence>>,
}

impl Greeting {
    fn new(begun: Instant, least: u16, monitor: Arc<Monitor>) -> Arc<Greeting> {
        let (heard, silence) = (Arc::default(), Mutex::default());
        Arc::new(Greeting { begun, least, monitor, heard, silence })
    }

    /// Hears it; `false` if there is none, or if it ends the session.
    async fn hear(&self, link: &mut (impl AsyncRead + Unpin + ?Sized), timeout: Option<Duration>) -> bool {
        match self.try_hear(link, timeout).await {
            Ok(()) => true,
            Err(silence) => {
                *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = Some(silence);
                false
            }
        }
    }

    async fn try_hear(
        &self,
        link: &mut (impl AsyncRead + Unpin + ?Sized),
        timeout: Option<Duration>,
    ) -> std::result::Result<(), Silence> {
        let theirs = hello::read(link, timeout).await?;
        if theirs.agree()? < self.least {
            return Err(Silence::Older);
        }
        self.monitor.detail(2, &format!("the other end is {}", theirs.software));
        let greeted = Greeted { capabilities: theirs.capabilities, connect: self.begun.elapsed() };
        let _ = self.heard.set(greeted);
        Ok(())
    }

    fn silence(&self) -> Option<Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What a client knows of the other end of a link on which somebody has exchanged greetings already.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The phases of the wire that it wants to be used, as capability bits.
    pub capabilities: u64,
    /// How far away it was.
    pub rtt: Option<Duration>,
}

/// What has become of a link for several sessions when one has come to its good end.
pub enum Rest {
    /// It is between two sessions.
    Free(Link),
    /// The other end's last frame, which tells this number, has not begun to come; nothing has been read of it.
    Owed(u64),
    /// Nobody can tell.
    Doubtful,
}

/// Plays the client's role of a session over `link`.
///
/// Where the list is sent while it is made, or received, nothing waits for the server's greeting.
///
/// # Errors
/// [`Silence::Ended`] if the link ended before the other end said a word, so that the caller, who knows what the link is
/// made of, can say why; [`Silence::Older`] if it should be asked anew with the whole list.
pub async fn client(
    mut link: Link,
    prepared: Prepared,
    monitor: Arc<Monitor>,
) -> std::result::Result<Outcome, Silence> {
    let Prepared { request, seed, lister } = prepared;
    let (begun, clock) = (Instant::now(), Clock::start());
    let traffic = Arc::new(Traffic::default());
    let least = if lister.is_some() { CHUNKS_SINCE } else { MIN_VERSION };
    let greeting = Greeting::new(begun, least, monitor.clone());
    send_raw(&mut link, &Hello::ours(&clock, 0).encode(), &traffic).await.or_else(not_hangup)?;
    let waits = !file_list::STREAMS || (request.role == Role::Sender && lister.is_none());
    let (mut start, rtt) = (start_of(&request, seed), RoundTrip::new(None));
    if waits {
        let theirs = hello::read(&mut link.reader, request.options.timeout).await?;
        theirs.agree()?;
        start.echo = theirs.timestamp;
        clock.since(theirs.echo).into_iter().for_each(|time| rtt.measured(time));
        monitor.detail(2, &format!("the other end is {}", theirs.software));
        let _ = greeting.heard.set(Greeted { capabilities: theirs.capabilities, connect: begun.elapsed() });
    }
    traffic.frames_in.fetch_add(1, Relaxed);
    // Longer than the link takes in by itself, if there are many rules: who is at the other end may be reading nothing.
    let sent = within(request.options.timeout, send_start(&mut link, start, &traffic)).await;
    if waits {
        sent?
    } else {
        sent.or_else(not_hangup)?
    }
    let distance = Distance { clock, known: rtt, asks: true };
    let part = Part::of_client(request, seed, lister, greeting.heard.clone(), distance.clone());
    let due = (!waits).then(|| greeting.clone());
    let (played, _) = play(link, part, due, monitor, traffic.clone(), |_| {}).await;
    let counters = match (played, greeting.silence()) {
        (Ok(counters), _) => counters,
        (Err(_), Some(silence)) => return Err(silence),
        (Err(error), None) => return Err(error.into()),
    };
    let greeted = greeting.heard.get().copied().unwrap_or_default();
    // The greeting is a round trip of its own only if it was waited for.
    Ok(outcome(counters, u64::from(waits), &traffic, distance.known.get(), greeted.connect))
}

/// Plays the client's role of one of the sessions on a link that is kept, whose greetings are over: nothing waits for an answer
/// before the role does. The other end's first word may take `first_word`.
///
/// # Errors
/// [`Silence::Ended`] if the other end has not said a word in this session: then nothing has been done, here or there, that
/// another session would not do as well.
pub async fn client_again(
    mut link: Link,
    known: Known,
    first_word: Duration,
    prepared: Prepared,
    monitor: Arc<Monitor>,
) -> std::result::Result<(Outcome, Rest), Silence> {
    let Prepared { request, seed, lister } = prepared;
    let traffic = Arc::new(Traffic::default());
    let start = start_of(&request, seed);
    let session_id = start.session_id;
    match within(Some(first_word), send_start(&mut link, start, &traffic)).await {
        Err(Error::Timeout { .. }) => return Err(Silence::Ended),
        sent => sent.or_else(not_hangup)?,
    }
    let greeted = Greeted { capabilities: known.capabilities, connect: Duration::ZERO };
    let distance = Distance { clock: Clock::start(), known: RoundTrip::new(known.rtt), asks: true };
    let mut part = Part::of_client(request, seed, lister, Arc::new(greeted.into()), distance.clone());
    part.session_id = Some(session_id);
    part.first_word = Some(first_word);
    let (played, rest) = play(link, part, None, monitor, traffic.clone(), |_| {}).await;
    match played {
        Ok(counters) => Ok((outcome(counters, 0, &traffic, distance.known.get(), Duration::ZERO), rest)),
        Err(_) if traffic.frames_in.load(Relaxed) == 0 => Err(Silence::Ended),
        Err(error) => Err(error.into()),
    }
}

fn outcome(
    (ours, theirs): (Counters, Option<Counters>),
    greetings: u64,
    traffic: &Traffic,
    rtt: Option<Duration>,
    connect: Duration,
) -> Outcome {
    Outcome {
        ours: Counters { round_trips: ours.round_trips + greetings, ..ours },
        theirs,
        frames: (traffic.frames_out.load(Relaxed), traffic.frames_in.load(Relaxed)),
        wire: (traffic.wire_out.load(Relaxed), traffic.wire_in.load(Relaxed)),
        rtt,
        connect,
    }
}

async fn send_start(link: &mut Link, start: SessionStart, traffic: &Traffic) -> Result<()> {
    let frame = Message::SessionStart(start).encode(&Default::default());
    if frame.head.len() > MAX_FRAME {
        return Err(Error::Usage("the filter rules and paths are too long for one session".into()));
    }
    send_raw(link, &frame.head, traffic).await
}

fn start_of(request: &Request, seed: u64) -> SessionStart {
    SessionStart {
        session_id: fastrand::u64(..),
        role: if request.role == Role::Sender { Role::Receiver } else { Role::Sender },
        seed,
        echo: 0,
        options: request.options.clone(),
        paths: if request.role == Role::Sender { vec![request.destination.clone()] } else { request.sources.clone() },
    }
}

/// Serves one session on `link`: the other end of [`client`]. Errors have been told to the client when it returns.
///
/// # Errors
/// What ended the session early.
pub async fn server(mut link: Link) -> Result<ExitCode> {
    let host = greet(&mut link).await?;
    let start = match read_start(&mut link).await {
        Ok(start) => start,
        Err(error) => return refuse(&mut link, error).await,
    };
    host.serve(link, start).await.0
}

/// Tells a client why there will be no session.
///
/// # Errors
/// Always: with `error`, or because it could not be told.
pub async fn refuse<T>(link: &mut Link, error: Error) -> Result<T> {
    let frame = channel::fatal(&error).encode(&Default::default());
    send_raw(link, &frame.head, &Traffic::default()).await.and(Err(error))
}

/// Answers a client's greeting.
///
/// # Errors
/// What came in its place.
pub async fn greet(link: &mut Link) -> Result<Host> {
    let clock = Clock::start();
    let traffic = Traffic::default();
    let theirs = match hello::read(&mut link.reader, Some(START_WAIT)).await {
        Ok(hello) => hello,
        Err(Silence::Ended | Silence::Older) => return Err(Error::Disconnected),
        Err(Silence::Error(error)) => return Err(error),
    };
    // Answered even if the versions do not meet: the client then says so, with both numbers.
    send_raw(link, &Hello::ours(&clock, theirs.timestamp).encode(), &traffic).await?;
    theirs.agree()?;
    Ok(Host { clock, capabilities: theirs.capabilities, home: None, traffic: Arc::new(traffic) })
}

/// The serving end of a link whose client has been greeted.
pub struct Host {
    clock: Clock,
    capabilities: u64,
    /// Where paths begin that are not absolute, if that is not where the process is.
    pub home: Option<PathBuf>,
    /// What has crossed the link.
    pub traffic: Arc<Traffic>,
}

impl Host {
    /// Serves the session that `start` asks for. Errors have been told to the client when it returns.
    pub async fn serve(&self, link: Link, start: SessionStart) -> (Result<ExitCode>, Rest) {
        let greeted = Greeted { capabilities: self.capabilities, connect: Duration::ZERO };
        let known = RoundTrip::new(self.clock.since(start.echo));
        // A client who did not wait for our greeting had nothing to echo.
        let asks = start.role == Role::Sender && start.echo == 0;
        let part = Part {
            role: start.role,
            options: start.options,
            greeted: Arc::new(greeted.into()),
            seed: start.seed,
            paths: start.paths.into_iter().map(|path| at_home(path, self.home.as_deref())).collect(),
            asked_for: None,
            distance: Distance { clock: self.clock, known, asks },
            lister: None,
            is_client: false,
            session_id: link.keeps().then_some(start.session_id),
            first_word: None,
        };
        let relay = Relay::default();
        let monitor = Arc::new(Monitor::new(Box::new(relay.clone())));
        let connect = |outbox: &Outbox| relay.connect(outbox);
        let (played, rest) = play(link, part, None, monitor.clone(), self.traffic.clone(), connect).await;
        (played.map(|_| monitor.exit_code()), rest)
    }
}

async fn read_start(link: &mut Link) -> Result<SessionStart> {
    let frame =
        read_frame(&mut link.reader, Some(START_WAIT), &Buffers::default()).await?.ok_or(Error::Disconnected)?;
    start_in(frame)
}

/// Reads a kept link up to the last frame of the session `session_id`, which its client did not wait for.
///
/// # Errors
/// Anything else than that frame and keepalives.
pub async fn await_over(link: &mut Link, session_id: u64) -> Result<()> {
    loop {
        let frame = read_frame(&mut link.reader, Some(START_WAIT), &Buffers::default()).await?;
        match Message::decode(frame.ok_or(Error::Disconnected)?, Path::new(""), &Buffers::default())? {
            Message::Keepalive { .. } => {}
            Message::SessionOver { session_id: over } if over == session_id => return Ok(()),
            other => return Err(Error::Stream(format!("message {:#04x} instead of SESSION_OVER", other.code()))),
        }
    }
}

/// The SESSION_START in a frame that can be nothing else.
///
/// # Errors
/// What is wrong with it.
pub fn start_in(frame: RawFrame) -> Result<SessionStart> {
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
    greeted: Arc<OnceLock<Greeted>>,
    seed: u64,
    paths: Vec<Vec<u8>>,
    /// The sources, as typed, at a client that receives.
    asked_for: Option<Vec<Vec<u8>>>,
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
        let (session_id, first_word) = (None, None);
        Part {
            role,
            options,
            greeted,
            seed,
            paths,
            asked_for,
            distance,
            lister,
            is_client: true,
            session_id,
            first_word,
        }
    }
}

/// `~` and `~/...` as the user's shell would have them: no shell sees a path of ours. A relative path begins at `home`, or
/// where the process is, which is the same for one that `ssh` has started.
fn at_home(path: Vec<u8>, home: Option<&Path>) -> Vec<u8> {
    match path.strip_prefix(b"~") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => {
            let home = home.map(|home| home.as_os_str().to_owned()).or_else(|| std::env::var_os("HOME"));
            home.map(|home| [home.as_bytes(), rest].concat()).unwrap_or(path)
        }
        _ => match home {
            Some(home) if !path.starts_with(b"/") => [home.as_os_str().as_bytes(), b"/", &path].concat(),
            _ => path,
        },
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
    let (asked_for, lister) = (part.asked_for, part.lister);
    let played = tokio::task::spawn_blocking(move || {
        let filter = Filter::parse(&session.options.filters).map_err(|error| Error::Usage(error.to_string()));
        let result = filter.and_then(|filter| {
            session.requested = asked_for.map(|sources| Requested::new(&sources, filter.clone()));
            match role {
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
        writer = tokio::time::timeout(FLUSH_WAIT, ends.writing).await.ok().and_then(|ended| ended.ok().flatten());
    }
    let rest = match (&result, part.session_id, writer) {
        (Ok(_), Some(session_id), Some(writer)) if is_client => {
            // Within a compressed stream nobody else can go on reading. A sender's peer has said all but its last word.
            let waits = compress && role == Role::Sender;
            left_by_client(session_id, writer, ends.reading, &ends.quiet, waits).await
        }
        (Ok(_), Some(_), Some(writer)) => free(writer, ends.reading).await,
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

/// What a client leaves of a link that is kept. It waits for the other end's last word only if that is under way: it may be a
/// round trip away, and whoever gave the client the link can wait as well.
async fn left_by_client(
    session_id: u64,
    writer: LinkWriter,
    mut reading: JoinHandle<Option<LinkReader>>,
    quiet: &AtomicBool,
    waits: bool,
) -> Rest {
    if waits || reading.is_finished() {
        return free(writer, reading).await;
    }
    reading.abort();
    let cancelled = (&mut reading).await.is_err_and(|error| error.is_cancelled());
    if cancelled && quiet.load(Relaxed) { Rest::Owed(session_id) } else { Rest::Doubtful }
}

async fn free(writer: LinkWriter, reading: JoinHandle<Option<LinkReader>>) -> Rest {
    match tokio::time::timeout(FLUSH_WAIT, reading).await {
        Ok(Ok(Some(reader))) => Rest::Free(Link { reader, writer }),
        _ => Rest::Doubtful,
    }
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

/// Gives up what the other end does not let come to its end.
async fn within<T>(timeout: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout {
        Some(timeout) => {
            tokio::time::timeout(timeout, work).await.unwrap_or(Err(Error::Timeout { seconds: timeout.as_secs() }))
        }
        None => work.await,
    }
}

/// A peer that is gone before it is greeted may still have said why.
fn not_hangup(error: Error) -> Result<()> {
    if channel::is_link_failure(&error) { Ok(()) } else { Err(error) }
}
