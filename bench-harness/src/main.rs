//! The lab's binary: an index. Exit statuses live here.
#![warn(missing_docs)]

use std::ffi::OsString;
use std::process::ExitCode;

use bench_harness::cli::{Cli, Command};
use bench_harness::{child, cmd, interrupt, setup};
use clap::Parser;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = child::dispatch(&args) {
        return code;
    }
    let cli = Cli::parse();
    let done = match &cli.command {
        None => cmd::measure::run(&cli.measure),
        Some(Command::Verify(selection)) => cmd::verify::run(selection),
        Some(Command::Report { dir }) => cmd::report::run(dir),
        Some(Command::Plot { dir }) => cmd::report::plots(dir),
        Some(Command::Compare { a, b }) => cmd::compare::run(a, b),
        Some(Command::Gate { a, b }) => cmd::gate::run(a, b),
        Some(Command::List) => cmd::list::run(),
        Some(Command::Env) => cmd::env::run(),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if interrupt::happened() => {
            eprintln!("bench-harness: {error:#}");
            ExitCode::from(interrupt::STATUS)
        }
        Err(error) => {
            eprintln!("bench-harness: {error:#}");
            ExitCode::from(if error.is::<setup::Usage>() { 2 } else { 3 })
        }
    }
}
