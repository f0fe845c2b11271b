//! Scenarios: which tree, which edit, which directions, and why. Read from TOML (`scenarios/README.md` is the format).
//!
//! A scenario is data. This module reads and scales it; `layout` turns it into a plan of entries (pure), `content` and
//! `edit` make bytes (pure), `generate` is the only part that writes to a disk. Nothing here knows sy or rsync.

pub mod content;
pub mod edit;
pub mod generate;
pub mod layout;
pub mod rng;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::record::sample::Pass;
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
    /// What is done to it before the sync.
    #[serde(default = "all_operations")]
    pub operations: Vec<Operation>,
    /// The kinds of transport that it says something over.
    #[serde(default = "everywhere")]
    pub over: Vec<Over>,
    /// The phase that it isolates; such a scenario is run with `--phases`, or when it is named.
    #[serde(default)]
    pub phase: Option<String>,
    /// What of the phase's claim it decides.
    #[serde(default, rename = "claim")]
    pub claims: Vec<Claim>,
    /// Whether it is run only when it is named; those in a directory always are.
    #[serde(default)]
    pub by_name: bool,
    /// The subjects that take part here beside those that do everywhere.
    #[serde(default)]
    pub also: Vec<String>,
    /// The most timed rounds that it has, where a sync is too long for more.
    #[serde(default)]
    pub rounds: Option<u32>,
    /// What is done besides warming up; left out: what the run does everywhere.
    #[serde(default)]
    pub passes: Option<Vec<Pass>>,
    /// What is done with the processes that subjects keep, apart from all cells.
    #[serde(default)]
    pub soak: Option<Soak>,
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

/// How a process that is kept is tried, apart from all cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soak {
    /// Syncs one after another, of a tree in which nothing has changed.
    pub sessions: u32,
    /// First syncs at once.
    pub at_once: u32,
}

/// Which end has the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The local end sends.
    Push,
    /// The local end receives.
    Pull,
    /// There is no other end.
    #[default]
    Local,
}

/// What is done to the tree before the sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The destination is empty.
    #[default]
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

/// The kinds of transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// None: both ends are on this host, without SSH.
    Local,
    /// SSH as it is, to this host or another.
    Ssh,
    /// SSH through the lab's relay.
    Wan,
}

impl Over {
    const ALL: [Over; 3] = [Over::Local, Over::Ssh, Over::Wan];
}

/// How a part of what the plan claims for a phase is measured here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// The words of the claim, as `sy phases` has them; their number is the bound.
    pub part: String,
    /// The figure that they are about.
    pub metric: Metric,
    /// The counter that must move if the phase does anything here.
    #[serde(default)]
    pub counter: Option<Metric>,
}

fn all_operations() -> Vec<Operation> {
    Operation::ALL.to_vec()
}

