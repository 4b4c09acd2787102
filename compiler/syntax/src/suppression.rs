//! Comments that suppress findings: `# malha: ignore[R001,D] the reason`.

use crate::span::Span;
use memchr::memmem;

/// What every directive begins with.
const WORD: &str = "malha:";

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

/// Whether `text` may hold a suppression.
pub(crate) fn is_possible(text: &str) -> bool {
    memmem::find(text.as_bytes(), WORD.as_bytes()).is_some()
}

/// The suppressions of `text`; `documents` are those of its documents that may hold some, in order.
pub(crate) fn suppressions(text: &str, documents: &[Scalars]) -> Vec<Suppression> {
    let mut found: Vec<Suppression> = Vec::new();
    if !is_possible(text) {
        return found;
    }
    let mut places = Places { documents };
    // From here on, those found stand alone on their lines, and nothing else has come yet.
    let mut waiting = 0;
    let mut start = 0;
    for (index, line) in text.split('\n').enumerate() {
        let number = index as u32 + 1;
        let content = line.trim_start();
        let alone = content.starts_with('#');
        let suppression = suppression(line, start).filter(|found| !places.hold(found.span.start));
        if !alone && !content.is_empty() {
            for found in found.iter_mut().skip(waiting) {
                found.line = number;
            }
        }
        if let Some(suppression) = suppression {
            found.push(Suppression { line: number, ..suppression });
        }
        if !alone {
            waiting = if content.is_empty() { waiting } else { found.len() };
        }
        start += line.len() + 1;
    }
    found
}

/// The suppression on `line`, which begins at byte `start` of the source.
fn suppression(line: &str, start: usize) -> Option<Suppression> {
    let at = memmem::find(line.as_bytes(), WORD.as_bytes())?;
    let code = line.get(..at)?.trim_end_matches([' ', '\t']).strip_suffix('#')?;
    if !code.is_empty() && !code.ends_with([' ', '\t']) {
        return None;
    }
    let directive = line.get(at + WORD.len()..)?.trim();
    let (codes, reason) = directive.strip_prefix("ignore")?.trim_start().strip_prefix('[')?.split_once(']')?;
    Some(Suppression {
        codes: codes.split(',').map(str::trim).filter(|code| !code.is_empty()).map(str::to_owned).collect(),
        reason: reason.trim().to_owned(),
        line: 0,
        span: Span::new((start + code.len()) as u32, (start + line.trim_end().len()) as u32),
    })
}

/// Where the scalars of a document are.
pub(crate) struct Scalars {
    /// Where the document ends.
    end: u32,
    /// In order.
    spans: Vec<Span>,
}

impl Scalars {
    pub(crate) fn new(end: u32, spans: impl Iterator<Item = Span>) -> Self {
        let mut spans: Vec<Span> = spans.collect();
        spans.sort_unstable();
        Scalars { end, spans }
    }
}

/// The places of the scalars, asked for from the top of the text to its end.
struct Places<'d> {
    documents: &'d [Scalars],
}

impl Places<'_> {
    /// Whether the byte `at` belongs to a scalar, so that what stands there is no comment.
    fn hold(&mut self, at: u32) -> bool {
        let spans = loop {
            let Some((document, others)) = self.documents.split_first() else { return false };
            if at < document.end {
                break &document.spans;
            }
            self.documents = others;
        };
        let next = spans.partition_point(|span| span.start <= at);
        next.checked_sub(1).and_then(|last| spans.get(last)).is_some_and(|span| at < span.end)
    }
}
