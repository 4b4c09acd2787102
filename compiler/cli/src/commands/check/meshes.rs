//! The meshes of a check: read, linked, lowered, linted; and again, when some of their files have changed.

use super::{
    baseline::{Baseline, Known},
    clock::Clock,
    verify,
};
use crate::{
    args::CheckArgs,
    failure::Failure,
    house::House,
    inputs::{InputFile, Inputs, MeshInput},
    progress::Progress,
    report::{Silenced, SilencedBy, Summary},
    rules,
    selection::Selection,
    watch::Change,
    workspace::{ReadFile, Reported, Workspace, mesh_config},
};
use malha_mesh::{Mesh, MeshConfig, program::Program};
use malha_syntax::{Finding, RuleInfo, SourceId, Sources};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// Every mesh that the inputs choose, with what was found in it.
pub(super) struct Meshes {
    select: Vec<String>,
    ignore: Vec<String>,
    checked: Vec<Checked>,
}

/// A mesh with what was found in it.
pub(super) struct Checked {
    workspace: Workspace,
    selection: Selection,
    house: House,
    settings: MeshConfig,
    mesh: Mesh,
    program: Program,
    found: Reported,
}

/// What a report is made from: where it is the same, so is the report.
#[derive(PartialEq)]
pub(super) struct State(Vec<(MeshInput, Vec<u64>, Vec<Finding>)>);

/// A finding where it lies.
#[derive(Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) finding: &'a Finding,
    pub(super) sources: &'a Sources,
    /// Which mesh it is of, and which of its findings it is.
    pub(super) mesh: usize,
    pub(super) index: usize,
    /// The file that it is in.
    pub(super) file: &'a InputFile,
}

impl Meshes {
    /// Checks what the inputs choose.
    ///
    /// # Errors
    /// Something cannot be read, or a `malha.toml` asks for what there is not.
    pub(super) fn open(args: &CheckArgs, inputs: &Inputs, clock: &Clock, progress: &Progress) -> Result<Self, Failure> {
        let (select, ignore) = (args.select.clone(), args.ignore.clone());
        let mut meshes = Meshes { select, ignore, checked: Vec::new() };
        progress.say("looking for files");
        for input in clock.time("find files", || inputs.meshes())? {
            let checked = meshes.check(input, clock, progress)?;
            meshes.checked.push(checked);
        }
        Ok(meshes)
    }

    fn check(&self, input: MeshInput, clock: &Clock, progress: &Progress) -> Result<Checked, Failure> {
        let selection = Selection::new(&input.config.lint, &self.select, &self.ignore)?;
        let house = House::load(&input)?;
        progress.count("reading files", input.files.len());
        let mut workspace = clock.time("read", || Workspace::open_telling(input, &|| progress.step(None)))?;
        let settings = workspace.config()?;
        let (mesh, program, found) = examine(&mut workspace, &selection, &house, settings.clone(), clock, progress);
        Ok(Checked { workspace, selection, house, settings, mesh, program, found })
    }

