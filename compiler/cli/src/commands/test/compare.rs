//! A decision against what a test expects of it.

use malha_mesh::names::fully_qualified;
use malha_model::Duration;
use malha_table::{Decision, Destination, HeaderOps, Outcome, Protocol, Request, Rule};
use serde_json::{Map, Value, json};

/// One fact that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Difference {
    /// Which, as `destination.subset`.
    pub(super) key: String,
    /// What the test says.
    pub(super) expected: String,
    /// What was decided.
    pub(super) actual: String,
}

/// Compares the facts that a test names, and no others.
pub(super) fn compare(
    expected: &Map<String, Value>,
    request: &Request,
    decision: &Decision,
    cluster_domain: &str,
) -> Vec<Difference> {
    let rule = decision.rule.as_ref().map(|rule| rule.delegate.as_deref().unwrap_or(rule));
    let namespace = match (rule, &decision.proxy) {
        (Some(rule), _) => rule.namespace.as_str(),
        (None, Some(proxy)) => proxy.namespace.as_str(),
        (None, None) => "default",
    };
    let mut comparison = Comparison { namespace, cluster_domain, differences: Vec::new() };
    let facts = facts(request, decision);
    for (key, wanted) in expected {
        match (key.as_str(), wanted) {
            ("rule", wanted) => {
                let told = decision.rule.as_ref();
                let holds = match (wanted.as_str(), told) {
                    (Some(wanted), Some(rule)) => is_rule(wanted, rule),
                    (wanted, rule) => wanted.is_none() == rule.is_none(),
                };
                if !holds {
                    comparison.differ(key, flow(wanted), told.map_or_else(|| "none".to_owned(), rule_text));
                }
            }
            // What is not rewritten reaches the upstream as it was asked.
            ("rewrite", Value::Object(_)) => {
                let (path, authority) = match &decision.rewrite {
                    Some(rewrite) => (rewrite.path.as_str(), rewrite.authority.as_str()),
                    None => (request.path.as_deref().unwrap_or("/"), request.authority.as_deref().unwrap_or_default()),
                };
                comparison.value(key, wanted, &json!({"path": path, "authority": authority}));
            }
            ("retries", Value::Object(_)) if decision.retries.is_none() => {
                comparison.value(key, wanted, &json!({"attempts": 0, "perTryTimeout": null, "retryOn": []}));
            }
            ("retries", Value::Null) if decision.retries.as_ref().is_some_and(|retries| retries.attempts == 0) => {}
            ("destination", _) if facts[key] == Value::Null => {
                let all: Vec<Value> = decision.destinations.iter().map(|it| narrow(wanted, &destination(it))).collect();
                let all = if all.is_empty() { Value::Null } else { Value::Array(all) };
                comparison.differ(key, flow(wanted), flow(&all));
            }
            _ => comparison.value(key, wanted, facts.get(key).unwrap_or(&Value::Null)),
        }
    }
    comparison.differences
}

