//! Prints what a run would record of this machine.

use anyhow::Result;
use serde_json::json;

use crate::place::disk;
use crate::record::environment::{self, Machine};
use crate::workspace;

/// Prints it; always true.
///
/// # Errors
/// When there is no room for any tree.
pub fn run() -> Result<bool> {
    let (commit, dirty) = workspace::root().map(|root| environment::commit(&root)).unwrap_or_default();
    let environment = json!({
        "machine": Machine::of(&disk::choose(disk::Need::default(), None)?),
        "ssh": environment::error_output("ssh", &["-V"]),
        "rsync": environment::rsync_identity(),
        "commit": commit,
        "dirty": dirty,
    });
    println!("{environment:#}");
    Ok(true)
}
