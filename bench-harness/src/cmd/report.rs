//! Renders a recorded run again. Reads its samples and its environment, and writes nothing else than text and pictures
//! made from them; the table of claims, where there is one, goes to standard output as well.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::record::store::{self, Recorded};
use crate::{plot, report};

/// Writes `report.md` and the plots, prints the claims; true when every cell was verified.
///
/// # Errors
/// When the run cannot be read or its directory not be written.
pub fn run(dir: &Path) -> Result<bool> {
    let recorded = store::read(dir)?;
    let path = dir.join(store::REPORT);
    fs::write(&path, report::render(&recorded)).with_context(|| format!("cannot write {}", path.display()))?;
    plot::draw_all(&recorded, &dir.join(store::PLOTS))?;
    if let Some(claims) = report::claims(&recorded) {
        println!("{claims}");
    }
    Ok(good(&recorded))
}

/// Draws the plots alone; true when every cell was verified.
///
/// # Errors
/// As `run`.
pub fn plots(dir: &Path) -> Result<bool> {
    let recorded = store::read(dir)?;
    plot::draw_all(&recorded, &dir.join(store::PLOTS))?;
    Ok(good(&recorded))
}

fn good(recorded: &Recorded) -> bool {
    recorded.environment.problems.is_empty() && recorded.samples.iter().all(|sample| sample.is_ok())
}
