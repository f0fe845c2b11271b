//! The options of rsync that sy does not have, and what to say to who asks for one: its name, and the nearest that there is.
//!
//! None is accepted and passed over: a sync that leaves out what it was told to do looks like one that did it. The list is
//! that of rsync 3.5's help; what sy has is not said here again but asked of its own definitions.

use clap::error::{ContextKind, ContextValue, ErrorKind};

const MODULES: &str = "sy has no daemon modules: it connects with ssh";
const ZSTD: &str = "-z is zstd over the whole connection, at zstd's own level";
const SHELL: &str = "the paths that sy is given never meet a shell";
const BATCH: &str = "keep the new tree and sync from it, or see --backup-dir for what a sync replaces";

/// What is nearest to an option, by its long name or its letter.
#[rustfmt::skip]
const NEAREST: &[(&[&str], &str)] = &[
    (&["stderr", "msgs2stderr"], "what went wrong is told on standard error, all else on standard output"),
    (&["no-motd", "password-file", "early-input", "address"], MODULES),
    (&["port"], "for ssh's port say -e 'ssh -p PORT'"),
    (&["sockopts"], "ssh's connection is ssh's: see -e, and IPQoS in ssh_config"),
    (&["ipv4", "4"], "say -e 'ssh -4'"),
    (&["ipv6", "6"], "say -e 'ssh -6'"),
    (&["blocking-io"], "sy's pipes to the remote shell are as the remote shell wants them"),
    (&["inc-recursive", "i-r", "no-inc-recursive", "no-i-r"], "what is known of the list is sent while the rest is found, and deletions do not depend on it"),
    (&["block-size", "B"], "blocks are as large as the file calls for"),
    (&["checksum-choice", "cc"], "contents are compared by XXH3 of 128 bits"),
    (&["checksum-seed"], "each session has a random seed"),
    (&["compress-choice", "zc", "compress-level", "zl", "compress-threads", "zt", "skip-compress"], ZSTD),
    (&["old-compress", "new-compress"], ZSTD),
    (&["old-args"], SHELL),
    (&["trust-sender"], "what a sender lists is always checked"),
    (&["protocol"], "the newest protocol that both ends know is found by itself"),
    (&["iconv"], "names are bytes, and the same on both sides"),
    (&["write-batch", "only-write-batch", "read-batch"], BATCH),
    (&["fuzzy", "y"], "a file without a basis under its own name is sent whole"),
    (&["max-alloc"], "what a peer can make sy allocate is limited by the protocol"),
    (&["super"], "root does what root can; as somebody else say --sy-path 'sudo sy'"),
    (&["copy-as"], "run sy as that user, or say --sy-path 'sudo -u USER sy'"),
    (&["copy-devices", "write-devices"], "devices are made with -D, never read or written"),
    (&["drop-D"], "leave out -D"),
    (&["crtimes", "N"], "times of creation are not kept"),
    (&["insecure-links", "confine-root"], "the destination is never left by way of a link, but with -K for one to a directory that was there"),
    (&["old-dirs", "old-d"], "--dirs works with any sy"),
];

/// What is said to one who gave an option that there is not, if rsync has it.
pub fn refusal(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else { return None };
    refuse(typed)
}

fn refuse(typed: &str) -> Option<String> {
    let given = typed.split('=').next().unwrap_or(typed);
    let name = given.strip_prefix("--").or_else(|| given.strip_prefix('-'))?;
    let taken_back = name.strip_prefix("no-").filter(|name| is_rsyncs(name));
    if !is_rsyncs(name) && taken_back.is_none() {
        return None;
    }
    let nearest = NEAREST.iter().find(|(names, _)| names.contains(&name)).map(|(_, nearest)| *nearest);
    let nearest = nearest.or(taken_back.map(|_| "there is nothing to take back: leave it out"));
    let nearest = nearest.map(|nearest| format!(" ({nearest})")).unwrap_or_default();
    Some(format!("{given} is an option of rsync that sy does not have{nearest}"))
}

fn is_rsyncs(name: &str) -> bool {
    ALL.split_whitespace().any(|option| option == name)
}

