//! The linked mesh.

use crate::{
    config::MeshConfig,
    delegate,
    destination_rule::{DestinationRule, DestinationRules},
    egress::Sidecars,
    gateway::Gateway,
    graph::ReferenceGraph,
    names::{GatewayRef, ObjectName},
    order::Age,
    program::Role,
    proxy::{self, ProxySpec},
    registry::{Registry, Service},
    virtual_service::VirtualService,
    visibility::Visibility,
};
use hashbrown::HashMap;
use malha_model::{Kind, Resource};
use smol_str::SmolStr;
use std::sync::{Arc, OnceLock};

/// The resources of one mesh, linked together.
#[derive(Debug)]
pub struct Mesh {
    config: MeshConfig,
    resources: Vec<Arc<Resource>>,
    refused: Vec<Arc<Resource>>,
    duplicates: Vec<Duplicate>,
    gateways: Vec<Arc<Gateway>>,
    gateways_by_name: HashMap<ObjectName, u32>,
    virtual_services: Vec<Arc<VirtualService>>,
    virtual_services_by_name: HashMap<ObjectName, u32>,
    bindings: HashMap<GatewayRef, Vec<u32>>,
    destination_rules: DestinationRules,
    registry: Registry,
    pub(crate) sidecars: Sidecars,
    proxies: Vec<ProxySpec>,
    graph: OnceLock<ReferenceGraph>,
}

/// One object that is written more than once.
#[derive(Clone, Debug)]
pub struct Duplicate {
    /// The one that counts: the last, as if the files were applied in turn.
    pub kept: Arc<Resource>,
    /// The others, in order of source and position.
    pub dropped: Vec<Arc<Resource>>,
}

impl Mesh {
    /// Links `resources`. Those that the cluster refuses take no part (semantics 0.14).
    ///
    /// The result is the same whatever the order of `resources`: they are ordered by source and position, then as the
    /// control plane orders them (semantics 0.1, 0.2).
    pub fn link(mut resources: Vec<Arc<Resource>>, config: MeshConfig) -> Self {
        resources.sort_by_key(|resource| (resource.source, resource.span));
        let (refused, accepted): (Vec<_>, Vec<_>) = resources.into_iter().partition(|resource| resource.refused);
        let (mut resources, duplicates) = without_duplicates(accepted);
        resources.sort_by_cached_key(|resource| (resource.kind, Age::of(resource, &resource.name)));

        let gateways: Vec<Arc<Gateway>> = resources.iter().filter_map(Gateway::link).map(Arc::new).collect();
        let linked = resources.iter().filter_map(|resource| VirtualService::link(resource, &config));
        let mut linked: Vec<VirtualService> = linked.collect();
        delegate::merge_all(&mut linked, &config);
        let virtual_services: Vec<Arc<VirtualService>> = linked.into_iter().map(Arc::new).collect();
        let mut bindings: HashMap<GatewayRef, Vec<u32>> = HashMap::new();
        for (index, virtual_service) in virtual_services.iter().enumerate() {
            if virtual_service.hosts.is_empty() {
                continue;
            }
            for gateway in &virtual_service.gateways {
                bindings.entry(gateway.clone()).or_default().push(index as u32);
            }
        }
        let registry = Registry::link(&resources, &virtual_services, &config);
        let proxies = proxy::proxies(&gateways, &registry, &config);
        let sidecars =
            Sidecars::link(&resources, &config.root_namespace, || named_namespaces(&registry, &virtual_services));
        Mesh {
            gateways_by_name: index_by_name(gateways.iter().map(|gateway| &gateway.name)),
            virtual_services_by_name: index_by_name(virtual_services.iter().map(|service| &service.name)),
            destination_rules: DestinationRules::link(&resources, &config),
            graph: OnceLock::new(),
            config,
            resources,
            refused,
            duplicates,
            gateways,
            virtual_services,
            bindings,
            registry,
            sidecars,
            proxies,
        }
    }

    /// What holds for the mesh as a whole.
    pub fn config(&self) -> &MeshConfig {
        &self.config
    }

