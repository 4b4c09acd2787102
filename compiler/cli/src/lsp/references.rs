//! What fields refer to, and where that is.

use super::cursor::Cursor;
use malha_mesh::{
    GatewayRef, Mesh, ObjectName, ProxySpec, Service, host,
    names::{fully_qualified, gateway_ref},
    program::Role,
};
use malha_model::{Kind, Resource, Spec};
use malha_syntax::{Location, Node};
use smol_str::SmolStr;
use std::{collections::BTreeSet, sync::Arc};

/// What the field under a cursor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reference<'d> {
    /// A service of the registry.
    Host,
    /// A subset of this host.
    Subset {
        host: &'d str,
    },
    /// A port of this host.
    Port {
        host: &'d str,
    },
    Gateway,
    /// A VirtualService that is delegated to, in this namespace.
    Delegate {
        namespace: &'d str,
    },
    /// A certificate.
    Secret,
}

impl<'d> Reference<'d> {
    /// Of the value of a field; none if it refers to nothing.
    pub(super) fn of(cursor: &Cursor<'d>) -> Option<Reference<'d>> {
        let keys = cursor.keys();
        let text = |node: Option<Node<'d>>, key: &str| node?.get(key).map(Node::text).filter(|text| !text.is_empty());
        let parent = Some(cursor.parent());
        let is_secret = matches!(keys.last(), Some(&("credentialName" | "credentialNames" | "caCertCredentialName")));
        match (cursor.kind, keys.as_slice()) {
            ("VirtualService", ["spec", "hosts"] | [.., "destination" | "mirror", "host"])
            | ("DestinationRule", ["spec", "host"]) => Some(Reference::Host),
            ("VirtualService", [.., "destination" | "mirror", "subset"]) => {
                Some(Reference::Subset { host: text(parent, "host")? })
            }
            ("VirtualService", [.., "destination" | "mirror", "port", "number"]) => {
                let destination = cursor.nodes.len().checked_sub(3).and_then(|at| cursor.nodes.get(at)).copied();
                Some(Reference::Port { host: text(destination, "host")? })
            }
            ("VirtualService", ["spec", "gateways"] | ["spec", _, "match", "gateways"]) => Some(Reference::Gateway),
            ("VirtualService", ["spec", "http", "delegate", "name" | "namespace"]) => {
                let namespace = text(parent, "namespace").unwrap_or(cursor.namespace());
                Some(Reference::Delegate { namespace })
            }
            ("Gateway" | "DestinationRule", _) if is_secret => Some(Reference::Secret),
            _ => None,
        }
    }
}

/// A mesh, as an object in some namespace names things of it.
pub(super) struct Names<'m> {
    pub(super) mesh: &'m Mesh,
    pub(super) namespace: SmolStr,
}

