//! What is copied and what is deleted besides by rules: sizes, empty directories, and what deletion does not spare.

use std::fs;

use crate::harness::{Sandbox, Tree, sync_test};

/// The names below the destination.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let tree = sandbox.destination_tree();
    tree.items.keys().map(|path| path.display().to_string()).filter(|path| path != ".").collect()
}

sync_test!(delete_excluded_spares_what_a_rule_protects_and_nothing_else, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "").file("b.o", "").file("d/c", ""));
    let destination = Tree::new().file("x.o", "").file("keep", "").file("d/y.o", "").file("d/keep", "").file("z", "");
    for time in ["--delete-excluded", "--delete-before", "--delete-after"] {
        let _ = fs::remove_dir_all(sandbox.destination());
        sandbox.write_destination(&destination);
        sandbox.sync(&["-a", time, "--delete-excluded", "--exclude=*.o", "--filter=P keep"]).ok();
        assert_eq!(names(sandbox), ["a", "d", "d/c", "d/keep", "keep"], "{time}");
    }
});

sync_test!(delete_excluded_holds_for_rules_of_merge_files_too, |sandbox| {
    let rules = "- *.o\nP keep\n";
    sandbox.write_source(&Tree::new().file("d/.r", rules).file("d/a", "").file("d/b.o", ""));
    let destination = Tree::new().file("d/.r", rules).file("d/x.o", "").file("d/keep", "");
    sandbox.write_destination(&destination);
    sandbox.sync(&["-a", "--delete-excluded", "--filter=: .r"]).ok();
    assert_eq!(names(sandbox), ["d", "d/.r", "d/a", "d/keep"]);
});

sync_test!(directories_that_would_be_empty_are_left_out_and_deleted, |sandbox| {
    let tree = Tree::new().dir("a/b/c").file("d/f", "").dir("d/e").file("g/h/i/f", "").file("g/x.o", "").dir("j/kept");
    sandbox.write_source(&tree.file("k/y.o", ""));
    sandbox.write_destination(&Tree::new().dir("a/b").dir("d/e").dir("k"));
    let options = ["-am", "--delete", "--exclude=*.o", "--filter=P kept/"];
    let kept = ["d", "d/f", "g", "g/h", "g/h/i", "g/h/i/f", "j", "j/kept"];
    sandbox.sync(&options).ok();
    assert_eq!(names(sandbox), kept);
    assert!(sandbox.sync(&["-amin", "--delete", "--exclude=*.o", "--filter=P kept/"]).ok().stdout.is_empty());
    sandbox.sync(&["-am", "--no-m", "--exclude=*.o"]).ok();
    assert!(names(sandbox).contains(&"a/b/c".to_string()));
});

sync_test!(a_source_directory_that_would_be_empty_is_left_out_and_the_root_is_not, |sandbox| {
    sandbox.write_source(&Tree::new().dir("a"));
    sandbox.write_destination(&Tree::new());
    sandbox.sync_paths(&["-am"], &["source"], "destination/").ok();
    assert!(names(sandbox).is_empty());
    sandbox.sync(&["-am", "--delete"]).ok();
    assert!(sandbox.destination().is_dir() && names(sandbox).is_empty());
});

sync_test!(files_of_other_sizes_are_left_alone_and_not_deleted, |sandbox| {
    let sized = |tree: Tree, name: &str, len: usize| tree.file(name, vec![b'x'; len]);
    let tree = sized(sized(sized(Tree::new(), "none", 0), "least", 10), "most", 1024);
    sandbox.write_source(&sized(sized(tree, "more", 1025), "new", 2000).symlink("link", "a"));
    sandbox.write_destination(&Tree::new().file("more", "old").file("none", "old").file("extra", ""));
    for dry in [true, false] {
        let options: &[&str] = if dry { &["-ain"] } else { &["-ai"] };
        let options = [options, &["--delete", "--min-size=10", "--max-size=1K"]].concat();
        let lines = sandbox.sync(&options).ok().lines();
        assert!(!lines.iter().any(|line| ["more", "none", "new"].iter().any(|name| line.ends_with(name))), "{lines:?}");
    }
    assert_eq!(names(sandbox), ["least", "link", "more", "most", "none"]);
    assert_eq!(fs::read(sandbox.path("destination/more")).unwrap(), b"old");
    assert_eq!(fs::read(sandbox.path("destination/none")).unwrap(), b"old");
});

sync_test!(errors_of_the_source_forbid_deletion_unless_ignored, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", ""));
    for (option, gone) in [("--no-ignore-errors", false), ("--ignore-errors", true)] {
        for time in ["--delete", "--delete-before", "--delete-after"] {
            let _ = fs::remove_dir_all(sandbox.destination());
            sandbox.write_destination(&Tree::new().file("x", ""));
            // A name that is missing in a directory that is there is no such error.
            sandbox.sync_paths(&["-a", time, option], &["source/", "missing/"], "destination").code(23);
            assert_eq!(!names(sandbox).contains(&"x".to_string()), gone, "{option} {time}");
        }
    }
});

sync_test!(force_lets_a_directory_go_for_something_else_and_nothing_besides, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "file").symlink("b", "a"));
    let destination = Tree::new().file("a/x/y", "").file("b/z", "").file("extra", "");
    sandbox.write_destination(&destination);
    sandbox.sync(&["-a"]).code(23);
    assert!(names(sandbox).contains(&"a/x/y".to_string()));
    sandbox.sync(&["-an", "--force"]).ok();
    assert!(names(sandbox).contains(&"a/x/y".to_string()));
    sandbox.sync(&["-a", "--force"]).ok();
    assert_eq!(names(sandbox), ["a", "b", "extra"]);
});
