//! What is to be done about one entry: pure, from what the source has, what the destination has, and the options.
//!
//! Nothing is read or written here, so the same rules hold for a local copy, a push, a pull and a dry run.

use std::path::Path;

use bitflags::bitflags;

use crate::options::Options;
use crate::tree::entry::{Entry, Kind};
use crate::tree::metadata::can_be_executed;
use crate::tree::xattrs::{self, Scope};

/// What is done about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// Nothing.
    Skip = 0,
    /// Its attributes are brought into line.
    Attributes = 1,
    /// It is made, or made anew, from the list alone: a directory, link or special file.
    Create = 2,
    /// Its contents are sent whole.
    Whole = 3,
    /// Its contents are sent as a delta against what the destination has.
    Delta = 4,
    /// It becomes another name of a file that is in the list before it.
    HardLink = 5,
}

impl Action {
    /// The action with this number on the wire.
    pub fn from_wire(number: u8) -> Option<Action> {
        use Action::*;
        [Skip, Attributes, Create, Whole, Delta, HardLink].into_iter().find(|action| *action as u8 == number)
    }

    /// Whether the sender has to send contents.
    pub fn needs_data(self) -> bool {
        matches!(self, Action::Whole | Action::Delta)
    }
}

bitflags! {
    /// What differs between an entry and what the destination has: the letters of `-i`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Changes: u16 {
        /// The destination has nothing of that name and type.
        const NEW = 1;
        /// Contents, link target or device number, known to differ.
        const CONTENTS = 2;
        /// Size.
        const SIZE = 4;
        /// Modification time.
        const TIME = 8;
        /// Permission bits.
        const PERMS = 16;
        /// Owner.
        const OWNER = 32;
        /// Group.
        const GROUP = 64;
        /// Nothing differs any more, nor will: the source may let go of it (`--remove-source-files`). Never shown.
        const SETTLED = 128;
        /// It is made of what another directory has (`--link-dest` and its kin), which is what the others compare it with.
        /// Never shown.
        const ELSEWHERE = 256;
        /// Access time.
        const ATIME = 512;
        /// Extended attributes.
        const XATTRS = 1024;
        /// Values of large extended attributes are wanted. Never shown.
        const VALUES = 2048;
        /// Access control lists.
        const ACLS = 4096;
        /// Of a hard link: no name of its file is there yet. It becomes a link to one that comes later, or is asked for when
        /// all are listed. Never shown.
        const WAITS = 8192;
        /// It is what names of its file that wait become links to. Never shown.
        const LEADS = 16384;
    }
}

/// An action and the reasons for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub action: Action,
    /// What differs.
    pub changes: Changes,
}

impl Decision {
    /// Leave it alone.
    pub const SKIP: Decision = Decision { action: Action::Skip, changes: Changes::empty() };

    /// What is told of it: what only the other end needs is left out.
    pub fn told(self) -> Decision {
        let never_shown = Changes::SETTLED | Changes::VALUES | Changes::WAITS | Changes::LEADS;
        Decision { changes: self.changes - never_shown, ..self }
    }

    /// Whether values of large extended attributes are wanted.
    pub fn wants_values(self) -> bool {
        self.changes.contains(Changes::VALUES)
    }

    /// Whether the destination has the entry without any contents being sent.
    pub fn is_settled(self) -> bool {
        self.changes.contains(Changes::SETTLED)
    }

    /// Whether it is not known yet what the entry becomes a link to, if anything.
    pub fn waits(self) -> bool {
        self.changes.contains(Changes::WAITS)
    }

    /// Whether names that wait become links to the entry.
    pub fn leads(self) -> bool {
        self.changes.contains(Changes::LEADS)
    }

    /// Whether the entry becomes a link to another name of the list.
    pub fn follows_leader(self) -> bool {
        self.action == Action::HardLink && !self.changes.contains(Changes::ELSEWHERE)
    }

