//! Names, namespaces and labels as Kubernetes allows them.

use crate::{
    Kind, Metadata, Spanned,
    read::{Reader, Step, push_key, shorten},
    rules::{INVALID_NAME, MISSING_FIELD},
};
use malha_syntax::{Node, Span};
use smol_str::SmolStr;

/// Whether `text` is a DNS label (RFC 1123) in lower case.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether `text` is a DNS name in lower case.
fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !part.is_empty() && part.bytes().all(inner) && !part.starts_with('-') && !part.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Whether `text` is the name part of a label's key, or a label's value that is not empty.
fn is_label_word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.len() <= 63 && text.bytes().all(inner) && edge(text.as_bytes().first()) && edge(text.as_bytes().last())
}

/// Whether `text` is the key of a label or of an annotation.
fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_word(name),
        None => is_label_word(text),
    }
}

/// Checks what Kubernetes demands of every object: a name, and names and labels of the right form.
pub(crate) fn check_metadata<'d>(node: Node<'d>, kind: Kind, metadata: &Metadata, reader: &mut Reader<'d>) {
    reader.within(Step::Key("metadata"), |reader| {
        let name_written =
            node.get("metadata").and_then(|metadata| metadata.get("name")).is_some_and(|it| !it.is_null());
        match &metadata.name {
            Some(name) => check_name(name, kind, reader),
            None if name_written => {}
            None => report_unnamed(node, kind, metadata, reader),
        }
        if let Some(namespace) = metadata.namespace.as_ref().filter(|it| !it.is_empty() && !is_label(it)) {
            let message = format!("`{}` is not a name for a namespace", namespace.value);
            let help = "use at most 63 lower case letters, digits and inner hyphens";
            let finding = reader.finding(&INVALID_NAME, namespace.span, message).field("metadata.namespace").help(help);
            reader.report(finding);
        }
        for (key, value) in &metadata.labels {
            if !is_label_key(key) {
                report_label(key.span, "labels", key, "cannot be the key of a label", &key.value, reader);
            } else if !value.is_empty() && !is_label_word(value) {
                report_label(value.span, "labels", key, "cannot be the value of a label", &value.value, reader);
            }
        }
        // Of annotations only the keys matter, and there capitals are fine in the prefix too.
        for (key, _) in metadata.annotations.iter().filter(|(key, _)| !is_label_key(&key.to_lowercase())) {
            report_label(key.span, "annotations", key, "cannot be the key of an annotation", &key.value, reader);
        }
    });
}

fn report_label(span: Span, part: &'static str, key: &str, problem: &str, text: &str, reader: &mut Reader<'_>) {
    let mut path = format!("metadata.{part}");
    push_key(&mut path, key);
    let help = "use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; \
        a key may have a DNS name and `/` before that";
    let message = format!("`{}` {problem}", shorten(text));
    let finding = reader.finding(&INVALID_NAME, span, message).field(path).help(help);
    reader.report(finding);
}

fn check_name(name: &Spanned<SmolStr>, kind: Kind, reader: &mut Reader<'_>) {
    let (good, demand) = match kind {
        Kind::Service => (
            is_label(name) && !name.starts_with(|first: char| first.is_ascii_digit()),
            "at most 63 lower case letters, digits and inner hyphens, with a letter first",
        ),
        Kind::Namespace => (is_label(name), "at most 63 lower case letters, digits and inner hyphens"),
        _ => (is_subdomain(name), "at most 253 lower case letters, digits, and inner hyphens and dots"),
    };
    if good {
        return;
    }
    let message = format!("`{}` is not a name for a {kind}", name.value);
    let finding =
        reader.finding(&INVALID_NAME, name.span, message).field("metadata.name").help(format!("use {demand}"));
    reader.report(finding);
}

fn report_unnamed<'d>(node: Node<'d>, kind: Kind, metadata: &Metadata, reader: &mut Reader<'d>) {
    let (span, message) = if let Some(prefix) = &metadata.generate_name {
        (prefix.key, format!("this {kind} has no name: the cluster would make one up from `generateName`"))
    } else {
        let key = node.entry_of("metadata").map(|(key, _)| key.span());
        let first = node.entries().next().map(|(key, _)| key.span());
        (key.or(first).unwrap_or(node.span()), format!("this {kind} has no name"))
    };
    let finding = reader.finding(&MISSING_FIELD, span, message).field("metadata.name").help("add `metadata.name`");
    reader.report(finding);
}
