//! The order in which header operations run (semantics C31 to C35).

/// Headers that can be changed: the proxy's own map, or a list in a test. Names are in lower case.
pub trait HeaderLines {
    /// Removes every line.
    fn remove(&mut self, name: &str);
    /// Replaces every line by one.
    fn set(&mut self, name: &str, value: &str);
    /// Appends a line.
    fn append(&mut self, name: &str, value: &str);
}

/// The operations of one level. Their values are already evaluated, against the headers before any change
/// (semantics C37); those that came out empty are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOperations<'a> {
    /// Replaced or created, sorted by name.
    pub set: Vec<(&'a str, std::borrow::Cow<'a, str>)>,
    /// Appended, sorted by name.
    pub add: Vec<(&'a str, std::borrow::Cow<'a, str>)>,
    /// Removed.
    pub remove: Vec<&'a str>,
}

/// One run: every removal, then every `set`, then every `add`, each in the order of the levels given.
pub fn apply_operations(headers: &mut impl HeaderLines, levels: &[&HeaderOperations<'_>]) {
    for name in levels.iter().flat_map(|level| &level.remove) {
        headers.remove(name);
    }
    for (name, value) in levels.iter().flat_map(|level| &level.set) {
        headers.set(name, value);
    }
    for (name, value) in levels.iter().flat_map(|level| &level.add) {
        headers.append(name, value);
    }
}

/// Both levels, as Envoy runs them: in one run, the route's first, where the route has one destination; else the
/// destination's on its own and then the route's (semantics C33, C34).
pub fn apply_both_levels(
    headers: &mut impl HeaderLines,
    route: &HeaderOperations<'_>,
    destination: &HeaderOperations<'_>,
    is_only_destination: bool,
) {
    if is_only_destination {
        apply_operations(headers, &[route, destination]);
    } else {
        apply_operations(headers, &[destination]);
        apply_operations(headers, &[route]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    impl HeaderLines for BTreeMap<String, Vec<String>> {
        fn remove(&mut self, name: &str) {
            BTreeMap::remove(self, name);
        }

        fn set(&mut self, name: &str, value: &str) {
            self.insert(name.to_owned(), vec![value.to_owned()]);
        }

        fn append(&mut self, name: &str, value: &str) {
            self.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }

    fn operations<'a>(set: &[&'a str], add: &[&'a str], remove: &[&'a str], value: &'a str) -> HeaderOperations<'a> {
        let pairs = |names: &[&'a str]| names.iter().map(|name| (*name, value.into())).collect();
        HeaderOperations { set: pairs(set), add: pairs(add), remove: remove.to_vec() }
    }

    fn run(is_only_destination: bool) -> BTreeMap<String, Vec<String>> {
        let mut headers = BTreeMap::from([("gone".to_owned(), vec!["client".to_owned()])]);
        let route = operations(&["s"], &["a", "sa"], &["gone", "dd"], "route");
        let destination = operations(&["s", "sa", "dd"], &["a"], &["s"], "dest");
        apply_both_levels(&mut headers, &route, &destination, is_only_destination);
        headers
    }

    #[test]
    fn one_destination_runs_with_the_route() {
        let headers = run(true);
        assert_eq!(headers["s"], ["dest"]);
        assert_eq!(headers["a"], ["route", "dest"]);
        assert_eq!(headers["sa"], ["dest", "route"]);
        assert_eq!(headers["dd"], ["dest"]);
        assert!(!headers.contains_key("gone"));
    }

    #[test]
    fn of_several_the_destination_runs_first() {
        let headers = run(false);
        assert_eq!(headers["s"], ["route"]);
        assert_eq!(headers["a"], ["dest", "route"]);
        assert_eq!(headers["sa"], ["dest", "route"]);
        assert!(!headers.contains_key("dd"));
    }
}
