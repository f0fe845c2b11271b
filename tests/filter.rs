//! Our filter against rsync's: random trees, random rules, the same entries transferred and the same deleted.
//!
//! The seed is fixed, so that a run can be repeated; `FILTER_SEED` and `FILTER_CASES` explore further.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fastrand::Rng;
use sy::filter::{Filter, FilterError, Scopes, Side, Verdict, expand, from_exclude};
use sy::tree::dir;

use crate::harness;

/// What both programs say of a case: the paths, or that the rules are wrong.
type Listing = Option<BTreeSet<String>>;

const NAMES: [&str; 14] =
    ["a", "b", "ab", "foo", "bar", "foo.o", "a.c", "x y", "a*b", "[a]", "q\\r", "-", "!", "foo_bar"];

/// What patterns are made of.
const PIECES: [&str; 37] = [
    "a",
    "b",
    "ab",
    "foo",
    "bar",
    ".o",
    ".c",
    "*",
    "*",
    "*",
    "**",
    "**",
    "***",
    "?",
    "/",
    "/",
    "/",
    "/",
    "[ab]",
    "[!a]",
    "[^b-f]",
    "[[:alpha:]]",
    "[[:punct:]]",
    "[a",
    "]",
    "[]a]",
    "[a-]",
    "[\\]a]",
    "\\",
    "\\*",
    "\\[",
    " ",
    "x y",
    "q\\r",
    "[[:nope:]]",
    "-",
    "!",
];

const SIGNS: [&str; 20] = [
    "- ", "- ", "- ", "+ ", "+ ", "-_", "-,", "-! ", "-s ", "+r ", "-p ", "-p ", "-p ", "-pr ", "Pp ", "H ", "S ",
    "P ", "R ", "exclude ",
];

struct Case {
    tree: Vec<String>,
    rules: Vec<Vec<u8>>,
}

/// Per-directory merge rules, each with whether its file has bare patterns.
const MERGES: [(&str, bool); 16] = [
    (": .r", false),
    (": .r", false),
    (": .q", false),
    ("dir-merge,n .r", false),
    (":e .r", false),
    (":p .r", false),
    (":s .r", false),
    (":r .q", false),
    (":/ .q", false),
    (":- .r", true),
    (":+ .q", true),
    (":n- .r", true),
    (":w- .q", true),
    (":C .r", true),
    (":sC .q", true),
    (":C", true),
];

/// Merge files for `tree`, and rules among those of the case that have them read.
fn merge_files(random: &mut Rng, case: &mut Case) -> Vec<(String, Vec<u8>)> {
    // rsync takes what is a wildcard in a directory's name for one, where a rule of its file is anchored.
    let plain = |path: &&String| path.ends_with('/') && !path.contains(['*', '[', '\\']);
    let dirs: Vec<String> = case.tree.iter().filter(plain).cloned().chain([String::new()]).collect();
    let mut bare = Vec::new();
    for _ in 0..random.usize(1..4) {
        let (rule, is_bare) = MERGES[random.usize(..MERGES.len())];
        let at = random.usize(..=case.rules.len());
        case.rules.insert(at, rule.as_bytes().to_vec());
        bare.push(is_bare);
    }
    let mut files = Vec::new();
    for _ in 0..random.usize(1..6) {
        let dir = &dirs[random.usize(..dirs.len())];
        let name = pick(random, &[".r", ".r", ".q", ".cvsignore"]);
        let mut lines = Vec::new();
        for _ in 0..random.usize(..5) {
            lines.push(match random.u8(..12) {
                0 => MERGES[random.usize(..MERGES.len())].0.as_bytes().to_vec(),
                1 => b"# a comment".to_vec(),
                _ if bare.contains(&true) => likely_pattern(random, &case.tree).into_bytes(),
                _ => rule(random, &case.tree),
            });
        }
        files.push((format!("{dir}{name}"), lines.join(&b'\n')));
    }
    files
}

