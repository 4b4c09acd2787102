//! One mesh in one state: its files, or a table that was compiled from them.

use super::revision::Tree;
use crate::{
    commands::route,
    failure::Failure,
    inputs::{Inputs, MeshInput},
    workspace::Workspace,
};
use malha_mesh::{
    Mesh, ProxySpec,
    analysis::{Change, clients},
    program::{Program, Proxy},
};
use malha_table::{Decision, Request, Table};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// One mesh in one state.
pub(super) enum State {
    /// Its files.
    Tree(Box<TreeState>),
    /// A table.
    Table { table: Box<Table>, program: Program },
}

/// A mesh that is read from files.
pub(super) struct TreeState {
    pub(super) workspace: Workspace,
    pub(super) mesh: Mesh,
    pub(super) program: Program,
}

/// Meshes by where their roots are in their tree.
type States = BTreeMap<String, State>;

/// The meshes of two trees, those that are to be compared under one name.
pub(super) fn pairs(old: &Tree, new: &Tree) -> Result<(States, States), Failure> {
    let (mut before, mut after) = (states(old)?, states(new)?);
    // A table does not say where it is from: it is for the only mesh there is on the other side.
    let has_table = |states: &States| states.values().any(|state| matches!(state, State::Table { .. }));
    if has_table(&before) || has_table(&after) {
        before = only("OLD", before)?;
        after = only("NEW", after)?;
    }
    Ok((before, after))
}

fn only(which: &str, states: States) -> Result<States, Failure> {
    if states.len() > 1 {
        let names: Vec<&str> = states.keys().map(String::as_str).collect();
        return Err(Failure::new(format!("a table is one mesh, and {which} has several: {}", names.join(", ")))
            .help("name the directory of one of them"));
    }
    Ok(states.into_values().map(|state| (String::new(), state)).collect())
}

fn states(tree: &Tree) -> Result<States, Failure> {
    if let Some(path) = tree.table() {
        return Ok(BTreeMap::from([(String::new(), State::of_table(path)?)]));
    }
    let Some(path) = tree.path() else { return Ok(States::new()) };
    let root = std::fs::canonicalize(path).map_err(|error| Failure::path(path, &error))?;
    let name = |mesh: &MeshInput| match &mesh.config_path {
        Some(_) => mesh.root.strip_prefix(&root).unwrap_or(Path::new("")).display().to_string(),
        None => "the files under no malha.toml".to_owned(),
    };
    let mut inputs = Inputs::find(&[path.to_owned()])?;
    if let Some(base) = tree.base() {
        inputs.call_from(base)?;
    }
    let meshes = inputs.meshes()?;
    meshes.into_iter().map(|mesh| Ok((name(&mesh), State::of_tree(mesh)?))).collect()
}

/// More clients than these are not compared.
const MOST_CLIENTS: usize = 256;

/// The proxies that are compared besides those that each tree asks for itself: the clients that either distinguishes. A
/// table has its own, and no others can be asked of it. Also how many sorts of clients are left out.
pub(super) fn proxies(old: Option<&State>, new: Option<&State>) -> (Vec<ProxySpec>, usize) {
    let states = || old.into_iter().chain(new);
    let tables = states().filter_map(|state| match state {
        State::Table { program, .. } => Some(program.proxies.iter().map(spec)),
        State::Tree(_) => None,
    });
    let of_tables: BTreeSet<ProxySpec> = tables.flatten().collect();
    if states().any(|state| matches!(state, State::Table { .. })) {
        return (of_tables.into_iter().collect(), 0);
    }
    let trees = states().filter_map(|state| match state {
        State::Tree(tree) => Some(&tree.mesh),
        State::Table { .. } => None,
    });
    let all: BTreeSet<ProxySpec> = trees.flat_map(clients).collect();
    let left_out = all.len().saturating_sub(MOST_CLIENTS);
    (all.into_iter().take(MOST_CLIENTS).collect(), left_out)
}

fn spec(proxy: &Proxy) -> ProxySpec {
    ProxySpec {
        role: proxy.role,
        namespace: proxy.namespace.clone(),
        name: proxy.name.clone(),
        labels: proxy.labels.clone(),
    }
}

impl State {
    fn of_tree(input: MeshInput) -> Result<State, Failure> {
        let workspace = Workspace::open(input)?;
        let mesh = workspace.link()?;
        Ok(State::Tree(Box::new(TreeState { workspace, mesh, program: Program::default() })))
    }

    fn of_table(path: &Path) -> Result<State, Failure> {
        let failed = |error: String| Failure::new(format!("{}: {error}", path.display()));
        let bytes = std::fs::read(path).map_err(|error| Failure::path(path, &error))?;
        let table = Table::load(bytes).map_err(|error| failed(error.to_string()))?;
        let program = malha_emit::program(&table).map_err(|error| failed(error.to_string()))?.program;
        Ok(State::Table { table: Box::new(table), program })
    }

    pub(super) fn program(&self) -> &Program {
        match self {
            State::Tree(tree) => &tree.program,
            State::Table { program, .. } => program,
        }
    }

    /// Lowers a tree for its own proxies and these.
    pub(super) fn lower(&mut self, proxies: &[ProxySpec]) {
        if let State::Tree(tree) = self {
            let mut wanted = tree.workspace.proxies(&tree.mesh);
            wanted.extend_from_slice(proxies);
            (tree.program, _) = tree.workspace.lower(&tree.mesh, &wanted);
        }
    }

    /// What becomes of the witness of each change; none where there is none, or it cannot be asked.
    pub(super) fn decide(&mut self, changes: &[Change]) -> Result<Vec<Option<Decision>>, Failure> {
        let built;
        let table = match self {
            State::Tree(tree) => {
                let requests: Vec<Request> = changes.iter().filter_map(|change| change.request.clone()).collect();
                built = route::build(&mut tree.workspace, &tree.mesh, &requests)?.1;
                &built
            }
            State::Table { table, .. } => table,
        };
        Ok(changes.iter().map(|change| table.decide(change.request.as_ref()?, 0).ok()).collect())
    }
}
