//! Normalisation of the path before it is matched (semantics A66, A67).

use std::borrow::Cow;

/// How paths are normalised before matching (semantics A66).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PathNormalization {
    /// As sent.
    None,
    /// Dot segments, backslashes, escapes of unreserved characters.
    #[default]
    Base,
    /// And duplicate slashes.
    MergeSlashes,
    /// And `%2F`, `%5C`, first.
    DecodeAndMergeSlashes,
}

/// The path cannot be normalised; the request ends with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidPath;

/// What is matched and forwarded: `path` (with its query) without fragment, normalised.
///
/// The query stays as sent; only what stands before the first `?` is changed.
pub fn normalize_path(path: &str, mode: PathNormalization) -> Result<Cow<'_, str>, InvalidPath> {
    let path = path.bytes().position(|byte| byte == b'#').map_or(path, |end| &path[..end]);
    if mode == PathNormalization::None || is_normal(path.as_bytes(), mode) {
        return Ok(Cow::Borrowed(path));
    }
    let (plain, query) = path.split_at(path.find('?').unwrap_or(path.len()));
    let mut bytes = plain.as_bytes();
    let decoded;
    if mode == PathNormalization::DecodeAndMergeSlashes {
        decoded = decode_slashes(bytes);
        bytes = &decoded;
    }
    let mut text = resolve_dots(&canonical_escapes(bytes)?);
    if mode != PathNormalization::Base {
        text = merge_slashes(&text);
    }
    text.push_str(query);
    Ok(Cow::Owned(text))
}

/// Whether nothing in a path is in need of a change, as in nearly all, so that it need not be copied; its query counts for
/// nothing.
fn is_normal(path: &[u8], mode: PathNormalization) -> bool {
    let mut before = 0;
    for &byte in path {
        if byte == b'?' {
            break;
        }
        // A dot segment begins with a dot after a slash; other such names take the long way too.
        let is_odd = before == b'/' && (byte == b'.' || byte == b'/' && mode != PathNormalization::Base);
        if !PLAIN[usize::from(byte)] || is_odd {
            return false;
        }
        before = byte;
    }
    path.first() == Some(&b'/')
}

/// Bytes that stay as they are, wherever they stand, but for dots and slashes after a slash.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = !is_escaped(byte as u8) && byte != b'%' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};

/// Whether Envoy writes the byte as an escape.
const fn is_escaped(byte: u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f.. | b'"' | b'<' | b'>' | b'^' | b'`' | b'{'..=b'}')
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The byte that an escape at the start of `rest` stands for.
fn escape(rest: &[u8]) -> Option<u8> {
    match rest {
        [b'%', high, low, ..] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    }
}

fn decode_slashes(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(decoded @ (b'/' | b'\\')) = escape(rest) {
            out.push(decoded);
            rest = rest.get(3..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    out
}

/// Backslashes become slashes, escapes of unreserved characters are decoded, characters that a path may not hold are
/// escaped; other escapes stay as sent, malformed ones too. A malformed one whose `%` would come to begin an escape by what
/// is decoded after it has that `%` escaped: `%2%30` is `%2520`, not `%20`.
fn canonical_escapes(path: &[u8]) -> Result<String, InvalidPath> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    let mut malformed = None;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, escape(rest)) {
            (0, _) | (_, Some(0)) => return Err(InvalidPath),
            (_, Some(decoded)) if is_unreserved(decoded) => {
                out.push(char::from(decoded));
                rest = rest.get(3..).unwrap_or_default();
                if let Some(at) = malformed
                    && begins_escape(&out.as_bytes()[at..], rest.first())
                {
                    out.insert_str(at + 1, "25");
                    malformed = None;
                }
                continue;
            }
            (b'%', None) => {
                malformed = Some(out.len());
                out.push('%');
            }
            (b'\\', _) => out.push('/'),
            _ if is_escaped(byte) => {
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
            _ => out.push(char::from(byte)),
        }
        rest = tail;
    }
    Ok(out)
}

