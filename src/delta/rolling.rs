//! The weak checksum: 32 bits of a window of bytes, moved on by one byte in constant time.
//!
//! The thesis takes `a = sum(x_i)` and `b = sum((n - i) * x_i)`, each modulo 2^16, and puts them side by side. The same two
//! sums are kept here modulo 2^32 and mixed only when the value is asked for: sixteen bits of `a` waste what a short block
//! of text leaves constant in them and cut off what a long one has. The sums are carried multiplied by an odd constant, so
//! that the value's *upper* bits depend on every byte: these are what `index` takes its buckets from.
//!
//! This checksum resists nobody: two blocks of one value are easily made. It only says where looking closer pays.

/// Odd, and without a pattern in its bits: 2^32 divided by the golden ratio.
const SPREAD: u32 = 0x9E37_79B1;

/// Lanes that [`sums`] adds up independently, wide enough for any vector unit.
const LANES: usize = 16;

/// The rolling checksum of a window of fixed length.
#[derive(Clone, Debug)]
pub struct Rolling {
    /// `SPREAD * sum(x_i)`.
    a: u32,
    /// `SPREAD * sum((n - i) * x_i)`.
    b: u32,
    /// `SPREAD * n`: what a byte that leaves has in `b`.
    leaving: u32,
}

impl Rolling {
    /// The checksum of `window`; every later [`roll`](Self::roll) keeps its length.
    pub fn new(window: &[u8]) -> Self {
        let (a, b) = sums(window);
        // Wrapping on purpose: all of this is arithmetic modulo 2^32.
        let leaving = SPREAD.wrapping_mul(window.len() as u32);
        Self { a: SPREAD.wrapping_mul(a), b: SPREAD.wrapping_mul(b), leaving }
    }

    /// Moves the window on by a byte: `out` was its first, `into` follows its last.
    #[inline]
    pub fn roll(&mut self, out: u8, into: u8) {
        let change = u32::from(into).wrapping_sub(u32::from(out));
        self.a = self.a.wrapping_add(SPREAD.wrapping_mul(change));
        self.b = self.b.wrapping_add(self.a).wrapping_sub(self.leaving.wrapping_mul(u32::from(out)));
    }

    /// The checksum of the window as it stands.
    #[inline]
    pub fn value(&self) -> u32 {
        self.b.wrapping_add(self.a.rotate_left(15))
    }
}

/// The checksum of `bytes`, as [`Rolling`] would give it.
pub fn of(bytes: &[u8]) -> u32 {
    Rolling::new(bytes).value()
}

/// The two plain sums of `bytes`, modulo 2^32.
///
/// Each lane adds up its own bytes and its own running sums, which the compiler turns into vectors; the weights that a lane
/// leaves out (its bytes lie `lane` further on than the chunk) are made good at the end.
fn sums(bytes: &[u8]) -> (u32, u32) {
    let mut lane_a = [0u32; LANES];
    let mut lane_b = [0u32; LANES];
    let (chunks, rest) = bytes.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lane_a[lane] = lane_a[lane].wrapping_add(u32::from(chunk[lane]));
            lane_b[lane] = lane_b[lane].wrapping_add(lane_a[lane]);
        }
    }
    let (mut a, mut b) = (0u32, 0u32);
    for lane in 0..LANES {
        a = a.wrapping_add(lane_a[lane]);
        let weighted = lane_b[lane].wrapping_mul(LANES as u32).wrapping_sub(lane_a[lane].wrapping_mul(lane as u32));
        b = b.wrapping_add(weighted);
    }
    for &byte in rest {
        a = a.wrapping_add(u32::from(byte));
        b = b.wrapping_add(a);
    }
    (a, b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sums as the thesis writes them.
    fn plain(bytes: &[u8]) -> (u32, u32) {
        let n = bytes.len() as u32;
        let weighted = |(i, &x): (usize, &u8)| (n - i as u32).wrapping_mul(u32::from(x));
        (
            bytes.iter().fold(0, |a, &x| a + u32::from(x)),
            bytes.iter().enumerate().map(weighted).fold(0, u32::wrapping_add),
        )
    }

    proptest! {
        #[test]
        fn lanes_add_up_to_the_sums_of_the_thesis(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            prop_assert_eq!(sums(&bytes), plain(&bytes));
        }

        #[test]
        fn rolling_on_equals_starting_anew(
            bytes in proptest::collection::vec(any::<u8>(), 1..600),
            window in 1usize..300,
        ) {
            let window = window.min(bytes.len());
            let mut rolling = Rolling::new(&bytes[..window]);
            for start in 0..bytes.len() - window {
                prop_assert_eq!(rolling.value(), of(&bytes[start..start + window]));
                rolling.roll(bytes[start], bytes[start + window]);
            }
            prop_assert_eq!(rolling.value(), of(&bytes[bytes.len() - window..]));
        }
    }

    #[test]
    fn sums_beyond_32_bits_wrap_alike_in_both_ways() {
        let bytes = vec![0xFF; 40_000];
        assert_eq!(sums(&bytes), plain(&bytes));
    }

    #[test]
    fn order_and_length_change_the_checksum() {
        assert_ne!(of(b"ab"), of(b"ba"));
        assert_ne!(of(b"a"), of(b"a\0"));
    }

    #[test]
    fn upper_bits_spread_over_windows_of_text() {
        let mut random = fastrand::Rng::with_seed(1);
        let text: Vec<u8> = (0..200_000).map(|_| random.lowercase() as u8).collect();
        let mut seen = vec![false; 1 << 16];
        text.windows(512).step_by(3).take(1 << 16).for_each(|window| seen[(of(window) >> 16) as usize] = true);
        let distinct = seen.iter().filter(|&&hit| hit).count();
        // A random function would reach 63 % of the values.
        assert!(distinct > (1 << 16) / 2, "{distinct} of 65536 upper halves");
    }
}
