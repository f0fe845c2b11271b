//! Which cells of a run differ in nothing but the round trip: the pictures of time against round-trip time. Pure.
//!
//! The loopback counts as a line without delay and without a bound on its rate. Hosts of the user's are left out: they
//! differ in more than their distance.

use crate::group::Cell;
use crate::record::environment::Environment;
use crate::scenario::{Direction, Operation, is_of_phase};
use crate::ssh::server;

/// One scenario over lines of one rate: one picture.
#[derive(Clone, Debug)]
pub struct Family<'a> {
    /// The scenario's name.
    pub scenario: &'a str,
    /// The lines' rate; none: no bound.
    pub mbit: Option<f64>,
    /// Its operations and directions, in the order in which they were measured.
    pub panels: Vec<Panel<'a>>,
}

/// One operation in one direction over lines of rising delay.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// What was done to the tree before.
    pub operation: Operation,
    /// Which way.
    pub direction: Direction,
    /// Round trips in milliseconds, at least two of them, and the cells.
    pub points: Vec<(f64, &'a Cell<'a>)>,
}

impl Family<'_> {
    /// The name of its picture.
    pub fn file(&self) -> String {
        let rate = self.mbit.map_or(String::new(), |mbit| format!("-{mbit}mbit"));
        format!("rtt-{}{rate}.svg", self.scenario.replace('/', "-"))
    }
}

/// The families of a run that have lines to compare.
pub fn families<'a>(cells: &'a [Cell<'a>], environment: &Environment) -> Vec<Family<'a>> {
    let mut families: Vec<Family> = Vec::new();
    // A scenario of a phase is there for two builds and not for a distance.
    for cell in cells.iter().filter(|cell| !is_of_phase(&cell.key.scenario)) {
        let Some((rtt_ms, mbit)) = line(&cell.key.transport, environment) else { continue };
        let at = families.iter().position(|f| f.scenario == cell.key.scenario && f.mbit == mbit);
        let at = at.unwrap_or_else(|| {
            families.push(Family { scenario: &cell.key.scenario, mbit, panels: Vec::new() });
            families.len() - 1
        });
        add(&mut families[at].panels, rtt_ms, cell);
    }
    for family in &mut families {
        family.panels.retain(|panel| panel.points.len() > 1);
    }
    families.retain(|family| !family.panels.is_empty());
    families
}

/// The delay and the rate of a transport; none where they are not known.
fn line(transport: &str, environment: &Environment) -> Option<(f64, Option<f64>)> {
    if transport == server::LABEL {
        return Some((0.0, None));
    }
    let wan = environment.transports.get(transport)?.wan?;
    Some((wan.rtt_ms, wan.mbit))
}

fn add<'a>(panels: &mut Vec<Panel<'a>>, rtt_ms: f64, cell: &'a Cell<'a>) {
    let (operation, direction) = (cell.key.operation, cell.key.direction);
    let at = panels.iter().position(|p| (p.operation, p.direction) == (operation, direction));
    let at = at.unwrap_or_else(|| {
        panels.push(Panel { operation, direction, points: Vec::new() });
        panels.len() - 1
    });
    let points = &mut panels[at].points;
    points.insert(points.partition_point(|(before, _)| *before < rtt_ms), (rtt_ms, cell));
}

#[cfg(test)]
pub mod tests {
    //! A record over several lines for the tests of other modules.

    use super::*;
    use crate::group;
    use crate::record::environment::TransportInfo;
    use crate::record::sample::Sample;
    use crate::record::store::Recorded;
    use crate::report::tests::record;

    /// The small record with these lines measured too, slower ones first if they are given first.
    pub fn over(lines: &[&str]) -> Recorded {
        let mut run = record();
        let near: Vec<Sample> =
            run.samples.iter().filter(|s| s.transport == server::LABEL && s.is_ok()).cloned().collect();
        for text in lines {
            let wan: crate::wan::Wan = text.parse().unwrap();
            run.environment
                .transports
                .insert(wan.label(), TransportInfo { wan: Some(wan), ..TransportInfo::default() });
            let far = |s: &Sample| Sample {
                transport: wan.label(),
                wall_s: s.wall_s.map(|wall| wall + wan.rtt_ms / 100.0),
                ..s.clone()
            };
            run.samples.extend(near.iter().map(far));
        }
        run
    }

    #[test]
    fn lines_of_one_rate_are_one_picture_by_rising_delay_from_the_loopback_on() {
        let run = over(&["100", "50", "20:10", "40:10"]);
        let cells = group::cells(&run.samples);
        let families = families(&cells, &run.environment);
        let files: Vec<String> = families.iter().map(Family::file).collect();
        assert_eq!(files, ["rtt-small_files.svg", "rtt-small_files-10mbit.svg"]);
        let delays = |family: &Family| family.panels[0].points.iter().map(|(rtt, _)| *rtt).collect::<Vec<_>>();
        assert_eq!((delays(&families[0]), delays(&families[1])), (vec![0.0, 50.0, 100.0], vec![20.0, 40.0]));
        assert_eq!((families[0].panels.len(), families[0].panels[0].operation), (1, Operation::Initial));
    }

    #[test]
    fn a_scenario_in_a_directory_is_a_picture_in_none() {
        let family = Family { scenario: "repeated/library", mbit: Some(10.0), panels: Vec::new() };
        assert_eq!(family.file(), "rtt-repeated-library-10mbit.svg");
    }

    #[test]
    fn a_line_that_stands_alone_is_no_picture() {
        let run = over(&["20:10"]);
        assert!(families(&group::cells(&run.samples), &run.environment).is_empty());
    }

    #[test]
    fn a_scenario_of_a_phase_is_no_picture() {
        let mut run = over(&["50"]);
        run.samples.iter_mut().for_each(|s| s.scenario = "opt/x".into());
        assert!(families(&group::cells(&run.samples), &run.environment).is_empty());
    }
}
