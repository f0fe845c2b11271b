//! Random cases: a source, a destination that has seen better days, and options that both tools have.
//!
//! It is long for what it leaves out: each exception to the draw of options stands beside its reason.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use fastrand::Rng;

use crate::harness::tree::{Node, Spec, acl};
use crate::harness::{Tree, is_root, noise};

/// What one case consists of. The source is at `source`, each tool's destination at `TOOL/destination`.
pub struct Case {
    pub source: Tree,
    /// `None`: not there yet.
    pub destination: Option<Tree>,
    /// Other directories beside the destination, by their names, for `--link-dest` and its kin.
    pub others: Vec<(&'static str, Tree)>,
    /// The names that `--files-from` finds, in a file beside the source.
    pub list: Option<Vec<u8>>,
    /// What planted links lead to, beside the destination.
    pub outside: Tree,
    pub options: Vec<String>,
    pub sources: Vec<String>,
    /// Below the tool's directory.
    pub target: String,
}

/// Sizes on both sides of every limit that matters: none, a delta's least, a block, a piece, a frame.
const SIZES: [usize; 10] = [0, 1, 100, 699, 700, 4095, 4096, 9000, 65_537, 200_000];

/// An absolute path of nothing.
const NOWHERE: &str = "/nowhere/at/all";

/// The file that a list of names is in, and the option that has it read.
pub const LIST: &str = "list";
const FILES_FROM: &str = "--files-from=list";

/// The merge file that cases have.
const RULES: &str = ".rsync-filter";

/// What stands in one.
const LINES: [&str; 12] = [
    "- *b*",
    "+ *a*",
    "- /f1",
    "- d?/",
    "P extra*",
    "!",
    "H l*",
    "-p c*",
    "- /*/a",
    "R extra1",
    "- .rsync-filter",
    "-s zc",
];

impl Case {
    /// Whether holes are made of zeros in files that are made anew.
    pub fn makes_holes(&self) -> bool {
        let has = |wanted: &str| self.options.iter().any(|option| option == wanted);
        has("-S") && !has("--inplace") && !has("--preallocate")
    }

    /// Whether access times are kept.
    pub fn keeps_atimes(&self) -> bool {
        self.options.iter().any(|option| option == "-U")
    }

    /// The case with this number; `wanted` are options that it is to have besides those that it draws, apart by semicolons.
    pub fn generate(seed: u64, wanted: &str) -> Case {
        let rng = &mut Rng::with_seed(seed);
        let mut options = options(rng, wanted);
        // Not drawn, so that all other cases are what they were before there was the option.
        let faked = seed % 8 == 5 && can_be_said(&options);
        if faked {
            options.push("--fake-super".into());
        }
        let has = |wanted| options.iter().any(|option| option == wanted);
        let ruled = reads_merge_files(&options);
        let filtered = ruled || options.iter().any(|option| option.contains("clude=") || option == "-C");
        let mut maker = Maker {
            rng,
            coarse: has("-u"),
            keeps_dirs: has("--ignore-existing"),
            ruled,
            accessed: has("-U"),
            sparse: has("-S"),
            described: has("-X"),
            listed: has("-A"),
            mapped: options.iter().any(|option| is_map(option)),
            longest: if has("-b") { 250 } else { 255 },
            unlinked: has("--inplace") || has("--append") || has("-U") || (has("-H") && filtered),
            follows: FOLLOWING.iter().any(|option| has(option)),
            enters: has("-K"),
            alone: has("-m") || has("-F") || has("-FF"),
        };
        let source = maker.source();
        // Of a root that does not exist and may not be made, rsync says in a dry run what it does not say otherwise.
        // And one that nothing is left to go into it makes with -R nevertheless.
        let needed = has("-n") && has("--existing") || has("-m") && has("-R");
        // What stands there as itself rsync makes something that is only said, though nothing has changed.
        let has_any = !faked && (needed || maker.rng.u8(..5) > 0);
        let destination = has_any.then(|| maker.destination(&source));
        let mut others = Vec::new();
        for name in OTHERS.into_iter().filter(|name| options.iter().any(|option| option.ends_with(name))) {
            let mut other = maker.destination(&source);
            // rsync follows links there, and sy does not.
            let is_dir = |path: &Path| source.entries.get(path).is_some_and(|spec| spec.node == Node::Dir);
            let doors = other.entries.iter_mut().filter(|(path, _)| is_dir(path));
            for (_, spec) in doors.filter(|(_, spec)| matches!(spec.node, Node::Symlink(_))) {
                spec.node = Node::Symlink("dangling".into());
            }
            others.push((name, other));
        }
        let (mut sources, mut target) = maker.paths(&source, &options);
        if has("-R") {
            // From here on, or from where the tools are.
            let kept = |source: String| source.replacen('/', "/./", usize::from(maker.rng.bool()));
            sources = sources.into_iter().map(kept).collect();
        }
        let limited = options.iter().any(|option| option.starts_with("--max-delete"));
        let list = has(FILES_FROM).then(|| maker.list(&source, has("-0"), limited));
        if list.is_some() {
            (sources, target) = (vec!["source/".into()], "destination/".into());
        }
        let named = sources.iter().any(|source| !source.ends_with(['/', '.']));
        if destination.is_none() && target == "destination" && (named || has("--existing")) {
            // If the rules leave a single directory in the list, rsync makes that of a target that is not there yet.
            target.push('/');
        }
        let outside = Tree::new().file("kept", "outside").file("sub/kept", "outside too").mode(0o600);
        Case { source, destination, others, list, outside, options, sources, target }
    }

