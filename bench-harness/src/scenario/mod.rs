//! Scenarios: which tree, which edit, which directions, and why. Read from TOML (`scenarios/README.md` is the format).
//!
//! A scenario is data. This module reads and scales it; `layout` turns it into a plan of entries (pure), `content` and
//! `edit` make bytes (pure), `generate` is the only part that writes to a disk. Nothing here knows sy or rsync.

pub mod content;
pub mod edit;
pub mod generate;
pub mod layout;
pub mod rng;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use content::Content;

/// One scenario as its file declares it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name: the file's name without `.toml`.
    pub name: String,
    /// The reason it exists: which weakness of a sync tool it shows.
    pub why: String,
    /// Which ways it is synced over SSH.
    pub directions: Vec<Direction>,
    /// The groups of files that it consists of.
    #[serde(rename = "part")]
    pub parts: Vec<Part>,
    /// Entries that are not plain files with plain names.
    #[serde(default)]
    pub extras: Extras,
    /// What the `delta` operation edits.
    pub delta: Delta,
    /// How much smaller `--quick` makes it.
    pub quick: Quick,
}

/// Which end has the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The local end sends.
    Push,
    /// The local end receives.
    Pull,
    /// There is no other end.
    Local,
}

/// What is done to the tree before the sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The destination is empty.
    Initial,
    /// The destination has the same tree already.
    Incremental,
    /// The destination has the tree as it was before the edits.
    Delta,
}

impl Operation {
    /// All of them, in the order in which they are measured.
    pub const ALL: [Operation; 3] = [Operation::Initial, Operation::Incremental, Operation::Delta];
}

/// A group of files with one layout, one distribution of sizes and one kind of content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The directory beneath the root that the group lies in; empty for the root itself.
    #[serde(default)]
    pub dir: String,
    /// How many files.
    pub files: u64,
    /// How they are spread over directories.
    pub layout: Layout,
    /// How large they are, in bytes.
    pub size: Size,
    /// What they contain.
    pub content: Content,
    /// Their names' endings, picked at random.
    pub extensions: Vec<String>,
    /// The share of them that is executable.
    #[serde(default)]
    pub executable: f64,
}

/// How a part's files are spread over directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Layout {
    /// `dirs` directories beside each other; 0 puts the files into the part's own directory.
    Flat {
        /// How many.
        dirs: u64,
    },
    /// `dirs` directories in a random tree at most six deep, as in a source repository.
    Nested {
        /// How many.
        dirs: u64,
    },
    /// `chains` chains of `depth` directories, one within the other.
    Chain {
        /// How many chains.
        chains: u64,
        /// How deep each is.
        depth: u64,
    },
}

/// How large a part's files are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Size {
    /// All the same.
    Fixed(u64),
    /// Evenly between the two.
    Uniform {
        /// The least.
        min: u64,
        /// The most.
        max: u64,
    },
    /// Log-normal, as the sizes of files are in life: most are small, a few are not.
    LogNormal {
        /// The mean, in bytes.
        mean: u64,
        /// The deviation of the logarithm.
        sigma: f64,
        /// Where the tail is cut off, in bytes.
        max: u64,
    },
}

/// Entries that are not plain files with plain names, in a directory `extras` of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extras {
    /// Symbolic links: to a file, to a directory, to nothing, in turn.
    pub symlinks: u64,
    /// Files of length 0.
    pub empty: u64,
    /// A set of names with spaces, quotes, a newline, a leading dash and the like.
    pub odd_names: bool,
    /// Files and a directory with other modes than 0644 and 0755.
    pub modes: bool,
    /// Pairs of names of one file.
    pub hard_links: u64,
}

/// What the `delta` operation edits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// The share of the files that is edited; at least one file is.
    pub share: f64,
    /// Which edits each of them gets.
    pub edits: Edits,
}

/// Which edits a file gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edits {
    /// One of the three kinds, in turn.
    InTurn,
    /// All three.
    All,
}

/// The factors by which `--quick` shrinks a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quick {
    /// On the numbers of files and directories.
    pub files: f64,
    /// On the sizes.
    pub size: f64,
}

impl Scenario {
    /// Reads one scenario file.
    ///
    /// # Errors
    /// When the file cannot be read, is not of the format, or declares what makes no sense.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read scenario {}", path.display()))?;
        let scenario: Scenario =
            toml::from_str(&text).with_context(|| format!("cannot parse scenario {}", path.display()))?;
        scenario.validate().with_context(|| format!("invalid scenario {}", path.display()))?;
        ensure!(
            path.file_stem().is_some_and(|stem| stem == scenario.name.as_str()),
            "scenario {} calls itself {:?}; the two must agree",
            path.display(),
            scenario.name
        );
        Ok(scenario)
    }

    fn validate(&self) -> Result<()> {
        ensure!(!self.why.trim().is_empty(), "`why` is empty");
        ensure!(!self.parts.is_empty(), "no [[part]]");
        ensure!(!self.directions.is_empty(), "no direction");
        ensure!(!self.directions.contains(&Direction::Local), "`local` is no direction over SSH");
        ensure!((0.0..=1.0).contains(&self.delta.share), "delta.share lies outside 0..=1");
        for part in &self.parts {
            part.validate()?;
        }
        Ok(())
    }

    /// The same scenario at `--quick`'s size.
    pub fn quick(mut self) -> Self {
        let scale = |n: u64, by: f64| if n == 0 { 0 } else { ((n as f64 * by).round() as u64).max(1) };
        for part in &mut self.parts {
            part.files = scale(part.files, self.quick.files);
            match &mut part.layout {
                Layout::Flat { dirs } | Layout::Nested { dirs } => *dirs = scale(*dirs, self.quick.files),
                Layout::Chain { .. } => {}
            }
            match &mut part.size {
                Size::Fixed(size) => *size = scale(*size, self.quick.size),
                Size::Uniform { min, max } => {
                    *min = scale(*min, self.quick.size);
                    *max = scale(*max, self.quick.size);
                }
                Size::LogNormal { mean, max, .. } => {
                    *mean = scale(*mean, self.quick.size);
                    *max = scale(*max, self.quick.size);
                }
            }
        }
        self
    }
}

