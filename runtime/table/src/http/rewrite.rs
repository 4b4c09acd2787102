//! What happens to the path on the way upstream (semantics C.2).

use regex::bytes::{Captures, Regex};

/// How much of the path the route's path test took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// This many leading bytes: the prefix, or `/` where the match names no path.
    Prefix(usize),
    /// All of it: exact and regex tests.
    Whole,
}

/// `path` with what was matched replaced, plainly: `/foo` by `/` makes `//bar` of `/foo/bar` (semantics C.2, C12).
pub fn replace_matched(path: &str, matched: Matched, replacement: &str) -> String {
    let rest = match matched {
        Matched::Prefix(length) => path.get(length..).unwrap_or_default(),
        Matched::Whole => "",
    };
    [replacement, rest].concat()
}

/// `path` with every match of the pattern replaced; `\0` to `\9` are its groups, `\\` is a backslash (semantics C14).
///
/// A reference to a group that the pattern has not leaves the path as it is; what follows a backslash that means
/// nothing is left out, as RE2 does it.
pub fn rewrite_matches(pattern: &Regex, path: &str, substitution: &str) -> String {
    if highest_group(substitution) >= pattern.captures_len() {
        return path.to_owned();
    }
    let replaced = pattern.replace_all(path.as_bytes(), |captures: &Captures<'_>| {
        let mut out = Vec::new();
        let mut rest = substitution.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match (byte, after.first()) {
                (b'\\', Some(b'\\')) => out.push(b'\\'),
                (b'\\', Some(digit @ b'0'..=b'9')) => {
                    let group = captures.get(usize::from(digit - b'0'));
                    out.extend_from_slice(group.map_or(&[], |group| group.as_bytes()));
                }
                (b'\\', _) => break,
                _ => {
                    out.push(byte);
                    continue;
                }
            }
            rest = after.get(1..).unwrap_or_default();
        }
        out
    });
    String::from_utf8_lossy(&replaced).into_owned()
}

/// The highest group that a substitution refers to; 0 if it refers to none.
fn highest_group(substitution: &str) -> usize {
    let mut highest = 0;
    let mut bytes = substitution.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            match bytes.next() {
                Some(digit @ b'0'..=b'9') => highest = highest.max(usize::from(digit - b'0')),
                Some(b'\\') => {}
                _ => break,
            }
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matched_parts() {
        assert_eq!(replace_matched("/foo/bar", Matched::Prefix(4), "/"), "//bar");
        assert_eq!(replace_matched("/foobar", Matched::Prefix(4), "/v2"), "/v2bar");
        assert_eq!(replace_matched("/foo", Matched::Prefix(1), "/v1"), "/v1foo");
        assert_eq!(replace_matched("/foo", Matched::Prefix(0), "/v1"), "/v1/foo");
        assert_eq!(replace_matched("/foo/bar", Matched::Whole, "/n"), "/n");
    }

    #[test]
    fn recorded_substitutions() {
        for (pattern, substitution, path, seen) in [
            ("/api/(.*)", r"/\1", "/r0/api/x", "/r0/x"),
            ("o", "0", "/r1/foo/boo", "/r1/f00/b00"),
            ("^/r2/([^/]+)/([^/]+)$", r"/\2/\1", "/r2/a/b", "/b/a"),
            ("nomatch", "x", "/r3/a", "/r3/a"),
            ("a*", "-", "/r4", "-/-r-4-"),
            ("(x)?y", r"[\1\0]", "/r5/y", "/r5/[y]"),
            ("/r6", r"\\", "/r6/a", r"\/a"),
            ("(?i)ABC", "z", "/r8/abcABC", "/r8/zz"),
            ("r9$", r"x\9", "/r9", "/r9"),
            ("r10", r"x\z\0", "/r10/a", "/x/a"),
        ] {
            let pattern = Regex::new(pattern).expect("a good pattern");
            assert_eq!(rewrite_matches(&pattern, path, substitution), seen, "{pattern}");
        }
    }
}
