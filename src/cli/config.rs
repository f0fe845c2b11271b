//! The command line resolved: what is implied and taken back is settled, locations are parsed, contradictions refused.
//!
//! It is long as the command line is: a function for each group of options that bear on one another.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::args::{Args, Buffering};
use super::format::Format;
use super::info::{self, Info, Topic};
use super::list::Listing;
use super::log::Wanted;
use super::when;
use crate::daemon;
use crate::error::{Error, Result};
use crate::filter::{self, Action, Ends, Filter, FilterError};
use crate::ids;
use crate::location::Location;
use crate::options::{DeleteTime, Options};
use crate::source::relative::Named;
use crate::source::{names, wild};
use crate::transport::ssh::{self, Remote};
use crate::tree::metadata;
use crate::tree::mode::{self, Step};
use crate::tree::room::{is_within, plain};

/// Longest silence of a peer that is borne unless told otherwise. Keepalives flow every few seconds, so it only ever
/// ends what is dead.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);

/// Where files wait with `--delay-updates`, as in rsync.
const DELAYED: &str = ".~tmp~";

/// What is to be done, and what is to be said of it.
#[derive(Debug)]
pub struct Config {
    /// What both ends need to know.
    pub options: Options,
    /// Which machines take part.
    pub transfer: Transfer,
    /// Whether that goes through the daemon.
    pub use_daemon: daemon::Use,
    /// How long it may take.
    pub stop_after: Option<Duration>,
    /// What is printed.
    pub output: Output,
}

/// Where the two trees are.
#[derive(Debug)]
pub enum Transfer {
    /// Both here.
    Local {
        /// Paths as typed.
        sources: Vec<Vec<u8>>,
        /// Path as typed.
        destination: Vec<u8>,
    },
    /// From here to there.
    Push {
        /// Paths as typed.
        sources: Vec<Vec<u8>>,
        /// The other machine.
        remote: Remote,
        /// Path as typed after the colon.
        destination: Vec<u8>,
    },
    /// From there to here.
    Pull {
        /// The other machine.
        remote: Remote,
        /// Paths as typed after the colons.
        sources: Vec<Vec<u8>>,
        /// Path as typed.
        destination: Vec<u8>,
    },
}

impl Transfer {
    fn sources(&self) -> &[Vec<u8>] {
        match self {
            Transfer::Local { sources, .. } | Transfer::Push { sources, .. } | Transfer::Pull { sources, .. } => {
                sources
            }
        }
    }

    fn sources_mut(&mut self) -> &mut Vec<Vec<u8>> {
        match self {
            Transfer::Local { sources, .. } | Transfer::Push { sources, .. } | Transfer::Pull { sources, .. } => {
                sources
            }
        }
    }
}

/// What is printed.
#[derive(Debug, Default)]
pub struct Output {
    /// `-v`, `--info`, `--stats`, `--progress`: how much of what.
    pub info: Info,
    /// `-q`.
    pub quiet: bool,
    /// `--out-format` or `-i`: the line of an entry.
    pub format: Option<Format>,
    /// `-i` twice: of one that does not change, too.
    pub all: bool,
    /// `-h`: rsync's level of it.
    pub human: u8,
    /// `-8`.
    pub eight_bit: bool,
    /// `--outbuf`: whether each line is written at once.
    pub each_line: Option<bool>,
    /// `--log-file`.
    pub log: Option<Wanted>,
    /// `--json`.
    pub json: bool,
    /// `--list-only`, or no destination: what would be copied is listed, and nothing else is said of it.
    pub list: Option<Listing>,
    /// `--stats-file`.
    pub stats_file: Option<PathBuf>,
}

