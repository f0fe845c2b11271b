//! What few entries have and only some options ask for, as it is on the wire: `count:u8`, then `tag:u8 len:u32 bytes` each.
//!
//! The same in a whole list and in chunks. An unknown tag is passed over, as version 1 passed over all of them: what an
//! end keeps of an entry the options say, and those it has understood.

use std::ffi::CString;

use bytes::BufMut;

use super::codec::Reader;
use crate::error::{Error, Result};
use crate::tree::acl::{Acl, Item, MAX_ITEMS};
use crate::tree::entry::{Seldom, Timestamp};
use crate::tree::xattrs::{INLINE, MAX_COUNT, MAX_NAMES, MAX_VALUE, Value, Xattr, is_the_systems};

/// Most extensions of one entry.
const MAX_EXTENSIONS: usize = 64;

/// `secs:i64 nanos:u32`: when it was last read.
const ATIME: u8 = 1;

/// `name_len:u8 name len:u32`, and the value or, of a large one, its digest, each: extended attributes, names rising.
const XATTRS: u8 = 2;

/// `owner:u8 group:u8 other:u8 mask:u8`, each 3 bits, the mask 255 if there is none, then `group:u8 perms:u8 id:u32` each: the
/// access control list.
const ACL: u8 = 3;
/// The same: of a directory, the list for what is made in it.
const DEFAULT_ACL: u8 = 4;
/// A mask that is none.
const NO_MASK: u8 = 0xff;
/// Bytes of an item of a list.
const ITEM: usize = 1 + 1 + 4;

/// Bytes of a tag and its length.
const HEAD: usize = 1 + 4;
/// Bytes of a time.
const TIME: usize = 8 + 4;

/// Whether there is anything that is an extension.
pub(super) fn are_there(seldom: &Seldom) -> bool {
    count(seldom) > 0
}

fn count(seldom: &Seldom) -> u8 {
    let acls = seldom.acls.iter().map(|acls| acls.each().count() as u8).sum::<u8>();
    u8::from(seldom.atime.is_some()) + u8::from(!seldom.xattrs.is_empty()) + acls
}

/// Bytes that the extensions take.
pub fn size(seldom: &Seldom) -> usize {
    let xattrs = if seldom.xattrs.is_empty() { 0 } else { HEAD + xattrs_size(&seldom.xattrs) };
    let acls = seldom.acls.iter().flat_map(|acls| acls.each()).map(|acl| HEAD + acl_size(acl)).sum::<usize>();
    1 + seldom.atime.map_or(0, |_| HEAD + TIME) + xattrs + acls
}

fn acl_size(acl: &Acl) -> usize {
    4 + ITEM * acl.items.len()
}

fn xattrs_size(xattrs: &[Xattr]) -> usize {
    let size = |xattr: &Xattr| {
        1 + xattr.name.count_bytes()
            + 4
            + match &xattr.value {
                Value::Whole(bytes) => bytes.len(),
                Value::Large { digest, .. } => digest.len(),
            }
    };
    xattrs.iter().map(size).sum()
}

/// Appends the extensions of an entry that has some.
pub(super) fn put(out: &mut Vec<u8>, seldom: &Seldom) {
    out.put_u8(count(seldom));
    if let Some(atime) = seldom.atime {
        head(out, ATIME, TIME);
        out.put_i64(atime.secs);
        out.put_u32(atime.nanos);
    }
    if !seldom.xattrs.is_empty() {
        head(out, XATTRS, xattrs_size(&seldom.xattrs));
        seldom.xattrs.iter().for_each(|xattr| put_xattr(out, xattr));
    }
    if let Some(acls) = &seldom.acls {
        acls.own.iter().for_each(|acl| put_acl(out, ACL, acl));
        acls.default.iter().for_each(|acl| put_acl(out, DEFAULT_ACL, acl));
    }
}

fn put_acl(out: &mut Vec<u8>, tag: u8, acl: &Acl) {
    head(out, tag, acl_size(acl));
    out.put_slice(&[acl.owner, acl.group, acl.other, acl.mask.unwrap_or(NO_MASK)]);
    for item in &acl.items {
        out.put_u8(u8::from(item.group));
        out.put_u8(item.perms);
        out.put_u32(item.id);
    }
}

