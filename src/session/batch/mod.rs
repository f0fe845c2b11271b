//! How small files share messages. Seam for phase 1.2, `small-file-batch`.
//!
//! `single` is the baseline: a message for each file. A sibling offers the same `Packer`: files that were read whole are
//! added, and whatever was held back is sent by `flush`, which the sender calls before it waits or sends anything else.

mod single;
pub use single::Packer;
