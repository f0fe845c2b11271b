//! A tree on disk, always reached through a handle on its root.

pub mod entry;
pub mod paths;
