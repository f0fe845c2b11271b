use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::super::owners::is_root;
use super::super::testing::{Place, alone, bound_by_modes, lstat, path, snapshot, write};
use super::*;

fn everything() -> Keep {
    Keep { perms: true, times: true, owner: true, group: true, ..Keep::default() }
}
const MTIME: Timestamp = Timestamp { secs: 1_234_567_890, nanos: 987_654_321 };

/// The entry at `relative` as it is to become; a root gives it to somebody else.
fn wanted(tree: &Tree, relative: &str, mode: u32) -> Entry {
    let mut entry = lstat(tree, relative);
    entry.mode = mode;
    entry.mtime = MTIME;
    if is_root() {
        entry.uid = 12_345;
        entry.gid = 23_456;
    }
    entry
}

fn assert_same(is: &Entry, wanted: &Entry) {
    assert_eq!((is.uid, is.gid, is.mtime), (wanted.uid, wanted.gid, wanted.mtime));
    if !matches!(is.kind, Kind::Symlink { .. }) {
        assert_eq!(format!("{:o}", is.mode), format!("{:o}", wanted.mode));
    }
}

#[test]
fn every_kind_gets_all_its_metadata_by_name() {
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    place.directory("dir");
    symlink("no/where", place.root().join("link")).unwrap();
    tree.make_node(path("fifo"), &Kind::Fifo, 0o600).unwrap();
    tree.make_node(path("socket"), &Kind::Socket, 0o600).unwrap();
    for (name, mode) in
        [("file", 0o6751), ("dir", 0o3711), ("link", 0o777), ("fifo", 0o620), ("socket", 0o666), (".", 0o750)]
    {
        let entry = wanted(&tree, name, mode);
        apply(&tree, path(name), &entry, &everything(), Some(&lstat(&tree, name))).unwrap();
        assert_same(&lstat(&tree, name), &entry);
    }
}

#[test]
fn setuid_survives_a_change_of_owner_even_where_the_mode_was_equal() {
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    place.file("other", "x");
    for name in ["file", "other"] {
        fs::set_permissions(place.root().join(name), fs::Permissions::from_mode(0o6755)).unwrap();
        let (entry, present) = (wanted(&tree, name, 0o6755), lstat(&tree, name));
        if name == "file" {
            apply(&tree, path(name), &entry, &everything(), Some(&present)).unwrap();
        } else {
            apply_to_file(&tree.open_file(path(name)).unwrap(), &entry, &everything(), Some(&present)).unwrap();
        }
        assert_same(&lstat(&tree, name), &entry);
    }
}

#[test]
fn nothing_is_called_where_nothing_differs() {
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    let present = lstat(&tree, "file");
    let before = fs::metadata(place.root().join("file")).unwrap();
    let file = tree.open_file(path("file")).unwrap();
    apply(&tree, path("file"), &present, &everything(), Some(&present)).unwrap();
    apply_to_file(&file, &present, &everything(), Some(&present)).unwrap();
    apply(&tree, path("file"), &wanted(&tree, "file", 0o777), &Keep::default(), None).unwrap();
    // Every one of these calls would have moved the time of change.
    let after = fs::metadata(place.root().join("file")).unwrap();
    assert_eq!((after.ctime(), after.ctime_nsec()), (before.ctime(), before.ctime_nsec()));
}

#[test]
fn only_what_is_kept_is_changed() {
    let place = Place::new();
    let tree = place.tree();
    for number in 0..16_u32 {
        let bit = |bit: u32| number & bit != 0;
        let keep = Keep { perms: bit(1), times: bit(2), owner: bit(4), group: bit(8), ..Keep::default() };
        let name = format!("file{number}");
        place.file(&name, "x");
        fs::set_permissions(place.root().join(&name), fs::Permissions::from_mode(0o600)).unwrap();
        let (before, entry) = (lstat(&tree, &name), wanted(&tree, &name, 0o751));
        apply(&tree, path(&name), &entry, &keep, None).unwrap();
        let after = lstat(&tree, &name);
        assert_eq!(after.mode, if keep.perms { entry.mode } else { before.mode });
        assert_eq!(after.mtime, if keep.times { entry.mtime } else { before.mtime });
        assert_eq!(after.uid, if keep.owner { entry.uid } else { before.uid });
        assert_eq!(after.gid, if keep.group { entry.gid } else { before.gid });
    }
}

#[test]
fn the_time_of_access_is_left_alone() {
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    let before = fs::metadata(place.root().join("file")).unwrap();
    apply(&tree, path("file"), &wanted(&tree, "file", 0o600), &everything(), None).unwrap();
    let after = fs::metadata(place.root().join("file")).unwrap();
    assert_eq!((after.atime(), after.atime_nsec()), (before.atime(), before.atime_nsec()));
}

