//! The names by which clients of one namespace know a service (semantics B36).

use crate::lower::context::Context;
use crate::registry::Service;
use smol_str::{SmolStr, format_smolstr};

/// All domains of a service's virtual host: its name, with a closing dot too, its short forms, its addresses; for a
/// headless Service also everything below.
pub(super) fn of_service(service: &Service, context: &Context<'_>) -> Vec<SmolStr> {
    let mut domains = vec![service.hostname.clone(), format_smolstr!("{}.", service.hostname)];
    domains.extend(short_forms(service, context));
    if service.is_headless() {
        let below: Vec<SmolStr> = domains.iter().map(|domain| format_smolstr!("*.{domain}")).collect();
        domains.extend(below);
    }
    // Ranges are no hosts.
    domains.extend(service.addresses.iter().filter(|address| !address.contains('/')).cloned());
    domains
}

/// `svc` for clients of its namespace, `svc.ns`, `svc.ns.svc`: for names of the form `svc.ns.svc.DOMAIN` alone.
pub(super) fn short_forms(service: &Service, context: &Context<'_>) -> Vec<SmolStr> {
    let suffix = format_smolstr!(".svc.{}", context.mesh.config().cluster_domain);
    let Some(short) = service.hostname.strip_suffix(suffix.as_str()) else { return Vec::new() };
    let Some((name, namespace)) = short.split_once('.') else { return Vec::new() };
    let mut forms = vec![SmolStr::from(short), format_smolstr!("{short}.svc")];
    if namespace == context.proxy.namespace {
        forms.push(name.into());
    }
    forms
}
