//! Deletion as a session uses it, a directory at a time, and what only shows where the destination changes meanwhile.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::{Destination, Outline};
use crate::error::ExitCode;
use crate::events::{Event, Events, Monitor};
use crate::filter::Filter;
use crate::options::{DeleteTime, Options};
use crate::plan::Decision;
use crate::protocol::message::Deleted;
use crate::source::Source;
use crate::tree::acl::{Acl, Acls};
use crate::tree::capability::Capability;
use crate::tree::entry::{Entry, Kind, Seldom};
use crate::tree::xattrs::{Value, Xattr};

/// Hears warnings.
#[derive(Clone, Default)]
struct Ears(Arc<Mutex<Vec<String>>>);

impl Events for Ears {
    fn event(&self, event: &Event<'_>) {
        match event {
            Event::Warning { text, .. } => self.0.lock().unwrap().push((*text).to_owned()),
            Event::Unkept { capability, .. } => self.0.lock().unwrap().push(capability.word().to_owned()),
            _ => {}
        }
    }
}

/// A source with `dir/kept`, a destination that also has `dir/extra` and `other/a`, `other/b`.
struct Place {
    dir: TempDir,
    monitor: Arc<Monitor>,
    ears: Ears,
    source: Source,
    destination: Destination,
}

fn options(delete: DeleteTime) -> Options {
    Options { recursive: true, perms: true, times: true, delete: Some(delete), ..Options::default() }
}

impl Place {
    fn new(options: &Options) -> Place {
        let dir = TempDir::new().unwrap();
        for file in ["source/dir/kept", "destination/dir/kept", "destination/dir/extra"] {
            write(&dir.path().join(file));
        }
        write(&dir.path().join("destination/other/a"));
        write(&dir.path().join("destination/other/b"));
        let ears = Ears::default();
        let monitor = Arc::new(Monitor::new(Box::new(ears.clone())));
        let path = dir.path().join("source/").into_os_string().into_encoded_bytes();
        let source = Source::scan(&[path], options, &Filter::default(), 1, &monitor);
        let list = Outline::of(&source.entries, source.complete, options);
        let destination =
            Destination::open(&dir.path().join("destination"), list, options, Filter::default(), 1, &monitor).unwrap();
        Place { dir, monitor, ears, source, destination }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("destination").join(name)
    }

    fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut left = vec![self.path("")];
        while let Some(dir) = left.pop() {
            for item in fs::read_dir(dir).unwrap().flatten() {
                let path = item.path();
                if path.is_dir() {
                    left.push(path.clone());
                }
                names.insert(path.strip_prefix(self.path("")).unwrap().to_str().unwrap().to_owned());
            }
        }
        names
    }

    /// The part of a sync before its contents come.
    fn begin(&mut self) -> Vec<Decision> {
        self.destination.delete_early(&self.source.entries, &mut |_| {});
        self.source.entries.iter().map(|entry| self.destination.prepare(entry)).collect()
    }

    fn finish(&mut self, decisions: &[Decision]) {
        self.destination.finish(&self.source.entries, decisions, &mut |_| {});
    }
}

fn write(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "contents").unwrap();
}

const SYNCED: [&str; 2] = ["dir", "dir/kept"];
const ALL: [&str; 6] = ["dir", "dir/extra", "dir/kept", "other", "other/a", "other/b"];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn of_what_is_ignored_or_fails_only_directories_are_noted_and_they_are_forgotten_with_the_rest() {
    let mut place = Place::new(&Options { existing: true, ..options(DeleteTime::During) });
    let listed = |path: &str, kind| Entry::sample(path, kind);
    for entry in [listed("new", Kind::Dir), listed("new/sub", Kind::Dir), listed("new/f", Kind::File { size: 1 })] {
        assert_eq!(place.destination.prepare(&entry), Decision::SKIP);
    }
    let noted = |place: &Place| place.destination.ignored.len() + place.destination.failed.len();
    assert_eq!(noted(&place), 2);
    ["new/sub", "new"].iter().for_each(|dir| place.destination.forget_dir(Path::new(dir)));
    assert_eq!(noted(&place), 0);
    // Its directory is not there.
    let mut place = Place::new(&Options { links: true, ..options(DeleteTime::During) });
    place.destination.prepare(&listed("nowhere/l", Kind::Symlink { target: Path::new("x").into() }));
    assert_eq!(place.destination.counters.failed, 1);
    assert_eq!(noted(&place), 0);
}

#[test]
fn that_nothing_is_deleted_any_more_is_told_once() {
    let mut place = Place::new(&options(DeleteTime::During));
    for _ in 0..3 {
        place.destination.source_is_incomplete();
    }
    assert_eq!(place.ears.0.lock().unwrap().len(), 1);
}

