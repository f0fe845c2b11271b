//! One connection through the relay: two sockets and the two lines between them, moved by one thread that waits in
//! `poll` for what comes first, bytes, room, or the time at which something arrives.
//!
//! End 0 is who connected, end 1 is the server; line `i` carries what end `i` sends. An end is gone when its connection
//! was reset; that travels to the other end as a reset, behind the bytes that were sent before.

use std::io::{ErrorKind, PipeReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt;

use super::Wan;
use super::line::{Arrival, Line, Wire};

/// The sockets' own buffers are kept small against the queue of the line: what lies in them is held by nobody's delay.
const SOCKET_BUFFER: usize = 256 << 10;

/// What all connections of a relay share.
#[derive(Debug)]
pub struct Shared {
    /// What line it is.
    pub wan: Wan,
    /// The server's port.
    pub target: u16,
    /// The bottleneck of each direction.
    pub wires: [Mutex<Wire>; 2],
    /// At its end when the relay is to stop.
    pub stop: PipeReader,
}

struct End {
    stream: TcpStream,
    /// It may still send.
    reading: bool,
    /// It is not told yet that the other one has ended.
    writing: bool,
    /// It took no more when bytes were last offered.
    blocked: bool,
}

impl End {
    fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_recv_buffer_size(&stream, SOCKET_BUFFER)?;
        sockopt::set_socket_send_buffer_size(&stream, SOCKET_BUFFER)?;
        Ok(End { stream, reading: true, writing: true, blocked: false })
    }

    fn is_done(&self) -> bool {
        !self.reading && !self.writing
    }
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Over,
}

struct Connection<'a> {
    shared: &'a Shared,
    ends: [Option<End>; 2],
    lines: [Line; 2],
    /// When the server hears of the connection; none when it has.
    connect_at: Option<Instant>,
    buffer: Vec<u8>,
}

/// Serves one connection until it is over. Its set-up takes what a handshake over the line takes: who connects can
/// send after one round trip, the server hears of it half a round trip later.
///
/// # Errors
/// When a socket's options cannot be set or `poll` fails; both connections are closed then.
pub fn serve(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let accepted = Instant::now();
    let delay = shared.wan.delay();
    let end = End::new(stream)?;
    let mut stop = [PollFd::new(&shared.stop, PollFlags::IN)];
    while let left = (2 * delay).saturating_sub(accepted.elapsed())
        && !left.is_zero()
    {
        if wait(&mut stop, Some(left))? {
            return Ok(());
        }
    }
    let line = || Line::new(delay, shared.wan.queue());
    let mut connection = Connection {
        shared,
        ends: [Some(end), None],
        lines: [line(), line()],
        connect_at: Some(accepted + 3 * delay),
        buffer: vec![0; shared.wan.read_size()],
    };
    while connection.step()? == Flow::On {}
    Ok(())
}

