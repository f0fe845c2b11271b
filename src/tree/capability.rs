//! What a file system may be unable to keep, whatever is tried: that is told once, and is no error of any file.

use std::fmt;
use std::io;

/// Something that not every file system keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// Extended attributes.
    Xattrs = 1,
    /// Access control lists.
    Acls = 2,
}

impl Capability {
    const ALL: [Capability; 2] = [Capability::Xattrs, Capability::Acls];

    /// The one with this number on the wire.
    pub fn from_wire(number: u8) -> Option<Capability> {
        Self::ALL.into_iter().find(|capability| *capability as u8 == number)
    }

    /// A word for programs.
    pub fn word(self) -> &'static str {
        match self {
            Capability::Xattrs => "xattrs",
            Capability::Acls => "acls",
        }
    }

    /// What an attempt failed for, if it was for want of a capability.
    pub fn missed(error: &io::Error) -> Option<Capability> {
        error.get_ref()?.downcast_ref::<Lost>().map(|lost| lost.0)
    }

    /// The error of an attempt that failed for want of it.
    pub fn error(self) -> io::Error {
        io::Error::new(io::ErrorKind::Unsupported, Lost(self))
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Capability::Xattrs => "extended attributes",
            Capability::Acls => "access control lists",
        })
    }
}

#[derive(Debug)]
struct Lost(Capability);

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the file system keeps no {}", self.0)
    }
}

impl std::error::Error for Lost {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_known_by_its_error_and_by_its_number() {
        for capability in Capability::ALL {
            assert_eq!(Capability::missed(&capability.error()), Some(capability));
            assert_eq!(Capability::from_wire(capability as u8), Some(capability));
        }
        assert_eq!(Capability::missed(&io::ErrorKind::Unsupported.into()), None);
        assert_eq!(Capability::from_wire(0), None);
    }
}
