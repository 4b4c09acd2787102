//! Which servers of gateways use which credentials.

use super::secret::HeldSecret;
use crate::{rule::Context, slip::Names};
use malha_mesh::{Gateway, Mesh, registry::WorkloadKind};
use malha_model::{
    Kind, Resource, Spanned, Spec,
    istio::gateway::{Server, ServerTlsMode},
};
use malha_syntax::Location;
use smol_str::SmolStr;
use std::collections::{BTreeMap, BTreeSet};

/// A credential that a server names.
pub(crate) struct CredentialUse<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) server: &'a Server,
    /// As written.
    pub(crate) name: &'a Spanned<SmolStr>,
    pub(crate) location: Location,
    /// Its path, as `spec.servers[0].tls.credentialName`.
    pub(crate) field: String,
    /// Who shows the credential, and reads it in its own namespace.
    pub(crate) homes: Vec<Home>,
    /// Whether clients' certificates are checked by what it holds, or by what a Secret of a similar name does.
    pub(crate) wants_authorities: bool,
    /// Whether it is for checking clients alone.
    pub(crate) is_authorities: bool,
}

/// A gateway proxy that the files, or the configuration, say.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Home {
    pub(crate) namespace: SmolStr,
    pub(crate) workload: SmolStr,
}

/// The credentials that servers name. Those of other forms than the name of a Secret are left out.
pub(crate) fn uses<'a>(context: &Context<'a>) -> Vec<CredentialUse<'a>> {
    let mut found = Vec::new();
    // Of each selector once: many Gateways share one.
    let mut known: BTreeMap<&Labels, Vec<Home>> = BTreeMap::new();
    for gateway in context.mesh.gateways().iter().filter(|gateway| names_credentials(gateway)) {
        let homes = known.entry(&gateway.selector).or_insert_with(|| homes(context.mesh, gateway));
        for (index, server) in gateway.servers().iter().enumerate() {
            let Some(tls) = &server.tls else { continue };
            let mode = tls.mode.as_ref().map_or(ServerTlsMode::Passthrough, |mode| mode.value);
            let is_mutual = matches!(mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
            if mode != ServerTlsMode::Simple && !is_mutual {
                continue;
            }
            let path = format!("spec.servers[{index}].tls");
            let one = tls.credential_name.iter().map(|name| (name, format!("{path}.credentialName")));
            let several = tls.credential_names.iter().enumerate();
            let several = several.map(|(at, name)| (name, format!("{path}.credentialNames[{at}]")));
            let own = one.chain(several).map(|(name, field)| (name, field, false));
            let authorities = tls.ca_cert_credential_name.iter().filter(|_| is_mutual);
            let authorities = authorities.map(|name| (name, format!("{path}.caCertCredentialName"), true));
            for (at, (name, field, is_authorities)) in own.chain(authorities).enumerate() {
                if name.is_empty() || name.contains("://") || name.contains('/') {
                    continue;
                }
                found.push(CredentialUse {
                    gateway,
                    server: &server.value,
                    name,
                    location: gateway.resource.location(name.span),
                    field,
                    homes: homes.clone(),
                    // Of several the first names the authorities (semantics A47).
                    wants_authorities: is_mutual && at == 0 && tls.ca_cert_credential_name.is_none(),
                    is_authorities,
                });
            }
        }
    }
    found
}

type Labels = BTreeMap<SmolStr, SmolStr>;

fn names_credentials(gateway: &Gateway) -> bool {
    let mut settings = gateway.servers().iter().filter_map(|server| server.tls.as_ref());
    settings.any(|tls| {
        tls.credential_name.is_some() || !tls.credential_names.is_empty() || tls.ca_cert_credential_name.is_some()
    })
}

/// The proxies of a Gateway that are more than made up.
fn homes(mesh: &Mesh, gateway: &Gateway) -> Vec<Home> {
    if gateway.selector.is_empty() {
        return Vec::new();
    }
    let workloads = mesh.registry().workloads().iter();
    let pods = workloads.filter(|workload| workload.kind != WorkloadKind::WorkloadEntry);
    let pods = pods.filter(|workload| gateway.selects(&workload.labels));
    let pods = pods.map(|workload| (&workload.name.namespace, &workload.name.name));
    let configured = mesh.config().gateways.iter().filter(|configured| gateway.selects(&configured.labels));
    let configured = configured.map(|configured| (&configured.namespace, &configured.name));
    let homes: BTreeMap<SmolStr, SmolStr> =
        configured.chain(pods).map(|(namespace, name)| (namespace.clone(), name.clone())).collect();
    homes.into_iter().map(|(namespace, workload)| Home { namespace, workload }).collect()
}