struct Comparison<'a> {
    /// Where names without a dot are looked up.
    namespace: &'a str,
    cluster_domain: &'a str,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn differ(&mut self, key: &str, expected: String, actual: String) {
        self.differences.push(Difference { key: key.to_owned(), expected, actual });
    }

    fn value(&mut self, key: &str, wanted: &Value, actual: &Value) {
        let field = key.rsplit(['.', ']']).next().unwrap_or(key);
        match (wanted, actual) {
            (Value::Object(wanted), Value::Object(actual)) => {
                // The names of headers have no case.
                let ignore_case = matches!(field, "set" | "add");
                for (name, wanted) in wanted {
                    let actual = if ignore_case {
                        actual.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
                    } else {
                        actual.get(name)
                    };
                    self.value(&format!("{key}.{name}"), wanted, actual.unwrap_or(&Value::Null));
                }
            }
            (Value::Array(wanted), Value::Array(actual)) => self.list(key, field, wanted, actual),
            _ if self.is(field, wanted, actual) => {}
            _ => self.differ(key, flow(wanted), flow(&narrow(wanted, actual))),
        }
    }

    fn list(&mut self, key: &str, field: &str, wanted: &[Value], actual: &[Value]) {
        let has = |list: &[Value], item: &Value| {
            let text = item.as_str().unwrap_or_default();
            list.iter().filter_map(Value::as_str).any(|known| known.eq_ignore_ascii_case(text))
        };
        let holds = match field {
            "remove" => wanted.iter().all(|item| has(actual, item)),
            "retryOn" => wanted.iter().all(|item| has(actual, item)) && actual.iter().all(|item| has(wanted, item)),
            _ => self.pairs_off(key, wanted, actual),
        };
        if holds {
            return;
        }
        let of_objects = wanted.iter().all(Value::is_object);
        if of_objects && wanted.len() == actual.len() {
            for (index, (wanted, actual)) in wanted.iter().zip(actual).enumerate() {
                self.value(&format!("{key}[{index}]"), wanted, actual);
            }
            return;
        }
        let keys: Map<String, Value> = wanted
            .iter()
            .filter_map(Value::as_object)
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let keys = Value::Object(keys);
        let actual: Vec<Value> =
            actual.iter().map(|item| if of_objects { narrow(&keys, item) } else { item.clone() }).collect();
        self.differ(key, flow(&Value::Array(wanted.to_vec())), flow(&Value::Array(actual)));
    }

    /// Whether each item that is wanted can be given one of its own, in whatever order.
    fn pairs_off(&self, key: &str, wanted: &[Value], actual: &[Value]) -> bool {
        let suits = |wanted: &Value| actual.iter().map(|actual| self.holds(key, wanted, actual)).collect();
        let suits: Vec<Vec<bool>> = wanted.iter().map(suits).collect();
        let mut owners: Vec<Option<usize>> = vec![None; actual.len()];
        wanted.len() == actual.len()
            && (0..wanted.len()).all(|item| give(item, &suits, &mut owners, &mut vec![false; actual.len()]))
    }

    fn holds(&self, key: &str, wanted: &Value, actual: &Value) -> bool {
        let Comparison { namespace, cluster_domain, .. } = *self;
        let mut trial = Comparison { namespace, cluster_domain, differences: Vec::new() };
        trial.value(key, wanted, actual);
        trial.differences.is_empty()
    }

    fn is(&self, field: &str, wanted: &Value, actual: &Value) -> bool {
        match (wanted, actual) {
            (Value::String(wanted), Value::String(actual)) => match field {
                "host" => self.is_host(wanted, actual),
                "timeout" | "perTryTimeout" | "duration" => Duration::parse(wanted) == Duration::parse(actual),
                _ => wanted == actual,
            },
            (Value::Number(wanted), Value::Number(actual)) => wanted.as_f64() == actual.as_f64(),
            _ => wanted == actual,
        }
    }

    /// `cart`, as in the VirtualService; `cart.shop`; or the whole name.
    fn is_host(&self, wanted: &str, actual: &str) -> bool {
        wanted == actual
            || fully_qualified(wanted, self.namespace, self.cluster_domain) == actual
            || actual.strip_prefix(wanted).is_some_and(|rest| rest.strip_prefix(".svc.") == Some(self.cluster_domain))
    }
}

/// Finds an item one that suits it; whoever had that one is found another (bipartite matching by augmenting paths).
fn give(item: usize, suits: &[Vec<bool>], owners: &mut [Option<usize>], tried: &mut [bool]) -> bool {
    for place in 0..owners.len() {
        if !suits[item][place] || tried[place] {
            continue;
        }
        tried[place] = true;
        if owners[place].is_none_or(|owner| give(owner, suits, owners, tried)) {
            owners[place] = Some(item);
            return true;
        }
    }
    false
}

/// What can be said of a decision, under the names that tests have for it.
fn facts(request: &Request, decision: &Decision) -> Value {
    let taken = match (request.draw, decision.destinations.as_slice()) {
        (Some(draw), all) => all.get(draw as usize),
        (None, [one]) => Some(one),
        (None, _) => None,
    };
    let headers = |of_route: &HeaderOps, of_destination: Option<&HeaderOps>| {
        let mut all = of_destination.cloned().unwrap_or_default();
        all.set.extend(of_route.set.clone());
        all.add.extend(of_route.add.clone());
        all.remove.extend(of_route.remove.iter().cloned());
        all
    };
    json!({
        "outcome": decision.outcome,
        "destination": taken.map(destination),
        "destinations": decision.destinations.iter().map(destination).collect::<Vec<_>>(),
        "rewrite": decision.rewrite,
        "redirect": decision.redirect,
        "status": status(request, decision),
        "body": decision.respond.as_ref().map(|respond| &respond.body),
        "headers": {
            "request": headers(&decision.request_headers, taken.map(|it| &it.request_headers)),
            "response": headers(&decision.response_headers, taken.map(|it| &it.response_headers)),
        },
        "timeout": decision.timeout,
        "retries": decision.retries,
        "mirror": match decision.mirrors.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            several => json!(several),
        },
        "mirrors": decision.mirrors,
        "fault": decision.fault,
    })
}

