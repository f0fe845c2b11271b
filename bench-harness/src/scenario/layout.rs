//! From a scenario to the plan of its tree: every entry with its path, mode, time and, for a file, its size and kind of
//! content. Pure: the same scenario and seed give the same plan on every machine; nothing is written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::rng::Rng;
use super::{Extras, Layout, Part, Scenario, Size};
use crate::place::disk::Need;

/// Modification times start here (2021-01-01 UTC), so that no tree is ever "new" to a tool that looks at the clock.
const EPOCH: i64 = 1_609_459_200;
/// ... and are spread over two years.
const SPREAD: u64 = 2 * 365 * 86_400;
/// An edited file is this much newer than the plan says: three years, so it is later than every unedited one.
pub const EDIT_AGE: i64 = 3 * 365 * 86_400;
/// The depth of a nested layout, as in source repositories.
const NESTED_DEPTH: usize = 6;

/// A modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970.
    pub secs: i64,
    /// Nanoseconds of that second.
    pub nanos: u32,
}

/// What an entry of the plan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file of `size` bytes of `content`.
    File {
        /// In bytes.
        size: u64,
        /// What it contains.
        content: Content,
    },
    /// A symbolic link with this target.
    Symlink(PathBuf),
    /// A second name of an earlier file.
    HardLink(PathBuf),
}

/// One entry of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its path beneath the root; empty for the root.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its permission bits.
    pub mode: u32,
    /// Its modification time.
    pub mtime: Stamp,
}

/// The plan of a tree: parents before children, the root first.
pub fn plan(scenario: &Scenario, seed: u64) -> Vec<Node> {
    let mut plan = Planner { seed, scenario: &scenario.name, nodes: Vec::new(), dirs: HashSet::new() };
    plan.dir(Path::new(""), 0o755);
    for (index, part) in scenario.parts.iter().enumerate() {
        plan.part(index, part);
    }
    if scenario.extras != Extras::default() {
        plan.extras(&scenario.extras);
    }
    plan.nodes
}

/// An upper bound of what so many trees of this plan take on a disk.
pub fn need(nodes: &[Node], trees: u64) -> Need {
    let block = |size: u64| size.div_ceil(4096) * 4096 + 1024;
    let one: u64 =
        nodes.iter().map(|node| if let Kind::File { size, .. } = node.kind { block(size) } else { 4096 }).sum();
    Need { bytes: one * trees, entries: nodes.len() as u64 * trees }
}

struct Planner<'a> {
    seed: u64,
    scenario: &'a str,
    nodes: Vec<Node>,
    dirs: HashSet<PathBuf>,
}

impl Planner<'_> {
    fn rng(&self, what: &str) -> Rng {
        Rng::keyed(self.seed, format!("{}/{what}", self.scenario).as_bytes())
    }

    fn add(&mut self, path: PathBuf, kind: Kind, mode: u32) {
        let mut label = format!("{}/mtime/", self.scenario).into_bytes();
        label.extend_from_slice(path.as_os_str().as_encoded_bytes());
        let mut rng = Rng::keyed(self.seed, &label);
        let mtime = Stamp { secs: EPOCH + rng.below(SPREAD) as i64, nanos: rng.below(1_000_000_000) as u32 };
        self.nodes.push(Node { path, kind, mode, mtime });
    }

    fn dir(&mut self, path: &Path, mode: u32) {
        if self.dirs.insert(path.to_owned()) {
            self.add(path.to_owned(), Kind::Dir, mode);
        }
    }

    fn part(&mut self, index: usize, part: &Part) {
        let mut rng = self.rng(&format!("part-{index}"));
        let base = PathBuf::from(&part.dir);
        if !part.dir.is_empty() {
            self.dir(&base, 0o755);
        }
        let dirs = directories(&base, part.layout, &mut rng);
        for dir in &dirs {
            self.dir(dir, 0o755);
        }
        for i in 0..part.files {
            let home = match (dirs.len() as u64, part.layout) {
                (0, _) => &base,
                (_, Layout::Nested { .. }) => rng.pick(&dirs),
                (n, _) => &dirs[(i % n) as usize],
            };
            let name = format!("{}_{i:05}.{}", rng.pick(STEMS), rng.pick(&part.extensions));
            let executable = rng.below(1000) < (part.executable * 1000.0) as u64;
            let size = draw(part.size, &mut rng);
            let kind = Kind::File { size, content: part.content };
            self.add(home.join(name), kind, if executable { 0o755 } else { 0o644 });
        }
    }

    fn extras(&mut self, extras: &Extras) {
        let base = PathBuf::from("extras");
        self.dir(&base, 0o755);
        let small = |size| Kind::File { size, content: Content::Prose };
        for i in 0..extras.empty {
            self.add(base.join(format!("empty_{i:03}")), small(0), 0o644);
        }
        if extras.odd_names {
            for (i, name) in ODD_NAMES.iter().enumerate() {
                self.add(base.join(name), small(100 + i as u64), 0o644);
            }
        }
        if extras.modes {
            self.dir(&base.join("private"), 0o700);
            for mode in [0o400, 0o444, 0o600, 0o640, 0o664, 0o755] {
                self.add(base.join(format!("private/mode_{mode:o}")), small(u64::from(mode)), mode);
            }
        }
        for i in 0..extras.symlinks {
            let target = match i % 3 {
                0 => "../extras",
                1 => "nowhere/at all",
                _ => "symlink_000",
            };
            self.add(base.join(format!("symlink_{i:03}")), Kind::Symlink(target.into()), 0o777);
        }
        for i in 0..extras.hard_links {
            let first = base.join(format!("twin_{i:03}_a"));
            self.add(first.clone(), small(3000 + i), 0o644);
            self.add(base.join(format!("twin_{i:03}_b")), Kind::HardLink(first), 0o644);
            self.share_mtime();
        }
    }

    /// Two names of one file have one time.
    fn share_mtime(&mut self) {
        let n = self.nodes.len();
        self.nodes[n - 1].mtime = self.nodes[n - 2].mtime;
    }
}

