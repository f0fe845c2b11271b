//! POSIX access control lists: what they say apart from the mode, read and brought into line with another's.
//!
//! An entry's own list shares three of its items with the mode, which is kept by itself: here they are left out, and put in
//! where the list is set. A list without any others is none. A directory may have a second one, for what is made in it;
//! that has all of its items. Numbers in lists are this machine's; a peer's are translated like owners (`ids`).
//!
//! Linux keeps lists in two attributes of a form of its own. Elsewhere none are found, and none can be kept.

use std::io;

use rustix::io::Errno;

use super::xattrs::Held;

/// Most items for users and groups in one list: more than any system can hold.
pub const MAX_ITEMS: usize = 8192;

/// What one user or group may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// It is about a group.
    pub group: bool,
    /// The number of the user or group.
    pub id: u32,
    /// Read, write and execute: the low three bits.
    pub perms: u8,
}

/// A list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    /// What the owner may do; 0 where the mode says it.
    pub owner: u8,
    /// What the file's group may do, apart from the mask.
    pub group: u8,
    /// What everybody else may do; 0 where the mode says it.
    pub other: u8,
    /// What any but the owner and everybody else may do at most; 0 where the mode says it.
    pub mask: Option<u8>,
    /// Users and groups, sorted.
    pub items: Vec<Item>,
}

impl Acl {
    /// Puts the items in order after their numbers have been changed; of those that have become one, what both allow.
    pub fn settle(&mut self) {
        self.items.sort_unstable();
        self.items.dedup_by(|next, item| {
            let same = (next.group, next.id) == (item.group, item.id);
            if same {
                item.perms &= next.perms;
            }
            same
        });
    }

    /// A list of an entry itself, without what the mode says; `None` if nothing else is in it.
    fn without_mode(self) -> Option<Acl> {
        self.mask.map(|_| Acl { owner: 0, other: 0, mask: Some(0), ..self })
    }

    fn with_mode(&self, mode: u32) -> Acl {
        // Three bits each.
        let class = |shift: u32| ((mode >> shift) & 7) as u8;
        Acl { owner: class(6), other: class(0), mask: Some(class(3)), ..self.clone() }
    }
}

/// The lists of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acls {
    /// Its own, if it says more than its mode.
    pub own: Option<Acl>,
    /// Of a directory: for what is made in it.
    pub default: Option<Acl>,
}

impl Acls {
    /// Whether there is none.
    pub fn are_none(&self) -> bool {
        self.own.is_none() && self.default.is_none()
    }

    /// Both lists.
    pub fn each_mut(&mut self) -> impl Iterator<Item = &mut Acl> {
        self.own.iter_mut().chain(&mut self.default)
    }

    /// Both lists.
    pub fn each(&self) -> impl Iterator<Item = &Acl> {
        self.own.iter().chain(&self.default)
    }
}

/// Whether lists can be kept where something is held.
pub(in crate::tree) fn can_be_kept(held: &Held<'_>) -> bool {
    system::can_be_kept(held)
}

/// The lists of what is held.
pub(in crate::tree) fn read(held: &Held<'_>, is_dir: bool) -> io::Result<Acls> {
    Ok(Acls {
        own: system::read(held, system::OWN)?.and_then(Acl::without_mode),
        default: if is_dir { system::read(held, system::DEFAULT)? } else { None },
    })
}

