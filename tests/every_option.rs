//! No option stands in the help that no test tries, and the tests of those that belong to no other theme.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::harness::process::Program;
use crate::harness::tree::{Node, Tree};
use crate::harness::{self, sync_test};

/// The options of the help: each as the names that it goes by.
fn options() -> Vec<Vec<String>> {
    let help = Program::sy(&["--help"]).run().ok().text();
    let names = |line: &str| -> Vec<String> {
        let words = line.trim_start().split([' ', '[', '=']).take_while(|word| word.starts_with('-'));
        words.map(|word| word.trim_end_matches(',').to_owned()).collect()
    };
    help.lines().filter(|line| line.trim_start().starts_with('-')).map(names).collect()
}

/// The words in quotation marks, of all tests, that are options.
fn tried(dir: &Path, words: &mut BTreeSet<String>) {
    for item in fs::read_dir(dir).expect("the tests are here").map(|item| item.expect("readable").path()) {
        if item.is_dir() {
            tried(&item, words);
        } else if item.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&item).expect("a test is text");
            words.extend(text.split(['"', ' ', '=']).filter(|word| word.starts_with('-')).map(str::to_owned));
        }
    }
}

#[test]
fn no_option_of_the_help_is_without_a_test() {
    let mut words = BTreeSet::new();
    tried(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut words);
    let options = options();
    assert!(options.len() > 70, "{options:?}");
    let is_tried = |name: &String| match name.strip_prefix("--") {
        Some(_) => words.contains(name),
        // Letters come together, too.
        None => words.iter().any(|word| !word.starts_with("--") && word.contains(&name[1..])),
    };
    let untried: Vec<_> = options.iter().filter(|names| !names.iter().any(is_tried)).collect();
    assert!(untried.is_empty(), "{untried:?}");
}

sync_test!(patterns_of_a_file_are_one_a_line_and_remarks_are_none, |sandbox| {
    sandbox.write_source(&Tree::new().file("a.o", "").file("b.o", "").file("c", "").file("d/e.o", "").file("# f", ""));
    let (excluded, included) = (sandbox.path("excluded"), sandbox.path("included"));
    fs::write(&excluded, "# not a pattern\n*.o\n\n; nor this\n").unwrap();
    fs::write(&included, "b.o\r\n").unwrap();
    let [excluded, included] = [&excluded, &included].map(|file| file.to_str().expect("a name of ours"));
    sandbox.sync(&["-r", "--include-from", included, "--exclude-from", excluded]).ok();
    let names = sandbox.destination_tree().names();
    assert_eq!(names, [".", "# f", "b.o", "c", "d"]);
    sandbox.sync(&["-r", "--exclude-from=/no/such/file"]).code(11).says("/no/such/file");
    sandbox.sync(&["-r", "--filter=. /no/such/file"]).code(11).says("/no/such/file");
});

sync_test!(devices_and_specials_are_asked_for_apart, |sandbox| {
    let tree = Tree::new().fifo("fifo").file("file", "");
    // Only root makes devices.
    sandbox.write_source(&if harness::is_root() { tree.put("null", Node::CharDevice(1, 3)) } else { tree });
    sandbox.sync(&["-r", "--devices"]).ok().says("skipping non-regular file \"fifo\"");
    assert!(!sandbox.destination().join("fifo").exists());
    assert_eq!(sandbox.destination().join("null").exists(), harness::is_root());
    let finished = sandbox.sync(&["-r", "--specials"]).ok();
    assert!(sandbox.destination().join("fifo").exists());
    assert_eq!(finished.stderr.contains("skipping non-regular file \"null\""), harness::is_root());
});

sync_test!(a_group_is_kept_without_the_owner, |sandbox| {
    if !harness::is_root() {
        return;
    }
    sandbox.write_source(&Tree::new().file("file", "").owner(7, 8));
    sandbox.sync(&["-r", "--group", "--numeric-ids"]).ok();
    let kept = fs::metadata(sandbox.destination().join("file")).unwrap();
    assert_eq!((kept.uid(), kept.gid()), (0, 8));
});

#[test]
fn only_ssh_is_told_how_long_to_wait_for_a_connection() {
    Program::sy(&["-a", "-e", "rsh", "--contimeout=5", "a", "h:b"]).run().code(1).says("ConnectTimeout");
}