fn put_xattr(out: &mut Vec<u8>, xattr: &Xattr) {
    let name = xattr.name.to_bytes();
    // Bounded by `MAX_NAME` where it was read.
    out.put_u8(name.len() as u8);
    out.put_slice(name);
    match &xattr.value {
        Value::Whole(bytes) => {
            out.put_u32(bytes.len() as u32);
            out.put_slice(bytes);
        }
        Value::Large { len, digest } => {
            out.put_u32(*len);
            out.put_slice(digest);
        }
    }
}

fn head(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.put_u8(tag);
    // What an entry may have is bounded far below.
    out.put_u32(len as u32);
}

/// Reads extensions into `seldom`.
///
/// # Errors
/// More of them than there can be, one that comes twice, and a known one that is not of its form.
pub(super) fn read(reader: &mut Reader<'_>, seldom: &mut Seldom) -> Result<()> {
    let count = reader.u8()? as usize;
    if count > MAX_EXTENSIONS {
        return Err(Error::Stream(format!("{count} extensions of one entry")));
    }
    let mut known = 0u8;
    for _ in 0..count {
        let tag = reader.u8()?;
        let len = reader.u32()? as usize;
        let mut value = Reader::new(reader.bytes(len)?);
        match tag {
            ATIME => seldom.atime = Some(time(&mut value)?),
            XATTRS => seldom.xattrs = xattrs(&mut value)?,
            ACL => seldom.acls.get_or_insert_default().own = Some(acl(&mut value)?),
            DEFAULT_ACL => seldom.acls.get_or_insert_default().default = Some(acl(&mut value)?),
            _ => continue,
        }
        value.finish()?;
        if known & (1 << tag) != 0 {
            return Err(Error::Stream(format!("the extension {tag} of an entry twice")));
        }
        known |= 1 << tag;
    }
    Ok(())
}

fn time(value: &mut Reader<'_>) -> Result<Timestamp> {
    let time = Timestamp { secs: value.i64()?, nanos: value.u32()? };
    if time.nanos >= 1_000_000_000 {
        return Err(Error::Stream(format!("time {time:?} out of range")));
    }
    Ok(time)
}

fn xattrs(value: &mut Reader<'_>) -> Result<Vec<Xattr>> {
    let (mut xattrs, mut bytes) = (Vec::<Xattr>::new(), 0);
    while !value.at_end() {
        let xattr = xattr(value)?;
        bytes += xattr.name.count_bytes();
        let in_order = xattrs.last().is_none_or(|last| last.name < xattr.name);
        if !in_order || xattrs.len() == MAX_COUNT || bytes > MAX_NAMES {
            return Err(Error::Stream("attributes of an entry out of order, or too many".into()));
        }
        xattrs.push(xattr);
    }
    Ok(xattrs)
}

fn acl(value: &mut Reader<'_>) -> Result<Acl> {
    let wrong = || Error::Stream("an impossible access control list".into());
    let (owner, group, other, mask) = (value.u8()?, value.u8()?, value.u8()?, value.u8()?);
    let mask = Some(mask).filter(|mask| *mask != NO_MASK);
    let mut acl = Acl { owner, group, other, mask, items: Vec::new() };
    if value.left() > ITEM * MAX_ITEMS {
        return Err(wrong());
    }
    while !value.at_end() {
        let (group, perms, id) = (value.u8()?, value.u8()?, value.u32()?);
        let item = Item { group: group == 1, perms, id };
        if group > 1 || perms > 7 || acl.items.last().is_some_and(|last| (last.group, last.id) >= (item.group, id)) {
            return Err(wrong());
        }
        acl.items.push(item);
    }
    let perms = owner | group | other | mask.unwrap_or(0);
    if perms > 7 || (mask.is_none() && !acl.items.is_empty()) {
        return Err(wrong());
    }
    Ok(acl)
}