impl Config {
    /// Resolves what was typed; `matches` tell in which order.
    ///
    /// # Errors
    /// [`Error::Usage`] for what contradicts itself or cannot be.
    pub fn resolve(args: Args, matches: &ArgMatches) -> Result<Config> {
        let mut locations = args.paths.iter().map(parse_location).collect::<Result<Vec<_>>>()?;
        let lists = args.list_only || locations.len() == 1;
        let destination = if locations.len() > 1 { locations.pop() } else { None };
        // For a list none is looked at.
        let destination = destination.filter(|_| !lists).unwrap_or(Location::Local(".".into()));
        let mut options = options(&args, matches, lists)?;
        let shows_targets = options.links;
        if lists {
            list_only(&mut options);
        }
        if options.delete.is_some() && !options.recursive && !options.dirs {
            return Err(Error::Usage("--delete does not work without -r or -d".into()));
        }
        if options.remove_source_files && options.hard_links {
            let text =
                "--remove-source-files does not work with -H: of a name that became a link the source hears nothing";
            return Err(Error::Usage(text.into()));
        }
        let flags = Flags { matches };
        let mut transfer = transfer(&args, &flags, locations, destination)?;
        if let Some(file) = &args.files_from {
            name_sources(file, &mut transfer, &mut options)?;
        }
        // Here a shell has expanded them, and a list has names.
        let is_remote = matches!(transfer, Transfer::Pull { .. }) && args.files_from.is_none();
        options.patterns = is_remote && transfer.sources().iter().any(|source| wild::is_pattern(source));
        let goes_up = |source: &&Vec<u8>| options.relative && Named::parse(source).is_none();
        if let Some(source) = transfer.sources().iter().find(goes_up) {
            let shown = OsStr::from_bytes(source).display();
            return Err(Error::Usage(format!("{shown}: a path with .. cannot be kept (-R); put /./ behind it")));
        }
        let local = matches!(transfer, Transfer::Local { .. });
        options.fake_super_there |= local && options.fake_super;
        options.whole_file = flags.on(&["whole_file"], &["no_whole_file"]) || (local && !flags.given("no_whole_file"));
        // Only the other end of a link knows what a file is to begin with.
        options.whole_file &= !options.append;
        let use_daemon = args.use_daemon.unwrap_or_default();
        daemon::available(use_daemon)?;
        let stop_after = stop_after(&args, &flags)?;
        let mut output = output(args, &flags)?;
        output.list = lists.then(|| Listing::new(shows_targets, options.atimes, &output));
        options.remarks = remarks(&output.info, &options);
        Ok(Config { options, transfer, use_daemon, stop_after, output })
    }
}

/// Makes the names in the list `file` the sources, below the one that was given; or has the other machine do it.
fn name_sources(file: &OsStr, transfer: &mut Transfer, options: &mut Options) -> Result<()> {
    let [dir] = transfer.sources() else {
        return Err(Error::Usage("--files-from names files in one source, no more".into()));
    };
    let elsewhere = match file.as_bytes().strip_prefix(b":") {
        Some(path) => Some((None, PathBuf::from(OsStr::from_bytes(path)))),
        None => match Location::parse(file).map_err(usage)? {
            Location::Local(_) => None,
            Location::Remote { user_host, path } => Some((Some(user_host), path)),
        },
    };
    match (elsewhere, &*transfer) {
        (None, _) => {
            if !matches!(transfer, Transfer::Pull { .. }) {
                names::check_dir(dir)?;
            }
            let list = names::read(Path::new(file))?;
            *transfer.sources_mut() =
                names::below(dir, &names::parse(&list, Ends::with_nul(options.from0)), options.relative);
        }
        (Some((host, path)), Transfer::Pull { remote, .. })
            if host.as_ref().is_none_or(|host| *host == remote.host) =>
        {
            options.files_from = Some(path).filter(|path| !path.as_os_str().is_empty());
            if options.files_from.is_none() {
                return Err(Error::Usage("--files-from names no file".into()));
            }
        }
        (Some(_), _) => {
            let text = "--files-from can name a file on another machine only where the source is: a destination has no say in \
                what it gets";
            return Err(Error::Usage(text.into()));
        }
    }
    Ok(())
}

