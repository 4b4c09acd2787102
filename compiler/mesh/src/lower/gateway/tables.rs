//! Route tables of gateways: which VirtualServices a server takes, and their virtual hosts (semantics A.3, A.5).

use super::servers::ServerRef;
use crate::lower::context::{Context, LoweredTable};
use crate::lower::routes::RouteList;
use crate::program::{Note, NoteKind, RouteTable};
use crate::{GatewayRef, ObjectName, VirtualService, host};
use hashbrown::HashMap;
use malha_syntax::Location;
use smol_str::{SmolStr, StrExt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A virtual host on its way.
#[derive(Default)]
struct Draft {
    /// The servers that ask for a redirect, each with its host that leads here.
    redirecting: Vec<Claim>,
    /// Those that do not.
    plain: Vec<Claim>,
    lists: Vec<Arc<RouteList>>,
}

/// A server, and the host of it by which it has a virtual host.
struct Claim {
    server: Location,
    host: SmolStr,
}

impl Draft {
    fn claim(&mut self, server: &ServerRef<'_>, host: &str) {
        let claims = if server.redirects_to_https() { &mut self.redirecting } else { &mut self.plain };
        claims.push(Claim { server: server.location, host: host.into() });
    }

    /// Servers that ask for no redirect and whose requests here are redirected all the same (semantics A40). That a
    /// narrower host redirects, where a wider one does not, is what its server says.
    fn imposed(&self, domain: &str) -> impl Iterator<Item = Note> {
        self.plain.iter().filter_map(move |plain| {
            let as_wide = |other: &&Claim| host::is_subset(&plain.host, &other.host);
            let other = self.redirecting.iter().find(as_wide)?;
            Some(Note {
                kind: NoteKind::RedirectImposed,
                location: plain.server,
                other: Some(other.server),
                detail: format!("requests for `{domain}`"),
            })
        })
    }
}

/// The table of `servers`, which share it.
pub(super) fn route_table(context: &Context<'_>, name: &SmolStr, servers: &[ServerRef<'_>]) -> LoweredTable {
    let mut drafts: BTreeMap<SmolStr, Draft> = BTreeMap::new();
    // Routes of a VirtualService are made once for each gateway, with the number of the first server that has some
    // (semantics A31).
    let mut made: HashMap<(ObjectName, ObjectName), Arc<RouteList>> = HashMap::new();
    for server in servers {
        let gateway = GatewayRef::Named(server.gateway.name.clone());
        let redirects = server.redirects_to_https();
        for service in context.mesh.virtual_services_for(&gateway, &context.proxy.namespace) {
            let hosts = shared_hosts(server, service);
            if hosts.is_empty() {
                continue;
            }
            let key = (server.gateway.name.clone(), service.name.clone());
            let list = if let Some(list) = made.get(&key) {
                Arc::clone(list)
            } else {
                let namespace = &service.name.namespace;
                let scope = context.scope(&gateway, namespace, server.number, server.has_tls_block());
                let list = context.routes(service, &scope);
                if list.routes.is_empty() {
                    // No routes, no virtual host: a wider one can still take the request (semantics A28).
                    continue;
                }
                made.insert(key, Arc::clone(&list));
                list
            };
            for host in hosts {
                let draft = drafts.entry(host.to_lowercase_smolstr()).or_default();
                draft.lists.push(Arc::clone(&list));
                draft.claim(server, narrowest_over(server, host, &service.name.namespace));
            }
        }
        // Hosts that redirect have a virtual host, routes or not (semantics A41). One written with a namespace gets a
        // domain that no Host can be.
        for host in server.hosts.iter().filter(|host| redirects && !host.contains('/')) {
            drafts.entry(host.to_lowercase_smolstr()).or_default().claim(server, host);
        }
    }
    let table = RouteTable { name: name.clone(), ..RouteTable::default() };
    let mut table = LoweredTable { table, refusals: vec![], notes: vec![] };
    for (domain, draft) in drafts {
        for list in &draft.lists {
            table.refusals.extend(list.refusals.iter().cloned());
        }
        let require_tls = !draft.redirecting.is_empty();
        if require_tls {
            table.notes.extend(draft.imposed(&domain));
        }
        let host = context.virtual_host(vec![domain], require_tls, &draft.lists, None);
        table.table.virtual_hosts.push(host);
    }
    table
}

/// The names that both the server and the VirtualService hold, the narrower of each pair (semantics A20, A23, A24).
fn shared_hosts<'a>(server: &'a ServerRef<'_>, service: &'a VirtualService) -> Vec<&'a str> {
    let own = server.hosts.iter().filter_map(|host| host_for(host, &service.name.namespace));
    let own: Vec<&str> = own.collect();
    host::intersection(own, service.hosts.iter().map(SmolStr::as_str))
}

/// The narrowest host of a server that holds `host`, for VirtualServices of `namespace`.
fn narrowest_over<'a>(server: &'a ServerRef<'_>, host: &'a str, namespace: &str) -> &'a str {
    let own = server.hosts.iter().filter_map(|entry| host_for(entry, namespace));
    let holding = own.filter(|entry| host::is_subset(host, entry));
    holding.min_by(|a, b| host::specificity(a, b)).unwrap_or(host)
}

/// The host of a server's entry, if VirtualServices of `namespace` may have it.
pub(super) fn host_for<'a>(entry: &'a str, namespace: &str) -> Option<&'a str> {
    match entry.split_once('/') {
        None => Some(entry),
        Some((wanted, host)) => (wanted == "*" || wanted == namespace).then_some(host),
    }
}
