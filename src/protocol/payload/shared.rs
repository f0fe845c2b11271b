//! Phase 2.1: contents stay in the allocation that they were read into; what is handed on is a reference to it.

use bytes::{Buf, Bytes};

use crate::protocol::buffers::Buffers;

/// Bytes of a file, at most a frame's worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Bytes);

impl Payload {
    /// What the link is given to write: the same bytes.
    pub fn into_body(self, _buffers: &Buffers) -> Payload {
        self
    }

    /// What is left of a received frame's `payload` from byte `start`, where it lies.
    pub fn cut(payload: Vec<u8>, start: usize, _buffers: &Buffers) -> Payload {
        let mut bytes = Bytes::from(payload);
        bytes.advance(start);
        Payload(bytes)
    }

    /// The allocation, to be used again; none where somebody else still reads it.
    pub fn reclaim(self) -> Option<Vec<u8>> {
        let mut bytes = self.0.try_into_mut().ok()?;
        // Emptied first, or the bytes would be moved to the front of the allocation.
        bytes.clear();
        Some(bytes.into())
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Payload(bytes.into())
    }
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
