//! What is printed, and for whom: people, programs that read lines, programs that read JSON.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::process::{Finished, Program};
use crate::harness::tree::name;
use crate::harness::{STAND_IN, SY, Sandbox, Tree, Way, noise, rsync, sync_test};

fn some_tree() -> Tree {
    let tree = Tree::new().file("edited", noise(1, 20_000)).file("same", "1").file(name(b"odd\n\xff\x1bname"), "2");
    tree.file("dir/new", "3")
        .symlink("link", "same")
        .fifo("fifo")
        .file("mode", "4")
        .mode(0o600)
        .hard_link("z linked", "same")
}

fn older() -> Tree {
    let older =
        Tree::new().file("edited", noise(1, 19_000)).mtime(5, 0).file("same", "1").file("mode", "4").mode(0o644);
    older.file("extra", "5").file("extra dir/inside", "6")
}

fn events(finished: &Finished) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
    finished.lines().iter().map(parse).collect()
}

/// The fields of each event that the document names, those in brackets with a question mark where they may be missing.
fn documented() -> HashMap<String, Vec<(String, bool)>> {
    let mut events: HashMap<String, Vec<(String, bool)>> = HashMap::new();
    let mut event = String::new();
    for line in include_str!("../src/cli/EVENTS.md").lines() {
        let quoted = |text: &str| text.split('`').nth(1).unwrap_or_default().to_owned();
        if line.starts_with("## ") {
            event = quoted(line);
        } else if let Some(row) = line.strip_prefix("| `") {
            let cell = row.split('|').next().expect("a cell");
            let fields = events.entry(event.clone()).or_default();
            let names = format!("`{cell}");
            fields.extend(names.split(", ").map(|name| (quoted(name), name.trim_end().ends_with('?'))));
        }
    }
    events
}

#[track_caller]
pub fn assert_documented(events: &[Value]) {
    let documented = documented();
    for event in events {
        let fields = &documented[event["event"].as_str().expect("an event")];
        for (name, _) in event.as_object().expect("an object") {
            let known = ["v", "event"].contains(&&name[..]) || fields.iter().any(|(field, _)| field == name);
            assert!(known, "{name}: {event}");
        }
        for (name, _) in fields.iter().filter(|(_, optional)| !optional) {
            assert!(event.get(name).is_some(), "{name} is missing: {event}");
        }
    }
}

sync_test!(json_is_one_object_a_line_and_nothing_else, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let finished = sandbox.sync(&["-aH", "--delete", "--json", "-v", "--progress"]).ok();
    let events = events(&finished);
    for event in &events {
        assert_eq!(event["v"], 1, "{event}");
    }
    assert_documented(&events);
    let items = |action: &str| -> Vec<&Value> {
        events
            .iter()
            .filter(|event| event["event"] == "item" && event["action"] == action)
            .map(|event| &event["path"])
            .collect()
    };
    assert_eq!(items("attributes").iter().filter(|path| **path == "mode").count(), 1);
    assert_eq!(items("hard_link"), ["z linked"]);
    let odd = events.iter().find(|event| !event["path_bytes"].is_null()).expect("a name that is no text");
    let bytes: Vec<u8> = serde_json::from_value(odd["path_bytes"].clone()).unwrap();
    assert_eq!(bytes, b"odd\n\xff\x1bname");
    let deleted = events.iter().filter(|event| event["event"] == "deleted").count();
    assert_eq!(deleted, 3);
    let summary = events.last().unwrap();
    assert_eq!((&summary["event"], &summary["exit_code"]), (&"summary".into(), &0.into()));
    assert_eq!(summary["files"]["deleted"], 3);
});

