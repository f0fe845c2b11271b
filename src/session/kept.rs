//! A link that is kept, when a session on it is over: each end's last frame is SESSION_OVER, and what is between those is nobody's.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::task::JoinHandle;

use super::{FLUSH_WAIT, START_WAIT};
use crate::error::{Error, Result};
use crate::protocol::buffers::Buffers;
use crate::protocol::frame::read_frame;
use crate::protocol::message::Message;
use crate::transport::{Link, LinkReader, LinkWriter};

/// What has become of a link for several sessions when one has come to its good end.
pub enum Rest {
    /// It is between two sessions.
    Free(Link),
    /// The other end's last frame, which tells this number, has not begun to come; nothing has been read of it.
    Owed(u64),
    /// Nobody can tell.
    Doubtful,
}

/// Reads a kept link up to the last frame of the session `session_id`, which its client did not wait for.
///
/// # Errors
/// Anything else than that frame and keepalives.
pub async fn await_over(link: &mut Link, session_id: u64) -> Result<()> {
    loop {
        let frame = read_frame(&mut link.reader, Some(START_WAIT), &Buffers::default()).await?;
        match Message::decode(frame.ok_or(Error::Disconnected)?, Path::new(""), &Buffers::default())? {
            Message::Keepalive { .. } => {}
            Message::SessionOver { session_id: over } if over == session_id => return Ok(()),
            other => return Err(Error::Stream(format!("message {:#04x} instead of SESSION_OVER", other.code()))),
        }
    }
}

/// What a client leaves of a link that is kept. It waits for the other end's last word only if that is under way: it may be a
/// round trip away, and whoever gave the client the link can wait as well.
pub(super) async fn left_by_client(
    session_id: u64,
    writer: LinkWriter,
    mut reading: JoinHandle<Option<LinkReader>>,
    quiet: &AtomicBool,
    waits: bool,
) -> Rest {
    if waits || reading.is_finished() {
        return free(writer, reading).await;
    }
    reading.abort();
    let cancelled = (&mut reading).await.is_err_and(|error| error.is_cancelled());
    if cancelled && quiet.load(Relaxed) { Rest::Owed(session_id) } else { Rest::Doubtful }
}

/// The link, once the other end has said its last word.
pub(super) async fn free(writer: LinkWriter, reading: JoinHandle<Option<LinkReader>>) -> Rest {
    match tokio::time::timeout(FLUSH_WAIT, reading).await {
        Ok(Ok(Some(reader))) => Rest::Free(Link { reader, writer }),
        _ => Rest::Doubtful,
    }
}
