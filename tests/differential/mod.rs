//! The standing differential test: `sy` and `rsync` are given the same random trees and options, and must agree on the
//! resulting tree, the exit code and the lines of `-i`.
//!
//! The cases are the same ones each time, for a gate must repeat: `SY_CASES=N` is how many in each way. `SY_SOAK=N` tries so
//! many others, chosen anew; `SY_SEED=N` repeats the case that a failure names. With `SY_WITH=-m;-F` all cases have these options
//! besides (if nothing that they have drawn forbids it), which is how to look for what two of them do together;
//! `SY_KEEP=DIR` leaves a copy of the trees as they were, to be tried by hand.

mod generate;
mod normalize;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use crate::harness::process::{Finished, Program};
use crate::harness::snapshot::{Contents, atimes};
use crate::harness::{STAND_IN, SY, Sandbox, Snapshot, Way, rsync};
use generate::{Case, LIST};

/// Cases in each way unless `SY_CASES` says otherwise.
const CASES: u64 = 150;

#[test]
fn sy_and_rsync_agree_local() {
    agree(Way::Local);
}

#[test]
fn sy_and_rsync_agree_delta() {
    agree(Way::Delta);
}

#[test]
fn sy_and_rsync_agree_push() {
    agree(Way::Push);
}

#[test]
fn sy_and_rsync_agree_pull() {
    agree(Way::Pull);
}

fn agree(way: Way) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("SY_SEED") {
        if let Some(text) = disagreement(way, seed) {
            panic!("{way:?}, SY_SEED={seed}: {text}");
        }
        return;
    }
    let seeds = match number("SY_SOAK") {
        Some(cases) => {
            let first = fastrand::u64(1 << 32..1 << 48);
            first..first + cases
        }
        None => 0..number("SY_CASES").unwrap_or(CASES),
    };
    let failures: Vec<String> =
        seeds.filter_map(|seed| Some(format!("{way:?}, SY_SEED={seed}: {}", disagreement(way, seed)?))).collect();
    assert!(failures.is_empty(), "{} cases:\n{}", failures.len(), failures[..failures.len().min(5)].join("\n\n"));
}

/// What sy and rsync disagree on in one case, if anything.
fn disagreement(way: Way, seed: u64) -> Option<String> {
    let case = Case::generate(seed, &std::env::var("SY_WITH").unwrap_or_default());
    let sandbox = Sandbox::new(way);
    sandbox.write_source(&case.source);
    if let Some(list) = &case.list {
        std::fs::write(sandbox.path(LIST), list).expect("a list of names");
    }
    for tool in ["sy", "rsync"] {
        std::fs::create_dir(sandbox.path(tool)).expect("a directory for each tool");
        case.outside.write(&sandbox.path(tool).join("outside"));
        for (name, tree) in &case.others {
            tree.write(&sandbox.path(tool).join(name));
        }
        if let Some(tree) = &case.destination {
            tree.write(&sandbox.path(tool).join("destination"));
        }
    }
    if case.follows_links() {
        assert_no_link_leads_out(&sandbox);
    }
    if let Some(kept) = std::env::var_os("SY_KEEP") {
        let copied = std::process::Command::new("cp").arg("-a").arg(sandbox.path("")).arg(kept).status();
        assert!(copied.expect("cp").success());
    }
    let source = Snapshot::of(&sandbox.source());
    let linked = case.options.iter().any(|option| option == "-H");
    let others = || {
        let names = case.others.iter().filter(|_| linked).map(|(name, _)| name);
        names.map(|name| Snapshot::of(&sandbox.path("rsync").join(name))).collect::<Vec<_>>()
    };
    let (others_before, begun) = (others(), SystemTime::now());
    case.source.set_atimes(&sandbox.source());
    let theirs = run_rsync(&case, &sandbox);
    case.source.set_atimes(&sandbox.source());
    if others() != others_before {
        // Of a special file with several names rsync may link one to what another directory has, and then change that.
        return None;
    }
    // With a limit it depends on what was deleted before whether a directory can make way.
    if theirs.stderr.contains("Too many levels of symbolic links") {
        // In a dry run rsync looks at what is in a directory where a link still stands, and does so through the link.
        return None;
    }
    if case.options.iter().any(|option| option == "--no-implied-dirs") && theirs.stderr.contains("recv_generator: ") {
        // Of what has no way there rsync tells some all the same.
        return None;
    }
    if theirs.stderr.contains("/../backup/") && theirs.stderr.contains("Invalid argument (22)") {
        // With --inplace rsync 3.5.0 does not find its way to a directory of backups beside the destination.
        return None;
    }
    if theirs.stderr.contains("-dest arg does not exist") {
        // Of a single directory rsync makes the destination itself, and begins to look for others where that is to be.
        return None;
    }
    if theirs.stderr.contains("sys_acl_get_file(") && theirs.stderr.contains("ACL_TYPE_DEFAULT") {
        // rsync asks a file that has taken a directory's place for what a directory has.
        return None;
    }
    let told = theirs.told();
    if told.contains("IO error encountered -- skipping file deletion") {
        // sy has deleted in the directories before the one that it could not read all of, as rsync does where it lists them one
        // by one; and what has to make way then stays.
        return None;
    }
    if theirs.stderr.contains("File name too long") {
        // Of a name that has no room for a suffix rsync stops, or complains of it at other moments.
        return None;
    }
    if case.loses_backups(&told) {
        // Where a rule comes before its own for backups, rsync deletes those with --delete-after.
        return None;
    }
    if (linked || case.is_limited()) && theirs.stderr.contains("could not make way") {
        // The other names of a file then fail with the one that cannot be made, if rsync chose that one as the first.
        return None;
    }
    let ours = run_sy(&case, &sandbox);
    if ours.stderr.contains("File name too long") {
        // rsync keeps no backup of what is no file, and deletes it whatever its name.
        return None;
    }
    let order_counts = case.is_limited() || (case.reads_merge_files() && !case.deletes_on_its_way());
    if ours.stderr.contains("failed to make way") && order_counts {
        // At other times rsync does not heed the merge files above a directory that has to make way.
        return None;
    }
    let mut lines = Vec::new();
    if ours.status.code() != theirs.status.code() {
        lines.push(format!("exit {:?}, rsync {:?}", ours.status.code(), theirs.status.code()));
    }
    if case.is_limited() {
        lines.extend(normalize::deletions_differ(&ours, &theirs));
    } else {
        let after = |tool: &str| {
            let atimes = if case.keeps_atimes() { atimes(&sandbox.path(tool)) } else { BTreeMap::new() };
            normalize::tree(Snapshot::of(&sandbox.path(tool)).with_atimes(&atimes), begun, &case)
        };
        lines.extend(after("sy").differences(&after("rsync")));
        lines.extend(normalize::differences(&ours, &theirs, &case));
        if case.makes_holes() {
            lines.extend(filled_holes(&sandbox));
        }
    }
    lines
        .extend(Snapshot::of(&sandbox.source()).differences(&source).into_iter().map(|line| format!("source: {line}")));
    if lines.is_empty() {
        return None;
    }
    let shown = lines[..lines.len().min(12)].join("\n");
    Some(format!("{}\n{shown}\n{}\n{}", case.options.join(" "), ours.told(), theirs.told()))
}

