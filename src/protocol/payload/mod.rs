//! File contents on their way from a read to a frame and from a frame to a write. Seam for phase 2.1, `zero-copy`.
//!
//! `owned` is the baseline: a `Vec<u8>` that is cloned to be sent and copied out of the frame that brought it. A sibling
//! offers the same: `From<Vec<u8>>`, `Deref<Target = [u8]>`, `to_send`, and `cut` (the rest of a received frame).

mod owned;
pub use owned::Payload;
