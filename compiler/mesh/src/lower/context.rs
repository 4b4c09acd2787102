//! What all parts of lowering share: the mesh, the cache, the route tables made so far.

use super::Refusal;
use super::destinations::{Resolver, Scope};
use super::routes::{self, RouteList};
use crate::cache::{Cache, Key, key_of};
use crate::labels::Labels;
use crate::program::{Fallback, Note, Route, RouteTable, VirtualHost};
use crate::{GatewayRef, Mesh, ProxySpec, Service, VirtualService};
use hashbrown::HashMap;
use malha_model::istio::virtual_service::HttpRoute;
use smol_str::SmolStr;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What lowering to one proxy reads and fills.
pub(super) struct Context<'a> {
    pub(super) mesh: &'a Mesh,
    pub(super) proxy: &'a ProxySpec,
    pub(super) resolver: Resolver<'a>,
    /// Those of the proxy's labels that some object asks for.
    labels: Labels,
    cache: &'a Cache,
}

impl<'a> Context<'a> {
    pub(super) fn new(mesh: &'a Mesh, proxy: &'a ProxySpec, labels: Labels, cache: &'a Cache) -> Self {
        Context { mesh, proxy, resolver: Resolver::new(mesh, proxy), labels, cache }
    }

    /// What rules of `namespace` are lowered for, on `gateway` and `port`.
    pub(super) fn scope<'s>(
        &'s self,
        gateway: &'s GatewayRef,
        namespace: &'s str,
        port: u32,
        is_tls: bool,
    ) -> Scope<'s> {
        Scope { resolver: &self.resolver, proxy: self.proxy, gateway, namespace, port, is_tls }
    }

    /// The routes of a VirtualService, lowered anew only if something that they are made of has changed.
    pub(super) fn routes(&self, service: &VirtualService, scope: &Scope<'_>) -> Arc<RouteList> {
        let key = list_key(service, &self.labels, scope);
        let known = self.cache.list(key);
        known.unwrap_or_else(|| {
            let list = Arc::new(routes::lower(service, scope, key));
            self.cache.keep_list(key, &list);
            list
        })
    }

    /// The routes of a service that no VirtualService routes (semantics B38).
    pub(super) fn plain_routes(&self, service: &Service, scope: &Scope<'_>) -> Arc<RouteList> {
        let leads = self.resolver.service(service, scope.port);
        let key = key_of(|state| {
            leads.hash(state);
            hash_defaults(scope, state);
        });
        let known = self.cache.list(key);
        known.unwrap_or_else(|| {
            let list = Arc::new(routes::plain(&leads, scope, key));
            self.cache.keep_list(key, &list);
            list
        })
    }

    /// A virtual host of `lists` one after the other, those routes last that take everything (semantics A25).
    pub(super) fn virtual_host(
        &self,
        domains: Vec<SmolStr>,
        require_tls: bool,
        lists: &[Arc<RouteList>],
        catch_all: Option<Fallback>,
    ) -> Arc<VirtualHost> {
        let key = key_of(|state| {
            domains.hash(state);
            require_tls.hash(state);
            catch_all.hash(state);
            for list in lists {
                list.key.hash(state);
            }
        });
        let known = self.cache.host(key);
        known.unwrap_or_else(|| {
            let routes = match lists {
                // What takes everything is the last of a list.
                [list] => Arc::clone(&list.routes),
                lists => {
                    let all = || lists.iter().flat_map(|list| list.routes.iter());
                    let is_last = |route: &&Route| route.predicate.is_catch_all();
                    all().filter(|route| !is_last(route)).chain(all().filter(is_last)).cloned().collect()
                }
            };
            let host = Arc::new(VirtualHost { domains, require_tls, routes, catch_all, ..VirtualHost::default() });
            self.cache.keep_host(key, &host);
            host
        })
    }
}

/// All that the routes of a VirtualService depend on: what the objects say and where they stand, who asks, and where
/// the destinations lead.
fn list_key(service: &VirtualService, labels: &Labels, scope: &Scope<'_>) -> Key {
    key_of(|state| {
        service.resource.content_hash.hash(state);
        service.name.hash(state);
        (scope.proxy.role, &scope.proxy.namespace, labels).hash(state);
        (scope.gateway, scope.port, scope.is_tls).hash(state);
        hash_defaults(scope, state);
        for rule in service.http_rules() {
            rule.location.hash(state);
            if let Some(delegate) = rule.delegate {
                (delegate.resource.content_hash, &delegate.name, delegate.location).hash(state);
            }
            for item in rule.matches() {
                (item.root, item.delegate).hash(state);
            }
            hash_destinations(rule.route, scope, state);
        }
    })
}

fn hash_defaults(scope: &Scope<'_>, state: &mut impl Hasher) {
    let config = scope.config();
    config.istio.hash(state);
    if let Some(policy) = &config.default_http_retry_policy {
        policy.to_string().hash(state);
    }
}

fn hash_destinations(rule: &HttpRoute, scope: &Scope<'_>, state: &mut impl Hasher) {
    let routes = rule.route.iter().filter_map(|route| route.destination.as_ref()).map(|target| &target.value);
    let mirrors = rule.mirrors.iter().filter_map(|mirror| mirror.destination.as_ref()).map(|target| &target.value);
    let mirror = rule.mirror.iter().map(|target| &target.value);
    for destination in routes.chain(mirrors).chain(mirror) {
        scope.http_leads(destination).hash(state);
    }
}

/// A route table, and what Envoy would not load of it.
pub(super) struct LoweredTable {
    pub(super) table: RouteTable,
    pub(super) refusals: Vec<Refusal>,
    pub(super) notes: Vec<Note>,
}

/// The route tables of a proxy, each made once.
#[derive(Default)]
pub(super) struct TableIndex {
    tables: Vec<LoweredTable>,
    by_name: HashMap<SmolStr, usize>,
}

impl TableIndex {
    /// The index of the table `name`, made by `make` if it is new.
    pub(super) fn get_or_insert(&mut self, name: &SmolStr, make: impl FnOnce() -> LoweredTable) -> usize {
        let tables = &mut self.tables;
        *self.by_name.entry_ref(name).or_insert_with(|| {
            tables.push(make());
            tables.len() - 1
        })
    }

    /// What Envoy would not load of the table of this index.
    pub(super) fn refusals(&self, index: usize) -> &[Refusal] {
        self.tables.get(index).map(|table| table.refusals.as_slice()).unwrap_or_default()
    }

    /// What was noted of all tables.
    pub(super) fn take_notes(&mut self) -> impl Iterator<Item = Note> {
        self.tables.iter_mut().flat_map(|table| std::mem::take(&mut table.notes))
    }

    pub(super) fn into_tables(self) -> Vec<RouteTable> {
        self.tables.into_iter().map(|lowered| lowered.table).collect()
    }
}