    /// Brings everything up to date after a change of files.
    ///
    /// # Errors
    /// As [`Meshes::open`]; then nothing is changed.
    pub(super) fn update(
        &mut self,
        inputs: &Inputs,
        change: &Change,
        clock: &Clock,
        progress: &Progress,
    ) -> Result<(), Failure> {
        let mut before: HashMap<PathBuf, Checked> = HashMap::new();
        let chosen = clock.time("find files", || inputs.meshes())?;
        for checked in std::mem::take(&mut self.checked) {
            before.insert(checked.workspace.input().root.clone(), checked);
        }
        let mut failed = None;
        for input in chosen {
            let root = input.root.clone();
            let after = match before.remove(&root) {
                Some(checked) => self.follow(checked, &input, change, clock, progress),
                None => self.check(input, clock, progress).map_err(|failure| (None, failure)),
            };
            match after {
                Ok(checked) => self.checked.push(checked),
                Err((kept, failure)) => {
                    self.checked.extend(kept.map(|kept| *kept));
                    failed.get_or_insert(failure);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    fn follow(
        &self,
        mut checked: Checked,
        input: &MeshInput,
        change: &Change,
        clock: &Clock,
        progress: &Progress,
    ) -> Result<Checked, (Option<Box<Checked>>, Failure)> {
        let again = |checked: &mut Checked| -> Result<(), Failure> {
            let selection = Selection::new(&input.config.lint, &self.select, &self.ignore)?;
            let house = House::load(input)?;
            // All that may fail comes before the files count as read: what is read once is not looked at again.
            let settings = mesh_config(input)?;
            let is_other = input != checked.workspace.input() || !house.is_same(&checked.house);
            let read = clock.time("read", || checked.workspace.update(input.clone(), change))?;
            if read > 0 || is_other || settings != checked.settings {
                (checked.selection, checked.house, checked.settings) = (selection, house, settings);
                checked.examine(clock, progress);
            }
            Ok(())
        };
        match again(&mut checked) {
            Ok(()) => Ok(checked),
            Err(failure) => Err((Some(Box::new(checked)), failure)),
        }
    }

    /// Checks again those meshes that read a file of `texts`, as if these bytes were in it.
    ///
    /// # Errors
    /// Something cannot be read.
    pub(super) fn read_instead(&mut self, texts: &BTreeMap<PathBuf, Vec<u8>>, clock: &Clock) -> Result<(), Failure> {
        for checked in &mut self.checked {
            let mut changed = BTreeSet::new();
            for file in &checked.workspace.input().files {
                let Some(path) = &file.path else { continue };
                // One file may have several names, by links.
                if texts.contains_key(path) || texts.contains_key(&real(path)) {
                    changed.insert(path.clone());
                }
            }
            if changed.is_empty() {
                continue;
            }
            for path in &changed {
                if let Some(bytes) = texts.get(path).or_else(|| texts.get(&real(path))) {
                    checked.workspace.read_instead(path.clone(), bytes.clone());
                }
            }
            let input = checked.workspace.input().clone();
            checked.workspace.update(input, &Change::Files(changed))?;
            checked.examine(clock, &Progress::hidden());
        }
        Ok(())
    }

    /// What is to be told, in order.
    pub(super) fn placed(&self) -> impl Iterator<Item = Placed<'_>> {
        self.checked.iter().enumerate().flat_map(|(mesh, checked)| {
            let files = checked.files();
            let sources = checked.workspace.files().sources();
            checked.found.findings.iter().enumerate().filter_map(move |(index, finding)| {
                let file = *files.get(&finding.location.source)?;
                Some(Placed { finding, sources, mesh, index, file })
            })
        })
    }

    /// Everything that was found, in files that the inputs name and in others.
    pub(super) fn everything(&self) -> impl Iterator<Item = (&Finding, &Sources)> {
        self.checked.iter().flat_map(|checked| {
            let found = checked.found.findings.iter().chain(&checked.found.elsewhere);
            found.map(|finding| (finding, checked.workspace.files().sources()))
        })
    }

    /// What comments and annotations silence.
    pub(super) fn silenced(&self) -> impl Iterator<Item = Silenced<'_>> {
        self.checked.iter().flat_map(|checked| {
            let sources = checked.workspace.files().sources();
            checked.found.silenced.iter().map(move |(finding, reason)| Silenced {
                finding,
                sources,
                by: SilencedBy::Source(reason),
            })
        })
    }

    /// Which of the findings a baseline knows; none without one.
    pub(super) fn known(&self, baseline: Option<&Baseline>) -> Known {
        baseline.map(|baseline| baseline.known(self)).unwrap_or_default()
    }

    /// The files that the inputs name, whose findings are told.
    pub(super) fn named(&self) -> impl Iterator<Item = &InputFile> {
        self.checked
            .iter()
            .flat_map(|checked| checked.workspace.read_files().map(|(file, _)| file))
            .filter(|file| file.named)
    }

    /// Whether findings of a code are told anywhere.
    pub(super) fn look_for(&self, code: &str) -> bool {
        let selects = |info: &RuleInfo| self.checked.iter().any(|checked| checked.selection.selects_somewhere(info));
        rules::named(code).any(|rule| selects(rule.info))
    }

    /// The file of a source of a mesh.
    pub(super) fn file(&self, mesh: usize, source: SourceId) -> Option<&InputFile> {
        self.checked.get(mesh)?.files().get(&source).copied()
    }

    /// What people call the files that the inputs name, in order.
    pub(super) fn named_files(&self) -> Vec<&str> {
        let files = self.checked.iter().flat_map(|checked| checked.workspace.read_files());
        let named = files.filter(|(file, read)| file.named && !read.tests.whole_file);
        named.map(|(file, _)| file.shown.as_str()).collect()
    }

    /// Counts what the files hold; findings are not counted yet.
    pub(super) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        self.checked.iter().for_each(|checked| summary.add(checked.workspace.summary()));
        summary
    }

    /// Replays every witness; says how many there are.
    ///
    /// # Errors
    /// One does not behave as its finding says.
    pub(super) fn verify(&mut self) -> Result<usize, Failure> {
        let mut witnesses = 0;
        for Checked { workspace, mesh, found, .. } in &mut self.checked {
            witnesses += verify::verify(workspace, mesh, &found.findings)?;
        }
        Ok(witnesses)
    }

    /// What the report is made from.
    pub(super) fn state(&self) -> State {
        let state = |checked: &Checked| {
            let hashes = checked.workspace.files().iter().map(ReadFile::hash).collect();
            (checked.workspace.input().clone(), hashes, checked.found.findings.clone())
        };
        State(self.checked.iter().map(state).collect())
    }

    /// The directories to watch.
    pub(super) fn watched(&self, inputs: &Inputs) -> BTreeMap<PathBuf, bool> {
        let mut watched = BTreeMap::new();
        for checked in &self.checked {
            for (path, below) in inputs.watched(checked.workspace.input()) {
                *watched.entry(path).or_insert(false) |= below;
            }
        }
        watched
    }
}

impl Checked {
    fn files(&self) -> HashMap<SourceId, &InputFile> {
        self.workspace.read_files().map(|(file, read)| (read.source, file)).collect()
    }

