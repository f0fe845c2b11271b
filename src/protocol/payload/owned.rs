//! The baseline of phase 2.1: contents in a `Vec<u8>` of their own.

use crate::protocol::buffers::Buffers;

/// Bytes of a file, at most a frame's worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// What the link is given to write: a copy, as in the plan's `data.clone()`.
    pub fn into_body(self, buffers: &Buffers) -> Payload {
        Payload::cut(self.0, 0, buffers)
    }

    /// What is left of a received frame's `payload` from byte `start`; the rest goes back to `buffers`.
    pub fn cut(payload: Vec<u8>, start: usize, buffers: &Buffers) -> Payload {
        let mut bytes = buffers.take(payload.len() - start);
        bytes.extend_from_slice(&payload[start..]);
        buffers.give_back(payload);
        Payload(bytes)
    }

    /// The allocation, to be used again; none where somebody else still reads it.
    pub fn reclaim(self) -> Option<Vec<u8>> {
        Some(self.0)
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Payload(bytes)
    }
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
