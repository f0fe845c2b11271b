//! Properties of the codec: what is encoded is decoded to the same, and nothing that a peer sends makes it panic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::batch::{Batch, Builder, MAX_BATCH};
use super::buffers::Buffers;
use super::codec::valid_name;
use super::frame::{HEADER, MAX_FRAME, RawFrame, parse_header};
use super::message::*;
use super::payload::Payload;
use crate::delta::{Block, Op};
use crate::error::ExitCode;
use crate::events::About;
use crate::options::{DeleteTime, Options};
use crate::plan::{Action, Changes, Decision};
use crate::tree::capability::Capability;
use crate::tree::entry::{Entry, Kind, Seldom, Timestamp};
use crate::tree::paths::Paths;

fn name() -> impl Strategy<Value = PathBuf> {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    let part = vec(any::<u8>().prop_filter("no separator", |byte| *byte != b'/' && *byte != 0), 1..12);
    vec(part, 1..4)
        .prop_map(|parts| parts.join(&b'/'))
        .prop_filter("stays below the root", |name| valid_name(name) && name != b".")
        .prop_map(|name| PathBuf::from(OsString::from_vec(name)))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        any::<u64>().prop_map(|size| Kind::File { size }),
        Just(Kind::Dir),
        name().prop_map(|target| Kind::Symlink { target: target.into() }),
        Just(Kind::Fifo),
        Just(Kind::Socket),
        any::<u64>().prop_map(|rdev| Kind::CharDevice { rdev }),
        any::<u64>().prop_map(|rdev| Kind::BlockDevice { rdev }),
    ]
}

prop_compose! {
    fn entry()(
        name in name(), kind in kind(), mode in 0u32..0o10000, secs in any::<i64>(), nanos in 0u32..1_000_000_000,
        uid in any::<u32>(), gid in any::<u32>(), link_group in any::<Option<u32>>(), digest in any::<Option<[u8; 16]>>(),
        atime in any::<Option<(i64, u16)>>(),
    ) -> Entry {
        let mtime = Timestamp { secs, nanos };
        let contents_listed = kind == Kind::Dir && nanos % 2 == 0;
        let implied = kind == Kind::Dir && !contents_listed && secs % 2 == 0;
        let atime = atime.map(|(secs, nanos)| Timestamp { secs, nanos: nanos.into() });
        let seldom = Seldom { link_group, digest, atime, ..Seldom::default() }.boxed();
        let paths = Paths::new(Path::new("/r"), &name);
        Entry { paths, kind, mode, mtime, uid, gid, contents_listed, implied, seldom }
    }
}

fn decision() -> impl Strategy<Value = Decision> {
    (0u8..6, any::<u16>()).prop_map(|(action, bits)| Decision {
        action: Action::from_wire(action).expect("in range"),
        changes: Changes::from_bits_truncate(bits),
    })
}

