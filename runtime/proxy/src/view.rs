//! A request as routing sees it, over hyper's (semantics F, steps 3 and 4).

use crate::{
    connection::Client,
    hops::Hops,
    hygiene::{self, Seen, Told},
    local_reply::{LocalReply, is_grpc},
    random::Random,
};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::Uri,
};
use malha_table::{
    RequestView,
    http::{HttpSettings, authority_is_valid, method_is_known, normalize_path, port_start, upgrade_is_allowed},
};
use std::rc::Rc;

/// A request's head: checked, normalised, without what clients may not say, with what the proxy adds.
#[derive(Clone, Debug)]
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) scheme: &'static str,
    pub(crate) told: Told,
    /// As sent: what goes upstream if nothing rewrites it (semantics C17).
    pub(crate) sent_authority: Rc<str>,
    /// With a mapped port read as the original one.
    pub(crate) authority: Rc<str>,
    /// Normalised, with query; empty where there is none to route (`*`, CONNECT).
    pub(crate) path_and_query: Rc<str>,
    /// `path_and_query` as a request target, where it came as one that can go on as it is.
    pub(crate) target: Option<Uri>,
    /// The Host line, where there was one.
    pub(crate) host: Option<HeaderValue>,
    /// Length of the path in it.
    path_length: usize,
    /// None any more, once it goes upstream.
    pub(crate) headers: HeaderMap,
    pub(crate) is_grpc: bool,
    /// Whether the client asks to change the protocol of its connection.
    pub(crate) asks_for_upgrade: bool,
    /// How many proxies of this process it has come through.
    pub(crate) hops: u16,
}

/// Where a request arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) client: Rc<Client>,
    /// The port that the table says, where that is not the one the client sees.
    pub(crate) original_port: u16,
}

impl RequestHead {
    /// Takes a request as Envoy's codec and connection manager would, or gives their refusal (semantics C.12). Of one that
    /// is taken the headers are gone from `parts`.
    pub(crate) fn admit(
        parts: &mut Parts,
        settings: HttpSettings,
        arrival: &Arrival,
        random: &Random,
        told: &Hops,
    ) -> Result<RequestHead, LocalReply> {
        let Parts { method, uri, version, headers, .. } = parts;
        if !matches!(*version, Version::HTTP_11 | Version::HTTP_2) {
            let status = StatusCode::UPGRADE_REQUIRED;
            return Err(LocalReply::bad_request(status, "Upgrade Required", "low_version"));
        }
        let refuse = |details| LocalReply::bad_request(StatusCode::BAD_REQUEST, "", details);
        let malformed = || LocalReply::bad_request(StatusCode::BAD_REQUEST, "Bad Request", "http1.codec_error");
        if !method_is_known(method.as_str()) {
            return Err(malformed());
        }
        let seen = Seen::of(headers);
        if seen.coding && !coding_is_understood(headers) {
            let status = StatusCode::NOT_IMPLEMENTED;
            return Err(LocalReply::bad_request(status, "Not Implemented", "http1.invalid_transfer_encoding"));
        }
        let said = hosts(headers).map_err(|Several| malformed())?;
        let own_scheme = hygiene::own_scheme(&arrival.client);
        let (scheme, said, path) = target(method, uri, said).ok_or_else(malformed)?;
        let authority = said.ok_or_else(|| refuse("missing_host_header"))?;
        let sent_authority = authority.ok().filter(|authority| authority_is_valid(authority)).map(Rc::from);
        let sent_authority: Rc<str> = sent_authority
            .ok_or_else(|| LocalReply::bad_request(StatusCode::BAD_REQUEST, "Bad Request", "http.invalid_authority"))?;
        let path_and_query: Rc<str> = if path.is_empty() {
            Rc::default()
        } else {
            let normal = normalize_path(path, settings.path_normalization);
            normal.map_err(|_| refuse("path_normalization_failed"))?.into()
        };
        let target = as_it_came(uri, &path_and_query);
        let host = hygiene::drop_hop_by_hop(headers, seen).map_err(|_| malformed())?;
        let upgrade = if seen.of_connection { headers.get(UPGRADE) } else { None };
        if upgrade.is_some_and(|upgrade| !upgrade_is_allowed(upgrade.as_bytes())) {
            // What is told of a refused request is told of what it said.
            if let Ok(host) = HeaderValue::from_str(&sent_authority) {
                headers.insert(HOST, host);
            }
            return Err(LocalReply::upgrade_failed());
        }
        let asks_for_upgrade = upgrade.is_some();
        let hops = if seen.hops { told.take(headers) } else { 0 };
        let told = hygiene::mutate(headers, seen, settings, &arrival.client, random);
        // What a client does not say of its request follows what is trusted of its connection.
        let usual = if settings.trusts_forwarded_proto() { told.forwarded_proto } else { own_scheme };
        let path_length = match &target {
            Some(target) => target.path().len(),
            None => path_and_query.find('?').unwrap_or(path_and_query.len()),
        };
        let authority = original(&sent_authority, arrival);
        Ok(RequestHead {
            method: method.clone(),
            version: *version,
            scheme: scheme.unwrap_or(usual),
            told,
            sent_authority,
            authority,
            path_and_query,
            target,
            host,
            path_length,
            is_grpc: seen.content_type && is_grpc(headers),
            asks_for_upgrade,
            hops,
            headers: std::mem::take(headers),
        })
    }

