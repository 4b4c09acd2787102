//! A request that a route may take.
//!
//! It is derived from the route's own predicate: enough to pass it, and no more. That an earlier route takes it all
//! the same is for the caller to find out, by asking the table.

use malha_algebra::{Condition, Field, PathTest, ValueTest, re2::Pattern};
use malha_mesh::program::{Filter, FilterChain, Listener, Program, Proxy, Role, Route, VirtualHost};
use malha_table::{Lines, Protocol, ProxyIdentity, Request, Tls, http};
use regex_syntax::hir::{Hir, HirKind};

/// A request that passes the predicate of a route of a virtual host at a listener, if one can be made up.
///
/// It need not be the route that takes it; see [`alternatives`] for more of them.
pub(super) fn witness(
    program: &Program,
    proxy: &Proxy,
    listener: &Listener,
    host: &VirtualHost,
    route: usize,
) -> Option<Request> {
    let route = host.routes.get(route)?;
    let settings = http::HttpSettings {
        path_normalization: program.settings.path_normalization,
        edge: proxy.role == Role::Gateway,
    };
    let request = Request { path: Some(path(&route.predicate.path)?), ..at(proxy, listener, host)? };
    let request = route.predicate.conditions.iter().try_fold(request, satisfy)?;
    // The proxy may see something else than was sent: a path is normalised, some headers are its own.
    let head = http::admit(&request, settings).ok()?;
    malha_mesh::unmet(&route.predicate, &head).is_none().then_some(request)
}

/// The witness and variations of its path, for where earlier routes take it.
pub(super) fn alternatives(witness: &Request, route: &Route) -> Vec<Request> {
    let mut requests = vec![witness.clone()];
    if matches!(route.predicate.path, PathTest::Prefix { .. } | PathTest::Any) {
        let (path, query) = match witness.path.as_deref().unwrap_or("/").split_once('?') {
            Some((path, query)) => (path, format!("?{query}")),
            None => (witness.path.as_deref().unwrap_or("/"), String::new()),
        };
        let joint = if path.ends_with('/') { "" } else { "/" };
        for tail in [format!("{joint}x"), "x".to_owned(), format!("{joint}x/y"), joint.to_owned()] {
            requests.push(Request { path: Some(format!("{path}{tail}{query}")), ..witness.clone() });
        }
    }
    requests
}

/// A connection for a rule of `tls` or `tcp`: what the filter chain asks for.
pub(super) fn connection(proxy: &Proxy, listener: &Listener, chain: &FilterChain) -> Request {
    let destination = match chain.destinations.first() {
        Some(range) => range.split('/').next().map(|ip| malha_table::Address { ip: ip.to_owned() }),
        None => None,
    };
    let name = chain.server_names.first().map(|name| below(name));
    let tls = chain.tls.unwrap_or(name.is_some());
    Request {
        protocol: Some(if tls { Protocol::Tls } else { Protocol::Tcp }),
        tls: tls.then(|| Tls { sni: name, alpn: Vec::new() }),
        destination,
        ..entering(proxy, listener)
    }
}

/// Where the request goes, without what it asks.
fn entering(proxy: &Proxy, listener: &Listener) -> Request {
    let labels: std::collections::BTreeMap<String, String> =
        proxy.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let identity = ProxyIdentity { namespace: proxy.namespace.to_string(), labels };
    let (via, proxy) = match (proxy.role, proxy.gateways.first()) {
        (Role::Gateway, Some((namespace, name))) => (format!("gateway/{namespace}/{name}"), None),
        (Role::Gateway, None) => ("gateway".to_owned(), Some(identity)),
        (Role::Sidecar, _) => {
            let is_default = identity.namespace == "default" && identity.labels.is_empty();
            ("mesh".to_owned(), (!is_default).then_some(identity))
        }
    };
    Request { via: Some(via), proxy, port: Some(listener.port), ..Request::default() }
}

/// A request for a virtual host, with nothing in particular.
fn at(proxy: &Proxy, listener: &Listener, host: &VirtualHost) -> Option<Request> {
    let authority = below(host.domains.first()?);
    let plain = listener.filter_chains.iter().any(|chain| chain.termination.is_none() && is_http(chain));
    let tls = (!plain || host.require_tls).then(|| Tls { sni: Some(authority.clone()), alpn: Vec::new() });
    Some(Request { authority: Some(authority), tls, ..entering(proxy, listener) })
}

fn is_http(chain: &FilterChain) -> bool {
    matches!(chain.filter, Filter::Http(_))
}

/// A name that a pattern of hosts holds.
fn below(pattern: &str) -> String {
    match pattern.strip_prefix('*') {
        None => pattern.to_owned(),
        Some("") => "any.example".to_owned(),
        Some(suffix) => format!("any{suffix}"),
    }
}

