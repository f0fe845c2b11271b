//! What a sync does when all goes well, rule by rule, in every way that trees are synced.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::harness::process::Finished;
use crate::harness::tree::name;
use crate::harness::{Sandbox, Tree, Way, is_root, noise, sync_test};

/// Something of everything that a normal user can make.
fn sampler() -> Tree {
    Tree::new()
        .file("a", "contents\n")
        .mode(0o640)
        .file("empty", "")
        .file("big", noise(1, 700_000))
        .mtime(1_234_567_890, 1)
        .file("dir/deep/er/file", noise(2, 5000))
        .mode(0o4755)
        .file(name(b"odd \"'$(x)`y`;\n\xff\xfe name"), "odd")
        .file("-rf", "no option")
        .file(".hidden", "dot")
        .file("x".repeat(255), "long")
        .dir("empty dir")
        .mode(0o1777)
        .dir("closed")
        .mode(0o500)
        .file("closed/inside", "shut")
        .symlink("link", "dir/deep")
        .mtime(1_111_111_111, 5)
        .symlink("dangling", "/nowhere/at all")
        .fifo("fifo")
        .mode(0o620)
        .mtime(-5, 999_999_999)
}

fn unchanged(finished: &Finished) {
    assert!(finished.stdout.is_empty(), "nothing was to be done: {}", finished.told());
}

sync_test!(an_archive_is_a_faithful_copy_and_a_second_run_does_nothing, |sandbox| {
    sandbox.write_source(&sampler());
    sandbox.sync(&["-a"]).ok();
    sandbox.assert_synced();
    unchanged(&sandbox.sync(&["-ai"]).ok());
    sandbox.assert_synced();
});

sync_test!(with_no_selection_at_all_an_archive_is_meant, |sandbox| {
    sandbox.write_source(&sampler());
    sandbox.sync(&[]).ok();
    sandbox.assert_synced();
});

sync_test!(hard_links_are_kept_only_with_the_option, |sandbox| {
    let tree = Tree::new().file("a", "one").hard_link("b", "a").hard_link("dir/c", "a").file("d", "other");
    sandbox.write_source(&tree);
    sandbox.sync_paths(&["-a"], &["source/"], "plain").ok();
    assert_eq!(fs::metadata(sandbox.path("plain/a")).unwrap().nlink(), 1);
    sandbox.sync(&["-aH"]).ok();
    sandbox.assert_synced();
    unchanged(&sandbox.sync(&["-aHi"]).ok());
});

sync_test!(a_slash_after_a_source_means_its_contents, |sandbox| {
    sandbox.write_source(&Tree::new().file("sub/f", "1"));
    sandbox.sync_paths(&["-a"], &["source"], "named").ok();
    assert!(sandbox.path("named/source/sub/f").is_file());
    sandbox.sync_paths(&["-a"], &["source/sub/"], "contents").ok();
    assert!(sandbox.path("contents/f").is_file());
});

sync_test!(several_sources_go_into_one_destination_and_the_first_of_a_name_counts, |sandbox| {
    sandbox
        .write_source(&Tree::new().file("one/f", "1").file("one/same", "1").file("two/g", "2").file("two/same", "2"));
    sandbox.sync_paths(&["-a"], &["source/one/", "source/two/", "source/two/g"], "destination").ok();
    assert_eq!(sandbox.destination_tree().names(), [".", "f", "g", "same"]);
    assert_eq!(fs::read(sandbox.path("destination/same")).unwrap(), b"1");
});

sync_test!(a_single_file_goes_into_a_directory_or_gets_the_destinations_name, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1"));
    sandbox.sync_paths(&["-a"], &["source/f"], "new name").ok();
    assert_eq!(fs::read(sandbox.path("new name")).unwrap(), b"1");
    sandbox.sync_paths(&["-a"], &["source/f"], "new dir/").ok();
    assert_eq!(fs::read(sandbox.path("new dir/f")).unwrap(), b"1");
    sandbox.sync_paths(&["-a"], &["source/f"], "new dir").ok();
    assert_eq!(fs::read_dir(sandbox.path("new dir")).unwrap().count(), 1);
});

