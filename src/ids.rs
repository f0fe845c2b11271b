//! Owners of the other machine as those of this one: as `--usermap` and `--groupmap` say, else by their names.
//!
//! A number means nothing on another machine, so names travel and numbers are looked up where they arrive. 0 is 0
//! everywhere unless a map says otherwise; a number without a name, or whose name is not known here, stays as it is.
//! What is FROM in a map is of the sender, what is TO of this machine: that is why maps are resolved here and not where
//! they were typed.

use std::collections::HashMap;

use crate::error::{Error, ExitCode, Result};
use crate::events::Monitor;
use crate::filter;
use crate::options::Options;
use crate::tree::acl::Acls;
use crate::tree::entry::Entry;
use crate::tree::owners::Owners;

/// Whom an item of a map is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum From {
    /// These numbers, both included.
    Range(u32, u32),
    /// Who has this name; the empty one is of who has none.
    Name(Vec<u8>),
    /// Whose name is like this; of who has none, as if it were empty.
    Pattern(Vec<u8>),
}

impl From {
    fn is(&self, id: u32, name: &[u8]) -> bool {
        match self {
            From::Range(low, high) => (*low..=*high).contains(&id),
            From::Name(wanted) => wanted == name,
            From::Pattern(pattern) => pattern == b"*" || filter::is_like(pattern, name),
        }
    }
}

/// One `FROM:TO`, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item<'a> {
    from: From,
    to: &'a [u8],
}

/// Whether a map is one; what its names mean is found out by who uses it.
///
/// # Errors
/// [`Error::Usage`] for an item that is no `FROM:TO`.
pub fn check(option: &str, map: &[u8]) -> Result<()> {
    parse(option, map).map(drop)
}

fn parse<'a>(option: &str, map: &'a [u8]) -> Result<Vec<Item<'a>>> {
    let wrong =
        |what: &str, item: &[u8]| Error::Usage(format!("{what} in {option}: {:?}", item.escape_ascii().to_string()));
    let items = map.split(|byte| *byte == b',').map(|item| {
        let colon = item.iter().position(|byte| *byte == b':').ok_or_else(|| wrong("no colon", item))?;
        let (from, to) = (&item[..colon], &item[colon + 1..]);
        if to.is_empty() {
            return Err(wrong("no name behind the colon", item));
        }
        if to.iter().all(u8::is_ascii_digit) {
            number(to).ok_or_else(|| wrong("an impossible number", item))?;
        }
        let from = match from {
            [b'0'..=b'9', ..] => range(from).ok_or_else(|| wrong("an impossible number", item))?,
            _ if from.iter().any(|byte| b"*?[".contains(byte)) => From::Pattern(from.to_vec()),
            _ => From::Name(from.to_vec()),
        };
        Ok(Item { from, to })
    });
    items.collect()
}

fn range(text: &[u8]) -> Option<From> {
    let (low, high) = match text.iter().position(|byte| *byte == b'-') {
        Some(dash) => (&text[..dash], &text[dash + 1..]),
        None => (text, text),
    };
    Some(From::Range(number(low)?, number(high)?))
}

/// The highest number stands for nobody, for the system's calls.
fn number(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|number| *number != u32::MAX)
}

/// What is known of the users, or of the groups, of the peer.
#[derive(Debug, Default)]
struct Table {
    rules: Vec<(From, u32)>,
    known: HashMap<u32, u32>,
}

impl Table {
    /// Resolves a map. What it names and this machine does not know is told, and left out.
    fn new(
        option: &str,
        map: Option<&Vec<u8>>,
        id_of: impl Fn(&[u8]) -> Option<u32>,
        monitor: &Monitor,
    ) -> Result<Table> {
        let mut rules = Vec::new();
        for Item { from, to } in map.map_or(Ok(Vec::new()), |map| parse(option, map))? {
            match number(to).or_else(|| id_of(to)) {
                Some(id) => rules.push((from, id)),
                None => {
                    let text = format!("{option} names {:?}, which is not known here", to.escape_ascii().to_string());
                    monitor.warn(ExitCode::Ok, &text);
                }
            }
        }
        Ok(Table { rules, known: HashMap::new() })
    }

