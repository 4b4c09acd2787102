//! Every request over small alphabets, and what predicates say of it.

use malha_algebra::{Axis, Condition, Field, Point, Predicate, Space, Values};

/// One request, as far as the generated predicates look.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Request {
    path: String,
    query: Option<String>,
    method: String,
    /// By name.
    headers: Vec<(&'static str, Vec<Vec<u8>>)>,
}

const HEADERS: [&str; 4] = ["x", "joined", "hidden", "y"];

impl Request {
    /// What the predicates themselves say, field by field: nothing of the algebra's search is in it.
    pub(crate) fn is_in(&self, predicate: &Predicate) -> bool {
        predicate.path.matches(&self.path) && predicate.conditions.iter().all(|condition| self.meets(condition))
    }

    fn meets(&self, condition: &Condition) -> bool {
        match &condition.field {
            Field::Method => condition.holds([self.method.as_bytes()]),
            Field::PathWithQuery => condition.holds([self.target().as_bytes()]),
            Field::Header(name) => {
                let lines = self.headers.iter().find(|(known, _)| known == name).map(|(_, lines)| lines.as_slice());
                condition.holds(lines.unwrap_or_default().iter().map(Vec::as_slice))
            }
            Field::Query(name) => condition.holds(self.parameter(name).map(str::as_bytes)),
            other => panic!("{other:?} is not generated"),
        }
    }

    fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.as_deref()?.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (pair == name).then_some(""),
        })
    }

    /// The request that a point stands for.
    pub(crate) fn of(space: &mut Space, point: &Point) -> Request {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("plain texts are found first");
        let target = text(space.target(point));
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target, None),
        };
        let method = space.values(point, &Axis::Field(Field::Method)).into_iter().next().expect("there is one");
        let mut headers = Vec::new();
        for name in HEADERS {
            let lines = space.values(point, &Axis::Field(Field::Header(name.into())));
            assert!(name != "hidden" || lines.is_empty(), "it can never be seen");
            assert!(name != "joined" || lines.len() < 2, "its lines are joined");
            headers.push((name, lines.into_vec()));
        }
        Request { path, query, method: text(method), headers }
    }

    /// The point of a request.
    pub(crate) fn point(&self, space: &mut Space) -> Point {
        let one = |text: &str| Values::from_iter([text.as_bytes().to_vec()]);
        let query = self.parameter("q").map(one).unwrap_or_default();
        let mut values = vec![
            (Axis::Path, one(&self.path)),
            (Axis::Field(Field::Method), one(&self.method)),
            (Axis::Field(Field::Query("q".into())), query),
        ];
        for (name, lines) in &self.headers {
            values.push((Axis::Field(Field::Header((*name).into())), lines.iter().cloned().collect()));
        }
        space.request(values)
    }
}

/// Every request that can tell these predicates apart, over small alphabets; fields that no predicate reads vary in
/// nothing.
pub(crate) fn all(predicates: &[Predicate], one_line_each: bool) -> Vec<Request> {
    let reads = |wanted: &Field| {
        predicates.iter().flat_map(|predicate| &predicate.conditions).any(|condition| condition.field == *wanted)
    };
    let header = |name: &str| reads(&Field::Header(name.into()));
    let methods: &[&str] = if reads(&Field::Method) { &["GET", "POST", "PUT"] } else { &["GET"] };
    let reads_query = reads(&Field::Query("q".into())) || reads(&Field::PathWithQuery);
    let queries: &[Option<&str>] =
        if reads_query { &[None, Some("q"), Some("q=a"), Some("q=b"), Some("q=ab")] } else { &[None] };
    let mut requests = Vec::new();
    for path in paths() {
        for method in methods {
            for query in queries {
                let query = query.map(str::to_owned);
                requests.push(Request { path: path.clone(), query, method: (*method).to_owned(), headers: Vec::new() });
            }
        }
    }
    for name in ["x", "joined", "y"] {
        if header(name) {
            let most = if name == "joined" || one_line_each { 1 } else { 2 };
            requests = requests
                .iter()
                .flat_map(|request| {
                    lines(most).into_iter().map(move |lines| {
                        let mut request = request.clone();
                        request.headers.push((name, lines));
                        request
                    })
                })
                .collect();
        }
    }
    requests
}

fn paths() -> Vec<String> {
    let mut paths = vec!["/".to_owned()];
    for length in 0..2 {
        let shorter: Vec<String> = paths.iter().filter(|path| path.len() == 1 + length).cloned().collect();
        paths.extend(shorter.iter().flat_map(|path| ["a", "b", "A", "/"].map(|more| format!("{path}{more}"))));
    }
    paths.extend(["/a/b", "/aab", "/abb", "/bab", "/a/a"].map(str::to_owned));
    paths
}

/// Every set of at most so many lines of a header.
fn lines(most: usize) -> Vec<Vec<Vec<u8>>> {
    const VALUES: [&str; 5] = ["", "a", "b", "ab", "ba"];
    let mut sets = vec![Vec::new()];
    sets.extend(VALUES.iter().map(|value| vec![value.as_bytes().to_vec()]));
    if most > 1 {
        for (at, one) in VALUES.iter().enumerate() {
            sets.extend(VALUES[at + 1..].iter().map(|two| vec![one.as_bytes().to_vec(), two.as_bytes().to_vec()]));
        }
    }
    sets
}
