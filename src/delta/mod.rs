//! Delta transfer: what of a new file the peer's old one (the basis) already holds, and how to rebuild the new from both.
//!
//! The algorithm is Tridgell's (A. Tridgell, "Efficient Algorithms for Sorting and Synchronization", ANU 1999, chapter 3).
//! The side that has the basis cuts it into blocks of one size and sends a [`Signature`]: a rolling and a strong checksum a
//! block. The other side slides a window over the new file ([`Generator`]); where the rolling checksum is one of the
//! signature's, the strong one decides, and a block that is there travels as its number. The rest are literals.
//! [`Patcher`] puts the file together again. Block checksums are short, so that a file may be put together wrongly with a
//! small probability, and a basis may change while it is used: a digest of the whole file follows and decides.
//!
//! Three things differ from the thesis: what most likely follows a match is compared before anything rolls (see
//! [`expect`], a phase of its own); a last, short block may be found wherever its predecessor was; and what crafted
//! checksums can make the search cost is bounded (see `generator`).
//!
//! Nothing here opens a file, knows a message or keeps a whole file in memory.

mod emit;
pub mod expect;
mod generator;
mod index;
mod patch;
pub mod rolling;
mod signature;
pub mod strong;
pub mod window;

pub use emit::Op;
pub use generator::{Generator, Options, Summary};
pub use patch::{Basis, PatchError, Patcher};
pub use signature::{Block, Geometry, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE, Signature, SignatureError, block_size};

#[cfg(test)]
mod tests;
