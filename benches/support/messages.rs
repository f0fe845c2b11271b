//! Messages and what they are made of, always the same for the same arguments.

use std::path::Path;

use sy::protocol::batch::{Batch, Builder, MAX_BATCH};
use sy::protocol::buffers::Buffers;
use sy::protocol::frame::RawFrame;
use sy::protocol::message::{FileData, FileList, Message};
use sy::protocol::payload::Payload;
use sy::tree::entry::{Entry, Kind, Timestamp};
use sy::tree::paths::Paths;

/// Incompressible bytes.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

fn name(file: usize) -> String {
    format!("module_{:03}/part_{:02}/file_{file:06}.rs", file / 100, file / 10 % 10)
}

/// A list of `count` regular files, as of a source tree.
pub fn list(count: usize) -> Vec<Entry> {
    let entry = |file: usize| Entry {
        paths: Paths::new(Path::new("/home/someone/source"), Path::new(&name(file))),
        kind: Kind::File { size: file as u64 * 37 },
        mode: 0o644,
        mtime: Timestamp { secs: 1_700_000_000 + file as i64, nanos: 123_456_789 },
        uid: 1000,
        gid: 1000,
        contents_listed: false,
        implied: false,
        seldom: None,
    };
    (0..count).map(entry).collect()
}

/// A FILE_LIST of these entries.
pub fn file_list(entries: Vec<Entry>) -> Message {
    Message::FileList(FileList {
        first: 0,
        last: true,
        incomplete: false,
        users: Vec::new(),
        groups: Vec::new(),
        entries,
    })
}

/// A FILE_DATA with this piece of a file.
pub fn file_data(data: Vec<u8>) -> Message {
    Message::FileData(FileData { index: 7, offset: 0, digest: None, data: Payload::from(data) })
}

/// A batch of `count` files of `size` bytes each.
pub fn batch(count: usize, size: usize, buffers: &Buffers) -> Batch {
    let contents = vec![b'x'; size];
    let mut builder = Builder::new(buffers.take(MAX_BATCH));
    for index in 0..count {
        builder.add(index as u32, &mut &contents[..]).expect("slices do not fail").expect("small enough");
    }
    builder.finish().expect("not empty")
}

/// The frame of `message` as it arrives.
pub fn arrived(message: Message) -> RawFrame {
    let code = message.code();
    let frame = message.encode(&Buffers::default());
    let bytes = [&frame.head[..], &frame.body].concat();
    // Behind length and code.
    RawFrame { code, payload: bytes[5..].to_vec() }
}

/// What a frame that arrived says.
pub fn decode(frame: RawFrame, buffers: &Buffers) -> Message {
    Message::decode(frame, Path::new("/home/someone/destination"), buffers).expect("our own message")
}
