//! What a tree is: every name with its type, mode, time, size, link target and contents, and how two trees differ.
//!
//! Owner and group are left out on purpose: a plain user on a remote host cannot keep them, and then every tool's run
//! would be an error. Hard links are compared as separate files, since `-a` promises no more.
//!
//! A tree of a million files is read after every sync of it: the directories of the root are read side by side, and entries
//! lie in one list in the order of their paths, which is what the two things done with them, walking and merging, want.

use std::cmp::Ordering;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rayon::prelude::*;
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

/// All entries of a tree, the root as the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// In the order of paths, component by component: a directory, all that is in it, then its next sibling.
    entries: Vec<Entry>,
}

type Entry = (PathBuf, Record);

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
        let meta = fs::symlink_metadata(root).with_context(|| format!("cannot stat {}", root.display()))?;
        let mut top = Walker::new(root, contents);
        if !meta.is_dir() {
            top.walk(PathBuf::new(), &meta)?;
            return Ok(Snapshot { entries: top.entries });
        }
        top.add(PathBuf::new(), &meta)?;
        let below = |(name, meta): (OsString, Metadata)| -> Result<Vec<Entry>> {
            let mut walker = Walker::new(root, contents);
            walker.walk(name.into(), &meta)?;
            Ok(walker.entries)
        };
        let parts = list(root)?.into_par_iter().map(below).collect::<Result<Vec<_>>>()?;
        top.entries.extend(parts.into_iter().flatten());
        Ok(Snapshot { entries: top.entries })
    }

    /// The entries by path; a directory stands before what is in it.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Path, &Record)> {
        self.entries.iter().map(|(path, record)| (path.as_path(), record))
    }

    /// Every path of the two trees, in order, with what each of them has there.
    pub fn beside<'a>(&'a self, other: &'a Snapshot) -> impl Iterator<Item = Pair<'a>> {
        let (mut ours, mut theirs) = (self.entries.iter().peekable(), other.entries.iter().peekable());
        std::iter::from_fn(move || {
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                // By far most of them are equal, which bytes tell sooner than components.
                (Some((a, _)), Some((b, _))) if a.as_os_str() == b.as_os_str() => Ordering::Equal,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let own = if order.is_le() { ours.next() } else { None };
            let their = if order.is_ge() { theirs.next() } else { None };
            let path = own.or(their).map(|(path, _)| path.as_path())?;
            Some((path, own.map(|(_, record)| record), their.map(|(_, record)| record)))
        })
    }

    /// In what `actual` is not this tree; empty when it is. Contents count where both have them.
    pub fn compare(&self, actual: &Snapshot) -> Vec<Difference> {
        let mut found = Vec::new();
        for (path, expected, actual) in self.beside(actual) {
            let what = match (expected, actual) {
                (Some(expected), Some(actual)) => differences(expected, actual),
                (Some(_), None) => vec!["missing".into()],
                _ => vec!["not in the source".into()],
            };
            found.extend(what.into_iter().map(|what| Difference { path: path.to_owned(), what }));
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

/// A path, and what either of two trees has there; one of them has something.
pub type Pair<'a> = (&'a Path, Option<&'a Record>, Option<&'a Record>);

/// Reads one part of a tree.
struct Walker<'a> {
    root: &'a Path,
    /// None where contents are not asked for.
    buffer: Option<Vec<u8>>,
    entries: Vec<Entry>,
}

impl<'a> Walker<'a> {
    fn new(root: &'a Path, contents: bool) -> Self {
        Walker { root, buffer: contents.then(|| vec![0; 64 << 10]), entries: Vec::new() }
    }

    fn add(&mut self, path: PathBuf, meta: &Metadata) -> Result<()> {
        let full = self.root.join(&path);
        let record = record(&full, meta, self.buffer.as_deref_mut())
            .with_context(|| format!("cannot read {}", full.display()))?;
        self.entries.push((path, record));
        Ok(())
    }

    fn walk(&mut self, path: PathBuf, meta: &Metadata) -> Result<()> {
        if !meta.is_dir() {
            return self.add(path, meta);
        }
        let below = list(&self.root.join(&path))?;
        self.add(path.clone(), meta)?;
        below.into_iter().try_for_each(|(name, meta)| self.walk(path.join(name), &meta))
    }
}

