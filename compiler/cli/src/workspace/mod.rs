//! A mesh from its files to its program, kept up to date with as little work as a change asks for.

mod files;
mod mesh_config;
mod route_tests;

pub use files::{Files, ReadFile};
pub(crate) use mesh_config::{labels, mesh_config};
pub use route_tests::TestDocuments;
pub(crate) use route_tests::VALIDATOR_KEYS;

use crate::{
    failure::Failure,
    inputs::{InputFile, MeshInput},
    report::{Skipped, Summary},
    rules,
    selection::Selection,
    watch::Change,
};
use malha_lint::{Around, Judged, Options, Suppressions};
use malha_mesh::{
    Cache, Mesh, MeshConfig, ProxySpec, lower,
    program::{Program, Role},
};
use malha_model::Resource;
use malha_syntax::{Finding, Group, Location, RuleInfo, SourceId};
use std::{collections::HashMap, path::PathBuf, sync::Arc, thread, time::SystemTime};

/// One mesh, with everything that is kept from one state of its files to the next.
pub struct Workspace {
    input: MeshInput,
    files: Files,
    cache: Cache,
}

/// What is told of a mesh, and what is not.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    /// Those findings that somebody wants to hear of.
    pub findings: Vec<Finding>,
    /// Those that a comment or an annotation silences, with the reason it gives.
    pub silenced: Vec<(Finding, String)>,
    /// Those in files of the mesh that the inputs do not name.
    pub elsewhere: Vec<Finding>,
}

/// What an update cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Files whose bytes were new.
    pub files_read: usize,
    /// Virtual hosts that could not be taken over from before.
    pub virtual_hosts_lowered: usize,
}

