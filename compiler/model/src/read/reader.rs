//! The state of reading one object: where we are, and what was found.

use crate::{
    read::{Message, api_name},
    rules::{EXCLUSIVE_FIELDS, MISSING_FIELD, UNKNOWN_FIELD, WRONG_TYPE},
};
use malha_syntax::{Edit, Finding, Fix, Location, Node, NodeKind, RuleInfo, Scalar, SourceId, Span, nearest};
use std::fmt::Write;

/// One step of a path into an object.
#[derive(Clone, Copy)]
pub(crate) enum Step<'d> {
    Key(&'d str),
    Item(usize),
}

/// How the API server treats an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// By the schema of a custom resource: null is a value of the wrong type, unknown fields are refused.
    Strict,
    /// As Kubernetes' own kinds: null is as good as nothing. We know only some fields of them.
    Lenient,
}

/// Reads one object: keeps the path to where it is, and gathers findings.
pub(crate) struct Reader<'d> {
    pub(crate) findings: Vec<Finding>,
    pub(crate) manner: Manner,
    /// Whether a `$patch` directive was seen, which makes the object a part of a kustomization.
    pub(crate) patch: bool,
    /// Whether a value could not be read of which the documents' own reader has told already.
    pub(crate) has_gaps: bool,
    source: SourceId,
    path: Vec<Step<'d>>,
    /// The messages that are being read, the outermost first.
    messages: Vec<&'static Message>,
}

/// A field of a message while it is read: its name, and the key under which it was found.
#[derive(Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) key: Option<Span>,
}

impl Seen {
    pub(crate) fn not_yet(name: &'static str) -> Self {
        Seen { name, key: None }
    }
}

impl<'d> Reader<'d> {
    pub(crate) fn new(source: SourceId, manner: Manner) -> Self {
        Reader {
            findings: Vec::new(),
            manner,
            patch: false,
            has_gaps: false,
            source,
            path: Vec::new(),
            messages: Vec::new(),
        }
    }

    /// Does `inner` one step further down.
    pub(crate) fn within<T>(&mut self, step: Step<'d>, inner: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let result = inner(self);
        self.path.pop();
        result
    }

    pub(crate) fn lenient(&self) -> bool {
        self.manner == Manner::Lenient
    }

    pub(crate) fn location(&self, span: Span) -> Location {
        Location { source: self.source, span }
    }

    /// A finding about the field that is being read.
    pub(crate) fn finding(&self, rule: &'static RuleInfo, span: Span, message: impl Into<String>) -> Finding {
        let finding = Finding::new(rule, self.location(span), message);
        if self.path.is_empty() { finding } else { finding.field(self.path_text(None)) }
    }

    pub(crate) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// The path as findings have it, `spec.http[1].match[0]`, with one more key if `below` is given.
    fn path_text(&self, below: Option<&str>) -> String {
        let mut text = String::new();
        for step in self.path.iter().copied().chain(below.map(Step::Key)) {
            match step {
                // Writing to a string cannot fail.
                Step::Item(index) => _ = write!(text, "[{index}]"),
                Step::Key(key) => push_key(&mut text, key),
            }
        }
        text
    }

    /// Whether the text that is being read is the expression of an item of `withoutHeaders`. Istio takes `*` there for
    /// the demand that the header be absent (semantics B.3).
    pub(crate) fn asks_for_absence(&self) -> bool {
        matches!(self.path.as_slice(), [.., Step::Key("withoutHeaders"), Step::Key(_), Step::Key(_)])
    }

    /// The last key of the path, as messages name the field.
    pub(crate) fn field_name(&self) -> String {
        let key = self.path.iter().rposition(|step| matches!(step, Step::Key(_)));
        let mut name = String::new();
        for step in self.path.get(key.unwrap_or(0)..).unwrap_or_default() {
            match step {
                Step::Key(key) => name.push_str(key),
                Step::Item(index) => _ = write!(name, "[{index}]"),
            }
        }
        name
    }

    /// Whether `node` is a mapping; if not, says so.
    pub(crate) fn expect_mapping(&mut self, node: Node<'d>, what: &str) -> bool {
        node.kind() == NodeKind::Mapping || {
            self.wrong_type(node, &format!("a mapping ({})", api_name(what)), None);
            false
        }
    }

    /// The value is of the wrong type.
    pub(crate) fn wrong_type(&mut self, node: Node<'d>, expected: &str, fix: Option<(String, String)>) {
        if leads_nowhere(node) {
            self.has_gaps = true;
            return;
        }
        let message = format!("`{}` must be {expected}, not {}", self.field_name(), describe(node));
        let mut finding = self.finding(&WRONG_TYPE, node.span(), message);
        if let Some((title, text)) = fix {
            finding = finding.help(title.clone()).fix(Fix {
                safe: true,
                title,
                edits: vec![Edit { location: self.location(node.span()), text }],
            });
        }
        self.report(finding);
    }

    /// A null where the schema has none.
    pub(crate) fn null(&mut self, key: Span, node: Node<'d>) {
        let span = if node.span().is_empty() { key } else { node.span() };
        let message = format!("`{}` has no value, and the schema does not allow null here", self.field_name());
        let finding = self.finding(&WRONG_TYPE, span, message).help("give it a value, or leave it out");
        self.report(finding);
    }

