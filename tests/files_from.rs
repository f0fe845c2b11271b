//! Sources from a list (`--files-from`, `-0`).

use std::fs;

use crate::harness::{Sandbox, Tree, Way, sync_test};

/// The names below the destination.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let tree = sandbox.destination_tree();
    tree.items.keys().map(|path| path.display().to_string()).filter(|path| path != ".").collect()
}

fn source() -> Tree {
    let tree = Tree::new().file("a/b/c/f", "f").file("a/b/g", "g").file("a/h", "h").file("i", "i").dir("e");
    tree.dir("a").mode(0o750).mtime(1_600_000_000, 5)
}

/// Syncs what a list names.
fn sync_list(sandbox: &Sandbox, options: &[&str], list: &str) -> crate::harness::process::Finished {
    fs::write(sandbox.path("list"), list).unwrap();
    let file = format!("--files-from={}", sandbox.path("list").display());
    sandbox.sync_paths(&[options, &[&file]].concat(), &["source"], "destination/")
}

sync_test!(a_list_names_what_is_copied_and_keeps_its_paths, |sandbox| {
    sandbox.write_source(&source());
    sync_list(sandbox, &["-a"], "# first\n/a/b/g\r\n\n;\na/../i\n../../a/b/c\n").ok();
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/g", "i"]);
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sync_list(sandbox, &["-ar"], "a/b/c\na/./b/g\n").ok();
    assert_eq!(names(sandbox), ["a", "a/b", "a/b/c", "a/b/c/f", "b", "b/g"]);
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sync_list(sandbox, &["-a"], "a/\nmissing\n").code(23).says("missing");
    assert_eq!(names(sandbox), ["a", "a/b", "a/h"]);
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sync_list(sandbox, &["-a", "--no-R"], "a/b/g\na/h\n").ok();
    assert_eq!(names(sandbox), ["g", "h"]);
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sync_list(sandbox, &["-a", "-0"], "i\0a/h\n\0").code(23);
    sync_list(sandbox, &["-a", "--from0"], "i\0a/h\0").ok();
    assert_eq!(names(sandbox), ["a", "a/h", "i"]);
});

sync_test!(an_empty_list_copies_nothing_and_a_list_of_the_root_what_is_in_it, |sandbox| {
    sandbox.write_source(&source());
    sandbox.write_destination(&Tree::new().file("kept", ""));
    sync_list(sandbox, &["-a", "-r", "--delete"], "\n").ok();
    assert_eq!(names(sandbox), ["kept"]);
    sync_list(sandbox, &["-ar", "--delete"], ".\n").ok();
    sandbox.assert_synced();
});

sync_test!(a_list_can_come_on_standard_input_and_one_that_is_missing_is_an_error, |sandbox| {
    sandbox.write_source(&source());
    sandbox
        .sync_paths(&["-a", "--files-from=/no/such/list"], &["source"], "destination/")
        .code(1)
        .says("/no/such/list");
    sandbox.sync_paths(&["-a", "--files-from=-"], &["source", "source/a"], "destination/").code(1);
    let words = sandbox.program(&["-a", "--files-from=-"], &["source"], "destination/").words();
    let mut child = std::process::Command::new(&words[0])
        .args(&words[1..])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("sy can be run");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"a/h\ni\n").expect("it reads");
    assert!(child.wait().expect("a child of ours").success());
    assert_eq!(names(sandbox), ["a", "a/h", "i"]);
});

// Names that do not fit one frame, nor the one that begins a session.
sync_test!(a_list_may_be_longer_than_any_frame, |sandbox| {
    let deep = vec!["d".repeat(200); 5].join("/");
    let count = if sandbox.way == Way::Pull { 1500 } else { 10 };
    let mut tree = Tree::new().file("left", "");
    let mut list = String::new();
    for number in 0..count {
        let name = format!("{deep}/{number}");
        list.push_str(&format!("{name}\n"));
        tree = tree.file(name, "");
    }
    sandbox.write_source(&tree);
    sync_list(sandbox, &["-a"], &list).ok();
    assert_eq!(names(sandbox).len(), 5 + count);
});

