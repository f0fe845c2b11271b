//! Extended attributes: those of an entry as a sorted list, read and brought into line with another's.
//!
//! Which attributes there are for us depends on who asks. A source has all but those of the system (ACLs are among them,
//! see `acl`) and those in which rsync keeps what it could not (`user.rsync.%...`); a destination keeps all as root, and
//! `user.` ones only as anybody else. What is not for us is never listed, set or removed, whatever a peer says. A large
//! value is known by its digest only: it is read, or sent, when it turns out to be needed.

mod held;

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fmt;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::entry::Digest;
use super::fake;
pub(in crate::tree) use held::{Held, is_unsupported};

/// Bytes up to which a value is part of a list.
pub const INLINE: usize = 64;
/// Longest value that is kept, in bytes; Linux has none above 64 KiB.
pub const MAX_VALUE: usize = 512 << 10;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 255;
/// Most attributes of one entry.
pub const MAX_COUNT: usize = 4096;
/// Most bytes of their names in all: as many as Linux lists. With the values that are listed it fits a message by far.
pub const MAX_NAMES: usize = 64 << 10;

/// One attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xattr {
    /// Its name, with its namespace.
    pub name: CString,
    /// Its value.
    pub value: Value,
}

impl Xattr {
    /// Whether only the digest of its value is known.
    pub fn is_large(&self) -> bool {
        matches!(self.value, Value::Large { .. })
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// All of it.
    Whole(Box<[u8]>),
    /// More than [`INLINE`] bytes.
    Large {
        /// How many.
        len: u32,
        /// What they amount to.
        digest: Digest,
    },
}

impl Value {
    /// One that no source can have: see [`MAX_VALUE`].
    const UNREADABLE: Value = Value::Large { len: u32::MAX, digest: [0; size_of::<Digest>()] };

    /// A value as a list has it.
    pub fn listed(bytes: Vec<u8>, seed: u64) -> Value {
        match bytes.len() > INLINE {
            // Far below 4 GiB: see `MAX_VALUE`.
            true => {
                let digest = xxh3_128_with_seed(&bytes, seed).to_be_bytes();
                Value::Large { len: bytes.len() as u32, digest }
            }
            false => Value::Whole(bytes.into()),
        }
    }
}

/// Which attributes are for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Those of other namespaces than `user.` too.
    pub privileged: bool,
    /// Those too that rsync keeps for itself: at a source with `-XX` only.
    pub rsyncs: bool,
    /// What cannot be read counts as something that is like nothing else, and is no error: at a destination, which can make a
    /// file of its own readable when it gives it another value.
    pub unreadable: bool,
    /// Those of other namespaces are among the user's, under names that begin as rsync's own do (`--fake-super`).
    pub fake: bool,
    /// Of the digests of large values.
    pub seed: u64,
    /// What the user's rules choose, whatever the namespace; none where there is no such rule.
    pub choice: Option<Choice>,
}

/// Names of attributes that somebody else chooses.
#[derive(Clone)]
pub struct Choice(Arc<IsChosen>);

type IsChosen = dyn Fn(&[u8]) -> bool + Send + Sync;

impl Choice {
    /// The names for which `chosen` holds.
    pub fn new(chosen: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Choice {
        Choice(Arc::new(chosen))
    }

    /// Whether `name` is one of them.
    pub fn has(&self, name: &[u8]) -> bool {
        (self.0)(name)
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Choice")
    }
}

impl PartialEq for Choice {
    fn eq(&self, other: &Choice) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Choice {}

impl Scope {
    /// Whether an attribute of this name is for us.
    pub fn has(&self, name: &CStr) -> bool {
        let name = name.to_bytes();
        name.len() <= MAX_NAME
            && !is_the_systems(name)
            && self.choice.as_ref().map_or_else(|| self.has_namespace(name), |choice| choice.has(name))
            && (self.rsyncs || !name.starts_with(b"user.rsync.%"))
    }

