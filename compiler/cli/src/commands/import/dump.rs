//! What a cluster printed: the objects of all inputs.

use crate::{failure::Failure, inputs::STDIN_NAME, values::json};
use malha_model::Kind;
use malha_syntax::{Document, MAX_SOURCE_BYTES, Source, SourceId, read_each};
use serde_json::{Map, Value};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// Lists in lists; nobody writes more.
const DEEPEST_LIST: usize = 3;

/// All objects, in the order of the inputs.
#[derive(Default)]
pub(super) struct Dump {
    pub(super) objects: Vec<Object>,
}

/// One object, as the cluster has it.
pub(super) struct Object {
    /// None: of a kind that Malha does not read.
    pub(super) kind: Option<Kind>,
    /// As it is written.
    pub(super) kind_name: String,
    pub(super) fields: Map<String, Value>,
}

impl Object {
    fn new(fields: Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind_name) = (text("apiVersion"), text("kind"));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        Object { kind: Kind::find(group, &kind_name), kind_name, fields }
    }

    /// A part of it, by JSON pointer without the first slash.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let value = self.fields.get(first)?;
        if rest.is_empty() { Some(value) } else { value.pointer(&format!("/{rest}")) }
    }

    /// A text of it; empty where there is none.
    pub(super) fn text(&self, path: &str) -> &str {
        self.at(path).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        self.text("metadata/name")
    }

    /// Empty for what belongs to the cluster as a whole.
    pub(super) fn namespace(&self) -> &str {
        self.text("metadata/namespace")
    }

    pub(super) fn uid(&self) -> &str {
        self.text("metadata/uid")
    }
}

impl Dump {
    /// Adds the objects of a file, or of the standard input.
    ///
    /// # Errors
    /// It cannot be read, or is neither YAML nor JSON.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), Failure> {
        let is_stdin = path.as_os_str() == "-";
        let name = if is_stdin { STDIN_NAME.to_owned() } else { path.display().to_string() };
        let failed = |error: io::Error| Failure::new(format!("{name}: {error}"));
        let mut bytes = Vec::new();
        // One byte more tells that there are too many.
        let most = MAX_SOURCE_BYTES as u64 + 1;
        let read = if is_stdin {
            io::stdin().lock().take(most).read_to_end(&mut bytes)
        } else {
            File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
        };
        read.map_err(failed)?;
        let (source, findings) = Source::decode(name, bytes);
        let reading = read_each(SourceId(0), &source.text, |document| objects(&document));
        if let Some(finding) = findings.first().or(reading.findings.first()) {
            let line = source.line_column(finding.location.span.start).line;
            return Err(Failure::new(format!("{}:{line}: {}", source.name, finding.message))
                .help("give it what `kubectl get ... -o yaml` or `-o json` printed"));
        }
        self.objects.extend(reading.documents.into_iter().flatten());
        Ok(())
    }
}

/// The objects of a document, lists taken apart.
fn objects(document: &Document) -> Vec<Object> {
    let mut found = Vec::new();
    if let Some(Value::Object(fields)) = document.root().map(json) {
        collect(fields, 0, &mut found);
    }
    found
}

fn collect(mut fields: Map<String, Value>, depth: usize, found: &mut Vec<Object>) {
    let text = |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text(&fields, "kind").unwrap_or_default();
    let is_list = kind.ends_with("List") && fields.get("items").is_some_and(Value::is_array) && depth < DEEPEST_LIST;
    if !is_list {
        found.push(Object::new(fields));
        return;
    }
    // The items of a typed list may leave out what it says for all of them.
    let item_kind = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
    let api_version = text(&fields, "apiVersion").filter(|_| item_kind.is_some());
    let Some(Value::Array(items)) = fields.remove("items") else { return };
    for item in items {
        let Value::Object(mut item) = item else { continue };
        for (name, inherited) in [("apiVersion", api_version.as_deref()), ("kind", item_kind)] {
            if let (false, Some(inherited)) = (item.contains_key(name), inherited) {
                item.insert(name.to_owned(), inherited.into());
            }
        }
        collect(item, depth + 1, found);
    }
}
