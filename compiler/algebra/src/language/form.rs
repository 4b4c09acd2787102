//! What texts a field of a request can hold at all.

use smol_str::SmolStr;

/// The texts that a field can hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// One of these, best first.
    Choice(Vec<SmolStr>),
    /// A path without query, after normalisation.
    Path(PathForm),
    /// A path with its query, after normalisation of the path.
    Target(PathForm),
    /// A header line: no control characters that end it, no space at either end.
    HeaderLine,
    /// The value of a query parameter: graphic ASCII without `&` and `#`.
    QueryValue,
    /// A Host header as Envoy takes it.
    Authority,
    /// Letters, digits, `-`, `_` and `.`: labels and namespaces.
    Name,
}

/// How paths are normalised before they are matched (semantics A66).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathForm {
    /// As sent.
    Raw,
    /// Dot segments resolved, escapes of unreserved characters decoded, others written.
    #[default]
    Base,
    /// And no slash after a slash.
    MergeSlashes,
    /// And no escaped slash or backslash.
    DecodeAndMergeSlashes,
}

/// Where the reader of a path stands.
const START: u32 = 0;
const AFTER_SLASH: u32 = 1;
const DOT: u32 = 2;
const DOT_DOT: u32 = 3;
const INSIDE: u32 = 4;
/// After a `%`.
const ESCAPE: u32 = 5;
/// After a `%` and a digit; 16 states.
const ESCAPE_DIGIT: u32 = 6;
/// In the query of a target.
const QUERY: u32 = 22;
/// Nothing that begins so is of the form.
pub(super) const DEAD: u32 = u32::MAX;

const PLAIN_END: u32 = 1;
const AFTER_SPACE: u32 = 2;

impl Form {
    /// Whether the form holds the text.
    pub fn holds(&self, text: &[u8]) -> bool {
        if let Form::Choice(texts) = self {
            return texts.iter().any(|known| known.as_bytes() == text);
        }
        let state =
            text.iter().try_fold(START, |state, &byte| Some(self.step(state, byte)).filter(|&next| next != DEAD));
        state.is_some_and(|state| self.accepts(state))
    }

    /// The state after `byte`. A choice has no automaton: its texts are tried.
    pub(super) fn step(&self, state: u32, byte: u8) -> u32 {
        match self {
            Form::Path(form) => form.step(state, byte),
            Form::Target(form) => match (state, byte) {
                (QUERY, b'#') => DEAD,
                (QUERY, _) if byte.is_ascii_graphic() => QUERY,
                (QUERY, _) | (START, b'?') => DEAD,
                (_, b'?') if ends_path(state) => QUERY,
                _ => form.step(state, byte),
            },
            Form::HeaderLine => match (state, byte) {
                (_, b'\0' | b'\r' | b'\n') | (START, b' ' | b'\t') => DEAD,
                (_, b' ' | b'\t') => AFTER_SPACE,
                _ => PLAIN_END,
            },
            Form::QueryValue if byte.is_ascii_graphic() && !b"&#".contains(&byte) => START,
            Form::Authority if byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=@[]_~".contains(&byte) => START,
            Form::Name if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) => START,
            Form::Choice(_) | Form::QueryValue | Form::Authority | Form::Name => DEAD,
        }
    }

    pub(super) fn accepts(&self, state: u32) -> bool {
        match self {
            Form::Choice(_) => false,
            Form::Path(_) => ends_path(state),
            Form::Target(_) => state == QUERY || ends_path(state),
            Form::HeaderLine => state != AFTER_SPACE,
            Form::QueryValue | Form::Authority | Form::Name => true,
        }
    }

    /// How most texts of the form begin.
    pub(super) fn stem(&self) -> &'static str {
        match self {
            Form::Path(_) | Form::Target(_) => "/",
            _ => "",
        }
    }
}

impl PathForm {
    fn step(self, state: u32, byte: u8) -> u32 {
        let graphic = byte.is_ascii_graphic() && !b"?#".contains(&byte);
        if !graphic || (state == START && byte != b'/') {
            return DEAD;
        }
        if self == PathForm::Raw {
            return INSIDE;
        }
        if b"\"<>^`{|}\\".contains(&byte) {
            return DEAD;
        }
        if let (ESCAPE_DIGIT.., Some(low)) = (state, digit(byte)) {
            return self.escaped(((state - ESCAPE_DIGIT) << 4) as u8 | low);
        }
        if let (ESCAPE, Some(high)) = (state, digit(byte)) {
            return ESCAPE_DIGIT + u32::from(high);
        }
        match (state, byte) {
            (DOT | DOT_DOT, b'/') => DEAD,
            (AFTER_SLASH, b'/') if self != PathForm::Base => DEAD,
            (_, b'/') => AFTER_SLASH,
            (_, b'%') => ESCAPE,
            (AFTER_SLASH, b'.') => DOT,
            (DOT, b'.') => DOT_DOT,
            _ => INSIDE,
        }
    }

    /// After an escape of `byte`: one that is decoded, or refused, is never seen.
    fn escaped(self, byte: u8) -> u32 {
        let unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let slash = self == PathForm::DecodeAndMergeSlashes && b"/\\".contains(&byte);
        if byte == 0 || unreserved || slash { DEAD } else { INSIDE }
    }
}

/// Whether a path can end here.
fn ends_path(state: u32) -> bool {
    !matches!(state, START | DOT | DOT_DOT)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forms_hold() {
        let base = Form::Path(PathForm::Base);
        let cases: [(&Form, &[&str], &[&str]); 6] = [
            (
                &base,
                &["/", "/a", "//", "/a/.b", "/...", "/%2F", "/%zz", "/%", "/%2"],
                &["", "a", "/.", "/..", "/a/./b", "/%41", "/%00", "/a b", "/a?b", "/\\", "/|", "/%2E"],
            ),
            (&Form::Path(PathForm::Raw), &["/.", "/\\", "/%41"], &["/?", "/\u{e9}", ""]),
            (&Form::Path(PathForm::DecodeAndMergeSlashes), &["/a/b"], &["//", "/%2f", "/%5C"]),
            (&Form::Target(PathForm::Base), &["/", "/a?", "/a?b?c|"], &["?a", "/.?a", "/a#", "/a?#"]),
            (&Form::HeaderLine, &["", "a b", "\u{e9}"], &[" ", "a ", "\ta", "a\nb"]),
            (&Form::QueryValue, &["", "a=b?"], &["a&b", "#", " "]),
        ];
        for (form, inside, outside) in cases {
            assert!(inside.iter().all(|text| form.holds(text.as_bytes())), "{form:?}");
            assert!(!outside.iter().any(|text| form.holds(text.as_bytes())), "{form:?}");
        }
    }
}
