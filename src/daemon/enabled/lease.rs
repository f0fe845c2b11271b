//! A sync's side of `--use-daemon`: it gets a link from the daemon, syncs, and gives it back.
//!
//! Whatever goes wrong before the other end has said a word costs a line of warning and the time that it took: the sync then connects
//! as it would have without. After that word it is an error like any other.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Answer, Connection, Request as Ask, Wanted};
use super::lifecycle::{connect, find_or_start};
use super::master::Master;
use super::runtime_dir::{RuntimeDir, open_private};
use crate::daemon::{Attempt, Start, Use};
use crate::error::{Error, ExitCode, Result};
use crate::events::Monitor;
use crate::protocol::hello::Silence;
use crate::session::{self, Known, Outcome, Prepared, Request, Rest};
use crate::transport::ssh::Remote;
use crate::transport::{Link, socket};

/// How long the daemon may take to find a link: it may have to start another daemon over there.
const LINK_WAIT: Duration = Duration::from_secs(60);
/// How long the other end may take to say its first word on a link that was alive a few seconds ago.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How often a link may turn out to be dead before it is no use to ask for another.
const TRIES: usize = 2;
/// Idle time of a daemon that a sync starts, in seconds.
const IDLE: u64 = 600;

/// A link that is ours for a session.
struct Lease {
    daemon: Connection,
    socket: UnixStream,
    known: Known,
}

/// Syncs through the daemon, if that is `wanted`.
///
/// # Errors
/// What ended the session early; with [`Use::Require`] also what kept it from the daemon.
pub async fn sync(
    wanted: Use,
    remote: &Remote,
    request: &Request,
    prepared: Prepared,
    monitor: &Arc<Monitor>,
) -> Result<Attempt> {
    if wanted == Use::No {
        return Ok(Attempt::Plain(prepared));
    }
    let begun = Instant::now();
    let mut prepared = Some(prepared);
    let mut why = Error::Disconnected;
    for _ in 0..TRIES {
        let (asked, watcher) = (remote.clone(), monitor.clone());
        let lent = tokio::task::spawn_blocking(move || borrow(&asked, &watcher)).await;
        let lease = match lent.unwrap_or_else(|panic| Err(Error::Start(format!("a bug in sy: {panic}")))) {
            Ok(lease) => lease,
            Err(error) => {
                why = error;
                break;
            }
        };
        let prepared = prepared.take().unwrap_or_else(|| Prepared::new(request.clone(), monitor));
        let (link, connect) = (lease.link()?, begun.elapsed());
        match session::client_again(link, lease.known, FIRST_WORD, prepared, monitor.clone()).await {
            Ok((outcome, rest)) => {
                lease.give_back(&rest);
                return Ok(Attempt::Done(Outcome { connect, ..outcome }));
            }
            Err(Silence::Error(error)) => return Err(error),
            Err(Silence::Ended | Silence::Older) => why = Error::Start("the other end does not answer".into()),
        }
    }
    if wanted == Use::Require {
        return Err(Error::Start(format!("the daemon cannot be used: {why}")));
    }
    monitor.warn(ExitCode::Ok, &format!("the daemon is not used, this sync makes a connection of its own: {why}"));
    Ok(Attempt::Plain(prepared.unwrap_or_else(|| Prepared::new(request.clone(), monitor))))
}

impl Lease {
    fn link(&self) -> Result<Link> {
        let link = self.socket.try_clone().and_then(socket::unix);
        Ok(link.map_err(|source| Error::Link { action: "read from", source })?.kept())
    }

    /// A link that is not given back is closed by the daemon as well.
    fn give_back(mut self, rest: &Rest) {
        let owed = match rest {
            Rest::Free(_) => None,
            Rest::Owed(session_id) => Some(*session_id),
            Rest::Doubtful => return,
        };
        let _ = self.daemon.tell(Ask::Done { owed });
    }
}

/// Asks the daemon for a link, having started it if need be.
fn borrow(remote: &Remote, monitor: &Monitor) -> Result<Lease> {
    let bytes = |text: &std::ffi::OsString| text.as_bytes().to_vec();
    let wanted = Wanted {
        shell: remote.shell.iter().map(bytes).collect(),
        host: bytes(&remote.host),
        sy_path: bytes(&remote.sy_path),
        agent: std::env::var_os("SSH_AUTH_SOCK").map(OsStringExt::into_vec),
    };
    // Before a daemon is started for what it cannot do.
    Master::new(&wanted, Default::default())?;
    let dir = RuntimeDir::find()?;
    let mut daemon = match connect(&dir) {
        Ok(daemon) => daemon,
        Err(_) => start(&dir, monitor)?,
    };
    let (mut answer, mut link) = ask(&mut daemon, &wanted)?;
    if matches!(answer, Answer::OtherVersion { .. }) {
        drop(daemon);
        daemon = start(&dir, monitor)?;
        (answer, link) = ask(&mut daemon, &wanted)?;
    }
    if let Answer::Connect { control, persist } = answer {
        let control = std::ffi::OsString::from_vec(control).into();
        make_connection(&Master::new(&wanted, control)?, persist)?;
        (answer, link) = daemon.ask(Ask::Connected)?;
    }
    match (answer, link) {
        (Answer::Granted { capabilities, rtt_us }, Some(link)) => {
            let known = Known { capabilities, rtt: rtt_us.map(Duration::from_micros) };
            Ok(Lease { daemon, socket: link.into(), known })
        }
        (Answer::Refused { why }, _) => Err(Error::Start(why)),
        (other, _) => Err(Error::Stream(format!("the daemon answers something else: {other:?}"))),
    }
}

fn ask(daemon: &mut Connection, wanted: &Wanted) -> Result<(Answer, Option<std::os::fd::OwnedFd>)> {
    let failed = |source| Error::Link { action: "read from", source };
    daemon.wait_at_most(Some(LINK_WAIT)).map_err(failed)?;
    daemon.ask(Ask::Link(wanted.clone()))
}

/// A daemon of our version, that leaves when nobody wants it any more.
fn start(dir: &RuntimeDir, monitor: &Monitor) -> Result<Connection> {
    let start = Start { port: None, foreground: false, idle: IDLE, leave: true, detached: false, for_link: false };
    let found = find_or_start(dir, &start)?;
    if found.started {
        let text = format!("started the daemon: process {} (`sy daemon stop` ends it)", found.status.pid);
        monitor.warn(ExitCode::Ok, &text);
    }
    connect(dir)
}

/// Connects in the foreground, where `ssh` can ask what it has to ask.
fn make_connection(master: &Master, persist: u64) -> Result<()> {
    // A file and not a pipe: what goes to the background may keep it open.
    let told = master.control().with_extension("told");
    let failed = |error| Error::io("write", &told, error);
    let _ = std::fs::remove_file(&told);
    let mut file = open_private(&told, OpenOptions::new().read(true).write(true).create_new(true)).map_err(failed)?;
    let _ = std::fs::remove_file(&told);
    let mut command = master.connect(persist);
    let status = command.stderr(file.try_clone().map_err(failed)?).status();
    let status = status.map_err(|error| Error::Start(format!("failed to run ssh: {error}")))?;
    let mut text = Vec::new();
    let read = std::io::Seek::rewind(&mut file).and_then(|()| file.read_to_end(&mut text));
    if read.is_ok() {
        // The words of the user's own ssh, on the user's own terminal.
        let _ = std::io::stderr().write_all(&text);
    }
    match status.success() {
        true => Ok(()),
        false => Err(Error::Start(format!("could not connect to {}: ssh failed", master.host()))),
    }
}
