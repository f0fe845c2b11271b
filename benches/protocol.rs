//! The codec and the packing of batches: entries, files or bytes of contents a second.
//!
//! `cargo bench --bench protocol`. Messages are made and judged in memory; no link is involved. Buffers are kept or not as
//! the build has it.

use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sy::protocol::buffers::Buffers;
use sy::protocol::frame::Frame;
use sy::protocol::message::Message;

#[path = "support/messages.rs"]
mod messages;

/// Entries in one FILE_LIST, about what a session puts into one.
const ENTRIES: usize = 2000;
/// Bytes of contents in one FILE_DATA, as a session sends them.
const CHUNK: usize = 256 << 10;
/// Files in one FILE_DATA_BATCH, the most that there may be, and the size of each.
const BATCHED: (usize, usize) = (64, 1 << 10);

/// Makes the frame of what `make` says, and is done with it as a link is.
fn encode(b: &mut criterion::Bencher, size: BatchSize, make: impl Fn() -> Message) {
    let buffers = Buffers::default();
    let sent = |frame: Frame| {
        buffers.give_back(frame.head);
        frame.body.reclaim().into_iter().for_each(|bytes| buffers.give_back(bytes));
    };
    b.iter_batched(&make, |message| sent(message.encode(&buffers)), size);
}

fn decode(b: &mut criterion::Bencher, size: BatchSize, make: impl Fn() -> Message) {
    let buffers = Buffers::default();
    b.iter_batched(|| messages::arrived(make()), |frame| messages::decode(frame, &buffers), size);
}

fn file_list(c: &mut Criterion) {
    let entries = messages::list(ENTRIES);
    let mut group = c.benchmark_group("file list");
    group.throughput(Throughput::Elements(ENTRIES as u64));
    let make = || messages::file_list(entries.clone());
    group.bench_function("encode", |b| encode(b, BatchSize::SmallInput, make));
    group.bench_function("decode", |b| decode(b, BatchSize::SmallInput, make));
    group.finish();
}

fn file_data(c: &mut Criterion) {
    let contents = messages::noise(CHUNK, 1);
    let mut group = c.benchmark_group("file data");
    group.throughput(Throughput::Bytes(CHUNK as u64));
    let make = || messages::file_data(contents.clone());
    group.bench_function("encode", |b| encode(b, BatchSize::LargeInput, make));
    group.bench_function("decode", |b| decode(b, BatchSize::LargeInput, make));
    group.finish();
}

fn batch(c: &mut Criterion) {
    let (count, size) = BATCHED;
    let buffers = Buffers::default();
    let mut group = c.benchmark_group("batch");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("pack", |b| b.iter(|| messages::batch(count, size, &buffers).into_bytes().reclaim()));
    let make = || Message::FileDataBatch(messages::batch(count, size, &Buffers::default()));
    group.bench_function("decode", |b| decode(b, BatchSize::SmallInput, make));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = file_list, file_data, batch
}
criterion_main!(benches);