const STEMS: &[&str] =
    &["main", "util", "index", "report", "view", "model", "types", "config", "io", "parser", "notes"];

/// Names that a careless tool breaks on. All are UTF-8 in composed form, because some file systems take nothing else
/// and a scenario must be the same tree everywhere; sy's own tests cover names that are no UTF-8.
const ODD_NAMES: &[&str] = &[
    "a name with spaces",
    " leading and trailing ",
    "-rf",
    "--delete",
    "quote's \"double\"",
    "back\\slash",
    "new\nline",
    "tab\there",
    "$(touch planted)",
    "`touch planted`",
    "semi;colon & ampersand | pipe",
    "star*question?[brackets]{braces}",
    "#hash ~tilde !bang",
    "%percent%41",
    ".hidden",
    "..two dots",
    "trailing dot.",
    "日本語",
    "été",
    "😀",
    "colon:host",
];

fn directories(base: &Path, layout: Layout, rng: &mut Rng) -> Vec<PathBuf> {
    match layout {
        Layout::Flat { dirs } => (0..dirs).map(|i| base.join(format!("dir_{i:03}"))).collect(),
        Layout::Nested { dirs } => nested(base, dirs, rng),
        Layout::Chain { chains, depth } => {
            (0..depth).flat_map(|level| (0..chains).map(move |chain| (chain, level))).map(|at| link(base, at)).collect()
        }
    }
}

/// The directory at a level of a chain; level 0 is its head.
fn link(base: &Path, (chain, level): (u64, u64)) -> PathBuf {
    (1..=level).fold(base.join(format!("chain_{chain:02}")), |path, at| path.join(format!("level_{at:02}")))
}

fn nested(base: &Path, dirs: u64, rng: &mut Rng) -> Vec<PathBuf> {
    let mut all: Vec<(PathBuf, usize)> = Vec::new();
    for i in 0..dirs {
        let name = format!("{}_{i:03}", rng.pick(STEMS));
        let shallow: Vec<usize> = (0..all.len()).filter(|j| all[*j].1 < NESTED_DEPTH).collect();
        let next = if shallow.is_empty() || rng.below(8) == 0 {
            (base.join(name), 1)
        } else {
            let (parent, depth) = &all[*rng.pick(&shallow)];
            (parent.join(name), depth + 1)
        };
        all.push(next);
    }
    all.into_iter().map(|(path, _)| path).collect()
}

fn draw(size: Size, rng: &mut Rng) -> u64 {
    match size {
        Size::Fixed(size) => size,
        Size::Uniform { min, max } => rng.between(min, max),
        Size::LogNormal { mean, sigma, max } => {
            let mu = libm::log(mean as f64) - sigma * sigma / 2.0;
            (libm::exp(mu + sigma * rng.normal()) as u64).clamp(1, max)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::tiny;

    fn file_sizes(nodes: &[Node]) -> Vec<u64> {
        nodes.iter().filter_map(|n| if let Kind::File { size, .. } = n.kind { Some(size) } else { None }).collect()
    }

    #[test]
    fn plan_depends_on_scenario_and_seed_alone() {
        assert_eq!(plan(&tiny(), 1), plan(&tiny(), 1));
        assert_ne!(plan(&tiny(), 1), plan(&tiny(), 2));
    }

    #[test]
    fn parents_stand_before_children_and_no_path_twice() {
        let nodes = plan(&tiny(), 1);
        let mut seen = std::collections::HashSet::new();
        for node in &nodes {
            if let Some(parent) = node.path.parent() {
                assert!(seen.contains(parent), "{:?} before its parent", node.path);
            }
            assert!(seen.insert(node.path.as_path()), "{:?} twice", node.path);
        }
    }

    #[test]
    fn shipped_scenarios_have_the_declared_shape() {
        let all = crate::scenario::load_all(&crate::workspace::root().unwrap().join("scenarios")).unwrap();
        let shape = |name: &str| {
            let nodes = plan(all.iter().find(|s| s.name == name).unwrap(), 42);
            let dirs = nodes.iter().filter(|n| n.kind == Kind::Dir).count() - 1;
            let depth = nodes.iter().map(|n| n.path.components().count()).max().unwrap();
            let sizes = file_sizes(&nodes);
            (sizes.len(), dirs, depth, sizes.iter().sum::<u64>() / sizes.len() as u64)
        };
        assert_eq!(shape("small_files"), (1000, 10, 2, 1024));
        assert_eq!(shape("large_file"), (1, 0, 1, 100 * 1000 * 1000));
        let (files, dirs, _, mean) = shape("source_code");
        assert!(files == 5000 && dirs == 200 && (4600..5600).contains(&mean), "{files} {dirs} {mean}");
        assert!(shape("deep_dirs").2 > 30);
    }

    #[test]
    fn files_take_whole_blocks_and_a_name_each() {
        let node = |kind| Node { path: "x".into(), kind, mode: 0, mtime: Stamp { secs: 0, nanos: 0 } };
        let file = Kind::File { size: 4097, content: Content::Prose };
        let bytes = 2 * (4096 + 8192 + 1024);
        assert_eq!(need(&[node(Kind::Dir), node(file)], 2), Need { bytes, entries: 4 });
    }
}