#[test]
fn before_and_during_delete_before_anything_is_decided_and_the_others_at_the_end() {
    for time in [DeleteTime::Before, DeleteTime::During, DeleteTime::Delay, DeleteTime::After] {
        let mut place = Place::new(&options(time));
        let decisions = place.begin();
        assert_eq!(place.names(), set(if time.is_late() { &ALL } else { &SYNCED }), "{time:?}");
        place.finish(&decisions);
        assert_eq!(place.names(), set(&SYNCED), "{time:?}");
    }
}

#[test]
fn what_appears_meanwhile_is_deleted_by_after_and_not_by_delay() {
    for (time, stays) in [(DeleteTime::Delay, true), (DeleteTime::After, false)] {
        let mut place = Place::new(&options(time));
        let decisions = place.begin();
        write(&place.path("dir/late"));
        place.finish(&decisions);
        assert_eq!(place.path("dir/late").exists(), stays, "{time:?}");
    }
}

#[test]
fn a_source_that_cannot_be_read_keeps_what_only_after_would_delete() {
    for (time, stays) in [(DeleteTime::Delay, false), (DeleteTime::After, true)] {
        let mut place = Place::new(&options(time));
        let decisions = place.begin();
        place.destination.source_failed();
        place.finish(&decisions);
        assert_eq!(place.path("dir/extra").exists(), stays, "{time:?}");
        let warned = place.ears.0.lock().unwrap().iter().any(|text| text.contains("nothing is deleted"));
        assert_eq!(warned, stays);
    }
}

#[test]
fn a_directory_is_deleted_in_by_its_listed_names_alone() {
    let mut place = Place::new(&options(DeleteTime::During));
    let mut deleted = Vec::new();
    let tell = &mut |gone: Deleted| deleted.push(gone.path);
    place.destination.delete_in(Path::new("other"), &[OsStr::new("a"), OsStr::new("c")], tell);
    assert_eq!(deleted, [Path::new("other/b")]);
    assert_eq!(place.names(), set(&["dir", "dir/extra", "dir/kept", "other", "other/a"]));
}

#[test]
fn what_is_extra_is_found_piece_by_piece_and_is_what_was_there_at_the_beginning() {
    let mut place = Place::new(&options(DeleteTime::During));
    for name in ["a-extra", "m", "z-dir/f"] {
        write(&place.path("other").join(name));
    }
    let mut extra = place.destination.look_for_extra(Path::new("other")).unwrap();
    // Ours, written meanwhile.
    write(&place.path("other/.temporary"));
    let names = |names: &'static [&str]| names.iter().map(OsStr::new);
    place.destination.strike(&mut extra, names(&["a", "l"]), false);
    place.destination.strike(&mut extra, names(&["m", "n"]), false);
    place.destination.strike(&mut extra, names(&["c", "z-dir"]), true);
    let mut deleted = Vec::new();
    place.destination.delete_extra(&extra, &mut |gone| deleted.push(gone.path));
    assert_eq!(deleted, ["other/a-extra", "other/b"].map(Path::new));
    assert!(["a", "m", "z-dir/f", ".temporary"].iter().all(|name| place.path("other").join(name).exists()));
}

#[test]
fn a_name_that_is_another_s_to_the_file_system_keeps_that_one_if_it_was_decided_about_before() {
    for is_all in [false, true] {
        let mut place = Place::new(&options(DeleteTime::During));
        let mut extra = place.destination.look_for_extra(Path::new("other")).unwrap();
        // As where names are folded: a name that the directory does not have, and yet it is there.
        fs::hard_link(place.path("other/b"), place.path("other/B")).unwrap();
        place.destination.strike(&mut extra, [OsStr::new("B")], is_all);
        let mut deleted = Vec::new();
        place.destination.delete_extra(&extra, &mut |gone| deleted.push(gone.path));
        let all = ["other/a", "other/b"].map(Path::new);
        assert_eq!(deleted, all[..if is_all { 2 } else { 1 }]);
    }
}

#[test]
fn what_is_heard_of_the_source_while_extras_are_looked_for_may_keep_them() {
    let mut place = Place::new(&options(DeleteTime::During));
    let extra = place.destination.look_for_extra(Path::new("other")).unwrap();
    place.destination.source_is_incomplete();
    place.destination.delete_extra(&extra, &mut |gone| panic!("{gone:?}"));
    assert!(place.destination.look_for_extra(Path::new("other")).is_none());
    assert_eq!(place.names(), set(&ALL));
}

