//! Who stands for sy in a run: one build of it, or with `--phases` one subject for each feature set.
//!
//! Every build is asked what it is before anything is measured, and refused where that is not what was asked for. Builds
//! of all sets and of their counting twins end up in directories of their own beneath cargo's target directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cli::Selection;
use crate::phases::{self, Build, Mode, Phase, Set};
use crate::scenario::Scenario;
use crate::setup::Usage;
use crate::subject::{Role, Subject};
use crate::sy_build::{self, Sy};

/// What a subject's `program` is called where it is whatever sy the lab builds.
pub const SY: &str = "sy";

/// The builds of a run.
#[derive(Debug, Default)]
pub struct Lineup {
    /// The subjects, with the paths of sy's builds as their programs.
    pub subjects: Vec<Subject>,
    /// The build that tells of the version and the phases; none where no subject is sy.
    pub sy: Option<Sy>,
    /// All phases as a build tells of them, with `--phases`; otherwise none.
    pub table: Vec<Phase>,
    /// Every binary of sy that is run.
    pub binaries: Vec<PathBuf>,
}

/// Builds what the subjects need. `counting` asks for the counting twins too.
///
/// # Errors
/// `Usage` for a set that there is not; otherwise when a build fails or is not what was asked for.
pub fn build(root: &Path, selection: &Selection, subjects: Vec<Subject>, counting: bool) -> Result<Lineup> {
    if !subjects.iter().any(|subject| subject.program == SY) {
        return Ok(Lineup { subjects, ..Lineup::default() });
    }
    if !selection.phases.is_empty() {
        return sets(root, &Mode::of(&selection.phases), subjects, counting);
    }
    let sy = match &selection.sy {
        Some(path) => given(path)?,
        None => {
            eprintln!("building sy (release) ...");
            let features = subjects.iter().find(|s| s.program == SY).and_then(|s| s.features.as_deref());
            sy_build::build(root, features.unwrap_or("default"))?
        }
    };
    let before = selection.against.as_deref().map(given).transpose()?;
    let program = show(&sy.path);
    let subjects = subjects.into_iter().flat_map(|subject| match &before {
        _ if subject.program != SY => vec![subject],
        Some(before) if is_plain(&subject) => vec![with_program(subject.clone(), &program), earlier(&subject, before)],
        _ => vec![with_program(subject, &program)],
    });
    let binaries = [Some(&sy), before.as_ref()].into_iter().flatten().map(|sy| sy.path.clone()).collect();
    Ok(Lineup { subjects: subjects.collect(), table: Vec::new(), binaries, sy: Some(sy) })
}

/// A build that the lab did not make.
fn given(path: &Path) -> Result<Sy> {
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    sy_build::identify(&path)
}

/// Whether this is sy as people run it, without the daemon or anything else that a scenario has to ask for.
fn is_plain(subject: &Subject) -> bool {
    subject.role == Role::Contender && !subject.by_name
}

/// The same command by an earlier build.
fn earlier(subject: &Subject, build: &Sy) -> Subject {
    Subject {
        name: format!("{}-before", subject.name),
        role: Role::Before,
        why: "the same command by the build that it is set against".into(),
        ..with_program(subject.clone(), &show(&build.path))
    }
}

fn with_program(subject: Subject, program: &str) -> Subject {
    Subject { program: program.to_owned(), ..subject }
}

