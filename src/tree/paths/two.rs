//! The baseline of phase 2.2: two `Arc<PathBuf>` an entry.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::joined;

/// An entry's path and its path below the root, each in an allocation of its own.
#[derive(Clone, Debug)]
pub struct Paths {
    path: Arc<PathBuf>,
    relative: Arc<PathBuf>,
}

impl Paths {
    /// The paths of the entry `relative` of the tree at `root`; `.` names the root itself.
    pub fn new(root: &Path, relative: &Path) -> Self {
        Self { path: Arc::new(joined(root, relative)), relative: Arc::new(relative.to_path_buf()) }
    }

    /// Root and relative path joined.
    pub fn path(&self) -> Cow<'_, Path> {
        Cow::Borrowed(&self.path)
    }

    /// Path below the root.
    pub fn relative(&self) -> &Path {
        &self.relative
    }
}
