//! A client's sync with another machine, and what surrounds any sync of a client: the runtime and the signals.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::daemon::{self, Attempt, Use};
use crate::error::{Error, ExitCode, Result};
use crate::events::Monitor;
use crate::protocol::hello::Silence;
use crate::session::{self, Outcome, Prepared, Request};
use crate::transport::ssh::{Remote, RemoteShell};
use crate::tree::place;

/// How long an interrupted sync may take to clean up.
const PATIENCE: Duration = Duration::from_secs(3);

/// Syncs with the other machine, through the daemon if that is `wanted`.
///
/// # Errors
/// What kept the session from starting, or ended it early.
pub async fn run(remote: &Remote, wanted: Use, request: Request, monitor: &Arc<Monitor>) -> Result<Outcome> {
    let prepared = Prepared::new(request.clone(), monitor);
    let prepared = match daemon::sync(wanted, remote, &request, prepared, monitor).await? {
        Attempt::Done(outcome) => return Ok(outcome),
        Attempt::Plain(prepared) => prepared,
    };
    match connect(remote, prepared, monitor).await {
        // It has said so to nobody but us: the list that it did not understand is sent again as it wants it.
        Err(Silence::Older) => connect(remote, Prepared::whole(request), monitor).await.map_err(told),
        other => other.map_err(told),
    }
}

fn told(silence: Silence) -> Error {
    match silence {
        Silence::Error(error) => error,
        Silence::Ended | Silence::Older => Error::Disconnected,
    }
}

async fn connect(
    remote: &Remote,
    mut prepared: Prepared,
    monitor: &Arc<Monitor>,
) -> std::result::Result<Outcome, Silence> {
    monitor.detail(2, &format!("running {}", remote.shown()));
    let (mut shell, link) = RemoteShell::start(remote, prepared.said_ahead().as_deref())?;
    match session::client(link, prepared, monitor.clone()).await {
        Ok(outcome) => {
            // The other end has said all it had to say; its exit status would add nothing.
            shell.let_go();
            Ok(outcome)
        }
        Err(Silence::Ended) => Err(shell.explain().await.into()),
        Err(silence) => Err(silence),
    }
}

/// Runs `work` to its end, with `beside` going on next to it. A signal ends it early: what is half-written goes first.
///
/// # Errors
/// The work's own; [`Error::Interrupted`] after SIGINT, SIGTERM or SIGHUP.
pub fn block_on<T>(beside: impl Future<Output = ()>, work: impl Future<Output = Result<T>>) -> Result<T> {
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Start(format!("failed to start the runtime: {error}")))?;
    let result = runtime.block_on(async {
        tokio::select! {
            result = work => result,
            () = beside => Err(Error::Interrupted),
            result = interrupted() => result,
        }
    });
    if matches!(result, Err(Error::Interrupted | Error::Stopped)) {
        give_up_in(PATIENCE);
        place::abandon_all();
    }
    // Threads that wait for a disk or a peer are not waited for.
    runtime.shutdown_background();
    result
}

/// Lets `work` take so long; then it is given up like one that was interrupted.
///
/// # Errors
/// The work's own; [`Error::Stopped`] when the time is over.
pub async fn stop_after<T>(limit: Option<Duration>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match limit {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::Stopped)),
    }
}

/// Lets us open as many files as we may: each source keeps one. Where the system has another idea it stays as it is.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// Ends the process after `patience`, come what may: cleaning up may wait for a dead disk, a last word for a reader who
/// does not read.
fn give_up_in(patience: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(patience);
        std::process::exit(ExitCode::Interrupted as i32);
    });
}

/// Waits for a signal that asks us to stop.
async fn interrupted<T>() -> Result<T> {
    let listen = |kind| signal(kind).map_err(|error| Error::Start(format!("failed to listen for signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Err(Error::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_is_given_up_when_its_time_is_over_and_not_before() {
        let work = |seconds| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(())
        };
        let minute = Some(Duration::from_secs(60));
        assert!(matches!(stop_after(minute, work(61)).await, Err(Error::Stopped)));
        assert!(stop_after(minute, work(59)).await.is_ok() && stop_after(None, work(1_000_000)).await.is_ok());
        assert_eq!(Error::Stopped.exit_code(), ExitCode::Timeout);
    }
}
