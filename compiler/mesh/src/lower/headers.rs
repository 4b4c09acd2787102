//! Header operations, and the authority that may hide among them (semantics C.5, C16).

use super::Refusal;
use crate::program::HeaderOps;
use malha_model::istio::virtual_service::{HeaderOperations, Headers};
use malha_model::{Entries, Spanned};
use malha_syntax::{Location, SourceId};
use malha_table::http::Template;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// What `headers` of one level says.
#[derive(Default)]
pub(super) struct Level {
    pub(super) request: HeaderOps,
    pub(super) response: HeaderOps,
    /// The Host that `request` sets or adds.
    pub(super) authority: Option<SmolStr>,
}

/// Lowers `headers`; `refusals` takes values that Envoy would not load.
pub(super) fn level(headers: Option<&Headers>, source: SourceId, refusals: &mut Vec<Refusal>) -> Level {
    let Some(headers) = headers else { return Level::default() };
    let mut level = Level::default();
    if let Some(request) = &headers.request {
        let hosts = request.set.iter().chain(&request.add).find(|(name, _)| is_authority(name));
        level.authority = hosts.map(|(_, value)| value.value.clone());
        level.request = operations(request, source, refusals);
    }
    if let Some(response) = &headers.response {
        level.response = operations(response, source, refusals);
    }
    level
}

fn operations(operations: &HeaderOperations, source: SourceId, refusals: &mut Vec<Refusal>) -> HeaderOps {
    let remove = operations.remove.iter().map(|name| &name.value).filter(|name| !is_authority(name));
    let mut remove: Vec<SmolStr> = remove.map(lower_case).collect();
    remove.sort();
    remove.dedup();
    HeaderOps { set: values(&operations.set, source, refusals), add: values(&operations.add, source, refusals), remove }
}

fn values(entries: &Entries<SmolStr>, source: SourceId, refusals: &mut Vec<Refusal>) -> BTreeMap<SmolStr, SmolStr> {
    let mut values = BTreeMap::new();
    for (name, value) in entries.iter().filter(|(name, _)| !is_authority(name)) {
        check_template(value, source, refusals);
        values.insert(lower_case(name), value.value.clone());
    }
    values
}

/// Envoy refuses what Istio lets pass: a `%VARIABLE%` that it does not know (semantics C37).
fn check_template(value: &Spanned<SmolStr>, source: SourceId, refusals: &mut Vec<Refusal>) {
    if value.value.contains('%')
        && let Err(error) = Template::parse(&value.value)
    {
        refusals.push(Refusal { location: Location { source, span: value.span }, reason: error.to_string() });
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn lower_case(name: &SmolStr) -> SmolStr {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.clone() }
}
