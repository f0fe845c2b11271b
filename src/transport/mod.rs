//! Links: byte pipes to the other end, whatever they are made of. A link knows nothing of what crosses it.

use tokio::io::{AsyncRead, AsyncWrite};

pub mod memory;
pub mod ssh;
pub mod stdio;

/// The two directions of a link.
pub struct Link {
    /// What the peer says.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// What the peer hears.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Link {
    /// A link of two halves.
    pub fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Link {
        Link { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

/// How wide a pipe to or from `ssh` is made where the system lets us, in bytes.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;

/// Widens a pipe so that a burst of frames costs fewer switches between processes. A limit of the system, or something
/// that is no pipe, leaves it as it is: nothing depends on it.
#[cfg(target_os = "linux")]
fn widen(pipe: &impl std::os::fd::AsFd) {
    let _ = rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE);
}

/// Elsewhere a pipe's size is the system's affair.
#[cfg(not(target_os = "linux"))]
fn widen(_: &impl std::os::fd::AsFd) {}