#[test]
fn a_list_can_be_where_the_source_is() {
    let sandbox = Sandbox::new(Way::Pull);
    sandbox.write_source(&source());
    fs::write(sandbox.path("list"), "a/h\0i\0").unwrap();
    let file = format!("--files-from=host:{}", sandbox.path("list").display());
    sandbox.sync_paths(&["-a", "-0", &file], &["source"], "destination/").ok();
    assert_eq!(names(&sandbox), ["a", "a/h", "i"]);
    let missing = "--files-from=host:/no/such/list";
    sandbox.sync_paths(&["-a", missing], &["source"], "destination/").code(1).says("/no/such/list");
    let elsewhere = "--files-from=other:/list";
    sandbox.sync_paths(&["-a", elsewhere], &["source"], "destination/").code(1).says("another machine");
    let here = format!("--files-from=:{}", sandbox.path("list").display());
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sandbox.sync_paths(&["-a", "--from0", &here], &["source"], "destination/").ok();
    assert_eq!(names(&sandbox), ["a", "a/h", "i"]);
    for way in [Way::Push, Way::Local] {
        let sandbox = Sandbox::new(way);
        sandbox.write_source(&source());
        sandbox.sync_paths(&["-a", "--files-from=:/list"], &["source"], "destination/").code(1).says("has no say");
    }
}

sync_test!(
    a_missing_name_does_not_keep_others_from_being_deleted_in_and_one_that_cannot_be_looked_at_does,
    |sandbox| {
        sandbox.write_source(&source());
        sandbox.write_destination(&Tree::new().file("e/extra", ""));
        sync_list(sandbox, &["-ar", "--delete"], "e\ni/below\n").code(23).says("nothing is deleted");
        assert!(sandbox.path("destination/e/extra").exists());
        sync_list(sandbox, &["-ar", "--delete"], "e\nmissing\nmissing/too\n").code(23).says("missing");
        assert!(!sandbox.path("destination/e/extra").exists());
    }
);

sync_test!(a_name_with_a_slash_behind_it_is_what_a_link_leads_to, |sandbox| {
    sandbox.write_source(&source().symlink("l", "a/b"));
    sync_list(sandbox, &["-a"], "l/\n").ok();
    assert_eq!(names(sandbox), ["l", "l/c", "l/g"]);
    assert!(!sandbox.path("destination/l").is_symlink());
    fs::remove_dir_all(sandbox.destination()).unwrap();
    sync_list(sandbox, &["-a"], "l\n").ok();
    assert!(sandbox.path("destination/l").is_symlink());
});

sync_test!(lines_of_merge_files_end_as_those_of_lists_do, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "").file("b", "").file("c", "").file(".r", "- a\0- b\0"));
    fs::write(sandbox.path("rules"), "c\0").unwrap();
    let excluded = format!("--exclude-from={}", sandbox.path("rules").display());
    sandbox.sync(&["-a", "-0", "--filter=:e .r", &excluded]).ok();
    assert!(names(sandbox).is_empty());
});

sync_test!(what_is_missing_is_passed_over_if_that_is_asked_for_and_what_cannot_be_looked_at_is_not, |sandbox| {
    sandbox.write_source(&source());
    let options = ["-a", "--ignore-missing-args"];
    let finished = sync_list(sandbox, &options, "i\nmissing\nmissing/too\n").ok();
    assert!(finished.stderr.is_empty(), "{}", finished.told());
    assert_eq!(names(sandbox), ["i"]);
    sandbox.sync_paths(&options, &["source/e", "source/none"], "destination/").ok();
    assert_eq!(names(sandbox), ["e", "i"]);
    sync_list(sandbox, &options, "i/below\n").code(23);
    sandbox.sync_paths(&options, &["source/none/none", "source/e"], "destination/").code(23);
});
