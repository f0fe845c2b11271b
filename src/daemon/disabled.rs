//! The baseline of phase 4.1: every sync starts its own server.

use crate::error::{Error, ExitCode, Result};

/// `sy daemon ...`.
///
/// # Errors
/// Always: this build has no daemon.
pub fn run() -> Result<ExitCode> {
    Err(Error::Usage("this build of sy has no daemon (see `sy phases`); every sync starts its own server".into()))
}
