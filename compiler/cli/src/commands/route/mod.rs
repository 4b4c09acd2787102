//! `malha route`: what becomes of a request.

mod batch;
mod entrance;
mod hidden;
mod losers;
mod missing;
mod place;
mod pretty;
mod unknown;
mod url;

pub(crate) use entrance::role;
pub(crate) use url::{complete, parse_url};

use super::refusals;
use crate::{
    args::{RouteArgs, RouteFormat},
    failure::{Failure, Status},
    inputs::Inputs,
    terminal,
    workspace::{Workspace, labels},
};
use hidden::Hidden;
use losers::Losers;
use malha_mesh::{
    Mesh, ProxySpec,
    program::{Program, Role},
};
use malha_table::{Decision, ProxyIdentity, Request, Table};
use missing::Missing;
use serde::Serialize;
use std::path::PathBuf;
use unknown::Unknown;

/// What is told of one request: the decision, and what explains it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    decision: Decision,
    #[serde(rename = "unavailable", skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hidden: Option<Hidden>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<Unknown>,
    #[serde(flatten)]
    losers: Losers,
}

/// Decides one request, or a batch of them.
///
/// # Errors
/// The request or the inputs are not understood.
pub fn route(args: &RouteArgs) -> Result<Status, Failure> {
    if let Some(batch) = &args.batch {
        return batch::route(args, batch);
    }
    let Some((url, paths)) = args.arguments.split_first() else {
        return Err(Failure::new("no URL is given").help("malha route http://simul-shop.com/login istio/"));
    };
    let mut request = url::request(args, url)?;
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    let mut workspace = Workspace::open(Inputs::find(&paths)?.mesh_alone()?)?;
    let mesh = workspace.link()?;
    entrance::settle(&mut request, &mesh)?;
    let (program, table) = build(&mut workspace, &mesh, std::slice::from_ref(&request))?;
    refusals::tell(&workspace, &mesh, &program);
    let is_open = request.via.is_none();
    url::complete(&mut request, &table);
    let decision = table.decide(&request, args.seed).map_err(|error| entrance::failure(&error, &request, &table))?;
    let places = workspace.places();
    let losers = Losers::of(&program, &request, &decision, &places);
    let missing = Missing::of(&mesh, &program, &decision, &places);
    let hidden = Hidden::of(&mesh, &request, &decision, &places);
    let unknown = match &hidden {
        None => Unknown::of(&mesh, &request, &decision, is_open.then_some(&table), &places),
        Some(_) => None,
    };
    let text = match args.format {
        RouteFormat::Pretty => {
            let why = hidden.as_ref().map(Hidden::lines).or(unknown.as_ref().map(Unknown::lines));
            let page = pretty::pretty(&request, &decision, &missing, why.unwrap_or_default());
            format!("{page}{}", losers.pretty(args.all))
        }
        RouteFormat::Json => match serde_json::to_string_pretty(&Told { decision, missing, hidden, unknown, losers }) {
            Ok(text) => format!("{text}\n"),
            Err(error) => return Err(Failure::new(format!("the decision cannot be written: {error}"))),
        },
    };
    terminal::print(text.as_bytes())?;
    Ok(Status::Clean)
}

/// The program of a mesh, and its table, with every proxy that the requests name.
///
/// # Errors
/// The program does not fit into a table.
pub(crate) fn build(workspace: &mut Workspace, mesh: &Mesh, requests: &[Request]) -> Result<(Program, Table), Failure> {
    let proxies = with_named(workspace.proxies(mesh), requests);
    let (program, _) = workspace.lower(mesh, &proxies);
    let table = Table::load(workspace.table(&program)?).map_err(|error| Failure::new(error.to_string()))?;
    Ok((program, table))
}

/// These proxies, and those that the requests name.
pub(crate) fn with_named<'r>(
    mut proxies: Vec<ProxySpec>,
    requests: impl IntoIterator<Item = &'r Request>,
) -> Vec<ProxySpec> {
    for request in requests {
        let Some(identity) = &request.proxy else { continue };
        let role = match request.via.as_deref() {
            Some("mesh") => Role::Sidecar,
            _ => Role::Gateway,
        };
        let wanted = spec(role, identity);
        let known = |known: &ProxySpec| {
            (known.role, &known.namespace, &known.labels) == (wanted.role, &wanted.namespace, &wanted.labels)
        };
        if !proxies.iter().any(known) {
            proxies.push(wanted);
        }
    }
    proxies
}

fn spec(role: Role, identity: &ProxyIdentity) -> ProxySpec {
    let namespace = if identity.namespace.is_empty() { "default" } else { &identity.namespace };
    ProxySpec { role, namespace: namespace.into(), name: "request".into(), labels: labels(&identity.labels) }
}
