//! A server's part before its role begins: it answers a greeting, hears what is asked for, and opens paths where its user is at home.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::channel::{self, Outbox, Traffic, WeakOutbox};
use super::kept::Rest;
use super::round_trip::{Distance, RoundTrip};
use super::{Greeted, Part, START_WAIT, play, send_raw};
use crate::error::{Error, ExitCode, Result};
use crate::events::{Event, Events, Monitor};
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::{RawFrame, read_frame};
use crate::protocol::hello::{self, Clock, Hello, Silence};
use crate::protocol::message::{Message, Role, SessionStart};
use crate::transport::Link;

/// Serves one session on `link`: the other end of [`client()`](super::client()). Errors have been told to the client when it returns.
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
    /// The one whose time it told in its greeting.
    pub clock: Clock,
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
        // Where sources begin is said when all are here.
        let here = |path| if start.role == Role::Sender { path } else { at_home(path, false, self.home.as_deref()) };
        let part = Part {
            role: start.role,
            options: start.options,
            greeted: Arc::new(greeted.into()),
            seed: start.seed,
            paths: start.paths.into_iter().map(here).collect(),
            asked_for: None,
            home: self.home.clone(),
            distance: Distance { clock: self.clock, known, asks },
            lister: None,
            is_client: false,
            session_id: link.keeps().then_some(start.session_id),
            first_word: None,
        };
        let relay = Relay { remarks: part.options.remarks, outbox: Arc::default() };
        let monitor = Arc::new(Monitor::new(Box::new(relay.clone())));
        let connect = |outbox: &Outbox| relay.connect(outbox);
        let (played, rest) = play(link, part, None, monitor.clone(), self.traffic.clone(), connect).await;
        (played.map(|_| monitor.exit_code()), rest)
    }
}

pub(super) async fn read_start(link: &mut Link) -> Result<SessionStart> {
    let frame =
        read_frame(&mut link.reader, Some(START_WAIT), &Buffers::default()).await?.ok_or(Error::Disconnected)?;
    start_in(frame)
}

/// The SESSION_START in a frame that can be nothing else.
///
/// # Errors
/// What is wrong with it.
pub fn start_in(frame: RawFrame) -> Result<SessionStart> {
    match Message::decode(frame, Path::new(""), &Buffers::default())? {
        Message::SessionStart(start) => Ok(*start),
        other => Err(Error::Stream(format!("message {:#04x} instead of SESSION_START", other.code()))),
    }
}

/// A server's watcher: warnings travel to the client, who tells its user, and so do the remarks that were asked for.
#[derive(Clone)]
struct Relay {
    remarks: u8,
    outbox: Arc<OnceLock<WeakOutbox>>,
}

impl Relay {
    fn connect(&self, outbox: &Outbox) {
        let _ = self.outbox.set(outbox.downgrade());
    }
}

impl Events for Relay {
    fn event(&self, event: &Event<'_>) {
        let message = match event {
            Event::Warning { text, code } => channel::warning(*code, text),
            Event::Detail { about, level, text } if *level <= self.remarks => channel::remark(*about, *level, text),
            Event::Unkept { capability, path } => Message::Unkept { capability: *capability, path: path.to_path_buf() },
            _ => return,
        };
        if let Some(outbox) = self.outbox.get().and_then(WeakOutbox::upgrade) {
            // A link that is gone is noticed by the role.
            let _ = outbox.send(message);
        }
    }
}

/// `~` and `~/...` as the user's shell would have them: no shell sees a path of ours. A relative path begins at `home`, or
/// where the process is, which is the same for one that `ssh` has started. Where the path `keeps` its directories (`-R`) those
/// of `home` are none of them.
pub(super) fn at_home(path: Vec<u8>, keeps: bool, home: Option<&Path>) -> Vec<u8> {
    match path.strip_prefix(b"~") {
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => {
            let home = home.map(|home| home.as_os_str().to_owned()).or_else(|| std::env::var_os("HOME"));
            home.map(|home| [home.as_bytes(), rest].concat()).unwrap_or(path)
        }
        _ => match home {
            Some(home) if !path.starts_with(b"/") => {
                let begins_later = path.windows(3).any(|part| part == b"/./");
                let between: &[u8] = if keeps && !begins_later { b"/./" } else { b"/" };
                // Behind the home directory this would be where it begins.
                let path = path.strip_prefix(b"./").filter(|_| begins_later).unwrap_or(&path);
                [home.as_os_str().as_bytes(), between, path].concat()
            }
            _ => path,
        },
    }
}
