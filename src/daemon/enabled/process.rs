//! The daemon's process: it accepts, tells sessions from requests, counts both, and ends when it is told to, or when it is idle and
//! was started to leave then.
//!
//! One thread drives all links; sessions work on threads of their own. A connection can harm none but itself: it has a time to
//! say what it is, a place in a limited number, and a task whose panic is its own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, geteuid, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::control::{self, Answer, Asked, CONTROL, Request, Status, Wanted};
use super::log::{self, Log};
use super::manager::Manager;
use super::runtime_dir::{RuntimeDir, open_private};
use super::sessions::{HANDSHAKE, Serving};
use super::token::{LINE, Token};
use crate::daemon::Start;
use crate::error::{Error, ExitCode, Result};
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::{HEADER, read_frame};
use crate::session::channel::is_link_failure;
use crate::transport::{Link, socket};
use crate::tree::{metadata, place};

/// Connections at once, waiting ones included.
const LINKS: usize = 512;
/// Sessions at once, if there are files enough to open.
const SESSIONS: usize = 64;
/// Files that a session may have open: its trees' handles and what is under way.
const FILES_OF_A_SESSION: u64 = 128;
/// How long a client may take to connect to another machine: somebody may have to look a password up.
const CONNECT_WAIT: Duration = Duration::from_secs(120);
/// How long to wait when no connection can be accepted: files may be short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a process does not become the daemon.
pub enum NotBecome {
    /// There is one.
    Runs,
    /// Something is wrong.
    Error(Error),
}

impl From<Error> for NotBecome {
    fn from(error: Error) -> Self {
        NotBecome::Error(error)
    }
}

/// Becomes the daemon, and ends when that does. `ready` is called when it can be reached.
///
/// # Errors
/// Why it cannot be.
pub fn become_daemon(
    start: &Start,
    dir: &RuntimeDir,
    ready: impl FnOnce(),
) -> std::result::Result<ExitCode, NotBecome> {
    let Some(_lock) = lock(&dir.lock())? else { return Err(NotBecome::Runs) };
    dir.sweep();
    // Asked for once, before there are threads.
    metadata::umask();
    crate::client::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Start(format!("failed to start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        let listener = listen(&dir.socket())?;
        let daemon = Daemon::new(start, dir);
        if let Some(port) = start.port {
            daemon.listen_on(port).await?;
        }
        ready();
        daemon.log.say(&format!("{} listens at {}", super::version(), daemon.socket.display()));
        daemon.run(listener).await
    });
    // While the lock is held nobody else has made one there.
    let _ = fs::remove_file(dir.socket());
    let _ = fs::remove_file(dir.token());
    place::abandon_all();
    runtime.shutdown_background();
    Ok(result.map(|()| ExitCode::Ok)?)
}

/// The lock that a daemon holds for as long as it lives; `None` if one does.
pub fn lock(path: &Path) -> Result<Option<File>> {
    let failed = |error| Error::io("lock", path, error);
    let file = open_private(path, OpenOptions::new().write(true).create(true).truncate(false)).map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    }
    // For people only: that a process of this number runs proves nothing.
    let noted = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
    noted.map_err(failed)?;
    Ok(Some(file))
}

/// Listens at `path`. What a daemon that is dead has left there is in the way.
fn listen(path: &Path) -> Result<UnixListener> {
    let failed = |action| move |error| Error::io(action, path, error);
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove")(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed("listen at"))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed("set permissions of"))?;
    Ok(listener)
}

/// How a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    No,
    WhenDone,
    Now,
}

struct Daemon {
    dir: RuntimeDir,
    socket: PathBuf,
    idle: Duration,
    leave: bool,
    begun: Instant,
    log: Arc<Log>,
    serving: Arc<Serving>,
    manager: Arc<Manager>,
    /// Room for connections.
    room: Arc<Semaphore>,
    /// Connections, for those who wait until there are none.
    links: watch::Sender<usize>,
    ending: watch::Sender<Ending>,
    port: Mutex<Option<(u16, Token)>>,
    full: AtomicBool,
}

