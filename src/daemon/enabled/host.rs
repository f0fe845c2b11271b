//! A connection to another machine, and the links on it to the daemon there.
//!
//! A link that waits here is warm: its greetings are exchanged, so a sync that gets it says what it wants at once. Whoever takes the
//! last one has another made behind its back. States: none -> connected -> lost -> connected (made again a few times, with growing
//! pauses, if it was `ssh` that went) -> gone, when nobody has used it for the daemon's idle time.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::control::{HostStatus, Wanted};
use super::lifecycle::Reach;
use super::log::Log;
use super::master::Master;
use super::runtime_dir::WAY;
use crate::daemon::COMMAND;
use crate::error::{Error, Result};
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::read_frame;
use crate::protocol::hello::{self, CHUNKS_SINCE, Clock, Hello, Silence};
use crate::protocol::message::code;
use crate::session::round_trip::{Distance, RoundTrip};
use crate::session::{self, Known};
use crate::transport::{Link, socket};

/// A link that waits is asked this often whether it is still one.
const BEAT: Duration = Duration::from_secs(10);
/// How long the answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long a new link's greeting may take.
const GREETING_WAIT: Duration = Duration::from_secs(10);
/// Links that wait at most.
const WAITING: usize = 8;
/// The pause before a connection that is lost is made again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Attempts to connect again, which take some minutes: a server may take one who fails more often for an intruder.
const TRIES: u32 = 6;

/// A link with its greetings exchanged.
pub struct Warm {
    /// The link.
    pub socket: UnixStream,
    /// Of the other end.
    pub known: Known,
}

/// A way to the daemon over there.
#[derive(Clone, PartialEq, Eq)]
struct Line {
    /// Where `ssh` listens for what comes out at that daemon.
    forward: PathBuf,
    /// What that daemon wants to hear first, if it is reached by its port.
    token: Option<Vec<u8>>,
}

/// A machine and what leads to it.
pub struct Host {
    /// The `ssh` that does.
    pub master: Master,
    /// How long it may be unused.
    pub idle: Duration,
    names: PathBuf,
    log: Arc<Log>,
    /// Locked while the connection is being made: once for all who want it.
    line: tokio::sync::Mutex<Option<Line>>,
    pool: Mutex<Pool>,
}

struct Pool {
    waiting: VecDeque<Warm>,
    opening: bool,
    connected: bool,
    lent: usize,
    made: u64,
    /// Ways that were laid: each has a name that none before it had.
    ways: u64,
    /// How often it is still tried to make a lost connection again before somebody wants it.
    tries: u32,
    used: Instant,
    agent: Option<Vec<u8>>,
}

impl Pool {
    fn disconnect(&mut self) {
        self.connected = false;
        self.waiting.clear();
    }
}

impl Host {
    /// A machine that there is no connection to yet.
    pub fn new(master: Master, names: PathBuf, idle: Duration, log: Arc<Log>) -> Host {
        let pool = Pool {
            waiting: VecDeque::new(),
            opening: false,
            connected: false,
            lent: 0,
            made: 0,
            ways: 0,
            tries: 0,
            used: Instant::now(),
            agent: None,
        };
        Host { master, idle, names, log, line: Default::default(), pool: Mutex::new(pool) }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody uses it from now on.
    pub fn begin_use(&self, wanted: &Wanted) {
        let mut pool = self.pool();
        pool.lent += 1;
        pool.used = Instant::now();
        pool.agent.clone_from(&wanted.agent);
    }

    /// Notes that somebody does not use it any more.
    pub fn end_use(&self) {
        let mut pool = self.pool();
        pool.lent -= 1;
        pool.used = Instant::now();
    }

    /// Whether nobody has used it for too long.
    pub fn is_idle(&self) -> bool {
        let pool = self.pool();
        pool.lent == 0 && pool.used.elapsed() >= self.idle
    }

    /// What it does.
    pub fn status(&self) -> HostStatus {
        let pool = self.pool();
        HostStatus {
            host: self.master.host(),
            connected: pool.connected,
            waiting: pool.waiting.len(),
            lent: pool.lent,
            made: pool.made,
        }
    }

    /// A link, if there is a connection. `connect` is called to make one, once for all who wait for it.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn link(self: &Arc<Self>, connect: impl AsyncFnOnce() -> Result<()>) -> Result<Warm> {
        if let Some(warm) = self.waiting() {
            return Ok(warm);
        }
        let known = self.line.lock().await.clone();
        if let Some(line) = known {
            match self.open(&line).await {
                Ok(warm) => return Ok(warm),
                Err(error) => self.lose(&line, &error).await,
            }
        }
        let mut line = self.line.lock().await;
        if let Some(line) = &*line {
            return self.open(line).await;
        }
        if !self.master.is_alive().await {
            connect().await?;
        }
        let (made, warm) = self.set_up().await?;
        self.have(&mut line, made);
        Ok(warm)
    }