    /// Whether the user is told of it without asking for what does not change: what is made exactly like something else
    /// is no change.
    pub fn is_change(self) -> bool {
        self.action != Action::Skip && self.told().changes != Changes::ELSEWHERE
    }

    pub(crate) fn new(action: Action, changes: Changes) -> Decision {
        Decision { action, changes }
    }
}

/// What this machine can give an entry: only root gives files away.
#[derive(Clone, Debug)]
pub struct Powers {
    /// Owners can be set.
    pub owner: bool,
    /// The entry's group can be set.
    pub group: bool,
    /// Extended attributes can be set, those of this scope.
    pub xattrs: Option<Scope>,
    /// Access control lists can be set.
    pub acls: bool,
}

/// A file whose source or basis is smaller is sent whole: its signature would cost more than it saves.
pub const DELTA_LEAST: u64 = 4096;

/// Decides on `source` where the destination has `existing`.
///
/// `same_contents` is asked only with `--checksum`, for regular files of equal size; it reads the destination's file.
pub fn decide(
    source: &Entry,
    existing: Option<&Entry>,
    options: &Options,
    powers: &Powers,
    same_contents: impl FnOnce() -> bool,
) -> Decision {
    if !options.takes(source) {
        return Decision::SKIP;
    }
    let Some(existing) = existing else {
        // The root of the destination is there as soon as there is a sync.
        return if options.existing && source.relative() != Path::new(".") {
            Decision::SKIP
        } else {
            Decision::new(make(source), Changes::NEW)
        };
    };
    // A directory for a directory is never "existing" in the sense of --ignore-existing: its contents still count.
    if options.ignore_existing && !(source.is_dir() && existing.is_dir()) {
        return Decision::SKIP;
    }
    if !existing.kind.same_type(&source.kind) {
        return Decision::new(make(source), Changes::NEW);
    }
    let changes = attribute_changes(source, existing, options, powers);
    match (&source.kind, &existing.kind) {
        (Kind::File { .. }, Kind::File { .. }) => decide_file(source, existing, options, changes, same_contents),
        (Kind::Dir, _) => settle(changes),
        (ours, theirs) if ours == theirs => settle(changes),
        _ => {
            let time = if options.keeps_times(&source.kind) { Changes::empty() } else { Changes::TIME };
            Decision::new(Action::Create, changes | Changes::CONTENTS | time)
        }
    }
}

fn make(source: &Entry) -> Action {
    if source.is_file() { Action::Whole } else { Action::Create }
}

fn settle(changes: Changes) -> Decision {
    if changes.is_empty() { Decision::SKIP } else { Decision::new(Action::Attributes, changes) }
}

fn decide_file(
    source: &Entry,
    existing: &Entry,
    options: &Options,
    mut changes: Changes,
    same_contents: impl FnOnce() -> bool,
) -> Decision {
    if options.update && options.is_newer(&existing.mtime, &source.mtime) {
        return Decision::SKIP;
    }
    changes.set(Changes::SIZE, source.kind.size() != existing.kind.size());
    match counts_as_same(source, existing, options, same_contents) {
        true => settle(changes),
        // It does not grow, so it is none of those that are meant.
        false if options.append && existing.kind.size() >= source.kind.size() => Decision::SKIP,
        false => transfer(source, existing, options, changes),
    }
}

/// Whether two regular files are taken to have the same contents; `same_contents` is asked as in [`decide`].
pub fn counts_as_same(
    source: &Entry,
    existing: &Entry,
    options: &Options,
    same_contents: impl FnOnce() -> bool,
) -> bool {
    if source.kind.size() != existing.kind.size() {
        false
    } else if options.checksum {
        same_contents()
    } else {
        options.size_only || (!options.ignore_times && options.is_same_time(&source.mtime, &existing.mtime))
    }
}

