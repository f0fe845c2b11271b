//! Directories of runs: made once, added to, never overwritten.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::environment::Environment;
use super::sample::{SCHEMA, Sample};

/// The file of the samples.
pub const SAMPLES: &str = "samples.jsonl";
/// The file of the environment.
pub const ENVIRONMENT: &str = "env.json";
/// The file of the tables.
pub const REPORT: &str = "report.md";
/// The directory of the plots.
pub const PLOTS: &str = "plots";

/// A run that is being written.
#[derive(Debug)]
pub struct Store {
    /// The run's directory.
    pub dir: PathBuf,
    samples: File,
}

impl Store {
    /// A new run in exactly this directory, which must not hold one.
    ///
    /// # Errors
    /// When it does, or cannot be written.
    pub fn at(dir: &Path) -> Result<Self> {
        Self::free(dir)?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let path = dir.join(SAMPLES);
        let samples = File::create_new(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Store { dir: dir.to_owned(), samples })
    }

    /// # Errors
    /// When the directory holds a run already.
    pub fn free(dir: &Path) -> Result<()> {
        ensure!(!dir.join(SAMPLES).exists(), "{} holds a run already; results are never overwritten", dir.display());
        Ok(())
    }

    /// A new run beneath `parent`, called `<date>-<machine>-<n>` with the first `n` that is free.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn numbered(parent: &Path, date: &str, machine: &str) -> Result<Self> {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        for n in 1..10_000 {
            let dir = parent.join(format!("{date}-{machine}-{n}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Self::at(&dir),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).with_context(|| format!("cannot create {}", dir.display())),
            }
        }
        bail!("no free name for a run in {}", parent.display())
    }

    /// Adds one sample; it is on its way to the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, sample: &Sample) -> Result<()> {
        let mut line = serde_json::to_vec(sample)?;
        line.push(b'\n');
        self.samples.write_all(&line).with_context(|| format!("cannot write to {}", self.dir.display()))
    }

    /// Writes the environment, which grows while the run goes on.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn environment(&self, environment: &Environment) -> Result<()> {
        let path = self.dir.join(ENVIRONMENT);
        let text = serde_json::to_string_pretty(environment)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes how to make the run again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn readme(&self, environment: &Environment) -> Result<()> {
        let commit = environment.commit.as_deref().unwrap_or("unknown");
        let changed = if environment.dirty == Some(true) { ", with uncommitted changes" } else { "" };
        let text = format!(
            "Made by\n\n    {}\n\nat commit {commit}{changed}, on {}. `{REPORT}` and `{PLOTS}/` are made from \
             `{SAMPLES}` and\n`{ENVIRONMENT}`; `bench-harness report DIR` makes them again.\n",
            environment.command, environment.date
        );
        let path = self.dir.join("README.md");
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A run that was recorded.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its environment.
    pub environment: Environment,
    /// All of its samples, in the order in which they were taken.
    pub samples: Vec<Sample>,
}

/// Reads a run back.
///
/// # Errors
/// When it cannot be read or was written by a lab whose format this one does not know.
pub fn read(dir: &Path) -> Result<Recorded> {
    let path = dir.join(ENVIRONMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let environment: Environment =
        serde_json::from_str(&text).with_context(|| format!("cannot parse {}", path.display()))?;
    ensure!(
        environment.schema == SCHEMA,
        "{} has schema {}, this lab reads {SCHEMA}",
        dir.display(),
        environment.schema
    );
    let path = dir.join(SAMPLES);
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut samples = Vec::new();
    for (n, line) in BufReader::new(file).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        let sample = serde_json::from_str(&line).with_context(|| format!("{}, line {}", path.display(), n + 1))?;
        samples.push(sample);
    }
    Ok(Recorded { environment, samples })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::sample::tests::sample;

    #[test]
    fn a_run_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::numbered(dir.path(), "2026-01-02", "cpu-2c").unwrap();
        let environment = Environment { schema: SCHEMA, seed: 7, ..Environment::default() };
        store.environment(&environment).unwrap();
        let samples = [sample("sy", 0, 1.0), sample("rsync", 1, 2.0)];
        samples.iter().for_each(|s| store.add(s).unwrap());
        let back = read(&store.dir).unwrap();
        assert_eq!((back.environment, back.samples), (environment, samples.to_vec()));
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::numbered(dir.path(), "2026-01-02", "cpu-2c").unwrap();
        let second = Store::numbered(dir.path(), "2026-01-02", "cpu-2c").unwrap();
        assert!(first.dir.ends_with("2026-01-02-cpu-2c-1") && second.dir.ends_with("2026-01-02-cpu-2c-2"));
        assert!(Store::at(&first.dir).unwrap_err().to_string().contains("never overwritten"));
    }
}