    /// The attribute that is kept under the name `stored`, if it is for us.
    fn shown(&self, stored: CString) -> Option<CString> {
        let name = match stored.to_bytes().strip_prefix(fake::PREFIX) {
            _ if !self.fake => stored,
            Some(own) if own.starts_with(b"%") => return None,
            Some(name) => CString::new(name).ok()?,
            // What is truly of another namespace is none of ours.
            None => Some(stored).filter(|name| name.to_bytes().starts_with(b"user."))?,
        };
        self.has(&name).then_some(name)
    }

    /// The name under which an attribute is kept.
    pub(in crate::tree) fn stored<'n>(&self, name: &'n CStr) -> io::Result<Cow<'n, CStr>> {
        if !self.fake || name.to_bytes().starts_with(b"user.") {
            return Ok(Cow::Borrowed(name));
        }
        Ok(Cow::Owned(CString::new([fake::PREFIX, name.to_bytes()].concat())?))
    }

    #[cfg(target_os = "linux")]
    fn has_namespace(&self, name: &[u8]) -> bool {
        name.starts_with(b"user.")
            || (self.privileged && (name.starts_with(b"trusted.") || name.starts_with(b"security.")))
    }

    /// Names have no namespaces elsewhere; what of them is the system's it says itself.
    #[cfg(not(target_os = "linux"))]
    fn has_namespace(&self, _: &[u8]) -> bool {
        true
    }
}

/// Whether an attribute is one that only says in another way what the system knows of a file.
pub fn is_the_systems(name: &[u8]) -> bool {
    name.starts_with(b"system.")
}

/// Whether users' attributes can be kept where something is held.
pub(in crate::tree) fn can_be_kept(held: &Held<'_>) -> bool {
    held.could_have(c"user.any")
}

