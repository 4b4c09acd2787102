//! Where a request enters: what `--via` and `--proxy` say together, and what there is to say.

use crate::{failure::Failure, words};
use malha_mesh::{Mesh, program::Role};
use malha_syntax::nearest;
use malha_table::{ProxyIdentity, Request, RouteError, Table};
use std::collections::BTreeSet;

/// Lets a proxy that is named without a way in say which it is.
///
/// # Errors
/// The way in is a gateway, and the proxy is none.
pub(super) fn settle(request: &mut Request, mesh: &Mesh) -> Result<(), Failure> {
    let Some(identity) = &request.proxy else { return Ok(()) };
    let role = role(mesh, identity);
    match request.via.as_deref() {
        None if role == Role::Sidecar => request.via = Some("mesh".to_owned()),
        Some(via) if role == Role::Sidecar && via.split('/').next() == Some("gateway") => {
            let message =
                format!("no Gateway selects the proxy {}, and `--via {via}` asks a gateway", words::proxy(identity));
            let help = "leave out `--via`, and the sidecar of this proxy is asked; or leave out `--proxy`";
            return Err(Failure::new(message).help(help));
        }
        _ => {}
    }
    Ok(())
}

/// What a proxy of this namespace and these labels is: a gateway if there is one, or if a Gateway names its labels; else
/// a client of the mesh.
pub(crate) fn role(mesh: &Mesh, identity: &ProxyIdentity) -> Role {
    let wanted = super::spec(Role::Gateway, identity);
    let mut known = mesh.proxies().iter();
    let is_known = known.any(|known| known.namespace == wanted.namespace && known.labels == wanted.labels);
    // An empty selector takes every gateway, and makes none.
    let is_selected = || mesh.gateways_of(&wanted).any(|gateway| !gateway.selector.is_empty());
    if is_known || is_selected() { Role::Gateway } else { Role::Sidecar }
}

/// Why a request has no decision; where it names a way in that is not there, with those that are.
pub(super) fn failure(error: &RouteError, request: &Request, table: &Table) -> Failure {
    let failure = Failure::new(error.to_string());
    if !matches!(error, RouteError::Via(_) | RouteError::NoProxy(_)) {
        return failure;
    }
    let gateways = || table.proxies().filter(|proxy| proxy.role() == Role::Gateway);
    let of_gateways = gateways().flat_map(|proxy| proxy.gateways().collect::<Vec<_>>());
    let of_proxies = gateways().map(|proxy| (proxy.namespace(), proxy.name()));
    let names = of_gateways.chain(of_proxies);
    let known: BTreeSet<String> = names.map(|(namespace, name)| format!("gateway/{namespace}/{name}")).collect();
    let asked = request.via.as_deref().unwrap_or_default();
    let mesh = ["mesh", "gateway"];
    let listed: Vec<&str> = known.iter().map(String::as_str).collect();
    if let (RouteError::NoProxy(_), Some(identity), true) = (error, &request.proxy, known.contains(asked)) {
        return failure.help(format!("`{asked}` is there, but not on {}: leave out `--proxy`", words::proxy(identity)));
    }
    if let Some(meant) = meant(asked, listed.iter().copied().chain(mesh)) {
        return failure.help(format!("did you mean `--via {meant}`?"));
    }
    let listed: Vec<String> = known.into_iter().collect();
    failure.help(if listed.is_empty() {
        "no Gateway is in these files: `--via mesh` asks a sidecar".to_owned()
    } else {
        format!("there are {}, and `mesh`", words::some(&listed))
    })
}

/// The way in that is likely meant: a slip, or the one whose last part, or both, is what was written without the rest.
fn meant<'w>(asked: &str, ways: impl Iterator<Item = &'w str> + Clone) -> Option<&'w str> {
    let bare = asked.strip_prefix("gateway/").unwrap_or(asked);
    let mut ending = ways.clone().filter(|way| !bare.is_empty() && way.ends_with(&format!("/{bare}")));
    let only = ending.next().filter(|_| ending.next().is_none());
    only.or_else(|| nearest(asked, ways))
}
