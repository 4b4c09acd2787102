//! Changes in words, for a terminal, for a review, for programs.

use super::hazards::Hazard;
use crate::failure::Failure;
use malha_mesh::{
    analysis::{Change, Class, Detail},
    program::Role,
};
use malha_table::Decision;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What of a decision says where a request goes, or how: the rest says by which rule.
const SHOWN: [&str; 12] = [
    "outcome",
    "destinations",
    "rewrite",
    "redirect",
    "respond",
    "timeout",
    "retries",
    "mirrors",
    "fault",
    "cors",
    "requestHeaders",
    "responseHeaders",
];

fn class(class: Class) -> &'static str {
    match class {
        Class::Added => "added",
        Class::Removed => "removed",
        Class::Rerouted => "rerouted",
        Class::Policy => "policy",
    }
}

/// One change, with what becomes of its witness before and after.
pub(super) struct Told {
    change: Change,
    before: Option<Decision>,
    after: Option<Decision>,
}

impl Told {
    /// A witness that shows nothing of the change is none.
    pub(super) fn new(mut change: Change, before: Option<Decision>, after: Option<Decision>) -> Told {
        let (one, other) = (fields(before.as_ref()), fields(after.as_ref()));
        let differs = SHOWN.iter().any(|field| shown(&one[field]) != shown(&other[field]));
        if differs || !change.details.is_empty() {
            return Told { change, before, after };
        }
        change.request = None;
        Told { change, before: None, after: None }
    }
}

/// What is told of two states.
pub(super) struct Report {
    pub(super) told: Vec<Told>,
    pub(super) hazards: Vec<Hazard>,
    /// Sorts of clients that were not compared.
    pub(super) left_out: usize,
}

/// One change, as all formats but JSON have it.
struct Words {
    title: String,
    lines: Vec<(&'static str, String)>,
}

fn words(told: &Told) -> Words {
    let change = &told.change;
    let who = if change.role == Role::Gateway { "gateway" } else { "mesh" };
    let proxy = format!("{who} {}", crate::words::proxy(&change.proxy));
    let also = match change.also {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        others => format!(" and {others} others"),
    };
    let place = match change.port {
        0 if change.protocol.is_empty() => " on other ports".to_owned(),
        // A socket, which the host names.
        0 => String::new(),
        port => format!(" on port {port}"),
    };
    let title = format!("{} {}{place} of {proxy}{also}", class(change.class), change.host);
    let mut lines = vec![("requests", change.region.clone())];
    if let Some(request) = &change.request
        && let Some(witness) = serde_json::to_value(request).ok().as_ref().and_then(crate::report::ask)
    {
        lines.push(("for one", witness));
    }
    let (before, after) = (fields(told.before.as_ref()), fields(told.after.as_ref()));
    for field in SHOWN {
        let (before, after) = (shown(&before[field]), shown(&after[field]));
        if before != after {
            lines.push(("before", format!("{field} {before}")));
            lines.push(("after", format!("{field} {after}")));
        }
    }
    for detail in &change.details {
        lines.push(("before", format!("{}: {}", detail.what, cut(&detail.before))));
        lines.push(("after", format!("{}: {}", detail.what, cut(&detail.after))));
    }
    for (when, decision) in [("rule before", &told.before), ("rule after", &told.after)] {
        if let Some(rule) = decision.as_ref().and_then(|decision| decision.rule.as_ref()) {
            let name = format!("{}/{} {}[{}]", rule.namespace, rule.name, rule.section, rule.index);
            lines.push((when, format!("{name} at {}:{}", rule.file, rule.line)));
        }
    }
    Words { title, lines }
}

fn fields(decision: Option<&Decision>) -> Value {
    let mut fields = decision.and_then(|decision| serde_json::to_value(decision).ok()).unwrap_or(Value::Null);
    // There is no mesh, or no request to ask about.
    if fields.is_null() {
        fields = json!({ "outcome": "not configured" });
    }
    fields
}

/// A text that may be long, on one line.
fn cut(text: &str) -> String {
    const MOST: usize = 300;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A value on one line, without what is empty in it.
fn shown(value: &Value) -> String {
    fn strip(value: &Value) -> Value {
        match value {
            Value::Object(fields) => {
                let kept = fields.iter().map(|(name, value)| (name.clone(), strip(value)));
                Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(strip).collect()),
            other => other.clone(),
        }
    }
    fn is_empty(value: &Value) -> bool {
        value.is_null()
            || *value == Value::Bool(false)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty)
    }
    match strip(value) {
        Value::String(text) => text,
        Value::Null => "none".to_owned(),
        other if is_empty(&other) => "none".to_owned(),
        other => other.to_string(),
    }
}

impl Report {
    /// Whether it is certain that nothing is treated otherwise.
    pub(super) fn is_identical(&self) -> bool {
        self.told.is_empty() && self.left_out == 0
    }

