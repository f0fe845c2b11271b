//! What a path on the command line names: `PATH` here or `[user@]host:PATH` there, and what its trailing slash means.
//!
//! rsync's rules: a colon before any slash makes it remote; a source that ends with a slash means what is in the
//! directory, any other the directory itself. Nothing here asks a file system or resolves a name. Paths are bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A place that is synced from or to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// On this host.
    Local(PathBuf),
    /// Behind a remote shell.
    Remote {
        /// `[user@]host` as it is given to ssh; without the brackets of an IPv6 address.
        user_host: OsString,
        /// The path as typed; empty means the home directory.
        path: PathBuf,
    },
}

/// Why an argument is no location.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LocationError {
    /// An rsync daemon's address.
    #[error("{0}: sy does not speak to rsync daemons; use [user@]host:path, which goes over ssh")]
    RsyncDaemon(String),
    /// Nothing before the colon.
    #[error("{0}: no host before the colon; a local name with a colon is written ./NAME")]
    NoHost(String),
    /// A host that ssh would take for an option.
    #[error("{0}: a host or user must not begin with '-'; a local name is written ./NAME")]
    OptionAsHost(String),
    /// An opening bracket without its `]:`.
    #[error("{0}: the address in brackets does not end with ']:'")]
    Bracket(String),
    /// An empty argument.
    #[error("empty path; the current directory is written .")]
    Empty,
}

impl Location {
    /// Reads one argument.
    ///
    /// # Errors
    /// What names neither a local path nor a host that ssh could be given.
    pub fn parse(argument: &OsStr) -> Result<Self, LocationError> {
        let bytes = argument.as_bytes();
        let shown = || argument.display().to_string();
        if bytes.is_empty() {
            return Err(LocationError::Empty);
        }
        if bytes.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"rsync://")) {
            return Err(LocationError::RsyncDaemon(shown()));
        }
        let Some((user_host, path)) = split_remote(argument)? else {
            return Ok(Self::Local(PathBuf::from(argument)));
        };
        if path.starts_with(b":") {
            return Err(LocationError::RsyncDaemon(shown()));
        }
        let host = user_host.rsplit(|&b| b == b'@').next().unwrap_or_default();
        if host.is_empty() {
            return Err(LocationError::NoHost(shown()));
        }
        // `-` in front of either: ssh looks at the whole argument, and some versions at the host behind the user as well.
        if user_host.starts_with(b"-") || host.starts_with(b"-") {
            return Err(LocationError::OptionAsHost(shown()));
        }
        let user_host = OsStr::from_bytes(&user_host).to_os_string();
        Ok(Self::Remote { user_host, path: PathBuf::from(OsStr::from_bytes(path)) })
    }

    /// The path, wherever it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Local(path) | Self::Remote { path, .. } => path,
        }
    }

    /// Whether it is behind a remote shell.
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }
}

/// `[user@]host` and path.
type HostAndPath<'a> = (Vec<u8>, &'a [u8]);

/// Host and path of a remote argument, brackets taken off; `None` if it is local.
fn split_remote(argument: &OsStr) -> Result<Option<HostAndPath<'_>>, LocationError> {
    let bytes = argument.as_bytes();
    let first_part = &bytes[..bytes.iter().position(|&b| b == b'/').unwrap_or(bytes.len())];
    let bracket = match first_part.iter().position(|&b| b == b'@') {
        Some(at) if first_part.get(at + 1) == Some(&b'[') => Some(at + 1),
        _ => first_part.starts_with(b"[").then_some(0),
    };
    // Only an address has a colon within its brackets; `[a]` is a fine name for a file.
    if let Some(open) = bracket
        && first_part[open..].contains(&b':')
    {
        let close = first_part.iter().position(|&b| b == b']').filter(|&at| first_part.get(at + 1) == Some(&b':'));
        let close = close.ok_or_else(|| LocationError::Bracket(argument.display().to_string()))?;
        let user_host = [&bytes[..open], &bytes[open + 1..close]].concat();
        return Ok(Some((user_host, &bytes[close + 2..])));
    }
    let colon = first_part.iter().position(|&b| b == b':');
    Ok(colon.map(|at| (bytes[..at].to_vec(), &bytes[at + 1..])))
}