impl Part {
    fn validate(&self) -> Result<()> {
        ensure!(!self.extensions.is_empty(), "a part without `extensions`");
        ensure!((0.0..=1.0).contains(&self.executable), "`executable` lies outside 0..=1");
        match self.layout {
            Layout::Nested { dirs: 0 } | Layout::Chain { chains: 0, .. } | Layout::Chain { depth: 0, .. } => {
                bail!("a layout of no directory; use flat with dirs = 0")
            }
            _ => {}
        }
        match self.size {
            Size::Uniform { min, max } => ensure!(min <= max, "size.uniform has min above max"),
            Size::LogNormal { mean, sigma, max } => {
                ensure!(
                    mean > 0 && mean <= max && sigma >= 0.0,
                    "size.log_normal needs 0 < mean <= max and sigma >= 0"
                );
            }
            Size::Fixed(_) => {}
        }
        Ok(())
    }
}

/// All scenarios of a directory, the three of the performance plan first, the others by name.
///
/// # Errors
/// When the directory cannot be listed or one of its scenarios is invalid.
pub fn load_all(dir: &Path) -> Result<Vec<Scenario>> {
    let listing = std::fs::read_dir(dir).with_context(|| format!("cannot list scenarios in {}", dir.display()))?;
    let mut scenarios = Vec::new();
    for item in listing {
        let path = item.with_context(|| format!("cannot list scenarios in {}", dir.display()))?.path();
        let is_scenario = path.extension().is_some_and(|e| e == "toml");
        if is_scenario && path.file_stem().is_some_and(|s| s != crate::subject::FILE_STEM) {
            scenarios.push(Scenario::load(&path)?);
        }
    }
    ensure!(!scenarios.is_empty(), "no scenario in {}", dir.display());
    scenarios.sort_by_key(|s| (CORE.iter().position(|name| *name == s.name).unwrap_or(CORE.len()), s.name.clone()));
    Ok(scenarios)
}

const CORE: [&str; 3] = ["small_files", "large_file", "source_code"];

#[cfg(test)]
pub mod tests {
    //! A scenario for the tests of other modules.

    use super::*;

    /// A scenario of a few dozen entries that has one of everything.
    pub fn tiny() -> Scenario {
        toml::from_str(
            r#"
            name = "tiny"
            why = "a test"
            directions = ["push", "pull"]
            [[part]]
            files = 20
            layout = { nested = { dirs = 4 } }
            size = { log_normal = { mean = 4000, sigma = 1.0, max = 20000 } }
            content = "source"
            extensions = ["rs", "c"]
            executable = 0.3
            [[part]]
            dir = "media"
            files = 3
            layout = { flat = { dirs = 0 } }
            size = { uniform = { min = 20000, max = 60000 } }
            content = "incompressible"
            extensions = ["jpg"]
            [extras]
            symlinks = 3
            empty = 2
            odd_names = true
            modes = true
            hard_links = 1
            [delta]
            share = 0.2
            edits = "in_turn"
            [quick]
            files = 0.5
            size = 0.5
            "#,
        )
        .unwrap()
    }

    #[test]
    fn every_shipped_scenario_is_valid_and_says_why() {
        let all = load_all(&crate::workspace::root().unwrap().join("scenarios")).unwrap();
        let names: Vec<&str> = all.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["small_files", "large_file", "source_code", "deep_dirs", "mixed"]);
    }

    #[test]
    fn quick_scales_counts_and_sizes_and_never_to_nothing() {
        let quick = tiny().quick();
        assert_eq!((quick.parts[0].files, quick.parts[1].files), (10, 2));
        assert_eq!(quick.parts[0].layout, Layout::Nested { dirs: 2 });
        assert_eq!(quick.parts[1].size, Size::Uniform { min: 10_000, max: 30_000 });
        let mut one = tiny();
        one.quick.files = 0.0001;
        assert_eq!(one.quick().parts[0].files, 1);
    }

    #[test]
    fn nonsense_is_refused() {
        let broken: [fn(&mut Scenario); 6] = [
            |s| s.why = " ".into(),
            |s| s.parts.clear(),
            |s| s.delta.share = 1.5,
            |s| s.parts[0].size = Size::Uniform { min: 2, max: 1 },
            |s| s.parts[0].layout = Layout::Nested { dirs: 0 },
            |s| s.directions = vec![Direction::Local],
        ];
        for (i, spoil) in broken.iter().enumerate() {
            let mut scenario = tiny();
            spoil(&mut scenario);
            assert!(scenario.validate().is_err(), "case {i}");
        }
        assert!(tiny().validate().is_ok());
    }
}
