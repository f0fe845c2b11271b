//! FILE_DATA_BATCH: several small files in one message, as the plan lays it out:
//! `count:u16`, then `index:u32 size:u16 data` for each file.
//!
//! A file is in it whole or not at all, so nothing has to be put together and there is no digest: the link vouches for
//! a frame's bytes. A batch is judged whole before any of it is used.

use std::io::{self, Read};

use bytes::BufMut;

use super::codec::Reader;
use super::payload::Payload;
use crate::error::{Error, Result};

/// Most files of one batch.
pub const MAX_FILES: usize = 64;
/// Longest file in a batch, in bytes.
pub const MAX_FILE: usize = 8 << 10;
/// Most bytes of contents in a batch.
pub const MAX_CONTENTS: usize = 256 << 10;
/// Most bytes of a batch on the wire.
pub const MAX_BATCH: usize = 2 + MAX_FILES * HEAD + MAX_CONTENTS;

/// Index and size.
const HEAD: usize = 6;

/// A batch that has been judged, or that we made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub(super) bytes: Payload,
}

impl Batch {
    /// Takes a received message's bytes.
    ///
    /// # Errors
    /// [`Error::Stream`] for no file or too many, for a file or a sum that is too large, for an index that comes again,
    /// and for bytes that are missing or left over.
    pub fn judge(bytes: Payload) -> Result<Batch> {
        let mut reader = Reader::new(&bytes);
        let count = usize::from(reader.u16()?);
        if !(1..=MAX_FILES).contains(&count) {
            return Err(Error::Stream(format!("a batch of {count} files (allowed: 1 to {MAX_FILES})")));
        }
        let (mut indexes, mut contents) = ([0; MAX_FILES], 0);
        for place in 0..count {
            let (index, size) = (reader.u32()?, usize::from(reader.u16()?));
            reader.bytes(size)?;
            contents += size;
            if size > MAX_FILE || contents > MAX_CONTENTS {
                return Err(Error::Stream(format!("file {index} of {size} bytes is too large for its batch")));
            }
            if indexes[..place].contains(&index) {
                return Err(Error::Stream(format!("file {index} comes twice in a batch")));
            }
            indexes[place] = index;
        }
        reader.finish()?;
        Ok(Batch { bytes })
    }

    /// The files: index and contents.
    pub fn files(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut rest = self.bytes.get(2..).unwrap_or_default();
        std::iter::from_fn(move || {
            // Each split succeeds but at the end: `judge` has walked the same way.
            let (index, after) = rest.split_first_chunk()?;
            let (size, after) = after.split_first_chunk()?;
            let (contents, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*size)))?;
            rest = after;
            Some((u32::from_be_bytes(*index), contents))
        })
    }

    /// The bytes on the wire, for their buffer to be used again.
    pub fn into_bytes(self) -> Payload {
        self.bytes
    }
}

/// A batch in the making. Files are read to where they will be sent from.
#[derive(Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    count: u16,
}

impl Builder {
    /// Makes the batch in `buffer`, which should have room for [`MAX_BATCH`] bytes.
    pub fn new(mut buffer: Vec<u8>) -> Builder {
        buffer.put_u16(0);
        Builder { bytes: buffer, count: 0 }
    }

    /// Whether a file of `size` bytes has no room any more.
    pub fn is_full_for(&self, size: usize) -> bool {
        let contents = self.bytes.len() - 2 - usize::from(self.count) * HEAD;
        usize::from(self.count) == MAX_FILES || contents + size > MAX_CONTENTS
    }

    /// Reads a file to its end, for which there must be room; says how many bytes, or `None` if it is no small file after
    /// all and so not in the batch.
    ///
    /// # Errors
    /// Those of reading; the batch is then as before.
    pub fn add(&mut self, index: u32, file: &mut dyn Read) -> io::Result<Option<usize>> {
        let before = self.bytes.len();
        self.bytes.put_u32(index);
        self.bytes.put_u16(0);
        let start = self.bytes.len();
        let read = file.take(MAX_FILE as u64 + 1).read_to_end(&mut self.bytes);
        match read {
            Ok(size) if size <= MAX_FILE => {
                // At most 8 KiB.
                self.bytes[start - 2..start].copy_from_slice(&(size as u16).to_be_bytes());
                self.count += 1;
                Ok(Some(size))
            }
            other => {
                self.bytes.truncate(before);
                other.map(|_| None)
            }
        }
    }

