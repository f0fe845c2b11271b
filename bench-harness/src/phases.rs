//! Feature sets of sy: which are measured with `--phases`, what they are called, and which two of them prove a claim. Pure.
//!
//! The list of phases is what `sy phases --json` prints; the lab has none of its own. A claim is judged between two
//! builds that differ in its phase and in nothing else, so a run without such a pair has no verdict on it.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

/// Whether a build has a phase, as sy tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Compiled in.
    On,
    /// Left out.
    Off,
    /// Not written yet, so no build can have it.
    Planned,
}

/// One row of `sy phases --json`, as far as the lab needs it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Phase {
    /// The plan's number.
    pub id: String,
    /// Its cargo feature.
    pub feature: String,
    /// What the plan claims for it.
    pub claim: String,
    /// Whether the build that was asked has it.
    pub state: State,
}

/// Reads what `sy phases --json` printed.
///
/// # Errors
/// When it is not of that form.
pub fn table(printed: &Value) -> Result<Vec<Phase>> {
    serde_json::from_value(printed["phases"].clone()).context("the phases of sy are not of the form that the lab reads")
}

/// The phases that builds can have, of a table.
pub fn built(table: &[Phase]) -> Vec<&Phase> {
    table.iter().filter(|phase| phase.state != State::Planned).collect()
}

/// The ids of the phases that a build has, of its own table.
pub fn on(table: &[Phase]) -> Vec<String> {
    table.iter().filter(|phase| phase.state == State::On).map(|phase| phase.id.clone()).collect()
}

/// The plan's phases 1 to 3 have ids below this one: what it does without another process and another order of things.
const MILESTONE: &str = "4";

/// Which sets `--phases` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None, then one phase more in each, up to all.
    Cumulative,
    /// None, each phase alone, all.
    Each,
    /// All, and all but one for each of these phases; of every phase if there are none.
    Without(Vec<String>),
    /// None, the plan's first three phases, all: what a curve against a number of files has room for.
    Milestones,
    /// None, and exactly these; `all` stands for every phase.
    Named(Vec<String>),
}

impl Mode {
    /// From the words after `--phases`.
    pub fn of(words: &[String]) -> Self {
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["cumulative"] => Mode::Cumulative,
            ["each"] => Mode::Each,
            ["without", ..] => Mode::Without(words[1..].to_vec()),
            ["milestones"] => Mode::Milestones,
            _ => Mode::Named(words.to_vec()),
        }
    }
}

/// One feature set to build and measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Its name in samples and tables.
    pub name: String,
    /// The ids of its phases, in the plan's order.
    pub ids: Vec<String>,
    /// Their features.
    pub features: Vec<String>,
}

impl Set {
    fn new(label: &str, phases: &[&Phase]) -> Self {
        let of = |get: fn(&Phase) -> &String| phases.iter().map(|phase| get(phase).clone()).collect();
        Set { name: format!("sy[{label}]"), ids: of(|p| &p.id), features: of(|p| &p.feature) }
    }

    /// The same set always has the same directory, whatever it is called in a run.
    pub fn directory(&self) -> String {
        if self.ids.is_empty() { "none".into() } else { self.ids.join("+") }
    }
}

/// The sets of a mode, in the order in which they stand in tables, each once.
///
/// # Errors
/// When a name is neither id nor feature of a phase that can be built, or there is no phase.
pub fn sets(mode: &Mode, table: &[Phase]) -> Result<Vec<Set>> {
    let all = built(table);
    ensure!(!all.is_empty(), "sy has no phase that can be built");
    let (none, every) = (Set::new("none", &[]), Set::new("all", &all));
    let mut sets = match mode {
        Mode::Cumulative => {
            let step = |n: usize| match n {
                1 => Set::new(&all[0].id, &all[..1]),
                _ => Set::new(&format!("..{}", all[n - 1].id), &all[..n]),
            };
            [none].into_iter().chain((1..all.len()).map(step)).chain([every]).collect()
        }
        Mode::Each => {
            let alone = all.iter().map(|phase| Set::new(&phase.id, &[*phase]));
            [none].into_iter().chain(alone).chain([every]).collect()
        }
        Mode::Without(names) => {
            let named = named(names, &all)?.ids;
            let but = |phase: &&Phase| {
                let rest: Vec<&Phase> = all.iter().filter(|other| other.id != phase.id).copied().collect();
                Set::new(&format!("-{}", phase.id), &rest)
            };
            let mut sets = vec![every];
            sets.extend(all.iter().filter(|phase| named.is_empty() || named.contains(&phase.id)).map(but));
            sets
        }
        Mode::Milestones => {
            let early: Vec<&Phase> = all.iter().filter(|phase| phase.id.as_str() < MILESTONE).copied().collect();
            vec![none, Set::new("1-3", &early), every]
        }
        Mode::Named(names) => vec![none, named(names, &all)?],
    };
    let mut seen: Vec<Vec<String>> = Vec::new();
    sets.retain(|set| !seen.contains(&set.ids) && (seen.push(set.ids.clone()), true).1);
    Ok(sets)
}

