//! What happens to the path on the way upstream (semantics C.2).

use regex::Regex;

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

/// Whether every group that `substitution` refers to is in the pattern, and every backslash means something; if not,
/// Envoy leaves the path as it is (semantics C14).
pub fn substitution_fits(substitution: &str, groups: usize) -> bool {
    let mut characters = substitution.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            match characters.next() {
                Some('\\') => {}
                Some(digit) if digit.to_digit(10).is_some_and(|group| (group as usize) < groups) => {}
                _ => return false,
            }
        }
    }
    true
}

/// `path` with every match of the pattern replaced; `\0` to `\9` are its groups, `\\` is a backslash (semantics C14).
pub fn rewrite_matches(pattern: &Regex, path: &str, substitution: &str) -> String {
    if !substitution_fits(substitution, pattern.captures_len()) {
        return path.to_owned();
    }
    let replaced = pattern.replace_all(path, |captures: &regex::Captures<'_>| {
        let mut out = String::new();
        let mut characters = substitution.chars();
        while let Some(character) = characters.next() {
            if character != '\\' {
                out.push(character);
                continue;
            }
            match characters.next().map(|next| (next, next.to_digit(10))) {
                Some((_, Some(group))) => out.push_str(captures.get(group as usize).map_or("", |part| part.as_str())),
                Some((next, None)) => out.push(next),
                None => {}
            }
        }
        out
    });
    replaced.into_owned()
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
        ] {
            let pattern = Regex::new(pattern).expect("a good pattern");
            assert_eq!(rewrite_matches(&pattern, path, substitution), seen, "{pattern}");
        }
    }
}
