//! Requests around the boundaries of a program's predicates.

use super::random::Random;
use malha_algebra::{Condition, Field, PathTest, ValueTest};
use malha_mesh::program::{Filter, Listener, Proxy, Role, VirtualHost};
use malha_table::{Address, Lines, Protocol, ProxyIdentity, Request, Tls};

/// Texts in, or near, the languages of the patterns that `mesh` writes.
const TEXTS: &[&str] = &[
    "", "/", "/a", "/ab", "/api/v12", "/api/v", "/foo", "/bar/", "/Foo", "/a/x", "/a/x/y", "abc", "v1", "v3", "/x/b",
    "12", "abba", "c",
];

/// A request for `proxy`, made to meet a rule and then perhaps to miss it by little.
pub(crate) fn request(random: &mut Random, proxy: &Proxy) -> Request {
    let mut request = Request {
        via: Some(if proxy.role == Role::Gateway { "gateway" } else { "mesh" }.to_owned()),
        proxy: Some(ProxyIdentity {
            namespace: proxy.namespace.to_string(),
            labels: proxy.labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
        }),
        ..Request::default()
    };
    request.authority = Some("unknown.example".to_owned());
    request.port = Some(80);
    let listeners = &proxy.program.listeners;
    let listener = (!listeners.is_empty()).then(|| random_listener(random, listeners));
    if let Some(listener) = listener {
        connect(random, listener, &mut request);
    }
    let hosts = hosts(proxy, request.port);
    if !hosts.is_empty() {
        let host = *random.pick(&hosts);
        aim(random, host, &mut request);
    }
    if let Some(listener) = listener.filter(|listener| listener.goes_by_name()) {
        connect_by_name(random, listener, &mut request);
    }
    for _ in 0..random.below(6).saturating_sub(3) {
        disturb(random, &mut request);
    }
    if random.one_in(6) {
        let said = (*random.pick(&["https", "http", "gopher"])).to_owned();
        request.headers.insert("x-forwarded-proto".to_owned(), Lines::One(said));
    }
    request
}

/// One that speaks HTTP, mostly.
fn random_listener<'l>(random: &mut Random, listeners: &'l [Listener]) -> &'l Listener {
    let http: Vec<&Listener> = listeners
        .iter()
        .filter(|listener| listener.filter_chains.iter().any(|chain| matches!(chain.filter, Filter::Http(_))))
        .collect();
    if http.is_empty() || random.one_in(8) { random.pick(listeners) } else { http[random.below(http.len())] }
}

/// A connection that one of the listener's chains takes, mostly.
fn connect(random: &mut Random, listener: &Listener, request: &mut Request) {
    request.port = Some(listener.port);
    let ends_tls = listener.filter_chains.iter().any(|chain| chain.termination.is_some());
    let is_tls = listener.filter_chains.iter().any(|chain| chain.tls == Some(true));
    if is_tls && !random.one_in(6) {
        let names: Vec<&str> = listener
            .filter_chains
            .iter()
            .flat_map(|chain| &chain.server_names)
            .map(smol_str::SmolStr::as_str)
            .collect();
        let name = if names.is_empty() { "q.org" } else { *random.pick(&names) };
        let name = name.strip_prefix('*').map_or(name.to_owned(), |suffix| format!("Y{suffix}"));
        let sni = (!random.one_in(8)).then_some(name);
        request.tls = Some(Tls { sni, alpn: Vec::new() });
        if !ends_tls || random.one_in(6) {
            request.protocol = Some(Protocol::Tls);
        }
    } else if random.one_in(20) {
        request.protocol = Some(Protocol::Tcp);
    }
    if let Some(address) = listener.address().filter(|_| random.one_in(2)) {
        request.destination = Some(Address { ip: address.to_string() });
    } else if random.one_in(20) {
        request.destination = Some(Address { ip: "10.0.0.2".to_owned() });
    }
}

/// A connection that says a name of the listener's, or one that nobody has.
fn connect_by_name(random: &mut Random, listener: &Listener, request: &mut Request) {
    let is_known = !listener.names.is_empty() && !random.one_in(4);
    let unknown = ["nobody.example", "10.0.0.1", "10.9.9.9"];
    let name = if is_known { random.pick(&listener.names).to_string() } else { (*random.pick(&unknown)).to_owned() };
    request.authority = Some(if random.one_in(3) { format!("{name}:9") } else { name });
    if request.tls.is_none() && !random.one_in(4) {
        request.protocol = Some(Protocol::Tcp);
    }
}

/// The virtual hosts that are reached by the port; those with rules, if there are any.
fn hosts(proxy: &Proxy, port: Option<u32>) -> Vec<&VirtualHost> {
    let program = &proxy.program;
    let chains =
        program.listeners.iter().filter(|listener| Some(listener.port) == port).flat_map(|one| &one.filter_chains);
    let tables = chains.filter_map(|chain| match chain.filter {
        Filter::Http(table) => program.route_tables.get(table),
        Filter::Tcp(_) => None,
    });
    let all: Vec<&VirtualHost> = tables.flat_map(|table| &table.virtual_hosts).map(|host| &**host).collect();
    let has_rules = |host: &&VirtualHost| host.routes.iter().any(|route| route.origin.is_some());
    let ruled: Vec<&VirtualHost> = all.iter().copied().filter(has_rules).collect();
    if ruled.is_empty() { all } else { ruled }
}

