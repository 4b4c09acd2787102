//! What other origins may do, as far as answers say so (semantics C.10): it is browsers that obey.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
    },
};
use malha_table::view::Cors;

/// A request from another origin, to a route that has a policy.
pub(crate) struct CrossOrigin<'t> {
    policy: Cors<'t>,
    origin: HeaderValue,
    is_allowed: bool,
}

impl<'t> CrossOrigin<'t> {
    /// None for a request that names no origin.
    pub(crate) fn of(policy: Option<Cors<'t>>, request: &HeaderMap) -> Option<Self> {
        let (policy, origin) = (policy?, request.get(ORIGIN).filter(|origin| !origin.is_empty())?);
        // What allows a star allows all of them, however it is written: Envoy asks for it first (C77).
        let is_allowed = policy.allow_origins().any(|allowed| allowed.holds(b"*") || allowed.holds(origin.as_bytes()));
        Some(CrossOrigin { policy, origin: origin.clone(), is_allowed })
    }

    /// The headers of the answer to a preflight; none for a request that goes upstream (C78 to C80).
    pub(crate) fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<HeaderMap> {
        let wanted = request.get(ACCESS_CONTROL_REQUEST_METHOD).filter(|wanted| !wanted.is_empty())?;
        if *method != Method::OPTIONS {
            return None;
        }
        if !self.is_allowed && !self.policy.ignores_unmatched_preflights() {
            return None;
        }
        let mut headers = HeaderMap::new();
        // Another origin is told what it could do, but not that it may (the recordings sharpen C80).
        self.allow(&mut headers);
        let mut list = |name: HeaderName, allowed: String, asked: Option<&HeaderValue>| {
            let value = if allowed == "*" { asked.cloned() } else { HeaderValue::try_from(allowed).ok() };
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                headers.insert(name, value);
            }
        };
        list(ACCESS_CONTROL_ALLOW_METHODS, joined(self.policy.allow_methods()), Some(wanted));
        let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
        list(ACCESS_CONTROL_ALLOW_HEADERS, joined(self.policy.allow_headers()), asked);
        if let Some(age) = self.policy.max_age() {
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(age.as_secs()));
        }
        Some(headers)
    }

    /// Adds to an answer what an allowed origin is told (C82, C84).
    pub(crate) fn allow(&self, headers: &mut HeaderMap) {
        if !self.is_allowed {
            return;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        if self.policy.allow_credentials() == Some(true) {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let exposed = joined(self.policy.expose_headers());
        if let Some(exposed) = HeaderValue::try_from(exposed).ok().filter(|exposed| !exposed.is_empty()) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

fn joined<'t>(names: impl Iterator<Item = &'t str>) -> String {
    names.collect::<Vec<_>>().join(",")
}
