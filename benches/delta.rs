//! Throughput of the delta's parts, in bytes of the file that goes through.
//!
//! `cargo bench --bench delta`. The files are in memory: what is measured is the algorithm, not the disk.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sy::delta::rolling::{self, Rolling};
use sy::delta::{Generator, Op, Options, Patcher, Signature, block_size, strong};

const SIZE: usize = 16 << 20;
const SEED: u64 = 0x5EED;

/// Incompressible bytes, always the same for the same `seed`.
fn noise(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; SIZE];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}

/// Bytes as of a source text: few values, and words that come again.
fn text(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let words: Vec<String> =
        (0..2000).map(|_| (0..random.usize(2..10)).map(|_| random.lowercase()).collect()).collect();
    let mut bytes = Vec::with_capacity(SIZE + 16);
    while bytes.len() < SIZE {
        bytes.extend_from_slice(words[random.usize(..words.len())].as_bytes());
        bytes.push(if random.u8(..10) == 0 { b'\n' } else { b' ' });
    }
    bytes.truncate(SIZE);
    bytes
}

fn sign(basis: &[u8]) -> Signature {
    let size = basis.len() as u64;
    Signature::of(basis, size, block_size(size), SEED).expect("slices do not fail")
}

fn checksums(c: &mut Criterion) {
    let bytes = noise(1);
    let block = block_size(SIZE as u64) as usize;
    let mut group = c.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("rolling, block by block", |b| {
        b.iter(|| bytes.chunks(block).map(rolling::of).fold(0, u32::wrapping_add));
    });
    group.bench_function("rolling, byte by byte", |b| {
        b.iter(|| {
            let mut rolling = Rolling::new(&bytes[..block]);
            let mut sum = 0u32;
            for (&out, &into) in bytes.iter().zip(&bytes[block..]) {
                rolling.roll(out, into);
                sum = sum.wrapping_add(rolling.value());
            }
            sum
        });
    });
    group.bench_function("strong, block by block", |b| {
        b.iter(|| bytes.chunks(block).map(|block| strong::block(SEED, block)).fold(0, u64::wrapping_add));
    });
    group.bench_function("strong, whole file", |b| {
        b.iter(|| {
            let mut hasher = strong::Hasher::new(SEED);
            bytes.chunks(256 << 10).for_each(|piece| hasher.update(piece));
            hasher.finish()
        });
    });
    group.finish();
}

fn signature(c: &mut Criterion) {
    let bytes = noise(1);
    let mut group = c.benchmark_group("signature");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("16 MiB", |b| b.iter(|| sign(black_box(&bytes))));
    group.finish();
}

/// New files, each with the basis that it was made from.
fn pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let basis = noise(1);
    let scattered = |every: usize| {
        let mut new = basis.clone();
        new.iter_mut().step_by(every).for_each(|byte| *byte ^= 1);
        new
    };
    let source = text(3);
    let inserted = |basis: &[u8]| [b"in front of all", basis].concat();
    vec![
        ("unchanged", basis.clone(), basis.clone()),
        ("edit every 64 KiB", basis.clone(), scattered(64 << 10)),
        ("insertion at the front", basis.clone(), inserted(&basis)),
        ("insertion at the front of text", source.clone(), inserted(&source)),
        ("no match", basis.clone(), noise(2)),
        ("no match in text", source, text(4)),
        ("all zeros", vec![0; SIZE], vec![0; SIZE]),
    ]
}

fn generation(c: &mut Criterion) {
    let mut group = c.benchmark_group("generate");
    group.throughput(Throughput::Bytes(SIZE as u64));
    for (name, basis, new) in pairs() {
        let signature = sign(&basis);
        let generator = Generator::new(&signature, Options { seed: SEED, in_place: false });
        group.bench_function(name, |b| {
            b.iter(|| {
                generator
                    .generate(&mut &new[..], &mut |op| {
                        black_box(op);
                        Ok(())
                    })
                    .expect("slices do not fail")
            });
        });
    }
    group.finish();
}

fn index(c: &mut Criterion) {
    let signature = sign(&noise(1));
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(signature.blocks.len() as u64));
    group.bench_function("16 MiB", |b| {
        b.iter(|| black_box(Generator::new(black_box(&signature), Options::default())));
    });
    group.finish();
}

fn patching(c: &mut Criterion) {
    let basis = noise(1);
    let signature = sign(&basis);
    let count = signature.blocks.len() as u32;
    let mut group = c.benchmark_group("patch");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("copies of 256 KiB", |b| {
        b.iter(|| {
            let mut patcher = Patcher::new(signature.geometry(), SIZE as u64);
            let mut emit = |piece: &[u8]| -> io::Result<()> {
                black_box(piece);
                Ok(())
            };
            for block in (0..count).step_by(64) {
                let op = Op::Copy { block, count: 64.min(count - block) };
                patcher.apply(op, &basis[..], &mut emit).expect("blocks of the basis");
            }
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    // Seven kinds of file at a second or two each; the machine's noise is larger than what more would add.
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_millis(1500));
    targets = checksums, signature, generation, index, patching
}
criterion_main!(benches);
