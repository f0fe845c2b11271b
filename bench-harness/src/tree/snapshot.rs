//! What a tree is: every name with its type, mode, time, size, link target and contents, and how two trees differ.
//!
//! Owner and group are left out on purpose: a plain user on a remote host cannot keep them, and then every tool's run
//! would be an error. Hard links are compared as separate files, since `-a` promises no more.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::Xxh3;

/// What a snapshot keeps of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its type and what only that type has.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky; 0 for links, which have none of their own.
    pub mode: u32,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, i64),
}

/// The types that a snapshot tells apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A file with its size in bytes and, unless only metadata was asked for, the XXH3-128 of its contents.
    File(u64, Option<u128>),
    /// A symbolic link with its target.
    Symlink(PathBuf),
    /// Anything else.
    Other,
}

/// One thing in which a tree is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, beneath the root.
    pub path: PathBuf,
    /// What.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.what)
    }
}

/// All entries of a tree by path, the root as the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    entries: BTreeMap<PathBuf, Record>,
}

impl Snapshot {
    /// Reads the whole tree, contents included.
    ///
    /// # Errors
    /// When something in it cannot be read.
    pub fn take(root: &Path) -> Result<Self> {
        Self::walk_all(root, true)
    }

    /// Reads names and metadata only.
    ///
    /// # Errors
    /// When something in it cannot be listed.
    pub fn metadata(root: &Path) -> Result<Self> {
        Self::walk_all(root, false)
    }

    fn walk_all(root: &Path, contents: bool) -> Result<Self> {
        let mut snapshot = Snapshot::default();
        snapshot.walk(root, PathBuf::new(), contents)?;
        Ok(snapshot)
    }

    fn walk(&mut self, root: &Path, path: PathBuf, contents: bool) -> Result<()> {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).with_context(|| format!("cannot stat {}", full.display()))?;
        if meta.is_dir() {
            for item in fs::read_dir(&full).with_context(|| format!("cannot list {}", full.display()))? {
                let name = item.with_context(|| format!("cannot list {}", full.display()))?.file_name();
                self.walk(root, path.join(name), contents)?;
            }
        }
        let record = record(&full, &meta, contents).with_context(|| format!("cannot read {}", full.display()))?;
        self.entries.insert(path, record);
        Ok(())
    }

    /// The entries by path; a directory stands before what is in it.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Path, &Record)> {
        self.entries.iter().map(|(path, record)| (path.as_path(), record))
    }

    /// The entry at this path.
    pub fn get(&self, path: &Path) -> Option<&Record> {
        self.entries.get(path)
    }

    /// The same without contents, to compare with a snapshot that has none.
    pub fn without_contents(mut self) -> Self {
        for record in self.entries.values_mut() {
            if let Kind::File(_, digest) = &mut record.kind {
                *digest = None;
            }
        }
        self
    }

    /// In what `actual` is not this tree; empty when it is.
    pub fn compare(&self, actual: &Snapshot) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut add = |path: &Path, what: String| found.push(Difference { path: path.to_owned(), what });
        for (path, expected) in &self.entries {
            match actual.entries.get(path) {
                None => add(path, "missing".into()),
                Some(record) => differences(expected, record).into_iter().for_each(|what| add(path, what)),
            }
        }
        for path in actual.entries.keys().filter(|p| !self.entries.contains_key(*p)) {
            add(path, "not in the source".into());
        }
        found
    }

    /// One value for the whole tree, as hexadecimal; the same on every machine.
    pub fn digest(&self) -> String {
        let mut hash = Xxh3::new();
        for (path, record) in &self.entries {
            hash.update(path.as_os_str().as_bytes());
            let (secs, nanos) = record.mtime;
            hash.update(format!("\0{:o} {secs} {nanos} {}", record.mode, record.kind.name()).as_bytes());
            match &record.kind {
                Kind::File(size, digest) => hash.update(format!(" {size} {:x}", digest.unwrap_or(0)).as_bytes()),
                Kind::Symlink(target) => hash.update(target.as_os_str().as_bytes()),
                Kind::Dir | Kind::Other => {}
            }
            hash.update(b"\0");
        }
        format!("{:032x}", hash.digest128())
    }
}

fn record(path: &Path, meta: &Metadata, contents: bool) -> io::Result<Record> {
    let kind = if meta.is_dir() {
        Kind::Dir
    } else if meta.is_symlink() {
        Kind::Symlink(fs::read_link(path)?)
    } else if meta.is_file() {
        Kind::File(meta.len(), if contents { Some(digest_file(path)?) } else { None })
    } else {
        Kind::Other
    };
    let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
    Ok(Record { kind, mode, mtime: (meta.mtime(), meta.mtime_nsec()) })
}

