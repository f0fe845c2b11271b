//! The source of a sync: the trees that the command line names, scanned into one list.
//!
//! Used by whoever has the source: the sender of a session, and a local copy. Nothing here writes but `removal`.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;

use crate::delta::strong::Hasher;
use crate::error::ExitCode;
use crate::events::Monitor;
use crate::filter::{Filter, Scopes, Side, Verdict};
use crate::heap;
use crate::location;
use crate::options::Options;
use crate::protocol::codec;
use crate::tree::dir::Tree;
use crate::tree::entry::{Digest, Entry};
use crate::tree::scanner::{Keep, LinkGroups, ScanOptions, Wanted, scan_with};
use crate::tree::xattrs::MAX_VALUE;

pub mod lister;
pub mod names;
pub mod relative;
pub mod removal;
pub mod wild;

use relative::Named;

/// Read at once where contents are only hashed, in bytes.
const HASH_BUFFER: usize = 256 << 10;

/// Everything that one sync sends, and the handles to read it by.
pub struct Source {
    /// The list: parents before children, each name once.
    pub entries: Vec<Entry>,
    /// Whether everything could be listed: if not, nothing may be deleted.
    pub complete: bool,
    /// Bytes of memory that the list held when it was complete; 0 in a build that does not count.
    pub list_bytes: u64,
    roots: Vec<Root>,
    groups: LinkGroups,
}

/// One source argument: its tree (shared by those of one directory), and where its entries begin in the list.
struct Root {
    tree: Arc<Tree>,
    first: usize,
}

/// The filter rules as a walk through a source meets them.
struct Rules<'a> {
    tree: &'a Tree,
    scopes: Scopes,
    /// Who wants to hear why.
    asked: Option<&'a Monitor>,
}

impl Rules<'_> {
    fn new<'a>(filter: &Filter, tree: &'a Tree, options: &Options, monitor: &'a Monitor) -> Rules<'a> {
        let scopes = Scopes::new(filter.clone().with_root(&absolute(tree.path())), Side::Sender);
        Rules { tree, scopes, asked: options.tells_reasons().then_some(monitor) }
    }
}

impl Keep for Rules<'_> {
    fn enter(&mut self, dir: &Path) -> io::Result<()> {
        self.scopes.enter(self.tree, dir).map_err(io::Error::other)
    }

    fn wants(&mut self, path: &Path, is_dir: bool) -> bool {
        if let Some(monitor) = self.asked
            && let Some(reason) = self.scopes.reason(path, is_dir)
        {
            monitor.detail(2, &reason.to_string());
        }
        self.scopes.verdict(path, is_dir) == Verdict::Included
    }
}

/// What one source argument names.
struct Start {
    tree: Arc<Tree>,
    /// Below the tree's root.
    path: PathBuf,
    is_dir: bool,
    /// What is in it is meant, even without `-r`.
    contents: bool,
}

/// What is to be listed, and the tree that was opened last: sources in a row are mostly in one, and there may be more of
/// them than files can be open.
#[derive(Default)]
struct Found {
    /// Of the digests of large attributes.
    seed: u64,
    starts: Vec<Start>,
    /// Directories that lead to starts whose paths are kept.
    leading: Vec<(Arc<Tree>, Entry)>,
    named: HashSet<PathBuf>,
    opened: Option<(Arc<Tree>, Filter)>,
}

impl Found {
    /// The tree at `root`, and the rules as they are there.
    fn open(&mut self, root: &Path, options: &Options, filter: &Filter) -> io::Result<(Arc<Tree>, Filter)> {
        if let Some(opened) = self.opened.take_if(|(tree, _)| tree.path() == root) {
            return Ok(self.opened.insert(opened).clone());
        }
        let notes = options.notes_of_source(self.seed, filter.xattr_choice(Side::Sender));
        let tree = Tree::open_source(root, options.follow())?.noting(notes);
        let tree = Arc::new(if options.relative { tree.with_doors() } else { tree });
        // Of another root the names may be the same, and the directories others.
        self.named.clear();
        Ok(self.opened.insert((tree, filter.clone().with_root(&absolute(root)))).clone())
    }

    /// The directories that lead to a source and have not been found before.
    fn leading_to(&self, named: &Named, tree: &Tree, options: &Options) -> io::Result<Vec<Entry>> {
        let root = (named.dot && !options.no_implied_dirs).then(|| Path::new("."));
        let unknown = root.into_iter().chain(named.leading()).filter(|path| !self.named.contains(*path));
        unknown.map(|path| relative::leading_dir(tree, path)?.ok_or(Errno::NOENT.into())).collect()
    }