    fn mapped(&self, id: u32, name: &[u8]) -> Option<u32> {
        self.rules.iter().find(|(from, _)| from.is(id, name)).map(|(_, to)| *to)
    }

    /// Learns of one who has a name, or has none that anybody knows.
    fn learn(&mut self, id: u32, name: &[u8], by_name: Option<u32>) {
        let local = self.mapped(id, name).or(by_name.filter(|_| id != 0));
        self.known.insert(id, local.unwrap_or(id));
    }

    fn learn_own(&mut self, ids: Vec<u32>, name_of: impl Fn(u32) -> Vec<u8>) {
        for id in ids {
            if !self.rules.is_empty() && !self.known.contains_key(&id) {
                self.learn(id, &name_of(id), Some(id));
            }
        }
    }

    fn local(&self, id: u32) -> u32 {
        self.known.get(&id).copied().or_else(|| self.mapped(id, b"")).unwrap_or(id)
    }
}

/// The numbers of a peer as this machine's.
#[derive(Debug)]
pub struct IdMap {
    numeric: bool,
    owners: Owners,
    users: Table,
    groups: Table,
}

impl IdMap {
    /// A map that knows no name yet; with `--numeric-ids` it never will.
    ///
    /// # Errors
    /// [`Error::Usage`] for a map that is none: a peer's may be anything.
    pub fn new(options: &Options, monitor: &Monitor) -> Result<IdMap> {
        let owners = Owners::new();
        let users = Table::new("--usermap", options.usermap.as_ref(), |name| owners.user_id(name), monitor)?;
        let groups = Table::new("--groupmap", options.groupmap.as_ref(), |name| owners.group_id(name), monitor)?;
        let mut map = IdMap { numeric: options.numeric_ids, owners, users, groups };
        if !map.numeric && options.maps_owners() {
            // What 0 is called is this machine's to say.
            let (user, group) = (map.owners.user_name(0), map.owners.group_name(0));
            map.users.learn(0, &user.unwrap_or_default(), None);
            map.groups.learn(0, &group.unwrap_or_default(), None);
        }
        Ok(map)
    }

    /// Learns that the peer's user `uid` is called `name`.
    pub fn add_user(&mut self, uid: u32, name: &[u8]) {
        if !self.numeric && uid != 0 {
            self.users.learn(uid, name, self.owners.user_id(name));
        }
    }

    /// Learns that the peer's group `gid` is called `name`.
    pub fn add_group(&mut self, gid: u32, name: &[u8]) {
        if !self.numeric && gid != 0 {
            self.groups.learn(gid, name, self.owners.group_id(name));
        }
    }

    /// This machine's number for the peer's user.
    pub fn local_uid(&self, uid: u32) -> u32 {
        self.users.local(uid)
    }

    /// This machine's number for the peer's group.
    pub fn local_gid(&self, gid: u32) -> u32 {
        self.groups.local(gid)
    }

    /// Makes the owners of a peer's entry those of this machine.
    pub fn translate(&self, entry: &mut Entry) {
        (entry.uid, entry.gid) = (self.local_uid(entry.uid), self.local_gid(entry.gid));
        for acl in entry.acls_mut().into_iter().flat_map(Acls::each_mut) {
            for item in &mut acl.items {
                item.id = if item.group { self.local_gid(item.id) } else { self.local_uid(item.id) };
            }
            acl.settle();
        }
    }

