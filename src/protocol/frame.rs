//! Frames: the unit of the wire, `len:u32 type:u8 payload`, big-endian; `len` counts type and payload.
//!
//! A frame is read in two steps, so that its length is judged before a byte is allocated for it. Nothing here knows what
//! a payload means.

use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::buffers::Buffers;
use super::payload::Payload;
use crate::error::{Error, Result};

/// Longest frame, in bytes after the length field. Contents travel in pieces far below it; the rest is head-room for
/// lists of entries with long names.
pub const MAX_FRAME: usize = 1 << 20;

/// Length field and type.
pub const HEADER: usize = 5;

/// A frame ready for the link: its head (header and fields) and, for contents, the bytes that follow.
#[derive(Debug)]
pub struct Frame {
    /// Header and all fields before the contents.
    pub head: Vec<u8>,
    /// File contents, if the message carries any.
    pub body: Payload,
}

impl Frame {
    /// Bytes of memory that it holds, but for what its contents' buffer has to spare: a sender has few of these under way.
    pub fn weight(&self) -> usize {
        self.head.capacity() + self.body.len()
    }
}

/// A frame as it came: its type, and its payload not yet looked into.
#[derive(Debug)]
pub struct RawFrame {
    /// The message's code.
    pub code: u8,
    /// Everything after the code.
    pub payload: Vec<u8>,
}

/// Splits a header into payload length and code.
///
/// # Errors
/// A length of 0 (a frame has at least its type) or above [`MAX_FRAME`].
pub fn parse_header(header: [u8; HEADER]) -> Result<(usize, u8)> {
    let [a, b, c, d, code] = header;
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len == 0 || len > MAX_FRAME {
        return Err(Error::Stream(format!("a frame of {len} bytes (allowed: 1 to {MAX_FRAME})")));
    }
    Ok((len - 1, code))
}

/// Reads one frame into one of `buffers`; `None` at a clean end between two frames.
///
/// # Errors
/// A length out of bounds, an end within the frame, silence for longer than `timeout`, or the link's own error.
pub async fn read_frame(
    link: &mut (impl AsyncRead + Unpin + ?Sized),
    timeout: Option<Duration>,
    buffers: &Buffers,
) -> Result<Option<RawFrame>> {
    let mut header = [0; HEADER];
    if !fill(link, &mut &mut header[..], HEADER, timeout).await? {
        return Ok(None);
    }
    let (len, code) = parse_header(header)?;
    let mut payload = buffers.take(len);
    if len > 0 && !fill(link, &mut payload, len, timeout).await? {
        return Err(Error::Disconnected);
    }
    Ok(Some(RawFrame { code, payload }))
}

/// Reads `len` bytes into `buffer`; `false` when the link ended before the first of them. Each read that brings bytes
/// restarts the timeout.
async fn fill(
    link: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut (impl BufMut + ?Sized),
    len: usize,
    timeout: Option<Duration>,
) -> Result<bool> {
    let mut filled = 0;
    let mut link = link.take(len as u64);
    while filled < len {
        let read = link.read_buf(buffer);
        let count = match timeout {
            None => read.await,
            Some(limit) => {
                tokio::time::timeout(limit, read).await.map_err(|_| Error::Timeout { seconds: limit.as_secs() })?
            }
        };
        match count {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(Error::Disconnected),
            Ok(count) => filled += count,
            Err(source) if is_hangup(&source) => return Err(Error::Disconnected),
            Err(source) => return Err(Error::Link { action: "read from", source }),
        }
    }
    Ok(true)
}

/// Whether an error of the link only says that the peer is gone.
pub fn is_hangup(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: u32) -> [u8; HEADER] {
        let [a, b, c, d] = len.to_be_bytes();
        [a, b, c, d, 4]
    }

    #[test]
    fn a_length_out_of_bounds_is_refused_before_anything_is_allocated() {
        for len in [0, MAX_FRAME as u32 + 1, u32::MAX] {
            assert!(parse_header(header(len)).is_err(), "{len}");
        }
        assert_eq!(parse_header(header(1)).unwrap(), (0, 4));
        assert_eq!(parse_header(header(MAX_FRAME as u32)).unwrap(), (MAX_FRAME - 1, 4));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_end_between_frames_is_clean_and_one_within_is_not() {
        let bytes = [0, 0, 0, 3, 9, 1, 2];
        for cut in 0..=bytes.len() {
            let mut link = &bytes[..cut];
            let frame = read_frame(&mut link, None, &Buffers::default()).await;
            match cut {
                0 => assert!(frame.unwrap().is_none()),
                7 => assert_eq!(frame.unwrap().unwrap().payload, [1, 2]),
                _ => assert!(matches!(frame, Err(Error::Disconnected)), "cut at {cut}"),
            }
        }
    }
}
