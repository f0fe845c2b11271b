//! Properties of the whole way: signature, generation, patching.

use std::io::{self, Read};

use proptest::collection::vec;
use proptest::prelude::*;

use super::expect::{Anywhere, Expect, Neighbour};
use super::window::{Drain, Ring, Window};
use super::*;

const SEED: u64 = 0x5EED;

/// An operation that outlives the sink's call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Copy(u32, u32),
    Literal(Vec<u8>),
}

impl Owned {
    fn borrow(&self) -> Op<'_> {
        match self {
            Owned::Copy(block, count) => Op::Copy { block: *block, count: *count },
            Owned::Literal(bytes) => Op::Literal(bytes),
        }
    }
}

fn sign(basis: &[u8], block_size: u32) -> Signature {
    let signature = Signature::of(basis, basis.len() as u64, block_size, SEED).unwrap();
    signature.validate().unwrap();
    signature
}

/// What a generation came to, its operations and its counts.
type Outcome = (Vec<Owned>, Summary);

fn generate<W: Window, E: Expect>(signature: &Signature, in_place: bool, reader: &mut dyn Read) -> Outcome {
    let mut ops = Vec::new();
    let mut sink = |op: Op<'_>| {
        ops.push(match op {
            Op::Copy { block, count } => Owned::Copy(block, count),
            Op::Literal(bytes) => Owned::Literal(bytes.to_vec()),
        });
        Ok(())
    };
    let generator = Generator::new(signature, Options { seed: SEED, in_place });
    let summary = generator.generate_with::<W, E>(reader, &mut sink).unwrap();
    (ops, summary)
}

/// With the window of phase 3.2 and without: the same to the last hash.
fn in_both_windows<E: Expect>(signature: &Signature, in_place: bool, new: &[u8]) -> Outcome {
    let outcome = generate::<Drain, E>(signature, in_place, &mut &new[..]);
    assert!(outcome == generate::<Ring, E>(signature, in_place, &mut &new[..]), "the windows differ");
    check_summary(&outcome.0, &outcome.1, new);
    outcome
}

/// In every way that a build may have: with the expectation of phase 6.1 and without, each in both windows.
fn in_all_ways(signature: &Signature, in_place: bool, new: &[u8]) -> [Outcome; 2] {
    [in_both_windows::<Anywhere>(signature, in_place, new), in_both_windows::<Neighbour>(signature, in_place, new)]
}

fn patch(signature: &Signature, ops: &[Owned], basis: &[u8], size: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut patcher = Patcher::new(signature.geometry(), size);
    for op in ops {
        let emit = &mut |piece: &[u8]| {
            out.extend_from_slice(piece);
            Ok(())
        };
        patcher.apply(op.borrow(), basis, emit).unwrap();
    }
    out
}

/// Generates in all ways, patches, and checks what must hold for every pair of files. The summary is the dearest way's.
fn round_trip(basis: &[u8], new: &[u8], block_size: u32) -> Summary {
    let signature = sign(basis, block_size);
    let [first, second] = in_all_ways(&signature, false, new).map(|(ops, summary)| {
        assert!(patch(&signature, &ops, basis, new.len() as u64) == new, "the patched file differs");
        summary
    });
    Summary {
        literal: first.literal.max(second.literal),
        matched: first.matched.min(second.matched),
        strong_checks: first.strong_checks.max(second.strong_checks),
        ..first
    }
}

fn check_summary(ops: &[Owned], summary: &Summary, new: &[u8]) {
    let literals = ops.iter().map(|op| if let Owned::Literal(bytes) = op { bytes.len() } else { 0 });
    assert!(literals.clone().all(|len| len <= 64 << 10));
    assert_eq!(summary.literal, literals.sum::<usize>() as u64);
    assert_eq!(summary.size, new.len() as u64);
    assert_eq!(summary.literal + summary.matched, summary.size);
    let mut digest = strong::Hasher::new(SEED);
    digest.update(new);
    assert_eq!(summary.digest, digest.finish());
}

/// Applies `ops` to the basis' own buffer, as `--inplace` does.
fn patch_in_place(signature: &Signature, ops: &[Owned], basis: &[u8], size: usize) -> Vec<u8> {
    let mut file = basis.to_vec();
    let mut at = 0;
    for op in ops {
        let piece = match op {
            Owned::Copy(block, count) => {
                let range = signature.geometry().range(*block, *count).unwrap();
                file[range.start as usize..range.end as usize].to_vec()
            }
            Owned::Literal(bytes) => bytes.clone(),
        };
        file.resize(file.len().max(at + piece.len()), 0);
        file[at..at + piece.len()].copy_from_slice(&piece);
        at += piece.len();
    }
    assert_eq!(at, size);
    file.truncate(size);
    file
}

