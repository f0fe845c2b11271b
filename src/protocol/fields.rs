//! The options of a session that have no bit of their own: a list of `tag:u16 len:u32 value`, tags rising. What is not said
//! has its default, and a default is not said.
//!
//! A new option is a field of [`Options`], one line in [`fields`] with a tag that was never used before, and a line in
//! PROTOCOL.md; its type says what form it has on the wire. A build that does not know a tag refuses the session: to pass
//! an option over would be to do something else than was asked. Tags 1 to 31 are of how things are written, 32 to 63 of
//! what is kept of them, 64 to 95 of what is selected, from 96 on of how it travels.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use bytes::BufMut;

use super::codec::Reader;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::tree::mode::{Only, Origin, Step};

/// Every such option with its tag, in the order of the tags.
fn fields(options: &mut Options) -> Vec<(u16, &mut dyn Value)> {
    vec![
        (1, &mut options.omit_dir_times),
        (2, &mut options.omit_link_times),
        (3, &mut options.backup),
        (4, &mut options.backup_dir),
        (5, &mut options.mkpath),
        (6, &mut options.remove_source_files),
        (7, &mut options.modify_window),
        (8, &mut options.executability),
        (9, &mut options.chmod),
        (10, &mut options.temp_dir),
        (11, &mut options.compare_dest),
        (12, &mut options.copy_dest),
        (13, &mut options.link_dest),
        (14, &mut options.preallocate),
        (15, &mut options.fsync),
        (16, &mut options.partial_dir),
        (17, &mut options.delay_updates),
        (18, &mut options.append),
        (19, &mut options.append_verify),
        (32, &mut options.usermap),
        (33, &mut options.groupmap),
        (34, &mut options.atimes),
        (35, &mut options.open_noatime),
        (36, &mut options.xattrs),
        (37, &mut options.all_xattrs),
        (38, &mut options.acls),
        (39, &mut options.fake_super),
        (64, &mut options.delete_excluded),
        (65, &mut options.ignore_errors),
        (66, &mut options.force),
        (67, &mut options.prune_empty_dirs),
        (68, &mut options.min_size),
        (69, &mut options.max_size),
        (70, &mut options.copy_links),
        (71, &mut options.copy_dirlinks),
        (72, &mut options.copy_unsafe_links),
        (73, &mut options.safe_links),
        (74, &mut options.keep_dirlinks),
        (75, &mut options.skip_mounts),
        (76, &mut options.relative),
        (77, &mut options.no_implied_dirs),
        (78, &mut options.more_paths),
        (79, &mut options.files_from),
        (80, &mut options.from0),
        (81, &mut options.patterns),
        (82, &mut options.ignore_missing_args),
        (96, &mut options.bwlimit),
        (97, &mut options.remarks),
    ]
}

/// What an option's value is on the wire.
trait Value {
    /// The value's bytes; `None` for the default.
    fn encode(&self) -> Option<Vec<u8>>;

    /// Takes what `value` holds; bytes that are left over are an offence.
    ///
    /// # Errors
    /// [`Error::Stream`] for what is no such value.
    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()>;
}

/// Set: no bytes.
impl Value for bool {
    fn encode(&self) -> Option<Vec<u8>> {
        self.then(Vec::new)
    }

    fn decode(&mut self, _: &mut Reader<'_>) -> Result<()> {
        *self = true;
        Ok(())
    }
}

/// A level: a byte.
impl Value for u8 {
    fn encode(&self) -> Option<Vec<u8>> {
        (*self > 0).then(|| vec![*self])
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        *self = value.u8()?;
        Ok(())
    }
}

/// A number: 8 bytes.
impl Value for Option<u64> {
    fn encode(&self) -> Option<Vec<u8>> {
        self.map(|number| number.to_be_bytes().to_vec())
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        *self = Some(value.u64()?);
        Ok(())
    }
}

/// Text: all bytes of the value; a NUL is an offence.
impl Value for Option<Vec<u8>> {
    fn encode(&self) -> Option<Vec<u8>> {
        self.clone()
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let len = value.left();
        *self = Some(text(value, len)?);
        Ok(())
    }
}

