//! `malha diff`: which requests two states of a configuration treat differently.

mod hazards;
mod report;
mod revision;

use crate::{
    args::{DiffArgs, DiffFormat},
    commands::route,
    failure::{Failure, Status},
    inputs::{Inputs, MeshInput},
    terminal,
    workspace::Workspace,
};
use hazards::Hazard;
use malha_mesh::{
    Mesh, ProxySpec,
    analysis::{Change, clients, differences},
    program::Program,
};
use malha_table::{Decision, Request, Table};
use revision::Tree;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// One change, with what becomes of its witness before and after.
struct Told {
    change: Change,
    before: Option<Decision>,
    after: Option<Decision>,
}

/// One mesh in one state.
struct State {
    workspace: Workspace,
    mesh: Mesh,
    program: Program,
}

/// Compares two trees, or a tree with a revision of it.
///
/// # Errors
/// One of them cannot be read.
pub fn diff(args: &DiffArgs) -> Result<Status, Failure> {
    let (old, new) = revision::trees(&args.old, args.new.as_deref())?;
    let (mut before, mut after) = (meshes(&old)?, meshes(&new)?);
    let names: Vec<String> = before.keys().chain(after.keys()).cloned().collect();
    let (mut told, mut hazards) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for name in names.into_iter().filter(|name| seen.insert(name.clone())) {
        let mut old = before.remove(&name).map(State::open).transpose()?;
        let mut new = after.remove(&name).map(State::open).transpose()?;
        let clients = all_clients(old.as_ref(), new.as_ref());
        for state in [&mut old, &mut new].into_iter().flatten() {
            state.lower(&clients);
        }
        say_refused("OLD", old.as_ref());
        say_refused("NEW", new.as_ref());
        let nothing = Program::default();
        let changes = differences(
            old.as_ref().map_or(&nothing, |state| &state.program),
            new.as_ref().map_or(&nothing, |state| &state.program),
        );
        let requests: Vec<Request> = changes.iter().filter_map(|change| change.request.clone()).collect();
        let (was, is) = (table(old.as_mut(), &requests)?, table(new.as_mut(), &requests)?);
        if let (Some(old), Some(new)) = (&old, &new) {
            hazards.extend(hazards::hazards(old, new));
        }
        told.extend(changes.into_iter().map(|change| {
            let decide = |table: &Option<Table>| table.as_ref()?.decide(change.request.as_ref()?, 0).ok();
            Told { before: decide(&was), after: decide(&is), change }
        }));
    }
    let text = match args.format {
        DiffFormat::Pretty => report::pretty(&told, &hazards),
        DiffFormat::Markdown => report::markdown(&told, &hazards),
        DiffFormat::Json => report::json(&told, &hazards)?,
    };
    terminal::print(text.as_bytes())?;
    Ok(if told.is_empty() { Status::Clean } else { Status::Findings })
}

/// Says, beside the report, that objects take no part since a cluster would refuse them.
fn say_refused(which: &str, state: Option<&State>) {
    let count = state.map_or(0, |state| state.mesh.refused().len());
    if count > 0 {
        let (objects, take, them) = if count == 1 { ("object", "takes", "it") } else { ("objects", "take", "them") };
        eprintln!(
            "malha: {count} {objects} of {which} {take} no part, since a cluster would refuse {them}: see `malha check`"
        );
    }
}

/// More clients than these are not compared.
const MOST_CLIENTS: usize = 64;

/// The clients that either state distinguishes: the same are asked of both.
fn all_clients(old: Option<&State>, new: Option<&State>) -> Vec<ProxySpec> {
    let states = old.into_iter().chain(new);
    let all: BTreeSet<ProxySpec> = states.flat_map(|state| clients(&state.mesh)).collect();
    if all.len() > MOST_CLIENTS {
        eprintln!(
            "malha: of {} sorts of clients the first {MOST_CLIENTS} are compared; name others in [[run.sidecars]]",
            all.len()
        );
    }
    all.into_iter().take(MOST_CLIENTS).collect()
}

/// The meshes of a tree, by where their roots are in it.
fn meshes(tree: &Tree) -> Result<BTreeMap<String, MeshInput>, Failure> {
    let Some(path) = tree.path() else { return Ok(BTreeMap::new()) };
    let root = std::fs::canonicalize(path).map_err(|error| Failure::path(path, &error))?;
    let meshes = Inputs::find(&[path.to_owned()])?.meshes()?;
    let name = |mesh: &MeshInput| match &mesh.config_path {
        Some(_) => mesh.root.strip_prefix(&root).unwrap_or(Path::new("")).display().to_string(),
        None => "the files under no malha.toml".to_owned(),
    };
    Ok(meshes.into_iter().map(|mesh| (name(&mesh), mesh)).collect())
}

/// The table of a state, with every proxy that the requests name.
fn table(state: Option<&mut State>, requests: &[Request]) -> Result<Option<Table>, Failure> {
    let Some(state) = state else { return Ok(None) };
    Ok(Some(route::build(&mut state.workspace, &state.mesh, requests)?.1))
}

impl State {
    fn open(input: MeshInput) -> Result<State, Failure> {
        let workspace = Workspace::open(input)?;
        let mesh = workspace.link()?;
        Ok(State { workspace, mesh, program: Program::default() })
    }

    fn lower(&mut self, clients: &[ProxySpec]) {
        let mut proxies = self.workspace.proxies(&self.mesh);
        proxies.extend_from_slice(clients);
        (self.program, _) = self.workspace.lower(&self.mesh, &proxies);
    }
}
