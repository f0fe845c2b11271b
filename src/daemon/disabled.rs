//! The baseline of phase 4.1: every sync starts its own server.

use std::sync::Arc;

use super::{Action, Attempt, Use};
use crate::error::{Error, ExitCode, Result};
use crate::events::Monitor;
use crate::session::{Prepared, Request};
use crate::transport::ssh::Remote;

fn unsupported() -> Error {
    Error::Unsupported("this build of sy has no daemon (see `sy phases`); every sync starts its own server".into())
}

/// `sy daemon ...`.
///
/// # Errors
/// Always: this build has no daemon.
pub fn run(_: &Action) -> Result<ExitCode> {
    Err(unsupported())
}

/// Whether this build can do as `--use-daemon` says.
///
/// # Errors
/// If it says anything.
pub fn available(wanted: Use) -> Result<()> {
    if wanted == Use::No { Ok(()) } else { Err(unsupported()) }
}

/// Syncs through the daemon.
///
/// # Errors
/// If that is wanted: this build has no daemon.
pub async fn sync(wanted: Use, _: &Remote, _: &Request, prepared: Prepared, _: &Arc<Monitor>) -> Result<Attempt> {
    available(wanted).map(|()| Attempt::Plain(prepared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_daemon_both_ways_to_it_are_refused_with_rsyncs_code_for_it() {
        let refused = [run(&Action::Stop { now: false }).map(drop), available(Use::Try), available(Use::Require)];
        for result in refused {
            assert_eq!(result.map_err(|error| error.exit_code()), Err(ExitCode::Unsupported));
        }
        assert!(available(Use::No).is_ok());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_a_daemon_a_sync_that_wants_none_goes_on() {
        let remote = Remote { shell: vec!["ssh".into()], host: "host".into(), sy_path: "sy".into() };
        let (role, options) = (crate::protocol::message::Role::Receiver, Default::default());
        let request = Request { role, options, sources: vec![b"a".to_vec()], destination: b"b".to_vec() };
        let monitor = Arc::new(Monitor::deaf());
        for (wanted, goes_on) in [(Use::No, true), (Use::Try, false)] {
            let attempt = sync(wanted, &remote, &request, Prepared::whole(request.clone()), &monitor).await;
            assert_eq!(matches!(attempt, Ok(Attempt::Plain(_))), goes_on, "{wanted:?}");
        }
    }
}