impl Daemon {
    fn new(start: &Start, dir: &RuntimeDir) -> Arc<Daemon> {
        let log = Arc::new(Log::new(start.detached.then(log::path).flatten()));
        let idle = Duration::from_secs(start.idle);
        let serving = Serving {
            room: Semaphore::new(sessions_at_once()),
            busy: watch::Sender::new(0),
            sessions: Default::default(),
            served: Default::default(),
            failed: Default::default(),
            stopping: watch::Sender::new(false),
            home: home(),
            log: log.clone(),
        };
        Arc::new(Daemon {
            dir: dir.clone(),
            socket: dir.socket(),
            idle,
            leave: start.leave,
            begun: Instant::now(),
            serving: Arc::new(serving),
            manager: Arc::new(Manager::new(dir.clone(), idle, log.clone())),
            room: Arc::new(Semaphore::new(LINKS)),
            links: watch::Sender::new(0),
            ending: watch::Sender::new(Ending::No),
            port: Mutex::default(),
            full: AtomicBool::new(false),
            log,
        })
    }

    /// Accepts until it ends.
    async fn run(self: &Arc<Self>, listener: UnixListener) -> Result<()> {
        let listen =
            |kind| signal(kind).map_err(|error| Error::Start(format!("failed to listen for signals: {error}")));
        let mut signals =
            [listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?, listen(SignalKind::hangup())?];
        let mut over = std::pin::pin!(self.over());
        let mut idle = std::pin::pin!(self.idle());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.accepted(Stream::Unix(stream)),
                    Err(error) => self.cannot_accept(&error).await,
                },
                () = any(&mut signals) => self.end(),
                () = &mut over => break,
                () = &mut idle => break,
            }
        }
        self.serving.stopping.send_replace(true);
        self.manager.close().await;
        self.log.say("ended");
        Ok(())
    }

    async fn cannot_accept(&self, error: &io::Error) {
        self.log.say(&format!("no connection accepted: {error}"));
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }

    /// Ends when no session runs any more; told again, now.
    fn end(&self) {
        let ending = if *self.ending.borrow() == Ending::No { Ending::WhenDone } else { Ending::Now };
        self.log.say(if ending == Ending::Now { "ends now" } else { "ends when its sessions have" });
        self.serving.stopping.send_replace(true);
        self.ending.send_replace(ending);
    }

    /// Waits for the end that somebody has asked for.
    async fn over(&self) {
        let (mut ending, mut busy) = (self.ending.subscribe(), self.serving.busy.subscribe());
        // Their other halves are ours, so there is always somebody to wait for.
        let _ = ending.wait_for(|ending| *ending != Ending::No).await;
        tokio::select! {
            _ = ending.wait_for(|ending| *ending == Ending::Now) => {}
            _ = busy.wait_for(|busy| *busy == 0) => {}
        }
    }

    /// Waits until nobody has wanted anything for the idle time; for ever in a daemon that stays.
    async fn idle(&self) {
        if !self.leave {
            return std::future::pending().await;
        }
        let mut links = self.links.subscribe();
        loop {
            let _ = links.wait_for(|links| *links == 0).await;
            let quiet = timeout(self.idle, links.changed()).await.is_err();
            if quiet && self.manager.is_empty() {
                self.log.say("leaves: nobody has wanted anything for a while");
                return;
            }
        }
    }

    /// Listens on a port of the loopback too, if it does not yet.
    async fn listen_on(self: &Arc<Self>, port: u16) -> Result<(u16, Token)> {
        if let Some(known) = &*self.port.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(known.clone());
        }
        let failed = |error| Error::Start(format!("failed to listen on port {port} of the loopback: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let token = Token::make(&self.dir.token())?;
        *self.port.lock().unwrap_or_else(PoisonError::into_inner) = Some((port, token.clone()));
        let daemon = self.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => daemon.accepted(Stream::Tcp(stream)),
                    Err(error) => daemon.cannot_accept(&error).await,
                }
            }
        });
        Ok((port, token))
    }

    /// Gives a connection a task of its own.
    fn accepted(self: &Arc<Self>, stream: Stream) {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            if !self.full.swap(true, Relaxed) {
                self.log.say(&format!("more than {LINKS} connections at once: the rest is turned away"));
            }
            return;
        };
        self.full.store(false, Relaxed);
        let daemon = self.clone();
        tokio::spawn(async move {
            let _room = room;
            let _counted = Counted::one_more(&daemon.links);
            let served = match stream {
                Stream::Unix(stream) => daemon.unix(stream).await,
                Stream::Tcp(stream) => daemon.tcp(stream).await,
            };
            match served {
                Ok(()) => {}
                Err(error) if is_link_failure(&error) => {}
                Err(error) => daemon.log.say(&format!("a connection was ended: {error}")),
            }
        });
    }

    async fn unix(self: &Arc<Self>, stream: tokio::net::UnixStream) -> Result<()> {
        let failed = |source| Error::Link { action: "read from", source };
        let stream = stream.into_std().map_err(failed)?;
        let uid = control::peer_uid(&stream).map_err(failed)?;
        if uid != geteuid().as_raw() {
            return Err(Error::Start(format!("it is user {uid}'s")));
        }
        let handle = stream.try_clone().map_err(failed)?;
        let mut link = socket::unix(stream).map_err(failed)?;
        let mut header = [0; HEADER];
        begin(&mut link, &mut header).await?;
        link.reader.unread(&header);
        match header[4] {
            CONTROL => self.talk(Talk { link, handle }).await,
            _ => {
                drop(handle);
                self.serving.link(link).await
            }
        }
    }

    async fn tcp(&self, stream: tokio::net::TcpStream) -> Result<()> {
        let failed = |source| Error::Link { action: "read from", source };
        let mut link = stream.into_std().and_then(socket::tcp).map_err(failed)?;
        let mut said = [0; LINE];
        begin(&mut link, &mut said).await?;
        let known = self.port.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some((_, token)) if token.is(&said) => self.serving.link(link).await,
            _ => Err(Error::Start("it does not know the token".into())),
        }
    }

    /// Answers requests until their client goes.
    async fn talk(self: &Arc<Self>, mut talk: Talk) -> Result<()> {
        while let Some(Asked { version, request }) = talk.next().await? {
            match request {
                Request::Status => talk.answer(&Answer::Status(Box::new(self.status()))).await?,
                Request::Stop { now } => {
                    self.end();
                    if now {
                        self.ending.send_replace(Ending::Now);
                    }
                    talk.answer(&Answer::Stopping).await?;
                }
                Request::Listen { port } => {
                    let answer = match self.listen_on(port).await {
                        Ok((port, token)) => {
                            Answer::Listening { port, token: String::from_utf8_lossy(token.line()).into_owned() }
                        }
                        Err(error) => Answer::Refused { why: error.to_string() },
                    };
                    talk.answer(&answer).await?;
                }
                Request::Link(_) if version != super::version() => {
                    talk.answer(&Answer::OtherVersion { version: super::version() }).await?;
                }
                Request::Link(wanted) => self.lend(&mut talk, &wanted).await?,
                Request::Connected | Request::Done { .. } => {
                    return Err(Error::Stream("an answer to what nobody has asked".into()));
                }
            }
        }
        Ok(())
    }

    /// Lends a link to another machine for one session.
    async fn lend(&self, talk: &mut Talk, wanted: &Wanted) -> Result<()> {
        if *self.serving.stopping.borrow() {
            return talk.answer(&Answer::Refused { why: "it is being stopped".into() }).await;
        }
        // A connection that somebody uses is not ended under him by a stop.
        let _busy = Counted::one_more(&self.serving.busy);
        let lent = match self.manager.host(wanted) {
            Ok(lent) => lent,
            Err(error) => return talk.answer(&Answer::Refused { why: error.to_string() }).await,
        };
        let (host, persist) = (&lent.0, self.idle.as_secs().saturating_add(60));
        let control = std::os::unix::ffi::OsStrExt::as_bytes(host.master.control().as_os_str()).to_vec();
        let connect = async || talk.connect(Answer::Connect { control, persist }).await;
        let warm = match host.link(connect).await {
            Ok(warm) => warm,
            Err(error) => return talk.answer(&Answer::Refused { why: error.to_string() }).await,
        };
        let rtt_us = warm.known.rtt.map(|rtt| rtt.as_micros() as u64);
        talk.grant(&Answer::Granted { capabilities: warm.known.capabilities, rtt_us }, &warm.socket)?;
        host.prepare();
        match talk.next().await? {
            Some(Asked { request: Request::Done { owed }, .. }) => host.take_back(warm, owed).await,
            // It has not ended well, and nobody can tell how far it came.
            _ => drop(warm),
        }
        host.prepare();
        Ok(())
    }

    fn status(&self) -> Status {
        let serving = &self.serving;
        Status {
            version: super::version(),
            pid: std::process::id(),
            socket: self.socket.display().to_string(),
            port: self.port.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(port, _)| *port),
            stopping: *serving.stopping.borrow(),
            uptime_seconds: self.begun.elapsed().as_secs(),
            idle_seconds: self.idle.as_secs(),
            // Without the one that asks.
            links: self.links.borrow().saturating_sub(1),
            sessions: serving.sessions.load(Relaxed),
            served: serving.served.load(Relaxed),
            failed: serving.failed.load(Relaxed),
            hosts: self.manager.status(),
        }
    }
}