/// A path: as text, and not empty.
impl Value for Option<PathBuf> {
    fn encode(&self) -> Option<Vec<u8>> {
        self.as_ref().map(|path| path.as_os_str().as_bytes().to_vec())
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let len = value.left();
        *self = Some(path(text(value, len)?)?);
        Ok(())
    }
}

/// Several texts: `len:u32` and the bytes, each.
impl Value for Vec<Vec<u8>> {
    fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for text in self {
            out.put_u32(text.len() as u32);
            out.put_slice(text);
        }
        (!self.is_empty()).then_some(out)
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        while !value.at_end() {
            let len = value.u32()? as usize;
            self.push(text(value, len)?);
        }
        Ok(())
    }
}

/// Several paths: as texts, none empty.
impl Value for Vec<PathBuf> {
    fn encode(&self) -> Option<Vec<u8>> {
        self.iter().map(|path| path.as_os_str().as_bytes().to_vec()).collect::<Vec<_>>().encode()
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        texts.decode(value)?;
        *self = texts.into_iter().map(path).collect::<Result<_>>()?;
        Ok(())
    }
}

/// Steps of `--chmod`: a byte of `who:2 origin:2 X:1 takes:1` from the lowest bit on, and two numbers of 16 bits.
impl Value for Vec<Step> {
    fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for step in self {
            let flags = u8::from(step.keeps_x) << 4 | u8::from(step.takes) << 5;
            out.put_u8(step.only as u8 | (step.from as u8) << 2 | flags);
            out.put_u16(step.and);
            out.put_u16(step.bits);
        }
        (!self.is_empty()).then_some(out)
    }

    fn decode(&mut self, value: &mut Reader<'_>) -> Result<()> {
        while !value.at_end() {
            let (flags, and, bits) = (value.u8()?, value.u16()?, value.u16()?);
            let impossible =
                || Error::Stream(format!("a change of modes that makes no sense: {flags:#x} {and:o} {bits:o}"));
            let only = [Only::Any, Only::Dirs, Only::Others].into_iter().find(|only| *only as u8 == flags & 3);
            let origins = [Origin::Given, Origin::User, Origin::Group, Origin::Other];
            let (Some(only), 0, true) = (only, flags >> 6, (and | bits) <= 0o7777) else { return Err(impossible()) };
            let from = origins[usize::from((flags >> 2) & 3)];
            self.push(Step { only, from, keeps_x: flags & 0x10 != 0, takes: flags & 0x20 != 0, and, bits });
        }
        Ok(())
    }
}

fn text(value: &mut Reader<'_>, len: usize) -> Result<Vec<u8>> {
    let bytes = value.bytes(len)?;
    if bytes.contains(&0) {
        return Err(Error::Stream("a NUL within an option".into()));
    }
    Ok(bytes.to_vec())
}

fn path(text: Vec<u8>) -> Result<PathBuf> {
    if text.is_empty() {
        return Err(Error::Stream("an option names an empty path".into()));
    }
    Ok(OsString::from_vec(text).into())
}

/// The list of the options that have something to say; `None` if none has.
pub(super) fn encode(options: &mut Options) -> Option<Vec<u8>> {
    let said: Vec<(u16, Vec<u8>)> =
        fields(options).into_iter().filter_map(|(tag, value)| Some((tag, value.encode()?))).collect();
    let mut out = Vec::new();
    out.put_u16(said.len() as u16);
    for (tag, value) in &said {
        out.put_u16(*tag);
        out.put_u32(value.len() as u32);
        out.put_slice(value);
    }
    (!said.is_empty()).then_some(out)
}