sync_test!(json_tells_of_failures_too, |sandbox| {
    let finished = sandbox.sync_paths(&["-a", "--json"], &["missing"], "destination").code(23);
    let events = events(&finished);
    assert!(events.iter().any(|event| event["event"] == "warning" && event["exit_code"] == 23), "{events:?}");
    assert_eq!(events.last().unwrap()["exit_code"], 23);
    fs::write(sandbox.path("file"), "x").unwrap();
    sandbox.write_source(&Tree::new().file("f", "1"));
    let finished = sandbox.sync_paths(&["-a", "--json"], &["source/"], "file").code(3);
    assert_documented(&events);
    assert_documented(&self::events(&finished));
    let last: Value = serde_json::from_str(finished.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["exit_code"]), (&"error".into(), &3.into()));
});

sync_test!(itemized_lines_are_rsyncs, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let finished = sandbox.sync(&["-aHi", "--delete"]).ok();
    let mut lines = finished.lines();
    lines.sort();
    let sent = if sandbox.way == Way::Push { '<' } else { '>' };
    let mut expected = vec![
        "*deleting   extra".to_string(),
        "*deleting   extra dir/".into(),
        "*deleting   extra dir/inside".into(),
        ".f...p..... mode".into(),
        format!("{sent}f+++++++++ dir/new"),
        format!("{sent}f+++++++++ odd\\#012\\#377\\#033name"),
        format!("{sent}f.st...... edited"),
        "cL+++++++++ link -> same".into(),
        "cS+++++++++ fifo".into(),
        "cd+++++++++ dir/".into(),
        "hf+++++++++ z linked => same".into(),
    ];
    expected.sort();
    assert_eq!(lines, expected);
    let all = sandbox.sync(&["-aHii", "--delete"]).ok().lines();
    assert_eq!(all.len(), sandbox.source_tree().items.len(), "{all:?}");
    assert!(all.contains(&".f          edited".into()) && all.contains(&".d          dir/".into()), "{all:?}");
});

sync_test!(verbose_names_what_changes_and_quiet_says_nothing, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let quiet = sandbox.sync(&["-anq", "--delete"]).ok();
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty(), "{}", quiet.told());
    let silent = sandbox.sync(&["-an", "--delete"]).ok();
    assert!(silent.stdout.is_empty() && silent.stderr.is_empty(), "{}", silent.told());
    let lines = sandbox.sync(&["-aHv", "--delete"]).ok().lines();
    for line in ["deleting extra", "dir/", "dir/new", "edited", "link -> same", "z linked => same"] {
        assert!(lines.contains(&line.into()), "{line}: {lines:?}");
    }
    assert!(
        !lines.contains(&"same".into()) && lines.iter().any(|line| line.starts_with("total size is ")),
        "{lines:?}"
    );
});

sync_test!(twice_verbose_names_what_does_not_change_and_tells_the_list_begins, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let lines = sandbox.sync(&["-aHvv"]).ok().lines();
    let begins = if sandbox.way == Way::Pull { "receiving" } else { "sending" };
    assert_eq!(lines[0], format!("{begins} incremental file list"));
    assert!(lines.contains(&"dir/new".into()), "{lines:?}");
    let lines = sandbox.sync(&["-aH", "--info=name2"]).ok().lines();
    for line in ["same is uptodate", "link is uptodate", "dir/new is uptodate"] {
        assert!(lines.contains(&line.into()), "{line}: {lines:?}");
    }
    assert!(!lines.iter().any(|line| line.starts_with("dir/ ")), "{lines:?}");
    let silent = sandbox.sync(&["-avv", "--info=none"]).ok();
    assert!(silent.stdout.is_empty() && silent.stderr.is_empty(), "{}", silent.told());
});