    fn have(&self, line: &mut Option<Line>, made: Line) {
        *line = Some(made);
        let mut pool = self.pool();
        (pool.connected, pool.tries) = (true, 0);
    }

    /// A link that waits and has not ended meanwhile.
    fn waiting(&self) -> Option<Warm> {
        loop {
            let warm = self.pool().waiting.pop_back()?;
            if is_silent(&warm.socket) {
                return Some(warm);
            }
        }
    }

    /// Keeps a link for the next who wants one.
    pub fn keep(&self, warm: Warm) {
        let mut pool = self.pool();
        if pool.connected && pool.waiting.len() < WAITING {
            pool.waiting.push_back(warm);
        }
    }

    /// Takes a link back after a session; `owed` is that whose last frame is still to be read.
    pub async fn take_back(&self, warm: Warm, owed: Option<u64>) {
        if let Some(session_id) = owed {
            let read = async {
                let mut link = socket::unix(warm.socket.try_clone().ok()?).ok()?;
                session::await_over(&mut link, session_id).await.ok()
            };
            if read.await.is_none() {
                return;
            }
        }
        self.keep(warm);
    }

    /// Sees to it that a link waits.
    pub fn prepare(self: &Arc<Self>) {
        let mut pool = self.pool();
        if !pool.waiting.is_empty() || pool.opening || !pool.connected {
            return;
        }
        pool.opening = true;
        drop(pool);
        let host = self.clone();
        tokio::spawn(async move {
            let line = host.line.lock().await.clone();
            if let Some(line) = line
                && let Ok(warm) = host.open(&line).await
            {
                host.keep(warm);
            }
            host.pool().opening = false;
        });
    }

    /// Starts the daemon over there and finds a way to it.
    async fn set_up(&self) -> Result<(Line, Warm)> {
        let reach = self.ask(&["start", "--leave", "--for-link"]).await?;
        let line = Line { forward: self.new_way(), token: None };
        self.master.forward(&line.forward, &OsString::from_vec(reach.socket)).await?;
        let refused = match self.open(&line).await {
            Ok(warm) => return Ok((line, warm)),
            Err(error) => error,
        };
        // A server may forbid what leads to a socket, and allow what leads to a port.
        self.log.say(&format!("{}: no way to its socket ({refused}); trying a port", self.master.host()));
        let reach = self.ask(&["start", "--leave", "--for-link", "--port", "0"]).await?;
        let (Some(port), Some(token)) = (reach.port, reach.token) else { return Err(refused) };
        let line = Line { forward: self.new_way(), token: Some(token.into_bytes()) };
        self.master.forward(&line.forward, OsStr::new(&format!("127.0.0.1:{port}"))).await?;
        let warm = self.open(&line).await?;
        Ok((line, warm))
    }

    fn new_way(&self) -> PathBuf {
        let mut pool = self.pool();
        pool.ways += 1;
        // An ssh that has outlived the daemon which made it remembers that one's names.
        self.names.with_extension(format!("{WAY}{}-{}", std::process::id(), pool.ways))
    }

    async fn ask(&self, words: &[&str]) -> Result<Reach> {
        let printed = self.master.run(&[&[COMMAND], words].concat()).await?;
        let line = printed.split(|byte| *byte == b'\n').rfind(|line| line.starts_with(b"{")).unwrap_or_default();
        serde_json::from_slice(line)
            .map_err(|_| Error::Start(format!("on {} sy does not say where its daemon is", self.master.host())))
    }

    /// Opens a link and exchanges greetings on it.
    async fn open(&self, line: &Line) -> Result<Warm> {
        let opening = async {
            let failed = |source| Error::io("connect to", &line.forward, source);
            let stream = tokio::net::UnixStream::connect(&line.forward).await.map_err(failed)?;
            let stream = stream.into_std().map_err(failed)?;
            let link = stream.try_clone().and_then(socket::unix).map_err(failed)?;
            let known = greet(link, line.token.as_deref()).await?;
            Ok(Warm { socket: stream, known })
        };
        let limit = GREETING_WAIT;
        let warm = timeout(limit, opening).await.map_err(|_| Error::Timeout { seconds: limit.as_secs() })??;
        self.pool().made += 1;
        Ok(warm)
    }

    /// Lets go of a way that leads nowhere any more, and of all links that went it.
    async fn lose(&self, line: &Line, error: &Error) {
        let mut current = self.line.lock().await;
        if current.as_ref() != Some(line) {
            return;
        }
        *current = None;
        self.log.say(&format!("{}: the connection is lost: {error}", self.master.host()));
        self.pool().disconnect();
        let _ = std::fs::remove_file(&line.forward);
    }

