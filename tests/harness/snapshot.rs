//! What a tree on disk is like, for comparing: everything that a sync is there to keep.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

/// Contents, by type.
#[derive(Clone, PartialEq, Eq)]
pub enum Contents {
    File { size: u64, digest: Option<u128> },
    Dir,
    Symlink(PathBuf),
    Fifo,
    Socket,
    Device(u64),
}

/// One entry of a tree.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    pub contents: Contents,
    pub mode: u32,
    pub mtime: (i64, i64),
    pub owner: (u32, u32),
    /// Extended attributes, ACLs among them, but for what a system gives to each file by itself.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Access time in seconds, as rsync keeps it, where it was asked for.
    pub atime: Option<i64>,
    /// The first name of the same file, if it has several names in the tree.
    pub first_name: Option<PathBuf>,
}

/// All entries of a tree by their paths below its root, which is `.`; empty if there is no such tree.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub items: BTreeMap<PathBuf, Item>,
}

impl Snapshot {
    pub fn of(root: &Path) -> Snapshot {
        let mut items = BTreeMap::new();
        let mut names: HashMap<(u64, u64), Vec<PathBuf>> = HashMap::new();
        let mut left = vec![PathBuf::from(".")];
        while let Some(path) = left.pop() {
            let full = if path == Path::new(".") { root.to_path_buf() } else { root.join(&path) };
            let Ok(found) = full.symlink_metadata() else { continue };
            if found.is_dir() {
                left.extend(list(&full, &path));
            } else if found.nlink() > 1 {
                names.entry((found.dev(), found.ino())).or_default().push(path.clone());
            }
            items.insert(path, Item::of(&full, &found));
        }
        for mut group in names.into_values().filter(|group| group.len() > 1) {
            group.sort();
            for path in &group {
                items.get_mut(path).expect("listed above").first_name = Some(group[0].clone());
            }
        }
        Snapshot { items }
    }

    /// With the access times that were noted before the snapshot was taken, since that reads files.
    pub fn with_atimes(mut self, atimes: &BTreeMap<PathBuf, i64>) -> Snapshot {
        for (path, item) in &mut self.items {
            item.atime = atimes.get(path).copied();
        }
        self
    }

    pub fn names(&self) -> Vec<String> {
        self.items.keys().map(|path| path.as_os_str().as_bytes().escape_ascii().to_string()).collect()
    }

    /// Lines that say what differs from `expected`; none if nothing does.
    pub fn differences(&self, expected: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        for (path, item) in &self.items {
            let shown = path.as_os_str().as_bytes().escape_ascii();
            match expected.items.get(path) {
                None => lines.push(format!("{shown}: is there ({}), should not be", item.shown())),
                Some(other) if item == other => {}
                Some(other) => lines.push(format!("{shown}: is {}, should be {}", item.shown(), other.shown())),
            }
        }
        let missing = expected.items.iter().filter(|(path, _)| !self.items.contains_key(*path));
        lines.extend(missing.map(|(path, item)| {
            format!("{}: is missing, should be {}", path.as_os_str().as_bytes().escape_ascii(), item.shown())
        }));
        lines
    }

    #[track_caller]
    pub fn assert_same(&self, expected: &Snapshot) {
        let lines = self.differences(expected);
        assert!(lines.is_empty(), "{} differences:\n{}", lines.len(), lines[..lines.len().min(30)].join("\n"));
    }
}

/// The access times below a root, in seconds, of all that is not accessed by looking at it: directories and links are.
pub fn atimes(root: &Path) -> BTreeMap<PathBuf, i64> {
    let found = paths(root).into_iter().map(|path| (root.join(&path).symlink_metadata(), path));
    found
        .filter_map(|(found, path)| {
            Some((path, found.ok().filter(|found| !found.is_dir() && !found.is_symlink())?.atime()))
        })
        .collect()
}

/// The extended attributes of what is at `path`; none where there can be none.
pub fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut names, mut value) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let names = names.map(|name| String::from_utf8_lossy(name).into_owned());
    let told = names.filter(|name| name != "security.selinux" && !name.starts_with("com.apple."));
    told.filter_map(|name| {
        let len = rustix::fs::lgetxattr(path, name.as_str(), &mut value[..]).ok()?;
        Some((name, value[..len].to_vec()))
    })
    .collect()
}

/// The paths below a root, without a look at contents.
pub fn paths(root: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut left) = (BTreeSet::new(), vec![PathBuf::from(".")]);
    while let Some(path) = left.pop() {
        let full = root.join(&path);
        if full.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            left.extend(list(&full, &path));
        }
        found.insert(path);
    }
    found
}

fn list(full: &Path, path: &Path) -> Vec<PathBuf> {
    // A directory closed to us is compared by what is known of it from outside.
    let items = fs::read_dir(full).into_iter().flatten().flatten();
    items
        .map(|item| if path == Path::new(".") { item.file_name().into() } else { path.join(item.file_name()) })
        .collect()
}

impl Item {
    fn of(path: &Path, found: &fs::Metadata) -> Item {
        let file_type = found.file_type();
        let contents = if file_type.is_file() {
            Contents::File { size: found.len(), digest: fs::read(path).ok().map(|bytes| xxh3_128(&bytes)) }
        } else if file_type.is_dir() {
            Contents::Dir
        } else if file_type.is_symlink() {
            Contents::Symlink(fs::read_link(path).expect("a link that is there"))
        } else if file_type.is_fifo() {
            Contents::Fifo
        } else if file_type.is_socket() {
            Contents::Socket
        } else {
            Contents::Device(found.rdev())
        };
        Item {
            contents,
            mode: found.mode() & 0o7777,
            mtime: (found.mtime(), found.mtime_nsec()),
            owner: (found.uid(), found.gid()),
            xattrs: xattrs(path),
            atime: None,
            first_name: None,
        }
    }

    fn shown(&self) -> String {
        let contents = match &self.contents {
            Contents::File { size, digest } => {
                format!("a file of {size} bytes ({:08x})", digest.unwrap_or_default() as u32)
            }
            Contents::Dir => "a directory".into(),
            Contents::Symlink(target) => format!("a link to {target:?}"),
            Contents::Fifo => "a FIFO".into(),
            Contents::Socket => "a socket".into(),
            Contents::Device(number) => format!("a device {number:#x}"),
        };
        let linked = self.first_name.as_ref().map(|first| format!(" = {first:?}")).unwrap_or_default();
        let ((secs, nanos), (uid, gid)) = (self.mtime, self.owner);
        let atime = self.atime.map(|secs| format!(" read {secs}")).unwrap_or_default();
        let xattrs =
            self.xattrs.iter().map(|(name, value)| format!(" {name}={}", value[..value.len().min(40)].escape_ascii()));
        let xattrs: String = xattrs.collect();
        format!("{contents} {:o} {uid}:{gid} {secs}.{nanos:09}{atime}{linked}{xattrs}", self.mode)
    }
}
