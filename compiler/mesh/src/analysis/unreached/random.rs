//! Random lists of routes and whatever a caller may hand to the evaluator: the same route takes it, whether the unreached
//! ones are there or not.

use super::*;
use crate::program::{Action, ActionKind, HeaderOps};
use crate::unmet;
use malha_algebra::{Condition, Field, PathTest, Predicate, ValueTest, re2::Pattern};
use malha_table::http::Head;
use proptest::prelude::*;
use std::sync::Arc;

const PATHS: [&str; 8] = ["/", "/a", "/a/", "/ab", "/a/b", "/A", "/b", "a"];
const VALUES: [&str; 6] = ["", "a", "b", "ab", "GET", "http"];
const PATTERNS: [&str; 7] = [".*", "/a.*", "/[ab]", "a|b", "(?i)a.*", "[^a]*", ""];

fn pattern() -> impl Strategy<Value = Pattern> {
    prop::sample::select(&PATTERNS[..]).prop_map(|text| Pattern::parse(text).expect("a pattern"))
}

fn path() -> impl Strategy<Value = PathTest> {
    let text = || prop::sample::select(&PATHS[..]);
    prop_oneof![
        2 => Just(PathTest::Any),
        2 => (text(), any::<bool>()).prop_map(|(text, ignore_case)| PathTest::Exact { value: text.into(), ignore_case }),
        4 => (text(), any::<bool>()).prop_map(|(text, ignore_case)| PathTest::Prefix { value: text.into(), ignore_case }),
        2 => pattern().prop_map(PathTest::Regex),
    ]
}

fn condition() -> impl Strategy<Value = Condition> {
    let field = prop::sample::select(vec![
        Field::Method,
        Field::Scheme,
        Field::Authority,
        Field::PathWithQuery,
        Field::Header("x".into()),
        Field::Header("x-request-id".into()),
        Field::Header("x-forwarded-for".into()),
        Field::Query("q".into()),
        Field::Claim("c".into()),
    ]);
    let value = || prop::sample::select(&VALUES[..]);
    let test = prop_oneof![
        Just(ValueTest::Present),
        value().prop_map(|text| ValueTest::Exact(text.into())),
        value().prop_map(|text| ValueTest::Prefix(text.into())),
        pattern().prop_map(ValueTest::Regex),
    ];
    (field, test, any::<bool>()).prop_map(|(field, test, negated)| Condition { field, test, negated })
}

fn routes() -> impl Strategy<Value = Vec<Route>> {
    let predicate = (path(), prop::collection::vec(condition(), 0..3)).prop_map(|(path, conditions)| Predicate {
        path,
        conditions,
        ..Predicate::any()
    });
    let action = Arc::new(Action {
        kind: ActionKind::Passthrough,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    });
    let route = predicate.prop_map(move |predicate| Route { predicate, action: Arc::clone(&action), origin: None });
    prop::collection::vec(route, 1..7)
}

/// No proxy makes such heads of any message: the method and the scheme are any text, nothing is added or joined, the
/// path is not normalised. Only that a path begins with `/` and is printable, and what a line of a header is, holds.
fn head() -> impl Strategy<Value = Head> {
    let value = || prop::sample::select(vec!["", "a", "b", "ab", "GET", "http", "A", "c"]).prop_map(str::to_owned);
    let path = prop_oneof![
        4 => prop::sample::select(&PATHS[..7]).prop_map(str::to_owned),
        2 => "/[abA/.]{0,3}",
    ];
    let name = prop::sample::select(vec!["x", "x-request-id", "x-forwarded-for"]);
    // The address of a peer is taken as it comes.
    let of_peer = prop::option::of(prop::sample::select(vec![" a", "a\n", "\0"]));
    let lines = prop::collection::vec((name, value()), 0..4);
    let query = prop::option::of(prop::sample::select(vec!["", "q", "q=a", "q=b&q=a", "q==", "x=q&q=ab"]));
    (value(), value(), value(), path, query, lines, of_peer).prop_map(
        |(method, scheme, authority, path, query, lines, of_peer)| {
            let lines = lines.into_iter().chain(of_peer.map(|value| ("x-forwarded-for", value.to_owned())));
            let mut headers: Vec<_> = lines.map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
            headers.sort_by(|(one, _), (other, _)| one.cmp(other));
            let query = query.map(str::to_owned);
            Head { method, scheme, forwarded_proto: String::new(), authority, path, query, headers }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn no_request_misses_what_is_unreached(routes in routes(), heads in prop::collection::vec(head(), 40)) {
        let host = VirtualHost { routes: routes.into(), ..VirtualHost::default() };
        let unreached = unreached(&host);
        for head in &heads {
            let taken = host.routes.iter().position(|route| unmet(&route.predicate, head).is_none());
            prop_assert!(
                taken.is_none_or(|taken| unreached.iter().all(|one| one.route != taken)),
                "{head:?} comes to route {taken:?}, though {unreached:?}"
            );
        }
        for one in unreached {
            prop_assert!(one.taken_by.iter().all(|taker| *taker < one.route));
            prop_assert!(one.taken_by.iter().all(|taker| unreached.iter().all(|other| other.route != *taker)));
        }
    }
}
