//! Phase 1.2: small files are read one behind the other into the message that carries them all.

use std::io::{self, Read};

use super::Packed;
use crate::error::Result;
use crate::phases;
use crate::protocol::batch::{Builder, MAX_BATCH, MAX_FILE};
use crate::protocol::buffers::Buffers;
use crate::protocol::message::Message;
use crate::session::channel::Outbox;

/// Collects small files and sends them when a batch is full.
#[derive(Debug)]
pub struct Packer {
    /// Whether the peer takes batches.
    able: bool,
    batch: Option<Builder>,
    /// Batches sent.
    sent: u64,
    buffers: Buffers,
}

impl Packer {
    /// For a peer of these capabilities.
    pub fn new(peer: u64, buffers: &Buffers) -> Packer {
        let able = peer & phases::capability("1.2") != 0;
        Packer { able, batch: None, sent: 0, buffers: buffers.clone() }
    }

    /// Whether a file of `size` bytes is to be packed.
    pub fn takes(&self, size: u64) -> bool {
        self.able && size <= MAX_FILE as u64
    }

    /// Whether a batch is begun that the next file will join.
    pub fn is_open(&self) -> bool {
        self.batch.as_ref().is_some_and(|batch| !batch.is_full_for(MAX_FILE))
    }

    /// Reads `file` into the batch and says into which one; `None` if it has grown too large for that. The outer error is
    /// the link's, the inner one the file's.
    pub fn pack(&mut self, outbox: &Outbox, index: u32, file: &mut dyn Read) -> Result<io::Result<Option<Packed>>> {
        // The file may have grown since it was listed, up to what is too large.
        if self.batch.as_ref().is_some_and(|batch| batch.is_full_for(MAX_FILE)) {
            self.flush(outbox)?;
        }
        let batch = self.batch.get_or_insert_with(|| Builder::new(self.buffers.take(MAX_BATCH + MAX_FILE)));
        let packed = |size| Packed { batch: self.sent, size: size as u64 };
        Ok(batch.add(index, file).map(|size| size.map(packed)))
    }

    /// Sends what is held back.
    pub fn flush(&mut self, outbox: &Outbox) -> Result<()> {
        match self.batch.take().and_then(Builder::finish) {
            Some(batch) => {
                self.sent += 1;
                outbox.send(Message::FileDataBatch(batch))
            }
            None => Ok(()),
        }
    }
}
