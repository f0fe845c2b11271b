//! A tree on disk, always reached through a handle on its root.

pub mod acl;
pub mod aside;
pub mod capability;
pub mod copy;
pub mod dir;
pub mod entry;
mod fake;
pub mod follow;
pub mod metadata;
pub mod mode;
pub mod notes;
pub mod owners;
pub mod paths;
pub mod place;
pub mod room;
pub mod scanner;
pub mod shelf;
mod stat;
#[cfg(test)]
mod testing;
pub mod xattrs;
