//! Compares a decision with a recorded answer, field by field.
//!
//! Where one side has more than the other can say (a timeout that passed, a header value), the field is not compared.

use super::Asked;
use serde_json::{Value, json};

/// One field in which a decision differs.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) field: &'static str,
    pub(crate) recorded: Value,
    pub(crate) told: Value,
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn same(&mut self, field: &'static str, recorded: Value, told: Value) {
        if recorded != told {
            self.0.push(Difference { field, recorded, told });
        }
    }
}

/// The fields in which `told`, a decision as JSON, differs from what was recorded.
pub(crate) fn differences(asked: &Asked, told: &Value) -> Vec<Difference> {
    let (request, want) = (&asked.request, &asked.expect);
    let mut out = Differences::default();
    let outcome = want["outcome"].as_str().unwrap_or_default();
    match outcome {
        "fault-abort" => {
            let abort = &told["fault"]["abort"];
            let status = if abort["status"].is_null() { &want["status"] } else { &abort["status"] };
            out.same("fault", json!([100.0, want["status"]]), json!([abort["percentage"], status]));
        }
        "cors-preflight" => out.same("cors", json!(true), json!(!told["cors"].is_null())),
        _ => out.same("outcome", want["outcome"].clone(), told["outcome"].clone()),
    }
    if !out.0.is_empty() {
        return out.0;
    }
    if let Some(host) = want["host"].as_str() {
        let told = told["host"].as_str().unwrap_or_default();
        out.same("host", json!(host.to_lowercase()), json!(told.to_lowercase()));
    }
    compare_rule(&want["route"], &told["rule"], &mut out);
    if is_set(&want["destinations"])
        && ["forward", "no-cluster", "no-endpoints", "tcp-forward", "fault-abort"].contains(&outcome)
    {
        let is_weighted = want["destinations"].as_array().is_some_and(|list| list.len() > 1);
        let list = |list: &Value| destinations(list, is_weighted);
        out.same("destinations", list(&want["destinations"]), list(&told["destinations"]));
    }
    if outcome == "forward" {
        if is_set(&want["upstream"]) {
            let seen = |field: &str| first_set(&[&told["rewrite"][field], &request[field]]);
            out.same("path", want["upstream"]["path"].clone(), seen("path"));
            out.same("authority", want["upstream"]["authority"].clone(), seen("authority"));
        }
        out.same("timeout", seconds(&want["timeout"]), seconds(&told["timeout"]));
        out.same("mirrors", mirrors(&want["mirrors"]), mirrors(&told["mirrors"]));
        compare_retries(&want["retries"], &told["retries"], &mut out);
    }
    if outcome == "redirect" || outcome == "https-redirect" {
        let told = &told["redirect"];
        out.same("location", json!([want["status"], want["location"]]), json!([told["status"], told["location"]]));
    }
    if outcome == "respond" {
        let body = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let told = &told["respond"];
        let recorded = json!([want["status"], body(&want["body"])]);
        out.same("response", recorded, json!([told["status"], body(&told["body"])]));
    }
    out.0
}

fn compare_rule(route: &Value, rule: &Value, out: &mut Differences) {
    if !is_set(route) {
        return;
    }
    out.same("virtual service", route["virtualService"].clone(), json!(object_name(rule)));
    if !route["rule"].is_null() {
        out.same("rule", route["rule"].clone(), rule["index"].clone());
        if !route["match"].is_null() {
            out.same("match", route["match"].clone(), rule["match"].clone());
        }
    }
    let delegate = &route["delegate"];
    if !delegate["rule"].is_null() {
        let told = &rule["delegate"];
        // The recording knows a delegate by the name of its rule; `?` stands where it does not know the namespace.
        let recorded = delegate["virtualService"].as_str().unwrap_or_default();
        let name = match recorded.strip_prefix("?/") {
            Some(_) => format!("?/{}", told["name"].as_str().unwrap_or_default()),
            None => object_name(told),
        };
        out.same("delegate", json!([recorded, delegate["rule"]]), json!([name, told["index"]]));
    }
}

fn compare_retries(want: &Value, told: &Value, out: &mut Differences) {
    if want.is_object() && !told.is_null() {
        let of = |retries: &Value| json!([retries["attempts"], seconds(&retries["perTryTimeout"])]);
        out.same("retries", of(want), of(told));
    } else if want == "default" {
        out.same("retries", json!(2), told["attempts"].clone());
    } else if want.is_object() != told["attempts"].as_u64().is_some_and(|attempts| attempts > 0) {
        out.same("retries", want.clone(), told.clone());
    }
}

fn object_name(rule: &Value) -> String {
    let text = |field: &str| rule[field].as_str().unwrap_or_default();
    format!("{}/{}", text("namespace"), text("name"))
}

/// In an order that both sides share; weights only where several destinations remain.
fn destinations(list: &Value, is_weighted: bool) -> Value {
    let list = list.as_array().into_iter().flatten().map(|destination| {
        json!([
            destination["host"],
            destination["port"],
            destination["subset"].as_str().unwrap_or_default(),
            if is_weighted { destination["weight"].as_u64().unwrap_or(0) } else { 0 },
            destination["missing"].as_bool().unwrap_or(false),
            destination["endpoints"].as_u64().unwrap_or(0),
        ])
    });
    sorted(list.collect())
}

fn mirrors(list: &Value) -> Value {
    let list = list.as_array().into_iter().flatten().map(|mirror| {
        json!([
            mirror["host"],
            mirror["port"],
            mirror["subset"].as_str().unwrap_or_default(),
            mirror["percentage"].as_f64(),
            mirror["missing"].as_bool().unwrap_or(false),
        ])
    });
    sorted(list.collect())
}

fn sorted(mut list: Vec<Value>) -> Value {
    list.sort_by_key(ToString::to_string);
    Value::Array(list)
}

/// Python's truth: neither null nor empty.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn first_set(values: &[&Value]) -> Value {
    values.iter().find(|value| is_set(value)).or(values.last()).map_or(Value::Null, |value| (*value).clone())
}

/// A duration in microseconds, `null` for none and for zero.
fn seconds(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return Value::Null };
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let unit_end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let micros = match unit {
            "h" => 3.6e9,
            "m" => 6e7,
            "s" => 1e6,
            "ms" => 1e3,
            "us" | "µs" => 1.0,
            _ => return json!(text),
        };
        let Ok(number) = number.parse::<f64>() else { return json!(text) };
        total += number * micros;
        rest = after;
    }
    if total < 0.5 { Value::Null } else { json!(total.round()) }
}