    /// Looks after the connection until nobody wants it: asks whether it is still there, makes it again if not.
    pub async fn tend(self: &Arc<Self>) {
        let mut pause = BEAT;
        while !self.is_idle() {
            tokio::time::sleep(pause.min(self.left())).await;
            let line = self.line.lock().await.clone();
            pause = match line {
                Some(line) => match self.ping_all().await {
                    Ok(()) => BEAT,
                    Err(error) => self.lost(&line, &error).await,
                },
                None if self.pool().tries == 0 || self.connect_again().await => BEAT,
                None => (4 * pause).min(LONGEST_PAUSE),
            };
        }
    }

    /// How long it takes at least until it can be idle.
    fn left(&self) -> Duration {
        let pool = self.pool();
        let unused = if pool.lent == 0 { pool.used.elapsed() } else { Duration::ZERO };
        self.idle.saturating_sub(unused).max(Duration::from_millis(10))
    }

    /// Deals with a way that leads nowhere any more; how long to wait before it is looked at again.
    async fn lost(&self, line: &Line, error: &Error) -> Duration {
        self.lose(line, error).await;
        // Where only the daemon over there has ended, somebody may have wanted that: the next sync starts it.
        let ended = matches!(error, Error::Disconnected) && self.master.is_alive().await;
        if ended {
            return BEAT;
        }
        self.pool().tries = TRIES;
        self.master.end().await;
        FIRST_PAUSE
    }

    /// Asks all links that wait; an end of one is an end of that one, silence is an end of all.
    async fn ping_all(&self) -> Result<()> {
        let number = self.pool().waiting.len();
        for _ in 0..number {
            let Some(mut warm) = self.pool().waiting.pop_front() else { break };
            match timeout(ANSWER_WAIT, ping(&warm.socket)).await {
                Ok(Ok(rtt)) => {
                    warm.known.rtt = Some(warm.known.rtt.map_or(rtt, |known| known.min(rtt)));
                    self.keep(warm);
                }
                Ok(Err(_)) => {}
                Err(_) => return Err(Error::Timeout { seconds: ANSWER_WAIT.as_secs() }),
            }
        }
        if number > 0 && self.pool().waiting.is_empty() && self.pool().lent == 0 {
            return Err(Error::Disconnected);
        }
        Ok(())
    }

    async fn connect_again(self: &Arc<Self>) -> bool {
        let agent = self.pool().agent.clone();
        let mut line = self.line.lock().await;
        if line.is_some() {
            return true;
        }
        let made = async {
            if !self.master.is_alive().await {
                self.master.reconnect(self.idle.as_secs(), agent.as_deref()).await?;
            }
            self.set_up().await
        };
        match made.await {
            Ok((made, warm)) => {
                self.have(&mut line, made);
                self.keep(warm);
                self.log.say(&format!("{}: connected again", self.master.host()));
                true
            }
            Err(error) => {
                self.pool().tries -= 1;
                self.log.say(&format!("{}: not connected again: {error}", self.master.host()));
                false
            }
        }
    }

    /// Ends the connection.
    pub async fn close(&self) {
        if let Some(line) = self.line.lock().await.take() {
            let _ = std::fs::remove_file(&line.forward);
        }
        self.pool().disconnect();
        self.master.end().await;
    }
}

/// Says what opens a port, if it is one, then exchanges greetings.
async fn greet(mut link: Link, token: Option<&[u8]>) -> Result<Known> {
    let greeting = [token.unwrap_or_default(), &Hello::ours(&Clock::start(), 0).encode()].concat();
    link.writer.write_all(&greeting).await.map_err(|source| Error::Link { action: "write to", source })?;
    let theirs = match hello::read(&mut link.reader, None).await {
        Ok(theirs) => theirs,
        Err(Silence::Error(error)) => return Err(error),
        Err(Silence::Ended | Silence::Older) => return Err(Error::Disconnected),
    };
    if theirs.agree()? < CHUNKS_SINCE {
        return Err(Error::Protocol("the daemon over there is too old".into()));
    }
    Ok(Known { capabilities: theirs.capabilities, rtt: None })
}

/// Asks whether anybody is there, and how far away.
async fn ping(socket: &UnixStream) -> Result<Duration> {
    let failed = |source| Error::Link { action: "read from", source };
    let mut link = socket.try_clone().and_then(socket::unix).map_err(failed)?;
    let distance = Distance { clock: Clock::start(), known: RoundTrip::new(None), asks: true };
    let question = distance.question().map(|question| question.encode(&Buffers::default()).head).unwrap_or_default();
    link.writer.write_all(&question).await.map_err(failed)?;
    loop {
        let frame = read_frame(&mut link.reader, None, &Buffers::default()).await?.ok_or(Error::Disconnected)?;
        if frame.code != code::KEEPALIVE {
            return Err(Error::Stream("a word between two sessions".into()));
        }
        let _ = distance.hear(&frame.payload);
        if let Some(rtt) = distance.known.get() {
            return Ok(rtt);
        }
    }
}

/// Whether there is nothing to read, not even an end: so it is between two sessions.
fn is_silent(socket: &UnixStream) -> bool {
    let peeked = rustix::net::recv(socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(peeked, Err(rustix::io::Errno::AGAIN))
}
