//! Trees as data, written to a disk as often as a test needs them.
//!
//! Parents need not be named. Attributes are set last and from the leaves up, so that a closed directory can have contents.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, XattrFlags, utimensat};

/// What an entry without a time of its own gets: a fixed one, so that two trees written one after the other are equal.
const DEFAULT_TIME: (i64, u32) = (1_700_000_000, 123_456_789);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File(Vec<u8>),
    /// Length, and pieces of data in it: the rest is holes.
    Sparse(u64, Vec<(u64, Vec<u8>)>),
    Dir,
    Symlink(PathBuf),
    /// Another name of an entry before it.
    HardLink(PathBuf),
    Fifo,
    /// Major and minor number; only root makes one.
    CharDevice(u64, u64),
}

#[derive(Clone, Debug)]
pub struct Spec {
    pub node: Node,
    pub mode: Option<u32>,
    pub mtime: (i64, u32),
    /// None: what making it makes of it.
    pub atime: Option<(i64, u32)>,
    pub owner: Option<(u32, u32)>,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// A tree to be written; `.` is its root.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub entries: BTreeMap<PathBuf, Spec>,
    last: PathBuf,
}

impl Tree {
    pub fn new() -> Tree {
        Tree::default().dir(".")
    }

    pub fn put(mut self, path: impl AsRef<OsStr>, node: Node) -> Tree {
        let path = PathBuf::from(path.as_ref());
        let mut parent = path.parent();
        while let Some(dir) = parent.filter(|dir| !dir.as_os_str().is_empty()) {
            self.entries.entry(dir.to_path_buf()).or_insert_with(|| Spec::new(Node::Dir));
            parent = dir.parent();
        }
        self.entries.insert(path.clone(), Spec::new(node));
        self.last = path;
        self
    }

    pub fn file(self, path: impl AsRef<OsStr>, bytes: impl AsRef<[u8]>) -> Tree {
        self.put(path, Node::File(bytes.as_ref().to_vec()))
    }

    pub fn dir(self, path: impl AsRef<OsStr>) -> Tree {
        self.put(path, Node::Dir)
    }

    pub fn symlink(self, path: impl AsRef<OsStr>, target: impl AsRef<Path>) -> Tree {
        self.put(path, Node::Symlink(target.as_ref().to_path_buf()))
    }

    pub fn hard_link(self, path: impl AsRef<OsStr>, first: impl AsRef<Path>) -> Tree {
        self.put(path, Node::HardLink(first.as_ref().to_path_buf()))
    }

    pub fn fifo(self, path: impl AsRef<OsStr>) -> Tree {
        self.put(path, Node::Fifo)
    }

    /// The mode of the entry that was put last.
    pub fn mode(mut self, mode: u32) -> Tree {
        self.spec().mode = Some(mode);
        self
    }

    /// The time of the entry that was put last.
    pub fn mtime(mut self, secs: i64, nanos: u32) -> Tree {
        self.spec().mtime = (secs, nanos);
        self
    }

    /// The access time of the entry that was put last.
    pub fn atime(mut self, secs: i64, nanos: u32) -> Tree {
        self.spec().atime = Some((secs, nanos));
        self
    }

    /// An extended attribute of the entry that was put last.
    pub fn xattr(mut self, name: &str, value: impl AsRef<[u8]>) -> Tree {
        self.spec().xattrs.insert(name.into(), value.as_ref().to_vec());
        self
    }

    /// Owner and group of the entry that was put last; only root can give them.
    pub fn owner(mut self, uid: u32, gid: u32) -> Tree {
        self.spec().owner = Some((uid, gid));
        self
    }

    fn spec(&mut self) -> &mut Spec {
        self.entries.get_mut(&self.last).expect("what was put last")
    }

    /// Writes the tree at `root`, which is made if it is not there.
    pub fn write(&self, root: &Path) {
        fs::create_dir_all(root).expect("the root of a tree");
        for (path, spec) in self.entries.iter().filter(|(_, spec)| !matches!(spec.node, Node::HardLink(_))) {
            make(&root.join(path), &spec.node).unwrap_or_else(|error| panic!("making {}: {error}", path.display()));
        }
        for (path, spec) in &self.entries {
            if let Node::HardLink(first) = &spec.node {
                fs::hard_link(root.join(first), root.join(path)).expect("a hard link");
            }
        }
        let mut deepest_first: Vec<_> = self.entries.iter().collect();
        deepest_first.sort_by_key(|(path, _)| {
            std::cmp::Reverse(if path.as_os_str() == "." { 0 } else { path.components().count() })
        });
        for (path, spec) in deepest_first {
            if !matches!(spec.node, Node::HardLink(_)) {
                // `root/.` could not be reached any more once the root is closed.
                let path = if path.as_os_str() == "." { root.to_path_buf() } else { root.join(path) };
                spec.set_attributes(&path);
            }
        }
    }
}