sync_test!(an_edited_file_is_patched_and_the_rest_left_alone, |sandbox| {
    let mut bytes = noise(3, 1_500_000);
    let old = Tree::new().file("f", &bytes).mtime(1_000_000_000, 0).file("g", "same");
    sandbox.write_destination(&old);
    bytes[700_000..700_010].fill(0);
    bytes.splice(1_000_000..1_000_000, *b"an insertion shifts what follows");
    bytes.extend_from_slice(b"and an append");
    sandbox.write_source(&Tree::new().file("f", &bytes).file("g", "same"));
    let stats = sandbox.path("stats");
    let finished = sandbox.program(&["-ai"], &["source/"], "destination").arg("--stats-file").arg(&stats).run().ok();
    assert_eq!(finished.lines().len(), 1, "{}", finished.told());
    sandbox.assert_synced();
    let stats: serde_json::Value = serde_json::from_slice(&fs::read(stats).unwrap()).unwrap();
    let (literal, matched) = (&stats["bytes"]["literal"], &stats["bytes"]["matched"]);
    if sandbox.way != Way::Local {
        assert!(literal.as_u64().unwrap() < 50_000 && matched.as_u64().unwrap() > 1_400_000, "{stats}");
    }
});

sync_test!(delete_removes_what_the_source_does_not_have_and_only_that, |sandbox| {
    sandbox.write_source(&sampler());
    let extra = Tree::new().file("extra", "1").file("extra dir/a/b", "2").mode(0o400).symlink("dir/extra", "/etc");
    sandbox.write_destination(&extra);
    sandbox.sync(&["-a"]).ok();
    assert!(sandbox.path("destination/extra dir/a/b").is_file());
    sandbox.sync(&["-a", "--delete"]).ok();
    sandbox.assert_synced();
});

sync_test!(what_a_filter_excludes_is_neither_copied_nor_deleted, |sandbox| {
    sandbox.write_source(&Tree::new().file("a.o", "1").file("a.c", "2").file("dir/b.o", "3").file("dir/keep.o", "4"));
    sandbox.write_destination(&Tree::new().file("old.o", "5").file("old.c", "6"));
    sandbox.sync(&["-a", "--delete", "--include=keep.o", "--exclude=*.o"]).ok();
    assert_eq!(sandbox.destination_tree().names(), [".", "a.c", "dir", "dir/keep.o", "old.o"]);
});

sync_test!(a_dry_run_says_what_it_would_do_and_does_nothing, |sandbox| {
    sandbox.write_source(&sampler());
    sandbox.write_destination(&Tree::new().file("a", "older").file("extra", "1"));
    let before = sandbox.destination_tree();
    let dry = sandbox.sync(&["-ani", "--delete"]).ok();
    sandbox.destination_tree().assert_same(&before);
    let wet = sandbox.sync(&["-ai", "--delete"]).ok();
    let sorted = |finished: &Finished| {
        let mut lines = finished.lines();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&dry), sorted(&wet));
});

sync_test!(a_dry_run_makes_no_destination, |sandbox| {
    sandbox.write_source(&sampler());
    sandbox.sync(&["-an"]).ok();
    assert!(!sandbox.destination().exists());
});

sync_test!(checksums_find_what_size_and_time_hide, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "abc").file("same", "x"));
    sandbox.write_destination(&Tree::new().file("f", "xyz").file("same", "x"));
    unchanged(&sandbox.sync(&["-ai"]).ok());
    assert_eq!(sandbox.sync(&["-aci"]).ok().lines().len(), 1);
    sandbox.assert_synced();
});

sync_test!(update_leaves_newer_files_alone, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "source").mtime(1000, 0).file("g", "source").mtime(3000, 0));
    sandbox.write_destination(&Tree::new().file("f", "newer").mtime(2000, 0).file("g", "older").mtime(2000, 0));
    sandbox.sync(&["-au"]).ok();
    assert_eq!(fs::read(sandbox.path("destination/f")).unwrap(), b"newer");
    assert_eq!(fs::read(sandbox.path("destination/g")).unwrap(), b"source");
});

sync_test!(existing_creates_nothing_and_ignore_existing_updates_nothing, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "new").file("g", "new"));
    sandbox.write_destination(&Tree::new().file("f", "old").mtime(5, 0));
    sandbox.sync(&["-a", "--ignore-existing"]).ok();
    assert_eq!(fs::read(sandbox.path("destination/f")).unwrap(), b"old");
    fs::remove_file(sandbox.path("destination/g")).unwrap();
    sandbox.sync(&["-a", "--existing"]).ok();
    assert_eq!(fs::read(sandbox.path("destination/f")).unwrap(), b"new");
    assert!(!sandbox.path("destination/g").exists());
});

