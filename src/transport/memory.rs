//! Links within the process: for a delta on one machine, and for tests, with a buffer and a latency of their own.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::time::{Instant, sleep_until};

use super::Link;

/// Two ends of one link that holds `buffer` bytes each way.
pub fn pair(buffer: usize) -> (Link, Link) {
    let (near, far) = duplex(buffer);
    (link(near), link(far))
}

/// Two ends of one link on which every byte takes `latency` one way; `buffer` bytes fit in each end's queue.
///
/// Must be called within a runtime: tasks of it carry the bytes.
pub fn pair_with_latency(buffer: usize, latency: Duration) -> (Link, Link) {
    let (near, near_wire) = duplex(buffer);
    let (far, far_wire) = duplex(buffer);
    let (near_read, near_write) = split(near_wire);
    let (far_read, far_write) = split(far_wire);
    tokio::spawn(carry(near_read, far_write, latency));
    tokio::spawn(carry(far_read, near_write, latency));
    (link(near), link(far))
}

fn link(stream: DuplexStream) -> Link {
    let (reader, writer) = split(stream);
    Link::new(reader, writer)
}

/// Moves bytes, each `latency` after it came. What is under way is bounded by time alone, as on a wire.
async fn carry(
    mut from: tokio::io::ReadHalf<DuplexStream>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
    latency: Duration,
) {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut open = true;
    let mut buffer = vec![0; 64 << 10];
    while open || !under_way.is_empty() {
        let due = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                let Some((_, bytes)) = under_way.pop_front() else { continue };
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            count = from.read(&mut buffer), if open => match count {
                Ok(0) | Err(_) => open = false,
                Ok(count) => under_way.push_back((Instant::now() + latency, buffer[..count].to_vec())),
            },
        }
    }
    let _ = to.shutdown().await;
}