    /// Whether rules stand in the trees.
    pub fn reads_merge_files(&self) -> bool {
        reads_merge_files(&self.options)
    }

    /// Whether a directory's rules are those in force when it is dealt with.
    pub fn deletes_on_its_way(&self) -> bool {
        let times = ["--delete", "--del", "--delete-during", "--delete-delay"];
        self.options.iter().any(|option| times.contains(&option.as_str()))
    }

    /// Whether rsync has forgotten rules when it deletes by them.
    pub fn forgets_rules(&self) -> bool {
        self.reads_merge_files() && self.has("--delete-delay")
    }

    /// Whether rsync, which has said this, has deleted backups beside their places. No other name ends like them.
    pub fn loses_backups(&self, told: &str) -> bool {
        let is_backup = |line: &str| line.starts_with("*deleting") && (line.ends_with('~') || line.ends_with(".old"));
        self.has("-b") && told.lines().any(is_backup)
    }

    /// Whether what was deleted in a directory shows in its time: with a window rsync then gives it the source's, and sy its
    /// own again; where rsync is to forget no rules it deletes earlier, and directories that stay have got no time then.
    pub fn moves_dir_times(&self) -> bool {
        let is_late = self.has("--delete-delay") || self.has("--delete-after");
        self.forgets_rules() || (is_late && self.options.iter().any(|option| is_window(option)))
    }

