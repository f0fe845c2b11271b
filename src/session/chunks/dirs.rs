//! The directories of a list in chunks that are not done with: announced, coming, or waiting for what is in them.
//!
//! A directory that was only announced is a name and its parent's number, since a peer may announce a million of them at
//! once; its path is put together when its first chunk comes. What all of them and the files under way take is counted in
//! [`Held`], so that no peer makes us hold more than is said in PROTOCOL.md.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::order::Order;
use crate::destination::ahead::Found;
use crate::destination::extra::Extra;
use crate::error::{Error, Result};
use crate::plan::Decision;
use crate::protocol::chunk::{Contents, State};
use crate::protocol::codec;
use crate::tree::entry::Entry;

/// Most bytes that what is not done with may take.
const MOST: usize = 512 << 20;
/// What a file or a directory that is not done with takes beside its name, generously.
const EACH: usize = 256;

/// Bytes that a peer has made us hold.
pub(super) struct Held {
    bytes: usize,
    most: usize,
}

impl Held {
    pub(super) fn new() -> Held {
        Held { bytes: 0, most: MOST }
    }

    /// Holds one thing more, of a name or path of so many bytes.
    ///
    /// # Errors
    /// [`Error::Stream`] where that is too much.
    pub(super) fn hold(&mut self, name: usize) -> Result<()> {
        self.bytes += name + EACH;
        if self.bytes <= self.most {
            return Ok(());
        }
        let mib = self.most >> 20;
        Err(Error::Stream(format!("files and directories that are not done with take more than {mib} MiB")))
    }

    /// Whether a half of what may be held is left, so that what can be held or not may be.
    pub(super) fn has_room(&self) -> bool {
        self.bytes <= self.most / 2
    }

    /// One thing held is done with.
    pub(super) fn release(&mut self, name: usize) {
        self.bytes = self.bytes.saturating_sub(name + EACH);
    }
}

/// A directory that is not done with.
struct Dir {
    name: Box<OsStr>,
    parent: u32,
    /// Of its path below the list's root.
    path_len: u32,
    stage: Stage,
    /// What it waits for: its own chunks, its files, its links, its directories.
    open: usize,
}

enum Stage {
    /// None of it has come.
    Announced,
    /// Some of it has.
    Coming(Box<Coming>),
    /// All of it has: its entry and what was decided. The one above the roots and a lost one have none.
    Listed(Option<Box<(Entry, Decision)>>),
}

/// A directory whose chunks are coming.
pub(super) struct Coming {
    /// Below the list's root.
    pub(super) path: PathBuf,
    /// Its entry and what was decided.
    pub(super) own: Option<(Entry, Decision)>,
    /// What we have there that has not been listed.
    pub(super) extra: Option<Extra>,
    /// What was found there before it was listed.
    pub(super) found: Option<Found>,
    order: Order,
}

/// A directory that is done with.
pub(super) struct Done {
    pub(super) own: Option<Box<(Entry, Decision)>>,
    pub(super) parent: u32,
}

pub(super) struct Dirs {
    dirs: HashMap<u32, Dir>,
    /// The number of the last one that was announced.
    announced: u32,
    /// How many there are whose last chunk has not come.
    pub(super) unlisted: usize,
    /// The one whose chunks are coming, if the last chunk was not its last.
    within: Option<u32>,
}

