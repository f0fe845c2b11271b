//! A client's part before its role begins: greetings, and what it asks for. What it learns of a greeting later is here too.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncRead;

use super::channel::{self, Traffic};
use super::kept::Rest;
use super::opening::Opening;
use super::round_trip::{Distance, RoundTrip};
use super::{Greeted, Outcome, Part, Prepared, Request, file_list, paths, play, send_raw};
use crate::error::{Error, ExitCode, Result};
use crate::events::Monitor;
use crate::options::Options;
use crate::protocol::frame::MAX_FRAME;
use crate::protocol::hello::{self, CHUNKS_SINCE, Clock, MIN_VERSION, Silence};
use crate::protocol::message::{Counters, Message, Role, SessionStart};
use crate::transport::Link;

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
    pub(super) async fn hear(&self, link: &mut (impl AsyncRead + Unpin + ?Sized), timeout: Option<Duration>) -> bool {
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

/// Plays the client's role of a session over `link`.
///
/// Where the list is sent while it is made, or received, nothing waits for the server's greeting.
///
/// # Errors
/// [`Silence::Ended`] if the link ended before the other end said a word, so that the caller, who knows what the link is
/// made of, can say why; [`Silence::Older`] if it should be asked anew with the whole list.
pub async fn client(
    mut link: Link,
    mut prepared: Prepared,
    monitor: Arc<Monitor>,
) -> std::result::Result<Outcome, Silence> {
    let opening = prepared.opening.take().unwrap_or_else(|| Box::new(Opening::new(&prepared)));
    let Opening { clock, hello, mut start } = *opening;
    let Prepared { request, seed, lister, .. } = prepared;
    let begun = Instant::now();
    let traffic = Arc::new(Traffic::default());
    let least = if lister.is_some() { CHUNKS_SINCE } else { MIN_VERSION };
    let greeting = Greeting::new(begun, least, monitor.clone());
    send_raw(&mut link, &hello, &traffic).await.or_else(not_hangup)?;
    let waits = !file_list::STREAMS || (request.role == Role::Sender && lister.is_none());
    let rtt = RoundTrip::new(None);
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
/// [`Silence::Ended`] if the other end has not said a word in this session, or only that it serves none: then nothing has been done,
/// here or there, that another session would not do as well.
pub async fn client_again(
    mut link: Link,
    known: Known,
    first_word: Duration,
    prepared: Prepared,
    monitor: Arc<Monitor>,
) -> std::result::Result<(Outcome, Rest), Silence> {
    let Prepared { request, seed, lister, .. } = prepared;
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
    let watcher = monitor.clone();
    let (played, rest) = play(link, part, None, monitor, traffic.clone(), |_| {}).await;
    match played {
        Ok(counters) => Ok((outcome(counters, 0, &traffic, distance.known.get(), Duration::ZERO), rest)),
        Err(_) if traffic.frames_in.load(Relaxed) == 0 => Err(Silence::Ended),
        Err(Error::Peer { code: ExitCode::Start, text }) => {
            watcher.detail(1, &text);
            Err(Silence::Ended)
        }
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

pub(super) async fn send_start(link: &mut Link, start: SessionStart, traffic: &Traffic) -> Result<()> {
    let frame = Message::SessionStart(Box::new(start)).encode(&Default::default());
    if frame.head.len() > MAX_FRAME {
        return Err(Error::Usage("the filter rules and paths are too long for one session".into()));
    }
    send_raw(link, &frame.head, traffic).await
}

pub(super) fn start_of(request: &Request, seed: u64) -> SessionStart {
    let (role, paths, more_paths) = match request.role {
        Role::Sender => (Role::Receiver, vec![request.destination.clone()], false),
        Role::Receiver => {
            let first = &request.sources[..paths::fill(&request.sources)];
            (Role::Sender, first.to_vec(), paths::follow(&request.sources))
        }
    };
    let fake_super = request.options.fake_super_there;
    let options = Options { more_paths, fake_super, ..request.options.clone() };
    SessionStart { session_id: fastrand::u64(..), role, seed, echo: 0, options, paths }
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