/// Incompressible bytes, the same for the same seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// A reader that gives a few bytes at a time and is interrupted between.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = (self.1 * 31 % 97 + 1).min(buffer.len());
        self.0.read(&mut buffer[..count])
    }
}

/// One edit as people make them; places are fractions of the file, so that they shrink well.
#[derive(Clone, Debug)]
enum Edit {
    Overwrite(f64, Vec<u8>),
    Insert(f64, Vec<u8>),
    Delete(f64, usize),
    Append(Vec<u8>),
    Move(f64, f64, usize),
    Zero(f64, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let bytes = || vec(any::<u8>(), 0..200);
    let place = || 0.0..1.0f64;
    let edit = prop_oneof![
        (place(), bytes()).prop_map(|(at, bytes)| Edit::Overwrite(at, bytes)),
        (place(), bytes()).prop_map(|(at, bytes)| Edit::Insert(at, bytes)),
        (place(), 0..3000usize).prop_map(|(at, len)| Edit::Delete(at, len)),
        bytes().prop_map(Edit::Append),
        (place(), place(), 0..3000usize).prop_map(|(from, to, len)| Edit::Move(from, to, len)),
        (place(), 0..3000usize).prop_map(|(at, len)| Edit::Zero(at, len)),
    ];
    vec(edit, 0..6)
}

fn apply(basis: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut file = basis.to_vec();
    for edit in edits {
        let place = |at: &f64, len: usize| (at * len as f64) as usize;
        match edit {
            Edit::Overwrite(at, bytes) => {
                let at = place(at, file.len());
                let count = bytes.len().min(file.len() - at);
                file[at..at + count].copy_from_slice(&bytes[..count]);
            }
            Edit::Insert(at, bytes) => {
                let at = place(at, file.len());
                file.splice(at..at, bytes.iter().copied());
            }
            Edit::Delete(at, len) => {
                let at = place(at, file.len());
                file.drain(at..file.len().min(at + len));
            }
            Edit::Append(bytes) => file.extend(bytes),
            Edit::Move(from, to, len) => {
                let from = place(from, file.len());
                let moved: Vec<u8> = file.drain(from..file.len().min(from + len)).collect();
                let to = place(to, file.len());
                file.splice(to..to, moved);
            }
            Edit::Zero(at, len) => {
                let at = place(at, file.len());
                let end = file.len().min(at + len);
                file[at..end].fill(0);
            }
        }
    }
    file
}

/// Bases of few distinct bytes (blocks repeat) and of many.
fn basis() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..12_000),
        vec(0u8..2, 0..3_000),
        (any::<u64>(), 0..40_000usize).prop_map(|(seed, len)| noise(seed, len)),
        (0..9_000usize).prop_map(|len| vec![0; len]),
    ]
}

fn block_sizes() -> impl Strategy<Value = u32> {
    prop_oneof![Just(1u32), 2..40u32, 64..1500u32]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn patching_what_was_generated_gives_the_new_file(
        basis in basis(), edits in edits(), block_size in block_sizes(),
    ) {
        round_trip(&basis, &apply(&basis, &edits), block_size);
    }

    #[test]
    fn unrelated_files_are_rebuilt_too(basis in basis(), new in basis(), block_size in block_sizes()) {
        round_trip(&basis, &new, block_size);
    }

    #[test]
    fn unchanged_file_has_no_literal(basis in basis(), block_size in block_sizes()) {
        prop_assert_eq!(round_trip(&basis, &basis, block_size).literal, 0);
    }

    #[test]
    fn in_place_operations_rebuild_the_file_in_its_own_buffer(
        basis in basis(), edits in edits(), block_size in block_sizes(),
    ) {
        let new = apply(&basis, &edits);
        let signature = sign(&basis, block_size);
        for (ops, _) in in_all_ways(&signature, true, &new) {
            prop_assert!(patch_in_place(&signature, &ops, &basis, new.len()) == new);
        }
    }

    #[test]
    fn expectations_give_the_same_operations_where_no_content_repeats(
        seed: u64, len in 0..60_000usize, edits in edits(), block_size in 64..1500u32, in_place: bool,
    ) {
        // Where it does, a block that spans an edit at an odd offset is found by rolling alone: another way to send the
        // same file, neither the shorter in general.
        let basis = noise(seed, len);
        let [anywhere, neighbour] = in_all_ways(&sign(&basis, block_size), in_place, &apply(&basis, &edits));
        prop_assert_eq!(anywhere.0, neighbour.0);
        prop_assert_eq!(anywhere.1.literal, neighbour.1.literal);
    }

    #[test]
    fn operations_do_not_depend_on_how_the_reader_gives_its_bytes(
        basis in basis(), edits in edits(), block_size in block_sizes(),
    ) {
        let new = apply(&basis, &edits);
        let signature = sign(&basis, block_size);
        let at_once = in_all_ways(&signature, false, &new);
        let trickled = [
            generate::<Drain, Anywhere>(&signature, false, &mut Trickle(&new, 0)),
            generate::<Ring, Neighbour>(&signature, false, &mut Trickle(&new, 0)),
        ];
        prop_assert_eq!(trickled, at_once);
    }

    #[test]
    fn signature_of_anything_valid_never_spoils_the_result(
        weak in vec(0u32..3, 1..50), new in vec(0u8..2, 0..2000), block_size in 1..50u32, in_place: bool,
    ) {
        // Checksums that no file has: whatever they claim, counts and digest hold and no operation leaves the basis.
        let blocks: Vec<Block> = weak.iter().map(|&weak| Block { weak, strong: u64::from(weak) }).collect();
        let signature = Signature { file_size: blocks.len() as u64 * u64::from(block_size), block_size, blocks };
        signature.validate().unwrap();
        in_all_ways(&signature, in_place, &new);
    }
}