sync_test!(an_entry_has_the_line_that_was_asked_for, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let lines = sandbox.sync(&["-aH", "--delete", "--out-format=%o|%n|%l|%B%L|%%"]).ok().lines();
    let operation = if sandbox.way == Way::Pull { "recv" } else { "send" };
    for line in [
        format!("{operation}|edited|20000|rw-r--r--|%"),
        format!("{operation}|link|4|rwxrwxrwx -> same|%"),
        format!("{operation}|z linked|1|rw-r--r-- => same|%"),
        format!("{operation}|odd\\#012\\#377\\#033name|1|rw-r--r--|%"),
        "del.|extra dir/|0|---------|%".into(),
    ] {
        assert!(lines.contains(&line), "{line}: {lines:#?}");
    }
    assert!(!lines.iter().any(|line| line.contains("|mode|")), "attributes alone are told with %i: {lines:#?}");
    fs::write(sandbox.source().join("new\u{e9}\tname"), "1").unwrap();
    fs::write(sandbox.destination().join("extra"), "1").unwrap();
    let lines = sandbox.sync(&["-aH", "--delete", "-8", "--out-format=<%8l>%n"]).ok().lines();
    for line in ["deleting extra", "<       1>new\u{e9}\tname"] {
        assert!(lines.contains(&line.into()), "{line}: {lines:#?}");
    }
});

sync_test!(a_format_makes_rsyncs_lines_of_what_rsync_does, |sandbox| {
    let more =
        some_tree().file(name(br"back\#123slash \n"), "5").file(name(b"tab\tand \xc3\xa9"), "6").file("older", "7");
    sandbox.write_source(&more.file("suid", "8").mode(0o4711).file("dir/sub/deep", "9"));
    for tool in ["sy", "rsync"] {
        older().file("older", "longer").mtime(9, 0).write(&sandbox.path(tool));
    }
    let format = "--out-format=%i|%n|%f|%L|%o|%M|%B|%U|%G|%-6o|%8o|%%";
    let run = |tool: &str, eight_bit: &str| {
        let program = if tool == "sy" { Program::sy(&[]) } else { Program::new(rsync()).env("LC_ALL", "C.UTF-8") };
        let program =
            program.args(["-aHn", "--delete", format, eight_bit, "-e", STAND_IN]).current_dir(sandbox.path(""));
        let program = if tool == "sy" { program.args(["--sy-path", SY]) } else { program };
        let at = |remote: bool, path: &str| {
            if remote { format!("host:{}", sandbox.path(path).display()) } else { path.into() }
        };
        let (pulls, pushes) = (sandbox.way == Way::Pull, sandbox.way == Way::Push);
        let finished = program.arg(at(pulls, "source/")).arg(at(pushes, tool)).run().ok();
        let lines = finished.stdout.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned());
        // rsync names the root by the path and a dot, and knows the mode of what it deletes where it pulls.
        let lines = lines.filter(|line| !line.contains("|./|") && !line.starts_with("created directory"));
        lines.map(|line| if line.starts_with("*del") { line[..20].to_owned() } else { line }).collect::<BTreeSet<_>>()
    };
    for eight_bit in ["--no-8-bit-output", "-8"] {
        assert_eq!(run("sy", eight_bit), run("rsync", eight_bit));
    }
});

sync_test!(a_log_has_a_line_for_what_is_done_and_none_in_a_dry_run, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let log = sandbox.path("log");
    let run = |options: &[&str]| {
        let program = sandbox.program(options, &["source/"], "destination");
        let finished = program.arg("--log-file").arg(&log).run().ok();
        assert!(finished.stdout.is_empty(), "{}", finished.told());
        let told = fs::read_to_string(&log).unwrap_or_default();
        // Time and process stand before each.
        let lines: Vec<String> = told.lines().map(|line| line.split_once("] ").expect(line).1.to_owned()).collect();
        let _ = fs::remove_file(&log);
        lines
    };
    assert!(run(&["-aHn", "--delete"]).is_empty());
    let lines = run(&["-aHq", "--delete"]);
    let sent = if sandbox.way == Way::Push { '<' } else { '>' };
    assert!(lines[0].ends_with(" file list"), "{lines:#?}");
    for line in [format!("{sent}f.st...... edited"), "*deleting   extra".into(), "cL+++++++++ link -> same".into()] {
        assert!(lines.contains(&line), "{line}: {lines:#?}");
    }
    assert!(lines.last().unwrap().contains("  total size "), "{lines:#?}");
    fs::write(sandbox.source().join("more"), "1").unwrap();
    let more = if sandbox.way == Way::Pull { "recv more" } else { "send more" };
    let lines = run(&["-aH", "--log-file-format=%o %n"]);
    assert!(lines.contains(&more.into()), "{lines:#?}");
    fs::write(sandbox.source().join("even more"), "1").unwrap();
    assert_eq!(run(&["-aH", "--log-file-format="]).len(), 2);
});

