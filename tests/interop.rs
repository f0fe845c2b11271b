//! Two builds of sy at the two ends of a link: whatever phases each has, they work together.
//!
//! The other build has none of the phases if this one has them all, else all of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::harness::process::Program;
use crate::harness::{STAND_IN, SY, Sandbox, Tree, Way, noise};

/// Which phases the program at `sy` has: feature and state.
fn phases(sy: &Path) -> Vec<(String, String)> {
    let printed = Program::new(sy).arg("phases").arg("--json").run().ok().text();
    let json: Value = serde_json::from_str(&printed).expect("a JSON object");
    let phases = json["phases"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    phases.map(|phase| (text(&phase["feature"]), text(&phase["state"]))).collect()
}

/// The other build, made here: it is of the sources as they are.
fn other() -> &'static Path {
    static OTHER: OnceLock<PathBuf> = OnceLock::new();
    OTHER.get_or_init(|| {
        let all_on = phases(Path::new(SY)).iter().all(|(_, state)| state != "off");
        let (name, features) = if all_on { ("none", &["--no-default-features"][..]) } else { ("all", &[][..]) };
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("other").join(name);
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "sy", "--bin", "sy", "--target-dir"])
            .arg(&target)
            .args(features)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()
            .expect("cargo runs: it runs this test");
        assert!(built.success(), "the other build fails");
        let sy = target.join("debug/sy");
        let wanted = if all_on { "on" } else { "off" };
        assert!(phases(&sy).iter().all(|(_, state)| state != wanted), "{:?}", phases(&sy));
        sy
    })
}

fn tree() -> Tree {
    let mut tree = Tree::new().file("large", noise(1, 700_000)).file("empty", "").symlink("link", "large");
    for index in 0..150 {
        tree = tree.file(format!("dir{}/small{index}", index % 7), noise(index, 40 * index as usize));
    }
    tree
}

/// Syncs a tree, an edited tree, and a tree that has lost some: `near` is run, `far` is its other end.
fn work_together(near: &Path, far: &Path) {
    for way in [Way::Push, Way::Pull] {
        let sandbox = Sandbox::new(way);
        let sync = |options: &[&str]| {
            let located = |remote: bool, name: &str| {
                let host = if remote { "host:" } else { "" };
                format!("{host}{}", sandbox.path(name).display())
            };
            let program = Program::new(near).args(options).arg("-e").arg(STAND_IN).arg("--sy-path").arg(far);
            let (source, destination) =
                (located(way == Way::Pull, "source/"), located(way == Way::Push, "destination"));
            program.arg(source).arg(destination).run().ok();
            sandbox.assert_synced();
        };
        sandbox.write_source(&tree());
        sync(&["-a"]);
        let mut large = noise(1, 700_000);
        large[300_000] ^= 1;
        let edited = Tree::new().file("large", large).mtime(1_800_000_000, 0).file("empty", "not now");
        sandbox.write_source(&edited.file("dir1/small1", "another"));
        sync(&["-a"]);
        sync(&["-az"]);
        std::fs::remove_dir_all(sandbox.source().join("dir3")).expect("a directory of ours");
        sync(&["-aH", "--delete"]);
    }
}

#[test]
fn this_build_works_with_another_at_the_other_end() {
    work_together(Path::new(SY), other());
}

#[test]
fn another_build_works_with_this_one_at_the_other_end() {
    work_together(other(), Path::new(SY));
}