    /// Begins to read the fields of a message.
    pub(crate) fn open(&mut self, message: &'static Message) {
        self.messages.push(message);
    }

    /// Ends reading the fields of a message.
    pub(crate) fn close(&mut self) {
        self.messages.pop();
    }

    /// The key of a mapping is not a field of the message.
    pub(crate) fn unknown_field(&mut self, key: Node<'d>, message: &Message) {
        if key.text() == "$patch" {
            self.patch = true;
            return;
        }
        if self.lenient() {
            return;
        }
        let name = key.text();
        let location = self.location(key.span());
        let text = format!("`{}` is not a field of {}", shorten(name), api_name(message.name));
        let finding = Finding::new(&UNKNOWN_FIELD, location, text).field(self.path_text(Some(name)));
        // The message itself is the last of the open ones, and does not have the field.
        let outer = self.messages.iter().rev().find(|outer| outer.fields.contains(&name));
        let inner = message.inner.iter().find(|(_, fields)| fields.contains(&name));
        let finding = if let Some(field) = nearest(name, message.fields.iter().copied()) {
            finding.help(format!("did you mean `{field}`?")).fix(Fix {
                safe: false,
                title: format!("rename `{name}` to `{field}`"),
                edits: vec![Edit { location, text: field.to_owned() }],
            })
        } else if let Some((field, _)) = inner {
            finding.help(format!("move it into `{field}`, which has a field `{name}`"))
        } else if let Some(outer) = outer {
            finding.help(format!("move it out into {}, which has a field `{name}`", api_name(outer.name)))
        } else {
            finding.help(format!("its fields are {}", list(message.fields, "and")))
        };
        self.report(finding);
    }

    /// The message at `node` lacks `field`.
    pub(crate) fn missing_field(&mut self, node: Node<'d>, owner: &str, field: &str) {
        let span = node.entries().next().map_or(node.span(), |(key, _)| key.span());
        let finding = Finding::new(
            &MISSING_FIELD,
            self.location(span),
            format!("`{field}` is missing, which {} must have", api_name(owner)),
        )
        .field(self.path_text(Some(field)))
        .help(format!("add `{field}`"));
        self.report(finding);
    }

    /// At most one of `fields` may be there.
    pub(crate) fn at_most_one(&mut self, fields: &[Seen]) {
        let mut present = fields.iter().filter_map(|field| field.key.map(|key| (field.name, key)));
        let (Some(first), Some(second)) = (present.next(), present.next()) else { return };
        // The later of the two in the text is the one to point at.
        let (first, second) = if first.1 <= second.1 { (first, second) } else { (second, first) };
        let message = format!("`{}` and `{}` cannot stand together", first.0, second.0);
        let finding = Finding::new(&EXCLUSIVE_FIELDS, self.location(second.1), message)
            .field(self.path_text(Some(second.0)))
            .related(self.location(first.1), format!("`{}` is here", first.0))
            .help("keep one of them");
        self.report(finding);
    }

    /// At least one of `fields` must be there.
    pub(crate) fn at_least_one(&mut self, node: Node<'d>, owner: &str, fields: &[Seen]) {
        if fields.iter().any(|field| field.key.is_some()) {
            return;
        }
        let names: Vec<&str> = fields.iter().map(|field| field.name).collect();
        let span = node.entries().next().map_or(node.span(), |(key, _)| key.span());
        let message = format!("{} needs {}", api_name(owner), list(&names, "or"));
        let finding = self.finding(&MISSING_FIELD, span, message).help(format!("add {}", list(&names, "or")));
        self.report(finding);
    }
}

/// Whether this is an alias without an anchor, which reading has reported: text with `*` in front and no quotes about it.
fn leads_nowhere(node: Node<'_>) -> bool {
    let span = node.span();
    node.kind() == NodeKind::Scalar
        && node.text().starts_with('*')
        && (span.end - span.start) as usize == node.text().len()
}

/// Adds a key to the text of a path; one that holds a dot or a bracket is quoted.
pub(crate) fn push_key(path: &mut String, key: &str) {
    if key.is_empty() || key.contains(['.', '[', ']', '"']) {
        // Writing to a string cannot fail.
        _ = write!(path, "[\"{key}\"]");
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// What a value is, for messages.
pub(crate) fn describe(node: Node<'_>) -> String {
    match node.kind() {
        NodeKind::Mapping => "a mapping".to_owned(),
        NodeKind::Sequence => "a list".to_owned(),
        NodeKind::Scalar => match node.scalar() {
            None | Some(Scalar::Null) => "null".to_owned(),
            Some(Scalar::Bool(value)) if node.text() == if value { "true" } else { "false" } => {
                format!("the boolean `{value}`")
            }
            Some(Scalar::Bool(value)) => format!("`{}`, which YAML reads as the boolean `{value}`", node.text()),
            Some(Scalar::Int(_) | Scalar::Uint(_) | Scalar::Float(_)) => format!("the number `{}`", node.text()),
            Some(Scalar::String(text)) => format!("the text \"{}\"", shorten(&text)),
        },
    }
}

/// The beginning of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// `a`, `b` and `c`, quoted as code.
pub(crate) fn list(names: &[&str], conjunction: &str) -> String {
    let Some((last, others)) = names.split_last() else { return String::new() };
    if others.is_empty() {
        return format!("`{last}`");
    }
    let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
    format!("{} {conjunction} `{last}`", others.join(", "))
}
