//! Links that are followed and links that are left alone: `-L`, `-k`, `--copy-unsafe-links` and `--safe-links` in the
//! source, `-K` at the destination.

use std::fs;

use crate::harness::snapshot::Contents;
use crate::harness::{Sandbox, Tree, sync_test};

/// The names below the destination, each with the letter of its type.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let tree = sandbox.destination_tree();
    let shown = tree.items.iter().filter(|(path, _)| path.as_os_str() != ".").map(|(path, item)| {
        let letter = match item.contents {
            Contents::Dir => 'd',
            Contents::Symlink(_) => 'l',
            _ => 'f',
        };
        format!("{letter} {}", path.display())
    });
    shown.collect()
}

/// A source with links of every kind; `outside` is beside it.
fn linked(sandbox: &Sandbox) -> Tree {
    Tree::new().file("sub/x", "x").write(&sandbox.path("outside"));
    let tree = Tree::new().file("a/f", "f").file("a/b/g", "g").symlink("file", "a/f").symlink("dir", "a/b");
    tree.symlink("out", "../outside/sub").symlink("a/up", "../a/f").symlink("absolute", sandbox.path("outside/sub/x"))
}

sync_test!(all_links_are_followed_with_copy_links, |sandbox| {
    sandbox.write_source(&linked(sandbox));
    sandbox.sync(&["-aL"]).ok();
    let expected =
        ["d a", "d a/b", "f a/b/g", "f a/f", "f a/up", "f absolute", "d dir", "f dir/g", "f file", "d out", "f out/x"];
    assert_eq!(names(sandbox), expected);
    assert_eq!(fs::read(sandbox.path("destination/absolute")).unwrap(), b"x");
    assert!(sandbox.sync(&["-aLi", "--delete"]).ok().lines().is_empty());
    // Without -r and -t too, and below a named source.
    sandbox.sync_paths(&["-dL"], &["source/file", "source/dir"], "other/").ok();
    assert!(sandbox.path("other/file").symlink_metadata().unwrap().is_file());
    assert!(sandbox.path("other/dir").symlink_metadata().unwrap().is_dir());
});

sync_test!(a_loop_of_links_and_a_link_to_nowhere_are_errors_of_their_own_and_nothing_is_deleted, |sandbox| {
    let tree = Tree::new().file("a/f", "f").symlink("a/loop", "..").symlink("self", "self").symlink("nowhere", "gone");
    sandbox.write_source(&tree.file("z", "z"));
    sandbox.write_destination(&Tree::new().file("extra", ""));
    let finished = sandbox.sync(&["-aL", "--delete"]).code(23).says("lead back").says("leads nowhere");
    assert!(!finished.told().contains("nowhere vanished"));
    assert_eq!(names(sandbox), ["d a", "f a/f", "d a/loop", "f extra", "f z"]);
    // Nobody asked for them.
    sandbox.sync(&["-aL", "--delete", "--exclude=self", "--exclude=nowhere", "--exclude=loop"]).ok();
    assert!(!names(sandbox).contains(&"f extra".to_string()));
});

sync_test!(links_to_directories_alone_are_followed_with_copy_dirlinks, |sandbox| {
    sandbox.write_source(&linked(sandbox).symlink("nowhere", "gone"));
    sandbox.sync(&["-ak"]).ok();
    let expected = [
        "d a",
        "d a/b",
        "f a/b/g",
        "f a/f",
        "l a/up",
        "l absolute",
        "d dir",
        "f dir/g",
        "l file",
        "l nowhere",
        "d out",
        "f out/x",
    ];
    assert_eq!(names(sandbox), expected);
    // Rules for directories are about what it is taken for.
    sandbox.sync(&["-ak", "--delete", "--exclude=dir/", "--delete-excluded"]).ok();
    assert!(!names(sandbox).contains(&"d dir".to_string()));
});