/// Reads the list into `options`, which have their defaults.
///
/// # Errors
/// A tag that this version does not know, one out of order, a value that is not of the option's form.
pub(super) fn decode(reader: &mut Reader<'_>, options: &mut Options) -> Result<()> {
    let mut known = fields(options).into_iter();
    for _ in 0..reader.u16()? {
        let (tag, len) = (reader.u16()?, reader.u32()? as usize);
        let mut value = Reader::new(reader.bytes(len)?);
        // Both are in the order of the tags, so one that was passed comes no more.
        let unknown =
            || Error::Stream(format!("unknown option {tag}, or one out of order: is the other end's sy newer?"));
        let (_, field) = known.find(|(known, _)| *known == tag).ok_or_else(unknown)?;
        field.decode(&mut value)?;
        value.finish()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::mode;

    fn list(said: &[(u16, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_u16(said.len() as u16);
        for (tag, value) in said {
            out.put_u16(*tag);
            out.put_u32(value.len() as u32);
            out.put_slice(value);
        }
        out
    }

    fn read(said: &[(u16, &[u8])]) -> Result<Options> {
        let mut options = Options::default();
        decode(&mut Reader::new(&list(said)), &mut options).map(|()| options)
    }

    #[test]
    fn every_field_survives_the_wire_alone() {
        for place in 0..fields(&mut Options::default()).len() {
            let mut sent = Options::default();
            let (_, field) = fields(&mut sent).swap_remove(place);
            // One of these is of its form, whatever it is.
            let values = [&b"a/b"[..], b"\0\0\0\x03a/b", &7u64.to_be_bytes(), b"\x01\0\0\0\x07", b"\x02", b""];
            let mut fits = |value: &[u8]| {
                let mut value = Reader::new(value);
                field.decode(&mut value).is_ok() && value.at_end()
            };
            values.into_iter().find(|value| fits(value)).expect("a form");
            let encoded = encode(&mut sent).expect("it is said");
            let mut received = Options::default();
            decode(&mut Reader::new(&encoded), &mut received).unwrap();
            assert_eq!(received, sent, "field {place}");
        }
        assert_eq!(encode(&mut Options::default()), None);
    }

    #[test]
    fn tags_rise() {
        let mut options = Options::default();
        assert!(fields(&mut options).is_sorted_by(|(one, _), (other, _)| one < other));
    }

    #[test]
    fn a_tag_that_is_unknown_or_comes_twice_or_out_of_order_is_refused() {
        assert!(read(&[(1, b""), (2, b"")]).is_ok());
        for said in [&[(1u16, &b""[..]), (1, b"")][..], &[(2, b""), (1, b"")], &[(0, b"")], &[(65_535, b"")]] {
            assert!(read(said).is_err(), "{said:?}");
        }
    }

    #[test]
    fn a_value_of_another_form_is_refused() {
        assert!(read(&[(1, b"x")]).is_err());
        let mut number: Option<u64> = None;
        assert!(number.decode(&mut Reader::new(b"1234567")).is_err());
        let mut path: Option<PathBuf> = None;
        assert!(path.decode(&mut Reader::new(b"")).is_err() && path.decode(&mut Reader::new(b"a\0")).is_err());
        let mut texts: Vec<Vec<u8>> = Vec::new();
        assert!(texts.decode(&mut Reader::new(b"\0\0\0\x02a")).is_err());
        let mut paths: Vec<PathBuf> = Vec::new();
        assert!(paths.decode(&mut Reader::new(b"\0\0\0\0")).is_err());
    }

    #[test]
    fn each_form_survives_the_wire() {
        fn round<T: Value + Default + PartialEq + std::fmt::Debug>(sent: T) {
            let mut received = T::default();
            let encoded = sent.encode().expect("it is said");
            let mut value = Reader::new(&encoded);
            received.decode(&mut value).unwrap();
            value.finish().unwrap();
            assert_eq!(received, sent);
        }
        round(true);
        round(2u8);
        round(Some(7u64));
        round(Some(b"~".to_vec()));
        round(Some(Vec::<u8>::new()));
        round(Some(PathBuf::from("a/b")));
        round(vec![b"one".to_vec(), Vec::new()]);
        round(vec![PathBuf::from("one"), PathBuf::from("/two")]);
        round(mode::parse("Dg+s,ug-w,Fo=g,+X,-u,644", 0o022).unwrap());
        let mut steps: Vec<Step> = Vec::new();
        assert!(steps.decode(&mut Reader::new(b"\x03\0\0\0\0")).is_err(), "nobody is meant");
        assert!(steps.decode(&mut Reader::new(b"\0\xff\0\0\0")).is_err(), "no mode");
    }
}
