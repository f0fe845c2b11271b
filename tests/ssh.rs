//! Over a real, private `sshd`: a real tree there and back again, and names that a shell would make something of.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::sshd::Sshd;
use crate::harness::tree::name;
use crate::harness::{Sandbox, Snapshot, Tree, Way, noise};

/// Least entries of the tree that goes there and back.
const ENTRIES: usize = 10_000;

/// A tree of at least [`ENTRIES`] entries: what the system has of one, made up as far as it has not.
fn real_tree(at: &Path) {
    let mut left = vec![PathBuf::from("/usr/share")];
    let mut count = 0;
    fs::create_dir_all(at).expect("a directory of ours");
    while let Some(dir) = left.pop().filter(|_| count < ENTRIES) {
        let to = at.join(dir.strip_prefix("/usr/share").expect("below it"));
        fs::create_dir_all(&to).expect("a directory of ours");
        for item in fs::read_dir(&dir).into_iter().flatten().flatten() {
            count += copy_of(&item.path(), &to.join(item.file_name()), &mut left);
        }
    }
    let made_up = (count..ENTRIES).fold(Tree::new(), |tree, number| {
        tree.file(format!("made up/{}/{number}", number % 100), noise(number as u64, number % 5000))
    });
    made_up.write(at);
}

/// Copies one entry, small files only; how many that were.
fn copy_of(from: &Path, to: &Path, dirs: &mut Vec<PathBuf>) -> usize {
    let Ok(found) = from.symlink_metadata() else { return 0 };
    if found.is_dir() {
        dirs.push(from.to_path_buf());
        return usize::from(fs::create_dir(to).is_ok());
    }
    if let Ok(target) = fs::read_link(from) {
        return usize::from(std::os::unix::fs::symlink(target, to).is_ok());
    }
    if found.len() > 20_000 || !found.is_file() || fs::copy(from, to).is_err() {
        return 0;
    }
    use std::os::unix::fs::MetadataExt;
    crate::harness::tree::set_mtime(to, (found.mtime(), found.mtime_nsec() as u32));
    1
}

/// Edits a tenth of the files and deletes some: every tenth, and one in fifty.
fn edit(root: &Path) {
    let files = Snapshot::of(root)
        .items
        .into_iter()
        .filter(|(_, item)| matches!(item.contents, crate::harness::snapshot::Contents::File { .. }));
    for (number, (path, _)) in files.enumerate() {
        let path = root.join(path);
        if number % 50 == 7 {
            fs::remove_file(path).expect("a file of ours");
        } else if number % 10 == 3 {
            let mut bytes = fs::read(&path).expect("a file of ours");
            bytes.splice(bytes.len() / 2..bytes.len() / 2, *b"an edit");
            fs::write(&path, bytes).expect("a file of ours");
        }
    }
}

fn stats(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("--stats-file was given")).expect("one JSON object")
}

#[test]
fn a_real_tree_goes_there_and_back_again() {
    let (sshd, sandbox) = (Sshd::start(), Sandbox::in_memory(Way::Push));
    let (source, there, back) = (sandbox.path("source/"), sandbox.path("there"), sandbox.path("back"));
    real_tree(&source);
    let before = Snapshot::of(&source);
    assert!(before.items.len() >= ENTRIES, "{}", before.items.len());
    sshd.ok(sshd.sy(&["-aH"]).arg(&source).arg(sshd.remote(&there)).run());
    Snapshot::of(&there).assert_same(&before);

    let file = sandbox.path("stats");
    let again = sshd.sy(&["-aH", "--json"]).arg("--stats-file").arg(&file).arg(&source).arg(sshd.remote(&there)).run();
    let events: Vec<Value> =
        sshd.ok(again).lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.iter().all(|event| event["event"] != "item"), "{events:?}");
    let counted = stats(&file);
    assert_eq!(counted["bytes"]["literal"], 0);
    assert_eq!(counted["files"]["unchanged"].as_u64(), Some(before.items.len() as u64));

    edit(&source);
    sshd.ok(sshd.sy(&["-aH", "--delete"]).arg(&source).arg(sshd.remote(&there)).run());
    Snapshot::of(&there).assert_same(&Snapshot::of(&source));
    sshd.ok(sshd.sy(&["-aHz"]).arg(sshd.remote(&sandbox.path("there/"))).arg(&back).run());
    Snapshot::of(&back).assert_same(&Snapshot::of(&source));
}