    /// The root is told before anything else, if it is told: what is made in it would change its times.
    fn put_root_first(&mut self) {
        let root = Path::new(".");
        let is_alone = self.starts.len() == 1 && self.leading.is_empty();
        let start = self.starts.iter().find(|start| start.path == root && !is_alone);
        if let Some(tree) = start.map(|start| start.tree.clone())
            && let Ok(Some(entry)) = relative::leading_dir(&tree, root)
        {
            self.leading.push((tree, entry));
        }
        self.leading.sort_by_key(|(_, entry)| entry.relative() != root);
    }

    fn lead(&mut self, leading: Vec<Entry>, tree: &Arc<Tree>, implied: bool) {
        for mut entry in leading {
            entry.implied = implied;
            self.named.insert(entry.relative().to_path_buf());
            self.leading.push((tree.clone(), entry));
        }
    }
}

impl Source {
    /// Lists what `paths` name. What cannot be read is reported and makes the list incomplete.
    pub fn scan(paths: &[Vec<u8>], options: &Options, filter: &Filter, seed: u64, monitor: &Arc<Monitor>) -> Source {
        let (mut source, held) = heap::held_by(|| Source::list(paths, options, filter, seed, monitor));
        source.list_bytes = held.unwrap_or(0);
        source
    }

    fn list(paths: &[Vec<u8>], options: &Options, filter: &Filter, seed: u64, monitor: &Arc<Monitor>) -> Source {
        let mut source = Source {
            entries: Vec::new(),
            complete: true,
            list_bytes: 0,
            roots: Vec::new(),
            groups: LinkGroups::default(),
        };
        let mut found = Found { seed, ..Found::default() };
        for path in paths {
            source.find(path, options, filter, monitor, &mut found);
        }
        found.put_root_first();
        let Found { mut starts, leading, .. } = found;
        for (tree, entry) in leading {
            source.begin(&tree);
            source.entries.push(entry);
        }
        // As what is in one directory: of the names of a file, the first one leads, and all ways to list agree on it.
        starts.sort_by(|one, other| (one.is_dir, &one.path).cmp(&(other.is_dir, &other.path)));
        for start in starts {
            source.scan_root(start, options, filter, monitor);
        }
        if paths.len() > 1 {
            source.drop_repeated_names();
        }
        if options.prune_empty_dirs {
            source.prune_empty_dirs(filter);
        }
        if options.checksum {
            source.digest_all(seed, monitor);
        }
        source
    }

    /// Looks at what one argument names.
    fn find(&mut self, typed: &[u8], options: &Options, filter: &Filter, monitor: &Monitor, found: &mut Found) {
        if let Err(error) = self.try_find(typed, options, filter, monitor, found) {
            let is_missing = error.kind() == io::ErrorKind::NotFound && is_missing(typed, options);
            if is_missing && options.ignore_missing_args {
                return;
            }
            self.complete &= is_missing;
            monitor.failed("read the source", Path::new(OsStr::from_bytes(typed)), &error);
        }
    }

    fn try_find(
        &mut self,
        typed: &[u8],
        options: &Options,
        filter: &Filter,
        monitor: &Monitor,
        found: &mut Found,
    ) -> io::Result<()> {
        let goes_up = || io::Error::new(io::ErrorKind::InvalidInput, "a path with .. cannot be kept (-R)");
        let named = match options.relative {
            true => Named::parse(typed).ok_or_else(goes_up)?,
            false => split(Path::new(OsStr::from_bytes(typed))),
        };
        let (tree, filter) = found.open(&named.root, options, filter)?;
        let mut leading = if options.relative { found.leading_to(&named, &tree, options)? } else { Vec::new() };
        let mut entry = tree.lstat(&named.path)?.ok_or(Errno::NOENT)?;
        if named.contents && tree.open_door(&named.path, Some(&entry))? {
            entry = tree.lstat(&named.path)?.ok_or(Errno::NOENT)?;
        }
        if options.tells_reasons()
            && let Some(reason) = filter.reason(Side::Sender, &named.path, entry.is_dir())
        {
            monitor.detail(2, &reason.to_string());
        }
        if filter.verdict(Side::Sender, &named.path, entry.is_dir()) == Verdict::Excluded {
            leading.retain(|entry| entry.relative() == Path::new("."));
            found.lead(leading, &tree, false);
            return Ok(());
        }
        if entry.is_dir() && !options.recursive && !options.dirs {
            let path = Path::new(OsStr::from_bytes(typed));
            monitor.warn(ExitCode::Ok, &format!("skipping directory {} (no -r)", path.display()));
            return Ok(());
        }
        found.lead(leading, &tree, options.no_implied_dirs);
        found.starts.push(Start { tree, path: named.path, is_dir: entry.is_dir(), contents: named.contents });
        Ok(())
    }

    /// What is listed next is in this tree.
    fn begin(&mut self, tree: &Arc<Tree>) {
        if self.roots.last().is_none_or(|last| !Arc::ptr_eq(&last.tree, tree)) {
            self.roots.push(Root { tree: tree.clone(), first: self.entries.len() });
        }
    }

