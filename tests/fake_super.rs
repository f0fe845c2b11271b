//! `--fake-super`: what only root could give a file is said in an attribute, in rsync's words, and believed when it is read.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::fs::XattrFlags;

use crate::harness::process::{Finished, Program};
use crate::harness::snapshot::xattrs;
use crate::harness::tree::set_mtime;
use crate::harness::{STAND_IN, Sandbox, Snapshot, Tree, Way, is_root, noise, rsync, sync_test};

const SAID: &str = if cfg!(target_os = "linux") { "user.rsync.%stat" } else { "rsync.%stat" };

/// The option for the end that has the destination.
fn there(way: Way) -> &'static str {
    if way == Way::Pull { "--fake-super" } else { "-M--fake-super" }
}

fn write_source(sandbox: &Sandbox) {
    let tree = Tree::new().file("plain", noise(1, 9000)).mode(0o644).file("suid", "s").mode(0o4755);
    let tree = tree.file("closed", "c").mode(0o400).symlink("link", "plain").symlink("dir/dangling", "/nowhere at all");
    sandbox.write_source(&tree.fifo("fifo").mode(0o622).dir("dir").mode(0o2555).file("dir/new", "x").mode(0o604));
    if is_root() {
        make_devices(sandbox);
        std::os::unix::fs::chown(sandbox.source().join("plain"), Some(1234), Some(5678)).unwrap();
        std::os::unix::fs::lchown(sandbox.source().join("link"), Some(4), Some(5)).unwrap();
        // rsync takes times within one second for equal.
        for name in ["dir", "."] {
            set_mtime(&sandbox.source().join(name), (1_000_000_000, 0));
        }
    }
}

#[cfg(target_os = "linux")]
fn make_devices(sandbox: &Sandbox) {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    let devices = [("null", FileType::CharacterDevice, (1, 3)), ("dir/disk", FileType::BlockDevice, (8, 300))];
    for (name, kind, number) in devices {
        let path = sandbox.source().join(name);
        mknodat(CWD, &path, kind, Mode::from_raw_mode(0o640), makedev(number.0, number.1)).unwrap();
        set_mtime(&path, (1_000_000_000, 0));
    }
}

#[cfg(not(target_os = "linux"))]
fn make_devices(_: &Sandbox) {}

/// Whether files here can have attributes of the user's; without them there is nothing to be seen.
fn can_say(sandbox: &Sandbox) -> bool {
    let probe = sandbox.path("probe");
    fs::write(&probe, "").unwrap();
    rustix::fs::setxattr(&probe, "user.probe", b"", XattrFlags::empty()).is_ok()
}

fn said(path: &Path) -> Option<String> {
    xattrs(path).remove(SAID).map(|text| String::from_utf8(text).unwrap())
}

sync_test!(what_only_root_could_give_is_said_and_the_files_stay_their_makers, |sandbox| {
    if !can_say(sandbox) {
        return;
    }
    write_source(sandbox);
    let options = ["-a", "--numeric-ids", there(sandbox.way)];
    sandbox.sync(&options).ok();
    let made = |name: &str| sandbox.destination().join(name);
    let of = |name: &str| fs::symlink_metadata(made(name)).unwrap();
    let owner = |name: &str| fs::symlink_metadata(sandbox.source().join(name)).map(|m| (m.uid(), m.gid())).unwrap();
    for (name, mode, said_mode, device) in [
        ("suid", 0o755, "104755", "0,0"),
        ("closed", 0o600, "100400", "0,0"),
        ("link", 0o777, "120777", "0,0"),
        ("fifo", 0o622, "10622", "0,0"),
        ("dir", 0o755, "42555", "0,0"),
    ] {
        let (uid, gid) = owner(name);
        assert_eq!(said(&made(name)).as_deref(), Some(&format!("{said_mode} {device} {uid}:{gid}")[..]), "{name}");
        assert_eq!(of(name).mode() & 0o7777, mode, "{name}");
        assert_eq!(of(name).uid(), nix::unistd::geteuid().as_raw(), "{name}");
    }
    assert_eq!(fs::read(made("link")).unwrap(), b"plain");
    assert_eq!(fs::read(made("dir/dangling")).unwrap(), b"/nowhere at all");
    assert_eq!(fs::read(made("fifo")).unwrap(), b"");
    assert_eq!(said(&made("dir/new")), None, "there is nothing to say");
    if is_root() && cfg!(target_os = "linux") {
        assert_eq!(said(&made("null")).as_deref(), Some("20640 1,3 0:0"));
        assert_eq!(said(&made("dir/disk")).as_deref(), Some("60640 8,300 0:0"));
        assert_eq!(said(&made("plain")).as_deref(), Some("100644 0,0 1234:5678"));
    }
    let again = sandbox.sync(&[&options[..], &["-i"]].concat()).ok();
    assert!(again.stdout.is_empty(), "nothing was to be done: {}", again.told());
});

sync_test!(what_changes_its_kind_is_said_anew, |sandbox| {
    if !can_say(sandbox) {
        return;
    }
    sandbox
        .write_source(&Tree::new().file("a", "file").symlink("b", "to").fifo("c").dir("d").file("e", "1").mode(0o4700));
    let options = ["-a", "--delete", there(sandbox.way)];
    sandbox.sync(&options).ok();
    fs::remove_dir_all(sandbox.source()).unwrap();
    sandbox
        .write_source(&Tree::new().symlink("a", "x").fifo("b").dir("c").symlink("d", "y").file("e", "1").mode(0o700));
    for delete in ["--inplace", "--backup"] {
        sandbox.sync(&[&options[..], &[delete]].concat()).ok();
        let kind = |name: &str| said(&sandbox.destination().join(name)).map(|text| text[..3].to_owned());
        assert_eq!(["a", "b", "d", "e"].map(kind), [Some("120".into()), Some("106".into()), Some("120".into()), None]);
        assert!(sandbox.destination().join("c").is_dir());
    }
});

