//! `malha compile`: builds the decision table of a mesh.

use crate::{
    args::{CompileArgs, EmitFormat},
    failure::{Failure, Status},
    inputs::Inputs,
    report, terminal,
    workspace::Workspace,
};
use malha_syntax::{Finding, Sources};
use malha_table::Table;
use std::{fs, io::Write as _, path::Path};
use tempfile::Builder;

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

/// Replaces a file in one step: whoever reads it sees the old content or the new. A link is followed; what is no plain
/// file, as a pipe or a device, is written to.
///
/// # Errors
/// The file cannot be written; what was there is untouched.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| Failure::path(path, error);
    let followed = fs::canonicalize(path);
    let path = followed.as_deref().unwrap_or(path);
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let opened = fs::OpenOptions::new().write(true).open(path);
        return opened.and_then(|mut there| there.write_all(bytes)).map_err(|error| failed(&error));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = Builder::new();
    builder.prefix(".malha-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // As any other program would make it: the process's mask still holds.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let made = builder.tempfile_in(directory);
    let mut file = made.map_err(|error| Failure::path(path, &std::io::Error::from(error.kind())))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|error| failed(&error))?;
    file.persist(path).map_err(|error| failed(&error.error))?;
    Ok(())
}