impl<'m> Names<'m> {
    pub(super) fn of(mesh: &'m Mesh, cursor: &Cursor<'_>) -> Names<'m> {
        Names { mesh, namespace: cursor.namespace().into() }
    }

    fn whole(&self, host: &str) -> SmolStr {
        fully_qualified(host, &self.namespace, &self.mesh.config().cluster_domain)
    }

    /// The services of a host: those of that very name, else those of a wildcard that holds it.
    pub(super) fn services(&self, host: &str) -> Vec<&'m Arc<Service>> {
        let whole = self.whole(host);
        let registry = self.mesh.registry();
        let exact: Vec<_> = registry.services_of_host(&whole).collect();
        if !exact.is_empty() {
            return exact;
        }
        let holds = |service: &&Arc<Service>| {
            host::is_wildcard(&service.hostname) && host::is_subset(&whole, &service.hostname)
        };
        registry.services().iter().filter(holds).collect()
    }

    /// The DestinationRules for a host, with what they say.
    pub(super) fn rules(
        &self,
        host: &str,
    ) -> impl Iterator<Item = (&'m Arc<Resource>, &'m malha_model::istio::DestinationRule)> {
        let (whole, domain) = (self.whole(host), &self.mesh.config().cluster_domain);
        self.mesh.resources().iter().filter_map(move |resource| {
            let Spec::DestinationRule(rule) = &resource.spec else { return None };
            let written = fully_qualified(rule.host.as_ref()?, &resource.namespace, domain);
            host::is_subset(&whole, &written).then_some((resource, &**rule))
        })
    }

    /// The rule in force for a host, as a client in the namespace sees it; else any that there is.
    pub(super) fn subsets(&self, host: &str) -> BTreeSet<SmolStr> {
        let client = ProxySpec { namespace: self.namespace.clone(), ..ProxySpec::default_sidecar() };
        let services = self.services(host);
        let in_force = services.first().and_then(|service| self.mesh.destination_rule(&client, service));
        if let Some(rule) = in_force {
            return rule.subset_names().cloned().collect();
        }
        let subsets = self.rules(host).flat_map(|(_, rule)| &rule.subsets);
        subsets.filter_map(|subset| subset.name.as_ref()).map(|name| name.value.clone()).collect()
    }

    /// Places of the services of a host, and of its DestinationRules.
    pub(super) fn host_places(&self, host: &str, but: Option<Location>) -> Vec<Location> {
        let services = self.services(host).into_iter().map(|service| service_place(service));
        let rules = self.rules(host).map(|(resource, _)| named(resource));
        let mut places: Vec<Location> = Vec::new();
        for place in services.chain(rules).filter(|place| Some(*place) != but) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Where a subset of a host is defined.
    pub(super) fn subset_places(&self, host: &str, subset: &str) -> Vec<Location> {
        let defined = self.rules(host).flat_map(|(resource, rule)| {
            let named =
                rule.subsets.iter().filter_map(|one| one.name.as_ref()).filter(move |name| name.value == subset);
            named.map(|name| resource.location(name.span))
        });
        defined.collect()
    }

    /// Where a port of a host is defined.
    pub(super) fn port_places(&self, host: &str, number: u32) -> Vec<Location> {
        self.services(host).into_iter().filter_map(|service| Some(service.port(number)?.location)).collect()
    }

    /// The Gateway that a reference names.
    pub(super) fn gateway_place(&self, reference: &str) -> Option<Location> {
        match gateway_ref(reference, &self.namespace) {
            GatewayRef::Mesh => None,
            GatewayRef::Named(name) => Some(named(&self.mesh.gateway(&name)?.resource)),
        }
    }

    /// The VirtualService of a namespace.
    pub(super) fn virtual_service_place(&self, namespace: &str, name: &str) -> Option<Location> {
        let name = ObjectName::new(namespace, name);
        Some(named(&self.mesh.virtual_service(&name)?.resource))
    }

    /// The Secrets of this name, and what they are made of: in the namespaces of the proxies that a Gateway of the namespace selects, and in it.
    pub(super) fn secret_places(&self, written: &str, gateway: Option<&str>) -> Vec<Location> {
        let name = written.strip_prefix("kubernetes://").unwrap_or(written);
        let mut namespaces: BTreeSet<&str> = BTreeSet::from([self.namespace.as_str()]);
        let gateway = gateway.and_then(|name| self.mesh.gateway(&ObjectName::new(self.namespace.clone(), name)));
        if let Some(gateway) = gateway {
            let selects = |proxy: &&ProxySpec| proxy.role == Role::Gateway && gateway.selects(&proxy.labels);
            namespaces.extend(self.mesh.proxies().iter().filter(selects).map(|proxy| proxy.namespace.as_str()));
        }
        let (namespace, name) = name.split_once('/').map_or((None, name), |(namespace, name)| (Some(namespace), name));
        let is_it = |resource: &&Arc<Resource>| {
            let is_held = resource.kind == Kind::Secret && resource.name == name;
            (is_held || resource.made_secret().is_some_and(|made| made == name))
                && namespace.map_or_else(|| namespaces.contains(&*resource.namespace), |one| resource.namespace == one)
        };
        self.mesh.resources().iter().filter(is_it).map(|resource| named(resource)).collect()
    }

    /// How an object of the namespace writes the host of a service, as shortly as it can.
    pub(super) fn written(&self, service: &Service) -> SmolStr {
        let short = self.whole(&service.name);
        if service.namespace == self.namespace && short == service.hostname {
            return service.name.clone();
        }
        service.hostname.clone()
    }
}

/// Where a service is named: a ServiceEntry by its host.
fn service_place(service: &Service) -> Location {
    if let Spec::ServiceEntry(entry) = &service.resource.spec
        && let Some(host) = entry.hosts.iter().find(|host| host.value == service.hostname)
    {
        return service.resource.location(host.span);
    }
    named(&service.resource)
}

/// The name of an object, where it is written.
fn named(resource: &Resource) -> Location {
    resource.location(resource.metadata.name.as_ref().map_or(resource.span, |name| name.span))
}
