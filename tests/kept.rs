//! What of a file is kept besides its contents, where an option asks for more than an archive, in every way that trees are
//! synced.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::XattrFlags;
use serde_json::Value;

use crate::harness::process::Finished;
use crate::harness::snapshot::xattrs;
use crate::harness::tree::Node;
use crate::harness::{Sandbox, Tree, is_root, noise, sync_test};

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

sync_test!(with_open_noatime_the_access_times_of_what_is_read_stay, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", noise(1, 9000)).atime(1_000_000_000, 0));
    sandbox.sync(&["-a", "--open-noatime"]).ok();
    // Other systems cannot open files in that way.
    if cfg!(target_os = "linux") {
        assert_eq!(fs::metadata(sandbox.source().join("a")).unwrap().atime(), 1_000_000_000);
    }
    sandbox.assert_synced();
});

/// What every file system that has attributes at all can hold: one that is sent with the list, and one that is not.
fn described() -> Tree {
    let tree =
        Tree::new().xattr("user.root", "r").file("a", "1").xattr("user.small", "s").xattr("user.large", [7; 900]);
    let tree = tree.dir("dir").xattr("user.dir", "d").xattr("user.large", [8; 901]).mode(0o555);
    let tree = tree.file("dir/big", noise(1, 300_000)).xattr("user.large", [9; 70]).mode(0o444);
    (0..70).fold(tree, |tree, index| tree.file(format!("many/{index}"), "x").xattr("user.n", [index; 100]))
}

/// Sets an attribute, whoever may write to the file.
fn set(path: &Path, name: &str, value: &[u8]) {
    let mode = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, fs::Permissions::from_mode(mode.mode() | 0o600)).unwrap();
    rustix::fs::setxattr(path, name, value, XattrFlags::empty()).unwrap();
    fs::set_permissions(path, mode).unwrap();
}

sync_test!(extended_attributes_are_kept_with_the_option_and_an_unchanged_tree_is_left_alone, |sandbox| {
    sandbox.write_source(&described().symlink("link", "a").fifo("fifo"));
    sandbox.sync_paths(&["-a"], &["source/"], "plain").ok();
    assert!(xattrs(&sandbox.path("plain/a")).is_empty());
    sandbox.sync(&["-aX"]).ok();
    sandbox.assert_synced();
    unchanged(&sandbox.sync(&["-aXi"]).ok());
    let listed = "many/0";
    for (path, name) in [("a", "user.large"), ("dir", "user.dir"), ("dir/big", "user.large"), (listed, "user.n")] {
        let path = sandbox.destination().join(path);
        set(&path, name, b"other");
        set(&path, "user.extra", b"more");
    }
    let mut lines = sandbox.sync(&["-aXi"]).ok().lines();
    lines.sort();
    assert_eq!(lines, [".d........x dir/", ".f........x a", ".f........x dir/big", ".f........x many/0"]);
    sandbox.assert_synced();
    // And of what is transferred, whatever was there.
    set(&sandbox.destination().join("dir/big"), "user.extra", b"more");
    for options in [&["-aXI"][..], &["-aXI", "--inplace"]] {
        sandbox.sync(options).ok();
        sandbox.assert_synced();
    }
});

sync_test!(rules_about_names_of_attributes_choose_what_is_copied_and_what_is_deleted, |sandbox| {
    let tree = Tree::new().file("a", "1").xattr("user.copied", "s").xattr("user.hidden", "s").xattr("user.both", "s");
    sandbox.write_source(&tree);
    let before = Tree::new().file("a", "1").xattr("user.kept", "d").xattr("user.gone", "d").xattr("user.both", "d");
    sandbox.write_destination(&before);
    let rules = ["--filter", "-xs user.hidden", "--filter", "-xr user.kept", "-f", "-x user.both"];
    sandbox.sync(&[&["-aX"], &rules[..]].concat()).ok();
    let found = xattrs(&sandbox.destination().join("a"));
    let expected = [("user.both", "d"), ("user.copied", "s"), ("user.kept", "d")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.into())).into());
    unchanged(&sandbox.sync(&[&["-aXi"], &rules[..]].concat()).ok());
});

