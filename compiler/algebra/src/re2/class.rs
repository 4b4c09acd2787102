//! Classes and escapes.

use super::parse::{Fault, Parser, Reader, fail};
use super::unicode;
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// What a backslash and what follows stand for.
pub(super) enum Escape {
    Char(char),
    /// A code point that UTF-8 does not encode, written as a number. No text holds it.
    Surrogate,
    Class(ClassUnicode),
}

/// Adds what differs from the class's members only by case.
pub(super) fn fold(class: &mut ClassUnicode) {
    // Cannot fail: regex-syntax is built with its tables of cases.
    let _ = class.try_case_fold_simple();
}

/// Whether RE2 takes the character in the name of a group: a letter, a digit, a mark or a connector.
pub(super) fn in_group_name(character: char) -> bool {
    if character.is_ascii() {
        return character == '_' || character.is_ascii_alphanumeric();
    }
    ["Lu", "Ll", "Lt", "Lm", "Lo", "Nl", "Mn", "Mc", "Nd", "Pc"].into_iter().any(|name| {
        unicode::class(name, Reader::Re2)
            .is_some_and(|class| class.iter().any(|range| (range.start()..=range.end()).contains(&character)))
    })
}

/// Reads an escape, at its backslash.
pub(super) fn escape(parser: &mut Parser<'_>) -> Result<Escape, Fault> {
    let offset = parser.at;
    if let Some(class) = class_escape(parser)? {
        return Ok(Escape::Class(class));
    }
    let code = code_point(parser, offset)?;
    Ok(char::from_u32(code).map_or(Escape::Surrogate, Escape::Char))
}

/// `\d`, `\pN` and their like.
fn class_escape(parser: &mut Parser<'_>) -> Result<Option<ClassUnicode>, Fault> {
    let (ranges, negated): (&[(char, char)], bool) = match parser.rest().as_bytes().get(1) {
        Some(b'd') => (DIGIT, false),
        Some(b'D') => (DIGIT, true),
        Some(b's') => (PERL_SPACE, false),
        Some(b'S') => (PERL_SPACE, true),
        Some(b'w') => (WORD, false),
        Some(b'W') => (WORD, true),
        Some(b'p' | b'P') => return unicode_escape(parser).map(Some),
        _ => return Ok(None),
    };
    parser.at += 2;
    Ok(Some(finish(parser, from_ranges(ranges), negated)))
}

/// Case is ignored before the complement is taken: `(?i)[^k]` does not match the Kelvin sign.
fn finish(parser: &Parser<'_>, mut class: ClassUnicode, negated: bool) -> ClassUnicode {
    if parser.flags.ignore_case {
        fold(&mut class);
    }
    if negated {
        class.negate();
    }
    class
}

/// `\pN`, `\p{Greek}`, `\p{^Greek}`, `\P...`.
fn unicode_escape(parser: &mut Parser<'_>) -> Result<ClassUnicode, Fault> {
    let offset = parser.at;
    let mut negated = parser.rest().starts_with(r"\P");
    parser.at += 2;
    let rest = parser.rest();
    let name = if let Some(inside) = rest.strip_prefix('{') {
        let Some(end) = inside.find('}') else { return fail(offset, "missing `}` after the name of a class") };
        parser.at += end + 2;
        inside.get(..end).unwrap_or_default()
    } else {
        let Some(letter) = parser.next() else { return fail(offset, "`\\p` needs the name of a class") };
        rest.get(..letter.len_utf8()).unwrap_or_default()
    };
    let bare = name.strip_prefix('^').unwrap_or(name);
    negated ^= bare.len() != name.len();
    match unicode::class(bare, parser.reader) {
        Some(class) => Ok(finish(parser, class.clone(), negated)),
        None => fail(offset, format!("`{bare}` is no class of characters that this dialect names")),
    }
}

/// Reads an escape that stands for one code point, at its backslash.
fn code_point(parser: &mut Parser<'_>, offset: usize) -> Result<u32, Fault> {
    parser.at += 1;
    let Some(character) = parser.next() else { return fail(offset, "the pattern ends in a lone backslash") };
    let code = match character {
        'a' => 0x07,
        'f' => 0x0c,
        'n' => 0x0a,
        'r' => 0x0d,
        't' => 0x09,
        'v' => 0x0b,
        'x' => return hexadecimal(parser, offset),
        '0'..='7' => return octal(parser, offset, character),
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => u32::from(other),
        other => return fail(offset, format!("`\\{other}` is no escape that this dialect has")),
    };
    Ok(code)
}

/// Up to three octal digits, of which `first` is read. One digit other than 0 would be a back-reference.
fn octal(parser: &mut Parser<'_>, offset: usize, first: char) -> Result<u32, Fault> {
    let more = |parser: &Parser<'_>| parser.peek().and_then(|character| character.to_digit(8));
    if first != '0' && more(parser).is_none() {
        return fail(offset, format!("`\\{first}` would be a back-reference, which this dialect has not"));
    }
    let mut code = first.to_digit(8).unwrap_or_default();
    for _ in 0..2 {
        let Some(digit) = more(parser) else { break };
        parser.at += 1;
        code = code * 8 + digit;
    }
    Ok(code)
}