/// The names of a directory, in order, with the metadata of the entries themselves.
fn list(dir: &Path) -> Result<Vec<(OsString, Metadata)>> {
    let listed = || -> io::Result<Vec<_>> {
        fs::read_dir(dir)?.map(|item| item.and_then(|item| Ok((item.file_name(), item.metadata()?)))).collect()
    };
    let mut found = listed().with_context(|| format!("cannot list {}", dir.display()))?;
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn record(path: &Path, meta: &Metadata, buffer: Option<&mut [u8]>) -> io::Result<Record> {
    let kind = if meta.is_dir() {
        Kind::Dir
    } else if meta.is_symlink() {
        Kind::Symlink(fs::read_link(path)?)
    } else if meta.is_file() {
        Kind::File(meta.len(), buffer.map(|buffer| digest_file(path, buffer)).transpose()?)
    } else {
        Kind::Other
    };
    let mode = if meta.is_symlink() { 0 } else { meta.mode() & 0o7777 };
    Ok(Record { kind, mode, mtime: (meta.mtime(), meta.mtime_nsec()) })
}

fn digest_file(path: &Path, buffer: &mut [u8]) -> io::Result<u128> {
    let (mut file, mut hash) = (File::open(path)?, Xxh3::new());
    loop {
        match file.read(buffer)? {
            0 => return Ok(hash.digest128()),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn differences(expected: &Record, actual: &Record) -> Vec<String> {
    let mut found = Vec::new();
    match (&expected.kind, &actual.kind) {
        (a, b) if a.agrees(b) => {}
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

impl Record {
    /// Whether the two are the same; contents count where both have them.
    pub fn agrees(&self, other: &Record) -> bool {
        (self.mode, self.mtime) == (other.mode, other.mtime) && self.kind.agrees(&other.kind)
    }
}

impl Kind {
    fn agrees(&self, other: &Kind) -> bool {
        match (self, other) {
            (Kind::File(a, None), Kind::File(b, _)) | (Kind::File(a, _), Kind::File(b, None)) => a == b,
            (a, b) => a == b,
        }
    }

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
    fn a_metadata_snapshot_agrees_with_the_full_one_whatever_the_contents_are() {
        let dir = sample();
        let (full, metadata) = (Snapshot::take(dir.path()).unwrap(), Snapshot::metadata(dir.path()).unwrap());
        assert_eq!((full.compare(&metadata), metadata.compare(&full)), (vec![], vec![]));
        assert_ne!(full, metadata);
        fs::write(dir.path().join("d/f"), b"hellO").unwrap();
        keep_time(&dir.path().join("d/f"));
        assert_eq!(metadata.compare(&Snapshot::take(dir.path()).unwrap()), []);
    }

    #[test]
    fn entries_stand_in_the_order_of_their_paths_component_by_component() {
        let dir = tempfile::tempdir().unwrap();
        // A blank sorts before the slash as a byte: "a b" must not come between "a" and what is in it.
        for name in ["a", "a b", "b"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("f"), name).unwrap();
        }
        let snapshot = Snapshot::take(dir.path()).unwrap();
        let paths: Vec<&Path> = snapshot.entries().map(|(path, _)| path).collect();
        assert_eq!(paths, ["", "a", "a/f", "a b", "a b/f", "b", "b/f"].map(Path::new));
        assert!(paths.is_sorted());
    }

    #[test]
    fn trees_are_laid_beside_each_other_path_by_path() {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = |part: &str, names: &[&str]| {
            let root = dir.path().join(part);
            fs::create_dir(&root).unwrap();
            names.iter().for_each(|name| fs::write(root.join(name), b"").unwrap());
            Snapshot::take(&root).unwrap()
        };
        let (one, two) = (snapshot("one", &["a", "b", "d"]), snapshot("two", &["b", "c", "d", "e"]));
        let sides = one.beside(&two).map(|(path, a, b)| (path.to_str().unwrap(), a.is_some(), b.is_some()));
        let expected = [("", true, true), ("a", true, false), ("b", true, true), ("c", false, true)];
        assert_eq!(sides.take(4).collect::<Vec<_>>(), expected);
        assert_eq!(one.beside(&two).count(), 6);
    }
}