fn message() -> impl Strategy<Value = Message> {
    let names = || vec((any::<u32>(), vec(any::<u8>(), 0..20)), 0..4);
    let blocks = vec((any::<u32>(), any::<u64>()).prop_map(|(weak, strong)| Block { weak, strong }), 0..40);
    let bytes = || vec(any::<u8>(), 0..2000).prop_map(Payload::from);
    let status = prop_oneof![Just(Status::Done), Just(Status::Failed), Just(Status::Vanished), Just(Status::Redo)];
    prop_oneof![
        (any::<[u64; 3]>(), vec(vec(1u8.., 0..30), 1..2), vec(vec(any::<u8>(), 0..30), 0..4)).prop_map(
            |([session_id, seed, echo], paths, filters)| Message::SessionStart(Box::new(SessionStart {
                session_id,
                role: Role::Receiver,
                seed,
                echo,
                options: Options {
                    delete: Some(DeleteTime::Delay),
                    max_delete: Some(seed),
                    filters,
                    ..Options::default()
                },
                paths,
            }))
        ),
        (any::<u32>(), any::<[bool; 2]>(), names(), names(), vec(entry(), 0..12)).prop_map(
            |(first, [last, incomplete], users, groups, entries)| Message::FileList(FileList {
                first,
                last,
                incomplete,
                users,
                groups,
                entries
            })
        ),
        (any::<u32>(), any::<bool>(), vec(decision(), 0..40))
            .prop_map(|(first, last, decisions)| Message::FileListAck(FileListAck { first, last, decisions })),
        (any::<u32>(), any::<u64>(), any::<Option<[u8; 16]>>(), bytes())
            .prop_map(|(index, offset, digest, data)| Message::FileData(FileData { index, offset, digest, data })),
        btree_map(any::<u32>(), vec(any::<u8>(), 0..90), 1..9).prop_map(|files| Message::FileDataBatch(batch(&files))),
        (any::<u32>(), status).prop_map(|(index, status)| Message::FileDone(FileDone { index, status })),
        vec((name(), any::<bool>()).prop_map(|(path, is_dir)| Deleted { path, is_dir }), 0..9)
            .prop_map(Message::DeleteBatch),
        any::<u32>().prop_map(|index| Message::ChecksumReq { index }),
        (any::<u32>(), any::<bool>(), any::<u64>(), any::<u32>(), blocks).prop_map(
            |(index, last, file_size, block_size, blocks)| Message::ChecksumResp(ChecksumResp {
                index,
                last,
                file_size,
                block_size,
                blocks
            })
        ),
        (any::<u32>(), any::<Option<[u8; 16]>>(), bytes())
            .prop_map(|(index, digest, ops)| Message::DeltaData(DeltaData { index, digest, ops })),
        any::<(u32, u64, u64)>().prop_map(|(index, offset, len)| Message::FileHole { index, offset, len }),
        (any::<u32>(), any::<u16>(), proptest::option::of(vec(any::<u8>(), 0..900)))
            .prop_map(|(index, place, value)| Message::XattrValue(XattrValue { index, place, value })),
        name().prop_map(|path| Message::Unkept { capability: Capability::Xattrs, path }),
        any::<[u64; 2]>().prop_map(|[entries, bytes]| Message::Progress { entries, bytes }),
        (any::<u64>(), any::<Option<u64>>()).prop_map(|(timestamp, echo)| Message::Keepalive { timestamp, echo }),
        any::<[u64; 7]>().prop_map(|[listed, created, matched, depth, first, last, list]| {
            let stages_us = [first, 0, 0, 0, last];
            let heap = HeapCounts { list, ..HeapCounts::default() };
            Message::SessionEnd(Counters { listed, created, matched, depth, stages_us, heap, ..Counters::default() })
        }),
        any::<u64>().prop_map(|session_id| Message::SessionOver { session_id }),
        (any::<u8>(), vec(any::<u8>(), 0..90)).prop_map(|(level, text)| Message::Remark(Remark {
            about: About::UnsafeLink,
            level,
            text
        })),
        (any::<bool>(), vec(any::<u8>(), 0..90)).prop_map(|(fatal, text)| Message::Error(Report {
            fatal,
            code: ExitCode::Partial,
            text
        })),
    ]
}

fn batch(files: &BTreeMap<u32, Vec<u8>>) -> Batch {
    let mut builder = Builder::new(Vec::new());
    for (index, contents) in files {
        builder.add(*index, &mut &contents[..]).expect("slices do not fail");
    }
    builder.finish().expect("there are files")
}

fn bytes_of(message: &Message) -> Vec<u8> {
    let frame = message.clone().encode(&Buffers::default());
    [&frame.head[..], &frame.body].concat()
}

fn decode(bytes: &[u8]) -> crate::error::Result<Message> {
    decode_as(bytes[4], bytes[HEADER..].to_vec())
}

