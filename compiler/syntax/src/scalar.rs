//! What a plain scalar means to Kubernetes.

use std::borrow::Cow;

/// The value of a scalar as Kubernetes reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'d> {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true`, and `yes`, `on`, `y` and so on.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number over `i64::MAX`.
    Uint(u64),
    /// Any other number; finite, except in a document that is refused.
    Float(f64),
    /// Everything else.
    String(Cow<'d, str>),
}

/// Resolves the text of a plain scalar.
pub(crate) fn resolve(text: &str) -> Scalar<'_> {
    // Most scalars begin as no number and no word of the tables does.
    match text.as_bytes().first() {
        None => return Scalar::Null,
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => {}
        Some(b'~' | b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => return word(text),
        Some(_) => return Scalar::String(Cow::Borrowed(text)),
    }
    number(text).unwrap_or(Scalar::String(Cow::Borrowed(text)))
}

fn word(text: &str) -> Scalar<'_> {
    match text {
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        _ => Scalar::String(Cow::Borrowed(text)),
    }
}

fn number(text: &str) -> Option<Scalar<'static>> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Scalar::Float(f64::NEG_INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Scalar::Float(f64::NAN)),
        _ => {}
    }
    // Underscores count for nothing, wherever they stand behind the first character.
    let digits: Cow<'_, str> = if text.contains('_') { text.replace('_', "").into() } else { text.into() };
    whole(&digits).or_else(|| fraction(&digits))
}

fn whole(text: &str) -> Option<Scalar<'static>> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|digit| digit.is_ascii_alphanumeric()) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    match (negative, i64::try_from(value)) {
        (false, Ok(value)) => Some(Scalar::Int(value)),
        (false, Err(_)) => Some(Scalar::Uint(value)),
        (true, _) => 0i64.checked_sub_unsigned(value).map(Scalar::Int),
    }
}

/// A decimal number with a fraction or an exponent, or one too long for [`whole`]. One too large is no number.
fn fraction(text: &str) -> Option<Scalar<'static>> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mantissa = digits.split(['e', 'E']).next()?;
    let has_digit = mantissa.bytes().any(|byte| byte.is_ascii_digit());
    if !has_digit || !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
}
