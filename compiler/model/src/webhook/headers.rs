//! Names and values of headers.

use super::{Judge, place::Place};
use crate::{
    Spanned,
    istio::virtual_service::{HeaderOperations, Headers},
    read::shorten,
    rules::INVALID_TEXT,
};
use smol_str::SmolStr;

/// Pseudo-headers that a condition may ask for.
const PSEUDO_HEADERS: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];

/// Whether `text` is a token (RFC 9110), as names of headers are.
pub(super) fn is_token(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(inner)
}

/// Whether a condition on the header `name` is one on a claim of a token: `@request.auth.claims.sub`, or with each
/// part of the claim's name in brackets.
pub(super) fn is_claim(name: &str) -> bool {
    const CLAIMS: &str = "@request.auth.claims";
    let Some((start, claim)) = name.split_at_checked(CLAIMS.len()) else { return false };
    let in_brackets = claim.starts_with('[') && claim.ends_with(']');
    start.eq_ignore_ascii_case(CLAIMS) && (claim.len() > 1 && claim.starts_with('.') || claim.len() > 2 && in_brackets)
}

/// Whether the header `name` is the authority of a request.
pub(super) fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

impl Judge<'_, '_> {
    /// Judges the name of a header that a condition asks for.
    pub(super) fn matched_header(&mut self, place: &Place<'_>, name: &Spanned<SmolStr>) {
        if is_claim(name) || PSEUDO_HEADERS.contains(&name.as_str()) || is_token(name) {
            return;
        }
        let message = if name.is_empty() {
            "the name of a header is empty".to_owned()
        } else {
            format!("\"{}\" is no name of a header: HTTP has no header of that name", shorten(name))
        };
        let help = "use letters, digits and hyphens; `:path` and other pseudo-headers, and \
            `@request.auth.claims.NAME`, can be asked for too";
        self.refuse(&INVALID_TEXT, place, name.span, message, help);
    }

    /// Judges changes to headers.
    pub(super) fn headers(&mut self, place: &Place<'_>, headers: &Headers) {
        if let Some(request) = &headers.request {
            self.operations(&place.key("request"), request, true);
        }
        if let Some(response) = &headers.response {
            self.operations(&place.key("response"), response, false);
        }
    }

    fn operations(&mut self, place: &Place<'_>, operations: &HeaderOperations, request: bool) {
        for (field, entries) in [("set", &operations.set), ("add", &operations.add)] {
            let list = place.key(field);
            for (name, value) in entries {
                let place = list.key(name);
                let authority = request && (name.eq_ignore_ascii_case("host") || *name.value == *":authority");
                if !authority {
                    self.changed_header(&place, name, request);
                }
                if let Some(fault) = value_fault(value) {
                    let message = format!("\"{}\" is no value for a header: {fault}", shorten(value));
                    let help = "write `%%` for a percent sign; `%REQ(x-name)%` stands for what Envoy puts in";
                    self.refuse(&INVALID_TEXT, &place, value.span, message, help);
                }
            }
        }
        for (index, name) in operations.remove.iter().enumerate() {
            self.changed_header(&place.key("remove").item(index), name, false);
        }
    }

    /// Judges the name of a header that is changed. `authority`: whether that of the authority may be.
    fn changed_header(&mut self, place: &Place<'_>, name: &Spanned<SmolStr>, authority: bool) {
        let (message, help) = if name.is_empty() {
            ("the name of a header is empty".to_owned(), "give it a name, or leave it out")
        } else if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
            let message = format!("the header \"{}\" cannot be changed here: Envoy needs it as it is", shorten(name));
            let help = if authority {
                "`rewrite` changes the path, and `:authority` or `host` can be set"
            } else {
                "of a request, `rewrite.authority` changes the host; leave it out here"
            };
            (message, help)
        } else {
            return;
        };
        self.refuse(&INVALID_TEXT, place, name.span, message, help);
    }
}

/// What keeps `value` from being the value of a header, as the end of a message. A `%` opens an expression of Envoy's,
/// `%NAME%` or `%NAME(...)%`; whether there is one of that name, nobody asks.
fn value_fault(value: &str) -> Option<String> {
    if let Some(control) = value.chars().find(|character| character.is_ascii_control() && *character != '\t') {
        return Some(format!("it has the control character {control:?}"));
    }
    let mut rest = value.as_bytes();
    while let Some(percent) = rest.iter().position(|byte| *byte == b'%') {
        rest = rest.get(percent + 1..).unwrap_or_default();
        rest = match rest.first() {
            None => return Some("its last `%` opens an expression that does not end".to_owned()),
            Some(b'%') => rest.get(1..).unwrap_or_default(),
            Some(_) => match after_expression(rest) {
                Ok(rest) => rest,
                Err(fault) => return Some(fault.to_owned()),
            },
        };
    }
    None
}

