//! The lab's only source of chance: SplitMix64, keyed by a label.
//!
//! Written here, and not taken from a crate, because a scenario's bytes are part of every recorded result: they must
//! not move when a dependency is updated. A stream depends on the seed and its own label alone, so adding a file to a
//! scenario leaves the bytes of all the others as they were. Not for anything that needs secrecy.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// One stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The stream that belongs to `label` under `seed`.
    pub fn keyed(seed: u64, label: &[u8]) -> Self {
        Rng { state: xxh3_64_with_seed(label, seed) }
    }

    /// The next 64 bits (Steele, Lea and Flood 2014: SplitMix64).
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; `bound` must not be 0. Biased by at most `bound / 2^64`, which no scenario can notice.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// One element of a slice that is not empty.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A number in (0, 1], exact in every f64.
    fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A normal deviate (Box and Muller 1958), through `libm`, whose results are the same on every platform.
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = (self.unit(), self.unit());
        libm::sqrt(-2.0 * libm::log(radius)) * libm::cos(2.0 * std::f64::consts::PI * angle)
    }

    /// `len` bytes that no compressor shrinks.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        out.truncate(len);
        out
    }

    /// `count` different numbers below `bound`, ascending.
    pub fn sample(&mut self, bound: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        let count = count.min(bound);
        for i in 0..count {
            let j = i + self.below((bound - i) as u64) as usize;
            all.swap(i, j);
        }
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_matches_the_published_splitmix64_vector() {
        let mut rng = Rng { state: 1_234_567 };
        let first: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn streams_with_different_labels_differ_and_repeat() {
        let draw = |label: &[u8]| Rng::keyed(7, label).bytes(64);
        assert_eq!(draw(b"a"), draw(b"a"));
        assert_ne!(draw(b"a"), draw(b"b"));
    }

    #[test]
    fn sample_is_ascending_without_repeats_and_never_longer_than_the_bound() {
        let picked = Rng::keyed(1, b"s").sample(100, 10);
        assert_eq!(picked.len(), 10);
        assert!(picked.windows(2).all(|w| w[0] < w[1]) && picked[9] < 100);
        assert_eq!(Rng::keyed(1, b"s").sample(3, 10), [0, 1, 2]);
    }

    #[test]
    fn normal_has_mean_near_zero_and_deviation_near_one() {
        let mut rng = Rng::keyed(3, b"n");
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }

    #[test]
    fn between_reaches_both_of_its_ends() {
        let mut rng = Rng::keyed(9, b"b");
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.between(3, 5)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    }
}
