//! Running the tests of one mesh.

use super::{
    case::{Case, Entry, Expected},
    compare::{self, Difference},
    coverage::{self, Coverage},
    entry,
    stand_in::stand_ins,
    suggest::{Suggested, clients, suggest},
    written,
};
use crate::{args::TestArgs, commands::route, failure::Failure, report, workspace::Workspace};
use malha_mesh::{Mesh, ProxySpec, program::Program};
use malha_syntax::{Finding, Group, Location, Sources};
use malha_table::{Decision, Request, Table};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// What became of a case.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// The name of its test.
    pub(super) name: String,
    /// Where the test is: file as shown, line and column from 1.
    pub(super) file: String,
    pub(super) line: u32,
    pub(super) column: u32,
    /// What was asked, with the proxy that was chosen.
    pub(super) request: Request,
    /// What was decided, or why nothing was.
    pub(super) decision: Result<Decision, String>,
    /// The file of the rule, as shown.
    pub(super) rule_file: Option<String>,
    /// What is not as expected.
    pub(super) differences: Vec<Difference>,
}

impl Outcome {
    /// Whether all is as expected.
    pub(super) fn passed(&self) -> bool {
        self.decision.is_ok() && self.differences.is_empty()
    }
}

/// What became of the tests of a mesh, or of several.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    /// In order of file and place.
    pub(super) outcomes: Vec<Outcome>,
    /// If it was asked for.
    pub(super) coverage: Option<Coverage>,
    /// One for each of what is not covered, if they were asked for.
    pub(super) suggestions: Option<Vec<Suggested>>,
}

impl Results {
    /// Adds those of another mesh.
    pub(super) fn add(&mut self, other: Results) {
        self.outcomes.extend(other.outcomes);
        if let Some(coverage) = other.coverage {
            self.coverage.get_or_insert_default().add(coverage);
        }
        if let Some(suggestions) = other.suggestions {
            self.suggestions.get_or_insert_default().extend(suggestions);
        }
    }

    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| !outcome.passed()).count()
    }
}

/// Something that can be asked: a linked mesh and its table.
struct Subject {
    mesh: Mesh,
    program: Program,
    table: Table,
}

impl Subject {
    fn new(mesh: Mesh, proxies: Vec<ProxySpec>, workspace: &mut Workspace) -> Result<Subject, Failure> {
        let (program, _) = workspace.lower(&mesh, &distinct(proxies));
        let table = Table::load(workspace.table(&program)?).map_err(|error| Failure::new(error.to_string()))?;
        Ok(Subject { mesh, program, table })
    }
}

/// Runs the tests of one mesh.
///
/// # Errors
/// The mesh cannot be read.
pub(super) fn run(args: &TestArgs, workspace: &mut Workspace, cases: Vec<Case>) -> Result<Results, Failure> {
    tell_refusals(workspace);
    let mesh = workspace.link()?;
    let requests = cases.iter().filter(|case| case.entry != Entry::Found).map(|case| &case.request);
    let mut proxies = route::with_named(workspace.proxies(&mesh), requests);
    if args.suggest {
        proxies.extend(entry::sidecars(&mesh));
        proxies.extend(clients(&mesh));
    }
    let own = Subject::new(mesh, proxies, workspace)?;
    let with_stand_ins = if cases.iter().any(|case| case.entry == Entry::Found) {
        let resources = workspace.resources().chain(stand_ins(&own.mesh)).collect();
        let mesh = Mesh::link(resources, workspace.config()?);
        let proxies = [workspace.proxies(&mesh), entry::sidecars(&mesh)].concat();
        Some(Subject::new(mesh, proxies, workspace)?)
    } else {
        None
    };
    let names = Names::new(workspace);
    let outcome = |case: Case| match &with_stand_ins {
        Some(subject) if case.entry == Entry::Found => outcome(case, subject, &names),
        _ => outcome(case, &own, &names),
    };
    let outcomes: Vec<Outcome> = cases.into_par_iter().map(outcome).collect();
    let mut results = Results { outcomes, ..Results::default() };
    if args.measures() {
        let decisions = results.outcomes.iter().filter_map(|outcome| outcome.decision.as_ref().ok());
        let coverage = coverage::measure(&own.mesh, decisions, &|location| names.place(location));
        results.suggestions = args.suggest.then(|| suggest(&coverage, &own.program, &own.table));
        results.coverage = Some(coverage);
    }
    Ok(results)
}

/// A refused object takes no part, as in the cluster; whoever wonders why a test fails should know.
fn tell_refusals(workspace: &Workspace) {
    let sources = workspace.files().sources();
    let findings = workspace.files().iter().flat_map(|file| &file.findings);
    let refusals: Vec<(&Finding, &Sources)> =
        findings.filter(|finding| finding.rule.group == Group::Admission).map(|finding| (finding, sources)).collect();
    if !refusals.is_empty() {
        eprint!("{}", report::concise(&refusals));
        eprintln!("malha: what a cluster would refuse takes no part in these tests");
    }
}

fn outcome(case: Case, subject: &Subject, names: &Names<'_>) -> Outcome {
    let Case { name, location, mut request, entry, expected } = case;
    match entry {
        Entry::Said => {}
        Entry::Url => route::complete(&mut request, &subject.table),
        Entry::Found => request = entry::find(&request, &subject.mesh, &subject.program, &subject.table),
    }
    let decision = subject.table.decide(&request, 0).map_err(|error| error.to_string());
    let differences = match (&decision, &expected) {
        (Ok(decision), Expected::Decision(expected)) => {
            compare::compare(expected, &request, decision, &subject.mesh.config().cluster_domain)
        }
        (Ok(decision), Expected::Written(expected)) => written::compare(expected, decision, &subject.mesh),
        (Err(_), _) => Vec::new(),
    };
    let rule = decision.as_ref().ok().and_then(|decision| decision.rule.as_ref());
    let rule_file = rule.map(|rule| names.shown(&rule.file).to_owned());
    let at = names.sources.line_column(location);
    let file = report::file(names.sources, location).to_owned();
    Outcome { name, file, line: at.line, column: at.column, request, decision, rule_file, differences }
}

/// What people call files.
struct Names<'w> {
    sources: &'w Sources,
    /// By the path relative to the mesh.
    shown: BTreeMap<&'w str, &'w str>,
}

impl<'w> Names<'w> {
    fn new(workspace: &'w Workspace) -> Names<'w> {
        let shown = workspace.read_files().map(|(file, _)| (file.relative.as_str(), file.shown.as_str()));
        Names { sources: workspace.files().sources(), shown: shown.collect() }
    }

    fn shown<'n>(&'n self, relative: &'n str) -> &'n str {
        self.shown.get(relative).copied().unwrap_or(relative)
    }

    fn place(&self, location: Location) -> (String, u32) {
        (report::file(self.sources, location).to_owned(), self.sources.line_column(location).line)
    }
}

/// Each proxy once.
fn distinct(proxies: Vec<ProxySpec>) -> Vec<ProxySpec> {
    let mut distinct: Vec<ProxySpec> = Vec::new();
    for proxy in proxies {
        let same = |known: &ProxySpec| {
            (known.role, &known.namespace, &known.labels) == (proxy.role, &proxy.namespace, &proxy.labels)
        };
        if !distinct.iter().any(same) {
            distinct.push(proxy);
        }
    }
    distinct
}