    /// Whether there is a path to route; else the answer is 404 (semantics B10).
    pub(crate) fn is_routable(&self) -> bool {
        !self.path_and_query.is_empty()
    }
}

struct Several;

/// The one Host line. Several are refused, whatever they say: what stands behind this proxy might take the other one.
fn hosts(headers: &HeaderMap) -> Result<Said<'_>, Several> {
    let mut lines = headers.get_all(HOST).iter();
    let first = lines.next().map(|line| line.to_str().map(str::trim_ascii).map_err(|_| NoText));
    if lines.next().is_some() { Err(Several) } else { Ok(first) }
}

/// Whether the body's coding is `chunked` and nothing else, if it has one: what was coded twice would be passed on with
/// one coding taken off and nothing said of the other.
fn coding_is_understood(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => true,
        (Some(line), None) => line.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// It holds bytes that none may hold.
struct NoText;

/// An authority as a client said it, if it did.
type Said<'a> = Option<Result<&'a str, NoText>>;

/// Scheme, if it has one, authority and path of a request target. The authority of an absolute one wins over the Host header
/// (semantics B10); `*` and CONNECT have no path.
fn target<'u>(method: &Method, uri: &'u Uri, host: Said<'u>) -> Option<(Option<&'static str>, Said<'u>, &'u str)> {
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    // All of it is looked at: a loop that stops at the first find takes longer for what there mostly is.
    if !path.bytes().fold(true, |all, byte| all & byte.is_ascii_graphic()) {
        return None;
    }
    let Some(authority) = uri.authority() else {
        return match path {
            "*" if method == Method::OPTIONS => Some((None, host, "")),
            _ if path.starts_with('/') && method != Method::CONNECT => Some((None, host, path)),
            _ => None,
        };
    };
    let authority = Some(Ok(authority.as_str()));
    match uri.scheme_str() {
        None if method == Method::CONNECT => Some((None, authority, "")),
        Some("http") if method != Method::CONNECT => Some((Some("http"), authority, absolute_path(path))),
        Some("https") if method != Method::CONNECT => Some((Some("https"), authority, absolute_path(path))),
        _ => None,
    }
}

/// A client's target as one of an upstream, if it is this path, and written whole: one may also leave out the slash, or be
/// nothing but a fragment.
fn as_it_came(uri: &Uri, path_and_query: &str) -> Option<Uri> {
    let target = uri.path_and_query().filter(|_| path_and_query.starts_with('/'))?;
    let target = Uri::from(target.clone());
    let is_whole = target.path().starts_with('/') && target.path_and_query()?.as_str() == path_and_query;
    is_whole.then_some(target)
}

/// An absolute target may leave out its path, though not before a query as hyper hands it on.
fn absolute_path(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// The authority with a mapped port read as the original: a client of the cluster would have named that one, or none
/// where it is HTTP's own.
fn original(authority: &Rc<str>, arrival: &Arrival) -> Rc<str> {
    let mapped = arrival.client.local.port();
    if mapped == arrival.original_port {
        return Rc::clone(authority);
    }
    match port_start(authority) {
        Some(colon) if authority[colon + 1..].parse() == Ok(mapped) => match arrival.original_port {
            80 if arrival.client.tls.is_none() => authority[..colon].into(),
            443 if arrival.client.tls.is_some() => authority[..colon].into(),
            port => format!("{}:{port}", &authority[..colon]).into(),
        },
        _ => Rc::clone(authority),
    }
}

/// So many lines are looked through sooner than a name is hashed.
const FEW: usize = 16;

impl RequestView for RequestHead {
    fn method(&self) -> &str {
        self.method.as_str()
    }

    fn scheme(&self) -> &str {
        self.scheme
    }

    fn authority(&self) -> &str {
        &self.authority
    }

    fn path(&self) -> &str {
        &self.path_and_query[..self.path_length]
    }

    fn query(&self) -> Option<&str> {
        self.path_and_query.get(self.path_length + 1..)
    }

    fn any_line(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        if self.headers.len() > FEW {
            return self.headers.get_all(name).iter().any(|line| test(line.as_bytes()));
        }
        self.headers.iter().any(|(other, line)| other.as_str() == name && test(line.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_goes_on_as_it_came_if_it_is_a_whole_path() {
        let goes_on = |said: &str, path: &str| as_it_came(&said.parse().expect("a target"), path).is_some();
        assert!(goes_on("/a?b=c", "/a?b=c") && goes_on("http://x.org/a", "/a") && goes_on("http://x.org", "/"));
        assert!(!goes_on("/a/../b", "/b"), "normalised");
        assert!(!goes_on("http://x.org#f", "/") && !goes_on("http://x.org?q=1", "?q=1") && !goes_on("*", ""));
        let target = as_it_came(&"http://x.org/a?b".parse().expect("a target"), "/a?b").expect("it goes on");
        assert_eq!(target.to_string(), "/a?b");
    }
}
