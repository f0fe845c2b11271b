//! The command line: what was typed, what it means, and what is printed. Everything that prints is here.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::FromArgMatches;

pub mod args;
pub mod config;
pub mod format;
pub mod info;
pub mod itemize;
pub mod list;
pub mod log;
pub mod names;
pub mod progress;
pub mod report;
pub mod rsync;
pub mod size;
pub mod stats;
pub mod version;
pub mod when;

use args::{Args, Command};
use config::{Config, Transfer};
use info::Topic;
use report::Reporter;
use stats::Summary;

use crate::error::{Error, ExitCode, Result};
use crate::events::{Event, Events, Monitor};
use crate::protocol::message::Role;
use crate::session::{Outcome, Request};
use crate::{client, daemon, local, phases};

/// Runs the command line `words` (the program's name first) to its end.
pub fn run(words: Vec<OsString>) -> ExitCode {
    if let Some(text) = asked_for_words(&words) {
        return print(&text);
    }
    if let [_, only] = &words[..]
        && only == "-h"
    {
        // As in rsync: -h is --human-readable, but alone it is a cry for help.
        return print(&args::command().render_help().to_string());
    }
    let matches = match args::command().try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(error) => return usage(&error),
    };
    match Args::from_arg_matches(&matches) {
        Ok(Args { command: Some(command), .. }) => other(command),
        Ok(args) => match Config::resolve(args, &matches) {
            Ok(config) => sync(&config),
            Err(error) => complain(&error),
        },
        Err(error) => usage(&error),
    }
}

/// The words of `--info` and `--debug`, for who asks for them: as in rsync that needs no paths.
fn asked_for_words(words: &[OsString]) -> Option<String> {
    let mut before_paths = words.iter().skip(1).take_while(|word| *word != "--");
    before_paths.find_map(|word| match word {
        word if word.eq_ignore_ascii_case("--info=help") => Some(info::help()),
        word if word.eq_ignore_ascii_case("--debug=help") => Some(info::debug_help()),
        _ => None,
    })
}

fn usage(error: &clap::Error) -> ExitCode {
    if let Some(text) = rsync::refusal(error) {
        return complain(&Error::Usage(text));
    }
    // Nobody to tell is nobody to tell.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok }
}

fn complain(error: &Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "sy: {error}");
    error.exit_code()
}

fn print(text: &str) -> ExitCode {
    // A reader that went away has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::Ok
}

fn other(command: Command) -> ExitCode {
    match command {
        Command::Phases { json: true } => {
            print(&format!("{}\n", serde_json::json!({ "schema": 1, "phases": phases::PHASES })))
        }
        Command::Phases { json: false } => print(&phases_table()),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "sy", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
        Command::Man => {
            let mut page = Vec::new();
            match clap_mangen::Man::new(args::command()).render(&mut page) {
                Ok(()) => print(&String::from_utf8_lossy(&page)),
                Err(error) => complain(&Error::io("render", Path::new("the manual page"), error)),
            }
        }
        Command::Daemon { action } => daemon::run(&action).unwrap_or_else(|error| complain(&error)),
    }
}

fn phases_table() -> String {
    let mut table = String::new();
    for phase in phases::PHASES {
        let state = format!("{:?}", phase.state).to_lowercase();
        table.push_str(&format!("{:4} {:22} {state:8} {}\n", phase.id, phase.feature, phase.claim));
    }
    table
}

/// The reporter is asked for its counts after the monitor that owns its events is done with.
struct Shared(Arc<Reporter>);

impl Events for Shared {
    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }
}

fn sync(config: &Config) -> ExitCode {
    let begun = Instant::now();
    let shown = config.output.info.level(Topic::Progress) > 0 && !config.output.json && !config.output.quiet;
    let bar = progress::bar(shown);
    let reporter = match Reporter::new(config, bar.clone()) {
        Ok(reporter) => Arc::new(reporter),
        Err(error) => return complain(&error),
    };
    let monitor = Arc::new(Monitor::new(Box::new(Shared(reporter.clone()))));
    let role = match config.transfer {
        Transfer::Local { .. } => None,
        Transfer::Push { .. } => Some(Role::Sender),
        Transfer::Pull { .. } => Some(Role::Receiver),
    };
    let work = client::stop_after(config.stop_after, start(config, &monitor));
    let result = client::block_on(progress::follow(shown, bar.clone(), reporter.clone(), monitor.clone()), work);
    if shown && bar.is_hidden() {
        reporter.progress(&progress::line(&monitor.progress, reporter.seen().transferred, begun.elapsed()));
    }
    bar.finish_and_clear();
    match result {
        Ok(outcome) => {
            let exit_code = monitor.exit_code();
            let summary = Summary {
                outcome,
                seen: reporter.seen(),
                role,
                exit_code,
                elapsed: begun.elapsed(),
                dry_run: config.options.dry_run && !config.options.list_only,
            };
            let finished = reporter.finish(config, &summary).and(write_stats(config, &summary));
            finished.map_or_else(|error| complain(&error), |()| exit_code)
        }
        Err(error) => fail(config, &reporter, role, &error, begun.elapsed()),
    }
}

async fn start(config: &Config, monitor: &Arc<Monitor>) -> Result<Outcome> {
    let options = config.options.clone();
    match &config.transfer {
        Transfer::Local { sources, destination } => {
            let request =
                Request { role: Role::Sender, options, sources: sources.clone(), destination: destination.clone() };
            local::run(request, monitor).await
        }
        Transfer::Push { sources, remote, destination } => {
            let request =
                Request { role: Role::Sender, options, sources: sources.clone(), destination: destination.clone() };
            client::run(remote, config.use_daemon, request, monitor).await
        }
        Transfer::Pull { remote, sources, destination } => {
            let request =
                Request { role: Role::Receiver, options, sources: sources.clone(), destination: destination.clone() };
            client::run(remote, config.use_daemon, request, monitor).await
        }
    }
}

/// A sync that failed leaves its counts too, as far as there are any.
fn fail(config: &Config, reporter: &Reporter, role: Option<Role>, error: &Error, elapsed: Duration) -> ExitCode {
    reporter.fail(error, elapsed);
    let exit_code = error.exit_code();
    let summary = Summary {
        outcome: Outcome::default(),
        seen: reporter.seen(),
        role,
        exit_code,
        elapsed,
        dry_run: config.options.dry_run,
    };
    write_stats(config, &summary).map_or_else(|error| complain(&error), |()| exit_code)
}

fn write_stats(config: &Config, summary: &Summary) -> Result<()> {
    let Some(path) = &config.output.stats_file else { return Ok(()) };
    std::fs::write(path, format!("{}\n", summary.stats_file())).map_err(|error| Error::io("write", path, error))
}
