//! Helm and Jinja templates, which are no YAML until somebody renders them.

use crate::lines::{Line, above};
use crate::span::Span;
use crate::tape::{Kind, Tape, scalar_text};
use memchr::memmem;

/// How many directives are looked at in a document that is no YAML.
const LOOK_AT: usize = 64;

/// The first directive in a scalar without quotes of a document that could be read.
pub(crate) fn in_scalars(tape: &Tape, text: &str, base: u32) -> Option<Span> {
    memmem::find(text.as_bytes(), b"{{")?;
    let plain = tape.entries.iter().filter(|entry| entry.plain || entry.kind == Kind::Bare);
    let holds =
        |text: &str| text.find("{{").is_some_and(|open| text.get(open..).is_some_and(|rest| rest.contains("}}")));
    let entry = plain.into_iter().find(|entry| holds(scalar_text(entry, text, base, &tape.strings)))?;
    let start = (entry.span.start - base) as usize;
    let open = start + memmem::find(text.as_bytes().get(start..)?, b"{{")?;
    directive(text, base, open)
}

/// The first directive outside of comments, quotes and block scalars in a document that could not be read.
pub(crate) fn in_text(text: &str, base: u32) -> Option<Span> {
    let mut opens: Vec<usize> = memmem::find_iter(text.as_bytes(), b"{{").take(LOOK_AT).collect();
    opens.extend(memmem::find_iter(text.as_bytes(), b"{%").take(LOOK_AT));
    opens.sort_unstable();
    opens.into_iter().filter(|open| is_bare(text, *open)).find_map(|open| directive(text, base, open))
}

/// The whole directive that is opened at byte `open`; `None` if it is never closed.
fn directive(text: &str, base: u32, open: usize) -> Option<Span> {
    let rest = text.as_bytes().get(open..)?;
    let close: &[u8] = if rest.starts_with(b"{%") { b"%}" } else { b"}}" };
    let length = memmem::find(rest, close)? + close.len();
    Some(Span::new(base + open as u32, base + (open + length) as u32))
}

/// Whether the byte `at` is neither in a comment, nor between quotes on its line, nor in a block scalar.
fn is_bare(text: &str, at: usize) -> bool {
    let line = Line::at(text, at);
    let mut quote = None;
    let mut previous = ' ';
    for character in text.get(line.start..at).unwrap_or_default().chars() {
        match (quote, character) {
            (Some(mark), character) if mark == character && previous != '\\' => quote = None,
            (None, '"' | '\'') if !previous.is_alphanumeric() => quote = Some(character),
            (None, '#') if matches!(previous, ' ' | '\t') => return false,
            _ => {}
        }
        previous = character;
    }
    quote.is_none() && !in_block_scalar(text, line)
}

fn in_block_scalar(text: &str, line: Line<'_>) -> bool {
    let mut indentation = line.indentation();
    let mut from = line.start;
    while indentation > 0 {
        let Some(line) = above(text, from) else { return false };
        from = line.start;
        if line.indentation() < indentation {
            indentation = line.indentation();
            let header = line.content().trim_end_matches(|c: char| matches!(c, '-' | '+') || c.is_ascii_digit());
            if header.ends_with([' ', ':']) || !header.ends_with(['|', '>']) {
                continue;
            }
            return true;
        }
    }
    false
}
