//! The program: an index of what it can be, and the exit.

use std::process::ExitCode;

fn main() -> ExitCode {
    sy::heap::start();
    let words: Vec<_> = std::env::args_os().collect();
    let code = match &words[..] {
        [_, only] if only == "--server" => sy::server::run(),
        _ => sy::cli::run(words),
    };
    ExitCode::from(code as u8)
}
