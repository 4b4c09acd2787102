//! What is wrong with a text that is no YAML, in words for whoever wrote it.

use crate::granit::MAX_DEPTH;
use crate::lines::{Line, above, open_blocks, open_bracket, word_end};
use crate::problem::Problem;
use crate::rules::{BAD_INDENTATION, SYNTAX_ERROR, TAB_INDENTATION, TOO_DEEP, UNQUOTED_WILDCARD};
use crate::span::Span;
use crate::split::is_separator;
use granit_parser::{ErrorKind, ScanError};

/// A `*` that is not quoted.
pub(crate) fn unquoted_wildcard(span: Span, written: &str) -> Problem {
    let message = format!("`{written}` is not quoted, so YAML reads it as an alias, not as a wildcard");
    let problem = Problem::new(&UNQUOTED_WILDCARD, span, message).help(format!("write `\"{written}\"`"));
    problem.fix("quote the wildcard", span, format!("\"{written}\""))
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

/// The problem that stopped granit-parser in `text`, which begins at byte `base` of its source.
pub(crate) fn syntax_error(error: &ScanError, text: &str, base: u32) -> Problem {
    let at = text.floor_char_boundary(error.marker().byte_offset().unwrap_or(0));
    Place { text, base, at, line: Line::at(text, at) }.explain(error.kind())
}

/// Where the parser stopped.
#[derive(Clone, Copy)]
struct Place<'t> {
    text: &'t str,
    base: u32,
    at: usize,
    line: Line<'t>,
}

