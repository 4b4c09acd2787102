//! What is wrong with a text that is no YAML, in words for whoever wrote it.

use crate::granit::MAX_DEPTH;
use crate::problem::Problem;
use crate::rules::{SYNTAX_ERROR, TAB_INDENTATION, TOO_DEEP, UNQUOTED_WILDCARD};
use crate::span::Span;
use granit_parser::ScanError;

/// The problem that stopped granit-parser.
pub(crate) fn syntax_error(error: &ScanError, text: &str, base: u32) -> Problem {
    let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
    Problem::new(&SYNTAX_ERROR, Span::empty(base + at as u32), format!("{:?}", error.kind()))
}

/// A `*` that is not quoted.
pub(crate) fn unquoted_wildcard(span: Span, written: &str) -> Problem {
    let message = format!("`{written}` is not quoted, so YAML reads it as an alias, not as a wildcard");
    let mut problem = Problem::new(&UNQUOTED_WILDCARD, span, message).help(format!("write `\"{written}\"`"));
    problem.fix = Some(("quote the wildcard", span, format!("\"{written}\"")));
    problem
}

/// A tab in the indentation.
pub(crate) fn tab(span: Span) -> Problem {
    let problem = Problem::new(&TAB_INDENTATION, span, "this line is indented with a tab, which YAML does not allow");
    problem.help("indent it with spaces")
}

/// Nesting beyond [`MAX_DEPTH`].
pub(crate) fn too_deep(span: Span) -> Problem {
    let message = format!("mappings and sequences nest over {MAX_DEPTH} deep here");
    Problem::new(&TOO_DEEP, span, message).help("no object of Kubernetes needs that; flatten it")
}
