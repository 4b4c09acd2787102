//! Objects as policies see them: the values that Kubernetes reads, and where each is written.

use crate::values::json;
use malha_syntax::{Document, Finding, Location, Node, NodeKind, ResourceName, RuleInfo, Span};
use serde_json::Value;
use std::fmt::Write as _;

/// Lists in lists; nobody writes more.
const DEEPEST_LIST: usize = 3;

/// One object of a document.
#[derive(Clone, Copy)]
pub(super) struct Object<'d> {
    pub(super) node: Node<'d>,
    pub(super) kind: &'d str,
}

/// One step from a value to a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

/// The objects of a document; lists are taken apart, and what is no object left out.
pub(super) fn objects(document: &Document) -> Vec<Object<'_>> {
    let mut found = Vec::new();
    if let Some(root) = document.root() {
        collect(root, None, 0, &mut found);
    }
    found
}

fn collect<'d>(node: Node<'d>, inherited: Option<&'d str>, depth: usize, found: &mut Vec<Object<'d>>) {
    let kind = node.get("kind").map(Node::text).filter(|kind| !kind.is_empty()).or(inherited);
    let Some(kind) = kind.filter(|_| node.get("$patch").is_none()) else { return };
    if let (Some(items), Some(item_kind)) = (node.get("items"), kind.strip_suffix("List"))
        && items.kind() == NodeKind::Sequence
        && depth < DEEPEST_LIST
    {
        let inherited = Some(item_kind).filter(|kind| !kind.is_empty());
        items.items().for_each(|item| collect(item, inherited, depth + 1, found));
    } else if node.get("apiVersion").is_some() || inherited.is_some() {
        found.push(Object { node, kind });
    }
}

impl<'d> Object<'d> {
    /// Its kind, namespace and name.
    pub(super) fn name(&self) -> ResourceName {
        let metadata = |key| self.node.get("metadata").and_then(|metadata| metadata.get(key)).map(Node::text);
        ResourceName {
            kind: self.kind.to_owned(),
            namespace: metadata("namespace").filter(|text| !text.is_empty()).unwrap_or("default").to_owned(),
            name: metadata("name").unwrap_or_default().to_owned(),
        }
    }

    /// Where it says its name; the whole of it if it does not.
    pub(super) fn named_at(&self) -> Span {
        let name = self.node.get("metadata").and_then(|metadata| metadata.get("name"));
        name.map_or(self.node.span(), Node::span)
    }

    /// The value of the object as JSON has it.
    pub(super) fn json(&self) -> Value {
        json(self.node)
    }

    /// How far `path` leads: the last part that is there, and how many steps that took.
    pub(super) fn follow(&self, path: &[Step<'_>]) -> (Node<'d>, usize) {
        let mut node = self.node;
        for (taken, step) in path.iter().enumerate() {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Index(index) => node.items().nth(*index),
            };
            match next {
                Some(next) => node = next,
                None => return (node, taken),
            }
        }
        (node, path.len())
    }

    /// A finding about a part of it.
    pub(super) fn finding(&self, rule: &'static RuleInfo, span: Span, path: &[Step<'_>], message: String) -> Finding {
        let location = Location { source: self.node.document().source, span };
        let finding = Finding::new(rule, location, message).resource(self.name());
        if path.is_empty() { finding } else { finding.field(written(path)) }
    }
}

/// A path as findings have it: `spec.http[0].match`.
pub(super) fn written(path: &[Step<'_>]) -> String {
    let mut out = String::new();
    for step in path {
        let _ = match step {
            Step::Index(index) => write!(out, "[{index}]"),
            Step::Key(key) if key.contains(['.', '[', '"']) => write!(out, "[\"{key}\"]"),
            Step::Key(key) if out.is_empty() => write!(out, "{key}"),
            Step::Key(key) => write!(out, ".{key}"),
        };
    }
    out
}