    fn scan_root(&mut self, start: Start, options: &Options, filter: &Filter, monitor: &Monitor) {
        let Start { tree, path: start, is_dir, contents } = start;
        let start = start.as_path();
        let scan_options = scan_options(options);
        // -d alone lists what is in a directory only where its contents are meant.
        let below = options.recursive || contents;
        let mut complete = true;
        let mut rules = (below && is_dir).then(|| Rules::new(filter, &tree, options, monitor));
        let mut nothing = |_: &Path, _: bool| false;
        let keep: Wanted<'_> = rules.as_mut().map_or(&mut nothing, |rules| rules);
        let mut report = |path: &Path, error: io::Error| {
            complete &= !report_unlisted(&tree, path, &error, monitor);
        };
        self.begin(&tree);
        let first = self.entries.len();
        let mut found = scan_with(&tree, start, &scan_options, &mut self.groups, keep, &mut report);
        if !below && let Some(start) = found.first_mut() {
            start.contents_listed = false;
        }
        self.complete &= complete;
        // Of one source, the common case, the list is not copied.
        if self.entries.is_empty() {
            self.entries = found
        } else {
            self.entries.extend(found)
        }
        let bytes = self.entries[first..].iter().map(|entry| entry.kind.size()).fold(0, u64::saturating_add);
        monitor.progress.found((self.entries.len() - first) as u64, bytes);
    }

    /// Of several sources that have one name, the first counts; directories of one name become one, and prevail over
    /// anything else of that name, for they have contents in the list.
    fn drop_repeated_names(&mut self) {
        let is_dir = |entry: &&Entry| entry.is_dir();
        let dirs: HashSet<PathBuf> =
            self.entries.iter().filter(is_dir).map(|entry| entry.relative().to_path_buf()).collect();
        // A directory that only leads to a source may be another.
        let listed = self.entries.iter().filter(|entry| entry.contents_listed);
        let listed: HashSet<PathBuf> = listed.map(|entry| entry.relative().to_path_buf()).collect();
        let only_leads = |entry: &&Entry| entry.implied;
        let implied: HashSet<PathBuf> =
            self.entries.iter().filter(only_leads).map(|entry| entry.relative().to_path_buf()).collect();
        let meant = self.entries.iter().filter(|entry| !entry.implied && implied.contains(entry.relative()));
        let meant: HashSet<PathBuf> = meant.map(|entry| entry.relative().to_path_buf()).collect();
        for entry in &mut self.entries {
            entry.contents_listed |= entry.is_dir() && listed.contains(entry.relative());
            entry.implied &= !meant.contains(entry.relative());
        }
        let mut seen = HashSet::new();
        let mut is_repeated = |entry: &Entry| {
            let name = entry.relative();
            (!entry.is_dir() && dirs.contains(name)) || !seen.insert(name.to_path_buf())
        };
        self.retain(|entry| !is_repeated(entry));
    }

    /// Drops directories in which, however deep, there are only directories, but for those that a rule protects.
    fn prune_empty_dirs(&mut self, filter: &Filter) {
        let is_protected = |path: &Path| filter.verdict(Side::Receiver, path, true) == Verdict::Excluded;
        let mut needed: HashSet<PathBuf> = HashSet::new();
        for entry in &self.entries {
            let path = entry.relative();
            let own = (entry.is_dir() && is_protected(path)).then_some(path);
            let above = path.ancestors().skip(1).take_while(|_| own.is_some() || !entry.is_dir());
            for dir in own.into_iter().chain(above) {
                // What is above a directory that is needed has been found to be.
                if !needed.insert(dir.to_path_buf()) {
                    break;
                }
            }
        }
        self.retain(|entry| !entry.is_dir() || entry.relative() == Path::new(".") || needed.contains(entry.relative()));
    }

    /// Drops entries whose names are too long for the wire, and says so: the list is then not all of the source.
    pub fn drop_unsendable(&mut self, monitor: &Monitor) {
        if self.entries.iter().all(codec::fits) {
            return;
        }
        self.complete = false;
        self.retain(|entry| {
            if !codec::fits(entry) {
                let longest = format!("a path or link target of more than {} bytes cannot be sent", codec::MAX_PATH);
                monitor.failed("list", &entry.path(), &longest);
            }
            codec::fits(entry)
        });
    }

    /// Keeps some entries, each with the root that it was found below.
    fn retain(&mut self, mut keep: impl FnMut(&Entry) -> bool) {
        let mut roots = self.roots.iter_mut().peekable();
        let (mut index, mut kept) = (0, 0);
        self.entries.retain(|entry| {
            while let Some(root) = roots.next_if(|root| root.first == index) {
                root.first = kept;
            }
            let keep = keep(entry);
            index += 1;
            kept += usize::from(keep);
            keep
        });
        roots.for_each(|root| root.first = kept);
    }

