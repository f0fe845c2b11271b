//! The command line as typed: every flag with its short help, long help and value in one place. No meaning yet: which of
//! two flags that undo each other was given last, and what is implied by what, is `config`'s.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand};

use crate::daemon;

const SELECTION: &str = "What is copied";
const ATTRIBUTES: &str = "What is kept";
const COMPARISON: &str = "What is taken to differ";
const WRITING: &str = "How it is written";
const CONNECTION: &str = "Other machines";
const OUTPUT: &str = "Output";

/// Syncs file trees, on one machine or between two over ssh, as rsync does.
///
/// A SRC with a trailing slash means its contents, one without means itself. With none of -a -r -l -p -t -g -o -D -d
/// given, sy means -a. Without a DST, SRC is listed.
#[derive(Debug, Parser)]
#[command(
    name = "sy",
    version,
    long_version = super::version::long(),
    disable_help_flag = true,
    disable_help_subcommand = true,
    // As in rsync: what is said twice is said.
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    override_usage = "sy [OPTION]... SRC... DST\n       sy [OPTION]... SRC... [USER@]HOST:DST\n       sy [OPTION]... [USER@]HOST:SRC... DST\n       sy [OPTION]... SRC|[USER@]HOST:SRC\n       sy <phases|completions|man|daemon> ...",
    after_help = "A directory whose name is that of a command (phases, completions, man, daemon) is given as ./NAME.",
)]
pub struct Args {
    /// Sources, then the destination; one side may be on another machine
    #[arg(value_name = "PATH", required = true, num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    pub paths: Vec<OsString>,

