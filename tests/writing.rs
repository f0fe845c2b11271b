//! How things are written: times that are left alone, and backups, in every way that trees are synced.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::harness::process::Finished;
use crate::harness::{Sandbox, Tree, Way, noise, sync_test};

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

/// What a path below the sandbox holds.
fn read(sandbox: &Sandbox, path: &str) -> String {
    fs::read_to_string(sandbox.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A source, and a destination in which each entry of it is another, and one more is.
fn edited(sandbox: &Sandbox) {
    for path in [sandbox.destination(), sandbox.source(), sandbox.path("kept")] {
        let _ = fs::remove_dir_all(path);
    }
    let old = Tree::new()
        .file("a", "old a")
        .mode(0o640)
        .mtime(5, 7)
        .file("dir/b", "old b")
        .mtime(6, 7)
        .symlink("link", "old");
    sandbox.write_destination(&old.file("file", "in the way").file("dir/gone", "old gone").file("same", "same"));
    let new = Tree::new().file("a", "new a").file("dir/b", "new b").symlink("link", "new").file("file/c", "new c");
    sandbox.write_source(&new.file("same", "same"));
}

sync_test!(a_backup_is_the_file_that_was_there_beside_its_place, |sandbox| {
    edited(sandbox);
    sandbox.sync(&["-ab", "--delete"]).ok();
    let kept = [("a", "a"), ("dir/b", "b"), ("dir/gone", "gone")];
    for (path, name) in kept {
        assert_eq!(read(sandbox, &format!("destination/{path}~")), format!("old {name}"));
    }
    assert_eq!(read(sandbox, "destination/file~"), "in the way");
    assert_eq!(fs::read_link(sandbox.destination().join("link~")).unwrap().to_str(), Some("old"));
    let backup = fs::metadata(sandbox.destination().join("a~")).unwrap();
    assert_eq!((backup.mode() & 0o777, backup.mtime(), backup.mtime_nsec()), (0o640, 5, 7));
    assert!(!sandbox.destination().join("same~").exists());
    // What was kept is not taken for something that the source does not have.
    unchanged(&sandbox.sync(&["-abi", "--delete"]).ok());
    for (path, _) in kept {
        fs::remove_file(sandbox.destination().join(format!("{path}~"))).unwrap();
    }
    for path in ["link~", "file~"] {
        fs::remove_file(sandbox.destination().join(path)).unwrap();
    }
    assert_eq!(sandbox.destination_tree().names(), sandbox.source_tree().names());
});

sync_test!(a_backup_directory_holds_what_was_there_under_its_own_path, |sandbox| {
    for dir in ["../kept".to_string(), sandbox.path("kept").display().to_string(), "sub/../kept/".into()] {
        edited(sandbox);
        fs::set_permissions(sandbox.destination().join("dir"), fs::Permissions::from_mode(0o751)).unwrap();
        sandbox.sync(&["-a", "--delete", "--backup-dir", &dir]).ok();
        let inside = dir.starts_with("sub");
        let kept = if inside { sandbox.destination().join("kept") } else { sandbox.path("kept") };
        let held = |path: &str| fs::read_to_string(kept.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(
            [held("a"), held("dir/b"), held("dir/gone"), held("file")],
            ["old a", "old b", "old gone", "in the way"]
        );
        assert_eq!(fs::read_link(kept.join("link")).unwrap().to_str(), Some("old"));
        // What it is to be in the destination counts, as in rsync, which gives it that first.
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&kept.join("dir")), mode(&sandbox.path("source/dir")));
        assert_ne!(mode(&kept.join("dir")), 0o751);
        if inside {
            fs::remove_dir_all(&kept).unwrap();
        }
        assert_eq!(sandbox.destination_tree().names(), sandbox.source_tree().names());
    }
});

sync_test!(a_suffix_is_appended_to_names_in_a_backup_directory_too, |sandbox| {
    edited(sandbox);
    sandbox.sync(&["-ab", "--suffix=.old", "--backup-dir=../kept"]).ok();
    assert_eq!(read(sandbox, "kept/dir/b.old"), "old b");
    edited(sandbox);
    sandbox.sync(&["-ab", "--suffix=.old"]).ok();
    assert_eq!(read(sandbox, "destination/dir/b.old"), "old b");
});

sync_test!(what_is_kept_in_a_directory_keeps_the_directory, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "a"));
    sandbox.write_destination(&Tree::new().file("gone/x", "x").file("gone/deep/y", "y").dir("empty"));
    let lines = sandbox.sync(&["-abi", "--delete"]).ok().lines();
    let deleted: Vec<&String> = lines.iter().filter(|line| line.starts_with("*deleting")).collect();
    assert_eq!(deleted.len(), 3, "{lines:?}");
    assert_eq!(sandbox.destination_tree().names(), [".", "a", "gone", "gone/deep", "gone/deep/y~", "gone/x~"]);
    assert!(!sandbox.sync(&["-abi", "--delete"]).ok().text().contains("deleting"));
});

