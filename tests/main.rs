//! The integration tests of `sy`: the built program against real trees, a real `rsync` and a real `sshd`.

mod harness;

mod basics;
mod chunks;
mod delete;
mod differential;
mod failures;
mod filter;
mod hostile;
mod interop;
mod output;
mod scale;
mod ssh;
mod writing;
