//! What a client that receives has asked for: a server may list that, and nothing else.
//!
//! Without this a server could add names of its own choice to any pull: a `.bashrc` beside the file that was asked for.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::filter::{Filter, Side};
use crate::location;
use crate::options::Options;
use crate::source::relative::Named;
use crate::source::wild;
use crate::tree::entry::Entry;

/// The paths that a list may have, and the rules that it must have obeyed.
#[derive(Debug)]
pub struct Requested {
    /// The paths that were asked for, with all below them. `None` where the contents of some source were: their names are
    /// the server's to say.
    paths: Option<HashSet<PathBuf>>,
    /// The directories that lead to them, where paths are kept.
    leading: HashSet<PathBuf>,
    /// Paths of which names are patterns.
    patterns: Vec<Vec<Vec<u8>>>,
    filter: Filter,
}

impl Requested {
    /// What `sources`, as typed, ask for under the rules of `filter`.
    pub fn new(sources: &[Vec<u8>], options: &Options, filter: Filter) -> Requested {
        if options.files_from.is_some() {
            // What stands in a list of the server's, the server knows.
            return Requested { paths: None, leading: HashSet::new(), patterns: Vec::new(), filter };
        }
        if options.relative {
            return Requested::with_paths(sources, options.patterns, filter);
        }
        let named = |source: &Vec<u8>| {
            let path = Path::new(OsStr::from_bytes(source));
            // The home directory's own name is not known here.
            let contents = location::copies_contents(path) || source == b"~";
            path.file_name().filter(|_| !contents).map(PathBuf::from)
        };
        let paths: Option<HashSet<PathBuf>> = sources.iter().map(named).collect();
        let has_patterns = paths.iter().filter(|_| options.patterns);
        let patterns = has_patterns.flatten().filter_map(|path| pattern(path)).collect();
        Requested { paths, leading: HashSet::new(), patterns, filter }
    }

    /// What sources ask for whose paths are kept. There may be very many.
    fn with_paths(sources: &[Vec<u8>], has_patterns: bool, filter: Filter) -> Requested {
        let (mut paths, mut leading, mut patterns) = (Some(HashSet::new()), HashSet::new(), Vec::new());
        for named in sources.iter().filter_map(|source| Named::parse(source)) {
            // From below upwards: what is above a directory that is known is known.
            for dir in named.path.ancestors().skip(1).take_while(|dir| !dir.as_os_str().is_empty()) {
                if leading.contains(dir) {
                    break;
                }
                leading.insert(dir.to_path_buf());
            }
            if named.dot {
                leading.insert(PathBuf::from("."));
            }
            // Where the home directory is, is not known here.
            if named.path == Path::new(".") || is_home(&named.root) || is_home(&named.path) {
                paths = None;
            }
            patterns.extend(pattern(&named.path).filter(|_| has_patterns));
            if let Some(paths) = &mut paths {
                paths.insert(named.path);
            }
        }
        Requested { paths, leading, patterns, filter }
    }

    /// Holds an entry against what was asked for.
    ///
    /// # Errors
    /// [`Error::Stream`] for an entry that nobody asked for.
    pub fn check(&self, entry: &Entry) -> Result<()> {
        let path = entry.relative();
        let named = match &self.paths {
            None => true,
            Some(paths) => {
                let first = path.components().next().is_some_and(|first| paths.contains(Path::new(first.as_os_str())));
                first
                    || (!self.leading.is_empty() && path.ancestors().any(|above| paths.contains(above)))
                    || self.patterns.iter().any(|pattern| fits(pattern, path) == Some(true))
            }
        };
        let leads = entry.is_dir() && self.leads(path);
        // What only leads there may be entered through a link.
        if leads || named && !entry.implied && !self.excludes(entry) {
            return Ok(());
        }
        Err(Error::Stream(format!("the other end lists {path:?}, which was not asked for")))
    }

    /// Whether a directory leads to what was asked for.
    fn leads(&self, path: &Path) -> bool {
        self.leading.contains(path) || self.patterns.iter().any(|pattern| fits(pattern, path) == Some(false))
    }

    /// Whether the sender should have left an entry out, or a directory that it is in.
    fn excludes(&self, entry: &Entry) -> bool {
        if self.filter.is_empty() {
            return false;
        }
        let path = entry.relative();
        path.ancestors().filter(|part| !self.leads(part)).any(|part| {
            let is_dir = part != path || entry.is_dir();
            self.filter.surely_excludes(Side::Sender, part, is_dir)
        })
    }
}

/// The names of a path, if some of them are patterns.
fn pattern(path: &Path) -> Option<Vec<Vec<u8>>> {
    let names = || path.iter().map(|name| name.as_bytes().to_vec()).collect();
    wild::is_pattern(path.as_os_str().as_bytes()).then(names)
}

/// Whether a path is what a pattern means, or below it; `Some(false)` for one that leads there.
fn fits(pattern: &[Vec<u8>], path: &Path) -> Option<bool> {
    let mut names = path.iter();
    for part in pattern {
        match names.next() {
            Some(name) if wild::means(part, name.as_bytes()) => {}
            Some(_) => return None,
            None => return Some(false),
        }
    }
    Some(true)
}

