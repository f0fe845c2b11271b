//! Other users of the machine. A socket tells who the thread was that made it, and on Linux a thread of root's can be anybody.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};

use super::Den;
use super::links::Wired;
use crate::harness::is_root;
use crate::harness::process::wait_until;

/// The thread alone acts as that user from now on.
fn become_user(uid: u32) {
    rustix::thread::set_thread_res_uid(None, rustix::process::Uid::from_raw(uid), None).expect("root can be anybody");
}

/// Connects as another user.
fn connect_as(uid: u32, path: std::path::PathBuf) -> UnixStream {
    let thread = std::thread::spawn(move || {
        become_user(uid);
        UnixStream::connect(path).expect("the test has opened it to all")
    });
    thread.join().expect("it connects")
}

#[test]
fn another_user_is_refused_even_if_the_socket_were_open_to_all() {
    if !is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    let den = Den::new();
    den.start(&[]);
    for path in [den.path(""), den.path("run")] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(den.socket(), Permissions::from_mode(0o666)).unwrap();
    assert!(Wired::try_greeted(connect_as(0, den.socket())).is_some());
    assert!(Wired::try_greeted(connect_as(65534, den.socket())).is_none());
    fs::set_permissions(den.path("run"), Permissions::from_mode(0o700)).unwrap();
    wait_until("the log tells who", || den.log().contains("user 65534"));
}

#[test]
fn a_socket_that_another_user_listens_at_is_no_daemon() {
    if !is_root() {
        eprintln!("skipped: only root can be another user");
        return;
    }
    let den = Den::new();
    fs::set_permissions(den.path(""), Permissions::from_mode(0o711)).unwrap();
    let open = den.path("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
    let path = open.join("planted");
    let planted = path.clone();
    let listener = std::thread::spawn(move || {
        become_user(65534);
        UnixListener::bind(planted).expect("a socket of nobody's")
    });
    let _listener = listener.join().expect("it listens");
    fs::rename(path, den.socket()).unwrap();
    assert_eq!(fs::metadata(den.socket()).unwrap().uid(), 65534);
    den.daemon(&["status"]).run().code(11).says("somebody else listens there");
}
