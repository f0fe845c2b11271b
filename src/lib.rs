//! `sy`: a file sync tool with rsync's habits, built to be faster than rsync.

#![warn(missing_docs)]

pub mod options;
pub mod tree;
