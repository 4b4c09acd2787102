//! Decisions, as the contract writes them.

use super::tell;
use crate::{
    Decision, Meant, Outcome, Protocol, Redirect, Request, RequestView, Respond, Rewrite, RouteError, Table,
    choose_proxy,
    http::{self, BadRequest, Head},
    request_port,
    view::{
        ActionKind, Connection, Destination, Fallback, Filter, Forward, PathRewrite, Proxy, Route, RouteTable,
        TcpRoute, Views,
    },
};
use std::net::IpAddr;

impl Table {
    /// What becomes of `request` (semantics F). `seed` decides between weighted destinations where the request's `draw`
    /// does not.
    ///
    /// # Errors
    ///
    /// The request names no proxy of the table, or several; or it holds a destination address or a draw that means
    /// nothing.
    pub fn decide(&self, request: &Request, seed: u64) -> Result<Decision, RouteError> {
        let proxy = choose_proxy(request, self.proxies())?;
        let mut decision = Decision { proxy: Some(proxy.identity()), ..Decision::default() };
        let head = http::admit(request, self.http_settings(proxy.role()));
        let protocol = request.protocol.unwrap_or_default();
        let is_tls = request.tls.is_some() || protocol == Protocol::Tls;
        let is_foreign = head.as_ref().err().is_some_and(|refused| refused.is_foreign);
        let destination = destination(request)?;
        let meant = Meant::of(request, destination);
        let found = proxy.find_listener(request_port(request), meant);
        let connection = Connection {
            destination: match meant {
                Meant::Address(address) => Some(address),
                // It stands for the address of its listener.
                Meant::Name(_) => found.as_ref().and_then(|listener| listener.bind().address()),
                Meant::Host(_) | Meant::Unsaid => None,
            },
            is_tls,
            server_name: request.tls.as_ref().and_then(|tls| tls.sni.as_deref()),
            is_plain_http: !is_tls && protocol == Protocol::Http && !is_foreign,
        };
        let run = Run { proxy, request, seed };
        let Some(listener) = found else {
            run.unmatched(proxy.fallback(), &mut decision)?;
            if decision.outcome == Outcome::Closed {
                decision.outcome = Outcome::NoListener;
            }
            return Ok(decision);
        };
        decision.listener = Some(tell::listener(&listener));
        if listener.rejected().is_some() {
            decision.outcome = Outcome::ListenerRejected;
            return Ok(decision);
        }
        let Some(chain) = listener.select_chain(&connection) else {
            run.unmatched(listener.fallback(), &mut decision)?;
            return Ok(decision);
        };
        let ends_tls = chain.termination().is_some();
        match chain.filter() {
            None => decision.outcome = Outcome::Closed,
            Some(_) if ends_tls && !is_tls => decision.outcome = Outcome::Closed,
            Some(Filter::Tcp(route)) => run.tcp(&route, &mut decision)?,
            // The handshake is done, and no request is there to be routed.
            Some(Filter::Http(_)) if ends_tls && protocol == Protocol::Tls => decision.outcome = Outcome::TcpForward,
            Some(Filter::Http(_)) if is_tls != ends_tls || protocol != Protocol::Http => {
                decision.outcome = Outcome::Closed;
            }
            Some(Filter::Http(routes)) => run.http(&routes, head, &mut decision)?,
        }
        Ok(decision)
    }
}

fn destination(request: &Request) -> Result<Option<IpAddr>, RouteError> {
    let Some(address) = &request.destination else { return Ok(None) };
    address.ip.parse().map(Some).map_err(|_| RouteError::Address(address.ip.clone()))
}

/// One request on its way through one proxy.
struct Run<'a> {
    proxy: Proxy<'a>,
    request: &'a Request,
    seed: u64,
}

