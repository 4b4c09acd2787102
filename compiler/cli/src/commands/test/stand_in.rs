//! Stand-ins for what the tests of istio-config-validator do not ask for: that tool looks at VirtualServices alone,
//! so Gateways, delegates and services may be in another repository.

use malha_mesh::{GatewayRef, Mesh, ObjectName, names::gateway_ref};
use malha_model::{Resource, Spec, read_documents};
use malha_syntax::{SourceId, read};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};

/// The namespace of the service that opens port 80 to sidecars.
const NAMESPACE: &str = "malha-stand-in";

/// Objects to link beside those of the mesh: each Gateway and delegate that a VirtualService names and nobody defines,
/// and a service on port 80, for without one no sidecar listens there.
pub(super) fn stand_ins(mesh: &Mesh) -> Vec<Arc<Resource>> {
    let (mut gateways, mut delegates) = (BTreeSet::new(), BTreeSet::new());
    for service in mesh.virtual_services() {
        for gateway in &service.gateways {
            if let GatewayRef::Named(name) = gateway {
                gateways.insert(name.clone());
            }
        }
        let Spec::VirtualService(spec) = &service.resource.spec else { continue };
        for rule in &spec.http {
            for item in rule.matches.iter().flat_map(|item| &item.gateways) {
                if let GatewayRef::Named(name) = gateway_ref(item, &service.name.namespace) {
                    gateways.insert(name);
                }
            }
            if let Some(delegate) = &rule.delegate {
                let namespace =
                    delegate.namespace.as_ref().map_or(&service.name.namespace, |namespace| &namespace.value);
                let name = delegate.name.as_ref().map(|name| name.value.clone()).unwrap_or_default();
                delegates.insert(ObjectName::new(namespace.clone(), name));
            }
        }
    }
    let gateways = gateways.iter().filter(|name| mesh.gateway(name).is_none()).map(gateway);
    let delegates = delegates.iter().filter(|name| mesh.virtual_service(name).is_none()).map(delegate);
    let objects: Vec<String> = gateways.chain(delegates).chain([service()]).map(|object| object.to_string()).collect();
    // Nothing of theirs is ever shown: they lie in no source.
    let reading = read(SourceId(u32::MAX), &objects.join("\n---\n"));
    read_documents(&reading.documents).resources.into_iter().map(Arc::new).collect()
}

fn gateway(name: &ObjectName) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
        "metadata": {"name": name.name, "namespace": name.namespace},
        // A label of its own, so that it shares no proxy with a Gateway that is there.
        "spec": {
            "selector": {"malha.io/stand-in": format!("{}.{}", name.namespace, name.name)},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        },
    })
}

fn delegate(name: &ObjectName) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": name.name, "namespace": name.namespace},
        "spec": {"http": [{"directResponse": {"status": 501}}]},
    })
}

fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "http", "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": 80}]},
    })
}
