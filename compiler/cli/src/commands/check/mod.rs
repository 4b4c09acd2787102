//! `malha check`: names the mistakes in a mesh.

mod verify;

use crate::{
    args::{CheckArgs, CheckFormat},
    failure::{Failure, Status},
    inputs::Inputs,
    report::{self, Summary, check_report},
    selection::Selection,
    terminal,
    workspace::Workspace,
};
use malha_syntax::{Finding, Severity, Sources};

/// Checks every mesh that the inputs choose.
///
/// # Errors
/// The inputs cannot be read, or a selector names no rule.
pub fn check(args: &CheckArgs) -> Result<Status, Failure> {
    let mut summary = Summary::default();
    let mut checked: Vec<(Workspace, Vec<Finding>)> = Vec::new();
    let mut done = Vec::new();
    let mut witnesses = 0;
    for mesh in Inputs::find(&args.paths.paths)?.meshes()? {
        let selection = Selection::new(&mesh.config.lint, &args.select, &args.ignore)?;
        let mut workspace = Workspace::open(mesh)?;
        let mesh = workspace.link()?;
        let (program, _) = workspace.lower(&mesh, &workspace.proxies(&mesh));
        let findings = workspace.report(workspace.findings(&mesh, &program, &selection), &selection);
        if args.verify {
            witnesses += verify::verify(&mut workspace, &mesh, &findings)?;
        }
        let mut counts = workspace.summary();
        counts.count(&findings);
        summary.add(counts);
        checked.push((workspace, findings));
        done.push((mesh, program));
    }
    let findings: Vec<(&Finding, &Sources)> = checked
        .iter()
        .flat_map(|(workspace, findings)| findings.iter().map(|finding| (finding, workspace.files().sources())))
        .collect();
    let text = match args.format {
        CheckFormat::Pretty => format!("{}{}\n", report::pretty(&findings, terminal::colour()), summary.line()),
        CheckFormat::Concise => format!("{}{}\n", report::concise(&findings), summary.line()),
        CheckFormat::Json => {
            let report = check_report(&summary, &findings);
            let text = serde_json::to_string_pretty(&report);
            format!("{}\n", text.map_err(|error| Failure::new(format!("the report cannot be written: {error}")))?)
        }
    };
    terminal::print(text.as_bytes())?;
    if args.verify {
        // Beside the report, which may be for a program.
        match witnesses {
            1 => eprintln!("1 witness replayed: it behaves as its finding says"),
            _ => eprintln!("{witnesses} witnesses replayed: each behaves as its finding says"),
        }
    }
    let threshold = Severity::from(args.fail_on);
    let fails = findings.iter().any(|(finding, _)| finding.severity >= threshold);
    // The process ends here: taking a large mesh apart would only delay that.
    std::mem::forget((checked, done));
    Ok(if fails { Status::Findings } else { Status::Clean })
}