sync_test!(a_file_that_is_written_in_place_is_copied_before, |sandbox| {
    for option in ["--whole-file", "--no-whole-file"] {
        let (old, new) = (noise(1, 50_000), [noise(1, 30_000), noise(2, 25_000)].concat());
        sandbox.write_destination(&Tree::new().file("f", &old));
        sandbox.write_source(&Tree::new().file("f", &new).mtime(5, 5));
        sandbox.sync(&["-ab", "--inplace", option]).ok();
        assert_eq!(fs::read(sandbox.destination().join("f~")).unwrap(), old);
        assert_eq!(fs::read(sandbox.destination().join("f")).unwrap(), new);
        assert_ne!(
            fs::metadata(sandbox.destination().join("f~")).unwrap().ino(),
            fs::metadata(sandbox.destination().join("f")).unwrap().ino()
        );
    }
});

sync_test!(a_dry_run_keeps_nothing_and_deletes_nothing, |sandbox| {
    edited(sandbox);
    let before = sandbox.destination_tree();
    sandbox.sync(&["-abn", "--delete"]).ok();
    sandbox.sync(&["-an", "--delete", "--backup-dir=../kept"]).ok();
    sandbox.destination_tree().assert_same(&before);
    assert!(!sandbox.path("kept").exists());
});

sync_test!(an_older_backup_gives_way_to_the_newer_one, |sandbox| {
    for text in ["one", "two", "three"] {
        sandbox.write_source(&Tree::new().file("a", text).mtime(text.len() as i64, 7));
        sandbox.sync(&["-abI"]).ok();
    }
    assert_eq!(read(sandbox, "destination/a~"), "two");
    assert_eq!(sandbox.destination_tree().names(), [".", "a", "a~"]);
});

sync_test!(what_cannot_be_kept_for_want_of_room_in_its_name_stays_and_the_rest_is_done, |sandbox| {
    let long = "n".repeat(255);
    sandbox.write_source(&Tree::new().file(&long, "new").file("z", "new"));
    let gone = format!("{}b", &long[1..]);
    sandbox.write_destination(&Tree::new().file(&long, "older").file(&gone, "").file("z", "older"));
    let finished = sandbox.sync(&["-ab", "--delete"]).code(23);
    finished.says(&gone).says(&long);
    let [kept, made] = [&long[..], "z"].map(|name| fs::read(sandbox.destination().join(name)).unwrap());
    assert_eq!((&kept[..], &made[..]), (&b"older"[..], &b"new"[..]));
    assert!(sandbox.destination().join(gone).exists() && sandbox.destination().join("z~").exists());
});

sync_test!(a_link_in_the_destination_leads_no_backup_out_of_it, |sandbox| {
    edited(sandbox);
    fs::create_dir(sandbox.path("outside")).unwrap();
    std::os::unix::fs::symlink("../outside", sandbox.destination().join("kept")).unwrap();
    sandbox.sync(&["-a", "--backup-dir=kept"]).code(23);
    assert_eq!(fs::read_dir(sandbox.path("outside")).unwrap().count(), 0);
    assert_eq!(read(sandbox, "destination/a"), "old a");
});

sync_test!(all_that_leads_to_the_destination_is_made_only_if_asked_for, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "a").file("dir/b", "b"));
    let sync = |options: &[&str], sources: &[&str], to: &str| sandbox.sync_paths(options, sources, to);
    for (source, to, made) in [
        ("source/", "one/two/three", "one/two/three/dir/b"),
        ("source", "four/five/", "four/five/source/a"),
        ("source/a", "six/seven/name", "six/seven/name"),
        ("source/a", "eight/nine/", "eight/nine/a"),
    ] {
        let first = to.split('/').next().expect("a name");
        assert_ne!(sync(&["-a"], &[source], to).status.code(), Some(0), "{to}");
        sync(&["-an", "--mkpath"], &[source], to).ok();
        assert!(!sandbox.path(first).exists(), "{to}");
        sync(&["-a", "--mkpath"], &[source], to).ok();
        assert!(sandbox.path(made).is_file(), "{made}");
        unchanged(&sync(&["-ai", "--mkpath"], &[source], to).ok());
    }
    fs::write(sandbox.path("file"), "no directory").unwrap();
    assert_ne!(sync(&["-a", "--mkpath"], &["source/"], "file/dir").status.code(), Some(0));
});

