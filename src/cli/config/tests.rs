use clap::FromArgMatches;

use super::*;
use crate::cli::args;

fn config(line: &str) -> Result<Config> {
    let words = std::iter::once("sy").chain(line.split_whitespace());
    let matches = args::command().try_get_matches_from(words).expect(line);
    Config::resolve(Args::from_arg_matches(&matches).expect(line), &matches)
}

fn options(line: &str) -> Options {
    config(&format!("{line} a b")).expect(line).options
}

fn archive() -> Options {
    options("-a")
}

#[test]
fn none_of_the_parts_of_archive_means_archive() {
    assert_eq!(options("-v"), archive());
    assert_eq!(options("-rlptgoD"), archive());
    assert_eq!(options("-c"), Options { checksum: true, ..archive() });
    let plain = options("-r");
    assert!(plain.recursive && !plain.times && !plain.links && !plain.perms);
}

#[test]
fn the_later_of_an_option_and_its_negation_counts() {
    assert_eq!(options("-a --no-o"), Options { owner: false, ..archive() });
    assert_eq!(options("--no-o"), Options { owner: false, ..archive() });
    assert_eq!(options("--no-o -a"), archive());
    assert_eq!(options("-a --no-D --specials"), Options { devices: false, ..archive() });
    assert!(!options("-z --no-z").compress && options("--no-z -z").compress);
}

#[test]
fn files_are_whole_on_one_machine_and_deltas_between_two() {
    assert!(options("-a").whole_file && !options("-a --no-whole-file").whole_file);
    assert!(!config("-a a h:b").unwrap().options.whole_file);
    assert!(config("-aW a h:b").unwrap().options.whole_file);
}

#[test]
fn filters_keep_the_order_in_which_they_were_typed() {
    let rules = options("--include=*.rs --exclude=* --filter=P_x --include=z").filters;
    assert_eq!(rules, [&b"+ *.rs"[..], b"- *", b"P_x", b"+ z"]);
}

#[test]
fn backups_have_a_suffix_or_a_directory_and_are_protected_beside_their_places() {
    assert_eq!(options("-a --suffix=.old").backup, None);
    assert_eq!(options("-ab").backup, Some(b"~".to_vec()));
    assert_eq!(options("-ab --suffix=.old").backup, Some(b".old".to_vec()));
    assert_eq!(options("-a --backup-dir=x").backup, Some(Vec::new()));
    assert!(options("-ab").omit_dir_times && !options("-a --backup-dir=x").omit_dir_times);
    assert_eq!(options("-ab --del --exclude=x --suffix=[1]").filters, [&b"- x"[..], br"P *\[1\]"]);
    assert!(options("-ab").filters.is_empty() && options("-a --backup-dir=x --del").filters.is_empty());
}

#[test]
fn what_has_no_name_yet_is_kept_in_a_directory_that_is_neither_copied_nor_deleted() {
    let kept = |line: &str| {
        let options = options(line);
        (options.partial, options.partial_dir.map(|dir| dir.display().to_string()), options.filters)
    };
    let rule = |rule: &str| vec![rule.as_bytes().to_vec()];
    assert_eq!(kept("-a --partial-dir=./.p/"), (true, Some(".p".into()), rule("-p .p/")));
    assert_eq!(kept("-a --partial-dir=a[1]/b"), (true, Some("a[1]/b".into()), rule(r"-p a\[1\]/b/")));
    assert_eq!(kept("-a --partial-dir=/p"), (true, Some("/p".into()), Vec::new()));
    assert_eq!(kept("-a --partial-dir=."), (false, None, Vec::new()));
    assert_eq!(kept("-a --delay-updates"), (true, Some(".~tmp~".into()), rule("-p .~tmp~/")));
    assert_eq!(kept("-a --delay-updates --partial-dir=x"), (true, Some("x".into()), rule("-p x/")));
}

#[test]
fn appending_is_in_place_and_never_whole() {
    let modes = |line: &str| {
        let options = options(line);
        (options.append, options.append_verify, options.inplace, options.whole_file)
    };
    assert_eq!(modes("-a --append"), (true, false, true, false));
    assert_eq!(modes("-a --append --append-verify"), (true, true, true, false));
    assert_eq!(modes("-a --append-verify --append"), (true, false, true, false));
    assert_eq!(modes("-a --append-verify --no-append"), (false, false, false, true));
}

#[test]
fn merge_files_of_the_tree_are_asked_for_where_f_stands_and_left_out_from_its_second_time_on() {
    let merge = [&b": /.rsync-filter"[..], b"- .rsync-filter"];
    assert_eq!(options("-aF").filters, merge[..1]);
    for twice in ["-aFF", "-F -a -F", "-FFF"] {
        assert_eq!(options(twice).filters, merge, "{twice}");
    }
    assert_eq!(options("-F --exclude=x -F").filters, [merge[0], b"- x", merge[1]]);
}

#[test]
fn what_cvs_ignores_comes_after_all_other_rules() {
    let rules = options("-C --include=core").filters;
    assert_eq!(rules[..3], [&b"+ core"[..], b":C .cvsignore", b"-p RCS"]);
}

#[test]
fn delete_excluded_deletes_and_makes_rules_without_a_side_the_senders() {
    let all = options("-a --delete-excluded --exclude=a -f P_b -f R,p_c --include=d -f !");
    assert_eq!(all.delete, Some(DeleteTime::During));
    assert_eq!(all.filters, [&b"-s a"[..], b"P_b", b"R,p_c", b"+s d", b"!"]);
    assert!(!all.delete_excluded, "older builds understand these rules");
    let merges = options("-aF --delete-excluded --delete-after");
    assert_eq!((merges.delete, merges.delete_excluded), (Some(DeleteTime::After), true));
    assert!(!options("-aF --delete").delete_excluded);
}

