//! The reference interpreter: what becomes of one request, read off the program from top to bottom.
//!
//! Plain and slow on purpose. Every faster way to the same answer is held against this one.

pub(crate) mod connection;
mod predicate;
mod proxy;
mod tell;

pub use predicate::{Unmet, unmet};

use crate::program::{
    ActionKind, Cluster, Destination, Discovery, Fallback, Filter, Forward, PathRewrite, Program, ProxyProgram, Route,
    RouteTable, TcpRoute, VirtualHost,
};
use connection::Connection;
use malha_algebra::re2::{self, Pattern};
use malha_syntax::Location;
use malha_table::http::{self, BadRequest, Head, Matched};
use malha_table::{
    Decision, Meant, Outcome, Protocol, Redirect, Request, RequestView, Respond, Rewrite, RouteError, choose_proxy,
    request_port,
};
use regex::bytes::RegexBuilder;

/// Says, of a place in the sources, the file's path relative to the mesh root and the line.
pub type Sources<'a> = dyn Fn(Location) -> (String, u32) + 'a;

/// What becomes of `request` (semantics F).
///
/// `random` decides between weighted destinations where the request's `draw` does not.
///
/// # Errors
///
/// The request names no proxy of the program, or several that differ; or it holds a destination address or a draw that
/// means nothing.
pub fn interpret(
    program: &Program,
    request: &Request,
    random: u64,
    sources: &Sources<'_>,
) -> Result<Decision, RouteError> {
    let port = request_port(request);
    let proxy = choose_proxy(request, program.proxies.iter().map(proxy::View))?.0;
    let mut decision = Decision { proxy: Some(proxy::identity(proxy)), ..Decision::default() };
    let head = http::admit(request, program.settings.http(proxy.role));
    let mut connection = Connection::of(request, head.as_ref().err())?;
    let meant = Meant::of(request, connection.destination);
    let run = Run { program: &proxy.program, request, random, sources };
    let Some(listener) = connection::listener(proxy, meant, port) else {
        run.unmatched(proxy.program.fallback, &mut decision)?;
        if decision.outcome == Outcome::Closed {
            decision.outcome = Outcome::NoListener;
        }
        return Ok(decision);
    };
    decision.listener = Some(tell::listener(listener));
    if listener.rejected.is_some() {
        decision.outcome = Outcome::ListenerRejected;
        return Ok(decision);
    }
    connection.destination = match meant {
        Meant::Address(address) => Some(address),
        // It stands for the address of its listener.
        Meant::Name(_) => listener.address(),
        Meant::Host(_) | Meant::Unsaid => None,
    };
    let Some(chain) = connection::filter_chain(listener, &connection) else {
        run.unmatched(listener.fallback, &mut decision)?;
        return Ok(decision);
    };
    let ends_tls = chain.termination.is_some();
    match &chain.filter {
        _ if ends_tls && !connection.tls => decision.outcome = Outcome::Closed,
        Filter::Tcp(route) => run.tcp(route, &mut decision)?,
        // The handshake is done, and no request is there to be routed.
        Filter::Http(_) if ends_tls && connection.protocol == Protocol::Tls => decision.outcome = Outcome::TcpForward,
        Filter::Http(_) if connection.tls != ends_tls => decision.outcome = Outcome::Closed,
        Filter::Http(_) if connection.protocol != Protocol::Http => decision.outcome = Outcome::Closed,
        Filter::Http(table) => run.http(proxy.program.route_tables.get(*table), head, &mut decision)?,
    }
    Ok(decision)
}

/// The virtual host for a Host, and the domain by which it was found: exact, then the longest `*.suffix`, then `*`
/// (semantics A34, A35).
fn virtual_host<'a>(table: &'a RouteTable, authority: &str) -> Option<(&'a VirtualHost, &'a str)> {
    let key = if table.counts_ports { authority.to_ascii_lowercase().into() } else { http::host_key(authority) };
    let domains =
        table.virtual_hosts.iter().flat_map(|host| host.domains.iter().map(move |domain| (&**host, &**domain)));
    domains
        .filter(|(_, domain)| match domain.strip_prefix('*') {
            None => *domain == key,
            Some("") => true,
            Some(suffix) => key.len() > suffix.len() && key.ends_with(suffix),
        })
        .max_by_key(|(_, domain)| (!domain.starts_with('*'), domain.len()))
}