sync_test!(links_that_lead_out_are_followed_or_left_alone, |sandbox| {
    sandbox.write_source(&linked(sandbox));
    sandbox.sync(&["-a", "--copy-unsafe-links"]).ok();
    let expected = ["d a", "d a/b", "f a/b/g", "f a/f", "l a/up", "f absolute", "l dir", "l file", "d out", "f out/x"];
    assert_eq!(names(sandbox), expected);
    fs::remove_dir_all(sandbox.destination()).unwrap();
    // What is left alone is in the source all the same.
    sandbox.write_destination(&Tree::new().file("out", "kept").file("extra", ""));
    sandbox.sync(&["-a", "--safe-links", "--delete"]).ok();
    assert_eq!(names(sandbox), ["d a", "d a/b", "f a/b/g", "f a/f", "l a/up", "l dir", "l file", "f out"]);
});

sync_test!(a_link_to_a_directory_stays_with_keep_dirlinks_where_the_source_has_a_directory, |sandbox| {
    let source =
        Tree::new().file("d/f", "f").file("d/e/g", "g").file("file", "").symlink("link", "elsewhere").dir("gone");
    sandbox.write_source(&source.mtime(1_600_000_000, 5));
    Tree::new().file("d/old", "").file("d/e/old", "").file("kept", "").write(&sandbox.path("outside"));
    let target = Tree::new().symlink("d", "../outside/d").symlink("file", "../outside/kept").symlink("gone", "nowhere");
    let target = target.symlink("link", "../outside").symlink("extra", "../outside");
    sandbox.write_destination(&target);
    for dry in [true, false] {
        let options: &[&str] = if dry { &["-aKin", "--delete"] } else { &["-aKi", "--delete"] };
        let lines = sandbox.sync(options).ok().lines();
        assert!(lines.iter().any(|line| line == "*deleting   d/e/old"), "{lines:?}");
        assert!(lines.iter().any(|line| line == "*deleting   extra"), "{lines:?}");
        assert_eq!(sandbox.path("outside/d/old").exists(), dry);
    }
    assert_eq!(names(sandbox), ["l d", "f file", "d gone", "l link"]);
    assert_eq!(fs::read(sandbox.path("outside/d/e/g")).unwrap(), b"g");
    assert!(sandbox.path("outside/kept").exists());
    assert!(sandbox.sync(&["-aKi", "--delete"]).ok().lines().is_empty(), "times and modes are those of the directory");
    // Without it the link makes way.
    sandbox.sync(&["-a"]).ok();
    assert!(sandbox.path("destination/d").symlink_metadata().unwrap().is_dir());
    assert_eq!(fs::read(sandbox.path("outside/d/e/g")).unwrap(), b"g");
});

sync_test!(deletion_at_the_end_and_backups_go_through_kept_links_too, |sandbox| {
    sandbox.write_source(&Tree::new().file("d/f", "new").file("d/e/g", "g"));
    Tree::new().file("f", "before").file("old", "").write(&sandbox.path("outside"));
    for (index, time) in ["--delete-before", "--delete-delay", "--delete-after"].iter().enumerate() {
        let _ = fs::remove_dir_all(sandbox.destination());
        fs::write(sandbox.path("outside/f"), "before").unwrap();
        fs::write(sandbox.path("outside/old"), "").unwrap();
        sandbox.write_destination(&Tree::new().symlink("d", "../outside"));
        let backup = format!("--backup-dir=../backup{index}");
        sandbox.sync(&["-aK", time, &backup]).ok();
        assert_eq!(names(sandbox), ["l d"]);
        assert!(!sandbox.path("outside/old").exists(), "{time}");
        assert_eq!(fs::read(sandbox.path("outside/f")).unwrap(), b"new");
        assert_eq!(fs::read(sandbox.path(format!("backup{index}/d/f"))).unwrap(), b"before");
    }
});

sync_test!(links_that_are_left_alone_are_told_to_who_asks, |sandbox| {
    sandbox.write_source(&linked(sandbox));
    for (options, is_told) in [(&["-av"][..], true), (&["-a", "--info=symsafe"], true), (&["-a"], false)] {
        let finished = sandbox.sync(&[options, &["--safe-links"]].concat()).ok();
        assert_eq!(finished.stderr.contains("out leads out, to ../outside/sub: it is left alone"), is_told);
    }
});
