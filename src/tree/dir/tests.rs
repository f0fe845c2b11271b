use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::super::metadata::{self, Keep};
use super::super::place::TempFile;
use super::super::scanner::{ScanOptions, scan};
use super::super::testing::{Place, bound_by_modes, lstat, names, path, snapshot, write};
use super::*;

/// The two ways of opening directories: every rule holds for both.
fn trees(root: &Path) -> Vec<Tree> {
    [Strategy::best(), Strategy::Components]
        .map(|strategy| Tree::open_with(root, strategy, Follow::NOTHING).unwrap())
        .into()
}

fn everything() -> Keep {
    Keep { perms: true, times: true, owner: true, group: true, ..Keep::default() }
}

type Attempt = (&'static str, Box<dyn Fn(&Tree, &Path) -> io::Result<()>>);

/// Every method that goes through the parents of a path, each as a call that would succeed if a link were followed.
fn attempts() -> Vec<Attempt> {
    fn attempt<T>(name: &'static str, call: impl Fn(&Tree, &Path) -> io::Result<T> + 'static) -> Attempt {
        (name, Box::new(move |tree, path| call(tree, path).map(drop)))
    }
    vec![
        attempt("open_file", |tree, path| tree.open_file(path)),
        attempt("open_for_update", |tree, path| tree.open_for_update(path)),
        attempt("create_file", |tree, path| tree.create_file(&path.with_file_name("new"), 0o644)),
        attempt("create_dir", |tree, path| tree.create_dir(&path.with_file_name("new"), 0o755)),
        attempt("symlink", |tree, path| tree.symlink(Path::new("x"), &path.with_file_name("new"))),
        attempt("hard_link from", |tree, path| tree.hard_link(path, Path::new("new"))),
        attempt("hard_link to", |tree, path| tree.hard_link(Path::new("own"), &path.with_file_name("new"))),
        attempt("rename from", |tree, path| tree.rename(path, Path::new("new"))),
        attempt("rename to", |tree, path| tree.rename(Path::new("own"), path)),
        attempt("remove_file", |tree, path| tree.remove_file(path)),
        attempt("remove_dir", |tree, path| tree.remove_dir(&path.with_file_name("empty"))),
        attempt("remove_tree", |tree, path| tree.remove_tree(path, &mut |_, _| {})),
        attempt("read_dir", |tree, path| tree.read_dir(&path.with_file_name("empty"))),
        attempt("replace_with_symlink", |tree, path| tree.replace_with_symlink(Path::new("x"), path)),
        attempt("replace_with_hard_link", |tree, path| tree.replace_with_hard_link(Path::new("own"), path)),
        attempt("replace_with_node", |tree, path| tree.replace_with_node(&Kind::Fifo, path, 0o644)),
        attempt("make_node", |tree, path| tree.make_node(&path.with_file_name("new"), &Kind::Fifo, 0o644)),
        attempt("temporary file", |tree, path| TempFile::create(tree, path)?.commit()),
        attempt("metadata", |tree, path| {
            let mut entry = tree.lstat(Path::new("own"))?.unwrap();
            entry.mode = 0o600;
            metadata::apply(tree, path, &entry, &everything(), None)
        }),
    ]
}

#[test]
fn every_method_works_where_no_link_is_planted() {
    for (what, call) in attempts() {
        for which in 0..2 {
            let place = Place::new();
            place.file("a/b/c/file", "x");
            place.directory("a/b/c/empty");
            place.file("own", "own");
            let tree = &trees(&place.root())[which];
            let result = call(tree, path("a/b/c/file"));
            assert!(result.is_ok(), "{what}: {result:?}");
        }
    }
}

#[test]
fn a_link_planted_at_any_parent_is_refused_by_every_method() {
    for (what, call) in attempts() {
        for position in 0..3 {
            let place = Place::new();
            let parents = ["a", "b", "c"];
            let above: PathBuf = parents[..position].iter().collect();
            let below: PathBuf = parents[position + 1..].iter().collect();
            // What a follower of the link would find.
            write(&place.outside().join(&below).join("file"), "untouched");
            fs::create_dir(place.outside().join(&below).join("empty")).unwrap();
            fs::create_dir_all(place.root().join(&above)).unwrap();
            place.file("own", "own");
            symlink(place.outside(), place.root().join(&above).join(parents[position])).unwrap();
            let before = snapshot(&place.outside());
            for tree in trees(&place.root()) {
                let result = call(&tree, path("a/b/c/file"));
                assert!(result.is_err(), "{what} with a link at {position}, {:?}", tree.strategy);
                assert!(tree.lstat(path("a/b/c/file")).unwrap().is_none());
                assert_eq!(snapshot(&place.outside()), before, "{what} with a link at {position}");
                assert_eq!(place.read("own"), b"own");
            }
        }
    }
}

#[test]
fn a_link_at_the_last_component_is_itself_and_never_its_target() {
    let place = Place::new();
    write(&place.outside().join("file"), "untouched");
    fs::create_dir(place.outside().join("dir")).unwrap();
    write(&place.outside().join("dir/inner"), "untouched");
    let before = snapshot(&place.outside());
    for tree in trees(&place.root()) {
        let plant = |target: &str| {
            let _ = fs::remove_file(place.root().join("link"));
            symlink(place.outside().join(target), place.root().join("link")).unwrap();
        };
        plant("file");
        assert_eq!(tree.open_file(path("link")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(tree.open_for_update(path("link")).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(tree.create_file(path("link"), 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let mut entry = lstat(&tree, "link");
        assert_eq!(entry.kind, Kind::Symlink { target: place.outside().join("file").into() });
        // A file's metadata meant for this name, which has become a link meanwhile.
        entry.kind = Kind::File { size: 0 };
        entry.mode = 0o777;
        entry.mtime.secs = 1;
        let _ = metadata::apply(&tree, path("link"), &entry, &everything(), None);
        TempFile::create(&tree, path("link")).unwrap().commit().unwrap();
        assert!(lstat(&tree, "link").is_file());
        plant("dir");
        assert!(tree.read_dir(path("link")).is_err());
        assert!(tree.lstat(path("link/inner")).unwrap().is_none());
        tree.hard_link(path("link"), path("second")).unwrap();
        assert!(matches!(lstat(&tree, "second").kind, Kind::Symlink { .. }));
        tree.replace_with_symlink(path("elsewhere"), path("second")).unwrap();
        assert_eq!(lstat(&tree, "second").kind, Kind::Symlink { target: path("elsewhere").into() });
        for name in ["link", "second"] {
            let mut removed = Vec::new();
            tree.remove_tree(path(name), &mut |path, file_type| {
                removed.push((path.to_owned(), file_type == FileType::Dir))
            })
            .unwrap();
            assert_eq!(removed, [(PathBuf::from(name), false)]);
        }
        assert_eq!(snapshot(&place.outside()), before);
    }
}

#[test]
fn links_inside_a_removed_tree_are_removed_and_not_entered() {
    let place = Place::new();
    write(&place.outside().join("dir/inner"), "untouched");
    let before = snapshot(&place.outside());
    for tree in trees(&place.root()) {
        place.directory("a/b");
        symlink(place.outside(), place.root().join("a/out")).unwrap();
        symlink(place.outside().join("dir"), place.root().join("a/b/dir")).unwrap();
        tree.remove_tree(path("a"), &mut |_, _| {}).unwrap();
        assert!(tree.lstat(path("a")).unwrap().is_none());
        assert_eq!(snapshot(&place.outside()), before);
    }
}

#[test]
fn any_bytes_but_slash_and_nul_are_a_name() {
    let longest = vec![b'n'; 255];
    let wide = "\u{1F980}".repeat(63).into_bytes();
    for name in [&b"a\nb"[..], b"\xff\xfe\x80", b"-rf", b" ", b"$(id);'\"`", b"...", &longest, &wide] {
        let place = Place::new();
        let name = PathBuf::from(OsString::from_vec(name.to_vec()));
        for tree in trees(&place.root()) {
            tree.create_dir(&name, 0o755).unwrap();
            let inner = name.join(&name);
            drop(tree.create_file(&inner, 0o644).unwrap());
            TempFile::create(&tree, &inner).unwrap().commit().unwrap();
            tree.replace_with_symlink(&name, &inner).unwrap();
            assert_eq!(tree.lstat(&inner).unwrap().unwrap().kind, Kind::Symlink { target: name.as_path().into() });
            let items = tree.read_dir(&name).unwrap();
            assert_eq!(items, [DirItem { name: name.clone().into(), file_type: Some(FileType::Symlink) }]);
            tree.remove_tree(&name, &mut |_, _| {}).unwrap();
            assert!(names(&place.root()).is_empty());
        }
    }
}

#[test]
fn a_name_too_long_is_an_error_and_not_a_missing_entry() {
    let place = Place::new();
    let name = "n".repeat(256);
    for tree in trees(&place.root()) {
        assert!(tree.lstat(path(&name)).is_err());
        assert!(tree.create_dir(path(&name), 0o755).is_err());
    }
}

#[test]
fn whatever_took_the_place_of_a_file_is_refused_without_waiting() {
    let place = Place::new();
    place.directory("dir");
    for tree in trees(&place.root()) {
        tree.make_node(path("fifo"), &Kind::Fifo, 0o666).unwrap();
        tree.make_node(path("socket"), &Kind::Socket, 0o666).unwrap();
        assert!(fs::symlink_metadata(place.root().join("fifo")).unwrap().file_type().is_fifo());
        assert_eq!(lstat(&tree, "socket").kind, Kind::Socket);
        for name in ["fifo", "socket", "dir"] {
            assert_eq!(tree.open_file(path(name)).unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
            assert_eq!(tree.open_for_update(path(name)).unwrap_err().kind(), io::ErrorKind::InvalidData, "{name}");
        }
        tree.remove_file(path("fifo")).unwrap();
        tree.remove_file(path("socket")).unwrap();
    }
}

#[test]
fn a_device_keeps_its_number() {
    let place = Place::new();
    let tree = place.tree();
    let rdev = fs::metadata("/dev/null").unwrap().rdev();
    match tree.make_node(path("null"), &Kind::CharDevice { rdev }, 0o666) {
        Ok(()) => assert_eq!(lstat(&tree, "null").kind, Kind::CharDevice { rdev }),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}"),
    }
    assert_eq!(tree.make_node(path("x"), &Kind::Dir, 0o755).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn an_entry_is_what_lstat_says() {
    let place = Place::new();
    place.file("a/file", "12345");
    fs::set_permissions(place.root().join("a/file"), fs::Permissions::from_mode(0o4751)).unwrap();
    let meta = fs::metadata(place.root().join("a/file")).unwrap();
    for tree in trees(&place.root()) {
        let entry = lstat(&tree, "a/file");
        assert_eq!(entry.kind, Kind::File { size: 5 });
        assert_eq!((entry.mode, entry.uid, entry.gid), (0o4751, meta.uid(), meta.gid()));
        assert_eq!((entry.mtime.secs, i64::from(entry.mtime.nanos)), (meta.mtime(), meta.mtime_nsec()));
        assert_eq!((entry.relative(), &*entry.path()), (path("a/file"), &*place.root().join("a/file")));
        assert!(lstat(&tree, ".").is_dir());
        for missing in ["b", "b/c", "a/file/c"] {
            assert!(tree.lstat(path(missing)).unwrap().is_none(), "{missing}");
        }
    }
}

#[test]
fn the_root_is_opened_through_the_operator_s_own_link_and_must_be_a_directory() {
    let place = Place::new();
    place.file("file", "x");
    let link = place.outside().join("link");
    symlink(place.root(), &link).unwrap();
    assert!(lstat(&Tree::open(&link).unwrap(), "file").is_file());
    assert_eq!(Tree::open(&place.root().join("file")).unwrap_err().kind(), io::ErrorKind::NotADirectory);
    assert_eq!(Tree::open(&place.root().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_directory_that_we_made_anew_is_not_mistaken_for_the_old_one() {
    let place = Place::new();
    for tree in trees(&place.root()) {
        let other = tree.try_clone().unwrap();
        let make = |tree: &Tree| tree.create_file(path("a/b/file"), 0o644).map(drop);
        place.directory("a/b");
        make(&tree).unwrap();
        tree.remove_tree(path("a"), &mut |_, _| {}).unwrap();
        place.directory("a/b");
        make(&tree).unwrap();
        other.remove_tree(path("a/b"), &mut |_, _| {}).unwrap();
        place.directory("a/b");
        make(&tree).unwrap();
        tree.remove_file(path("a/b/file")).unwrap();
        other.remove_dir(path("a/b")).unwrap();
        tree.create_dir(path("a/b"), 0o755).unwrap();
        make(&tree).unwrap();
        other.rename(path("a/b"), path("a/c")).unwrap();
        tree.create_dir(path("a/b"), 0o755).unwrap();
        make(&tree).unwrap();
        assert!(lstat(&tree, "a/b/file").is_file());
        tree.remove_tree(path("a"), &mut |_, _| {}).unwrap();
    }
}

#[test]
fn a_tree_is_removed_bottom_up_and_every_path_is_told() {
    let place = Place::new();
    for tree in trees(&place.root()) {
        place.file("top/b/file", "");
        place.file("top/a/deep/file", "");
        place.file("top/z", "");
        place.file("stays", "");
        let mut removed = Vec::new();
        tree.remove_tree(path("top"), &mut |path, file_type| {
            removed.push((path.display().to_string(), file_type == FileType::Dir))
        })
        .unwrap();
        let told =
            |text: &str| text.split(' ').map(|name| (name.trim_end_matches('/').into(), name.ends_with('/'))).collect();
        let expected: Vec<(String, bool)> = told("top/z top/b/file top/b/ top/a/deep/file top/a/deep/ top/a/ top/");
        assert_eq!(removed, expected);
        assert_eq!(names(&place.root()), [b"stays"]);
        assert_eq!(tree.remove_tree(path("none"), &mut |_, _| {}).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(tree.remove_tree(path("."), &mut |_, _| {}).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_mount_point_is_not_opened_to_be_emptied() {
    let root: OwnedFd = fs::File::open("/").unwrap().into();
    let device = |path: &str| fs::metadata(path).unwrap().dev();
    for name in ["proc", "dev", "sys", "usr", "tmp"] {
        let Ok(meta) = fs::symlink_metadata(Path::new("/").join(name)) else { continue };
        if meta.is_dir() && meta.dev() != device("/") {
            let error = beneath::open_same_mount(root.as_fd(), name).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::XDEV.raw_os_error()), "{name}");
        }
    }
    let place = Place::new();
    place.directory("a");
    assert!(beneath::open_same_mount(place.tree().root.as_fd(), "a").is_ok());
}

#[test]
fn directories_closed_to_their_owner_are_opened_up_to_be_removed() {
    if !bound_by_modes("tree::dir::tests::directories_closed_to_their_owner_are_opened_up_to_be_removed") {
        return;
    }
    let place = Place::new();
    for mode in [0o000, 0o400, 0o100, 0o200, 0o500, 0o300] {
        for tree in trees(&place.root()) {
            place.file("top/a/b/file", "");
            place.directory("top/a/c");
            for closed in ["top/a/b", "top/a", "top"] {
                fs::set_permissions(place.root().join(closed), fs::Permissions::from_mode(mode)).unwrap();
            }
            tree.remove_tree(path("top"), &mut |_, _| {}).unwrap();
            assert!(names(&place.root()).is_empty(), "{mode:o}");
        }
    }
}

#[test]
fn what_cannot_be_removed_stays_with_its_parents_and_the_rest_goes() {
    if !bound_by_modes("tree::dir::tests::what_cannot_be_removed_stays_with_its_parents_and_the_rest_goes") {
        return;
    }
    let place = Place::new();
    let tree = place.tree();
    place.file("closed/top/a/file", "");
    place.file("closed/top/b", "");
    // The directory itself may be emptied, but not taken out of its parent.
    fs::set_permissions(place.root().join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut removed = 0;
    let error = tree.remove_tree(path("closed/top"), &mut |_, _| removed += 1).unwrap_err();
    assert_eq!((error.kind(), removed), (io::ErrorKind::PermissionDenied, 3));
    fs::set_permissions(place.root().join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(names(&place.root().join("closed")), [b"top"]);
}

#[test]
fn parents_that_may_be_searched_but_not_read_are_passed_through() {
    if !bound_by_modes("tree::dir::tests::parents_that_may_be_searched_but_not_read_are_passed_through") {
        return;
    }
    let place = Place::new();
    place.file("a/b/file", "x");
    let closed = ["a/b", "a", "."];
    for name in closed {
        fs::set_permissions(place.root().join(name), fs::Permissions::from_mode(0o311)).unwrap();
    }
    for tree in trees(&place.root()) {
        assert!(tree.open_file(path("a/b/file")).is_ok());
        TempFile::create(&tree, path("a/b/file")).unwrap().commit().unwrap();
    }
    for name in closed.iter().rev() {
        fs::set_permissions(place.root().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Makes `depth` directories `d/d/...`, the last with a file in it, by handles: no path could say it.
fn dig(root: &Path, depth: usize) {
    let mut handle: OwnedFd = fs::File::open(root).unwrap().into();
    for _ in 0..depth {
        mkdirat(&handle, "d", bits(0o755)).unwrap();
        handle = open_for_listing(handle.as_fd(), "d").unwrap();
    }
    openat(&handle, "file", OFlags::CREATE | OFlags::WRONLY, bits(0o644)).unwrap();
}

#[test]
fn a_path_longer_than_path_max_is_no_obstacle() {
    let place = Place::in_memory();
    let deep: PathBuf = std::iter::repeat_n("d", 2500).collect();
    for tree in trees(&place.root()) {
        dig(&place.root(), 2500);
        let file = deep.join("file");
        assert!(tree.open_file(&file).is_ok());
        TempFile::create(&tree, &file).unwrap().commit().unwrap();
        tree.create_dir(&deep.join("new"), 0o755).unwrap();
        assert_eq!(tree.read_dir(&deep).unwrap().len(), 2);
        tree.remove_tree(path("d"), &mut |_, _| {}).unwrap();
        assert!(names(&place.root()).is_empty());
    }
}

#[test]
fn a_tree_of_ten_thousand_levels_is_scanned_and_removed() {
    const DEPTH: usize = 10_500;
    let place = Place::in_memory();
    dig(&place.root(), DEPTH);
    let tree = place.tree();
    let options = ScanOptions { recursive: true, one_file_system: true, skip_mounts: false, hard_links: true };
    let report = &mut |path: &Path, error| panic!("{} bytes deep: {error}", path.as_os_str().len());
    let entries = scan(&tree, path("."), &options, &mut |_: &Path, _: bool| true, report);
    assert_eq!(entries.len(), DEPTH + 2);
    assert_eq!(entries[DEPTH + 1].relative().as_os_str().len(), 2 * DEPTH + "file".len());
    drop(entries);
    let mut removed = 0;
    tree.remove_tree(path("d"), &mut |_, _| removed += 1).unwrap();
    assert_eq!(removed, DEPTH + 1);
    assert!(names(&place.root()).is_empty());
}

#[test]
fn a_replaced_entry_leaves_no_temporary_name_behind() {
    let place = Place::new();
    for tree in trees(&place.root()) {
        place.file("file", "x");
        place.file("old", "y");
        tree.replace_with_hard_link(path("file"), path("old")).unwrap();
        // The same again is the case in which rename does nothing.
        tree.replace_with_hard_link(path("file"), path("old")).unwrap();
        assert_eq!(fs::metadata(place.root().join("old")).unwrap().nlink(), 2);
        tree.replace_with_node(&Kind::Fifo, path("old"), 0o600).unwrap();
        assert_eq!(lstat(&tree, "old").kind, Kind::Fifo);
        tree.replace_with_symlink(path("t"), path("old")).unwrap();
        place.directory("dir");
        let error = tree.replace_with_symlink(path("t"), path("dir")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(tree.replace_with_hard_link(path("none"), path("old")).is_err());
        assert_eq!(names(&place.root()), [&b"dir"[..], b"file", b"old"]);
        tree.remove_dir(path("dir")).unwrap();
        tree.remove_file(path("old")).unwrap();
    }
}

#[test]
fn names_come_in_the_order_of_their_bytes_with_their_types() {
    let place = Place::new();
    for name in ["b", "a", "B", "a.b", "a-", "\u{e9}", "~"] {
        place.file(name, "");
    }
    place.directory("a0");
    symlink("x", place.root().join("a1")).unwrap();
    for tree in trees(&place.root()) {
        let items = tree.read_dir(path(".")).unwrap();
        let listed: Vec<_> = items.iter().map(|item| item.name.to_str().unwrap()).collect();
        assert_eq!(listed, ["B", "a", "a-", "a.b", "a0", "a1", "b", "~", "\u{e9}"]);
        assert_eq!(items[4].file_type, Some(FileType::Dir));
        assert_eq!(items[5].file_type, Some(FileType::Symlink));
        assert_eq!(items[6].file_type, Some(FileType::File));
    }
}

#[test]
fn a_directory_larger_than_the_buffer_is_read_whole() {
    let place = Place::new();
    let long = "n".repeat(200);
    for number in 0..1000 {
        place.file(&format!("{long}{number:04}"), "");
    }
    let items = place.tree().read_dir(path(".")).unwrap();
    assert_eq!(items.len(), 1000);
    assert!(items.windows(2).all(|pair| pair[0].name < pair[1].name));
}

#[test]
fn a_tree_can_be_shared_by_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Tree>();
    shared::<TempFile>();
}