/// The Secrets of a mesh, by name.
pub(crate) struct Secrets<'a> {
    by_name: BTreeMap<&'a str, Vec<HeldSecret<'a>>>,
    /// What other programs make Secrets of, by the name of the Secret.
    made: BTreeMap<&'a str, Vec<&'a Resource>>,
    /// Those that hold a certificate, or that one is made for.
    namespaces: BTreeSet<&'a str>,
    refused: BTreeSet<&'a str>,
    /// All names, and those of each namespace.
    all: Names,
    own: BTreeMap<&'a str, Names>,
}

impl<'a> Secrets<'a> {
    pub(crate) fn of(mesh: &'a Mesh) -> Secrets<'a> {
        let mut by_name: BTreeMap<&str, Vec<HeldSecret<'_>>> = BTreeMap::new();
        let mut made: BTreeMap<&str, Vec<&Resource>> = BTreeMap::new();
        let mut namespaces = BTreeSet::new();
        for resource in mesh.resources() {
            if let Spec::Secret(secret) = &resource.spec {
                let held = HeldSecret { resource, secret };
                by_name.entry(&resource.name).or_default().push(held);
                if held.is_for_tls() {
                    namespaces.insert(resource.namespace.as_str());
                }
            } else if let Some(name) = resource.made_secret() {
                made.entry(name).or_default().push(resource);
                if resource.kind == Kind::Certificate {
                    namespaces.insert(resource.namespace.as_str());
                }
            }
        }
        let refused = mesh.refused().iter().filter_map(|resource| match resource.kind {
            Kind::Secret => Some(&resource.name),
            _ => resource.made_secret(),
        });
        let refused = refused.map(SmolStr::as_str).collect();
        let mut own: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let held = by_name.iter().flat_map(|(name, held)| held.iter().map(move |held| (*name, held.resource)));
        let others = made.iter().flat_map(|(name, made)| made.iter().map(move |made| (*name, *made)));
        for (name, resource) in held.chain(others) {
            own.entry(resource.namespace.as_str()).or_default().insert(name);
        }
        let all: BTreeSet<&str> = by_name.keys().chain(made.keys()).copied().collect();
        let own = own.into_iter().map(|(namespace, names)| (namespace, names.into_iter().collect())).collect();
        Secrets { by_name, made, namespaces, refused, all: all.into_iter().collect(), own }
    }

    /// Whether a namespace has a Secret of this name, or will have it once another program has made it.
    pub(crate) fn has(&self, namespace: &str, name: &str) -> bool {
        let made = self.made.get(name).into_iter().flatten();
        self.get(namespace, name).is_some() || made.into_iter().any(|resource| resource.namespace == namespace)
    }

    /// An object by which some namespace has, or will have, a Secret of this name.
    pub(crate) fn somewhere(&self, name: &str) -> Option<&'a Resource> {
        let held = self.named(name).first().map(|held| held.resource);
        held.or_else(|| self.made.get(name).and_then(|made| made.first().copied()))
    }

    /// Those of a name, whatever the namespace.
    pub(crate) fn named(&self, name: &str) -> &[HeldSecret<'a>] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// The one of this name in a namespace.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<HeldSecret<'a>> {
        self.named(name).iter().copied().find(|secret| secret.resource.namespace == namespace)
    }

    /// The Secrets that a use may mean: of the namespaces of its proxies; of any, where none is known.
    pub(crate) fn meant(&self, usage: &CredentialUse<'_>) -> Vec<HeldSecret<'a>> {
        if usage.homes.is_empty() {
            return self.named(usage.name).to_vec();
        }
        usage.homes.iter().filter_map(|home| self.get(&home.namespace, usage.name)).collect()
    }

    /// Whether one of this name is there but refused.
    pub(crate) fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    /// Whether the input holds certificates of a namespace: then it may hold all of them. Passwords say nothing of where
    /// certificates are kept.
    pub(crate) fn has_namespace(&self, namespace: &str) -> bool {
        self.namespaces.contains(namespace)
    }

    /// The name of a Secret that `name` is probably meant for: of a namespace, if one is given and it has one; else of any.
    pub(crate) fn near(&self, name: &str, namespace: Option<&str>) -> Option<&str> {
        let own = namespace.and_then(|namespace| self.own.get(namespace));
        own.and_then(|own| own.near(name)).or_else(|| self.all.near(name))
    }
}
