//! The baseline of phase 1.2: each file goes out at once, in a FILE_DATA of its own.

use std::io::{self, Read};

use super::Packed;
use crate::error::Result;
use crate::protocol::buffers::Buffers;
use crate::session::channel::Outbox;

/// Takes no file.
#[derive(Debug)]
pub struct Packer {}

impl Packer {
    /// For a peer of these capabilities.
    pub fn new(_peer: u64, _buffers: &Buffers) -> Packer {
        Packer {}
    }

    /// Whether a file of `size` bytes is to be packed: never.
    pub fn takes(&self, _size: u64) -> bool {
        false
    }

    /// Whether a batch is begun: never.
    pub fn is_open(&self) -> bool {
        false
    }

    /// Packs a file: it is not packed.
    pub fn pack(&mut self, _outbox: &Outbox, _index: u32, _file: &mut dyn Read) -> Result<io::Result<Option<Packed>>> {
        Ok(Ok(None))
    }

    /// Sends what is held back: nothing.
    pub fn flush(&mut self, _outbox: &Outbox) -> Result<()> {
        Ok(())
    }
}