/// Makes the lists of what is held, and will have this `mode`, the `wanted` ones.
pub(in crate::tree) fn reconcile(held: &Held<'_>, wanted: &Acls, mode: u32, is_dir: bool) -> Result<(), Errno> {
    let now = read(held, is_dir).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    if now.own != wanted.own {
        let own = wanted.own.as_ref().map(|own| own.with_mode(mode));
        system::set(held, system::OWN, own.as_ref())?;
    }
    if is_dir && now.default != wanted.default {
        system::set(held, system::DEFAULT, wanted.default.as_ref())?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::CStr;

    use super::{Acl, Errno, Held, Item, io};

    pub(super) const OWN: &CStr = c"system.posix_acl_access";
    pub(super) const DEFAULT: &CStr = c"system.posix_acl_default";

    const VERSION: u32 = 2;
    const OWNER: u16 = 0x01;
    const USER: u16 = 0x02;
    const GROUP_OF_FILE: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    /// The number of an item that has none.
    const NOBODY: u32 = u32::MAX;

    pub(super) fn can_be_kept(held: &Held<'_>) -> bool {
        held.could_have(OWN)
    }

    pub(super) fn read(held: &Held<'_>, name: &CStr) -> io::Result<Option<Acl>> {
        let Some(bytes) = held.get(name)? else { return Ok(None) };
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "its access control list is of an unknown form");
        parse(&bytes).map(Some).ok_or_else(strange)
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Acl> {
        let (version, items) = bytes.split_first_chunk()?;
        let (items, rest) = items.as_chunks::<8>();
        if u32::from_le_bytes(*version) != VERSION || !rest.is_empty() {
            return None;
        }
        let mut acl = Acl::default();
        for [tag_low, tag_high, perms, _, id @ ..] in items {
            let (id, perms) = (u32::from_le_bytes(*id), perms & 7);
            match u16::from_le_bytes([*tag_low, *tag_high]) {
                OWNER => acl.owner = perms,
                GROUP_OF_FILE => acl.group = perms,
                OTHER => acl.other = perms,
                MASK => acl.mask = Some(perms),
                USER => acl.items.push(Item { group: false, id, perms }),
                GROUP => acl.items.push(Item { group: true, id, perms }),
                _ => return None,
            }
        }
        acl.items.sort_unstable();
        Some(acl)
    }

    /// In the order that the system wants: by tag, and then by number.
    pub(super) fn bytes(acl: &Acl) -> Vec<u8> {
        let mut out = VERSION.to_le_bytes().to_vec();
        let mut put = |tag: u16, perms: u8, id: u32| {
            out.extend(tag.to_le_bytes());
            out.extend(u16::from(perms).to_le_bytes());
            out.extend(id.to_le_bytes());
        };
        let of = |group: bool| acl.items.iter().filter(move |item| item.group == group);
        put(OWNER, acl.owner, NOBODY);
        of(false).for_each(|item| put(USER, item.perms, item.id));
        put(GROUP_OF_FILE, acl.group, NOBODY);
        of(true).for_each(|item| put(GROUP, item.perms, item.id));
        // Where there are items there has to be a mask.
        let mask = acl.mask.or_else(|| (!acl.items.is_empty()).then_some(7));
        mask.into_iter().for_each(|mask| put(MASK, mask, NOBODY));
        put(OTHER, acl.other, NOBODY);
        out
    }

    pub(super) fn set(held: &Held<'_>, name: &CStr, acl: Option<&Acl>) -> Result<(), Errno> {
        match acl {
            Some(acl) => held.set(name, &bytes(acl)),
            None => held.remove(name),
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Acl, Errno, Held, io};

    pub(super) const OWN: () = ();
    pub(super) const DEFAULT: () = ();

    pub(super) fn can_be_kept(_: &Held<'_>) -> bool {
        false
    }

    pub(super) fn read(_: &Held<'_>, (): ()) -> io::Result<Option<Acl>> {
        Ok(None)
    }

    pub(super) fn set(_: &Held<'_>, (): (), _: Option<&Acl>) -> Result<(), Errno> {
        Err(Errno::NOTSUP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(group: bool, id: u32, perms: u8) -> Item {
        Item { group, id, perms }
    }

    #[test]
    fn items_that_have_become_one_allow_what_both_did() {
        let mut acl = Acl { items: vec![item(true, 1, 7), item(false, 5, 6), item(false, 5, 3)], ..Acl::default() };
        acl.settle();
        assert_eq!(acl.items, [item(false, 5, 2), item(true, 1, 7)]);
    }

    #[test]
    fn what_the_mode_says_is_left_out_and_put_in_again() {
        let acl = Acl { owner: 7, group: 5, other: 1, mask: Some(4), items: vec![item(false, 9, 6)] };
        let own = acl.clone().without_mode().expect("it says more");
        assert_eq!((own.owner, own.group, own.other, own.mask), (0, 5, 0, Some(0)));
        assert_eq!(own.with_mode(0o741), acl);
        assert_eq!(Acl { owner: 7, ..Acl::default() }.without_mode(), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_list_survives_the_form_that_the_system_has_for_it() {
        let items = vec![item(false, 1, 7), item(false, 2, 0), item(true, 1, 4)];
        let acl = Acl { owner: 6, group: 4, other: 0, mask: Some(5), items };
        assert_eq!(system::parse(&system::bytes(&acl)), Some(acl));
        let plain = Acl { owner: 6, group: 4, other: 4, ..Acl::default() };
        assert_eq!(system::parse(&system::bytes(&plain)), Some(plain));
        assert_eq!(system::parse(b""), None);
        assert_eq!(system::parse(b"\x02\0\0\0\x01"), None);
        assert_eq!(system::parse(b"\x03\0\0\0"), None);
        assert_eq!(system::parse(b"\x02\0\0\0\x03\0\0\0\0\0\0\0"), None);
    }
}
