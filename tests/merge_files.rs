//! Rules that stand in the tree: per-directory merge files, `-F` and `-C`, in every way that trees are synced.

use std::fs;

use crate::harness::{Sandbox, Tree, sync_test};

/// The names below the destination.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let tree = sandbox.destination_tree();
    tree.items.keys().map(|path| path.display().to_string()).filter(|path| path != ".").collect()
}

fn marked() -> Tree {
    let tree = Tree::new().file(".rsync-filter", "- *.o\n- /top\n").file("a.o", "").file("b", "").file("top", "");
    let tree = tree.file("d/.rsync-filter", "+ keep.o\n- /b\n").file("d/keep.o", "").file("d/lost.o", "");
    tree.file("d/b", "").file("d/top", "").file("d/e/b", "").file("d/e/lost.o", "")
}

sync_test!(f_obeys_the_files_of_the_tree_and_twice_leaves_them_out, |sandbox| {
    sandbox.write_source(&marked());
    let kept = ["b", "d", "d/e", "d/e/b", "d/keep.o", "d/top"];
    sandbox.sync(&["-aFF"]).ok();
    assert_eq!(names(sandbox), kept);
    sandbox.sync(&["-aF"]).ok();
    let files: Vec<String> = names(sandbox).into_iter().filter(|name| name.ends_with("filter")).collect();
    assert_eq!(files, [".rsync-filter", "d/.rsync-filter"]);
    assert_eq!(names(sandbox).len(), kept.len() + 2);
});

sync_test!(a_dry_run_obeys_them_as_well, |sandbox| {
    sandbox.write_source(&marked());
    sandbox.write_destination(&Tree::new().file("x.o", "").file("y", "").file(".rsync-filter", "- x.o"));
    let dry = sandbox.sync(&["-aiFn", "--delete"]).ok().lines();
    assert!(dry.iter().any(|line| line == "*deleting   y"), "{dry:?}");
    assert!(!dry.iter().any(|line| line.contains(".o") && !line.ends_with("keep.o")), "{dry:?}");
    assert_eq!(names(sandbox), [".rsync-filter", "x.o", "y"]);
});

sync_test!(the_receivers_own_files_protect_and_those_of_a_directory_that_goes_too, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "").file("d/a", ""));
    let destination = Tree::new().file(".r", "- *.log").file("x.log", "").file("x", "").file("d/y.log", "");
    let destination = destination.file("d/y", "").file("gone/.r", "P kept").file("gone/kept", "").file("gone/lost", "");
    for time in ["--delete", "--delete-before", "--delete-delay", "--delete-after"] {
        let _ = fs::remove_dir_all(sandbox.destination());
        sandbox.write_destination(&destination);
        let finished = sandbox.sync(&["-a", time, "--filter=: .r", "--filter=P .r"]).ok();
        let left = [".r", "a", "d", "d/a", "d/y.log", "gone", "gone/.r", "gone/kept", "x.log"];
        assert_eq!(names(sandbox), left, "{time}: {}", finished.told());
    }
});

sync_test!(what_the_files_of_a_directory_that_goes_say_does_not_count_beside_it, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "").file("dir/a", ""));
    let destination = Tree::new().file(".r", "P extra").file("b-goes/.r", "+ *").file("b-goes/x", "");
    let destination = destination.file("a", "").file("extra", "").file("dir/.r", "").file("dir/a", "");
    let destination = destination.file("dir/b-stays/.r", "P *").file("dir/b-stays/x", "").file("dir/c-goes", "");
    for time in ["--delete", "--delete-before", "--delete-delay", "--delete-after"] {
        let _ = fs::remove_dir_all(sandbox.destination());
        sandbox.write_destination(&destination);
        let finished = sandbox.sync(&["-a", time, "--filter=: .r", "--filter=P /.r"]).ok();
        let left = [".r", "a", "dir", "dir/a", "dir/b-stays", "dir/b-stays/.r", "dir/b-stays/x", "extra"];
        assert_eq!(names(sandbox), left, "{time}: {}", finished.told());
    }
});