    /// Another command than a sync
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Archive: -rlptgoD, which is also what none of them means
    #[arg(short, long, help_heading = SELECTION)]
    pub archive: bool,
    /// Descend into directories
    #[arg(short, long, help_heading = SELECTION)]
    pub recursive: bool,
    /// Copy directories without descending into them
    #[arg(short, long, help_heading = SELECTION)]
    pub dirs: bool,
    /// Keep the paths of the sources as they are typed, from the / or /./ in them on
    ///
    /// The directories that lead to them are copied too, without what else is in them.
    #[arg(short = 'R', long, help_heading = SELECTION)]
    pub relative: bool,
    /// With -R, leave the directories that lead to the sources as they are, and make missing ones like any new directory
    ///
    /// One that is a link to another directory of the destination is followed.
    #[arg(long, alias = "no-i-d", help_heading = SELECTION)]
    pub no_implied_dirs: bool,
    /// Copy what FILE names, a path below SRC a line; - is standard input, HOST:FILE or :FILE is where SRC is
    ///
    /// Implies -R and -d, and -a then does not imply -r. Blank lines and those that begin with # or ; say nothing. No name
    /// leads out of SRC: a slash at its start does not count, nor does a .. that goes up further than the name has come down.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = SELECTION)]
    pub files_from: Option<OsString>,
    /// Lines end with a NUL in all files of names or rules, those of a tree included
    #[arg(short = '0', long, help_heading = SELECTION)]
    pub from0: bool,
    /// Pass over a source, or a name of --files-from, that is not there in a directory that is
    #[arg(long, help_heading = SELECTION)]
    pub ignore_missing_args: bool,
    /// Copy symbolic links as symbolic links
    #[arg(short, long, help_heading = SELECTION)]
    pub links: bool,
    /// Copy what symbolic links lead to, wherever that is
    ///
    /// Where links lead back to a directory that they are in, that is an error, and it is copied there without what is in it.
    #[arg(short = 'L', long, help_heading = SELECTION)]
    pub copy_links: bool,
    /// Copy directories that symbolic links lead to, other links as links
    #[arg(short = 'k', long, help_heading = SELECTION)]
    pub copy_dirlinks: bool,
    /// Copy what symbolic links lead to that lead out of the tree
    #[arg(long, help_heading = SELECTION)]
    pub copy_unsafe_links: bool,
    /// Leave symbolic links alone that lead out of the tree; absolute ones all do
    #[arg(long, help_heading = SELECTION)]
    pub safe_links: bool,
    /// At the destination, take a link to a directory for one where the source has a directory
    ///
    /// What is in the directory goes to where the link leads, also out of the destination. Links that the sync itself
    /// makes are never followed.
    #[arg(short = 'K', long, help_heading = SELECTION)]
    pub keep_dirlinks: bool,
    /// Copy device nodes (as root) and special files
    #[arg(short = 'D', help_heading = SELECTION)]
    pub devices_and_specials: bool,
    /// Copy device nodes (as root)
    #[arg(long, help_heading = SELECTION)]
    pub devices: bool,
    /// Copy FIFOs and sockets
    #[arg(long, help_heading = SELECTION)]
    pub specials: bool,
    /// Keep hard links between the files that are copied
    #[arg(short = 'H', long, help_heading = SELECTION)]
    pub hard_links: bool,
    /// Do not cross into other file systems; twice: and leave out where they are mounted
    #[arg(short = 'x', long, action = ArgAction::Count, help_heading = SELECTION)]
    pub one_file_system: u8,
    /// Leave out what matches
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append, help_heading = SELECTION)]
    pub exclude: Vec<OsString>,
    /// Leave out what matches a pattern of a file
    #[arg(long, value_name = "FILE", action = ArgAction::Append, help_heading = SELECTION)]
    pub exclude_from: Vec<PathBuf>,
    /// Keep in what matches and would be left out by a later pattern
    #[arg(long, value_name = "PATTERN", action = ArgAction::Append, help_heading = SELECTION)]
    pub include: Vec<OsString>,
    /// Keep in what matches a pattern of a file
    #[arg(long, value_name = "FILE", action = ArgAction::Append, help_heading = SELECTION)]
    pub include_from: Vec<PathBuf>,
    /// Add a rule of rsync's filter language; the first that matches counts
    #[arg(short = 'f', long, value_name = "RULE", action = ArgAction::Append, help_heading = SELECTION)]
    pub filter: Vec<OsString>,

    /// Obey the .rsync-filter files of the tree; twice: and do not copy them
    ///
    /// The same as --filter='dir-merge /.rsync-filter', and the second time --filter='- .rsync-filter'.
    #[arg(short = 'F', num_args = 0, default_missing_value = "", action = ArgAction::Append, help_heading = SELECTION)]
    pub filter_files: Vec<OsString>,
    /// Leave out what CVS ignores: objects, backups, .git/ and more
    ///
    /// That is a list of its own, then what ~/.cvsignore and $CVSIGNORE name, both as they are on this machine, and in
    /// each directory what its .cvsignore names.
    #[arg(short = 'C', long, help_heading = SELECTION)]
    pub cvs_exclude: bool,
    /// Leave out directories that would be empty
    ///
    /// Also those that have only such directories in them. One that a protecting rule matches stays.
    #[arg(short = 'm', long, help_heading = SELECTION)]
    pub prune_empty_dirs: bool,
    /// Leave files alone that are larger than SIZE, as in 100, 1.5M (1024 each), 2GB (1000 each) or 1K-1
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse, help_heading = SELECTION)]
    pub max_size: Option<u64>,
    /// Leave files alone that are smaller than SIZE
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse, help_heading = SELECTION)]
    pub min_size: Option<u64>,

    /// Keep permissions
    #[arg(short, long, help_heading = ATTRIBUTES)]
    pub perms: bool,
    /// Keep modification times
    #[arg(short, long, help_heading = ATTRIBUTES)]
    pub times: bool,
    /// Keep access times, but for those of directories; twice: and --open-noatime
    #[arg(short = 'U', long, action = ArgAction::Count, help_heading = ATTRIBUTES)]
    pub atimes: u8,
    /// Leave access times as they are where files are read, where the system lets us
    #[arg(long, help_heading = ATTRIBUTES)]
    pub open_noatime: bool,
    /// Keep access control lists; implies -p
    #[arg(short = 'A', long, help_heading = ATTRIBUTES)]
    pub acls: bool,
    /// Keep extended attributes: all but the system's as root, else those of user.; twice: and rsync's own
    #[arg(short = 'X', long, action = ArgAction::Count, help_heading = ATTRIBUTES)]
    pub xattrs: u8,
    /// Without being root: say in an attribute of each file what it takes root to give it, and believe what is said there
    ///
    /// At this end of the connection, or on one machine at both; -M--fake-super is for the other end.
    #[arg(long, help_heading = ATTRIBUTES)]
    pub fake_super: bool,
    /// An option for the other end alone: only --fake-super is one
    #[arg(short = 'M', long, value_name = "OPTION", help_heading = ATTRIBUTES)]
    pub remote_option: Vec<OsString>,
    /// Keep whether files can be executed, where -p is not given
    #[arg(short = 'E', long, help_heading = ATTRIBUTES)]
    pub executability: bool,
    /// Change modes on the way: rsync's and chmod's language, D or F in front for directories or files only
    ///
    /// As if the source had them so: without -p they are those of new entries only.
    #[arg(long, value_name = "CHMOD", action = ArgAction::Append, help_heading = ATTRIBUTES)]
    pub chmod: Vec<String>,
    /// Do not keep the times of directories
    #[arg(short = 'O', long, help_heading = ATTRIBUTES)]
    pub omit_dir_times: bool,
    /// Do not keep the times of symbolic links
    #[arg(short = 'J', long, help_heading = ATTRIBUTES)]
    pub omit_link_times: bool,
    /// Keep the group
    #[arg(short, long, help_heading = ATTRIBUTES)]
    pub group: bool,
    /// Keep the owner (as root)
    #[arg(short, long, help_heading = ATTRIBUTES)]
    pub owner: bool,
    /// Map users, as in 0-99:nobody,wayne:admin,*:normal; the first FROM that fits counts; implies -o
    ///
    /// FROM is a name, number, range or pattern of the source's machine, TO a name or number of the destination's. An empty
    /// FROM is who has no name. 0 has the name that it has at the destination.
    #[arg(long, value_name = "MAP", action = ArgAction::Append, help_heading = ATTRIBUTES)]
    pub usermap: Vec<OsString>,
    /// Map groups, as --usermap maps users; implies -g
    #[arg(long, value_name = "MAP", action = ArgAction::Append, help_heading = ATTRIBUTES)]
    pub groupmap: Vec<OsString>,
    /// Give everything to USER and GROUP: --usermap=*:USER --groupmap=*:GROUP; either may be left out
    #[arg(long, value_name = "USER:GROUP", help_heading = ATTRIBUTES)]
    pub chown: Option<OsString>,
    /// Do not translate owners and groups by their names
    #[arg(long, help_heading = ATTRIBUTES)]
    pub numeric_ids: bool,

    /// Compare contents, not size and time
    #[arg(short, long, help_heading = COMPARISON)]
    pub checksum: bool,
    /// Leave files alone that are newer at the destination
    #[arg(short, long, help_heading = COMPARISON)]
    pub update: bool,
    /// Take files to differ even if size and time agree
    #[arg(short = 'I', long, help_heading = COMPARISON)]
    pub ignore_times: bool,
    /// Take times to be equal that differ by no more than NUM seconds [default: compare nanoseconds]
    ///
    /// 0 compares whole seconds; a negative number is the default.
    #[arg(short = '@', long, value_name = "NUM", allow_negative_numbers = true, help_heading = COMPARISON)]
    pub modify_window: Option<i64>,
    /// Compare sizes alone
    #[arg(long, help_heading = COMPARISON)]
    pub size_only: bool,
    /// Create nothing at the destination
    #[arg(long, alias = "ignore-non-existing", help_heading = COMPARISON)]
    pub existing: bool,
    /// Update nothing at the destination
    #[arg(long, help_heading = COMPARISON)]
    pub ignore_existing: bool,

    /// List what would be copied, a line each, and do nothing; a source without a destination means the same
    ///
    /// Without -r only what is in a directory itself. Targets of links are told with -l.
    #[arg(long, help_heading = OUTPUT)]
    pub list_only: bool,
    /// Say what would be done, and do nothing
    #[arg(short = 'n', long, help_heading = WRITING)]
    pub dry_run: bool,
    /// Delete what the source does not have
    ///
    /// Only in directories that the source has, never what a filter rule protects, and not at all if the source could
    /// not be read completely.
    #[arg(long, help_heading = WRITING)]
    pub delete: bool,
    /// Delete before anything is transferred
    ///
    /// For a destination that has no room for both. Implies --delete, as its kin do; only one time can be chosen.
    #[arg(long, help_heading = WRITING)]
    pub delete_before: bool,
    /// Delete during the transfer, directory by directory: what --delete alone means
    #[arg(long, visible_alias = "del", help_heading = WRITING)]
    pub delete_during: bool,
    /// Find during the transfer what is to be deleted, delete it at the end
    #[arg(long, help_heading = WRITING)]
    pub delete_delay: bool,
    /// Find and delete at the end, when everything is in place
    ///
    /// Nothing is deleted if a file of the source could not be read.
    #[arg(long, help_heading = WRITING)]
    pub delete_after: bool,
    /// Delete what the filter rules leave out as well
    ///
    /// Rules that name no side then hide and do not protect. Implies --delete.
    #[arg(long, help_heading = WRITING)]
    pub delete_excluded: bool,
    /// Delete even if the source could not be read completely
    #[arg(long, help_heading = WRITING)]
    pub ignore_errors: bool,
    /// Remove directories with all in them where something else is to take their place
    ///
    /// What --delete does as well.
    #[arg(long, help_heading = WRITING)]
    pub force: bool,
    /// Delete at most NUM entries, and end with exit code 25 if that left some
    ///
    /// The rest of the sync is done. 0 deletes nothing and only tells; so does a negative number, as in rsync.
    #[arg(long, value_name = "NUM", allow_negative_numbers = true, help_heading = WRITING)]
    pub max_delete: Option<i64>,
    /// Make all directories that lead to the destination, not only the last
    #[arg(long, help_heading = WRITING)]
    pub mkpath: bool,
    /// Remove from the source what the destination has: files that arrived or were there, never a directory
    ///
    /// What has changed since it was listed stays. Not with -H.
    #[arg(long, help_heading = WRITING)]
    pub remove_source_files: bool,
    /// Keep what is replaced or deleted, under its name with a ~ appended
    ///
    /// Implies -O, unless there is a --backup-dir.
    #[arg(short, long, help_heading = WRITING)]
    pub backup: bool,
    /// Keep it in DIR, with the directories that it was in; implies --backup
    ///
    /// Relative to the destination; one within it is deleted by --delete as anything else is.
    #[arg(long, value_name = "DIR", help_heading = WRITING)]
    pub backup_dir: Option<PathBuf>,
    /// What is appended to the names of backups [default: ~, or nothing with --backup-dir]
    #[arg(long, value_name = "SUFFIX", help_heading = WRITING)]
    pub suffix: Option<OsString>,
    /// Do not make what is just so in DIR; relative to the destination, and as often as wanted
    ///
    /// What has the same contents there but other attributes is copied from there, and of another file of the name only what
    /// differs is sent. A file of the destination that is just so in DIR is removed. Only one of this option's kind can be chosen.
    #[arg(long, value_name = "DIR", action = ArgAction::Append, help_heading = WRITING)]
    pub compare_dest: Vec<PathBuf>,
    /// Copy what is unchanged from DIR instead of sending it
    ///
    /// Otherwise as --compare-dest.
    #[arg(long, value_name = "DIR", action = ArgAction::Append, help_heading = WRITING)]
    pub copy_dest: Vec<PathBuf>,
    /// Make what is unchanged a hard link to what DIR has: for snapshots that share their files
    ///
    /// Otherwise as --compare-dest. What cannot be linked, because DIR is on another file system, is copied.
    #[arg(long, value_name = "DIR", action = ArgAction::Append, help_heading = WRITING)]
    pub link_dest: Vec<PathBuf>,
    /// Copy whole files, without the delta algorithm (on one machine this is what is done anyway)
    #[arg(short = 'W', long, help_heading = WRITING)]
    pub whole_file: bool,
    /// Turn runs of zeros into holes
    #[arg(short = 'S', long, help_heading = WRITING)]
    pub sparse: bool,
    /// Append to files that are shorter than the source's, and leave those alone that are not
    ///
    /// For files that only ever grow: what is there is taken to be the beginning of what the source has. They are written in place,
    /// as with --inplace.
    #[arg(long, help_heading = WRITING)]
    pub append: bool,
    /// The same, but what was there is held against the source's, and the file sent whole if it differs
    #[arg(long, help_heading = WRITING)]
    pub append_verify: bool,
    /// Take room for all of a file before it is written, so that it is in one piece and a full disk shows early
    ///
    /// With -S only what the file system can take back becomes a hole. On Linux.
    #[arg(long, help_heading = WRITING)]
    pub preallocate: bool,
    /// Have each file on the disk before it is put in place
    #[arg(long, help_heading = WRITING)]
    pub fsync: bool,
    /// Write into files under their own names, not beside them
    ///
    /// An interrupted run then leaves them half-written.
    #[arg(long, help_heading = WRITING)]
    pub inplace: bool,
    /// Write files in DIR before they are put in place, not beside that; it must be there
    ///
    /// Relative to the destination. From another file system they are copied, and take their places only complete all the same.
    #[arg(short = 'T', long, value_name = "DIR", help_heading = WRITING)]
    pub temp_dir: Option<PathBuf>,
    /// Keep what arrived of a file when interrupted, for the next run to build on
    ///
    /// It is kept as `.NAME.sy-partial` beside the file, never under the file's own name.
    #[arg(long, help_heading = WRITING)]
    pub partial: bool,

    /// Keep it in DIR, relative to the directory that the file will be in; implies --partial [default: $RSYNC_PARTIAL_DIR]
    ///
    /// An absolute DIR is one for all files, by their last names. It is made if only its last part is missing; a relative one is
    /// removed when nothing is left in it, and neither copied nor deleted unless a filter rule says so. The variable counts only
    /// where unfinished files are kept.
    #[arg(long, value_name = "DIR", help_heading = WRITING)]
    pub partial_dir: Option<PathBuf>,
    /// Have files wait until all have arrived, then give them their names in quick succession
    ///
    /// They wait in `.~tmp~` in the directory that they will be in, or in --partial-dir.
    #[arg(long, help_heading = WRITING)]
    pub delay_updates: bool,

    /// Run COMMAND to reach the other machine [default: $SY_RSH, $RSYNC_RSH or ssh]
    #[arg(short = 'e', long, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new(), help_heading = CONNECTION)]
    pub rsh: Option<String>,
    /// The command that is sy on the other machine, as its shell takes it [default: sy]
    #[arg(long, alias = "rsync-path", value_name = "COMMAND", help_heading = CONNECTION)]
    pub sy_path: Option<OsString>,
    /// Sync through a connection that a daemon keeps; WHEN: try, require [default: try]
    ///
    /// The first sync with a machine makes the connection, and starts the daemon here and there; those that follow begin at once. If
    /// it cannot be used the sync connects as without, and says so in a line, unless told to require it. It takes OpenSSH's ssh.
    /// A sync on one machine has no connection, and goes on as without.
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "try",
        hide_possible_values = true,
        help_heading = CONNECTION
    )]
    pub use_daemon: Option<daemon::Use>,
    /// Let no shell of the other machine see the paths (this is what is done anyway)
    #[arg(short = 's', long, alias = "protect-args", help_heading = CONNECTION)]
    pub secluded_args: bool,
    /// Compress the connection (zstd)
    #[arg(short = 'z', long, help_heading = CONNECTION)]
    pub compress: bool,
    /// Send no more than RATE a second each way: in KiB, or with a unit as in 1.5M (0: no limit)
    ///
    /// Counted as it crosses the connection, so after compression. A sync on one machine obeys it as well.
    #[arg(long, value_name = "RATE", value_parser = super::size::parse_rate, help_heading = CONNECTION)]
    pub bwlimit: Option<u64>,
    /// Give up when the other end is silent for so long; 0: never [default: 300]
    #[arg(long, value_name = "SECONDS", help_heading = CONNECTION)]
    pub timeout: Option<u64>,

    /// Give up when ssh cannot connect within so many seconds; 0: as long as it tries
    ///
    /// That is its ConnectTimeout, so it takes OpenSSH's ssh; the time of a prompt does not count. The same may be said with -e.
    #[arg(long, value_name = "SECONDS", help_heading = CONNECTION)]
    pub contimeout: Option<u64>,
    /// Stop when so many minutes are over, with exit code 30; what is in place stays
    #[arg(long, visible_alias = "time-limit", value_name = "MINS", value_parser = clap::value_parser!(u64).range(1..), help_heading = WRITING)]
    pub stop_after: Option<u64>,
    /// Stop at the next such time: YEAR-MONTH-DAYTHOUR:MINUTE, or parts of it, as in 1-31, 14:30 or :30
    #[arg(long, value_name = "TIME", help_heading = WRITING)]
    pub stop_at: Option<String>,

    /// Say more: names; twice: reasons and measurements
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT)]
    pub verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, help_heading = OUTPUT)]
    pub quiet: bool,
    /// List what changes and why, in rsync's eleven letters; twice: what does not, too
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT)]
    pub itemize_changes: u8,
    /// Print a line for each entry that changes, put together as FORMAT says: %n its name, %i rsync's letters, %l its size ...
    ///
    /// The others are %f the name from the command line's on, %L the target of a link, %o send, recv or del., %M its time, %B its
    /// permissions, %U %G its owner and group, %p the process, %t now, %% a percent sign; with a width as in %-40n, and ' before it
    /// for numbers for people. -i is '%i %n%L', -v is '%n%L'.
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT)]
    pub out_format: Option<OsString>,
    /// Add what is done to the end of FILE, line by line
    ///
    /// On this machine. A dry run does nothing, and logs nothing.
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub log_file: Option<PathBuf>,
    /// What the log says of an entry, as --out-format; empty: nothing [default: %i %n%L]
    #[arg(long, value_name = "FORMAT", help_heading = OUTPUT)]
    pub log_file_format: Option<OsString>,
    /// Tell what the words of FLAGS say, as in stats2,name0: see --info=help
    #[arg(long, value_name = "FLAGS", action = ArgAction::Append, help_heading = OUTPUT)]
    pub info: Vec<String>,
    /// Only to silence it (none): sy has nothing to debug by topic, and refuses rsync's other words
    #[arg(long, value_name = "FLAGS", action = ArgAction::Append, help_heading = OUTPUT)]
    pub debug: Vec<String>,
    /// Write standard output at once (None), by lines, or by blocks, whatever it is; the first letter will do
    #[arg(long, value_name = "MODE", value_parser = Buffering::parse, help_heading = OUTPUT)]
    pub outbuf: Option<Buffering>,
    /// Leave bytes of names that are no text as they are, and escape only control characters
    #[arg(short = '8', long = "8-bit-output", help_heading = OUTPUT)]
    pub eight_bit_output: bool,
    /// Print numbers for people, 1.23M; twice: in units of 1024
    #[arg(short, long, action = ArgAction::Count, help_heading = OUTPUT)]
    pub human_readable: u8,
    /// Show how far it got (on a terminal)
    #[arg(long, help_heading = OUTPUT)]
    pub progress: bool,
    /// The same as --partial --progress
    #[arg(short = 'P', help_heading = OUTPUT)]
    pub partial_progress: bool,
    /// Print counts at the end
    #[arg(long, help_heading = OUTPUT)]
    pub stats: bool,
    /// Print one JSON object per event on standard output, and nothing else there
    #[arg(long, conflicts_with_all = ["itemize_changes", "out_format", "stats", "quiet"], help_heading = OUTPUT)]
    pub json: bool,
    /// Write what both ends counted to FILE, as one JSON object
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub stats_file: Option<PathBuf>,
    /// Print help: -h alone in short, --help at length
    #[arg(long, action = ArgAction::HelpLong, help_heading = OUTPUT)]
    pub help: Option<bool>,
}

