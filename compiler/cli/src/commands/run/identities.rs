//! The certificates by which the proxies of a mesh know each other, where the mesh's own authority gives none.

use super::credentials::opened;
use crate::{failure::Failure, mock::LocalAuthority};
use malha_mesh::{Labels, Mesh, registry::Workload, satisfies};
use malha_proxy::{Credential, Credentials};
use malha_table::{Role, Table, view::Proxy};
use std::{collections::BTreeMap, sync::Arc};

/// The certificates made so far, by name: a proxy keeps its own.
pub(super) type Identities = BTreeMap<String, Credential>;

/// Gives each proxy a certificate by the local authority, if gateways end the mesh's own TLS; a line that tells of it.
///
/// # Errors
/// The authority cannot be opened.
pub(super) fn stand_in(
    mesh: &Mesh,
    table: &Table,
    credentials: &mut Credentials,
    authority: &mut Option<Arc<LocalAuthority>>,
    known: &mut Identities,
) -> Result<Option<String>, Failure> {
    if !table.proxies().any(|proxy| ends_mesh_tls(&proxy)) {
        return Ok(None);
    }
    let authority = opened(authority)?;
    for proxy in table.proxies() {
        let name = name(mesh, &proxy);
        let identity = if let Some(identity) = known.get(&name) {
            identity.clone()
        } else {
            let identity = authority.identify(&name)?;
            known.insert(name, identity.clone());
            identity
        };
        credentials.identify_proxy(proxy.namespace(), proxy.name(), identity);
    }
    Ok(Some(format!(
        "sidecars and gateways speak the mesh's own TLS (ISTIO_MUTUAL) to each other by the local authority {}",
        authority.certificate_file().display()
    )))
}

fn ends_mesh_tls(proxy: &Proxy<'_>) -> bool {
    let mut chains = proxy.listeners().flat_map(|listener| listener.chains());
    proxy.role() == Role::Gateway
        && chains.any(|chain| chain.termination().is_some_and(|ends| ends.mode() == "ISTIO_MUTUAL"))
}

/// Who a proxy is: the service account of its workload, where the files say it, in its namespace.
fn name(mesh: &Mesh, proxy: &Proxy<'_>) -> String {
    let labels: Labels = proxy.labels().map(|(name, value)| (name.into(), value.into())).collect();
    let is_its = |workload: &&Workload| {
        workload.name.namespace == proxy.namespace()
            && (workload.name.name == proxy.name() || !labels.is_empty() && satisfies(&workload.labels, &labels))
    };
    let best = |workload: &&Workload| workload.name.name == proxy.name();
    let workload = mesh.registry().workloads().iter().filter(is_its).max_by_key(best);
    let account = workload.and_then(Workload::service_account).unwrap_or("default");
    format!("spiffe://{}/ns/{}/sa/{account}", mesh.config().trust_domain, proxy.namespace())
}