    fn has(&self, wanted: &str) -> bool {
        self.options.iter().any(|option| option == wanted)
    }
}

fn is_window(option: &str) -> bool {
    option.starts_with("-@") || option.starts_with("--modify-window")
}

fn reads_merge_files(options: &[String]) -> bool {
    options.iter().any(|option| MERGES.contains(&option.as_str()))
}

/// Names of directories that the destination is compared with.
const OTHERS: [&str; 2] = ["other", "second"];

/// Options that name one, each with one that names another.
const COMPARED: [[&str; 2]; 3] = [
    ["--link-dest=../other", "--link-dest=../second"],
    ["--copy-dest=../other", "--copy-dest=../second"],
    ["--compare-dest=../other", "--compare-dest=../second"],
];

/// Options that have merge files read.
const MERGES: [&str; 4] = ["-F", "-FF", "--filter=:e .rsync-filter", "--filter=:n .rsync-filter"];

/// Options with which links of the source are followed.
pub const FOLLOWING: [&str; 3] = ["-L", "-k", "--copy-unsafe-links"];

fn options(rng: &mut Rng, wanted: &str) -> Vec<String> {
    let mut options: Vec<&str> = match rng.u8(..6) {
        0 => vec![rng.choice(["-r", "-rl", "-rt", "-rp", "-rlt", "-rltp", "-rlptD"]).expect("a few")],
        _ => vec!["-a"],
    };
    options.extend(wanted.split(';').filter(|option| !option.is_empty()));
    let mut sometimes = |one_in: u8, option: &'static str| {
        if rng.u8(..one_in) == 0 && !options.contains(&option) {
            options.push(option);
        }
    };
    for option in ["--no-l", "--no-p", "--no-t", "--no-g", "--no-o", "--no-D"] {
        sometimes(16, option);
    }
    for option in ["-c", "-u", "-I", "-S", "--size-only", "-x", "--inplace", "-n", "-O", "-J"] {
        sometimes(9, option);
    }
    for option in ["--existing", "--ignore-existing"] {
        sometimes(14, option);
    }
    for option in ["-H", "--numeric-ids"] {
        sometimes(3, option);
    }
    let times = ["--delete", "--del", "--delete-before", "--delete-during", "--delete-delay", "--delete-after"];
    for time in times {
        sometimes(12, time);
    }
    for limit in ["--max-delete=0", "--max-delete=1", "--max-delete=3", "--max-delete=-1"] {
        sometimes(24, limit);
    }
    sometimes(12, "-U");
    sometimes(7, "-X");
    sometimes(7, "-A");
    sometimes(6, "--no-whole-file");
    // On one machine that makes a link of a copy.
    sometimes(20, "--bwlimit=1g");
    sometimes(8, "-W");
    for option in ["-E", "--chmod=Fg=u,D2775", "--chmod=o-rwx,F+X", "-@0", "--modify-window=10", "-@20"] {
        sometimes(14, option);
    }
    for option in ["--delay-updates", "--partial-dir=.part", "--preallocate", "--fsync", "--append"] {
        sometimes(30, option);
    }
    for option in ["-b", "--backup-dir=../backup", "--suffix=.old"] {
        sometimes(10, option);
    }
    let filters = [
        "--exclude=*b*",
        "--include=*a*",
        "--exclude=/d1/",
        "--exclude=d?/*c",
        "--include=*/",
        "--exclude=**/f1",
        "--exclude=l*",
    ];
    for option in filters {
        sometimes(16, option);
    }
    for option in MERGES {
        sometimes(24, option);
    }
    sometimes(16, "-C");
    for option in ["-m", "--delete-excluded", "--force", "--ignore-errors", "--filter=P extra1", "--filter=R,p *a*"] {
        sometimes(16, option);
    }
    for option in ["--max-size=4095", "--min-size=100", "--max-size=9K-1"] {
        sometimes(24, option);
    }
    sometimes(12, "-R");
    sometimes(3, "--no-implied-dirs");
    sometimes(12, FILES_FROM);
    sometimes(3, "-0");
    sometimes(4, "--ignore-missing-args");
    for option in ["-K", "-L", "-k", "--copy-unsafe-links", "--safe-links", "-xx"] {
        sometimes(14, option);
    }
    let keeps_paths = options.contains(&"-R") || options.contains(&FILES_FROM);
    options.retain(|option| *option != "--no-implied-dirs" || keeps_paths);
    // What rsync takes for empty, or comes upon by links, depends on what of it is named and what only leads to it.
    let named = options.contains(&FILES_FROM);
    options.retain(|option| !keeps_paths || *option != "-m");
    options.retain(|option| !named || !FOLLOWING.contains(option));
    // In a dry run rsync does not see what stands in the way.
    let dry = options.contains(&"-n");
    options.retain(|option| *option != "--no-implied-dirs" || !dry);
    // And whether merge files count for what is named depends on what was looked at before.
    options.retain(|option| !named || !MERGES.contains(option));
    if rng.u8(..5) == 0 {
        let pair = rng.choice(COMPARED).expect("a few");
        options.extend(&pair[..rng.usize(1..=2)]);
    }
    // Where both sides follow links, one directory can be several places, and the order in which they are dealt with counts.
    let follows = options.iter().any(|option| FOLLOWING.contains(option));
    // And with --ignore-existing rsync goes on below a directory that it leaves alone, by way of a link that stands there.
    options.retain(|option| !matches!(*option, "-K" | "--ignore-existing") || !follows);
    // Of links that lead out rsync then keeps no backup.
    let is_kept = options.iter().any(|option| matches!(*option, "-b" | "--backup-dir=../backup"));
    options.retain(|option| *option != "--safe-links" || !is_kept);
    if is_root() && rng.u8(..6) == 0 {
        // Two of one kind are refused by both.
        let maps = [
            "--usermap=0:4,1-999:daemon,:6",
            "--groupmap=*:3",
            "--usermap=[d]a*:9,root:8",
            "--chown=:2",
            "--chown=1:1",
        ];
        options.extend(rng.choice(maps));
    }
    // Whom a map makes one in a list stands there twice for rsync.
    let listed = options.contains(&"-A");
    options.retain(|option| !listed || !is_map(option));
    // With a window and -c rsync may give a time anew that it has taken for equal, to what has a list.
    options.retain(|option| !listed || !(option.starts_with("-@") || option.starts_with("--modify-window")));
    // What only leads to the sources inherits a list if its directory has been given one by then, which sy gives last.
    let leading = options.contains(&"--no-implied-dirs");
    options.retain(|option| *option != "-A" || !leading);
    // Part of a mode is in the list: without -p rsync gives what is new that part too, and with --chmod it does not say that the
    // mode has changed where the list has.
    options.retain(|option| !listed || !(*option == "--no-p" || option.starts_with("--chmod")));
    // sy keeps what it has kept beside its place, rsync deletes that with --delete-excluded.
    let beside = options.contains(&"-b");
    options.retain(|option| *option != "--delete-excluded" || !beside);
    // What is read as a merge file, for -c or as a basis that stays, has another access time afterwards: for rsync in the
    // destination as well.
    let read = |option: &&str| {
        let kept = matches!(*option, "-c" | "-C" | "-b" | "--backup-dir=../backup");
        kept || MERGES.contains(option) || COMPARED.as_flattened().contains(option)
    };
    let is_read = options.iter().any(read);
    options.retain(|option| *option != "-U" || !is_read);
    let accessed = options.contains(&"-U");
    // Of what has larger attributes rsync's receiver gives the mode as well, whether or not that is kept.
    let keeps_modes = !options.contains(&"--no-p") && (options[0] == "-a" || options[0].contains('p'));
    // And with -U, where times are not kept, a time that nobody said.
    let timeless = !(options.iter().any(|option| *option == "-a" || option.starts_with("-rlt") || *option == "-rt"))
        || options.contains(&"--no-t");
    options.retain(|option| *option != "-X" || (keeps_modes && !(timeless && accessed)));
    // With -H it depends on which name of a file is looked at first what these spare, and where --existing meets another
    // type rsync removes that and makes nothing.
    let spares = options.iter().any(|option| matches!(*option, "-u" | "--existing") || option.contains("-size="));
    options.retain(|option| *option != "-H" || !spares);
    // Lines of a merge file then are one rule, of which there may be no sense to be made: rsync stops, sy leaves its directory.
    let ruled = options.iter().any(|option| MERGES.contains(option));
    options.retain(|option| *option != "-0" || !ruled);
    // Where both are to be told, the code of rsync depends on which of its ends hears of which.
    let tells_limit = options.iter().any(|option| option.starts_with("--max-delete"));
    options.retain(|option| *option != "--ignore-errors" || !tells_limit);
    // A directory that a backup in it keeps has been kept by the limit, too, if rsync comes to it after that.
    options.retain(|option| !option.starts_with("--max-delete") || !beside);
    // Two times of deletion are refused by both, which is for the tests that look at arguments.
    let time = options.iter().copied().rfind(|option| times.contains(option));
    options.retain(|option| !times.contains(option) || Some(*option) == time);
    // What is kept beside its place keeps the directory that it is in, which rsync does not foresee in a dry run.
    let kept = options.iter().any(|option| matches!(*option, "-b" | "--backup-dir=../backup"));
    options.retain(|option| *option != "-n" || !kept);
    let whole = options.contains(&"-W");
    // These are refused with --inplace.
    options.retain(|option| *option != "--append" || !whole);
    // To rsync what another directory has is begun already, and so is what another name of a file leads to; with -S it makes
    // zeros of what is there.
    let begun = options.iter().any(|option| matches!(*option, "-H" | "-S") || COMPARED.as_flattened().contains(option));
    options.retain(|option| *option != "--append" || !begun);
    let in_place = options.iter().any(|option| matches!(*option, "--inplace" | "--append"));
    options.retain(|option| !in_place || !matches!(*option, "--delay-updates" | "--partial-dir=.part"));
    // What gives way to what another directory has is kept by sy, and not by rsync.
    let gives_way = |option: &str| option.starts_with("--link-dest") || option.starts_with("--compare-dest");
    options.retain(|option| !gives_way(option) || !kept);
    // Of several names of one file, rsync puts one back that went because it is elsewhere, if another one stays.
    let left_out = options.iter().any(|option| option.starts_with("--compare-dest"));
    options.retain(|option| *option != "-H" || !left_out);
    // With a window rsync holds a time against that of another directory's file, which it did not take; with -E it means all
    // of what is there.
    let compared = options.iter().any(|option| COMPARED.as_flattened().contains(option));
    // And with -c it makes times the same that it takes for the same.
    let is_exact = compared || options.contains(&"-c");
    options.retain(|option| !is_exact || !is_window(option));
    options.retain(|option| *option != "-E" || !compared);
    // Which of the names of a file are one elsewhere too depends on which are looked at first, and links lead to some.
    options.retain(|option| *option != "-H" || !(compared && (follows || named)));
    // Links and special files that it makes anew for that rsync leaves without their larger attributes, and of a directory that
    // it makes like another it says again that the lists differ.
    options.retain(|option| !matches!(*option, "-X" | "-A") || !compared);
    // Of a link that is followed rsync looks at its own attributes, and what is read through links is read more than once.
    let through = follows || options.contains(&"-K");
    options.retain(|option| !matches!(*option, "-U" | "-X" | "-A") || !through);
    // rsync 3.5.0 fails to look at what it has copied to a directory of backups.
    options.retain(|option| !matches!(*option, "--inplace" | "--append") || !kept);
    // rsync then deletes its backups, with --delete-after even those that it has just made.
    let beside = options.contains(&"-b");
    options.retain(|option| *option != "--delete-excluded" || !beside);
    options.into_iter().map(String::from).collect()
}

