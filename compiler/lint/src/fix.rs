//! Fixes that take an item out of a list, byte for byte; those that write a value stand below.

mod value;

pub(crate) use value::NewField;

use crate::rule::Context;
use malha_syntax::{Edit, Fix, Location, SourceId, Span};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// Which texts have references, found once for each: a text may have many findings.
#[derive(Default)]
pub(crate) struct References(Mutex<HashMap<SourceId, bool>>);

impl Context<'_> {
    /// The fix that removes the list item at `place` with its lines. Comments before it stay.
    ///
    /// None where that is not plainly right: the text is not at hand, the item is not one of a list in block style with
    /// lines of its own, or something else in the text may hang on it.
    pub(crate) fn removal(&self, place: Location, safe: bool, title: String) -> Option<Fix> {
        let span = lines_of_item(self.text_without_references(place.source)?, place.span)?;
        let edit = Edit { location: Location { source: place.source, span }, text: String::new() };
        Some(Fix { safe, title, edits: vec![edit] })
    }

    /// A text in which every piece stands in one place only; none also if it is not at hand.
    fn text_without_references(&self, source: SourceId) -> Option<&str> {
        let text = self.sources?.get(source)?.text.as_str();
        let mut known = self.references.0.lock().unwrap_or_else(PoisonError::into_inner);
        let referred = *known.entry(source).or_insert_with(|| has_references(text));
        (!referred).then_some(text)
    }
}

/// The lines of a block list's item, with the comments inside it and those below it that are as deep as its content.
fn lines_of_item(text: &str, item: Span) -> Option<Span> {
    let (item_start, item_end) = (item.start as usize, item.end as usize);
    let start = text.get(..item_start)?.rfind('\n').map_or(0, |at| at + 1);
    let before = text.get(start..item_start)?;
    let indent = before.len() - before.trim_start_matches(' ').len();
    if before.get(indent..)?.trim_end_matches(' ') != "-" || has_directive_above(text.get(..start)?) {
        return None;
    }
    let (mut at, mut end) = (start, start);
    for line in text.get(start..)?.split_inclusive('\n') {
        let content = line.trim_start_matches(' ');
        let is_blank = content.trim_end().is_empty();
        if at >= item_end && at > start && !is_blank {
            if line.len() - content.len() <= indent {
                break;
            }
            // Only comments can stand here; anything else was not understood.
            if !content.starts_with('#') {
                return None;
            }
        }
        at += line.len();
        // Blank lines below the item are not its own.
        if !is_blank {
            end = at;
        }
    }
    // On its last line nothing follows the item but a comment. Of a text that it ends with, blank lines may be a part.
    let rest = text.get(item_end..end.max(item_end))?.lines().next().unwrap_or_default().trim_start();
    let below = text.get(end..item_end.max(end))?;
    let is_alone = (rest.is_empty() || rest.starts_with('#')) && below.trim().is_empty();
    is_alone.then(|| Span::new(start as u32, end as u32))
}

/// Whether a text may have anchors, by which one piece of it stands in several places, or texts that keep the blank
/// lines below them. It is no matter if it only looks so.
fn has_references(text: &str) -> bool {
    let is_anchor = |(at, _): (usize, &str)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back()).unwrap_or(' ');
        before.is_whitespace() || matches!(before, '[' | '{' | ',' | ':' | '-')
    };
    let keeps = |(at, _): (usize, &str)| {
        let before = text.get(..at).unwrap_or_default();
        before.trim_end_matches(|character: char| character.is_ascii_digit()).ends_with(['|', '>'])
    };
    text.match_indices('&').any(is_anchor) || text.match_indices('+').any(keeps)
}

/// Whether comments above speak to Malha: they would come to stand above another item.
fn has_directive_above(before: &str) -> bool {
    let lines = before.lines().rev().map(str::trim);
    let mut comments = lines.take_while(|line| line.is_empty() || line.starts_with('#'));
    comments.any(|line| line.contains("malha:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text without the item that begins at `<` and ends at `>`; none if it is left alone.
    fn removed(marked: &str) -> Option<String> {
        let (before, rest) = marked.split_once('<').expect("a start");
        let (item, after) = rest.split_once('>').expect("an end");
        let text = format!("{before}{item}{after}");
        let span = Span::new(before.len() as u32, (before.len() + item.len()) as u32);
        if has_references(&text) {
            return None;
        }
        let lines = lines_of_item(&text, span)?;
        Some(format!("{}{}", &text[..lines.start as usize], &text[lines.end as usize..]))
    }

    #[test]
    fn an_item_goes_with_its_lines() {
        let cases = [
            ("a:\n- b\n- <c>\n- d\n", "a:\n- b\n- d\n"),
            ("a:\n  - <b: 1\n    c: 2>\n  - d\n", "a:\n  - d\n"),
            (
                "a:\n  - b\n  # stays\n  - <c> # goes\n  # stays too\ne: f\n",
                "a:\n  - b\n  # stays\n  # stays too\ne: f\n",
            ),
            ("a:\n  - <b: 1\n    # inside\n    c: 2>\n    # as deep\n\n  - d\n", "a:\n\n  - d\n"),
            ("a:\n  - <b: 1\n# far left, inside\n    c: 2>\n  - d\n", "a:\n  - d\n"),
            ("a:\n  - b\n  - <c>", "a:\n  - b\n"),
            ("a:\r\n- <b>\r\n- c\r\n", "a:\r\n- c\r\n"),
            ("a:\n  - <b: |\n      # text\n\n      more\n>\n  - d\n", "a:\n\n  - d\n"),
            ("a:\n  -   <b: [1,\n  2]>\n  - d\n", "a:\n  - d\n"),
        ];
        for (marked, expected) in cases {
            assert_eq!(removed(marked).as_deref(), Some(expected), "{marked}");
        }
    }

    #[test]
    fn what_is_not_plainly_right_is_left_alone() {
        for marked in [
            "a: [<b>, c]\n",
            "{\"a\": [\n  <\"b\">,\n  \"c\"\n]}\n",
            "a:\n- - <b>\n  - c\n",
            "a:\n- &x\n  <b: 1>\n- *x\n",
            "a:\n- &x <b: 1>\n- *x\n",
            "a:\n- <b: &x 1>\n- c: *x\n",
            "a:\n- b: |+\n    x\n\n- <c>\n\n- d\n",
            "a:\n# malha: ignore[D001] for now\n- <b>\n- c\n",
            "a:\n# malha: ignore[D001] for now\n\n- <b>\n- c\n",
            "a:\n- <b> c\n",
            "a:\n  <b: 1>\n",
        ] {
            assert_eq!(removed(marked), None, "{marked}");
        }
    }
}