fn named(names: &[String], all: &[&Phase]) -> Result<Set> {
    for name in names {
        let known = name == "all" || all.iter().any(|p| p.id == *name || p.feature == *name);
        let there: Vec<String> = all.iter().map(|p| format!("{} ({})", p.id, p.feature)).collect();
        ensure!(known, "there is no phase {name:?}; there are cumulative, each, without, all, {}", there.join(", "));
    }
    let asked = |p: &&&Phase| names.iter().any(|name| name == "all" || p.id == *name || p.feature == *name);
    let phases: Vec<&Phase> = all.iter().filter(asked).copied().collect();
    let ids: Vec<&str> = phases.iter().map(|p| p.id.as_str()).collect();
    Ok(Set::new(&if phases.len() == all.len() { "all".into() } else { ids.join("+") }, &phases))
}

/// A build of a run: its subject's name, and the phases that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build<'a> {
    /// The subject's name.
    pub name: &'a str,
    /// The ids of its phases.
    pub phases: &'a [String],
}

/// Two builds, the second of which has what the first has and one thing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// Without it.
    pub base: Build<'a>,
    /// With it.
    pub with: Build<'a>,
}

/// The first two builds that differ in this phase alone.
pub fn pair<'a>(builds: &[Build<'a>], phase: &str) -> Option<Pair<'a>> {
    builds.iter().find_map(|with| {
        let rest: Vec<&String> = with.phases.iter().filter(|id| *id != phase).collect();
        let base = builds.iter().find(|base| base.phases.iter().eq(rest.iter().copied()))?;
        (rest.len() < with.phases.len()).then_some(Pair { base: *base, with: *with })
    })
}

/// The build with no phase and the one with the most, where the run has both.
pub fn extremes<'a>(builds: &[Build<'a>]) -> Option<Pair<'a>> {
    let base = builds.iter().find(|build| build.phases.is_empty())?;
    let with = builds.iter().max_by_key(|build| build.phases.len())?;
    (!with.phases.is_empty()).then_some(Pair { base: *base, with: *with })
}

#[cfg(test)]
pub mod tests {
    //! A table for the tests of other modules.

    use super::*;

    /// Three phases that can be built and one that cannot.
    pub fn phases() -> Vec<Phase> {
        let phase = |id: &str, feature: &str, claim: &str, state| Phase {
            id: id.into(),
            feature: feature.into(),
            claim: claim.into(),
            state,
        };
        vec![
            phase("1.1", "deep", "+20-40 % throughput", State::Off),
            phase("1.2", "batch", "-50 % allocations, +15-20 % throughput", State::Off),
            phase("2.1", "zero", "3.5x on repeated syncs", State::Off),
            phase("5.1", "stream", "2-3x", State::Planned),
        ]
    }

    fn names(mode: Mode) -> Vec<String> {
        sets(&mode, &phases()).unwrap().into_iter().map(|set| format!("{} {}", set.name, set.directory())).collect()
    }

    #[test]
    fn cumulative_adds_one_phase_a_step_and_leaves_planned_ones_out() {
        let expected = ["sy[none] none", "sy[1.1] 1.1", "sy[..1.2] 1.1+1.2", "sy[all] 1.1+1.2+2.1"];
        assert_eq!(names(Mode::Cumulative), expected);
    }