    /// The same for an entry of this machine, whose names nobody has to tell: only a map changes anything.
    pub fn translate_own(&mut self, entry: &mut Entry) {
        let (mut uids, mut gids) = (vec![entry.uid], vec![entry.gid]);
        for item in entry.acls().into_iter().flat_map(Acls::each).flat_map(|acl| &acl.items) {
            if item.group { &mut gids } else { &mut uids }.push(item.id);
        }
        let (owners, numeric) = (&self.owners, self.numeric);
        let named = |name: Option<Vec<u8>>| name.filter(|_| !numeric).unwrap_or_default();
        self.users.learn_own(uids, |uid| named(owners.user_name(uid)));
        self.groups.learn_own(gids, |gid| named(owners.group_name(gid)));
        self.translate(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(options: Options) -> IdMap {
        IdMap::new(&options, &Monitor::deaf()).expect("a map")
    }

    fn users(text: &str, numeric_ids: bool) -> IdMap {
        map(Options { usermap: Some(text.into()), numeric_ids, ..Options::default() })
    }

    #[test]
    fn a_known_name_maps_and_an_unknown_one_keeps_its_number() {
        let mut map = map(Options::default());
        map.add_user(1234, b"root");
        map.add_user(1235, b"no-such-user-here");
        map.add_group(77, &Owners::new().group_name(0).unwrap());
        assert_eq!([1234, 1235, 9].map(|uid| map.local_uid(uid)), [0, 1235, 9]);
        assert_eq!([77, 1234].map(|gid| map.local_gid(gid)), [0, 1234]);
    }

    #[test]
    fn zero_is_zero_whatever_the_peer_calls_it() {
        let mut map = map(Options::default());
        let somebody = (1..1000).find_map(|uid| Owners::new().user_name(uid));
        map.add_user(0, &somebody.unwrap_or_default());
        assert_eq!(map.local_uid(0), 0);
        assert_eq!(map.local_gid(0), 0);
    }

    #[test]
    fn numeric_ids_are_their_own_whatever_their_names() {
        let mut map = map(Options { numeric_ids: true, ..Options::default() });
        map.add_user(1234, b"root");
        map.add_group(1234, b"root");
        assert_eq!(map.local_uid(1234), 1234);
        assert_eq!(map.local_gid(1234), 1234);
    }

    #[test]
    fn the_first_item_of_a_map_that_fits_counts_and_then_the_name() {
        let mut map = users("0-99:7,wa?ne:8,:9,root:10,[b]ob:11,1234:12", false);
        map.add_user(500, b"wayne");
        map.add_user(501, b"waayne");
        map.add_user(502, b"bob");
        map.add_user(50, b"wayne");
        assert_eq!([500, 501, 502, 50, 0, 99].map(|uid| map.local_uid(uid)), [8, 501, 11, 7, 7, 7]);
        assert_eq!(map.local_uid(1234), 9, "it has no name, and that comes first");
        assert_eq!(map.local_gid(50), 50);
    }

    #[test]
    fn zero_has_the_name_that_it_has_here_and_a_star_is_everybody() {
        let mut map = users("root:5,*:6", false);
        map.add_user(0, b"toor");
        map.add_user(500, b"wayne");
        assert_eq!([0, 500, 501].map(|uid| map.local_uid(uid)), [5, 6, 6]);
    }

    #[test]
    fn with_numeric_ids_nobody_has_a_name() {
        let mut map = users("root:5,wayne:6,:7", true);
        map.add_user(500, b"wayne");
        assert_eq!([0, 500].map(|uid| map.local_uid(uid)), [7, 7]);
    }

    #[test]
    fn names_of_this_machine_are_looked_up_for_its_own_entries() {
        let mut map = users("root:4242,7:8", false);
        let mut entry = Entry::sample("f", crate::tree::entry::Kind::Dir);
        map.translate_own(&mut entry);
        assert_eq!((entry.uid, entry.gid), (4242, 0));
    }

    #[test]
    fn what_is_no_map_is_refused_and_a_name_nobody_has_is_passed_over() {
        for text in ["", "a", "a:", "1-x:5", "1:2,", "99999999999:3", "4294967295:1", "a:4294967295"] {
            assert!(check("--usermap", text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(users("1:no-such-user-here,1:3", false).local_uid(1), 3);
    }
}
