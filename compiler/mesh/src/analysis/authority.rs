//! Which Host headers lead to a virtual host (semantics A34, A35).

use malha_algebra::language::Test;
use malha_algebra::re2::Pattern;

/// The authorities that domains take: exact, `*.suffix` or `*`, in lower case.
///
/// None where any will do, or where a domain is of a form that no host has.
pub(super) fn of_domains<'a>(domains: impl IntoIterator<Item = &'a str>) -> Option<Test> {
    let (mut bare, mut with_port) = (Vec::new(), Vec::new());
    for domain in domains {
        let host = domain.strip_prefix('*').unwrap_or(domain);
        if host.is_empty() || host.contains([':', '[', ']']) {
            return None;
        }
        let is_exact = host == domain;
        let host = escaped(host);
        bare.push(format!("{}{host}", if is_exact { "" } else { BEFORE_SUFFIX }));
        with_port.push(format!("{}{host}", if is_exact { "" } else { ".+" }));
    }
    let pattern = format!("(?i)({}|({}):[^:\\]]*)", bare.join("|"), with_port.join("|"));
    Some(Test::Regex(Pattern::parse(&pattern).ok()?))
}

/// What may stand before a wildcard's suffix at the end of the text and be a part of the host: what follows the last
/// colon is a port, unless a bracket closes after it.
const BEFORE_SUFFIX: &str = "([^:]+|.*\\][^:]*)";

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

#[cfg(test)]
mod tests {
    use super::*;
    use malha_table::http::host_key;

    /// Every text of up to `length` of these characters.
    fn texts(characters: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last.iter().flat_map(|text| characters.iter().map(move |next| format!("{text}{next}"))).collect();
            all.extend(last.iter().cloned());
        }
        all
    }

    #[test]
    fn the_language_is_that_of_the_key() {
        for (domain, suffix) in [("b.c", None), ("*.c", Some(".c")), ("*c", Some("c"))] {
            let test = of_domains([domain]).unwrap();
            for text in texts(&['b', 'c', '.', ':', '[', ']', 'C'], 6) {
                let key = host_key(&text);
                let leads = match suffix {
                    None => key == domain,
                    Some(suffix) => key.len() > suffix.len() && key.ends_with(suffix),
                };
                assert_eq!(test.matches(text.as_bytes()), leads, "{text} to {domain}");
            }
        }
    }

    #[test]
    fn of_what_no_host_is_nothing_is_said() {
        for domain in ["*", "[::1]", "*:80"] {
            assert!(of_domains(["a.com", domain]).is_none(), "{domain}");
        }
    }
}