impl Tree {
    /// Gives what is at `root` the access times of the tree once more: to look at it has moved them.
    pub fn set_atimes(&self, root: &Path) {
        self.entries.iter().for_each(|(path, spec)| spec.set_atime(&root.join(path)));
    }
}

fn make(path: &Path, node: &Node) -> std::io::Result<()> {
    match node {
        Node::File(bytes) => fs::write(path, bytes),
        Node::Sparse(len, pieces) => {
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
            file.set_len(*len)?;
            pieces.iter().try_for_each(|(offset, bytes)| file.write_all_at(bytes, *offset))
        }
        Node::Dir => fs::create_dir_all(path),
        Node::Symlink(target) => std::os::unix::fs::symlink(target, path),
        Node::HardLink(_) => Ok(()),
        Node::Fifo => Ok(nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o644))?),
        Node::CharDevice(major, minor) => {
            let number = rustix::fs::makedev(*major as u32, *minor as u32);
            Ok(nix::sys::stat::mknod(path, SFlag::S_IFCHR, Mode::from_bits_truncate(0o644), number)?)
        }
    }
}

impl Spec {
    pub fn new(node: Node) -> Spec {
        Spec { node, mode: None, mtime: DEFAULT_TIME, atime: None, owner: None, xattrs: BTreeMap::new() }
    }

    fn set_attributes(&self, path: &Path) {
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::lchown(path, Some(uid), Some(gid)).expect("root gives files away");
        }
        for (name, value) in &self.xattrs {
            rustix::fs::lsetxattr(path, name.as_str(), value, XattrFlags::empty())
                .unwrap_or_else(|error| panic!("attribute {name} of {}: {error}", path.display()));
        }
        let usual = if self.node == Node::Dir { 0o755 } else { 0o644 };
        if !matches!(self.node, Node::Symlink(_)) {
            let mode = fs::Permissions::from_mode(self.mode.unwrap_or(usual));
            fs::set_permissions(path, mode).expect("the mode of a file of ours");
        }
        set_mtime(path, self.mtime);
        self.set_atime(path);
    }

    fn set_atime(&self, path: &Path) {
        let Some((secs, nanos)) = self.atime else { return };
        let times = Timestamps {
            last_access: Timespec { tv_sec: secs, tv_nsec: nanos.into() },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        };
        utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("the time of a file of ours");
    }
}

/// Sets the modification time of what is at `path`, a link itself included.
pub fn set_mtime(path: &Path, (secs, nanos): (i64, u32)) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: secs, tv_nsec: nanos.into() },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("the time of a file of ours");
}

/// Opens up the directories below `path`, so that it can be removed.
pub fn make_removable(path: &Path) {
    let is_dir = |path: &Path| path.symlink_metadata().is_ok_and(|found| found.is_dir());
    if !is_dir(path) {
        return;
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for item in fs::read_dir(path).into_iter().flatten().flatten() {
        make_removable(&item.path());
    }
}

/// A name that is no text.
pub fn name(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// An access control list as Linux keeps it: of owner, group and others, of users, of groups, and a mask.
pub fn acl([owner, group, other]: [u8; 3], users: &[(u32, u8)], groups: &[(u32, u8)], mask: Option<u8>) -> Vec<u8> {
    let nobody = u32::MAX;
    let users = users.iter().map(|(id, perms)| (2u16, *perms, *id));
    let groups = groups.iter().map(|(id, perms)| (8, *perms, *id));
    let items = [(1, owner, nobody)].into_iter().chain(users).chain([(4, group, nobody)]).chain(groups);
    let items = items.chain(mask.map(|perms| (16, perms, nobody))).chain([(32, other, nobody)]);
    let bytes = |(tag, perms, id): (u16, u8, u32)| {
        [&tag.to_le_bytes()[..], &u16::from(perms).to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2u32.to_le_bytes().to_vec()].into_iter().chain(items.map(bytes)).flatten().collect()
}