    #[test]
    fn each_and_without_have_one_set_a_phase() {
        assert_eq!(
            names(Mode::Each),
            ["sy[none] none", "sy[1.1] 1.1", "sy[1.2] 1.2", "sy[2.1] 2.1", "sy[all] 1.1+1.2+2.1"]
        );
        let expected = ["sy[all] 1.1+1.2+2.1", "sy[-1.1] 1.2+2.1", "sy[-1.2] 1.1+2.1", "sy[-2.1] 1.1+1.2"];
        assert_eq!(names(Mode::of(&["without".into()])), expected);
        let one = Mode::of(&["without".into(), "batch".into()]);
        assert_eq!(names(one), [expected[0], expected[2]]);
    }

    #[test]
    fn milestones_are_none_the_first_three_phases_and_all() {
        let mut table = phases();
        assert_eq!(names(Mode::Milestones), ["sy[none] none", "sy[1-3] 1.1+1.2+2.1"]);
        table.last_mut().unwrap().state = State::Off;
        let sets = sets(&Mode::Milestones, &table).unwrap();
        assert_eq!(sets.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["sy[none]", "sy[1-3]", "sy[all]"]);
    }

    #[test]
    fn names_are_ids_or_features_in_any_order_and_all_is_every_phase() {
        let named = |list: &[&str]| names(Mode::Named(list.iter().map(|s| (*s).to_owned()).collect()));
        assert_eq!(named(&["zero", "1.1"]), ["sy[none] none", "sy[1.1+2.1] 1.1+2.1"]);
        assert_eq!(named(&["all"]), ["sy[none] none", "sy[all] 1.1+1.2+2.1"]);
        let planned = sets(&Mode::Named(vec!["stream".into()]), &phases()).unwrap_err().to_string();
        assert!(planned.contains("no phase \"stream\"") && planned.contains("1.2 (batch)"), "{planned}");
    }

    #[test]
    fn a_set_is_there_once_even_where_one_phase_is_all_of_them() {
        let one = &phases()[..1];
        for mode in [Mode::Cumulative, Mode::Each] {
            assert_eq!(sets(&mode, one).unwrap().len(), 2, "{mode:?}");
        }
        assert!(sets(&Mode::Each, &phases()[3..]).is_err());
    }

    #[test]
    fn a_pair_differs_in_one_phase_and_nothing_else() {
        let found = |mode: Mode, phase: &str| {
            let sets = sets(&mode, &phases()).unwrap();
            let builds: Vec<Build> = sets.iter().map(|s| Build { name: &s.name, phases: &s.ids }).collect();
            pair(&builds, phase).map(|pair| format!("{} {}", pair.base.name, pair.with.name))
        };
        assert_eq!(found(Mode::Cumulative, "1.2").unwrap(), "sy[1.1] sy[..1.2]");
        assert_eq!(found(Mode::Each, "1.2").unwrap(), "sy[none] sy[1.2]");
        assert_eq!(found(Mode::Without(Vec::new()), "1.2").unwrap(), "sy[-1.2] sy[all]");
        assert_eq!(found(Mode::Named(vec!["1.1".into(), "1.2".into()]), "1.2"), None);
        assert_eq!(found(Mode::Cumulative, "5.1"), None);
    }

    #[test]
    fn the_extremes_are_the_baseline_and_the_fullest_build() {
        let sets = sets(&Mode::Cumulative, &phases()).unwrap();
        let builds: Vec<Build> = sets.iter().map(|s| Build { name: &s.name, phases: &s.ids }).collect();
        let pair = extremes(&builds).unwrap();
        assert_eq!((pair.base.name, pair.with.name), ("sy[none]", "sy[all]"));
        assert_eq!(extremes(&builds[..1]), None);
        assert_eq!(extremes(&builds[1..]), None);
    }

    #[test]
    fn the_table_is_read_from_what_sy_prints() {
        let printed = serde_json::json!({ "schema": 1, "phases": [
            { "id": "1.1", "feature": "deep", "scope": "local", "seam": "x", "claim": "c", "state": "on" },
            { "id": "4.1", "feature": "d", "scope": "entry", "seam": "y", "claim": "c", "state": "planned" },
        ]});
        let table = table(&printed).unwrap();
        assert_eq!((on(&table), built(&table).len()), (vec!["1.1".to_owned()], 1));
        assert!(super::table(&serde_json::json!({})).is_err());
    }
}
