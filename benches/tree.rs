//! The scanner, in entries a second.
//!
//! `cargo bench --bench tree`. The tree lies in memory where the system has such a place: what is measured is our side of
//! the system calls and the calls themselves, not a disk.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "support/trees.rs"]
mod trees;

fn scanner(c: &mut Criterion) {
    let dir = trees::tree(10_000);
    let entries = trees::scan_all(dir.path()).len();
    let mut group = c.benchmark_group("scan");
    group.throughput(Throughput::Elements(entries as u64));
    group.bench_function("10,000 files", |b| b.iter_with_large_drop(|| trees::scan_all(dir.path())));
    group.bench_function("10,000 files, and dropping the list", |b| b.iter(|| trees::scan_all(dir.path()).len()));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    targets = scanner
}
criterion_main!(benches);