/// One request on its way through one proxy.
struct Run<'a> {
    program: &'a ProxyProgram,
    request: &'a Request,
    random: u64,
    sources: &'a Sources<'a>,
}

impl Run<'_> {
    /// What no filter chain takes.
    fn unmatched(&self, fallback: Fallback, decision: &mut Decision) -> Result<(), RouteError> {
        decision.outcome = match (fallback, &self.program.egress_proxy) {
            (Fallback::EgressProxy, Some(proxy)) => return self.tcp(&proxy.bytes, decision),
            (Fallback::Close | Fallback::EgressProxy, _) => Outcome::Closed,
            (Fallback::Passthrough, _) => Outcome::Passthrough,
            (Fallback::Blackhole, _) => Outcome::Blackhole,
        };
        Ok(())
    }

    /// Bytes are forwarded as they are (semantics A61).
    fn tcp(&self, route: &TcpRoute, decision: &mut Decision) -> Result<(), RouteError> {
        decision.rule = route.origin.as_deref().map(|origin| tell::rule(origin, self.sources));
        decision.destinations = self.destinations(&route.destinations);
        decision.outcome = match self.reach(self.drawn(&route.destinations)?) {
            Outcome::Forward => Outcome::TcpForward,
            other => other,
        };
        Ok(())
    }

    /// Finds the virtual host and the route, and does what it says.
    fn http(
        &self,
        table: Option<&RouteTable>,
        head: Result<Head, BadRequest>,
        decision: &mut Decision,
    ) -> Result<(), RouteError> {
        let Ok(head) = head else {
            decision.outcome = Outcome::BadRequest;
            return Ok(());
        };
        let found = table.and_then(|table| virtual_host(table, &head.authority));
        let Some((host, domain)) = found else {
            decision.outcome = Outcome::NotFound;
            return Ok(());
        };
        if host.catch_all.is_none() {
            decision.host = Some(domain.to_owned());
        }
        if !head.is_routable() {
            decision.outcome = Outcome::NotFound;
            return Ok(());
        }
        if host.require_tls && head.forwarded_proto != "https" {
            decision.outcome = Outcome::HttpsRedirect;
            decision.redirect = Some(Redirect { status: 301, location: http::https_location(&head) });
            return Ok(());
        }
        match host.routes.iter().find(|route| predicate::holds(&route.predicate, &head)) {
            Some(route) => self.act(route, &head, decision)?,
            None => decision.outcome = Outcome::NotFound,
        }
        Ok(())
    }

    fn act(&self, route: &Route, head: &Head, decision: &mut Decision) -> Result<(), RouteError> {
        let action = &*route.action;
        decision.rule = route.origin.as_deref().map(|origin| tell::rule(origin, self.sources));
        decision.request_headers = tell::header_ops(&action.request_headers);
        decision.response_headers = tell::header_ops(&action.response_headers);
        match &action.kind {
            ActionKind::Forward(forward) => {
                self.forward(forward, predicate::matched(&route.predicate), head, decision)?;
            }
            ActionKind::Redirect(redirect) => {
                decision.outcome = Outcome::Redirect;
                decision.redirect = Some(Redirect {
                    status: redirect.status,
                    location: http::redirect_location(
                        &tell::redirect_to(redirect),
                        head,
                        predicate::matched(&route.predicate),
                    ),
                });
            }
            ActionKind::Respond(respond) => {
                decision.outcome = Outcome::Respond;
                // An answer to HEAD has no body.
                let body = if head.method() == "HEAD" { &[][..] } else { &respond.body };
                let body = String::from_utf8_lossy(body).into_owned();
                decision.respond = Some(Respond { status: respond.status, body });
            }
            ActionKind::Passthrough | ActionKind::ByHost => {
                decision.outcome = Outcome::Passthrough;
                decision.rewrite = self.rewrite(head.path_and_query(), head.authority());
            }
            ActionKind::Blackhole => decision.outcome = Outcome::Blackhole,
        }
        Ok(())
    }

    fn forward(
        &self,
        forward: &Forward,
        matched: Matched,
        head: &Head,
        decision: &mut Decision,
    ) -> Result<(), RouteError> {
        decision.destinations = self.destinations(&forward.destinations);
        let drawn = self.drawn(&forward.destinations)?;
        decision.outcome = self.reach(drawn);
        let path = match &forward.path_rewrite {
            None => head.path().to_owned(),
            Some(PathRewrite::Matched(text)) => http::replace_matched(head.path(), matched, text),
            Some(PathRewrite::Regex { pattern, substitution }) => match engine(pattern) {
                Ok(regex) => http::rewrite_matches(&regex, head.path(), substitution),
                // A pattern that is too large for this engine rewrites nothing.
                Err(_) => head.path().to_owned(),
            },
        };
        let path = match head.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let authority = forward.authority.as_deref().or_else(|| drawn?.authority.as_deref());
        decision.rewrite = self.rewrite(path, authority.unwrap_or(head.authority()));
        decision.timeout = forward.timeout.map(http::duration_text);
        decision.retries = forward.retries.as_deref().map(tell::retries);
        decision.mirrors = forward.mirrors.iter().map(tell::mirror).collect();
        decision.fault = tell::fault(forward.delay.as_ref(), forward.abort.as_ref());
        decision.cors = forward.cors.as_deref().map(tell::cors);
        Ok(())
    }

    fn destinations(&self, destinations: &[Destination]) -> Vec<malha_table::Destination> {
        destinations.iter().map(|destination| tell::destination(self.program, destination)).collect()
    }

    /// What the upstream sees, if that is not what was asked.
    fn rewrite(&self, path: String, authority: &str) -> Option<Rewrite> {
        let asked =
            (self.request.path.as_deref().unwrap_or("/"), self.request.authority.as_deref().unwrap_or_default());
        (asked != (path.as_str(), authority)).then(|| Rewrite { path, authority: authority.to_owned() })
    }

    /// The destination that the request's `draw`, or else chance, takes (semantics C8).
    fn drawn<'d>(&self, destinations: &'d [Destination]) -> Result<Option<&'d Destination>, RouteError> {
        if let Some(draw) = self.request.draw {
            let drawn = destinations.get(draw as usize);
            return drawn.map(Some).ok_or(RouteError::Draw { draw, destinations: destinations.len() });
        }
        let weights = destinations.iter().map(|destination| destination.weight);
        Ok(http::pick(weights, self.random).and_then(|index| destinations.get(index)))
    }

    /// Whether the destination can be reached, as far as the mesh says.
    fn reach(&self, destination: Option<&Destination>) -> Outcome {
        match destination.and_then(|destination| cluster(self.program, destination)) {
            None => Outcome::NoCluster,
            Some(cluster) if has_endpoints(cluster) => Outcome::Forward,
            Some(_) => Outcome::NoEndpoints,
        }
    }
}

/// The pattern of a rewrite for the engine that finds groups.
fn engine(pattern: &Pattern) -> Result<http::Regex, regex::Error> {
    // RE2's own limits let patterns pass that need more than this crate takes by default.
    const MOST_BYTES: usize = 64 << 20;
    RegexBuilder::new(&pattern.to_rust()).nest_limit(re2::TRANSLATED_NEST_LIMIT).size_limit(MOST_BYTES).build()
}

/// The cluster of a destination, if there is one.
fn cluster<'a>(program: &'a ProxyProgram, destination: &Destination) -> Option<&'a Cluster> {
    let name = destination.cluster.as_ref()?;
    program.clusters.iter().find(|cluster| cluster.name == *name).map(|cluster| &**cluster)
}

fn has_endpoints(cluster: &Cluster) -> bool {
    matches!(cluster.discovery, Discovery::OriginalDestination | Discovery::DynamicDns) || !cluster.endpoints.is_empty()
}