    fn digest_all(&mut self, seed: u64, monitor: &Monitor) {
        for index in 0..self.entries.len() {
            if !self.entries[index].is_file() {
                continue;
            }
            match self.open(index).and_then(|file| digest(file, seed)) {
                Ok(digest) => self.entries[index].set_digest(digest),
                // Without a digest the receiver takes the contents to differ, and the transfer reports the error.
                Err(error) => {
                    monitor.detail(1, &format!("cannot hash {}: {error}", self.entries[index].path().display()))
                }
            }
        }
    }

    /// The tree that the entry at `index` was found in.
    pub fn tree(&self, index: usize) -> &Arc<Tree> {
        let after = self.roots.partition_point(|root| root.first <= index);
        &self.roots[after.saturating_sub(1)].tree
    }

    /// Opens the regular file at `index` for reading.
    ///
    /// # Errors
    /// The system's; also when something else than a regular file stands there by now.
    pub fn open(&self, index: usize) -> io::Result<File> {
        self.tree(index).open_file(self.entries[index].relative())
    }
}

fn scan_options(options: &Options) -> ScanOptions {
    ScanOptions {
        recursive: options.recursive,
        one_file_system: options.one_file_system,
        skip_mounts: options.skip_mounts,
        hard_links: options.hard_links,
    }
}

/// Reports that something could not be listed. Tells whether the list lacks it: what has vanished is not in the source.
fn report_unlisted(tree: &Tree, path: &Path, error: &io::Error, monitor: &Monitor) -> bool {
    let path = &tree.path().join(path);
    if error.kind() == io::ErrorKind::NotFound {
        monitor.warn(ExitCode::Vanished, &format!("{} vanished while it was listed", path.display()));
        return false;
    }
    monitor.failed("read", path, error);
    true
}

/// Whether a source is not there, in a directory that is. As in rsync that keeps nothing from being deleted: it may have
/// been named because it was there once.
fn is_missing(typed: &[u8], options: &Options) -> bool {
    let path = Path::new(OsStr::from_bytes(typed));
    let named = if options.relative { Named::parse(typed) } else { Some(split(path)) };
    let Some(Named { root, path, .. }) = named else { return false };
    let found = root.join(path).symlink_metadata();
    root.is_dir() && found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Splits a source whose path is not kept into the directory to open and the name to start at: `.` where the contents are
/// meant.
fn split(path: &Path) -> Named {
    let here = PathBuf::from(".");
    if location::copies_contents(path) {
        let root = if path.as_os_str().is_empty() { here.clone() } else { path.to_path_buf() };
        return Named { root, path: here, contents: true, dot: false };
    }
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(here, Path::to_path_buf);
    let path = PathBuf::from(path.file_name().unwrap_or(OsStr::new(".")));
    Named { root, path, contents: false, dot: false }
}

/// The path that rules with the `/` modifier match against; one that cannot be resolved is taken as it is.
pub fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

/// Reports that an entry's contents cannot be read after all, and says as what: vanished, or an error.
pub fn unreadable(entry: &Entry, error: &io::Error, monitor: &Monitor) -> ExitCode {
    let path = &entry.path();
    if error.kind() == io::ErrorKind::NotFound {
        monitor.warn(ExitCode::Vanished, &format!("{} vanished before it was read", path.display()));
        return ExitCode::Vanished;
    }
    monitor.failed("read", path, error);
    ExitCode::Partial
}

/// The value of a large attribute of an entry, `place` in its list, as it is now; `None` where there is none any more. What
/// cannot be read is reported.
pub fn large_value(tree: &Tree, entry: &Entry, place: usize, monitor: &Monitor) -> Option<Vec<u8>> {
    let xattr = entry.xattrs().get(place)?;
    match tree.xattr(entry.relative(), entry, &xattr.name) {
        Ok(value) => value.filter(|value| value.len() <= MAX_VALUE),
        Err(error) => {
            monitor.failed(&format!("read attribute {:?} of", xattr.name), &entry.path(), &error);
            None
        }
    }
}

/// Makes an entry's large attributes known by their values.
pub fn read_values(tree: &Tree, entry: &mut Entry, monitor: &Monitor) {
    for place in 0..entry.xattrs().len() {
        if let Some(value) = entry.large(place).then(|| large_value(tree, entry, place, monitor)).flatten() {
            entry.set_value(place, value);
        }
    }
}

/// The digest of a file's contents.
///
/// # Errors
/// Those of reading it.
pub fn digest(mut file: File, seed: u64) -> io::Result<Digest> {
    let mut hasher = Hasher::new(seed);
    let mut buffer = vec![0; HASH_BUFFER];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
