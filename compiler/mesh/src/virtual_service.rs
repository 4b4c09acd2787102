//! VirtualServices, linked: names made whole, delegates merged.

use crate::{
    config::MeshConfig,
    delegate::{DelegateRule, Delegation, MergedMatch, MergedRule},
    names::{GatewayRef, ObjectName, fully_qualified, gateway_ref},
    visibility::Visibility,
};
use malha_model::{
    Resource, Spanned, Spec,
    istio::{
        Destination,
        virtual_service::{HttpMatchRequest, HttpRoute, TcpRoute, TlsRoute},
    },
};
use malha_syntax::Location;
use smol_str::SmolStr;
use std::sync::Arc;

/// A VirtualService object.
#[derive(Clone, Debug)]
pub struct VirtualService {
    /// Its namespace and name.
    pub name: ObjectName,
    /// Its hosts, fully qualified; none: a delegate, which routes nothing of itself (semantics B5).
    pub hosts: Vec<SmolStr>,
    /// What it binds to; `mesh` where it says nothing (semantics B1).
    pub gateways: Vec<GatewayRef>,
    /// Which proxies see it, by namespace (semantics B7).
    pub visibility: Visibility,
    /// What became of its rules that delegate, in their order.
    pub delegations: Vec<Delegation>,
    /// The object.
    pub resource: Arc<Resource>,
    /// The rules that stand in place of those that delegate, by index of the root rule.
    pub(crate) merged: Vec<MergedRule>,
}

impl VirtualService {
    /// Links `resource`, if it is a VirtualService. Delegates are merged later.
    pub(crate) fn link(resource: &Arc<Resource>, config: &MeshConfig) -> Option<Self> {
        let Spec::VirtualService(spec) = &resource.spec else { return None };
        let namespace = &resource.namespace;
        let mut gateways: Vec<GatewayRef> = spec.gateways.iter().map(|name| gateway_ref(name, namespace)).collect();
        if gateways.is_empty() && !spec.hosts.is_empty() {
            gateways.push(GatewayRef::Mesh);
        }
        let mut seen = Vec::with_capacity(gateways.len());
        gateways.retain(|gateway| {
            let new = !seen.contains(gateway);
            if new {
                seen.push(gateway.clone());
            }
            new
        });
        let export_to = spec.export_to.iter().map(|entry| entry.value.as_str());
        Some(VirtualService {
            name: ObjectName::new(namespace.clone(), resource.name.clone()),
            hosts: spec.hosts.iter().map(|host| fully_qualified(host, namespace, &config.cluster_domain)).collect(),
            gateways,
            visibility: Visibility::new(export_to, namespace, &config.default_virtual_service_export_to),
            delegations: Vec::new(),
            resource: Arc::clone(resource),
            merged: Vec::new(),
        })
    }

    /// Whether it binds to `gateway`.
    pub fn binds_to(&self, gateway: &GatewayRef) -> bool {
        self.gateways.contains(gateway)
    }