impl Run<'_> {
    /// What no filter chain takes.
    fn unmatched(&self, fallback: Fallback, decision: &mut Decision) -> Result<(), RouteError> {
        decision.outcome = match (fallback, self.proxy.egress_proxy()) {
            (Fallback::EgressProxy, Some(proxy)) => return self.tcp(&proxy.bytes, decision),
            (Fallback::Close | Fallback::EgressProxy, _) => Outcome::Closed,
            (Fallback::Passthrough, _) => Outcome::Passthrough,
            (Fallback::Blackhole, _) => Outcome::Blackhole,
        };
        Ok(())
    }

    fn tcp(&self, route: &TcpRoute<'_>, decision: &mut Decision) -> Result<(), RouteError> {
        decision.rule = route.rule().and_then(|rule| rule.source()).map(|source| source.to_rule());
        decision.destinations = route.destinations().map(|destination| tell::destination(&destination)).collect();
        decision.outcome = match reach(self.drawn(&route.destinations())?.as_ref()) {
            Outcome::Forward => Outcome::TcpForward,
            other => other,
        };
        Ok(())
    }

    fn http(
        &self,
        routes: &RouteTable<'_>,
        head: Result<Head, BadRequest>,
        decision: &mut Decision,
    ) -> Result<(), RouteError> {
        let Ok(head) = head else {
            decision.outcome = Outcome::BadRequest;
            return Ok(());
        };
        decision.outcome = Outcome::NotFound;
        let Some(found) = routes.find_host(&head.authority) else { return Ok(()) };
        if found.host.catch_all().is_none() {
            decision.host = Some(found.domain().to_owned());
        }
        if !head.is_routable() {
            return Ok(());
        }
        if found.host.requires_tls() && head.forwarded_proto != "https" {
            decision.outcome = Outcome::HttpsRedirect;
            decision.redirect = Some(Redirect { status: 301, location: http::https_location(&head) });
            return Ok(());
        }
        match found.host.route(&head) {
            Some(route) => self.act(&route, &head, decision),
            None => Ok(()),
        }
    }

    fn act(&self, route: &Route<'_>, head: &Head, decision: &mut Decision) -> Result<(), RouteError> {
        decision.rule = route.rule().and_then(|rule| rule.source()).map(|source| source.to_rule());
        let Some(action) = route.action() else { return Ok(()) };
        decision.request_headers = tell::header_ops(&action.request_headers());
        decision.response_headers = tell::header_ops(&action.response_headers());
        match action.kind() {
            ActionKind::Forward(forward) => self.forward(&forward, route, head, decision)?,
            ActionKind::Redirect(redirect) => {
                decision.outcome = Outcome::Redirect;
                let location = http::redirect_location(&redirect.to(), head, route.matched());
                decision.redirect = Some(Redirect { status: redirect.status(), location });
            }
            ActionKind::Respond(respond) => {
                decision.outcome = Outcome::Respond;
                // An answer to HEAD has no body.
                let body = if head.method() == "HEAD" { &[][..] } else { respond.body() };
                let body = String::from_utf8_lossy(body).into_owned();
                decision.respond = Some(Respond { status: respond.status(), body });
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
        forward: &Forward<'_>,
        route: &Route<'_>,
        head: &Head,
        decision: &mut Decision,
    ) -> Result<(), RouteError> {
        decision.destinations = forward.destinations().map(|destination| tell::destination(&destination)).collect();
        let drawn = self.drawn(&forward.destinations())?;
        decision.outcome = reach(drawn.as_ref());
        let path = match forward.path_rewrite() {
            Some(PathRewrite::Matched(text)) => http::replace_matched(head.path(), route.matched(), text),
            Some(PathRewrite::Regex { pattern: Some(pattern), substitution, .. }) => {
                http::rewrite_matches(pattern, head.path(), substitution)
            }
            Some(PathRewrite::Regex { pattern: None, .. }) | None => head.path().to_owned(),
        };
        let path = match head.query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        let authority = forward.authority().or_else(|| drawn?.authority());
        decision.rewrite = self.rewrite(path, authority.unwrap_or(head.authority()));
        decision.timeout = forward.timeout().map(http::duration_text);
        decision.retries = forward.retries().map(|retries| tell::retries(&retries));
        decision.mirrors = forward.mirrors().map(|mirror| tell::mirror(&mirror)).collect();
        decision.fault = forward.fault().map(|fault| tell::fault(&fault));
        decision.cors = forward.cors().map(|cors| tell::cors(&cors));
        Ok(())
    }

    /// What the upstream sees, if that is not what was asked.
    fn rewrite(&self, path: String, authority: &str) -> Option<Rewrite> {
        let asked =
            (self.request.path.as_deref().unwrap_or("/"), self.request.authority.as_deref().unwrap_or_default());
        (asked != (path.as_str(), authority)).then(|| Rewrite { path, authority: authority.to_owned() })
    }

    /// The destination that the request's `draw`, or else the seed, takes (semantics C8).
    fn drawn<'t>(&self, destinations: &Views<'t, Destination<'t>>) -> Result<Option<Destination<'t>>, RouteError> {
        if let Some(draw) = self.request.draw {
            let drawn = destinations.get(draw as usize);
            return drawn.map(Some).ok_or(RouteError::Draw { draw, destinations: destinations.len() });
        }
        let weights = destinations.clone().map(|destination| destination.weight());
        Ok(http::pick(weights, self.seed).and_then(|index| destinations.get(index)))
    }
}

/// Whether the destination can be reached, as far as the mesh says.
fn reach(destination: Option<&Destination<'_>>) -> Outcome {
    match destination.and_then(Destination::cluster) {
        None => Outcome::NoCluster,
        Some(cluster) if cluster.usable_endpoints() == Some(0) => Outcome::NoEndpoints,
        Some(_) => Outcome::Forward,
    }
}
