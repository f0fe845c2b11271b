//! Where the bytes of a message are put together. Seam for phase 3.1, `buffer-pool`.
//!
//! `fresh` is the baseline: a new `Vec` for each message. A sibling offers the same `take` and `give_back`.

mod fresh;
pub use fresh::Buffers;
