//! What is found ahead of its time is what a look would find, or nothing.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::tree::entry::Kind;

fn write(path: &Path, contents: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(path, contents).expect("a file");
}

fn place(files: &[&str]) -> (TempDir, Tree) {
    let dir = TempDir::new().expect("a temporary directory");
    files.iter().for_each(|file| write(&dir.path().join(file), file));
    let tree = Tree::open(dir.path()).expect("it is there");
    (dir, tree)
}

#[test]
fn what_was_there_saves_a_look_and_anything_else_says_nothing() {
    let (dir, tree) = place(&["d/a", "d/b", "d/sub/x", "d/twin", "d/z"]);
    fs::hard_link(dir.path().join("d/twin"), dir.path().join("d/name")).expect("a link");
    std::os::unix::fs::symlink("to", dir.path().join("d/link")).expect("a link");
    let looked = tree.look(Path::new("d"), 100).expect("a directory");
    let mut found = Found { looked, next: 0, used: 0, shared: Arc::default() };
    let mut asked = |name: &str| found.take(OsStr::new(name)).map(|entry| entry.kind);
    assert_eq!(asked("a"), Some(Kind::File { size: 3 }));
    assert_eq!(asked("aa"), None);
    assert_eq!(asked("b"), Some(Kind::File { size: 3 }));
    assert_eq!(asked("b"), None, "once");
    assert_eq!(asked("link"), Some(Kind::Symlink { target: Path::new("to").into() }));
    assert_eq!(asked("name"), None, "what is done to it by its other name shows here too");
    assert_eq!(asked("sub"), None, "a directory");
    assert_eq!(asked("twin"), None);
    assert_eq!(asked("z"), Some(Kind::File { size: 3 }));
    assert_eq!(asked("zz"), None);
}

#[test]
fn a_directory_that_has_changed_is_known() {
    let (dir, tree) = place(&["d/a", "d/b"]);
    let changes: [fn(&Path); 4] = [
        |dir| write(&dir.join("d/c"), ""),
        |dir| fs::remove_file(dir.join("d/a")).expect("it is there"),
        |dir| {
            fs::rename(dir.join("d"), dir.join("e")).expect("it is there");
            write(&dir.join("d/b"), "other");
        },
        |dir| {
            fs::rename(dir.join("d"), dir.join("f")).expect("it is there");
            std::os::unix::fs::symlink("f", dir.join("d")).expect("nothing is there");
        },
    ];
    for change in changes {
        let looked = tree.look(Path::new("d"), 100).expect("a directory");
        assert!(tree.is_as_looked(Path::new("d"), &looked));
        // Longer than a tick of the clock that the file system takes its times from.
        std::thread::sleep(Duration::from_millis(50));
        change(dir.path());
        assert!(!tree.is_as_looked(Path::new("d"), &looked));
    }
}

#[test]
fn a_directory_of_more_than_may_be_held_is_not_looked_at() {
    let (_dir, tree) = place(&["d/a", "d/b", "d/c"]);
    assert_eq!(tree.look(Path::new("d"), 3).expect("no more than that").len(), 3);
    assert!(tree.look(Path::new("d"), 2).is_err());
}