/// Whether all that a sync with these options keeps can be said in attributes, and rsync looks for it where sy does. Where
/// owners are not kept it says numbers that nobody has.
fn can_be_said(options: &[String]) -> bool {
    let is_other = |option: &str| COMPARED.as_flattened().contains(&option) || FOLLOWING.contains(&option);
    options[0] == "-a"
        && !options.iter().any(|option| {
            matches!(&option[..], "--no-o" | "--no-g" | "-A" | "-X" | "-K" | "-n" | "--fake-super") || is_other(option)
        })
}

/// Whether an option gives things to others.
fn is_map(option: &str) -> bool {
    option.contains("map=") || option.starts_with("--chown")
}

struct Maker<'a> {
    rng: &'a mut Rng,
    /// Times differ by whole ten seconds or not at all: `-u` of rsync looks at seconds only.
    coarse: bool,
    /// No directory becomes something else: with `--ignore-existing` rsync leaves that and yet works below it, or rather
    /// beyond it where it is a link. sy lets all of it be.
    keeps_dirs: bool,
    /// Times of access are set.
    accessed: bool,
    /// Files have holes.
    sparse: bool,
    /// There are extended attributes.
    described: bool,
    /// There are access control lists.
    listed: bool,
    /// Things are given to others. What has setuid or setgid rsync looks at again when it has given it away, and then tells
    /// what differs still.
    mapped: bool,
    /// Bytes of the longest names: there is room for a suffix where rsync gives up for want of it.
    longest: usize,
    /// There are merge files.
    ruled: bool,
    /// The destination has no hard links: with `--inplace` a write into one name changes another, and what is made of that
    /// depends on when the other is looked at; to read one name for a delta moves the access time of the others. And with -H it depends on the choice of the first name whether one that is
    /// left out is changed with those that are not.
    unlinked: bool,
    /// Links of the source are followed.
    follows: bool,
    /// Links of the destination are followed.
    enters: bool,
    /// There is but one source. Of several, rsync looks at the merge files above the first alone; and of a directory that is
    /// in two of them it does not see with -m that it is empty.
    alone: bool,
}

