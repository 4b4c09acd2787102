//! Which Host headers lead to a virtual host (semantics A34, A35).

use super::world::matching;
use malha_algebra::language::Test;

/// The authorities that domains take: exact, `*.suffix` or `*`, in lower case; a port after them does not count.
///
/// None where any will do.
pub(super) fn of_domains<'a>(domains: impl IntoIterator<Item = &'a str>) -> Option<Test> {
    let mut patterns = Vec::new();
    for domain in domains {
        match domain.strip_prefix('*') {
            Some("") => return None,
            Some(suffix) => patterns.push(format!(".+{}", escaped(suffix))),
            None => patterns.push(escaped(domain)),
        }
    }
    Some(matching(&format!("(?i)({})(:[^:\\]]*)?", patterns.join("|"))))
}

/// A name that is a host of the pattern: the name itself, or one below the wildcard.
pub(super) fn example(domain: &str) -> String {
    match domain.strip_prefix('*') {
        None => domain.to_owned(),
        Some("") => "example.com".to_owned(),
        Some(suffix) => format!("www{suffix}"),
    }
}

/// The text as a pattern that matches just it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for character in text.chars() {
        if !character.is_ascii_alphanumeric() && character.is_ascii() {
            out.push('\\');
        }
        out.push(character);
    }
    out
}
