//! The rules as the manual explains them, one table a section.

use super::*;

/// A filter from its lines.
fn filter(rules: &[&str]) -> Filter {
    Filter::parse(&rules.iter().map(|rule| rule.as_bytes().to_vec()).collect::<Vec<_>>()).unwrap()
}

/// Whether `side` excludes `path`; a trailing slash makes it a directory.
fn excludes(filter: &Filter, side: Side, path: &str) -> bool {
    let (path, is_dir) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
    filter.verdict(side, Path::new(path), is_dir) == Verdict::Excluded
}

/// Checks which of `paths` the sender hides: those with a `-` in front.
fn check(rules: &[&str], paths: &[&str]) {
    let filter = filter(rules);
    for marked in paths {
        let path = marked.trim_start_matches(['-', '+']);
        assert_eq!(excludes(&filter, Side::Sender, path), marked.starts_with('-'), "{rules:?} on {path}");
    }
}

#[test]
fn examples_of_the_manual() {
    check(&["- *.o"], &["-a.o", "-dir/a.o", "-.o", "+a.oo", "+a.o/b"]);
    check(&["- /foo"], &["-foo", "-foo/", "+bar/foo"]);
    check(&["- foo/"], &["-foo/", "-a/foo/", "+foo"]);
    check(&["- foo/*/bar"], &["-foo/a/bar", "-x/foo/a/bar", "+foo/bar", "+foo/a/b/bar"]);
    check(&["- /foo/**/bar"], &["-foo/a/bar", "-foo/a/b/bar", "+foo/bar", "+x/foo/a/bar"]);
    check(&["+ */", "+ *.c", "- *"], &["+a/", "+a/b/", "+a/x.c", "-a/x.h", "-x"]);
    check(&["+ foo/", "+ foo/bar.c", "- *"], &["+foo/", "+foo/bar.c", "-foo/bar.h", "-bar/"]);
    check(&["+ x/", "+ x/y/", "+ x/y/file.txt", "- *"], &["+x/", "+x/y/", "+x/y/file.txt", "-x/y/zzz.txt", "-x/z/"]);
    check(&["- dir_name/***"], &["-dir_name/", "-dir_name/a", "-dir_name/a/b", "+dir_name", "+dir"]);
}

#[test]
fn first_match_wins() {
    check(&["+ a.o", "- *.o", "+ b.o"], &["+a.o", "-b.o", "+c"]);
}

#[test]
fn clearing_forgets_what_came_before_only() {
    check(&["- a", "!", "- b"], &["+a", "-b"]);
    assert!(filter(&["- a", "clear"]).is_empty());
}

#[test]
fn without_rules_all_is_included() {
    assert!(filter(&[]).is_empty() && filter(&[""]).is_empty());
    check(&[], &["+a", "+b/"]);
}

#[test]
fn root_is_never_excluded() {
    check(&["- *", "- .", "-! x"], &["+./", "+", "-a"]);
}

#[test]
fn sides_are_both_unless_one_is_named() {
    let cases = [
        ("- x", true, true),
        ("-sr x", true, true),
        ("-s x", true, false),
        ("H x", true, false),
        ("-r x", false, true),
        ("P x", false, true),
    ];
    for (rule, sender, receiver) in cases {
        let filter = filter(&[rule]);
        assert_eq!(excludes(&filter, Side::Sender, "x"), sender, "{rule}");
        assert_eq!(excludes(&filter, Side::Receiver, "x"), receiver, "{rule}");
    }
    let both = filter(&["S x", "R y", "- *"]);
    assert!(!excludes(&both, Side::Sender, "x") && excludes(&both, Side::Receiver, "x"));
    assert!(excludes(&both, Side::Sender, "y") && !excludes(&both, Side::Receiver, "y"));
}

#[test]
fn negated_rule_takes_effect_where_its_pattern_fails() {
    check(&["-! */"], &["-a", "-a/b", "+a/", "+a/b/"]);
    check(&["-! *.c"], &["-a.h", "+a.c", "-dir/"]);
}

#[test]
fn perishable_rule_does_not_protect_within_a_directory_that_goes() {
    let filter = filter(&["-p *.o", "- keep"]);
    assert!(excludes(&filter, Side::Receiver, "dir/a.o"));
    assert_eq!(filter.verdict_when_deleting(Path::new("dir/a.o"), false), Verdict::Included);
    assert_eq!(filter.verdict_when_deleting(Path::new("dir/keep"), false), Verdict::Excluded);
}

#[test]
fn absolute_rule_sees_the_path_from_the_root_of_all() {
    let rules = ["-/ /etc/passwd", "-/ subdir/foo", "-/ name"];
    let at = |root: &str| filter(&rules).with_root(Path::new(root));
    assert!(excludes(&at("/etc"), Side::Sender, "passwd"));
    assert!(excludes(&at("/etc/"), Side::Sender, "passwd"));
    assert!(excludes(&at("/"), Side::Sender, "etc/passwd"));
    assert!(!excludes(&at("/home/etc"), Side::Sender, "passwd"));
    assert!(excludes(&at("/a/subdir"), Side::Sender, "foo"));
    assert!(excludes(&at("/a"), Side::Sender, "name"));
}

#[test]
fn names_are_bytes() {
    use std::ffi::OsStr;
    let filter = Filter::parse(&[b"- \xff*".to_vec(), b"- a?b".to_vec()]).unwrap();
    let verdict = |name: &[u8]| filter.verdict(Side::Sender, Path::new(OsStr::from_bytes(name)), false);
    assert_eq!(verdict(b"\xff\xfe"), Verdict::Excluded);
    assert_eq!(verdict(b"a\x80b"), Verdict::Excluded);
    assert_eq!(verdict("aßb".as_bytes()), Verdict::Included, "? is one byte, as in rsync");
}

#[test]
fn parsing_reads_no_file() {
    for rule in [". /etc/passwd", "merge,- -"] {
        let error = Filter::parse(&[rule.as_bytes().to_vec()]).unwrap_err();
        assert!(matches!(error, FilterError::MergeNotExpanded(_)), "{error}");
    }
}

#[test]
fn rules_about_extended_attributes_are_about_their_names_and_nothing_else() {
    let filter = filter(&["-x user.secret", "+xs trusted.*", "-x! user.*", "-xr *", "- user.note"]);
    let leaves = |side, name: &str| !filter.xattr_choice(side).unwrap().has(name.as_bytes());
    for (name, sender, receiver) in [
        ("user.secret", true, true),
        ("user.note", false, true),
        ("trusted.x", false, true),
        ("security.capability", true, true),
    ] {
        assert_eq!((leaves(Side::Sender, name), leaves(Side::Receiver, name)), (sender, receiver), "{name}");
    }
    assert!(excludes(&filter, Side::Sender, "user.note") && !excludes(&filter, Side::Sender, "user.secret"));
    for rules in [&["- *"][..], &["-x *", "!"]] {
        assert!(self::filter(rules).xattr_choice(Side::Sender).is_none(), "no rule of {rules:?} is about them");
    }
    assert!(Filter::parse(&[b":x rules".to_vec()]).is_err(), "nobody is told so late that a file has none of them");
    let line = b"-x! user.*";
    let rule::Line::Rule(rule) = rule::parse(line).unwrap() else { panic!("a rule") };
    assert_eq!(rule::parse(&rule.to_line()).unwrap(), rule::Line::Rule(rule.clone()), "it survives the wire");
}
