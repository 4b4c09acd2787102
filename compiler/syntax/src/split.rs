//! The parts of a stream, as Kubernetes tells them apart.

use crate::span::Span;

/// The documents of `text`: what lies between lines that begin with `---`, be it inside a block scalar, as
/// Kubernetes' reader has it. What follows `---` on its line belongs to the document that it begins.
pub(crate) fn split(text: &str) -> impl Iterator<Item = Span> {
    let mut start = 0;
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        if separator(text, start) {
            start += 3;
        }
        let mut from = start;
        let end = loop {
            match memchr::memmem::find(text.as_bytes().get(from..).unwrap_or_default(), b"\n---") {
                Some(at) if separator(text, from + at + 1) => break from + at + 1,
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

/// Whether a separator stands at `start`, the start of a line. `---x` is text, not a separator.
fn separator(text: &str, start: usize) -> bool {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    rest.starts_with(b"---") && matches!(rest.get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n'))
}
