//! How things are written: times that are left alone, in every way that trees are synced.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::process::Finished;
use crate::harness::{Sandbox, Tree, sync_test};

/// The time of a path in the destination, links as themselves.
fn mtime(sandbox: &Sandbox, path: &str) -> i64 {
    fs::symlink_metadata(sandbox.destination().join(path)).unwrap_or_else(|error| panic!("{path}: {error}")).mtime()
}

fn unchanged(finished: &Finished) {
    assert!(finished.stdout.is_empty(), "nothing was to be done: {}", finished.told());
}

sync_test!(times_of_directories_and_links_are_left_out_where_the_options_say_so, |sandbox| {
    let old = |tree: Tree| tree.mtime(1_000_000_000, 0);
    sandbox.write_source(&old(old(old(Tree::new().file("dir/file", "1")).dir("dir")).symlink("link", "dir")));
    for (options, dir, link) in [("-aO", false, true), ("-aJ", true, false), ("-aOJ", false, false)] {
        let _ = fs::remove_dir_all(sandbox.destination());
        sandbox.sync(&[options]).ok();
        assert_eq!(mtime(sandbox, "dir/file"), 1_000_000_000, "{options}");
        assert_eq!(mtime(sandbox, "dir") == 1_000_000_000, dir, "{options}");
        assert_eq!(mtime(sandbox, "link") == 1_000_000_000, link, "{options}");
        unchanged(&sandbox.sync(&[options, "-i"]).ok());
    }
    let mut lines = sandbox.sync(&["-aOJi", "--no-O", "--no-J"]).ok().lines();
    lines.sort();
    assert_eq!(lines, [".L..t...... link -> dir", ".d..t...... ./", ".d..t...... dir/"]);
});