#[test]
fn remote_paths_arrive_as_they_are_and_nothing_runs() {
    let (sshd, sandbox) = (Sshd::start(), Sandbox::new(Way::Push));
    let mark = sandbox.path("mark");
    let mark = mark.as_os_str().as_bytes();
    let command = |before: &[u8], after: &[u8]| [before, b"touch ", &mark.escape_slashes(), after].concat();
    let names = [
        b"two words 'single' \"double\" back\\slash".to_vec(),
        b"line\nbreak * ? [a-z] ~ #".to_vec(),
        b"-rf".to_vec(),
        b"--server".to_vec(),
        b"\xff\xfe".to_vec(),
        command(b"a; ", b" #"),
        command(b"$(", b")"),
        command(b"`", b"`"),
        command(b"& ", b" |x"),
    ];
    sandbox.write_source(&Tree::new().file("f", "contents"));
    for bytes in names {
        let path = sandbox.path("remote").join(name(&bytes));
        let shown = bytes.escape_ascii();
        fs::create_dir_all(sandbox.path("remote")).unwrap();
        sshd.ok(sshd.sy(&["-a"]).arg(sandbox.path("source/")).arg(sshd.remote(&path)).run());
        assert_eq!(fs::read(path.join("f")).ok().as_deref(), Some(&b"contents"[..]), "{shown}");
        let mut contents = path.into_os_string();
        contents.push("/");
        sshd.ok(sshd.sy(&["-a"]).arg(sshd.remote(Path::new(&contents))).arg(sandbox.destination()).run());
        sandbox.assert_synced();
        fs::remove_dir_all(sandbox.destination()).unwrap();
        assert!(!sandbox.path("mark").exists(), "{shown} ran");
    }
}

#[test]
fn relative_remote_paths_with_a_leading_dash_are_paths() {
    let (sshd, sandbox) = (Sshd::start(), Sandbox::new(Way::Push));
    sandbox.write_source(&Tree::new().file("f", "contents"));
    // They are below the home directory over there, which is none of the test's: nothing may be made.
    let finished = sshd.sy(&["-an", "-v"]).arg(sandbox.path("source/")).arg("127.0.0.1:-sy-test-not-there").run();
    sshd.ok(finished);
    let finished = sshd.sy(&["-a"]).arg("127.0.0.1:--help").arg(sandbox.destination()).run();
    finished.code(23).says("--help");
}

/// A command within a name cannot have slashes: its path is spelt another way.
trait EscapeSlashes {
    fn escape_slashes(&self) -> Vec<u8>;
}

impl EscapeSlashes for [u8] {
    fn escape_slashes(&self) -> Vec<u8> {
        let text = String::from_utf8_lossy(self).replace('/', "${HOME%%${HOME#?}}");
        text.into_bytes()
    }
}

#[test]
fn a_user_who_may_not_log_in_gets_what_ssh_says() {
    let (sshd, sandbox) = (Sshd::start(), Sandbox::new(Way::Push));
    sandbox.write_source(&Tree::new().file("f", "contents"));
    fs::write(sshd.dir.path().join("authorized_keys"), "").unwrap();
    fs::set_permissions(sshd.dir.path().join("authorized_keys"), fs::Permissions::from_mode(0o600)).unwrap();
    let finished = sshd.sy(&["-a"]).arg(sandbox.path("source/")).arg(sshd.remote(&sandbox.destination())).run();
    finished.code(5).says("Permission denied").says("could not connect");
}
