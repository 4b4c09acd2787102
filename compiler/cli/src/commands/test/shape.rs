//! What test files may say, as data, and the reading of a document by it.
//!
//! Every mistake is found, each at its place.

use malha_model::Duration;
use malha_syntax::nearest;
use malha_syntax::{Location, Node, NodeKind, Scalar};
use serde_json::{Map, Value};

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A scalar, taken as its text.
    Text,
    /// As `10s`.
    Time,
    /// `true` or `false`.
    Flag,
    /// A whole number, not negative.
    Integer,
    /// Any number.
    Number,
    /// One of a few texts.
    Choice(&'static [&'static str]),
    /// These keys and no others.
    Object(&'static [(&'static str, Shape)]),
    /// Any keys.
    Entries(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A list, or one item.
    Some(&'static Shape),
    /// Nothing, or this.
    OrNull(&'static Shape),
}

/// A mistake in a test file.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub(super) location: Location,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// Reads documents, and gathers their mistakes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) problems: Vec<Problem>,
}

/// Where a node is.
pub(super) fn location(node: Node<'_>) -> Location {
    Location { source: node.document().source, span: node.span() }
}

impl Reader {
    /// Notes a mistake.
    pub(super) fn report(&mut self, node: Node<'_>, message: impl Into<String>, help: Option<String>) {
        self.problems.push(Problem { location: location(node), message: message.into(), help });
    }

    /// The value of a node, which people call `name`; none where it cannot be read.
    pub(super) fn value(&mut self, node: Node<'_>, shape: &Shape, name: &str) -> Option<Value> {
        match shape {
            Shape::OrNull(_) if node.is_null() => Some(Value::Null),
            Shape::OrNull(inner) => self.value(node, inner, name),
            Shape::Some(inner) if node.kind() == NodeKind::Sequence => self.value(node, &Shape::List(inner), name),
            Shape::Some(inner) => Some(Value::Array(vec![self.value(node, inner, name)?])),
            Shape::List(inner) => {
                if node.kind() != NodeKind::Sequence {
                    return self.mistyped(node, name, "a list");
                }
                // All of them are read, so that all mistakes are found.
                let items: Vec<Option<Value>> = node.items().map(|item| self.value(item, inner, name)).collect();
                items.into_iter().collect::<Option<_>>().map(Value::Array)
            }
            Shape::Object(fields) => self.object(node, fields, name).map(Value::Object),
            Shape::Entries(inner) => self.entries(node, inner, name).map(Value::Object),
            _ => self.scalar(node, shape, name),
        }
    }

    /// A mapping with these keys and no others.
    pub(super) fn object(
        &mut self,
        node: Node<'_>,
        fields: &[(&'static str, Shape)],
        name: &str,
    ) -> Option<Map<String, Value>> {
        if !self.expect_mapping(node, name) {
            return None;
        }
        let known: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        let mut complete = self.only(node, &known, name);
        let mut read = Map::new();
        for (key, value) in node.entries() {
            let Some((field, shape)) = fields.iter().find(|(field, _)| *field == key.text()) else { continue };
            match self.value(value, shape, field) {
                Some(value) => drop(read.insert((*field).to_owned(), value)),
                None => complete = false,
            }
        }
        complete.then_some(read)
    }

    /// Whether a mapping has no keys but `known`; reports the others.
    pub(super) fn only(&mut self, node: Node<'_>, known: &[&str], name: &str) -> bool {
        let before = self.problems.len();
        for (key, _) in node.entries().filter(|(key, _)| !known.contains(&key.text())) {
            let help = match nearest(key.text(), known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("its keys are {}", list(known)),
            };
            self.report(key, format!("`{}` is not a key of {name}", key.text()), Some(help));
        }
        self.problems.len() == before
    }

    /// Whether a node is a mapping; says so if it is not.
    pub(super) fn expect_mapping(&mut self, node: Node<'_>, name: &str) -> bool {
        let is_mapping = node.kind() == NodeKind::Mapping;
        if !is_mapping {
            self.mistyped::<()>(node, name, "a mapping");
        }
        is_mapping
    }

    fn entries(&mut self, node: Node<'_>, inner: &Shape, name: &str) -> Option<Map<String, Value>> {
        if !self.expect_mapping(node, name) {
            return None;
        }
        let entries: Vec<_> = node
            .entries()
            .map(|(key, value)| Some((key.text().to_owned(), self.value(value, inner, key.text())?)))
            .collect();
        entries.into_iter().collect()
    }

    fn scalar(&mut self, node: Node<'_>, shape: &Shape, name: &str) -> Option<Value> {
        match (shape, node.scalar()) {
            (Shape::Text, Some(scalar)) if scalar != Scalar::Null => Some(node.text().into()),
            (Shape::Text, _) => self.mistyped(node, name, "a text"),
            (Shape::Time, Some(Scalar::String(text))) if Duration::parse(&text).is_some() => Some(text.as_ref().into()),
            (Shape::Time, _) => self.mistyped(node, name, "a duration, as `10s` or `1m30s`"),
            (Shape::Flag, Some(Scalar::Bool(flag))) => Some(flag.into()),
            (Shape::Flag, _) => self.mistyped(node, name, "`true` or `false`"),
            (Shape::Integer, Some(scalar)) => match integer(&scalar) {
                Some(number) => Some(number.into()),
                None => self.mistyped(node, name, "a whole number"),
            },
            (Shape::Number, Some(Scalar::Float(number))) => Some(number.into()),
            (Shape::Number, Some(Scalar::Int(number))) => Some(number.into()),
            (Shape::Number, Some(Scalar::Uint(number))) => Some(number.into()),
            (Shape::Number | Shape::Integer, _) => self.mistyped(node, name, "a number"),
            (Shape::Choice(choices), Some(_)) if choices.contains(&node.text()) => Some(node.text().into()),
            (Shape::Choice(choices), _) => {
                let help =
                    nearest(node.text(), choices.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
                let message = format!("{name} must be one of {}", list(choices));
                self.report(node, message, help);
                None
            }
            _ => self.mistyped(node, name, "something else"),
        }
    }

    fn mistyped<T>(&mut self, node: Node<'_>, name: &str, wanted: &str) -> Option<T> {
        let is = match (node.kind(), node.scalar()) {
            (NodeKind::Mapping, _) => "a mapping".to_owned(),
            (NodeKind::Sequence, _) => "a list".to_owned(),
            (_, Some(Scalar::Null) | None) => "nothing".to_owned(),
            _ => format!("`{}`", node.text()),
        };
        self.report(node, format!("{name} must be {wanted}, and is {is}"), None);
        None
    }
}

fn integer(scalar: &Scalar<'_>) -> Option<u32> {
    match scalar {
        Scalar::Int(number) => u32::try_from(*number).ok(),
        Scalar::Uint(number) => u32::try_from(*number).ok(),
        _ => None,
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use malha_syntax::{Document, SourceId, read};
    use serde_json::json;

    const SHAPE: Shape = Shape::Object(&[
        ("host", Shape::Text),
        ("port", Shape::Integer),
        ("timeout", Shape::OrNull(&Shape::Time)),
        ("share", Shape::Number),
        ("labels", Shape::Entries(&Shape::Text)),
        ("methods", Shape::Some(&Shape::Text)),
        ("on", Shape::Flag),
        ("outcome", Shape::Choice(&["forward", "redirect"])),
    ]);

    fn reading(text: &str) -> (Option<Value>, Vec<String>) {
        let documents = read(SourceId(0), text).documents;
        let mut reader = Reader::default();
        let value = documents.first().and_then(Document::root).and_then(|root| reader.value(root, &SHAPE, "it"));
        let told = reader.problems.iter().map(|problem| {
            let help = problem.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            format!("{}: {}{help}", problem.location.span.start, problem.message)
        });
        (value, told.collect())
    }

    #[test]
    fn what_fits_is_read() {
        let text = "{host: 7, port: 80, timeout: null, share: 0.5, labels: {a: b}, methods: GET, 'on': true, outcome: redirect}";
        let expected = json!({"host": "7", "port": 80, "timeout": null, "share": 0.5, "labels": {"a": "b"},
            "methods": ["GET"], "on": true, "outcome": "redirect"});
        assert_eq!(reading(text), (Some(expected), Vec::new()));
    }

    #[test]
    fn all_mistakes_are_told() {
        let (value, told) =
            reading("hots: a\nport: -1\ntimeout: 10\nmethods: [{}]\noutcome: redirected\nhost:\nzzz: 1\n");
        assert_eq!(value, None);
        let expected = [
            "0: `hots` is not a key of it (did you mean `host`?)",
            "65: `zzz` is not a key of it (its keys are `host`, `port`, `timeout`, `share`, `labels`, `methods`, `on`, `outcome`)",
            "14: port must be a whole number, and is `-1`",
            "26: timeout must be a duration, as `10s` or `1m30s`, and is `10`",
            "39: methods must be a text, and is a mapping",
            "52: outcome must be one of `forward`, `redirect` (did you mean `redirect`?)",
            "68: host must be a text, and is nothing",
        ];
        assert_eq!(told.len(), expected.len(), "{told:#?}");
        for (told, expected) in told.iter().zip(expected) {
            let message = |text: &str| text.split_once(": ").map(|(_, message)| message.to_owned());
            assert_eq!(message(told), message(expected));
        }
    }
}