/// Whether `written`, which begins with a `%` that began no escape, does so now, perhaps by the byte that follows.
fn begins_escape(written: &[u8], next: Option<&u8>) -> bool {
    match (written, next) {
        ([_, _, _], _) => escape(written).is_some(),
        ([_, digit], Some(&next)) => escape(&[b'%', *digit, next]).is_some(),
        _ => false,
    }
}

/// Dot segments are resolved; what climbs above the root stays at the root.
fn resolve_dots(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => out.truncate(out.rfind('/').unwrap_or(0)),
            _ => {
                out.push('/');
                out.push_str(segment);
                continue;
            }
        }
        if is_last {
            out.push('/');
        }
    }
    out
}

fn merge_slashes(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !out.ends_with('/') {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use PathNormalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None as Raw};
    use proptest::prelude::*;

    #[test]
    fn recorded_paths() {
        for (sent, seen) in [
            ("/", "/"),
            ("/a/./b", "/a/b"),
            ("/a/c/../b", "/a/b"),
            ("/a/%2e/b", "/a/b"),
            ("/a/c/%2E%2e/b", "/a/b"),
            ("/a\\b", "/a/b"),
            ("//a/../b", "//b"),
            ("/p//q", "/p//q"),
            ("/enc%2Fx", "/enc%2Fx"),
            ("/enc%2fx", "/enc%2fx"),
            ("/%61/b", "/a/b"),
            ("/z%7e%41%2d%20%3f%zz", "/z~A-%20%3f%zz"),
            ("/../../a/b", "/a/b"),
            ("/a/b#frag", "/a/b"),
            ("/a/b?x#frag", "/a/b?x"),
            ("/a/b?x=../y", "/a/b?x=../y"),
            ("/a/b/..", "/a/"),
            ("/z/..", "/"),
            ("/z/.", "/z/"),
            ("/a%5cb", "/a%5cb"),
            ("/z%2", "/z%2"),
            ("/a%2%30b", "/a%2520b"),
            ("/a%%320b", "/a%2520b"),
            ("/a%%32x", "/a%2x"),
            ("/a%2%7Eb", "/a%2~b"),
            ("/z;a=b", "/z;a=b"),
            ("/z\"<>^`{|}", "/z%22%3C%3E%5E%60%7B%7C%7D"),
            ("/.hidden/..more", "/.hidden/..more"),
            ("/a//..", "/a/"),
        ] {
            assert_eq!(normalize_path(sent, Base).as_deref(), Ok(seen), "{sent}");
        }
        assert_eq!(normalize_path("/z%00", Base), Err(InvalidPath));
    }

    #[test]
    fn the_other_modes() {
        assert_eq!(normalize_path("/a/../%41//b#c", Raw).as_deref(), Ok("/a/../%41//b"));
        assert_eq!(normalize_path("//a///b?c//d", MergeSlashes).as_deref(), Ok("/a/b?c//d"));
        assert_eq!(normalize_path("/a%2fb", MergeSlashes).as_deref(), Ok("/a%2fb"));
        assert_eq!(normalize_path("/a%2F%5c..%2fb?%2F", DecodeAndMergeSlashes).as_deref(), Ok("/a/b?%2F"));
        assert_eq!(normalize_path("/a%2f../b", DecodeAndMergeSlashes).as_deref(), Ok("/b"));
    }

    proptest! {
        #[test]
        fn normal_paths_stay(path in "/[a./%2eE\\\\{?#-]{0,12}", mode in prop_oneof![Just(Base), Just(MergeSlashes)]) {
            if let Ok(once) = normalize_path(&path, mode) {
                prop_assert!(once.starts_with('/'));
                prop_assert!(!once.contains("/../") && !once.contains("/./") || once.contains('?'));
                // An escape may only come to light by decoding another, so that twice is not always once.
                if !once.contains('%') {
                    prop_assert_eq!(&normalize_path(&once, mode).expect("it has no escapes"), &once);
                }
            }
        }
    }
}