fn path(test: &PathTest) -> Option<String> {
    let path = match test {
        PathTest::Any => "/".to_owned(),
        PathTest::Prefix { value, .. } if value.is_empty() => "/".to_owned(),
        PathTest::Exact { value, .. } | PathTest::Prefix { value, .. } => value.to_string(),
        PathTest::Regex(pattern) => text_of(pattern)?,
    };
    if path.is_empty() { Some("/".to_owned()) } else { Some(path) }
}

/// The request with what one condition asks for.
fn satisfy(mut request: Request, condition: &Condition) -> Option<Request> {
    if condition.negated {
        // Nothing at all passes, unless it is the empty value that must not be.
        return match (&condition.field, condition.holds(std::iter::empty())) {
            (_, true) => Some(request),
            (Field::Header(name), false) => {
                request.headers.insert(name.to_string(), Lines::One("other".to_owned()));
                Some(request)
            }
            _ => None,
        };
    }
    let value = match &condition.test {
        ValueTest::Present => "any".to_owned(),
        ValueTest::Exact(text) | ValueTest::Prefix(text) => text.to_string(),
        ValueTest::Regex(pattern) => text_of(pattern)?,
    };
    match &condition.field {
        Field::Method => request.method = Some(value),
        Field::Scheme => request.scheme = Some(value),
        Field::Authority => request.authority = Some(value),
        Field::PathWithQuery => request.path = Some(value),
        Field::Header(name) => {
            request.headers.insert(name.to_string(), Lines::One(value));
        }
        Field::Query(name) => {
            let path = request.path.take().unwrap_or_else(|| "/".to_owned());
            let join = if path.contains('?') { '&' } else { '?' };
            request.path = Some(format!("{path}{join}{name}={value}"));
        }
        Field::Claim(_) => return None,
    }
    Some(request)
}

/// A text of a pattern's language.
fn text_of(pattern: &Pattern) -> Option<String> {
    let hir = regex_syntax::Parser::new().parse(&pattern.to_rust()).ok()?;
    let mut text = String::new();
    write(&hir, &mut text)?;
    pattern.is_full_match(text.as_bytes()).then_some(text)
}

fn write(hir: &Hir, text: &mut String) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => {
            // What a path or a header may hold as it is, plain letters first.
            let holds =
                |wanted: char| class.ranges().iter().any(|range| range.start() <= wanted && wanted <= range.end());
            let letters = ('a'..='z').chain('0'..='9').chain('A'..='Z').chain("-_./".chars());
            text.push(letters.chain('!'..='~').chain([' ']).find(|&letter| holds(letter))?);
        }
        HirKind::Class(regex_syntax::hir::Class::Bytes(_)) => return None,
        // Once, where once will do: an empty segment is seldom what is meant.
        HirKind::Repetition(repetition) => {
            const MOST: u32 = 256;
            let times = repetition.min.max(u32::from(repetition.max != Some(0)));
            let start = text.len();
            let written = times <= MOST && (0..times).all(|_| write(&repetition.sub, text).is_some());
            if !written && repetition.min > 0 {
                return None;
            }
            if !written {
                text.truncate(start);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, text))?,
        HirKind::Alternation(branches) => {
            let start = text.len();
            return branches.iter().find_map(|branch| {
                text.truncate(start);
                write(branch, text)
            });
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_texts() {
        for (pattern, expected) in [
            ("/users(/.*)?", Some("/users/a")),
            ("(GET|OPTIONS)", Some("GET")),
            (r"/v[0-9]{2}/\d+", Some("/v00/0")),
            (r"[^/]*\.html", Some("a.html")),
            (r".*;\s*v2(é?|,.*)", Some("a; v2é")),
            (r"[α-ω]?x", Some("x")),
            ("", Some("")),
            (r"a\bb", None),
        ] {
            let parsed = Pattern::parse(pattern).expect("a pattern");
            assert_eq!(text_of(&parsed).as_deref(), expected, "{pattern}");
        }
    }

    #[test]
    fn conditions_are_satisfied_with_little() {
        let condition = |name: &str, test: ValueTest| Condition::new(Field::header(name), test);
        let request = [
            condition(":method", ValueTest::Exact("PUT".into())),
            condition("x-user", ValueTest::Prefix("me".into())),
            Condition::query("page", ValueTest::Present),
            Condition::query("all", ValueTest::Exact("1".into())),
            Condition::without_header("x-bot", ValueTest::Present),
            Condition::without_header("x-empty", ValueTest::Exact("".into())),
        ]
        .iter()
        .try_fold(Request { path: Some("/a".to_owned()), ..Request::default() }, satisfy)
        .expect("there is one");
        assert_eq!(request.method.as_deref(), Some("PUT"));
        assert_eq!(request.path.as_deref(), Some("/a?page=any&all=1"));
        let headers: Vec<_> = request.headers.keys().collect();
        assert_eq!(headers, ["x-empty", "x-user"]);
    }
}