sync_test!(what_only_root_may_set_is_kept_by_root_and_what_is_rsyncs_only_if_asked_for, |sandbox| {
    let tree = Tree::new().file("a", "").xattr("user.rsync.%stat", "100644 0,0 0:0").xattr("user.rsync.x", "y");
    let tree = if is_root() { tree.xattr("trusted.t", "t").symlink("l", "a").xattr("trusted.l", "l") } else { tree };
    sandbox.write_source(&tree);
    sandbox.sync(&["-aX"]).ok();
    let mut expected = xattrs(&sandbox.source().join("a"));
    expected.remove("user.rsync.%stat");
    assert_eq!(xattrs(&sandbox.destination().join("a")), expected);
    unchanged(&sandbox.sync(&["-aXi"]).ok());
    sandbox.sync(&["-aXX"]).ok();
    sandbox.assert_synced();
});

sync_test!(attributes_count_for_what_another_directory_has_and_are_kept_of_what_is_made_of_it, |sandbox| {
    sandbox.write_source(&described());
    described().file("a", "1").xattr("user.large", [6; 900]).write(&sandbox.path("changed"));
    sandbox.sync_paths(&["-aX"], &["source/"], "first").ok();
    for option in ["--link-dest", "--copy-dest"] {
        let given = format!("{option}={}", sandbox.path("first").display());
        for source in ["source", "changed"] {
            let destination = format!("{source}{option}");
            sandbox.sync_paths(&["-aX", &given], &[&format!("{source}/")], &destination).ok();
            let (source, made) = (sandbox.path(source), sandbox.path(&destination));
            for path in ["a", "dir", "dir/big", "many/7"] {
                assert_eq!(xattrs(&made.join(path)), xattrs(&source.join(path)), "{destination}: {path}");
            }
            let links = fs::metadata(made.join("a")).unwrap().nlink();
            assert_eq!(links > 1, destination == "source--link-dest", "{destination}");
        }
    }
});

sync_test!(of_a_link_that_is_followed_the_attributes_are_those_of_what_it_leads_to, |sandbox| {
    sandbox.write_source(&described().symlink("link", "a").symlink("door", "dir"));
    sandbox.sync(&["-aXL"]).ok();
    for (path, target) in [("link", "a"), ("door", "dir"), ("door/big", "dir/big")] {
        let (made, source) = (sandbox.destination().join(path), sandbox.source().join(target));
        assert!(!xattrs(&source).is_empty());
        assert_eq!(xattrs(&made), xattrs(&source), "{path}");
    }
});

sync_test!(attributes_of_a_file_of_the_destination_that_nobody_may_read_are_replaced_all_the_same, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").xattr("user.x", "1").file("b", "2"));
    for mode in [0o200, 0] {
        let closed = Tree::new().file("a", "1").xattr("user.x", "2").xattr("user.y", "3").mode(mode);
        sandbox.write_destination(&closed.file("b", "2").xattr("user.z", "4").mode(mode));
        assert_eq!(sandbox.sync(&["-aX"]).ok().stderr, "");
        sandbox.assert_synced();
    }
});

sync_test!(behind_a_link_that_is_kept_for_a_directory_its_attributes_go_to_the_directory, |sandbox| {
    sandbox.write_source(&described());
    sandbox.write_destination(&Tree::new().dir("real").symlink("dir", "real"));
    sandbox.sync(&["-aXK"]).ok();
    let made = |path: &str| xattrs(&sandbox.destination().join(path));
    assert_eq!(fs::read_link(sandbox.destination().join("dir")).unwrap().to_str(), Some("real"));
    for (path, source) in [("real", "dir"), ("real/big", "dir/big")] {
        assert!(!made(path).is_empty());
        assert_eq!(made(path), xattrs(&sandbox.source().join(source)), "{path}");
    }
    assert!(made("dir").is_empty(), "the link has none");
    unchanged(&sandbox.sync(&["-aXKi"]).ok());
});

/// Other systems have lists of other forms, which `sy` does not know.
#[cfg(target_os = "linux")]
mod lists {
    use super::*;
    use crate::harness::tree::acl;

    const OWN: &str = "system.posix_acl_access";
    const DEFAULT: &str = "system.posix_acl_default";

    /// The mode of a path in the destination.
    fn mode(sandbox: &Sandbox, path: &str) -> u32 {
        fs::metadata(sandbox.destination().join(path)).unwrap_or_else(|error| panic!("{path}: {error}")).mode() & 0o7777
    }