fn destination(destination: &Destination) -> Value {
    let Destination { host, port, subset, weight, endpoints, missing, request_headers, response_headers } = destination;
    json!({
        "host": host, "port": port, "subset": subset, "weight": weight, "endpoints": endpoints, "missing": missing,
        "headers": {"request": request_headers, "response": response_headers},
    })
}

/// The status of an answer that the proxy gives itself, if it does and there is but one for that.
fn status(request: &Request, decision: &Decision) -> Option<u16> {
    if request.protocol.unwrap_or_default() != Protocol::Http {
        return None;
    }
    let abort = decision.fault.as_ref().and_then(|fault| fault.abort.as_ref());
    if let Some(abort) = abort.filter(|abort| abort.percentage >= 100.0) {
        return abort.status;
    }
    match decision.outcome {
        Outcome::Redirect | Outcome::HttpsRedirect => decision.redirect.as_ref().map(|redirect| redirect.status),
        Outcome::Respond => decision.respond.as_ref().map(|respond| respond.status),
        Outcome::NotFound => Some(404),
        Outcome::NoCluster | Outcome::NoEndpoints => Some(503),
        Outcome::Blackhole => Some(502),
        _ => None,
    }
}

/// Whether `wanted` names the rule: by its route name, or as `shop/cart`, `shop/cart http[1]`,
/// `shop/cart http[1].match[0]`. A delegate's rule answers to both its own name and the root's.
fn is_rule(wanted: &str, rule: &Rule) -> bool {
    let places = |rule: &Rule| {
        let object = format!("{}/{}", rule.namespace, rule.name);
        let whole = format!("{object} {}[{}]", rule.section, rule.index);
        wanted == object
            || wanted == whole
            || rule.match_index.is_some_and(|index| wanted == format!("{whole}.match[{index}]"))
    };
    // The route name of a named match is `rule.match`.
    let by_name = rule
        .route_name
        .as_deref()
        .is_some_and(|name| name == wanted || name.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('.')));
    by_name || places(rule) || rule.delegate.as_deref().is_some_and(places)
}

/// A rule by its place in the mesh, without that in its file.
pub(super) fn rule_text(rule: &Rule) -> String {
    let item = rule.match_index.map(|index| format!(".match[{index}]")).unwrap_or_default();
    format!("{}/{} {}[{}]{item}", rule.namespace, rule.name, rule.section, rule.index)
}

/// Of what there is, that which is asked for: the rest would hide the difference.
fn narrow(wanted: &Value, actual: &Value) -> Value {
    match (wanted, actual) {
        (Value::Object(wanted), Value::Object(actual)) => Value::Object(
            wanted
                .iter()
                .map(|(key, wanted)| (key.clone(), narrow(wanted, actual.get(key).unwrap_or(&Value::Null))))
                .collect(),
        ),
        _ => actual.clone(),
    }
}

