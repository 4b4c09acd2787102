//! One item of `match`, as a predicate (semantics B.3).

use super::Refusal;
use crate::names::gateway_ref;
use crate::{GatewayRef, ProxySpec};
use malha_algebra::re2::Pattern;
use malha_algebra::{Condition, Field, PathTest, Predicate, Static, ValueTest};
use malha_model::istio::virtual_service::{HttpMatchRequest, StringMatch};
use malha_model::{Entries, Spanned};
use malha_syntax::{Location, SourceId};
use smol_str::SmolStr;

/// Whether the item takes part on this proxy and listener (semantics A30, B.3): all of it that is known beforehand.
///
/// An item that names gateways is not asked for the client's labels and namespace.
pub(super) fn applies(
    item: &HttpMatchRequest,
    namespace: &str,
    proxy: &ProxySpec,
    gateway: &GatewayRef,
    port: u32,
) -> bool {
    if item.port.as_ref().is_some_and(|wanted| wanted.value != 0 && wanted.value != port) {
        return false;
    }
    if !item.gateways.is_empty() {
        return item.gateways.iter().any(|name| gateway_ref(name, namespace) == *gateway);
    }
    let wanted = item.source_namespace.as_ref().map_or("", |namespace| namespace.as_str());
    (wanted.is_empty() || wanted == proxy.namespace) && has_labels(proxy, &item.source_labels)
}

/// Whether the proxy has all of these labels.
pub(super) fn has_labels(proxy: &ProxySpec, wanted: &Entries<SmolStr>) -> bool {
    wanted.iter().all(|(name, value)| proxy.labels.get(&name.value) == Some(&value.value))
}

/// The predicate of an item; `refusals` takes what Envoy would not load of it.
pub(super) fn predicate(item: &HttpMatchRequest, source: SourceId, refusals: &mut Vec<Refusal>) -> Predicate {
    let mut lower = Lower { source, refusals, conditions: Vec::new() };
    let path = lower.path(item);
    let fields = [(Field::Method, &item.method), (Field::Scheme, &item.scheme), (Field::Authority, &item.authority)];
    for (field, test) in fields {
        if let Some(test) = test {
            lower.condition(field, test, false);
        }
    }
    lower.headers(&item.headers, false);
    lower.headers(&item.without_headers, true);
    for (name, test) in &item.query_params {
        lower.condition(Field::Query(name.value.clone()), test, false);
    }
    Predicate { path, conditions: lower.conditions, fixed: Static::default() }
}

/// The predicate of an item, whatever Envoy would say of it.
pub(crate) fn predicate_alone(item: &HttpMatchRequest, source: SourceId) -> Predicate {
    predicate(item, source, &mut Vec::new())
}

struct Lower<'a> {
    source: SourceId,
    refusals: &'a mut Vec<Refusal>,
    conditions: Vec<Condition>,
}

impl Lower<'_> {
    fn path(&mut self, item: &HttpMatchRequest) -> PathTest {
        let ignore_case = item.ignore_uri_case.as_ref().is_some_and(|ignore| ignore.value);
        match item.uri.as_ref().map(|uri| &uri.value) {
            None | Some(StringMatch::Any) => PathTest::Any,
            Some(StringMatch::Exact(text)) => PathTest::Exact { value: text.value.clone(), ignore_case },
            Some(StringMatch::Prefix(text)) => PathTest::Prefix { value: text.value.clone(), ignore_case },
            // A refused pattern takes the listener out, so that what stands in its place is never asked.
            Some(StringMatch::Regex(text)) => self.pattern(text).map_or(PathTest::Any, PathTest::Regex),
        }
    }

    fn headers(&mut self, headers: &Entries<StringMatch>, negated: bool) {
        for (name, test) in headers {
            self.condition(header_field(name), test, negated);
        }
    }

    fn condition(&mut self, field: Field, test: &Spanned<StringMatch>, negated: bool) {
        let test = match &test.value {
            StringMatch::Any => ValueTest::Present,
            StringMatch::Exact(whole) => ValueTest::Exact(whole.value.clone()),
            StringMatch::Prefix(prefix) => ValueTest::Prefix(prefix.value.clone()),
            StringMatch::Regex(regex) if regex.value == "*" => ValueTest::Present,
            StringMatch::Regex(regex) => self.pattern(regex).map_or(ValueTest::Present, ValueTest::Regex),
        };
        self.conditions.push(Condition { field, test, negated });
    }

    fn pattern(&mut self, text: &Spanned<SmolStr>) -> Option<Pattern> {
        let location = Location { source: self.source, span: text.span };
        pattern(text, location, self.refusals)
    }
}

/// Reads a pattern; one that RE2 refuses is Envoy's to refuse. What Go refuses as well never gets here: its object is
/// refused.
pub(super) fn pattern(text: &str, location: Location, refusals: &mut Vec<Refusal>) -> Option<Pattern> {
    match Pattern::parse(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            refusals.push(Refusal { location, reason: format!("RE2 does not take the pattern `{text}`: {error}") });
            None
        }
    }
}

/// The field that a header name stands for: claims of a token are written as headers too.
fn header_field(name: &str) -> Field {
    const CLAIMS: &str = "@request.auth.claims";
    if let Some(claim) = name.strip_prefix(CLAIMS) {
        return Field::Claim(claim.strip_prefix('.').unwrap_or(claim).into());
    }
    Field::header(name)
}
