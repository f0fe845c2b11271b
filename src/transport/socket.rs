//! A link on a connected socket.
//!
//! Each direction has a handle of its own: whoever lets one go does not end what others hold of the same socket, as closing
//! half of it would. The link ends when nobody has it any more.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use super::Link;

/// The link on a Unix socket.
///
/// # Errors
/// When the socket cannot be made non-blocking or be shared.
pub fn unix(stream: UnixStream) -> io::Result<Link> {
    stream.set_nonblocking(true)?;
    let writer = tokio::net::UnixStream::from_std(stream.try_clone()?)?;
    Ok(Link::new(tokio::net::UnixStream::from_std(stream)?, writer))
}

/// The link on a TCP connection.
///
/// # Errors
/// When the socket cannot be made non-blocking or be shared.
pub fn tcp(stream: TcpStream) -> io::Result<Link> {
    stream.set_nonblocking(true)?;
    // What is flushed is meant to be sent.
    stream.set_nodelay(true)?;
    let writer = tokio::net::TcpStream::from_std(stream.try_clone()?)?;
    Ok(Link::new(tokio::net::TcpStream::from_std(stream)?, writer))
}
