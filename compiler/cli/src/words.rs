//! Matches and actions in words, and words for a shell.

use malha_algebra::{Condition, Field, PathTest, Predicate, ValueTest};
use malha_mesh::{
    Unmet,
    analysis::Unreached,
    program::{Action, ActionKind, Destination, Origin, Route},
};
use malha_table::ProxyIdentity;

/// What a route takes.
pub(crate) fn predicate(predicate: &Predicate) -> String {
    let parts: Vec<_> = path(&predicate.path).into_iter().chain(predicate.conditions.iter().map(condition)).collect();
    if parts.is_empty() { "any".to_owned() } else { parts.join(" and ") }
}

/// What a request lacks.
pub(crate) fn unmet(unmet: Unmet<'_>) -> String {
    match unmet {
        Unmet::Path(test) => path(test).unwrap_or_else(|| "a path that begins with /".to_owned()),
        Unmet::Condition(unmet) => condition(unmet),
    }
}

fn path(test: &PathTest) -> Option<String> {
    match test {
        PathTest::Any => None,
        PathTest::Exact { value, ignore_case } => Some(format!("path = {value}{}", case(*ignore_case))),
        PathTest::Prefix { value, ignore_case } => Some(format!("path {value}*{}", case(*ignore_case))),
        PathTest::Regex(pattern) => Some(format!("path ~ {}", pattern.as_str())),
    }
}

fn case(ignored: bool) -> &'static str {
    if ignored { " (any case)" } else { "" }
}

fn condition(condition: &Condition) -> String {
    let field = match &condition.field {
        Field::Method => "method".to_owned(),
        Field::Scheme => "scheme".to_owned(),
        Field::Authority => "authority".to_owned(),
        Field::PathWithQuery => "path with query".to_owned(),
        Field::Header(name) => format!("header {name}"),
        Field::Query(name) => format!("query {name}"),
        Field::Claim(path) => format!("claim {path}"),
    };
    let test = match &condition.test {
        ValueTest::Present => "present".to_owned(),
        ValueTest::Exact(value) => format!("= {value}"),
        ValueTest::Prefix(value) => format!("{value}*"),
        ValueTest::Regex(pattern) => format!("~ {}", pattern.as_str()),
    };
    if condition.negated { format!("not {field} {test}") } else { format!("{field} {test}") }
}

/// The rule of a VirtualService, and the item of its `match`.
pub(crate) fn rule(origin: &Origin) -> String {
    let Origin { namespace, name, section, index, match_index, .. } = origin;
    let item = match_index.map(|index| format!(".match[{index}]")).unwrap_or_default();
    format!("{namespace}/{name} {section}[{index}]{item}")
}

/// Why the table does without one of `routes`.
pub(crate) fn removed(routes: &[Route], unreached: &Unreached) -> String {
    let origins = unreached.taken_by.iter().filter_map(|taker| routes.get(*taker)?.origin.as_deref());
    let takers: Vec<String> = origins.map(rule).collect();
    if unreached.taken_by.is_empty() {
        "never reached; it asks for what no request has".to_owned()
    } else {
        format!("never reached; taken by {}", takers.join(" and "))
    }
}

/// What a route does.
pub(crate) fn action(action: &Action) -> String {
    match &action.kind {
        ActionKind::Forward(forward) => {
            let weighted = forward.destinations.len() > 1;
            let list: Vec<_> = forward.destinations.iter().map(|it| destination(it, weighted)).collect();
            list.join(", ")
        }
        ActionKind::Redirect(redirect) => {
            let host = redirect.authority.as_deref().unwrap_or_default();
            let path = redirect.path.as_deref().or(redirect.prefix.as_deref()).unwrap_or_default();
            format!("redirect {} {host}{path}", redirect.status).trim_end().to_owned()
        }
        ActionKind::Respond(respond) => format!("respond {}", respond.status),
        ActionKind::Passthrough => "passthrough".to_owned(),
        ActionKind::ByHost => "passthrough by Host".to_owned(),
        ActionKind::Blackhole => "blackhole".to_owned(),
    }
}

/// Where bytes go.
pub(crate) fn destination(destination: &Destination, weighted: bool) -> String {
    let subset = destination.subset.as_ref().map(|subset| format!(" {subset}")).unwrap_or_default();
    let weight = if weighted { format!(" {}%", destination.weight) } else { String::new() };
    let missing = if destination.cluster.is_none() { " (missing)" } else { "" };
    format!("{}:{}{subset}{weight}{missing}", destination.host, destination.port)
}

/// A proxy as `--proxy` takes it.
pub(crate) fn proxy(identity: &ProxyIdentity) -> String {
    let labels: Vec<String> = identity.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}/{}", identity.namespace, labels.join(","))
}

/// Some of many, and how many are left out.
pub(crate) fn some(texts: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = texts.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match texts.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// As a shell takes it for one word.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
