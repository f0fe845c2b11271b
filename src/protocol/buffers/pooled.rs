//! Phase 3.1: buffers are kept and used again.
//!
//! They lie on shelves by size, so that a frame's head of a few bytes never holds what a chunk of contents needs. A shelf
//! keeps a bounded number, and what is larger than the largest shelf is never kept: one long message pins no memory.

use std::sync::{Arc, Mutex, PoisonError};

/// Capacity in bytes and number kept, for heads and short messages, for lists of usual directories, for small files, for lists of
/// large directories, for contents and deltas: together less than 7 MiB, though a buffer that has grown to twice its shelf's
/// capacity lies there still. A frame weighs what its buffer has room for, so of what comes in small frames too large a shelf
/// lets the link wait early.
const SHELVES: [(usize, usize); 5] = [(1 << 10, 256), (4 << 10, 32), (16 << 10, 32), (64 << 10, 16), (272 << 10, 12)];

/// Capacity in bytes of the largest buffer that is kept.
const LARGEST: usize = SHELVES[SHELVES.len() - 1].0;

/// The buffers of a session.
#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<[Vec<Vec<u8>>; SHELVES.len()]>>);

impl Buffers {
    /// An empty buffer with room for `capacity` bytes.
    pub fn take(&self, capacity: usize) -> Vec<u8> {
        let Some(shelf) = SHELVES.iter().position(|(size, _)| capacity <= *size) else {
            return Vec::with_capacity(capacity);
        };
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner)[shelf].pop();
        kept.unwrap_or_else(|| Vec::with_capacity(SHELVES[shelf].0))
    }

    /// Hands a buffer back whose bytes are done with.
    pub fn give_back(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let Some(shelf) = SHELVES.iter().rposition(|(size, _)| capacity >= *size) else { return };
        if capacity > (2 * SHELVES[shelf].0).min(LARGEST) {
            return;
        }
        let mut shelves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shelves[shelf].len() < SHELVES[shelf].1 {
            buffer.clear();
            shelves[shelf].push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(buffers: &Buffers) -> usize {
        buffers.0.lock().unwrap().iter().flatten().map(Vec::capacity).sum()
    }

    #[test]
    fn a_buffer_that_is_given_back_is_the_next_one_taken() {
        let buffers = Buffers::default();
        let mut first = buffers.take(5000);
        first.extend_from_slice(b"bytes");
        let address = first.as_ptr();
        buffers.give_back(first);
        let (small, second) = (buffers.take(64), buffers.clone().take(9000));
        assert_ne!(small.as_ptr(), address, "it is another shelf's");
        assert_eq!(second.as_ptr(), address);
    }

    #[test]
    fn one_large_message_pins_no_memory_and_many_small_ones_little() {
        let buffers = Buffers::default();
        for size in [LARGEST + 1, 500 << 10, 1 << 20] {
            buffers.give_back(Vec::with_capacity(size));
            assert_eq!(kept(&buffers), 0, "{size}");
        }
        for _ in 0..300 {
            for (size, _) in SHELVES {
                buffers.give_back(Vec::with_capacity(2 * size + 1));
                buffers.give_back(Vec::with_capacity((2 * size).min(LARGEST)));
            }
        }
        let most: usize = SHELVES.iter().map(|(_, count)| *count).sum();
        assert_eq!(buffers.0.lock().unwrap().iter().flatten().count(), most);
        assert!(kept(&buffers) < 7 << 20);
    }
}
