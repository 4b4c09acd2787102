//! The names by which clients of one namespace know a service (semantics B36).

use crate::lower::context::Context;
use crate::registry::Service;
use smol_str::{SmolStr, format_smolstr};

/// All domains of a service's virtual host: its name and those that stand for it (semantics E28), each with a closing dot
/// too and in its short forms, its addresses; for a headless Service also everything below.
pub(super) fn of_service(service: &Service, context: &Context<'_>) -> Vec<SmolStr> {
    let mut domains = Vec::new();
    for name in names(service) {
        domains.extend([name.clone(), format_smolstr!("{name}.")]);
        domains.extend(short(name, context));
    }
    if service.is_headless() {
        let below: Vec<SmolStr> = domains.iter().map(|domain| format_smolstr!("*.{domain}")).collect();
        domains.extend(below);
    }
    // Ranges are no hosts.
    domains.extend(service.addresses.iter().filter(|address| !address.contains('/')).cloned());
    domains
}

/// Its name, then those that stand for it.
fn names(service: &Service) -> impl Iterator<Item = &SmolStr> {
    std::iter::once(&service.hostname).chain(&service.aliases)
}

/// The short forms of all its names.
pub(super) fn short_forms(service: &Service, context: &Context<'_>) -> Vec<SmolStr> {
    names(service).flat_map(|name| short(name, context)).collect()
}

/// What clients of TLS may call it: its name, and those that stand for it, these in their short forms too (semantics E28).
pub(super) fn server_names(service: &Service, context: &Context<'_>) -> Vec<SmolStr> {
    let aliases = service.aliases.iter().flat_map(|alias| [vec![alias.clone()], short(alias, context)].concat());
    std::iter::once(service.hostname.clone()).chain(aliases).collect()
}

/// `svc` for clients of its namespace, `svc.ns`, `svc.ns.svc`: for names of the form `svc.ns.svc.DOMAIN` alone.
fn short(hostname: &SmolStr, context: &Context<'_>) -> Vec<SmolStr> {
    let suffix = format_smolstr!(".svc.{}", context.mesh.config().cluster_domain);
    let Some(short) = hostname.strip_suffix(suffix.as_str()) else { return Vec::new() };
    let Some((name, namespace)) = short.split_once('.') else { return Vec::new() };
    let mut forms = vec![SmolStr::from(short), format_smolstr!("{short}.svc")];
    if namespace == context.proxy.namespace {
        forms.push(name.into());
    }
    forms
}
