//! Completion: the fields that may stand at the cursor, and the values of those that name something.

use super::{
    cursor::Cursor,
    documents::Documents,
    fields::{Field, Schemas},
    meshes::{Checked, Meshes},
    positions::Lines,
    references::{Names, Reference},
    uri,
};
use lsp_types::{
    CompletionItem, CompletionItemKind, CompletionResponse, CompletionTextEdit, Documentation, MarkupContent,
    MarkupKind, Range, TextDocumentPositionParams, TextEdit,
};
use malha_mesh::{host, names::MESH_GATEWAY};
use malha_model::{Kind, SCHEMA_KINDS};
use malha_syntax::{Document, SourceId, read};
use std::collections::BTreeSet;

/// Stands for what is being written: what is half written rarely is YAML, what it will become is.
const STAND_IN: &str = "malhaWritesHere";

/// What every object begins with.
const TOP: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];

/// What may stand at the cursor.
pub(super) fn completion(
    place: &TextDocumentPositionParams,
    meshes: &Meshes,
    documents: &Documents,
    schemas: &Schemas,
) -> Option<CompletionResponse> {
    let path = uri::path(&place.text_document.uri)?;
    let text = &documents.get(&path)?.text;
    let lines = Lines::new(text);
    let word = Word::at(text, lines.offset(place.position))?;
    let range = Range { start: lines.position(word.start), end: lines.position(word.end) };
    let checked = meshes.find(&path).map(|(checked, _)| checked);
    let with = |ending: &str| format!("{}{STAND_IN}{ending}{}", &text[..word.start], &text[word.end..]);

    let as_value = with("");
    let parsed = read(SourceId::default(), &as_value).documents;
    let cursor = stand_in(&parsed, &as_value, word.start);
    let mut found = Vec::new();
    let value = cursor.filter(|cursor| !cursor.is_on_key);
    if let Some(cursor) = &value {
        found = values(cursor, schemas, checked);
    }
    // Where a mapping is to come, what is written is the first of its keys.
    let is_mapping = value.as_ref().is_some_and(|cursor| {
        schemas.field(cursor.kind, &cursor.steps).is_none_or(|field| field.is_mapping() || field.is_list())
    });
    if value.is_none() || (found.is_empty() && is_mapping) {
        let is_key_already = text[word.end..].trim_start_matches(' ').starts_with(':');
        let as_key = with(if is_key_already { "" } else { ": " });
        let parsed = read(SourceId::default(), &as_key).documents;
        if let Some(cursor) = stand_in(&parsed, &as_key, word.start).filter(|cursor| cursor.is_on_key) {
            found = keys(&cursor, schemas, &as_key, is_key_already);
        }
    }
    let items = found.into_iter().enumerate().map(|(at, one)| one.item(at, range)).collect();
    Some(CompletionResponse::Array(items))
}

/// The word that the cursor is in.
struct Word {
    start: usize,
    end: usize,
}

