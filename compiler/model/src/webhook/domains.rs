//! Names of DNS as Istio takes them. Capitals are fine in all of them.

use crate::read::shorten;

/// Most characters of a name.
const LONGEST_NAME: usize = 255;

/// Most characters of one part of a name.
const LONGEST_LABEL: usize = 63;

/// How to mend a name that is not one.
pub(super) const NAME_HELP: &str =
    "use parts of at most 63 letters, digits and inner hyphens, with dots between them, as `api.example.com`";

/// Whether `text` is one part of a name: letters, digits and inner hyphens (rule C1).
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Why `text` is no name, as the end of "... is no DNS name: ..."; `None` if it is one (rule C2).
pub(super) fn domain_fault(text: &str) -> Option<String> {
    length_problem(text).or_else(|| parts_problem(text))
}

/// As [`domain_fault`], but the first part may be `*`, or begin with it as `*a` or `*-a` (rule C3).
pub(super) fn wildcard_fault(text: &str) -> Option<String> {
    if let Some(problem) = length_problem(text) {
        return Some(problem);
    }
    let (first, rest) = match text.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    };
    if !is_wildcard_label(first) {
        return Some(part_problem(first));
    }
    rest.and_then(parts_problem)
}

fn is_wildcard_label(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('*') else { return is_label(text) };
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    text == "*" || (text.len() <= LONGEST_LABEL && is_label(rest))
}

fn length_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("it is empty".to_owned());
    }
    (text.len() > LONGEST_NAME).then(|| format!("it is longer than {LONGEST_NAME} bytes"))
}

/// Judges the parts of a name, of which the last may be empty: `example.com.`.
fn parts_problem(text: &str) -> Option<String> {
    let parts = text.strip_suffix('.').unwrap_or(text);
    let last = parts.rsplit('.').next().unwrap_or(parts);
    if last.parse::<i64>().is_ok() {
        return Some(format!("its last part `{}` is a number, as of an address", shorten(last)));
    }
    if text.is_empty() {
        return None;
    }
    parts.split('.').find(|part| !is_label(part)).map(part_problem)
}

fn part_problem(part: &str) -> String {
    if part.is_empty() {
        return "one of its parts is empty".to_owned();
    }
    if part.len() > LONGEST_LABEL {
        return format!("its part `{}` is longer than {LONGEST_LABEL} bytes", shorten(part));
    }
    if part.contains('*') {
        return "`*` may stand only at its very beginning, before `.`, or before the rest of the first part".to_owned();
    }
    format!("its part `{}` is not letters, digits and inner hyphens alone", shorten(part))
}

#[cfg(test)]
mod tests {
    use super::{domain_fault, wildcard_fault};

    #[test]
    fn names() {
        for text in ["a", "A.b", "a.b.", "x-1.com", "1.a", "true"] {
            assert_eq!(domain_fault(text), None, "{text}");
        }
        for text in ["", ".", "a..b", "a..", "-a", "a-.b", "a_b", "1.2.3.4", "0", "a.7.", "*.a", "ü", "a b"] {
            assert!(domain_fault(text).is_some(), "{text}");
        }
        assert!(domain_fault(&"a".repeat(64)).is_some());
        assert!(domain_fault(&"a.".repeat(128)).is_some());
    }

    #[test]
    fn wildcards() {
        for text in ["*", "*.a", "*a.b", "*-a.b", "0", "a.", "a.b"] {
            assert_eq!(wildcard_fault(text), None, "{text}");
        }
        for text in ["", ".", "**", "a*", "a.*", "*.*", "*.4", "*-", "*--a", "*/*", "1.2.3.4"] {
            assert!(wildcard_fault(text).is_some(), "{text}");
        }
    }
}
