//! Names of files with several that the receiver lacks and that wait, at its word, for another that it has: they are kept
//! until one is said to lead them, or until the list has ended and the receiver has said which of them it wants.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Streamer;
use crate::error::{Error, Result};
use crate::plan::{Action, Decision};
use crate::protocol::chunk::ChunkAck;
use crate::session::outgoing::Item;
use crate::tree::dir::Tree;
use crate::tree::entry::Entry;

/// See the module's head.
#[derive(Default)]
pub(super) struct Waiting {
    names: BTreeMap<u32, (Item, Decision)>,
    /// Their indexes, by the group of their file.
    groups: HashMap<u32, Vec<u32>>,
    /// Whether contents were wanted after the list's end.
    pub(super) asked: bool,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Those of a group, which wait no more.
    fn take(&mut self, group: u32) -> Option<Vec<(u32, Item, Decision)>> {
        let indexes = self.groups.remove(&group)?;
        let names = indexes.into_iter().filter_map(|index| self.names.remove(&index).map(|name| (index, name)));
        Some(names.map(|(index, (item, decision))| (index, item, decision)).collect())
    }
}

impl Streamer<'_> {
    /// Keeps a name that waits.
    pub(super) fn keep_waiting(
        &mut self,
        index: u32,
        entry: Entry,
        decision: Decision,
        tree: &Arc<Tree>,
    ) -> Result<()> {
        let group = entry.link_group().filter(|_| entry.is_file() && decision.action == Action::HardLink);
        let group = group.ok_or_else(|| Error::Stream("what has no other name is to wait for one".into()))?;
        self.waiting.groups.entry(group).or_default().push(index);
        self.waiting.names.insert(index, (Item { entry, tree: tree.clone(), values: false }, decision.told()));
        Ok(())
    }

    /// The names of an entry's file that wait become links to it.
    pub(super) fn lead(&mut self, entry: &Entry) -> Result<()> {
        let names = entry.link_group().and_then(|group| self.waiting.take(group));
        let names = names.ok_or_else(|| Error::Stream("an entry leads names that do not wait".into()))?;
        self.decide_on(names, entry)
    }

    fn decide_on(&mut self, names: Vec<(u32, Item, Decision)>, leader: &Entry) -> Result<()> {
        if let Some(group) = leader.link_group() {
            self.leaders.insert(group, leader.relative().to_path_buf());
        }
        for (index, Item { entry, tree, .. }, decision) in names {
            self.decided(index, entry, decision, &tree)?;
        }
        Ok(())
    }

    /// Takes what becomes of the first of the names that still wait, in the order of the list: those that are mentioned are
    /// wanted, the others become links to them.
    pub(super) fn take_late_decisions(&mut self, ack: ChunkAck) -> Result<()> {
        if ack.count == 0 || ack.count as usize > self.waiting.names.len() {
            let waiting = self.waiting.names.len();
            return Err(Error::Stream(format!("decisions on {} names that wait, of {waiting}", ack.count)));
        }
        let mut decisions = ack.decisions.into_iter().peekable();
        let mut names = Vec::with_capacity(ack.count as usize);
        for place in 0..ack.count {
            let Some((index, (item, linked))) = self.waiting.names.pop_first() else { break };
            let decision = decisions.next_if(|(at, _)| *at == place).map_or(linked, |(_, decision)| decision);
            if decision.waits() || decision.leads() {
                return Err(Error::Stream("a name is to wait after all are listed".into()));
            }
            if let Some(group) = item.entry.link_group().filter(|_| !decision.follows_leader()) {
                self.leaders.insert(group, item.entry.relative().to_path_buf());
            }
            names.push((index, item, decision));
        }
        for (index, Item { entry, tree, .. }, decision) in names {
            self.waiting.asked |= self.decided(index, entry, decision, &tree)?;
        }
        if self.waiting.is_empty() {
            self.waiting.groups.clear();
            self.outgoing.part();
        }
        Ok(())
    }
}