impl Word {
    fn at(text: &str, offset: usize) -> Option<Word> {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./*".contains(byte) || *byte >= 0x80;
        let (before, after) = (text.get(..offset)?.as_bytes(), text.get(offset..)?.as_bytes());
        let start = offset - before.iter().rev().take_while(|byte| is_part(byte)).count();
        let end = offset + after.iter().take_while(|byte| is_part(byte)).count();
        // The mark of an item, or of a document, is no word.
        let is_mark = start < end && text.get(start..end)?.bytes().all(|byte| byte == b'-');
        // In a comment nothing is completed.
        let line = text.get(..start)?.rsplit(['\n', '\r']).next().unwrap_or_default();
        let is_comment = line.trim_start().starts_with('#') || line.contains(" #");
        (!is_mark && !is_comment).then_some(Word { start, end })
    }
}

/// The cursor on the stand-in, if it became a value or a key of its own.
fn stand_in<'d>(parsed: &'d [Document], text: &str, start: usize) -> Option<Cursor<'d>> {
    let cursor = Cursor::find(parsed, start as u32 + 1)?;
    let on = cursor.on?;
    let written = text.get(on.start as usize..on.end as usize)?;
    (written.trim_matches(['"', '\'']) == STAND_IN).then_some(cursor)
}

/// Something that may stand at the cursor.
struct Offer {
    label: String,
    text: String,
    kind: CompletionItemKind,
    detail: Option<String>,
    documentation: Option<String>,
}

impl Offer {
    fn value(label: impl Into<String>, kind: CompletionItemKind, detail: Option<String>) -> Offer {
        let label = label.into();
        Offer { text: label.clone(), label, kind, detail, documentation: None }
    }

    fn item(self, at: usize, range: Range) -> CompletionItem {
        let documentation = self
            .documentation
            .map(|value| Documentation::MarkupContent(MarkupContent { kind: MarkupKind::Markdown, value }));
        CompletionItem {
            label: self.label,
            kind: Some(self.kind),
            detail: self.detail,
            documentation,
            // Fields in the order of the schema, which is that of their importance.
            sort_text: Some(format!("{at:05}")),
            text_edit: Some(CompletionTextEdit::Edit(TextEdit { range, new_text: self.text })),
            ..CompletionItem::default()
        }
    }
}

/// The keys that the mapping at the cursor does not have yet.
fn keys(cursor: &Cursor<'_>, schemas: &Schemas, text: &str, is_key_already: bool) -> Vec<Offer> {
    let above = cursor.steps.get(..cursor.steps.len().saturating_sub(1)).unwrap_or_default();
    let Some(field) = schemas.field(cursor.kind, above) else {
        let is_top = above.is_empty() && !SCHEMA_KINDS.contains(&cursor.kind);
        let there = |key: &&str| is_top && cursor.object.get(key).is_none();
        return TOP.into_iter().filter(there).map(|key| key_offer(key, None, "", false, is_key_already)).collect();
    };
    let parent = cursor.parent();
    let is_flow = text.get(parent.span().start as usize..).is_some_and(|text| text.starts_with('{'));
    // A list wants the first of its items.
    let (field, mark) = match field.item() {
        Some(item) if field.is_list() => (item, "- "),
        _ => (field, ""),
    };
    let is_new = |name: &str| parent.get(name).is_none();
    let members = field.members().filter(|(name, _)| is_new(name));
    members.map(|(name, member)| key_offer(name, Some(member), mark, is_flow, is_key_already)).collect()
}

fn key_offer(name: &str, field: Option<Field<'_>>, mark: &str, is_flow: bool, is_key_already: bool) -> Offer {
    let opens_lines = field.is_some_and(|field| field.is_mapping() || field.is_list());
    let ending = match (is_key_already, opens_lines && !is_flow) {
        (true, _) => "",
        (false, true) => ":",
        (false, false) => ": ",
    };
    Offer {
        label: name.to_owned(),
        text: format!("{mark}{name}{ending}"),
        kind: CompletionItemKind::FIELD,
        detail: field.map(Field::shape).filter(|shape| !shape.is_empty()),
        documentation: field.and_then(Field::description).map(str::to_owned),
    }
}

/// The values that the field at the cursor may have.
fn values(cursor: &Cursor<'_>, schemas: &Schemas, checked: Option<&Checked>) -> Vec<Offer> {
    let mut offers = Vec::new();
    if let (Some(checked), Some(reference)) = (checked, Reference::of(cursor)) {
        named(cursor, reference, checked, &mut offers);
    }
    if cursor.keys() == ["kind"] {
        offers.extend(SCHEMA_KINDS.map(|kind| Offer::value(kind, CompletionItemKind::CLASS, None)));
        return offers;
    }
    let field = schemas.field(cursor.kind, &cursor.steps);
    for choice in field.into_iter().flat_map(Field::choices) {
        let mut offer = Offer::value(choice.value, CompletionItemKind::ENUM_MEMBER, None);
        offer.documentation = choice.description.map(str::to_owned);
        offers.push(offer);
    }
    offers
}

/// What of the mesh a field may name.
fn named(cursor: &Cursor<'_>, reference: Reference<'_>, checked: &Checked, offers: &mut Vec<Offer>) {
    let (mesh, names) = (&checked.mesh, Names::of(&checked.mesh, cursor));
    match reference {
        Reference::Host => {
            let services = mesh.registry().services().iter().filter(|service| !host::is_wildcard(&service.hostname));
            let mut told = BTreeSet::new();
            for service in services {
                let written = names.written(service);
                if told.insert(written.clone()) {
                    let resource = &service.resource;
                    let detail = format!("{} {}/{}", resource.kind, resource.namespace, resource.name);
                    offers.push(Offer::value(written, CompletionItemKind::REFERENCE, Some(detail)));
                }
            }
            // What is near comes first.
            offers.sort_by_key(|offer| (offer.label.contains('.'), offer.label.clone()));
        }
        Reference::Subset { host } => {
            let subsets = names.subsets(host).into_iter();
            offers.extend(subsets.map(|subset| Offer::value(subset, CompletionItemKind::REFERENCE, None)));
        }
        Reference::Port { host } => {
            let ports = names.services(host).into_iter().flat_map(|service| &service.ports);
            let ports: BTreeSet<(u32, String)> = ports.map(|port| (port.number, port.name.to_string())).collect();
            for (number, name) in ports {
                offers.push(Offer::value(number.to_string(), CompletionItemKind::VALUE, Some(name)));
            }
        }
        Reference::Gateway => {
            for gateway in mesh.gateways() {
                let is_near = gateway.name.namespace == names.namespace;
                let written = if is_near { gateway.name.name.to_string() } else { gateway.name.to_string() };
                let detail = format!("Gateway {}", gateway.name);
                offers.push(Offer::value(written, CompletionItemKind::REFERENCE, Some(detail)));
            }
            let all = "all sidecars".to_owned();
            offers.push(Offer::value(MESH_GATEWAY, CompletionItemKind::REFERENCE, Some(all)));
        }
        Reference::Delegate { namespace } => {
            if cursor.keys().last() == Some(&"name") {
                let delegates = mesh.virtual_services().iter().filter(|service| service.hosts.is_empty());
                let delegates = delegates.filter(|service| service.name.namespace == namespace);
                offers.extend(
                    delegates
                        .map(|service| Offer::value(service.name.name.as_str(), CompletionItemKind::REFERENCE, None)),
                );
            }
        }
        Reference::Secret => {
            offers.extend(mesh.resources().iter().filter_map(|resource| {
                let made = resource.made_secret();
                let secret = made.or_else(|| (resource.kind == Kind::Secret).then_some(&resource.name))?;
                let detail = format!("{} {}/{}", resource.kind, resource.namespace, resource.name);
                Some(Offer::value(secret.as_str(), CompletionItemKind::REFERENCE, Some(detail)))
            }));
        }
    }
}
