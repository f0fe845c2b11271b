//! File contents on their way from a read to a frame and from a frame to a write. Seam for phase 2.1, `zero-copy`.
//!
//! `owned` is the baseline: a `Vec<u8>` that is cloned to be sent and copied out of the frame that brought it. `shared`
//! hands one allocation on. Both offer `Payload`: `From<Vec<u8>>`, `Deref<Target = [u8]>`, `into_body`, `cut` (the rest of a
//! received frame) and `reclaim` (the allocation, for the next contents).

#[cfg(any(test, not(feature = "zero-copy")))]
mod owned;
#[cfg(any(test, feature = "zero-copy"))]
mod shared;

#[cfg(not(feature = "zero-copy"))]
pub use owned::Payload;
#[cfg(feature = "zero-copy")]
pub use shared::Payload;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::buffers::Buffers;

    proptest! {
        #[test]
        fn both_payloads_carry_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..500), start in 0..600usize) {
            let start = start.min(bytes.len());
            let buffers = Buffers::default();
            let owned = owned::Payload::cut(bytes.clone(), start, &buffers);
            let shared = shared::Payload::cut(bytes.clone(), start, &buffers);
            prop_assert_eq!(&owned[..], &bytes[start..]);
            prop_assert_eq!(&shared[..], &bytes[start..]);
            let owned = owned::Payload::from(bytes.clone()).into_body(&buffers);
            let shared = shared::Payload::from(bytes.clone()).into_body(&buffers);
            prop_assert_eq!(&owned[..], &shared[..]);
            // No contents, no allocation.
            prop_assert!(bytes.is_empty() || (owned.reclaim().is_some() && shared.reclaim().is_some()));
        }
    }

    #[test]
    fn shared_contents_stay_where_they_are() {
        let frame = vec![7; 100];
        let address = frame.as_ptr();
        let payload = shared::Payload::cut(frame, 10, &Buffers::default()).into_body(&Buffers::default());
        assert_eq!(payload.as_ptr(), address.wrapping_add(10));
        let second = payload.clone();
        assert!(payload.reclaim().is_none(), "the second holds it still");
        assert_eq!(second.reclaim().map(|buffer| buffer.as_ptr()), Some(address));
    }
}
