//! `--bwlimit`: a link that is written no faster than so many bytes a second.
//!
//! It stands below compression and next to the link, so what it counts is what crosses. Each write is put off until those
//! before it have had their time, and is at most `SLICE` of a second's worth: what crosses is smooth, a keepalive waits for no
//! more than what was handed over before it, and the peer hears something all the while. A link that has been idle may
//! catch up on `BURST`, not on more. Who is not limited pays for one comparison a write.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep};

use crate::transport::LinkWriter;

/// What is written at once, in parts of a second.
const SLICE: u64 = 20;
/// How much of the time in which nothing was written counts as saved.
const BURST: Duration = Duration::from_millis(100);

/// The direction that we write, and its pace.
pub struct Paced<W = LinkWriter> {
    link: W,
    pace: Option<Pace>,
}

struct Pace {
    bytes_per_s: u64,
    /// When what was written so far has had its time.
    due: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    /// How much may be written now; pending until that is something.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let now = Instant::now();
        if self.due > now {
            self.sleep.as_mut().reset(self.due);
            ready!(self.sleep.as_mut().poll(cx));
        }
        self.due = self.due.max(Instant::now() - BURST);
        Poll::Ready((self.bytes_per_s / SLICE).max(1) as usize)
    }

    fn wrote(&mut self, bytes: usize) {
        let nanos = bytes as u128 * 1_000_000_000 / u128::from(self.bytes_per_s);
        self.due += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    }
}

impl<W> Paced<W> {
    /// `link`, written no faster than `limit` bytes a second. Where there is one it must be called within a runtime.
    pub fn new(link: W, limit: Option<u64>) -> Paced<W> {
        let pace = limit.filter(|limit| *limit > 0).map(|bytes_per_s| {
            let due = Instant::now();
            Pace { bytes_per_s, due, sleep: Box::pin(tokio::time::sleep_until(due)) }
        });
        Paced { link, pace }
    }

    /// The link.
    pub fn into_inner(self) -> W {
        self.link
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for Paced<W> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(pace) = &mut this.pace else { return Pin::new(&mut this.link).poll_write(cx, bytes) };
        let room = ready!(pace.poll(cx)).min(bytes.len());
        let wrote = ready!(Pin::new(&mut this.link).poll_write(cx, &bytes[..room]))?;
        pace.wrote(wrote);
        Poll::Ready(Ok(wrote))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let Some(pace) = &mut this.pace else { return Pin::new(&mut this.link).poll_write_vectored(cx, slices) };
        let mut room = ready!(pace.poll(cx));
        let fitting = slices.iter().filter(|slice| !slice.is_empty()).map_while(|slice| {
            let part = &slice[..slice.len().min(room)];
            room -= part.len();
            (!part.is_empty()).then(|| IoSlice::new(part))
        });
        let fitting: Vec<IoSlice<'_>> = fitting.collect();
        let wrote = ready!(Pin::new(&mut this.link).poll_write_vectored(cx, &fitting))?;
        pace.wrote(wrote);
        Poll::Ready(Ok(wrote))
    }

    fn is_write_vectored(&self) -> bool {
        self.link.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// The bytes that have crossed by the end of each tenth of a second, on a clock that only moves when all wait.
    async fn crossed(limit: u64, tenths: usize, vectored: bool) -> Vec<u64> {
        let (near, mut far) = tokio::io::duplex(1 << 22);
        let writing = tokio::spawn(async move {
            let mut paced = Paced::new(near, Some(limit));
            let piece = vec![7u8; 50_000];
            while match vectored {
                false => paced.write_all(&piece).await.is_ok(),
                true => {
                    paced.write_vectored(&[IoSlice::new(b""), IoSlice::new(&piece), IoSlice::new(&piece)]).await.is_ok()
                }
            } {}
        });
        let begun = Instant::now();
        let (mut total, mut seen, mut buffer) = (0, Vec::new(), vec![0; 1 << 20]);
        for tenth in 1..=tenths {
            let end = begun + Duration::from_millis(100) * tenth as u32;
            while let Ok(read) = tokio::time::timeout_at(end, far.read(&mut buffer)).await {
                total += read.expect("a pipe within the process") as u64;
            }
            seen.push(total);
        }
        drop(far);
        writing.abort();
        seen
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_bytes_a_second_cross_and_no_tenth_of_a_second_has_much_more_than_its_share() {
        for limit in [1024, 100_000, 3_000_000] {
            for vectored in [false, true] {
                let seen = crossed(limit, 100, vectored).await;
                let wanted = limit * 10;
                assert!(seen[99].abs_diff(wanted) <= wanted / 20, "{} of {wanted}", seen[99]);
                let tenths = || seen.windows(2).map(|pair| pair[1] - pair[0]);
                let (least, most) = (tenths().min().expect("many"), tenths().max().expect("many"));
                assert!(most <= limit * 2 / 10, "{most} in a tenth at {limit}");
                assert!(least > 0, "a tenth in which the peer hears nothing at {limit}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_was_idle_does_not_catch_up() {
        let (near, mut far) = tokio::io::duplex(1 << 22);
        let mut paced = Paced::new(near, Some(100_000));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let begun = Instant::now();
        paced.write_all(&[7; 200_000]).await.unwrap();
        let took = begun.elapsed();
        assert!((Duration::from_millis(1800)..=Duration::from_millis(2100)).contains(&took), "{took:?}");
        drop(paced);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all.len(), 200_000);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        for limit in [None, Some(0)] {
            let (near, _far) = tokio::io::duplex(1 << 22);
            let begun = Instant::now();
            Paced::new(near, limit).write_all(&[7; 1 << 21]).await.unwrap();
            assert_eq!(begun.elapsed(), Duration::ZERO);
        }
    }
}