/// That the contents of a regular file are sent, where there is `existing`, which has others and differs by `changes` besides.
pub fn transfer(source: &Entry, existing: &Entry, options: &Options, mut changes: Changes) -> Decision {
    let (new_size, old_size) = (source.kind.size(), existing.kind.size());
    changes.set(Changes::CONTENTS, options.checksum);
    // A transfer writes the time even where -t does not keep it; `-i` shows that as T.
    let moved = match options.modify_window {
        None => source.mtime != existing.mtime,
        Some(_) => !options.is_same_time(&source.mtime, &existing.mtime),
    };
    changes.set(Changes::TIME, moved || !options.times);
    let least = if options.append { 1 } else { DELTA_LEAST };
    let worth_a_delta = !options.whole_file && new_size.min(old_size) >= least;
    Decision::new(if worth_a_delta { Action::Delta } else { Action::Whole }, changes)
}

/// What differs apart from contents, of what the options keep and this machine can set.
pub fn attribute_changes(source: &Entry, existing: &Entry, options: &Options, powers: &Powers) -> Changes {
    let is_link = matches!(source.kind, Kind::Symlink { .. });
    let mut changes = Changes::empty();
    changes
        .set(Changes::TIME, options.keeps_times(&source.kind) && !options.is_same_time(&source.mtime, &existing.mtime));
    let differs = match options.perms {
        true => source.mode != existing.mode,
        false => options.executability && can_be_executed(source.mode) != can_be_executed(existing.mode),
    };
    changes.set(Changes::PERMS, differs && !is_link && (options.perms || source.is_file()));
    // That of a link, which to follow it is to move, is kept where the link is made and never looked at.
    let atimes = source.atime().zip(existing.atime()).filter(|_| options.keeps_atimes(&source.kind) && !is_link);
    changes.set(Changes::ATIME, atimes.is_some_and(|(ours, theirs)| !options.is_same_time(&ours, &theirs)));
    changes.set(Changes::OWNER, options.owner && powers.owner && source.uid != existing.uid);
    changes.set(Changes::GROUP, options.group && powers.group && source.gid != existing.gid);
    let agree = |scope: &Scope| xattrs::agree(source.xattrs(), existing.xattrs(), scope);
    changes.set(Changes::XATTRS, powers.xattrs.as_ref().is_some_and(|scope| !agree(scope)));
    changes.set(Changes::ACLS, powers.acls && !is_link && source.acls() != existing.acls());
    changes
}

