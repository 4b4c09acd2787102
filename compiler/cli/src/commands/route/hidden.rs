//! Why a sidecar does not know a host that it could: its Sidecar does not let the service through.

use malha_mesh::{Mesh, ProxySpec, Resolution, Service, names::fully_qualified, program::Role};
use malha_syntax::Location;
use malha_table::{Decision, Outcome, Request, http::host_key, request_port};
use serde::Serialize;
use std::sync::Arc;

/// A service that the request's host names, and the Sidecar that hides it.
#[derive(Serialize)]
pub(super) struct Hidden {
    /// Whole name of the service.
    host: String,
    /// The Sidecar, as `NAMESPACE/NAME`.
    sidecar: String,
    file: String,
    line: u32,
    message: String,
    help: String,
}

impl Hidden {
    /// What is hidden, where a request to a host that no virtual host has was not routed.
    pub(super) fn of(
        mesh: &Mesh,
        request: &Request,
        decision: &Decision,
        places: &dyn Fn(Location) -> (String, u32),
    ) -> Option<Hidden> {
        let is_unknown = matches!(decision.outcome, Outcome::Passthrough | Outcome::Blackhole);
        if !is_unknown || decision.host.is_some() || request.via.as_deref() != Some("mesh") {
            return None;
        }
        let proxy = super::spec(Role::Sidecar, decision.proxy.as_ref()?);
        let sidecar = mesh.sidecar(&proxy)?;
        let port = request_port(request);
        let service = named(mesh, &proxy, request.authority.as_deref()?)?;
        // What nobody has on the port the Sidecar does not hide.
        service.port(port)?;
        if mesh.view(&proxy).get(&service.hostname).is_some_and(|seen| seen.port(port).is_some()) {
            return None;
        }
        let name = format!("{}/{}", sidecar.namespace, sidecar.name);
        let (file, line) = places(super::place::named(sidecar));
        let Service { hostname, namespace, .. } = &**service;
        Some(Hidden {
            message: format!("Sidecar {name} ({file}:{line}) does not let `{hostname}` through to port {port}"),
            help: format!("add `{namespace}/{hostname}` to its `egress[].hosts`"),
            host: hostname.to_string(),
            sidecar: name,
            file,
            line,
        })
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> [Option<&str>; 2] {
        [Some(&self.message), Some(&self.help)]
    }
}

/// The whole names that a client of the proxy's namespace may mean by a Host.
pub(super) fn whole_names(mesh: &Mesh, proxy: &ProxySpec, authority: &str) -> [String; 4] {
    let host = host_key(authority);
    let host = host.strip_suffix('.').unwrap_or(&host);
    let domain = &mesh.config().cluster_domain;
    let whole = fully_qualified(host, &proxy.namespace, domain);
    [host.to_owned(), whole.to_string(), format!("{host}.svc.{domain}"), format!("{host}.{domain}")]
}

/// The service that a client of the proxy's namespace means by this name, were there no Sidecar (semantics B36).
pub(super) fn named<'m>(mesh: &'m Mesh, proxy: &ProxySpec, authority: &str) -> Option<&'m Arc<Service>> {
    let seen = mesh.registry().view(&proxy.namespace);
    let mut service = whole_names(mesh, proxy, authority).iter().find_map(|name| seen.get(name))?;
    // A name may stand for another, and that again; longer ways lead nowhere (semantics E28).
    for _ in 0..8 {
        let Resolution::Alias(target) = &service.resolution else { return Some(service) };
        service = seen.get(target)?;
    }
    None
}