/// Which of the flags that undo each other was given last.
struct Flags<'a> {
    matches: &'a ArgMatches,
}

impl Flags<'_> {
    fn given(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    fn last(&self, ids: &[&str]) -> Option<usize> {
        ids.iter().filter(|id| self.given(id)).filter_map(|id| self.matches.indices_of(id)?.max()).max()
    }

    fn on(&self, yes: &[&str], no: &[&str]) -> bool {
        self.last(yes) > self.last(no)
    }

    /// For what -a implies, and what the absence of all of its parts implies as well.
    fn archived(&self, implied: bool, yes: &[&str], no: &[&str]) -> bool {
        let yes = self.last(yes).max(self.last(&["archive"]));
        yes > self.last(no) || (implied && self.last(no).is_none())
    }
}

/// Makes of options those of a list: nothing is done, nothing of the source is left out for its kind, and contents and what
/// other directories have are of no interest.
fn list_only(options: &mut Options) {
    (options.list_only, options.dry_run) = (true, true);
    (options.links, options.devices, options.specials) = (true, true, true);
    options.dirs |= !options.recursive;
    (options.delete, options.max_delete, options.remove_source_files) = (None, None, false);
    (options.checksum, options.backup) = (false, None);
    (options.compare_dest, options.copy_dest, options.link_dest) = (Vec::new(), Vec::new(), Vec::new());
}

/// What --fake-super cannot say is refused instead of lost.
fn check_fake_super(args: &Args, acls: bool) -> Result<()> {
    if let Some(other) = args.remote_option.iter().find(|option| *option != "--fake-super") {
        let text = format!("-M {}: only --fake-super is an option of the other end alone", other.display());
        return Err(Error::Usage(text));
    }
    let fake = args.fake_super || !args.remote_option.is_empty();
    match () {
        () if fake && acls => Err(Error::Usage("--fake-super does not work with -A: it keeps no ACLs".into())),
        () if fake && args.xattrs > 1 => {
            Err(Error::Usage("--fake-super does not work with -XX: rsync's own attributes are what it keeps".into()))
        }
        () => Ok(()),
    }
}

