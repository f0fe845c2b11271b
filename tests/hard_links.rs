//! `-H` where the destination has some names of a file and lacks others: which of them the others become links to, and that
//! what is there is not sent.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::process::Finished;
use crate::harness::{Sandbox, Tree, noise, sync_test};

/// Bytes of contents that went from the source to the destination.
fn literal(finished: &Finished) -> u64 {
    let line = finished.lines().into_iter().find(|line| line.starts_with("Literal data: ")).expect("--stats");
    line.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

/// What `-i` says of names with others, without the direction.
fn told(finished: &Finished) -> Vec<String> {
    let lines = finished.lines().into_iter().filter(|line| line.get(1..2) == Some("f") && line.contains("+++++ "));
    let mut lines: Vec<String> = lines.map(|line| line.replacen('<', ">", 1)).collect();
    lines.sort();
    lines
}

fn inode(sandbox: &Sandbox, path: &str) -> u64 {
    fs::metadata(sandbox.destination().join(path)).unwrap_or_else(|error| panic!("{path}: {error}")).ino()
}

/// Two names of one file in a new directory, the others in an old one, which comes after it.
fn snapshots() -> Tree {
    let tree = Tree::new().file("new/a", noise(1, 100_000)).hard_link("new/b", "new/a").file("new/c", noise(2, 50_000));
    tree.hard_link("old/a", "new/a").hard_link("old/c", "new/c")
}

const LINKED: [&str; 3] = ["hf+++++++++ new/a => old/a", "hf+++++++++ new/b => old/a", "hf+++++++++ new/c => old/c"];

sync_test!(names_that_are_not_there_become_links_to_a_later_one_that_is, |sandbox| {
    sandbox.write_source(&snapshots());
    let old = Tree::new().file("old/a", noise(1, 100_000)).file("old/c", noise(2, 50_000));
    sandbox.write_destination(&old);
    let before = ["old/a", "old/c"].map(|path| inode(sandbox, path));
    for options in [&["-aHin", "--stats"][..], &["-aHi", "--stats"]] {
        let finished = sandbox.sync(options).ok();
        assert_eq!(
            (literal(&finished), told(&finished)),
            (0, LINKED.map(String::from).to_vec()),
            "{}",
            finished.told()
        );
    }
    sandbox.assert_synced();
    assert_eq!(["new/b", "new/c"].map(|path| inode(sandbox, path)), before);
    assert!(sandbox.sync(&["-aHi"]).ok().lines().is_empty());
});

sync_test!(names_wait_for_one_that_is_changed_and_then_are_links_to_what_it_becomes, |sandbox| {
    sandbox.write_source(&snapshots());
    let mut edited = noise(1, 100_000);
    edited[5] ^= 1;
    sandbox.write_destination(&Tree::new().file("old/a", edited).mtime(5, 0).file("old/c", noise(2, 50_000)));
    let finished = sandbox.sync(&["-aHi", "--stats"]).ok();
    assert_eq!(told(&finished), LINKED);
    assert!(literal(&finished) <= 100_000, "{}", finished.told());
    sandbox.assert_synced();
});

sync_test!(of_a_file_none_of_whose_names_is_there_one_is_asked_for_in_the_end, |sandbox| {
    sandbox.write_source(&snapshots().file("z", "new"));
    for options in [&["-aHin"][..], &["-aHi", "--stats"]] {
        sandbox.write_destination(&Tree::new().file("other", "stays"));
        let finished = sandbox.sync(options).ok();
        let expected = [
            ">f+++++++++ old/a",
            ">f+++++++++ old/c",
            ">f+++++++++ z",
            "hf+++++++++ new/a => old/a",
            "hf+++++++++ new/b => old/a",
            "hf+++++++++ new/c => old/c",
        ];
        assert_eq!(told(&finished), expected, "{}", finished.told());
        assert!(options.contains(&"-aHin") || literal(&finished) == 150_003, "{}", finished.told());
    }
    fs::remove_file(sandbox.destination().join("other")).unwrap();
    sandbox.sync(&["-aH"]).ok();
    sandbox.assert_synced();
});

sync_test!(where_nothing_was_there_the_first_name_leads, |sandbox| {
    sandbox.write_source(&snapshots());
    let finished = sandbox.sync(&["-aHi"]).ok();
    let first = told(&finished).into_iter().filter(|line| line.starts_with('>')).collect::<Vec<_>>();
    assert_eq!(first, [">f+++++++++ new/a", ">f+++++++++ new/c"]);
    sandbox.assert_synced();
});

sync_test!(a_name_that_the_options_spare_leads_no_other, |sandbox| {
    sandbox.write_source(&snapshots());
    sandbox.write_destination(&Tree::new().file("old/a", "newer").mtime(4_000_000_000, 0).file("other", ""));
    sandbox.sync(&["-aHu"]).ok();
    assert_eq!(fs::read(sandbox.destination().join("old/a")).unwrap(), b"newer");
    assert_eq!(inode(sandbox, "new/a"), inode(sandbox, "new/b"));
    assert_eq!(fs::read(sandbox.destination().join("new/a")).unwrap(), noise(1, 100_000));
});

sync_test!(a_name_that_waits_has_its_directory_wait_for_its_time, |sandbox| {
    let tree = snapshots().dir("new").mtime(1_000_000_000, 7);
    sandbox.write_source(&tree);
    sandbox.write_destination(&Tree::new().file("old/a", noise(1, 100_000)).file("extra", ""));
    sandbox.sync(&["-aH", "--delete"]).ok();
    sandbox.assert_synced();
});

sync_test!(a_name_that_is_asked_for_in_the_end_brings_its_large_attributes, |sandbox| {
    let tree = Tree::new().file("a", noise(1, 9_000)).xattr("user.large", [7; 900]).hard_link("b", "a");
    sandbox.write_source(&tree);
    sandbox.write_destination(&Tree::new().file("other", ""));
    sandbox.sync(&["-aHX", "--delete"]).ok();
    sandbox.assert_synced();
});