/// One contender for each set; whatever else runs sy runs the fullest of them.
fn sets(root: &Path, mode: &Mode, subjects: Vec<Subject>, counting: bool) -> Result<Lineup> {
    eprintln!("building sy[none] to ask for its phases ...");
    let bare = sy_build::build_set(root, &[], false, "none")?;
    let table = phases::table(&bare.phases)?;
    let sets = phases::sets(mode, &table).map_err(|error| Usage::new(&error))?;
    let mut all: Vec<Made> = Vec::new();
    let count = sets.len();
    for (n, set) in sets.into_iter().enumerate() {
        let twin = if counting { " and its counting twin" } else { "" };
        eprintln!("building {}{twin}, {} of {count} ...", set.name, n + 1);
        let plain = made(root, &set, false)?;
        let twin = if counting { Some(made(root, &set, true)?) } else { None };
        all.push(Made { set, plain, twin });
    }
    let fullest = all.iter().max_by_key(|made| made.set.ids.len()).map(|made| show(&made.plain));
    let stand_in = subjects.iter().find(|s| s.for_phase.is_some()).cloned();
    let mut lined_up = Vec::new();
    for subject in subjects {
        match subject.role {
            _ if subject.program != SY => lined_up.push(subject),
            Role::Contender if subject.for_phase.is_none() => {
                lined_up.extend(all.iter().map(|made| contender(&subject, made, stand_in.as_ref())));
            }
            _ => lined_up.push(with_program(subject, fullest.as_deref().unwrap_or(SY))),
        }
    }
    let binaries = all.into_iter().flat_map(|made| [Some(made.plain), made.twin]).flatten().collect();
    Ok(Lineup { subjects: lined_up, sy: Some(bare), table, binaries })
}

/// A set and its binaries.
struct Made {
    set: Set,
    plain: PathBuf,
    twin: Option<PathBuf>,
}

fn made(root: &Path, set: &Set, counting: bool) -> Result<PathBuf> {
    let sy = sy_build::build_set(root, &set.features, counting, &set.directory())?;
    let has = phases::on(&phases::table(&sy.phases)?);
    ensure!(has == set.ids, "{} was built with {:?} and says that it has {has:?}", set.name, set.ids);
    Ok(sy.path)
}

fn contender(subject: &Subject, made: &Made, stand_in: Option<&Subject>) -> Subject {
    let Made { set, plain, twin } = made;
    let features = if set.features.is_empty() { "none".into() } else { set.features.join(",") };
    let build = |of: &Subject| Subject {
        name: set.name.clone(),
        features: Some(features.clone()),
        program: show(plain),
        phases: Some(set.ids.clone()),
        ..of.clone()
    };
    let stand_in = stand_in.filter(|s| s.for_phase.as_ref().is_some_and(|phase| set.ids.contains(phase)));
    Subject {
        counting_program: twin.as_deref().map(show),
        stand_in: stand_in.map(|of| Box::new(build(of))),
        ..build(subject)
    }
}

/// Paths of builds go through command templates, which are text.
fn show(path: &Path) -> String {
    path.display().to_string()
}

/// Who has a part in a scenario. One that isolates a phase is there to compare two builds, so in a run with `--phases` only
/// they take part in it, the two extremes, and the reference; and where the phase is one that has to be asked for, a build
/// that has it is run with the command that asks.
pub fn cast<'a>(scenario: &Scenario, subjects: &'a [Subject]) -> Vec<&'a Subject> {
    let builds = builds(subjects);
    let (Some(phase), false) = (&scenario.phase, builds.is_empty()) else {
        return subjects.iter().filter(|s| !s.by_name || scenario.also.contains(&s.name)).collect();
    };
    let pairs = [phases::pair(&builds, phase), phases::extremes(&builds)];
    let of_pairs = |name: &str| pairs.iter().flatten().any(|pair| pair.base.name == name || pair.with.name == name);
    let has_part = |s: &&Subject| s.role == Role::Reference || (s.phases.is_some() && of_pairs(&s.name));
    let as_asked = |s: &'a Subject| match &s.stand_in {
        Some(stand_in) if stand_in.for_phase.as_ref() == Some(phase) => stand_in,
        _ => s,
    };
    subjects.iter().filter(has_part).map(as_asked).collect()
}

