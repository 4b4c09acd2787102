//! A command that shows a listener at work: a request that a route of it answers.

use super::{Built, gateways, tell::table_listeners};
use crate::words::quoted;
use malha_proxy::ListenerAddress;
use malha_table::{
    Destination, Outcome, Request, Role, Table, Tls,
    view::{Chain, Filter, Listener, PathTest, Proxy, RouteTable, VirtualHost},
};

/// More virtual hosts of a listener than these are not tried.
const MOST_HOSTS: usize = 64;

/// A request to try.
struct Example {
    host: String,
    /// Whether any other host would do.
    is_any: bool,
    port: u32,
    path: String,
}

/// The command; none where HTTP is not what the listener speaks, or where no plain request is answered by a route.
pub(super) fn example(listener: &ListenerAddress, built: &Built) -> Option<String> {
    let known: Vec<(Proxy<'_>, Listener<'_>)> = table_listeners(listener, &built.table);
    let address = listener.address;
    // One that a rule of the files takes shows more than one that goes to its service anyway.
    let answered = |any: &str, ends_tls: bool| {
        [true, false].into_iter().find_map(|by_rule| {
            let wanted = Wanted { any, ends_tls, by_rule };
            known.iter().find_map(|(proxy, known)| answered(&built.table, proxy, known, wanted))
        })
    };
    if listener.role != "gateway" {
        let Example { host, port, path, .. } = answered("localhost", false)?;
        let port = if port == 80 { String::new() } else { format!(":{port}") };
        return Some(format!("curl -x http://{address} {}", quoted(&format!("http://{host}{port}{path}"))));
    }
    let curl = if built.table.gateway_topology().proxy_protocol { "curl --haproxy-protocol" } else { "curl" };
    let mut chains = known.iter().flat_map(|(_, listener)| listener.chains());
    let Some(ends) = chains.find_map(|chain| chain.termination().filter(|_| is_http(&chain))) else {
        let Example { host, is_any, path, .. } = answered(&address.to_string(), false)?;
        let url = quoted(&format!("http://{address}{path}"));
        return Some(if is_any { format!("{curl} {url}") } else { format!("{curl} -H 'Host: {host}' {url}") });
    };
    let Example { host, path, .. } = answered("localhost", true)?;
    let authority = built.authority.as_ref().map_or_else(|| "ca.pem".into(), |file| file.to_string_lossy());
    let resolve = format!("{host}:{}:{}", address.port(), address.ip());
    let more = if ends.mode() == "MUTUAL" { " --cert client.pem --key client-key.pem" } else { "" };
    let url = quoted(&format!("https://{host}:{}{path}", address.port()));
    let authority = quoted(&authority);
    Some(format!("{curl} --cacert {authority}{more} --resolve {resolve} {url}"))
}

/// Which request is looked for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// A host for routes that take all hosts.
    any: &'a str,
    ends_tls: bool,
    by_rule: bool,
}

/// The first request by path that a route of the listener answers.
fn answered(table: &Table, proxy: &Proxy<'_>, listener: &Listener<'_>, wanted: Wanted<'_>) -> Option<Example> {
    let Wanted { any, ends_tls, by_rule } = wanted;
    let chains = listener.chains().filter(|chain| chain.termination().is_some() == ends_tls);
    let hosts = chains.filter_map(|chain| routes(&chain)).flat_map(|routes| routes.virtual_hosts().collect::<Vec<_>>());
    let mut hosts = hosts.filter(|host| host.catch_all().is_none()).take(MOST_HOSTS);
    hosts.find_map(|virtual_host| {
        let domain = virtual_host.domains().next()?;
        let host = concrete(domain, any);
        let path = paths(&virtual_host).find(|path| {
            let request = Request {
                via: Some(if proxy.role() == Role::Gateway { "gateway" } else { "mesh" }.to_owned()),
                proxy: Some(proxy.identity()),
                port: Some(listener.port()),
                tls: ends_tls.then(|| Tls { sni: Some(host.clone()), alpn: Vec::new() }),
                authority: Some(host.clone()),
                path: Some(path.clone()),
                ..Request::default()
            };
            is_answered(table, proxy, &request, by_rule)
        })?;
        Some(Example { host, is_any: domain == "*", port: listener.port(), path })
    })
}

/// Whether a route answers, and one of a gateway of the same process, if the request goes on there.
fn is_answered(table: &Table, proxy: &Proxy<'_>, request: &Request, by_rule: bool) -> bool {
    let Ok(decision) = table.decide(request, 0) else { return false };
    if by_rule && decision.rule.is_none() {
        return false;
    }
    match decision.outcome {
        Outcome::Redirect | Outcome::HttpsRedirect | Outcome::Respond => true,
        Outcome::Forward => decision.destinations.iter().all(|destination| {
            let Some((gateway, port)) = own_gateway(proxy, destination) else { return true };
            let again = Request {
                via: Some(format!("gateway/{gateway}")),
                port: Some(port),
                authority: request.authority.clone(),
                path: request.path.clone(),
                ..Request::default()
            };
            table.decide(&again, 0).is_ok_and(|decision| decision.outcome == Outcome::Forward)
        }),
        _ => false,
    }
}

/// The gateway of this process that a destination is, and the port it listens on.
fn own_gateway<'t>(proxy: &Proxy<'t>, destination: &Destination) -> Option<(&'t str, u32)> {
    let mut clusters = proxy.clusters().filter(|cluster| {
        cluster.host() == destination.host
            && cluster.port() == destination.port
            && cluster.subset() == destination.subset.as_deref()
    });
    let endpoint = clusters.next()?.endpoints().next()?;
    Some((gateways::own_name(endpoint.address()?)?, endpoint.port()))
}

/// Paths that the routes of a virtual host speak of, after the shortest of all.
fn paths(host: &VirtualHost<'_>) -> impl Iterator<Item = String> {
    let routes = host.routes().take(MOST_HOSTS);
    let named = routes.filter_map(|route| match route.path_test() {
        PathTest::Exact { value, .. } | PathTest::Prefix { value, .. } if value.starts_with('/') => {
            Some(value.to_owned())
        }
        _ => None,
    });
    std::iter::once("/".to_owned()).chain(named.collect::<Vec<_>>())
}

fn routes<'t>(chain: &Chain<'t>) -> Option<RouteTable<'t>> {
    match chain.filter() {
        Some(Filter::Http(routes)) => Some(routes),
        _ => None,
    }
}

fn is_http(chain: &Chain<'_>) -> bool {
    routes(chain).is_some()
}

/// A host that a domain takes.
fn concrete(domain: &str, any: &str) -> String {
    match domain.strip_prefix('*') {
        Some("") => any.to_owned(),
        Some(suffix) => format!("www{suffix}"),
        None => domain.to_owned(),
    }
}