fn options(args: &Args, matches: &ArgMatches, lists: bool) -> Result<Options> {
    let flags = Flags { matches };
    let parts = [
        "archive",
        "recursive",
        "links",
        "perms",
        "times",
        "group",
        "owner",
        "devices_and_specials",
        "devices",
        "specials",
        "dirs",
    ];
    let implied = !lists && !parts.iter().any(|part| flags.given(part));
    let archived = |yes: &[&str], no: &[&str]| flags.archived(implied, yes, no);
    let (backup, delete) = (backup(args)?, delete_time(args, &flags)?);
    check_other_dirs(args)?;
    check_fake_super(args, flags.on(&["acls"], &["no_acls"]))?;
    let (usermap, groupmap) = maps(args)?;
    let atimes = flags.on(&["atimes"], &["no_atimes"]);
    let xattrs = flags.on(&["xattrs"], &["no_xattrs"]);
    let acls = flags.on(&["acls"], &["no_acls"]);
    let perms: &[&str] = if acls { &["perms", "acls"] } else { &["perms"] };
    let mapping = |map: &Option<Vec<u8>>, by: &'static str| if map.is_some() { vec![by, "chown"] } else { vec![] };
    let owner = [vec!["owner"], mapping(&usermap, "usermap")].concat();
    let group = [vec!["group"], mapping(&groupmap, "groupmap")].concat();
    let mut filters = filters(matches)?;
    if let Some(suffix) = backup.as_ref().filter(|_| delete.is_some() && args.backup_dir.is_none()) {
        filters.push(filter::from_protected_suffix(suffix));
    }
    let append = flags.on(&["append", "append_verify"], &["no_append"]);
    if append && flags.on(&["whole_file"], &["no_whole_file"]) {
        return Err(Error::Usage("--append does not work with --whole-file".into()));
    }
    let inplace = append || flags.on(&["inplace"], &["no_inplace"]);
    let partial = flags.on(&["partial", "partial_progress"], &["no_partial"]);
    let delay_updates = flags.on(&["delay_updates"], &["no_delay_updates"]);
    let partial_dir = partial_dir(args, partial, inplace, delay_updates)?;
    if let Some(dir) = partial_dir.as_deref().filter(|dir| dir.is_relative()) {
        filters.push(filter::from_partial_dir(dir.as_os_str().as_bytes()));
    }
    // Where there are no merge files the rules themselves say it all, and an older build need not know more.
    let delete_excluded = args.delete_excluded && filter::hiding_only(&mut filters).map_err(usage)?;
    let one_file_system = flags.on(&["one_file_system"], &["no_one_file_system"]);
    // What a list names is meant, and not what is in it, unless that is asked for.
    let named = args.files_from.is_some();
    let relative = flags.on(&["relative"], &["no_relative"]) || (named && !flags.given("no_relative"));
    let recursive =
        if named { flags.on(&["recursive"], &["no_recursive"]) } else { archived(&["recursive"], &["no_recursive"]) };
    Ok(Options {
        recursive,
        links: archived(&["links"], &["no_links"]),
        perms: archived(perms, &["no_perms"]),
        times: archived(&["times"], &["no_times"]),
        omit_dir_times: flags.on(&["omit_dir_times"], &["no_omit_dir_times"])
            || (backup.is_some() && args.backup_dir.is_none()),
        omit_link_times: flags.on(&["omit_link_times"], &["no_omit_link_times"]),
        modify_window: args.modify_window.and_then(|window| u64::try_from(window).ok()),
        atimes,
        xattrs,
        acls,
        all_xattrs: xattrs && args.xattrs > 1,
        open_noatime: flags.on(&["open_noatime"], &["no_open_noatime"]) || (atimes && args.atimes > 1),
        fake_super: args.fake_super,
        fake_super_there: !args.remote_option.is_empty(),
        executability: flags.on(&["executability"], &["no_executability"]),
        chmod: chmod(args)?,
        group: archived(&group, &["no_group"]),
        owner: archived(&owner, &["no_owner"]),
        usermap,
        groupmap,
        devices: archived(&["devices_and_specials", "devices"], &["no_devices_and_specials", "no_devices"]),
        specials: archived(&["devices_and_specials", "specials"], &["no_devices_and_specials", "no_specials"]),
        hard_links: flags.on(&["hard_links"], &["no_hard_links"]),
        dirs: flags.on(&["dirs"], &["no_dirs"]) || (named && !recursive && !flags.given("no_dirs")),
        one_file_system,
        skip_mounts: one_file_system && args.one_file_system > 1,
        relative,
        ignore_missing_args: args.ignore_missing_args,
        more_paths: false,
        patterns: false,
        files_from: None,
        from0: flags.on(&["from0"], &["no_from0"]),
        no_implied_dirs: relative && flags.on(&["no_implied_dirs"], &["implied_dirs"]),
        copy_links: args.copy_links,
        copy_dirlinks: args.copy_dirlinks,
        copy_unsafe_links: args.copy_unsafe_links,
        safe_links: args.safe_links,
        keep_dirlinks: args.keep_dirlinks,
        checksum: flags.on(&["checksum"], &["no_checksum"]),
        update: flags.on(&["update"], &["no_update"]),
        whole_file: false,
        ignore_times: args.ignore_times,
        size_only: args.size_only,
        existing: args.existing,
        ignore_existing: args.ignore_existing,
        delete,
        max_delete: args.max_delete.map(|max| u64::try_from(max).unwrap_or(0)),
        mkpath: flags.on(&["mkpath"], &["no_mkpath"]),
        remove_source_files: args.remove_source_files,
        backup,
        backup_dir: args.backup_dir.clone(),
        temp_dir: args.temp_dir.clone().filter(|dir| !dir.as_os_str().is_empty()),
        compare_dest: args.compare_dest.clone(),
        copy_dest: args.copy_dest.clone(),
        link_dest: args.link_dest.clone(),
        ignore_errors: flags.on(&["ignore_errors"], &["no_ignore_errors"]),
        force: flags.on(&["force"], &["no_force"]),
        prune_empty_dirs: flags.on(&["prune_empty_dirs"], &["no_prune_empty_dirs"]),
        min_size: args.min_size,
        max_size: args.max_size,
        sparse: flags.on(&["sparse"], &["no_sparse"]),
        inplace,
        partial: partial || partial_dir.is_some(),
        partial_dir,
        delay_updates,
        append,
        append_verify: append && flags.on(&["append_verify"], &["append"]),
        preallocate: flags.on(&["preallocate"], &["no_preallocate"]),
        fsync: flags.on(&["fsync"], &["no_fsync"]),
        numeric_ids: args.numeric_ids,
        list_only: false,
        dry_run: args.dry_run,
        compress: flags.on(&["compress"], &["no_compress"]),
        // What is told is judged later.
        remarks: 0,
        bwlimit: args.bwlimit.filter(|limit| *limit > 0 && flags.on(&["bwlimit"], &["no_bwlimit"])),
        timeout: match args.timeout {
            _ if flags.last(&["no_timeout"]) > flags.last(&["timeout"]) => None,
            None => Some(DEFAULT_TIMEOUT),
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds)),
        },
        delete_excluded,
        filters,
    })
}

