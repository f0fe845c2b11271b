//! `--info`: what is told, word by word; `-v` is so many of these words at once.
//!
//! rsync's words that sy has nothing to say on are refused, and so are all of `--debug`: an output that stays away would be
//! taken for a sync in which nothing happened.

/// A word, and what of a sync it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// What was kept as a backup.
    Backup,
    /// Deletions.
    Del,
    /// That the list begins.
    Flist,
    /// Reasons (1), and measurements and which filter rule decided (2).
    Misc,
    /// Names of what changes (1), and of what does not (2).
    Name,
    /// What is passed over because it is no file and the options do not ask for it.
    Nonreg,
    /// How far it got.
    Progress,
    /// What is removed from the source.
    Remove,
    /// Two lines at the end (1), and counts (2).
    Stats,
    /// Links that are left alone because they lead out.
    Symsafe,
}

/// Each topic with its word, what it mentions, and the levels it has at `-v` given never, once and twice.
const TOPICS: &[(Topic, &str, &str, [u8; 3])] = &[
    (Topic::Backup, "backup", "what is kept as a backup", [0, 0, 1]),
    (Topic::Del, "del", "deletions", [0, 1, 1]),
    (Topic::Flist, "flist", "that the list begins", [0, 1, 1]),
    (Topic::Misc, "misc", "1) reasons, 2) measurements, and the filter rules that decide", [0, 1, 2]),
    (Topic::Name, "name", "1) names of what changes, 2) and of what does not", [0, 1, 2]),
    (Topic::Nonreg, "nonreg", "links and special files that are passed over", [1, 1, 1]),
    (Topic::Progress, "progress", "how far it got (1 and 2 are the same: the whole sync)", [0, 0, 0]),
    (Topic::Remove, "remove", "what is removed from the source", [0, 0, 1]),
    (Topic::Stats, "stats", "1) two lines at the end, 2) counts", [0, 1, 1]),
    (Topic::Symsafe, "symsafe", "links that --safe-links leaves alone", [0, 1, 1]),
];

/// rsync's other words, and the nearest that there is.
const LACKING: &[(&str, &str)] = &[
    ("copy", "-i has c for what is made from the list"),
    ("mount", "-ii lists what is copied and what is not"),
    ("skip", "-ii lists what is left alone"),
];

/// rsync's words of `--debug`.
const DEBUG: &str = "acl backup bind chdir connect cmd del deltasum dup exit filter flist fuzzy genr hash hlink iconv io nstr own \
                     proto recv send time all";

/// What is nearest to them.
const DEBUG_NEAREST: &str =
    "-vv tells reasons, the filter rules that decide, and measurements; --stats-file what both ends counted";

/// How much is told of each topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    levels: [u8; TOPICS.len()],
}

impl Info {
    /// What `-v` given so often means.
    pub fn of_verbosity(verbose: u8) -> Info {
        let mut info = Info::default();
        for (level, (.., levels)) in info.levels.iter_mut().zip(TOPICS) {
            *level = levels[usize::from(verbose.min(2))];
        }
        info
    }

    /// How much is told of `topic`.
    pub fn level(&self, topic: Topic) -> u8 {
        TOPICS.iter().position(|(other, ..)| *other == topic).map_or(0, |at| self.levels[at])
    }

    /// Raises what is told of `topic` to `level`, if it is less.
    pub fn at_least(&mut self, topic: Topic, level: u8) {
        for (known, (other, ..)) in self.levels.iter_mut().zip(TOPICS) {
            if *other == topic {
                *known = level.max(*known);
            }
        }
    }

    /// Obeys the words of one `--info`: `name2,del,stats0`.
    ///
    /// # Errors
    /// A word that rsync does not have, or sy, as a sentence for a person.
    pub fn obey(&mut self, words: &str) -> Result<(), String> {
        for word in words.split(',').filter(|word| !word.is_empty()) {
            let (name, level) =
                split(word).ok_or_else(|| format!("no such word of --info: {word} (see --info=help)"))?;
            let at = TOPICS.iter().position(|(_, other, ..)| *other == name);
            match (&name[..], at) {
                (_, Some(at)) => self.levels[at] = level,
                ("all", _) => self.levels.fill(level),
                ("none", _) => self.levels.fill(0),
                _ => return Err(lacking(word, &name)),
            }
        }
        Ok(())
    }
}

