//! The algebra against brute force: random lists over small alphabets, and every request tried.
//!
//! Each verdict is held to account on its own: a request that is said to reach a row is asked of the predicates
//! themselves, and a row that is said to be taken must be reached by none of all requests.

mod generate;
mod requests;

use generate::Random;
use malha_algebra::{
    Among, DEFAULT_BUDGET, List, PathTest, Predicate, Product, Reach, Region, Search, Space, World, language::Limits,
};
use requests::Request;

/// Lists in the test that always runs. `MALHA_ORACLE_LISTS` asks for more.
const LISTS: u64 = 20_000;

fn lists() -> u64 {
    std::env::var("MALHA_ORACLE_LISTS").ok().and_then(|text| text.parse().ok()).unwrap_or(LISTS)
}

fn space(one_line_each: bool) -> Space {
    let world = World {
        methods: ["GET", "POST", "PUT"].map(Into::into).to_vec(),
        joined_headers: &["joined"],
        hidden_headers: vec!["hidden".into()],
        plain_headers: one_line_each,
        ..World::default()
    };
    Space::new(world.into(), Vec::new(), Limits::default())
}

/// Whether some request is in the predicate and in none of the others.
fn reached(all: &[Request], predicate: &Predicate, others: &[Predicate]) -> Option<Request> {
    let is_left = |request: &&Request| request.is_in(predicate) && !others.iter().any(|other| request.is_in(other));
    all.iter().find(is_left).cloned()
}

#[test]
fn who_wins_what() {
    let (mut live, mut taken, mut empty) = (0, 0, 0);
    for seed in 0..lists() {
        let mut random = Random::new(seed);
        let predicates = random.list();
        let one_line_each = seed % 7 == 0;
        let all = requests::all(&predicates, one_line_each);
        let mut space = space(one_line_each);
        let rows = predicates.iter().map(|predicate| space.product(predicate)).collect();
        let list = List::new(rows, &space);
        for row in 0..predicates.len() {
            let (predicate, before) = (&predicates[row], &predicates[..row]);
            let context = || format!("seed {seed}, row {row} of {predicates:#?}");
            match list.reach(&mut space, row, DEFAULT_BUDGET) {
                Reach::Live(point) => {
                    let request = Request::of(&mut space, &point);
                    assert!(request.is_in(predicate), "{request:?} is not in its row: {}", context());
                    assert!(!before.iter().any(|other| request.is_in(other)), "{request:?} is taken: {}", context());
                    assert_eq!(list.first(&mut space, &point), Some(row), "{request:?}: {}", context());
                    live += 1;
                }
                Reach::Taken(rows) => {
                    let blockers: Vec<_> = rows.iter().map(|&at| predicates[at].clone()).collect();
                    assert!(rows.iter().all(|&at| at < row), "{rows:?}: {}", context());
                    let found = reached(&all, predicate, &blockers);
                    assert_eq!(found, None, "not all is taken by {rows:?}: {}", context());
                    for spared in 0..blockers.len() {
                        let mut fewer = rows.clone();
                        fewer.remove(spared);
                        let among = |at: usize| fewer.contains(&at);
                        let product = list.rows()[row].clone();
                        let left = list.left_of(&mut space, &product, Among::These(&among), DEFAULT_BUDGET);
                        assert!(matches!(left, Reach::Live(_)), "{rows:?} are more than needed: {}", context());
                    }
                    taken += 1;
                }
                Reach::Empty => {
                    assert_eq!(reached(&all, predicate, &[]), None, "not empty: {}", context());
                    empty += 1;
                }
                Reach::Unknown => panic!("unknown: {}", context()),
            }
        }
    }
    println!("{live} rows live, {taken} taken, {empty} empty");
    assert!(live > lists() && taken > lists() / 4 && empty > lists() / 20, "the lists are too much alike");
}

