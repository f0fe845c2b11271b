//! The fuzz targets' entry points over a small corpus: what messages look like, and mutations of that. Found inputs stay here.

use std::path::Path;

use fastrand::Rng;
use sy::delta::Block;
use sy::options::Options;
use sy::plan::{Action, Changes, Decision};
use sy::protocol::buffers::Buffers;
use sy::protocol::codec;
use sy::protocol::message::{
    ChecksumResp, Counters, Deleted, DeltaData, FileData, FileDone, FileListAck, Message, Report, Role, SessionStart,
    Status, code, put_copy, put_literal,
};

#[path = "../fuzz/entries.rs"]
mod entries;

/// Mutations of each seed.
const MUTATIONS: u64 = 300;

fn some_options() -> Options {
    Options {
        recursive: true,
        bwlimit: Some(4096),
        backup: Some(b"~".to_vec()),
        filters: vec![b"- *.o".to_vec(), b": .rules".to_vec()],
        ..Options::default()
    }
}

/// Messages as real sessions have them.
fn messages() -> Vec<Vec<u8>> {
    let mut ops = Vec::new();
    put_copy(&mut ops, 1, 3);
    put_literal(&mut ops, b"literal");
    let decisions = vec![Decision { action: Action::Delta, changes: Changes::SIZE | Changes::TIME }, Decision::SKIP];
    let start = SessionStart {
        session_id: 7,
        role: Role::Receiver,
        seed: 1,
        echo: 2,
        options: some_options(),
        paths: vec![b"dir/".to_vec()],
    };
    let messages = vec![
        Message::SessionStart(Box::new(start)),
        Message::FileListAck(FileListAck { first: 0, last: true, decisions }),
        Message::FileData(FileData { index: 1, offset: 2, digest: Some([3; 16]), data: b"contents".to_vec().into() }),
        Message::DeltaData(DeltaData { index: 1, digest: None, ops: ops.into() }),
        Message::FileDone(FileDone { index: 1, status: Status::Redo }),
        Message::DeleteBatch(vec![Deleted { path: Path::new("a/b").into(), is_dir: true }]),
        Message::ChecksumReq { index: 9 },
        Message::ChecksumResp(ChecksumResp {
            index: 9,
            last: true,
            file_size: 5000,
            block_size: 700,
            blocks: vec![Block { weak: 1, strong: 2 }; 8],
        }),
        Message::Progress { entries: 1, bytes: 2 },
        Message::Keepalive { timestamp: 1, echo: Some(2) },
        Message::SessionEnd(Counters { listed: 3, ..Counters::default() }),
        Message::SessionOver { session_id: 7 },
        Message::Error(Report { fatal: true, code: sy::error::ExitCode::Stream, text: b"no".to_vec() }),
    ];
    let framed = |message: Message| {
        let frame = message.encode(&Buffers::default());
        [&frame.head[..], &frame.body].concat()
    };
    let mut frames: Vec<Vec<u8>> = messages.into_iter().map(framed).collect();
    // Two files and a directory in a list, a batch of two: put together by hand.
    let chunk = b"\0\0\0\x01\0\0\0\0\x03\0\0\x02\0\x01a\0\0\x01b\0\x01\x01d";
    let batch = b"\0\x02\0\0\0\x01\0\x03abc\0\0\0\x02\0\0";
    for (code, fields) in [(code::FILE_LIST_CHUNK, &chunk[..]), (code::FILE_DATA_BATCH, &batch[..])] {
        let len = (fields.len() + 1) as u32;
        frames.push([&len.to_be_bytes()[..], &[code], fields].concat());
    }
    frames
}

fn seeds() -> Vec<Vec<u8>> {
    let frames = messages();
    let mut options = Vec::new();
    codec::put_options(&mut options, &some_options());
    let rules: [&[u8]; 4] = [
        b"- *.o\n+ /a/**\nP x\n: .rules\n!\n-s [a-z]?\\*",
        b"dir-merge,-ew .rules\nhide,! a",
        b"*.[[:alpha:]]\n# x",
        b":C\n-C",
    ];
    let mut seeds: Vec<Vec<u8>> = frames.iter().map(|frame| frame[4..].to_vec()).collect();
    seeds.push(frames.concat());
    seeds.extend(frames);
    seeds.extend(rules.map(<[u8]>::to_vec));
    seeds.extend([Vec::new(), options, b"\x04\x80the same bytes and others the same bytes or others".to_vec()]);
    seeds.push([&[40, 4, 255][..], b"\0\0\0\0\x01\0\0\0\x02\x01\0\0\0\x03abc"].concat());
    seeds
}

fn mutated(seed: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..rng.usize(1..5) {
        let at = rng.usize(..=bytes.len());
        match rng.u8(..5) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.u8(..)),
            2 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            3 if at < bytes.len() => bytes[at] = *rng.choice(&[0, 1, 0x7f, 0x80, 0xff]).expect("some"),
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes
}

#[test]
fn no_entry_point_breaks_over_its_corpus() {
    let rng = &mut Rng::with_seed(6);
    for seed in seeds() {
        for (_, entry) in entries::ALL {
            entry(&seed);
        }
        for _ in 0..MUTATIONS {
            let bytes = mutated(&seed, rng);
            for (name, entry) in entries::ALL {
                // A file is written for each of these.
                if name != "merge_file" || rng.u8(..16) == 0 {
                    entry(&bytes);
                }
            }
        }
    }
}

#[test]
fn the_corpus_is_understood_before_it_is_mutated() {
    for frame in messages() {
        let raw = sy::protocol::frame::RawFrame { code: frame[4], payload: frame[5..].to_vec() };
        let message = Message::decode(raw, Path::new("root"), &Buffers::default());
        assert!(message.is_ok(), "{:#04x}: {:?}", frame[4], message.err());
    }
}

#[test]
fn every_entry_point_has_a_target_and_every_target_an_entry_point() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = std::fs::read_to_string(root.join("Cargo.toml")).expect("the targets' manifest");
    let files = std::fs::read_dir(root.join("fuzz_targets")).expect("the targets").count();
    assert_eq!((files, manifest.matches("[[bin]]").count()), (entries::ALL.len(), entries::ALL.len()));
    for (name, _) in entries::ALL {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")) && root.join(format!("fuzz_targets/{name}.rs")).exists(),
            "{name}"
        );
    }
}