/// Whether a source `path` stands for what is in the directory: it is empty (a remote home) or ends with `/`, `.` or `..`.
pub fn copies_contents(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    let last = bytes.rsplit(|&b| b == b'/').next().unwrap_or_default();
    matches!(last, b"" | b"." | b"..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(argument: &str) -> Result<Location, LocationError> {
        Location::parse(OsStr::new(argument))
    }

    #[test]
    fn colon_before_any_slash_makes_it_remote() {
        let cases = [
            ("host:path", "host", "path"),
            ("host:", "host", ""),
            ("user@host:/a b", "user@host", "/a b"),
            ("host:a:b", "host", "a:b"),
            ("host:-x", "host", "-x"),
            ("u@ser@host:x", "u@ser@host", "x"),
            ("host:$(x);'\n", "host", "$(x);'\n"),
        ];
        for (argument, user_host, path) in cases {
            let expected = Location::Remote { user_host: user_host.into(), path: path.into() };
            assert_eq!(parse(argument), Ok(expected));
        }
    }

    #[test]
    fn path_without_such_a_colon_is_local() {
        for argument in ["a", "/a:b", "./a:b", "a/b:c", "-a", "a b", "[a]", "[a]/b:c", "user@host", "@", "a//"] {
            assert_eq!(parse(argument), Ok(Location::Local(PathBuf::from(argument))));
        }
    }

    #[test]
    fn brackets_of_an_address_are_taken_off() {
        let cases = [
            ("[::1]:path", "::1", "path"),
            ("user@[fe80::1%eth0]:/a:b]", "user@fe80::1%eth0", "/a:b]"),
            ("[fe80::1]:", "fe80::1", ""),
        ];
        for (argument, user_host, path) in cases {
            let expected = Location::Remote { user_host: user_host.into(), path: path.into() };
            assert_eq!(parse(argument), Ok(expected));
        }
        for argument in ["[::1]path", "[::1", "user@[::1]/x"] {
            assert_eq!(parse(argument), Err(LocationError::Bracket(argument.into())));
        }
    }

    #[test]
    fn rsync_daemons_are_refused_with_a_reason() {
        for argument in ["host::module", "user@host::module/x", "rsync://host/module", "RSYNC://host", "[::1]::module"]
        {
            let error = parse(argument).unwrap_err();
            assert_eq!(error, LocationError::RsyncDaemon(argument.into()));
            assert!(error.to_string().contains("does not speak to rsync daemons"));
        }
    }

    #[test]
    fn host_that_is_empty_or_looks_like_an_option_is_refused() {
        for argument in [":path", "user@:path", "@:path"] {
            assert_eq!(parse(argument), Err(LocationError::NoHost(argument.into())));
        }
        for argument in ["-oProxyCommand=x:path", "-:path", "user@-oProxyCommand=x:path", "-l@host:path", "[-x:1]:path"]
        {
            assert_eq!(parse(argument), Err(LocationError::OptionAsHost(argument.into())), "{argument}");
        }
        assert_eq!(parse(""), Err(LocationError::Empty));
    }

    #[test]
    fn names_are_kept_byte_by_byte() {
        let argument = OsStr::from_bytes(b"host:\xff\n/");
        let Ok(Location::Remote { path, .. }) = Location::parse(argument) else { panic!("local") };
        assert_eq!(path.as_os_str().as_bytes(), b"\xff\n/");
    }

    #[test]
    fn trailing_slash_or_dots_mean_the_contents() {
        let cases = [
            ("dir", false),
            ("a/dir", false),
            ("dir/", true),
            ("dir//", true),
            ("/", true),
            (".", true),
            ("..", true),
            ("dir/.", true),
            ("dir/..", true),
            (".dir", false),
            ("dir..", false),
            ("host:", true),
            ("host:dir", false),
            ("host:dir/", true),
        ];
        for (argument, contents) in cases {
            assert_eq!(copies_contents(parse(argument).unwrap().path()), contents, "{argument}");
        }
    }
}
