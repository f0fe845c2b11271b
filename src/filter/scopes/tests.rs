//! What merge files mean where, one rule of the manual a test.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A tree with files at `root`, below a directory of its own.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(place.root()).unwrap();
        files.iter().for_each(|(path, contents)| place.write(path, contents));
        place
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("root")
    }

    fn write(&self, path: &str, contents: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn walk(&self, rules: &[&str]) -> Walk {
        self.walk_of(Side::Sender, rules)
    }

    fn walk_of(&self, side: Side, rules: &[&str]) -> Walk {
        let rules: Vec<Vec<u8>> = rules.iter().map(|rule| rule.as_bytes().to_vec()).collect();
        let filter = Filter::parse(&crate::filter::expand(&rules).unwrap()).unwrap().with_root(&self.root());
        Walk { tree: Tree::open(&self.root()).unwrap(), scopes: Scopes::new(filter, side) }
    }
}

struct Walk {
    tree: Tree,
    scopes: Scopes,
}

impl Walk {
    fn enter(&mut self, dir: &str) -> Result<(), FilterError> {
        self.scopes.enter(&self.tree, Path::new(dir))
    }

    fn offence(&mut self, dir: &str) -> String {
        self.enter(dir).unwrap_err().to_string()
    }

    /// Enters `dir` and checks which of `names` in it are excluded: those with a `-` in front.
    #[track_caller]
    fn check(&mut self, dir: &str, names: &[&str]) {
        self.enter(dir).unwrap();
        self.check_here(dir, names);
    }

    #[track_caller]
    fn check_here(&self, dir: &str, names: &[&str]) {
        for marked in names {
            let name = &marked[1..];
            let path = if dir == "." { PathBuf::from(name) } else { Path::new(dir).join(name) };
            let excluded = self.scopes.verdict(&path, false) == Verdict::Excluded;
            assert_eq!(excluded, marked.starts_with('-'), "{}", path.display());
        }
    }
}

#[test]
fn rules_are_inherited_and_the_nearest_come_first() {
    let place = Place::new(&[(".r", "- a\n- b\n"), ("d/e/.r", "+ a\n- c")]);
    let mut walk = place.walk(&[": .r"]);
    walk.check(".", &["-a", "-b", "+c"]);
    walk.check("d", &["-a", "-b", "+c"]);
    walk.check("d/e", &["+a", "-b", "-c"]);
    walk.check("d/e/f", &["+a", "-b", "-c"]);
    walk.check("d", &["-a", "-b", "+c"]);
    walk.check("x", &["-a", "-b", "+c"]);
}

#[test]
fn rules_of_the_command_line_come_before_or_after_where_they_stand() {
    let place = Place::new(&[(".r", "+ a\n+ b\n- c")]);
    let mut walk = place.walk(&["- a", ": .r", "- *"]);
    walk.check(".", &["-a", "+b", "-c", "-d"]);
}

#[test]
fn rules_of_a_local_file_are_its_directorys_only() {
    let place = Place::new(&[(".r", "- a"), ("d/.r", "- b"), ("d/e/f", "")]);
    let mut walk = place.walk(&[":n .r"]);
    walk.check(".", &["-a", "+b"]);
    walk.check("d", &["+a", "-b"]);
    walk.check("d/e", &["+a", "+b"]);
}

#[test]
fn clearing_forgets_what_is_inherited_and_nothing_else() {
    let place = Place::new(&[(".r", "- a"), (".q", "- q"), ("d/.r", "- b\n!\n- c")]);
    let mut walk = place.walk(&["- z", ": .r", ": .q"]);
    walk.check(".", &["-a", "-q"]);
    walk.check("d", &["+a", "+b", "-c", "-q", "-z"]);
    walk.check(".", &["-a"]);
    let mut walk = place.walk(&["- z", ": .r"]);
    walk.check(".", &["-a"]);
    walk.check("d/e", &["+a", "-c", "-z"]);
}