/// The decision on `source`, asking for the values of large attributes if it takes any that the destination has not.
pub fn with_values(decision: Decision, source: &Entry, existing: Option<&Entry>, powers: &Powers) -> Decision {
    let Some(scope) = &powers.xattrs else { return decision };
    let lacks = match decision.action {
        Action::Skip | Action::HardLink => false,
        Action::Attributes => {
            xattrs::lacks_value(source.xattrs(), existing.map_or(&[], |existing| existing.xattrs()), scope)
        }
        // It is made anew.
        Action::Create | Action::Whole | Action::Delta => xattrs::lacks_value(source.xattrs(), &[], scope),
    };
    Decision { changes: if lacks { decision.changes | Changes::VALUES } else { decision.changes }, ..decision }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::entry::Timestamp;

    const ROOT: Powers = Powers { owner: true, group: true, xattrs: None, acls: false };

    fn file(size: u64, secs: i64) -> Entry {
        let mtime = Timestamp { secs, nanos: 0 };
        Entry { mtime, uid: 1, gid: 1, ..Entry::sample("f", Kind::File { size }) }
    }

    fn archive() -> Options {
        Options { perms: true, times: true, owner: true, group: true, links: true, ..Options::default() }
    }

    fn action(source: &Entry, existing: Option<&Entry>, options: &Options) -> Action {
        decide(source, existing, options, &ROOT, || false).action
    }

    #[test]
    fn equal_size_and_time_is_skipped_unless_told_otherwise() {
        let (a, b) = (file(9000, 5), file(9000, 5));
        assert_eq!(action(&a, Some(&b), &archive()), Action::Skip);
        assert_eq!(action(&a, Some(&b), &Options { ignore_times: true, ..archive() }), Action::Delta);
        assert_eq!(action(&a, Some(&b), &Options { checksum: true, ..archive() }), Action::Delta);
        assert_eq!(action(&a, Some(&file(9000, 6)), &archive()), Action::Delta);
        assert_eq!(action(&a, Some(&file(9000, 6)), &Options { size_only: true, ..archive() }), Action::Attributes);
    }

    #[test]
    fn a_new_file_is_whole_and_a_small_update_too() {
        assert_eq!(action(&file(9000, 5), None, &archive()), Action::Whole);
        assert_eq!(action(&file(9000, 5), Some(&file(10, 5)), &archive()), Action::Whole);
        assert_eq!(action(&file(9000, 5), Some(&file(8000, 5)), &archive()), Action::Delta);
        let whole = Options { whole_file: true, ..archive() };
        assert_eq!(action(&file(9000, 5), Some(&file(8000, 5)), &whole), Action::Whole);
    }

    #[test]
    fn only_a_file_that_has_grown_is_appended_to() {
        let append = Options { append: true, ..archive() };
        assert_eq!(action(&file(20, 6), Some(&file(10, 5)), &append), Action::Delta);
        assert_eq!(action(&file(20, 6), Some(&file(0, 5)), &append), Action::Whole);
        assert_eq!(action(&file(20, 6), None, &append), Action::Whole);
        for size in [20, 30] {
            assert_eq!(action(&file(20, 6), Some(&file(size, 5)), &append), Action::Skip);
        }
        let moded = Entry { mode: 0o600, ..file(20, 6) };
        assert_eq!(action(&file(20, 6), Some(&moded), &append), Action::Attributes);
    }

    #[test]
    fn existing_and_ignore_existing_pick_sides() {
        let (a, b) = (file(10, 5), file(11, 6));
        assert_eq!(action(&a, None, &Options { existing: true, ..archive() }), Action::Skip);
        assert_eq!(action(&a, Some(&b), &Options { ignore_existing: true, ..archive() }), Action::Skip);
        assert_eq!(action(&a, Some(&b), &Options { update: true, ..archive() }), Action::Skip);
        assert_eq!(action(&b, Some(&a), &Options { update: true, ..archive() }), Action::Whole);
    }

    #[test]
    fn a_change_of_type_makes_the_entry_anew() {
        let dir = Entry { kind: Kind::Dir, ..file(0, 5) };
        assert_eq!(
            decide(&dir, Some(&file(0, 5)), &archive(), &ROOT, || false),
            Decision::new(Action::Create, Changes::NEW)
        );
        assert_eq!(action(&file(0, 5), Some(&dir), &archive()), Action::Whole);
    }

    #[test]
    fn attributes_count_only_where_they_are_kept_and_can_be_set() {
        let other = Entry { uid: 2, gid: 2, mode: 0o600, ..file(10, 5) };
        let changes = decide(&file(10, 5), Some(&other), &archive(), &ROOT, || false).changes;
        assert_eq!(changes, Changes::PERMS | Changes::OWNER | Changes::GROUP);
        let user = Powers { owner: false, group: false, xattrs: None, acls: false };
        assert_eq!(decide(&file(10, 5), Some(&other), &archive(), &user, || false).changes, Changes::PERMS);
        assert_eq!(decide(&file(10, 5), Some(&other), &Options::default(), &ROOT, || false), Decision::SKIP);
    }

    #[test]
    fn a_link_that_points_elsewhere_is_made_anew() {
        let link = |target: &str| Entry { kind: Kind::Symlink { target: Path::new(target).into() }, ..file(0, 5) };
        assert_eq!(action(&link("a"), Some(&link("a")), &archive()), Action::Skip);
        let decision = decide(&link("a"), Some(&link("b")), &archive(), &ROOT, || false);
        assert_eq!(decision, Decision::new(Action::Create, Changes::CONTENTS));
        let changes =
            decide(&link("a"), Some(&link("b")), &Options { times: false, ..archive() }, &ROOT, || false).changes;
        assert_eq!(changes, Changes::CONTENTS | Changes::TIME);
    }
}
