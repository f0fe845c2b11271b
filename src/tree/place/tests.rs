use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::super::testing::{Place, lstat, names, path, snapshot, write};
use super::*;

/// A registry that a test may close without closing everybody's.
fn registry() -> &'static Registry {
    Box::leak(Box::new(Registry::new()))
}

fn temporary(name: &[u8], stem: &[u8]) -> bool {
    let unique =
        name.strip_prefix(b".").and_then(|name| name.strip_prefix(stem)).and_then(|name| name.strip_prefix(b"."));
    unique.is_some_and(|unique| unique.len() == UNIQUE && unique.iter().all(u8::is_ascii_alphanumeric))
}

#[test]
fn a_file_has_its_name_only_after_the_commit() {
    let place = Place::new();
    let tree = place.tree();
    place.file("a/file", "old");
    let temp = TempFile::create(&tree, path("a/file")).unwrap();
    temp.file().write_all(b"new").unwrap();
    assert_eq!(place.read("a/file"), b"old");
    let there = names(&place.root().join("a"));
    assert!(there.len() == 2 && temporary(&there[0], b"file"), "{there:?}");
    let mode = fs::metadata(place.root().join("a").join(OsStr::from_bytes(&there[0]))).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    temp.commit().unwrap();
    assert_eq!(place.read("a/file"), b"new");
    assert_eq!(names(&place.root().join("a")), [b"file"]);
}

#[test]
fn a_file_dropped_before_its_commit_is_gone() {
    let place = Place::new();
    place.file("file", "old");
    drop(TempFile::create(&place.tree(), path("file")).unwrap());
    assert_eq!(names(&place.root()), [b"file"]);
    assert_eq!(place.read("file"), b"old");
}