    /// Every resource that takes part, by kind, then in the order of semantics 0.1.
    pub fn resources(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// The resources that the cluster refuses, by source and position.
    pub fn refused(&self) -> &[Arc<Resource>] {
        &self.refused
    }

    /// The objects that are written more than once, by kind, namespace, name.
    pub fn duplicates(&self) -> &[Duplicate] {
        &self.duplicates
    }

    /// Services and workloads.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// All Gateways, in the order of semantics 0.1.
    pub fn gateways(&self) -> &[Arc<Gateway>] {
        &self.gateways
    }

    /// The Gateway of this name.
    pub fn gateway(&self, name: &ObjectName) -> Option<&Arc<Gateway>> {
        self.gateways.get(*self.gateways_by_name.get(name)? as usize)
    }

    /// The Gateways that configure `proxy`, in the order of semantics 0.1 (semantics A1). None for a sidecar.
    pub fn gateways_of(&self, proxy: &ProxySpec) -> impl Iterator<Item = &Arc<Gateway>> {
        let is_gateway = proxy.role == Role::Gateway;
        self.gateways.iter().filter(move |gateway| is_gateway && gateway.selects(&proxy.labels))
    }

    /// All VirtualServices, delegates too, in the order of semantics 0.1.
    pub fn virtual_services(&self) -> &[Arc<VirtualService>] {
        &self.virtual_services
    }

    /// The VirtualService of this name.
    pub fn virtual_service(&self, name: &ObjectName) -> Option<&Arc<VirtualService>> {
        self.virtual_services.get(*self.virtual_services_by_name.get(name)? as usize)
    }

    /// The VirtualServices that bind to `gateway` and that proxies of `namespace` see: first those private to it, then
    /// those exported to it by name, then public ones, each in the order of semantics 0.1 (semantics A22).
    pub fn virtual_services_for(&self, gateway: &GatewayRef, namespace: &str) -> Vec<&Arc<VirtualService>> {
        let bound = self.bindings.get(gateway).map(Vec::as_slice).unwrap_or_default();
        let bound = bound.iter().filter_map(|index| self.virtual_services.get(*index as usize));
        let mut visible: Vec<&Arc<VirtualService>> =
            bound.filter(|service| service.visibility.includes(namespace)).collect();
        visible.sort_by_key(|service| match &service.visibility {
            Visibility::Public => 2,
            _ if service.name.namespace == namespace => 0,
            _ => 1,
        });
        visible
    }

    /// The services that `proxy` sees, one for each host (semantics 0.7, E17, E31).
    pub fn services(&self, proxy: &ProxySpec) -> &[Arc<Service>] {
        self.view(proxy).services()
    }

    /// The service of this name that `proxy` sees, or that rules lead it to past its Sidecar, with all its ports. A
    /// wildcard is found by its own text only.
    pub fn service(&self, proxy: &ProxySpec, hostname: &str) -> Option<&Arc<Service>> {
        match self.egress(proxy) {
            None => self.registry.view(&proxy.namespace).get(hostname),
            Some(_) => self.registry.service_in(hostname, &self.view(proxy).get_reachable(hostname)?.namespace),
        }
    }

    /// The DestinationRule for `service` as `proxy` sees it (semantics D.1).
    pub fn destination_rule(&self, proxy: &ProxySpec, service: &Service) -> Option<&DestinationRule> {
        self.destination_rules.find(proxy, &service.hostname, &service.namespace, &self.config)
    }

    /// The DestinationRule for a service of the name `hostname` in `namespace`, be there one or not, as `proxy` sees it.
    pub fn destination_rule_of_host(
        &self,
        proxy: &ProxySpec,
        hostname: &str,
        namespace: &str,
    ) -> Option<&DestinationRule> {
        self.destination_rules.find(proxy, hostname, namespace, &self.config)
    }

    /// The gateway proxies of the mesh, by namespace, name, labels.
    pub fn proxies(&self) -> &[ProxySpec] {
        &self.proxies
    }

    /// Which resource refers to which.
    pub fn graph(&self) -> &ReferenceGraph {
        self.graph.get_or_init(|| ReferenceGraph::new(self))
    }
}

fn index_by_name<'a>(names: impl Iterator<Item = &'a ObjectName>) -> HashMap<ObjectName, u32> {
    names.enumerate().map(|(index, name)| (name.clone(), index as u32)).collect()
}

/// The namespaces that services or rules live in or name, each perhaps several times.
fn named_namespaces(registry: &Registry, virtual_services: &[Arc<VirtualService>]) -> Vec<SmolStr> {
    let mut names: Vec<SmolStr> = registry.namespaces().cloned().collect();
    for rules in virtual_services {
        names.push(rules.name.namespace.clone());
        if let Visibility::Namespaces(namespaces) = &rules.visibility {
            names.extend(namespaces.iter().cloned());
        }
        names.extend(rules.source_namespaces().cloned());
    }
    names
}

