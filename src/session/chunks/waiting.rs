//! Names of files with several that the destination does not have: they wait for one of the others that it has, and are made
//! links to that. Of a file of which it has none, the last name is asked for when all are listed.
//!
//! How many may wait is bounded, for they are held meanwhile, and so are their directories: where there are more the first
//! name is asked for at once, and its contents may be sent though they are here.

use std::collections::{BTreeMap, HashMap};

use super::dirs::Held;
use super::{Receiver, Wanted};
use crate::error::Result;
use crate::plan::{Changes, Decision};
use crate::protocol::chunk::{ChunkAck, LATE_NAMES};
use crate::protocol::message::Message;
use crate::tree::entry::Entry;

/// A name that waits: its index, what was decided, and the number of its directory.
struct Name {
    index: u32,
    entry: Entry,
    decision: Decision,
    dir: u32,
}

/// See the module's head.
#[derive(Default)]
pub(super) struct Waiting {
    /// By the group of their file.
    names: HashMap<u32, Vec<Name>>,
    /// Those that have got a leader since they were last settled.
    led: Vec<Vec<Name>>,
    /// Whether some name had to be asked for after all.
    pub(super) asked: bool,
}

impl Waiting {
    /// Whether more may wait.
    pub(super) fn has_room(&self, held: &Held) -> bool {
        held.has_room()
    }
}

impl Receiver<'_> {
    /// A name waits; its directory waits for it.
    pub(super) fn wait(&mut self, dir: u32, index: u32, entry: Entry, decision: Decision) -> Result<()> {
        self.hold(dir, &entry)?;
        if let Some(group) = entry.link_group() {
            self.waiting.names.entry(group).or_default().push(Name { index, entry, decision: decision.told(), dir });
        }
        Ok(())
    }

    /// Marks the decision on an entry that names wait for.
    pub(super) fn note_leader(&mut self, entry: &Entry, decision: &mut Decision) {
        if self.waiting.names.is_empty() || decision.waits() {
            return;
        }
        let Some(group) = entry.link_group() else { return };
        if self.arrivals.destination.leader(entry).is_some()
            && let Some(names) = self.waiting.names.remove(&group)
        {
            decision.changes |= Changes::LEADS;
            self.waiting.led.push(names);
        }
    }

    /// Has the names whose leader has come follow it.
    pub(super) fn settle_waiting(&mut self) {
        for names in std::mem::take(&mut self.waiting.led) {
            names.into_iter().for_each(|name| self.follow_late(name));
        }
    }

    fn follow_late(&mut self, Name { entry, decision, dir, .. }: Name) {
        self.tell(&entry, decision);
        if entry.link_group().is_some_and(|group| self.followers.contains_key(&group)) {
            return self.follow(entry, decision, dir);
        }
        if !self.arrivals.session.options.dry_run {
            self.arrivals.destination.link(&entry, decision);
        }
        self.release(dir, &entry);
    }

    /// All is listed: asks for the last name of each file that still has none.
    pub(super) fn end_waiting(&mut self) -> Result<()> {
        self.settle_waiting();
        let groups = std::mem::take(&mut self.waiting.names);
        let names: BTreeMap<u32, Name> = groups.into_values().flatten().map(|name| (name.index, name)).collect();
        let mut decisions = Vec::with_capacity(names.len());
        // The last of each comes first, and leads.
        for (_, mut name) in names.into_iter().rev() {
            if self.arrivals.destination.leader(&name.entry).is_none() {
                name.decision = self.arrivals.destination.lead_after_all(&name.entry);
            }
            decisions.push(name);
        }
        decisions.reverse();
        self.tell_late(&decisions)?;
        // Whoever leads is wanted before the others follow.
        let (asked, others): (Vec<Name>, Vec<Name>) =
            decisions.into_iter().partition(|name| name.decision.action.needs_data());
        asked.into_iter().for_each(|name| self.want_late(name));
        others.into_iter().for_each(|name| self.follow_late(name));
        Ok(())
    }

    /// Tells the sender what becomes of the names that have waited to the end.
    fn tell_late(&mut self, names: &[Name]) -> Result<()> {
        for names in names.chunks(LATE_NAMES) {
            let asked = (0u32..).zip(names).filter(|(_, name)| name.decision.action.needs_data());
            let decisions = asked.map(|(place, name)| (place, name.decision)).collect();
            let ack = ChunkAck { id: self.next_chunk, count: names.len() as u32, decisions };
            self.arrivals.session.outbox.send(Message::FileListChunkAck(ack))?;
        }
        Ok(())
    }

    fn want_late(&mut self, Name { index, entry, decision, dir }: Name) {
        if self.arrivals.session.options.dry_run {
            self.tell(&entry, decision);
            return self.release(dir, &entry);
        }
        self.waiting.asked = true;
        if let Some(group) = entry.link_group() {
            self.followers.entry(group).or_default();
        }
        self.arrivals.want(index, Wanted::new(entry, decision, dir));
    }
}
