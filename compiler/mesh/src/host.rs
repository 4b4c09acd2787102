//! Host patterns: exact names and wildcards (semantics 0.8 to 0.10).
//!
//! Comparison keeps case, as the control plane does.

use hashbrown::HashMap;
use smol_str::SmolStr;
use std::cmp::Ordering;

/// Whether `host` is a wildcard: it starts with `*`.
pub fn is_wildcard(host: &str) -> bool {
    host.starts_with('*')
}

/// Whether the patterns `a` and `b` have a name in common (semantics 0.9).
pub fn matches(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
        (Some(suffix), None) => is_below(b, suffix),
        (None, Some(suffix)) => is_below(a, suffix),
        (None, None) => a == b,
    }
}

/// Whether every name of `a` is a name of `b` (semantics 0.9).
pub fn is_subset(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (Some(a), Some(b)) => a.ends_with(b),
        (Some(_), None) => false,
        (None, Some(suffix)) => is_below(a, suffix),
        (None, None) => a == b,
    }
}

/// For every pair that overlaps the narrower of the two, once, in order of specificity (semantics 0.9, 0.10).
pub fn intersection<'a>(
    left: impl IntoIterator<Item = &'a str>,
    right: impl IntoIterator<Item = &'a str>,
) -> Vec<&'a str> {
    let right: Vec<&str> = right.into_iter().collect();
    let mut names: Vec<&str> = Vec::new();
    for a in left {
        names.extend(right.iter().filter_map(|b| match (is_subset(a, b), is_subset(b, a)) {
            (true, _) => Some(a),
            (false, true) => Some(*b),
            (false, false) => None,
        }));
    }
    names.sort_by(|a, b| specificity(a, b));
    names.dedup();
    names
}

/// The order of specificity: exact before wildcard, longer before shorter, then by alphabet (semantics 0.10).
pub fn specificity(a: &str, b: &str) -> Ordering {
    is_wildcard(a).cmp(&is_wildcard(b)).then(b.len().cmp(&a.len())).then_with(|| a.cmp(b))
}

/// Values by host pattern, looked up by the most specific pattern that holds a name.
#[derive(Clone, Debug)]
pub struct HostMap<T> {
    exact: HashMap<SmolStr, T>,
    /// By what follows the `*`.
    wildcards: HashMap<SmolStr, T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        HostMap { exact: HashMap::new(), wildcards: HashMap::new() }
    }
}

impl<T> HostMap<T> {
    /// The value of the pattern `host` itself.
    pub fn get(&self, host: &str) -> Option<&T> {
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcards.get(suffix),
            None => self.exact.get(host),
        }
    }

    /// The value of the pattern `host`, made anew if there is none.
    pub fn entry(&mut self, host: &str) -> &mut T
    where
        T: Default,
    {
        match host.strip_prefix('*') {
            Some(suffix) => self.wildcards.entry(suffix.into()).or_default(),
            None => self.exact.entry(host.into()).or_default(),
        }
    }

    /// The value of the most specific pattern that holds all names of `host`: the same pattern, else the longest
    /// wildcard.
    pub fn most_specific(&self, host: &str) -> Option<&T> {
        self.all_that_hold(host).next()
    }

    /// The values of every pattern that holds all names of `host`, the most specific first.
    pub fn all_that_hold<'a, 'h>(&'a self, host: &'h str) -> impl Iterator<Item = &'a T> + use<'a, 'h, T> {
        let (exact, rest, first) = match host.strip_prefix('*') {
            Some(suffix) => (None, suffix, 0),
            None => (self.exact.get(host), host, 1),
        };
        let ends = if self.wildcards.is_empty() { 0 } else { rest.len() + 1 };
        let suffixes = (first..ends).filter_map(move |at| rest.get(at..));
        exact.into_iter().chain(suffixes.filter_map(|suffix| self.wildcards.get(suffix)))
    }
}

/// Whether `name` ends with `suffix` and has something before it.
fn is_below(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_any_depth_but_not_their_own_domain() {
        let cases = [
            ("*.foo.com", "a.foo.com", true),
            ("*.foo.com", "a.b.foo.com", true),
            ("*.foo.com", "foo.com", false),
            ("*foo.com", "xfoo.com", true),
            ("*", "foo.com", true),
            ("*.foo.com", "*.b.foo.com", true),
            ("*.foo.com", "*.bar.com", false),
            ("a.foo.com", "a.foo.com", true),
            ("A.foo.com", "a.foo.com", false),
            ("*", "*", true),
        ];
        for (a, b, expected) in cases {
            assert_eq!(matches(a, b), expected, "0.8, 0.9: {a} {b}");
            assert_eq!(matches(b, a), expected, "0.9 is symmetric: {b} {a}");
        }
    }

    #[test]
    fn subset_has_a_direction() {
        assert!(is_subset("a.foo.com", "*.foo.com"), "0.9");
        assert!(!is_subset("*.foo.com", "a.foo.com"), "0.9");
        assert!(is_subset("*.a.foo.com", "*.foo.com"), "0.9");
        assert!(is_subset("*.foo.com", "*"), "0.9");
        assert!(!is_subset("*", "*.foo.com"), "0.9");
    }

    #[test]
    fn intersection_keeps_the_narrower_name() {
        let cases: [(&[&str], &[&str], &[&str]); 5] = [
            (&["a.foo.com"], &["*.foo.com"], &["a.foo.com"]),
            (&["*.foo.com"], &["a.foo.com", "*.foo.com"], &["a.foo.com", "*.foo.com"]),
            (&["*"], &["b.com", "*.foo.com"], &["b.com", "*.foo.com"]),
            (&["a.com"], &["b.com"], &[]),
            (&["a.com"], &["*", "*.com"], &["a.com"]),
        ];
        for (left, right, expected) in cases {
            let names = intersection(left.iter().copied(), right.iter().copied());
            assert_eq!(names, expected, "0.9, A23: {left:?} {right:?}");
        }
    }

    #[test]
    fn specific_names_come_first() {
        let mut hosts = ["*", "*.com", "b.com", "a.com", "*.foo.com", "aa.com"];
        hosts.sort_by(|a, b| specificity(a, b));
        assert_eq!(hosts, ["aa.com", "a.com", "b.com", "*.foo.com", "*.com", "*"], "0.10");
    }

    #[test]
    fn the_longest_wildcard_holds_a_name() {
        let mut map = HostMap::<u32>::default();
        for (value, host) in ["*", "*.org", "*.b.org", "a.b.org", "*x.org"].iter().enumerate() {
            *map.entry(host) = value as u32;
        }
        let cases = [
            ("a.b.org", Some(3)),
            ("c.b.org", Some(2)),
            ("b.org", Some(1)),
            ("org", Some(0)),
            ("*.b.org", Some(2)),
            ("*.c.b.org", Some(2)),
            ("*.c.org", Some(1)),
            ("ax.org", Some(4)),
            ("x.org", Some(1)),
            ("*", Some(0)),
        ];
        for (host, expected) in cases {
            assert_eq!(map.most_specific(host).copied(), expected, "D3: {host}");
        }
        assert_eq!(map.get("c.b.org"), None);
        assert_eq!(HostMap::<u32>::default().most_specific("a.org"), None);
    }
}