/// When to delete. As in rsync two times are refused, except during and delay: of those the later counts.
fn delete_time(args: &Args, flags: &Flags<'_>) -> Result<Option<DeleteTime>> {
    let during = flags
        .last(&["delete_during", "delete_delay"])
        .map(|_| if flags.on(&["delete_delay"], &["delete_during"]) { DeleteTime::Delay } else { DeleteTime::During });
    let before = args.delete_before.then_some(DeleteTime::Before);
    let mut times = [before, during, args.delete_after.then_some(DeleteTime::After)].into_iter().flatten();
    let time = times.next();
    if times.next().is_some() {
        return Err(Error::Usage("only one of --delete-before, --delete-during and --delete-after can be".into()));
    }
    Ok(time.or((args.delete || args.delete_excluded).then_some(DeleteTime::During)))
}

/// All changes of modes, in the order in which they were typed.
fn chmod(args: &Args) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for text in &args.chmod {
        steps.extend(mode::parse(text, metadata::umask()).map_err(usage)?);
    }
    Ok(steps)
}

/// A map of users, or of groups, as it was typed.
type Map = Option<Vec<u8>>;

/// The maps of users and of groups.
fn maps(args: &Args) -> Result<(Map, Map)> {
    let chown = args.chown.as_deref().map(OsStr::as_bytes).unwrap_or_default();
    let colon = chown.iter().position(|byte| *byte == b':');
    let (user, group) = chown.split_at(colon.unwrap_or(chown.len()));
    let group = group.strip_prefix(b":").unwrap_or_default();
    let map = |option: &str, maps: &[OsString], everybody: &[u8]| match (maps, everybody) {
        ([], b"") => Ok(None),
        ([], name) => Ok(Some([b"*:", name].concat())),
        ([map], b"") => Ok(Some(map.as_bytes().to_vec())),
        ([_], _) => Err(Error::Usage(format!("{option} and --chown cannot both be"))),
        _ => Err(Error::Usage(format!("{option} can be given only once: separate its items by commas"))),
    };
    let maps = (map("--usermap", &args.usermap, user)?, map("--groupmap", &args.groupmap, group)?);
    for (option, map) in [("--usermap", &maps.0), ("--groupmap", &maps.1)] {
        map.as_ref().map_or(Ok(()), |map| ids::check(option, map))?;
    }
    Ok(maps)
}

