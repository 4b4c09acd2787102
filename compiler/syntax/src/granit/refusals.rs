//! What granit-parser accepts and Kubernetes' reader does not.

use super::{Reader, yaml_suffix};
use crate::explain;
use crate::problem::Problem;
use crate::rules::SYNTAX_ERROR;
use crate::span::Span;
use crate::tape::Kind;
use granit_parser::{StructureStyle, Tag};

impl Reader<'_> {
    pub(super) fn check_anchor(&mut self, span: Span, name: &str) {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            let problem = Problem::new(&SYNTAX_ERROR, span, format!("`&{name}` is no anchor that Kubernetes reads"));
            self.report(problem.help("quote it if `&` is part of the text; else use letters, digits, `-` and `_`"));
        }
    }

    /// Whether a scalar with `tag` is left to the tables, whatever its quotes.
    pub(super) fn is_plain_by_tag(&mut self, span: Span, value: &str, tag: &Tag) -> bool {
        use crate::scalar::{Scalar, resolve};
        let value = if span.is_empty() { "" } else { value };
        let resolved = resolve(value);
        let (fits, plain) = match yaml_suffix(tag) {
            Some("int") => (matches!(resolved, Scalar::Int(_) | Scalar::Uint(_)), true),
            Some("float") => (matches!(resolved, Scalar::Int(_) | Scalar::Float(_)), true),
            Some("bool") => (matches!(resolved, Scalar::Bool(_)), true),
            Some("null") => (matches!(resolved, Scalar::Null), true),
            _ => (true, false),
        };
        if !fits {
            let kind = yaml_suffix(tag).unwrap_or_default();
            let message = format!("`{value}` is not what its tag `!!{kind}` says");
            self.report(Problem::new(&SYNTAX_ERROR, span, message).help("leave the tag out"));
        }
        plain
    }

    /// Reports the escapes of a double-quoted scalar that JSON has and Kubernetes' reading of YAML has not.
    pub(super) fn check_escapes(&mut self, span: Span) {
        // What begins with a brace is read as JSON first.
        if self.text.trim_start().starts_with('{') {
            return;
        }
        let written = self.written(span).as_bytes();
        let mut at = 0;
        while let Some(found) = written.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
            at += found;
            let escape = written.get(at..).unwrap_or_default();
            let surrogate = matches!(escape, [_, b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..]);
            let (length, help) = match escape {
                [_, b'/', ..] => (2, "write `/` without the backslash"),
                _ if surrogate => (6, "write the character itself, or `\\U` with eight digits"),
                _ => {
                    at += 2;
                    continue;
                }
            };
            let start = span.start + at as u32;
            let place = Span::new(start, (start + length).min(span.end));
            let message = "Kubernetes does not read this escape in YAML, only in a file that is all JSON";
            return self.report(Problem::new(&SYNTAX_ERROR, place, message).help(help));
        }
    }

    /// Reports a key of several lines that no `?` announces.
    pub(super) fn check_key(&mut self, span: Span) {
        let Some(open) = self.open.last() else { return };
        let key = open.kind == Kind::Mapping && !open.count.is_multiple_of(2);
        if key && !open.explicit_key && self.written(span).contains(['\n', '\r']) {
            let problem = Problem::new(&SYNTAX_ERROR, span, "this key goes over several lines");
            self.report(problem.help("close its quotes before the `:`, on one line"));
        }
    }

    /// Reports a tab in the indentation of the lines after a plain scalar, even of blank ones: Kubernetes looks there
    /// for more of the scalar.
    pub(super) fn check_tabs_after(&mut self, span: Span) {
        let mut blocks = self.open.iter().rev().filter(|open| open.style == StructureStyle::Block);
        let Some(block) = blocks.find_map(|open| self.tape.entries.get(open.index)) else { return };
        let before = self.written(Span::new(self.base, block.span.start));
        let indentation = before.len() - before.rfind('\n').map_or(0, |newline| newline + 1);
        let start = (span.end - self.base) as usize;
        let rest = self.text.get(start..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        for (index, line) in rest.get(..blank).unwrap_or_default().split('\n').enumerate().skip(1) {
            let tab = line.find('\t').filter(|column| *column <= indentation);
            if let Some(column) = tab {
                let line_start = rest.split_inclusive('\n').take(index).map(str::len).sum::<usize>();
                let at = span.end + (line_start + column) as u32;
                return self.report(explain::tab(Span::new(at, at + 1)));
            }
        }
    }

    /// Reports what Kubernetes reads otherwise in a plain scalar between brackets.
    pub(super) fn check_flow(&mut self, span: Span) {
        if self.open.last().is_none_or(|open| open.style == StructureStyle::Block) {
            return;
        }
        let Some(mark) = self.written(span).find('?') else { return };
        let at = span.start + mark as u32;
        let message = "between brackets Kubernetes takes a `?` for the start of a key";
        self.report(Problem::new(&SYNTAX_ERROR, Span::new(at, at + 1), message).help("quote the value"));
    }

    /// Reports a tab in the indentation before a node that begins at `span`, which YAML as Kubernetes reads it does
    /// not allow outside of flow style.
    pub(super) fn tab_before(&mut self, span: Span) -> Option<()> {
        if !self.tabs || self.open.last().is_some_and(|open| open.style == StructureStyle::Flow) {
            return Some(());
        }
        let before = self.written(Span::new(self.base, span.start));
        let blank = before.trim_end_matches([' ', '\t']);
        let Some(tab) = before.get(blank.len()..).and_then(|space| space.find('\t')) else { return Some(()) };
        let before_indicator = blank.strip_suffix(['-', '?']).map(|rest| rest.trim_end_matches([' ', '-', '?']));
        let indicator = before_indicator.is_some_and(|rest| rest.is_empty() || rest.ends_with('\n'));
        if !blank.is_empty() && !blank.ends_with(['\n', '\r']) && !indicator {
            return Some(());
        }
        let start = self.base + (blank.len() + tab) as u32;
        self.report(explain::tab(Span::new(start, start + 1)));
        None
    }
}