#[test]
fn a_log_that_cannot_be_written_keeps_the_sync_from_beginning() {
    let sandbox = Sandbox::new(Way::Local);
    sandbox.write_source(&some_tree());
    sandbox.sync(&["-a", "--log-file=/no/such/directory/log"]).code(11).says("/no/such/directory/log");
    assert!(!sandbox.destination().exists());
}

sync_test!(what_is_no_file_and_not_asked_for_is_told, |sandbox| {
    sandbox.write_source(&some_tree());
    let finished = sandbox.sync(&["-rt"]).ok().says("skipping non-regular file \"fifo\"").says("\"link\"");
    assert!(finished.stdout.is_empty(), "{}", finished.told());
    let events = events(&sandbox.sync(&["-rt", "--json"]).ok());
    assert_eq!(events.iter().filter(|event| event["event"] == "warning" && event["exit_code"] == 0).count(), 2);
    for options in [&["-rt", "--info=nonreg0"][..], &["-rtq"]] {
        assert_eq!(sandbox.sync(options).ok().stderr, "", "{options:?}");
    }
});

sync_test!(progress_is_rsyncs_line_where_there_is_no_terminal, |sandbox| {
    sandbox.write_source(&some_tree());
    for options in [&["-a", "--info=progress2"][..], &["-aP"], &["-a", "--progress", "-v"]] {
        let text = sandbox.sync(options).ok().text();
        let last = text.split('\r').next_back().expect("a line").lines().next().expect("its end");
        let bytes = if sandbox.destination().join("edited").exists() { "20,00" } else { "0" };
        assert!(last.trim_start().starts_with(bytes) && last.contains("to-chk=0/"), "{last:?} {text:?}");
    }
    assert!(sandbox.sync(&["-aPq"]).ok().stdout.is_empty());
});

#[test]
fn the_words_of_info_are_told_to_who_asks_and_unknown_ones_refused() {
    let help = Program::sy(&["-a", "--info=help"]).run().ok().text();
    assert!(help.contains("progress") && help.contains("nonreg"), "{help}");
    for option in
        ["--info=nosuch", "--info=skip", "--debug=del", "--outbuf=x", "--out-format=%h", "--log-file-format=%z"]
    {
        let finished = Program::sy(&["-a", option, "a", "b"]).run().code(1);
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty(), "{option}");
    }
    let sandbox = Sandbox::new(Way::Local);
    sandbox.write_source(&some_tree());
    sandbox.sync(&["-aH", "--debug=none", "--outbuf=L", "--no-v"]).ok();
    sandbox.assert_synced();
}

sync_test!(numbers_are_as_readable_as_asked_for, |sandbox| {
    sandbox.write_source(&some_tree());
    for (option, size) in [("--stats", "20,009"), ("--no-h", "20009"), ("-h", "20.01K"), ("-hh", "19.54K")] {
        let lines = sandbox.sync(&["-an", "--stats", option]).ok().lines();
        let line = format!("Total file size: {size} bytes");
        assert!(lines.contains(&line), "{option}: {lines:#?}");
    }
});

