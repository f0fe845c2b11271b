use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

const MIB: u64 = 1024 * 1024;

fn open_new(path: &Path) -> File {
    File::options().read(true).write(true).create_new(true).open(path).unwrap()
}

/// Copies `source`, said to be `size` bytes long, and returns what arrived.
fn copied(source: &Path, size: u64, sparse: bool) -> Vec<u8> {
    let dir = TempDir::new().unwrap();
    let target = dir.path().join("target");
    let mut scratch = Vec::new();
    let count = copy_contents(&File::open(source).unwrap(), &open_new(&target), size, sparse, &mut scratch).unwrap();
    let arrived = fs::read(&target).unwrap();
    assert_eq!(count, arrived.len() as u64);
    assert!(scratch.len() <= PIECE);
    arrived
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(len as u64);
    std::iter::repeat_with(|| random.u8(1..)).take(len).collect()
}

#[test]
fn a_copy_is_equal_at_every_size_around_the_limits() {
    let dir = TempDir::new().unwrap();
    let source = dir.path().join("source");
    let small = SMALL as usize;
    for len in [0, 1, 4095, 4096, 4097, small - 1, small, small + 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17] {
        let bytes = noise(len);
        fs::write(&source, &bytes).unwrap();
        for sparse in [false, true] {
            assert!(copied(&source, len as u64, sparse) == bytes, "{len} {sparse}");
        }
    }
}

#[test]
fn the_size_is_only_a_hint_and_the_end_of_the_file_decides() {
    let dir = TempDir::new().unwrap();
    let source = dir.path().join("source");
    for len in [10, 5000, 70_000, 700_000] {
        let bytes = noise(len);
        fs::write(&source, &bytes).unwrap();
        // It has grown or shrunk since it was listed.
        for said in [0, 1, 4096, len as u64 / 2, len as u64 - 1, len as u64 + 1, 10 * MIB, u64::MAX] {
            for sparse in [false, true] {
                assert!(copied(&source, said, sparse) == bytes, "{len} said to be {said}, {sparse}");
            }
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_says_it_is_empty_and_is_not_is_copied_whole() {
    let source = Path::new("/proc/version");
    assert_eq!(fs::metadata(source).unwrap().len(), 0);
    let bytes = fs::read(source).unwrap();
    for said in [0, 10, bytes.len() as u64, MIB] {
        for sparse in [false, true] {
            assert!(copied(source, said, sparse) == bytes, "{said} {sparse}");
        }
    }
}

/// A file of 8 MiB with data in two places of it, and its contents.
fn holey(path: &Path) -> Vec<u8> {
    let file = open_new(path);
    file.set_len(8 * MIB).unwrap();
    file.write_all_at(b"first", 3 * MIB + 100).unwrap();
    file.write_all_at(&noise(10_000), 6 * MIB - 5000).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn holes_and_runs_of_zeros_become_holes() {
    let dir = TempDir::new().unwrap();
    let (holes, zeros, target) = (dir.path().join("holes"), dir.path().join("zeros"), dir.path().join("target"));
    let bytes = holey(&holes);
    fs::write(&zeros, &bytes).unwrap();
    for source in [holes, zeros] {
        let copy = open_new(&target);
        copy_contents(&File::open(&source).unwrap(), &copy, 8 * MIB, true, &mut Vec::new()).unwrap();
        assert!(fs::read(&target).unwrap() == bytes);
        let on_disk = copy.metadata().unwrap().blocks() * 512;
        // A clone shares the source's blocks and so takes none, whatever is counted.
        let cloned = clone_extents(&File::open(&source).unwrap(), &copy).unwrap().is_some();
        assert!(on_disk < MIB || cloned, "{on_disk} bytes on disk");
        fs::remove_file(&target).unwrap();
    }
}

#[test]
fn a_reader_of_holes_reads_what_is_there_and_only_where_there_is_data() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("holes");
    let bytes = holey(&path);
    for room in [1000, 100_000, 3 << 20] {
        let mut reader = SparseReader::new(File::open(&path).unwrap()).unwrap();
        // What is appended from here on is not its business.
        File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let (mut read, mut buffer) = (Vec::new(), vec![1; room]);
        loop {
            let got = reader.read(&mut buffer).unwrap();
            if got == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..got]);
        }
        assert!(read == bytes, "{room}");
        File::options().write(true).open(&path).unwrap().set_len(bytes.len() as u64).unwrap();
    }
}

#[test]
fn a_file_that_is_one_hole_is_one_hole() {
    let dir = TempDir::new().unwrap();
    let source = open_new(&dir.path().join("source"));
    source.set_len(5 * MIB + 1).unwrap();
    let target = open_new(&dir.path().join("target"));
    assert_eq!(copy_contents(&source, &target, 5 * MIB + 1, true, &mut Vec::new()).unwrap(), 5 * MIB + 1);
    assert_eq!((target.metadata().unwrap().len(), target.metadata().unwrap().blocks()), (5 * MIB + 1, 0));
}

#[test]
fn zeros_over_an_existing_file_replace_what_stood_there() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    fs::write(&path, noise(4 * MIB as usize)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    let mut writer = SparseWriter::new(&file, false);
    for _ in 0..30 {
        writer.write(&vec![0; 100_000]).unwrap();
    }
    writer.write(b"end").unwrap();
    assert_eq!(writer.finish().unwrap(), 3_000_003);
    let mut expected = vec![0; 3_000_000];
    expected.extend(b"end");
    assert!(fs::read(&path).unwrap() == expected);
    let on_disk = file.metadata().unwrap().blocks() * 512;
    assert!(on_disk < MIB, "{on_disk} bytes on disk");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_sparsely_reads_as_it_was_written(
        runs in prop::collection::vec((any::<bool>(), 1..20_000_usize), 0..12),
        piece in 1..30_000_usize,
        old in 0..150_000_usize,
        fresh in any::<bool>(),
    ) {
        let mut bytes = Vec::new();
        for (zero, len) in runs {
            bytes.extend(if zero { vec![0; len] } else { noise(len) });
        }
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, noise(if fresh { 0 } else { old })).unwrap();
        let mut writer = SparseWriter::new(File::options().write(true).open(&path).unwrap(), fresh);
        for piece in bytes.chunks(piece) {
            writer.write(piece).unwrap();
        }
        prop_assert_eq!(writer.finish().unwrap(), bytes.len() as u64);
        prop_assert!(fs::read(&path).unwrap() == bytes);
    }
}
