//! One `Arc<Path>` an entry, and where the path below the root begins in it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

/// An entry's path; its path below the root is the end of it.
#[derive(Clone, Debug)]
pub struct Paths {
    path: Arc<Path>,
    /// Bytes before the path below the root; one more than there are for the root itself, whose name is not in its path.
    prefix: usize,
}

thread_local! {
    /// Paths are joined here, so that each takes one allocation of its exact length.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Paths {
    /// The paths of the entry `relative` of the tree at `root`; `.` names the root itself.
    pub fn new(root: &Path, relative: &Path) -> Self {
        let (start, end) = (root.as_os_str().as_bytes(), relative.as_os_str().as_bytes());
        if end == b"." {
            return Self { path: root.into(), prefix: start.len() + 1 };
        }
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            joined.extend_from_slice(start);
            if start.last().is_some_and(|byte| *byte != b'/') {
                joined.push(b'/');
            }
            let prefix = joined.len();
            joined.extend_from_slice(end);
            Self { path: Path::new(OsStr::from_bytes(joined)).into(), prefix }
        })
    }

    /// Root and relative path joined.
    pub fn path(&self) -> Cow<'_, Path> {
        Cow::Borrowed(&self.path)
    }

    /// Path below the root.
    pub fn relative(&self) -> &Path {
        let below = self.path.as_os_str().as_bytes().get(self.prefix..);
        Path::new(OsStr::from_bytes(below.unwrap_or(b".")))
    }
}
