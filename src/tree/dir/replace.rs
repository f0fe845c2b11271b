//! Putting something that is not a regular file in the place of what is there, so that the name always means one of the
//! two: it is made under a temporary name beside, then renamed over. A directory is not replaced: the caller removes it.

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, linkat};
use rustix::io::Errno;

use super::Tree;
use crate::tree::entry::Kind;
use crate::tree::place;

impl Tree {
    /// Makes `relative` a symbolic link to `target`, in place of what is there.
    ///
    /// # Errors
    /// `IsADirectory` where a directory is there; `Interrupted` after [`place::abandon_all`].
    pub fn replace_with_symlink(&self, target: &Path, relative: &Path) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        place::replace(&parent, name, |temporary| self.make_link_at(&parent, temporary, target))
    }

    /// Makes `relative` another name of the file `from`, in place of what is there.
    ///
    /// # Errors
    /// `IsADirectory` where a directory is there; `Interrupted` after [`place::abandon_all`].
    pub fn replace_with_hard_link(&self, from: &Path, relative: &Path) -> io::Result<()> {
        let (old_parent, old_name) = self.at(from)?;
        let (parent, name) = self.at(relative)?;
        let link = |temporary: &_| Ok(linkat(&old_parent, old_name, &parent, temporary, AtFlags::empty())?);
        place::replace(&parent, name, link)
    }

    /// Makes `relative`, where nothing need be in the way, another name of the file `from` of the tree `other`.
    ///
    /// # Errors
    /// As [`Tree::replace_with_hard_link`]; where the two trees are on different file systems, or one has no hard links.
    pub fn link_from(&self, relative: &Path, other: &Tree, from: &Path) -> io::Result<()> {
        let (old_parent, old_name) = other.at(from)?;
        let (parent, name) = self.at(relative)?;
        match linkat(&old_parent, old_name, &parent, name, AtFlags::empty()) {
            Err(Errno::EXIST) => {}
            linked => return Ok(linked?),
        }
        let link = |temporary: &_| Ok(linkat(&old_parent, old_name, &parent, temporary, AtFlags::empty())?);
        place::replace(&parent, name, link)
    }

    /// Makes `relative` a FIFO, socket or device, in place of what is there.
    ///
    /// # Errors
    /// As [`Tree::make_node`]; `IsADirectory` where a directory is there; `Interrupted` after [`place::abandon_all`].
    pub fn replace_with_node(&self, kind: &Kind, relative: &Path, mode: u32) -> io::Result<()> {
        let (parent, name) = self.at(relative)?;
        place::replace(&parent, name, |temporary| self.make_special_at(&parent, temporary, kind, mode))
    }
}
