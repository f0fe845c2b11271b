//! One link to the daemon: its greeting, then sessions one after another, each as `sy --server` would serve it.
//!
//! Nothing of a session is left when the next begins but the link itself. What ends a session badly ends its link, and nothing else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, watch};

use super::log::Log;
use super::process::Counted;
use crate::error::{Error, Result};
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::{RawFrame, read_frame};
use crate::protocol::message::{SessionStart, code};
use crate::session::round_trip::{Distance, RoundTrip};
use crate::session::{self, Host, Rest};
use crate::transport::Link;

/// How long whoever connects may take to say who it is.
pub const HANDSHAKE: Duration = Duration::from_secs(10);
/// A link that waits for a session and has been silent for so long is one that its client has forgotten: those who have not
/// say a KEEPALIVE every few seconds.
const FORGOTTEN: Duration = Duration::from_secs(300);
/// How long a client may take to take a word.
const WRITE_WAIT: Duration = Duration::from_secs(10);

/// What all links have in common.
pub struct Serving {
    /// Room for sessions.
    pub room: Semaphore,
    /// Sessions under way here, and connections lent to syncs of this machine: what a stop waits for.
    pub busy: watch::Sender<usize>,
    /// Sessions under way.
    pub sessions: AtomicUsize,
    /// Sessions served.
    pub served: AtomicU64,
    /// Those of them that an error ended.
    pub failed: AtomicU64,
    /// Whether no more are to begin.
    pub stopping: watch::Sender<bool>,
    /// Where relative paths begin.
    pub home: Option<PathBuf>,
    /// Who is told of what goes wrong.
    pub log: Arc<Log>,
}

/// Counts a session for as long as it lives, however it ends.
struct Running<'a> {
    sessions: &'a AtomicUsize,
    _busy: Counted<'a>,
}

impl<'a> Running<'a> {
    fn begin(serving: &'a Serving) -> Running<'a> {
        serving.sessions.fetch_add(1, Relaxed);
        Running { sessions: &serving.sessions, _busy: Counted::one_more(&serving.busy) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.sessions.fetch_sub(1, Relaxed);
    }
}

impl Serving {
    /// Serves a link to its end.
    ///
    /// # Errors
    /// What was no greeting, or no session.
    pub async fn link(&self, link: Link) -> Result<()> {
        let mut link = link.kept();
        let greeting = tokio::time::timeout(HANDSHAKE, session::greet(&mut link)).await;
        let mut host = greeting.map_err(|_| Error::Timeout { seconds: HANDSHAKE.as_secs() })??;
        host.home.clone_from(&self.home);
        loop {
            let Some(start) = self.next(&mut link, &host).await? else { return Ok(()) };
            match self.session(link, &host, start).await {
                Some(free) => link = free,
                None => return Ok(()),
            }
        }
    }

    /// The next session that is asked for; `None` when the link ends, or is no longer wanted.
    async fn next(&self, link: &mut Link, host: &Host) -> Result<Option<SessionStart>> {
        let (mut stopping, buffers) = (self.stopping.subscribe(), Buffers::default());
        let distance = Distance { clock: host.clock, known: RoundTrip::new(None), asks: false };
        loop {
            let frame = tokio::select! {
                frame = read_frame(&mut link.reader, Some(FORGOTTEN), &buffers) => frame,
                // A client who has just asked hears that the link has ended, and goes another way.
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
            };
            match frame {
                Ok(None) | Err(Error::Timeout { .. }) => return Ok(None),
                Err(error) => return session::refuse(link, error).await,
                Ok(Some(frame)) if frame.code == code::KEEPALIVE => answer(link, &distance, &frame).await?,
                Ok(Some(frame)) => match session::start_in(frame) {
                    Ok(start) => return Ok(Some(start)),
                    Err(error) => return session::refuse(link, error).await,
                },
            }
        }
    }

    /// Serves a session; the link, if it is good for another.
    async fn session(&self, mut link: Link, host: &Host, start: SessionStart) -> Option<Link> {
        let Ok(_room) = self.room.try_acquire() else {
            let error = Error::Start("the daemon serves as many sessions as it can".into());
            let _ = session::refuse::<()>(&mut link, error).await;
            return None;
        };
        let _running = Running::begin(self);
        self.served.fetch_add(1, Relaxed);
        let (result, rest) = host.serve(link, start).await;
        if let Err(error) = result {
            self.failed.fetch_add(1, Relaxed);
            self.log.say(&format!("a session failed: {error}"));
        }
        match rest {
            Rest::Free(link) => Some(link),
            Rest::Owed(_) | Rest::Doubtful => None,
        }
    }
}

/// Answers a question of how far away we are; any other KEEPALIVE only says that the client has not forgotten.
async fn answer(link: &mut Link, distance: &Distance, frame: &RawFrame) -> Result<()> {
    let Some(answer) = distance.hear(&frame.payload) else { return Ok(()) };
    let frame = answer.encode(&Buffers::default());
    let written = tokio::time::timeout(WRITE_WAIT, link.writer.write_all(&frame.head)).await;
    match written {
        Ok(written) => written.map_err(|source| Error::Link { action: "write to", source }),
        Err(_) => Err(Error::Timeout { seconds: WRITE_WAIT.as_secs() }),
    }
}
