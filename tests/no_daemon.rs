//! A build without the daemon says so, and does nothing else.

use crate::harness::process::Program;
use crate::harness::{Sandbox, Tree, Way};

#[test]
fn what_would_need_a_daemon_is_refused_with_a_code_of_its_own() {
    for words in [&["daemon", "start"][..], &["daemon", "stop"], &["daemon", "status", "--json"]] {
        Program::sy(words).run().code(4).says("has no daemon");
    }
    let sandbox = Sandbox::new(Way::Push);
    sandbox.write_source(&Tree::new().file("f", "contents"));
    for option in ["--use-daemon", "--use-daemon=require"] {
        sandbox.sync(&["-a", option]).code(4).says("has no daemon");
        assert!(!sandbox.destination().exists());
    }
}