enum Stream {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

/// One in a number, for as long as it lives.
pub struct Counted<'a>(&'a watch::Sender<usize>);

impl<'a> Counted<'a> {
    /// Adds itself.
    pub fn one_more(count: &'a watch::Sender<usize>) -> Counted<'a> {
        count.send_modify(|count| *count += 1);
        Counted(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Reads what a connection begins with, in the time that it has for that.
async fn begin(link: &mut Link, first: &mut [u8]) -> Result<()> {
    match timeout(HANDSHAKE, link.reader.read_exact(first)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::Disconnected),
        Ok(Err(source)) => Err(Error::Link { action: "read from", source }),
        Err(_) => Err(Error::Timeout { seconds: HANDSHAKE.as_secs() }),
    }
}

/// A client that asks, and its socket, for what only a socket can carry.
struct Talk {
    link: Link,
    handle: UnixStream,
}

impl Talk {
    async fn next(&mut self) -> Result<Option<Asked>> {
        match read_frame(&mut self.link.reader, None, &Buffers::default()).await? {
            None => Ok(None),
            Some(frame) if frame.code == CONTROL && frame.payload.len() < control::MAX_CONTROL => {
                control::message(&frame.payload).map(Some)
            }
            Some(frame) => Err(Error::Stream(format!("message {:#04x} instead of a request", frame.code))),
        }
    }

    async fn answer(&mut self, answer: &Answer) -> Result<()> {
        let written = timeout(HANDSHAKE, self.link.writer.write_all(&control::frame(answer))).await;
        let written = written.map_err(|_| Error::Timeout { seconds: HANDSHAKE.as_secs() })?;
        written.map_err(|source| Error::Link { action: "write to", source })
    }

    fn grant(&self, answer: &Answer, link: &UnixStream) -> Result<()> {
        control::send_with(&self.handle, &control::frame(answer), link)
            .map_err(|source| Error::Link { action: "write to", source })
    }

    /// Lets the client connect.
    async fn connect(&mut self, answer: Answer) -> Result<()> {
        self.answer(&answer).await?;
        let asked = timeout(CONNECT_WAIT, self.next()).await;
        match asked.map_err(|_| Error::Timeout { seconds: CONNECT_WAIT.as_secs() })?? {
            Some(Asked { request: Request::Connected, .. }) => Ok(()),
            _ => Err(Error::Start("the connection was not made".into())),
        }
    }
}

async fn any(signals: &mut [Signal; 3]) {
    let [first, second, third] = signals;
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
        _ = third.recv() => {}
    }
}

/// As many as there are files for, and never none.
fn sessions_at_once() -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(files / FILES_OF_A_SESSION).unwrap_or(SESSIONS).clamp(1, SESSIONS)
}

/// Where a user's session begins over ssh as well.
fn home() -> Option<PathBuf> {
    let set = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    set.or_else(|| Some(nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??.dir))
}