#[test]
fn a_directory_that_is_not_there_has_nothing_to_delete() {
    let mut place = Place::new(&options(DeleteTime::During));
    for dir in ["missing", "dir/kept", "dir/kept/below"] {
        place.destination.delete_in(Path::new(dir), &[], &mut |gone| panic!("{gone:?}"));
    }
    assert_eq!((place.names(), place.monitor.exit_code()), (set(&ALL), ExitCode::Ok));
}

#[test]
fn what_is_deleted_last_leaves_its_directory_as_it_was() {
    let mut place = Place::new(&options(DeleteTime::Delay));
    let dir = place.path("dir");
    let look = |dir: &Path| fs::metadata(dir).map(|dir| (dir.mtime(), dir.mtime_nsec(), dir.mode())).unwrap();
    fs::File::open(&dir).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let before = look(&dir);
    place.destination.delete_in(Path::new("dir"), &[OsStr::new("kept")], &mut |_| {});
    place.destination.delete_noted(&mut |_| {});
    assert!(!place.path("dir/extra").exists());
    assert_eq!(look(&dir), before);
}

#[test]
fn the_limit_counts_every_entry_and_is_told_once_at_the_end() {
    for time in [DeleteTime::Before, DeleteTime::During, DeleteTime::Delay, DeleteTime::After] {
        for dry_run in [false, true] {
            for (max, code) in [(0, ExitCode::MaxDelete), (3, ExitCode::MaxDelete), (4, ExitCode::Ok)] {
                let options = Options { max_delete: Some(max), dry_run, ..options(time) };
                let mut place = Place::new(&options);
                let decisions = place.begin();
                place.finish(&decisions);
                assert_eq!(place.destination.counters.deleted, max);
                let left = ALL.len() as u64 - if dry_run { 0 } else { max };
                assert_eq!(place.names().len() as u64, left, "{time:?} {max}");
                assert_eq!(place.monitor.exit_code(), code);
                let warnings = place.ears.0.lock().unwrap();
                let told = format!("deletions stopped due to the --max-delete limit ({} skipped)", 4 - max);
                assert_eq!(warnings[..], if max < 4 { vec![told] } else { vec![] });
            }
        }
    }
}

#[test]
fn what_a_file_system_cannot_keep_is_told_once_and_not_tried_again_and_is_no_error() {
    let place = Place::new(&Options { xattrs: true, acls: true, ..options(DeleteTime::During) });
    let entry = Entry::sample("dir/kept", Kind::File { size: 0 });
    let missed = |capability: Capability| place.destination.forgive(Path::new("dir/kept"), Err(capability.error()));
    assert!(place.destination.keep(&entry).xattrs.is_some());
    assert!(missed(Capability::Xattrs).is_ok() && missed(Capability::Xattrs).is_ok());
    assert!(place.destination.keep(&entry).xattrs.is_none() && place.destination.keep(&entry).acls);
    assert!(missed(Capability::Acls).is_ok() && !place.destination.keep(&entry).acls);
    assert_eq!(*place.ears.0.lock().unwrap(), ["xattrs", "acls"]);
    assert_eq!(place.monitor.exit_code(), ExitCode::Ok);
    let other = std::io::ErrorKind::PermissionDenied;
    assert!(place.destination.forgive(Path::new("dir/kept"), Err(other.into())).is_err());
}

#[test]
fn nothing_differs_for_want_of_what_is_known_to_be_missing_and_it_is_told_of_the_first_that_has_it() {
    for dry_run in [false, true] {
        let mut place = Place::new(&Options { xattrs: true, acls: true, dry_run, ..options(DeleteTime::During) });
        let mut entry = place.destination.tree.as_ref().unwrap().lstat(Path::new("dir/kept")).unwrap().unwrap();
        place.destination.lacking = vec![Capability::Xattrs, Capability::Acls];
        assert_eq!(place.destination.prepare(&entry), Decision::SKIP);
        assert!(place.ears.0.lock().unwrap().is_empty(), "it has none");
        let xattr = Xattr { name: c"user.x".into(), value: Value::Whole([7].into()) };
        let acls = Acls { own: Some(Acl { mask: Some(0), ..Acl::default() }), default: None };
        entry.seldom = Seldom { xattrs: vec![xattr], acls: Some(Box::new(acls)), ..Seldom::default() }.boxed();
        for _ in 0..2 {
            assert_eq!(place.destination.prepare(&entry), Decision::SKIP);
        }
        assert_eq!(*place.ears.0.lock().unwrap(), ["xattrs", "acls"]);
        assert_eq!(place.monitor.exit_code(), ExitCode::Ok);
    }
}