/// The builds among the subjects.
pub fn builds(subjects: &[Subject]) -> Vec<Build<'_>> {
    subjects.iter().filter_map(|s| Some(Build { name: &s.name, phases: s.phases.as_ref()? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phases::tests::phases;
    use crate::subject::tests::named;

    fn subjects(mode: Mode) -> Vec<Subject> {
        let sets = phases::sets(&mode, &phases()).unwrap();
        let template = Subject { role: Role::Contender, program: SY.into(), ..named("sy") };
        let stand_in = Subject { for_phase: Some("2.1".into()), by_name: true, ..template.clone() };
        let stand_in = Some(Subject { push: vec!["{program}".into(), "--warm".into()], ..stand_in });
        let of = |set| {
            contender(&template, &Made { set, plain: "/plain".into(), twin: Some("/twin".into()) }, stand_in.as_ref())
        };
        let mut all: Vec<Subject> = sets.into_iter().map(of).collect();
        all.extend([Subject { role: Role::Reference, ..named("rsync") }, named("tar-ssh")]);
        all
    }

    fn names<'a>(subjects: &[&'a Subject]) -> Vec<&'a str> {
        subjects.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn a_set_becomes_a_contender_with_its_own_programs() {
        let all = subjects(Mode::Cumulative);
        assert_eq!((all[0].features.as_deref(), all[2].features.as_deref()), (Some("none"), Some("deep,batch")));
        assert_eq!((all[2].program.as_str(), all[2].counting_program.as_deref()), ("/plain", Some("/twin")));
        assert_eq!(all[2].phases.as_deref().unwrap(), ["1.1", "1.2"]);
    }

    #[test]
    fn a_scenario_of_a_phase_has_its_pair_the_extremes_and_the_reference_for_cast() {
        let mut scenario = crate::scenario::tests::tiny();
        let all = subjects(Mode::Cumulative);
        assert_eq!(cast(&scenario, &all).len(), all.len());
        scenario.phase = Some("1.2".into());
        assert_eq!(names(&cast(&scenario, &all)), ["sy[none]", "sy[1.1]", "sy[..1.2]", "sy[all]", "rsync"]);
        let without = subjects(Mode::Without(Vec::new()));
        assert_eq!(names(&cast(&scenario, &without)), ["sy[all]", "sy[-1.2]", "rsync"]);
    }

    #[test]
    fn a_build_is_run_as_its_phase_has_to_be_asked_for_in_that_phases_scenario_alone() {
        let mut scenario = crate::scenario::tests::tiny();
        let all = subjects(Mode::Cumulative);
        let warm = |scenario: &Scenario| {
            let cast = cast(scenario, &all);
            cast.iter().filter(|s| s.push.len() == 2).map(|s| s.name.clone()).collect::<Vec<_>>()
        };
        assert!(warm(&scenario).is_empty());
        scenario.phase = Some("1.2".into());
        assert!(warm(&scenario).is_empty());
        scenario.phase = Some("2.1".into());
        assert_eq!(warm(&scenario), ["sy[all]"]);
        assert_eq!(names(&cast(&scenario, &all)), ["sy[none]", "sy[..1.2]", "sy[all]", "rsync"]);
    }

    #[test]
    fn who_takes_part_by_name_does_so_where_the_scenario_names_it() {
        let mut scenario = crate::scenario::tests::tiny();
        let all = [named("sy"), Subject { by_name: true, ..named("sy-warm") }];
        assert_eq!(names(&cast(&scenario, &all)), ["sy"]);
        scenario.also = vec!["sy-warm".into()];
        assert_eq!(names(&cast(&scenario, &all)), ["sy", "sy-warm"]);
    }

    #[test]
    fn without_builds_of_sets_everyone_has_a_part_in_every_scenario() {
        let mut scenario = crate::scenario::tests::tiny();
        scenario.phase = Some("1.2".into());
        assert_eq!(names(&cast(&scenario, &[named("sy"), named("tar-ssh")])), ["sy", "tar-ssh"]);
    }
}
