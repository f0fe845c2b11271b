//! How small files share messages. Seam for phase 1.2, `small-file-batch`.
//!
//! `single` is the baseline: a FILE_DATA for each file. `packed` puts small files into FILE_DATA_BATCH, where the peer has
//! said that it wants that. Both offer `Packer`: it is asked whether it takes a file and has a batch begun, given the file to
//! read, and told to `flush` what it holds back before the sender waits.

#[cfg(any(test, feature = "small-file-batch"))]
mod packed;
#[cfg(any(test, not(feature = "small-file-batch")))]
mod single;

#[cfg(feature = "small-file-batch")]
pub use packed::Packer;
#[cfg(not(feature = "small-file-batch"))]
pub use single::Packer;

/// A small file that was read into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The batch's number, counted from 0.
    pub batch: u64,
    /// Length of the file in bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::events::Monitor;
    use crate::phases;
    use crate::protocol::buffers::Buffers;
    use crate::protocol::frame::read_frame;
    use crate::protocol::hello::Clock;
    use crate::protocol::message::{Message, Role};
    use crate::session::channel::{self, Outbox, Settings};
    use crate::session::round_trip::{Distance, RoundTrip};
    use crate::transport::memory;

    /// What the other end hears of what `send` says.
    fn heard(send: impl FnOnce(&Outbox)) -> Vec<Message> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (near, mut far) = memory::pair(1 << 20);
            let settings = Settings {
                role: Role::Sender,
                timeout: None,
                compress: false,
                bwlimit: None,
                remarks: 0,
                root: Default::default(),
                buffers: Buffers::default(),
                distance: Distance { clock: Clock::start(), known: RoundTrip::new(None), asks: false },
                greeting: None,
                session_id: None,
                first_word: None,
            };
            let monitor = Arc::new(Monitor::deaf());
            let (inbox, outbox, ends) = channel::open(near, settings, monitor, Default::default());
            send(&outbox);
            drop((inbox, outbox));
            ends.writing.await.expect("written");
            let mut messages = Vec::new();
            let buffers = Buffers::default();
            while let Some(frame) = read_frame(&mut far.reader, None, &buffers).await.expect("our own frames") {
                messages.push(Message::decode(frame, Path::new("/r"), &buffers).expect("our own message"));
            }
            messages
        })
    }

    #[test]
    fn packed_files_go_out_when_the_batch_is_full_or_flushed_and_single_ones_are_left_to_the_sender() {
        let messages = heard(|outbox| {
            let mut packer = packed::Packer::new(u64::MAX, &Buffers::default());
            for index in 0..70 {
                let packed = packer.pack(outbox, index, &mut &[index as u8; 10][..]).unwrap().unwrap();
                assert_eq!(packed, Some(Packed { batch: u64::from(index / 64), size: 10 }));
            }
            assert_eq!(packer.pack(outbox, 70, &mut std::io::repeat(0)).unwrap().unwrap(), None);
            assert!(packer.is_open());
            packer.flush(outbox).unwrap();
            packer.flush(outbox).unwrap();
            assert!(!packer.is_open());
            let mut single = single::Packer::new(u64::MAX, &Buffers::default());
            assert_eq!(single.pack(outbox, 71, &mut &b"x"[..]).unwrap().unwrap(), None);
            single.flush(outbox).unwrap();
            assert!(!single.is_open());
        });
        let counts: Vec<usize> = messages
            .iter()
            .map(|message| match message {
                Message::FileDataBatch(batch) => batch.files().count(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(counts, [64, 6]);
    }

    #[test]
    fn a_file_is_packed_only_if_it_is_small_and_the_peer_takes_batches() {
        let able = phases::capability("1.2");
        let packed = |peer: u64, size: u64| packed::Packer::new(peer, &Buffers::default()).takes(size);
        assert!(packed(able, 0) && packed(able, 8 << 10) && !packed(able, (8 << 10) + 1));
        assert!(!packed(!able, 0));
        assert!(!single::Packer::new(u64::MAX, &Buffers::default()).takes(0));
    }
}