fn case(random: &mut Rng) -> Case {
    let mut tree = BTreeSet::new();
    for _ in 0..random.usize(3..18) {
        let mut path = String::new();
        for _ in 0..random.usize(0..4) {
            path += NAMES[random.usize(..NAMES.len())];
            path.push('/');
            // A directory; one that is already a file is left out when the tree is made.
            tree.insert(path.clone());
        }
        path += NAMES[random.usize(..NAMES.len())];
        tree.insert(path);
    }
    let tree: Vec<String> = tree.into_iter().collect();
    let rules = (0..random.usize(1..6)).map(|_| rule(random, &tree)).collect();
    Case { tree, rules }
}

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

fn rule(random: &mut Rng, tree: &[String]) -> Vec<u8> {
    let pattern = if random.u8(..3) == 0 { random_pattern(random) } else { likely_pattern(random, tree) };
    match random.u8(..24) {
        0 => b"!".to_vec(),
        1 | 2 => from_exclude(pattern.as_bytes()),
        3 => format!("- {}", pick(random, &["*", "*/", "/*", "**", "*.o", "/*/"])).into_bytes(),
        _ => format!("{}{pattern}", pick(random, &SIGNS)).into_bytes(),
    }
}

fn random_pattern(random: &mut Rng) -> String {
    (0..random.usize(1..6)).map(|_| pick(random, &PIECES)).collect()
}

/// A pattern made from the end of a path of the tree, some of its parts replaced by wildcards.
fn likely_pattern(random: &mut Rng, tree: &[String]) -> String {
    let path = &tree[random.usize(..tree.len())];
    let components: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let from = random.usize(..components.len());
    let start = pick(random, &["", "", "", "/", "**/", "**", "/**/", "*/", "*"]);
    let end = pick(random, &["", "", "", "/", "/*", "/**", "/***", "*", "**", "***"]);
    let kept: Vec<String> = components[from..].iter().map(|component| blur(random, component)).collect();
    format!("{start}{}{end}", kept.join("/"))
}

fn blur(random: &mut Rng, component: &str) -> String {
    let (first, last) = (&component[..1], &component[component.len() - 1..]);
    match random.u8(..12) {
        0 => "*".to_owned(),
        1 => "**".to_owned(),
        2 => format!("{first}*"),
        3 => format!("*{last}"),
        4 => format!("[{first}x]*"),
        5 => format!("?{}", &component[1..]),
        6 => component.chars().map(|c| format!("\\{c}")).collect(),
        _ => component.to_owned(),
    }
}

fn make_tree(root: &Path, tree: &[String]) {
    for path in tree {
        let full = root.join(path);
        if path.ends_with('/') {
            // Fails where a file has the name, which the next case makes up for.
            let _ = fs::create_dir_all(full);
        } else if !full.exists() && full.parent().is_some_and(Path::is_dir) {
            fs::write(full, b"").unwrap();
        }
    }
}

/// The entries of `dir` in `root`, with whether they are directories.
fn entries(root: &Path, dir: &Path) -> Vec<(PathBuf, bool)> {
    let entries = fs::read_dir(root.join(dir)).unwrap().map(Result::unwrap);
    entries.map(|e| (dir.join(e.file_name()), e.file_type().unwrap().is_dir())).collect()
}

fn listed(path: &Path, is_dir: bool) -> String {
    format!("{}{}", path.display(), if is_dir { "/" } else { "" })
}

/// What our sender would list.
fn ours_sent(filter: &Filter, root: &Path, dir: &Path, out: &mut BTreeSet<String>) {
    for (path, is_dir) in entries(root, dir) {
        if filter.verdict(Side::Sender, &path, is_dir) == Verdict::Included {
            out.insert(listed(&path, is_dir));
            if is_dir {
                ours_sent(filter, root, &path, out);
            }
        }
    }
}

/// What our receiver would delete were its source empty: files only, as a directory may have to stay for what it holds.
fn ours_deleted(filter: &Filter, root: &Path, dir: &Path, out: &mut BTreeSet<String>) {
    for (path, is_dir) in entries(root, dir) {
        let verdict = if dir == Path::new("") {
            filter.verdict(Side::Receiver, &path, is_dir)
        } else {
            filter.verdict_when_deleting(&path, is_dir)
        };
        match (verdict, is_dir) {
            (Verdict::Excluded, _) => {}
            (Verdict::Included, true) => ours_deleted(filter, root, &path, out),
            (Verdict::Included, false) => {
                out.insert(listed(&path, false));
            }
        }
    }
}