sync_test!(what_the_destination_has_is_removed_from_the_source_and_nothing_else, |sandbox| {
    let tree = Tree::new().file("same", "same").file("new", noise(1, 300_000)).file("dir/small", "small").fifo("fifo");
    let tree = tree.symlink("link", "new").file("newer", "older here").mtime(1000, 1).file("dir/touched", "t");
    sandbox.write_source(&tree.dir("empty"));
    let there = Tree::new().file("same", "same").file("newer", "newer there").file("dir/touched", "t").mtime(5, 5);
    sandbox.write_destination(&there);
    sandbox.sync(&["-aun", "--remove-source-files"]).ok();
    assert_eq!(sandbox.source_tree().names().len(), 10);
    sandbox.sync(&["-au", "--remove-source-files"]).ok();
    assert_eq!(sandbox.source_tree().names(), [".", "dir", "empty", "newer"]);
    let names = [".", "dir", "dir/small", "dir/touched", "empty", "fifo", "link", "new", "newer", "same"];
    assert_eq!(sandbox.destination_tree().names(), names);
    assert_eq!(fs::read(sandbox.destination().join("new")).unwrap(), noise(1, 300_000));
    sandbox.sync(&["-a", "--ignore-existing", "--remove-source-files"]).ok();
    assert!(sandbox.source().join("newer").exists(), "it was not copied");
});

#[test]
fn a_source_that_is_its_own_destination_loses_nothing() {
    for way in [Way::Local, Way::Delta] {
        let sandbox = Sandbox::new(way);
        sandbox.write_source(&Tree::new().file("a", "a").file("dir/b", "b"));
        for (source, to) in [("source/", "source"), ("source/a", "source"), ("source/a", "source/a"), ("source", ".")] {
            sandbox.sync_paths(&["-a", "--remove-source-files"], &[source], to);
            assert_eq!(sandbox.source_tree().names(), [".", "a", "dir", "dir/b"], "{source} {to}");
        }
    }
}

sync_test!(times_within_the_window_are_equal_and_are_left_alone, |sandbox| {
    sandbox.write_source(&Tree::new().file("near", "12").mtime(1000, 7).file("far", "12").mtime(1003, 9));
    sandbox
        .write_destination(&Tree::new().file("near", "xy").mode(0o600).mtime(1002, 3).file("far", "xy").mtime(1000, 0));
    let lines = |options: &[&str]| -> Vec<String> {
        let lines = sandbox.sync(options).ok().lines();
        lines.into_iter().filter(|line| !line.contains('/')).map(|line| line[1..].to_string()).collect()
    };
    assert_eq!(lines(&["-ani", "--modify-window=2"]), ["f..t...... far", "f...p..... near"]);
    assert_eq!(lines(&["-ani", "-@-1"]), ["f..t...... far", "f..tp..... near"]);
    assert_eq!(lines(&["-anui", "-@4"]), [""; 0]);
    assert_eq!(lines(&["-ai", "-@3"]), ["f...p..... near"]);
    assert_eq!((mtime(sandbox, "near"), mtime(sandbox, "far")), (1002, 1000));
    assert_eq!(read(sandbox, "destination/near"), "xy");
});

/// The permissions of paths in the destination.
fn modes<const N: usize>(sandbox: &Sandbox, paths: [&str; N]) -> [u32; N] {
    paths.map(|path| fs::metadata(sandbox.destination().join(path)).expect(path).mode() & 0o7777)
}

sync_test!(executability_is_kept_without_the_rest_of_the_mode, |sandbox| {
    let source = |edited: &str| {
        let tree = Tree::new().file("on", "1").mode(0o700).file("off", "1").mode(0o600);
        tree.file("edited", edited).mode(0o755)
    };
    sandbox.write_source(&source("new"));
    let there = Tree::new().file("on", "1").mode(0o640).file("off", "1").mode(0o755);
    sandbox.write_destination(&there.file("edited", "old one").mode(0o640));
    let names = ["on", "off", "edited"];
    sandbox.sync(&["-rt"]).ok();
    assert_eq!(modes(sandbox, names), [0o640, 0o755, 0o640]);
    sandbox.write_source(&source("newest"));
    let lines = sandbox.sync(&["-rtEi"]).ok().lines();
    assert!(lines.contains(&".f...p..... on".into()) && lines.contains(&".f...p..... off".into()), "{lines:?}");
    assert_eq!(modes(sandbox, names), [0o750, 0o644, 0o750]);
    unchanged(&sandbox.sync(&["-rtEi"]).ok());
});

