//! The stretch of the new file that the generator looks at. Seam for phase 3.2, `ring-window`.
//!
//! What a sibling must offer: `new(wanted)` for a window that will usually hold up to `wanted` unprocessed bytes,
//! `fill(reader)` that appends up to [`CHUNK`] bytes (less only at the reader's end, 0 when it is reached), `bytes()`, the
//! unprocessed bytes as *one* slice, and `advance(n)` that forgets the first `n` of them. `drain` is the baseline. The
//! generator calls `advance` once before it fills, not for every match, and keeps offsets into `bytes()` in between.

mod drain;

pub(super) use drain::Window;

/// Bytes that one `fill` asks the reader for.
pub(super) const CHUNK: usize = 256 << 10;