fn xattr(value: &mut Reader<'_>) -> Result<Xattr> {
    let len = value.u8()? as usize;
    let name = CString::new(value.bytes(len)?).ok().filter(|name| !name.is_empty() && !is_the_systems(name.to_bytes()));
    let name = name.ok_or_else(|| Error::Stream("an attribute with an impossible name".into()))?;
    let len = value.u32()?;
    let value = match len as usize {
        inline if inline <= INLINE => Value::Whole(value.bytes(inline)?.into()),
        large if large <= MAX_VALUE => Value::Large { len, digest: value.digest()? },
        _ => return Err(Error::Stream(format!("an attribute of {len} bytes"))),
    };
    Ok(Xattr { name, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::acl::Acls;

    fn read_all(bytes: &[u8]) -> Result<Seldom> {
        let mut seldom = Seldom::default();
        let mut reader = Reader::new(bytes);
        read(&mut reader, &mut seldom)?;
        reader.finish()?;
        Ok(seldom)
    }

    #[test]
    fn extensions_survive_the_wire_and_take_what_is_foretold() {
        let xattr =
            |name: &str, len| Xattr { name: CString::new(name).unwrap(), value: Value::listed(vec![7; len], 1) };
        let xattrs = vec![xattr("user.a", 0), xattr("user.b", INLINE), xattr("user.c", INLINE + 1)];
        let items = vec![Item { group: false, id: 9, perms: 7 }, Item { group: true, id: 2, perms: 0 }];
        let own = Some(Acl { group: 5, mask: Some(0), items, ..Acl::default() });
        let default = Some(Acl { owner: 7, other: 1, ..Acl::default() });
        let atime = Some(Timestamp { secs: -7, nanos: 8 });
        let sent = Seldom { atime, xattrs, acls: Some(Box::new(Acls { own, default })), ..Seldom::default() };
        let mut bytes = Vec::new();
        put(&mut bytes, &sent);
        assert_eq!(bytes.len(), size(&sent));
        assert_eq!(read_all(&bytes).unwrap(), sent);
    }

    #[test]
    fn what_is_unknown_is_passed_over_and_what_is_wrong_refused() {
        assert_eq!(read_all(b"\x02\x3f\0\0\0\x02ab\x40\0\0\0\0").unwrap(), Seldom::default());
        let atime = b"\x01\0\0\0\x0c\0\0\0\0\0\0\0\x01\0\0\0\x02";
        assert!(read_all(&[b"\x01", &atime[..]].concat()).is_ok());
        assert!(read_all(&[b"\x02", &atime[..], &atime[..]].concat()).is_err(), "twice");
        assert!(read_all(b"\x01\x01\0\0\0\x01a").is_err(), "no time");
        assert!(read_all(b"\x01\x01\0\0\0\x0c\0\0\0\0\0\0\0\0\xff\0\0\0").is_err(), "too many nanoseconds");
        assert!(read_all(b"\x41").is_err(), "too many");
        let xattrs = |list: &[u8]| read_all(&[&b"\x01\x02\0\0\0"[..], &[list.len() as u8], list].concat());
        assert!(xattrs(b"\x01a\0\0\0\0\x01b\0\0\0\x01v").is_ok());
        for wrong in [
            &b"\x01b\0\0\0\0\x01a\0\0\0\0"[..],
            b"\x01a\0\0\0\0\x01a\0\0\0\0",
            b"\0\0\0\0\0",
            b"\x02a\0\0\0\0\0",
            b"\x01a\0\0\0\x02v",
            b"\x01a\0\x10\0\x000123456789abcdef",
            b"\x01a\0\0\0\x410123456789abcde",
        ] {
            assert!(xattrs(wrong).is_err(), "{}", wrong.escape_ascii());
        }
        let acl = |list: &[u8]| read_all(&[&b"\x01\x03\0\0\0"[..], &[list.len() as u8], list].concat());
        assert!(acl(b"\0\x07\0\0\0\x07\0\0\0\x01\x01\x07\0\0\0\x01").is_ok());
        for wrong in [
            &b"\0\x07\0"[..],
            b"\x08\0\0\0",
            b"\0\0\0\x08",
            b"\0\0\0\xff\0\x07\0\0\0\x01",
            b"\0\0\0\0\x02\x07\0\0\0\x01",
            b"\0\0\0\0\0\x08\0\0\0\x01",
            b"\0\0\0\0\0\x07\0\0\0\x01\0\x06\0\0\0\x01",
        ] {
            assert!(acl(wrong).is_err(), "{}", wrong.escape_ascii());
        }
    }
}