/// `--no-OPTION` for each option that -a implies or that has a default: its name and another one. The later of the two counts.
#[rustfmt::skip]
const NEGATIONS: &[(&str, &str, Option<&str>)] = &[
    ("no_recursive", "no-recursive", Some("no-r")),
    ("no_links", "no-links", Some("no-l")),
    ("no_perms", "no-perms", Some("no-p")),
    ("no_times", "no-times", Some("no-t")),
    ("no_acls", "no-acls", Some("no-A")),
    ("no_xattrs", "no-xattrs", Some("no-X")),
    ("no_atimes", "no-atimes", Some("no-U")),
    ("no_open_noatime", "no-open-noatime", None),
    ("no_executability", "no-executability", Some("no-E")),
    ("no_omit_dir_times", "no-omit-dir-times", Some("no-O")),
    ("no_omit_link_times", "no-omit-link-times", Some("no-J")),
    ("no_group", "no-group", Some("no-g")),
    ("no_owner", "no-owner", Some("no-o")),
    ("no_devices_and_specials", "no-D", None),
    ("no_devices", "no-devices", None),
    ("no_specials", "no-specials", None),
    ("no_hard_links", "no-hard-links", Some("no-H")),
    ("no_dirs", "no-dirs", Some("no-d")),
    ("no_relative", "no-relative", Some("no-R")),
    ("no_from0", "no-from0", None),
    ("implied_dirs", "implied-dirs", Some("i-d")),
    ("no_one_file_system", "no-one-file-system", Some("no-x")),
    ("no_prune_empty_dirs", "no-prune-empty-dirs", Some("no-m")),
    ("no_ignore_errors", "no-ignore-errors", None),
    ("no_force", "no-force", None),
    ("no_checksum", "no-checksum", Some("no-c")),
    ("no_update", "no-update", Some("no-u")),
    ("no_whole_file", "no-whole-file", Some("no-W")),
    ("no_sparse", "no-sparse", Some("no-S")),
    ("no_inplace", "no-inplace", None),
    ("no_append", "no-append", None),
    ("no_delay_updates", "no-delay-updates", None),
    ("no_preallocate", "no-preallocate", None),
    ("no_fsync", "no-fsync", None),
    ("no_mkpath", "no-mkpath", None),
    ("no_partial", "no-partial", None),
    ("no_compress", "no-compress", Some("no-z")),
    ("no_bwlimit", "no-bwlimit", None),
    ("no_timeout", "no-timeout", None),
    ("no_contimeout", "no-contimeout", None),
    ("no_stop_after", "no-stop-after", Some("no-time-limit")),
    ("no_stop_at", "no-stop-at", None),
    ("no_itemize_changes", "no-itemize-changes", Some("no-i")),
    ("no_eight_bit_output", "no-8-bit-output", Some("no-8")),
    ("no_human_readable", "no-human-readable", Some("no-h")),
    ("no_progress", "no-progress", None),
    ("no_verbose", "no-verbose", Some("no-v")),
];

