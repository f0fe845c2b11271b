//! Ctrl-C and its like: the command that runs is ended, then the lab leaves by its ordinary way and cleans up.
//!
//! A handler only sets a flag and lets go of the running command's leash; everything else is done by whoever notices
//! the flag. A second signal ends the lab at once, and the leashes clean up behind it.

use std::process::ChildStdin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Option<ChildStdin>> = Mutex::new(None);

/// The exit status after a signal, as shells have it for Ctrl-C.
pub const STATUS: u8 = 130;

/// Starts to listen for signals.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn install() -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot install signal handlers")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(STATUS));
            }
            release();
        }
    });
    Ok(())
}

/// Whether a signal has come.
pub fn happened() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// # Errors
/// When a signal has come.
pub fn check() -> Result<()> {
    if happened() {
        bail!("interrupted");
    }
    Ok(())
}

/// Keeps the leash of the command that runs now, so that a signal can let go of it.
pub fn hold(leash: Option<ChildStdin>) {
    if let Ok(mut running) = RUNNING.lock() {
        *running = leash;
    }
    // A signal between the start of the command and this call has found nothing to let go of.
    if happened() {
        release();
    }
}

/// Lets go of it.
pub fn release() {
    if let Ok(mut running) = RUNNING.lock() {
        running.take();
    }
}