    fn summary(&self) -> String {
        let changes = match self.told.len() {
            0 if self.left_out == 0 => "every request is treated as before".to_owned(),
            0 => "every request that was compared is treated as before".to_owned(),
            1 => "1 change in the treatment of requests".to_owned(),
            count => format!("{count} changes in the treatment of requests"),
        };
        match self.left_out {
            0 => changes,
            1 => format!("{changes}; 1 sort of clients was not compared"),
            others => format!("{changes}; {others} sorts of clients were not compared (name them in [[run.sidecars]])"),
        }
    }

    pub(super) fn pretty(&self) -> String {
        let mut out = String::new();
        for words in self.told.iter().map(words) {
            let _ = writeln!(out, "{}", words.title);
            for (name, text) in &words.lines {
                let _ = writeln!(out, "  {name:<12} {text}");
            }
            out.push('\n');
        }
        for hazard in &self.hazards {
            let _ = writeln!(out, "hazard[{}] {}: {}\n", hazard.code, hazard.file, hazard.message);
        }
        let _ = writeln!(out, "{}", self.summary());
        out
    }

    pub(super) fn markdown(&self) -> String {
        let mut out = format!("### {}\n", self.summary());
        for words in self.told.iter().map(words) {
            let _ = writeln!(out, "\n**{}**\n\n| | |\n| --- | --- |", escaped(&words.title));
            for (name, text) in &words.lines {
                let _ = writeln!(out, "| {name} | <code>{}</code> |", in_html(text));
            }
        }
        for hazard in &self.hazards {
            let _ = writeln!(out, "\n> **{}** `{}`: {}", hazard.code, hazard.file, escaped(&hazard.message));
        }
        out
    }

    pub(super) fn json(&self) -> Result<String, Failure> {
        let failed = |error: serde_json::Error| Failure::new(format!("the report cannot be written: {error}"));
        let report = json!({
            "version": 1,
            "identical": self.is_identical(),
            "changes": self.told.iter().map(change_json).collect::<Vec<Value>>(),
            "hazards": self.hazards,
            "clientsNotCompared": self.left_out,
        });
        Ok(format!("{}\n", serde_json::to_string_pretty(&report).map_err(failed)?))
    }
}

fn change_json(told: &Told) -> Value {
    let change = &told.change;
    let details = change.details.iter();
    let details =
        details.map(|Detail { what, before, after }| json!({ "what": what, "before": before, "after": after }));
    json!({
        "class": class(change.class),
        "proxy": change.proxy,
        "listener": { "port": change.port, "protocol": change.protocol },
        "host": change.host,
        "region": change.region,
        "witness": change.request,
        "details": details.collect::<Vec<Value>>(),
        "also": change.also,
        "before": told.before,
        "after": told.after,
    })
}

/// Text for a code element in a table: a command stays the same to the letter when it is copied.
fn in_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '\n' => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

/// Text that Markdown shows as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if "*_<>[]\\".contains(character) {
            out.push('\\');
        }
        out.push(character);
    }
    out
}
