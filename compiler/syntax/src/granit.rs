//! The complete reader: the events of granit-parser, as a tape.

use crate::problem::Problem;
use crate::rules::SYNTAX_ERROR;
use crate::span::Span;
use crate::tape::{Kind, Tape};
use granit_parser::{Event, Parser, ScalarStyle, options};

/// Reads `text`, which begins at byte `base` of its source, onto `tape`.
pub(crate) fn read(text: &str, base: u32, tape: &mut Tape) -> Vec<Problem> {
    let options = options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut open: Vec<usize> = Vec::new();
    let mut problems = Vec::new();
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = base + error.marker().byte_offset().unwrap_or(0) as u32;
                problems.push(Problem::new(&SYNTAX_ERROR, Span::empty(at), error.info()));
                break;
            }
        };
        let at = |offset: Option<usize>| base + offset.unwrap_or(0).min(text.len()) as u32;
        let span = Span::new(at(span.start.byte_offset()), at(span.end.byte_offset()));
        match event {
            Event::MappingStart(..) => open.push(tape.open(Kind::Mapping, span.start)),
            Event::SequenceStart(..) => open.push(tape.open(Kind::Sequence, span.start)),
            Event::MappingEnd | Event::SequenceEnd => {
                if let Some(index) = open.pop() {
                    tape.close(index, span.end);
                }
            }
            Event::Scalar(value, style, _, _) => scalar(tape, span, &value, style, text, base),
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    problems
}

fn scalar(tape: &mut Tape, span: Span, value: &str, style: ScalarStyle, text: &str, base: u32) {
    let plain = style == ScalarStyle::Plain;
    if plain && span.is_empty() {
        return tape.scalar(span, Kind::Bare, true);
    }
    let written = text.get((span.start - base) as usize..(span.end - base) as usize).unwrap_or_default();
    if written == value {
        return tape.scalar(span, Kind::Bare, plain);
    }
    if written.len() == value.len() + 2 && written.get(1..written.len() - 1) == Some(value) {
        return tape.scalar(span, Kind::Quoted, plain);
    }
    tape.owned(span, value, plain);
}