fn everywhere() -> Vec<Over> {
    Over::ALL.to_vec()
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
    /// One byte in every so many, at a place of chance within them.
    Scattered {
        /// In bytes.
        every: u64,
    },
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
        let within = path.parent().and_then(Path::file_name);
        let group = GROUPS.into_iter().find(|group| within.is_some_and(|dir| dir == *group));
        let stem = path.file_stem().unwrap_or_default();
        let named = group.map_or(PathBuf::from(stem), |group| Path::new(group).join(stem));
        let (file, name) = (path.display(), &scenario.name);
        ensure!(named == Path::new(name), "scenario {file} calls itself {name:?}; the two must agree");
        let of_phase = group == Some(OPT);
        ensure!(scenario.phase.is_some() == of_phase, "{file}: scenarios of a phase lie in {OPT}, and no others do");
        Ok(scenario)
    }

    fn validate(&self) -> Result<()> {
        ensure!(!self.why.trim().is_empty(), "`why` is empty");
        ensure!(!self.parts.is_empty(), "no [[part]]");
        ensure!(!self.directions.is_empty(), "no direction");
        ensure!(!self.directions.contains(&Direction::Local), "`local` is no direction over SSH");
        ensure!((0.0..=1.0).contains(&self.delta.share), "delta.share lies outside 0..=1");
        ensure!(!self.operations.is_empty(), "no operation");
        ensure!(!self.over.is_empty(), "no kind of transport");
        ensure!(
            self.phase.is_some() != self.claims.is_empty(),
            "a phase without [[claim]], or a claim without a phase"
        );
        ensure!(self.soak.is_none_or(|soak| soak.sessions > 0), "a soak of no session");
        ensure!(self.rounds != Some(0), "no timed round at all; leave `timed` out of `passes` for that");
        let passes = self.passes.as_deref();
        ensure!(passes.is_none_or(|passes| !passes.is_empty()), "`passes` is empty");
        ensure!(passes.is_none_or(|passes| !passes.contains(&Pass::WarmUp)), "warming up is no choice of `passes`");
        ensure!(self.delta.edits != (Edits::Scattered { every: 0 }), "scattered edits at every 0 bytes");
        for part in &self.parts {
            part.validate()?;
        }
        Ok(())
    }

    /// Whether it is one of the performance plan's own three.
    pub fn is_core(&self) -> bool {
        CORE.contains(&self.name.as_str())
    }

    /// Whether it is run without being named, outside of `--phases`.
    pub fn is_default(&self) -> bool {
        !self.by_name && !self.name.contains('/')
    }

    /// Whether it goes by this name, be it that of its directory.
    pub fn is_called(&self, name: &str) -> bool {
        Path::new(&self.name).starts_with(name)
    }

    /// How many files its parts have.
    pub fn files(&self) -> u64 {
        self.parts.iter().map(|part| part.files).sum()
    }

    /// Whether any operation needs the tree as it is after the edits.
    pub fn is_edited(&self) -> bool {
        self.operations.contains(&Operation::Delta)
    }

    /// The same scenario at `--quick`'s size.
    pub fn quick(mut self) -> Self {
        let scale = |n: u64, by: f64| if n == 0 { 0 } else { ((n as f64 * by).round() as u64).max(1) };
        if let Some(soak) = &mut self.soak {
            soak.sessions = scale(soak.sessions.into(), self.quick.files) as u32;
            soak.at_once = scale(soak.at_once.into(), self.quick.files) as u32;
        }
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

/// All scenarios of a directory: the three of the performance plan, the others by name, those of a directory by their
/// number of files, and those of a phase in the plan's order.
///
/// # Errors
/// When the directory cannot be listed or one of its scenarios is invalid.
pub fn load_all(dir: &Path) -> Result<Vec<Scenario>> {
    let mut paths = files(dir)?;
    for within in GROUPS.map(|group| dir.join(group)).into_iter().filter(|within| within.is_dir()) {
        paths.extend(files(&within)?);
    }
    let mut scenarios = paths.iter().map(|path| Scenario::load(path)).collect::<Result<Vec<_>>>()?;
    ensure!(!scenarios.is_empty(), "no scenario in {}", dir.display());
    let core = |s: &Scenario| CORE.iter().position(|name| *name == s.name).unwrap_or(CORE.len());
    let within = |s: &Scenario| if is_of_scale(&s.name) { s.files() } else { 0 };
    scenarios.sort_by_key(|s| (s.phase.clone(), within(s), core(s), s.name.clone()));
    Ok(scenarios)
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let listing = std::fs::read_dir(dir).with_context(|| format!("cannot list scenarios in {}", dir.display()))?;
    let mut files = Vec::new();
    for item in listing {
        let path = item.with_context(|| format!("cannot list scenarios in {}", dir.display()))?.path();
        let is_scenario = path.extension().is_some_and(|e| e == "toml");
        if is_scenario && path.file_stem().is_some_and(|s| s != crate::subject::FILE_STEM) {
            files.push(path);
        }
    }
    Ok(files)
}

/// The directory of the scenarios that isolate a phase.
pub const OPT: &str = "opt";

/// The directory of the scenarios that differ in their number of files and in nothing else.
pub const SCALE: &str = "scale";
/// The directory of the scenarios about what is kept between syncs.
pub const REPEATED: &str = "repeated";
/// The directories of scenarios.
pub const GROUPS: [&str; 3] = [OPT, SCALE, REPEATED];

/// Whether a scenario of this name isolates a phase.
pub fn is_of_phase(name: &str) -> bool {
    Path::new(name).starts_with(OPT)
}

/// Whether a scenario of this name is about what is kept between syncs.
pub fn is_of_repeated(name: &str) -> bool {
    Path::new(name).starts_with(REPEATED)
}

/// Whether a scenario of this name is one of a number of files.
pub fn is_of_scale(name: &str) -> bool {
    Path::new(name).starts_with(SCALE)
}

const CORE: [&str; 3] = ["small_files", "large_file", "source_code"];

#[cfg(test)]
pub mod tests {
    //! A scenario for the tests of other modules.

    use super::*;

    const SHAPE: &str = r#"
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
            "#;

    /// A scenario of a few dozen entries that has one of everything.
    pub fn tiny() -> Scenario {
        toml::from_str(&format!("name = \"tiny\"\n{SHAPE}")).unwrap()
    }

    #[test]
    fn every_shipped_scenario_is_valid_and_says_why() {
        let all = load_all(&crate::workspace::root().unwrap().join("scenarios")).unwrap();
        let names = |of: fn(&&Scenario) -> bool| all.iter().filter(of).map(|s| s.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(|s| s.is_default()), ["small_files", "large_file", "source_code", "deep_dirs", "mixed"]);
        assert_eq!(names(|s| s.by_name), ["first_byte"]);
        assert_eq!(names(|s| !s.also.is_empty()), ["repeated/library", "repeated/small_files"]);
        assert_eq!(
            names(|s| is_of_scale(&s.name)),
            ["1000", "10000", "100000", "1000000"].map(|n| format!("scale/{n}"))
        );
        assert!(all.iter().filter(|s| is_of_scale(&s.name)).all(|s| s.name == format!("scale/{}", s.files())));
        let of_phases: Vec<&Scenario> = all.iter().skip_while(|s| s.phase.is_none()).collect();
        let phases: Vec<&str> = of_phases.iter().map(|s| s.phase.as_deref().unwrap()).collect();
        assert!(phases.is_sorted() && !phases.is_empty(), "{phases:?}");
        assert!(of_phases.iter().all(|s| s.name.starts_with("opt/")), "{of_phases:?}");
        assert_eq!(all.iter().filter(|s| s.is_core()).count(), 3);
    }

    #[test]
    fn a_scenario_lies_in_opt_if_and_only_if_it_has_a_phase() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("opt")).unwrap();
        let write = |name: &str, phase: &str| {
            let (head, body) = SHAPE.split_once("[[part]]").unwrap();
            let text = format!("name = {name:?}\n{head}{phase}[[part]]{body}");
            std::fs::write(dir.path().join(name).with_extension("toml"), text).unwrap();
            Scenario::load(&dir.path().join(name).with_extension("toml"))
        };
        let phase = "phase = \"1.1\"\n[[claim]]\npart = \"+20 %\"\nmetric = \"wall\"\n";
        assert!(write("plain", "").is_ok() && write("opt/deep", phase).is_ok());
        assert_eq!(load_all(dir.path()).unwrap().len(), 2);
        assert!(write("plain", phase).is_err() && write("opt/deep", "").is_err());
        assert!(write("opt/deep", "phase = \"1.1\"\n").is_err());
    }

    #[test]
    fn a_scenario_goes_by_its_own_name_and_by_that_of_its_directory() {
        let named = |name: &str| Scenario { name: name.into(), ..tiny() };
        assert!(named("scale/1000").is_called("scale/1000") && named("scale/1000").is_called("scale"));
        assert!(!named("scale/1000").is_called("scale/100") && !named("scale/1000").is_called("sca"));
        assert!(named("mixed").is_default() && !named("scale/1000").is_default());
        assert!(!Scenario { by_name: true, ..named("mixed") }.is_default());
    }

    #[test]
    fn quick_scales_counts_and_sizes_and_never_to_nothing() {
        let quick = tiny().quick();
        assert_eq!((quick.parts[0].files, quick.parts[1].files), (10, 2));
        assert_eq!(quick.parts[0].layout, Layout::Nested { dirs: 2 });
        assert_eq!(quick.parts[1].size, Size::Uniform { min: 10_000, max: 30_000 });
        let soaked = Scenario { soak: Some(Soak { sessions: 1000, at_once: 50 }), ..tiny() }.quick();
        assert_eq!(soaked.soak, Some(Soak { sessions: 500, at_once: 25 }));
        let mut one = tiny();
        one.quick.files = 0.0001;
        assert_eq!(one.quick().parts[0].files, 1);
    }

    #[test]
    fn nonsense_is_refused() {
        let broken: [fn(&mut Scenario); 13] = [
            |s| s.why = " ".into(),
            |s| s.parts.clear(),
            |s| s.delta.share = 1.5,
            |s| s.parts[0].size = Size::Uniform { min: 2, max: 1 },
            |s| s.parts[0].layout = Layout::Nested { dirs: 0 },
            |s| s.directions = vec![Direction::Local],
            |s| s.operations.clear(),
            |s| s.over.clear(),
            |s| s.rounds = Some(0),
            |s| s.soak = Some(Soak { sessions: 0, at_once: 5 }),
            |s| s.passes = Some(vec![]),
            |s| s.passes = Some(vec![Pass::Timed, Pass::WarmUp]),
            |s| s.delta.edits = Edits::Scattered { every: 0 },
        ];
        for (i, spoil) in broken.iter().enumerate() {
            let mut scenario = tiny();
            spoil(&mut scenario);
            assert!(scenario.validate().is_err(), "case {i}");
        }
        assert!(tiny().validate().is_ok());
    }
}
