//! The integration tests of `sy`: the built program against real trees, a real `rsync` and a real `sshd`.

mod harness;

mod basics;
mod chunks;
#[cfg(feature = "daemon")]
mod daemon;
mod delete;
mod differential;
mod elsewhere;
mod every_option;
mod failures;
mod fake_super;
mod files_from;
mod filter;
mod fuzz;
mod hard_links;
mod hostile;
mod interop;
mod kept;
mod links;
mod listing;
mod merge_files;
#[cfg(not(feature = "daemon"))]
mod no_daemon;
mod opening;
mod output;
mod relative;
mod scale;
mod selection;
mod ssh;
mod wildcards;
mod writing;
