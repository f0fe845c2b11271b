//! The baseline of phase 2.2: two `Arc<PathBuf>` an entry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An entry's path and its path below the root, each in an allocation of its own.
#[derive(Clone, Debug)]
pub struct Paths {
    path: Arc<PathBuf>,
    relative: Arc<PathBuf>,
}

impl Paths {
    /// The paths of the entry `relative` of the tree at `root`; `.` names the root itself.
    pub fn new(root: &Path, relative: &Path) -> Self {
        let path = if relative == Path::new(".") { root.to_path_buf() } else { root.join(relative) };
        Self { path: Arc::new(path), relative: Arc::new(relative.to_path_buf()) }
    }

    /// Root and relative path joined.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path below the root.
    pub fn relative(&self) -> &Path {
        &self.relative
    }
}