    /// The batch; `None` if there is nothing in it.
    pub fn finish(mut self) -> Option<Batch> {
        self.bytes[..2].copy_from_slice(&self.count.to_be_bytes());
        (self.count > 0).then(|| Batch { bytes: self.bytes.into() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn build(files: &[(u32, Vec<u8>)]) -> Option<Batch> {
        let mut builder = Builder::new(Vec::new());
        for (index, contents) in files {
            assert!(!builder.is_full_for(contents.len()));
            builder.add(*index, &mut &contents[..]).expect("slices do not fail");
        }
        builder.finish()
    }

    proptest! {
        #[test]
        fn files_come_out_as_they_went_in(
            files in proptest::collection::btree_map(any::<u32>(), proptest::collection::vec(any::<u8>(), 0..300), 1..MAX_FILES),
        ) {
            let files: Vec<(u32, Vec<u8>)> = files.into_iter().collect();
            let batch = build(&files).expect("some files");
            let judged = Batch::judge(batch.bytes).expect("our own");
            let unpacked: Vec<(u32, Vec<u8>)> = judged.files().map(|(index, bytes)| (index, bytes.to_vec())).collect();
            prop_assert_eq!(unpacked, files);
        }

        #[test]
        fn any_bytes_are_refused_or_walked_to_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let count = u16::from_be_bytes([bytes.first().copied().unwrap_or(0), bytes.get(1).copied().unwrap_or(0)]);
            if let Ok(batch) = Batch::judge(bytes.into()) {
                prop_assert_eq!(batch.files().count(), usize::from(count));
            }
        }
    }

    #[test]
    fn a_batch_without_files_with_too_many_or_with_one_twice_is_refused() {
        let judge = |bytes: Vec<u8>| Batch::judge(bytes.into()).map(|_| ()).map_err(|error| error.to_string());
        let file = |index: u32, size: u16, data: &[u8]| [&index.to_be_bytes()[..], &size.to_be_bytes(), data].concat();
        let batch = |count: u16, files: &[Vec<u8>]| [&count.to_be_bytes()[..], &files.concat()].concat();
        assert!(judge(batch(1, &[file(7, 2, b"ab")])).is_ok());
        assert!(judge(Vec::new()).is_err());
        assert!(judge(batch(0, &[])).is_err(), "no file");
        assert!(judge(batch(2, &[file(7, 2, b"ab")])).is_err(), "a file is missing");
        assert!(judge(batch(1, &[file(7, 2, b"ab"), file(8, 0, b"")])).is_err(), "a file is left over");
        assert!(judge(batch(1, &[file(7, 3, b"ab")])).is_err(), "a size beyond the frame");
        assert!(judge(batch(2, &[file(7, 0, b""), file(7, 0, b"")])).is_err(), "one file twice");
        assert!(judge(batch(1, &[file(7, 8193, &[0; 8193])])).is_err(), "a file too large");
        let many: Vec<Vec<u8>> = (0..65).map(|index| file(index, 0, b"")).collect();
        assert!(judge(batch(64, &many[..64])).is_ok() && judge(batch(65, &many)).is_err(), "too many");
        let large: Vec<Vec<u8>> = (0..33).map(|index| file(index, 8192, &[0; 8192])).collect();
        assert!(judge(batch(32, &large[..32])).is_ok() && judge(batch(33, &large)).is_err(), "too much");
    }

    #[test]
    fn a_file_that_turns_out_too_large_or_unreadable_is_not_in_the_batch() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut builder = Builder::new(Vec::new());
        assert_eq!(builder.add(1, &mut &b"one"[..]).unwrap(), Some(3));
        assert_eq!(builder.add(2, &mut io::repeat(0)).unwrap(), None);
        assert!(builder.add(3, &mut (&b"part"[..]).chain(Broken)).is_err());
        assert_eq!(builder.add(4, &mut &b""[..]).unwrap(), Some(0));
        let batch = Batch::judge(builder.finish().unwrap().bytes).unwrap();
        assert_eq!(batch.files().collect::<Vec<_>>(), [(1, &b"one"[..]), (4, b"")]);
        assert!(Builder::new(Vec::new()).finish().is_none());
    }

    #[test]
    fn a_batch_is_full_at_its_count_and_at_its_bytes() {
        let mut builder = Builder::new(Vec::new());
        for index in 0..32 {
            assert!(!builder.is_full_for(MAX_FILE));
            builder.add(index, &mut &[0; MAX_FILE][..]).unwrap();
        }
        assert!(builder.is_full_for(1) && !builder.is_full_for(0));
        for index in 32..64 {
            builder.add(index, &mut &b""[..]).unwrap();
        }
        assert!(builder.is_full_for(0));
        assert!(builder.finish().unwrap().bytes.len() <= MAX_BATCH);
    }
}