/// Has the merge files of each directory count, and tells of the first that cannot be understood.
struct Walk<'a> {
    tree: dir::Tree,
    root: &'a Path,
    scopes: Scopes,
    error: Option<FilterError>,
}

impl Walk<'_> {
    fn new<'a>(filter: &Filter, root: &'a Path, side: Side) -> Walk<'a> {
        Walk { tree: dir::Tree::open(root).unwrap(), root, scopes: Scopes::new(filter.clone(), side), error: None }
    }

    /// What is in `dir`, with what the rules say of it.
    fn judged(&mut self, dir: &Path, sender: bool) -> Vec<(PathBuf, bool, Verdict)> {
        let place = if dir == Path::new("") { Path::new(".") } else { dir };
        self.error = self.scopes.enter(&self.tree, place).err().or(self.error.take());
        let verdict = |path: &Path, is_dir| match (sender, dir == Path::new("")) {
            (true, _) | (false, true) => self.scopes.verdict(path, is_dir),
            (false, false) => self.scopes.verdict_when_deleting(path, is_dir),
        };
        let judged = entries(self.root, dir).into_iter();
        judged.map(|(path, is_dir)| (verdict(&path, is_dir), path, is_dir)).map(|(v, p, d)| (p, d, v)).collect()
    }

    /// What is listed by a sender, or the files that a receiver deletes.
    fn walk(&mut self, dir: &Path, sender: bool, out: &mut BTreeSet<String>) {
        for (path, is_dir, verdict) in self.judged(dir, sender) {
            if verdict == Verdict::Excluded {
                continue;
            }
            if sender || !is_dir {
                out.insert(listed(&path, is_dir));
            }
            if is_dir {
                self.walk(&path, sender, out);
            }
        }
    }
}

/// rsync with the rules, its arguments and a source and a destination below `root`.
fn rsync(root: &Path, rules: &[Vec<u8>], arguments: &[&str], from: &str, to: &str) -> Output {
    let mut command = Command::new(harness::rsync());
    command.env("LC_ALL", "C").current_dir(root).args(arguments);
    for rule in rules {
        command.arg("-f").arg(OsStr::from_bytes(rule));
    }
    command.args([from, to]).output().unwrap()
}