    sync_test!(access_control_lists_are_kept_with_the_option_and_go_where_the_source_has_none, |sandbox| {
        let own = acl([7, 5, 1], &[(1, 7), (4242, 4)], &[(2, 5)], Some(6));
        let bare = acl([7, 7, 7], &[], &[], None);
        let tree = Tree::new().file("a", "1").xattr(OWN, &own).mode(0o761).file("none", "2").mode(0o640);
        let tree = tree.dir("dir").xattr(OWN, &own).xattr(DEFAULT, &bare).mode(0o2750).file("dir/b", noise(1, 9000));
        sandbox.write_source(&tree.fifo("fifo").xattr(OWN, &own).symlink("link", "a"));
        // What is made there gets a list of its own, unless it is taken away.
        sandbox.write_destination(&Tree::new().xattr(DEFAULT, acl([7, 7, 7], &[(3, 7)], &[], Some(7))));
        sandbox.sync(&["-aA"]).ok();
        sandbox.assert_synced();
        assert_eq!((mode(sandbox, "a"), mode(sandbox, "none")), (0o761, 0o640));
        unchanged(&sandbox.sync(&["-aAi"]).ok());
        let set = |path: &str, name: &str, value: &[u8]| {
            rustix::fs::setxattr(sandbox.destination().join(path), name, value, XattrFlags::empty()).unwrap();
        };
        set("a", OWN, &acl([7, 5, 1], &[(1, 6)], &[], Some(6)));
        set("none", OWN, &acl([6, 4, 0], &[(1, 6)], &[], Some(4)));
        set("dir", DEFAULT, &own);
        let mut lines = sandbox.sync(&["-aAi"]).ok().lines();
        lines.sort();
        assert_eq!(lines, [".d.......a. dir/", ".f.......a. a", ".f.......a. none"]);
        sandbox.assert_synced();
    });

    sync_test!(behind_a_link_that_is_kept_for_a_directory_its_lists_go_to_the_directory, |sandbox| {
        let (own, default) = (acl([7, 5, 1], &[(1, 7)], &[], Some(7)), acl([7, 7, 7], &[], &[], None));
        let tree = Tree::new().dir("dir").xattr(OWN, own).xattr(DEFAULT, default).mode(0o771);
        sandbox.write_source(&tree.file("dir/a", "1"));
        sandbox.write_destination(&Tree::new().dir("real").symlink("dir", "real"));
        sandbox.sync(&["-aAK"]).ok();
        assert!(fs::symlink_metadata(sandbox.destination().join("dir")).unwrap().is_symlink());
        let made = |path: &str| xattrs(&sandbox.destination().join(path));
        assert_eq!(made("real"), xattrs(&sandbox.source().join("dir")));
        assert_eq!((mode(sandbox, "real"), made("real/a").len()), (0o771, 0));
        unchanged(&sandbox.sync(&["-aAKi"]).ok());
    });

    sync_test!(whom_a_list_names_is_mapped_like_an_owner, |sandbox| {
        let own = acl([6, 4, 0], &[(1, 6), (4242, 7)], &[(3, 5)], Some(7));
        sandbox.write_source(&Tree::new().file("a", "1").xattr(OWN, own).mode(0o670));
        sandbox.sync(&["-aA", "--usermap=1:5000,4242:5000", "--groupmap=3:6000"]).ok();
        let mapped = acl([6, 4, 0], &[(5000, 6)], &[(6000, 5)], Some(7));
        assert_eq!(xattrs(&sandbox.destination().join("a"))[OWN], mapped);
    });
}

sync_test!(holes_cross_the_link_as_such_in_whole_files_and_in_deltas, |sandbox| {
    let pieces = vec![(0, noise(1, 100_000)), (9 << 20, noise(2, 10_000))];
    sandbox.write_source(&Tree::new().put("f", Node::Sparse(16 << 20, pieces)));
    // Shorter, and without a zero that a delta could take from it.
    Tree::new().file("f", noise(1, 90_000)).mtime(5, 0).write(&sandbox.path("delta"));
    let stats = sandbox.path("stats");
    for destination in ["whole", "delta"] {
        let program = sandbox.program(&["-aS"], &["source/"], destination);
        program.arg("--stats-file").arg(&stats).run().ok();
        let made = sandbox.path(destination).join("f");
        assert!(fs::read(&made).unwrap() == fs::read(sandbox.source().join("f")).unwrap(), "{destination}");
        assert!(fs::metadata(made).unwrap().blocks() * 512 < 1 << 20, "{destination}");
        let stats: Value = serde_json::from_slice(&fs::read(&stats).unwrap()).unwrap();
        let wire = |key: &str| stats[key].as_u64().unwrap_or(0);
        assert!(wire("wire_out") + wire("wire_in") < 1 << 19, "{destination}: {stats}");
    }
});
