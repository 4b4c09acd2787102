//! Services to which the files give no address, as those that leave `clusterIP` to the cluster.
//!
//! Connections by address to any of these are alike; those by name need not be. So each such service has a listener that
//! its names lead to, with the chains that the listener of its address has in a cluster, and one keeps the other names of
//! the port from them.

use super::{Source, bind};
use crate::program::FilterChain;
use crate::registry::{Protocol, Resolution, Service, ServiceOrigin};
use smol_str::SmolStr;
use std::{collections::BTreeSet, net::Ipv4Addr};

/// Whether the name of the service stands for its address: a cluster would give it one.
pub(super) fn stands_for_address(service: &Service) -> bool {
    service.origin == ServiceOrigin::Kubernetes
        && service.resolution == Resolution::Static
        && service.addresses.is_empty()
}

/// The ports on which some service has a listener for its name.
pub(super) fn ports(sources: &[Source<'_>]) -> BTreeSet<u32> {
    let mut ports = BTreeSet::new();
    for source in sources.iter().filter(|source| bind(source.listener).is_none()) {
        let own = source.listener.port.as_ref();
        for service in source.services.iter().filter(|service| stands_for_address(service)) {
            for port in service.ports.iter().filter(|port| own.is_none_or(|own| own.number == port.number)) {
                let protocol = own.map_or(port.protocol, |own| own.protocol);
                if !protocol.is_http() && !matches!(protocol, Protocol::Udp | Protocol::HttpProxy) {
                    ports.insert(port.number);
                }
            }
        }
    }
    ports
}

/// The chains of a listener for a name: the address is one of IPv4, and nobody knows which. So what asks for any is met,
/// and comes before what asks for none (semantics A52); what asks for some is not.
pub(super) fn chains(mut chains: Vec<FilterChain>) -> Vec<FilterChain> {
    let is_any = |range: &SmolStr| {
        let parts = range.split_once('/');
        parts.is_some_and(|(first, length)| length == "0" && first.parse::<Ipv4Addr>().is_ok())
    };
    let asks_for_any = |chain: &FilterChain| chain.destinations.iter().any(is_any);
    if chains.iter().any(asks_for_any) {
        chains.retain(asks_for_any);
        for chain in &mut chains {
            chain.destinations.clear();
        }
    }
    chains.retain(|chain| chain.destinations.is_empty());
    chains
}

#[cfg(test)]
mod tests {
    use crate::program::{Filter, Listener, ProxyProgram};
    use crate::testing::{mesh, object, sidecar};
    use crate::{Cache, lower};
    use std::sync::Arc;

    fn program(objects: &[String]) -> Arc<ProxyProgram> {
        let program = lower(&mesh(objects), &[sidecar("default")], &mut Cache::default());
        Arc::clone(&program.proxies[0].program)
    }

    fn service(name: &str, spec: &str) -> String {
        object(&format!("Service {name}"), &format!("spec: {{{spec}}}"))
    }

    /// Each listener, with where its chains lead.
    fn listeners(program: &ProxyProgram) -> Vec<String> {
        let chain = |filter: &Filter| match filter {
            Filter::Http(table) => format!("http {}", program.route_tables[*table].name),
            Filter::Tcp(route) => route.destinations[0].host.to_string(),
        };
        let line = |listener: &Listener| {
            let chains: Vec<String> = listener.filter_chains.iter().map(|one| chain(&one.filter)).collect();
            format!("{}: {}", listener.name, chains.join(", "))
        };
        program.listeners.iter().map(line).collect()
    }

    #[test]
    fn each_service_without_an_address_has_a_listener_for_its_names() {
        let program = program(&[
            service("db/store", "ports: [{name: tcp, port: 5432}]"),
            service("default/store", "ports: [{name: tcp, port: 5432}, {name: any, port: 7000}]"),
            service(
                "default/known",
                "clusterIP: 10.0.0.1, ports: [{name: tcp, port: 5432}, {name: tcp-b, port: 9000}]",
            ),
            service("default/web", "ports: [{name: http, port: 80}, {name: http-any, port: 7000}]"),
            service("default/pods", "clusterIP: None, ports: [{name: tcp, port: 6379}]"),
        ]);
        assert_eq!(
            listeners(&program),
            [
                "0.0.0.0_80: http 80",
                // All of the port together, for connections by address.
                "0.0.0.0_5432: store.db.svc.cluster.local",
                "*_5432: ",
                "10.0.0.1_5432: known.default.svc.cluster.local",
                "store.db.svc.cluster.local_5432: store.db.svc.cluster.local",
                "store.default.svc.cluster.local_5432: store.default.svc.cluster.local",
                "0.0.0.0_7000: http 7000, store.default.svc.cluster.local",
                "*_7000: http 7000",
                "store.default.svc.cluster.local_7000: http store.default.svc.cluster.local:7000, \
                 store.default.svc.cluster.local",
                "10.0.0.1_9000: known.default.svc.cluster.local",
            ]
        );
        let names = |name: &str| {
            let found = program.listeners.iter().find(|listener| listener.name == name);
            found.expect("a listener").names.join(" ")
        };
        let of_db = "store.db.svc.cluster.local store.db.svc.cluster.local. store.db store.db.svc";
        assert_eq!(names("store.db.svc.cluster.local_5432"), of_db);
        assert!(
            names("store.default.svc.cluster.local_5432").ends_with(" store"),
            "the short form is for its namespace"
        );
        assert_eq!(names("*_5432"), "");
    }

    #[test]
    fn where_all_have_addresses_there_is_none_for_names() {
        let program = program(&[
            service("default/known", "clusterIP: 10.0.0.1, ports: [{name: tcp, port: 5432}]"),
            service("default/web", "ports: [{name: http, port: 80}]"),
            object(
                "ServiceEntry default/s",
                "spec: {hosts: [x.org], ports: [{number: 5432, name: tcp, protocol: TCP}]}",
            ),
        ]);
        let names = ["0.0.0.0_80: http 80", "0.0.0.0_5432: x.org", "10.0.0.1_5432: known.default.svc.cluster.local"];
        assert_eq!(listeners(&program), names);
    }

    #[test]
    fn a_match_of_any_address_comes_before_one_of_none() {
        let rule = "spec: {hosts: [one.default.svc.cluster.local], tls: [{match: [{sniHosts: [one.default.svc.cluster.local]}], \
                    route: [{destination: {host: one}}]}, {match: [{sniHosts: [one.default.svc.cluster.local], \
                    destinationSubnets: [0.0.0.0/0]}], route: [{destination: {host: two}}]}]}";
        let program = program(&[
            service("default/one", "ports: [{name: tls, port: 443}]"),
            service("default/two", "ports: [{name: tls, port: 443}]"),
            object("VirtualService default/v", rule),
        ]);
        let named = listeners(&program);
        let of_one = named.iter().find(|line| line.starts_with("one.")).expect("a listener of its name");
        assert_eq!(of_one, "one.default.svc.cluster.local_443: two.default.svc.cluster.local");
    }

    #[test]
    fn what_only_comes_together_at_any_address_is_not_told() {
        let rule = |name: &str, names: &str| {
            let spec = format!(
                "spec: {{hosts: [{name}.default.svc.cluster.local, {names}], tls: [{{match: [{{sniHosts: [{names}]}}], \
                 route: [{{destination: {{host: {name}}}}}]}}]}}"
            );
            object(&format!("VirtualService default/{name}"), &spec)
        };
        let program = program(&[
            service("default/one", "ports: [{name: tls, port: 443}]"),
            service("default/two", "ports: [{name: tls, port: 443}]"),
            rule("one", "x.org, y.org"),
            rule("two", "y.org"),
        ]);
        let rejected: Vec<&str> =
            program.listeners.iter().filter(|one| one.rejected.is_some()).map(|one| one.name.as_str()).collect();
        assert_eq!(rejected, ["0.0.0.0_443"]);
        assert!(program.notes.is_empty(), "a cluster has an address for each: {:?}", program.notes);
    }

    #[test]
    fn what_envoy_refuses_is_told_once() {
        let rule = "spec: {hosts: [one.default.svc.cluster.local, a.org, b.org], tls: [{match: [{sniHosts: [a.org, b.org]}, \
                    {sniHosts: [b.org]}], route: [{destination: {host: one}}]}]}";
        let program = program(&[
            service("default/one", "ports: [{name: tls, port: 443}]"),
            object("VirtualService default/v", rule),
        ]);
        let rejected: Vec<&str> =
            program.listeners.iter().filter(|one| one.rejected.is_some()).map(|one| one.name.as_str()).collect();
        assert_eq!(rejected, ["0.0.0.0_443", "one.default.svc.cluster.local_443"]);
        assert_eq!(program.notes.len(), 1, "{:?}", program.notes);
    }
}