impl Place<'_> {
    fn explain(self, kind: &ErrorKind) -> Problem {
        if self.text.trim_start().starts_with('%') {
            let start = self.text.len() - self.text.trim_start().len();
            let problem = Place { at: start, ..self }.word("Kubernetes reads no YAML directives");
            return problem.help("remove this line, and the `---` after it");
        }
        if let Some(problem) = self.tab(kind).or_else(|| self.wildcard()) {
            return problem;
        }
        match kind {
            ErrorKind::RecursionLimitExceeded => too_deep(self.span(self.at, self.at + 1)),
            ErrorKind::MappingValueNotAllowed => self.unexpected_colon(),
            ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::ExpectedBlockSequenceEntry
            | ErrorKind::InvalidIndentation => self.unexpected_line(),
            ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
                let problem = self.word("this line has no `: `, so it is no entry of the mapping that it stands in");
                problem.help("write `key: value`, or indent it to go on with the text above")
            }
            ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => self
                .mark("this quote is never closed")
                .help("close it; one that is part of the text is doubled in single quotes, and `\\\"` in double ones"),
            ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
            | ErrorKind::InvalidColonPlacement
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::ExpectedFlowSequenceSeparator
            | ErrorKind::BlockEntryInFlowCollection
            | ErrorKind::InvalidFlowScalarIndent => self.in_brackets(),
            ErrorKind::UnclosedFlowCollection { .. } => self.unclosed(),
            ErrorKind::MisplacedFlowCollectionEnd => {
                self.mark("this bracket closes nothing").help("remove it, or quote the value if it is part of the text")
            }
            ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
                let problem = self.mark(&format!("`{close}` closes what this `{open}` opens"));
                problem.help("close each bracket by its own kind")
            }
            ErrorKind::UnexpectedCharacter { character } => self.unexpected_character(*character),
            ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
                let problem = self.word("there is text after the closing quote");
                problem.help("put the quotes around the whole value; a quote inside is doubled, or escaped by `\\`")
            }
            ErrorKind::InvalidBlockScalarHeader | ErrorKind::ZeroBlockScalarIndent => {
                let problem = self.word("after `|` or `>` there may only be `-`, `+`, an indentation and a comment");
                problem.help("put the text on the next line, or quote the value if the mark is part of the text")
            }
            ErrorKind::InvalidBlockScalarIndent => {
                let problem =
                    self.word("this line is indented less than the first line of its text").rule(&BAD_INDENTATION);
                problem.help("indent all lines of the text alike")
            }
            ErrorKind::BlockSequenceEntryNotAllowed => {
                self.mark("a list cannot begin here, on the line of its key").help("begin it on the next line")
            }
            ErrorKind::CommentInterceptedScalar => {
                let problem = self.word("a comment ends this value, but the next line is indented as if it went on");
                problem.help("indent the next line as the key is, or quote the value if `#` is part of it")
            }
            ErrorKind::UnknownQuotedScalarEscape
            | ErrorKind::InvalidQuotedScalarHexEscape
            | ErrorKind::InvalidUnicodeEscape
            | ErrorKind::InvalidLowSurrogateHexEscape
            | ErrorKind::InvalidLowSurrogate
            | ErrorKind::MissingLowSurrogate
            | ErrorKind::UnpairedLowSurrogate => self.escape(),
            ErrorKind::MissingAnchorOrAliasName | ErrorKind::UndeclaredTagHandle => {
                self.word("`&`, `*` and `!` have a meaning at the start of a value").help("quote the value")
            }
            other => self.word(&format!("this is no YAML: {other}")).help("quote the value if text is meant"),
        }
    }

    fn span(self, start: usize, end: usize) -> Span {
        let end = self.text.ceil_char_boundary(end.min(self.text.len()));
        Span::new(self.base + start as u32, self.base + end.max(start) as u32)
    }

    /// A syntax error at the character where the parser stopped.
    fn mark(self, message: &str) -> Problem {
        Problem::new(&SYNTAX_ERROR, self.span(self.at, self.at + 1), message)
    }

    /// A syntax error at the word where the parser stopped.
    fn word(self, message: &str) -> Problem {
        Problem::new(&SYNTAX_ERROR, self.span(self.at, word_end(self.text, self.at)), message)
    }

    /// A tab in the indentation, of this line or the next one, explains everything.
    fn tab(self, kind: &ErrorKind) -> Option<Problem> {
        if matches!(kind, ErrorKind::UnclosedQuotedScalar) {
            return None;
        }
        let rest = self.text.get(self.line.start..)?;
        let next = rest.find('\n').map(|newline| Line::at(self.text, self.line.start + newline + 1));
        let at = self.line.indenting_tab().or_else(|| next?.indenting_tab())?;
        Some(tab(self.span(at, at + 1)))
    }

    /// A wildcard that is not quoted is the commonest alias of all.
    fn wildcard(self) -> Option<Problem> {
        let end = word_end(self.text, self.at);
        let word = self.text.get(self.at..end)?;
        let wildcard = word == "*" || word.starts_with("*.") || word.starts_with("*-");
        wildcard.then(|| unquoted_wildcard(self.span(self.at, end), word))
    }

    /// A `:` where no key can be.
    fn unexpected_colon(self) -> Problem {
        let content = self.line.start + self.line.indentation();
        let before = self.text.get(content..self.at).unwrap_or_default();
        if is_separator(self.text, 0) && self.line.start == 0 {
            let problem = Place { at: content + "---".len(), ..self };
            let problem = problem.mark("a document cannot begin on the line of its `---`");
            return problem.help("put a line break after `---`");
        }
        if before.contains(": ") {
            let problem = self.mark("there is a second `: ` on this line, but what follows the first one is a value");
            return problem.help("quote the value if the `:` is part of it, or put the inner key on the next line");
        }
        let Some(above) = above(self.text, self.at) else { return self.mark("no key can be here") };
        let text = above.content();
        if self.line.indentation() > above.indentation() && (text.contains(": ") || text.starts_with("- ")) {
            return self.bad_indentation();
        }
        let dash = text.starts_with('-') && !text.starts_with("- ");
        let Some(mark) = text.find(if dash { '-' } else { ':' }) else { return self.mark("no key can be here") };
        let at = above.start + above.indentation() + mark;
        let name = if dash { '-' } else { ':' };
        let message = format!("there is no space behind this `{name}`, so the line is text");
        Problem::new(&SYNTAX_ERROR, self.span(at, at + 1), message).help("put a space behind it")
    }

    /// A line that goes on with nothing above it, or text behind a value.
    fn unexpected_line(self) -> Problem {
        let content = self.line.start + self.line.indentation();
        let item = self.line.content().starts_with("- ");
        let first =
            self.text.get(content..self.at).is_some_and(|before| before.trim_start_matches(['-', ' ']).is_empty());
        if !first {
            let problem = self.word("there is text after the end of the value");
            return problem.help("quote the whole value, or remove the text");
        }
        let blocks = open_blocks(self.text, self.at);
        let beside = blocks.iter().find(|(column, _)| *column == self.line.indentation());
        match beside {
            Some((_, neighbour)) if item && !neighbour.starts_with("- ") => {
                let place = Place { at: content, ..self };
                let problem = place.mark("an item of a list stands among the keys of a mapping");
                problem.help("indent it below the key that it belongs to, or give it a key")
            }
            Some((_, neighbour)) if !item && neighbour.starts_with("- ") => {
                let problem = Place { at: content, ..self }.word("a key stands among the items of a list");
                problem.help("indent it to belong to the item above, or put `- ` before it")
            }
            _ => self.bad_indentation(),
        }
    }

    fn bad_indentation(self) -> Problem {
        let indentation = self.line.indentation();
        let place = Place { at: self.line.start + indentation, ..self };
        let message = format!("this line is indented by {indentation}, which matches nothing above it");
        let problem = place.word(&message).rule(&BAD_INDENTATION);
        let blocks = open_blocks(self.text, self.at);
        let deeper = blocks.iter().rev().find(|(column, _)| *column > indentation);
        let others = blocks.iter().find(|(column, _)| *column < indentation);
        let offers: Vec<String> = [deeper, others].into_iter().flatten().map(|block| offer(*block)).collect();
        if offers.is_empty() { problem } else { problem.help(format!("indent it by {}", offers.join(", or by "))) }
    }

    /// Something between brackets that cannot be there, mostly because the bracket is not closed.
    fn in_brackets(self) -> Problem {
        match open_bracket(self.text, self.at) {
            Some(bracket) if bracket < self.line.start || self.at >= self.text.trim_end().len() => {
                let place = Place { at: bracket, ..self };
                place
                    .mark("this bracket is never closed")
                    .help("close it, or quote the value if it is part of the text")
            }
            _ => {
                let problem = self.word("this cannot be here, between brackets");
                problem.help("put a `,` between the items and a space behind each `:`, or quote the value")
            }
        }
    }

    fn unclosed(self) -> Problem {
        self.mark("this bracket is never closed").help("close it, or quote the value if it is part of the text")
    }

    fn unexpected_character(self, character: char) -> Problem {
        let end = self.line.start + self.line.text.trim_end().len();
        let value = self.text.get(self.at..end).unwrap_or_default();
        let value = value.split(" #").next().unwrap_or_default().trim_end();
        let span = self.span(self.at, self.at + value.len());
        let problem = Problem::new(&SYNTAX_ERROR, span, format!("a value cannot begin with `{character}`"));
        if value.contains(['"', '\\', ',', ']', '}']) {
            return problem.help("quote it");
        }
        problem.help(format!("write `\"{value}\"`")).fix("quote the value", span, format!("\"{value}\""))
    }

    /// An escape that double quotes do not know; the parser stopped at the opening quote.
    fn escape(self) -> Problem {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.len().min(bad_escape(rest));
        let start = self.at + length;
        let span = self.span(start, start + 2);
        let written = self.text.get(start..(span.end - self.base) as usize).unwrap_or_default();
        let problem = Problem::new(&SYNTAX_ERROR, span, format!("`{written}` is no escape that double quotes know"));
        problem.help("use single quotes, where a backslash is only a backslash, or write `\\\\`")
    }
}

/// Where the first escape stands in `quoted` that is none.
fn bad_escape(quoted: &str) -> usize {
    let mut at = 0;
    while let Some(found) = quoted.get(at..).and_then(|rest| rest.find('\\')) {
        at += found;
        let mut rest = quoted.get(at + 1..).unwrap_or_default().chars();
        let digits = match rest.next() {
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(
                '0' | 'a' | 'b' | 't' | '\t' | 'n' | 'v' | 'f' | 'r' | 'e' | ' ' | '"' | '/' | '\\' | 'N' | '_' | 'L'
                | 'P' | '\n' | '\r',
            ) => 0,
            _ => return at,
        };
        let number: String = rest.take(digits).collect();
        let character = u32::from_str_radix(&number, 16).ok().and_then(char::from_u32);
        if digits > 0 && (number.len() != digits || character.is_none()) {
            return at;
        }
        at += 2 + number.len();
    }
    at
}

/// A place that a line could have been indented to.
fn offer((column, neighbour): (usize, &str)) -> String {
    let name = neighbour.split_inclusive(": ").next().unwrap_or(neighbour).trim_end();
    format!("{column} to stand below `{name}`")
}