sync_test!(with_delete_delay_what_a_directory_holds_goes_by_the_files_of_when_it_was_found, |sandbox| {
    sandbox.write_source(&Tree::new().file(".r", "- nothing"));
    let destination = Tree::new().file(".r", "P kept*").mtime(5, 0).file("gone/kept", "").file("gone/sub/lost", "");
    for dry in [true, false] {
        let _ = fs::remove_dir_all(sandbox.destination());
        sandbox.write_destination(&destination.clone().file("all/sub/lost", ""));
        let finished = sandbox.sync(&["-ai", "--delete-delay", "--filter=: .r", if dry { "-n" } else { "-v" }]).ok();
        let mut deleted: Vec<String> =
            finished.lines().into_iter().filter(|line| line.starts_with("*deleting")).collect();
        deleted.sort();
        let lost = ["all/", "all/sub/", "all/sub/lost", "gone/sub/", "gone/sub/lost"];
        assert_eq!(deleted, lost.map(|path| format!("*deleting   {path}")));
        assert!(dry || names(sandbox) == [".r", "gone", "gone/kept"], "{}", finished.told());
    }
});

sync_test!(with_delete_after_it_is_the_files_that_came_that_count, |sandbox| {
    sandbox.write_source(&Tree::new().file("d/.r", "P new").file("d/a", "").file("b", ""));
    for (time, left) in [("--delete", "old"), ("--delete-delay", "old"), ("--delete-after", "new")] {
        let _ = fs::remove_dir_all(sandbox.destination());
        let destination = Tree::new().file("d/.r", "P old").mtime(5, 0).file("d/old", "").file("d/new", "");
        sandbox.write_destination(&destination);
        sandbox.sync(&["-a", time, "--filter=: .r"]).ok();
        let mut expected = vec!["b".to_string(), "d".into(), "d/.r".into(), "d/a".into(), format!("d/{left}")];
        expected.sort();
        assert_eq!(names(sandbox), expected, "{time}");
    }
});

sync_test!(a_file_that_makes_no_sense_keeps_its_directory_from_being_copied_and_all_from_being_deleted, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "").file("d/.r", "sense\n").file("d/secret", "").file("e/b", ""));
    sandbox.write_destination(&Tree::new().file("x", "").file("d/x", "").file("e/x", ""));
    let finished = sandbox.sync(&["-a", "--delete", "--filter=: .r"]);
    assert_eq!(finished.status.code(), Some(23), "{}", finished.told());
    assert!(finished.stderr.contains("d/.r: unknown filter rule: sense"), "{}", finished.told());
    assert!(!names(sandbox).iter().any(|name| name.contains("secret")));
    for name in ["a", "e/b", "d/x"] {
        assert!(names(sandbox).contains(&name.to_string()), "{name}");
    }
});

sync_test!(the_receivers_file_that_makes_no_sense_keeps_its_directory_as_it_is, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "").file("d/b", "").file("e/c", ""));
    sandbox.write_destination(&Tree::new().file("d/.r", "sense").file("d/x", "").file("e/x", "").file("x", ""));
    let finished = sandbox.sync(&["-a", "--delete", "--filter=: .r"]);
    assert_eq!(finished.status.code(), Some(23), "{}", finished.told());
    assert_eq!(names(sandbox), ["a", "d", "d/.r", "d/b", "d/x", "e", "e/c"]);
});

sync_test!(c_leaves_out_what_cvs_ignores, |sandbox| {
    let tree = Tree::new().file("a.o", "").file("b~", "").file(".git/config", "").file("core", "").file("c", "");
    let tree = tree.file(".cvsignore", "mine").file("mine", "").file("d/mine", "").file("home", "").file("env.x", "");
    sandbox.write_source(&tree);
    sandbox.write_destination(&Tree::new().file("kept.o", "").file("gone", "").file("old/x.o", ""));
    fs::create_dir(sandbox.path("home")).unwrap();
    fs::write(sandbox.path("home/.cvsignore"), "home\n").unwrap();
    let program = sandbox.program(&["-aC", "--delete"], &["source/"], "destination");
    program.env("HOME", sandbox.path("home")).env("CVSIGNORE", "*.x").run().ok();
    assert_eq!(names(sandbox), [".cvsignore", "c", "d", "d/mine", "kept.o"]);
});

sync_test!(what_is_not_in_the_root_is_read_for_rules_of_a_source_directory, |sandbox| {
    fs::write(sandbox.path(".rsync-filter"), "- /source/a\n- b\n").unwrap();
    sandbox.write_source(&Tree::new().file("a", "").file("b", "").file("c/a", "").file("c/b", ""));
    sandbox.sync_paths(&["-aF"], &["source"], "destination").ok();
    assert_eq!(names(sandbox), ["source", "source/c", "source/c/a"]);
});