sync_test!(modes_are_changed_on_the_way_and_count_as_the_sources, |sandbox| {
    let tree = Tree::new().file("dir/f", "1").mode(0o600).file("x", "2").mode(0o700).symlink("link", "x");
    sandbox.write_source(&tree.dir("dir").mode(0o700));
    let names = ["dir", "dir/f", "x"];
    sandbox.sync(&["-a", "--chmod=D2775,Fg=u,Fo+r", "--chmod=a+X"]).ok();
    assert_eq!(modes(sandbox, names), [0o2775, 0o664, 0o775]);
    unchanged(&sandbox.sync(&["-ai", "--chmod=D2775,Fg=u,Fo+r,a+X"]).ok());
    // Without -p what is there keeps its mode.
    unchanged(&sandbox.sync(&["-ai", "--no-p", "--chmod=700"]).ok());
    sandbox.sync(&["-a"]).ok();
    assert_eq!(modes(sandbox, names), [0o700, 0o600, 0o700]);
});

sync_test!(files_are_written_in_a_directory_of_their_own_if_there_is_one, |sandbox| {
    let tree = Tree::new().file("a", noise(1, 300_000)).file("dir/b", "2").symlink("link", "a");
    sandbox.write_source(&tree);
    // Where it is missing nothing can be written, however writable the places are.
    sandbox.sync(&["-a", "--temp-dir=../temp"]).code(23);
    assert!(!sandbox.destination().join("a").exists() && !sandbox.destination().join("dir/b").exists());
    fs::create_dir(sandbox.path("temp")).unwrap();
    sandbox.sync(&["-a", "-T", "../temp"]).ok();
    sandbox.assert_synced();
    sandbox.write_source(&Tree::new().file("a", noise(2, 200_000)).mtime(5, 5));
    sandbox.sync(&["-aS", "-T", &sandbox.path("temp").display().to_string()]).ok();
    sandbox.assert_synced();
    assert_eq!(fs::read_dir(sandbox.path("temp")).unwrap().count(), 0);
});

sync_test!(files_that_are_written_on_another_file_system_are_copied_to_their_places, |sandbox| {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
    sandbox.write_source(&Tree::new().file("a", noise(1, 300_000)).mode(0o750).file("dir/b", "2").mtime(7, 7));
    sandbox.sync(&["-a", "-T", &other.path().display().to_string()]).ok();
    sandbox.assert_synced();
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
});

#[cfg(target_os = "linux")]
sync_test!(files_that_room_was_taken_for_are_no_larger_than_they_need_to_be, |sandbox| {
    let zeros = [noise(1, 5_000), vec![0; 400_000], noise(2, 300)].concat();
    sandbox
        .write_source(&Tree::new().file("a", noise(1, 300_000)).file("z", zeros).file("dir/b", "2").file("none", ""));
    for option in ["-a", "-aS", "-aI", "-aIS", "-aI --inplace", "-aI --no-whole-file"] {
        let options: Vec<&str> = option.split(' ').chain(["--preallocate", "--fsync"]).collect();
        sandbox.sync(&options).ok();
        sandbox.assert_synced();
        let blocks = fs::metadata(sandbox.destination().join("a")).unwrap().blocks();
        assert!(blocks * 512 < 400_000, "{option}: {blocks} blocks");
    }
});

sync_test!(updates_that_are_delayed_are_all_made_and_nothing_is_left_of_where_they_waited, |sandbox| {
    let tree =
        Tree::new().file("a", noise(1, 300_000)).file("dir/b", "2").hard_link("dir/c", "dir/b").dir("dir").mtime(5, 5);
    for options in [&["-aH", "--delay-updates"][..], &["-aH", "--delay-updates", "--partial-dir=wait", "--delete"]] {
        edited(sandbox);
        sandbox.write_source(&tree);
        sandbox.sync(options).ok();
        sandbox.sync(&["-aH", "--delete"]).ok();
        sandbox.assert_synced();
        unchanged(&sandbox.sync(&[&["-i"], options].concat()).ok());
    }
    edited(sandbox);
    sandbox.sync(&["-ab", "--delay-updates", "--backup-dir=../kept"]).ok();
    assert_eq!(read(sandbox, "kept/dir/b"), "old b");
    assert!(!sandbox.destination().join(".~tmp~").exists() && !sandbox.destination().join("dir/.~tmp~").exists());
});

