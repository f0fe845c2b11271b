//! The root once for the whole list, and one `Arc<Path>` an entry for what is below it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use super::joined;

/// A root, shared by all its entries; thin, since each of them holds it.
type Root = Arc<Box<Path>>;

/// An entry's path below the root, and the root; the joined path is made when it is asked for.
#[derive(Clone, Debug)]
pub struct Paths {
    root: Root,
    relative: Arc<Path>,
}

thread_local! {
    /// The root of the last entry made: a list is made by one thread, and nearly always of one tree.
    static LAST: RefCell<Option<Root>> = const { RefCell::new(None) };
}

impl Paths {
    /// The paths of the entry `relative` of the tree at `root`; `.` names the root itself.
    pub fn new(root: &Path, relative: &Path) -> Self {
        let root = LAST.with_borrow_mut(|last| match last {
            // Bytes, since paths are compared by component.
            Some(known) if known.as_os_str() == root.as_os_str() => known.clone(),
            _ => last.insert(Arc::new(root.into())).clone(),
        });
        Self { root, relative: relative.into() }
    }

    /// Root and relative path joined.
    pub fn path(&self) -> Cow<'_, Path> {
        Cow::Owned(joined(&self.root, &self.relative))
    }

    /// Path below the root.
    pub fn relative(&self) -> &Path {
        &self.relative
    }
}