sync_test!(permissions_are_kept_only_if_asked_for, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1").mode(0o6777).file("g", "2").mode(0o600));
    sandbox.write_destination(&Tree::new().file("g", "old").mode(0o604));
    sandbox.sync(&["-rt"]).ok();
    let mode = |file: &str| fs::metadata(sandbox.path("destination").join(file)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("f") & 0o7000, 0, "no special bits without -p");
    assert_eq!(mode("g"), 0o604);
    sandbox.sync(&["-rtp"]).ok();
    assert_eq!((mode("f"), mode("g")), (0o6777, 0o600));
});

sync_test!(inplace_writes_into_the_file_itself, |sandbox| {
    let (old, mut new) = (noise(4, 400_000), noise(4, 390_000));
    new[100_000..150_000].reverse();
    sandbox.write_source(&Tree::new().file("f", new));
    sandbox.write_destination(&Tree::new().file("f", old).mtime(5, 0).mode(0o400));
    let inode = |sandbox: &Sandbox| fs::metadata(sandbox.path("destination/f")).unwrap().ino();
    fs::set_permissions(sandbox.path("destination/f"), fs::Permissions::from_mode(0o600)).unwrap();
    let before = inode(sandbox);
    sandbox.sync(&["-a", "--inplace"]).ok();
    assert_eq!(inode(sandbox), before);
    sandbox.assert_synced();
});

sync_test!(without_inplace_other_names_of_a_file_keep_its_old_contents, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "new contents"));
    sandbox.write_destination(&Tree::new().file("f", "old").mtime(5, 0).hard_link("../other name", "f"));
    sandbox.sync(&["-a"]).ok();
    assert_eq!(fs::read(sandbox.path("other name")).unwrap(), b"old");
});

sync_test!(types_are_exchanged_where_they_differ, |sandbox| {
    let source = Tree::new().file("a", "file").dir("b").symlink("c", "x").file("d/e", "1").fifo("f").symlink("g", "b");
    sandbox.write_source(&source);
    let other =
        Tree::new().symlink("a", "/etc/passwd").file("b", "1").dir("c").symlink("d", "..").file("f", "2").dir("g");
    sandbox.write_destination(&other);
    sandbox.sync(&["-a"]).ok();
    sandbox.assert_synced();
});

sync_test!(a_full_directory_makes_way_only_with_delete, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "file").symlink("b", "a").file("c", "last"));
    sandbox.write_destination(&Tree::new().file("a/full", "1").file("b/full", "2"));
    sandbox.sync(&["-a"]).code(23);
    assert!(sandbox.path("destination/a/full").is_file() && sandbox.path("destination/c").is_file());
    sandbox.sync(&["-a", "--delete"]).ok();
    sandbox.assert_synced();
});

sync_test!(sparse_makes_holes_and_the_contents_are_the_same, |sandbox| {
    let (begin, middle) = (b"begin".to_vec(), noise(5, 10_000));
    let sparse = Tree::new().put("f", crate::harness::tree::Node::Sparse(8 << 20, vec![(0, begin), (4 << 20, middle)]));
    sandbox.write_source(&sparse);
    sandbox.sync(&["-aS"]).ok();
    sandbox.assert_synced();
    assert!(fs::metadata(sandbox.path("destination/f")).unwrap().blocks() * 512 < 1 << 20);
});

sync_test!(compression_changes_nothing_but_the_wire, |sandbox| {
    sandbox.write_source(&sampler());
    sandbox.sync(&["-az"]).ok();
    sandbox.assert_synced();
    unchanged(&sandbox.sync(&["-azi"]).ok());
});

sync_test!(a_directory_without_recursion_is_skipped_and_its_entries_come_with_dirs, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1").file("sub/g", "2"));
    sandbox.sync(&["-lpt"]).ok().says("skipping directory");
    sandbox.sync_paths(&["-dlpt"], &["source/"], "dirs").ok();
    assert!(sandbox.path("dirs/f").is_file() && sandbox.path("dirs/sub").is_dir());
    assert!(!sandbox.path("dirs/sub/g").exists());
});

sync_test!(links_are_skipped_unless_asked_for, |sandbox| {
    sandbox.write_source(&Tree::new().symlink("l", "f").file("f", "1"));
    sandbox.sync(&["-rt"]).ok().says("skipping non-regular file");
    assert_eq!(sandbox.destination_tree().names(), [".", "f"]);
});