/// The suffix of backups, if there are to be any.
fn backup(args: &Args) -> Result<Option<Vec<u8>>> {
    let default = if args.backup_dir.is_some() { "" } else { "~" };
    let suffix = args.suffix.as_deref().unwrap_or(OsStr::new(default)).as_bytes();
    if suffix.contains(&b'/') {
        return Err(Error::Usage("--suffix cannot contain slashes".into()));
    }
    let beside = args.backup_dir.as_deref().is_none_or(|dir| plain(dir).as_os_str().is_empty());
    if suffix.is_empty() && beside {
        return Err(Error::Usage("--suffix cannot be empty unless --backup-dir names another directory".into()));
    }
    Ok((args.backup || args.backup_dir.is_some()).then(|| suffix.to_vec()))
}

/// Where what has no name yet is kept, if not beside its place.
fn partial_dir(args: &Args, partial: bool, inplace: bool, delay_updates: bool) -> Result<Option<PathBuf>> {
    let named = args.partial_dir.as_deref().map(plain).filter(|dir| !dir.as_os_str().is_empty());
    if inplace && (named.is_some() || delay_updates) {
        return Err(Error::Usage("--inplace and --append do not work with --partial-dir or --delay-updates".into()));
    }
    if named.as_deref().is_some_and(|dir| dir.is_relative() && !is_within(dir)) {
        return Err(Error::Usage("--partial-dir must be absolute, or stay below the directories of the files".into()));
    }
    if delay_updates && named.as_deref().is_some_and(Path::is_absolute) {
        let text = "--delay-updates needs a --partial-dir of each directory: in one for all, names could meet";
        return Err(Error::Usage(text.into()));
    }
    if delay_updates && args.remove_source_files {
        let text = "--delay-updates does not work with --remove-source-files: what waits is not there yet";
        return Err(Error::Usage(text.into()));
    }
    if delay_updates {
        return Ok(Some(named.unwrap_or_else(|| DELAYED.into())));
    }
    let from_environment = || {
        let dir = plain(std::env::var_os("RSYNC_PARTIAL_DIR").map(PathBuf::from)?.as_path());
        Some(dir).filter(|dir| !dir.as_os_str().is_empty() && (dir.is_absolute() || is_within(dir)))
    };
    let kept = partial && !inplace && args.partial_dir.is_none();
    Ok(named.or_else(|| from_environment().filter(|_| kept)))
}

/// That directories to compare with are of one kind.
fn check_other_dirs(args: &Args) -> Result<()> {
    let kinds = [&args.compare_dest, &args.copy_dest, &args.link_dest];
    if kinds.iter().filter(|dirs| !dirs.is_empty()).count() > 1 {
        return Err(Error::Usage("only one of --compare-dest, --copy-dest and --link-dest can be".into()));
    }
    Ok(())
}

/// All filter rules in the order in which they were typed, whichever option brought them.
fn filters(matches: &ArgMatches) -> Result<Vec<Vec<u8>>> {
    let mut typed: Vec<(usize, Vec<Vec<u8>>)> = Vec::new();
    let ends = Ends::with_nul((Flags { matches }).on(&["from0"], &["no_from0"]));
    for id in ["exclude", "include", "filter", "filter_files", "exclude_from", "include_from"] {
        let values = matches.get_raw(id).into_iter().flatten();
        for (count, (index, value)) in matches.indices_of(id).into_iter().flatten().zip(values).enumerate() {
            typed.push((index, rules_of(id, count, value, ends)?));
        }
    }
    typed.sort_by_key(|(index, _)| *index);
    let mut rules: Vec<Vec<u8>> = typed.into_iter().flat_map(|(_, rules)| rules).collect();
    if (Flags { matches }).given("cvs_exclude") {
        rules.extend([b":C".to_vec(), b"-C".to_vec()]);
    }
    let rules = filter::expand_with(&rules, ends).map_err(of_rules)?;
    Filter::parse(&rules).map_err(usage)?;
    Ok(rules)
}

