//! The baseline of phase 3.2: a `Vec` that moves what is left to its front.

use std::io::{self, Read};

use super::{CHUNK, Window};

/// Bytes in a `Vec`, moved at every advance.
pub struct Drain {
    bytes: Vec<u8>,
}

impl Window for Drain {
    fn new(wanted: usize) -> Self {
        Self { bytes: Vec::with_capacity(wanted) }
    }

    fn fill(&mut self, reader: &mut dyn Read) -> io::Result<usize> {
        self.bytes.reserve(CHUNK);
        reader.take(CHUNK as u64).read_to_end(&mut self.bytes)
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.drain(..count);
    }
}