#[test]
fn anchored_rules_begin_at_the_directory_of_their_file_whatever_it_is_called() {
    for dir in ["d", "a*b", "[x]", "q\\r"] {
        let place = Place::new(&[(&format!("{dir}/.r"), "- /a\n- /e/b\n- e/c\n- /*/x?z\n")]);
        let mut walk = place.walk(&[": .r"]);
        walk.check(".", &["+a"]);
        walk.check(dir, &["-a", "+b"]);
        walk.check(&format!("{dir}/e"), &["+a", "-b", "-c", "-xyz"]);
        walk.check(&format!("{dir}/e/e"), &["+a", "+b", "-c", "+xyz"]);
    }
}

#[test]
fn absolute_rules_of_a_file_begin_at_the_root_of_all() {
    let place = Place::new(&[("d/e", "")]);
    let root = place.root();
    place.write("d/.r", &format!("-/ {}/d/a\n-/ /b", root.display()));
    let mut walk = place.walk(&[": .r"]);
    walk.check("d", &["-a", "+b"]);
}

#[test]
fn modifiers_of_a_merge_rule_are_every_rules() {
    let place = Place::new(&[(".r", "- a"), (".p", "- p"), (".i", "x\n- y"), (".bad", "H a")]);
    let mut walk = place.walk(&[":s .r", ":p .p", ":+ .i", "- *"]);
    walk.check(".", &["-a", "-p", "+x", "-y", "+- y"]);
    let mut walk = place.walk_of(Side::Receiver, &[":s .r", ":p .p"]);
    walk.check(".", &["+a", "-p"]);
    assert_eq!(walk.scopes.verdict_when_deleting(Path::new("p"), false), Verdict::Included);
    assert!(place.walk(&[":s .bad"]).offence(".").ends_with("names a side though its merge rule does: H a"));
}

#[test]
fn a_file_may_exclude_itself_by_its_rule() {
    let place = Place::new(&[("d/.r", "- a"), ("d/.q", "- b")]);
    place.walk(&[":e .r"]).check("d", &["-.r", "-a", "+b"]);
    place.write("d/.r", ":e .q");
    place.walk(&[": .r"]).check("d", &["+.r", "-.q", "-b"]);
}

#[test]
fn files_as_cvs_has_them_are_words_of_one_directory_and_may_clear() {
    let place = Place::new(&[(".cvsignore", "a *.x\n#b"), ("d/.cvsignore", "c ! d")]);
    let mut walk = place.walk(&[":C", "- z"]);
    walk.check(".", &["-a", "-y.x", "-#b", "+b", "-z"]);
    walk.check("d", &["+a", "+c", "-d", "-z"]);
}

#[test]
fn a_merge_file_may_have_merge_rules_of_its_own() {
    let place =
        Place::new(&[("d/.r", ": .q\n- a\n. ./once"), ("d/.q", "- b"), ("d/once", "- c"), ("d/e/.q", "+ b\n- x")]);
    place.write(".q", "- root");
    let mut walk = place.walk(&[": .r"]);
    walk.check(".", &["+root", "+b"]);
    walk.check("d", &["-a", "-b", "-c", "+root"]);
    walk.check("d/e", &["-a", "+b", "-c", "-x"]);
    walk.check("x", &["+a", "+b"]);
    place.write("d/.r", ":r .q\n- a");
    place.walk(&[": .r"]).check("d", &["-a", "+b"]);
    place.walk_of(Side::Receiver, &[": .r"]).check("d", &["-a", "-b"]);
    // As in rsync a name without a slash is looked for at the root.
    place.write("d/.r", ". once");
    place.write("once", "- r");
    place.walk(&[": .r"]).check("d", &["-r", "+c"]);
}

#[test]
fn a_file_is_merged_once_by_the_first_rule_that_names_it() {
    let place = Place::new(&[(".r", "- a")]);
    place.walk(&[":s .r", ":+ .r", "- *"]).check(".", &["-a", "-b"]);
    place.walk(&[": .r", "!", ":+ .r", "- *"]).check(".", &["-a", "+- a"]);
}

