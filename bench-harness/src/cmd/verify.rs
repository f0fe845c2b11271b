//! Checks every scenario with every subject once. Nothing is timed and nothing recorded.

use anyhow::{Context, Result};

use crate::cli::Selection;
use crate::run::schedule::Effort;
use crate::run::session::Course;
use crate::setup::{self, Ready};
use crate::{interrupt, workspace};

/// Runs it; true when every cell was verified.
///
/// # Errors
/// When the lab could not go on.
pub fn run(selection: &Selection) -> Result<bool> {
    interrupt::install()?;
    let own = std::env::current_exe().context("cannot find the lab's own binary")?;
    let mut ready = setup::ready(&own, &workspace::root()?, selection, Effort::Verify)?;
    let Ready { transports, lab, scenarios, subjects, environment, .. } = &mut ready;
    let course = Course { scenarios, subjects, effort: Effort::Verify, seed: environment.seed };
    let outcome = course.run(lab, transports, &mut |_| Ok(()))?;
    outcome.problems.iter().for_each(|problem| eprintln!("{problem}"));
    eprintln!("{} of {} cells verified", outcome.cells - outcome.failed, outcome.cells);
    Ok(outcome.failed == 0 && outcome.problems.is_empty() && environment.problems.is_empty())
}
