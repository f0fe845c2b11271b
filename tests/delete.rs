//! When and how much is deleted, in every way that trees are synced.

use std::fs;

use crate::harness::process::Finished;
use crate::harness::tree::make_removable;
use crate::harness::{Sandbox, Tree, noise, sync_test};

const TIMES: [&str; 6] =
    ["--delete", "--del", "--delete-before", "--delete-during", "--delete-delay", "--delete-after"];

fn source() -> Tree {
    let tree = Tree::new().file("a", noise(1, 100_000)).file("dir/b", "2").hard_link("dir/c", "a");
    tree.dir("closed").mode(0o500).mtime(1_000_000_000, 7).dir("z").mtime(1_000_000_001, 8)
}

/// Eight entries that the source does not have.
fn extra() -> Tree {
    let tree = Tree::new().file("x1", "1").file("dir/x2", "2").file("dir/sub/x3", "3").symlink("z/x4", "..");
    tree.file("a", "older").mtime(5, 0).file("gone/x5", "5").dir("closed").file("closed/x6", "6")
}

const EXTRA: usize = 8;

/// Both trees as they are before a sync, whatever is there.
fn start(sandbox: &Sandbox, source: &Tree, destination: &Tree) {
    for (path, tree) in [(sandbox.source(), source), (sandbox.destination(), destination)] {
        make_removable(&path);
        let removed = fs::remove_dir_all(&path);
        assert!(removed.is_ok() || !path.exists(), "{removed:?}");
        tree.write(&path);
    }
}

fn deleted(finished: &Finished) -> usize {
    finished.lines().iter().filter(|line| line.starts_with("*deleting")).count()
}

sync_test!(every_time_of_deletion_leaves_the_tree_of_the_source, |sandbox| {
    for time in TIMES {
        start(sandbox, &source(), &extra());
        let finished = sandbox.sync(&["-aHi", time]).ok();
        sandbox.assert_synced();
        assert_eq!(deleted(&finished), EXTRA, "{}", finished.told());
        assert!(sandbox.sync(&["-aHi", time]).ok().stdout.is_empty());
    }
});

sync_test!(a_late_deletion_comes_after_the_contents_and_an_early_one_before_them, |sandbox| {
    for (time, late) in
        [("--delete-before", false), ("--del", false), ("--delete-delay", true), ("--delete-after", true)]
    {
        start(sandbox, &source(), &extra());
        let lines = sandbox.sync(&["-aHi", time]).ok().lines();
        let place = |end: &str| lines.iter().position(|line| line.ends_with(end)).expect(end);
        assert_eq!(place(" a") < place("deleting   x1"), late, "{time}: {lines:?}");
        assert_eq!(place(" dir/b") < place("deleting   dir/x2"), late, "{time}: {lines:?}");
    }
});

sync_test!(delete_before_makes_room_everywhere_before_anything_comes, |sandbox| {
    start(sandbox, &source(), &extra());
    let lines = sandbox.sync(&["-aHi", "--delete-before"]).ok().lines();
    let last = lines.iter().rposition(|line| line.starts_with("*deleting")).expect("deletions");
    let first = lines.iter().position(|line| !line.starts_with("*deleting")).expect("contents");
    assert!(last < first, "{lines:?}");
});

/// Names of some two hundred bytes, so that a few of them fill a chunk of the list.
fn long(name: &str) -> String {
    format!("{name}{}", "-".repeat(200))
}

sync_test!(a_directory_of_many_chunks_is_deleted_in_exactly_whatever_the_time, |sandbox| {
    let (mut source, mut destination) = (Tree::new(), Tree::new());
    // What both have, what only one has, and what is of another type there: in every chunk, at its ends and between.
    for number in 0..1000 {
        let name = format!("many/{}", long(&format!("{number:04}")));
        let is_dir = |places: [u32; 2]| places.contains(&(number % 50));
        source = match (number % 5 != 1, is_dir([3, 27])) {
            (false, _) => source,
            (true, false) => source.file(&name, "contents"),
            (true, true) => source.file(format!("{name}/f"), "in"),
        };
        destination = match (number % 3 != 1, is_dir([9, 27])) {
            (false, _) => destination,
            (true, false) => destination.file(&name, "older").mtime(5, 0),
            (true, true) => destination.file(format!("{name}/f"), "in"),
        };
    }
    for time in TIMES {
        start(sandbox, &source, &destination);
        let dry = sandbox.sync(&["-ain", time]).ok();
        let wet = sandbox.sync(&["-ai", time]).ok();
        sandbox.assert_synced();
        assert_eq!(deleted(&dry), deleted(&wet), "{time}");
        assert!(deleted(&wet) > 100, "{}", deleted(&wet));
        assert!(sandbox.sync(&["-ai", time]).ok().stdout.is_empty());
    }
});