/// Whether a path on the other machine begins in its user's home directory.
fn is_home(path: &Path) -> bool {
    path.components().next().is_some_and(|first| first.as_os_str() == "~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::entry::Kind;

    fn accepts(sources: &[&str], rules: &[&str], name: &str) -> bool {
        accepts_with(&Options::default(), sources, rules, Entry::sample(name, Kind::File { size: 0 }))
    }

    fn accepts_with(options: &Options, sources: &[&str], rules: &[&str], entry: Entry) -> bool {
        let sources: Vec<Vec<u8>> = sources.iter().map(|source| source.as_bytes().to_vec()).collect();
        let rules: Vec<Vec<u8>> = rules.iter().map(|rule| rule.as_bytes().to_vec()).collect();
        Requested::new(&sources, options, Filter::parse(&rules).expect("rules")).check(&entry).is_ok()
    }

    #[test]
    fn where_paths_are_kept_a_server_lists_what_leads_to_them_as_directories_and_nothing_beside() {
        let relative = Options { relative: true, ..Options::default() };
        let accepts = |sources: &[&str], name: &str, kind: Kind| {
            accepts_with(&relative, sources, &["- a", "- x"], Entry::sample(name, kind))
        };
        let file = || Kind::File { size: 0 };
        assert!(accepts(&["a/b/c"], "a", Kind::Dir) && accepts(&["a/b/c"], "a/b", Kind::Dir));
        assert!(accepts(&["a/b/c"], "a/b/c/d", file()));
        assert!(!accepts(&["a/b/c"], "a/b", file()), "what leads to it is a directory");
        assert!(!accepts(&["a/b/c"], "a/b/d", file()) && !accepts(&["a/b/c"], "b", Kind::Dir));
        assert!(!accepts(&["a/b/c"], "a/b/c/x", file()), "the rules left it out");
        assert!(accepts(&["r/./b/c"], "b", Kind::Dir) && !accepts(&["r/./b/c"], "r", Kind::Dir));
        assert!(!accepts(&["b"], ".", Kind::Dir) && accepts(&["./b"], ".", Kind::Dir));
        assert!(accepts(&["r/./"], "any", file()) && accepts(&["~/b"], "home/me/b", file()));
        let implied = |sources: &[&str], name: &str| {
            accepts_with(&relative, sources, &[], Entry { implied: true, ..Entry::sample(name, Kind::Dir) })
        };
        assert!(implied(&["a/b"], "a") && !implied(&["a/b"], "a/b") && !implied(&["a/b/"], "a/b/c"));
        assert!(!implied(&["r/./"], "any"), "nothing leads to what is at the root");
    }

    #[test]
    fn of_what_a_list_names_a_server_lists_that_and_of_its_own_list_anything_that_the_rules_let_pass() {
        let relative = Options { relative: true, ..Options::default() };
        let accepts = |options: &Options, name: &str| {
            accepts_with(options, &["src/./a/b", "src/./a/c/d"], &["- x"], Entry::sample(name, Kind::File { size: 0 }))
        };
        assert!(accepts(&relative, "a/b") && accepts(&relative, "a/c/d/e"));
        assert!(!accepts(&relative, "a/e") && !accepts(&relative, "a/c/e") && !accepts(&relative, "src/a/b"));
        let theirs = Options { files_from: Some("list".into()), ..relative };
        assert!(accepts(&theirs, "any/thing") && !accepts(&theirs, "any/x"));
    }

    #[test]
    fn of_what_a_pattern_means_a_server_lists_what_fits_and_nothing_beside_it() {
        let accepts = |options: &Options, source: &str, name: &str, kind: Kind| {
            accepts_with(options, &[source, "plain"], &["- *.o"], Entry::sample(name, kind))
        };
        let file = || Kind::File { size: 0 };
        let patterns = Options { patterns: true, ..Options::default() };
        assert!(accepts(&patterns, "dir/*.c", "a.c", file()) && accepts(&patterns, "dir/[ab]", "b/any/thing", file()));
        assert!(accepts(&patterns, "dir/*.c", "plain", file()) && accepts(&patterns, "*/", "any", file()));
        for name in ["a.h", ".a.c", "b/a.c", ".bashrc"] {
            assert!(!accepts(&patterns, "dir/*.c", name, file()), "{name}");
        }
        assert!(!accepts(&patterns, "dir/*", "a.o", file()), "the rules left it out");
        assert!(!accepts(&Options::default(), "dir/*.c", "a.c", file()), "it is a name");
        let kept = Options { relative: true, ..patterns };
        assert!(accepts(&kept, "d*/x?", "dir", Kind::Dir) && accepts(&kept, "d*/x?", "dir/xy/any", file()));
        assert!(!accepts(&kept, "d*/x?", "dir", file()) && !accepts(&kept, "d*/x?", "dir/y", file()));
        assert!(!accepts(&kept, "d*/x?", "e", Kind::Dir) && accepts(&kept, "r*/./x?", "xy", file()));
    }

    #[test]
    fn a_server_lists_what_was_asked_for_and_nothing_beside_it() {
        assert!(accepts(&["dir/file"], &[], "file"));
        assert!(accepts(&["a", "dir"], &[], "dir/any/thing"));
        assert!(!accepts(&["dir/file"], &[], ".bashrc"));
        assert!(!accepts(&["dir/file"], &[], "filet"));
        assert!(accepts(&["dir/"], &[], ".bashrc"));
        assert!(accepts(&["~"], &[], "somebody/file"));
    }

    #[test]
    fn a_server_lists_nothing_that_the_rules_left_out() {
        assert!(!accepts(&["dir/"], &["- .*"], ".bashrc"));
        assert!(!accepts(&["dir/"], &["- secret/"], "secret/file"));
        assert!(accepts(&["dir/"], &["- .*"], "file"));
        assert!(accepts(&["dir/"], &["-/ /etc"], "etc"), "only the sender knows the absolute path");
        assert!(
            accepts(&["dir/"], &[": .rules", "- *.o"], "a.o"),
            "only the sender knows what its merge files include"
        );
    }
}