sync_test!(very_verbose_tells_which_rule_decided_on_either_machine, |sandbox| {
    sandbox.write_source(
        &Tree::new()
            .dir("d")
            .file("d/.rules", "- *.tmp\n")
            .file("d/a.tmp", "1")
            .file("a.o", "1")
            .file("keep.o", "1")
            .dir("x"),
    );
    sandbox.write_destination(&Tree::new().file("a.o", "2").file("gone", "1"));
    let rules = ["--include=keep.o", "--exclude=*.o", "--exclude=/x/", "--filter=: .rules", "--delete"];
    let told = |verbose: &str| sandbox.sync(&[&["-an", verbose], &rules[..]].concat()).ok().stderr;
    let reasons = told("-vv");
    for reason in [
        "[sender] hiding file a.o because of pattern *.o",
        "[sender] showing file keep.o because of pattern keep.o",
        "[sender] hiding directory x because of pattern /x/",
        "[sender] hiding file d/a.tmp because of pattern *.tmp [per-dir .rules]",
        "[generator] protecting file a.o because of pattern *.o",
    ] {
        assert_eq!(reasons.matches(&format!("sy: {reason}\n")).count(), 1, "{reason}: {reasons}");
    }
    assert!(!reasons.contains("gone"), "no rule is about it: {reasons}");
    assert!(!told("-v").contains("because of"));
});

sync_test!(what_becomes_of_single_files_is_told_on_either_machine, |sandbox| {
    sandbox.write_source(&Tree::new().file("f", "new"));
    sandbox.write_destination(&Tree::new().file("f", "as it was"));
    let finished = sandbox.sync(&["-ab", "--info=backup,remove", "--remove-source-files"]).ok();
    for remark in ["backed up f to f~", "removed "] {
        assert_eq!(finished.stderr.matches(remark).count(), 1, "{remark}: {}", finished.stderr);
    }
});

sync_test!(a_limit_to_the_rate_changes_nothing_else, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let lines = sandbox.sync(&["-aH", "--delete", "--bwlimit=100M", "--stats"]).ok().lines();
    sandbox.assert_synced();
    let sent: Vec<&String> = lines.iter().filter(|line| line.starts_with("Total bytes sent: ")).collect();
    assert_ne!(sent, ["Total bytes sent: 0"], "a limited sync of one machine has a link too");
    fs::write(sandbox.source().join("edited"), noise(9, 300_000)).unwrap();
    sandbox.sync(&["-aHz", "--bwlimit=1g", "--timeout=60"]).ok();
    sandbox.assert_synced();
    sandbox.sync(&["-aH", "--bwlimit=100b"]).code(1).says("512");
});

sync_test!(a_sync_that_may_take_its_time_takes_it, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.sync(&["-aH", "--stop-after=600", "--stop-at=2199-1-1"]).ok();
    sandbox.assert_synced();
    for option in ["--stop-after=0", "--stop-at=2020-1-1", "--stop-at=soon"] {
        assert!(!sandbox.sync(&["-aH", option]).code(1).stderr.is_empty(), "{option}");
    }
});