/// `resources`, which are by source and position, with the last of each object alone.
fn without_duplicates(resources: Vec<Arc<Resource>>) -> (Vec<Arc<Resource>>, Vec<Duplicate>) {
    type Name = (Kind, SmolStr, SmolStr);
    let name_of = |resource: &Resource| (resource.kind, resource.namespace.clone(), resource.name.clone());
    let mut last: HashMap<Name, usize> = HashMap::with_capacity(resources.len());
    let mut dropped: Vec<(Name, Arc<Resource>)> = Vec::new();
    for (index, resource) in resources.iter().enumerate() {
        if let Some(earlier) = last.insert(name_of(resource), index).and_then(|earlier| resources.get(earlier)) {
            dropped.push((name_of(resource), Arc::clone(earlier)));
        }
    }
    dropped.sort_by(|(a, _), (b, _)| a.cmp(b));
    let duplicates = dropped.chunk_by(|(a, _), (b, _)| a == b).filter_map(|group| {
        let (name, _) = group.first()?;
        let kept = Arc::clone(resources.get(*last.get(name)?)?);
        Some(Duplicate { kept, dropped: group.iter().map(|(_, resource)| Arc::clone(resource)).collect() })
    });
    let duplicates: Vec<Duplicate> = duplicates.collect();
    let kept = resources.into_iter().enumerate();
    let kept =
        kept.filter(|(index, resource)| last.get(&name_of(resource)) == Some(index)).map(|(_, resource)| resource);
    (kept.collect(), duplicates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{mesh, object, resources};

    fn rules(head: &str, more: &str) -> String {
        object(head, &format!("spec: {{hosts: [x.org], http: [{{directResponse: {{status: 200}}}}]{more}}}"))
    }

    fn bound(mesh: &Mesh, gateway: &GatewayRef, namespace: &str) -> String {
        let found = mesh.virtual_services_for(gateway, namespace);
        found.iter().map(|service| service.name.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn name_decides_before_namespace_and_age_before_both() {
        let young = rules("VirtualService a/a", "")
            .replace("metadata: {", "metadata: {creationTimestamp: '2024-06-01T00:00:00Z', ");
        let old = rules("VirtualService z/z", "")
            .replace("metadata: {", "metadata: {creationTimestamp: '2024-05-01T00:00:00Z', ");
        let found = mesh(&[
            young,
            old,
            rules("VirtualService b/d", ""),
            rules("VirtualService c/b", ""),
            rules("VirtualService a/d", ""),
        ]);
        assert_eq!(bound(&found, &GatewayRef::Mesh, "test"), "c/b a/d b/d z/z a/a", "0.1");
    }

    #[test]
    fn rules_are_seen_private_ones_first() {
        let found = mesh(&[
            rules("VirtualService prod/c", ", exportTo: [.]"),
            rules("VirtualService test/b", ", exportTo: [prod, blue]"),
            rules("VirtualService test/a", ""),
            rules("VirtualService test/z", ", exportTo: [.]"),
        ]);
        assert_eq!(bound(&found, &GatewayRef::Mesh, "prod"), "prod/c test/b test/a", "A22, B7");
        assert_eq!(bound(&found, &GatewayRef::Mesh, "test"), "test/z test/a", "A22, B7");
    }

    #[test]
    fn rules_bind_to_the_mesh_unless_they_say_otherwise() {
        let found = mesh(&[
            rules("VirtualService prod/a", ""),
            rules("VirtualService prod/b", ", gateways: [gw, prod/gw]"),
            rules("VirtualService prod/c", ", gateways: [mesh, infra/gw]"),
        ]);
        let gateway = |namespace: &str| GatewayRef::Named(ObjectName::new(namespace, "gw"));
        assert_eq!(bound(&found, &GatewayRef::Mesh, "prod"), "prod/a prod/c", "B1");
        assert_eq!(bound(&found, &gateway("prod"), "prod"), "prod/b", "B1, 0.6");
        assert_eq!(bound(&found, &gateway("infra"), "test"), "prod/c", "B1, 0.6");
    }

    #[test]
    fn of_an_object_that_is_written_twice_the_last_counts() {
        let found = mesh(&[
            rules("VirtualService prod/a", ", gateways: [one]"),
            rules("VirtualService prod/b", ""),
            rules("VirtualService prod/a", ", gateways: [two]"),
        ]);
        let [duplicate] = found.duplicates() else { panic!("one object is written twice") };
        let [dropped] = &duplicate.dropped[..] else { panic!("one is dropped") };
        assert!(dropped.span < duplicate.kept.span);
        let linked = found.virtual_service(&ObjectName::new("prod", "a")).map(|linked| linked.gateways.clone());
        assert_eq!(linked, Some(vec![GatewayRef::Named(ObjectName::new("prod", "two"))]));
        assert_eq!(found.virtual_services().len(), 2);
    }

    #[test]
    fn the_order_of_files_changes_nothing() {
        let objects = [
            rules("VirtualService prod/a", ", gateways: [one]"),
            rules("VirtualService prod/a", ", gateways: [two]"),
            rules("VirtualService prod/b", ""),
            object("Service prod/s", "spec: {ports: [{name: http, port: 80}]}"),
        ];
        let forward = resources(&objects);
        let backward = forward.iter().rev().cloned().collect();
        let told = |resources| format!("{:?}", Mesh::link(resources, MeshConfig::default()).resources());
        assert_eq!(told(forward.clone()), told(backward));
    }

    #[test]
    fn refused_objects_take_no_part() {
        let mut found = resources(&[rules("VirtualService prod/a", "")]);
        if let Some(resource) = found.first_mut() {
            Arc::make_mut(resource).refused = true;
        }
        let mesh = Mesh::link(found, MeshConfig::default());
        assert!(mesh.virtual_services().is_empty() && mesh.refused().len() == 1, "0.14");
    }
}
