//! The greeting: who is there, which versions, which capabilities, how far away.
//!
//! It is read with suspicion of another kind than the rest: what answers may be no `sy` at all but a login shell's
//! greeting or an error message, and the user then needs to see that text, not a complaint about a frame.

use std::time::{Duration, Instant};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::codec::{Reader, put_string};
use super::frame::HEADER;
use super::message::code;
use crate::error::{Error, Result};

/// Opens every HELLO. The first byte is no text and no ASCII control that a terminal would send.
pub const MAGIC: [u8; 4] = *b"\x89sy\n";
/// The oldest protocol that this build speaks.
pub const MIN_VERSION: u16 = 1;
/// The newest protocol that this build speaks.
pub const MAX_VERSION: u16 = 2;
/// The protocol from which on every build understands a list in chunks, whether or not it sends one.
pub const CHUNKS_SINCE: u16 = 2;
/// The capability bit of who understands FILE_HOLE and zeros in a delta: every build since there are these.
pub const HOLES: u64 = 1 << 32;
/// Longest HELLO, in bytes after the length field; a later version may add fields up to here.
const MAX_HELLO: usize = 4096;
/// How long to go on listening to what is not a HELLO, to show more of it than its first word.
const NOISE_WAIT: Duration = Duration::from_millis(300);
/// How much of it to show, in bytes.
const NOISE_SHOWN: usize = 500;

/// A greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Oldest protocol version spoken.
    pub min_version: u16,
    /// Newest protocol version spoken.
    pub max_version: u16,
    /// One bit for each wire phase that may be sent to the speaker, and [`HOLES`].
    pub capabilities: u64,
    /// The speaker's own clock in microseconds.
    pub timestamp: u64,
    /// The timestamp of the HELLO that this one answers, or 0.
    pub echo: u64,
    /// Name and version of the program, for messages.
    pub software: String,
}

impl Hello {
    /// This build's greeting, in answer to one that said `echo`.
    pub fn ours(clock: &Clock, echo: u64) -> Hello {
        Hello {
            min_version: MIN_VERSION,
            max_version: MAX_VERSION,
            capabilities: crate::phases::capabilities() | HOLES,
            timestamp: clock.micros(),
            echo,
            software: concat!("sy ", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// The bytes of the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, code::HELLO];
        out.put_slice(&MAGIC);
        out.put_u16(self.min_version);
        out.put_u16(self.max_version);
        out.put_u64(self.capabilities);
        out.put_u64(self.timestamp);
        out.put_u64(self.echo);
        put_string(&mut out, self.software.as_bytes());
        let len = (out.len() - 4) as u32;
        out[..4].copy_from_slice(&len.to_be_bytes());
        out
    }

    fn decode(fields: &[u8]) -> Result<Hello> {
        let mut reader = Reader::new(fields);
        let hello = Hello {
            min_version: reader.u16()?,
            max_version: reader.u16()?,
            capabilities: reader.u64()?,
            timestamp: reader.u64()?,
            echo: reader.u64()?,
            software: reader.string()?.escape_ascii().to_string(),
        };
        // No `finish`: later versions may say more, and are told apart by their numbers.
        Ok(hello)
    }

    /// The version that both ends will speak.
    ///
    /// # Errors
    /// [`Error::Protocol`], saying who is the older one, where there is none.
    pub fn agree(&self) -> Result<u16> {
        let version = self.max_version.min(MAX_VERSION);
        if version >= self.min_version && version >= MIN_VERSION {
            return Ok(version);
        }
        let theirs = format!("{} (protocol {} to {})", self.software, self.min_version, self.max_version);
        let age = if self.max_version < MIN_VERSION { "too old" } else { "too new" };
        Err(Error::Protocol(format!(
            "the other end is {age}: it runs {theirs}, this is sy {} (protocol {MIN_VERSION} to {MAX_VERSION}); \
             update the older of the two",
            env!("CARGO_PKG_VERSION"),
        )))
    }
}

/// A clock that only its owner reads: microseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at 1: 0 on the wire means "no timestamp".
    pub fn start() -> Clock {
        Clock(Instant::now() - Duration::from_micros(1))
    }

    /// Now.
    pub fn micros(&self) -> u64 {
        self.0.elapsed().as_micros() as u64
    }

    /// Time since `echo`, a timestamp of this clock that a peer sent back; `None` if it cannot be one.
    pub fn since(&self, echo: u64) -> Option<Duration> {
        if echo == 0 {
            return None;
        }
        self.micros().checked_sub(echo).map(Duration::from_micros)
    }
}

/// What came in the place of a HELLO.
#[derive(Debug)]
pub enum Silence {
    /// The link ended without a byte.
    Ended,
    /// It is of a version that does not understand what it was sent along with the greeting.
    Older,
    /// A real error: noise, a foreign version, a broken link.
    Error(Error),
}

impl From<Error> for Silence {
    fn from(error: Error) -> Self {
        Silence::Error(error)
    }
}

/// Reads the peer's HELLO.
///
/// # Errors
/// [`Silence::Ended`] if nothing at all came, so that the caller can ask the remote command why; else what is wrong.
pub async fn read(
    link: &mut (impl AsyncRead + Unpin + ?Sized),
    timeout: Option<Duration>,
) -> std::result::Result<Hello, Silence> {
    let reading = read_unhurried(link);
    match timeout {
        None => reading.await,
        Some(limit) => match tokio::time::timeout(limit, reading).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { seconds: limit.as_secs() }.into()),
        },
    }
}

