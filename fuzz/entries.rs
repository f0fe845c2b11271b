//! What the fuzz targets do with a peer's bytes: each function takes anything and may panic only over a bug.
//!
//! The suite runs the same functions over a small corpus (`tests/fuzz.rs`), so that they keep up with the code.

use std::future::Future;
use std::path::Path;
use std::sync::OnceLock;

use sy::delta::{Generator, Geometry, Op, Options, Patcher, Signature};
use sy::filter::{self, Filter, Scopes, Side};
use sy::protocol::batch::Batch;
use sy::protocol::buffers::Buffers;
use sy::protocol::codec::Reader;
use sy::protocol::frame::{Frame, RawFrame, read_frame};
use sy::protocol::hello;
use sy::protocol::message::{DeltaOps, Message, code};
use sy::protocol::{chunk, codec};
use sy::tree::dir::Tree;
use tokio::runtime::{Builder, Runtime};

/// What takes a peer's bytes.
pub type EntryPoint = fn(&[u8]);

/// Every entry point by its target's name.
pub const ALL: [(&str, EntryPoint); 9] = [
    ("frames", frames),
    ("hello", greeting),
    ("message", message),
    ("chunk", chunk_of_a_list),
    ("options", options),
    ("delta_ops", delta_ops),
    ("delta", delta),
    ("filter", filter_rules),
    ("merge_file", merge_file),
];

/// A link that says these bytes and ends, as a receiver reads it.
pub fn frames(mut data: &[u8]) {
    let buffers = Buffers::default();
    while let Ok(Some(frame)) = at_once(read_frame(&mut data, None, &buffers)) {
        understand(frame);
    }
}

/// What comes in the place of a greeting.
pub fn greeting(mut data: &[u8]) {
    let _ = at_once(hello::read(&mut data, None)).map(|hello| hello.agree().is_ok());
}

/// One message: its code, then its fields.
pub fn message(data: &[u8]) {
    if let Some((code, payload)) = data.split_first() {
        understand(RawFrame { code: *code, payload: payload.to_vec() });
    }
}

/// What is understood can be said again, and is understood again.
fn understand(frame: RawFrame) {
    let (root, buffers) = (Path::new("root"), Buffers::default());
    let Ok(message) = Message::decode(frame, root, &buffers) else { return };
    match &message {
        Message::DeltaData(delta) => drop(DeltaOps::new(&delta.ops).count()),
        Message::FileDataBatch(batch) => drop(Batch::files(batch).count()),
        Message::FileListChunk(chunk) => {
            for path in [".", "a/b"] {
                let _ = chunk.open(root, Path::new(path)).map(|contents| contents.room());
            }
        }
        _ => {}
    }
    let code = message.code();
    let Frame { head, body } = message.encode(&buffers);
    let payload = [&head[5..], &body[..]].concat();
    let again = Message::decode(RawFrame { code, payload }, root, &buffers);
    assert!(again.is_ok(), "{code:#04x}: {:?}", again.err());
}

/// A chunk of a list, for each directory that it may be of.
pub fn chunk_of_a_list(data: &[u8]) {
    message(&[&[code::FILE_LIST_CHUNK], data].concat());
    let _ = chunk::number(&mut Reader::new(data));
    let _ = codec::entry(&mut Reader::new(data), Path::new("root"));
}

/// The options of a session, with the fields that have no bit.
pub fn options(data: &[u8]) {
    let Ok(options) = codec::options(&mut Reader::new(data)) else { return };
    let mut said = Vec::new();
    codec::put_options(&mut said, &options);
    let again = codec::options(&mut Reader::new(&said));
    assert_eq!(again.ok(), Some(options));
}

/// Operations of a peer's, applied to a basis of ours.
pub fn delta_ops(data: &[u8]) {
    let [size, block, limit, ops @ ..] = data else { return };
    let basis = vec![7; usize::from(*size)];
    let geometry = Geometry { file_size: u64::from(*size), block_size: u32::from(*block).max(1) };
    let limit = u64::from(*limit) * 16;
    let (mut patcher, mut written) = (Patcher::new(geometry, limit), 0);
    for op in DeltaOps::new(ops) {
        let Ok(op) = op else { return };
        let applied = patcher.apply(op, &basis[..], &mut |bytes| {
            written += bytes.len() as u64;
            Ok(())
        });
        assert!(written <= limit && written == patcher.written());
        if applied.is_err() {
            return;
        }
    }
}

/// A basis and a new file: the delta of the two makes the second of the first.
pub fn delta(data: &[u8]) {
    let [block, cut, rest @ ..] = data else { return };
    let (basis, new) = rest.split_at(rest.len() * usize::from(*cut) / 256);
    let block_size = u32::from(*block).max(1);
    let signature = Signature::of(basis, basis.len() as u64, block_size, 3).expect("memory can be read");
    let Ok(()) = signature.validate() else { return };
    let mut patcher = Patcher::new(signature.geometry(), new.len() as u64);
    let mut made = Vec::new();
    let generator = Generator::new(&signature, Options { seed: 3, in_place: false });
    let mut apply = |op: Op<'_>| {
        let mut emit = |bytes: &[u8]| {
            made.extend_from_slice(bytes);
            Ok(())
        };
        patcher.apply(op, basis, &mut emit).expect("our own operations");
        Ok(())
    };
    let summary = generator.generate(&mut &new[..], &mut apply).expect("memory can be read");
    assert_eq!(made, new);
    assert_eq!(summary.literal + summary.matched, new.len() as u64);
}

/// Rules of a peer's, and what they say of some names.
pub fn filter_rules(data: &[u8]) {
    let rules: Vec<Vec<u8>> = data.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut hiding = rules.clone();
    let _ = filter::hiding_only(&mut hiding);
    let Ok(filter) = Filter::parse(&rules) else { return };
    let filter = filter.with_root(Path::new("/home/somebody/tree"));
    for (path, is_dir) in NAMES {
        for side in [Side::Sender, Side::Receiver] {
            let verdict = filter.verdict(side, Path::new(path), is_dir);
            assert_eq!(verdict, filter.verdict(side, Path::new(path), is_dir));
            filter.surely_excludes(side, Path::new(path), is_dir);
        }
        filter.verdict_when_deleting(Path::new(path), is_dir);
    }
}

/// Names that rules of all forms are about.
const NAMES: [(&str, bool); 6] = [
    ("a", false),
    ("a", true),
    ("dir/sub/a.o", false),
    ("dir/sub", true),
    ("**", false),
    ("a\\b[c]/\u{e9}\u{1}", false),
];

/// A merge file in the tree, read as a walk comes through its directory.
pub fn merge_file(data: &[u8]) {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| tempfile::tempdir().expect("a temporary directory"));
    std::fs::write(dir.path().join(".rules"), data).expect("room for a file");
    let tree = Tree::open(dir.path()).expect("it is there");
    for rule in [": .rules", ":- .rules", ":+ew .rules", ":n .rules"] {
        let filter = Filter::parse(&[rule.as_bytes().to_vec()]).expect("a rule");
        let mut scopes = Scopes::new(filter.with_root(dir.path()), Side::Sender);
        let _ = scopes.enter(&tree, Path::new("."));
        for (path, is_dir) in NAMES {
            scopes.verdict(Path::new(path), is_dir);
        }
    }
}

/// What reads memory, and waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().expect("a runtime")).block_on(future)
}