/// `\x41` or `\x{41}`, of which `\x` is read.
fn hexadecimal(parser: &mut Parser<'_>, offset: usize) -> Result<u32, Fault> {
    let rest = parser.rest();
    let (digits, length) = if let Some(inside) = rest.strip_prefix('{') {
        let end = inside.find('}').unwrap_or(inside.len());
        (inside.get(..end), end + 2)
    } else {
        (rest.get(..2), 2)
    };
    let all = |digits: &&str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let code = digits.filter(all).filter(|_| length <= rest.len()).map(|digits| {
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() { Ok(0) } else { u32::from_str_radix(significant, 16) }
    });
    match code {
        Some(Ok(code)) if code <= u32::from(char::MAX) => {
            parser.at += length;
            Ok(code)
        }
        Some(_) => fail(offset, "there is no code point above 10FFFF"),
        None => fail(offset, "`\\x` needs two hexadecimal digits, or some in braces"),
    }
}

/// Reads a class in brackets, at its `[`.
pub(super) fn bracketed(parser: &mut Parser<'_>) -> Result<ClassUnicode, Fault> {
    let offset = parser.at;
    parser.at += 1;
    let negated = parser.eat("^");
    let mut class = ClassUnicode::empty();
    let mut first = true;
    // A `]` that comes first stands for itself.
    while first || !parser.eat("]") {
        first = false;
        if parser.peek().is_none() {
            return fail(offset, "missing closing `]` for this class");
        }
        if let Some(named) = posix(parser)? {
            class.union(&named);
        } else if let Some(escaped) = in_class_escape(parser)? {
            class.union(&escaped);
        } else {
            let range = range(parser, offset)?;
            class.union(&range);
        }
    }
    if negated {
        class.negate();
    }
    Ok(class)
}

fn in_class_escape(parser: &mut Parser<'_>) -> Result<Option<ClassUnicode>, Fault> {
    if parser.rest().starts_with('\\') { class_escape(parser) } else { Ok(None) }
}

/// One character or a range, with what differs by case if case is ignored.
fn range(parser: &mut Parser<'_>, class: usize) -> Result<ClassUnicode, Fault> {
    let offset = parser.at;
    let low = end_of_range(parser, class)?;
    let mut high = low;
    let mut after = parser.rest().chars();
    if after.next() == Some('-') && after.next().is_some_and(|character| character != ']') {
        parser.at += 1;
        high = end_of_range(parser, class)?;
    }
    if high < low {
        let shown = parser.text.get(offset..parser.at).unwrap_or_default();
        return fail(offset, format!("`{shown}` has its ends in the wrong order"));
    }
    // Surrogates drop out: no text holds them.
    let low = char::from_u32(low).unwrap_or('\u{e000}');
    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
    let mut range = ClassUnicode::empty();
    if low <= high {
        range.push(ClassUnicodeRange::new(low, high));
    }
    Ok(finish(parser, range, false))
}

fn end_of_range(parser: &mut Parser<'_>, class: usize) -> Result<u32, Fault> {
    let offset = parser.at;
    match parser.peek() {
        None => fail(class, "missing closing `]` for this class"),
        Some('\\') => code_point(parser, offset),
        Some(character) => {
            parser.at += character.len_utf8();
            Ok(u32::from(character))
        }
    }
}

/// `[:alpha:]`, `[:^alpha:]` inside brackets.
fn posix(parser: &mut Parser<'_>) -> Result<Option<ClassUnicode>, Fault> {
    let offset = parser.at;
    let Some(inside) = parser.rest().strip_prefix("[:") else { return Ok(None) };
    if parser.no_more_posix {
        return Ok(None);
    }
    let Some(end) = inside.find(":]") else {
        parser.no_more_posix = true;
        return Ok(None);
    };
    let name = inside.get(..end).unwrap_or_default();
    let bare = name.strip_prefix('^').unwrap_or(name);
    let Some((_, ranges)) = POSIX.iter().find(|(known, _)| *known == bare) else {
        return fail(offset, format!("`[:{name}:]` is no class of characters"));
    };
    parser.at += end + 4;
    Ok(Some(finish(parser, from_ranges(ranges), bare.len() != name.len())))
}

fn from_ranges(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(low, high)| ClassUnicodeRange::new(low, high)))
}

type Ranges = &'static [(char, char)];

const DIGIT: Ranges = &[('0', '9')];
/// Without the vertical tab, which `[[:space:]]` has.
const PERL_SPACE: Ranges = &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')];
const WORD: Ranges = &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')];

const POSIX: [(&str, Ranges); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", DIGIT),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", WORD),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];