#[test]
fn a_directory_is_not_replaced_and_nothing_is_left_beside_it() {
    let place = Place::new();
    place.file("dir/inner", "");
    let tree = place.tree();
    let error = TempFile::create(&tree, path("dir")).unwrap().commit().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    assert_eq!(TempFile::create(&tree, path(".")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    assert_eq!(names(&place.root()), [b"dir"]);
}

#[test]
fn a_planted_link_is_replaced_and_not_written_through() {
    let place = Place::new();
    write(&place.outside().join("file"), "untouched");
    let before = snapshot(&place.outside());
    symlink(place.outside().join("file"), place.root().join("file")).unwrap();
    let tree = place.tree();
    let temp = TempFile::create(&tree, path("file")).unwrap();
    temp.file().write_all(b"new").unwrap();
    temp.commit().unwrap();
    assert!(lstat(&tree, "file").is_file());
    assert_eq!(snapshot(&place.outside()), before);
}

#[test]
fn a_long_name_is_cut_for_its_temporary_name_and_never_within_a_character() {
    let place = Place::new();
    let tree = place.tree();
    for (name, kept) in [("n".repeat(255), 247), ("n".repeat(247), 247), ("n".repeat(246), 246), ("é".repeat(127), 246)]
    {
        let temp = TempFile::create(&tree, path(&name)).unwrap();
        let there = names(&place.root());
        assert!(there.len() == 1 && temporary(&there[0], &name.as_bytes()[..kept]), "{there:?}");
        assert!(std::str::from_utf8(&there[0]).is_ok());
        temp.commit().unwrap();
        tree.remove_file(path(&name)).unwrap();
    }
    let crab = "\u{1F980}".repeat(70);
    assert!(temporary(temporary_name(crab.as_bytes()).as_bytes(), &crab.as_bytes()[..244]));
    assert_eq!(temporary_name(&[0x80; 300]).len(), 1 + 244 + 1 + UNIQUE);
}

#[test]
fn a_file_system_with_shorter_names_gets_a_shorter_temporary_name() {
    let make = |name: &OsStr| {
        if name.len() > 100 { Err(io::ErrorKind::InvalidFilename.into()) } else { Ok(()) }
    };
    let (name, ()) = under_temporary_name(OsStr::new(&"n".repeat(99)), make).unwrap();
    assert!(temporary(name.as_bytes(), b""));
    let never = |_: &OsStr| -> io::Result<()> { Err(io::ErrorKind::InvalidFilename.into()) };
    assert_eq!(under_temporary_name(OsStr::new("n"), never).unwrap_err().kind(), io::ErrorKind::InvalidFilename);
    let taken = |_: &OsStr| -> io::Result<()> { Err(io::ErrorKind::AlreadyExists.into()) };
    assert_eq!(under_temporary_name(OsStr::new("n"), taken).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_partial_file_is_kept_under_a_name_that_is_known_for_one() {
    let place = Place::new();
    let tree = place.tree();
    place.file("a/file", "old");
    let temp = TempFile::create(&tree, path("a/file")).unwrap();
    temp.file().write_all(b"half").unwrap();
    temp.keep_partial().unwrap();
    assert_eq!(partial_name(path("a/file")).unwrap(), path("a/.file.sy-partial"));
    assert_eq!((place.read("a/file"), place.read("a/.file.sy-partial")), (b"old".to_vec(), b"half".to_vec()));
    assert_eq!(names(&place.root().join("a")), [&b".file.sy-partial"[..], b"file"]);
    for (name, is) in
        [(".file.sy-partial", true), ("file.sy-partial", false), (".sy-partial", false), (".f.sy-partial.x", false)]
    {
        assert_eq!(is_partial_name(OsStr::new(name)), is, "{name}");
    }
}

#[test]
fn a_name_too_long_for_a_partial_file_has_none() {
    let longest = "n".repeat(NAME_MAX - 1 - PARTIAL.len());
    assert!(partial_name(path(&longest)).is_some());
    let name = format!("{longest}n");
    assert_eq!(partial_name(path(&name)), None);
    let place = Place::new();
    let error = TempFile::create(&place.tree(), path(&name)).unwrap().keep_partial().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidFilename);
    assert!(names(&place.root()).is_empty());
}

#[test]
fn abandoning_removes_or_keeps_what_is_live_and_lets_nothing_follow() {
    let place = Place::new();
    let tree = place.tree();
    let registry = registry();
    let create = |name: &str, then| TempFile::create_in(registry, &tree, path(name), then);
    place.file("one", "old");
    let one = create("one", WhenAbandoned::Remove).unwrap();
    let two = create("two", WhenAbandoned::KeepPartial).unwrap();
    let three = create("three", WhenAbandoned::KeepPartial).unwrap();
    two.file().write_all(b"half").unwrap();
    create("done", WhenAbandoned::Remove).unwrap().commit().unwrap();
    registry.abandon();
    let after = [&b".three.sy-partial"[..], b".two.sy-partial", b"done", b"one"];
    assert_eq!(names(&place.root()), after);
    assert_eq!(place.read(".two.sy-partial"), b"half");
    assert_eq!(one.commit().unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(two.keep_partial().unwrap_err().kind(), io::ErrorKind::Interrupted);
    assert_eq!(create("four", WhenAbandoned::Remove).unwrap_err().kind(), io::ErrorKind::Interrupted);
    drop(three);
    registry.abandon();
    assert_eq!(names(&place.root()), after);
}

#[test]
fn nothing_half_written_is_left_whenever_a_busy_process_is_abandoned() {
    for round in 0..20 {
        let place = Place::new();
        let registry = registry();
        let started = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (place, started) = (&place, &started);
                scope.spawn(move || {
                    let tree = place.tree();
                    started.wait();
                    for number in 0.. {
                        let name = format!("{thread}-{}", number % 7);
                        let temp = match TempFile::create_in(registry, &tree, path(&name), WhenAbandoned::Remove) {
                            Ok(temp) => temp,
                            Err(error) => return assert_eq!(error.kind(), io::ErrorKind::Interrupted),
                        };
                        temp.file().write_all(b"whole").unwrap();
                        if number % 3 == 0 {
                            drop(temp);
                        } else if let Err(error) = temp.commit() {
                            return assert_eq!(error.kind(), io::ErrorKind::Interrupted);
                        }
                    }
                });
            }
            started.wait();
            for _ in 0..round * 20 {
                std::thread::yield_now();
            }
            registry.abandon();
            let after = names(&place.root());
            assert!(after.iter().all(|name| !name.starts_with(b".")), "{after:?}");
        });
        for name in names(&place.root()) {
            assert_eq!(fs::read(place.root().join(OsStr::from_bytes(&name))).unwrap(), b"whole");
        }
        assert!(registry.live().slots.iter().all(Option::is_none));
    }
}

#[test]
fn slots_are_used_again() {
    let place = Place::new();
    let tree = place.tree();
    let registry = registry();
    for _ in 0..100 {
        let one = TempFile::create_in(registry, &tree, path("one"), WhenAbandoned::Remove).unwrap();
        drop(TempFile::create_in(registry, &tree, path("two"), WhenAbandoned::Remove).unwrap());
        one.commit().unwrap();
    }
    assert_eq!(registry.live().slots.len(), 2);
}

#[test]
fn a_drop_waits_for_an_abandoning_that_is_under_way() {
    let place = Place::new();
    let registry = registry();
    let temp = TempFile::create_in(registry, &place.tree(), path("one"), WhenAbandoned::Remove).unwrap();
    let gate = registry.gate.write().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || drop(temp));
        for _ in 0..50 {
            std::thread::sleep(std::time::Duration::from_millis(1));
            assert!(registry.live().slots[0].is_some());
        }
        drop(gate);
    });
    assert!(registry.live().slots[0].is_none());
    assert!(names(&place.root()).is_empty());
}