#[test]
fn insertion_anywhere_costs_at_most_two_blocks_more_than_itself() {
    let basis = noise(1, 1_000_000);
    for at in [0, 1, 999, 1000, 500_123, 999_999, 1_000_000] {
        let new = [&basis[..at], b"seventeen bytes !", &basis[at..]].concat();
        let literal = round_trip(&basis, &new, 1000).literal;
        assert!(literal <= 17 + 2 * 1000, "{literal} literal bytes for an insertion at {at}");
    }
}

#[test]
fn edit_in_place_costs_the_blocks_that_it_touches() {
    let basis = noise(2, 1_000_000);
    let mut new = basis.clone();
    for at in [0, 300_000, 300_999, 999_999] {
        new[at] ^= 1;
    }
    assert_eq!(round_trip(&basis, &new, 1000).literal, 3 * 1000);
}

#[test]
fn append_costs_what_is_appended_though_the_last_block_was_short() {
    let basis = noise(4, 10_500);
    let new = [&basis[..], b"one more line\n"].concat();
    assert_eq!(round_trip(&basis, &new, 1000).literal, 14);
    assert_eq!(round_trip(&basis[..300], &new, 1000).literal, new.len() as u64 - 300);
}

#[test]
fn short_block_is_found_at_the_end_behind_an_insertion() {
    let basis = noise(5, 10_500);
    let new = [&basis[..9_900], b"inserted", &basis[9_900..]].concat();
    assert_eq!(round_trip(&basis, &new, 1000).literal, 1000 + 8);
}

#[test]
fn deletion_costs_at_most_two_blocks() {
    let basis = noise(6, 500_000);
    for (from, len) in [(0, 1), (0, 77_777), (250_001, 100_000), (499_000, 1000), (123, 5)] {
        let new = [&basis[..from], &basis[from + len..]].concat();
        assert!(round_trip(&basis, &new, 1000).literal <= 2 * 1000, "{len} bytes at {from}");
    }
}

#[test]
fn shuffled_blocks_are_all_found() {
    let basis = noise(7, 300_000);
    let mut blocks: Vec<&[u8]> = basis.chunks(1000).collect();
    fastrand::Rng::with_seed(8).shuffle(&mut blocks);
    assert_eq!(round_trip(&basis, &blocks.concat(), 1000).literal, 0);
}

#[test]
fn in_place_never_copies_what_is_already_overwritten() {
    let basis = noise(9, 100_000);
    let new = [b"in front", &basis[..]].concat();
    for (ops, summary) in in_all_ways(&sign(&basis, 1000), true, &new) {
        assert_eq!(summary.matched, 0, "all of the basis lies before its place in the new file: {ops:?}");
    }
    for (_, summary) in in_all_ways(&sign(&basis, 1000), true, &basis[5..]) {
        assert!(summary.literal <= 1000, "all of the basis lies behind its place in the new file");
    }
}

