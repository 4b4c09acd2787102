//! Gateways, linked.

use crate::{
    labels::{Labels, labels, satisfies},
    names::ObjectName,
};
use malha_model::{Resource, Spanned, Spec, istio};
use std::sync::Arc;

/// A Gateway object.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its namespace and name.
    pub name: ObjectName,
    /// Labels of the proxies that it configures; empty: every gateway proxy (semantics A1).
    pub selector: Labels,
    /// The object.
    pub resource: Arc<Resource>,
}

impl Gateway {
    /// Links `resource`, if it is a Gateway.
    pub(crate) fn link(resource: &Arc<Resource>) -> Option<Self> {
        let Spec::Gateway(gateway) = &resource.spec else { return None };
        Some(Gateway {
            name: ObjectName::new(resource.namespace.clone(), resource.name.clone()),
            selector: labels(&gateway.selector),
            resource: Arc::clone(resource),
        })
    }

    /// Its servers, in the order of the file.
    pub fn servers(&self) -> &[Spanned<istio::gateway::Server>] {
        match &self.resource.spec {
            Spec::Gateway(gateway) => &gateway.servers,
            _ => &[],
        }
    }

    /// Whether it configures gateway proxies with these labels (semantics A1).
    pub fn selects(&self, labels: &Labels) -> bool {
        satisfies(labels, &self.selector)
    }
}