/// Makes the request meet a route of the host, as far as that is easily told.
fn aim(random: &mut Random, host: &VirtualHost, request: &mut Request) {
    let domain = if host.domains.is_empty() { "" } else { random.pick(&host.domains).as_str() };
    let domain = domain.strip_prefix('*').map_or(domain.to_owned(), |suffix| format!("x{suffix}"));
    request.authority = Some(match random.below(14) {
        0 => domain.to_uppercase(),
        1 => format!("{domain}:8080"),
        2 => format!("y{domain}"),
        3 => format!("z.{domain}"),
        _ => domain,
    });
    if host.routes.is_empty() {
        return;
    }
    let predicate = &random.pick(&host.routes).predicate;
    let path = match &predicate.path {
        PathTest::Any | PathTest::Regex(_) => random.pick(TEXTS).to_string(),
        PathTest::Exact { value, .. } | PathTest::Prefix { value, .. } => boundary(random, value),
    };
    let is_path = path.starts_with('/') || random.one_in(20);
    request.path = Some(if is_path { path } else { format!("/{path}") });
    for condition in &predicate.conditions {
        meet(random, condition, request);
    }
}

/// The text itself, or one character more or less, or of another case.
fn boundary(random: &mut Random, text: &str) -> String {
    match random.below(14) {
        0 => text.chars().take(text.chars().count().saturating_sub(1)).collect(),
        1 => format!("{text}x"),
        2 => format!("{text}/"),
        3 => text.trim_end_matches('/').to_owned(),
        4 => text.to_uppercase(),
        5 => format!("{text}/more/a"),
        _ => text.to_owned(),
    }
}

fn meet(random: &mut Random, condition: &Condition, request: &mut Request) {
    let value = match &condition.test {
        ValueTest::Present => random.pick(&["", "a"]).to_string(),
        ValueTest::Exact(value) | ValueTest::Prefix(value) if random.one_in(2) => boundary(random, value),
        ValueTest::Exact(value) | ValueTest::Prefix(value) => value.to_string(),
        ValueTest::Regex(_) => random.pick(TEXTS).to_string(),
    };
    if condition.negated && random.one_in(2) {
        return;
    }
    match &condition.field {
        Field::Method => request.method = Some(if random.one_in(3) { value } else { "POST".to_owned() }),
        Field::Scheme => request.scheme = Some(if random.one_in(3) { value } else { "https".to_owned() }),
        Field::Authority => request.authority = Some(value),
        Field::PathWithQuery => request.path = Some(value),
        Field::Header(name) => {
            let lines = match random.below(4) {
                0 => Lines::Many(vec!["other".to_owned(), value]),
                1 => Lines::Many(vec![value, String::new()]),
                _ => Lines::One(value),
            };
            request.headers.insert(if random.one_in(4) { name.to_uppercase() } else { name.to_string() }, lines);
        }
        Field::Query(name) => {
            let path = request.path.get_or_insert_with(|| "/".to_owned());
            path.push(if path.contains('?') { '&' } else { '?' });
            let pair = match random.below(5) {
                0 => name.to_string(),
                1 => format!("{name}={value}&{name}=second"),
                2 => format!("{name}=first&{name}={value}"),
                _ => format!("{name}={value}"),
            };
            path.push_str(&pair);
        }
        Field::Claim(_) => {}
    }
}

fn disturb(random: &mut Random, request: &mut Request) {
    let path = request.path.clone().unwrap_or_else(|| "/".to_owned());
    match random.below(14) {
        0 => request.path = Some(format!("{path}x")),
        1 => request.path = Some(path.to_lowercase()),
        2 => request.path = Some(format!("{path}?q=a&q=b")),
        3 => request.path = Some(format!("{path}#fragment")),
        4 => request.path = Some(path.replacen("/a", "/./x/../a", 1)),
        5 => request.path = Some(path.replacen('/', "//", 1)),
        6 => request.path = Some(path.replace('a', "%61")),
        7 => request.path = Some(format!("http://a.foo.com{path}")),
        8 => request.method = Some(random.pick(&["POST", "OPTIONS", "get", "HEAD", "CONNECT"]).to_string()),
        9 => {
            request.headers.pop_first();
        }
        10 => {
            request.headers.insert("x-user".to_owned(), Lines::Many(vec![String::new(), "a".to_owned()]));
        }
        11 => request.authority = random.pick(&[None, Some(""), Some("a.foo.com:1")]).map(str::to_owned),
        12 => request.draw = Some(random.below(2) as u32),
        _ => request.port = Some(random.pick(&[80, 443, 8080, 9000, 7070, 1]).to_owned()),
    }
}