fn lacking(word: &str, name: &str) -> String {
    match LACKING.iter().find(|(other, _)| *other == name) {
        Some((_, nearest)) => format!("--info={word} is a word of rsync that sy does not have ({nearest})"),
        None => format!("no such word of --info: {word} (see --info=help)"),
    }
}

/// A word's name and level.
fn split(word: &str) -> Option<(String, u8)> {
    let name = word.trim_end_matches(|c: char| c.is_ascii_digit());
    let level = &word[name.len()..];
    let level = if level.is_empty() { Some(1) } else { level.parse().ok() };
    Some((name.to_ascii_lowercase(), level?))
}

/// Holds the words of a `--debug` against what there is: nothing, so only to silence it makes sense.
///
/// # Errors
/// Every other word, as a sentence for a person.
pub fn judge_debug(words: &str) -> Result<(), String> {
    for word in words.split(',').filter(|word| !word.is_empty()) {
        match split(word) {
            Some((name, level)) if name == "none" || (level == 0 && is_debug(&name)) => {}
            Some((name, _)) if is_debug(&name) => {
                return Err(format!("--debug={word} is a word of rsync that sy does not have ({DEBUG_NEAREST})"));
            }
            _ => return Err(format!("no such word of --debug: {word}")),
        }
    }
    Ok(())
}

fn is_debug(name: &str) -> bool {
    DEBUG.split_whitespace().any(|word| word == name)
}

/// What `--info=help` prints.
pub fn help() -> String {
    let mut text = String::from(
        "WORD or WORD1 for the first level, WORD2 for the second, WORD0 for none; several with commas\n\n",
    );
    for (_, word, mentions, [never, once, twice]) in TOPICS {
        text.push_str(&format!("{word:10} {mentions} [at no -v: {never}, at -v: {once}, at -vv: {twice}]\n"));
    }
    text.push_str(
        "\nall        all of them (all2: at their second levels)\nnone       none of them\nhelp       this\n",
    );
    text
}

/// What `--debug=help` prints.
pub fn debug_help() -> String {
    format!("none       the only word that sy has: {DEBUG_NEAREST}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(verbose: u8, words: &str) -> Info {
        let mut info = Info::of_verbosity(verbose);
        info.obey(words).expect(words);
        info
    }

    #[test]
    fn verbosity_is_so_many_words() {
        for verbose in 0..4 {
            assert_eq!(info(verbose, ""), Info::of_verbosity(verbose));
        }
        assert_eq!(info(0, "del,flist,misc,name,stats,symsafe"), info(1, ""));
        assert_eq!(info(1, "backup,misc2,name2,remove"), info(2, ""));
        assert_eq!(info(2, "none"), Info::default());
        assert_eq!(info(0, "ALL2").level(Topic::Name), 2);
    }

    #[test]
    fn the_later_word_counts() {
        let words = info(1, "name0,stats2,name2,del0");
        assert_eq!([Topic::Name, Topic::Stats, Topic::Del, Topic::Misc].map(|topic| words.level(topic)), [2, 2, 0, 1]);
        let mut words = info(0, "stats2");
        words.at_least(Topic::Stats, 1);
        assert_eq!(words.level(Topic::Stats), 2);
    }

    #[test]
    fn a_word_that_rsync_has_and_sy_does_not_is_refused_by_name() {
        let told = |words| Info::default().obey(words).unwrap_err();
        assert!(told("name,skip2").contains("--info=skip2 is a word of rsync that sy does not have"));
        for words in ["nosuch", "name-1", "name999"] {
            assert!(told(words).contains("no such word"), "{words}");
        }
        assert!(judge_debug("none").is_ok() && judge_debug("all0,del0").is_ok());
        assert!(
            judge_debug("del2").unwrap_err().contains("-vv") && judge_debug("foo").unwrap_err().contains("no such")
        );
    }

    #[test]
    fn every_word_of_rsyncs_info_is_known_and_told_by_help() {
        let words = "backup copy del flist misc mount name nonreg progress remove skip stats symsafe";
        for word in words.split_whitespace() {
            let known = TOPICS.iter().any(|(_, name, ..)| *name == word);
            assert!(known != LACKING.iter().any(|(name, _)| *name == word), "{word}");
            assert_eq!(help().contains(word), known, "{word}");
        }
    }
}
