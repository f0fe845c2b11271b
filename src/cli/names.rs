//! How names are printed: what could steer a terminal, or is no text, is escaped as rsync escapes it, `\#ooo`.
//!
//! So is a backslash that looks like the beginning of an escape, and a tab is not. With `-8` only ASCII control characters are
//! escaped, and the bytes of a name may be no text at all: lines are bytes.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Adds a path to a line.
pub fn push(line: &mut Vec<u8>, path: &Path, eight_bit: bool) {
    let bytes = path.as_os_str().as_bytes();
    if eight_bit {
        return push_plain(line, bytes, |byte| byte.is_ascii_control());
    }
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(is_steering) {
            let (end, c) =
                part.char_indices().next_back().filter(|(_, c)| is_steering(*c)).unwrap_or((part.len(), ' '));
            push_plain(line, &part.as_bytes()[..end], |_| false);
            if end < part.len() {
                c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| escape(line, byte));
            }
        }
        chunk.invalid().iter().for_each(|byte| escape(line, *byte));
    }
}

fn is_steering(c: char) -> bool {
    c.is_control() && c != '\t'
}

/// Bytes of which only some are escaped, and backslashes that would be taken for escapes.
fn push_plain(line: &mut Vec<u8>, bytes: &[u8], escaped: impl Fn(u8) -> bool) {
    for (at, byte) in bytes.iter().enumerate() {
        let follows = |offset: usize, fits: fn(&u8) -> bool| bytes.get(at + offset).is_some_and(fits);
        let misleads =
            *byte == b'\\' && follows(1, |b| *b == b'#') && (2..5).all(|offset| follows(offset, u8::is_ascii_digit));
        match misleads || (escaped(*byte) && *byte != b'\t') {
            true => escape(line, *byte),
            false => line.push(*byte),
        }
    }
}

fn escape(line: &mut Vec<u8>, byte: u8) {
    // Writing to memory does not fail.
    let _ = write!(line, "\\#{byte:03o}");
}

/// A path as it is printed.
pub fn printable(path: &Path) -> String {
    let mut line = Vec::new();
    push(&mut line, path, false);
    String::from_utf8_lossy(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn shown(bytes: &[u8], eight_bit: bool) -> Vec<u8> {
        let mut line = Vec::new();
        push(&mut line, Path::new(OsStr::from_bytes(bytes)), eight_bit);
        line
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let name = b"a\x1b[2J\n\xff\xc3\xa9\t\xc2\x9b";
        assert_eq!(shown(name, false), "a\\#033[2J\\#012\\#377\u{e9}\t\\#302\\#233".as_bytes());
        assert_eq!(shown(name, true), b"a\\#033[2J\\#012\xff\xc3\xa9\t\xc2\x9b");
        assert_eq!(printable(Path::new("plain name")), "plain name");
    }

    #[test]
    fn a_backslash_that_looks_like_an_escape_is_one() {
        for eight_bit in [false, true] {
            assert_eq!(shown(br"a\#012b", eight_bit), br"a\#134#012b");
            assert_eq!(shown(br"\#12 \n \\#1", eight_bit), br"\#12 \n \\#1");
        }
    }
}
