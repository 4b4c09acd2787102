//! Tests to paste, for rules that no test reaches.

use super::{
    connection::{connection, identity},
    coverage::{Coverage, Item},
    request::from_url,
};
use crate::commands::route;
use malha_algebra::{DEFAULT_BUDGET, Reach};
use malha_mesh::analysis::{HostSpace, Names, Worlds, entrance_of_table};
use malha_mesh::program::{Filter, FilterChain, Listener, Origin, Program, Proxy, RouteTable, VirtualHost};
use malha_mesh::{HttpRule, Mesh, ProxySpec};
use malha_table::{Decision, Request, Table};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _};

/// The sidecars that some matches ask for, by `sourceLabels` and `sourceNamespace`.
pub(super) fn clients(mesh: &Mesh) -> Vec<ProxySpec> {
    let mut clients = Vec::new();
    for service in mesh.virtual_services() {
        for item in service.http_rules().flat_map(HttpRule::matches) {
            if item.request.source_labels.is_empty() && item.request.source_namespace.is_none() {
                continue;
            }
            let namespace = item.request.source_namespace.as_ref().map_or(&service.name.namespace, |it| &it.value);
            let labels = item.request.source_labels.iter();
            clients.push(ProxySpec {
                namespace: namespace.clone(),
                labels: labels.map(|(name, value)| (name.value.clone(), value.value.clone())).collect(),
                ..ProxySpec::default_sidecar()
            });
        }
    }
    clients
}

/// A test that reaches a rule; it was tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Suggestion {
    pub(super) name: String,
    pub(super) request: Value,
    pub(super) expect: Map<String, Value>,
}

/// A test, or why there is none.
pub(super) type Suggested = Result<Suggestion, &'static str>;

/// No proxy has the rule: its Gateway is missing, say, or a rule before it takes everything.
const NOT_EXECUTED: &str = "no proxy executes it";

/// There may be one; earlier rules took all that were tried.
const NOT_FOUND: &str = "no request was found that reaches it";

/// One for each of the uncovered rules, in their order.
pub(super) fn suggest(coverage: &Coverage, program: &Program, table: &Table) -> Vec<Suggested> {
    let mut found: Vec<Suggested> = coverage.uncovered.iter().map(|_| Err(NOT_EXECUTED)).collect();
    let wanted: BTreeMap<&Item, usize> =
        coverage.uncovered.iter().enumerate().map(|(index, (item, ..))| (item, index)).collect();
    let worlds = Worlds::new(program.settings);
    let mut asked = None;
    for place in places(program) {
        let Some(origin) = place.origin() else { continue };
        for item in [Some(origin), origin.delegate.as_deref()].into_iter().flatten().map(item) {
            let slot = wanted.get(&item).and_then(|&index| found.get_mut(index)).filter(|slot| slot.is_err());
            if let Some(slot) = slot {
                let request = place.request(&worlds, &mut asked);
                let test = request.and_then(|request| tried(request, &item, table));
                *slot = test.ok_or(NOT_FOUND);
            }
        }
    }
    found
}

fn item(origin: &Origin) -> Item {
    let Origin { namespace, name, section, index, match_index, .. } = origin.clone();
    Item { namespace, name, section, index, match_index }
}

/// A route or a chain of bytes, with what leads there.
#[derive(Clone, Copy)]
enum Place<'p> {
    Route {
        proxy: &'p Proxy,
        listener: &'p Listener,
        chain: &'p FilterChain,
        table: &'p RouteTable,
        host: &'p VirtualHost,
        index: usize,
    },
    Chain {
        proxy: &'p Proxy,
        listener: &'p Listener,
        index: usize,
    },
}

impl<'p> Place<'p> {
    fn origin(&self) -> Option<&'p Origin> {
        match *self {
            Place::Route { host, index, .. } => host.routes.get(index)?.origin.as_deref(),
            Place::Chain { listener, index, .. } => match &listener.filter_chains.get(index)?.filter {
                Filter::Tcp(route) => route.origin.as_deref(),
                Filter::Http(_) => None,
            },
        }
    }

    /// A request that leads there; none if there is none, or it takes too long to find out.
    fn request(self, worlds: &Worlds, asked: &mut Option<Asked<'p>>) -> Option<Request> {
        let Place::Route { proxy, listener, chain, table, host, index } = self else {
            let Place::Chain { proxy, listener, index } = self else { return None };
            return listener.filter_chains.get(index).map(|chain| connection(proxy, listener, chain));
        };
        let is_same = |asked: &Asked<'p>| std::ptr::eq(asked.chain, chain) && std::ptr::eq(asked.space.host, host);
        if !asked.as_ref().is_some_and(is_same) {
            let names = Names::of(host, table);
            let entrance = entrance_of_table(proxy, listener, chain, &names);
            *asked = Some(Asked { chain, space: HostSpace::new(host, &names, entrance, worlds) });
        }
        let HostSpace { list, space, .. } = &mut asked.as_mut()?.space;
        let Reach::Live(point) = list.reach(space, index, DEFAULT_BUDGET) else { return None };
        let request = asked.as_mut()?.space.request(&point)?;
        // A Gateway's name tells its proxy, and nobody need name the default client.
        let named = request.via.as_deref().is_some_and(|via| via.starts_with("gateway/"));
        let proxy = request.proxy.filter(|_| !named).and_then(|_| identity(proxy));
        Some(Request { proxy, ..request })
    }
}

