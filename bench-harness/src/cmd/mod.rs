//! The subcommands, one file each. Each says whether all went well; an `Err` means that it could not be done at all.

pub mod compare;
pub mod env;
pub mod gate;
pub mod list;
pub mod measure;
pub mod report;
pub mod verify;
