//! Throughput of the delta's parts, in bytes of the file that goes through.
//!
//! `cargo bench --bench delta`. The files are in memory: what is measured is the algorithm, not the disk.

use std::hint::black_box;
use std::io;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use sy::delta::expect::{Anywhere, Expect, Neighbour};
use sy::delta::rolling::{self, Rolling};
use sy::delta::window::{Drain, Ring, Window};
use sy::delta::{Generator, Op, Options, Patcher, Signature, block_size, strong};

const SIZE: usize = 16 << 20;
/// The file that the claim of phases 3.2 and 6.1 is about.
const LARGE: usize = 100_000_000;
const SEED: u64 = 0x5EED;

/// Incompressible bytes, always the same for the same `seed`.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
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
    let bytes = noise(1, SIZE);
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
    let bytes = noise(1, SIZE);
    let mut group = c.benchmark_group("signature");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.bench_function("16 MiB", |b| b.iter(|| sign(black_box(&bytes))));
    group.finish();
}

/// `basis` with one byte changed in every stretch of `every`.
fn scattered(basis: &[u8], every: usize) -> Vec<u8> {
    let mut new = basis.to_vec();
    new.iter_mut().skip(every / 2).step_by(every).for_each(|byte| *byte ^= 1);
    new
}

/// `basis` changed as the lab does it in `delta`: some bytes in place, some inserted, some appended.
fn edited(basis: &[u8]) -> Vec<u8> {
    let (third, half) = (basis.len() / 3, basis.len() / 2);
    let more = noise(5, 4096);
    [&basis[..third], &more, &basis[third + more.len()..half], &more, &basis[half..], &more].concat()
}

/// New files, each with the basis that it was made from.
fn pairs() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let basis = noise(1, SIZE);
    let source = text(3);
    let inserted = |basis: &[u8]| [b"in front of all", basis].concat();
    vec![
        ("unchanged", basis.clone(), basis.clone()),
        ("scattered edits", basis.clone(), scattered(&basis, 64 << 10)),
        ("insertion at the front", basis.clone(), inserted(&basis)),
        ("insertion at the front of text", source.clone(), inserted(&source)),
        ("no match", basis.clone(), noise(2, SIZE)),
        ("no match in text", source, text(4)),
        ("all zeros", vec![0; SIZE], vec![0; SIZE]),
    ]
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn generate<W: Window, E: Expect>(group: &mut Group<'_>, name: &str, generator: &Generator<'_>, new: &[u8]) {
    group.bench_function(name, |b| {
        b.iter(|| {
            let mut sink = |op: Op<'_>| -> io::Result<()> {
                black_box(op);
                Ok(())
            };
            generator.generate_with::<W, E>(&mut &new[..], &mut sink).expect("slices do not fail")
        });
    });
}

/// The baseline, phase 3.2 alone, phase 6.1 alone, and both: in one binary, over the same bytes.
fn in_all_ways(c: &mut Criterion, name: &str, basis: &[u8], new: &[u8]) {
    let signature = sign(basis);
    let generator = Generator::new(&signature, Options { seed: SEED, in_place: false });
    let mut group = c.benchmark_group(format!("generate/{name}"));
    group.throughput(Throughput::Bytes(new.len() as u64)).sampling_mode(SamplingMode::Flat);
    generate::<Drain, Anywhere>(&mut group, "baseline", &generator, new);
    generate::<Ring, Anywhere>(&mut group, "3.2 window", &generator, new);
    generate::<Drain, Neighbour>(&mut group, "6.1 expectation", &generator, new);
    generate::<Ring, Neighbour>(&mut group, "both", &generator, new);
    group.finish();
}

fn generation(c: &mut Criterion) {
    for (name, basis, new) in pairs() {
        in_all_ways(c, name, &basis, &new);
    }
}

fn generation_of_the_claim(c: &mut Criterion) {
    let basis = noise(1, LARGE);
    in_all_ways(c, "100 MB, a byte in 256 KiB", &basis, &scattered(&basis, 256 << 10));
    in_all_ways(c, "100 MB, edited as in the lab", &basis, &edited(&basis));
}

fn index(c: &mut Criterion) {
    let signature = sign(&noise(1, SIZE));
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(signature.blocks.len() as u64));
    group.bench_function("16 MiB", |b| {
        b.iter(|| black_box(Generator::new(black_box(&signature), Options::default())));
    });
    group.finish();
}

fn patching(c: &mut Criterion) {
    let basis = noise(1, SIZE);
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
    // About forty figures in a minute; the machine's noise is larger than what more time would take away.
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(800));
    targets = checksums, signature, generation, generation_of_the_claim, index, patching
}
criterion_main!(benches);