/// The files that take more room than rsync's: one block at each end of a hole, and one for attributes, count for nothing.
fn filled_holes(sandbox: &Sandbox) -> Vec<String> {
    const SLACK: u64 = 3 * 8;
    let room = |tool: &str, path: &Path| {
        let found = std::fs::symlink_metadata(sandbox.path(tool).join(path)).ok()?;
        found.is_file().then(|| found.blocks())
    };
    let items = Snapshot::of(&sandbox.path("sy")).items;
    let filled = items.keys().filter_map(|path| {
        let (ours, theirs) = room("sy", path).zip(room("rsync", path))?;
        (ours > theirs + SLACK).then(|| format!("{}: takes {ours} blocks, should take {theirs}", path.display()))
    });
    filled.collect()
}

/// Whatever else is wrong with a case that follows links: no run of it may touch anything but its own sandbox.
fn assert_no_link_leads_out(sandbox: &Sandbox) {
    let root = sandbox.path("").canonicalize().expect("the sandbox is there");
    for (path, item) in Snapshot::of(&root).items {
        if let (Contents::Symlink(target), Ok(leads_to)) = (item.contents, root.join(&path).canonicalize()) {
            assert!(leads_to.starts_with(&root), "{path:?} leads out, to {target:?}");
            assert!(leads_to != root, "{path:?} leads to all of it");
        }
    }
}

fn run_rsync(case: &Case, sandbox: &Sandbox) -> Finished {
    // sy compares nanoseconds. rsync does so only if told to; seconds alone miss two edits in one second.
    let window =
        if case.options.iter().any(|option| option == "-u") { "--modify-window=0" } else { "--modify-window=-1" };
    // With incremental recursion rsync 3.5.0 fails on some hard links across directories ("gnum precedes flist start").
    let program = Program::new(rsync()).args(["-i", "--no-inc-recursive", window]);
    // By the time of --delete-delay rsync has forgotten what the merge files of the directories above one that goes say.
    let in_time =
        |option: &String| if case.forgets_rules() { option.replace("delay", "during") } else { option.clone() };
    let program = program.args(case.options.iter().map(in_time));
    located(program, case, |path| path.into(), "rsync").current_dir(sandbox.path("")).run()
}

fn run_sy(case: &Case, sandbox: &Sandbox) -> Finished {
    // rsync is run on one machine, and says at both ends what there is to say.
    let there = |option: &String| match (&option[..], sandbox.way) {
        ("--fake-super", Way::Push) => "-M--fake-super".into(),
        _ => option.clone(),
    };
    let program = Program::sy(&["-i"]).args(case.options.iter().map(there));
    let program = match sandbox.way {
        Way::Local => program,
        // An option that the case may have as well; the later counts.
        Way::Delta => program.arg("--no-whole-file"),
        Way::Push | Way::Pull => program.args(["-e", STAND_IN, "--sy-path", SY]),
    };
    let remote = |path: &str| format!("host:{path}");
    match sandbox.way {
        Way::Pull => {
            program.args(case.sources.iter().map(|path| remote(&literally(path)))).arg(format!("sy/{}", case.target))
        }
        Way::Push => program.args(&case.sources).arg(remote(&format!("sy/{}", case.target))),
        _ => located(program, case, |path| path.into(), "sy"),
    }
    .current_dir(sandbox.path(""))
    .run()
}

/// A path of the other machine without wildcards: they are expanded there, and rsync is run on one machine.
fn literally(path: &str) -> String {
    let literal = |name: &str| match name.contains(['*', '?', '[']) {
        true => name.chars().flat_map(|c| ["*?[]\\".contains(c).then_some('\\'), Some(c)]).flatten().collect(),
        false => name.to_owned(),
    };
    path.split('/').map(literal).collect::<Vec<_>>().join("/")
}

fn located(program: Program, case: &Case, source: impl Fn(&str) -> String, tool: &str) -> Program {
    program.args(case.sources.iter().map(|path| source(path))).arg(Path::new(tool).join(&case.target))
}
