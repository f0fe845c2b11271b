//! `--list-only`, and a source without a destination.

use std::fs;

use crate::harness::process::Program;
use crate::harness::{Sandbox, Tree, Way, rsync, sync_test};

/// What rsync lists, directories' sizes aside.
fn theirs(sandbox: &Sandbox, options: &[&str]) -> Vec<String> {
    let program = Program::new(rsync()).args(options).arg("source/").current_dir(sandbox.path(""));
    program.run().ok().lines().into_iter().map(without_dir_size).collect()
}

fn without_dir_size(line: String) -> String {
    // sy does not know what a directory takes on its disk.
    if !line.starts_with('d') {
        return line;
    }
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    [&words[..1], &words[2..]].concat().join(" ")
}

sync_test!(a_list_is_rsyncs_and_nothing_is_made, |sandbox| {
    let tree =
        Tree::new().file("a", "12345").mode(0o4751).mtime(1_600_000_000, 7).symlink("l", "a").dir("d").mode(0o1777);
    sandbox.write_source(&tree.file("d/sub/f", vec![b'x'; 12_345]).file("d/line\nbreak", "").fifo("p").file("x.o", ""));
    for options in
        [&[][..], &["-r"], &["-a"], &["-r", "--exclude=*.o"], &["-rl"], &["-d"], &["-rh"], &["-rhh"], &["-r", "--no-h"]]
    {
        let lines = |listed: Vec<String>| {
            let mut lines: Vec<String> = listed.into_iter().map(without_dir_size).collect();
            lines.sort();
            lines
        };
        let mut expected = theirs(sandbox, options);
        expected.sort();
        // The destination is there or not.
        let ours = sandbox.sync(&[options, &["--list-only"]].concat()).ok();
        assert_eq!(lines(ours.lines()), expected, "{options:?}");
        assert!(ours.stderr.is_empty(), "{}", ours.stderr);
    }
    assert!(!sandbox.destination().exists());
    sandbox.write_destination(&Tree::new().file("kept", ""));
    sandbox.sync(&["-a", "--list-only", "--delete", "--remove-source-files"]).ok();
    assert_eq!(sandbox.destination_tree().names(), [".", "kept"]);
    assert!(sandbox.path("source/a").exists());
    assert!(sandbox.sync(&["-aq", "--list-only"]).ok().stdout.is_empty());
});

#[test]
fn a_source_without_a_destination_is_listed() {
    for way in [Way::Local, Way::Pull] {
        let sandbox = Sandbox::new(way);
        sandbox.write_source(&Tree::new().file("a", "").file("d/b", ""));
        let prefix = if way == Way::Pull { "host:" } else { "" };
        let list = |options: &[&str], path: &str| {
            let path = format!("{prefix}{}/{path}", sandbox.path("").display());
            let lines = sandbox.without_paths(options).arg(path).current_dir(sandbox.path("")).run().ok().lines();
            lines.iter().map(|line| line[46..].to_string()).collect::<Vec<_>>()
        };
        assert_eq!(list(&[], "source/"), [".", "a", "d"]);
        assert_eq!(list(&[], "source"), ["source"]);
        assert_eq!(list(&["-r"], "source"), ["source", "source/a", "source/d", "source/d/b"]);
        assert_eq!(list(&["--list-only"], "source/a"), ["a"]);
        assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 1, "nothing is made");
    }
}

sync_test!(a_list_for_programs_has_an_event_for_each_entry, |sandbox| {
    sandbox.write_source(&Tree::new().file("a", "12345").mode(0o4751).mtime(1_600_000_000, 7).symlink("l", "a"));
    let lines = sandbox.sync(&["-r", "--json", "--list-only"]).ok().lines();
    let events: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).expect("json")).collect();
    crate::output::assert_documented(&events);
    let listed = |path: &str| events.iter().find(|event| event["event"] == "listed" && event["path"] == path);
    let file = listed("a").expect("it is listed");
    assert_eq!((&file["size"], &file["mode"], &file["mtime_s"]), (&5.into(), &"4751".into(), &1_600_000_000.into()));
    let link = listed("l").expect("it is listed");
    assert_eq!((&link["kind"], &link["target"], &link["size"]), (&"symlink".into(), &"a".into(), &1.into()));
    assert!(!events.iter().any(|event| event["event"] == "item"));
});

sync_test!(what_a_list_of_names_or_kept_paths_mean_is_listed_and_what_is_missing_is_told, |sandbox| {
    sandbox.write_source(&Tree::new().file("a/b", "").file("a/c", "").file("d", ""));
    fs::write(sandbox.path("names"), "a/b\nmissing\n").unwrap();
    let names = format!("--files-from={}", sandbox.path("names").display());
    let finished =
        sandbox.sync_paths(&["-a", "--list-only", &names], &["source"], "destination").code(23).says("missing");
    let listed: Vec<String> = finished.lines().iter().map(|line| line[46..].to_string()).collect();
    assert_eq!(listed, ["a", "a/b"]);
});

sync_test!(with_times_of_access_a_list_has_them_too, |sandbox| {
    // Of a link it changes when that is read.
    sandbox.write_source(&Tree::new().file("a", "12345").mtime(1_600_000_000, 7).file("d/b", ""));
    let mut expected = theirs(sandbox, &["-rU"]);
    let ours = sandbox.sync(&["-rU", "--list-only"]).ok().lines();
    let mut ours: Vec<String> = ours.into_iter().map(without_dir_size).collect();
    expected.sort();
    ours.sort();
    assert_eq!(ours, expected);
});
