//! Where a redirect sends the client (semantics A38, C.3).

use super::{Matched, port_start, replace_matched};
use crate::RequestView;

/// What a redirect changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RedirectTo<'a> {
    /// Scheme; none: the request's.
    pub scheme: Option<&'a str>,
    /// Host, perhaps with a port; none: the request's, with its port.
    pub authority: Option<&'a str>,
    /// Port to write.
    pub port: Option<u32>,
    /// Whole path.
    pub path: Option<&'a str>,
    /// Replaces what was matched.
    pub prefix: Option<&'a str>,
}

/// The Location header of a redirect (semantics C20 to C27).
pub fn redirect_location(to: &RedirectTo<'_>, request: &impl RequestView, matched: Matched) -> String {
    let scheme = to.scheme.unwrap_or(request.scheme());
    let mut location = format!("{scheme}://{}", host(to, request, scheme));
    if let Some(port) = to.port {
        location.push(':');
        location.push_str(&port.to_string());
    }
    let path = match (to.path, to.prefix) {
        (Some(path), _) => path.to_owned(),
        (None, Some(prefix)) => replace_matched(request.path(), matched, prefix),
        (None, None) => request.path().to_owned(),
    };
    if !path.starts_with('/') {
        location.push('/');
    }
    location.push_str(&path);
    let has_query = to.path.is_some_and(|path| path.contains('?'));
    if let Some(query) = request.query().filter(|_| !has_query) {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// The host to write: a kept one loses its port when another is written, or when it was the default of a scheme that
/// changes (semantics C26).
fn host<'a>(to: &RedirectTo<'a>, request: &'a impl RequestView, scheme: &str) -> &'a str {
    if let Some(authority) = to.authority {
        return authority;
    }
    let authority = request.authority();
    let Some(colon) = port_start(authority) else { return authority };
    let was_default = match (request.scheme(), scheme) {
        ("http", "https") => &authority[colon..] == ":80",
        ("https", "http") => &authority[colon..] == ":443",
        _ => false,
    };
    if to.port.is_some() || was_default { &authority[..colon] } else { authority }
}

/// The Location header of `httpsRedirect`: the Host as sent, port included (semantics A38, A39).
pub fn https_location(request: &impl RequestView) -> String {
    let mut location = format!("https://{}{}", request.authority(), request.path());
    if let Some(query) = request.query() {
        location.push('?');
        location.push_str(query);
    }
    location
}
