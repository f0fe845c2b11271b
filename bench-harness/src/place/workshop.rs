//! A place on this host's own disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Place, Request, Response, Start, disk, layout};
use crate::child::measure::{Usage, now_ns};
use crate::record::environment::Machine;
use crate::scenario::Scenario;
use crate::scenario::generate::{Version, generate};
use crate::tree::restore;
use crate::tree::snapshot::{Difference, Snapshot};

/// How many differences are told; the rest is counted.
const TOLD: usize = 3;
/// How long a wrapper may take to write its result after the command at the other end has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Trees, destination and results in one directory of this host.
#[derive(Debug)]
pub struct Workshop {
    dir: PathBuf,
    trees: Option<Trees>,
    /// Set while the destination may hold wrong contents that its metadata does not show.
    spoiled: bool,
}

#[derive(Debug)]
struct Trees {
    before: Snapshot,
    /// None where no operation of the scenario edits anything.
    after: Option<Snapshot>,
}

impl Workshop {
    /// A workshop in an existing directory.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn new(dir: &Path) -> Result<Self> {
        let out = dir.join(layout::OUT);
        fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
        Ok(Workshop { dir: dir.to_owned(), trees: None, spoiled: false })
    }

    fn path(&self, part: &str) -> PathBuf {
        self.dir.join(part)
    }

    fn trees(&self) -> Result<&Trees> {
        self.trees.as_ref().context("no scenario is prepared")
    }

    fn prepare(&mut self, scenario: &Scenario, seed: u64) -> Result<Response> {
        self.clear()?;
        let make = |version, part: &str| -> Result<Snapshot> {
            let root = self.path(part);
            generate(scenario, seed, version, &root)?;
            Snapshot::take(&root)
        };
        let before = make(Version::Before, layout::BEFORE)?;
        let after = scenario.is_edited().then(|| make(Version::After, layout::AFTER)).transpose()?;
        let digests = Response::Digests(before.digest(), after.as_ref().map(Snapshot::digest));
        self.trees = Some(Trees { before, after });
        Ok(digests)
    }

    fn clear(&mut self) -> Result<()> {
        self.trees = None;
        [layout::BEFORE, layout::AFTER, layout::DST].iter().try_for_each(|part| restore::remove(&self.path(part)))
    }

    fn start(&mut self, start: Start) -> Result<()> {
        let dst = self.path(layout::DST);
        if start != Start::Restored || self.spoiled {
            restore::remove(&dst)?;
        }
        match start {
            Start::Empty => fs::create_dir_all(&dst).with_context(|| format!("cannot create {}", dst.display()))?,
            _ => restore::restore(&self.path(layout::BEFORE), &self.trees()?.before, &dst)?,
        }
        self.spoiled = true;
        disk::settle(&dst)
    }

    fn check(&mut self, version: Version) -> Result<Response> {
        let actual = Snapshot::take(&self.path(layout::DST))?;
        let found = self.expected(version)?.compare(&actual);
        self.spoiled = !found.is_empty();
        Ok(told(&found))
    }

    /// Whether a directory of the caller's is not this version of the tree.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn differs(&self, version: Version, dir: &Path) -> Result<bool> {
        Ok(!self.expected(version)?.compare(&Snapshot::take(dir)?).is_empty())
    }

    fn expected(&self, version: Version) -> Result<&Snapshot> {
        let trees = self.trees()?;
        match version {
            Version::Before => Ok(&trees.before),
            Version::After => trees.after.as_ref().context("the scenario has no edited tree"),
        }
    }

    fn intact(&self) -> Result<Response> {
        let trees = self.trees()?;
        let mut found = Vec::new();
        for (part, expected) in [(layout::BEFORE, Some(&trees.before)), (layout::AFTER, trees.after.as_ref())] {
            if let Some(expected) = expected {
                found.extend(expected.compare(&Snapshot::metadata(&self.path(part))?));
            }
        }
        Ok(told(&found))
    }

    fn usage(&self, name: &str) -> Result<Option<Usage>> {
        let path = self.path(layout::OUT).join(name);
        let since = Instant::now();
        while !path.exists() {
            if since.elapsed() > PATIENCE {
                return Ok(None);
            }
            thread::sleep(Duration::from_millis(2));
        }
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        Ok(Some(serde_json::from_slice(&text).with_context(|| format!("cannot parse {}", path.display()))?))
    }
}

