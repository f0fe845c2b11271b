//! Owners and groups of this machine: names to numbers and back, and who may be given a file.
//!
//! What a peer's numbers are here is `crate::ids`'s to say. The account database may be far away, so every answer is kept.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, OnceLock, PoisonError};

use nix::unistd::{Gid, Group, Uid, User};

/// Names and numbers of this machine's accounts, each looked up once.
#[derive(Debug, Default)]
pub struct Owners {
    user_names: Cache<u32, Vec<u8>>,
    group_names: Cache<u32, Vec<u8>>,
    user_ids: Cache<Vec<u8>, u32>,
    group_ids: Cache<Vec<u8>, u32>,
}

impl Owners {
    /// Nothing looked up yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name of the user `uid`.
    pub fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
        self.user_names.get(&uid, || Some(User::from_uid(Uid::from_raw(uid)).ok()??.name.into_bytes()))
    }

    /// The name of the group `gid`.
    pub fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
        self.group_names.get(&gid, || Some(Group::from_gid(Gid::from_raw(gid)).ok()??.name.into_bytes()))
    }

    /// The number of the user `name`. A name that is not UTF-8 is nobody's.
    pub fn user_id(&self, name: &[u8]) -> Option<u32> {
        self.user_ids.get(name, || Some(User::from_name(plain(name)?).ok()??.uid.as_raw()))
    }

    /// The number of the group `name`. A name that is not UTF-8 is nobody's.
    pub fn group_id(&self, name: &[u8]) -> Option<u32> {
        self.group_ids.get(name, || Some(Group::from_name(plain(name)?).ok()??.gid.as_raw()))
    }
}

/// A name that can be handed to the account database.
fn plain(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok().filter(|name| !name.is_empty() && !name.contains('\0'))
}

/// Whether this process may give files to anybody.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether this process may give its files to the group `gid`: as root, or as a member.
pub fn can_give_group(gid: u32) -> bool {
    static OURS: OnceLock<Vec<u32>> = OnceLock::new();
    let ours = OURS.get_or_init(|| {
        let others = rustix::process::getgroups().unwrap_or_default();
        let own = rustix::process::getegid();
        others.iter().chain([&own]).map(|gid| gid.as_raw()).collect()
    });
    ours.contains(&gid) || is_root()
}

/// Answers that were looked up, the empty ones too.
#[derive(Debug)]
struct Cache<K, V>(Mutex<HashMap<K, Option<V>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    fn get<Q>(&self, key: &Q, look_up: impl FnOnce() -> Option<V>) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known.get(key) {
            return answer.clone();
        }
        let answer = look_up();
        known.insert(key.to_owned(), answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_0_and_0_is_root() {
        let owners = Owners::new();
        assert_eq!(owners.user_name(0).as_deref(), Some(&b"root"[..]));
        assert_eq!(owners.user_id(b"root"), Some(0));
        let group = owners.group_name(0).unwrap();
        assert_eq!(owners.group_id(&group), Some(0));
    }

    #[test]
    fn unknown_names_and_numbers_have_no_answer_twice() {
        let owners = Owners::new();
        for _ in 0..2 {
            assert_eq!(owners.user_id(b"no-such-user-here"), None);
            assert_eq!(owners.group_id(b"\xff\xfe"), None);
            assert_eq!(owners.user_id(b"a\0b"), None);
            assert_eq!(owners.user_id(b""), None);
            assert_eq!(owners.user_name(3_999_999_999), None);
            assert_eq!(owners.group_name(3_999_999_999), None);
        }
    }

    #[test]
    fn our_own_group_can_be_given_and_a_stranger_s_only_by_root() {
        assert!(can_give_group(rustix::process::getegid().as_raw()));
        assert_eq!(can_give_group(3_999_999_999), is_root());
    }
}
