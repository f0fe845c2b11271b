//! What of a file is kept besides its contents, where an option asks for more than an archive, in every way that trees are
//! synced.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::harness::process::Finished;
use crate::harness::{Sandbox, Tree, is_root, sync_test};

fn unchanged(finished: &Finished) {
    assert!(finished.stdout.is_empty(), "nothing was to be done: {}", finished.told());
}

/// Owner and group of a path in the destination.
fn owner(sandbox: &Sandbox, path: &str) -> (u32, u32) {
    let found =
        fs::symlink_metadata(sandbox.destination().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    (found.uid(), found.gid())
}

sync_test!(owners_are_mapped_as_the_first_item_that_fits_says, |sandbox| {
    if !is_root() {
        return;
    }
    let tree = Tree::new().file("root", "").owner(0, 0).file("bin", "").owner(2, 2).file("none", "").owner(4242, 4243);
    sandbox.write_source(&tree.symlink("link", "bin").owner(2, 2));
    for (map, root, bin, none) in [
        ("--usermap=0:7,bin:8,:9", (7, 0), (8, 2), (9, 4243)),
        ("--groupmap=1-3:bin,4000-5000:root", (0, 0), (2, 2), (4242, 0)),
        ("--usermap=b?n:17", (0, 0), (17, 2), (4242, 4243)),
        ("--chown=5:6", (5, 6), (5, 6), (5, 6)),
        ("--chown=bin", (2, 0), (2, 2), (2, 4243)),
        ("--chown=:6", (0, 6), (2, 6), (4242, 6)),
    ] {
        sandbox.sync(&["-a", map]).ok();
        assert_eq!(["root", "bin", "none", "link"].map(|path| owner(sandbox, path)), [root, bin, none, bin], "{map}");
        unchanged(&sandbox.sync(&["-ai", map]).ok());
    }
});

sync_test!(a_name_that_the_destination_does_not_know_maps_nobody_and_is_told, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", ""));
    let told = sandbox.sync(&["-a", "--usermap=*:no-such-user-here"]).ok();
    assert!(told.stderr.contains("no-such-user-here"), "{}", told.told());
    assert_eq!(owner(sandbox, "a"), (fs::metadata(sandbox.source()).unwrap().uid(), owner(sandbox, ".").1));
});

sync_test!(access_times_are_kept_of_all_but_directories_and_only_with_the_option, |sandbox| {
    let old = Tree::new().file("a", "1").atime(1_000_000_000, 7).file("dir/b", "2").atime(1_000_000_001, 0);
    let tree = old.fifo("fifo").atime(1_000_000_002, 999);
    let atime = |path: &str| {
        let found = fs::symlink_metadata(sandbox.destination().join(path)).unwrap_or_else(|error| panic!("{error}"));
        (found.atime(), found.atime_nsec())
    };
    sandbox.write_source(&tree);
    sandbox.sync(&["-aUU"]).ok();
    let kept = [(1_000_000_000, 7), (1_000_000_001, 0), (1_000_000_002, 999)];
    assert_eq!(["a", "dir/b", "fifo"].map(atime), kept);
    // Their files were opened so that this shows nothing.
    unchanged(&sandbox.sync(&["-aUUi"]).ok());
    tree.clone().file("a", "1").atime(5, 0).set_atimes(&sandbox.destination());
    assert_eq!(sandbox.sync(&["-ai"]).ok().lines(), [""; 0]);
    assert_eq!(sandbox.sync(&["-aiU"]).ok().lines(), [".f......u.. a"]);
    assert_eq!(atime("a"), kept[0]);
    assert_eq!(fs::metadata(sandbox.destination().join("a")).unwrap().mtime(), 1_700_000_000);
});
