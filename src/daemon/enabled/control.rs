//! What is said to the daemon on its own socket, but for sessions: one frame of JSON for a request and one for its answer, under a
//! code that no session knows. A link is handed over beside the answer, as a descriptor.
//!
//! Only processes of the same user come this far. Still a frame is bounded, and one that makes no sense ends its connection.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The code of the frames.
pub const CONTROL: u8 = 0x40;
/// Longest frame, in bytes after the length field.
pub const MAX_CONTROL: usize = 64 << 10;

/// What is asked, and by whom.
#[derive(Debug, Serialize, Deserialize)]
pub struct Asked {
    /// Of the one who asks.
    pub version: String,
    /// What.
    pub request: Request,
}

/// What the daemon can be asked for.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// What it does.
    Status,
    /// To end: once its sessions have, or at once.
    Stop {
        /// At once.
        now: bool,
    },
    /// To listen on a port of the loopback, if it does not.
    Listen {
        /// Which; 0 for any.
        port: u16,
    },
    /// For a link to another machine. Answered with `Granted`, `Connect` or `Refused`.
    Link(Wanted),
    /// After `Connect`: it is done.
    Connected,
    /// After `Granted`: the session has ended well.
    Done {
        /// The session whose last frame has not been read.
        owed: Option<u64>,
    },
}

/// Which machine, and how it is reached; bytes, for none of them need be text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Wanted {
    /// The remote shell and its arguments.
    pub shell: Vec<Vec<u8>>,
    /// `[user@]host`.
    pub host: Vec<u8>,
    /// The command that is `sy` over there.
    pub sy_path: Vec<u8>,
    /// Where the user's agent listens, for a connection that has to be made again while nobody looks.
    pub agent: Option<Vec<u8>>,
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// What it does.
    Status(Box<Status>),
    /// It is ending; the connection ends when it has.
    Stopping,
    /// It listens on a port, for whoever knows the token.
    Listening {
        /// Which.
        port: u16,
        /// The token's line.
        token: String,
    },
    /// A link, which comes along.
    Granted {
        /// Of the other end's greeting.
        capabilities: u64,
        /// How far away it is, in microseconds.
        rtt_us: Option<u64>,
    },
    /// No connection yet: the client has the terminal on which a password may be asked for.
    Connect {
        /// Where `ssh` is to listen.
        control: Vec<u8>,
        /// How long it is to stay when nothing uses it, in seconds.
        persist: u64,
    },
    /// Its version is not that of the one who asks, and it could be started anew as well as not.
    OtherVersion {
        /// Its version.
        version: String,
    },
    /// Not possible.
    Refused {
        /// Why.
        why: String,
    },
}

/// What a daemon does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub socket: String,
    /// Its port on the loopback.
    pub port: Option<u16>,
    /// Whether it waits for its sessions to end, and then ends.
    pub stopping: bool,
    /// For how long it has run, in seconds.
    pub uptime_seconds: u64,
    /// How long a connection may be unused, in seconds.
    pub idle_seconds: u64,
    /// Connections to its socket and port.
    pub links: usize,
    /// Sessions that it serves now.
    pub sessions: usize,
    /// Sessions that it has served.
    pub served: u64,
    /// Those of them that an error ended.
    pub failed: u64,
    /// The machines that it is connected to.
    pub hosts: Vec<HostStatus>,
}

/// A connection to another machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostStatus {
    /// `[user@]host`.
    pub host: String,
    /// Whether there is a connection.
    pub connected: bool,
    /// Links that wait for a sync.
    pub waiting: usize,
    /// Links that a sync has.
    pub lent: usize,
    /// Links that were made, ever.
    pub made: u64,
}

/// A message's frame.
pub fn frame(message: &impl Serialize) -> Vec<u8> {
    // Plain data with names for keys: nothing that JSON could not say.
    let json = serde_json::to_vec(message).unwrap_or_default();
    let len = json.len() as u32 + 1;
    [&len.to_be_bytes()[..], &[CONTROL], &json].concat()
}

/// Reads a frame's payload.
///
/// # Errors
/// [`Error::Stream`] for what is no message of this kind.
pub fn message<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    serde_json::from_slice(payload).map_err(|error| Error::Stream(format!("no message of the daemon's: {error}")))
}

/// Sends a frame, and a link along with it.
///
/// # Errors
/// The socket's. It is not waited for: a client that asks has room for the answer.
pub fn send_with(socket: &UnixStream, frame: &[u8], link: &impl AsFd) -> io::Result<()> {
    let links = [link.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&links)) {
        return Err(io::Error::other("no room for a descriptor"));
    }
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(frame)], &mut control, SendFlags::empty())?;
    if sent == frame.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// A client's connection to the daemon.