#[test]
fn so_much_is_looked_at_ahead_and_no_more_and_each_is_what_it_is() {
    let names: Vec<String> = (0..3 * AHEAD).map(|number| format!("d{number}/f{number}")).collect();
    let (_dir, tree) = place(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut ahead = Ahead::default();
    // Every fourth is not there.
    let there = |number: u32| !number.is_multiple_of(4);
    let name = |number: u32| OsString::from(format!("{}{number}", if there(number) { "d" } else { "none" }));
    ahead.announce(&tree, 0, Path::new("."), (0..3 * AHEAD as u32).map(|number| (number, name(number))).collect());
    let mut hits = 0;
    while ahead.shared.lock().found.is_empty() {
        std::thread::yield_now();
    }
    for number in 0..3 * AHEAD as u32 {
        // Some are left alone for long enough, others are taken before anybody has looked.
        if number.is_multiple_of(16) {
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(ahead.shared.lock().found.len() < AHEAD + THREADS);
        let Some(mut found) = ahead.take(number) else { continue };
        assert!(there(number));
        assert!(found.take(OsStr::new(&format!("f{number}"))).is_some(), "{number}");
        hits += 1;
    }
    assert!(hits > 0);
    let state = ahead.shared.lock();
    assert_eq!((state.found.len(), state.entries, state.busy.len()), (0, 0, 0));
}

#[test]
fn where_little_of_what_stands_there_is_asked_for_nobody_goes_on_looking() {
    const DIRS: u32 = 3 * AHEAD as u32;
    let names: Vec<String> = (0..20 * DIRS).map(|number| format!("d{}/f{:02}", number / 20, number % 20)).collect();
    let (_dir, tree) = place(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let hits = |asked: u32| {
        let mut ahead = Ahead::default();
        let names = (0..DIRS).map(|number| (number, OsString::from(format!("d{number}"))));
        ahead.announce(&tree, 0, Path::new("."), names.collect());
        let mut hits = 0;
        for number in 0..DIRS {
            let is_begun = || {
                let state = ahead.shared.lock();
                state.found.contains_key(&number) || state.busy.contains(&number) || state.for_nothing > FOR_NOTHING
            };
            while !is_begun() {
                std::thread::yield_now();
            }
            let Some(mut found) = ahead.take(number) else { continue };
            (0..asked).for_each(|file| assert!(found.take(OsStr::new(&format!("f{file:02}"))).is_some()));
            hits += 1;
        }
        hits
    };
    assert_eq!((hits(20), hits(10)), (DIRS, DIRS));
    assert!(hits(1) < 2 * DIRS / 3, "what was looked at already, and a few more");
}

/// One where nobody looks, and what waits there, in the order in which it was announced.
fn idle() -> (TempDir, Tree, Ahead) {
    let (dir, tree) = place(&["a/f", "b/f", "a/sub/f"]);
    (dir, tree, Ahead { threads: THREADS, shared: Arc::default() })
}

fn waiting(ahead: &Ahead) -> Vec<u32> {
    ahead.shared.lock().waiting.iter().flat_map(|waiting| &waiting.names).map(|(number, _)| *number).collect()
}

fn names(names: &[(u32, &str)]) -> VecDeque<(u32, OsString)> {
    names.iter().map(|(number, name)| (*number, OsString::from(name))).collect()
}

#[test]
fn what_is_announced_last_is_looked_at_first() {
    let (_dir, tree, mut ahead) = idle();
    ahead.announce(&tree, 0, Path::new("."), names(&[(1, "a"), (2, "b")]));
    assert!(ahead.take(1).is_none(), "nobody looks here");
    ahead.announce(&tree, 1, Path::new("a"), names(&[(3, "sub")]));
    assert_eq!(waiting(&ahead), [2, 3]);
    assert!(ahead.take(3).is_none() && ahead.take(2).is_none());
    assert!(waiting(&ahead).is_empty());
}

#[test]
fn what_is_announced_of_one_directory_piece_by_piece_is_looked_at_in_its_order() {
    let (_dir, tree, mut ahead) = idle();
    ahead.announce(&tree, 0, Path::new("."), names(&[(1, "a"), (2, "b")]));
    ahead.announce(&tree, 0, Path::new("."), names(&[(3, "c"), (4, "d")]));
    assert_eq!(ahead.shared.lock().waiting.len(), 1);
    assert!(ahead.take(1).is_none());
    ahead.announce(&tree, 1, Path::new("a"), names(&[(5, "sub")]));
    for (number, left) in [(5, &[2, 3, 4][..]), (2, &[3, 4]), (3, &[4]), (4, &[])] {
        assert!(ahead.take(number).is_none());
        assert_eq!(waiting(&ahead), left, "none is looked at whose time has passed");
    }
}
