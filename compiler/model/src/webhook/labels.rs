//! Labels of workloads, and the selectors that look for them.

use super::{Judge, hosts};
use crate::{
    Entries,
    read::{push_key, shorten},
    rules::INVALID_NAME,
};
use malha_syntax::Span;
use smol_str::SmolStr;
use std::fmt;

/// Most bytes of the part of a key before its slash.
const LONGEST_PREFIX: usize = 253;

/// Most bytes of the name in a key.
const LONGEST_NAME: usize = 63;

/// Refuses keys and values that Istio takes for no label (rule C8).
pub(super) fn check_labels(labels: &Entries<SmolStr>, field: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    for (key, value) in labels {
        if !is_key(key) {
            let message = format!("`{}` cannot be the key of a label", shorten(key));
            let help = "use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends; \
                a DNS name and `/` may stand before that";
            refuse_key(key, field, key.span, message, help, judge);
        } else if !value.is_empty() && !is_word(value) {
            let message = format!("`{}` cannot be the value of a label", shorten(value));
            let help = "use letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
            refuse_key(key, field, value.span, message, help, judge);
        }
    }
}

/// Refuses the keys of a selector that look for nothing in particular (rule C22). Of values reading has judged.
pub(super) fn check_selector_keys(labels: &Entries<SmolStr>, field: fmt::Arguments<'_>, judge: &mut Judge<'_, '_>) {
    for key in labels.keys() {
        let message = if key.is_empty() {
            "a selector has an empty key, and no label has that".to_owned()
        } else if key.contains('*') {
            format!("the key `{}` has a `*`, but selectors know no wildcards", shorten(key))
        } else {
            continue;
        };
        refuse_key(key, field, key.span, message, "write the whole key of a label", judge);
    }
}

fn refuse_key(
    key: &str,
    field: fmt::Arguments<'_>,
    span: Span,
    message: String,
    help: &str,
    judge: &mut Judge<'_, '_>,
) {
    let mut path = field.to_string();
    push_key(&mut path, key);
    judge.refuse(&INVALID_NAME, path, span, message, help);
}

/// Whether `text` is letters, digits, `-`, `_` and `.` with a letter or digit at both ends. How long it is, Istio does
/// not ask of values.
fn is_word(text: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(inner) && edge(text.as_bytes().first()) && edge(text.as_bytes().last())
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let good_prefix =
        prefix.is_none_or(|prefix| prefix.len() <= LONGEST_PREFIX && prefix.split('.').all(hosts::is_label));
    good_prefix && name.len() <= LONGEST_NAME && is_word(name)
}

#[cfg(test)]
mod tests {
    use super::is_key;

    #[test]
    fn keys_of_labels() {
        for good in ["app", "a.b/c_d", "A/B", "version.x"] {
            assert!(is_key(good), "{good}");
        }
        for bad in ["", "a b", "a/b/c", "/a", "a/", "*", "-a", &"x".repeat(64)] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