/// The attributes of what is held, in the order of their names.
pub(in crate::tree) fn read(held: &Held<'_>, scope: &Scope) -> io::Result<Vec<Xattr>> {
    let stored = held.names()?.unwrap_or_default();
    let mut names: Vec<CString> = stored.into_iter().filter_map(|name| scope.shown(name)).collect();
    if names.len() > MAX_COUNT || names.iter().map(|name| name.count_bytes()).sum::<usize>() > MAX_NAMES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it has too many attributes"));
    }
    names.sort_unstable();
    let mut xattrs = Vec::with_capacity(names.len());
    for name in names {
        let bytes = match held.get(&scope.stored(&name)?) {
            Ok(Some(bytes)) => bytes,
            // Gone since it was listed, which is as if it had never been.
            Ok(None) => continue,
            Err(error) if scope.unreadable && error.kind() == io::ErrorKind::PermissionDenied => {
                xattrs.push(Xattr { name, value: Value::UNREADABLE });
                continue;
            }
            Err(error) => return Err(error),
        };
        if bytes.len() > MAX_VALUE {
            let text = format!("its attribute {name:?} has more than {MAX_VALUE} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        xattrs.push(Xattr { name, value: Value::listed(bytes, scope.seed) });
    }
    Ok(xattrs)
}

/// Makes the attributes of what is held the `wanted` ones, as far as they are for us and their values are known.
pub(in crate::tree) fn reconcile(held: &Held<'_>, wanted: &[Xattr], scope: &Scope) -> Result<(), Errno> {
    let raw = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let wanted = || wanted.iter().filter(|xattr| scope.has(&xattr.name));
    for stored in held.names().map_err(raw)?.unwrap_or_default() {
        let is_extra = |name: &CString| !wanted().any(|xattr| xattr.name == *name);
        if scope.shown(stored.clone()).as_ref().is_some_and(is_extra) {
            held.remove(&stored)?;
        }
    }
    for Xattr { name, value } in wanted() {
        let Value::Whole(bytes) = value else { continue };
        let name = scope.stored(name).map_err(raw)?;
        let now = held.get(&name).map_err(raw)?;
        if now.is_none_or(|now| *now != **bytes) {
            held.set(&name, bytes)?;
        }
    }
    Ok(())
}

/// Whether of `wanted` some large value is for us and is not among what there `is`.
pub fn lacks_value(wanted: &[Xattr], is: &[Xattr], scope: &Scope) -> bool {
    let lacks = |xattr: &&Xattr| matches!(xattr.value, Value::Large { .. }) && !is.contains(xattr);
    wanted.iter().filter(|xattr| scope.has(&xattr.name)).find(lacks).is_some()
}

/// Whether the attributes that are for us are the same.
pub fn agree(one: &[Xattr], other: &[Xattr], scope: &Scope) -> bool {
    let ours = |xattr: &&Xattr| scope.has(&xattr.name);
    one.iter().filter(ours).eq(other.iter().filter(ours))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    use super::*;

    const SCOPE: Scope =
        Scope { privileged: false, rsyncs: false, unreadable: false, fake: false, seed: 7, choice: None };

    fn xattr(name: &str, bytes: &[u8]) -> Xattr {
        Xattr { name: CString::new(name).unwrap(), value: Value::Whole(bytes.into()) }
    }

    #[test]
    fn only_the_users_own_namespace_is_for_everybody_and_the_systems_for_nobody() {
        let has = |scope: &Scope, name: &str| scope.has(&CString::new(name).unwrap());
        let root = Scope { privileged: true, ..SCOPE };
        for name in ["system.posix_acl_access", "user.rsync.%stat", "nothing", &format!("user.{}", "x".repeat(255))] {
            assert!(!has(&SCOPE, name) && !has(&root, name), "{name}");
        }
        for name in ["security.capability", "trusted.overlay.opaque"] {
            assert!(!has(&SCOPE, name) && has(&root, name), "{name}");
        }
        assert!(has(&SCOPE, "user.x") && has(&Scope { rsyncs: true, ..SCOPE }, "user.rsync.%stat"));
    }

    #[test]
    fn the_users_choice_counts_instead_of_the_namespace_but_never_has_what_is_the_systems() {
        let choice = Some(Choice::new(|name| !name.starts_with(b"user.no")));
        let scope = Scope { choice, ..SCOPE };
        let has = |name: &str| scope.has(&CString::new(name).unwrap());
        assert!(has("user.yes") && has("security.capability") && !has("user.not"));
        assert!(!has("system.posix_acl_access") && !has("user.rsync.%stat"));
    }

    #[test]
    fn attributes_are_brought_into_line_and_read_back_by_handle_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("f")).unwrap();
        let by_handle = Held::File(&file);
        let mut wanted = vec![xattr("user.a", b"1"), xattr("user.b", &[0; 200])];
        if let Err(error) = reconcile(&by_handle, &wanted, &SCOPE) {
            // A file system without attributes: there is nothing to be seen here.
            assert!(is_unsupported(error), "{error}");
            return;
        }
        by_handle.set(c"user.rsync.%stat", b"not ours").unwrap();
        let parent = File::open(dir.path()).unwrap();
        let by_name = Held::at(parent.as_fd(), c"f", false).unwrap();
        let found = read(&by_name, &SCOPE).unwrap();
        assert_eq!(found[0], wanted[0]);
        assert!(matches!(found[1].value, Value::Large { len: 200, .. }) && found.len() == 2);
        assert_eq!(found[1].value, Value::listed(vec![0; 200], 7));
        assert_ne!(found[1].value, Value::listed(vec![0; 200], 8));
        wanted[0] = xattr("user.a", b"2");
        wanted.remove(1);
        wanted.push(xattr("user.c", b""));
        wanted.push(xattr("security.evil", b"set by nobody"));
        reconcile(&by_name, &wanted, &SCOPE).unwrap();
        assert_eq!(read(&by_handle, &SCOPE).unwrap(), wanted[..2]);
        assert_eq!(by_name.get(c"user.rsync.%stat").unwrap().as_deref(), Some(&b"not ours"[..]));
    }

    #[test]
    fn a_value_of_which_only_the_digest_is_known_is_left_for_later() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), "").unwrap();
        let file = File::open(dir.path().join("f")).unwrap();
        let large = Xattr { name: c"user.l".into(), value: Value::listed(vec![1; 65], 7) };
        assert!(matches!(large.value, Value::Large { .. }));
        let wanted = [large];
        assert!(lacks_value(&wanted, &[], &SCOPE) && !lacks_value(&wanted, &wanted, &SCOPE));
        reconcile(&Held::File(&file), &wanted, &SCOPE).unwrap();
        assert_eq!(read(&Held::File(&file), &SCOPE).unwrap(), []);
    }
}
