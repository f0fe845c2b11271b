use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::entry::Kind;
use super::super::testing::{Place, bound_by_modes, path};
use super::*;

const ALL: ScanOptions = ScanOptions { recursive: true, one_file_system: false, skip_mounts: false, hard_links: true };

fn listed(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.relative().display().to_string()).collect()
}

/// Scans with a filter that may do mischief, and returns what was listed and what was reported.
fn scan_while(
    place: &Place,
    options: ScanOptions,
    mut keep: impl FnMut(&Path, bool) -> bool,
) -> (Vec<Entry>, Vec<(PathBuf, io::Error)>) {
    let mut reported = Vec::new();
    let report = &mut |path: &Path, error| reported.push((path.to_owned(), error));
    let entries = scan(&place.tree(), path("."), &options, &mut keep, report);
    (entries, reported)
}

fn scan_all(place: &Place, start: &str) -> Vec<Entry> {
    let report = &mut |path: &Path, error| panic!("{}: {error}", path.display());
    scan(&place.tree(), path(start), &ALL, &mut |_: &Path, _: bool| true, report)
}

#[test]
fn files_come_before_directories_and_directories_before_their_contents() {
    let place = Place::new();
    for file in ["b", "z", "a/y", "a/b/x", "a-/k", "a.d/inner/f", "Z"] {
        place.file(file, "");
    }
    place.directory("empty");
    symlink("a", place.root().join("link")).unwrap();
    let expected = [
        ".",
        "Z",
        "b",
        "link",
        "z",
        "a",
        "a/y",
        "a/b",
        "a/b/x",
        "a-",
        "a-/k",
        "a.d",
        "a.d/inner",
        "a.d/inner/f",
        "empty",
    ];
    assert_eq!(listed(&scan_all(&place, ".")), expected);
    assert_eq!(listed(&scan_all(&place, "a")), ["a", "a/y", "a/b", "a/b/x"]);
    assert_eq!(listed(&scan_all(&place, "a/b")), ["a/b", "a/b/x"]);
    assert_eq!(listed(&scan_all(&place, "a/b/x")), ["a/b/x"]);
    assert_eq!(listed(&scan_all(&place, "link")), ["link"]);
}

