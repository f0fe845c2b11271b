//! Hard links: which names of the list are one file, and which of them the others become links to.
//!
//! The first name of a group that the destination has leads it, for its contents are the least work; it is dealt with as
//! any file. Names before it that are not there wait for it, and if there is none the last of them leads. The others are
//! linked to it when its contents are in place. Where nothing was there nobody waits: the first name leads.

use std::path::{Path, PathBuf};

use super::Destination;
use super::elsewhere::Likeness;
use crate::plan::{self, Action, Changes, Decision};
use crate::tree::aside::Way;
use crate::tree::entry::Entry;

/// The first name of a hard-link group that is there or will be.
pub(super) struct Leader {
    place: PathBuf,
    /// Whether it stays the file that it is, so that names which are linked to it now need nothing.
    stays: bool,
    /// Where it is linked from, if it is (`--link-dest`).
    room: Option<usize>,
}

impl Destination {
    /// Has a file that is not there wait for a later name of it that may be. Asked only where names may wait.
    pub(super) fn put_off(&self, entry: &Entry, existing: Option<&Entry>, decision: Decision) -> Decision {
        let is_there = existing.is_some_and(Entry::is_file);
        match entry.link_group().is_some() && decision.action == Action::Whole && !is_there {
            true => Decision { action: Action::HardLink, changes: decision.changes | Changes::WAITS },
            false => decision,
        }
    }

    /// Says whether names may wait from here on, where some do: whoever hears of a list in pieces holds them meanwhile.
    pub fn let_names_wait(&mut self, may: bool) {
        self.names_may_wait = may && self.had_any;
    }

    /// Whether anything stands here: what cannot be listed does.
    pub(super) fn has_any(&self) -> bool {
        let listed = self.tree.as_ref().map(|tree| tree.list(Path::new(".")));
        listed.is_some_and(|listed| listed.map_or(true, |names| !names.is_empty()))
    }

    /// All names are listed, and none leads the group of an entry that waits: it does.
    pub fn lead_after_all(&mut self, entry: &Entry) -> Decision {
        let place = self.place(entry).into_owned();
        if let Some(group) = entry.link_group() {
            self.leaders.insert(group, Leader { place, stays: false, room: None });
        }
        let decision = Decision::new(Action::Whole, Changes::NEW);
        match self.options.dry_run {
            true => decision,
            false => plan::with_values(decision, entry, None, &self.powers(entry)),
        }
    }

    /// Settles what becomes of names that wait, in a list that is all decided about.
    pub fn settle_waiting(&mut self, entries: &[Entry], decisions: &mut [Decision]) {
        if !self.names_may_wait {
            return;
        }
        for (entry, decision) in entries.iter().zip(decisions).rev().filter(|(_, decision)| decision.waits()) {
            *decision = match self.leader(entry) {
                Some(_) => decision.told(),
                None => self.lead_after_all(entry),
            };
        }
    }

    /// Makes an entry the one that later names of its file are linked to, if it is the first that is there, or will be.
    pub(super) fn lead(
        &mut self,
        entry: &Entry,
        place: &Path,
        existing: Option<&Entry>,
        decision: Decision,
        likeness: Option<&Likeness>,
    ) {
        let Some(group) = entry.link_group() else { return };
        // What stood there has gone, for it is elsewhere.
        if decision.waits() || (decision.action == Action::Skip && likeness.is_some()) {
            return;
        }
        let same_type = existing.is_some_and(|existing| existing.kind.same_type(&entry.kind));
        // What is left alone whatever it is, is not what the other names of the source's file should be.
        let ignored = existing.is_some_and(|existing| self.leaves(entry, place, existing));
        if decision.action != Action::Skip || (same_type && !ignored) {
            let is_made = decision.changes.contains(Changes::ELSEWHERE);
            let stays = match decision.action {
                _ if is_made => !self.options.dry_run,
                Action::Skip | Action::Attributes => true,
                action => action.needs_data() && same_type && self.options.inplace,
            };
            let room =
                likeness.filter(|_| decision.action == Action::HardLink && is_made).map(|likeness| likeness.room);
            self.leaders.entry(group).or_insert_with(|| Leader { place: place.to_path_buf(), stays, room });
        }
    }

    /// The decision on an entry that is another name of one that leads; `None` for any other entry.
    pub(super) fn follow_leader(&self, entry: &Entry, place: &Path, existing: Option<&Entry>) -> Option<Decision> {
        let leader = self.leaders.get(&entry.link_group()?).filter(|_| self.options.takes(entry))?;
        // The two are one file elsewhere too: a link to that is one to the leader.
        if existing.is_none()
            && leader.room.is_some_and(|room| self.are_one_elsewhere(entry, place, room, &leader.place))
        {
            return None;
        }
        let linked = match (&self.tree, existing) {
            (Some(tree), Some(_)) if leader.stays => tree.same_file(&leader.place, place).unwrap_or(false),
            _ => false,
        };
        let refused = match existing {
            Some(existing) => self.ignores(entry, existing),
            None => self.options.existing,
        };
        if linked || refused {
            return Some(Decision::SKIP);
        }
        let changes =
            existing.filter(|existing| existing.kind.same_type(&entry.kind)).map_or(Changes::NEW, |existing| {
                let mut changes = plan::attribute_changes(entry, existing, &self.options, &self.powers(entry));
                changes.set(Changes::SIZE, entry.kind.size() != existing.kind.size());
                changes
            });
        Some(Decision { action: Action::HardLink, changes })
    }

    /// The name that an entry becomes a link to, if it is not the first of its group.
    pub fn leader(&self, entry: &Entry) -> Option<&Path> {
        self.leaders.get(&entry.link_group()?).map(|leader| leader.place.as_path())
    }

    /// Makes an entry another name of its leader.
    pub fn link(&mut self, entry: &Entry, decision: Decision) {
        let place = self.place(entry);
        self.touch(&place);
        let (Some(tree), Some(leader)) = (&self.tree, self.leader(entry)) else { return };
        let kept = self.back_up(tree, &place, Way::Link);
        if let Err(error) = kept.and_then(|()| tree.replace_with_hard_link(leader, &place)) {
            self.monitor.failed("make hard link", &self.path_of(&place), &error);
            self.count_failed(decision);
        }
    }
}
