//! Checks regular expressions as Istio's validation does.

use crate::{
    read::{Reader, shorten},
    rules::INVALID_REGEX,
};
use malha_algebra::re2;
use malha_syntax::Node;

/// Most characters of a regular expression (semantics 0.13).
const LONGEST: usize = 1024;

/// Reports a text that Istio does not take for a regular expression, with which its webhook refuses the whole object
/// (semantics 0.13). What Go's `regexp` takes and RE2 alone refuses gets past it, and is no business of the reader.
pub(super) fn check_regex<'d>(text: &str, node: Node<'d>, reader: &mut Reader<'d>) {
    let name = reader.field_name();
    let (message, help) = if text.is_empty() {
        (format!("`{name}` is empty, and Istio takes no empty expression"), "leave it out, or write `.*`".to_owned())
    } else if text.len() > LONGEST && text.chars().count() > LONGEST {
        let count = text.chars().count();
        let message = format!("this expression has {count} characters, and Istio takes no more than {LONGEST}");
        (message, "shorten it, or split it over several matches".to_owned())
    } else if text == "*" && reader.asks_for_absence() {
        return;
    } else if let Err(error) = re2::verdict(text).go {
        let message = format!("\"{}\" is no regular expression that Istio takes: {error}", shorten(text));
        (message, advice(text, error.offset).to_owned())
    } else {
        return;
    };
    let finding = reader.finding(&INVALID_REGEX, node.span(), message).help(help);
    reader.report(finding);
}

/// How to do without what stands at `offset`.
fn advice(text: &str, offset: usize) -> &'static str {
    let rest = text.get(offset..).unwrap_or_default();
    let is_any = |beginnings: &[&str]| beginnings.iter().any(|beginning| rest.starts_with(beginning));
    if text == "*" {
        "write `.*` for any text, or `{}` for any value of a header or query parameter"
    } else if is_any(&["(?=", "(?!", "(?<=", "(?<!"]) {
        "RE2 does not look ahead or behind; use a rule before this one for what is to be left out"
    } else if rest.strip_prefix('\\').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit() || c == 'k')) {
        "RE2 has no backreferences; write out what is to be repeated"
    } else if is_any(&["(?>", "(?|", "(?(", "(?R", "(?#"]) {
        "RE2 has neither atomic groups nor conditions, recursion or comments; use `(?:...)`"
    } else if is_any(&["\\Z", "\\G"]) {
        "RE2 has no such anchor, and needs none: the whole text must match anyway"
    } else if is_any(&["\\u", "\\U"]) {
        "RE2 writes a character by its number as `\\x{2028}`"
    } else if is_any(&["\\h", "\\R", "\\X", "\\K"]) {
        "RE2 has no such class; write out what is meant, as `[ \\t]`"
    } else if rest.starts_with('+') && text.get(..offset).is_some_and(|before| before.ends_with(['*', '+', '?', '}'])) {
        "RE2 has no possessive repetition, and never needs to give back what it took; leave the second `+` out"
    } else if is_any(&["*", "+", "?"]) {
        "put what is to be repeated before the operator, or escape it: `\\*`; any text is `.*`"
    } else {
        "the syntax is that of RE2, https://github.com/google/re2/wiki/Syntax"
    }
}
