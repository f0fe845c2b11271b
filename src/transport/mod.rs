//! Links: byte pipes to the other end, whatever they are made of. A link knows nothing of what crosses it.
//!
//! Most links carry one session and end with it. One that `keeps` is there for several, one after another: writing to its end
//! does not close it, and what was read too far is read again by whoever comes next.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub mod memory;
pub mod socket;
pub mod ssh;
pub mod stdio;

/// The variable of a remote command's environment in which a client may have said its first words.
pub const OPENING: &str = "SY_OPENING";

/// The two directions of a link.
pub struct Link {
    /// What the peer says.
    pub reader: LinkReader,
    /// What the peer hears.
    pub writer: LinkWriter,
}

impl Link {
    /// A link of two halves.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Link {
        Link {
            reader: LinkReader { unread: Vec::new(), inner: Box::new(reader) },
            writer: LinkWriter { keeps: false, inner: Box::new(writer) },
        }
    }

    /// The same link, for several sessions.
    pub fn kept(mut self) -> Link {
        self.writer.keeps = true;
        self
    }

    /// The same link, of which `words` have been heard ahead: they are read at once, and when they come they are not read
    /// again. What comes in their place is an error.
    pub fn heard_ahead(mut self, words: Vec<u8>) -> Link {
        self.reader.unread(&words);
        self.reader.inner = Box::new(Again { expected: words, heard: 0, inner: self.reader.inner });
        self
    }

    /// Whether it is there for several sessions.
    pub fn keeps(&self) -> bool {
        self.writer.keeps
    }
}

/// The direction that we read.
pub struct LinkReader {
    /// Taken from `inner` by one who had no use for it.
    unread: Vec<u8>,
    inner: Box<dyn AsyncRead + Send + Unpin>,
}

impl LinkReader {
    /// Gives bytes back that were read last: they are read again first.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.unread.splice(..0, bytes.iter().copied());
    }
}

impl AsyncRead for LinkReader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buffer);
        }
        let count = buffer.remaining().min(self.unread.len());
        buffer.put_slice(&self.unread[..count]);
        self.unread.drain(..count);
        Poll::Ready(Ok(()))
    }
}

/// What comes over a link whose first words are known.
struct Again {
    /// Those words.
    expected: Vec<u8>,
    /// How many of them have come.
    heard: usize,
    inner: Box<dyn AsyncRead + Send + Unpin>,
}

impl AsyncRead for Again {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let again = &mut *self;
        while again.heard < again.expected.len() {
            let mut room = [0; 1024];
            let left = &again.expected[again.heard..];
            let mut came = ReadBuf::new(&mut room[..left.len().min(1024)]);
            ready!(Pin::new(&mut again.inner).poll_read(cx, &mut came))?;
            if came.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if !left.starts_with(came.filled()) {
                let text = "the other end says something else than it said in SY_OPENING";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, text)));
            }
            again.heard += came.filled().len();
        }
        Pin::new(&mut again.inner).poll_read(cx, buffer)
    }
}

/// The direction that we write. Shutting it down ends the link, or only flushes one that is kept.
pub struct LinkWriter {
    keeps: bool,
    inner: Box<dyn AsyncWrite + Send + Unpin>,
}

impl AsyncWrite for LinkWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.keeps {
            true => Pin::new(&mut self.inner).poll_flush(cx),
            false => Pin::new(&mut self.inner).poll_shutdown(cx),
        }
    }
}

/// How wide a pipe to or from `ssh` is made where the system lets us, in bytes.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;

/// Widens a pipe so that a burst of frames costs fewer switches between processes. A limit of the system, or something
/// that is no pipe, leaves it as it is: nothing depends on it.
#[cfg(target_os = "linux")]
fn widen(pipe: &impl std::os::fd::AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE);
}

/// Elsewhere a pipe's size is the system's affair.
#[cfg(not(target_os = "linux"))]
fn widen(_: &impl std::os::fd::AsFd) {}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn words_heard_ahead_are_read_at_once_and_once_and_must_come_all_the_same() {
        let words = vec![7; 3000];
        let link = |comes: Vec<u8>| Link::new(io::Cursor::new(comes), tokio::io::sink()).heard_ahead(words.clone());
        let mut all = Vec::new();
        link([&words[..], b"rest"].concat()).reader.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [&words[..], b"rest"].concat());
        let mut cut = Vec::new();
        link(words[..2000].to_vec()).reader.read_to_end(&mut cut).await.unwrap();
        assert_eq!(cut, words, "the link ended before they had come");
        let mut other = words.clone();
        other[2999] = 8;
        let error = link(other).reader.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert!(error.to_string().contains("SY_OPENING"), "{error}");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_was_read_too_far_is_read_again_first() {
        let mut link = Link::new(&b"third"[..], tokio::io::sink());
        link.reader.unread(b"second ");
        link.reader.unread(b"first ");
        let mut text = String::new();
        link.reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "first second third");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn shutting_a_kept_link_down_leaves_it_open() {
        for keeps in [false, true] {
            let (near, mut far) = memory::pair(64);
            let mut near = if keeps { near.kept() } else { near };
            near.writer.write_all(b"one").await.unwrap();
            near.writer.shutdown().await.unwrap();
            assert_eq!(near.writer.write_all(b"two").await.is_ok(), keeps);
            drop(near);
            let mut text = String::new();
            far.reader.read_to_string(&mut text).await.unwrap();
            assert_eq!(text, if keeps { "onetwo" } else { "one" });
        }
    }
}