sync_test!(owners_and_devices_are_kept_by_root, |sandbox| {
    if !is_root() {
        // Nobody else can make the source of this test.
        return;
    }
    let tree = Tree::new().file("f", "1").owner(1234, 4321).mode(0o6750).symlink("l", "f").owner(7, 8);
    sandbox.write_source(&tree.dir("d").owner(1, 2).put("null", crate::harness::tree::Node::CharDevice(1, 3)));
    sandbox.sync(&["-a", "--numeric-ids"]).ok();
    sandbox.assert_synced();
    sandbox.sync_paths(&["-a", "--no-D", "--no-o", "--no-g"], &["source/"], "plain").ok();
    assert!(!sandbox.path("plain/null").exists());
    assert_eq!(fs::metadata(sandbox.path("plain/f")).unwrap().uid(), 0);
});

sync_test!(sources_and_a_destination_that_do_not_make_sense_are_refused, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1").file("g", "2"));
    fs::write(sandbox.path("file"), "a file").unwrap();
    sandbox.sync_paths(&["-a"], &["source/"], "file").code(3);
    sandbox.sync_paths(&["-a"], &["source/f", "source/g"], "file").code(3);
    sandbox.sync_paths(&["-a"], &["source/f"], "no such/parent/f").code(3);
    assert_eq!(fs::read(sandbox.path("file")).unwrap(), b"a file");
});

sync_test!(what_a_filter_protects_does_not_make_way_either, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "file").file("b", "file"));
    sandbox.write_destination(&Tree::new().file("a/kept.o", "1").file("a/gone", "2").file("b/gone", "3"));
    let finished = sandbox.sync(&["-ai", "--delete", "--exclude=*.o"]).code(23).says("make way");
    assert!(finished.text().contains("*deleting   b/gone\n"), "{}", finished.told());
    assert_eq!(sandbox.destination_tree().names(), [".", "a", "a/kept.o", "b"]);
});

sync_test!(what_the_options_pass_over_is_not_deleted, |sandbox| {
    sandbox.write_source(&Tree::new().symlink("l", "f").fifo("p").file("f", "1"));
    sandbox.write_destination(&Tree::new().file("l", "other").file("p", "other").file("extra", "2"));
    sandbox.sync(&["-rt", "--delete"]).ok();
    assert_eq!(sandbox.destination_tree().names(), [".", "f", "l", "p"]);
});

sync_test!(a_name_that_was_linked_follows_its_leader_to_the_new_file, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "new contents").hard_link("b", "a"));
    sandbox.write_destination(&Tree::new().file("a", "old").mtime(5, 0).hard_link("b", "a"));
    sandbox.sync(&["-aH"]).ok();
    sandbox.assert_synced();
});

sync_test!(a_directory_prevails_over_a_file_of_its_name_in_another_source, |sandbox| {
    sandbox.write_source(&Tree::new().file("one/x", "file").file("two/x/inside", "1"));
    sandbox.sync_paths(&["-a"], &["source/one/", "source/two/"], "destination").ok();
    assert!(sandbox.path("destination/x/inside").is_file());
});

sync_test!(with_ignore_existing_nothing_is_done_below_what_is_no_directory, |sandbox| {
    sandbox.write_source(&Tree::new().file("d/f", "1").file("e/f", "2"));
    sandbox.write_destination(&Tree::new().symlink("d", "../outside").file("e", "a file"));
    Tree::new().file("other", "kept").write(&sandbox.path("outside"));
    let before = sandbox.destination_tree();
    sandbox.sync(&["-a", "--no-t", "--ignore-existing", "--delete"]).ok();
    sandbox.destination_tree().assert_same(&before);
    assert_eq!(fs::read_dir(sandbox.path("outside")).unwrap().count(), 1);
});

sync_test!(nothing_to_copy_makes_no_destination, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1"));
    sandbox.sync_paths(&["-a", "--exclude=f"], &["source/f"], "destination").ok();
    assert!(!sandbox.destination().exists());
});

sync_test!(an_option_may_be_given_twice_and_its_last_word_counts, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "1").mode(0o600));
    sandbox.sync(&["-a", "-a", "--no-p", "--no-p", "-p", "--delete", "--delete", "--exclude=x", "--exclude=y"]).ok();
    sandbox.assert_synced();
});