/// A value in one line, as YAML has it but without quotes.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision() -> Decision {
        let decision = json!({
            "outcome": "forward", "proxy": {"namespace": "edge", "labels": {}}, "listener": null, "host": "*",
            "rule": {"kind": "VirtualService", "namespace": "shop", "name": "cart", "section": "http", "index": 1,
                "match": 0, "routeName": "carts.old", "file": "cart.yaml", "line": 9, "delegate": null},
            "destinations": [
                {"host": "cart.shop.svc.cluster.local", "port": 8000, "subset": "v1", "weight": 90, "endpoints": 1,
                 "missing": false, "requestHeaders": {"set": {"x-version": "1"}, "add": {}, "remove": []},
                 "responseHeaders": {"set": {}, "add": {}, "remove": []}},
                {"host": "cart.shop.svc.cluster.local", "port": 8000, "subset": "v2", "weight": 10, "endpoints": 1,
                 "missing": false, "requestHeaders": {"set": {}, "add": {}, "remove": []},
                 "responseHeaders": {"set": {}, "add": {}, "remove": []}}],
            "rewrite": {"path": "/", "authority": "a"}, "redirect": null, "respond": null, "timeout": "1.5s",
            "retries": {"attempts": 2, "perTryTimeout": "2s", "retryOn": ["5xx", "reset"]}, "mirrors": [],
            "fault": null, "cors": null,
            "requestHeaders": {"set": {"X-User": "me"}, "add": {}, "remove": ["x-gone"]},
            "responseHeaders": {"set": {}, "add": {}, "remove": []},
        });
        serde_json::from_value(decision).expect("a decision")
    }

    fn differences(expected: Value, draw: Option<u32>) -> Vec<String> {
        let Value::Object(expected) = expected else { panic!("expectations are a mapping") };
        let request = Request { draw, path: Some("/x".to_owned()), ..Request::default() };
        let found = compare(&expected, &request, &decision(), "cluster.local");
        found.into_iter().map(|it| format!("{}: {} / {}", it.key, it.expected, it.actual)).collect()
    }

    #[test]
    fn only_what_is_named_counts() {
        for expected in [
            json!({}),
            json!({"outcome": "forward", "timeout": "1500ms", "mirrors": [], "fault": null, "status": null}),
            json!({"rule": "shop/cart"}),
            json!({"rule": "shop/cart http[1]"}),
            json!({"rule": "shop/cart http[1].match[0]"}),
            json!({"rule": "carts"}),
            json!({"rule": "carts.old"}),
            json!({"rewrite": {"path": "/"}}),
            json!({"retries": {"retryOn": ["reset", "5xx"]}}),
            json!({"headers": {"request": {"set": {"x-user": "me", "other": null}, "remove": ["X-Gone"]}}}),
            json!({"destinations": [{"subset": "v2", "weight": 10}, {"host": "cart"}]}),
        ] {
            assert_eq!(differences(expected.clone(), None), Vec::<String>::new(), "{expected}");
        }
        let drawn = json!({"destination": {"subset": "v2"}});
        assert_eq!(differences(drawn, Some(1)), Vec::<String>::new());
        let headers = json!({"headers": {"request": {"set": {"x-version": "1", "x-user": "me"}}}});
        assert_eq!(differences(headers, Some(0)), Vec::<String>::new());
    }

    #[test]
    fn hosts_may_be_short_but_not_elsewhere() {
        let host = |host: &str| differences(json!({"destination": {"host": host}}), Some(0)).is_empty();
        assert!(host("cart") && host("cart.shop") && host("cart.shop.svc.cluster.local"));
        assert!(!host("cart.edge") && !host("car") && !host("cart.shop.svc") && !host("cart.shop.svc.cluster.locals"));
    }

    #[test]
    fn items_of_a_list_find_each_other_whatever_the_order() {
        let comparison = Comparison { namespace: "shop", cluster_domain: "cluster.local", differences: Vec::new() };
        let pairs = |wanted: Value, actual: Value| match (&wanted, &actual) {
            (Value::Array(wanted), Value::Array(actual)) => comparison.pairs_off("destinations", wanted, actual),
            _ => false,
        };
        let actual = json!([{"subset": "v1", "port": 1}, {"subset": "v2", "port": 1}, {"subset": "v3", "port": 2}]);
        // The first could have either of two, and only one leaves the second its own.
        assert!(pairs(json!([{"port": 1}, {"subset": "v1"}, {}]), actual.clone()));
        assert!(!pairs(json!([{"port": 1}, {"subset": "v1"}, {"subset": "v1"}]), actual.clone()));
        assert!(!pairs(json!([{}, {}]), actual));
        // Many alike, of which one is too many, are no puzzle.
        let mut wanted = vec![json!({"port": 1}); 40];
        let actual = wanted.clone();
        wanted[39] = json!({"port": 2});
        assert!(!pairs(Value::Array(wanted), Value::Array(actual)));
    }

    #[test]
    fn differences_say_which_fact_it_is() {
        for (expected, draw, told) in [
            (json!({"destination": {"subset": "v3", "port": 8000}}), Some(0), "destination.subset: v3 / v1"),
            (
                json!({"destination": {"subset": "v1"}}),
                None,
                "destination: {subset: v1} / [{subset: v1}, {subset: v2}]",
            ),
            (
                json!({"destinations": [{"subset": "v1"}]}),
                None,
                "destinations: [{subset: v1}] / [{subset: v1}, {subset: v2}]",
            ),
            (json!({"destinations": [{"subset": "v1"}, {"subset": "v9"}]}), None, "destinations[1].subset: v9 / v2"),
            (json!({"rule": "shop/cart http[0]"}), None, "rule: shop/cart http[0] / shop/cart http[1].match[0]"),
            (json!({"rule": null}), None, "rule: none / shop/cart http[1].match[0]"),
            (json!({"rewrite": null}), None, "rewrite: none / {path: /, authority: a}"),
            (json!({"redirect": {"status": 301}}), None, "redirect: {status: 301} / none"),
            (json!({"retries": {"retryOn": ["5xx"]}}), None, "retries.retryOn: [5xx] / [5xx, reset]"),
            (json!({"headers": {"request": {"set": {"x-user": null}}}}), None, "headers.request.set.x-user: none / me"),
        ] {
            assert_eq!(differences(expected, draw), [told]);
        }
    }
}