fn decode_as(code: u8, payload: Vec<u8>) -> crate::error::Result<Message> {
    Message::decode(RawFrame { code, payload }, Path::new("/r"), &Buffers::default())
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_the_same(message in message()) {
        let bytes = bytes_of(&message);
        let header = bytes[..HEADER].try_into().expect("a header");
        prop_assert_eq!(parse_header(header).expect("a legal length"), (bytes.len() - HEADER, message.code()));
        let decoded = decode(&bytes).expect("our own message");
        prop_assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
    }

    #[test]
    fn a_damaged_message_is_refused_or_read_but_never_a_panic(
        message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes_of(&message);
        let place = HEADER - 1 + at.index(bytes.len() - HEADER + 1);
        bytes[place] = byte;
        let _ = decode(&bytes);
        bytes.truncate(HEADER + cut.index(bytes.len() - HEADER + 1));
        let _ = decode(&bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_read_but_never_a_panic(code in any::<u8>(), payload in vec(any::<u8>(), 0..300)) {
        let _ = decode_as(code, payload.clone());
        DeltaOps::new(&payload).for_each(drop);
    }

    #[test]
    fn delta_operations_come_out_as_they_went_in(ops in vec((any::<[u32; 2]>(), vec(any::<u8>(), 0..50)), 0..20)) {
        let mut packed = Vec::new();
        for ([block, count], literal) in &ops {
            put_copy(&mut packed, *block, *count);
            put_literal(&mut packed, literal);
        }
        let unpacked = DeltaOps::new(&packed).collect::<crate::error::Result<Vec<_>>>().expect("our own");
        prop_assert_eq!(unpacked.len(), ops.len() * 2);
    }
}

#[test]
fn a_count_that_the_frame_has_no_room_for_is_refused_before_anything_is_allocated() {
    for code in [code::FILE_LIST, code::FILE_LIST_ACK, code::DELETE_BATCH, code::CHECKSUM_RESP] {
        let payload = vec![0xff; 64];
        assert!(decode_as(code, payload).is_err(), "{code:#x}");
    }
}

#[test]
fn a_message_with_bytes_left_over_is_refused() {
    let mut bytes = bytes_of(&Message::Keepalive { timestamp: 1, echo: None });
    bytes.push(0);
    assert!(decode(&bytes).is_err());
}

#[test]
fn the_largest_pieces_that_we_send_fit_a_frame() {
    let data = Payload::from(vec![0; 256 << 10]);
    let bytes = bytes_of(&Message::FileData(FileData { index: 0, offset: 0, digest: Some([0; 16]), data }));
    assert!(bytes.len() <= MAX_FRAME);
    const { assert!(HEADER + MAX_BATCH <= MAX_FRAME) };
}

#[test]
fn counts_of_another_version_are_taken_as_far_as_both_know_them() {
    let numbers = |count: u8| -> Vec<u8> {
        let numbers = (1..=u64::from(count)).flat_map(u64::to_be_bytes);
        [count].into_iter().chain(numbers).collect()
    };
    let decode = |payload: &[u8]| match decode_as(code::SESSION_END, payload.to_vec()) {
        Ok(Message::SessionEnd(counters)) => Some(counters),
        _ => None,
    };
    assert_eq!(decode(&numbers(2)), Some(Counters { listed: 1, created: 2, ..Counters::default() }));
    assert_eq!(decode(&numbers(255)).map(|all| (all.listed, all.heap.list)), Some((1, 20)));
    let missing_one = &numbers(255)[..255 * 8];
    assert_eq!(decode(missing_one), None, "a count that the frame has no room for");
}

#[test]
fn zeros_in_a_delta_take_no_room_and_come_out_as_they_went_in() {
    let pieces = [vec![1; 5000], vec![0; 20_000], vec![2; 1], vec![0; 30_000], vec![0; 9000]];
    for bytes in [pieces.concat(), vec![0; 4095], vec![0; 64 << 10], Vec::new(), vec![3; 9000]] {
        let mut packed = Vec::new();
        put_sparse_literal(&mut packed, &bytes);
        let mut unpacked = Vec::new();
        for op in DeltaOps::new(&packed) {
            let Ok(Op::Literal(bytes)) = op else { panic!("{op:?}") };
            unpacked.extend_from_slice(bytes);
        }
        assert!(unpacked == bytes);
        assert!(packed.len() < 20_000, "{} bytes", packed.len());
    }
    assert!(DeltaOps::new(b"\x02\0\x01\0\x01").next().is_some_and(|op| op.is_err()), "more than a literal has");
}