#[test]
fn directories_above_are_read_where_the_rule_names_one_of_them() {
    let place = Place::new(&[("d/.r", "- in")]);
    let above = place.dir.path().canonicalize().unwrap();
    fs::write(above.join(".r"), "- any\n- /root/d/anchored\n- /d/none\n").unwrap();
    for rule in [": /.r", ": ../.r", &format!(": {}/.r", above.display())] {
        let mut walk = place.walk(&[rule]);
        walk.check(".", &["-any", "+in", "+anchored"]);
        walk.check("d", &["-any", "-in", "-anchored", "+none"]);
    }
    let mut walk = place.walk(&[": .r"]);
    walk.check("d", &["+any", "-in"]);
    place.walk(&[":n /.r"]).check("d", &["+any", "-in"]);
    place.walk(&[": /elsewhere/.r"]).check("d", &["+any", "-in"]);
    // The root is above a directory that is copied itself.
    place.write(".r", "- /d/here\n");
    let mut walk = place.walk(&[": /.r"]);
    walk.check("d", &["-here", "-any"]);
    walk.check("d/sub", &["+here", "-in"]);
    place.walk(&[": .r"]).check("d", &["+here", "-in"]);
}

#[test]
fn a_file_that_cannot_be_understood_is_told_once_and_hides_what_it_may_be_about() {
    let place = Place::new(&[("d/.r", "- a\nnonsense"), ("d/e/.r", "+ x")]);
    let mut walk = place.walk(&[": .r"]);
    walk.check(".", &["+a"]);
    assert_eq!(walk.offence("d"), format!("in {}: unknown filter rule: nonsense", place.root().join("d/.r").display()));
    walk.check_here("d", &["-a", "-b"]);
    walk.check("d/e", &["-x"]);
    walk.check("f", &["+a", "+b"]);
}

#[test]
fn no_file_outside_of_the_tree_is_read() {
    let place = Place::new(&[("in", "- a"), ("d/e/f", ""), ("e/f", "")]);
    fs::write(place.root().join("../secret"), "+ secret").unwrap();
    symlink("../in", place.root().join("d/.r")).unwrap();
    symlink("../../secret", place.root().join("e/.r")).unwrap();
    let mut walk = place.walk(&[": .r"]);
    walk.check("d", &["-a", "+b"]);
    assert!(walk.offence("e").contains("leads out of the tree"));
    for rule in [". ../../secret", ". /etc/passwd"] {
        place.write("f/.r", rule);
        assert!(place.walk(&[": .r"]).offence("f").contains("leads out of the tree"), "{rule}");
    }
}

#[test]
fn what_a_tree_can_make_us_hold_and_read_is_bounded() {
    let place = Place::new(&[("self", ". self\n"), ("many", &"- a\n".repeat(MAX_RULES + 1))]);
    assert!(place.walk(&[": self"]).offence(".").starts_with("merge files are nested more than 32 deep"));
    assert!(place.walk(&[": many"]).offence(".").starts_with("more than 65536 rules at"));
    place.write("many", &"- a\n".repeat(MAX_RULES / 2 + 1));
    place.write("d/many", &"- a\n".repeat(MAX_RULES / 2));
    let mut walk = place.walk(&[": many"]);
    walk.check(".", &["-a"]);
    assert!(walk.offence("d").starts_with("more than 65536 rules at"));
    place.write("merges", &(0..=MAX_MERGES).map(|number| format!(": .{number}\n")).collect::<String>());
    assert!(place.walk(&[": merges"]).offence(".").starts_with("more than 64 per-directory merge rules at"));
    place.write("empty", "");
    place.write("often", &". empty\n".repeat(MAX_READS));
    assert!(place.walk(&[": often"]).offence(".").starts_with("more than 256 merge files at"));
}

#[test]
fn forgetting_reads_again() {
    let place = Place::new(&[(".r", ": .q\n- a"), ("d/x", "")]);
    let mut walk = place.walk(&[": .r"]);
    walk.check(".", &["-a"]);
    walk.check("d", &["-a", "+b"]);
    place.write(".r", "- b");
    walk.check("d", &["-a", "+b"]);
    walk.scopes.forget();
    walk.check("d", &["+a", "-b"]);
}

#[test]
fn the_root_is_read_where_the_walk_begins_there_only() {
    let place = Place::new(&[(".r", "- a"), ("d/.r", "- b")]);
    let mut walk = place.walk(&[": .r"]);
    walk.check("d/e", &["+a", "-b"]);
    walk.check(".", &["-a", "+b"]);
    walk.check("d/e", &["-a", "-b"]);
}