sync_test!(a_link_where_files_are_to_wait_is_not_followed, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "new"));
    sandbox.write_destination(&Tree::new().file("a", "old one").symlink(".~tmp~", "../outside"));
    fs::create_dir(sandbox.path("outside")).unwrap();
    sandbox.sync(&["-a", "--delay-updates"]).code(23);
    assert_eq!(fs::read_dir(sandbox.path("outside")).unwrap().count(), 0);
    assert_eq!(read(sandbox, "destination/a"), "old one");
});

sync_test!(what_an_earlier_run_left_is_no_more_when_its_file_is_in_place, |sandbox| {
    let there =
        Tree::new().file("same", "same").file(".p/same", "sa").file("dir/.p/b", "half").file("dir/.p/other", "x");
    sandbox.write_destination(&there);
    sandbox.write_source(&Tree::new().file("same", "same").file("dir/b", "half and half").file("dir/.p/not", "sent"));
    sandbox.sync(&["-a", "--delete", "--partial-dir=.p"]).ok();
    assert_eq!(sandbox.destination_tree().names(), [".", "dir", "dir/.p", "dir/.p/other", "dir/b", "same"]);
});

sync_test!(where_unfinished_files_are_kept_may_stand_in_the_environment, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "1").file(".part/x", "2"));
    let names = |options: &[&str]| {
        let program = sandbox.program(options, &["source/"], "destination");
        program.env("RSYNC_PARTIAL_DIR", ".part").run().ok();
        sandbox.destination_tree().names()
    };
    assert_eq!(names(&["-a", "--partial"]), [".", "a"]);
    assert_eq!(names(&["-a"]), [".", ".part", ".part/x", "a"], "it only says where to");
});

sync_test!(only_files_that_have_grown_are_appended_to, |sandbox| {
    let grown = noise(1, 300_000);
    let tree =
        Tree::new().file("grown", &grown).file("small", "beginning and end").file("longer", "long").file("new", "n");
    sandbox.write_source(
        &tree.file("same", "same").mode(0o600).file("empty", "not any more").file("dir/zeros", [0; 70_000]),
    );
    let wrong = [&noise(2, 100)[..], &grown[100..120_000]].concat();
    let there = || {
        let _ = fs::remove_dir_all(sandbox.destination());
        let there =
            Tree::new().file("grown", &wrong).mtime(5, 5).file("small", "beginning").mtime(5, 5).file("empty", "");
        sandbox
            .write_destination(&there.file("longer", "longer here").file("same", "same").file("dir/zeros", [0; 100]));
    };
    there();
    let inode = || fs::metadata(sandbox.destination().join("grown")).unwrap().ino();
    let before = inode();
    let lines = sandbox.sync(&["-ai", "--append"]).ok().lines();
    assert!(lines.iter().any(|line| line[1..] == *"f.st...... grown"), "{lines:?}");
    assert_eq!(inode(), before);
    let held = |path: &str| fs::read(sandbox.destination().join(path)).unwrap();
    assert_eq!(held("grown"), [&wrong[..], &grown[120_000..]].concat());
    assert_eq!((held("small"), held("longer")), (b"beginning and end".to_vec(), b"longer here".to_vec()));
    assert_eq!(
        (held("new"), held("empty"), modes(sandbox, ["same"])),
        (b"n".to_vec(), b"not any more".to_vec(), [0o600])
    );
    there();
    let before = inode();
    sandbox.sync(&["-aS", "--append-verify"]).ok();
    assert_eq!((inode(), held("grown") == grown, held("dir/zeros")), (before, true, vec![0; 70_000]));
    fs::write(sandbox.destination().join("longer"), "long").unwrap();
    sandbox.sync(&["-a"]).ok();
    sandbox.assert_synced();
});

sync_test!(what_is_not_appended_to_stays_on_both_sides_and_leads_no_other_name, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "short").hard_link("b", "a").file("c", "grown"));
    sandbox.write_destination(&Tree::new().file("a", "longer here").mtime(5, 5).file("c", "gr").mtime(5, 5));
    sandbox.sync(&["-aH", "--append"]).ok();
    assert_eq!(read(sandbox, "destination/a"), "longer here");
    assert_eq!((read(sandbox, "destination/b"), read(sandbox, "destination/c")), ("short".into(), "grown".into()));
    sandbox.sync(&["-a", "--append", "--remove-source-files"]).ok();
    assert_eq!(sandbox.source_tree().names(), [".", "a"]);
});