impl Dirs {
    /// The one above the roots, which nobody announces.
    pub(super) fn new() -> Dirs {
        let top = Dir { name: OsStr::new(".").into(), parent: 0, path_len: 1, stage: Stage::Announced, open: 1 };
        Dirs { dirs: HashMap::from([(0, top)]), announced: 0, unlisted: 1, within: None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }

    /// What has come of the directory that a chunk is of, if that chunk may come now.
    ///
    /// # Errors
    /// [`Error::Stream`] if it may not.
    pub(super) fn take(&mut self, number: u32, state: State) -> Result<Box<Coming>> {
        if self.within.is_some_and(|within| within != number) {
            return Err(Error::Stream(format!("a chunk of directory {number} among those of another")));
        }
        self.within = (!state.last).then_some(number);
        let unannounced = || Error::Stream(format!("a chunk of directory {number}, which is not due"));
        let out_of_order = || Error::Stream(format!("a chunk of directory {number} out of order"));
        let dir = self.dirs.get_mut(&number).ok_or_else(unannounced)?;
        match std::mem::replace(&mut dir.stage, Stage::Announced) {
            Stage::Listed(_) => Err(unannounced()),
            _ if number == 0 && !state.last => Err(out_of_order()),
            Stage::Coming(coming) if !state.first => Ok(coming),
            Stage::Announced if state.first => {
                let path = self.path(number);
                Ok(Box::new(Coming { path, own: None, extra: None, found: None, order: Order::default() }))
            }
            _ => Err(out_of_order()),
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        let above = |dir: &&Dir| Some(dir.parent).filter(|parent| *parent != 0).and_then(|up| self.dirs.get(&up));
        let up: Vec<&Dir> = std::iter::successors(self.dirs.get(&number), above).collect();
        let names = up.iter().rev().map(|dir| Path::new(&dir.name)).filter(|name| *name != Path::new("."));
        let path: PathBuf = names.collect();
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
    }

    /// More of the directory is to come.
    pub(super) fn put_back(&mut self, number: u32, coming: Box<Coming>) {
        if let Some(dir) = self.dirs.get_mut(&number) {
            dir.stage = Stage::Coming(coming);
        }
    }

    /// All of the directory has come; what is in it is still to be waited for.
    pub(super) fn listed(&mut self, number: u32, own: Option<(Entry, Decision)>) {
        self.unlisted -= 1;
        if let Some(dir) = self.dirs.get_mut(&number) {
            dir.stage = Stage::Listed(own.map(Box::new));
        }
    }

    /// The numbers of the directories that are announced next.
    pub(super) fn next_numbers(&self) -> impl Iterator<Item = u32> + use<> {
        self.announced.saturating_add(1)..u32::MAX
    }

    /// Numbers the directories in a directory.
    ///
    /// # Errors
    /// [`Error::Stream`] for a path that is too long, and where there are too many.
    pub(super) fn announce(&mut self, parent: u32, names: Vec<OsString>, held: &mut Held) -> Result<()> {
        let above = self.dirs.get(&parent).filter(|dir| *dir.name != *".").map_or(0, |dir| dir.path_len + 1);
        for name in names {
            let path_len = above as usize + name.len();
            if path_len > codec::MAX_PATH {
                return Err(Error::Stream(format!("a path of {path_len} bytes")));
            }
            let too_many = || Error::Stream("more directories than a list may have".into());
            self.announced = self.announced.checked_add(1).ok_or_else(too_many)?;
            held.hold(name.len())?;
            let (name, path_len) = (name.into_boxed_os_str(), path_len as u32);
            self.dirs.insert(self.announced, Dir { name, parent, path_len, stage: Stage::Announced, open: 1 });
            self.unlisted += 1;
            self.hold(parent);
        }
        Ok(())
    }

    /// One thing more that a directory waits for.
    pub(super) fn hold(&mut self, number: u32) {
        if let Some(dir) = self.dirs.get_mut(&number) {
            dir.open += 1;
        }
    }

    /// One thing fewer that a directory waits for; after the last one it is handed out.
    pub(super) fn close(&mut self, number: u32, held: &mut Held) -> Option<Done> {
        let dir = self.dirs.get_mut(&number)?;
        dir.open -= 1;
        if dir.open > 0 {
            return None;
        }
        let Dir { name, parent, stage, .. } = self.dirs.remove(&number)?;
        if number != 0 {
            held.release(name.len());
        }
        let own = match stage {
            Stage::Listed(own) => own,
            // Its own chunks are one of the things that it waits for.
            Stage::Announced | Stage::Coming(_) => None,
        };
        Some(Done { own, parent })
    }
}

impl Coming {
    /// That the next chunk goes on where the one before ended.
    ///
    /// # Errors
    /// [`Error::Stream`] if it does not.
    pub(super) fn check(&mut self, contents: &Contents, state: State, held: &mut Held) -> Result<()> {
        let taken = self.order.bytes();
        self.order.check(contents, state).map_err(|offence| Error::Stream(format!("{offence} in {:?}", self.path)))?;
        // Held until all of the directory is here, and counted for as long.
        held.bytes += self.order.bytes() - taken;
        if state.last {
            held.bytes = held.bytes.saturating_sub(self.order.bytes());
        }
        held.hold(0).map(|()| held.release(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: State = State { first: true, last: true, lost: false, incomplete: false };

    fn names(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_path_is_put_together_of_the_names_above_and_what_is_done_with_is_held_no_more() {
        let (mut dirs, mut held) = (Dirs::new(), Held::new());
        let paths = [(0, "."), (1, "a"), (2, "a/b"), (3, "a/b/c")];
        for (number, path) in paths {
            let coming = dirs.take(number, WHOLE).expect("it is due");
            assert_eq!(coming.path, Path::new(path));
            let below: &[&str] = [&["a"][..], &["b"], &["c"], &[]][number as usize];
            dirs.announce(number, names(below), &mut held).expect("room");
            dirs.listed(number, None);
            assert_eq!(dirs.close(number, &mut held).is_some(), number == 3);
        }
        assert_eq!((dirs.unlisted, held.bytes), (0, 2 * (EACH + 1)));
        let up: Vec<_> =
            [2, 1, 0].iter().map(|number| dirs.close(*number, &mut held).map(|done| done.parent)).collect();
        assert_eq!(up, [Some(1), Some(0), Some(0)]);
        assert!(dirs.is_empty());
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn what_is_below_the_root_itself_has_no_dot_before_it() {
        let (mut dirs, mut held) = (Dirs::new(), Held::new());
        for (number, path) in [(0, "."), (1, "."), (2, "x"), (3, "x/y")] {
            assert_eq!(dirs.take(number, WHOLE).expect("it is due").path, Path::new(path));
            let below: &[&str] = [&["."][..], &["x"], &["y"], &[]][number as usize];
            dirs.announce(number, names(below), &mut held).expect("room");
        }
    }

    #[test]
    fn a_peer_may_announce_so_much_and_no_more() {
        let (mut dirs, mut held) = (Dirs::new(), Held { bytes: 0, most: 2 * (EACH + 1) });
        assert!(dirs.announce(0, names(&["a", "b"]), &mut held).is_ok());
        assert!(matches!(dirs.announce(0, names(&["c"]), &mut held), Err(Error::Stream(_))));
        let long = ["x".repeat(codec::MAX_PATH)];
        let (mut dirs, mut held) = (Dirs::new(), Held::new());
        dirs.announce(0, long.iter().map(OsString::from).collect(), &mut held).expect("as long as a path may be");
        assert!(dirs.announce(1, names(&["a"]), &mut held).is_err(), "one that is longer");
    }
}