#[test]
fn laws_of_regions() {
    for seed in 0..lists() / 4 {
        let mut random = Random::new(seed);
        let predicates = random.list();
        let all = requests::all(&predicates, false);
        let mut space = space(false);
        let middle = predicates.len() / 2;
        let mut region = |predicates: &[Predicate]| {
            predicates
                .iter()
                .fold(Region::none(), |region, predicate| region.union(Region::from(space.product(predicate))))
        };
        let (a, b) = (region(&predicates[..middle]), region(&predicates[middle..]));
        let minus = a.minus(&b, &mut space).expect("few products");
        let both = a.intersection(&b, &mut space).expect("few products");
        let whole = minus.clone().union(both.clone());
        let context = || format!("seed {seed}: {predicates:#?}");
        for request in &all {
            let point = request.point(&mut space);
            let is_in = |predicates: &[Predicate]| predicates.iter().any(|predicate| request.is_in(predicate));
            let (in_a, in_b) = (is_in(&predicates[..middle]), is_in(&predicates[middle..]));
            let told = |region: &Region, space: &mut Space| region.contains(space, &point);
            assert_eq!(told(&a, &mut space), in_a, "{request:?} {}", context());
            assert_eq!(told(&minus, &mut space), in_a && !in_b, "{request:?} {}", context());
            assert_eq!(told(&both, &mut space), in_a && in_b, "{request:?} {}", context());
            assert_eq!(told(&whole, &mut space), in_a, "{request:?} {}", context());
        }
        for region in [&minus, &both] {
            match region.witness(&mut space) {
                Search::Found(point) => assert!(region.contains(&mut space, &point), "{}", context()),
                Search::Empty => assert!(!all.iter().any(|request| {
                    let point = request.point(&mut space);
                    region.contains(&mut space, &point)
                })),
                Search::Unknown => panic!("unknown: {}", context()),
            }
        }
        assert_eq!(minus.intersection(&b, &mut space).expect("few").is_empty(&mut space), Some(true), "{}", context());
    }
}

#[test]
fn overlap_and_difference() {
    for seed in 0..lists() / 4 {
        let mut random = Random::new(seed ^ 0xfeed);
        let predicates = random.list();
        let [one, two, rest @ ..] = predicates.as_slice() else { continue };
        let all = requests::all(&predicates, false);
        let mut space = space(false);
        let rows: Vec<Product> = predicates.iter().map(|predicate| space.product(predicate)).collect();
        let both = rows[0].and(&rows[1]);
        let list = List::new(rows, &space);
        let others = |at: usize| at > 1;
        let found = match list.left_of(&mut space, &both, Among::These(&others), DEFAULT_BUDGET) {
            Reach::Live(point) => {
                let request = Request::of(&mut space, &point);
                assert!(request.is_in(one) && request.is_in(two) && !rest.iter().any(|other| request.is_in(other)));
                true
            }
            Reach::Unknown => panic!("unknown: {predicates:#?}"),
            Reach::Empty | Reach::Taken(_) => false,
        };
        let brute = all
            .iter()
            .any(|request| request.is_in(one) && request.is_in(two) && !rest.iter().any(|other| request.is_in(other)));
        assert!(found || !brute, "seed {seed}: {predicates:#?}");
    }
}

#[test]
fn a_request_that_sends_a_header_twice() {
    let header = |negated, value: &str| malha_algebra::Condition {
        negated,
        ..malha_algebra::Condition::header("x", malha_algebra::ValueTest::Exact(value.into()))
    };
    let rule = |conditions: Vec<_>| Predicate { conditions, ..Predicate::any() };
    let predicates = [rule(vec![header(true, "1")]), rule(vec![header(false, "2")])];
    for (one_line_each, live) in [(false, true), (true, false)] {
        let mut space = space(one_line_each);
        let rows = predicates.iter().map(|predicate| space.product(predicate)).collect();
        let list = List::new(rows, &space);
        let reach = list.reach(&mut space, 1, DEFAULT_BUDGET);
        assert_eq!(matches!(reach, Reach::Live(_)), live, "{reach:?}");
    }
}

#[test]
fn a_list_of_paths_that_only_together_take_all() {
    let prefix = |value: &str| Predicate {
        path: PathTest::Prefix { value: value.into(), ignore_case: false },
        ..Predicate::any()
    };
    let regex = Predicate {
        path: PathTest::Regex(malha_algebra::re2::Pattern::parse("/[ab].*").expect("a pattern")),
        ..Predicate::any()
    };
    let mut space = space(false);
    let rows = [prefix("/a"), prefix("/b"), prefix("/c"), regex].map(|predicate| space.product(&predicate)).to_vec();
    let list = List::new(rows, &space);
    assert_eq!(list.reach(&mut space, 3, DEFAULT_BUDGET), Reach::Taken(vec![0, 1]));
}
