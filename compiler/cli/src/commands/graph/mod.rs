//! `malha graph`: where requests may go, from the way in to the workloads, as a picture.

mod collect;
mod dot;
mod layout;
mod mermaid;
mod svg;
mod topology;

use super::refusals;
use crate::{
    args::{GraphArgs, GraphFormat},
    failure::{Failure, Status},
    inputs::Inputs,
    report, terminal,
    workspace::Workspace,
};
use malha_mesh::{GatewayRef, Mesh, ProxySpec, Visibility};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// Draws the mesh that the inputs choose.
///
/// # Errors
/// The inputs cannot be read, or nothing is called as `--focus` says.
pub fn graph(args: &GraphArgs) -> Result<Status, Failure> {
    let mut workspace = Workspace::open(Inputs::find(&args.paths.paths)?.mesh_alone()?)?;
    let mesh = workspace.link()?;
    let proxies = proxies(&workspace, &mesh);
    let (program, _) = workspace.lower(&mesh, &proxies);
    refusals::tell(&workspace, &mesh, &program);
    let collected = collect::collect(&mesh, &program);
    let topology = match &args.focus {
        Some(name) => collected.topology.around(name).ok_or_else(|| {
            Failure::new(format!("nothing in the graph is called `{name}`"))
                .help("give the name of an object, as `orders` or `shop/orders`, or a host; `malha show resources` lists objects")
        })?,
        None => collected.topology,
    };
    let page = match args.format {
        GraphFormat::Dot => dot::page(&topology),
        GraphFormat::Mermaid => mermaid::page(&topology),
        GraphFormat::Svg => svg::page(&topology),
    };
    terminal::print(page.as_bytes())?;
    if collected.not_drawn > 0 && args.focus.is_none() {
        let rules = report::count(collected.not_drawn, "rule");
        eprintln!("not drawn: {rules} that no gateway and no client without labels executes");
    }
    Ok(Status::Clean)
}

/// Those of a table, and a client for each namespace whose rules for the mesh the others do not see.
fn proxies(workspace: &Workspace, mesh: &Mesh) -> Vec<ProxySpec> {
    let mut proxies = workspace.proxies(mesh);
    let mut namespaces: BTreeSet<&SmolStr> = BTreeSet::new();
    for service in mesh.virtual_services().iter().filter(|service| service.binds_to(&GatewayRef::Mesh)) {
        match &service.visibility {
            Visibility::Namespaces(names) if names.contains(&service.name.namespace) => {
                namespaces.insert(&service.name.namespace);
            }
            Visibility::Namespaces(names) => namespaces.extend(names.first()),
            Visibility::Public | Visibility::Nobody => {}
        }
    }
    let default = ProxySpec::default_sidecar();
    namespaces.remove(&default.namespace);
    proxies
        .extend(namespaces.into_iter().map(|namespace| ProxySpec { namespace: namespace.clone(), ..default.clone() }));
    proxies
}
