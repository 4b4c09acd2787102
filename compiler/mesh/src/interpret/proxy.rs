//! A proxy as the choice of one sees it.

use crate::program::{Proxy, Role};
use malha_table::{ProxyIdentity, ProxyView};

/// A proxy of the program.
pub(super) struct View<'a>(pub(super) &'a Proxy);

impl ProxyView for View<'_> {
    fn role(&self) -> Role {
        self.0.role
    }

    fn display_name(&self) -> String {
        format!("{}/{}", self.0.namespace, self.0.name)
    }

    fn is(&self, wanted: &ProxyIdentity) -> bool {
        identity(self.0) == *wanted
    }

    fn is_selected_by(&self, namespace: &str, name: &str) -> bool {
        self.0.gateways.iter().any(|gateway| gateway.0 == *namespace && gateway.1 == *name)
    }

    fn listens_on(&self, port: u32) -> bool {
        self.0.program.listeners.iter().any(|listener| listener.port == port)
    }
}

/// The identity that decisions tell.
pub(super) fn identity(proxy: &Proxy) -> ProxyIdentity {
    ProxyIdentity {
        namespace: proxy.namespace.to_string(),
        labels: proxy.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
    }
}
