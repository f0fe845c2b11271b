//! `sy --server`: the other end of a client's session, on standard input and output.

use std::io::Write;

use crate::client::block_on;
use crate::error::{Error, ExitCode, Result};
use crate::{session, transport};

/// Serves one session and ends.
pub fn run() -> ExitCode {
    let result = block_on(std::future::pending(), serve());
    match result {
        Ok(code) => code,
        Err(error) => {
            // A client has been told over the link. What is no client of ours is told here, on the remote shell's stderr.
            if matches!(error, Error::Protocol(_) | Error::Start(_)) {
                let _ = writeln!(std::io::stderr(), "sy --server: {error}");
            }
            error.exit_code()
        }
    }
}

async fn serve() -> Result<ExitCode> {
    let link = transport::stdio::link()
        .map_err(|error| Error::Start(format!("standard input and output are no link: {error}")))?;
    session::server(session::opening::heard_ahead(link)).await
}