/// Runs the real rsync with `side` faking, below the sandbox.
fn run_rsync(sandbox: &Sandbox, options: &[&str], source: &str, destination: &str) -> Finished {
    let program = Program::new(rsync()).args(["-aH", "--numeric-ids", "-e", STAND_IN]).args(options);
    program.arg(source).arg(destination).current_dir(sandbox.path("")).run()
}

fn remote(sandbox: &Sandbox, name: &str) -> OsString {
    let mut path = OsString::from("host:");
    path.push(sandbox.path(name));
    path
}

#[test]
fn a_tree_that_one_of_the_two_has_written_is_read_and_gone_on_with_by_the_other() {
    let sandbox = Sandbox::new(Way::Push);
    if !can_say(&sandbox) {
        return;
    }
    write_source(&sandbox);
    let theirs = remote(&sandbox, "theirs/").into_string().unwrap();
    let ours = remote(&sandbox, "ours/").into_string().unwrap();
    run_rsync(&sandbox, &["-M--fake-super"], "source/", &theirs).ok();
    let options = ["-aH", "--numeric-ids", "-M--fake-super"];
    sandbox.sync_paths(&options, &["source/"], "ours/").ok();
    let same = || Snapshot::of(&sandbox.path("ours")).assert_same(&Snapshot::of(&sandbox.path("theirs")));
    same();
    // Each goes on with the other's, and finds nothing to do.
    assert!(run_rsync(&sandbox, &["-i", "-M--fake-super"], "source/", &ours).ok().stdout.is_empty());
    let again = sandbox.sync_paths(&[&options[..], &["-i"]].concat(), &["source/"], "theirs/").ok();
    assert!(again.stdout.is_empty(), "{}", again.told());
    same();
    // And back: only root can give what is said.
    if is_root() {
        run_rsync(&sandbox, &["-M--fake-super"], &ours, "read-by-them").ok();
        let pull = Program::sy(&options).args(["-e", STAND_IN, "--sy-path", crate::harness::SY]);
        pull.arg(&theirs).arg(sandbox.path("read-by-us")).run().ok();
        for read in ["read-by-them", "read-by-us"] {
            Snapshot::of(&sandbox.path(read)).assert_same(&sandbox.source_tree());
        }
    }
}

sync_test!(an_attribute_that_makes_no_sense_is_an_error_of_its_file_alone, |sandbox| {
    if !can_say(sandbox) {
        return;
    }
    sandbox.write_source(&Tree::new().file("bad", "1").xattr(SAID, "nonsense").file("good", "2"));
    let here = if sandbox.way == Way::Pull { "-M--fake-super" } else { "--fake-super" };
    let finished = sandbox.sync(&["-a", here]).code(23);
    assert!(finished.stderr.contains("bad") && finished.stderr.contains("makes no sense"), "{}", finished.told());
    assert!(sandbox.destination().join("good").exists() && !sandbox.destination().join("bad").exists());
});

#[test]
fn names_of_other_namespaces_are_kept_among_the_users() {
    let sandbox = Sandbox::new(Way::Push);
    if !can_say(&sandbox) || !is_root() || cfg!(not(target_os = "linux")) {
        return;
    }
    let tree =
        Tree::new().file("a", "1").xattr("user.own", "u").xattr("trusted.small", "t").xattr("trusted.big", [7; 900]);
    sandbox.write_source(&tree);
    let options = ["-aX", "-M--fake-super"];
    sandbox.sync(&options).ok();
    let kept: Vec<String> = xattrs(&sandbox.destination().join("a")).into_keys().collect();
    assert_eq!(kept, ["user.own", "user.rsync.trusted.big", "user.rsync.trusted.small"]);
    assert!(sandbox.sync(&[&options[..], &["-i"]].concat()).ok().stdout.is_empty());
    let pull = Program::sy(&options).args(["-e", STAND_IN, "--sy-path", crate::harness::SY]);
    pull.arg(remote(&sandbox, "destination/")).arg(sandbox.path("back")).run().ok();
    Snapshot::of(&sandbox.path("back")).assert_same(&sandbox.source_tree());
}

#[test]
fn what_cannot_be_said_is_refused_and_so_is_any_other_option_for_the_other_end() {
    for options in [&["-aA", "--fake-super"][..], &["-aXX", "-M--fake-super"], &["-a", "--remote-option=--delete"]] {
        let finished = Program::sy(options).args(["a", "b"]).run().code(1);
        assert!(finished.stderr.contains("--fake-super"), "{}", finished.told());
    }
    // Its maker can always get at it, whatever is said.
    let sandbox = Sandbox::new(Way::Local);
    if can_say(&sandbox) {
        sandbox.write_source(&Tree::new().file("f", "1").mode(0o000));
        if is_root() {
            sandbox.sync(&["-a", "-M--fake-super"]).ok();
            let mode = fs::metadata(sandbox.destination().join("f")).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600);
        }
    }
}
