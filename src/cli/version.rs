//! `--version`: which sy, which protocol, which phases.

use std::sync::OnceLock;

use crate::phases::{PHASES, State};
use crate::protocol::hello::{MAX_VERSION, MIN_VERSION};

/// The long version, after the program's name.
pub fn long() -> &'static str {
    static LONG: OnceLock<String> = OnceLock::new();
    LONG.get_or_init(describe)
}

fn describe() -> String {
    let phases: Vec<String> = PHASES
        .iter()
        .map(|phase| {
            let sign = match phase.state {
                State::On => '+',
                State::Off => '-',
                State::Planned => '?',
            };
            format!("{sign}{}", phase.feature)
        })
        .collect();
    format!(
        "{}\nprotocol {MIN_VERSION} to {MAX_VERSION}\nphases (+ in this build, - left out, ? planned): {}",
        env!("CARGO_PKG_VERSION"),
        phases.join(" ")
    )
}
