//! Sources whose paths are kept (`-R`), and what leads to them (`--no-implied-dirs`).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Sandbox, Tree, sync_test};

/// The names below a directory of the sandbox.
fn names_in(sandbox: &Sandbox, root: &str) -> Vec<String> {
    let tree = crate::harness::Snapshot::of(&sandbox.path(root));
    tree.items.keys().map(|path| path.display().to_string()).filter(|path| path != ".").collect()
}

fn names(sandbox: &Sandbox) -> Vec<String> {
    names_in(sandbox, "destination")
}

fn source() -> Tree {
    let tree = Tree::new().file("a/b/c/f", "f").file("a/b/g", "g").file("a/h", "h").file("i", "i").dir("e");
    tree.dir("a").mode(0o750).mtime(1_600_000_000, 5)
}

sync_test!(a_path_is_kept_from_its_dot_on_with_the_directories_that_lead_to_it, |sandbox| {
    sandbox.write_source(&source());
    for sources in [&["source/./a/b/c", "source/./i"][..], &["source/./i", "source/.//a//b/./c/f"]] {
        let _ = fs::remove_dir_all(sandbox.destination());
        sandbox.sync_paths(&["-aR"], sources, "destination/").ok();
        assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/c/f", "i"]);
        let of = |tree: crate::harness::Snapshot| tree.items[std::path::Path::new("a")].clone();
        assert!(of(sandbox.destination_tree()) == of(sandbox.source_tree()), "what leads there is kept as well");
    }
    let lines = sandbox.sync_paths(&["-aRi"], &["source/./a/b/c", "source/./i"], "destination/").ok().lines();
    assert!(lines.is_empty(), "{lines:?}");
});

sync_test!(what_leads_to_a_source_is_not_deleted_in_and_what_is_a_source_is, |sandbox| {
    sandbox.write_source(&source());
    sandbox.write_destination(&Tree::new().file("x", "").file("a/x", "").file("a/b/x", "").file("a/b/c/x", ""));
    sandbox.sync_paths(&["-aR", "--delete"], &["source/./a/b", "source/./a/b/c", "source/./i"], "destination").ok();
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/c/f", "a/b/g", "a/x", "i", "x"]);
});

sync_test!(rules_are_about_the_sources_and_not_about_what_leads_to_them, |sandbox| {
    sandbox.write_source(&source());
    sandbox
        .sync_paths(&["-aR", "--exclude=b", "--exclude=g"], &["source/./a/b/c", "source/./a/b/g"], "destination/")
        .ok();
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/c/f"]);
});

sync_test!(a_link_that_leads_to_a_source_is_kept_as_a_directory, |sandbox| {
    sandbox.write_source(&source().symlink("l", "a/b").symlink("a/b/c/k", "f"));
    sandbox.sync_paths(&["-aR"], &["source/./l/c", "source/./l/g"], "destination/").ok();
    assert_eq!(names(sandbox), ["l", "l/c", "l/c/f", "l/c/k", "l/g"]);
    assert!(sandbox.path("destination/l").symlink_metadata().unwrap().is_dir());
    assert!(sandbox.path("destination/l/c/k").symlink_metadata().unwrap().is_symlink());
    sandbox.sync_paths(&["-aR"], &["source/./i/no", "source/./e"], "destination/").code(23);
    assert!(sandbox.path("destination/e").is_dir());
});

sync_test!(a_path_that_goes_up_cannot_be_kept, |sandbox| {
    sandbox.write_source(&source());
    sandbox.sync_paths(&["-aR"], &["source/./a/../i"], "destination/").code(1).says("..");
    sandbox.sync_paths(&["-aR"], &["source/a/.././i"], "destination/").ok();
    assert_eq!(names(sandbox), ["i"]);
});

sync_test!(a_directory_is_copied_with_what_is_in_it_only_where_that_is_meant, |sandbox| {
    sandbox.write_source(&source());
    sandbox.sync_paths(&["-dlptR"], &["source/./a/b/", "source/./e", "source/./a/b/c"], "destination/").ok();
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/g", "e"]);
});

sync_test!(no_implied_dirs_leaves_what_leads_there_as_it_is, |sandbox| {
    sandbox.write_source(&source());
    let destination = Tree::new().dir("a").mode(0o700).mtime(1_500_000_000, 7).symlink("a/b", "../inner");
    sandbox.write_destination(&destination.file("inner/kept", "").file("inner/c/x", ""));
    for dry in [true, false] {
        let options = [&["-aRi", "--no-implied-dirs", "--del"][..], if dry { &["-n"] } else { &[] }].concat();
        let lines = sandbox.sync_paths(&options, &["source/./a/b/c", "source/./a/h"], "destination/").ok().lines();
        let mut told: Vec<&str> = lines.iter().map(|line| line[11..].trim_start()).collect();
        told.sort_unstable();
        assert_eq!(told, ["a/b/c/f", "a/b/c/x", "a/h"], "{lines:?}");
        assert_eq!(sandbox.path("destination/inner/c/f").exists(), !dry);
    }
    assert_eq!(names(sandbox), ["a", "a/b", "a/h", "inner", "inner/c", "inner/c/f", "inner/kept"]);
    assert_eq!(fs::metadata(sandbox.path("destination/a")).unwrap().permissions().mode() & 0o7777, 0o700);
    // Without it the link makes way.
    sandbox.sync_paths(&["-aR"], &["source/./a/b/c/f"], "destination/").ok();
    assert!(sandbox.path("destination/a/b").symlink_metadata().unwrap().is_dir());
});

sync_test!(a_directory_that_only_leads_there_is_made_where_it_is_missing_and_takes_no_place, |sandbox| {
    sandbox.write_source(&source());
    let options = ["-aRii", "--no-implied-dirs"];
    sandbox.sync_paths(&[&options[..], &["--existing"]].concat(), &["source/./a/b/g"], "destination/").ok();
    assert!(!sandbox.path("destination/a").exists());
    let lines = sandbox.sync_paths(&options, &["source/./a/b/g"], "destination/").ok().lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/g"]);
    let mode = |name: &str| fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_ne!(mode("destination/a"), 0o750, "it is like any new directory");
    let _ = fs::remove_dir_all(sandbox.destination());
    // A file, and a link that leads out.
    fs::create_dir_all(sandbox.path("outside/b")).unwrap();
    for tree in [Tree::new().file("a", "in the way"), Tree::new().symlink("a", "../outside")] {
        sandbox.write_destination(&tree);
        let sources = ["source/./a/b/g", "source/./i"];
        sandbox.sync_paths(&options, &sources, "destination/").code(23).says("failed to make directory");
        assert_eq!(names(sandbox), ["a", "i"]);
        assert_eq!(names_in(sandbox, "outside"), ["b"]);
        fs::remove_dir_all(sandbox.destination()).unwrap();
    }
});

sync_test!(a_directory_that_leads_to_a_source_and_is_one_is_copied_with_its_attributes, |sandbox| {
    sandbox.write_source(&source());
    sandbox.sync_paths(&["-aR", "--no-implied-dirs"], &["source/./a/b/g", "source/./a"], "destination/").ok();
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/c/f", "a/b/g", "a/h"]);
    assert_eq!(fs::metadata(sandbox.path("destination/a")).unwrap().permissions().mode() & 0o7777, 0o750);
});