fn theirs(output: &Output, keep: impl Fn(&str) -> Option<String>) -> Listing {
    match output.status.code() {
        Some(0) => Some(String::from_utf8_lossy(&output.stdout).lines().filter_map(keep).collect()),
        Some(1) => None,
        _ => panic!("rsync failed: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn sent(line: &str) -> Option<String> {
    (line != "./").then(|| line.to_owned())
}

fn deleted(line: &str) -> Option<String> {
    line.strip_prefix("*deleting   ").filter(|path| !path.ends_with('/')).map(str::to_owned)
}

/// What `walk` lists with the case's rules; `Err` where sy does not take a rule yet that rsync takes.
fn ours(case: &Case, root: &Path, walk: impl Fn(&Filter, &mut BTreeSet<String>)) -> Result<Listing, FilterError> {
    match expand(&case.rules).and_then(|rules| Filter::parse(&rules)) {
        Ok(filter) => {
            let mut out = BTreeSet::new();
            walk(&filter.with_root(root), &mut out);
            Ok(Some(out))
        }
        Err(error @ FilterError::NotSupported { .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |value| value.parse().unwrap())
}

/// Runs `compare` on random cases, each in a directory of its own with a `tree` and an `empty`.
fn for_random_cases(compare: impl Fn(&Path, &Case)) {
    let (seed, cases) = (number("FILTER_SEED", 1), number("FILTER_CASES", 100));
    println!("FILTER_SEED={seed} FILTER_CASES={cases}");
    for at in 0..cases {
        let case = case(&mut Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(at)));
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        fs::create_dir(dir.path().join("empty")).unwrap();
        make_tree(&dir.path().join("tree"), &case.tree);
        compare(dir.path(), &case);
    }
}

fn assert_same(case: &Case, ours: Result<Listing, FilterError>, theirs: Listing) {
    let Ok(ours) = ours else { return };
    let rules: Vec<String> = case.rules.iter().map(|rule| rule.escape_ascii().to_string()).collect();
    let only = |one: &Listing, other: &Listing| match (one, other) {
        (Some(one), Some(other)) => one.difference(other).cloned().collect(),
        (one, _) => vec![if one.is_some() { "rules accepted".to_owned() } else { "rules refused".to_owned() }],
    };
    assert!(
        ours == theirs,
        "rules {rules:#?}\ntree {:?}\nonly ours: {:?}\nonly rsync's: {:?}",
        case.tree,
        only(&ours, &theirs),
        only(&theirs, &ours),
    );
}

#[test]
fn sender_lists_what_rsync_lists() {
    for_random_cases(|dir, case| {
        let tree = dir.join("tree");
        let output = rsync(dir, &case.rules, &["-rn", "--out-format=%n"], "tree/", "empty/");
        let ours = ours(case, &tree, |filter, out| ours_sent(filter, &tree, Path::new(""), out));
        assert_same(case, ours, theirs(&output, sent));
    });
}

#[test]
fn receiver_deletes_what_rsync_deletes() {
    for_random_cases(|dir, case| {
        let tree = dir.join("tree");
        let output = rsync(dir, &case.rules, &["-rni", "--delete"], "empty/", "tree/");
        let ours = ours(case, &tree, |filter, out| ours_deleted(filter, &tree, Path::new(""), out));
        assert_same(case, ours, theirs(&output, deleted));
    });
}

#[test]
fn absolute_and_merged_rules_mean_what_they_mean_to_rsync() {
    for_random_cases(|dir, case| {
        let tree = dir.join("tree").canonicalize().unwrap();
        // The same rules once more, but from a file, and one that looks at the whole path.
        let lines: Vec<u8> = case.rules.join(&b'\n');
        fs::write(dir.join("rules"), lines).unwrap();
        let absolute = format!("-/ {}/foo*", tree.display()).into_bytes();
        let merge = |file: &Path| [b". ", file.as_os_str().as_bytes()].concat();
        let rules = vec![absolute, b"-/ tree/a".to_vec(), merge(&dir.join("rules"))];
        let case = Case { tree: case.tree.clone(), rules };
        let output = rsync(dir, &case.rules, &["-rn", "--out-format=%n"], "tree/", "empty/");
        let ours = ours(&case, &tree, |filter, out| ours_sent(filter, &tree, Path::new(""), out));
        assert_same(&case, ours, theirs(&output, sent));
    });
}

#[test]
fn merge_files_of_the_tree_mean_what_they_mean_to_rsync() {
    let (asked, understood) = (Cell::new(0), Cell::new(0));
    for_random_cases(|dir, case| {
        let tree = dir.join("tree").canonicalize().unwrap();
        let mut case = Case { tree: case.tree.clone(), rules: case.rules.clone() };
        let files = merge_files(
            &mut Rng::with_seed(case.tree.concat().len() as u64 * 1009 + case.rules.concat().len() as u64),
            &mut case,
        );
        for (path, contents) in &files {
            // Fails where a file has the name of the directory.
            let _ = fs::write(tree.join(path), contents);
        }
        for sender in [true, false] {
            let output = match sender {
                true => rsync(dir, &case.rules, &["-rn", "--out-format=%n"], "tree/", "empty/"),
                false => rsync(dir, &case.rules, &["-rni", "--delete"], "empty/", "tree/"),
            };
            let error = Cell::new(None);
            let ours = ours(&case, &tree, |filter, out| {
                let mut walk = Walk::new(filter, &tree, if sender { Side::Sender } else { Side::Receiver });
                walk.walk(Path::new(""), sender, out);
                error.set(walk.error);
            });
            let ours = if error.take().is_some() { Ok(None) } else { ours };
            let theirs = theirs(&output, if sender { sent } else { deleted });
            asked.set(asked.get() + 1);
            understood.set(understood.get() + u32::from(theirs.is_some()));
            case.tree.extend(files.iter().map(|(path, contents)| format!("{path}: {}", contents.escape_ascii())));
            assert_same(&case, ours, theirs);
            case.tree.truncate(case.tree.len() - files.len());
        }
    });
    assert!(2 * understood.get() > asked.get(), "{} of {} mean anything", understood.get(), asked.get());
}
