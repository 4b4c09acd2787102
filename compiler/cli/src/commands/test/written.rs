//! Tests of a rule as it is written: what istio-config-validator compares.

use super::compare::{Difference, flow};
use malha_mesh::{Mesh, ObjectName};
use malha_model::{Duration, istio::virtual_service::HttpRoute};
use malha_table::{Decision, Rule};
use serde_json::{Map, Value};

/// Parts of a rule.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Whether the rule that takes the request has these parts; else it must have none of them.
    pub(super) want_match: bool,
    /// `route`, `redirect`, `rewrite`, `headers`, `fault`, `delegate`.
    pub(super) parts: Map<String, Value>,
}

/// Compares the rule that took a request with what a test describes.
pub(super) fn compare(written: &Written, decision: &Decision, mesh: &Mesh) -> Vec<Difference> {
    let root = decision.rule.as_ref();
    let taken = root.map(|rule| rule.delegate.as_deref().unwrap_or(rule));
    let (root, taken) = (root.and_then(|rule| route(rule, mesh)), taken.and_then(|rule| route(rule, mesh)));
    let part = |name: &str| {
        // A delegate's rule has the first word, and what it leaves open is the root's; the delegation is the root's.
        let of = |rule: &Option<Value>| rule.as_ref().and_then(|rule| rule.get(name).cloned());
        let own = if name == "delegate" { None } else { of(&taken) };
        own.or_else(|| of(&root)).unwrap_or(Value::Null)
    };
    let nothing = Map::from_iter([("route".to_owned(), Value::Array(Vec::new()))]);
    // A test that describes nothing is about requests that go nowhere.
    let parts = if written.parts.is_empty() { &nothing } else { &written.parts };
    let mut differences = Vec::new();
    for (name, wanted) in parts {
        let actual = part(name);
        if (normal(name, wanted) == normal(name, &actual)) != written.want_match {
            let expected = flow(wanted);
            let expected = if written.want_match { expected } else { format!("anything but {expected}") };
            differences.push(Difference { key: name.clone(), expected, actual: flow(&actual) });
        }
    }
    differences
}

/// A rule as its VirtualService writes it.
fn route(rule: &Rule, mesh: &Mesh) -> Option<Value> {
    if rule.section != "http" {
        return None;
    }
    let service = mesh.virtual_service(&ObjectName::new(rule.namespace.as_str(), rule.name.as_str()))?;
    let malha_model::Spec::VirtualService(spec) = &service.resource.spec else { return None };
    let route: &HttpRoute = spec.http.get(rule.index as usize)?;
    serde_json::to_value(route).ok()
}

/// A part without what says nothing: zeros, and empty texts and lists, as protobuf has it.
fn normal(key: &str, value: &Value) -> Option<Value> {
    match value {
        Value::Null | Value::Bool(false) => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) if key == "fixedDelay" => {
            let time = Duration::parse(text).map(|time| time.to_string());
            Some(time.unwrap_or_else(|| text.clone()).into())
        }
        Value::Number(number) => number.as_f64().filter(|number| *number != 0.0).map(Value::from),
        Value::Array(items) => {
            let items: Vec<Value> =
                items.iter().map(|item| normal(key, item).unwrap_or_else(|| Value::Object(Map::new()))).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(entries) => {
            let mut entries: Vec<(String, Value)> =
                entries.iter().filter_map(|(key, value)| Some((key.clone(), normal(key, value)?))).collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            (!entries.is_empty()).then(|| Value::Object(entries.into_iter().collect()))
        }
        other => Some(other.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_says_nothing_does_not_count() {
        let same = |one: Value, other: Value| normal("route", &one) == normal("route", &other);
        assert!(same(
            json!([{"destination": {"host": "a", "port": {"number": 80}}, "weight": 0}]),
            json!([{"destination": {"port": {"number": 80}, "host": "a", "subset": ""}}])
        ));
        assert!(same(json!([]), Value::Null));
        assert!(!same(json!([{"destination": {"host": "a"}}]), json!([{"destination": {"host": "a.b"}}])));
        assert!(same(json!({"delay": {"fixedDelay": "60s"}}), json!({"delay": {"fixedDelay": "1m"}})));
        assert!(same(json!({"percentage": {"value": 100}}), json!({"percentage": {"value": 100.0}})));
    }
}
