//! What the lab's own binary does when it is started by the lab: three hidden commands, none of them for people.
//!
//! `__measure` runs one command and records what it took, `__agent` keeps trees on another host, `__leash` cleans up
//! when the lab is gone. They are told apart before any argument is parsed for people, because `__measure` stands in
//! the timed path of every sync over SSH.

pub mod first_byte;
pub mod leash;
pub mod measure;

use std::ffi::OsString;
use std::process::ExitCode;

/// The first argument of the measuring wrapper.
pub const MEASURE: &str = "__measure";
/// The first argument of the agent on a far host.
pub const AGENT: &str = "__agent";
/// The first argument of the process that cleans up.
pub const LEASH: &str = "__leash";

/// Runs a hidden command if the arguments (program name first) name one.
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let rest = args.get(2..).unwrap_or_default();
    let done = match args.get(1)?.to_str()? {
        MEASURE => measure::main(rest),
        AGENT => crate::place::agent::main(rest),
        LEASH => leash::main(rest),
        _ => return None,
    };
    Some(done.unwrap_or_else(|error| {
        eprintln!("bench-harness: {error:#}");
        ExitCode::from(125)
    }))
}
