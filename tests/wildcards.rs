//! Wildcards in the paths of the other machine, which sy expands there.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sy::protocol::message::Message;

use crate::harness::peer::{Booth, file_entry, list};
use crate::harness::process::Program;
use crate::harness::{Sandbox, Snapshot, Tree, Way, sync_test};

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new(Way::Pull);
    let tree = Tree::new().file("one/a.c", "1").file("one/b.c", "2").file("one/b.h", "3").file("one/.hid.c", "4");
    sandbox
        .write_source(&tree.file("two/a.c", "5").file("two/sub/c", "6").file("$(touch x);*", "7").file("x[1]/y", "8"));
    sandbox
}

/// What a pull of these brings.
fn names(sandbox: &Sandbox, options: &[&str], sources: &[&str]) -> Vec<String> {
    let _ = fs::remove_dir_all(sandbox.destination());
    sandbox.sync_paths(options, sources, "destination/").ok();
    let tree = sandbox.destination_tree();
    tree.items.keys().map(|path| path.display().to_string()).filter(|path| path != ".").collect()
}

#[test]
fn a_pattern_is_expanded_where_the_source_is() {
    let sandbox = sandbox();
    assert_eq!(names(&sandbox, &["-a"], &["source/one/*.c"]), ["a.c", "b.c"]);
    assert_eq!(
        names(&sandbox, &["-a"], &["source/o?e", "source/[tu]*"]),
        ["one", "one/.hid.c", "one/a.c", "one/b.c", "one/b.h", "two", "two/a.c", "two/sub", "two/sub/c"]
    );
    assert_eq!(names(&sandbox, &["-a"], &["source/*/b.?"]), ["b.c", "b.h"]);
    assert_eq!(names(&sandbox, &["-a"], &["source/t*/"]), ["a.c", "sub", "sub/c"]);
    assert_eq!(names(&sandbox, &["-a", "--exclude=*.h"], &["source/one/b*"]), ["b.c"]);
    assert_eq!(names(&sandbox, &["-a"], &["source/x[1]"]), ["x[1]", "x[1]/y"], "a name is a name");
    assert_eq!(names(&sandbox, &["-a"], &["source/$(*"]), ["$(touch x);*"]);
    assert!(!sandbox.path("x").exists() && !Path::new("x").exists(), "no shell sees a path");
}

#[test]
fn a_pattern_keeps_the_paths_that_it_is_expanded_to() {
    let sandbox = sandbox();
    assert_eq!(names(&sandbox, &["-aR"], &["source/./*/a.c"]), ["one", "one/a.c", "two", "two/a.c"]);
    assert_eq!(names(&sandbox, &["-aR"], &["source/t*/./sub/?"]), ["sub", "sub/c"]);
    assert_eq!(names(&sandbox, &["-aR", "--no-implied-dirs"], &["source/./two/s*/c"]), ["two", "two/sub", "two/sub/c"]);
}

#[test]
fn what_nothing_fits_is_missing_and_names_of_a_list_are_no_patterns() {
    let sandbox = sandbox();
    sandbox.sync_paths(&["-a"], &["source/*.o", "source/one/a.c"], "destination/").code(23).says("source/*.o");
    assert!(sandbox.path("destination/a.c").exists());
    fs::write(sandbox.path("list"), "one/*.c\n").unwrap();
    let list = format!("--files-from={}", sandbox.path("list").display());
    sandbox.sync_paths(&["-a", &list], &["source"], "destination/").code(23).says("one/*.c");
}

#[test]
fn a_listing_has_what_a_pattern_means() {
    let sandbox = sandbox();
    let lines =
        sandbox.without_paths(&[]).arg(format!("host:{}/*.c", sandbox.path("source/one").display())).run().ok().lines();
    let listed: Vec<&str> = lines.iter().map(|line| &line[46..]).collect();
    assert_eq!(listed, ["a.c", "b.c"]);
}

#[test]
fn a_server_that_lists_what_the_pattern_does_not_mean_is_refused() {
    for name in ["b.h", ".hid.c", ".bashrc", "d/a.c"] {
        let sandbox = sandbox();
        sandbox.write_destination(&Tree::new().file("kept", ""));
        let before = Snapshot::of(&sandbox.path(""));
        let booth = Booth::new();
        booth.serve(move |wire| {
            wire.greet(0);
            assert!(matches!(wire.recv(), Some(Message::SessionStart(start)) if start.options.patterns));
            wire.send(&list(vec![file_entry(name, 1)]));
            wire.last_word();
        });
        let program = Program::sy(&["-a", "-e"]).arg(booth.shell()).arg("host:one/*.c").arg(sandbox.destination());
        program.run().code(12).says("not asked for");
        Snapshot::of(&sandbox.path("")).assert_same(&before);
    }
}

sync_test!(here_wildcards_are_the_shells_and_a_destination_has_none, |sandbox| {
    sandbox.write_source(&Tree::new().file("*", "1").file("b", "2"));
    if sandbox.way != Way::Pull {
        sandbox.sync_paths(&["-a"], &["source/*"], "destination/").ok();
        assert_eq!(sandbox.destination_tree().names(), [".", "*"]);
    }
    sandbox.sync_paths(&["-a"], &["source/b"], "des*/").ok();
    assert!(sandbox.path("des*/b").as_os_str().as_bytes().ends_with(b"/des*/b") && sandbox.path("des*/b").exists());
});
