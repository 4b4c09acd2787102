//! `malha test`: route tests beside the configuration.

mod case;
mod compare;
mod connection;
mod coverage;
mod entry;
mod github;
mod json;
mod junit;
mod native;
mod pretty;
mod request;
mod run;
mod shape;
mod stand_in;
mod suggest;
mod validator;
mod written;

use crate::{
    args::{TestArgs, TestFormat},
    failure::{Failure, Status},
    inputs::Inputs,
    report, terminal,
    workspace::{ReadFile, Workspace},
};
use case::Case;
use run::Results;
use shape::{Problem, Reader};
use std::fmt::Write as _;

/// Runs the tests in the files that the inputs name, each against the whole of its mesh.
///
/// # Errors
/// The inputs cannot be read, a test is not understood, or there is none.
pub fn test(args: &TestArgs) -> Result<Status, Failure> {
    if args.suggest && !matches!(args.format, TestFormat::Pretty | TestFormat::Json) {
        return Err(Failure::new("--suggest has no place in this format").help("use `--format pretty` or `json`"));
    }
    let mut meshes: Vec<(Workspace, Vec<Case>)> = Vec::new();
    let mut problems = Vec::new();
    for mesh in Inputs::find(&args.paths.paths)?.meshes()? {
        let workspace = Workspace::open(mesh)?;
        let mut cases = Vec::new();
        for (_, read) in workspace.read_files().filter(|(file, _)| file.named) {
            let found = read_tests(read, &mut cases);
            problems.extend(found.iter().map(|problem| told(problem, &workspace)));
        }
        meshes.push((workspace, cases));
    }
    if let Some(failure) = malformed(&problems) {
        return Err(failure);
    }
    if meshes.iter().all(|(_, cases)| cases.is_empty()) && !args.suggest {
        return Err(Failure::new("there are no route tests here").help(
            "write them in a file that ends in `.test.yaml` beside the configuration, as `malha test --help` shows; \
             `malha test --suggest` prints some to begin with",
        ));
    }
    let mut results = Results::default();
    for (workspace, cases) in &mut meshes {
        if cases.is_empty() && !args.measures() {
            continue;
        }
        check_config(workspace, cases)?;
        results.add(run::run(args, workspace, std::mem::take(cases))?);
    }
    print(args, &results)?;
    Ok(finish(args, &results))
}

/// Prints the report; where tests are suggested, these alone are the output.
fn print(args: &TestArgs, results: &Results) -> Result<(), Failure> {
    let text = match (args.format, &results.suggestions, &results.coverage) {
        (TestFormat::Pretty, Some(suggestions), Some(coverage)) => {
            eprint!("{}", pretty::pretty(results, args.verbose, false));
            suggest::page(coverage, suggestions)
        }
        (TestFormat::Pretty, ..) => pretty::pretty(results, args.verbose, terminal::colour()),
        (TestFormat::Json, ..) => json::json(results)?,
        (TestFormat::Junit, ..) => {
            // The form has no place for it.
            eprint!("{}", pretty::covered(results).unwrap_or_default());
            junit::junit(results)?
        }
        (TestFormat::Github, ..) => github::github(results),
    };
    terminal::print(text.as_bytes())
}

/// Tells how it all ended.
fn finish(args: &TestArgs, results: &Results) -> Status {
    let mut fails = results.failed() > 0;
    if let (Some(floor), Some(coverage)) = (args.fail_under, &results.coverage)
        && coverage.percentage() < floor
    {
        eprintln!(
            "malha: {:.1} % of the matches are reached by tests; --fail-under asks for {floor} %",
            coverage.percentage()
        );
        fails = true;
    }
    if fails { Status::Findings } else { Status::Clean }
}

/// Reads the tests of a file; returns what is wrong with them.
fn read_tests(read: &ReadFile, cases: &mut Vec<Case>) -> Vec<Problem> {
    let mut reader = Reader::default();
    reader.problems.extend(read.tests.findings.iter().map(|finding| Problem {
        location: finding.location,
        message: finding.message.clone(),
        help: finding.help.clone(),
    }));
    for document in &read.tests.documents {
        // What is wrong with one that is refused is among the findings.
        let Some(root) = document.root().filter(|_| !document.refused) else { continue };
        if validator::is_one(root) {
            validator::read(root, &mut reader, cases);
        } else if reader.expect_mapping(root, "a test file") {
            native::read(root, &mut reader, cases);
        }
    }
    reader.problems.sort_by_key(|problem| problem.location.span);
    reader.problems
}

fn told(problem: &Problem, workspace: &Workspace) -> String {
    let sources = workspace.files().sources();
    let at = sources.line_column(problem.location);
    let file = report::file(sources, problem.location);
    let help = problem.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    format!("{file}:{}:{}: {}{help}", at.line, at.column, problem.message)
}

/// One failure for all that is wrong with the tests.
fn malformed(problems: &[String]) -> Option<Failure> {
    let (first, others) = problems.split_first()?;
    let mut message = first.clone();
    for other in others {
        let _ = write!(message, "\n{other}");
    }
    Some(Failure::new(message))
}

/// Tests without anything that they could be about are a slip: a file of tests alone, and no malha.toml above it.
fn check_config(workspace: &Workspace, cases: &[Case]) -> Result<(), Failure> {
    let has_objects = workspace.resources().next().is_some();
    if has_objects || cases.is_empty() {
        return Ok(());
    }
    Err(Failure::new("these tests have no configuration to be about").help(
        "name its files or its directory too, as `malha test routes.test.yaml istio/`; \
         or put a malha.toml at the top of the mesh, and its files are found",
    ))
}
