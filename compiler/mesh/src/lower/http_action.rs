//! What a rule does with the requests it takes (semantics C).

use super::destinations::{Scope, Target};
use super::{Refusal, headers, http_match, policies};
use crate::program::{
    Action, ActionKind, Destination, Forward, HeaderOps, Mirror, PathRewrite, Redirect, Respond, Retries,
};
use malha_model::istio::virtual_service::{
    HttpDirectResponse, HttpRedirect, HttpRetry, HttpRewrite, HttpRoute, HttpRouteDestination, RedirectPortSelection,
};
use malha_syntax::{Location, SourceId};
use std::sync::Arc;

/// The action of a rule; `refusals` takes what Envoy would not load of it.
pub(super) fn action(rule: &HttpRoute, scope: &Scope<'_>, source: SourceId, refusals: &mut Vec<Refusal>) -> Action {
    let level = headers::level(rule.headers.as_ref().map(|headers| &headers.value), source, refusals);
    let kind = if let Some(to) = &rule.redirect {
        let location = Location { source, span: to.span };
        ActionKind::Redirect(Box::new(redirect(to, scope, location, refusals)))
    } else if let Some(response) = &rule.direct_response {
        ActionKind::Respond(respond(response))
    } else {
        ActionKind::Forward(Box::new(forward(rule, level.authority, scope, source, refusals)))
    };
    Action { kind, request_headers: level.request, response_headers: level.response }
}

fn forward(
    rule: &HttpRoute,
    header_authority: Option<smol_str::SmolStr>,
    scope: &Scope<'_>,
    source: SourceId,
    refusals: &mut Vec<Refusal>,
) -> Forward {
    let (destinations, hash) = destinations(&rule.route, scope, source, refusals);
    let rewrite = rule.rewrite.as_ref().map(|rewrite| &rewrite.value);
    let authority = rewrite.and_then(|rewrite| rewrite.authority.as_ref()).map(|authority| authority.value.clone());
    let (delay, abort) = policies::faults(rule.fault.as_ref().map(|fault| &fault.value));
    let is_hashed = !hash.is_empty() && rule.route.len() == 1;
    Forward {
        destinations,
        path_rewrite: rewrite.and_then(|rewrite| path_rewrite(rewrite, source, refusals)),
        authority: authority.filter(|authority| !authority.is_empty()).or(header_authority),
        timeout: rule.timeout.as_ref().map(|timeout| timeout.to_std()).filter(|timeout| !timeout.is_zero()),
        retries: retries(rule.retries.as_ref().map(|retries| &retries.value), scope, is_hashed),
        mirrors: mirrors(rule, scope),
        delay,
        abort,
        cors: rule.cors_policy.as_ref().map(|policy| Box::new(policies::cors(policy, source, refusals))),
        hash,
    }
}

/// The retries in force; those of the mesh are made once.
fn retries(policy: Option<&HttpRetry>, scope: &Scope<'_>, is_hashed: bool) -> Option<Arc<Retries>> {
    match policy {
        Some(policy) => policies::retries(Some(policy), scope.config(), is_hashed).map(Arc::new),
        None => scope.resolver.default_retries(is_hashed),
    }
}

/// Those that take a share: the only one, whatever its weight, or those with a weight (semantics C6, C7); and how a
/// hash is computed over all of them (semantics D23).
fn destinations(
    routes: &[malha_model::Spanned<HttpRouteDestination>],
    scope: &Scope<'_>,
    source: SourceId,
    refusals: &mut Vec<Refusal>,
) -> (Vec<Destination>, Vec<crate::program::HashKey>) {
    let mut destinations = Vec::with_capacity(routes.len());
    let mut hash = Vec::new();
    for route in routes {
        let weight = route.weight.as_ref().and_then(|weight| u32::try_from(weight.value).ok()).unwrap_or(0);
        if routes.len() > 1 && weight == 0 {
            continue;
        }
        let Some(target) = &route.destination else { continue };
        let Target { mut destination, hash: key } = scope.http_target(target);
        hash.extend(key);
        let level = headers::level(route.headers.as_ref().map(|headers| &headers.value), source, refusals);
        destination.weight = if routes.len() > 1 { weight } else { 1 };
        destination.authority = level.authority;
        destination.request_headers = level.request;
        destination.response_headers = level.response;
        destinations.push(destination);
    }
    (destinations, hash)
}

