//! `--link-dest`, `--copy-dest`, `--compare-dest`: what another directory has, in every way that trees are synced.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use crate::harness::{Sandbox, Tree, noise, sync_test};

/// A source, and an earlier copy of it in `old`: one file is edited since, one has another mode, one is new.
fn with_old(sandbox: &Sandbox) {
    let old = Tree::new().file("same", "same").file("dir/same", noise(1, 100_000)).symlink("link", "same");
    let old = old.file("dir/edited", noise(2, 50_000)).mtime(5, 5).file("moded", "moded").mode(0o600).fifo("fifo");
    old.file("dir/gone", "gone").write(&sandbox.path("old"));
    let new = Tree::new().file("same", "same").file("dir/same", noise(1, 100_000)).symlink("link", "same");
    let edited = [noise(3, 2_000), noise(2, 50_000)].concat();
    let new = new.file("dir/edited", edited).mtime(7, 7).file("moded", "moded").mode(0o644).fifo("fifo");
    sandbox.write_source(&new.file("new", "new"));
}

fn inode(sandbox: &Sandbox, path: &str) -> u64 {
    fs::symlink_metadata(sandbox.path(path)).unwrap_or_else(|error| panic!("{path}: {error}")).ino()
}

fn is_linked(sandbox: &Sandbox, path: &str) -> bool {
    inode(sandbox, &format!("destination/{path}")) == inode(sandbox, &format!("old/{path}"))
}

/// What `-i` says but for the direction, sorted.
fn lines(sandbox: &Sandbox, options: &[&str]) -> Vec<String> {
    let mut lines = sandbox.sync(options).ok().lines();
    lines.iter_mut().filter(|line| line.starts_with('<')).for_each(|line| line.replace_range(..1, ">"));
    lines.sort();
    lines
}

const CHANGED: [&str; 3] = [">f+++++++++ new", ">f.st...... dir/edited", "cf...p..... moded"];

sync_test!(what_is_unchanged_becomes_a_link_to_the_other_directory, |sandbox| {
    with_old(sandbox);
    let before = crate::harness::Snapshot::of(&sandbox.path("old"));
    assert_eq!(lines(sandbox, &["-ani", "--link-dest=../old"]), CHANGED);
    assert!(!sandbox.destination().exists(), "a dry run");
    assert_eq!(lines(sandbox, &["-ai", "--link-dest=../old"]), CHANGED);
    let linked = ["same", "dir/same", "link", "fifo", "dir/edited", "moded"].map(|path| is_linked(sandbox, path));
    assert_eq!(linked, [true, true, true, true, false, false]);
    sandbox.assert_synced();
    crate::harness::Snapshot::of(&sandbox.path("old")).assert_same(&before);
    assert_eq!(lines(sandbox, &["-ai", "--link-dest=../old"]), [""; 0]);
});

sync_test!(what_is_unchanged_is_shown_to_who_asks_for_it, |sandbox| {
    with_old(sandbox);
    let shown = lines(sandbox, &["-aii", "--link-dest", &sandbox.path("old").display().to_string()]);
    for line in ["hf          same", "hL          link -> same", "cd          dir/", "hS          fifo"] {
        assert!(shown.contains(&line.to_string()), "{line}: {shown:?}");
    }
});

sync_test!(what_is_unchanged_is_copied_from_the_other_directory, |sandbox| {
    with_old(sandbox);
    assert_eq!(lines(sandbox, &["-ai", "--copy-dest=../old"]), CHANGED);
    assert!(!is_linked(sandbox, "same") && !is_linked(sandbox, "link"));
    sandbox.assert_synced();
});

sync_test!(what_is_unchanged_is_left_out_and_what_stands_there_goes, |sandbox| {
    with_old(sandbox);
    sandbox.write_destination(&Tree::new().file("same", "other here").file("new", "new"));
    let mut shown = lines(sandbox, &["-ai", "--compare-dest=../old"]);
    shown.retain(|line| !line.ends_with("./"));
    assert_eq!(shown, CHANGED[1..]);
    let names = [".", "dir", "dir/edited", "moded", "new"];
    assert_eq!(sandbox.destination_tree().names(), names);
});

sync_test!(of_several_directories_the_one_that_has_it_most_alike_counts, |sandbox| {
    with_old(sandbox);
    Tree::new().file("moded", "moded").mode(0o644).file("same", "other").write(&sandbox.path("more"));
    assert_eq!(lines(sandbox, &["-ai", "--link-dest=../more", "--link-dest=../old"]), CHANGED[..2]);
    assert_eq!(inode(sandbox, "destination/moded"), inode(sandbox, "more/moded"));
    assert!(is_linked(sandbox, "same"));
    sandbox.assert_synced();
});

sync_test!(what_stands_at_the_destination_is_replaced_by_a_link_and_kept_if_asked_for, |sandbox| {
    with_old(sandbox);
    sandbox.write_destination(&Tree::new().file("same", "stood here"));
    sandbox.sync(&["-ab", "--link-dest=../old"]).ok();
    assert!(is_linked(sandbox, "same"));
    assert_eq!(fs::read_to_string(sandbox.destination().join("same~")).unwrap(), "stood here");
});

sync_test!(what_cannot_be_linked_is_copied, |sandbox| {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    with_old(sandbox);
    Tree::new().file("same", "same").symlink("link", "same").write(other.path());
    sandbox.sync(&["-ai", "--link-dest", &other.path().display().to_string()]).ok();
    sandbox.assert_synced();
});

sync_test!(a_directory_that_is_not_there_is_told_and_everything_is_sent, |sandbox| {
    with_old(sandbox);
    sandbox.sync(&["-a", "--link-dest=../nowhere"]).ok().says("../nowhere of --link-dest is not there");
    sandbox.assert_synced();
});

sync_test!(names_of_one_file_are_one_file_again, |sandbox| {
    let tree = Tree::new().file("a", "1").hard_link("b", "a").file("c", "2").hard_link("d", "c");
    tree.write(&sandbox.path("old"));
    sandbox.write_source(&tree);
    assert_eq!(lines(sandbox, &["-aHi", "--link-dest=../old"]), [""; 0]);
    for path in ["a", "b", "c", "d"] {
        assert!(is_linked(sandbox, path), "{path}");
    }
    sandbox.assert_synced();
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sandbox.sync(&["-aH", "--copy-dest=../old"]).ok();
    sandbox.assert_synced();
});

sync_test!(a_link_in_the_other_directory_is_not_followed, |sandbox| {
    with_old(sandbox);
    fs::rename(sandbox.path("old/dir"), sandbox.path("outside")).unwrap();
    symlink("../outside", sandbox.path("old/dir")).unwrap();
    sandbox.sync(&["-a", "--link-dest=../old"]).ok();
    assert_ne!(inode(sandbox, "destination/dir/same"), inode(sandbox, "outside/same"));
    sandbox.assert_synced();
});

sync_test!(the_source_lets_go_of_what_is_elsewhere, |sandbox| {
    with_old(sandbox);
    sandbox.sync(&["-a", "--compare-dest=../old", "--remove-source-files"]).ok();
    assert_eq!(sandbox.source_tree().names(), [".", "dir", "fifo", "link"]);
});
