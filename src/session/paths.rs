//! The sources that a client asks a server for, where they are more than SESSION_START has room for, or stand in a list of
//! the server's (`--files-from=HOST:FILE`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Session;
use super::host::at_home;
use crate::error::{Error, Result};
use crate::filter::Ends;
use crate::protocol::message::{Message, Paths};
use crate::source::{names, wild};

/// Bytes of paths after which a frame is full: far from the frame limit, since one path may be long.
const FILL: usize = 128 << 10;
/// Most bytes of paths that a server takes, each counted with what it takes besides.
const MOST: usize = 1 << 30;
/// What a path takes besides its bytes, in memory.
const EACH: usize = 32;

/// How many of `paths` go into the next frame.
pub(super) fn fill(paths: &[Vec<u8>]) -> usize {
    let mut bytes = 0;
    let fits = |path: &&Vec<u8>| {
        let fits = bytes < FILL;
        bytes += path.len() + 4;
        fits
    };
    paths.iter().take_while(fits).count()
}

/// Whether some of `sources` follow those that go with SESSION_START, which says so; if there is none, that follows.
pub(super) fn follow(sources: &[Vec<u8>]) -> bool {
    fill(sources) < sources.len() || sources.is_empty()
}

/// Client: sends those of its sources that did not go with SESSION_START.
///
/// # Errors
/// The link's.
pub(super) fn send_rest(session: &Session, sources: &[Vec<u8>]) -> Result<()> {
    let mut rest = &sources[fill(sources)..];
    let mut last = !follow(sources);
    while !last {
        let (piece, after) = rest.split_at(fill(rest));
        (rest, last) = (after, after.is_empty());
        session.outbox.send(Message::Paths(Paths { last, paths: piece.to_vec() }))?;
    }
    Ok(())
}

/// Server: all sources, of which `paths` came with SESSION_START.
///
/// # Errors
/// The link's; [`Error::Stream`] for more than a server takes; those of reading a list.
pub(super) fn all(session: &mut Session, mut paths: Vec<Vec<u8>>, home: Option<&Path>) -> Result<Vec<Vec<u8>>> {
    let (mut more, mut held) = (session.options.more_paths, 0);
    while more {
        let Paths { last, paths: piece } = match session.inbox.recv()? {
            Message::Paths(piece) => piece,
            other => return Err(session.out_of_place("more paths", &other)),
        };
        held += piece.iter().map(|path| path.len() + EACH).sum::<usize>();
        if held > MOST {
            return Err(Error::Stream("more paths than a session may name".into()));
        }
        paths.extend(piece);
        more = !last;
    }
    let relative = session.options.relative;
    let place = |path| at_home(path, relative, home);
    if session.options.patterns {
        let expand = |typed: Vec<u8>| wild::expand(&typed, |path| at_home(path, false, home));
        paths = paths.into_iter().flat_map(expand).map(place).collect();
    } else {
        paths.iter_mut().for_each(|path| *path = place(std::mem::take(path)));
    }
    let Some(list) = &session.options.files_from else { return Ok(paths) };
    let list = at_home(list.as_os_str().as_bytes().to_vec(), false, home);
    let list = Path::new(OsStr::from_bytes(&list));
    let dir = paths.first().map(Vec::as_slice).unwrap_or_default();
    names::check_dir(dir)?;
    let read = names::read_file(list)?;
    Ok(names::below(dir, &names::parse(&read, Ends::with_nul(session.options.from0)), relative))
}
