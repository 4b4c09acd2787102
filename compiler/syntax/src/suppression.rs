//! Comments that suppress findings: `# malha: ignore[R001,D*] the reason`.

use crate::document::Document;
use crate::span::Span;

/// A comment that suppresses findings on its line or, alone on its line, on the next line that holds anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// The codes, prefixes or names in the brackets, as written.
    pub codes: Vec<String>,
    /// What follows the brackets.
    pub reason: String,
    /// The line whose findings it suppresses, from 1.
    pub line: u32,
    /// The comment, from its `#`.
    pub span: Span,
}

/// The suppressions of `text`, whose documents are `documents`.
pub(crate) fn suppressions(text: &str, documents: &[Document]) -> Vec<Suppression> {
    let comments = memchr::memmem::find_iter(text.as_bytes(), b"malha:");
    comments.filter_map(|at| suppression(text, at)).filter(|found| !in_scalar(found.span, documents)).collect()
}

fn suppression(text: &str, at: usize) -> Option<Suppression> {
    let line_start = text.get(..at)?.rfind('\n').map_or(0, |newline| newline + 1);
    let before = text.get(line_start..at)?.trim_end_matches([' ', '\t']);
    let code = before.strip_suffix('#')?;
    if !code.is_empty() && !code.ends_with([' ', '\t']) {
        return None;
    }
    let line_end = text.get(at..)?.find(['\n', '\r']).map_or(text.len(), |newline| at + newline);
    let directive = text.get(at + "malha:".len()..line_end)?.trim();
    let (codes, reason) = directive.strip_prefix("ignore")?.trim_start().strip_prefix('[')?.split_once(']')?;
    let alone = code.trim().is_empty();
    let own = memchr::memchr_iter(b'\n', text.get(..line_start)?.as_bytes()).count() as u32 + 1;
    Some(Suppression {
        codes: codes.split(',').map(str::trim).filter(|code| !code.is_empty()).map(str::to_owned).collect(),
        reason: reason.trim().to_owned(),
        line: if alone { own + lines_to_content(text.get(line_end..)?) } else { own },
        span: Span::new((line_start + code.len()) as u32, line_end as u32),
    })
}

/// How many lines below its first one `text` has a line that is neither blank nor a comment; 1 if there is none.
fn lines_to_content(text: &str) -> u32 {
    let content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    text.split('\n').skip(1).position(content).map_or(1, |lines| lines as u32 + 1)
}

fn in_scalar(span: Span, documents: &[Document]) -> bool {
    let index = documents.partition_point(|document| document.span.end <= span.start);
    documents.get(index).is_some_and(|document| {
        document.span.start <= span.start
            && document.scalar_spans().any(|s| s.start <= span.start && span.start < s.end)
    })
}
