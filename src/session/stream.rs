//! A session's bytes on its link: counted next to it and, if asked, compressed. A link that is there for several sessions is
//! given back when one is over, with whatever was read too far.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use async_compression::tokio::bufread::ZstdDecoder;
use async_compression::tokio::write::ZstdEncoder;
use async_compression::{Level, zstd::DParameter};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, BufReader, ReadBuf};
use tokio_util::io::{InspectReader, InspectWriter};

use super::channel::Traffic;
use super::pace::Paced;
use crate::error::{Error, Result};
use crate::transport::{LinkReader, LinkWriter};

/// What `read` asks the link for at once.
const READ_BUFFER: usize = 256 << 10;
/// Largest zstd window that a peer may make us allocate: 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 23;
/// zstd's own default: the level whose speed suits a link.
const ZSTD_LEVEL: i32 = 3;

type Count = Box<dyn FnMut(&[u8]) + Send>;
type Reader = BufReader<InspectReader<LinkReader, Count>>;
type Writer = InspectWriter<Paced, Count>;

/// What comes.
pub enum Source {
    /// As it is.
    Plain(Reader),
    /// To be decompressed.
    Zstd(Box<ZstdDecoder<Reader>>),
}

impl Source {
    /// What comes over `link`, decompressed if asked.
    pub fn new(link: LinkReader, compress: bool, traffic: &Arc<Traffic>) -> Source {
        let counts = traffic.clone();
        let count: Count = Box::new(move |bytes| {
            counts.wire_in.fetch_add(bytes.len() as u64, Relaxed);
        });
        let reader = BufReader::with_capacity(READ_BUFFER, InspectReader::new(link, count));
        match compress {
            false => Source::Plain(reader),
            true => {
                let limit = [DParameter::window_log_max(ZSTD_WINDOW_LOG)];
                Source::Zstd(Box::new(ZstdDecoder::with_params(reader, &limit)))
            }
        }
    }

    /// Waits for something to read, where that can be given up at any time without losing any of it; `quiet` is true
    /// meanwhile. Where it cannot this does nothing.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `limit`.
    pub async fn stirs_within(&mut self, limit: Option<Duration>, quiet: &AtomicBool) -> Result<()> {
        let Source::Plain(reader) = self else { return Ok(()) };
        if !reader.buffer().is_empty() {
            return Ok(());
        }
        quiet.store(true, Relaxed);
        let stirs = reader.fill_buf();
        // What is wrong with the link is found by whoever reads.
        let in_time = match limit {
            None => stirs.await.map_or(true, |_| true),
            Some(limit) => tokio::time::timeout(limit, stirs).await.is_ok(),
        };
        quiet.store(false, Relaxed);
        if in_time { Ok(()) } else { Err(Error::Timeout { seconds: limit.unwrap_or_default().as_secs() }) }
    }

    /// The link, once the session's last frame has been read; `None` if more of the session follows.
    pub async fn into_link(self) -> Option<LinkReader> {
        let reader = match self {
            Source::Plain(reader) => reader,
            Source::Zstd(mut decoder) => {
                // What ends the stream comes after the last frame.
                let ended = matches!(decoder.read(&mut [0; 1]).await, Ok(0));
                ended.then(|| decoder.into_inner())?
            }
        };
        let unread = reader.buffer().to_vec();
        let mut link = reader.into_inner().into_inner();
        link.unread(&unread);
        Some(link)
    }
}

impl AsyncRead for Source {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Source::Plain(reader) => Pin::new(reader).poll_read(cx, buffer),
            Source::Zstd(decoder) => Pin::new(decoder).poll_read(cx, buffer),
        }
    }
}

/// Where what we say goes.
pub enum Sink {
    /// As it is.
    Plain(Writer),
    /// Compressed.
    Zstd(Box<ZstdEncoder<Writer>>),
}

impl Sink {
    /// What goes over `link`, compressed if asked.
    pub fn new(link: Paced, compress: bool, traffic: &Arc<Traffic>) -> Sink {
        let counts = traffic.clone();
        let count: Count = Box::new(move |bytes| {
            counts.wire_out.fetch_add(bytes.len() as u64, Relaxed);
        });
        let writer = InspectWriter::new(link, count);
        match compress {
            false => Sink::Plain(writer),
            true => Sink::Zstd(Box::new(ZstdEncoder::with_quality(writer, Level::Precise(ZSTD_LEVEL)))),
        }
    }

    /// The link. To be called when all is shut down.
    pub fn into_link(self) -> LinkWriter {
        match self {
            Sink::Plain(writer) => writer.into_inner().into_inner(),
            Sink::Zstd(encoder) => encoder.into_inner().into_inner().into_inner(),
        }
    }
}

impl AsyncWrite for Sink {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Sink::Plain(writer) => Pin::new(writer).poll_write(cx, bytes),
            Sink::Zstd(encoder) => Pin::new(encoder).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Sink::Plain(writer) => Pin::new(writer).poll_write_vectored(cx, slices),
            Sink::Zstd(encoder) => Pin::new(encoder).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Sink::Plain(writer) => writer.is_write_vectored(),
            Sink::Zstd(encoder) => encoder.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Sink::Plain(writer) => Pin::new(writer).poll_flush(cx),
            Sink::Zstd(encoder) => Pin::new(encoder).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Sink::Plain(writer) => Pin::new(writer).poll_shutdown(cx),
            Sink::Zstd(encoder) => Pin::new(encoder).poll_shutdown(cx),
        }
    }
}