/// What `-F` means, the first time and the second.
const FILTER_FILES: [&[u8]; 2] = [b": /.rsync-filter", b"- .rsync-filter"];

/// The rules of an option that was given `before` times before.
fn rules_of(id: &str, before: usize, value: &OsStr, ends: Ends) -> Result<Vec<Vec<u8>>> {
    Ok(match id {
        "filter_files" => FILTER_FILES.get(before).map(|rule| rule.to_vec()).into_iter().collect(),
        "exclude" => vec![filter::from_exclude(value.as_bytes())],
        "include" => vec![filter::from_include(value.as_bytes())],
        "exclude_from" => filter::from_file(value.as_ref(), Action::Exclude, ends).map_err(of_rules)?,
        "include_from" => filter::from_file(value.as_ref(), Action::Include, ends).map_err(of_rules)?,
        _ => vec![value.as_bytes().to_vec()],
    })
}

/// Rules that cannot be understood are an offence of the command line, a file of them that cannot be read is none.
fn of_rules(error: FilterError) -> Error {
    match error {
        FilterError::Read { path, source } => Error::Io { action: "read filter rules from", path, source },
        error => usage(error),
    }
}

fn usage(error: impl std::fmt::Display) -> Error {
    Error::Usage(error.to_string())
}

fn parse_location(typed: &OsString) -> Result<Location> {
    if typed.is_empty() {
        return Err(Error::Usage(
            "an empty path is neither a source nor a destination (the current directory is .)".into(),
        ));
    }
    Location::parse(typed).map_err(usage)
}

/// How long the sync may take. As in rsync the later option counts.
fn stop_after(args: &Args, flags: &Flags<'_>) -> Result<Option<Duration>> {
    let back = ["no_stop_after", "no_stop_at"];
    Ok(match (args.stop_after, &args.stop_at) {
        (Some(minutes), _) if flags.on(&["stop_after"], &[back[0], back[1], "stop_at"]) => {
            Some(Duration::from_secs(minutes.saturating_mul(60)))
        }
        (_, Some(time)) if flags.on(&["stop_at"], &back) => Some(when::until(time).map_err(usage)?),
        _ => None,
    })
}

fn transfer(args: &Args, flags: &Flags<'_>, sources: Vec<Location>, destination: Location) -> Result<Transfer> {
    let remote = |host| Ok(Remote { shell: shell(args, flags)?, host, sy_path: sy_path(args) });
    let bytes = |path: PathBuf| path.into_os_string().into_vec();
    let (hosts, sources): (Vec<Option<OsString>>, Vec<Vec<u8>>) = sources
        .into_iter()
        .map(|source| match source {
            Location::Local(path) => (None, bytes(path)),
            Location::Remote { user_host, path } => (Some(user_host), bytes(path)),
        })
        .unzip();
    let host = hosts.first().cloned().flatten();
    if hosts.iter().any(|other| *other != host) {
        return Err(Error::Usage("all sources must be on one machine".into()));
    }
    match (host, destination) {
        (None, Location::Local(path)) => Ok(Transfer::Local { sources, destination: bytes(path) }),
        (None, Location::Remote { user_host, path }) => {
            Ok(Transfer::Push { sources, remote: remote(user_host)?, destination: bytes(path) })
        }
        (Some(host), Location::Local(path)) => {
            Ok(Transfer::Pull { remote: remote(host)?, sources, destination: bytes(path) })
        }
        (Some(_), Location::Remote { .. }) => {
            Err(Error::Usage("source and destination cannot both be remote: run sy on one of the two machines".into()))
        }
    }
}

