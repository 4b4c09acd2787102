//! The parts of a stream, as Kubernetes tells them apart.

use crate::span::Span;
use serde::de::IgnoredAny;

/// The documents of `text`: what lies between lines that begin with `---`, be it inside a block scalar, as
/// Kubernetes' reader has it. A separator is no part of its document, unless
/// the document begins on the same line.
pub(crate) fn split(text: &str) -> impl Iterator<Item = Span> {
    let finder = memchr::memmem::Finder::new(b"\n---");
    let mut start = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let separator = bare_separator(text, start);
        start += separator;
        // The line break before the next separator may be that of this one.
        let mut from = if separator > 0 { start - 1 } else { start };
        let end = loop {
            match finder.find(text.as_bytes().get(from..).unwrap_or_default()) {
                Some(at) if is_separator(text, from + at + 1) => break from + at + 1,
                Some(at) => from += at + 1,
                None => {
                    done = true;
                    break text.len();
                }
            }
        };
        let span = Span::new(start as u32, end as u32);
        start = end;
        Some(span)
    })
}

/// The values of `text` if it is several JSON objects one after another, as `kubectl` reads and other tools write them.
pub(crate) fn json_values(text: &str) -> Option<Vec<Span>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut spans = Vec::new();
    let mut start = 0;
    while let Some(value) = values.next() {
        value.ok()?;
        spans.push(Span::new(start as u32, values.byte_offset() as u32));
        start = values.byte_offset();
    }
    (spans.len() > 1).then_some(spans)
}

/// Whether a separator stands at `start`, the start of a line. `---x` is text, not a separator.
pub(crate) fn is_separator(text: &str, start: usize) -> bool {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    rest.starts_with(b"---") && matches!(rest.get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
}

/// The length of the separator line at `start`, if there is nothing on it but a comment.
fn bare_separator(text: &str, start: usize) -> usize {
    if !is_separator(text, start) {
        return 0;
    }
    let line = text.get(start..).unwrap_or_default().split_inclusive('\n').next().unwrap_or_default();
    let rest = line.get(3..).unwrap_or_default().trim_start();
    if rest.is_empty() || rest.starts_with('#') { line.len() } else { 0 }
}