impl Maker<'_> {
    fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(..count) == 0
    }

    fn source(&mut self) -> Tree {
        let mut tree = Tree::new();
        self.attributes(&mut tree, Path::new("."));
        let mut dirs = vec![PathBuf::new()];
        for number in 0..self.rng.usize(1..26) {
            let parent = dirs[self.rng.usize(..dirs.len())].clone();
            let path = parent.join(self.name(number));
            if tree.entries.contains_key(&path) {
                continue;
            }
            let node = self.node(&tree);
            if node == Node::Dir && path.components().count() < 5 {
                dirs.push(path.clone());
            }
            tree = tree.put(&path, node);
            self.attributes(&mut tree, &path);
        }
        if self.one_in(8) {
            tree = self.deepened(tree, &dirs);
        }
        if self.ruled {
            // rsync takes a bracket in a directory's name for a wildcard, where a rule of its file is anchored.
            dirs.retain(|dir| !dir.as_os_str().as_encoded_bytes().contains(&b'['));
            for _ in 0..self.rng.usize(1..4) {
                let path = self.rng.choice(&dirs).cloned().unwrap_or_default().join(RULES);
                tree = tree.put(&path, self.rules());
                self.attributes(&mut tree, &path);
            }
        }
        if self.follows || self.enters {
            self.tame(&mut tree);
        }
        tree
    }

    /// Names for `--files-from`: of what is there and of what is not, in more than one spelling.
    fn list(&mut self, source: &Tree, ends_with_nul: bool, limited: bool) -> Vec<u8> {
        let is_link = |spec: &Spec| matches!(spec.node, Node::Symlink(_));
        let all: Vec<(&[u8], bool)> =
            source.entries.iter().map(|(path, spec)| (path.as_os_str().as_bytes(), is_link(spec))).collect();
        let end: &[u8] = if ends_with_nul { b"\0" } else { b"\n" };
        let mut list = Vec::new();
        for _ in 0..self.rng.usize(..8) {
            let (name, is_link) = *self.rng.choice(&all).expect("the root at least");
            if ends_with_nul || !name.contains(&b'\n') {
                // What a link leads to is meant with a slash behind it, and that may be anything.
                let spelling = if is_link || name == b"." { 11 } else { self.rng.u8(..12) };
                let (before, after): (&[u8], &[u8]) = match spelling {
                    0 => (b"/", b""),
                    1 => (b"../", b"/"),
                    2 => (b"# ", b""),
                    3 => (b"./", b""),
                    4 => (b"a/../", b"/."),
                    5 | 6 => (b"", b"/"),
                    // With a limit, too, the exit code is that of one of rsync's processes or another's.
                    7 if !limited => (b"missing", b""),
                    _ => (b"", b""),
                };
                list.extend([before, name, after, end].concat());
            }
        }
        list
    }

    /// A merge file.
    fn rules(&mut self) -> Node {
        let lines: Vec<&str> = (0..self.rng.usize(1..4)).filter_map(|_| self.rng.choice(LINES)).collect();
        Node::File(lines.join("\n").into_bytes())
    }

    /// With directories in one another, and a file at each second level.
    fn deepened(&mut self, mut tree: Tree, dirs: &[PathBuf]) -> Tree {
        let mut path = self.rng.choice(dirs).cloned().unwrap_or_default();
        for level in 0..self.rng.usize(6..30) {
            path.push(format!("deep{level}"));
            tree = tree.put(&path, Node::Dir);
            self.attributes(&mut tree, &path);
            if level % 2 == 0 {
                let file = path.join("b");
                tree = tree.put(&file, self.file());
                self.attributes(&mut tree, &file);
            }
        }
        tree
    }

    fn name(&mut self, number: usize) -> OsString {
        let plain = ["a", "b", "abc", "f1", "d1", "d2", "l1", "c", "zc"];
        let odd: [&[u8]; 14] = [
            b" ",
            b"two words",
            b"'",
            b"\"q\"",
            b"line\nbreak",
            b"-rf",
            b"--delete",
            b"\xff\xfe",
            b".dot",
            b"...",
            b"$(x)`y`",
            b"*",
            b"[a]\\",
            "ä".as_bytes(),
        ];
        match self.rng.u8(..10) {
            0 => OsString::from_vec(self.rng.choice(odd).expect("a few").to_vec()),
            1 if number.is_multiple_of(5) => "n".repeat(self.longest).into(),
            2 | 3 => format!("{}{number}", self.rng.choice(plain).expect("a few")).into(),
            _ => self.rng.choice(plain).expect("a few").into(),
        }
    }

    fn node(&mut self, tree: &Tree) -> Node {
        match self.rng.u8(..20) {
            0..=4 => Node::Dir,
            5 | 6 => Node::Symlink(self.link_target(tree)),
            7 => Node::Fifo,
            8 if is_root() => Node::CharDevice(self.rng.u64(1..3), self.rng.u64(3..5)),
            9 | 10 => match self.linkable(tree) {
                Some(path) => Node::HardLink(path),
                None => self.file(),
            },
            _ => self.file(),
        }
    }

    fn file(&mut self) -> Node {
        if self.sparse && self.one_in(3) {
            let pieces = [0, 40_000, 130_000].map(|offset| (offset, noise(self.rng.u64(..4), self.rng.usize(1..9000))));
            return Node::Sparse(100_000 + self.rng.u64(..100_000), pieces.into());
        }
        let len = match self.rng.u8(..4) {
            0 => self.rng.usize(..200_000),
            _ => *self.rng.choice(&SIZES).expect("a few"),
        };
        let mut bytes = noise(self.rng.u64(..4), len);
        if self.one_in(4) && len > 10_000 {
            bytes[2000..9000].fill(0);
        }
        Node::File(bytes)
    }

    /// A file that another name can be given to.
    fn linkable(&mut self, tree: &Tree) -> Option<PathBuf> {
        let files = tree.entries.iter().filter(|(_, spec)| matches!(spec.node, Node::File(_) | Node::Fifo));
        let files: Vec<&PathBuf> = files.map(|(path, _)| path).collect();
        self.rng.choice(files).cloned()
    }

    fn link_target(&mut self, tree: &Tree) -> PathBuf {
        let any = self.rng.choice(tree.entries.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        match self.rng.u8(..5) {
            0 => NOWHERE.into(),
            1 => "dangling".into(),
            2 => "..".into(),
            3 => "/".into(),
            _ => any,
        }
    }

    fn attributes(&mut self, tree: &mut Tree, path: &Path) {
        let mtime = self.mtime();
        // rsync keeps them in seconds, and sy takes for the same what is cut to them.
        let atime = self.accessed.then(|| (1_500_000_000 + 10 * self.rng.i64(0..3), 0));
        let mut xattrs = self.xattrs(tree.entries.get(path).map(|spec| &spec.node));
        xattrs.extend(self.acls(tree.entries.get(path).map(|spec| &spec.node)));
        let Some(spec) = tree.entries.get_mut(path) else { return };
        spec.xattrs = xattrs;
        spec.mtime = mtime;
        spec.atime = atime;
        spec.mode = match (&spec.node, self.rng.u8(..12)) {
            (Node::Symlink(_) | Node::HardLink(_), _) | (_, 0..=6) => None,
            (Node::Dir, 7) => Some(0o1777),
            (Node::Dir, 8) => Some(0o500),
            (Node::Dir, 9) => Some(0o2755),
            (_, 7) => Some(0o4755),
            (_, 8) => Some(0o000),
            (_, 9) => Some(0o200),
            (Node::Dir, 10) => Some(0o700),
            (_, 10) => Some(0o2711),
            _ => Some(0o600 | self.rng.u32(..0o100)),
        };
        if self.mapped {
            spec.mode = spec.mode.map(|mode| mode & 0o777);
        }
        if !is_root() {
            // What is closed to its owner is for `failures`: rsync opens some of it up for good, forgets setgid where it does
            // so, and notices what it cannot read at another moment.
            let least = if spec.node == Node::Dir { 0o700 } else { 0o600 };
            spec.mode = spec.mode.map(|mode| mode | least);
        }
        if is_root() && !matches!(spec.node, Node::HardLink(_)) && self.rng.u8(..4) == 0 {
            spec.owner = Some((*self.rng.choice(&[0, 1, 1000, 65_534]).expect("a few"), self.rng.u32(..3)));
        }
    }

    /// Attributes such as an entry of its kind can have.
    fn xattrs(&mut self, node: Option<&Node>) -> BTreeMap<String, Vec<u8>> {
        let mut xattrs = BTreeMap::new();
        let namespaces: &[&str] = match node {
            Some(Node::File(_) | Node::Dir) if is_root() => &["user", "trusted", "security"],
            Some(Node::File(_) | Node::Dir) => &["user"],
            Some(Node::Symlink(_) | Node::Fifo | Node::CharDevice(..)) if is_root() => &["trusted"],
            _ => &[],
        };
        let count = if !self.described || namespaces.is_empty() || self.one_in(2) { 0 } else { self.rng.usize(1..4) };
        for _ in 0..count {
            let namespace = self.rng.choice(namespaces).expect("a few");
            let name = format!("{namespace}.{}", self.rng.choice(["a", "b", "rsync.%x", "long name"]).expect("a few"));
            // On both sides of what is sent with the list.
            let len = *self.rng.choice(&[0, 1, 31, 32, 33, 64, 65, 700]).expect("a few");
            xattrs.insert(name, noise(self.rng.u64(..3), len));
        }
        xattrs
    }

    /// Access control lists such as an entry of its kind can have.
    fn acls(&mut self, node: Option<&Node>) -> BTreeMap<String, Vec<u8>> {
        let mut acls = BTreeMap::new();
        let names: &[&str] = match node {
            Some(Node::Dir) => &["access", "default"],
            Some(Node::File(_) | Node::Fifo) => &["access"],
            _ => &[],
        };
        for name in names {
            if self.listed && self.one_in(2) {
                acls.insert(format!("system.posix_acl_{name}"), self.acl());
            }
        }
        acls
    }

    fn acl(&mut self) -> Vec<u8> {
        let (users, groups) = (self.some_of(&[1, 2, 1000]), self.some_of(&[1, 3]));
        let mask = (!users.is_empty() || !groups.is_empty() || self.one_in(2)).then(|| self.rng.u8(..8));
        acl([7, self.rng.u8(..8), self.rng.u8(..8)], &users, &groups, mask)
    }

    /// Some users or groups, and what each may do.
    fn some_of(&mut self, ids: &[u32]) -> Vec<(u32, u8)> {
        let ids: Vec<u32> = ids.iter().copied().filter(|_| self.one_in(2)).collect();
        ids.into_iter().map(|id| (id, self.rng.u8(..8))).collect()
    }

    fn mtime(&mut self) -> (i64, u32) {
        let secs = 1_600_000_000 + 10 * self.rng.i64(0..4);
        // Never a whole second: to sy that may be the same time on a coarser file system, to rsync it is another.
        let nanos = if self.coarse { 5 } else { *self.rng.choice(&[5, 999_999_999]).expect("a few") };
        (secs, nanos)
    }

    /// An earlier copy of the source with edits, losses, additions, and other things in the places of some entries.
    fn destination(&mut self, source: &Tree) -> Tree {
        let mut tree = Tree::new();
        for (path, spec) in &source.entries {
            let below_a_dir = path.ancestors().skip(1).all(|parent| {
                parent.as_os_str().is_empty() || tree.entries.get(parent).is_some_and(|spec| spec.node == Node::Dir)
            });
            if !below_a_dir || self.one_in(6) && path != Path::new(".") {
                continue;
            }
            if let Some(spec) = self.aged(&tree, path, spec) {
                tree.entries.insert(path.clone(), spec);
            }
        }
        if self.one_in(4) {
            self.rename(&mut tree);
        }
        for number in 0..self.rng.usize(..6) {
            let dirs = tree.entries.iter().filter(|(_, spec)| spec.node == Node::Dir).map(|(path, _)| path.clone());
            let parent = self.rng.choice(dirs.collect::<Vec<_>>()).filter(|path| path != Path::new("."));
            let path = parent.unwrap_or_default().join(format!("extra{number}"));
            let node = Some(self.node(&tree)).filter(|node| !matches!(node, Node::HardLink(_)));
            tree = tree.put(&path, node.unwrap_or_else(|| self.file()));
            self.attributes(&mut tree, &path);
        }
        if self.unlinked {
            let links = tree.entries.values_mut().filter(|spec| matches!(spec.node, Node::HardLink(_)));
            links.for_each(|spec| spec.node = self.file());
        }
        if self.follows || self.enters {
            self.tame(&mut tree);
        }
        if self.enters {
            open_one_door(&mut tree, source);
        }
        tree
    }

    /// Replaces every link that could lead out of the tree, or back to where it is, for runs that follow links.
    fn tame(&mut self, tree: &mut Tree) {
        for path in tree.entries.keys().cloned().collect::<Vec<_>>() {
            let Node::Symlink(target) = &tree.entries[&path].node else { continue };
            if !is_tame(&path, target) {
                let target = self.tame_target(tree, &path);
                tree.entries.get_mut(&path).expect("it is there").node = Node::Symlink(target);
            }
        }
    }

    /// A link's text that leads to something that comes after it, or nowhere.
    fn tame_target(&mut self, tree: &Tree, path: &Path) -> PathBuf {
        let after: Vec<PathBuf> = tree.entries.keys().filter(|other| other.as_path() > path).cloned().collect();
        let Some(target) = self.rng.choice(after).filter(|_| !self.one_in(6)) else {
            return if self.one_in(2) { "dangling" } else { NOWHERE }.into();
        };
        let up: PathBuf = path.components().skip(1).map(|_| "..").collect();
        if self.one_in(4) && up.as_os_str().is_empty() {
            // Not the shortest way, and so one that counts as leading out. It goes up from a directory that is no link.
            let back: PathBuf = target.components().skip(1).map(|_| "..").collect();
            return target.parent().unwrap_or(Path::new("")).join(back).join(target);
        }
        up.join(target)
    }

    /// Gives a directory, with all that is in it, another name, or that of a file.
    fn rename(&mut self, tree: &mut Tree) {
        let is_free_dir = |(path, spec): &(&PathBuf, &Spec)| spec.node == Node::Dir && *path != Path::new(".");
        let dirs: Vec<PathBuf> = tree.entries.iter().filter(is_free_dir).map(|(path, _)| path.clone()).collect();
        let Some(from) = self.rng.choice(&dirs).cloned() else { return };
        let files = tree
            .entries
            .iter()
            .filter(|(path, spec)| matches!(spec.node, Node::File(_)) && !path.starts_with(&from) && !self.keeps_dirs);
        let files: Vec<PathBuf> = files.map(|(path, _)| path.clone()).collect();
        let to = match self.rng.choice(&files).cloned() {
            Some(file) if self.one_in(2) => file,
            _ => from.with_file_name("renamed"),
        };
        // A file with other names is not one that a directory can take the place of here.
        let linked = |node: &Node| matches!(node, Node::HardLink(first) if *first == to);
        if tree.entries.values().any(|spec| linked(&spec.node)) {
            return;
        }
        let moved = |path: &Path| match path.strip_prefix(&from) {
            Ok(rest) if rest.as_os_str().is_empty() => to.clone(),
            Ok(rest) => to.join(rest),
            Err(_) => path.to_path_buf(),
        };
        for (path, mut spec) in std::mem::take(&mut tree.entries) {
            if let Node::HardLink(first) = &mut spec.node {
                *first = moved(first);
            }
            if path != to {
                tree.entries.insert(moved(&path), spec);
            }
        }
    }

    /// What became of one entry of the source.
    fn aged(&mut self, tree: &Tree, path: &Path, spec: &Spec) -> Option<Spec> {
        let mut spec = spec.clone();
        if path == Path::new(".") {
            return Some(spec);
        }
        if let Node::HardLink(first) = &spec.node
            && !tree.entries.get(first).is_some_and(|first| matches!(first.node, Node::File(_) | Node::Fifo))
        {
            spec = Spec::new(self.file());
        }
        let is_rules = path.file_name().is_some_and(|name| name == RULES);
        match self.rng.u8(..12) {
            0 | 1 | 4 | 5 if is_rules => spec.node = self.rules(),
            0 | 1 => {
                if let Node::File(bytes) = &mut spec.node {
                    self.edit(bytes);
                }
                spec.mtime = self.mtime();
            }
            2 => spec.mtime = self.mtime(),
            7 if self.described || self.listed => {
                spec.xattrs = self.xattrs(Some(&spec.node));
                spec.xattrs.extend(self.acls(Some(&spec.node)));
            }
            6 if self.accessed => spec.atime = Some((1_500_000_000 + 10 * self.rng.i64(0..3), 0)),
            3 => spec.mode = Some(0o700 | self.rng.u32(..0o100)),
            4 | 5 if self.keeps_dirs && spec.node == Node::Dir => {}
            4 => spec = Spec::new(self.planted(path)),
            5 => spec = Spec::new(self.node(tree)),
            _ => {}
        }
        if matches!(spec.node, Node::Symlink(_) | Node::HardLink(_)) {
            spec.xattrs.retain(|name, _| name.starts_with("trusted.") && !matches!(spec.node, Node::HardLink(_)));
            spec.mode = None;
        }
        Some(spec)
    }

    fn edit(&mut self, bytes: &mut Vec<u8>) {
        let at = self.rng.usize(..=bytes.len());
        match self.rng.u8(..4) {
            0 => bytes.truncate(at),
            1 => bytes.extend_from_slice(b"appended"),
            2 => drop(bytes.splice(at..at, *b"inserted")),
            _ => bytes[at..].iter_mut().take(20).for_each(|byte| *byte = !*byte),
        }
    }

    /// A link that leads out of the destination.
    fn planted(&mut self, path: &Path) -> Node {
        let mut target = PathBuf::new();
        (0..path.components().count()).for_each(|_| target.push(".."));
        target.push("outside");
        if self.one_in(2) {
            target.push(*self.rng.choice(&["kept", "sub", "missing"]).expect("a few"));
        }
        Node::Symlink(target)
    }

    /// Sources and target on the command line.
    fn paths(&mut self, source: &Tree, options: &[String]) -> (Vec<String>, String) {
        let text = |path: &Path| Some(format!("source/{}", path.to_str()?));
        let names = |wanted: fn(&Node) -> bool| {
            let entries = source.entries.iter().filter(|(path, spec)| path != &Path::new(".") && wanted(&spec.node));
            // A line break in an argument is for the tests that look at arguments.
            entries.filter_map(|(path, _)| text(path)).filter(|path| !path.contains('\n')).collect::<Vec<_>>()
        };
        let file = self.rng.choice(names(|node| matches!(node, Node::File(_))));
        let dirs = names(|node| *node == Node::Dir);
        match (self.rng.u8(..12), file) {
            (0, Some(file)) => (vec![file], "new name".into()),
            (1, Some(file)) if !options.iter().any(|option| option.starts_with("--del")) => {
                (vec![file], "destination/".into())
            }
            (2, _) => (vec!["source".into()], "destination".into()),
            (3 | 4, _) if self.keeps_dirs => (vec!["source/".into()], "destination".into()),
            (3, Some(file)) if dirs.len() > 1 && !self.alone => {
                (vec![dirs[0].clone(), dirs[1].clone(), file], "destination".into())
            }
            (4, _) if !dirs.is_empty() && !self.alone => {
                (vec![format!("{}/", dirs[0]), "source/".into()], "destination".into())
            }
            (5, _) => (vec!["source/.".into()], "destination/".into()),
            _ => (vec!["source/".into()], "destination".into()),
        }
    }
}

