//! The strong hash: XXH3-128 under the session's seed; its lower half for a block, all of it for a whole file.
//!
//! Why not a cryptographic one: the link is already authenticated and encrypted, and the peer at its other end may send
//! any contents it likes without forging a digest. What is left to guard against is chance (two blocks with one
//! checksum), damage, a basis that changed under us, and a third party who prepares files so that blocks collide.
//! A seed drawn anew for each session takes the collisions away from the third party, who cannot know it; for chance and
//! damage 128 well-mixed bits are more than enough. It runs at the speed of memory, where SHA-256 would be the slowest
//! thing in a transfer.

use std::io::{self, Read};

use xxhash_rust::xxh3::{Xxh3, xxh3_128_with_seed};

/// Bytes that one read asks for.
const READ: usize = 256 << 10;

/// The strong hash of one block, as a signature carries it.
pub fn block(seed: u64, bytes: &[u8]) -> u64 {
    // The lower half, on purpose.
    xxh3_128_with_seed(bytes, seed) as u64
}

/// The digest of a whole file, fed piece by piece.
#[derive(Clone)]
pub struct Hasher(Xxh3);

impl Hasher {
    /// A digest of nothing yet, under `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Xxh3::with_seed(seed))
    }

    /// Adds the bytes that follow.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Adds the first `len` bytes of what is read.
    ///
    /// # Errors
    /// The reader's; `UnexpectedEof` where there are fewer.
    pub fn read_from(&mut self, reader: impl Read, len: u64) -> io::Result<()> {
        let mut reader = reader.take(len);
        let mut buffer = vec![0; READ];
        while reader.limit() > 0 {
            match reader.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.update(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The digest of all that was added, big-endian as it travels.
    pub fn finish(&self) -> [u8; 16] {
        self.0.digest128().to_be_bytes()
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(seed: u64, bytes: &[u8]) -> [u8; 16] {
        let mut hasher = Hasher::new(seed);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn what_is_read_counts_as_far_as_it_is_wanted_and_must_be_there() {
        let mut hasher = Hasher::new(7);
        hasher.read_from(&b"beginning and end"[..], 9).unwrap();
        assert_eq!(hasher.finish(), digest(7, b"beginning"));
        assert_eq!(hasher.read_from(&b"short"[..], 6).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn digest_does_not_depend_on_how_the_bytes_are_cut() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i.wrapping_mul(i) >> 3) as u8).collect();
        let mut hasher = Hasher::new(7);
        bytes.chunks(37).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.finish(), digest(7, &bytes));
    }

    #[test]
    fn seed_changes_both_hashes() {
        assert_ne!(block(1, b"the same"), block(2, b"the same"));
        assert_ne!(digest(1, b"the same"), digest(2, b"the same"));
    }

    #[test]
    fn block_is_the_lower_half_of_the_digest() {
        for len in [0, 3, 100, 1000, 5000] {
            let bytes = vec![0x5A; len];
            assert_eq!(block(9, &bytes).to_be_bytes(), digest(9, &bytes)[8..]);
        }
    }

    #[test]
    fn digest_of_nothing_is_the_published_one() {
        // XXH3-128 of the empty string with seed 0, from the algorithm's specification.
        assert_eq!(u128::from_be_bytes(digest(0, b"")), 0x99aa_06d3_0147_98d8_6001_c324_468d_497f);
    }
}