/// How standard output is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffering {
    /// At once; what is written are lines.
    None,
    /// Line by line.
    Line,
    /// As much at a time as there is room for.
    Block,
}

impl Buffering {
    /// What MODE means, as in rsync by its first letter.
    fn parse(mode: &str) -> Result<Buffering, String> {
        match mode.bytes().next().map(|letter| letter.to_ascii_lowercase()) {
            Some(b'n' | b'u') => Ok(Buffering::None),
            Some(b'l') => Ok(Buffering::Line),
            Some(b'b' | b'f') => Ok(Buffering::Block),
            _ => Err("neither None, Line nor Block".into()),
        }
    }
}

/// Commands other than a sync.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the optimization phases and whether this build has them
    Phases {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
    /// Start, stop or ask the process that keeps connections for --use-daemon
    #[command(arg_required_else_help = true)]
    Daemon {
        /// What it is to do
        #[command(subcommand)]
        action: daemon::Action,
    },
}

/// The command line's definition. What follows an option that takes a value is its value, with a dash in front too: rules
/// begin with one (`-f '- *.o'`).
pub fn command() -> clap::Command {
    // Without a default, which a flag has, what is not given costs nothing.
    let negation = |(id, long, alias): &(&'static str, &'static str, Option<&'static str>)| {
        let flag = Arg::new(*id).long(*long).hide(true).action(ArgAction::Append).num_args(0).default_missing_value("");
        alias.iter().fold(flag, |flag, alias| flag.alias(*alias))
    };
    Args::command().args(NEGATIONS.iter().map(negation)).mut_args(|arg| {
        let takes_value =
            arg.get_action().takes_values() && arg.get_num_args().is_none_or(|count| count.takes_values());
        if takes_value && !arg.is_positional() { arg.allow_hyphen_values(true) } else { arg }
    })
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_visible_option_has_help_and_a_heading() {
        for arg in command().get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional()) {
            assert!(arg.get_help().is_some(), "{}", arg.get_id());
            assert!(arg.get_help_heading().is_some() || arg.get_id() == "version", "{}", arg.get_id());
        }
    }

    #[test]
    fn what_follows_an_option_that_takes_a_value_is_its_value_with_a_dash_too() {
        for option in command().get_arguments().filter(|arg| arg.get_action().takes_values() && !arg.is_positional()) {
            if option.get_num_args().is_some_and(|count| count.min_values() == 0) {
                continue;
            }
            let typed = format!("--{}", option.get_long().expect("a long name"));
            let parsed = command().try_get_matches_from(["sy", &typed, "-xyzzy", "a", "b"]);
            let takes_it = parsed.map_or_else(
                |error| error.kind() == ErrorKind::ValueValidation || error.kind() == ErrorKind::InvalidValue,
                |parsed| {
                    parsed
                        .get_raw(option.get_id().as_str())
                        .is_some_and(|mut values| values.any(|value| value == "-xyzzy"))
                },
            );
            assert!(takes_it, "{typed}");
        }
        let parsed = command().try_get_matches_from(["sy", "-af", "- *.o", "--exclude", "-x", "a", "b"]).unwrap();
        let said: Vec<&OsString> = parsed.get_many("filter").unwrap().collect();
        assert_eq!(said, ["- *.o"]);
    }
}
