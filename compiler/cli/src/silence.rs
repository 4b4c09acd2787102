//! Comments that silence findings: what to write where.

use malha_syntax::{Source, Span, Suppression};
use std::collections::BTreeSet;

/// A comment that silences the rule about comments would silence itself.
pub(crate) const ABOUT_COMMENTS: &str = "O005";

/// Whether a source is JSON, which has no comments.
pub(crate) fn is_json(source: &Source, name: &str) -> bool {
    let named = std::path::Path::new(name).extension().is_some_and(|name| name.eq_ignore_ascii_case("json"));
    named || source.text.trim_start().starts_with('{')
}

/// What silences `codes` on line `number`: the codes in a comment that is there, or a comment of its own on a line
/// above, as deep.
pub(crate) fn comment(
    source: &Source,
    number: u32,
    codes: &BTreeSet<&'static str>,
    there: Option<&Suppression>,
) -> Option<(Span, String)> {
    let codes = codes.iter().copied().collect::<Vec<_>>().join(", ");
    if let Some(there) = there {
        let text = source.text.get(there.span.start as usize..there.span.end as usize)?;
        let bracket = there.span.start + text.find(']')? as u32;
        let separator = if there.codes.is_empty() { "" } else { ", " };
        return Some((Span::empty(bracket), format!("{separator}{codes}")));
    }
    let span = source.line_span(number)?;
    let text = source.text.get(span.start as usize..span.end as usize)?;
    let indentation = text.get(..text.len() - text.trim_start_matches(' ').len())?;
    Some((Span::empty(span.start), format!("{indentation}# malha: ignore[{codes}]\n")))
}
