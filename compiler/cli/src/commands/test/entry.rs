//! Where a request enters that says only its host: the proxy and the listener of the VirtualService that has it.

use malha_mesh::{
    GatewayRef, Mesh, ObjectName, ProxySpec, VirtualService, host,
    program::{Program, Proxy, Role},
};
use malha_table::{Decision, Outcome, ProxyIdentity, Request, Table, Tls, http::host_key};
use smol_str::SmolStr;
use std::collections::BTreeSet;

/// The sidecars that such requests may need: one for each namespace with VirtualServices.
pub(super) fn sidecars(mesh: &Mesh) -> Vec<ProxySpec> {
    let namespaces: BTreeSet<_> =
        mesh.virtual_services().iter().map(|service| service.name.namespace.clone()).collect();
    let sidecar = |namespace| ProxySpec { namespace, ..ProxySpec::default_sidecar() };
    namespaces.into_iter().map(sidecar).collect()
}

/// The request with its proxy and port.
///
/// Of the VirtualServices with the host the one with the most specific pattern counts, in the order of Istio. If it is
/// bound to one Gateway, the request goes there; if to several, to the mesh if it is bound to that, else to the first;
/// if to none, to the mesh: the sidecar of its own namespace. Of the listeners there the first one at which it takes
/// the request counts.
pub(super) fn find(request: &Request, mesh: &Mesh, program: &Program, table: &Table) -> Request {
    let authority = request.authority.as_deref().unwrap_or_default();
    let Some(service) = service(mesh, authority) else {
        return Request { via: Some("mesh".to_owned()), ..request.clone() };
    };
    let named: Vec<&ObjectName> = service
        .gateways
        .iter()
        .filter_map(|gateway| match gateway {
            GatewayRef::Named(name) if mesh.gateway(name).is_some() => Some(name),
            _ => None,
        })
        .collect();
    let in_mesh = service.binds_to(&GatewayRef::Mesh);
    let gateway = named.first().filter(|_| named.len() == 1 || !in_mesh);
    let candidates = match gateway {
        Some(gateway) => at_gateway(request, gateway, program),
        None => at_sidecar(request, service, program),
    };
    let decided: Vec<(Request, Decision)> =
        candidates.into_iter().filter_map(|it| table.decide(&it, 0).map(|decision| (it, decision)).ok()).collect();
    let takes = |(_, decision): &&(Request, Decision)| {
        let rule = decision.rule.as_ref();
        rule.is_some_and(|rule| rule.namespace == *service.name.namespace && rule.name == *service.name.name)
    };
    let knows =
        |(_, decision): &&(Request, Decision)| decision.host.is_some() && decision.outcome != Outcome::HttpsRedirect;
    let found = decided.iter().find(takes).or_else(|| decided.iter().find(knows)).or_else(|| decided.first());
    found.map_or_else(|| Request { via: Some("mesh".to_owned()), ..request.clone() }, |(request, _)| request.clone())
}

/// The VirtualService that has the host.
fn service<'m>(mesh: &'m Mesh, authority: &str) -> Option<&'m VirtualService> {
    let authority = host_key(authority);
    let mut found: Option<(&str, &VirtualService)> = None;
    for service in mesh.virtual_services() {
        let malha_model::Spec::VirtualService(spec) = &service.resource.spec else { continue };
        // As written too: that tool compares texts.
        let written = spec.hosts.iter().map(|host| host.value.as_str());
        for pattern in service.hosts.iter().map(SmolStr::as_str).chain(written) {
            let better = found.is_none_or(|(known, _)| host::specificity(pattern, known).is_lt());
            if better && host::matches(pattern, &authority) {
                found = Some((pattern, service));
            }
        }
    }
    found.map(|(_, service)| service)
}

fn at_gateway(request: &Request, gateway: &ObjectName, program: &Program) -> Vec<Request> {
    let selected = program.proxies.iter().filter(|proxy| {
        let name = (gateway.namespace.clone(), gateway.name.clone());
        proxy.role == Role::Gateway && proxy.gateways.contains(&name)
    });
    let via = format!("gateway/{}/{}", gateway.namespace, gateway.name);
    selected.flat_map(|proxy| at_proxy(request, &via, proxy)).collect()
}

fn at_sidecar(request: &Request, service: &VirtualService, program: &Program) -> Vec<Request> {
    let mut sidecars = program.proxies.iter();
    let sidecar = sidecars.find(|proxy| {
        proxy.role == Role::Sidecar && proxy.namespace == service.name.namespace && proxy.labels.is_empty()
    });
    let mut requests: Vec<Request> = sidecar
        .into_iter()
        .flat_map(|sidecar| at_proxy(&Request { tls: None, ..request.clone() }, "mesh", sidecar))
        .collect();
    // The port of the Host, else 80, before all others.
    let first =
        request.authority.as_deref().and_then(|authority| authority.rsplit_once(':')?.1.parse().ok()).unwrap_or(80);
    requests.sort_by_key(|request| request.port != Some(first));
    requests
}

/// The request at every listener of a proxy: plain ones first, unless it is to be secure.
fn at_proxy(request: &Request, via: &str, proxy: &Proxy) -> Vec<Request> {
    let labels = proxy.labels.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let identity = ProxyIdentity { namespace: proxy.namespace.to_string(), labels: labels.collect() };
    let mut requests = Vec::new();
    for listener in &proxy.program.listeners {
        let ends_tls = listener.filter_chains.iter().any(|chain| chain.termination.is_some());
        let is_plain = listener.filter_chains.iter().any(|chain| chain.termination.is_none());
        let at = |tls: Option<Tls>| Request {
            via: Some(via.to_owned()),
            proxy: Some(identity.clone()),
            port: Some(listener.port),
            tls,
            ..request.clone()
        };
        if is_plain {
            requests.push(at(None));
        }
        if ends_tls {
            let name = request.authority.as_deref().map(host_key);
            requests.push(at(Some(Tls { sni: name.map(|name| name.to_string()), alpn: Vec::new() })));
        }
    }
    let wants_tls = request.tls.is_some();
    requests.sort_by_key(|request| request.tls.is_some() != wants_tls);
    requests
}