pub struct Connection {
    socket: UnixStream,
}

impl Connection {
    /// Connects to the daemon at `path`, if it is one of this user's.
    ///
    /// # Errors
    /// `NotFound` or `ConnectionRefused` where none is; what is wrong with it otherwise.
    pub fn open(path: &Path) -> io::Result<Connection> {
        let socket = UnixStream::connect(path)?;
        // The directory is closed to others; this is for the day on which it was not.
        match peer_uid(&socket)? == rustix::process::geteuid().as_raw() {
            true => Ok(Connection { socket }),
            false => Err(io::Error::new(io::ErrorKind::PermissionDenied, "somebody else listens there")),
        }
    }

    /// How long an answer may take.
    ///
    /// # Errors
    /// The system's.
    pub fn wait_at_most(&self, limit: Option<std::time::Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(limit)
    }

    /// Asks, and reads the answer and what came along.
    ///
    /// # Errors
    /// The socket's; [`Error::Disconnected`] if the daemon says nothing.
    pub fn ask(&mut self, request: Request) -> Result<(Answer, Option<OwnedFd>)> {
        self.tell(request)?;
        self.answer()
    }

    /// Says something that has no answer.
    ///
    /// # Errors
    /// The socket's.
    pub fn tell(&mut self, request: Request) -> Result<()> {
        let asked = Asked { version: super::version(), request };
        self.socket.write_all(&frame(&asked)).map_err(|source| Error::Link { action: "write to", source })
    }

    /// Waits for the daemon to hang up.
    pub fn await_end(&mut self) {
        let _ = self.socket.read_to_end(&mut Vec::new());
    }

    fn answer(&mut self) -> Result<(Answer, Option<OwnedFd>)> {
        let failed = |source| Error::Link { action: "read from", source };
        let (mut buffer, mut bytes, mut link) = (vec![0; 4096], Vec::new(), None);
        loop {
            let (count, came) = receive(&self.socket, &mut buffer).map_err(failed)?;
            link = link.or(came);
            bytes.extend_from_slice(&buffer[..count]);
            let whole = bytes.first_chunk().map(|len| 4 + u32::from_be_bytes(*len) as usize);
            match whole {
                Some(whole) if whole > 4 + MAX_CONTROL => return Err(Error::Stream("too long an answer".into())),
                Some(whole) if bytes.len() >= whole.max(5) => return Ok((message(&bytes[5..whole.max(5)])?, link)),
                _ if count == 0 => return Err(Error::Disconnected),
                _ => {}
            }
        }
    }
}

fn receive(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::empty()) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut link = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            link = link.or(descriptors.last());
        }
    }
    if let Some(link) = &link {
        fcntl_setfd(link, FdFlags::CLOEXEC)?;
    }
    Ok((received.bytes, link))
}

/// Who is at the other end of a socket.
///
/// # Errors
/// The system's.
#[cfg(target_os = "linux")]
pub fn peer_uid(socket: &impl AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw())
}

/// Who is at the other end of a socket.
///
/// # Errors
/// The system's.
#[cfg(not(target_os = "linux"))]
pub fn peer_uid(socket: &impl AsFd) -> io::Result<u32> {
    Ok(nix::unistd::getpeereid(socket)?.0.as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_arrives_beside_the_answer() {
        let (daemon, client) = UnixStream::pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        let granted = Answer::Granted { capabilities: 5, rtt_us: Some(7) };
        send_with(&daemon, &frame(&granted), &far).unwrap();
        drop(far);
        let (answer, link) = Connection { socket: client }.answer().unwrap();
        assert!(matches!(answer, Answer::Granted { capabilities: 5, rtt_us: Some(7) }), "{answer:?}");
        near.write_all(b"hello").unwrap();
        drop(near);
        let mut text = String::new();
        UnixStream::from(link.expect("it came along")).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let cases: [&[u8]; 5] = [b"", b"\0\0", b"\0\0\0\x04\x40{}x", b"\xff\xff\xff\xff\x40", b"\0\0\0\0\x40"];
        for bytes in cases {
            let (mut daemon, client) = UnixStream::pair().unwrap();
            daemon.write_all(bytes).unwrap();
            drop(daemon);
            assert!(Connection { socket: client }.answer().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn the_one_at_the_other_end_is_known() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert_eq!(peer_uid(&near).unwrap(), rustix::process::geteuid().as_raw());
    }
}
