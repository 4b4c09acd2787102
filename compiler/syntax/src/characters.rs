//! Which characters a document is made of.

use crate::problem::Problem;
use crate::rules::{INVALID_ENCODING, SYNTAX_ERROR};
use crate::source::NOT_TEXT;
use crate::span::Span;
use crate::tape::{Entry, Kind, Tape};

/// What the characters of a document allow its reader to take for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Characters {
    /// Every line ends with a line feed alone, and there are no tabs.
    Simple,
    /// There are tabs or carriage returns.
    Spaced,
    /// There are the line breaks of Unicode (U+0085, U+2028, U+2029), which Kubernetes' reader honours, or byte order
    /// marks.
    Broken,
}

/// Looks at all characters of `text`, which begins at byte `base` of its source, and reports the first one that YAML
/// does not allow.
pub(crate) fn survey(text: &str, base: u32) -> Result<Characters, Box<Problem>> {
    let (mut control, mut high) = (false, false);
    for byte in text.bytes() {
        control |= !matches!(byte, b' '..=b'~' | b'\n' | 0x80..);
        high |= byte >= 0x80;
    }
    if !control && !high {
        return Ok(Characters::Simple);
    }
    let mut kind = Characters::Simple;
    for (at, character) in text.char_indices() {
        match character {
            '\n' => {}
            '\t' | '\r' => kind = if kind == Characters::Simple { Characters::Spaced } else { kind },
            '\u{FEFF}' if text.get(..at).is_some_and(|before| before.ends_with(['\n', '\r'])) => {
                let span = Span::new(base + at as u32, base + at as u32 + 3);
                let problem = Problem::new(&SYNTAX_ERROR, span, "there is a byte order mark in the middle of the text");
                return Err(Box::new(problem.help("remove it: it comes from joining files that begin with one")));
            }
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' => kind = Characters::Broken,
            ..' ' | '\u{7F}'..'\u{A0}' | NOT_TEXT | '\u{FFFF}' => return Err(Box::new(forbidden(character, at, base))),
            _ => {}
        }
    }
    Ok(kind)
}

fn forbidden(character: char, at: usize, base: u32) -> Problem {
    let start = base + at as u32;
    let span = Span::new(start, start + character.len_utf8() as u32);
    if character == NOT_TEXT {
        let problem = Problem::new(&INVALID_ENCODING, span, "this byte is no text: the file is not UTF-8");
        return problem.help("save the file as UTF-8; editors of older days write Latin-1 or Windows-1252");
    }
    let message = format!("the control character U+{:04X} is not allowed in YAML", u32::from(character));
    Problem::new(&SYNTAX_ERROR, span, message).help("remove it, or write it as an escape in double quotes")
}

/// `text` with the line breaks of Unicode as line feeds behind blanks: the same bytes long, and as Kubernetes reads it.
/// In the quoted scalars of `tape`, a first reading of `text`, they stay what they are.
pub(crate) fn with_line_feeds(text: &str, base: u32, tape: &Tape) -> String {
    let quoted = |entry: &&Entry| matches!(entry.kind, Kind::Quoted | Kind::Owned) && !entry.plain;
    let mut scalars: Vec<Span> = tape.entries.iter().filter(quoted).map(|entry| entry.span).collect();
    scalars.sort_unstable();
    let mut scalars = scalars.into_iter().peekable();
    let mut lines = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        let at = base + at as u32;
        while scalars.next_if(|scalar| scalar.end <= at).is_some() {}
        let quoted = scalars.peek().is_some_and(|scalar| scalar.start <= at);
        match character {
            '\u{85}' if !quoted => lines.push_str(" \n"),
            '\u{2028}' | '\u{2029}' if !quoted => lines.push_str("  \n"),
            _ => lines.push(character),
        }
    }
    lines
}
