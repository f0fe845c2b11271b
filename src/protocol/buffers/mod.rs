//! Where the bytes of messages and contents are put together. Seam for phase 3.1, `buffer-pool`.
//!
//! `fresh` is the baseline: a new `Vec` each time. `pooled` keeps those that are done with. Both offer `Buffers`, a handle
//! whose clones share what there is, with `take` and `give_back`.

#[cfg(any(test, not(feature = "buffer-pool")))]
mod fresh;
#[cfg(any(test, feature = "buffer-pool"))]
mod pooled;

#[cfg(not(feature = "buffer-pool"))]
pub use fresh::Buffers;
#[cfg(feature = "buffer-pool")]
pub use pooled::Buffers;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_buffer_is_empty_and_has_room_whatever_was_given_back(
            sizes in proptest::collection::vec((0..600_000usize, any::<bool>()), 0..40),
        ) {
            let (fresh, pooled) = (fresh::Buffers::default(), pooled::Buffers::default());
            for (size, fill) in sizes {
                for mut buffer in [fresh.take(size), pooled.take(size)] {
                    prop_assert!(buffer.is_empty() && buffer.capacity() >= size);
                    if fill {
                        buffer.resize(size, 7);
                    }
                    fresh.give_back(Vec::new());
                    pooled.clone().give_back(buffer);
                }
            }
        }
    }
}