/// Every option of rsync 3.5.0's help, and what these are called besides: names and letters.
const ALL: &str = "
    verbose v info debug stderr msgs2stderr quiet q no-motd checksum c archive a recursive r inc-recursive i-r
    no-inc-recursive no-i-r relative R no-implied-dirs implied-dirs backup b backup-dir suffix update u inplace append
    append-verify dirs d old-dirs old-d mkpath links l copy-links L copy-unsafe-links safe-links insecure-links confine-root
    munge-links copy-dirlinks k keep-dirlinks K hard-links H perms p executability E chmod acls A xattrs X owner o group g
    devices copy-devices write-devices specials drop-D D times t atimes U open-noatime crtimes N omit-dir-times O
    omit-link-times J super fake-super sparse S preallocate dry-run n whole-file W no-whole-file no-W checksum-choice cc
    one-file-system x block-size B rsh e rsync-path existing ignore-non-existing ignore-existing remove-source-files del delete
    delete-before delete-during delete-delay delete-after delete-excluded ignore-missing-args delete-missing-args ignore-errors
    force max-delete max-size min-size max-alloc partial partial-dir delay-updates prune-empty-dirs m numeric-ids usermap
    groupmap chown timeout contimeout ignore-times I size-only modify-window @ temp-dir T fuzzy y compare-dest copy-dest
    link-dest compress z compress-choice zc compress-level zl compress-threads zt skip-compress old-compress new-compress
    cvs-exclude C filter f F exclude exclude-from include include-from files-from from0 0 old-args secluded-args protect-args s
    trust-sender copy-as address port sockopts blocking-io outbuf stats 8-bit-output 8 human-readable h progress P
    itemize-changes i remote-option M out-format log-file log-file-format password-file early-input list-only bwlimit
    stop-after time-limit stop-at fsync write-batch only-write-batch read-batch protocol iconv checksum-seed ipv4 4 ipv6 6
    version V help";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args;

    /// Whether sy defines an option of this name or letter.
    fn is_ours(name: &str) -> bool {
        let letter = Some(name.chars()).filter(|_| name.len() == 1).and_then(|mut chars| chars.next());
        let mut command = args::command();
        // What clap adds by itself counts as well.
        command.build();
        command.get_arguments().any(|arg| match letter {
            Some(letter) => arg.get_short_and_visible_aliases().is_some_and(|all| all.contains(&letter)),
            None => {
                let aliases = arg.get_all_aliases().into_iter().flatten();
                arg.get_long().into_iter().chain(aliases).any(|long| long == name)
            }
        })
    }

    fn dashed(name: &str) -> String {
        format!("{}{name}", if name.len() == 1 { "-" } else { "--" })
    }

    #[test]
    fn every_option_of_rsync_is_accepted_or_refused_by_its_name() {
        for name in ALL.split_whitespace() {
            let option = dashed(name);
            let error = args::command().try_get_matches_from(["sy", &option, "a", "b"]).err();
            let text = error.and_then(|error| refusal(&error));
            match is_ours(name) {
                true => assert_eq!(text, None, "{option}"),
                false => assert!(text.expect(name).starts_with(&option), "{option}"),
            }
        }
    }

    #[test]
    fn nothing_is_said_to_be_nearest_to_what_sy_has_or_rsync_does_not() {
        for name in NEAREST.iter().flat_map(|(names, _)| *names) {
            assert!(is_rsyncs(name), "{name}");
            assert!(!is_ours(name), "{name}");
        }
    }

    #[test]
    fn a_letter_among_others_and_an_option_with_a_value_are_found_and_what_is_nobodys_is_not() {
        let told = |words: &[&str]| {
            let words = ["sy"].iter().chain(words).chain(&["a", "b"]);
            refusal(&args::command().try_get_matches_from(words).unwrap_err())
        };
        assert!(told(&["-avN"]).unwrap().starts_with("-N is an option of rsync"));
        assert!(told(&["--block-size=700"]).unwrap().contains("as large as the file calls for"));
        assert!(told(&["--protocol", "29"]).is_some());
        assert!(told(&["--no-crtimes"]).unwrap().contains("nothing to take back"));
        assert_eq!(told(&["--no-such-option"]), None);
        assert_eq!(told(&["--timeout=soon"]), None);
    }
}
