//! What few entries have and only some options ask for, as it is on the wire: `count:u8`, then `tag:u8 len:u32 bytes` each.
//!
//! The same in a whole list and in chunks. An unknown tag is passed over, as version 1 passed over all of them: what an
//! end keeps of an entry the options say, and those it has understood.

use bytes::BufMut;

use super::codec::Reader;
use crate::error::{Error, Result};
use crate::tree::entry::{Seldom, Timestamp};

/// Most extensions of one entry.
const MAX_EXTENSIONS: usize = 64;

/// `secs:i64 nanos:u32`: when it was last read.
const ATIME: u8 = 1;

/// Bytes of a tag and its length.
const HEAD: usize = 1 + 4;

/// Whether there is anything that is an extension.
pub(super) fn are_there(seldom: &Seldom) -> bool {
    seldom.atime.is_some()
}

/// Bytes that the extensions take.
pub(super) fn size(seldom: &Seldom) -> usize {
    1 + seldom.atime.map_or(0, |_| HEAD + 12)
}

/// Appends the extensions of an entry that has some.
pub(super) fn put(out: &mut Vec<u8>, seldom: &Seldom) {
    out.put_u8(u8::from(seldom.atime.is_some()));
    if let Some(atime) = seldom.atime {
        head(out, ATIME, 12);
        out.put_i64(atime.secs);
        out.put_u32(atime.nanos);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(bytes: &[u8]) -> Result<Seldom> {
        let mut seldom = Seldom::default();
        let mut reader = Reader::new(bytes);
        read(&mut reader, &mut seldom)?;
        reader.finish()?;
        Ok(seldom)
    }

    #[test]
    fn extensions_survive_the_wire_and_take_what_is_foretold() {
        let sent = Seldom { atime: Some(Timestamp { secs: -7, nanos: 8 }), ..Seldom::default() };
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
    }
}