impl Workspace {
    /// Reads a mesh.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn open(input: MeshInput) -> Result<Workspace, Failure> {
        Workspace::open_telling(input, &|| {})
    }

    /// As [`Workspace::open`]; calls `is_read` after each file.
    pub(crate) fn open_telling(input: MeshInput, is_read: &(dyn Fn() + Sync)) -> Result<Workspace, Failure> {
        let mut files = Files::default();
        files.refresh_telling(&input.files, &Change::Anything, is_read)?;
        Ok(Workspace { input, files, cache: Cache::default() })
    }

    /// A mesh of which nothing is read before the first update.
    #[cfg(feature = "lsp")]
    pub(crate) fn empty(input: MeshInput) -> Workspace {
        Workspace { input, files: Files::default(), cache: Cache::default() }
    }

    /// Brings the files up to date; says how many were read anew.
    ///
    /// # Errors
    /// A file cannot be read; then nothing is changed.
    pub fn update(&mut self, input: MeshInput, change: &Change) -> Result<usize, Failure> {
        let read = self.files.refresh(&input.files, change)?;
        self.input = input;
        Ok(read)
    }

    /// Has a file read as if it held these bytes, from the next update on.
    pub fn read_instead(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.files.read_instead(path, bytes);
    }

    /// Has a file read from the disk again, from the next update on.
    #[cfg(feature = "lsp")]
    pub(crate) fn read_from_disk(&mut self, path: &std::path::Path) {
        self.files.read_from_disk(path);
    }

    /// Where the mesh is, and what its `malha.toml` says.
    pub fn input(&self) -> &MeshInput {
        &self.input
    }

    /// What was read.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The settings of the mesh.
    ///
    /// # Errors
    /// The `MeshConfig` file cannot be read.
    pub fn config(&self) -> Result<MeshConfig, Failure> {
        mesh_config(&self.input)
    }

    /// Links what was read.
    ///
    /// # Errors
    /// The `MeshConfig` file cannot be read.
    pub fn link(&self) -> Result<Mesh, Failure> {
        Ok(self.link_with(self.config()?))
    }

    /// Links what was read under these settings.
    pub fn link_with(&self, config: MeshConfig) -> Mesh {
        Mesh::link(self.resources().collect(), config)
    }

    /// Every object of the mesh.
    pub fn resources(&self) -> impl Iterator<Item = Arc<Resource>> {
        self.files.iter().flat_map(|file| file.resources.iter().map(Arc::clone))
    }

    /// Lowers a linked mesh for `wanted` proxies; says how many virtual hosts that was.
    pub fn lower(&mut self, mesh: &Mesh, wanted: &[ProxySpec]) -> (Program, usize) {
        let program = lower(mesh, wanted, &mut self.cache);
        let lowered = self.cache.lowered();
        (program, lowered)
    }

    /// The proxies that a table always holds: the gateways, the default sidecar and those of `[[run.sidecars]]`.
    pub fn proxies(&self, mesh: &Mesh) -> Vec<ProxySpec> {
        let mut proxies = mesh.proxies().to_vec();
        proxies.push(ProxySpec::default_sidecar());
        proxies.extend(self.input.config.run.sidecars.iter().map(|sidecar| ProxySpec {
            role: Role::Sidecar,
            namespace: sidecar.namespace.as_deref().unwrap_or("default").into(),
            name: sidecar.name.as_str().into(),
            labels: labels(&sidecar.labels),
        }));
        proxies
    }

    /// Everything that is wrong with the mesh, whether somebody wants to hear of it or not; of rules that do not run
    /// unasked those that `selection` asks for.
    pub fn findings(&self, mesh: &Mesh, program: &Program, selection: &Selection) -> Vec<Finding> {
        self.findings_by(mesh, program, selection, None, false)
    }

    /// As [`Workspace::findings`]; `around` runs each rule in its own way, and `in_turn` one after the other.
    pub(crate) fn findings_by(
        &self,
        mesh: &Mesh,
        program: &Program,
        selection: &Selection,
        around: Option<Around<'_>>,
        in_turn: bool,
    ) -> Vec<Finding> {
        let wanted = |rule: &RuleInfo| selection.selects_somewhere(rule);
        let sources = Some(self.files.sources());
        let options = Options { wanted: Some(&wanted), only: None, sources, around, in_turn, now: now() };
        self.with_reading(malha_lint::check_with(mesh, program, &options))
    }

    /// The table of a program, and what a cluster would refuse of the mesh: made side by side, for neither reads the
    /// other. The last thing to ask of a workspace: its objects are let go of once the rules have seen
    /// them, to make room for the table.
    pub fn finish(&mut self, mesh: Mesh, program: &Program) -> (Result<Vec<u8>, Failure>, Vec<Finding>) {
        let objects = self.files.take_resources();
        let places = self.places();
        let (table, linted) = thread::scope(|scope| {
            let table = scope.spawn(|| malha_emit::table(program, places));
            // Not on a thread of the pool: the threads of the rules have the pool prove things, and it may have no other.
            let options = Options { only: Some(Group::Admission), now: now(), ..Options::default() };
            let linted = malha_lint::check_with(&mesh, program, &options);
            drop((mesh, objects));
            (table.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), linted)
        });
        (table.map_err(|error| Failure::new(error.to_string())), self.with_reading(linted))
    }

    /// What cannot be read, and what a cluster would refuse, in order of place.
    pub(crate) fn refused(&self, mesh: &Mesh, program: &Program) -> Vec<Finding> {
        let options = Options { only: Some(Group::Admission), now: now(), ..Options::default() };
        let mut findings = self.with_reading(malha_lint::check_with(mesh, program, &options));
        findings.retain(|finding| finding.rule.group == Group::Admission);
        findings.sort_by_key(|finding| (finding.location.source, finding.location.span.start, finding.rule.code));
        findings.dedup();
        findings
    }

    /// What reading found, and then `linted`, which the rules found.
    fn with_reading(&self, linted: Vec<Finding>) -> Vec<Finding> {
        let mut findings: Vec<_> = self.files.iter().flat_map(|file| file.findings.iter().cloned()).collect();
        findings.extend(linted);
        findings
    }

    /// Sorts out `findings`: told are those that are selected, not suppressed, and in files that the inputs name; in
    /// order of file and position. Nothing is said of suppressions of rules that did not run: those that nobody
    /// selects, and `idle` ones.
    pub fn report(&self, findings: Vec<Finding>, selection: &Selection, idle: &[&'static RuleInfo]) -> Reported {
        let mut suppressions = Suppressions::default();
        let unasked = rules::all().map(|rule| rule.info).filter(|rule| !rule.group.on_by_default());
        let unasked = unasked.filter(|rule| !selection.selects_somewhere(rule));
        unasked.chain(idle.iter().copied()).for_each(|rule| suppressions.leave_unjudged(rule));
        let mut files: HashMap<SourceId, &InputFile> = HashMap::new();
        for (file, read) in self.read_files() {
            suppressions.add_comments(read.source, &read.suppressions);
            read.resources.iter().for_each(|resource| suppressions.add_annotations(resource));
            files.insert(read.source, file);
        }
        let selects = |finding: &Finding| {
            files.get(&finding.location.source).is_some_and(|file| selection.selects(finding.rule, &file.relative))
        };
        let is_named = |finding: &Finding| files.get(&finding.location.source).is_some_and(|file| file.named);
        let place = |finding: &Finding| {
            let shown = files.get(&finding.location.source).map(|file| file.shown.as_str());
            (shown, finding.location.span, finding.rule.code)
        };
        let in_order = |a: &Finding, b: &Finding| place(a).cmp(&place(b)).then_with(|| a.message.cmp(&b.message));
        let Judged { mut left, mut silenced } = suppressions.judge_in(findings, self.files.sources());
        left.retain(selects);
        for finding in left.iter_mut().chain(silenced.iter_mut().map(|(finding, _)| finding)) {
            selection.weigh(finding);
        }
        left.sort_by(in_order);
        left.dedup();
        silenced.retain(|(finding, _)| selects(finding) && is_named(finding));
        silenced.sort_by(|(a, _), (b, _)| in_order(a, b));
        silenced.dedup();
        let (findings, elsewhere) = left.into_iter().partition(is_named);
        Reported { findings, silenced, elsewhere }
    }

    /// Those findings for which the cluster would refuse an object, or the object cannot be read.
    pub fn refusals<'f>(&self, findings: &'f [Finding]) -> Vec<&'f Finding> {
        findings.iter().filter(|finding| finding.rule.group == Group::Admission).collect()
    }

    /// Counts what the files that the inputs name hold.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { skipped: self.input.skipped.clone(), ..Summary::default() };
        let holds_config = |read: &ReadFile| !read.tests.whole_file;
        for (file, read) in self.read_files().filter(|(file, read)| file.named && holds_config(read)) {
            summary.files += 1;
            summary.documents += read.documents;
            for resource in &read.resources {
                *summary.resources.entry(resource.kind.name().to_owned()).or_default() += 1;
            }
            for other in &read.others {
                match files::reason(other.reason) {
                    None => {
                        let kind = other.kind.as_deref().unwrap_or_default();
                        *summary.resources.entry(kind.to_owned()).or_default() += 1;
                    }
                    Some(reason) => {
                        summary.skipped.push(Skipped { file: file.shown.clone(), reason: reason.to_owned() });
                    }
                }
            }
        }
        summary.skipped.sort();
        summary.skipped.dedup();
        summary
    }

    /// The table of a program, its paths relative to the root of the mesh.
    ///
    /// # Errors
    /// The program does not fit into a table.
    pub fn table(&self, program: &Program) -> Result<Vec<u8>, Failure> {
        malha_emit::table(program, self.places()).map_err(|error| Failure::new(error.to_string()))
    }

    /// Tells the file of a position, relative to the root of the mesh, and its line.
    pub fn places(&self) -> impl Fn(Location) -> (String, u32) {
        let relative: HashMap<SourceId, &str> =
            self.read_files().map(|(file, read)| (read.source, file.relative.as_str())).collect();
        let sources = self.files.sources();
        move |location| {
            let file = relative.get(&location.source).copied().unwrap_or_default();
            (file.to_owned(), sources.line_column(location).line)
        }
    }

    /// The files of the mesh with what they hold, in order.
    pub fn read_files(&self) -> impl Iterator<Item = (&InputFile, &ReadFile)> {
        self.input.files.iter().filter_map(|file| self.files.get(file).map(|read| (file, read)))
    }
}

/// The time in seconds since 1970, by which certificates expire.
fn now() -> Option<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
