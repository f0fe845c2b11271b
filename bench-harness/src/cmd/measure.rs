//! Measures, records, and renders what it recorded.

use std::path::Path;

use anyhow::{Context, Result};

use crate::cli::Measure;
use crate::record::store::{self, Store};
use crate::run::schedule::Effort;
use crate::run::session::Course;
use crate::setup::{self, Ready};
use crate::{interrupt, workspace};

/// Runs the measurement; true when every cell was verified.
///
/// # Errors
/// When the lab could not go on. What was recorded until then is kept and rendered.
pub fn run(args: &Measure) -> Result<bool> {
    interrupt::install()?;
    let own = std::env::current_exe().context("cannot find the lab's own binary")?;
    let root = workspace::root()?;
    if let Some(out) = &args.out {
        // Before minutes are spent, not after.
        Store::free(out)?;
    }
    let effort = args.effort();
    let mut ready = setup::ready(&own, &root, &args.selection, effort)?;
    ready.environment.runs = args.rounds();
    ready.environment.command = command_line();
    let mut store = open_store(args, &root, &ready)?;
    store.environment(&ready.environment)?;
    eprintln!("recording into {}", store.dir.display());
    let done = course(&mut ready, effort, &mut store);
    let dir = store.dir.clone();
    store.readme(&ready.environment)?;
    super::report::run(&dir)?;
    let outcome = done?;
    eprintln!("{} of {} cells verified; see {}", outcome.0 - outcome.1, outcome.0, dir.join(store::REPORT).display());
    Ok(outcome.1 == 0 && ready.environment.problems.is_empty())
}

/// Runs the course; cells and failed cells.
fn course(ready: &mut Ready, effort: Effort, store: &mut Store) -> Result<(usize, usize)> {
    let Ready { transports, lab, scenarios, subjects, environment, .. } = ready;
    let course = Course { scenarios, subjects, effort, seed: environment.seed };
    let outcome = course.run(lab, transports, &mut |sample| store.add(&sample))?;
    environment.scenarios = outcome.digests;
    environment.soaks = outcome.soaks;
    environment.problems.extend(outcome.problems);
    environment.complete = true;
    store.environment(environment)?;
    Ok((outcome.cells, outcome.failed))
}

fn open_store(args: &Measure, root: &Path, ready: &Ready) -> Result<Store> {
    if let Some(out) = &args.out {
        return Store::at(out);
    }
    let parent = if args.selection.quick {
        workspace::target(root).join("bench-quick")
    } else {
        root.join("results").join("runs")
    };
    let date = ready.environment.date.split('T').next().unwrap_or_default().to_owned();
    Store::numbered(&parent, &date, &ready.environment.machine.slug())
}

/// How to do it again; the program's own path says nothing and is left out.
fn command_line() -> String {
    let args = std::env::args_os().skip(1).map(|arg| {
        let text = arg.to_string_lossy().into_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=@+".contains(c);
        if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
    });
    let all: Vec<String> = ["scripts/bench".to_owned()].into_iter().chain(args).collect();
    all.join(" ")
}