#[test]
fn in_place_takes_a_later_twin_of_a_block_that_is_overwritten() {
    let (block, other) = (noise(10, 1000), noise(11, 3000));
    let basis = [&block[..], &other[..], &block[..]].concat();
    let new = [&other[..2000], &block[..]].concat();
    for (ops, _) in in_all_ways(&sign(&basis, 1000), true, &new) {
        assert_eq!(ops, [Owned::Copy(1, 2), Owned::Copy(4, 1)]);
    }
}

#[test]
fn of_equal_blocks_the_one_that_continues_the_last_match_is_taken() {
    let (block, first, second) = (noise(17, 1000), noise(18, 1000), noise(19, 1000));
    let basis = [&block, &first, &block, &second, &block].map(|part| &part[..]).concat();
    for (ops, _) in in_all_ways(&sign(&basis, 1000), false, &basis) {
        assert_eq!(ops, [Owned::Copy(0, 5)]);
    }
    let shifted = [b"in front", &basis[2000..]].concat();
    for (ops, _) in in_all_ways(&sign(&basis, 1000), false, &[&basis[..2000], &shifted].concat()) {
        assert_eq!(ops, [Owned::Copy(0, 2), Owned::Literal(b"in front".to_vec()), Owned::Copy(2, 3)]);
    }
}

#[test]
fn zeros_longer_than_the_basis_have_no_literal_but_the_tail() {
    let summary = round_trip(&vec![0; 10_000], &vec![0; 1_000_500], 1000);
    assert_eq!(summary.literal, 500);
    assert!(summary.strong_checks < 4_000, "{} hashes for 1000 blocks", summary.strong_checks);
}

#[test]
fn empty_and_tiny_files_on_either_side() {
    let files: [&[u8]; 4] = [b"", b"x", b"shorter than a block", &noise(12, 5000)];
    for basis in files {
        for new in files {
            let literal = round_trip(basis, new, 512).literal;
            assert_eq!(literal == 0, basis == new || new.is_empty(), "{} -> {}", basis.len(), new.len());
        }
    }
}

#[test]
fn blocks_larger_than_the_chunks_read_and_larger_than_the_file() {
    let basis = noise(13, 2_000_000);
    let new = [b"in front", &basis[..]].concat();
    for block_size in [300_000, 700_000, 1_999_999] {
        let literal = round_trip(&basis, &new, block_size).literal;
        assert!(literal <= 8 + u64::from(block_size), "{literal} with blocks of {block_size}");
    }
    assert_eq!(round_trip(&basis, &basis, MAX_BLOCK_SIZE).literal, 0);
}

#[test]
fn equal_weak_checksums_cost_linear_work() {
    // Every window of the new file hits all blocks of the signature in vain: unbounded, that is a hash a byte.
    let (size, block_size) = (400_000usize, 1000u32);
    let new = vec![7u8; size];
    let weak = rolling::of(&new[..block_size as usize]);
    let blocks: Vec<Block> = (0..400).map(|strong| Block { weak, strong }).collect();
    let signature = Signature { file_size: size as u64, block_size, blocks };
    for in_place in [false, true] {
        for (_, summary) in in_all_ways(&signature, in_place, &new) {
            let blocks = (size / block_size as usize) as u64;
            assert!(summary.strong_checks <= 17 * blocks, "{} hashes for {blocks} blocks", summary.strong_checks);
            assert!(summary.strong_checks > blocks, "the budget is used, or this proves nothing");
        }
    }
}

#[test]
fn blocks_are_found_again_after_a_stretch_that_used_up_the_budget() {
    let block_size = 1000;
    let basis = noise(14, 500_000);
    let mut signature = sign(&basis, block_size);
    signature.blocks[0].weak = rolling::of(&vec![7; block_size as usize]);
    let new = [&vec![7; 200_000], &basis[1000..]].concat();
    for (ops, summary) in in_all_ways(&signature, false, &new) {
        assert!(patch(&signature, &ops, &basis, new.len() as u64) == new);
        assert!(summary.matched >= 480_000, "{} of 499000 bytes found", summary.matched);
    }
}

#[test]
fn error_of_the_sink_or_the_reader_ends_the_generation() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
    let signature = sign(&noise(15, 5000), 512);
    let generator = Generator::new(&signature, Options::default());
    let error = generator.generate(&mut Broken, &mut |_| Ok(())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let mut calls = 0;
    let error = generator.generate(&mut &noise(16, 500_000)[..], &mut |_| {
        calls += 1;
        Err(io::ErrorKind::BrokenPipe.into())
    });
    assert_eq!((error.unwrap_err().kind(), calls), (io::ErrorKind::BrokenPipe, 1));
}