fn mirrors(rule: &HttpRoute, scope: &Scope<'_>) -> Vec<Mirror> {
    let one = rule.mirror.iter().map(|target| (&target.value, policies::mirror_share(rule)));
    let several = rule.mirrors.iter().filter_map(|mirror| {
        let share = policies::share(mirror.percentage.as_ref().map(|percentage| &percentage.value));
        Some((&mirror.destination.as_ref()?.value, share))
    });
    one.chain(several)
        .filter(|(_, per_million)| *per_million > 0)
        .map(|(target, per_million)| Mirror { destination: scope.http_target(target).destination, per_million })
        .collect()
}

/// An empty `uri` beside an `authority` leaves the path (semantics C13).
fn path_rewrite(rewrite: &HttpRewrite, source: SourceId, refusals: &mut Vec<Refusal>) -> Option<PathRewrite> {
    if let Some(regex) = &rewrite.uri_regex_rewrite {
        let text = regex.matches.as_ref()?;
        let pattern = http_match::pattern(text, Location { source, span: text.span }, refusals)?;
        let substitution = regex.rewrite.as_ref().map(|rewrite| rewrite.value.clone()).unwrap_or_default();
        return Some(PathRewrite::Regex { pattern, substitution });
    }
    let uri = rewrite.uri.as_ref().filter(|uri| !uri.is_empty())?;
    Some(PathRewrite::Matched(uri.value.clone()))
}

fn redirect(to: &HttpRedirect, scope: &Scope<'_>, location: Location, refusals: &mut Vec<Refusal>) -> Redirect {
    let text = |field: &Option<malha_model::Spanned<smol_str::SmolStr>>| {
        field.as_ref().map(|text| text.value.clone()).filter(|text| !text.is_empty())
    };
    let status = match to.redirect_code.as_ref().map_or(0, |code| code.value) {
        0 => 301,
        code @ (301 | 302 | 303 | 307 | 308) => code as u16,
        code => {
            let reason = format!("a redirect with code {code} is none that Envoy has");
            refusals.push(Refusal { location, reason });
            301
        }
    };
    let scheme = text(&to.scheme);
    Redirect {
        status,
        port: redirect_port(to, scheme.as_deref(), scope),
        scheme,
        authority: text(&to.authority),
        path: text(&to.uri),
        prefix: text(&to.prefix_rewrite),
    }
}

/// The port to write; the default one of the scheme is not written (semantics C25).
///
/// Which scheme that is goes by whether the server has a `tls` block, even if that only redirects (semantics A44).
fn redirect_port(to: &HttpRedirect, scheme: Option<&str>, scope: &Scope<'_>) -> Option<u32> {
    let derived = to.derive_port.as_ref().map(|derive| derive.value);
    let port = match (&to.port, derived) {
        (Some(port), _) => port.value,
        (None, Some(RedirectPortSelection::FromRequestPort)) => scope.port,
        (None, _) => return None,
    };
    let scheme = scheme.unwrap_or(if scope.is_tls { "https" } else { "http" });
    let is_default = matches!((port, scheme), (0, _) | (80, "http") | (443, "https"));
    (!is_default).then_some(port)
}

fn respond(response: &HttpDirectResponse) -> Respond {
    let body = response.body.as_ref().map(|body| match (&body.string, &body.bytes) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(bytes)) => bytes.value.0.clone(),
        (None, None) => Vec::new(),
    });
    let status = response.status.as_ref().and_then(|status| u16::try_from(status.value).ok()).unwrap_or(200);
    Respond { status, body: body.unwrap_or_default() }
}

/// The action of a service that no VirtualService routes: all to its cluster, with the mesh's retries and no timeout
/// (semantics B38).
pub(super) fn plain(target: Target, scope: &Scope<'_>) -> Action {
    let Target { destination, hash } = target;
    let retries = retries(None, scope, hash.is_some());
    let destinations = vec![Destination { weight: 1, ..destination }];
    let forward = Forward { destinations, hash: hash.into_iter().collect(), retries, ..Forward::default() };
    Action {
        kind: ActionKind::Forward(Box::new(forward)),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    }
}
