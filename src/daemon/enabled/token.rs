//! What opens the daemon's port: any user of the machine can reach that, so whoever comes must show what only a file of ours says.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;

use super::runtime_dir::open_private;
use crate::error::{Error, Result};

/// Bytes of chance in it.
const BYTES: usize = 32;
/// Its length on the link: two digits a byte, and a line feed.
pub const LINE: usize = 2 * BYTES + 1;

/// A token.
#[derive(Clone)]
pub struct Token([u8; LINE]);

impl Token {
    /// A new one, written to `path` for its user alone.
    ///
    /// # Errors
    /// When there is no chance to be had, or the file cannot be written.
    pub fn make(path: &Path) -> Result<Token> {
        let source = Path::new("/dev/urandom");
        let mut random = [0; BYTES];
        let drawn = File::open(source).and_then(|mut file| file.read_exact(&mut random));
        drawn.map_err(|error| Error::io("read", source, error))?;
        let mut line = [b'\n'; LINE];
        for (byte, digits) in random.iter().zip(line.chunks_exact_mut(2)) {
            digits.copy_from_slice(format!("{byte:02x}").as_bytes());
        }
        // That of a daemon before us opens nothing any more.
        let _ = fs::remove_file(path);
        let file = open_private(path, OpenOptions::new().write(true).create_new(true));
        file.and_then(|mut file| file.write_all(&line)).map_err(|error| Error::io("write", path, error))?;
        Ok(Token(line))
    }

    /// The line that a client begins with.
    pub fn line(&self) -> &[u8; LINE] {
        &self.0
    }

    /// Whether it is what somebody said, in a time that does not tell how much of it was right.
    pub fn is(&self, said: &[u8; LINE]) -> bool {
        let differs = self.0.iter().zip(said).fold(0, |differs, (ours, theirs)| black_box(differs | (ours ^ theirs)));
        differs == 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_token_is_its_users_alone_and_new_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let (first, second) = (Token::make(&path).unwrap(), Token::make(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), second.line());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(second.is(second.line()) && !second.is(first.line()));
        for at in 0..LINE {
            let mut line = *second.line();
            line[at] ^= 1;
            assert!(!second.is(&line), "{at}");
        }
    }
}