sync_test!(stats_are_rsyncs_lines_with_the_right_numbers, |sandbox| {
    sandbox.write_source(&some_tree());
    sandbox.write_destination(&older());
    let lines = sandbox.sync(&["-a", "--delete", "--stats"]).ok().lines();
    for line in [
        "Number of files: 9 (reg: 6, dir: 2, link: 1, special: 1)".replace("9 ", "10 ").as_str(),
        "Number of created files: 6 (reg: 3, dir: 1, link: 1, special: 1)",
        "Number of deleted files: 3 (reg: 2, dir: 1)",
        "Number of regular files transferred: 4",
        "Total file size: 20,009 bytes",
    ] {
        assert!(lines.contains(&line.into()), "{line}: {lines:#?}");
    }
    if sandbox.way == Way::Local {
        let literal = lines.iter().find_map(|line| line.strip_prefix("Literal data: ")).expect("a line");
        let sent = format!("Total bytes sent: {}", literal.trim_end_matches(" bytes"));
        assert!(lines.contains(&sent), "what was copied, where there is no link: {lines:#?}");
    }
    for start in ["Literal data: ", "Matched data: ", "Total bytes sent: ", "Total bytes received: ", "sent "] {
        assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {lines:#?}");
    }
});

sync_test!(counts_are_those_of_rsync, |sandbox| {
    sandbox.write_source(&some_tree().symlink("dir/dangling", "nowhere at all"));
    for tool in ["sy", "rsync"] {
        let extra = older()
            .fifo("extra dir/fifo")
            .symlink("extra dir/link", "x")
            .file("extra dir/dir/file", "")
            .symlink("gone", "x");
        extra.write(&sandbox.path(tool));
    }
    let run = |options: &[&str], tool: &str| {
        let program = if tool == "sy" { Program::sy(&["--sy-path", SY]) } else { Program::new(rsync()) };
        let at = |remote: bool, path: &str| {
            if remote { format!("host:{}", sandbox.path(path).display()) } else { path.into() }
        };
        let program = program.args(options).args(["--delete", "--stats", "-e", STAND_IN]).current_dir(sandbox.path(""));
        let program = program.arg(at(sandbox.way == Way::Pull, "source/")).arg(at(sandbox.way == Way::Push, tool));
        program.run().ok().lines()
    };
    for options in [&["-aHn"][..], &["-a"], &["-aH"], &["-rt", "--info=nonreg0"]] {
        let (ours, theirs) = (run(options, "sy"), run(options, "rsync"));
        assert_eq!(ours[..7], theirs[..7], "{options:?}");
        let label = |line: &String| line.chars().take_while(|c| !c.is_ascii_digit()).collect::<String>();
        assert_eq!(
            ours.iter().map(label).collect::<Vec<_>>(),
            theirs.iter().map(label).collect::<Vec<_>>(),
            "{options:?}"
        );
    }
});

sync_test!(the_stats_file_has_what_the_lab_reads, |sandbox| {
    sandbox.write_source(&some_tree());
    let file = sandbox.path("stats");
    sandbox.program(&["-a"], &["source/"], "destination").arg("--stats-file").arg(&file).run().ok();
    let stats: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for key in [
        "schema",
        "version",
        "phases",
        "role",
        "exit_code",
        "frames_out",
        "frames_in",
        "wire_out",
        "wire_in",
        "round_trips",
        "files",
        "bytes",
        "stages_s",
    ] {
        assert!(!stats[key].is_null(), "{key}: {stats}");
    }
    let role = match sandbox.way {
        Way::Local | Way::Delta => "local",
        Way::Push => "sender",
        Way::Pull => "receiver",
    };
    assert_eq!(stats["role"], role);
    assert_eq!(stats["bytes"]["total"], 20_005);
    assert_eq!(stats["files"]["created"].as_u64(), stats["files"]["listed"].as_u64());
    if matches!(sandbox.way, Way::Push | Way::Pull) {
        assert!(stats["wire_out"].as_u64().unwrap() > 0 && stats["rtt_us"].is_u64() && stats["peer"].is_object());
        assert!(stats["wire_out"].as_u64().unwrap() + stats["wire_in"].as_u64().unwrap() > 20_000, "{stats}");
    }
    for stage in ["scan", "list", "decide", "transfer", "finish", "connect", "total"] {
        assert!(stats["stages_s"][stage].is_number(), "{stage}: {stats}");
    }
    // Both ends are of one build: they count their allocations, or neither does.
    let peer = Some(&stats["peer"]).filter(|peer| peer.is_object());
    for end in peer.into_iter().chain([&stats]) {
        assert_eq!(end["heap"]["allocations"].is_u64(), cfg!(feature = "dhat-heap"), "{stats}");
        assert_eq!(end["heap"]["peak_bytes"].is_u64(), cfg!(feature = "dhat-heap"), "{stats}");
    }
});

#[test]
fn a_stats_file_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::new(Way::Local);
    sandbox.write_source(&some_tree());
    sandbox.sync(&["-aH", "--stats-file=/no/such/directory/file"]).code(11).says("/no/such/directory/file");
    sandbox.assert_synced();
}

