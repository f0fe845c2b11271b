//! The baseline of phase 2.1: contents in a `Vec<u8>` of their own.

/// Bytes of a file, at most a frame's worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// What the link is given to write: a copy, so that the caller's buffer stays its own.
    pub fn to_send(&self) -> Payload {
        self.clone()
    }

    /// What is left of a received frame from byte `start`.
    pub fn cut(frame: &[u8], start: usize) -> Payload {
        Payload(frame[start..].to_vec())
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
