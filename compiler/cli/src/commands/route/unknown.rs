//! Why nothing in the mesh takes a request: its port, its host, or who may see the service.

use super::{
    hidden::{named, whole_names},
    missing::{self, Places, Reason},
};
use crate::words::some;
use malha_mesh::{Mesh, ProxySpec, Resolution, Service, Visibility, host::is_subset, program::Role};
use malha_syntax::nearest;
use malha_table::{
    Decision, Outcome, Request, Table,
    http::{host_key, port_start},
    request_port,
};
use serde::Serialize;
use std::{collections::BTreeSet, net::IpAddr};

/// What is wrong with the host or the port of a request that no service or rule takes.
#[derive(Serialize)]
pub(super) struct Unknown {
    reason: Reason,
    message: String,
    help: Option<String>,
}

impl Unknown {
    /// What is wrong, where a sidecar has no virtual host for a request. `open`: the gateways could have been asked, for
    /// the request does not say where it enters.
    pub(super) fn of(
        mesh: &Mesh,
        request: &Request,
        decision: &Decision,
        open: Option<&Table>,
        places: Places<'_>,
    ) -> Option<Unknown> {
        let is_unknown = matches!(decision.outcome, Outcome::Passthrough | Outcome::Blackhole);
        if !is_unknown || decision.host.is_some() || request.via.as_deref() != Some("mesh") {
            return None;
        }
        let proxy = super::spec(Role::Sidecar, decision.proxy.as_ref()?);
        let authority = request.authority.as_deref()?;
        let host = host_key(authority);
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return None;
        }
        let port = request_port(request);
        if let Some(service) = known(mesh, &proxy, authority, &host) {
            return service.port(port).is_none().then(|| no_port(service, authority, port, places));
        }
        Some(unseen(mesh, &proxy, authority, &host, places).unwrap_or_else(|| {
            let message = format!("no Service or ServiceEntry in these files has the host `{host}`");
            let close = meant(mesh, &proxy, &host).map(|close| format!("did you mean `{close}`?"));
            let help = close.or_else(|| other_ports(open?, port));
            Unknown { reason: Reason::HostUnknown, message, help }
        }))
    }

    /// For people, a line each.
    pub(super) fn lines(&self) -> [Option<&str>; 2] {
        [Some(&self.message), self.help.as_deref()]
    }
}

/// The service that the proxy knows by this Host.
fn known<'m>(mesh: &'m Mesh, proxy: &ProxySpec, authority: &str, host: &str) -> Option<&'m Service> {
    let of_wildcard = || mesh.services(proxy).iter().find(|service| is_subset(host, &service.hostname));
    named(mesh, proxy, authority).or_else(of_wildcard).map(|service| &**service)
}

fn no_port(service: &Service, authority: &str, port: u32, places: Places<'_>) -> Unknown {
    let message =
        format!("{} has no port {port}; it has {}", missing::named(&service.resource, places), missing::ports(service));
    let host = port_start(authority).and_then(|at| authority.get(..at)).unwrap_or(authority);
    let help = service.ports.first().map(|port| format!("ask for `{host}:{}`", port.number));
    Unknown { reason: Reason::PortUndefined, message, help }
}

/// Services of the host, none of which the proxy has.
fn unseen(mesh: &Mesh, proxy: &ProxySpec, authority: &str, host: &str, places: Places<'_>) -> Option<Unknown> {
    let names = whole_names(mesh, proxy, authority);
    let has_host =
        |service: &Service| names.iter().any(|name| *name == service.hostname) || is_subset(host, &service.hostname);
    let services = || mesh.registry().services().iter().filter(|service| has_host(service));
    let namespace = &proxy.namespace;
    // What is exported here, and not there all the same, stands for what is not there, or is what a Sidecar leaves out.
    if let Some(service) = services().find(|service| service.visibility.includes(namespace)) {
        let what = missing::named(&service.resource, places);
        return Some(match (&service.resolution, mesh.sidecar(proxy)) {
            (Resolution::Alias(target), _) => Unknown {
                reason: Reason::HostIsAlias,
                message: format!("{what} stands for `{target}`, which is no service here"),
                help: Some(format!("add a ServiceEntry for `{target}`")),
            },
            (_, Some(sidecar)) => Unknown {
                reason: Reason::HostNotLetThrough,
                message: format!(
                    "{} does not let `{}` through, which {what} has",
                    missing::named(sidecar, places),
                    service.hostname
                ),
                help: Some(format!("add `{}/{}` to its `egress[].hosts`", service.namespace, service.hostname)),
            },
            (_, None) => return None,
        });
    }
    let hidden: Vec<String> = services()
        .map(|service| {
            let to = match &service.visibility {
                Visibility::Namespaces(names) => format!("`{}` only", names.join("`, `")),
                Visibility::Nobody | Visibility::Public => "nobody".to_owned(),
            };
            format!("{} is exported to {to}", missing::named(&service.resource, places))
        })
        .collect();
    if hidden.is_empty() {
        return None;
    }
    let message = format!("`{host}` is not exported to namespace `{namespace}`, where the proxy is: {}", some(&hidden));
    let help =
        Some(format!("add `{namespace}` or `*` to its `exportTo`, or ask for a proxy that sees it by `--proxy`"));
    Some(Unknown { reason: Reason::HostNotExported, message, help })
}

/// The host that is likely meant, as short as the client may write it.
fn meant(mesh: &Mesh, proxy: &ProxySpec, host: &str) -> Option<String> {
    let suffix = format!(".svc.{}", mesh.config().cluster_domain);
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for service in mesh.services(proxy) {
        let whole = service.hostname.as_str();
        names.insert(whole);
        if let Some(short) = whole.strip_suffix(suffix.as_str()) {
            names.insert(short);
            names.extend(short.strip_suffix(proxy.namespace.as_str()).and_then(|name| name.strip_suffix('.')));
        }
    }
    let first = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    // Outside of the cluster a name begins like many others.
    let elsewhere = || {
        let mut own = names.iter().filter(|known| known.ends_with(suffix.as_str()));
        let same = own.find(|known| first(known) == first(host))?;
        Some(same.strip_suffix(suffix.as_str()).unwrap_or(same))
    };
    nearest(host, names.iter().copied()).or_else(elsewhere).map(str::to_owned)
}

/// The ports that gateways have, where one of them was perhaps meant.
fn other_ports(table: &Table, port: u32) -> Option<String> {
    let gateways = table.proxies().filter(|proxy| proxy.role() == Role::Gateway);
    let ports: BTreeSet<u32> = gateways.flat_map(|proxy| proxy.listeners()).map(|listener| listener.port()).collect();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    (!ports.is_empty()).then(|| {
        format!("no gateway listens on port {port}, so a sidecar was asked; gateways listen on {}", some(&ports))
    })
}