/// The virtual host that was asked last.
struct Asked<'p> {
    chain: &'p FilterChain,
    space: HostSpace<'p>,
}

/// Every route and every chain of bytes of every proxy.
fn places(program: &Program) -> impl Iterator<Item = Place<'_>> {
    program.proxies.iter().flat_map(|proxy| {
        proxy.program.listeners.iter().flat_map(move |listener| {
            listener.filter_chains.iter().enumerate().flat_map(move |(at, chain)| {
                let table = match &chain.filter {
                    Filter::Http(table) => proxy.program.route_tables.get(*table),
                    Filter::Tcp(_) => None,
                };
                let routes = table.into_iter().flat_map(move |table| {
                    table.virtual_hosts.iter().flat_map(move |host| {
                        let route = move |index| Place::Route { proxy, listener, chain, table, host, index };
                        (0..host.routes.len()).map(route)
                    })
                });
                routes.chain([Place::Chain { proxy, listener, index: at }])
            })
        })
    })
}

/// The test of a request, if the table says that it reaches the rule.
fn tried(request: Request, item: &Item, table: &Table) -> Option<Suggestion> {
    let decision = table.decide(&request, 0).ok().filter(|decision| reaches(decision, item))?;
    let expect = expectations(item, &decision);
    Some(Suggestion { name: item.text(), request: written(request, item, table), expect })
}

fn reaches(decision: &Decision, item: &Item) -> bool {
    let rule = decision.rule.as_ref();
    rule.is_some_and(|rule| item.is(rule) || rule.delegate.as_deref().is_some_and(|delegate| item.is(delegate)))
}

/// A request as a person would write it: by its URL, and what that does not say.
fn written(mut request: Request, item: &Item, table: &Table) -> Value {
    let Some(authority) = request.authority.clone().filter(|_| request.protocol.is_none()) else {
        return json!(request);
    };
    let method = request.method.get_or_insert_with(|| "GET".to_owned());
    let scheme = if request.tls.is_some() { "https" } else { "http" };
    let url = format!("{method} {scheme}://{authority}{}", request.path.as_deref().unwrap_or("/"));
    let (Value::Object(mut rest), Ok(Value::Object(said))) =
        (json!(request), from_url(&url).map(|request| json!(request)))
    else {
        return json!(request);
    };
    if said.keys().any(|key| !rest.contains_key(key)) {
        return json!(request);
    }
    rest.retain(|key, value| said.get(key) != Some(value));
    // Where the request enters need not be said if it is found all the same.
    let mut anywhere = Request { via: None, ..request };
    route::complete(&mut anywhere, table);
    if anywhere.proxy.is_none() && table.decide(&anywhere, 0).is_ok_and(|decision| reaches(&decision, item)) {
        rest.shift_remove("via");
    }
    if rest.is_empty() {
        return Value::String(url);
    }
    let mut whole = Map::from_iter([("url".to_owned(), Value::String(url))]);
    whole.extend(rest);
    Value::Object(whole)
}

/// What was decided, in few words.
fn expectations(item: &Item, decision: &Decision) -> Map<String, Value> {
    let destination = |destination: &malha_table::Destination, weighted: bool| {
        let mut told = Map::new();
        told.insert("host".to_owned(), json!(destination.host));
        told.insert("port".to_owned(), json!(destination.port));
        if let Some(subset) = &destination.subset {
            told.insert("subset".to_owned(), json!(subset));
        }
        if weighted {
            told.insert("weight".to_owned(), json!(destination.weight));
        }
        Value::Object(told)
    };
    let mut expect = Map::new();
    expect.insert("rule".to_owned(), json!(item.text()));
    match decision.destinations.as_slice() {
        [] => {}
        [one] => drop(expect.insert("destination".to_owned(), destination(one, false))),
        several => {
            let several = several.iter().map(|one| destination(one, true)).collect();
            expect.insert("destinations".to_owned(), Value::Array(several));
        }
    }
    if let Some(redirect) = &decision.redirect {
        expect.insert("redirect".to_owned(), json!(redirect));
    }
    if let Some(respond) = &decision.respond {
        expect.insert("status".to_owned(), json!(respond.status));
    }
    if let Some(fault) = &decision.fault {
        expect.insert("fault".to_owned(), json!(fault));
    }
    if expect.len() == 1 {
        expect.insert("outcome".to_owned(), json!(decision.outcome));
    }
    expect
}

/// The page to paste.
pub(super) fn page(coverage: &Coverage, suggestions: &[Suggested]) -> String {
    let mut page = String::new();
    let tests: Vec<&Suggestion> = suggestions.iter().flatten().collect();
    if !tests.is_empty() {
        page.push_str("# Each of these reaches a rule that no test reaches. Keep what you mean in a *.test.yaml.\n");
        page.push_str(&serde_yaml::to_string(&json!({"tests": tests})).unwrap_or_default());
    }
    for (suggestion, (item, file, line)) in suggestions.iter().zip(&coverage.uncovered) {
        if let Err(reason) = suggestion {
            let _ = writeln!(page, "# {file}:{line} {}: {reason}", item.text());
        }
    }
    page
}