async fn read_unhurried(link: &mut (impl AsyncRead + Unpin + ?Sized)) -> std::result::Result<Hello, Silence> {
    let mut seen = Vec::with_capacity(64);
    while seen.len() < HEADER + MAGIC.len() {
        if read_some(link, &mut seen, HEADER + MAGIC.len()).await? == 0 {
            return Err(if seen.is_empty() { Silence::Ended } else { noise(&seen).into() });
        }
    }
    let len = u32::from_be_bytes([seen[0], seen[1], seen[2], seen[3]]) as usize;
    let begins_well = seen[4] == code::HELLO && seen[HEADER..] == MAGIC;
    if !begins_well || !(1 + MAGIC.len()..=MAX_HELLO).contains(&len) {
        let _ = tokio::time::timeout(NOISE_WAIT, async {
            while seen.len() < NOISE_SHOWN && matches!(read_some(link, &mut seen, NOISE_SHOWN).await, Ok(1..)) {}
        })
        .await;
        return Err(noise(&seen).into());
    }
    while seen.len() < 4 + len {
        if read_some(link, &mut seen, 4 + len).await? == 0 {
            return Err(Error::Disconnected.into());
        }
    }
    Ok(Hello::decode(&seen[HEADER + MAGIC.len()..])?)
}

/// Reads at most up to a total of `upto` bytes, so that nothing after the HELLO is taken.
async fn read_some(link: &mut (impl AsyncRead + Unpin + ?Sized), seen: &mut Vec<u8>, upto: usize) -> Result<usize> {
    let before = seen.len();
    let mut buffer = [0; NOISE_SHOWN];
    let room = (upto - before).min(buffer.len());
    let count = match link.read(&mut buffer[..room]).await {
        Err(error) if super::frame::is_hangup(&error) => 0,
        other => other.map_err(|source| Error::Link { action: "read from", source })?,
    };
    seen.extend_from_slice(&buffer[..count]);
    Ok(count)
}

fn noise(seen: &[u8]) -> Error {
    let shown = &seen[..seen.len().min(NOISE_SHOWN)];
    Error::Protocol(format!(
        "the other end did not answer as sy does. It said: \"{}\". If that is a greeting of the remote shell's, its \
         start-up files must be silent for commands; if it is an error, the remote command must be `sy` (see --sy-path)",
        shown.escape_ascii()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(min_version: u16, max_version: u16) -> Hello {
        Hello { min_version, max_version, capabilities: 5, timestamp: 7, echo: 9, software: "sy 9".into() }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_greeting_is_read_and_nothing_after_it() {
        let mut bytes = hello(1, 3).encode();
        bytes.extend_from_slice(b"rest");
        let mut link = &bytes[..];
        assert_eq!(read(&mut link, None).await.unwrap(), hello(1, 3));
        assert_eq!(link, b"rest");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn noise_is_shown_to_the_user() {
        let mut link = &b"Welcome to example!\nPassword expired.\x1b[2J"[..];
        match read(&mut link, None).await {
            Err(Silence::Error(error @ Error::Protocol(_))) => {
                let text = error.to_string();
                assert!(text.contains("Password expired") && !text.contains('\x1b'), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_end_at_any_byte_is_an_error() {
        let bytes = hello(1, 1).encode();
        for cut in 0..bytes.len() {
            assert!(read(&mut &bytes[..cut], None).await.is_err(), "cut at {cut}");
        }
        assert!(matches!(read(&mut &bytes[..0], None).await, Err(Silence::Ended)));
    }

    #[test]
    fn versions_that_do_not_meet_are_refused() {
        assert_eq!(hello(1, 9).agree().unwrap(), MAX_VERSION);
        assert!(hello(0, 0).agree().unwrap_err().to_string().contains("too old"));
        assert!(hello(MAX_VERSION + 1, MAX_VERSION + 2).agree().unwrap_err().to_string().contains("too new"));
    }
}