    fn examine(&mut self, clock: &Clock, progress: &Progress) {
        let Checked { workspace, selection, house, settings, .. } = self;
        (self.mesh, self.program, self.found) = examine(workspace, selection, house, settings.clone(), clock, progress);
    }
}

/// Finds what is wrong with what was read.
fn examine(
    workspace: &mut Workspace,
    selection: &Selection,
    house: &House,
    settings: MeshConfig,
    clock: &Clock,
    progress: &Progress,
) -> (Mesh, Program, Reported) {
    progress.say("linking");
    let mesh = clock.time("link", || workspace.link_with(settings));
    progress.say("lowering");
    let proxies = workspace.proxies(&mesh);
    let (program, _) = clock.time("lower", || workspace.lower(&mesh, &proxies));
    let runs = |rule: &RuleInfo| rule.group.on_by_default() || selection.selects_somewhere(rule);
    let rules = malha_lint::RULES.iter().filter(|rule| rule.check.is_some() && runs(rule.info));
    progress.count("checking", rules.count());
    let around = |rule: &'static RuleInfo, check: &mut dyn FnMut()| {
        progress.step(Some(format!("checking {} {}", rule.code, rule.name)));
        clock.rule(rule, check);
    };
    let in_turn = clock.times_rules();
    let mut findings = clock.time("lint", || workspace.findings_by(&mesh, &program, selection, Some(&around), in_turn));
    if !house.is_empty() {
        progress.say("asking the house's policies");
        findings.extend(clock.time("policies", || house.check(workspace)));
    }
    progress.say("sorting out what was found");
    let found = clock.time("sort out", || workspace.report(findings, selection, &[]));
    (mesh, program, found)
}

/// The path without links.
pub(super) fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
