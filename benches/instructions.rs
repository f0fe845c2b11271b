//! Instructions of the hot paths, counted by callgrind: the same from run to run, so that any change shows.
//!
//! `scripts/test` installs what it takes (valgrind, and gungraun-runner of the version in Cargo.lock) and runs it. Inputs are
//! small: each path runs once, some fifty times slower than without valgrind.

#[cfg(target_os = "linux")]
#[path = "support/messages.rs"]
mod messages;
#[cfg(target_os = "linux")]
#[path = "support/trees.rs"]
mod trees;

#[cfg(target_os = "linux")]
mod counted {
    use std::hint::black_box;

    use gungraun::{library_benchmark, library_benchmark_group};
    use sy::delta::rolling::{self, Rolling};
    use sy::delta::{Generator, Options, Signature, block_size, strong};
    use sy::protocol::batch::Batch;
    use sy::protocol::buffers::Buffers;
    use sy::protocol::frame::{Frame, RawFrame};
    use sy::protocol::message::Message;
    use sy::tree::entry::Entry;
    use tempfile::TempDir;

    use super::{messages, trees};

    const SIZE: usize = 4 << 20;
    const SEED: u64 = 0x5EED;
    const ENTRIES: usize = 1000;

    fn file() -> Vec<u8> {
        messages::noise(SIZE, 1)
    }

    fn sign(basis: &[u8]) -> Signature {
        let size = basis.len() as u64;
        Signature::of(basis, size, block_size(size), SEED).expect("slices do not fail")
    }

    #[library_benchmark(setup = file)]
    #[bench::four_mib()]
    fn rolling_by_block(bytes: Vec<u8>) -> u32 {
        bytes.chunks(1 << 12).map(rolling::of).fold(0, u32::wrapping_add)
    }

    #[library_benchmark(setup = file)]
    #[bench::four_mib()]
    fn rolling_by_byte(bytes: Vec<u8>) -> u32 {
        let block = 1 << 12;
        let mut rolling = Rolling::new(&bytes[..block]);
        let mut sum = 0u32;
        for (&out, &into) in bytes.iter().zip(&bytes[block..]) {
            rolling.roll(out, into);
            sum = sum.wrapping_add(rolling.value());
        }
        sum
    }

    #[library_benchmark(setup = file)]
    #[bench::four_mib()]
    fn strong_by_block(bytes: Vec<u8>) -> u64 {
        bytes.chunks(1 << 12).map(|block| strong::block(SEED, block)).fold(0, u64::wrapping_add)
    }

    #[library_benchmark(setup = file)]
    #[bench::four_mib()]
    fn signature(bytes: Vec<u8>) -> Signature {
        sign(&bytes)
    }

    fn unchanged() -> (Signature, Vec<u8>) {
        (sign(&file()), file())
    }

    fn scattered() -> (Signature, Vec<u8>) {
        let mut new = file();
        new.iter_mut().step_by(64 << 10).for_each(|byte| *byte ^= 1);
        (sign(&file()), new)
    }

    fn inserted() -> (Signature, Vec<u8>) {
        (sign(&file()), [&b"in front of all"[..], &file()].concat())
    }

    fn no_match() -> (Signature, Vec<u8>) {
        (sign(&file()), messages::noise(SIZE, 2))
    }

    #[library_benchmark]
    #[bench::unchanged(args = (), setup = unchanged)]
    #[bench::scattered(args = (), setup = scattered)]
    #[bench::inserted(args = (), setup = inserted)]
    #[bench::no_match(args = (), setup = no_match)]
    fn generate((signature, new): (Signature, Vec<u8>)) -> u64 {
        let generator = Generator::new(&signature, Options { seed: SEED, in_place: false });
        let mut operations = 0;
        let mut count = |op: sy::delta::Op<'_>| {
            black_box(op);
            operations += 1;
            Ok(())
        };
        generator.generate(&mut &new[..], &mut count).expect("slices do not fail");
        operations
    }

    fn listed() -> Message {
        messages::file_list(messages::list(ENTRIES))
    }

    fn listed_frame() -> RawFrame {
        messages::arrived(listed())
    }

    fn piece() -> Message {
        messages::file_data(messages::noise(256 << 10, 1))
    }

    fn piece_frame() -> RawFrame {
        messages::arrived(piece())
    }

    #[library_benchmark]
    #[bench::file_list(args = (), setup = listed)]
    #[bench::file_data(args = (), setup = piece)]
    fn encode(message: Message) -> Frame {
        message.encode(&Buffers::default())
    }

    #[library_benchmark]
    #[bench::file_list(args = (), setup = listed_frame)]
    #[bench::file_data(args = (), setup = piece_frame)]
    fn decode(frame: RawFrame) -> Message {
        messages::decode(frame, &Buffers::default())
    }

    fn buffers() -> Buffers {
        Buffers::default()
    }

    #[library_benchmark(setup = buffers)]
    #[bench::sixty_four_files_of_one_kib()]
    fn pack(buffers: Buffers) -> Batch {
        messages::batch(64, 1 << 10, &buffers)
    }

    fn tree() -> TempDir {
        trees::tree(ENTRIES)
    }

    #[library_benchmark(setup = tree)]
    #[bench::thousand_files()]
    fn scan(dir: TempDir) -> (Vec<Entry>, TempDir) {
        // Handed back, so that removing it is not counted.
        (trees::scan_all(dir.path()), dir)
    }

    library_benchmark_group!(
        name = delta;
        benchmarks = rolling_by_block, rolling_by_byte, strong_by_block, signature, generate
    );
    library_benchmark_group!(name = protocol; benchmarks = encode, decode, pack);
    library_benchmark_group!(name = tree_on_disk; benchmarks = scan);
}

#[cfg(target_os = "linux")]
use counted::{delta, protocol, tree_on_disk};

// Instructions alone: a simulated cache of no machine of ours tells nothing.
#[cfg(target_os = "linux")]
gungraun::main!(
    config = gungraun::LibraryBenchmarkConfig::default().tool(gungraun::Callgrind::with_args(["--cache-sim=no"]));
    library_benchmark_groups = delta, protocol, tree_on_disk
);

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("skipped: instructions are counted by valgrind, which there is for Linux only");
}
