//! The baseline of phase 1.2: each file goes out at once, in a FILE_DATA of its own.

use crate::error::Result;
use crate::protocol::message::{FileData, Message};
use crate::session::channel::Outbox;

/// Sends files that were read whole.
#[derive(Debug, Default)]
pub struct Packer {}

impl Packer {
    /// Takes a file whose only piece is `data`.
    pub fn add(&mut self, outbox: &Outbox, data: FileData) -> Result<()> {
        outbox.send(&Message::FileData(data))
    }

    /// Sends what is held back: nothing, here.
    pub fn flush(&mut self, _outbox: &Outbox) -> Result<()> {
        Ok(())
    }
}
