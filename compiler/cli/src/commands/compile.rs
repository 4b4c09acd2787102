//! `malha compile`: builds the decision table of a mesh.

use crate::{
    args::{CompileArgs, EmitFormat},
    atomic::write_atomically,
    failure::{Failure, Status},
    inputs::Inputs,
    report, terminal,
    workspace::Workspace,
};
use malha_syntax::{Finding, Sources};
use malha_table::Table;

/// Writes the table, unless a cluster would refuse one of the objects.
///
/// # Errors
/// The inputs cannot be read, or the output cannot be written.
pub fn compile(args: &CompileArgs) -> Result<Status, Failure> {
    let mut workspace = Workspace::open(Inputs::find(&args.paths.paths)?.mesh_alone()?)?;
    let mesh = workspace.link()?;
    let (program, _) = workspace.lower(&mesh, &workspace.proxies(&mesh));
    let (table, findings) = workspace.finish(mesh, &program);
    let refusals = workspace.refusals(&findings);
    if !refusals.is_empty() {
        let sources = workspace.files().sources();
        let told: Vec<(&Finding, &Sources)> = refusals.into_iter().map(|finding| (finding, sources)).collect();
        eprint!("{}", report::concise(&told));
        eprintln!("malha: nothing was written: a cluster would refuse this ({})", report::count(told.len(), "error"));
        return Ok(Status::Findings);
    }
    for skipped in workspace.summary().skipped {
        eprintln!("malha: left out {}: {}", skipped.file, skipped.reason);
    }
    let table = table?;
    let bytes = match args.emit {
        EmitFormat::Table => table,
        EmitFormat::Json => {
            let table = Table::load(table).map_err(|error| Failure::new(error.to_string()))?;
            format!("{:#}\n", malha_emit::json(&table)).into_bytes()
        }
    };
    if args.output.as_os_str() == "-" {
        terminal::print(&bytes)?;
    } else {
        write_atomically(&args.output, &bytes)?;
    }
    // The process ends here: taking a large mesh apart would only delay that.
    std::mem::forget((workspace, program, findings));
    Ok(Status::Clean)
}