    /// The HTTP rules in order; rules of delegates stand where the root rule delegates to them (semantics B16).
    pub fn http_rules(&self) -> impl Iterator<Item = HttpRule<'_>> {
        let rules: &[Spanned<HttpRoute>] = match &self.resource.spec {
            Spec::VirtualService(spec) => &spec.http,
            _ => &[],
        };
        rules.iter().enumerate().flat_map(move |(index, rule)| {
            let index = index as u32;
            let location = self.resource.location(rule.span);
            let own = rule.delegate.is_none().then_some(HttpRule {
                index,
                location,
                route: &rule.value,
                delegate: None,
                merged_matches: &[],
            });
            let first = self.merged.partition_point(|merged| merged.root < index);
            let merged = self.merged.get(first..).unwrap_or_default();
            let merged = merged.iter().take_while(move |merged| merged.root == index).map(move |merged| HttpRule {
                index,
                location,
                route: &merged.route,
                delegate: Some(&merged.delegate),
                merged_matches: &merged.matches,
            });
            own.into_iter().chain(merged)
        })
    }

    /// Every destination that its rules name, copies of requests included.
    pub fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations_of(|_| true)
    }

    /// The same for proxies of `namespace`: without HTTP rules of which a match is for another namespace and none for
    /// this (semantics E33).
    pub(crate) fn destinations_for<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Destination> {
        self.destinations_of(move |rule| {
            let mut sources = rule.matches().filter_map(source_namespace).peekable();
            sources.peek().is_none() || sources.any(|source| *source == *namespace)
        })
    }

    /// The namespaces whose clients matches of HTTP rules ask for.
    pub(crate) fn source_namespaces(&self) -> impl Iterator<Item = &SmolStr> {
        self.http_rules().flat_map(HttpRule::matches).filter_map(source_namespace)
    }

    fn destinations_of<'a>(
        &'a self,
        wanted: impl Fn(&HttpRule<'a>) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Destination> {
        let http = self.http_rules().filter(wanted).flat_map(|rule| {
            let routes = rule.route.route.iter().filter_map(|item| item.destination.as_ref());
            let mirrors = rule.route.mirrors.iter().filter_map(|item| item.destination.as_ref());
            let destinations = routes.chain(mirrors).map(|destination| &destination.value);
            destinations.chain(rule.route.mirror.as_deref().map(|destination| &destination.value))
        });
        let connections = self.tls_rules().iter().flat_map(|rule| &rule.route);
        let connections = connections.chain(self.tcp_rules().iter().flat_map(|rule| &rule.route));
        http.chain(connections.filter_map(|item| item.destination.as_ref()).map(|destination| &destination.value))
    }

    /// The rules for TLS that is passed through, in order.
    pub fn tls_rules(&self) -> &[Spanned<TlsRoute>] {
        match &self.resource.spec {
            Spec::VirtualService(spec) => &spec.tls,
            _ => &[],
        }
    }

    /// The rules for other bytes, in order.
    pub fn tcp_rules(&self) -> &[Spanned<TcpRoute>] {
        match &self.resource.spec {
            Spec::VirtualService(spec) => &spec.tcp,
            _ => &[],
        }
    }
}

/// The namespace whose clients a match asks for.
fn source_namespace(item: HttpMatch<'_>) -> Option<&SmolStr> {
    item.request.source_namespace.as_ref().map(|name| &name.value).filter(|name| !name.is_empty())
}

/// One HTTP rule in force.
#[derive(Clone, Copy, Debug)]
pub struct HttpRule<'a> {
    /// Its index in `spec.http`; that of the root where a delegate is merged.
    pub index: u32,
    /// The rule of that index.
    pub location: Location,
    /// What it says. Where a delegate is merged, hosts and gateways in it are whole names already; resolving them once
    /// more in the namespace of the VirtualService changes nothing.
    pub route: &'a HttpRoute,
    /// The delegate's rule that is merged into it.
    pub delegate: Option<&'a DelegateRule>,
    merged_matches: &'a [MergedMatch],
}

impl<'a> HttpRule<'a> {
    /// Its match items in order; none: it takes every request.
    pub fn matches(self) -> impl Iterator<Item = HttpMatch<'a>> {
        self.route.matches.iter().enumerate().map(move |(at, item)| {
            if self.delegate.is_none() {
                let location = Location { source: self.location.source, span: item.span };
                return HttpMatch { request: &item.value, root: Some((at as u32, location)), delegate: None };
            }
            let merged = self.merged_matches.get(at);
            HttpMatch {
                request: &item.value,
                root: merged.and_then(|merged| merged.root),
                delegate: merged.and_then(|merged| merged.delegate),
            }
        })
    }
}

/// One item of `match`.
#[derive(Clone, Copy, Debug)]
pub struct HttpMatch<'a> {
    /// What it says.
    pub request: &'a HttpMatchRequest,
    /// Index and place of the item of the root rule that it comes from; none: the root rule has no `match`.
    pub root: Option<(u32, Location)>,
    /// Index and place of the item of the delegate's rule that it comes from.
    pub delegate: Option<(u32, Location)>,
}