fn digest_file(path: &Path) -> io::Result<u128> {
    let (mut file, mut hash) = (File::open(path)?, Xxh3::new());
    let mut buffer = [0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.digest128()),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn differences(expected: &Record, actual: &Record) -> Vec<String> {
    let mut found = Vec::new();
    match (&expected.kind, &actual.kind) {
        (a, b) if a == b => {}
        (Kind::File(a, _), Kind::File(b, _)) if a != b => found.push(format!("size {b}, expected {a}")),
        (Kind::File(..), Kind::File(..)) => found.push("contents differ".into()),
        (Kind::Symlink(a), Kind::Symlink(b)) => found.push(format!("target {b:?}, expected {a:?}")),
        (a, b) => found.push(format!("is a {}, expected a {}", b.name(), a.name())),
    }
    if expected.mode != actual.mode {
        found.push(format!("mode {:o}, expected {:o}", actual.mode, expected.mode));
    }
    if expected.mtime != actual.mtime {
        let show = |(secs, nanos): (i64, i64)| format!("{secs}.{nanos:09}");
        found.push(format!("mtime {}, expected {}", show(actual.mtime), show(expected.mtime)));
    }
    found
}

impl Kind {
    fn name(&self) -> &'static str {
        match self {
            Kind::Dir => "directory",
            Kind::File(..) => "file",
            Kind::Symlink(_) => "symbolic link",
            Kind::Other => "special file",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::tree::times::set_mtime;

    fn sample() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), b"hello").unwrap();
        symlink("f", dir.path().join("d/l")).unwrap();
        for path in ["d/f", "d/l", "d", ""] {
            set_mtime(&dir.path().join(path), 1_600_000_000, 123_456_789).unwrap();
        }
        dir
    }

    /// Changes one thing beneath the root, then puts the times of all directories back.
    fn spoiled(spoil: impl Fn(&Path)) -> Vec<String> {
        let (good, bad) = (sample(), sample());
        spoil(bad.path());
        for path in ["d", ""] {
            let _ = set_mtime(&bad.path().join(path), 1_600_000_000, 123_456_789);
        }
        let (expected, actual) = (Snapshot::take(good.path()).unwrap(), Snapshot::take(bad.path()).unwrap());
        assert_eq!(expected.digest() == actual.digest(), expected.compare(&actual).is_empty());
        expected.compare(&actual).iter().map(ToString::to_string).collect()
    }

    fn keep_time(path: &Path) {
        set_mtime(path, 1_600_000_000, 123_456_789).unwrap();
    }

    #[test]
    fn equal_trees_do_not_differ() {
        assert_eq!(spoiled(|_| {}), Vec::<String>::new());
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        type Spoil = fn(&Path);
        let table: [(&str, Spoil); 9] = [
            ("\"d/f\": missing", |r| fs::remove_file(r.join("d/f")).unwrap()),
            ("\"d/x\": not in the source", |r| fs::write(r.join("d/x"), b"").unwrap()),
            ("\"d/f\": contents differ", |r| {
                fs::write(r.join("d/f"), b"hellO").unwrap();
                keep_time(&r.join("d/f"));
            }),
            ("\"d/f\": size 3, expected 5", |r| {
                fs::write(r.join("d/f"), b"hel").unwrap();
                keep_time(&r.join("d/f"));
            }),
            ("\"d/f\": mtime 1600000000.123456788, expected 1600000000.123456789", |r| {
                set_mtime(&r.join("d/f"), 1_600_000_000, 123_456_788).unwrap();
            }),
            ("\"d/l\": mtime 1600000000.000000000, expected 1600000000.123456789", |r| {
                set_mtime(&r.join("d/l"), 1_600_000_000, 0).unwrap();
            }),
            ("\"d/f\": mode 4755, expected 644", |r| {
                fs::set_permissions(r.join("d/f"), fs::Permissions::from_mode(0o4755)).unwrap();
            }),
            ("\"d/l\": target \"g\", expected \"f\"", |r| {
                fs::remove_file(r.join("d/l")).unwrap();
                symlink("g", r.join("d/l")).unwrap();
                keep_time(&r.join("d/l"));
            }),
            ("\"d/l\": is a directory, expected a symbolic link", |r| {
                fs::remove_file(r.join("d/l")).unwrap();
                fs::create_dir(r.join("d/l")).unwrap();
            }),
        ];
        for (expected, spoil) in table {
            let found = spoiled(spoil);
            assert!(found.iter().any(|d| d == expected), "{expected}: {found:?}");
        }
    }

    #[test]
    fn metadata_snapshot_equals_the_full_one_without_contents() {
        let dir = sample();
        let full = Snapshot::take(dir.path()).unwrap();
        assert_eq!(full.without_contents(), Snapshot::metadata(dir.path()).unwrap());
    }
}