fn shell(args: &Args, flags: &Flags<'_>) -> Result<Vec<OsString>> {
    let from_environment = || ["SY_RSH", "RSYNC_RSH"].into_iter().find_map(|name| std::env::var(name).ok());
    let command = args.rsh.clone().or_else(from_environment).unwrap_or_else(|| "ssh".into());
    let mut words = ssh::split_command(&command)?;
    let contimeout = args.contimeout.filter(|seconds| *seconds > 0 && flags.on(&["contimeout"], &["no_contimeout"]));
    if let Some(seconds) = contimeout {
        if Path::new(&words[0]).file_name() != Some(OsStr::new("ssh")) {
            let text = format!("--contimeout is ssh's ConnectTimeout, and the remote shell is {}", words[0].display());
            return Err(Error::Usage(text));
        }
        // Before all else: of what is said twice ssh takes the first.
        words.splice(1..1, ["-o".into(), format!("ConnectTimeout={seconds}").into()]);
    }
    Ok(words)
}

fn sy_path(args: &Args) -> OsString {
    args.sy_path.clone().unwrap_or_else(|| "sy".into())
}

fn output(args: Args, flags: &Flags<'_>) -> Result<Output> {
    let counted = |count: u8, yes: &str, no: &str| if flags.on(&[yes], &[no]) { count } else { 0 };
    let itemize = counted(args.itemize_changes, "itemize_changes", "no_itemize_changes");
    let format = args.out_format.as_deref().or((itemize > 0).then_some(OsStr::new(Format::ITEMIZED)));
    let human = match flags.last(&["human_readable"]) > flags.last(&["no_human_readable"]) {
        true => args.human_readable.saturating_add(1),
        false => u8::from(!flags.given("no_human_readable")),
    };
    Ok(Output {
        info: info(&args, flags)?,
        quiet: args.quiet,
        format: format.map(|text| parse_format("--out-format", text)).transpose()?,
        all: itemize > 1,
        human,
        eight_bit: flags.on(&["eight_bit_output"], &["no_eight_bit_output"]),
        each_line: args.outbuf.map(|mode| mode != Buffering::Block),
        log: log(&args)?,
        json: args.json,
        list: None,
        stats_file: args.stats_file,
    })
}

/// How much of what each end does about single entries is told: what `-v` and `-vv` tell of it, or words of `--info`.
fn remarks(info: &Info, options: &Options) -> u8 {
    let whys = [Topic::Backup, Topic::Remove].iter().any(|topic| info.level(*topic) > 0);
    if whys || info.level(Topic::Misc) > 1 { 2 } else { u8::from(options.safe_links && info.level(Topic::Symsafe) > 0) }
}

/// What is told: what `-v` means, then `--info`, then the options that are words of it by another name.
fn info(args: &Args, flags: &Flags<'_>) -> Result<Info> {
    let verbose = if flags.on(&["verbose"], &["no_verbose"]) { args.verbose } else { 0 };
    let mut info = Info::of_verbosity(verbose);
    args.info.iter().try_for_each(|words| info.obey(words)).map_err(Error::Usage)?;
    args.debug.iter().try_for_each(|words| info::judge_debug(words)).map_err(Error::Usage)?;
    if args.stats {
        info.at_least(Topic::Stats, 2);
    }
    if flags.on(&["progress", "partial_progress"], &["no_progress"]) {
        info.at_least(Topic::Progress, 1);
    }
    Ok(info)
}

/// The log that is asked for: with no format of its own that of `-i`, with an empty one without entries.
fn log(args: &Args) -> Result<Option<Wanted>> {
    let format = args.log_file_format.as_deref().unwrap_or(OsStr::new(Format::ITEMIZED));
    let format = parse_format("--log-file-format", format)?;
    let mentions = args.log_file_format.as_ref().is_none_or(|text| !text.is_empty());
    Ok(args.log_file.clone().map(|path| Wanted { path, format: mentions.then_some(format) }))
}

fn parse_format(option: &str, text: &OsStr) -> Result<Format> {
    Format::parse(text.as_bytes()).map_err(|told| Error::Usage(format!("{option}: {told}")))
}

#[cfg(test)]
mod tests;