#[test]
fn times_before_1970_keep_their_nanoseconds() {
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    let mut entry = lstat(&tree, "file");
    entry.mtime = Timestamp { secs: -5, nanos: 999_999_999 };
    apply(&tree, path("file"), &entry, &everything(), None).unwrap();
    assert_eq!(lstat(&tree, "file").mtime, entry.mtime);
}

#[test]
fn a_link_planted_in_an_entry_s_place_changes_nothing_outside() {
    let place = Place::new();
    let tree = place.tree();
    write(&place.outside().join("file"), "untouched");
    let before = snapshot(&place.outside());
    place.file("file", "x");
    place.directory("dir");
    for (name, target) in [("file", "file"), ("dir", "")] {
        let entry = wanted(&tree, name, 0o4777);
        let here = place.root().join(name);
        fs::remove_file(&here).or_else(|_| fs::remove_dir(&here)).unwrap();
        symlink(place.outside().join(target), &here).unwrap();
        // Whether it fails is the system's business: a link's own mode can be changed on some.
        let _ = apply(&tree, path(name), &entry, &everything(), None);
        let _ = set_mode_at(tree.at(path(name)).unwrap().0.as_fd(), name, 0o777);
        assert_eq!(snapshot(&place.outside()), before);
    }
}

#[test]
fn a_new_file_gets_its_source_s_mode_as_far_as_the_umask_allows() {
    let place = Place::new();
    let tree = place.tree();
    // The system's own answer to the same question.
    drop(tree.create_file(path("made"), 0o666).unwrap());
    assert_eq!(lstat(&tree, "made").mode, 0o666 & !umask());
    assert_eq!(with_umask_mode(0o666, None, false), lstat(&tree, "made").mode);
    assert_eq!(with_umask_mode(0o4644, None, false), 0o644 & !umask());
    assert_eq!(with_umask_mode(0o4644, Some(0o2600), false), 0o2600);
    assert_eq!(with_umask_mode(0o4644, Some(0o2600), true), 0o4644);
    assert_eq!(with_umask_mode(0o4666, None, true), 0o4666);
}

#[test]
fn both_ways_of_asking_for_the_umask_agree() {
    if !alone("tree::metadata::tests::both_ways_of_asking_for_the_umask_agree") {
        return;
    }
    assert_eq!(umask_by_setting(), umask());
    assert_eq!(umask_by_setting(), umask());
}

#[test]
fn a_finished_file_has_its_mode_whether_it_is_kept_or_not() {
    let place = Place::new();
    let tree = place.tree();
    place.file("source", "x");
    place.file("replaced", "x");
    fs::set_permissions(place.root().join("replaced"), fs::Permissions::from_mode(0o604)).unwrap();
    let replaced = lstat(&tree, "replaced");
    let entry = wanted(&tree, "source", 0o4755);
    let finished = |keep: &Keep, replaced: Option<&Entry>| {
        place.file("file", "y");
        fs::set_permissions(place.root().join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        finish_file(&tree.open_file(path("file")).unwrap(), &entry, keep, replaced).unwrap();
        lstat(&tree, "file")
    };
    assert_same(&finished(&everything(), Some(&replaced)), &entry);
    assert_eq!(finished(&Keep::default(), Some(&replaced)).mode, 0o604);
    assert_eq!(finished(&Keep::default(), None).mode, 0o755 & !umask());
}

#[test]
fn who_may_not_give_a_file_away_gives_it_no_rights_of_its_owner_either() {
    if !bound_by_modes("tree::metadata::tests::who_may_not_give_a_file_away_gives_it_no_rights_of_its_owner_either") {
        return;
    }
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    let mut entry = wanted(&tree, "file", 0o6755);
    let own = entry.uid;
    entry.uid = own + 1;
    let error = apply(&tree, path("file"), &entry, &everything(), None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    let is = lstat(&tree, "file");
    assert_eq!((is.uid, is.mode, is.mtime), (own, 0o755, MTIME));
}

#[test]
fn a_missing_entry_is_an_error() {
    let place = Place::new();
    let tree = place.tree();
    place.file("file", "x");
    let entry = wanted(&tree, "file", 0o600);
    assert_eq!(apply(&tree, path("none"), &entry, &everything(), None).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn executability_follows_who_may_read_and_nothing_else_changes() {
    for (mode, source, wanted) in [
        (0o640, 0o700, 0o750),
        (0o640, 0o600, 0o640),
        (0o755, 0o644, 0o644),
        (0o711, 0o100, 0o711),
        (0o4200, 0o1, 0o4200),
    ] {
        assert_eq!(with_executability(mode, source), wanted, "{mode:o} {source:o}");
    }
}