fn told(found: &[Difference]) -> Response {
    Response::Differences(found.iter().take(TOLD).map(ToString::to_string).collect(), found.len())
}

impl Place for Workshop {
    fn call(&mut self, request: &Request) -> Result<Response> {
        match request {
            Request::Describe => return Ok(Response::Machine(Machine::of(&self.dir))),
            Request::Prepare { scenario, seed } => return self.prepare(scenario, *seed),
            Request::Start(start) => self.start(*start)?,
            Request::Check(version) => return self.check(*version),
            Request::Intact => return self.intact(),
            Request::Usage(name) if name.contains('/') => bail!("{name:?} is no name of a result"),
            Request::Usage(name) => return Ok(Response::Usage(self.usage(name)?)),
            Request::Clock => return Ok(Response::Clock(now_ns())),
        }
        Ok(Response::Done)
    }

    fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    fn clock_ahead_ns(&self) -> i64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::tests::tiny;

    fn prepared() -> (tempfile::TempDir, Workshop) {
        let dir = tempfile::tempdir().unwrap();
        let mut shop = Workshop::new(dir.path()).unwrap();
        shop.call(&Request::Prepare { scenario: Box::new(tiny()), seed: 1 }).unwrap();
        (dir, shop)
    }

    fn check(shop: &mut Workshop, version: Version) -> Option<String> {
        shop.differences(&Request::Check(version)).unwrap()
    }

    #[test]
    fn a_fresh_destination_is_the_tree_before_and_not_the_one_after() {
        let (_dir, mut shop) = prepared();
        shop.tell(&Request::Start(Start::Fresh)).unwrap();
        assert_eq!(check(&mut shop, Version::Before), None);
        assert!(check(&mut shop, Version::After).unwrap().contains("differences: "));
    }

    #[test]
    fn wrong_contents_under_right_metadata_do_not_survive_the_next_start() {
        let (dir, mut shop) = prepared();
        shop.tell(&Request::Start(Start::Fresh)).unwrap();
        let file = dir.path().join("dst/extras/private/mode_600");
        let meta = fs::metadata(&file).unwrap();
        fs::write(&file, vec![b'?'; meta.len() as usize]).unwrap();
        fs::File::options().write(true).open(&file).unwrap().set_modified(meta.modified().unwrap()).unwrap();
        assert!(check(&mut shop, Version::Before).unwrap().contains("contents differ"));
        shop.tell(&Request::Start(Start::Restored)).unwrap();
        assert_eq!(check(&mut shop, Version::Before), None);
    }

    #[test]
    fn a_touched_source_is_noticed() {
        let (dir, mut shop) = prepared();
        assert_eq!(shop.differences(&Request::Intact).unwrap(), None);
        fs::write(dir.path().join("before/planted"), b"x").unwrap();
        assert!(shop.differences(&Request::Intact).unwrap().unwrap().contains("planted"));
    }

    #[test]
    fn a_result_is_handed_over_once() {
        let (dir, mut shop) = prepared();
        assert!(shop.call(&Request::Usage("../x".into())).is_err());
        let usage = Usage {
            started_ns: 1,
            wall_s: 0.5,
            user_s: 0.25,
            sys_s: 0.125,
            max_rss_kib: 7,
            exit_code: Some(0),
            signal: None,
            timed_out: false,
            first_byte_ns: None,
        };
        fs::write(dir.path().join("out/r"), serde_json::to_vec(&usage).unwrap()).unwrap();
        assert_eq!(shop.usage("r").unwrap(), Some(usage));
        assert!(!dir.path().join("out/r").exists());
    }
}
