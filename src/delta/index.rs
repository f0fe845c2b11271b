//! Finds the blocks of a signature that have a given weak checksum.
//!
//! Three steps, each of which most positions of a file do not get past: a bitmap over the checksum's upper bits, small
//! enough for a near cache; a table of buckets, again by upper bits, that point into one sorted array; a binary search in
//! the bucket. There are no chains: a signature whose weak checksums are all equal makes one bucket of everything, and a
//! look-up there takes as many steps as the count has bits.

use super::signature::Block;

/// Bits of the bitmap for each block: one position in so many is looked up in vain, and costs a mispredicted branch. Twice as
/// many gained nothing any more when it was measured, half as many lost a tenth.
const FILTER_BITS_PER_BLOCK: usize = 128;
/// Bounds of the bitmap, as powers of two: 512 bytes to 2 MiB.
const FILTER_BITS: std::ops::RangeInclusive<u32> = 12..=24;
/// Bounds of the bucket table, as powers of two.
const BUCKET_BITS: std::ops::RangeInclusive<u32> = 1..=22;

/// A block under its checksums; the order of the fields is the order of the array.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    weak: u32,
    strong: u64,
    block: u32,
}

/// The full-sized blocks of a signature by their checksums.
pub(super) struct Index {
    filter: Vec<u64>,
    filter_shift: u32,
    /// Bucket `i` is `entries[buckets[i]..buckets[i + 1]]`.
    buckets: Vec<u32>,
    bucket_shift: u32,
    entries: Vec<Entry>,
}

/// The blocks of one weak checksum, at least one.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a>(&'a [Entry]);

impl Index {
    /// An index of `blocks`, at most 2^32 of one and the same length.
    pub(super) fn new(blocks: &[Block]) -> Self {
        let numbered = blocks.iter().zip(0u32..);
        let mut entries: Vec<Entry> =
            numbered.map(|(b, block)| Entry { weak: b.weak, strong: b.strong, block }).collect();
        entries.sort_unstable();
        let filter_bits = bits_for(blocks.len().saturating_mul(FILTER_BITS_PER_BLOCK), FILTER_BITS);
        let bucket_bits = bits_for(blocks.len(), BUCKET_BITS);
        let mut index = Self {
            filter: vec![0; 1 << (filter_bits - 6)],
            filter_shift: 32 - filter_bits,
            buckets: vec![0; (1 << bucket_bits) + 1],
            bucket_shift: 32 - bucket_bits,
            entries,
        };
        index.fill();
        index
    }

    fn fill(&mut self) {
        for entry in &self.entries {
            let bit = entry.weak >> self.filter_shift;
            self.filter[(bit >> 6) as usize] |= 1 << (bit & 63);
            self.buckets[(entry.weak >> self.bucket_shift) as usize + 1] += 1;
        }
        let mut end = 0;
        for bucket in &mut self.buckets {
            end += *bucket;
            *bucket = end;
        }
    }

    /// Whether any block may have the checksum `weak`; false is certain.
    #[inline]
    pub(super) fn may_have(&self, weak: u32) -> bool {
        let bit = weak >> self.filter_shift;
        self.filter[(bit >> 6) as usize] & (1 << (bit & 63)) != 0
    }

    /// The blocks with the checksum `weak`.
    pub(super) fn get(&self, weak: u32) -> Option<Candidates<'_>> {
        let bucket = (weak >> self.bucket_shift) as usize;
        let entries = &self.entries[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        let entries = &entries[entries.partition_point(|e| e.weak < weak)..];
        let entries = &entries[..entries.partition_point(|e| e.weak == weak)];
        (!entries.is_empty()).then_some(Candidates(entries))
    }
}

impl Candidates<'_> {
    /// The first block at or after `from` that also has the hash `strong`.
    pub(super) fn find(self, strong: u64, from: u64) -> Option<u32> {
        let at = self.0.partition_point(|e| (e.strong, u64::from(e.block)) < (strong, from));
        self.0.get(at).filter(|e| e.strong == strong).map(|e| e.block)
    }
}

/// How many bits number `count` things, within `bounds`.
fn bits_for(count: usize, bounds: std::ops::RangeInclusive<u32>) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros().clamp(*bounds.start(), *bounds.end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the index must say, from the signature itself.
    fn plain(blocks: &[Block], weak: u32, strong: u64, from: u64) -> Option<u32> {
        let position = |(i, b): (usize, &Block)| i as u64 >= from && b.weak == weak && b.strong == strong;
        blocks.iter().enumerate().position(position).map(|i| i as u32)
    }

    proptest! {
        #[test]
        fn index_agrees_with_a_walk_over_the_signature(
            // Few values, far apart in the upper and the lower bits, so that checksums repeat.
            blocks in proptest::collection::vec((0u32..6, 0u64..4), 0..80),
            weak in 0u32..6, strong in 0u64..4, from in 0u64..90,
        ) {
            let spread = |weak: u32| if weak.is_multiple_of(2) { weak } else { weak << 28 };
            let blocks: Vec<Block> =
                blocks.into_iter().map(|(weak, strong)| Block { weak: spread(weak), strong }).collect();
            let index = Index::new(&blocks);
            let found = index.get(spread(weak)).and_then(|c| c.find(strong, from));
            prop_assert_eq!(found, plain(&blocks, spread(weak), strong, from));
            prop_assert!(blocks.iter().all(|b| index.may_have(b.weak)));
            prop_assert_eq!(index.get(spread(weak)).is_some(), blocks.iter().any(|b| b.weak == spread(weak)));
        }
    }

    #[test]
    fn empty_index_has_nothing() {
        let index = Index::new(&[]);
        assert!(!index.may_have(0) && !index.may_have(u32::MAX));
        assert!(index.get(0).is_none() && index.get(u32::MAX).is_none());
    }

    #[test]
    fn filter_lets_few_unknown_checksums_through() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(0x915F_77F5).wrapping_add(1);
            state
        };
        let blocks: Vec<Block> = (0..4096).map(|_| Block { weak: next(), strong: 0 }).collect();
        let index = Index::new(&blocks);
        let passed = (0..100_000).filter(|_| index.may_have(next())).count();
        assert!(passed < 1_500, "{passed} of 100000");
    }
}