#[test]
fn entries_carry_what_stat_and_readlink_say() {
    let place = Place::new();
    place.file("file", "12345");
    fs::set_permissions(place.root().join("file"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("no/where", place.root().join("link")).unwrap();
    place.tree().make_node(path("fifo"), &Kind::Fifo, 0o600).unwrap();
    let entries = scan_all(&place, ".");
    let meta = fs::metadata(place.root().join("file")).unwrap();
    assert_eq!(entries[1].kind, Kind::Fifo);
    assert_eq!(entries[2].kind, Kind::File { size: 5 });
    assert_eq!((entries[2].mode, entries[2].uid, entries[2].gid), (0o640, meta.uid(), meta.gid()));
    assert_eq!((entries[2].mtime.secs, i64::from(entries[2].mtime.nanos)), (meta.mtime(), meta.mtime_nsec()));
    assert_eq!(entries[3].kind, Kind::Symlink { target: path("no/where").into() });
    assert_eq!(entries[3].path(), place.root().join("link"));
}

#[test]
fn a_start_that_cannot_be_read_is_reported_and_nothing_listed() {
    let place = Place::new();
    place.file("dir/file", "");
    symlink("dir", place.root().join("link")).unwrap();
    for start in ["none", "link/file", "../outside", ""] {
        let mut reported = Vec::new();
        let report = &mut |path: &Path, _| reported.push(path.to_owned());
        assert!(scan(&place.tree(), path(start), &ALL, &mut |_: &Path, _: bool| true, report).is_empty());
        assert_eq!(reported, [path(start)]);
    }
}

#[test]
fn without_recursion_a_directory_lists_its_own_entries_only() {
    let place = Place::new();
    place.file("a/b/c", "");
    place.file("f", "");
    let (entries, _) = scan_while(&place, ScanOptions { recursive: false, ..ALL }, |_, _| true);
    assert_eq!(listed(&entries), [".", "f", "a"]);
}

#[test]
fn what_the_filter_refuses_is_not_read_and_nothing_below_it_is_asked_for() {
    let place = Place::new();
    for file in ["a/skip/inner/x", "a/take", "skip", "b/y"] {
        place.file(file, "");
    }
    let asked = RefCell::new(Vec::new());
    let (entries, reported) = scan_while(&place, ALL, |path, is_dir| {
        asked.borrow_mut().push((path.display().to_string(), is_dir));
        // Gone before it could be read, had it been.
        let taken = !path.ends_with("skip");
        if !taken && is_dir {
            fs::remove_dir_all(place.root().join(path)).unwrap();
        }
        taken
    });
    assert_eq!(listed(&entries), [".", "a", "a/take", "b", "b/y"]);
    assert!(reported.is_empty());
    let mut asked = asked.into_inner();
    asked.sort();
    let expected = [("a", true), ("a/skip", true), ("a/take", false), ("b", true), ("b/y", false), ("skip", false)];
    assert_eq!(asked, expected.map(|(path, is_dir)| (path.to_owned(), is_dir)));
}

#[test]
fn names_of_one_file_share_a_number_and_numbers_follow_first_sight() {
    let place = Place::new();
    for file in ["a", "d/other", "single"] {
        place.file(file, file);
    }
    for (from, to) in [("a", "z"), ("d/other", "d/e/again"), ("a", "d/e/third")] {
        let to = place.root().join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::hard_link(place.root().join(from), to).unwrap();
    }
    let numbers = |entries: Vec<Entry>| -> Vec<_> { entries.iter().map(Entry::link_group).collect() };
    let entries = scan_all(&place, ".");
    assert_eq!(listed(&entries), [".", "a", "single", "z", "d", "d/other", "d/e", "d/e/again", "d/e/third"]);
    let expected = [None, Some(0), None, Some(0), None, Some(1), None, Some(1), Some(0)];
    assert_eq!(numbers(entries), expected);
    let (without, _) = scan_while(&place, ScanOptions { hard_links: false, ..ALL }, |_, _| true);
    assert!(numbers(without).iter().all(Option::is_none));
}

#[test]
fn link_groups_go_on_over_several_scans_of_one_list() {
    let place = Place::new();
    place.file("one/a", "");
    place.directory("two");
    fs::hard_link(place.root().join("one/a"), place.root().join("two/b")).unwrap();
    let mut groups = LinkGroups::default();
    let mut number = |start: &str| {
        let report = &mut |path: &Path, error| panic!("{}: {error}", path.display());
        scan_with(&place.tree(), path(start), &ALL, &mut groups, &mut |_: &Path, _: bool| true, report)[1].link_group()
    };
    assert_eq!((number("one"), number("two")), (Some(0), Some(0)));
}

#[test]
fn what_vanishes_is_reported_and_the_rest_is_listed() {
    let place = Place::new();
    for file in ["a", "b", "c", "d/x", "e/x"] {
        place.file(file, "");
    }
    let (entries, reported) = scan_while(&place, ALL, |path, is_dir| {
        let gone = place.root().join(path);
        match path.to_str().unwrap() {
            "b" => fs::remove_file(gone).unwrap(),
            "d" if is_dir => fs::remove_dir_all(gone).unwrap(),
            _ => {}
        }
        true
    });
    assert_eq!(listed(&entries), [".", "a", "c", "e", "e/x"]);
    let reported: Vec<_> = reported.iter().map(|(path, error)| (path.to_str().unwrap(), error.kind())).collect();
    assert_eq!(reported, [("b", io::ErrorKind::NotFound), ("d", io::ErrorKind::NotFound)]);
}

#[test]
fn what_changes_its_type_under_the_scan_is_neither_followed_nor_waited_for() {
    let place = Place::new();
    for file in ["a", "b", "d/x", "e/x", "f"] {
        place.file(file, "");
    }
    fs::write(place.outside().join("x"), "").unwrap();
    let (entries, reported) = scan_while(&place, ALL, |path, _| {
        let here = place.root().join(path);
        match path.to_str().unwrap() {
            "a" => {
                fs::remove_file(&here).unwrap();
                fs::create_dir(&here).unwrap();
            }
            "b" => place.tree().replace_with_node(&Kind::Fifo, path, 0o600).unwrap(),
            "d" => {
                fs::remove_dir_all(&here).unwrap();
                symlink(place.outside(), &here).unwrap();
            }
            _ => {}
        }
        true
    });
    assert_eq!(listed(&entries), [".", "b", "f", "e", "e/x"]);
    assert_eq!(entries[1].kind, Kind::Fifo);
    let reported: Vec<_> = reported.iter().map(|(path, _)| path.to_str().unwrap()).collect();
    assert_eq!(reported, ["a", "d"]);
}

#[test]
fn a_directory_that_may_not_be_read_is_listed_and_reported_and_the_rest_scanned() {
    const NAME: &str =
        "tree::scanner::tests::a_directory_that_may_not_be_read_is_listed_and_reported_and_the_rest_scanned";
    if !bound_by_modes(NAME) {
        return;
    }
    let place = Place::new();
    for file in ["a/x", "b/x", "c/x", "d/x"] {
        place.file(file, "");
    }
    let set =
        |name: &str, mode| fs::set_permissions(place.root().join(name), fs::Permissions::from_mode(mode)).unwrap();
    set("b", 0o000);
    set("c", 0o400);
    let (entries, reported) = scan_while(&place, ALL, |_, _| true);
    assert_eq!(listed(&entries), [".", "a", "a/x", "b", "c", "d", "d/x"]);
    let reported: Vec<_> = reported.iter().map(|(path, error)| (path.to_str().unwrap(), error.kind())).collect();
    assert_eq!(reported, [("b", io::ErrorKind::PermissionDenied), ("c/x", io::ErrorKind::PermissionDenied)]);
    set("b", 0o700);
    set("c", 0o700);
}

#[test]
fn another_file_system_is_listed_and_not_entered() {
    let other = fs::metadata("/dev").unwrap().dev() != fs::metadata("/").unwrap().dev();
    let tree = Tree::open(path("/")).unwrap();
    let scan_dev = |one_file_system| {
        let keep = &mut |path: &Path, _| path == Path::new("dev") || path == Path::new("dev/null");
        let report = &mut |path: &Path, error| panic!("{}: {error}", path.display());
        listed(&scan(&tree, path("."), &ScanOptions { one_file_system, ..ALL }, keep, report))
    };
    assert_eq!(scan_dev(false), [".", "dev", "dev/null"]);
    assert_eq!(scan_dev(true), if other { vec![".", "dev"] } else { vec![".", "dev", "dev/null"] });
}

/// The order by its definition, on paths relative to the root.
fn naive(root: &Path, relative: &str, found: &mut Vec<String>) {
    found.push(if relative.is_empty() { ".".into() } else { relative.into() });
    let mut items: Vec<_> = fs::read_dir(root.join(relative)).unwrap().map(|item| item.unwrap()).collect();
    items.sort_by_key(|item| (item.file_type().unwrap().is_dir(), item.file_name()));
    for item in items {
        let name = item.file_name().into_string().unwrap();
        let path = if relative.is_empty() { name } else { format!("{relative}/{name}") };
        if item.file_type().unwrap().is_dir() {
            naive(root, &path, found);
        } else {
            found.push(path);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_tree_is_listed_whole_and_in_order(paths in prop::collection::vec("[a-c./-]{1,12}", 0..30)) {
        let place = Place::new();
        for relative in &paths {
            let plain: PathBuf = relative.split('/').filter(|name| !matches!(*name, "" | "." | "..")).collect();
            let plain = place.root().join(plain);
            // Where a file stands in the way of a directory, or the other way round, the first one stays.
            if fs::create_dir_all(plain.parent().unwrap()).is_ok() && !plain.exists() {
                let _ = if relative.ends_with('c') { fs::create_dir(&plain) } else { fs::write(&plain, "") };
            }
        }
        let mut expected = Vec::new();
        naive(&place.root(), "", &mut expected);
        prop_assert_eq!(listed(&scan_all(&place, ".")), expected);
    }
}
