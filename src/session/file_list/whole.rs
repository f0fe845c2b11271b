//! The baseline of phase 5.1: scan all, list all, wait, transfer.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::ids::IdMap;
use crate::plan::Decision;
use crate::protocol::codec;
use crate::protocol::message::{FileList, FileListAck, Message};
use crate::session::Session;
use crate::tree::acl::Acls;
use crate::tree::entry::Entry;
use crate::tree::owners::Owners;

/// Bytes of entries after which a frame is sent off: far from the frame limit, since one path may be long.
const FRAME_FILL: usize = 128 << 10;
/// Decisions in one frame.
const DECISIONS: usize = 64 << 10;
/// Most entries of one list: indexes are 32 bits.
const MAX_ENTRIES: usize = u32::MAX as usize;

/// Sender: sends the list and waits for the decisions on it.
///
/// # Errors
/// The link's; [`Error::Stream`] for decisions that do not fit the list.
pub fn exchange(session: &mut Session, entries: &[Entry], complete: bool) -> Result<Vec<Decision>> {
    send(session, entries, complete)?;
    let mut decisions = Vec::with_capacity(entries.len());
    loop {
        match session.inbox.recv()? {
            Message::FileListAck(ack) => {
                if ack.first as usize != decisions.len() || decisions.len() + ack.decisions.len() > entries.len() {
                    return Err(Error::Stream("decisions on entries that were not listed".into()));
                }
                decisions.extend(ack.decisions);
                if ack.last {
                    break;
                }
            }
            Message::DeleteBatch(deleted) => session.tell_deleted(&deleted),
            other => return Err(session.out_of_place("the decisions on the list", &other)),
        }
    }
    if decisions.len() != entries.len() {
        return Err(Error::Stream(format!("{} decisions on {} entries", decisions.len(), entries.len())));
    }
    let impossible = entries.iter().zip(&decisions).any(|(entry, d)| d.action.needs_data() && !entry.is_file());
    if impossible {
        return Err(Error::Stream("contents are wanted of what is no regular file".into()));
    }
    if decisions.iter().any(|decision| decision.waits() || decision.leads()) {
        return Err(Error::Stream("a name is to wait for another, though all are listed".into()));
    }
    Ok(decisions)
}

fn send(session: &mut Session, entries: &[Entry], complete: bool) -> Result<()> {
    if entries.len() > MAX_ENTRIES {
        return Err(Error::Selection(format!("{} entries are more than one sync can list", entries.len())));
    }
    let mut names = Names::new(session);
    let mut first = 0;
    loop {
        let count = fill(&entries[first..]);
        let piece = &entries[first..first + count];
        let last = first + count == entries.len();
        let (users, groups) = names.of(piece);
        let list =
            FileList { first: first as u32, last, incomplete: !complete, users, groups, entries: piece.to_vec() };
        session.outbox.send(Message::FileList(list))?;
        first += count;
        if last {
            return Ok(());
        }
    }
}

/// How many entries go into the next frame.
fn fill(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    entries
        .iter()
        .take_while(|entry| {
            let fits = bytes < FRAME_FILL;
            bytes += codec::entry_size(entry);
            fits
        })
        .count()
}

/// Names of owners and groups, each told once.
pub(super) struct Names {
    wanted: bool,
    owners: Owners,
    users: HashSet<u32>,
    groups: HashSet<u32>,
}

type Told = Vec<(u32, Vec<u8>)>;

impl Names {
    pub(super) fn new(session: &Session) -> Names {
        Names {
            wanted: !session.options.numeric_ids,
            owners: Owners::new(),
            users: HashSet::new(),
            groups: HashSet::new(),
        }
    }

    /// The names of the owners of `entries` that nobody has been told of.
    pub(super) fn of<'e>(&mut self, entries: impl IntoIterator<Item = &'e Entry>) -> (Told, Told) {
        let (mut users, mut groups) = (Vec::new(), Vec::new());
        if !self.wanted {
            return (users, groups);
        }
        for entry in entries {
            let items = || entry.acls().into_iter().flat_map(Acls::each).flat_map(|acl| &acl.items);
            let of = |group: bool| items().filter(move |item| item.group == group).map(|item| item.id);
            for uid in of(false).chain([entry.uid]) {
                if self.users.insert(uid) {
                    users.extend(self.owners.user_name(uid).map(|name| (uid, name)));
                }
            }
            for gid in of(true).chain([entry.gid]) {
                if self.groups.insert(gid) {
                    groups.extend(self.owners.group_name(gid).map(|name| (gid, name)));
                }
            }
        }
        (users, groups)
    }
}

/// Receiver: takes in the list, which begins with `first`, owners already translated. Also tells whether it is complete.
///
/// # Errors
/// The link's; [`Error::Stream`] for a list that contradicts itself.
pub fn receive(session: &mut Session, first: FileList) -> Result<(Vec<Entry>, bool)> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut ids = IdMap::new(&session.options, &session.monitor)?;
    let mut complete = true;
    let mut next = first;
    loop {
        let list = next;
        if list.first as usize != entries.len() || entries.len() + list.entries.len() > MAX_ENTRIES {
            return Err(Error::Stream("a piece of the list is out of order".into()));
        }
        list.users.iter().for_each(|(id, name)| ids.add_user(*id, name));
        list.groups.iter().for_each(|(id, name)| ids.add_group(*id, name));
        if !session.options.no_implied_dirs && list.entries.iter().any(|entry| entry.implied) {
            return Err(Error::Stream("a directory that only leads to others, which is not an option".into()));
        }
        session.requested.iter().try_for_each(|asked| list.entries.iter().try_for_each(|entry| asked.check(entry)))?;
        let sizes = list.entries.iter().map(|entry| entry.kind.size());
        let bytes = sizes.fold(0, u64::saturating_add);
        session.monitor.progress.found(list.entries.len() as u64, bytes);
        entries.extend(list.entries.into_iter().map(|mut entry| {
            ids.translate(&mut entry);
            session.options.adjust(&mut entry);
            entry
        }));
        complete &= !list.incomplete;
        if list.last {
            break;
        }
        next = match session.inbox.recv()? {
            Message::FileList(list) => list,
            other => return Err(session.out_of_place("the list", &other)),
        };
    }
    check(&entries)?;
    Ok((entries, complete))
}

/// That each name is listed once, and after the directory that it is in.
fn check(entries: &[Entry]) -> Result<()> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut dirs = HashSet::new();
    for entry in entries {
        let name = entry.relative();
        if !seen.insert(name) {
            return Err(Error::Stream(format!("{name:?} is listed twice")));
        }
        let parent = name.parent().filter(|parent| !parent.as_os_str().is_empty());
        if parent.is_some_and(|parent| !dirs.contains(parent)) {
            return Err(Error::Stream(format!("{name:?} is listed before its directory, or below what is none")));
        }
        if entry.is_dir() {
            dirs.insert(name);
        }
    }
    Ok(())
}

/// Receiver: answers with the decisions.
///
/// # Errors
/// The link's.
pub fn decide(session: &mut Session, decisions: &[Decision]) -> Result<()> {
    let mut first = 0;
    loop {
        let end = decisions.len().min(first + DECISIONS);
        let last = end == decisions.len();
        let ack = FileListAck { first: first as u32, last, decisions: decisions[first..end].to_vec() };
        session.outbox.send(Message::FileListAck(ack))?;
        first = end;
        if last {
            return Ok(());
        }
    }
}