/// Whether a link leads nowhere, or down or along to what comes after it: then no way along links leads back or out. Where it
/// goes up anywhere but at its start, what it goes up from may be a link.
fn is_tame(path: &Path, target: &Path) -> bool {
    let mut place: Vec<_> = path.components().collect();
    place.pop();
    let mut rest = target.components().peekable();
    while rest.next_if_eq(&Component::ParentDir).is_some() {
        if place.pop().is_none() {
            return false;
        }
    }
    let goes_down = |part: &Component<'_>| matches!(part, Component::Normal(_));
    target == Path::new(NOWHERE)
        || (rest.clone().all(|part| goes_down(&part)) && place.into_iter().chain(rest).gt(path.components()))
}

/// Makes of the destination's links one that `-K` passes through, out of the destination, and has the others lead nowhere:
/// what becomes of two directories that are one depends on which is dealt with first.
fn open_one_door(tree: &mut Tree, source: &Tree) {
    let mut left = Some("outside/sub");
    for (path, spec) in tree.entries.iter_mut().filter(|(_, spec)| matches!(spec.node, Node::Symlink(_))) {
        let is_place = source.entries.get(path).is_some_and(|spec| spec.node == Node::Dir);
        let up: PathBuf = path.components().map(|_| "..").collect();
        let target = left.take_if(|_| is_place).map_or("dangling".into(), |outside| up.join(outside));
        spec.node = Node::Symlink(target);
    }
}