/// Waits for any of them; false when the time was up first.
fn wait(fds: &mut [PollFd<'_>], time: Option<Duration>) -> std::io::Result<bool> {
    // A time that does not fit is longer than anybody waits.
    let time = time.and_then(|time| Timespec::try_from(time).ok());
    match poll(fds, time.as_ref()) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Connection<'_> {
    /// Hands over what has arrived, waits for something to happen, and reads what was sent.
    fn step(&mut self) -> std::io::Result<Flow> {
        let now = Instant::now();
        self.connect(now)?;
        for from in 0..2 {
            if self.deliver(from, now) == Flow::Over {
                return Ok(Flow::Over);
            }
        }
        let gone = |end: &Option<End>| end.as_ref().is_none_or(End::is_done);
        if self.connect_at.is_none() && self.ends.iter().all(gone) {
            return Ok(Flow::Over);
        }
        let Some(events) = self.wait()? else { return Ok(Flow::Over) };
        for (at, events) in events.into_iter().enumerate() {
            self.happened(at, events);
        }
        Ok(Flow::On)
    }

    fn connect(&mut self, now: Instant) -> std::io::Result<()> {
        if self.connect_at.is_some_and(|at| at <= now) {
            self.connect_at = None;
            match TcpStream::connect((Ipv4Addr::LOCALHOST, self.shared.target)) {
                Ok(stream) => self.ends[1] = Some(End::new(stream)?),
                Err(_) => self.lost(1, now),
            }
        }
        Ok(())
    }

    /// Writes what has arrived at the end of a line.
    fn deliver(&mut self, from: usize, now: Instant) -> Flow {
        let to = 1 - from;
        let (Some(end), line) = (&mut self.ends[to], &mut self.lines[from]) else { return Flow::On };
        while !end.blocked
            && let Some(arrival) = line.arrived(now)
        {
            let done = match arrival {
                Arrival::Bytes(bytes) => end.stream.write(bytes),
                Arrival::End => {
                    end.writing = false;
                    end.stream.shutdown(Shutdown::Write).map(|()| 0)
                }
                Arrival::Reset => {
                    // Closing with a linger of nothing is how a reset is sent; without it this would look like an end.
                    let _ = sockopt::set_socket_linger(&end.stream, Some(Duration::ZERO));
                    return Flow::Over;
                }
            };
            match done {
                Ok(taken) => line.take(taken),
                Err(error) if error.kind() == ErrorKind::WouldBlock => end.blocked = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.lost(to, now);
                    break;
                }
            }
        }
        Flow::On
    }

    /// An end is gone: the other one hears of it a delay later, and what was on its way there is nobody's.
    fn lost(&mut self, at: usize, now: Instant) {
        self.ends[at] = None;
        self.lines[1 - at].clear();
        self.lines[at].reset(now);
    }

    /// Whether bytes of this end are wanted: there is somebody who gets them, or will be, and room on the line.
    fn wants(&self, at: usize) -> bool {
        let heard = self.ends[1 - at].is_some() || self.connect_at.is_some();
        heard && self.lines[at].room() > 0 && self.ends[at].as_ref().is_some_and(|end| end.reading)
    }

    /// Waits until something can be done; what happened at either end, or none when the relay stops.
    fn wait(&self) -> std::io::Result<Option<[PollFlags; 2]>> {
        let mut fds = vec![PollFd::new(&self.shared.stop, PollFlags::IN)];
        let mut places = Vec::new();
        for (at, end) in self.ends.iter().enumerate() {
            let Some(end) = end else { continue };
            let mut wanted = PollFlags::empty();
            wanted.set(PollFlags::IN, self.wants(at));
            wanted.set(PollFlags::OUT, end.blocked);
            // One that both sides have closed always has something to say, and nothing that we want to hear.
            if end.writing || !wanted.is_empty() {
                fds.push(PollFd::new(&end.stream, wanted));
                places.push(at);
            }
        }
        let time = self.next().map(|at| at.saturating_duration_since(Instant::now()));
        wait(&mut fds, time)?;
        if !fds[0].revents().is_empty() {
            return Ok(None);
        }
        let mut events = [PollFlags::empty(); 2];
        places.iter().zip(&fds[1..]).for_each(|(at, fd)| events[*at] = fd.revents());
        Ok(Some(events))
    }

    /// When there is something to do even if nothing happens.
    fn next(&self) -> Option<Instant> {
        let takes = |to: usize| self.ends[to].as_ref().is_some_and(|end| !end.blocked);
        let due = |from: usize| self.lines[from].due().filter(|_| takes(1 - from));
        [due(0), due(1), self.connect_at].into_iter().flatten().min()
    }

    fn happened(&mut self, at: usize, events: PollFlags) {
        let broken = events.intersects(PollFlags::ERR | PollFlags::HUP);
        let wants = self.wants(at);
        let Some(end) = &mut self.ends[at] else { return };
        if broken || events.contains(PollFlags::OUT) {
            end.blocked = false;
        }
        if wants && (broken || events.contains(PollFlags::IN)) {
            self.read(at);
        } else if broken {
            self.lost(at, Instant::now());
        }
    }

    fn read(&mut self, at: usize) {
        let Some(end) = &mut self.ends[at] else { return };
        let most = self.buffer.len().min(self.lines[at].room());
        let read = end.stream.read(&mut self.buffer[..most]);
        let now = Instant::now();
        match read {
            Ok(0) => {
                end.reading = false;
                self.lines[at].end(now);
            }
            Ok(n) => {
                // A thread that panicked has left at worst a wire that is busy for a packet too long.
                let mut wire = self.shared.wires[at].lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                let sent = wire.send(now, n);
                drop(wire);
                self.lines[at].send(sent, &self.buffer[..n]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.lost(at, now),
        }
    }
}