#[test]
fn help_names_every_option_in_groups() {
    let help = Program::sy(&["--help"]).run().ok().text();
    for text in
        ["--archive", "--delete", "--sy-path", "--json", "--stats-file", "--partial", "What is copied", "Output"]
    {
        assert!(help.contains(text), "{text}");
    }
    assert!(Program::sy(&["-h"]).run().ok().text().contains("--archive"));
    assert!(help.contains("means -a"), "what none of the parts of -a means must be said");
}

#[test]
fn the_manual_and_the_completions_come_from_the_same_definitions() {
    let page = Program::sy(&["man"]).run().ok().text();
    assert!(page.contains(".TH") && page.contains("archive"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        let script = Program::sy(&["completions", shell]).run().ok().text();
        assert!(script.contains("archive") && script.contains("sy"), "{shell}");
    }
    Program::sy(&["completions", "tcsh"]).run().code(1);
}

#[test]
fn the_phases_are_a_table_and_json() {
    let table: Value = serde_json::from_str(&Program::sy(&["phases", "--json"]).run().ok().text()).unwrap();
    assert_eq!(table["schema"], 1);
    let ids: Vec<&str> =
        table["phases"].as_array().unwrap().iter().map(|phase| phase["id"].as_str().unwrap()).collect();
    assert!(ids.starts_with(&["1.1", "1.2", "2.1", "2.2", "3.1", "3.2", "4.1", "5.1"]), "{ids:?}");
    let text = Program::sy(&["phases"]).run().ok().text();
    assert!(ids.iter().all(|id| text.contains(id)), "{text}");
}

#[test]
fn the_version_is_told_and_the_long_one_names_the_phases() {
    let version = env!("CARGO_PKG_VERSION");
    assert!(Program::sy(&["-V"]).run().ok().text().contains(version));
    let long = Program::sy(&["--version"]).run().ok().text();
    assert!(long.contains(version) && long.lines().count() > 1, "{long}");
}

#[test]
fn a_reader_that_goes_away_has_seen_enough() {
    let sandbox = Sandbox::new(Way::Local);
    let tree = (0..500).fold(Tree::new(), |tree, number| tree.file(format!("file with a long name {number}"), "x"));
    sandbox.write_source(&tree);
    for options in [&["-ai"][..], &["-avv"], &["-a", "--json"], &["-a", "--stats"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(SY);
        command.args(options).arg(sandbox.path("source/")).arg(sandbox.destination());
        let status = command.stdout(OwnedFd::from(writer)).stderr(Stdio::null()).status().expect("sy can be run");
        assert_eq!(status.code(), Some(0), "{options:?}");
        sandbox.assert_synced();
        fs::remove_dir_all(sandbox.destination()).unwrap();
    }
    for words in [&["--help"][..], &["man"], &["completions", "zsh"], &["phases", "--json"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = Command::new(SY).args(words).stdout(OwnedFd::from(writer)).status().expect("sy can be run");
        assert_eq!(status.code(), Some(0), "{words:?}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_status_1() {
    for words in [&[][..], &["--no-such-option", "a", "b"], &["-a"], &["--timeout=soon", "a", "b"], &["-a", "", "b"]] {
        let finished = Program::sy(words).run().code(1);
        assert!(finished.stdout.is_empty() && !finished.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn an_option_of_rsync_that_there_is_not_is_refused_by_name_and_nothing_is_done() {
    for (option, nearest) in
        [("-4", "ssh -4"), ("--iconv=utf8", "bytes"), ("-aN", "-N"), ("--compress-level=9", "zstd")]
    {
        let sandbox = Sandbox::new(Way::Local);
        sandbox.write_source(&some_tree());
        sandbox.sync(&["-a", option]).code(1).says("is an option of rsync that sy does not have").says(nearest);
        assert!(!sandbox.destination().exists(), "{option}");
    }
}
