//! Fixes that write something else, or something more, in the style that is there.

use crate::rule::Context;
use malha_syntax::{Edit, Fix, Location, Span};

impl Context<'_> {
    /// The fix that writes `text` in place of the scalar at `place`, with the quotes that are there.
    ///
    /// None where the text of the mesh is not at hand, or where that is not plainly right.
    pub(crate) fn rewrite(&self, place: Location, text: &str, safe: bool) -> Option<Fix> {
        let source = self.sources?.get(place.source)?;
        let text_there = source.text.get(place.span.start as usize..place.span.end as usize)?;
        let edit = Edit { location: place, text: in_style_of(text_there, text)? };
        Some(Fix { safe, title: format!("write `{text}`"), edits: vec![edit] })
    }

    /// The fix that adds `item` to the list whose last item stands at `last`.
    pub(crate) fn append(&self, last: Location, item: &str, safe: bool) -> Option<Fix> {
        let source = self.sources?.get(last.source)?;
        let (at, text) = item_after(&source.text, last.span, item)?;
        let location = Location { source: last.source, span: Span::new(at as u32, at as u32) };
        Some(Fix { safe, title: format!("add `{item}`"), edits: vec![Edit { location, text }] })
    }

    /// The fix that writes the field `text` above the one whose key stands at `key`, in a mapping in block style.
    pub(crate) fn insert_above(&self, key: Location, text: &str, safe: bool) -> Option<Fix> {
        let source = self.sources?.get(key.source)?;
        let indent = indent_of(&source.text, key.span.start as usize)?;
        let at = key.span.start;
        let edit = Edit {
            location: Location { source: key.source, span: Span::new(at, at) },
            text: format!("{text}\n{}", " ".repeat(indent)),
        };
        Some(Fix { safe, title: format!("add `{text}`"), edits: vec![edit] })
    }
}

/// `text` as a scalar, quoted as `there` is; none where `there` is more than a scalar on one line.
fn in_style_of(there: &str, text: &str) -> Option<String> {
    let is_harmless =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | '/' | '*' | ':');
    if there.contains('\n') || !text.chars().all(is_harmless) {
        return None;
    }
    match there.chars().next() {
        Some(quote @ ('"' | '\'')) => Some(format!("{quote}{text}{quote}")),
        Some('&' | '*' | '!' | '|' | '>') => None,
        // Plain, a name of a host needs no quotes; a wildcard, or what reads as a number, does.
        _ => {
            let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic()) && !text.contains(':');
            let is_number = text.chars().all(|letter| letter.is_ascii_digit());
            Some(if is_plain || is_number { text.to_owned() } else { format!("\"{text}\"") })
        }
    }
}

/// Where, and as what, an item is written after the last one of a list.
fn item_after(text: &str, last: Span, item: &str) -> Option<(usize, String)> {
    let (start, end) = (last.start as usize, last.end as usize);
    let before = text.get(..start)?;
    let line = text.get(before.rfind('\n').map_or(0, |at| at + 1)..start)?;
    let there = in_style_of(text.get(start..end)?, item)?;
    if line.trim_start_matches(' ').trim_end_matches(' ') == "-" {
        // A comment on its line stays with the item.
        let rest = text.get(end..)?.lines().next().unwrap_or_default();
        let is_alone = rest.trim().is_empty() || rest.trim_start().starts_with('#');
        return is_alone.then(|| (end + rest.len(), format!("\n{line}{there}")));
    }
    // In flow style, on the line that the list begins on.
    let opened = line.contains('[') && line.rfind('[') > line.rfind(']');
    opened.then(|| (end, format!(", {there}")))
}

/// How far in the key at `at` stands; none where something else stands before it on its line but the mark of an item.
fn indent_of(text: &str, at: usize) -> Option<usize> {
    let before = text.get(..at)?;
    let line = before.get(before.rfind('\n').map_or(0, |at| at + 1)..)?;
    line.chars().all(|letter| matches!(letter, ' ' | '-')).then_some(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_keeps_its_quotes() {
        for (there, text, expected) in [
            ("orders", "orders.shop", Some("orders.shop")),
            ("\"orders\"", "orders.shop", Some("\"orders.shop\"")),
            ("'orders'", "orders.shop", Some("'orders.shop'")),
            ("8080", "80", Some("80")),
            ("a.org", "*.org", Some("\"*.org\"")),
            ("\"a\"", "x\"y", None),
            ("*anchor", "orders", None),
            (">-\n  a", "orders", None),
        ] {
            assert_eq!(in_style_of(there, text).as_deref(), expected, "{there}");
        }
    }

    /// The text with `mesh` after the item between `<` and `>`.
    fn appended(marked: &str) -> Option<String> {
        let (before, rest) = marked.split_once('<').expect("a start");
        let (item, after) = rest.split_once('>').expect("an end");
        let text = format!("{before}{item}{after}");
        let span = Span::new(before.len() as u32, (before.len() + item.len()) as u32);
        let (at, more) = item_after(&text, span, "mesh")?;
        Some(format!("{}{more}{}", &text[..at], &text[at..]))
    }

    #[test]
    fn an_item_is_added_in_the_style_of_the_list() {
        for (marked, expected) in [
            ("gateways: [<a>]\n", Some("gateways: [a, mesh]\n")),
            ("gateways: [x, <'a'>]\n", Some("gateways: [x, 'a', 'mesh']\n")),
            ("gateways:\n- <a>\nhttp:\n", Some("gateways:\n- a\n- mesh\nhttp:\n")),
            ("  gateways:\n    - <a> # ours\n", Some("  gateways:\n    - a # ours\n    - mesh\n")),
            ("gateways:\n- <a>", Some("gateways:\n- a\n- mesh")),
            ("gateways: [\n  <a>\n]\n", None),
        ] {
            assert_eq!(appended(marked).as_deref(), expected, "{marked}");
        }
    }

    #[test]
    fn a_field_goes_above_another_only_in_block_style() {
        assert_eq!(indent_of("spec:\n  hosts: [a]\n", 8), Some(2));
        assert_eq!(indent_of("- host: a\n", 2), Some(2));
        assert_eq!(indent_of("spec: {hosts: [a]}\n", 7), None);
    }
}