#[test]
fn a_map_of_owners_implies_that_they_are_kept_and_chown_is_a_map_of_everybody() {
    let maps = |line: &str| {
        let Options { owner, group, usermap, groupmap, .. } = options(line);
        (owner, group, usermap, groupmap)
    };
    let some = |map: &str| Some(map.as_bytes().to_vec());
    assert_eq!(maps("-r --usermap=1:2"), (true, false, some("1:2"), None));
    assert_eq!(maps("-r --chown=a:b"), (true, true, some("*:a"), some("*:b")));
    assert_eq!(maps("-r --chown=:b"), (false, true, None, some("*:b")));
    assert_eq!(maps("-r --chown=a --groupmap=x:y"), (true, true, some("*:a"), some("x:y")));
    assert!(options("-r --no-o --usermap=1:2").owner && !options("-r --usermap=1:2 --no-o").owner);
}

#[test]
fn what_cannot_be_is_refused() {
    for line in [
        "-aH --remove-source-files a b",
        "-aR a/../b c",
        "-a --chmod=u+q a b",
        "-a --chmod= a b",
        "-a --usermap=x a b",
        "-a --usermap=1:2 --usermap=3:4 a b",
        "-a --chown=1:2 --groupmap=1:2 a b",
        "-ab --suffix=/ a b",
        "-ab --suffix= a b",
        "-a --backup-dir=./ a b",
        "-a h:a g:b",
        "-a h:a b c",
        "-a h:a b g:c d",
        "-a --filter=frobnicate a b",
        "-t --delete a b",
        "-a --link-dest=x --copy-dest=y a b",
        "-a --inplace --partial-dir=x a b",
        "-a --inplace --delay-updates a b",
        "-aW --append a b",
        "-a --append-verify --partial-dir=x a b",
        "-a --delay-updates --partial-dir=/x a b",
        "-a --delay-updates --remove-source-files a b",
        "-a --partial-dir=../x a b",
        "-t --delete-after a b",
    ] {
        assert!(matches!(config(line), Err(Error::Usage(_))), "{line}");
    }
}

#[test]
fn a_time_of_deletion_implies_it_and_two_are_refused_unless_both_begin_during() {
    let time = |line: &str| options(&format!("-a {line}")).delete;
    assert_eq!(time(""), None);
    for line in ["--delete", "--del", "--delete-during", "--delete-delay --del"] {
        assert_eq!(time(line), Some(DeleteTime::During), "{line}");
    }
    for line in ["--delete-delay", "--delete --delete-delay", "--del --delete-delay"] {
        assert_eq!(time(line), Some(DeleteTime::Delay), "{line}");
    }
    assert_eq!(time("--delete-before --delete-before"), Some(DeleteTime::Before));
    assert_eq!(time("--delete-after --delete"), Some(DeleteTime::After));
    for line in ["--delete-before --del", "--delete-before --delete-after", "--delete-delay --delete-after"] {
        assert!(matches!(config(&format!("-a {line} a b")), Err(Error::Usage(_))), "{line}");
    }
}

#[test]
fn a_negative_limit_to_deletions_lets_nothing_go() {
    let limit = |line: &str| options(&format!("-a --del {line}")).max_delete;
    assert_eq!(limit(""), None);
    assert_eq!(limit("--max-delete=7"), Some(7));
    assert_eq!(limit("--max-delete=0"), Some(0));
    assert_eq!(limit("--max-delete=-1"), Some(0));
    assert_eq!(limit("--max-delete -1 --max-delete 2"), Some(2));
}

#[test]
fn the_later_of_two_times_to_stop_counts() {
    let stop = |line: &str| config(&format!("-a {line} a b")).unwrap().stop_after;
    let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
    assert_eq!((stop(""), stop("--stop-after=3"), stop("--time-limit=3")), (None, minutes(3), minutes(3)));
    assert_eq!(stop("--stop-after=3 --no-stop-after"), None);
    assert_eq!(stop("--stop-at=:30 --stop-after=3"), minutes(3));
    assert!(stop("--stop-after=9999999 --stop-at=:30") <= minutes(60));
    assert!(matches!(config("-a --stop-at=2020-1-1 a b"), Err(Error::Usage(_))));
}

#[test]
fn the_time_for_a_connection_is_sshs() {
    let shell = |line: &str| match config(&format!("-a {line} a h:b"))?.transfer {
        Transfer::Push { remote, .. } => Ok(remote.shell),
        other => panic!("{other:?}"),
    };
    let words = |line: &str| shell(line).unwrap().join(OsStr::new(" "));
    assert_eq!(words("-e ssh --contimeout=5"), "ssh -o ConnectTimeout=5");
    assert_eq!(words("-e /usr/bin/ssh --contimeout=0"), "/usr/bin/ssh");
    assert_eq!(words("-e ssh --contimeout=5 --no-contimeout"), "ssh");
    assert!(matches!(shell("-e rsh --contimeout=5"), Err(Error::Usage(_))));
}

#[test]
fn a_peer_that_is_silent_is_not_waited_for_for_ever_unless_told_to() {
    assert_eq!(options("-a").timeout, Some(DEFAULT_TIMEOUT));
    assert_eq!(options("-a --timeout=5").timeout, Some(Duration::from_secs(5)));
    assert_eq!(options("-a --timeout=0").timeout, None);
    assert_eq!(options("-a --timeout=5 --no-timeout").timeout, None);
}