sync_test!(a_dry_run_deletes_in_words_only_whatever_the_time, |sandbox| {
    for time in TIMES {
        start(sandbox, &source(), &extra());
        let before = sandbox.destination_tree();
        let dry = sandbox.sync(&["-aHin", time]).ok();
        sandbox.destination_tree().assert_same(&before);
        let wet = sandbox.sync(&["-aHi", time]).ok();
        let sorted = |finished: &Finished| {
            let mut lines = finished.lines();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&dry), sorted(&wet), "{time}");
    }
});

sync_test!(a_limit_stops_deletions_and_nothing_else, |sandbox| {
    for time in TIMES {
        for max in [0, 3, EXTRA - 1] {
            start(sandbox, &source(), &extra());
            let limit = format!("--max-delete={max}");
            let finished = sandbox.sync(&["-aHi", time, &limit]).code(25);
            let finished = finished.says(&format!("limit ({} skipped)", EXTRA - max));
            assert_eq!(deleted(&finished), max, "{}", finished.told());
            assert_eq!(fs::read(sandbox.path("destination/a")).unwrap(), noise(1, 100_000));
            assert!(sandbox.path("destination/dir/c").is_file());
        }
        start(sandbox, &source(), &extra());
        sandbox.sync(&["-aH", time, &format!("--max-delete={EXTRA}")]).ok();
        sandbox.assert_synced();
    }
});

sync_test!(a_limit_counts_in_a_dry_run_as_well, |sandbox| {
    start(sandbox, &source(), &extra());
    let before = sandbox.destination_tree();
    let finished = sandbox.sync(&["-aHin", "--del", "--max-delete=3"]).code(25).says("(5 skipped)");
    assert_eq!(deleted(&finished), 3);
    sandbox.destination_tree().assert_same(&before);
});

sync_test!(a_negative_limit_lets_nothing_go_and_one_without_delete_means_nothing, |sandbox| {
    start(sandbox, &source(), &extra());
    let finished = sandbox.sync(&["-aHi", "--del", "--max-delete=-1"]).code(25).says("(8 skipped)");
    assert_eq!(deleted(&finished), 0);
    start(sandbox, &source(), &extra());
    sandbox.sync(&["-aH", "--max-delete=0"]).ok();
    assert!(sandbox.path("destination/x1").is_file());
});

sync_test!(what_makes_way_counts_towards_the_limit, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "file").file("b", "last"));
    sandbox.write_destination(&Tree::new().file("a/one", "1").file("a/two", "2"));
    let finished = sandbox.sync(&["-ai", "--del", "--max-delete=1"]).code(23).says("make way").says("(1 skipped)");
    assert_eq!(deleted(&finished), 1);
    assert_eq!(fs::read_dir(sandbox.path("destination/a")).unwrap().count(), 1);
    assert!(sandbox.path("destination/b").is_file());
    sandbox.sync(&["-a", "--del", "--max-delete=1"]).ok();
    sandbox.assert_synced();
});

sync_test!(what_a_filter_protects_outlives_every_time_and_takes_no_share_of_the_limit, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").dir("d"));
    let other = Tree::new().file("kept.o", "1").file("gone", "2").file("d/kept.o", "3").file("tree/kept.o", "4");
    for time in TIMES {
        sandbox.write_destination(&other.clone().file("tree/gone", "5"));
        let finished = sandbox.sync(&["-ai", time, "--max-delete=2", "--exclude=*.o"]).ok();
        assert_eq!(deleted(&finished), 2, "{}", finished.told());
        let names = sandbox.destination_tree().names();
        assert_eq!(names, [".", "a", "d", "d/kept.o", "kept.o", "tree", "tree/kept.o"], "{time}");
    }
});

sync_test!(a_name_that_differs_in_case_alone_is_never_lost, |sandbox| {
    let source = Tree::new().file("Name", "contents").file("dir/Other", "contents");
    let destination = Tree::new().file("NAME", "contents").file("dir/OTHER", "older");
    for time in TIMES {
        start(sandbox, &source, &destination);
        sandbox.sync(&["-aH", time]).ok();
        // Where the file system folds names a late deletion may leave the old spelling.
        assert_eq!(fs::read(sandbox.path("destination/Name")).unwrap(), b"contents", "{time}");
        assert_eq!(fs::read(sandbox.path("destination/dir/Other")).unwrap(), b"contents", "{time}");
        assert_eq!(fs::read_dir(sandbox.destination()).unwrap().count(), 2, "{time}");
    }
});

sync_test!(only_one_time_of_deletion_can_be_chosen, |sandbox| {
    start(sandbox, &source(), &extra());
    sandbox.sync(&["-a", "--delete-before", "--delete-after"]).code(1).says("only one");
    sandbox.sync(&["-aH", "--delete", "--del", "--delete-delay"]).ok();
    sandbox.assert_synced();
});