/// What follows the expression that `text` begins with, its `%` gone already.
fn after_expression(text: &[u8]) -> Result<&[u8], &'static str> {
    const OPEN: &str = "a `%` opens an expression that does not end";
    let end = text.iter().position(|byte| matches!(byte, b'%' | b'(')).ok_or(OPEN)?;
    let (name, rest) = text.split_at_checked(end + 1).ok_or(OPEN)?;
    if name.last() == Some(&b'%') {
        return Ok(rest);
    }
    let rest = match trim(rest) {
        [] => return Err(OPEN),
        [b'[', rest @ ..] => after_list(start_of_text(rest)?)?,
        // The first byte is of the argument, whatever it is.
        [_, rest @ ..] => after_list(rest)?,
    };
    match trim(rest) {
        [] => Err(OPEN),
        [b'%', rest @ ..] => Ok(rest),
        _ => Err("something stands between the `)` of an expression and its last `%`"),
    }
}

/// What follows the quotes that open an item of a list.
fn start_of_text(text: &[u8]) -> Result<&[u8], &'static str> {
    match trim(text) {
        [] => Err("a `[` opens a list that does not end"),
        [b'"', rest @ ..] => Ok(rest),
        _ => Err("the items of a list in an expression must be in double quotes"),
    }
}

/// What follows the arguments of an expression, of which `text` is the rest from within the first one. Envoy's reader
/// does not keep a bare argument apart from a text in quotes: either ends with the first `)`, and quotes end either.
fn after_list(mut text: &[u8]) -> Result<&[u8], &'static str> {
    loop {
        let (end, rest) = after_argument(text)?;
        if end == b')' {
            return Ok(rest);
        }
        text = match trim(rest) {
            [b',', rest @ ..] => start_of_text(rest)?,
            [b']', rest @ ..] => match trim(rest) {
                [b')', rest @ ..] => return Ok(rest),
                _ => return Err("the list in an expression must have `)` after it"),
            },
            _ => return Err("quotes in an expression must have `,` or `]` after them"),
        };
    }
}

/// The parenthesis or the quotes that end the argument which `text` begins within, and what follows; a backslash hides
/// the byte after it.
fn after_argument(text: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let mut bytes = text.iter().enumerate();
    while let Some((index, byte)) = bytes.next() {
        if *byte == b'\\' {
            bytes.next();
        } else if matches!(byte, b')' | b'"') {
            return Ok((*byte, text.get(index + 1..).unwrap_or_default()));
        }
    }
    Err("a `(` opens arguments that do not end")
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| *byte != b' ').unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{is_claim, is_token, value_fault};

    #[test]
    fn knows_tokens_and_claims() {
        assert!(is_token("x-a") && is_token("%") && !is_token("") && !is_token("a b") && !is_token("\u{e9}"));
        for good in ["@request.auth.claims.sub", "@Request.auth.claims[a][b]", "@request.auth.claims.a.b"] {
            assert!(is_claim(good), "{good}");
        }
        for bad in
            ["@request.auth.claims", "@request.auth.claims.", "@request.auth.claims[]", "@request.auth.claim\u{e9}"]
        {
            assert!(!is_claim(bad), "{bad}");
        }
    }

    #[test]
    fn reads_expressions_as_envoy_does() {
        for good in [
            "",
            "a\tb",
            "100%%",
            "%START_TIME%",
            "%REQ(x)%",
            "a%REQ( x?y )% b",
            r#"%UPSTREAM_METADATA(["a", "b"])%"#,
            r#"%X([ "a\"" , "b" ] ) %"#,
            "%A%%B%",
            "%%%A%",
            "\u{fc}",
        ] {
            assert_eq!(value_fault(good), None, "{good}");
        }
        for bad in [
            "%",
            "a%",
            "%%%",
            "%A",
            "%A(",
            "%A(x)",
            "%A(x)y%",
            r#"%A(["a" "b"])%"#,
            "%A([a])%",
            r#"%A(["a"]x)%"#,
            r#"%A(["a)"])%"#,
            r#"%A(["a"#,
            r"%A(x\)%",
            r#"%A(b["c"])%"#,
            "a\nb",
            "\u{7f}",
        ] {
            assert!(value_fault(bad).is_some(), "{bad}");
        }
    }
}
