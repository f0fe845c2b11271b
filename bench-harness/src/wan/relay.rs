//! The relay: a port of the loopback address behind which a server seems to be far away.
//!
//! It runs in threads of the lab, one for each connection, which is idle while it measures; its processor time is in no
//! sample, though on few cores it takes some from the subjects, as the interrupts of a network card would. It ends with
//! the lab or when it is dropped, and every connection through it with it.

use std::io::{ErrorKind, PipeWriter};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};

use super::Wan;
use super::connection::{Shared, serve};
use super::line::Wire;

/// The pause after a connection that could not be accepted, which is when there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(10);

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// Its port on the loopback address.
    pub port: u16,
    /// Nothing is ever written: closing it is the sign to stop.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Starts one in front of a port of the loopback address.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(wan: Wan, target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
        listener.set_nonblocking(true).context("cannot set up the relay's port")?;
        let port = listener.local_addr().context("cannot find a free port")?.port();
        let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let wires = [(); 2].map(|()| Mutex::new(Wire::new(wan.bytes_per_s())));
        let shared = Shared { wan, target, wires, stop: reader };
        let thread = thread::Builder::new().name("relay".into()).spawn(move || accept(&listener, &shared));
        Ok(Relay { port, stop: Some(writer), thread: Some(thread.context("cannot start the relay")?) })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // Its panic has been told on standard error already.
            let _ = thread.join();
        }
    }
}

/// Returns when the relay stops and its last connection is closed.
fn accept(listener: &TcpListener, shared: &Shared) {
    thread::scope(|scope| {
        loop {
            let mut fds = [PollFd::new(&shared.stop, PollFlags::IN), PollFd::new(listener, PollFlags::IN)];
            // A signal that interrupts the wait is told by no event, and the loop comes round.
            let _ = poll(&mut fds, None);
            if !fds[0].revents().is_empty() {
                return;
            }
            match listener.accept() {
                Ok((stream, _)) => {
                    // A connection that fails is closed, which is what its two ends get to know of it.
                    let _ = thread::Builder::new().spawn_scoped(scope, || serve(shared, stream));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => thread::sleep(PAUSE),
            }
        }
    });
}
